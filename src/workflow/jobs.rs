//! From a plan to the jobs it wants: one for each set, and the audit's.

use super::places::{installed_plan, job_plan, trial_plan};
use crate::decide::WantedJob;
use crate::declared::{self, DestinationKind, Plan, SecretRef, SetName, Span};
use crate::format::Digest;
use crate::observed::{JobName, SchedulerKind};
use crate::schedulers::{self, Job, Places};
use crate::sources;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// PATH of every job; also where `plan` looks for hooks' programs.
pub const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest that an audit may take, in seconds.
const AUDIT_LIMIT_SECONDS: u64 = 3600;

/// Makes the jobs of one plan on one host.
pub struct JobMaker<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its folders.
    pub places: &'a Places,
    /// The binary that jobs run.
    pub binary: PathBuf,
    /// Home of the user that they run as.
    pub home: PathBuf,
}

impl JobMaker<'_> {
    fn job(&self, name: JobName, set_digest: Digest, argv: Vec<String>, time_limit: Span) -> Job {
        Job {
            name,
            plan: self.plan.name.clone(),
            scope: self.places.scope,
            set_digest,
            argv,
            search_path: SEARCH_PATH.to_owned(),
            home: self.home.clone(),
            schedule: None,
            time_limit,
            writable: vec![self.places.state.clone()],
            readable: vec![self.places.config.clone(), self.binary.clone()],
            runs_programs: false,
            credentials: BTreeMap::new(),
        }
    }

    fn argv(&self, words: &[&str], plan: &Path, trigger: Option<&str>) -> Vec<String> {
        let mut argv = vec![self.binary.display().to_string()];
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        argv.extend(["--plan".to_owned(), plan.display().to_string()]);
        argv.extend(["--state-dir".to_owned(), self.places.state.display().to_string()]);
        argv.extend(trigger.into_iter().flat_map(|trigger| ["--trigger".to_owned(), trigger.to_owned()]));
        argv
    }

    /// A set's job; none when the plan has no such set.
    pub fn set(&self, set: &SetName) -> Option<Job> {
        let plan = job_plan(self.places, &self.plan.name, set);
        let mut job = self.of_set(JobName::Set(set.clone()), set, &plan, "schedule")?;
        let declaration = self.plan.sets.get(set)?;
        job.schedule = Some((self.plan.schedule(declaration), self.plan.timezone(declaration)));
        Some(job)
    }

    /// The same job under its trial name, with its own copy of the plan and no timer.
    pub fn trial(&self, set: &SetName) -> Option<Job> {
        let plan = trial_plan(self.places, &self.plan.name, set);
        self.of_set(JobName::Trial(set.clone()), set, &plan, "trial")
    }

    fn of_set(&self, name: JobName, set: &SetName, plan: &Path, trigger: &str) -> Option<Job> {
        let declaration = self.plan.sets.get(set)?;
        let only = self.plan.only(set)?;
        let digest = declared::set_digest(self.plan, set)?;
        let argv = self.argv(&["run", set.as_str()], plan, Some(trigger));
        let mut job = self.job(name, digest, argv, self.plan.time_limit(declaration));
        add_destinations(&only, &mut job);
        let source = sources::source(set, &declaration.source);
        job.writable.extend(source.writable_paths());
        job.readable.extend(source.paths());
        let commands = declaration.secrets.values().any(|it| matches!(it, SecretRef::Command(_)));
        job.runs_programs = commands || !declaration.before.is_empty() || !declaration.after.is_empty();
        job.credentials = declaration
            .secrets
            .iter()
            .map(|(name, reference)| match reference {
                SecretRef::Credential(credential) => (credential.clone(), reference.clone()),
                SecretRef::File(_) | SecretRef::Command(_) | SecretRef::Env(_) => {
                    (super::secrets::credential_name(name), reference.clone())
                }
            })
            .collect();
        Some(job)
    }

    /// The audit's job; none when the plan wants none.
    pub fn audit(&self) -> Option<Job> {
        let audit = self.plan.audit.as_ref()?;
        let argv = self.argv(&["audit"], &installed_plan(self.places, &self.plan.name), None);
        let digest = Digest::of(format!("{}", audit.schedule).as_bytes());
        let name = JobName::Audit(self.plan.name.clone());
        let mut job = self.job(name, digest, argv, Span::from_seconds(AUDIT_LIMIT_SECONDS));
        job.schedule = Some((audit.schedule.clone(), self.plan.default_timezone()));
        job.readable
            .extend(self.plan.sets.iter().flat_map(|(name, set)| sources::source(name, &set.source).paths()));
        add_destinations(self.plan, &mut job);
        Some(job)
    }

    /// Every job of the plan.
    pub fn all(&self) -> Vec<Job> {
        self.plan.sets.keys().filter_map(|set| self.set(set)).chain(self.audit()).collect()
    }
}

fn add_destinations(plan: &Plan, job: &mut Job) {
    for destination in plan.destinations.values() {
        match &destination.kind {
            DestinationKind::Local(local) => job.writable.push(local.path.clone()),
        }
    }
}

/// The copy of the plan that a set's job runs: as much a part of the job as its unit.
fn plan_copy(maker: &JobMaker<'_>, name: &JobName) -> Option<(PathBuf, String)> {
    let JobName::Set(set) = name else { return None };
    let only = maker.plan.only(set)?;
    Some((job_plan(maker.places, &maker.plan.name, set), declared::render(&only)))
}

/// The jobs as `decide` wants them: data, with their rendered files.
pub fn wanted_jobs(maker: &JobMaker<'_>, kind: SchedulerKind) -> Vec<WantedJob> {
    let scheduler = schedulers::scheduler(kind, maker.places);
    let files = |job: &Job| {
        let rendered = scheduler.render(job).into_iter().map(|file| (file.path, file.text));
        rendered.chain(plan_copy(maker, &job.name)).collect()
    };
    let wanted = |job: Job| WantedJob {
        set: match &job.name {
            JobName::Set(set) | JobName::Trial(set) => Some(set.clone()),
            JobName::Audit(_) => None,
        },
        scheduler: kind,
        scope: job.scope,
        set_digest: job.set_digest,
        argv: job.argv.clone(),
        files: files(&job),
        name: job.name,
    };
    maker.all().into_iter().map(wanted).collect()
}
