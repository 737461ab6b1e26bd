//! Where data comes from. One file or folder per kind; kinds never know each other.
//!
//! A [`Source`] is the live side and needs the plan's declaration; a [`Restorer`] is the artifact side and needs only
//! the kind's word from a manifest, so that a bare machine can restore. End of stream is not success: only
//! [`SourceStream::finish`] can make a [`Complete`].

mod denied;
mod files;
mod sqlite;

use crate::declared::{SetName, SourceDeclaration};
use crate::diagnostic::Diagnostic;
use crate::format::Counts;
use crate::host::Host;
use crate::observed::{Found, MemberFacts, Observed, RequirementFacts};
use denied::{privacy_remedy, refused};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Why a source could not be read. The variants carry the object; `source()` has the operating system's reason.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A declared path, or a glob that matches nothing.
    #[error("`{object}` does not exist")]
    Missing {
        /// Path or glob.
        object: String,
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
    warnings: Vec<String>,
    index: Option<tempfile::NamedTempFile>,
}

impl Complete {
    /// What a producer in a test says it made.
    #[cfg(test)]
    pub(crate) fn in_test(counts: Counts, warnings: Vec<String>) -> Self {
        Self { counts, warnings, index: None }
    }

    /// What was counted while the member was read.
    pub fn counts(&self) -> &Counts {
        &self.counts
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

/// The live side of a set.
pub trait Source: Send + Sync {
    /// The members that exist now. An enumeration that may be partial is an error, not a short list. Only looks.
    fn enumerate(&self, host: &dyn Host) -> Result<Vec<Member>, SourceError>;

    /// Members with their sizes for plan and status; same rules as [`Source::enumerate`].
    fn observe(&self, host: &dyn Host) -> Observed<Vec<MemberFacts>>;

    /// What a run needs, each checked as the current user. Only looks: a database is not opened.
    fn requirements(&self, host: &dyn Host) -> Vec<RequirementFacts>;

    /// Bytes of scratch that backing up one member at a time takes, as far as it can be told.
    fn scratch_bytes(&self, host: &dyn Host) -> u64;

    /// Begins to read a member. `scratch` is a private folder of this run.
    fn open(
        &self,
        host: &dyn Host,
        member: &Member,
        scratch: &Path,
    ) -> Result<Box<dyn SourceStream>, SourceError>;

    /// Paths whose mounts identify the source.
    fn paths(&self) -> Vec<PathBuf>;

    /// Folders that reading writes to: an SQLite database in WAL mode needs its own (for `-wal` and `-shm`).
    fn writable_paths(&self) -> Vec<PathBuf>;

    /// The artifact's extension, such as `tar`.
    fn extension(&self) -> &'static str;
}

/// An artifact on its way back, decompressed.
pub struct Artifact<'a> {
    /// The member it is of.
    pub member: &'a str,
    /// The bytes that the source made.
    pub body: &'a mut dyn Read,
    /// The list of entries, where the source made one.
    pub index: Option<&'a mut dyn Read>,
    /// What was counted at backup time.
    pub counts: &'a Counts,
}

/// Where and what to restore.
#[derive(Debug, Clone)]
pub struct Target {
    /// A folder that is empty or does not exist yet.
    pub folder: PathBuf,
    /// Globs of the entries wanted; empty for all. Kinds without entries ignore it.
    pub include: Vec<String>,
}

/// The artifact side of a kind.
pub trait Restorer: Send + Sync {
    /// Restores into `scratch`, an empty private folder, compares with what was backed up, and gives the counts of
    /// what came back. The caller compares the counts and removes the folder.
    fn drill(&self, artifact: Artifact<'_>, scratch: &Path) -> Result<Counts, RestoreError>;

    /// Restores into the target, never over anything that is there.
    fn restore(&self, artifact: Artifact<'_>, target: &Target) -> Result<Counts, RestoreError>;
}

/// The live side of a declared source.
pub fn source(set: &SetName, declaration: &SourceDeclaration) -> Box<dyn Source> {
    match declaration {
        SourceDeclaration::Files(declaration) => Box::new(files::FilesSource::new(set, declaration.clone())),
        SourceDeclaration::Sqlite(declaration) => Box::new(sqlite::SqliteSource::new(declaration.clone())),
    }
}

/// The artifact side of a manifest's source type.
pub fn restorer(kind: &str) -> Result<Box<dyn Restorer>, RestoreError> {
    match kind {
        "files" => Ok(Box::new(files::FilesRestorer)),
        "sqlite" => Ok(Box::new(sqlite::SqliteRestorer)),
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
        let causes = crate::diagnostic::causes(self);
        if !causes.is_empty() {
            diagnostic = diagnostic.why(causes);
        }
        diagnostic
    }
}
