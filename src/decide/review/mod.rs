//! What `plan` shows: every difference between what is declared and what exists, with its reason.
//!
//! A set that something blocks keeps its changes in the review, marked, and gets no steps.

mod destinations;
mod sets;

use super::audit::open_to_others;
use super::catalogue::explain;
use super::copies::{SetCopies, copies};
use super::coverage::{CoverageRow, coverage};
use super::finding::FindingCode;
use super::foreign::{ForeignNote, foreign};
use super::history::History;
use super::scheduled::daemon;
use super::uncovered::{Uncovered, looked_into, uncovered};
use super::world::{Seen, WantedJob, World, host_matches};
use crate::declared::{DestinationName, IoClass, Scope, SetName};
use crate::diagnostic::Diagnostic;
use crate::format::Level;
use crate::observed::{InstalledJob, JobName, SchedulerKind};
use similar::TextDiff;
use std::collections::BTreeSet;
use std::path::Path;

/// What apply would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Makes a destination ready to be written to.
    Prepare,
    /// Installs what is not there.
    Create,
    /// Replaces what differs.
    Update,
    /// Enables and starts a timer.
    Enable,
    /// Runs the set through its job, reads it back and drills it.
    Prove,
    /// Removes a job; never a snapshot.
    Remove,
}

impl Action {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Create => "create",
            Self::Update => "update",
            Self::Enable => "enable",
            Self::Prove => "prove",
            Self::Remove => "remove",
        }
    }
}

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeObject {
    /// A destination.
    Destination(DestinationName),
    /// The installed copy of the plan.
    Plan,
    /// A job's files.
    Job(JobName),
    /// A job's timer.
    Timer(JobName),
    /// A set's data.
    Set(SetName),
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What apply would do.
    pub action: Action,
    /// To what.
    pub object: ChangeObject,
    /// The scheduler, for jobs and timers.
    pub scheduler: Option<SchedulerKind>,
    /// Why.
    pub reason: String,
    /// What will happen beside it, where that is not plain.
    pub remark: Option<String>,
    /// Unified diff of the files, from what is installed to what is wanted.
    pub diff: Option<String>,
    /// Why it cannot be done now.
    pub blocked: Option<Diagnostic>,
}

impl Change {
    pub(super) fn new(action: Action, object: ChangeObject, reason: impl Into<String>) -> Self {
        Self {
            action,
            object,
            scheduler: None,
            reason: reason.into(),
            remark: None,
            diff: None,
            blocked: None,
        }
    }

    /// The set that it concerns.
    pub fn set(&self) -> Option<&SetName> {
        match &self.object {
            ChangeObject::Job(JobName::Set(set) | JobName::Trial(set))
            | ChangeObject::Timer(JobName::Set(set) | JobName::Trial(set))
            | ChangeObject::Set(set) => Some(set),
            ChangeObject::Destination(_)
            | ChangeObject::Plan
            | ChangeObject::Job(JobName::Audit(_))
            | ChangeObject::Timer(JobName::Audit(_)) => None,
        }
    }
}

/// Something that apply refuses to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The set that gets no steps; none when a destination or the audit's job is meant.
    pub set: Option<SetName>,
    /// The destination that is left out.
    pub destination: Option<DestinationName>,
    /// Why, and what mends it.
    pub diagnostic: Diagnostic,
}

/// The differences between what is declared and what exists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Review {
    /// What apply would do, blocked changes too.
    pub changes: Vec<Change>,
    /// Data that no set covers.
    pub uncovered: Vec<Uncovered>,
    /// Backups that are not bkp's; they change nothing.
    pub foreign: Vec<ForeignNote>,
    /// Where backups that are not bkp's could not be looked for.
    pub foreign_gaps: Vec<Diagnostic>,
    /// What apply refuses to go on with.
    pub blocked: Vec<Blocked>,
    /// Observations that were tried and failed.
    pub unknown: Vec<Diagnostic>,
    /// What is worth knowing and changes nothing.
    pub notes: Vec<Diagnostic>,
    /// Whether the facts had everything that the plan speaks of.
    pub complete: bool,
    /// The coverage as it is now.
    pub coverage: Vec<CoverageRow>,
    /// How many copies there are now, of sets with several destinations or a `require`.
    pub copies: Vec<SetCopies>,
}

impl Review {
    /// The changes that apply can make.
    pub fn applicable(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.blocked.is_none())
    }

    /// Leaves only what concerns the named sets, the installed plan and their destinations.
    #[must_use]
    pub fn only(mut self, sets: &BTreeSet<SetName>) -> Self {
        self.coverage.retain(|row| sets.contains(&row.set));
        self.copies.retain(|it| sets.contains(&it.set));
        let used: BTreeSet<_> = self.coverage.iter().map(|row| row.destination.clone()).collect();
        self.changes.retain(|change| match &change.object {
            ChangeObject::Plan => true,
            ChangeObject::Destination(name) => used.contains(name),
            ChangeObject::Job(_) | ChangeObject::Timer(_) | ChangeObject::Set(_) => {
                change.set().is_some_and(|set| sets.contains(set))
            }
        });
        self.blocked.retain(|it| match (&it.set, &it.destination) {
            (Some(set), _) => sets.contains(set),
            (None, Some(destination)) => used.contains(destination),
            (None, None) => false,
        });
        self.uncovered.clear();
        self.foreign.clear();
        self.foreign_gaps.clear();
        self
    }
}

/// Compares what is declared with what exists.
pub fn review(world: &World<'_>) -> Review {
    let mut review = Review { complete: true, coverage: coverage(world), ..Review::default() };
    review.copies = copies(world, &review.coverage);
    let usable = destinations(world, &mut review);
    installed_plan(world, &mut review);
    schedulers(world, &mut review);
    sets::sets(world, &usable, &mut review);
    sets::audit_job(world, &mut review);
    removals(world, &mut review);
    discovered(world, &mut review);
    let foreign = foreign(world);
    (review.foreign, review.foreign_gaps) = (foreign.notes, foreign.gaps);
    notes(world, &mut review);
    review
}

/// Looks at every destination that a set names; returns those that can be used.
fn destinations(world: &World<'_>, review: &mut Review) -> BTreeSet<DestinationName> {
    let used: BTreeSet<_> =
        world.plan.sets.values().flat_map(|set| world.plan.destinations_of(set)).collect();
    for name in world.plan.destinations.keys().filter(|name| !used.contains(name)) {
        let what = format!("destination `{name}`");
        review.notes.push(Diagnostic::new("no set uses a destination", what));
    }
    let history = History::new(world);
    let mut usable = BTreeSet::new();
    for name in used {
        let prepared = match world.destination(name) {
            Seen::NotSupplied => {
                review.complete = false;
                usable.insert(name.clone());
                continue;
            }
            Seen::Unknown(diagnostic) => {
                review.unknown.push(diagnostic.clone());
                continue;
            }
            Seen::Absent => false,
            Seen::Present(facts) => facts.prepared,
        };
        if prepared {
            usable.insert(name.clone());
            continue;
        }
        let object = ChangeObject::Destination(name.clone());
        let mut change = Change::new(Action::Prepare, object, "it is not prepared yet");
        let remembered: usize = world.plan.sets.keys().map(|set| history.remembered(set, name).len()).sum();
        if remembered == 0 {
            usable.insert(name.clone());
        } else {
            // A mount that is missing looks like an empty folder; preparing it would hide that.
            let diagnostic =
                Diagnostic::new("a destination's marker is gone", format!("destination `{name}`"))
                    .why(format!(
                        "the journal knows {remembered} snapshots there: a file system may not be mounted"
                    ))
                    .fix("mount it; if it was emptied on purpose, give the destination another name");
            "its marker is gone".clone_into(&mut change.reason);
            change.blocked = Some(diagnostic.clone());
            review.blocked.push(Blocked { set: None, destination: Some(name.clone()), diagnostic });
        }
        review.changes.push(change);
    }
    usable
}

fn installed_plan(world: &World<'_>, review: &mut Review) {
    let Some(text) = world.plan_text else { return };
    let object = ChangeObject::Plan;
    match Seen::of(world.facts.plans.get(&world.plan.name)) {
        Seen::Present(installed) if installed.text == text => {}
        Seen::Present(installed) => {
            let mut change = Change::new(Action::Update, object, "the plan differs from the one applied");
            change.diff = Some(unified(&installed.path, &installed.text, text));
            review.changes.push(change);
        }
        Seen::Unknown(diagnostic) => review.unknown.push(diagnostic.clone()),
        // The installed plans were listed, and this one was not among them.
        Seen::Absent | Seen::NotSupplied => {
            review.changes.push(Change::new(Action::Create, object, "it is not installed"));
        }
    }
}

fn schedulers(world: &World<'_>, review: &mut Review) {
    let kinds: BTreeSet<_> = world.jobs.iter().map(|job| job.scheduler).collect();
    for kind in kinds {
        match world.scheduler(kind) {
            Seen::Present(_) | Seen::Absent => {}
            Seen::Unknown(diagnostic) => review.unknown.push(diagnostic.clone()),
            Seen::NotSupplied => review.complete = false,
        }
    }
}

/// Jobs that carry this plan's name and that the plan does not ask for.
fn removals(world: &World<'_>, review: &mut Review) {
    for job in world.own_jobs() {
        let Some(reason) = why_removed(world, job) else { continue };
        let mut change = Change::new(Action::Remove, ChangeObject::Job(job.name.clone()), reason);
        change.scheduler = Some(job.scheduler);
        change.remark = match &job.name {
            JobName::Set(set) => Some(kept_words(world, set)),
            JobName::Trial(_) | JobName::Audit(_) => None,
        };
        review.changes.push(change);
    }
}

/// Why a job of this plan has to go; none when it is wanted.
pub(super) fn why_removed(world: &World<'_>, job: &InstalledJob) -> Option<String> {
    let wanted = world.jobs.iter().find(|wanted| wanted.name == job.name);
    match (&job.name, wanted) {
        (JobName::Trial(_), _) => Some("left over by an apply that was interrupted".to_owned()),
        (_, Some(wanted)) if wanted.scheduler == job.scheduler && wanted.scope == job.scope => None,
        (_, Some(wanted)) => Some(format!("the job is now started by {}", wanted.scheduler.word())),
        (JobName::Audit(_), None) => Some("the plan asks for no audit".to_owned()),
        // A set that is declared and has no wanted job was left out on purpose.
        (JobName::Set(set), None) if world.plan.sets.contains_key(set) => None,
        (JobName::Set(set), None) => match world.plan.moved.get(set) {
            Some(new) => Some(format!("set `{set}` is now `{new}`")),
            None => Some(format!("set `{set}` is no longer declared")),
        },
    }
}

fn kept_words(world: &World<'_>, set: &SetName) -> String {
    let known: Vec<usize> = world
        .facts
        .destinations
        .values()
        .filter_map(|fact| fact.observed.present())
        .filter_map(|facts| facts.sets.get(set).map(Vec::len))
        .collect();
    match known.iter().sum::<usize>() {
        0 => "all its snapshots are kept".to_owned(),
        1 => "1 snapshot is kept".to_owned(),
        count => format!("{count} snapshots are kept"),
    }
}

fn discovered(world: &World<'_>, review: &mut Review) {
    review.uncovered = uncovered(world);
    let unknown = world.facts.discovered.values().filter_map(|fact| fact.observed.unknown());
    review.unknown.extend(unknown.cloned());
    if !world.plan.discover.sqlite.iter().all(|folder| looked_into(world, folder)) {
        review.complete = false;
    }
}

/// What was seen of the sources and is neither a change nor in the way of one.
fn of_sources(world: &World<'_>, review: &mut Review) {
    for name in world.plan.sets.keys() {
        let Seen::Present(facts) = Seen::of(world.facts.sources.get(name)) else { continue };
        if let Some(reason) = &facts.deferred {
            let what = format!("set `{name}`: its server was not asked");
            review.notes.push(Diagnostic::new("proven at apply", what).why(reason.clone()));
        }
        for unseen in &facts.unseen {
            review.notes.push(Diagnostic::new("not looked at", format!("set `{name}`: {unseen}")));
        }
        for door in &facts.doors {
            let what = format!("set `{name}`: {}", door.object);
            let note = Diagnostic::new("no password is asked for", what).why(door.evidence.clone());
            review.notes.push(note.fix("`bkp explain open-door` has the safe order of mending"));
        }
    }
}

fn notes(world: &World<'_>, review: &mut Review) {
    let host = &world.facts.host.name;
    if !host_matches(world.plan, host) {
        let wanted = world.plan.hosts.as_deref().unwrap_or_default().join(", ");
        let what = format!("this is `{host}`, and the plan is for {wanted}");
        review.notes.push(Diagnostic::new("the plan is for another host", what));
    }
    for (name, set) in &world.plan.sets {
        if let Some(pause) = world.paused(set) {
            let what = format!("set `{name}` until {}", pause.until);
            review.notes.push(Diagnostic::new("a set is paused", what).why(pause.reason.clone()));
        }
    }
    review.notes.extend(open_to_others(world).into_iter().map(|finding| {
        let title = explain(finding.code.code()).map_or("", |it| it.title);
        let set = finding.set.map_or_else(String::new, |set| format!("set `{set}`: "));
        let what = format!("{set}`{}`: {}", finding.object, finding.evidence);
        Diagnostic::new("open to others", what).why(title).fix(finding.remedy)
    }));
    destinations::notes(world, review);
    of_sources(world, review);
    limits_of_schedulers(world, review);
    let embedded = world.jobs.iter().any(|job| job.scheduler == SchedulerKind::Embedded);
    if embedded
        && let Err(fault) = daemon(world)
        && fault.code != FindingCode::CouldNotLook
    {
        let note = Diagnostic::new("not scheduled", fault.evidence).fix("start `bkp daemon`");
        review.notes.push(note);
    }
    let stored_unknown = review.coverage.iter().filter(|row| row.snapshots.is_some());
    let mut unknown = Vec::new();
    for row in stored_unknown.filter(|row| row.level(Level::Stored).is_unknown()) {
        let what = format!("set `{}`, destination `{}`", row.set, row.destination);
        unknown.push(
            Diagnostic::new("what is stored could not be told", what).why(row.level(Level::Stored).text()),
        );
    }
    review.unknown.extend(unknown);
}

/// What the plan asks for and its scheduler cannot give.
fn limits_of_schedulers(world: &World<'_>, review: &mut Review) {
    let agents = |job: &WantedJob| job.scheduler == SchedulerKind::Launchd && job.scope == Scope::User;
    if world.jobs.iter().any(agents) {
        let what = "they are LaunchAgents, and there are none of a user who is not logged in";
        let fix = "for a server apply the plan as root with `scope: system`: its LaunchDaemons need no login";
        review.notes.push(Diagnostic::new("jobs run only while their user is logged in", what).fix(fix));
    }
    for job in world.jobs {
        let Some((name, set)) = job.set.as_ref().and_then(|name| world.plan.sets.get_key_value(name)) else {
            continue;
        };
        let asked = world.plan.job_policy(set);
        let disks = matches!(job.scheduler, SchedulerKind::Cron | SchedulerKind::Embedded);
        if disks && asked.io_class == Some(IoClass::Idle) {
            let kind = job.scheduler.word();
            let what = format!("set `{name}`: {kind} has no means to give a run `io_class: idle`");
            review.notes.push(Diagnostic::new("a limit is not enforced", what));
        }
        if let (Some(limit), true) = (asked.memory_limit, job.scheduler != SchedulerKind::Systemd) {
            let kind = job.scheduler.word();
            let what = format!("set `{name}`: {kind} has no means to hold a run to `memory_limit: {limit}`");
            review.notes.push(Diagnostic::new("a limit is not enforced", what));
        }
    }
}

/// A unified diff with three lines of context.
pub(super) fn unified(path: &Path, found: &str, wanted: &str) -> String {
    let shown = path.display().to_string();
    TextDiff::from_lines(found, wanted)
        .unified_diff()
        .context_radius(3)
        .header(&format!("{shown} (installed)"), &format!("{shown} (wanted)"))
        .to_string()
}

#[cfg(test)]
mod tests;
