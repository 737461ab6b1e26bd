//! A database given back onto the server that it came from.
//!
//! Never here: the old data gone before the new is complete and counted. The old database is kept under another name, for
//! people to drop.

use super::RestoreError;
use super::contents::Contents;
use super::login::identifier;
use super::refill::Workshop;
use super::restore::Live;
use super::statement::renamed;
use crate::diagnostic::Diagnostic;
use crate::format::Counts;
use crate::sources::{Bench, LivePlace};
use std::io::Read;

/// The longest name of a database, in bytes (`NAMEDATALEN` - 1); the server cuts longer ones off without a word.
const NAME_BYTES_MAX: usize = 63;

/// Restores under a new name, or beside what is replaced, and then changes the names.
pub(super) fn restore(
    bench: &Bench<'_>,
    member: &str,
    contents: &Contents,
    body: &mut dyn Read,
    counted: &Counts,
    place: &LivePlace,
    told: &mut Vec<Diagnostic>,
) -> Result<Counts, RestoreError> {
    let live = Live::reach(bench)?;
    let workshop = live.workshop();
    let (LivePlace::New(name) | LivePlace::Over(name)) = place;
    if name.len() > NAME_BYTES_MAX {
        return Err(trouble(format!("`{name}` is longer than {NAME_BYTES_MAX} bytes")));
    }
    match place {
        LivePlace::New(name) => {
            // Before anything is made: what cannot be said of the new name alone is said of none.
            let properties = properties(contents, name)?;
            if workshop.has(name)? {
                return Err(RestoreError::PlaceTaken { place: format!("{}/{name}", live.login.server()) });
            }
            let counts = workshop.refill(member, contents, body, name)?;
            workshop.give(&properties)?;
            Ok(counts)
        }
        LivePlace::Over(name) => {
            let stamp = bench.host.now().strftime("%Y%m%d%H%M%S").to_string();
            let beside = shortened(name, &format!("_new_{stamp}"));
            let properties = properties(contents, &beside)?;
            let counts = workshop.refill(member, contents, body, &beside)?;
            let differences = counted.differences(&counts);
            if !differences.is_empty() {
                workshop.drop(&beside)?;
                return Err(RestoreError::Differs {
                    member: member.to_owned(),
                    reason: differences.join("; "),
                });
            }
            workshop.give(&properties)?;
            let old = shortened(name, &format!("_before_{stamp}"));
            if swap(&workshop, name, &beside, &old)? {
                let what = format!("what was in `{name}` is kept in database `{old}`");
                told.push(
                    Diagnostic::new("the old database is kept", what)
                        .fix(format!("when nobody needs it any more: DROP DATABASE {};", identifier(&old))),
                );
            }
            Ok(counts)
        }
    }
}

fn trouble(reason: String) -> RestoreError {
    RestoreError::Bench { tool: "postgres".into(), reason }
}

/// A name with an ending, cut where it would be too long.
fn shortened(name: &str, ending: &str) -> String {
    let mut end = name.len().min(NAME_BYTES_MAX - ending.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", &name[..end])
}

/// Both names change in one transaction, or none does: that of a database which somebody uses cannot.
/// Changes the names; whether there was a database to keep.
fn swap(workshop: &Workshop<'_>, name: &str, beside: &str, old: &str) -> Result<bool, RestoreError> {
    let (to, from, kept) = (identifier(name), identifier(beside), identifier(old));
    let there = workshop.has(name)?;
    let first = if there { format!("alter database {to} rename to {kept};\n") } else { String::new() };
    let sql = format!("begin;\n{first}alter database {from} rename to {to};\ncommit");
    workshop.command(&sql).map(|()| there).map_err(|error| {
        trouble(format!(
            "{error}; nothing was replaced: the restored data is complete in database {from}, and {to} is as it was. End \
             the sessions that use {to}, and then: ALTER DATABASE {to} RENAME TO {kept}; ALTER DATABASE {from} RENAME TO \
             {to}"
        ))
    })
}

/// Settings and rights of the database itself, which `pg_restore` would give to the database of the archived name.
fn properties(contents: &Contents, name: &str) -> Result<Vec<String>, RestoreError> {
    let given = contents.properties.iter();
    let all: Result<Vec<String>, _> = given.map(|it| renamed(it, &contents.database, name)).collect();
    all.map_err(|error| trouble(error.to_string()))
}
