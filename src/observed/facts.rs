//! Everything that was seen, as one value that can be saved and read elsewhere.

use super::{
    DestinationFacts, Fact, ForeignBackup, Found, InstalledJob, JournalFacts, Observed, SchedulerKind,
    SourceFacts,
};
use crate::declared::{DestinationName, PlanName, SetName, TimeZoneName, UserName};
use crate::diagnostic::Diagnostic;
use crate::format::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The observed world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The format's version.
    pub format: u32,
    /// When the observation began.
    pub observed_at: Timestamp,
    /// The bkp that looked.
    pub bkp_version: String,
    /// The host.
    pub host: HostFacts,
    /// The schedulers that were asked.
    pub schedulers: BTreeMap<SchedulerKind, Fact<SchedulerFacts>>,
    /// The installed plans of this scope, by name.
    pub plans: BTreeMap<PlanName, Fact<InstalledPlan>>,
    /// Each set's source.
    pub sources: BTreeMap<SetName, Fact<SourceFacts>>,
    /// Each destination.
    pub destinations: BTreeMap<DestinationName, Fact<DestinationFacts>>,
    /// Data found by discovery, by where it was looked for.
    pub discovered: BTreeMap<String, Fact<Vec<Found>>>,
    /// Backups that are not bkp's, by where they were looked for: `systemd`, `crontab`, `cron.d`, `launchd`, `scripts`.
    /// A part of such a place that could not be looked at stands beside it, as `PLACE:PATH`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub foreign: BTreeMap<String, Fact<Vec<ForeignBackup>>>,
    /// Owner and mode of secrets, plans, hooks and the binary.
    pub paths: Vec<Fact<PathFacts>>,
    /// The journal.
    pub journal: Option<Fact<JournalFacts>>,
    /// The embedded scheduler's daemon.
    pub daemon: Option<Fact<DaemonFacts>>,
}

impl Facts {
    /// The format that this bkp writes and reads.
    pub const FORMAT: u32 = 1;
}

/// The host and who looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Its name as the kernel gives it.
    pub name: String,
    /// User id that looked.
    pub uid: u32,
    /// User name that looked.
    pub user: String,
    /// Home of the user that looked.
    pub home: PathBuf,
    /// The zone of the host's clock; none where it could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZoneName>,
    /// The users that sets run as.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<UserName, Observed<UserFacts>>,
    /// The bkp binary that jobs would run.
    pub binary: BinaryFacts,
}

/// A user that sets run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserFacts {
    /// User id.
    pub uid: u32,
    /// Home directory.
    pub home: PathBuf,
}

/// The binary that jobs would run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinaryFacts {
    /// Absolute path.
    pub path: PathBuf,
    /// It lies in a cargo build folder.
    pub in_build_folder: bool,
    /// It lies below a home directory.
    pub in_home: bool,
}

/// A scheduler and its jobs of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerFacts {
    /// Jobs by name; trials too.
    pub jobs: Vec<InstalledJob>,
    /// For a user's systemd: whether the user lingers, so that timers run without a login.
    pub lingers: Option<bool>,
}

/// A plan as applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledPlan {
    /// Where it lies.
    pub path: PathBuf,
    /// Digest of its text.
    pub sha256: Digest,
    /// Its text.
    pub text: String,
    /// The file that was applied, and that file's digest then.
    pub origin: Option<PlanOrigin>,
    /// Digest of that file now; absent when it is gone: then nobody can have edited it.
    pub origin_sha256_now: Observed<Digest>,
    /// The sets that it declares, each with the digest of its job's plan copy; none where it is damaged.
    pub sets: BTreeMap<SetName, Digest>,
    /// Why it cannot be understood, where it cannot: its text is known, and so that it differs from any plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged: Option<Diagnostic>,
}

/// Where an installed plan came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanOrigin {
    /// The file or folder that was applied.
    pub path: PathBuf,
    /// Its digest then (a folder's is over its files).
    pub sha256: Digest,
}

/// Owner and mode of a path that matters for security.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathFacts {
    /// The path.
    pub path: PathBuf,
    /// What it is: `secret`, `plan`, `hook`, `binary`, `job`.
    pub role: String,
    /// The set it belongs to, where there is one.
    pub set: Option<SetName>,
    /// Owner.
    pub uid: u32,
    /// Permission bits of the file.
    pub mode: u32,
    /// The first folder above it that others can write (and that is not sticky), if any.
    pub writable_folder: Option<PathBuf>,
}

/// What the daemon says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonFacts {
    /// Its process id.
    pub pid: u32,
    /// Its version, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bkp_version: Option<String>,
    /// Whether it holds its lock, asked of the kernel.
    pub holds_lock: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When it last said that it lives.
    pub beat_at: Timestamp,
    /// Digest of each job file that it has loaded, by installed name.
    pub loaded: BTreeMap<String, Digest>,
    /// Next elapse of each, by installed name.
    pub next_elapse: BTreeMap<String, Timestamp>,
}
