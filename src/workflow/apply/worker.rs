//! The two made to agree: destinations prepared, jobs tried and installed.
//!
//! A failure leaves the older, working job as it was. There is no rollback: a second apply converges.

use super::{Outlook, TRIAL_SLACK, job_trouble};
use crate::decide::{Step, StepId};
use crate::declared::{self, DestinationName, Scope, SetName};
use crate::destinations::{Access, DestinationError};
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::format::{Digest, Level, SnapshotId};
use crate::host::Host;
use crate::observed::{JobName, JournalEvent, SchedulerKind};
use crate::schedulers::{self, JobOutcome, Scheduler};
use crate::workflow::event::{Event, Listener};
use crate::workflow::history::{newest_complete, newest_looked_into};
use crate::workflow::jobs::JobMaker;
use crate::workflow::places::{installed_plan, job_plan, trial_plan};
use crate::workflow::site::{Depth, Site, node_of};
use crate::workflow::{WorkflowError, journal, lock, restore, runner, signal, verify};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What apply came to.
#[derive(Debug, Default)]
pub struct Applied {
    /// Steps done, in order.
    pub done: Vec<String>,
    /// Steps that failed, each with its reason.
    pub failed: Vec<Diagnostic>,
    /// Steps that were not tried because one before them failed.
    pub left_out: Vec<String>,
}

/// Carries the steps out. What does not depend on a failed step goes on.
pub fn apply(host: &dyn Host, outlook: &Outlook, listener: Listener<'_>) -> Applied {
    let graph = outlook.steps();
    let mut applied = Applied::default();
    let mut blocked: BTreeSet<StepId> = BTreeSet::new();
    let worker = Worker {
        host,
        outlook,
        scheduler: schedulers::scheduler(outlook.kind, &outlook.places),
        maker: JobMaker::new(&outlook.plan, &outlook.places, outlook.kind, &outlook.facts.host),
        listener,
    };
    for id in graph.order() {
        let step = graph.step(id);
        if blocked.contains(&id) {
            applied.left_out.push(step.to_string());
            continue;
        }
        if signal::told_to_end() {
            applied.left_out.push(step.to_string());
            continue;
        }
        listener(Event::Phase(step.to_string()));
        match worker.carry_out(step) {
            Ok(troubles) => {
                applied.done.push(step.to_string());
                applied.failed.extend(troubles);
            }
            Err(error) => {
                let diagnostic = error.diagnostic();
                listener(Event::Trouble(diagnostic.clone()));
                applied.failed.push(diagnostic);
                blocked.extend(graph.dependents(id));
            }
        }
    }
    applied
}

struct Worker<'a> {
    host: &'a dyn Host,
    outlook: &'a Outlook,
    scheduler: Box<dyn Scheduler>,
    maker: JobMaker<'a>,
    listener: Listener<'a>,
}

impl Worker<'_> {
    /// Carries a step out. An error stops what depends on it; troubles do not.
    fn carry_out(&self, step: &Step) -> Result<Vec<Diagnostic>, WorkflowError> {
        match step {
            Step::PrepareDestination(name) => self.prepare(name)?,
            Step::InstallPlan => {
                let path = installed_plan(&self.outlook.places, &self.outlook.plan.name);
                self.write(&path, &self.outlook.text)?;
            }
            Step::KeepPlanCopy(name) => {
                if let Some(site) = self.site(name) {
                    restore::keep_plan_copy(self.host, &site, &self.outlook.plan)?;
                }
            }
            Step::Try(set) => return self.try_set(set),
            Step::InstallJob(job) => self.install(job)?,
            Step::EnableJob(job) => {
                self.scheduler.enable(self.host, job).map_err(|error| job_trouble(job, &error))?;
            }
            Step::RemoveJob(job, kind) => self.remove(job, *kind)?,
            Step::RemoveTrial(set) => self.remove(&JobName::Trial(set.clone()), self.outlook.kind)?,
        }
        Ok(Vec::new())
    }

    fn site(&self, name: &DestinationName) -> Option<Site> {
        let declaration = self.outlook.plan.destinations.get(name)?;
        Some(Site::open(self.host, name, declaration, node_of(self.host, &self.outlook.plan), Access::Change))
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), WorkflowError> {
        let folder = path.parent().unwrap_or(&self.outlook.places.config).to_path_buf();
        let written = self
            .host
            .create_dir_all(&folder, 0o755)
            .and_then(|()| self.host.write_atomic(path, text.as_bytes(), 0o644));
        written.map_err(|error| {
            Diagnostic::new("file not installed", path.display().to_string()).why(error.to_string()).into()
        })
    }

    fn prepare(&self, name: &DestinationName) -> Result<(), WorkflowError> {
        let Some(site) = self.site(name) else { return Ok(()) };
        // A unit's sandbox can only name folders that exist.
        let state = &self.outlook.places.state;
        self.host.create_dir_all(state, 0o700).map_err(|error| {
            Diagnostic::new("state folder not usable", state.display().to_string()).why(error.to_string())
        })?;
        site.target.prepare().map_err(|error| {
            Diagnostic::from_error("destination not prepared", &error).fix(format!(
                "make {} writable for user {}, or mount it",
                site.target.location(),
                self.host.user().name
            ))
        })?;
        Ok(())
    }

    /// Makes what a set's runs need: its state, for its user, and its folder at each local destination.
    fn make_room(&self, set: &SetName) -> Result<PathBuf, WorkflowError> {
        let (plan, places) = (&self.outlook.plan, &self.outlook.places);
        let state = &places.state;
        self.host.create_dir_all(state, 0o700).map_err(|error| {
            Diagnostic::new("state folder not usable", state.display().to_string()).why(error.to_string())
        })?;
        let declared = plan.sets.get(set).map(|it| plan.destinations_of(it)).unwrap_or_default();
        let sites = declared.iter().filter_map(|name| self.site(name));
        if let Some(user) = runner::of(plan, set, places.scope) {
            let account = runner::prepare(self.host, plan, places, &user)?;
            for site in sites {
                match site.target.give(&site.layout.set(set), (account.uid, account.gid)) {
                    // With a second destination the set goes on; the trial says what is missing here.
                    Ok(()) | Err(DestinationError::NotPrepared { .. }) => {}
                    Err(error) => {
                        return Err(
                            Diagnostic::from_error("destination not ready for its user", &error).into()
                        );
                    }
                }
            }
        } else if self.host.user().is_root() && places.scope == Scope::System {
            for site in sites {
                let prefix = site.layout.set(set);
                if site.target.folders(&prefix).is_ok_and(|snapshots| !snapshots.is_empty()) {
                    // What was another user's before is root's again. Where the destination knows no owners, root
                    // writes there all the same, or the trial says that it cannot.
                    let _as_it_is = site.target.give(&prefix, (0, 0));
                }
            }
        }
        Ok(runner::places_of(plan, set, places).state)
    }

    /// Runs a set's job under its trial name, through the scheduler, and asks the destinations what came of it.
    fn try_set(&self, set: &SetName) -> Result<Vec<Diagnostic>, WorkflowError> {
        let plan = &self.outlook.plan;
        let declaration =
            plan.sets.get(set).ok_or_else(|| Diagnostic::new("unknown set", set.to_string()))?;
        let only = plan.only(set).ok_or_else(|| Diagnostic::new("unknown set", set.to_string()))?;
        let state = self.make_room(set)?;
        let began = self.host.now();
        self.write(&trial_plan(&self.outlook.places, &plan.name, set), &declared::render(&only))?;
        let trial = self.maker.trial(set).ok_or_else(|| Diagnostic::new("unknown set", set.to_string()))?;
        self.scheduler.install(self.host, &trial).map_err(|error| job_trouble(&trial.name, &error))?;
        let limit = plan.time_limit(declaration).duration().saturating_add(TRIAL_SLACK);
        let listener = self.listener;
        if self.outlook.kind == SchedulerKind::Cron {
            listener(Event::Phase(format!(
                "waiting for cron to start {} at the turn of a minute",
                trial.name
            )));
        }
        let start = || {
            let tick = &mut || listener(Event::Tick);
            let outcome = self.scheduler.start_and_wait(self.host, &trial.name, limit, tick);
            outcome.map_err(|error| job_trouble(&trial.name, &error))
        };
        let mut outcome = start();
        // A run that an interrupted apply left going, or a scheduled one: it is waited for, and then it is our turn.
        while matches!(&outcome, Ok(JobOutcome::Exited(status)) if *status == i32::from(ExitCode::Locked.status()))
        {
            let waiting = &mut |holder: &str| listener(Event::Phase(format!("waiting for {holder}")));
            match lock::wait(self.host, &state, set, limit, waiting) {
                Ok(true) => outcome = start(),
                Ok(false) => break,
                Err(error) => outcome = Err(error),
            }
        }
        let proven = self.newly_proven(set, trial.set_digest, began);
        let removed = self.remove(&trial.name, self.outlook.kind);
        let outcome = outcome?;
        let troubles = self.judge(set, &outcome, &proven, began);
        removed?;
        if proven.is_empty() {
            let (first, rest) = troubles.split_first().map_or_else(
                || (Diagnostic::new("trial proved nothing", format!("set `{set}`")), &[][..]),
                |(first, rest)| (first.clone(), rest),
            );
            for other in rest {
                (self.listener)(Event::Trouble(other.clone()));
            }
            return Err(first.into());
        }
        for (destination, (snapshot, level)) in proven {
            (self.listener)(Event::Proven { set: set.clone(), destination, snapshot, level });
        }
        Ok(troubles)
    }

    /// The destinations at which the newest complete snapshot is of the set as declared, and was restored since
    /// `began`; read back, where its key is kept elsewhere. An attached trial may have sealed it before.
    fn newly_proven(
        &self,
        set: &SetName,
        digest: Digest,
        began: Timestamp,
    ) -> BTreeMap<DestinationName, (SnapshotId, Level)> {
        let plan = &self.outlook.plan;
        let Some(declaration) = plan.sets.get(set) else { return BTreeMap::new() };
        let proven = |name: &DestinationName| {
            let site = self.site(name)?;
            let history = newest_looked_into(&site, set, &plan.moved, Depth::Objects).ok()?;
            let (snapshot, sealed) = newest_complete(&history)?;
            let level = plan.level_provable_here(name);
            let held = verify::proven_at(sealed, level).is_some_and(|at| at >= began);
            (sealed.manifest.set_digest == digest && held).then(|| (name.clone(), (snapshot.id, level)))
        };
        plan.destinations_of(declaration).iter().filter_map(proven).collect()
    }

    fn judge(
        &self,
        set: &SetName,
        outcome: &JobOutcome,
        proven: &BTreeMap<DestinationName, (SnapshotId, Level)>,
        began: Timestamp,
    ) -> Vec<Diagnostic> {
        let plan = &self.outlook.plan;
        let how = match outcome {
            JobOutcome::Exited(status) => format!("the job ended with exit status {status}"),
            JobOutcome::Failed(how) => how.clone(),
            JobOutcome::NotStarted(why) => format!("the job was not started: {why}"),
        };
        let state = runner::places_of(plan, set, &self.outlook.places).state;
        let entries = journal::of_set(self.host, &state, set).unwrap_or_default();
        let said =
            entries.into_iter().rev().filter(|entry| entry.at >= began).find_map(|entry| match entry.event {
                JournalEvent::Finished { reason, .. } => Some(reason),
                JournalEvent::Started { .. }
                | JournalEvent::Sealed { .. }
                | JournalEvent::Skipped { .. }
                | JournalEvent::Held { .. }
                | JournalEvent::Removing { .. }
                | JournalEvent::Proved { .. } => None,
            });
        let why = match said.flatten() {
            Some(reason) => format!("{how}; the run says: {reason}"),
            None => how,
        };
        let declared = plan.sets.get(set).map(|it| plan.destinations_of(it)).unwrap_or_default();
        let unproven = declared.iter().filter(|name| !proven.contains_key(*name));
        let mut troubles: Vec<Diagnostic> = unproven
            .map(|name| {
                Diagnostic::new("set not proven", format!("set `{set}`, destination `{name}`"))
                    .why(why.clone())
                    .fix(format!(
                        "mend the cause and apply again; `bkp run {set} --plan {}` shows it at once",
                        self.outlook.origin.path.display()
                    ))
            })
            .collect();
        if troubles.is_empty() && *outcome != JobOutcome::Exited(0) {
            // The data is proven; a hook that failed, say, would fail in every run from now on.
            let trouble = Diagnostic::new("the job did not end well", format!("set `{set}`"));
            troubles.push(trouble.why(why).fix("mend the cause and apply again; `bkp audit` shows it too"));
        }
        troubles
    }

    fn install(&self, name: &JobName) -> Result<(), WorkflowError> {
        let job = match name {
            JobName::Set(set) => {
                let plan = &self.outlook.plan;
                let only = plan.only(set).ok_or_else(|| Diagnostic::new("unknown set", set.to_string()))?;
                self.write(&job_plan(&self.outlook.places, &plan.name, set), &declared::render(&only))?;
                self.make_room(set)?;
                self.maker.set(set)
            }
            JobName::Audit(_) => self.maker.audit(),
            JobName::Trial(set) => self.maker.trial(set),
        };
        let Some(job) = job else { return Ok(()) };
        self.host.create_dir_all(&self.outlook.places.state, 0o700).map_err(|error| {
            Diagnostic::new("state folder not usable", self.outlook.places.state.display().to_string())
                .why(error.to_string())
        })?;
        self.scheduler.install(self.host, &job).map_err(|error| job_trouble(name, &error))
    }

    fn remove(&self, name: &JobName, kind: SchedulerKind) -> Result<(), WorkflowError> {
        let scheduler = schedulers::scheduler(kind, &self.outlook.places);
        scheduler.remove(self.host, name).map_err(|error| job_trouble(name, &error))?;
        let plan = &self.outlook.plan.name;
        let copy = match name {
            JobName::Set(set) => job_plan(&self.outlook.places, plan, set),
            JobName::Trial(set) => trial_plan(&self.outlook.places, plan, set),
            JobName::Audit(_) => return Ok(()),
        };
        match self.host.remove_file(&copy) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Diagnostic::new("plan copy not removed", copy.display().to_string())
                .why(error.to_string())
                .into()),
        }
    }
}
