//! Findings from the journal: runs that failed, were skipped or never ended, and the journal's own state.

use super::{could_not_look, not_looked};
use crate::decide::age::ago;
use crate::decide::coverage::{CoverageRow, LevelState};
use crate::decide::finding::{Finding, FindingCode as Code};
use crate::decide::history::History;
use crate::decide::world::{Seen, World};
use crate::declared::{SetDeclaration, SetName};
use crate::format::{Level, SnapshotId, Trigger};
use crate::observed::{JournalEntry, JournalEvent, RunOutcome};
use jiff::Timestamp;

pub(super) fn findings(world: &World<'_>, history: &History<'_>, rows: &[CoverageRow]) -> Vec<Finding> {
    let mut findings: Vec<_> = journal(world).into_iter().chain(missing(world)).collect();
    for (name, set) in &world.plan.sets {
        let mut found = last_run(world, history, name, set);
        found.extend(overlap(world, history, name, set));
        if is_stale(rows, name) {
            found.extend(held(world, history, name));
        }
        findings.extend(found.into_iter().map(|it| it.of(name)));
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
            JournalEvent::Held { .. }
            | JournalEvent::Sealed { .. }
            | JournalEvent::Removing { .. }
            | JournalEvent::Proved { .. } => {}
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
        (_, Some(entry)) if was_cut_short(world, name, entry) => {
            let evidence = format!(
                "it began {}, never ended, and holds its lock no more: it was killed, or the host went down",
                ago(entry.at, world.now)
            );
            findings.push(Finding::new(Code::RunFailed, name.to_string(), evidence));
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

fn was_cut_short(world: &World<'_>, name: &SetName, started: &JournalEntry) -> bool {
    let JournalEvent::Started { snapshot, .. } = &started.event else { return false };
    let journal = world.facts.journal.as_ref().and_then(|fact| fact.observed.present());
    journal.is_some_and(|journal| journal.cut_short.get(name) == Some(snapshot))
}

/// Whether a set has nothing fresh at one of its destinations.
fn is_stale(rows: &[CoverageRow], name: &SetName) -> bool {
    rows.iter().filter(|row| row.set == *name && row.paused.is_none()).any(|row| {
        match row.level(Level::Stored) {
            LevelState::Expired { .. } | LevelState::Unproven { .. } => true,
            LevelState::Proven { .. } | LevelState::Disproven { .. } | LevelState::Unknown { .. } => false,
        }
    })
}

/// What kept the runs that were due from beginning: a condition of the plan, or of the scheduler's own.
fn held(world: &World<'_>, history: &History<'_>, name: &SetName) -> Vec<Finding> {
    let mut findings = Vec::new();
    let last = history.of(name).iter().rev().find(|entry| match &entry.event {
        JournalEvent::Held { .. } | JournalEvent::Started { .. } => true,
        JournalEvent::Finished { .. }
        | JournalEvent::Skipped { .. }
        | JournalEvent::Sealed { .. }
        | JournalEvent::Removing { .. }
        | JournalEvent::Proved { .. } => false,
    });
    if let Some(JournalEntry { at, event: JournalEvent::Held { reason }, .. }) = last.copied() {
        let evidence = format!("{}: {reason}", ago(*at, world.now));
        findings.push(Finding::new(Code::RunHeld, name.to_string(), evidence));
    }
    let service = world.wanted(name).and_then(|wanted| world.installed(wanted)).map(|job| &job.service);
    if let Some(at) = service.and_then(|service| service.condition_failed_at) {
        let job = format!("bkp-{name}");
        let evidence =
            format!("{}: a condition of its unit was not met, and it was not started", ago(at, world.now));
        let remedy =
            format!("see `systemctl status {job}.service`; `bkp apply` takes foreign conditions away");
        findings.push(Finding::new(Code::RunHeld, job, evidence).remedy(remedy));
    }
    findings
}

/// The last scheduled run, where it was still going on when the next was due.
fn overlap(
    world: &World<'_>,
    history: &History<'_>,
    name: &SetName,
    set: &SetDeclaration,
) -> Option<Finding> {
    let mut last: Option<(Timestamp, SnapshotId, Option<Timestamp>)> = None;
    for entry in history.of(name) {
        match &entry.event {
            JournalEvent::Started { snapshot, trigger: Trigger::Schedule, .. } => {
                last = Some((entry.at, *snapshot, None));
            }
            JournalEvent::Finished { snapshot, .. } => {
                if let Some((_, began, ended)) = &mut last
                    && began == snapshot
                {
                    *ended = Some(entry.at);
                }
            }
            JournalEvent::Started { .. }
            | JournalEvent::Held { .. }
            | JournalEvent::Skipped { .. }
            | JournalEvent::Sealed { .. }
            | JournalEvent::Removing { .. }
            | JournalEvent::Proved { .. } => {}
        }
    }
    let (began, snapshot, ended) = last?;
    let next = world.plan.calendar(set).next_after(began)?;
    let limit = world.plan.time_limit(set).signed();
    // One that never ended is no run that goes on, and has a finding of its own.
    let until = ended.unwrap_or(world.now);
    let lasted = until.duration_since(began);
    let goes_on = ended.is_some() || lasted <= limit;
    (goes_on && until > next).then(|| {
        let minutes = lasted.as_mins();
        let still = if ended.is_some() { "took" } else { "goes on since" };
        let evidence = format!("it began {began} and {still} {minutes} min; the next was due {next}");
        Finding::new(Code::RunOverlaps, snapshot.to_string(), evidence)
    })
}

/// Journals of users that are gone while others are there.
fn missing(world: &World<'_>) -> Vec<Finding> {
    let Seen::Present(journal) = Seen::of(world.facts.journal.as_ref()) else { return Vec::new() };
    let destinations = || world.facts.destinations.values().filter_map(|fact| fact.observed.present());
    let finding = |(set, path): (&SetName, &std::path::PathBuf)| {
        let count: usize = destinations().filter_map(|facts| facts.sets.get(set)).map(Vec::len).sum();
        let evidence = format!("{count} snapshots of `{set}` exist, and its user's journal is not there");
        (count > 0).then(|| Finding::new(Code::StateMissing, path.display().to_string(), evidence).of(set))
    };
    journal.missing.iter().filter_map(finding).collect()
}
