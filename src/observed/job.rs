//! What was seen of installed jobs.

use crate::declared::{PlanName, Scope, SetName};
use crate::format::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// What a job is for; its text is the name under which it is installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobName {
    /// `bkp-SET`: makes a set's snapshots.
    Set(SetName),
    /// `bkp-try-SET`: a new or changed job while it is tried; never has a timer.
    Trial(SetName),
    /// `bkp-audit-PLAN`: checks the infrastructure.
    Audit(PlanName),
}

impl fmt::Display for JobName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Set(set) => format!("bkp-{set}"),
            Self::Trial(set) => format!("bkp-try-{set}"),
            Self::Audit(plan) => format!("bkp-audit-{plan}"),
        };
        formatter.pad(&text)
    }
}

impl JobName {
    /// Reads an installed name; none when it is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("bkp-")?;
        if let Some(set) = rest.strip_prefix("try-") {
            return set.parse().ok().map(Self::Trial);
        }
        if let Some(plan) = rest.strip_prefix("audit-") {
            return plan.parse().ok().map(Self::Audit);
        }
        rest.parse().ok().map(Self::Set)
    }
}

/// Which scheduler starts a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerKind {
    /// systemd timers.
    Systemd,
    /// `LaunchAgents` and `LaunchDaemons`.
    Launchd,
    /// cron.
    Cron,
    /// `bkp daemon`.
    Embedded,
}

impl SchedulerKind {
    /// The word in plan files and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Launchd => "launchd",
            Self::Cron => "cron",
            Self::Embedded => "embedded",
        }
    }
}

/// What each of our job files says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMarker {
    /// The plan that owns it.
    pub plan: PlanName,
    /// What it is for.
    pub job: JobName,
    /// Digest of the set as declared when it was installed.
    pub set_digest: Digest,
    /// The bkp that wrote it.
    pub bkp_version: String,
}

/// A file of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says; none for a mask (a link to /dev/null).
    pub text: Option<String>,
}

/// Whether a timer is started again after a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enablement {
    /// Yes.
    Enabled,
    /// No.
    Disabled,
    /// It cannot be started at all.
    Masked,
    /// No [Install] section: lost at reboot.
    Static,
    /// A word of the scheduler that bkp does not know.
    Other(String),
}

/// What the scheduler says of a timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerState {
    /// The scheduler knows it.
    pub loaded: bool,
    /// Started again after a reboot.
    pub enablement: Enablement,
    /// Waiting or running now.
    pub active: bool,
    /// Its next elapse.
    pub next_elapse: Option<Timestamp>,
}

/// What the scheduler says of the thing that a timer starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// The scheduler knows it.
    pub loaded: bool,
    /// It cannot be started.
    pub masked: bool,
    /// It is running now.
    pub running: bool,
    /// When a condition last kept the scheduler from starting it, where that was the last start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition_failed_at: Option<Timestamp>,
    /// A file changed since the scheduler read it.
    pub needs_reload: bool,
    /// Drop-ins that change it, of the service and of the timer.
    pub drop_ins: Vec<PathBuf>,
    /// What would really be executed.
    pub command: Vec<String>,
}

/// A job that was found on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledJob {
    /// What it is for, by its name.
    pub name: JobName,
    /// Its scheduler.
    pub scheduler: SchedulerKind,
    /// Whose it is.
    pub scope: Scope,
    /// What its files say of themselves; none when the marker is missing or cannot be read.
    pub marker: Option<JobMarker>,
    /// Its files.
    pub files: Vec<InstalledFile>,
    /// Its timer; none for a trial, and where the file is missing.
    pub timer: Option<TimerState>,
    /// What is started.
    pub service: ServiceState,
}
