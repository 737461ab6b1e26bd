//! One source plus its policy.

use super::{
    Compression, DestinationName, JobPolicy, ProvePolicy, RetentionPolicy, Schedule, SecretRef, Span,
    TimeZoneName,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An argv list that runs before or after a backup.
pub type Hook = Vec<String>;

/// A set as declared. Fields that are `None` come from the destination or from `defaults`; ask [`super::Plan`] for
/// what is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetDeclaration {
    /// Where data comes from.
    pub source: SourceDeclaration,
    /// When it is due.
    pub schedule: Option<Schedule>,
    /// The time zone of `schedule`.
    pub timezone: Option<TimeZoneName>,
    /// Where it goes, in the order written, each once.
    pub destinations: Option<Vec<DestinationName>>,
    /// Overrides the destinations' and the defaults' retention.
    pub retention: Option<SetRetention>,
    /// Overrides the destinations' and the defaults' compression.
    pub compression: Option<Compression>,
    /// Overrides the destinations' and the defaults' proof ages.
    pub prove: Option<ProvePolicy>,
    /// A run is ended after this long.
    pub time_limit: Option<Span>,
    /// How long after a due run the set counts as overdue.
    pub grace: Option<Span>,
    /// Under which conditions its job runs.
    pub job: JobPolicy,
    /// Run before the source is read; one that fails fails the run.
    pub before: Vec<Hook>,
    /// Run after it, whatever happened.
    pub after: Vec<Hook>,
    /// Secrets for the hooks: each gets the path of a private file in `BKP_SECRET_<NAME>_FILE`.
    pub secrets: BTreeMap<String, SecretRef>,
    /// Runs are suspended.
    pub pause: Option<Pause>,
}

/// Retention for all of a set's destinations, or for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetRetention {
    /// One policy for every destination.
    Every(RetentionPolicy),
    /// A policy for each destination named.
    ByDestination(BTreeMap<DestinationName, RetentionPolicy>),
}

/// A pause, with its end and its reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// First day on which runs start again, in the set's time zone.
    pub until: jiff::civil::Date,
    /// Why.
    pub reason: String,
}

/// Where data comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceDeclaration {
    /// Files and folders.
    Files(FilesDeclaration),
    /// `SQLite` databases.
    Sqlite(SqliteDeclaration),
}

impl SourceDeclaration {
    /// The word after `type:`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Files(_) => "files",
            Self::Sqlite(_) => "sqlite",
        }
    }
}

/// What to do about a file that kept changing while it was read.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ChangedPolicy {
    /// The last copy is kept, and said so.
    #[default]
    Warn,
    /// The run fails.
    Fail,
}

/// Files and folders. One member, named after the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesDeclaration {
    /// Absolute paths or globs (`*`, `?`, `[...]`, `**`); a folder is taken whole. Each must match something.
    pub paths: Vec<String>,
    /// Globs of what is left out: with a `/` matched against the whole path, without against the last name.
    pub exclude: Vec<String>,
    /// Does not cross into other file systems below a path.
    pub one_file_system: bool,
    /// Leaves out the content of folders with a valid CACHEDIR.TAG (<https://bford.info/cachedir/>).
    pub exclude_caches: bool,
    /// What to do about a file that kept changing.
    pub changed: ChangedPolicy,
}

/// `SQLite` databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteDeclaration {
    /// Member name to absolute path. `path:` in the plan file is one member named after the set.
    pub files: BTreeMap<String, PathBuf>,
    /// Longest that writers may be locked out (rollback-journal mode).
    pub max_lock: Span,
}

impl SqliteDeclaration {
    /// `max_lock` where the plan file says nothing, in seconds (measured: see docs/ARCHITECTURE.md).
    pub const MAX_LOCK_DEFAULT_SECONDS: u64 = 5;
}
