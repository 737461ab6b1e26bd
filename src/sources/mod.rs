//! Where data comes from. One file or folder per kind; kinds never know each other.
//!
//! A [`Source`] is the live side and needs the plan's declaration; a [`Restorer`] is the artifact side and needs only
//! the kind's word from a manifest, so that a bare machine can restore. End of stream is not success: only
//! [`SourceStream::finish`] can make a [`Complete`].

mod command;
mod denied;
mod files;
mod mongodb;
mod mysql;
mod postgres;
mod qdrant;
mod redis;
mod restorer;
mod servers;
mod sqlite;
mod tool;
mod trace;

pub use restorer::{Artifact, Bench, Drill, LivePlace, Restorer, Target};
pub use servers::discover_servers;
pub use trace::{Trace, leave_trace, traces};

use crate::declared::{SetName, SourceDeclaration};
use crate::diagnostic::Diagnostic;
use crate::format::{Bound, Counts};
use crate::host::Host;
use crate::observed::{Found, Observed, SourceFacts};
use denied::{privacy_remedy, refused};
use restorer::PlainDrill;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use tool::{find as find_tool, requirement as tool_requirement, search_path as tool_search_path};
use trace::TRACES;

/// Why a source could not be read. The variants carry the object; `source()` has the operating system's reason.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A declared path, or a glob that matches nothing.
    #[error("`{object}` does not exist")]
    Missing {
        /// Path or glob.
        object: String,
    },
    /// A declared path that is a symbolic link: the data is elsewhere, and a snapshot of the link alone would hold nothing of it.
    #[error("`{object}` is a symbolic link, and what it leads to ({target}) is not in this set")]
    LinkedAway {
        /// The declared path.
        object: String,
        /// Where it leads.
        target: String,
    },
    /// It exists, and this user may not read it.
    #[error("`{object}` cannot be read by this user")]
    Denied {
        /// Path.
        object: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Reading failed half-way.
    #[error("reading `{object}` failed")]
    Read {
        /// Path.
        object: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// It kept changing while it was read, and the plan says `changed: fail`.
    #[error("`{object}` kept changing while it was read ({attempts} times)")]
    Changed {
        /// Path.
        object: String,
        /// How often it was read.
        attempts: u32,
    },
    /// A database refused, or is damaged.
    #[error("database `{object}`: {reason}")]
    Database {
        /// Path.
        object: String,
        /// What the engine said, or what the check found.
        reason: String,
    },
    /// The scratch folder could not be used.
    #[error("scratch folder `{folder}`: {during}")]
    Scratch {
        /// Path.
        folder: String,
        /// What was tried.
        during: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A program that the source needs.
    #[error("`{tool}` is not in {search_path}")]
    ToolMissing {
        /// Its name.
        tool: String,
        /// Where it was looked for.
        search_path: String,
    },
    /// A program could not be started, or its pipes broke.
    #[error("`{tool}` could not be run")]
    Tool {
        /// Its name.
        tool: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A server, or its tool, refused or failed. Secrets have been taken out of the reason.
    #[error("{server}: {reason}")]
    Server {
        /// The server, as people know it.
        server: String,
        /// What it said, and what was asked.
        reason: String,
    },
    /// The members may not be all there are.
    #[error("{server}: the list of its members may not be complete: {reason}")]
    Partial {
        /// The server.
        server: String,
        /// What may be hidden, and what would show it.
        reason: String,
    },
    /// The producer ended well and what it made is not complete all the same.
    #[error("the output of `{producer}` is not complete: {reason}")]
    Incomplete {
        /// The program.
        producer: String,
        /// What is missing.
        reason: String,
    },
    /// A secret.
    #[error(transparent)]
    Secret(#[from] crate::secrets::SecretError),
    /// A pattern of the plan file.
    #[error("`{pattern}` is not a glob: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        reason: String,
    },
}

/// Why an artifact could not be restored or drilled.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The artifact's bytes are not what the kind makes (truncated, damaged, not its format).
    #[error("the artifact of `{member}` is damaged: {reason}")]
    Damaged {
        /// Member.
        member: String,
        /// What was found.
        reason: String,
    },
    /// It restores, but to something else than was backed up.
    #[error("the restored data of `{member}` differs: {reason}")]
    Differs {
        /// Member.
        member: String,
        /// What differs; the first few, and how many there are.
        reason: String,
    },
    /// An entry that would be written outside the target.
    #[error("the artifact of `{member}` has an entry that leads out of the target: `{entry}`")]
    Escapes {
        /// Member.
        member: String,
        /// The entry.
        entry: String,
    },
    /// The target is not empty, or not a folder.
    #[error("`{}` is not an empty folder", path.display())]
    TargetNotEmpty {
        /// The target.
        path: PathBuf,
    },
    /// Writing the restored data failed; says nothing about the artifact.
    #[error("restoring to `{}` failed", path.display())]
    Target {
        /// The path that could not be written.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The artifact could not be fetched or unpacked; says nothing about what was stored.
    #[error("the artifact of `{member}` could not be read")]
    Fetch {
        /// Member.
        member: String,
        /// What the destination or the decoder said.
        #[source]
        error: io::Error,
    },
    /// A program or a server that restoring needs is missing or failed; says nothing about the artifact.
    #[error("{tool}: {reason}")]
    Bench {
        /// The program or the server.
        tool: String,
        /// What is missing, or what it said; secrets have been taken out.
        reason: String,
    },
    /// The kind has no named places on a live server.
    #[error("a `{kind}` member cannot be restored onto a server by bkp: {reason}")]
    NotByName {
        /// The source type.
        kind: String,
        /// What to do instead.
        reason: String,
    },
    /// There is something at the live place already.
    #[error("`{place}` exists already")]
    PlaceTaken {
        /// The place, named in full.
        place: String,
    },
    /// No bkp of this version knows the kind.
    #[error("this bkp cannot restore the source type `{kind}`")]
    UnknownKind {
        /// The word in the manifest.
        kind: String,
    },
}

/// One independent part of a source, with its own artifact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its name: data, not a path.
    pub name: String,
}

/// Proof that a producer came to its end: made by [`SourceStream::finish`] and by nothing else.
#[derive(Debug)]
pub struct Complete {
    counts: Counts,
    bounds: BTreeMap<String, Bound>,
    warnings: Vec<String>,
    index: Option<tempfile::NamedTempFile>,
}

impl Complete {
    /// What a producer in a test says it made.
    #[cfg(test)]
    pub(crate) fn in_test(counts: Counts, warnings: Vec<String>) -> Self {
        Self { counts, bounds: BTreeMap::new(), warnings, index: None }
    }

    /// What was counted while the member was read.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What could not be counted exactly.
    pub fn bounds(&self) -> &BTreeMap<String, Bound> {
        &self.bounds
    }

    /// What people should know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The list of entries as JSON lines, uncompressed, in the scratch folder; gone when this value is dropped.
    pub fn index(&self) -> Option<&tempfile::NamedTempFile> {
        self.index.as_ref()
    }
}

/// A member's bytes. Reading to the end proves nothing: call [`SourceStream::finish`].
pub trait SourceStream: Read + Send {
    /// Checks the producer's own end (exit status, end mark, counts). Must fail when the stream was not read to its
    /// end.
    fn finish(self: Box<Self>) -> Result<Complete, SourceError>;
}

/// What a run gives a source to work with.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The operating system.
    pub host: &'a dyn Host,
    /// A private folder of this run.
    pub scratch: &'a Path,
    /// Variables that name the files of the set's own secrets.
    pub variables: &'a BTreeMap<String, OsString>,
}

/// What a source's job must be allowed besides reading its paths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// It runs programs of the user's, whose needs nobody knows.
    pub any_program: bool,
    /// Root's job starts servers as another user, in a drill.
    pub other_users: bool,
}

/// The live side of a set.
pub trait Source: Send + Sync {
    /// The members that exist now and that the set takes. An enumeration that may be partial is an error, not a short
    /// list. Only looks. A listed member that does not exist is an error too.
    fn enumerate(&self, host: &dyn Host) -> Result<Vec<Member>, SourceError>;

    /// Members with their sizes, what a run needs, each checked as the current user, and what else can be seen. Only
    /// looks: logs in and reads catalogues, writes nothing, opens no database file. Identity and devices are left
    /// empty.
    fn look(&self, host: &dyn Host) -> SourceFacts;

    /// Bytes of scratch that backing up one member at a time takes, as far as it can be told.
    fn scratch_bytes(&self, host: &dyn Host) -> u64;

    /// Begins to read a member.
    fn open(&self, desk: &Desk<'_>, member: &Member) -> Result<Box<dyn SourceStream>, SourceError>;

    /// Paths whose mounts identify the source, and which its job must be able to read.
    fn paths(&self) -> Vec<PathBuf>;

    /// Folders that reading writes to: an SQLite database in WAL mode needs its own (for `-wal` and `-shm`).
    fn writable_paths(&self) -> Vec<PathBuf>;

    /// Paths that its job must be able to come to and that identify nothing: sockets, tools, password files.
    fn reachable_paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// What else its job must be allowed.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// The extension of a member's artifact, such as `tar`.
    fn extension(&self, member: &Member) -> String;
}

/// The live side of a declared source.
pub fn source(set: &SetName, declaration: &SourceDeclaration) -> Box<dyn Source> {
    match declaration {
        SourceDeclaration::Files(declaration) => Box::new(files::FilesSource::new(set, declaration.clone())),
        SourceDeclaration::Sqlite(declaration) => Box::new(sqlite::SqliteSource::new(declaration.clone())),
        SourceDeclaration::Mongodb(declaration) => Box::new(mongodb::MongodbSource::new(declaration.clone())),
        SourceDeclaration::Mysql(declaration) => Box::new(mysql::MysqlSource::new(declaration.clone())),
        SourceDeclaration::Postgres(declaration) => {
            Box::new(postgres::PostgresSource::new(declaration.clone()))
        }
        SourceDeclaration::Redis(declaration) => Box::new(redis::RedisSource::new(set, declaration.clone())),
        SourceDeclaration::Command(declaration) => {
            Box::new(command::CommandSource::new(set, declaration.clone()))
        }
        SourceDeclaration::Qdrant(declaration) => Box::new(qdrant::QdrantSource::new(declaration.clone())),
    }
}

/// The artifact side of a manifest's source type.
pub fn restorer(kind: &str) -> Result<Box<dyn Restorer>, RestoreError> {
    match kind {
        "files" => Ok(Box::new(files::FilesRestorer)),
        "sqlite" => Ok(Box::new(sqlite::SqliteRestorer)),
        "mongodb" => Ok(Box::new(mongodb::MongodbRestorer)),
        "mysql" => Ok(Box::new(mysql::MysqlRestorer)),
        "redis" => Ok(Box::new(redis::RedisRestorer)),
        "command" => Ok(Box::new(command::CommandRestorer)),
        "postgres" => Ok(Box::new(postgres::PostgresRestorer)),
        "qdrant" => Ok(Box::new(qdrant::QdrantRestorer)),
        other => Err(RestoreError::UnknownKind { kind: other.to_owned() }),
    }
}

/// SQLite databases below a folder, by their first 16 bytes. Only looks; a folder that cannot be read makes the
/// whole answer unknown.
pub fn discover_sqlite(host: &dyn Host, folder: &Path) -> Observed<Vec<Found>> {
    sqlite::discover(host, folder)
}

impl SourceError {
    /// The diagnostic for facts and reports.
    pub fn diagnostic(&self, set: &SetName) -> Diagnostic {
        let mut diagnostic = Diagnostic::new("source not readable", format!("set `{set}`: {self}"));
        if let Self::LinkedAway { target, .. } = self {
            diagnostic =
                diagnostic.fix(format!("declare `{target}` in its place, or beside it, and run `bkp apply`"));
        }
        let causes = crate::diagnostic::causes(self);
        if !causes.is_empty() {
            diagnostic = diagnostic.why(causes);
        }
        diagnostic
    }
}
