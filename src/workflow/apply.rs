//! What a plan file says beside what exists: what `plan` shows, and what `apply` starts from.

mod worker;

pub use worker::{Applied, apply};

use super::event::{Event, Listener};
use super::jobs::{JobMaker, wanted_jobs};
use super::observe::{self, observe};
use super::places::{scheduler_kind, scope_of};
use super::{LoadedPlan, WorkflowError, install_text, places};
use crate::decide::{Review, StepGraph, WantedJob, World, ago, review, steps};
use crate::declared::{Loaded, Plan, SchedulerChoice, Scope, SetName};
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::{Facts, JobName, PlanOrigin, SchedulerKind};
use crate::schedulers::{self, JobOutcome, Places};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::Path;

/// How much longer than a run's own limit a trial may take: its drill and the scheduler's start.
const TRIAL_SLACK: std::time::Duration = std::time::Duration::from_mins(10);

/// Recorded facts older than this are said to be old.
const RECORDED_AGE_MAX: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// A plan beside what exists.
pub struct Outlook {
    /// The plan.
    pub plan: Plan,
    /// Where it came from.
    pub origin: PlanOrigin,
    /// Its folders.
    pub places: Places,
    /// What starts its jobs.
    pub kind: SchedulerKind,
    /// What was seen.
    pub facts: Facts,
    /// What would be done.
    pub review: Review,
    /// The jobs wanted.
    jobs: Vec<WantedJob>,
    /// The other plans on the host.
    others: Vec<Plan>,
    /// What would be installed.
    text: String,
    now: Timestamp,
}

/// Looks at the host and the destinations and reviews a plan against them. Changes nothing.
pub fn outlook(
    host: &dyn Host,
    loaded: &Loaded,
    path: &Path,
    state_dir: Option<&Path>,
) -> Result<Outlook, WorkflowError> {
    let scope = scope_of(host, &loaded.plan)?;
    let places = places::places(host, scope, state_dir);
    let by_hand = LoadedPlan { plan: loaded.plan.clone(), places: places.clone(), path: path.to_path_buf() };
    let seen = super::pause::put_in(host, &by_hand);
    let kind = scheduler_kind(host, &seen, scope);
    let facts = observe(host, &seen, &places, kind, observe::Scope::Newest)?;
    let now = host.now();
    Ok(compare(host, loaded, path, (places, kind), facts, now))
}

/// Reviews a plan against facts that were recorded before, perhaps on another host. What is fresh is judged as of the
/// observation, so that the same facts always give the same answer; their age is said.
pub fn outlook_recorded(
    host: &dyn Host,
    loaded: &Loaded,
    path: &Path,
    facts: Facts,
    state_dir: Option<&Path>,
) -> Result<Outlook, WorkflowError> {
    let root = facts.host.uid == 0;
    let scope = loaded.plan.scope.unwrap_or(if root { Scope::System } else { Scope::User });
    let places = places::places_of(scope, &facts.host.home, state_dir);
    let recorded = facts.schedulers.keys().next().copied();
    let kind = match loaded.plan.scheduler {
        SchedulerChoice::Systemd => SchedulerKind::Systemd,
        SchedulerChoice::Launchd => SchedulerKind::Launchd,
        SchedulerChoice::Cron => SchedulerKind::Cron,
        SchedulerChoice::Embedded => SchedulerKind::Embedded,
        SchedulerChoice::Auto => recorded.unwrap_or(SchedulerKind::Systemd),
    };
    let (now, observed_at) = (host.now(), facts.observed_at);
    // In code review the plan file lies elsewhere than on its host; that alone is no change.
    let installed = facts.plans.get(&loaded.plan.name).and_then(|fact| fact.observed.present());
    let applied_from = installed.and_then(|installed| Some(installed.origin.as_ref()?.path.clone()));
    let path = applied_from.unwrap_or_else(|| path.to_path_buf());
    let mut outlook = compare(host, loaded, &path, (places, kind), facts, observed_at);
    if now.duration_since(observed_at) > RECORDED_AGE_MAX {
        let what = format!("the facts were recorded {}", ago(observed_at, now));
        outlook
            .review
            .notes
            .push(Diagnostic::new("facts are old", what).fix("record them anew with `bkp facts`"));
    }
    Ok(outlook)
}

fn compare(
    host: &dyn Host,
    loaded: &Loaded,
    path: &Path,
    (places, kind): (Places, SchedulerKind),
    facts: Facts,
    now: Timestamp,
) -> Outlook {
    let plan = loaded.plan.clone();
    let path = host.canonical(path).unwrap_or_else(|_| path.to_path_buf());
    let origin = PlanOrigin { path, sha256: loaded.digest };
    let maker = JobMaker::new(&plan, &places, kind, &facts.host);
    let jobs = wanted_jobs(&maker);
    let text = install_text(&plan, &origin);
    let others = super::installed::others(host, &facts, &plan.name);
    let world = World {
        plan: &plan,
        plan_text: Some(&text),
        facts: &facts,
        jobs: &jobs,
        installed_others: &others,
        now,
    };
    let review = review(&world);
    Outlook { plan, origin, places, kind, facts, review, jobs, others, text, now }
}

impl Outlook {
    fn world(&self) -> World<'_> {
        World {
            plan: &self.plan,
            plan_text: Some(&self.text),
            facts: &self.facts,
            jobs: &self.jobs,
            installed_others: &self.others,
            now: self.now,
        }
    }

    /// Leaves everything out that concerns other sets.
    pub fn keep_only(&mut self, only: &SetName) {
        self.review = std::mem::take(&mut self.review).only(&BTreeSet::from([only.clone()]));
    }

    /// What apply would do, in order.
    pub fn steps(&self) -> StepGraph {
        steps(&self.world(), &self.review)
    }

    /// The steps, each on a line.
    pub fn step_lines(&self) -> Vec<String> {
        let graph = self.steps();
        graph.order().into_iter().map(|id| graph.step(id).to_string()).collect()
    }

    /// Whether a daemon holds its lock.
    pub fn daemon_lives(&self) -> bool {
        let daemon = self.facts.daemon.as_ref().and_then(|fact| fact.observed.present());
        daemon.is_some_and(|daemon| daemon.holds_lock)
    }
}

/// Starts a set's installed job and follows it; the inner error says how it failed.
pub fn start_job(
    host: &dyn Host,
    loaded: &LoadedPlan,
    set: &SetName,
    listener: Listener<'_>,
) -> Result<Result<(), Diagnostic>, WorkflowError> {
    let declaration =
        loaded.plan.sets.get(set).ok_or_else(|| Diagnostic::new("unknown set", set.to_string()))?;
    let kind = scheduler_kind(host, &loaded.plan, loaded.places.scope);
    let scheduler = schedulers::scheduler(kind, &loaded.places);
    let name = JobName::Set(set.clone());
    let limit = loaded.plan.time_limit(declaration).duration().saturating_add(TRIAL_SLACK);
    listener(Event::Phase(match kind {
        SchedulerKind::Cron => format!("waiting for cron to start {name} at the turn of a minute"),
        SchedulerKind::Systemd | SchedulerKind::Launchd | SchedulerKind::Embedded => {
            format!("starting {name}")
        }
    }));
    let state = &loaded.places.state;
    super::request::make(host, state, set)?;
    let outcome = scheduler.start_and_wait(host, &name, limit, &mut || listener(Event::Tick));
    // Where the job did not even begin, the next scheduled one is not to answer for it.
    let _answered = super::request::take(host, state, set);
    Ok(match outcome.map_err(|error| job_trouble(&name, &error))? {
        JobOutcome::Exited(0) => Ok(()),
        JobOutcome::Exited(status) => {
            Err(Diagnostic::new("job failed", format!("{name}: exit status {status}")).fix("run `bkp audit`"))
        }
        JobOutcome::Failed(how) | JobOutcome::NotStarted(how) => {
            Err(Diagnostic::new("job failed", format!("{name}: {how}")).fix("run `bkp audit`"))
        }
    })
}

fn job_trouble(job: &JobName, error: &schedulers::SchedulerError) -> WorkflowError {
    let mut diagnostic = Diagnostic::from_error("job not usable", error);
    diagnostic.what = format!("job `{job}`: {}", diagnostic.what);
    diagnostic.into()
}
