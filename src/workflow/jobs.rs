//! From a plan to the jobs it wants: one for each set, and the audit's.

use super::places::{installed_plan, job_plan, trial_plan};
use super::runner;
use crate::decide::WantedJob;
use crate::declared::{
    self, Calendar, DestinationKind, IoClass, JobPolicy, Plan, Protocol, RemoteDeclaration, SecretRef,
    SetName, Span,
};
use crate::format::Digest;
use crate::host::SEARCH_PATH;
use crate::observed::{HostFacts, JobName, Observed, SchedulerKind};
use crate::schedulers::{self, Job, Places};
use crate::sources;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Longest that an audit may take, in seconds.
const AUDIT_LIMIT_SECONDS: u64 = 3600;

/// Makes the jobs of one plan on one host.
pub struct JobMaker<'a> {
    plan: &'a Plan,
    places: &'a Places,
    kind: SchedulerKind,
    host: &'a HostFacts,
}

impl<'a> JobMaker<'a> {
    /// For a plan, its folders, what starts its jobs, and the host that they run on.
    pub fn new(plan: &'a Plan, places: &'a Places, kind: SchedulerKind, host: &'a HostFacts) -> Self {
        Self { plan, places, kind, host }
    }

    /// A job with what all of them have; `state` is the folder that it writes to.
    fn job(
        &self,
        name: JobName,
        set_digest: Digest,
        argv: Vec<String>,
        time_limit: Span,
        state: PathBuf,
    ) -> Job {
        Job {
            name,
            plan: self.plan.name.clone(),
            scope: self.places.scope,
            set_digest,
            argv,
            search_path: SEARCH_PATH.to_owned(),
            home: self.host.home.clone(),
            calendar: None,
            host_zone: self.host.time_zone.clone(),
            run_as: None,
            memory_limit: None,
            nice: JobPolicy::NICE_DEFAULT,
            io_class: IoClass::default(),
            time_limit,
            writable: vec![state],
            readable: vec![self.places.config.clone(), self.host.binary.path.clone()],
            runs_programs: false,
            other_users: false,
            credentials: BTreeMap::new(),
        }
    }

    fn argv(&self, words: &[&str], plan: &Path, state: &Path, trigger: Option<&str>) -> Vec<String> {
        let mut argv = vec![self.host.binary.path.display().to_string()];
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        argv.extend(["--plan".to_owned(), plan.display().to_string()]);
        argv.extend(["--state-dir".to_owned(), state.display().to_string()]);
        argv.extend(trigger.into_iter().flat_map(|trigger| ["--trigger".to_owned(), trigger.to_owned()]));
        argv
    }

    /// A set's job; none when the plan has no such set.
    pub fn set(&self, set: &SetName) -> Option<Job> {
        let plan = job_plan(self.places, &self.plan.name, set);
        let mut job = self.of_set(JobName::Set(set.clone()), set, &plan, "schedule")?;
        let declaration = self.plan.sets.get(set)?;
        let calendar = self.plan.calendar(declaration);
        if self.asks_whether_due(&calendar) {
            job.argv.push("--if-due".to_owned());
        }
        job.calendar = Some(calendar);
        Some(job)
    }

    /// Whether the job is started at times when no run may be due. launchd and cron know the host's clock alone, and
    /// start it after a reboot too.
    fn asks_whether_due(&self, calendar: &Calendar) -> bool {
        match self.kind {
            SchedulerKind::Launchd | SchedulerKind::Cron => true,
            SchedulerKind::Systemd | SchedulerKind::Embedded => calendar.needs_due_check(),
        }
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
        let state = runner::places_of(self.plan, set, self.places).state;
        let argv = self.argv(&["run", set.as_str()], plan, &state, Some(trigger));
        let mut job = self.job(name, digest, argv, self.plan.time_limit(declaration), state);
        add_destinations(&only, &mut job);
        let policy = self.plan.job_policy(declaration);
        if let Some(user) = runner::named(&policy, self.places.scope) {
            // Where nothing is known of the user the set is blocked, and no job is installed.
            let known = self.host.users.get(user).and_then(Observed::present);
            job.home = known.map_or_else(|| PathBuf::from("/"), |user| user.home.clone());
            job.run_as = Some(user.clone());
        }
        job.memory_limit = policy.memory_limit;
        job.nice = policy.nice();
        job.io_class = policy.io_class();
        let source = sources::source(set, &declaration.source);
        job.writable.extend(source.writable_paths());
        job.readable.extend(source.paths());
        job.readable.extend(source.reachable_paths());
        let needs = source.needs();
        let secrets = self.plan.every_secret(declaration);
        let commands = secrets.iter().any(|(_, it)| matches!(it, SecretRef::Command(_)));
        let hooks = !declaration.before.is_empty() || !declaration.after.is_empty();
        job.runs_programs = commands || hooks || needs.any_program;
        job.other_users = needs.other_users;
        job.credentials = credentials(secrets);
        Some(job)
    }

    /// The audit's job; none when the plan wants none.
    pub fn audit(&self) -> Option<Job> {
        let audit = self.plan.audit.as_ref()?;
        let state = self.places.state.clone();
        let argv = self.argv(&["audit"], &installed_plan(self.places, &self.plan.name), &state, None);
        let digest = Digest::of(format!("{}", audit.schedule).as_bytes());
        let name = JobName::Audit(self.plan.name.clone());
        let mut job = self.job(name, digest, argv, Span::from_seconds(AUDIT_LIMIT_SECONDS), state);
        job.calendar = Some(Calendar::plain(audit.schedule.clone(), self.plan.default_timezone()));
        for (name, set) in &self.plan.sets {
            let source = sources::source(name, &set.source);
            job.readable.extend(source.paths().into_iter().chain(source.reachable_paths()));
        }
        add_destinations(self.plan, &mut job);
        job.credentials = credentials(self.plan.secrets_of_destinations(self.plan.destinations.keys()));
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
            DestinationKind::Remote(remote) => {
                job.readable.extend(remote.transport.ca.clone());
                job.readable.extend(own_files(remote, &job.home));
            }
        }
    }
}

/// What a program reads of its user's own where the plan does not say it: a home that is hidden would hide it too.
fn own_files(remote: &RemoteDeclaration, home: &Path) -> Option<PathBuf> {
    let says = |key: &str| remote.secrets.contains_key(key);
    match remote.protocol {
        Protocol::Sftp | Protocol::Rsync => (!says("key") || !says("known_hosts")).then(|| home.join(".ssh")),
        Protocol::Rclone => (!says("config")).then(|| home.join(".config/rclone")),
        Protocol::S3
        | Protocol::Gcs
        | Protocol::Azblob
        | Protocol::B2
        | Protocol::Webdav
        | Protocol::Ftp
        | Protocol::Swift
        | Protocol::Oss
        | Protocol::Cos
        | Protocol::Obs
        | Protocol::Dropbox
        | Protocol::Gdrive
        | Protocol::Onedrive => None,
    }
}

/// Secrets as the scheduler hands them on.
fn credentials(secrets: Vec<(String, &SecretRef)>) -> BTreeMap<String, SecretRef> {
    let handed = |(name, reference): (String, &SecretRef)| match reference {
        SecretRef::Credential(credential) => (credential.clone(), reference.clone()),
        SecretRef::File(_) | SecretRef::Command(_) | SecretRef::Env(_) => {
            (crate::secrets::credential_name(&name), reference.clone())
        }
    };
    secrets.into_iter().map(handed).collect()
}

/// The copy of the plan that a set's job runs: as much a part of the job as its unit.
fn plan_copy(maker: &JobMaker<'_>, name: &JobName) -> Option<(PathBuf, String)> {
    let JobName::Set(set) = name else { return None };
    let only = maker.plan.only(set)?;
    Some((job_plan(maker.places, &maker.plan.name, set), declared::render(&only)))
}

/// The jobs as `decide` wants them: data, with their rendered files.
pub fn wanted_jobs(maker: &JobMaker<'_>) -> Vec<WantedJob> {
    let scheduler = schedulers::scheduler(maker.kind, maker.places);
    let files = |job: &Job| {
        let rendered = scheduler.render(job).into_iter().map(|file| (file.path, file.text));
        rendered.chain(plan_copy(maker, &job.name)).collect()
    };
    let wanted = |job: Job| WantedJob {
        set: match &job.name {
            JobName::Set(set) | JobName::Trial(set) => Some(set.clone()),
            JobName::Audit(_) => None,
        },
        scheduler: maker.kind,
        scope: job.scope,
        set_digest: job.set_digest,
        argv: job.argv.clone(),
        files: files(&job),
        name: job.name,
    };
    maker.all().into_iter().map(wanted).collect()
}
