//! SQLite databases, copied by the online backup API inside this process (<https://www.sqlite.org/backup.html>).
//!
//! Never here: a copy of the main file alone (it loses the write-ahead log), a connection that may create its
//! database (a missing file would become an empty backup), a database opened to plan, or a write to live data.
//!
//! POSIX locks belong to the process: closing any descriptor of a database drops every lock that this process holds
//! on it (fcntl(2)). So the live file's header is read through [`header::read_live`] alone, which knows the
//! connections that are open.

mod check;
mod copy;
mod discover;
mod header;
mod restore;
mod stream;
#[cfg(test)]
mod tests;

pub use discover::discover;
pub use restore::SqliteRestorer;

use super::{Desk, Member, Source, SourceError, SourceStream, privacy_remedy, refused};
use crate::declared::SqliteDeclaration;
use crate::diagnostic::Diagnostic;
use crate::format::encode_name;
use crate::host::{FileKind, Host};
use crate::observed::{MemberFacts, Observed, RequirementFacts, SourceFacts};
use header::{Header, HeaderError};
use rustix::fs::{Access, AtFlags, CWD};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use stream::CopyStream;

/// The artifact's extension.
const EXTENSION: &str = "db";

/// The databases of one set.
#[derive(Debug, Clone)]
pub struct SqliteSource {
    declaration: SqliteDeclaration,
}

impl SqliteSource {
    /// The live side of a declaration.
    pub fn new(declaration: SqliteDeclaration) -> Self {
        Self { declaration }
    }

    fn path(&self, member: &Member) -> Result<&Path, SourceError> {
        let path = self.declaration.files.get(&member.name);
        path.map(PathBuf::as_path).ok_or_else(|| SourceError::Missing { object: member.name.clone() })
    }

    fn folders(&self) -> BTreeSet<&Path> {
        self.declaration.files.values().filter_map(|path| path.parent()).collect()
    }
}

/// The file `<path><suffix>`, such as the write-ahead log of a database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Size of a database that must be a file.
fn file_size(host: &dyn Host, path: &Path) -> Result<u64, SourceError> {
    let object = || path.display().to_string();
    let status = host.status(path).map_err(|error| source_error(path, error))?;
    match status.kind {
        FileKind::File => Ok(status.size_bytes),
        FileKind::Directory | FileKind::Special | FileKind::Symlink => {
            Err(SourceError::Database { object: object(), reason: "it is not a file".into() })
        }
    }
}

fn source_error(path: &Path, error: io::Error) -> SourceError {
    let object = path.display().to_string();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SourceError::Missing { object },
        io::ErrorKind::PermissionDenied => refused(object, error),
        _ => SourceError::Read { object, error },
    }
}

/// Where a link leads: SQLite keeps log and journal beside the real file.
fn real(host: &dyn Host, path: &Path) -> PathBuf {
    host.canonical(path).unwrap_or_else(|_| path.to_path_buf())
}

fn live_header(path: &Path) -> Result<Header, SourceError> {
    header::read_live(path).map_err(|error| match error {
        HeaderError::Io(error) => source_error(path, error),
        HeaderError::Empty | HeaderError::Foreign | HeaderError::Malformed(_) => {
            SourceError::Database { object: path.display().to_string(), reason: error.to_string() }
        }
    })
}

fn remedy(error: &SourceError) -> String {
    match error {
        SourceError::Missing { object } => format!(
            "create `{object}`, correct its path in the plan file, or take it out of the set: a missing database is \
             never skipped"
        ),
        SourceError::Denied { object, error } => match privacy_remedy(error) {
            Some(remedy) => remedy.to_owned(),
            None => format!("let the user that runs the job read `{object}` and pass through its folders"),
        },
        SourceError::Read { .. }
        | SourceError::Changed { .. }
        | SourceError::Database { .. }
        | SourceError::Scratch { .. }
        | SourceError::ToolMissing { .. }
        | SourceError::Tool { .. }
        | SourceError::Server { .. }
        | SourceError::Partial { .. }
        | SourceError::Incomplete { .. }
        | SourceError::LinkedAway { .. }
        | SourceError::Secret(_)
        | SourceError::Pattern { .. } => "correct the path in the plan file, or mend the database".into(),
    }
}

fn diagnostic(summary: &str, error: &SourceError) -> Diagnostic {
    Diagnostic::from_error(summary, error).fix(remedy(error))
}

/// Whether the database can be read: there, a file, permitted, and SQLite by its header.
fn readable(host: &dyn Host, path: &Path) -> Result<Header, SourceError> {
    file_size(host, path)?;
    host.may_read(path).map_err(|error| source_error(path, error))?;
    live_header(path)
}

/// A connection to a database in WAL mode makes `-wal` and `-shm` in its folder
/// (<https://www.sqlite.org/wal.html#read_only_databases>).
fn folder_writable(host: &dyn Host, path: &Path) -> Option<Diagnostic> {
    let real = real(host, path);
    let folder = real.parent().unwrap_or(Path::new("/"));
    let error =
        rustix::fs::accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).err()?;
    let what = format!("`{}` is in WAL mode, and its folder cannot be written", path.display());
    let fix = format!(
        "let the user that runs the job write to `{}`: reading a database in WAL mode makes -wal and -shm there",
        folder.display()
    );
    Some(Diagnostic::new("folder not writable", what).why(io::Error::from(error).to_string()).fix(fix))
}

impl SqliteSource {
    fn observe(&self, host: &dyn Host) -> Observed<Vec<MemberFacts>> {
        let member = |(name, path): (&String, &PathBuf)| {
            let size_bytes = file_size(host, path)?;
            Ok(MemberFacts { name: name.clone(), size_bytes: Some(size_bytes) })
        };
        match self.declaration.files.iter().map(member).collect::<Result<_, SourceError>>() {
            Ok(members) => Observed::Present(members),
            Err(error) => Observed::Unknown(diagnostic("source not readable", &error)),
        }
    }

    fn requirements(&self, host: &dyn Host) -> Vec<RequirementFacts> {
        let mut requirements = Vec::new();
        for path in self.declaration.files.values() {
            let header = readable(host, path);
            let wal = header.as_ref().is_ok_and(Header::is_wal);
            requirements.push(RequirementFacts {
                kind: "readable".into(),
                object: path.display().to_string(),
                unmet: header.err().map(|error| diagnostic("source not readable", &error)),
            });
            if wal {
                requirements.push(RequirementFacts {
                    kind: "writable".into(),
                    object: real(host, path).parent().unwrap_or(Path::new("/")).display().to_string(),
                    unmet: folder_writable(host, path),
                });
            }
        }
        requirements
    }

    fn open(
        &self,
        host: &dyn Host,
        member: &Member,
        scratch: &Path,
    ) -> Result<Box<dyn SourceStream>, SourceError> {
        let path = self.path(member)?;
        readable(host, path)?;
        let copy = scratch.join(format!("{}.{EXTENSION}", encode_name(&member.name)));
        let copy = copy::copy_database(&real(host, path), &copy, self.declaration.max_lock.duration())?;
        Ok(Box::new(CopyStream::open(path, copy)?))
    }
}

impl Source for SqliteSource {
    fn enumerate(&self, host: &dyn Host) -> Result<Vec<Member>, SourceError> {
        let member =
            |(name, path): (&String, &PathBuf)| file_size(host, path).map(|_| Member { name: name.clone() });
        self.declaration.files.iter().map(member).collect()
    }

    fn look(&self, host: &dyn Host) -> SourceFacts {
        SourceFacts::new(self.observe(host), self.requirements(host))
    }

    fn scratch_bytes(&self, host: &dyn Host) -> u64 {
        let size = |path: &Path| host.status(path).map_or(0, |status| status.size_bytes);
        self.declaration
            .files
            .values()
            .map(|path| size(path) + size(&beside(path, "-wal")))
            .max()
            .unwrap_or(0)
    }

    fn open(&self, desk: &Desk<'_>, member: &Member) -> Result<Box<dyn SourceStream>, SourceError> {
        self.open(desk.host, member, desk.scratch)
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.declaration.files.values().cloned().collect()
    }

    fn writable_paths(&self) -> Vec<PathBuf> {
        self.folders().into_iter().map(Path::to_path_buf).collect()
    }

    fn extension(&self, _: &Member) -> String {
        EXTENSION.to_owned()
    }
}
