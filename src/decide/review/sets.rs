//! What has to change for each set, and what blocks it.

use super::{Action, Blocked, Change, ChangeObject, Review, unified};
use crate::decide::coverage::CoverageRow;
use crate::decide::finding::FindingCode;
use crate::decide::identity::{moved_away, place_is_known};
use crate::decide::scheduled::{drift, examine};
use crate::decide::world::{Seen, WantedJob, World};
use crate::declared::{DestinationName, SetName};
use crate::diagnostic::Diagnostic;
use crate::format::Level;
use crate::observed::{InstalledJob, JobName, Observed};
use std::collections::BTreeSet;

/// Adds every set's changes to the review.
pub(super) fn sets(world: &World<'_>, usable: &BTreeSet<DestinationName>, review: &mut Review) {
    for (name, set) in &world.plan.sets {
        let mut blocks = source_blocks(world, name, review);
        blocks.extend(owner_block(world, name));
        if let Some(wanted) = world.wanted(name)
            && let Seen::Unknown(diagnostic) = world.scheduler(wanted.scheduler)
        {
            blocks.push(diagnostic.clone());
        }
        if !world.plan.destinations_of(set).iter().any(|destination| usable.contains(destination)) {
            let what = format!("set `{name}`");
            let fix = "mend a destination first: see what is said of it";
            blocks.push(Diagnostic::new("no destination of the set can be used", what).fix(fix));
        }
        let mut changes = Vec::new();
        match world.wanted(name) {
            Some(wanted) => match job_changes(world, wanted) {
                Ok(found) => changes.extend(found),
                Err(diagnostic) => blocks.push(*diagnostic),
            },
            None => review.complete = false,
        }
        if world.paused(set).is_none() {
            let lacking = proofs_lacking(world, name, usable, &review.coverage);
            changes.extend(proof_change(name, &lacking, &changes));
        }
        for change in &mut changes {
            change.blocked = blocks.first().cloned();
        }
        review.changes.extend(changes);
        let blocked = |diagnostic| Blocked { set: Some(name.clone()), destination: None, diagnostic };
        review.blocked.extend(blocks.into_iter().map(blocked));
    }
}

/// Adds the audit job's changes to the review.
pub(super) fn audit_job(world: &World<'_>, review: &mut Review) {
    for wanted in world.jobs.iter().filter(|job| matches!(job.name, JobName::Audit(_))) {
        match job_changes(world, wanted) {
            Ok(changes) => review.changes.extend(changes),
            Err(diagnostic) => {
                let diagnostic = *diagnostic;
                review.blocked.push(Blocked { set: None, destination: None, diagnostic });
            }
        }
    }
}

/// Why the set's source cannot be read now.
fn source_blocks(world: &World<'_>, name: &SetName, review: &mut Review) -> Vec<Diagnostic> {
    let facts = match Seen::of(world.facts.sources.get(name)) {
        Seen::Present(facts) => facts,
        Seen::NotSupplied => {
            review.complete = false;
            return Vec::new();
        }
        Seen::Unknown(diagnostic) => {
            review.unknown.push(diagnostic.clone());
            return vec![diagnostic.clone()];
        }
        Seen::Absent => return vec![missing(name)],
    };
    let mut blocks: Vec<_> = facts.requirements.iter().filter_map(|it| it.unmet.clone()).collect();
    match &facts.members {
        Observed::Present(_) => {}
        Observed::Absent => blocks.push(missing(name)),
        Observed::Unknown(diagnostic) => {
            // One thing that is wrong is told once, be it seen as a requirement or as a member.
            if blocks.is_empty() && facts.deferred.is_none() {
                blocks.push(diagnostic.clone());
            }
        }
    }
    if place_is_known(facts) {
        blocks.extend(moved_away(world, name, facts));
    }
    blocks
}

fn missing(name: &SetName) -> Diagnostic {
    Diagnostic::new("the source does not exist", format!("set `{name}`"))
        .fix("correct the set's paths, or mount what is missing")
}

/// A set that another plan on this host owns.
fn owner_block(world: &World<'_>, name: &SetName) -> Option<Diagnostic> {
    let by_job = || {
        let marker = world.installed(world.wanted(name)?)?.marker.as_ref()?;
        (marker.plan != world.plan.name).then(|| marker.plan.clone())
    };
    let by_plan = || {
        let others = world.installed_others.iter().filter(|plan| plan.name != world.plan.name);
        others.into_iter().find(|plan| plan.sets.contains_key(name)).map(|plan| plan.name.clone())
    };
    let owner = by_job().or_else(by_plan)?;
    let what = format!("set `{name}` is owned by plan `{owner}`");
    let fix = format!("rename the set here, or remove it from plan `{owner}` and apply that plan first");
    Some(Diagnostic::new("another plan owns the set", what).fix(fix))
}

/// What has to change about an installed job. An error says why that cannot be told.
fn job_changes(world: &World<'_>, wanted: &WantedJob) -> Result<Vec<Change>, Box<Diagnostic>> {
    match world.scheduler(wanted.scheduler) {
        Seen::Present(_) | Seen::NotSupplied => {}
        Seen::Unknown(diagnostic) => return Err(Box::new(diagnostic.clone())),
        Seen::Absent => {
            let what = format!("job `{}` is for {}", wanted.name, wanted.scheduler.word());
            return Err(Box::new(
                Diagnostic::new("the scheduler does not run on this host", what)
                    .fix("set `scheduler: auto` in the plan file, or apply it on another host"),
            ));
        }
    }
    let mut changes = Vec::new();
    let object = ChangeObject::Job(wanted.name.clone());
    match world.installed(wanted) {
        None => {
            let reason = match world.scheduler(wanted.scheduler) {
                Seen::NotSupplied => return Ok(changes),
                Seen::Present(_) | Seen::Absent | Seen::Unknown(_) => "no such job is installed",
            };
            changes.push(Change::new(Action::Create, object, reason));
        }
        Some(job) => {
            let mut reasons = drift(world, wanted, job);
            if job.service.masked {
                reasons.push("its service is masked".to_owned());
            }
            let timer = examine(world, wanted).needs_enabling().cloned();
            // Without its file a timer cannot be enabled: the job is installed anew. A mask may lie in its place.
            let mask_in_place = job.files.iter().any(|file| file.text.is_none());
            let without_file = |code| match code {
                FindingCode::TimerMissing | FindingCode::TimerStatic => true,
                code => code == FindingCode::TimerMasked && mask_in_place,
            };
            let fault = timer.filter(|fault| {
                if without_file(fault.code) {
                    reasons.push(fault.evidence.clone());
                }
                true
            });
            if !reasons.is_empty() {
                let mut change = Change::new(Action::Update, object, reasons.join("; "));
                change.diff = diff(wanted, job);
                changes.push(change);
            }
            if let Some(fault) = fault {
                let object = ChangeObject::Timer(wanted.name.clone());
                changes.push(Change::new(Action::Enable, object, fault.evidence));
            }
        }
    }
    for change in &mut changes {
        change.scheduler = Some(wanted.scheduler);
    }
    Ok(changes)
}

fn diff(wanted: &WantedJob, job: &InstalledJob) -> Option<String> {
    let text = |path: &std::path::PathBuf| {
        let file = job.files.iter().find(|file| file.path == *path);
        file.and_then(|file| file.text.as_deref()).unwrap_or_default()
    };
    let differs = wanted.files.iter().filter(|(path, wanted)| text(path) != wanted);
    let diff: String = differs.map(|(path, wanted)| unified(path, text(path), wanted)).collect();
    (!diff.is_empty()).then_some(diff)
}

/// What has to be proven, and where. What could not be looked at is left alone.
fn proofs_lacking(
    world: &World<'_>,
    name: &SetName,
    usable: &BTreeSet<DestinationName>,
    coverage: &[CoverageRow],
) -> Vec<String> {
    let rows = coverage.iter().filter(|row| row.set == *name && usable.contains(&row.destination));
    let mut reasons = Vec::new();
    for row in rows {
        // What this host cannot open it cannot restore: to bring the key is nothing that apply does.
        let provable = world.plan.level_provable_here(&row.destination);
        let lacking = [Level::Stored, Level::Intact, Level::Restored]
            .into_iter()
            .filter(|level| *level <= provable)
            .map(|level| (level, row.level(level)))
            .find(|(_, state)| !state.is_proven() && !state.is_unknown());
        if let Some((level, state)) = lacking {
            reasons.push(format!("not {level} at `{}`: {}", row.destination, state.text()));
        }
    }
    reasons
}

/// The set's trial, where something is not proven or its job changes: a job is tried before anybody relies on it.
fn proof_change(name: &SetName, lacking: &[String], changes: &[Change]) -> Option<Change> {
    let of_job = |change: &&Change| matches!(change.object, ChangeObject::Job(_));
    let changed = changes
        .iter()
        .find(of_job)
        .map(|change| if change.action == Action::Create { "its job is new" } else { "its job changes" });
    let reason = match (lacking.is_empty(), changed) {
        (false, _) => lacking.join("; "),
        (true, Some(changed)) => changed.to_owned(),
        (true, None) => return None,
    };
    let mut change = Change::new(Action::Prove, ChangeObject::Set(name.clone()), reason);
    change.remark = Some("proven at apply: one backup through its job, read back and drilled".to_owned());
    Some(change)
}
