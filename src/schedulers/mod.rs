//! What starts jobs. One file or folder per kind; kinds never know each other.
//!
//! `render` is pure. What a scheduler says is reported as it is; judging it is `decide`'s work.

mod embedded;
mod systemd;

pub use embedded::{EmbeddedJob, LoadedJobs, daemon_facts, daemon_paths, load_jobs};

use crate::declared::{PlanName, Schedule, Scope, SecretRef, Span, TimeZoneName};
use crate::format::Digest;
use crate::host::Host;
use crate::observed::{InstalledJob, JobName, Observed, SchedulerFacts, SchedulerKind};
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
    pub schedule: Option<(Schedule, TimeZoneName)>,
    /// It is ended after this long.
    pub time_limit: Span,
    /// Existing folders that it writes to: state, local destinations, WAL folders.
    pub writable: Vec<PathBuf>,
    /// Paths that it reads; below /home or /root they decide about `ProtectHome`, below /tmp about
    /// `PrivateTmp`.
    pub readable: Vec<PathBuf>,
    /// Hooks or secret commands run: the sandbox must leave them room.
    pub runs_programs: bool,
    /// Secrets that systemd hands on by `LoadCredential`, by credential name.
    pub credentials: BTreeMap<String, SecretRef>,
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
}

/// The scheduler of a kind.
pub fn scheduler(kind: SchedulerKind, places: &Places) -> Box<dyn Scheduler> {
    match kind {
        SchedulerKind::Systemd => Box::new(systemd::Systemd::new(places.clone())),
        SchedulerKind::Embedded => Box::new(embedded::Embedded::new(places.clone())),
    }
}

/// Whether a systemd manager of this scope answers on this host.
pub fn systemd_runs(host: &dyn Host, scope: Scope) -> bool {
    systemd::runs(host, scope)
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
