//! Findings from the journal: runs that failed, were skipped or never ended, and the journal's own state.

use super::{could_not_look, not_looked};
use crate::decide::age::ago;
use crate::decide::finding::{Finding, FindingCode as Code};
use crate::decide::history::History;
use crate::decide::world::{Seen, World};
use crate::declared::{SetDeclaration, SetName};
use crate::observed::{JournalEntry, JournalEvent, RunOutcome};

pub(super) fn findings(world: &World<'_>, history: &History<'_>) -> Vec<Finding> {
    let mut findings: Vec<_> = journal(world).into_iter().collect();
    for (name, set) in &world.plan.sets {
        findings.extend(last_run(world, history, name, set).into_iter().map(|it| it.of(name)));
    }
    findings
}

/// The journal itself.
fn journal(world: &World<'_>) -> Option<Finding> {
    match Seen::of(world.facts.journal.as_ref()) {
        Seen::NotSupplied => Some(not_looked("journal")),
        Seen::Unknown(diagnostic) => Some(could_not_look("journal", diagnostic)),
        Seen::Absent => {
            let destinations = world.facts.destinations.values().filter_map(|fact| fact.observed.present());
            let known = destinations.flat_map(|facts| facts.sets.iter());
            let count: usize =
                known.filter(|(set, _)| world.plan.sets.contains_key(set)).map(|(_, all)| all.len()).sum();
            let evidence = format!("{count} snapshots exist, and there is no journal");
            (count > 0).then(|| Finding::new(Code::StateMissing, "journal", evidence))
        }
        Seen::Present(journal) => {
            let lines: Vec<_> = journal.damaged_lines.iter().map(u64::to_string).collect();
            let object = journal.path.display().to_string();
            let evidence = format!("lines that cannot be read: {}", lines.join(", "));
            (!lines.is_empty()).then(|| Finding::new(Code::StateDamaged, object, evidence))
        }
    }
}

/// How a set's last run ended, and whether one was skipped since.
fn last_run(world: &World<'_>, history: &History<'_>, name: &SetName, set: &SetDeclaration) -> Vec<Finding> {
    let mut started: Option<&JournalEntry> = None;
    let mut finished: Option<&JournalEntry> = None;
    let mut skipped: Option<&JournalEntry> = None;
    for entry in history.of(name).iter().copied() {
        match &entry.event {
            JournalEvent::Started { .. } => {
                started = Some(entry);
                skipped = None;
                finished = None;
            }
            JournalEvent::Finished { .. } => finished = Some(entry),
            JournalEvent::Skipped { .. } => skipped = Some(entry),
            JournalEvent::Sealed { .. } | JournalEvent::Removing { .. } | JournalEvent::Proved { .. } => {}
        }
    }
    let mut findings = Vec::new();
    if let Some(JournalEntry { at, event: JournalEvent::Skipped { holder }, .. }) = skipped {
        let evidence = format!("{}: {holder} held the lock", ago(*at, world.now));
        findings.push(Finding::new(Code::RunSkipped, name.to_string(), evidence));
    }
    match (finished.map(|entry| (entry.at, &entry.event)), started) {
        (Some((at, JournalEvent::Finished { snapshot, outcome, reason, .. })), _) => {
            let why = reason.as_deref().unwrap_or("no reason was noted");
            let evidence = format!("{}: {why}", ago(at, world.now));
            match outcome {
                RunOutcome::Complete => {}
                RunOutcome::Incomplete => {
                    findings.push(Finding::new(Code::RunIncomplete, snapshot.to_string(), evidence));
                }
                RunOutcome::Failed => {
                    findings.push(Finding::new(Code::RunFailed, snapshot.to_string(), evidence));
                }
            }
        }
        (_, Some(entry)) if world.now.duration_since(entry.at) > world.plan.time_limit(set).signed() => {
            let limit = world.plan.time_limit(set);
            let evidence =
                format!("it began {} and never ended; its time limit is {limit}", ago(entry.at, world.now));
            findings.push(Finding::new(Code::RunFailed, name.to_string(), evidence));
        }
        (_, Some(_) | None) => {}
    }
    findings
}
