//! Backups on this host that are not bkp's. Data only.
//!
//! A command's arguments never get in here: passwords stand in them, and facts are handed around.

use crate::diagnostic::Diagnostic;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What kind of thing would start it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForeignKind {
    /// A systemd timer, with its service.
    SystemdTimer,
    /// A systemd service that no timer starts.
    SystemdService,
    /// A line of a crontab.
    Crontab,
    /// A file in `/etc/cron.daily` or its like.
    CronFolder,
    /// A property list of launchd's.
    LaunchAgent,
    /// A script that nothing starts.
    Script,
}

impl ForeignKind {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::SystemdTimer => "systemd timer",
            Self::SystemdService => "systemd service",
            Self::Crontab => "cron line",
            Self::CronFolder => "cron script",
            Self::LaunchAgent => "launchd agent",
            Self::Script => "script",
        }
    }

    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::SystemdTimer => "systemd_timer",
            Self::SystemdService => "systemd_service",
            Self::Crontab => "crontab",
            Self::CronFolder => "cron_folder",
            Self::LaunchAgent => "launch_agent",
            Self::Script => "script",
        }
    }
}

/// Something that looks like a backup and is not bkp's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignBackup {
    /// What would start it.
    pub kind: ForeignKind,
    /// A unit's name, a label, or a path; of a crontab with the line behind a colon.
    pub name: String,
    /// The file that it was read from.
    pub path: PathBuf,
    /// The line in that file, for a line of a crontab.
    pub line: Option<u32>,
    /// When, as the scheduler writes it.
    pub schedule: Option<String>,
    /// The programs of its command, in order; their arguments are left out, because they can hold passwords.
    pub command: Vec<String>,
    /// The programs that were looked for: the script it calls, and the tools.
    pub calls: Vec<CalledProgram>,
    /// The tools that make it look like a backup; none where only its name says so.
    pub tools: Vec<String>,
    /// Whether something starts it.
    pub started: Started,
    /// When it ran last.
    pub last_run: LastRun,
}

/// A program that a foreign backup calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalledProgram {
    /// As it is written there.
    pub program: String,
    /// Whether the job would find it.
    pub state: CalledState,
    /// The script that calls it; none where the command itself does.
    pub via: Option<PathBuf>,
}

/// Whether a job would find a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "value", rename_all = "snake_case")]
pub enum CalledState {
    /// It is there and may be executed.
    Found(PathBuf),
    /// It is there, and nobody may execute it.
    NotExecutable(PathBuf),
    /// Nothing lies at its path.
    Missing,
    /// It is not in these folders: the job's PATH.
    NotOnPath(String),
    /// Where it would be looked for is not known.
    Unknown(Diagnostic),
}

/// Whether something starts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "value", rename_all = "snake_case")]
pub enum Started {
    /// A scheduler will.
    ByScheduler,
    /// Its scheduler knows it and does not start it; how so.
    Disabled(String),
    /// Nothing does; how that is known.
    ByNothing(String),
    /// It could not be told.
    Unknown(Diagnostic),
}

/// When it ran last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "value", rename_all = "snake_case")]
pub enum LastRun {
    /// It was started then; how it ended is not known.
    At(Timestamp),
    /// No run is known: systemd remembers no start in this boot, and the timer, which leaves a stamp, has left none.
    Never,
    /// It could not be told.
    Unknown(Diagnostic),
}
