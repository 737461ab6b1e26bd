//! One source plus its policy.

use super::MemberChoice;
use super::{
    CommandDeclaration, Compression, DestinationName, JobPolicy, MongodbDeclaration, MysqlDeclaration,
    PostgresDeclaration, ProvePolicy, QdrantDeclaration, RedisDeclaration, Require, RetentionPolicy,
    Schedule, SecretRef, Span, TimeZoneName,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    /// How many copies there must be, and where.
    pub require: Option<Require>,
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
    /// A `PostgreSQL` server.
    Postgres(PostgresDeclaration),
    /// A `MySQL` or `MariaDB` server.
    Mysql(MysqlDeclaration),
    /// A `MongoDB` server.
    Mongodb(MongodbDeclaration),
    /// A Redis or Valkey server.
    Redis(RedisDeclaration),
    /// A Qdrant server.
    Qdrant(QdrantDeclaration),
    /// A program's standard output.
    Command(CommandDeclaration),
}

impl SourceDeclaration {
    /// The word after `type:`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Files(_) => "files",
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
            Self::Mysql(_) => "mysql",
            Self::Mongodb(_) => "mongodb",
            Self::Redis(_) => "redis",
            Self::Qdrant(_) => "qdrant",
            Self::Command(_) => "command",
        }
    }

    /// Its secrets, by the names under which they are handed on.
    pub fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        fn named<'a>(
            name: &'static str,
            secret: Option<&'a SecretRef>,
        ) -> Option<(&'static str, &'a SecretRef)> {
            secret.map(|it| (name, it))
        }
        let secrets = match self {
            Self::Files(_) | Self::Sqlite(_) | Self::Command(_) => [None, None],
            Self::Postgres(it) => [named("password", it.password.as_ref()), None],
            Self::Mysql(it) => [named("password", it.password.as_ref()), None],
            Self::Mongodb(it) => [named("password", it.password.as_ref()), None],
            Self::Redis(it) => [named("password", it.password.as_ref()), None],
            Self::Qdrant(it) => {
                [named("api-key", it.api_key.as_ref()), named("drill-api-key", it.drill_api_key.as_ref())]
            }
        };
        secrets.into_iter().flatten().collect()
    }

    /// Files with secrets that its tools read by themselves.
    pub fn secret_files(&self) -> Vec<&Path> {
        let file = match self {
            Self::Postgres(it) => it.pass_file.as_deref(),
            Self::Mysql(it) => it.defaults_file.as_deref(),
            Self::Files(_) | Self::Sqlite(_) | Self::Mongodb(_) | Self::Redis(_) | Self::Qdrant(_) => None,
            Self::Command(_) => None,
        };
        file.into_iter().collect()
    }

    /// Which members it takes, where it is a choice.
    pub fn choice(&self) -> Option<&MemberChoice> {
        match self {
            Self::Postgres(it) => Some(&it.databases),
            Self::Mysql(it) => Some(&it.databases),
            Self::Mongodb(it) => Some(&it.databases),
            Self::Qdrant(it) => Some(&it.collections),
            Self::Files(_) | Self::Sqlite(_) | Self::Redis(_) | Self::Command(_) => None,
        }
    }
}

impl SourceDeclaration {
    /// The key that chooses its members.
    pub fn choice_key(&self) -> &'static str {
        match self {
            Self::Qdrant(_) => "collections",
            Self::Files(_)
            | Self::Sqlite(_)
            | Self::Postgres(_)
            | Self::Mysql(_)
            | Self::Mongodb(_)
            | Self::Redis(_)
            | Self::Command(_) => "databases",
        }
    }
}

impl SetDeclaration {
    /// Every secret of the set, its source's and its hooks', by the name under which it is handed on.
    pub fn every_secret(&self) -> impl Iterator<Item = (&str, &SecretRef)> {
        let of_hooks = self.secrets.iter().map(|(name, it)| (name.as_str(), it));
        of_hooks.chain(self.source.secrets())
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
    /// Absolute paths or globs (`*`, `?`, `[...]`, `**`); a folder is taken whole. Each must match something, and a path
    /// that is a symbolic link to a folder needs that folder in the set too.
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
