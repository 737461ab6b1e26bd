//! An artifact back into a database.
//!
//! Never here: a file that exists is written to, a database is put beside another's journal or log (SQLite would play
//! them into it), or a restored file is called good before it was checked and counted.

use super::copy::ScratchFile;
use super::{EXTENSION, beside, check};
use crate::format::{Counts, encode_name};
use crate::sources::{Artifact, Bench, Drill, PlainDrill, RestoreError, Restorer, Target};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes moved at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// The artifact side of `sqlite`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SqliteRestorer;

impl SqliteRestorer {
    /// Restores into `scratch`, an empty private folder, compares and counts.
    pub(super) fn drill(self, artifact: &mut Artifact<'_>, scratch: &Path) -> Result<Counts, RestoreError> {
        let path = scratch.join(file_name(artifact.member));
        let file = ScratchFile::create(&path).map_err(target_error(&path))?;
        let mut out = std::fs::OpenOptions::new().write(true).open(&path).map_err(target_error(&path))?;
        write_body(artifact.member, artifact.body, &mut out, &path)?;
        drop(out);
        checked_counts(artifact.member, file.path())
    }

    /// Restores into the target, never over anything that is there.
    pub(super) fn restore(
        self,
        artifact: &mut Artifact<'_>,
        target: &Target,
    ) -> Result<Counts, RestoreError> {
        create_folder(&target.folder)?;
        let path = target.folder.join(file_name(artifact.member));
        refuse_company(&path)?;
        let mut out = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(target_error(&path))?;
        let outcome = write_body(artifact.member, artifact.body, &mut out, &path)
            .and_then(|()| out.sync_all().map_err(target_error(&path)))
            .and_then(|()| checked_counts(artifact.member, &path))
            .and_then(|counts| sync_folder(&target.folder).map(|()| counts));
        if outcome.is_err() {
            remove_partial(&path);
        }
        outcome
    }
}

impl Restorer for SqliteRestorer {
    fn begin<'a>(&self, _: Bench<'a>) -> Result<Box<dyn Drill + 'a>, RestoreError> {
        Ok(Box::new(PlainDrill(|mut artifact, scratch| Self.drill(&mut artifact, scratch))))
    }

    fn restore(&self, mut artifact: Artifact<'_>, target: &Target) -> Result<Option<Counts>, RestoreError> {
        (*self).restore(&mut artifact, target).map(Some)
    }
}

/// What a member is called where it is restored.
fn file_name(member: &str) -> String {
    format!("{}.{EXTENSION}", encode_name(member))
}

fn target_error(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_path_buf();
    move |error| RestoreError::Target { path, error }
}

fn create_folder(folder: &Path) -> Result<(), RestoreError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(target_error(folder))
}

/// Refuses a target beside which a journal or a log lies: SQLite would take it for the restored database's own.
fn refuse_company(path: &Path) -> Result<(), RestoreError> {
    for suffix in ["-journal", "-wal", "-shm"] {
        let path: PathBuf = beside(path, suffix);
        match rustix::fs::lstat(&path) {
            Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(RestoreError::Target { path, error: error.into() }),
            Ok(_) => {
                let error = io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "it belongs to a database that was here, and SQLite would play it into the restored one",
                );
                return Err(RestoreError::Target { path, error });
            }
        }
    }
    Ok(())
}

fn write_body(member: &str, body: &mut dyn Read, out: &mut File, path: &Path) -> Result<(), RestoreError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(RestoreError::Fetch { member: member.to_owned(), error }),
        };
        out.write_all(&buffer[..count]).map_err(target_error(path))?;
    }
}

fn checked_counts(member: &str, path: &Path) -> Result<Counts, RestoreError> {
    let checked = check::check(path);
    checked
        .map(|checked| checked.counts)
        .map_err(|reason| RestoreError::Damaged { member: member.to_owned(), reason })
}

fn sync_folder(folder: &Path) -> Result<(), RestoreError> {
    let opened = std::fs::OpenOptions::new().read(true).open(folder);
    opened.and_then(|folder| folder.sync_all()).map_err(target_error(folder))
}

#[expect(clippy::disallowed_methods, reason = "the file is bulk data that this module made a moment ago")]
fn remove_partial(path: &Path) {
    // The error that is already on its way says more than a second one would.
    let _gone = std::fs::remove_file(path);
}
