//! What starts jobs. One file or folder per kind; kinds never know each other.
//!
//! `render` is pure. What a scheduler says is reported as it is; judging it is `decide`'s work.

mod cron;
mod embedded;
mod foreign;
mod launchd;
mod systemd;

pub use cron::run_once;
pub use embedded::{EmbeddedJob, LoadedJobs, daemon_facts, daemon_paths, load_jobs};
pub use foreign::{default_script_folders, observe_foreign};
pub use launchd::bound_job_log;

use crate::declared::{
    ByteSize, Calendar, IoClass, PlanName, Scope, SecretRef, Span, TimeZoneName, UserName,
};
use crate::format::Digest;
use crate::host::Host;
use crate::observed::{InstalledJob, JobName, Observed, SchedulerFacts, SchedulerKind};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a scheduler did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// A file of a job could not be written or removed.
    #[error("job file `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The scheduler's tool could not be run.
    #[error("`{command}` could not be run")]
    Tool {
        /// The command.
        command: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The scheduler's tool refused.
    #[error("`{command}`: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// What it said.
        reason: String,
    },
    /// A rendered file is not clean for the scheduler's own checker.
    #[error("the scheduler's own check is not content with job `{job}`: {output}")]
    Check {
        /// The job.
        job: JobName,
        /// Everything that the checker printed.
        output: String,
    },
    /// What the scheduler says cannot be understood.
    #[error("`{command}` said something that cannot be understood: {reason}")]
    Unreadable {
        /// The command.
        command: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A job to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What it is for.
    pub name: JobName,
    /// The plan that owns it.
    pub plan: PlanName,
    /// Whose it is.
    pub scope: Scope,
    /// Digest of the set as declared; for the audit job, of its declaration.
    pub set_digest: Digest,
    /// What is executed: an absolute path and its arguments.
    pub argv: Vec<String>,
    /// PATH of the job.
    pub search_path: String,
    /// HOME of the job.
    pub home: PathBuf,
    /// When it is due; none for a trial.
    pub calendar: Option<Calendar>,
    /// The zone of the host's clock, which cron and launchd go by; none where it is not known.
    pub host_zone: Option<TimeZoneName>,
    /// The user that it runs as; none is the owner of its scope.
    pub run_as: Option<UserName>,
    /// The most memory that it may have.
    pub memory_limit: Option<ByteSize>,
    /// Its niceness.
    pub nice: u8,
    /// Its share of the disks.
    pub io_class: IoClass,
    /// It is ended after this long.
    pub time_limit: Span,
    /// Existing folders that it writes to: state, local destinations, WAL folders.
    pub writable: Vec<PathBuf>,
    /// Paths that it reads; below /home or /root they decide about `ProtectHome`, below /tmp about
    /// `PrivateTmp`.
    pub readable: Vec<PathBuf>,
    /// Hooks or secret commands run: the sandbox must leave them room.
    pub runs_programs: bool,
    /// Root's job starts servers as another user, in a drill.
    pub other_users: bool,
    /// Secrets that systemd hands on by `LoadCredential`, by credential name.
    pub credentials: BTreeMap<String, SecretRef>,
}

impl Job {
    /// `XDG_CACHE_HOME` of the job, beside its state; none where its command line names no state folder.
    pub fn cache(&self) -> Option<PathBuf> {
        cache_of(&self.argv)
    }
}

/// The cache of a job with this command line.
fn cache_of(argv: &[String]) -> Option<PathBuf> {
    let named = argv.iter().skip_while(|word| *word != "--state-dir").nth(1)?;
    Some(PathBuf::from(named).join("cache"))
}

/// A file of a job, as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// Where it belongs.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// How a started job ended. Whether it did its work is asked of the destinations, never of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// With this exit status.
    Exited(i32),
    /// Not by itself: a signal, a time limit, an environment that could not be set up; in words.
    Failed(String),
    /// The scheduler did not start it, though it said no error: a condition, a mask; in words.
    NotStarted(String),
}

/// Something that starts jobs.
pub trait Scheduler: Send + Sync {
    /// Which it is.
    fn kind(&self) -> SchedulerKind;

    /// The files of a job. Pure.
    fn render(&self, job: &Job) -> Vec<RenderedFile>;

    /// Our jobs and what the scheduler says of them. Only looks.
    fn observe(&self, host: &dyn Host) -> Observed<SchedulerFacts>;

    /// Writes the files, removes drop-ins, has the files checked and read by the scheduler; a timer that is new stays
    /// disabled, one that was enabled follows the new files.
    fn install(&self, host: &dyn Host, job: &Job) -> Result<(), SchedulerError>;

    /// Enables and starts the timer, also after a mask, and makes sure that it waits with a next elapse ahead.
    fn enable(&self, host: &dyn Host, job: &JobName) -> Result<(), SchedulerError>;

    /// Starts the job and follows it to its end; attaches to a run that is still going. `tick` is called several
    /// times a second.
    fn start_and_wait(
        &self,
        host: &dyn Host,
        job: &JobName,
        limit: Duration,
        tick: &mut dyn FnMut(),
    ) -> Result<JobOutcome, SchedulerError>;

    /// Stops and disables the timer and removes the job's files, drop-ins too; a run that is going on is left to end.
    fn remove(&self, host: &dyn Host, job: &JobName) -> Result<(), SchedulerError>;
}

/// Folders that schedulers and the workflow agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Whose they are.
    pub scope: Scope,
    /// `/etc/bkp`, or `~/.config/bkp`.
    pub config: PathBuf,
    /// `/var/lib/bkp`, or `~/.local/state/bkp`.
    pub state: PathBuf,
    /// `/etc/systemd/system`, or `~/.config/systemd/user`.
    pub units: PathBuf,
    /// `/Library/LaunchDaemons`, or `~/Library/LaunchAgents`.
    pub agents: PathBuf,
    /// `/etc/cron.d`; a user has a crontab instead, which only `crontab` may touch.
    pub cron: PathBuf,
}

/// The scheduler of a kind.
pub fn scheduler(kind: SchedulerKind, places: &Places) -> Box<dyn Scheduler> {
    match kind {
        SchedulerKind::Systemd => Box::new(systemd::Systemd::new(places.clone())),
        SchedulerKind::Launchd => Box::new(launchd::Launchd::new(places.clone())),
        SchedulerKind::Cron => Box::new(cron::Cron::new(places.clone())),
        SchedulerKind::Embedded => Box::new(embedded::Embedded::new(places.clone())),
    }
}

/// Whether a systemd manager of this scope answers on this host.
pub fn systemd_runs(host: &dyn Host, scope: Scope) -> bool {
    systemd::runs(host, scope)
}

/// Whether launchd runs this host: a Mac.
pub fn launchd_runs(host: &dyn Host) -> bool {
    launchd::runs(host)
}

/// Whether a cron runs on this host that would start jobs of this scope.
pub fn cron_runs(host: &dyn Host, scope: Scope) -> bool {
    cron::runs(host, scope)
}

/// What a systemd manager says of a unit, whoever made it.
#[derive(Debug)]
pub struct ShownUnit {
    /// `loaded`, `not-found`, `masked` ...
    pub load_state: String,
    /// `enabled`, `disabled`, `static` ...; empty where there is no file.
    pub unit_file_state: String,
    /// `active`, `inactive`, `failed` ...
    pub active_state: String,
    /// Whether a timer has a next elapse, or its service runs.
    pub elapses: bool,
    /// When a service's main process was last started in this boot, as far as the manager remembers.
    pub main_started_at: Result<Option<Timestamp>, SchedulerError>,
}

/// What the systemd manager of a scope says of any units, in the order of their names.
pub fn systemd_show(
    host: &dyn Host,
    scope: Scope,
    units: &[String],
) -> Result<Vec<ShownUnit>, SchedulerError> {
    systemd::show(host, scope, units)
}

/// The job files of an installed job that differ from what they should be, for a diff: path, found, wanted.
pub fn differences(installed: &InstalledJob, wanted: &[RenderedFile]) -> Vec<(PathBuf, String, String)> {
    let found = |path: &PathBuf| {
        let file = installed.files.iter().find(|file| file.path == *path);
        file.and_then(|file| file.text.clone()).unwrap_or_default()
    };
    wanted
        .iter()
        .map(|file| (file.path.clone(), found(&file.path), file.text.clone()))
        .filter(|(_, found, wanted)| found != wanted)
        .collect()
}
