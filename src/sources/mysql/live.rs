//! A schema back onto the declared server.
//!
//! Schemas cannot be renamed. Never here: a live schema that is touched before what replaces it lies complete and
//! counted beside it, and what it held lies complete and counted beside it too; or one that was written to since it was
//! copied. Killed in between, nothing is lost: the schemas `bkp_new_...` and `bkp_old_...` stay, and no sweep removes
//! them. What was there stays in `bkp_old_...` until somebody drops it.

use super::accounts::MEMBER;
use super::catalogue::{count_everything, with_history};
use super::client::{Ask, Client, OneLogin, server_name};
use super::emptied::{Emptied, checksums, emptied};
use super::events::Event;
use super::feed::{Load, bench};
use super::hold::begin;
use super::restorer::{declared, drop_schema, make_schema};
use super::stream::DumpStream;
use super::words::{identifier, literal};
use crate::declared::MysqlDeclaration;
use crate::diagnostic::Diagnostic;
use crate::format::Counts;
use crate::host::Host;
use crate::sources::{Artifact, Bench, LivePlace, RestoreError, SourceStream};

/// How long a lock is held while a schema is copied, in seconds.
const LOCK_SECONDS: u64 = 5;

/// Restores into a schema that is new, or over one that is there.
pub(super) fn restore(
    bench_of: Bench<'_>,
    mut artifact: Artifact<'_>,
    place: &LivePlace,
    told: &mut Vec<Diagnostic>,
) -> Result<Counts, RestoreError> {
    let not_by_name =
        |reason: &str| RestoreError::NotByName { kind: "mysql".into(), reason: reason.to_owned() };
    if artifact.member == MEMBER {
        return Err(not_by_name("restore it with `--to`, read it, and play in what you want of it"));
    }
    let declaration =
        declared(bench_of).ok_or_else(|| not_by_name("no declaration says where the server is"))?;
    let client = Client::declared(bench_of.host, declaration).map_err(|error| bench(&error))?;
    let live = Live { host: bench_of.host, client: &client, declaration };
    match place {
        LivePlace::New(name) => {
            let (counts, events) = live.new_schema(&mut artifact, name)?;
            told.extend(disabled(name, &events));
            Ok(counts)
        }
        LivePlace::Over(name) => live.over(&mut artifact, name, told),
    }
}

struct Live<'a> {
    host: &'a dyn Host,
    client: &'a Client,
    declaration: &'a MysqlDeclaration,
}

impl Live<'_> {
    fn ask(&self) -> OneLogin<'_> {
        OneLogin { host: self.host, client: self.client }
    }

    fn full(&self, name: &str) -> String {
        format!("{}/{name}", server_name(self.declaration))
    }

    fn exists(&self, name: &str) -> Result<bool, RestoreError> {
        let question =
            format!("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}", literal(name));
        Ok(!self.ask().rows(&question).map_err(|error| bench(&error))?.is_empty())
    }

    /// Restores beside what is there. A schema that could not be completed is removed: it is ours.
    fn new_schema(
        &self,
        artifact: &mut Artifact<'_>,
        name: &str,
    ) -> Result<(Counts, Vec<Event>), RestoreError> {
        if self.exists(name)? {
            return Err(RestoreError::PlaceTaken { place: self.full(name) });
        }
        make_schema(self.host, self.client, name)?;
        let counted = self.load(artifact.member, name).feed(artifact.body).and_then(|events| {
            let counts = self.count(name, with_history(artifact.counts))?;
            compared(artifact.member, artifact.counts, &counts).map(|()| (counts, events))
        });
        if counted.is_err() {
            drop_schema(self.host, self.client, name)?;
        }
        counted
    }

    fn load<'a>(&'a self, member: &'a str, schema: &'a str) -> Load<'a> {
        Load { host: self.host, client: self.client, member, schema: Some(schema), live: true }
    }

    fn count(&self, name: &str, history: bool) -> Result<Counts, RestoreError> {
        count_everything(&mut self.ask(), name, history).map_err(|error| bench(&error))
    }

    /// Replaces what is there: the new one beside it, the old one copied beside it, and only then in its place.
    fn over(
        &self,
        artifact: &mut Artifact<'_>,
        name: &str,
        told: &mut Vec<Diagnostic>,
    ) -> Result<Counts, RestoreError> {
        let mark = format!("{:x}", self.host.now().as_nanosecond());
        let (new, old) = (format!("bkp_new_{mark}"), format!("bkp_old_{mark}"));
        let member = artifact.member.to_owned();
        let (wanted, events) = self.new_schema(artifact, &new)?;
        let there = self.exists(name)?;
        if there {
            self.set_aside(name, &old, &new)?;
        }
        let replaced = drop_schema(self.host, self.client, name)
            .and_then(|()| self.copy(&new, name))
            .and_then(|counts| compared(&member, &wanted, &counts).map(|()| counts));
        let was = if there { format!(", and what was there in `{old}`") } else { String::new() };
        let counts = replaced.map_err(|error| RestoreError::Bench {
            tool: self.full(name),
            reason: format!("{error}; what was to come lies complete in `{new}`{was}"),
        })?;
        drop_schema(self.host, self.client, &new)?;
        let enabling: Vec<String> = events.iter().map(|event| event.enabling(name)).collect();
        if !enabling.is_empty() && self.client.change(self.host, &enabling.join("\n")).is_err() {
            told.extend(disabled(name, &events));
        }
        if there {
            let what = format!("what was in `{name}` is kept in schema `{old}`, its events disabled");
            told.push(
                Diagnostic::new("the old schema is kept", what)
                    .fix(format!("when nobody needs it any more: DROP DATABASE {};", identifier(&old))),
            );
        }
        Ok(counts)
    }

    /// Copies a schema beside itself and empties it, if it still is what was copied. Where it is not, both schemas of
    /// ours go, and it is as it was.
    fn set_aside(&self, name: &str, old: &str, new: &str) -> Result<(), RestoreError> {
        let before = checksums(&mut self.ask(), name);
        let kept = before
            .map_err(|error| bench(&error))
            .and_then(|before| self.copy(name, old).map(|counts| (before, counts)))
            .and_then(|(before, counts)| {
                let mut session = self.client.session().map_err(|error| bench(&error))?;
                emptied(&mut session, name, &before, &counts).map_err(|error| bench(&error))
            });
        let reason = match kept {
            Ok(Emptied::Whole) => return Ok(()),
            Ok(Emptied::Partly(why)) => {
                return Err(RestoreError::Bench {
                    tool: self.full(name),
                    reason: format!(
                        "{why}; tables of it may be gone: what was there lies complete in `{old}`, and what was to come in \
                         `{new}`"
                    ),
                });
            }
            Ok(Emptied::Untouched(why)) => RestoreError::Bench {
                tool: self.full(name),
                reason: format!("{why}; nothing was replaced, and it is as it was"),
            },
            Err(error) => error,
        };
        drop_schema(self.host, self.client, old)?;
        drop_schema(self.host, self.client, new)?;
        Err(reason)
    }

    /// Dumps a schema into another, complete and compared.
    fn copy(&self, from: &str, to: &str) -> Result<Counts, RestoreError> {
        let failed = |error| bench(&error);
        make_schema(self.host, self.client, to)?;
        let held = begin(self.client, from, LOCK_SECONDS).map_err(failed)?;
        let mut stream = Box::new(DumpStream::new(self.client.clone(), from, held));
        let _disabled = self.load(from, to).feed(&mut *stream)?;
        let complete = stream.finish().map_err(failed)?;
        let counts = self.count(to, with_history(complete.counts()))?;
        let differences = crate::format::count_differences(complete.counts(), complete.bounds(), &counts);
        if differences.is_empty() {
            return Ok(counts);
        }
        Err(RestoreError::Differs { member: from.to_owned(), reason: differences.join("; ") })
    }
}

/// What to tell of events that were enabled when they were backed up.
fn disabled(schema: &str, events: &[Event]) -> Option<Diagnostic> {
    let enabling: Vec<String> = events.iter().map(|event| event.enabling(schema)).collect();
    let what = format!("{} of `{schema}`, so that nothing runs twice", enabling.len());
    let fix = format!("when they are to run: {}", enabling.join(" "));
    (!enabling.is_empty()).then(|| Diagnostic::new("events are disabled", what).fix(fix))
}

/// Every exact count must have come back; what was only bounded is compared by the caller, who has the bounds.
fn compared(member: &str, wanted: &Counts, counts: &Counts) -> Result<(), RestoreError> {
    let known = counts.0.iter().filter(|(key, _)| wanted.0.contains_key(*key));
    let known = Counts(known.map(|(key, count)| (key.clone(), *count)).collect());
    let differences = wanted.differences(&known);
    if differences.is_empty() {
        return Ok(());
    }
    Err(RestoreError::Differs { member: member.to_owned(), reason: differences.join("; ") })
}
