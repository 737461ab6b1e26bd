//! What a run begins with: the destinations that are prepared and whose history can be read, and the source's members.

use super::session::Party;
use crate::declared::{DestinationDeclaration, Plan, SetName};
use crate::diagnostic::Diagnostic;
use crate::format::Trigger;
use crate::host::{Host, pause, pulse};
use crate::observed::{JournalEntry, SnapshotFacts};
use crate::sources::{Member, Source, SourceError};
use crate::workflow::history::{History, newest_complete};
use crate::workflow::signal;
use crate::workflow::site::Site;
use std::time::{Duration, Instant};

/// Longest that a scheduled run waits for a destination to be there.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(40);
/// First rest between two looks; each is twice the one before.
const ARRIVAL_STEP: Duration = Duration::from_secs(1);

/// A destination that cannot take part yet. After a boot a scheduled run may be earlier than the network or a file
/// system that is mounted late; it looks again for a while, and then goes on without.
pub(super) fn admit_patiently(
    site: &Site,
    name: &SetName,
    plan: &Plan,
    trigger: Trigger,
) -> Result<History, Diagnostic> {
    patiently(trigger, |_| true, || admit(site, name, plan))
}

/// The members of a source. After a boot a scheduled run may be earlier than the server that it asks.
pub(super) fn enumerate_patiently(
    source: &dyn Source,
    host: &dyn Host,
    trigger: Trigger,
) -> Result<Vec<Member>, SourceError> {
    let may_come = |error: &SourceError| matches!(error, SourceError::Server { .. });
    patiently(trigger, may_come, || source.enumerate(host))
}

/// Looks again while `may_come` has hope for a scheduled run, for as long as its patience is.
fn patiently<T, E>(
    trigger: Trigger,
    may_come: impl Fn(&E) -> bool,
    mut look: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let patience = match trigger {
        Trigger::Schedule => ARRIVAL_PATIENCE,
        Trigger::Manual | Trigger::Trial => Duration::ZERO,
    };
    let (began, mut rest) = (Instant::now(), ARRIVAL_STEP);
    loop {
        let found = look();
        let hopeless = found.as_ref().err().is_none_or(|error| !may_come(error));
        if hopeless || began.elapsed() + rest > patience || signal::told_to_end() {
            return found;
        }
        let _it_only_waits = pulse::Excuse::begin();
        pause(rest);
        rest *= 2;
    }
}

/// Whether a destination can take part: prepared, and its history can be read.
fn admit(site: &Site, name: &SetName, plan: &Plan) -> Result<History, Diagnostic> {
    let trouble = |error: &crate::destinations::DestinationError| {
        let why = crate::workflow::verify::chain(error);
        // On a disk of this host a refusal is about the user of the job, and not about credentials.
        let remote = plan.destinations.get(&site.name).is_some_and(DestinationDeclaration::is_remote);
        let remedy = error.remedy(error.trouble().filter(|_| remote));
        let look = || {
            format!(
                "see that {} answers and can be used by the user of the job; `bkp plan` looks too",
                site.target.location()
            )
        };
        Diagnostic::new("destination not usable", format!("destination `{}`", site.name))
            .why(why)
            .fix(remedy.unwrap_or_else(look))
    };
    if !site.target.prepared().map_err(|error| trouble(&error))? {
        return Err(Diagnostic::new(
            "destination not prepared",
            format!("destination `{}` at {} has no marker of bkp's", site.name, site.target.location()),
        )
        .why("perhaps its file system is not mounted, or `bkp apply` has not run")
        .fix("mount it, or run `bkp apply` with the plan file, which prepares a new one and says what to do with any other"));
    }
    History::begin(site, name, &plan.moved).map_err(|error| trouble(&error))
}

/// Two ways to one place are one destination: what one of them stores the other would find in its way, and take back.
pub(super) fn one_place(parties: &[Party], site: &Site) -> Option<Diagnostic> {
    let id = site.target.id().ok().flatten()?;
    let same = |party: &&Party| party.site.target.id().is_ok_and(|it| it.as_ref() == Some(&id));
    let other = parties.iter().find(same)?;
    let what = format!("destinations `{}` and `{}`", other.site.name, site.name);
    let why =
        format!("their marker is the same: {} and {}", other.site.target.location(), site.target.location());
    Some(Diagnostic::new("two destinations are one place", what).why(why).fix("keep one of them in the plan"))
}

/// Two plans that keep a set of one name under one host's name at one place would take each other's snapshots for their own:
/// prove them, restore them, and let retention remove them.
pub(super) fn another_plans(
    plan: &Plan,
    name: &SetName,
    site: &Site,
    history: &[SnapshotFacts],
    entries: &[JournalEntry],
) -> Option<Diagnostic> {
    let (newest, sealed) = newest_complete(history)?;
    let other = &sealed.manifest.plan;
    let made_here = |entry: &JournalEntry| entry.event.sealed() == Some((newest.id, &site.name));
    if *other == plan.name || entries.iter().any(made_here) {
        return None;
    }
    let what =
        format!("set `{name}`, destination `{}`: snapshot {} is plan `{other}`'s", site.name, newest.id);
    Some(Diagnostic::new("another plan keeps a set of this name there", what)
        .why(format!("it lies under the same host's name, and was not made by plan `{}` here", plan.name))
        .fix(format!(
            "give one of the two another `node:`, `path` or set name; where plan `{other}` is gone for good, \
             `bkp run {name} --accept-source` takes its snapshots over"
        )))
}
