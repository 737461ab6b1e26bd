//! Databases that exist, declared or not, by their first 16 bytes.
//!
//! Only looks, never opens a database, never follows a link and never leaves the file system. What could not be looked
//! at makes the whole answer unknown: a list that may be short is not a list.

use super::header;
use crate::diagnostic::Diagnostic;
use crate::host::{FileKind, FileStatus, Host};
use crate::observed::{Found, Observed};
use std::io;
use std::path::{Path, PathBuf};

/// Folders below folders that are searched; deeper ones make the answer unknown.
const DEPTH_MAX: usize = 32;

/// SQLite databases below a folder.
pub fn discover(host: &dyn Host, folder: &Path) -> Observed<Vec<Found>> {
    let top = match host.status(folder) {
        Ok(status) => status,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Observed::Absent,
        Err(error) => return Observed::Unknown(*unsearched(folder, &error)),
    };
    let mut found = Vec::new();
    match walk(host, folder, top.device, &mut found) {
        Ok(()) => {
            found.sort();
            Observed::Present(found)
        }
        Err(diagnostic) => Observed::Unknown(*diagnostic),
    }
}

fn unsearched(path: &Path, error: &io::Error) -> Box<Diagnostic> {
    let what = format!("`{}` could not be searched for SQLite databases", path.display());
    let fix = "let the user that runs bkp read it, or name narrower folders under `discover: sqlite:`";
    Box::new(Diagnostic::new("discovery incomplete", what).why(error.to_string()).fix(fix))
}

/// What vanished while we looked is not there; every other error counts.
fn unless_gone<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>, Box<Diagnostic>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unsearched(path, &error)),
    }
}

fn walk(host: &dyn Host, top: &Path, device: u64, found: &mut Vec<Found>) -> Result<(), Box<Diagnostic>> {
    let mut waiting: Vec<(PathBuf, usize)> = vec![(top.to_path_buf(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        let listed = host.list_dir(&folder);
        let names = if depth == 0 {
            listed.map_err(|error| unsearched(&folder, &error))?
        } else {
            unless_gone(&folder, listed)?.unwrap_or_default()
        };
        for name in names {
            let path = folder.join(name);
            let Some(status) = unless_gone(&path, host.link_status(&path))? else { continue };
            if status.device != device {
                continue;
            }
            match status.kind {
                FileKind::File => found.extend(database(&path, &status)?),
                FileKind::Directory if depth == DEPTH_MAX => {
                    let error = io::Error::other(format!("it lies more than {DEPTH_MAX} folders deep"));
                    return Err(unsearched(&path, &error));
                }
                FileKind::Directory => waiting.push((path, depth + 1)),
                FileKind::Symlink | FileKind::Special => {}
            }
        }
    }
    Ok(())
}

fn database(path: &Path, status: &FileStatus) -> Result<Option<Found>, Box<Diagnostic>> {
    let matches = unless_gone(path, header::is_database(path))?.unwrap_or(false);
    Ok(matches.then(|| Found {
        kind: "sqlite".into(),
        object: path.display().to_string(),
        size_bytes: Some(status.size_bytes),
        addresses: Vec::new(),
        path: Some(path.to_path_buf()),
    }))
}
