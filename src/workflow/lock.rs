//! Locks held by the kernel: they end with the process that holds them, so none is ever stale.
#![expect(clippy::disallowed_methods, reason = "a kernel lock lives exactly as long as its open file")]

use super::{WorkflowError, runner, signal};
use crate::declared::SetName;
use crate::diagnostic::Diagnostic;
use crate::format::SnapshotId;
use crate::host::{Host, open_anothers, pause};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time between two looks at a lock that somebody else holds.
const STEP: Duration = Duration::from_millis(100);

/// A held lock.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

fn open(host: &dyn Host, path: &Path) -> io::Result<File> {
    if let Some(file) = open_as_root(host, path) {
        return file;
    }
    if let Some(folder) = path.parent() {
        host.create_dir_all(folder, 0o700)?;
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Opens a lock below the state folder of a user, for root; none where it is root's own.
fn open_as_root(host: &dyn Host, path: &Path) -> Option<io::Result<File>> {
    let folder = path.parent()?;
    let state = folder.parent()?;
    let anothers = host.user().is_root() && host.link_status(state).is_ok_and(|status| status.uid != 0);
    let (folder, name) = (folder.file_name()?, path.file_name()?);
    anothers.then(|| open_anothers(state, folder, name))
}

/// Makes a place for runs that every user of the host can take.
pub fn make_place(slots: &Path, number: u32) -> io::Result<()> {
    let path = place_path(slots, number);
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(path)?;
    // The umask may have taken bits away.
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

fn place_path(slots: &Path, number: u32) -> PathBuf {
    slots.join(format!("place.{number}"))
}

/// Takes a place for runs; none while another process has it. A lock needs no right to write (flock(2)), so root's
/// places can be everybody's.
fn take_place(host: &dyn Host, path: &Path) -> io::Result<Option<Lock>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return process(host, path),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn trouble(path: &Path, error: &io::Error) -> WorkflowError {
    Diagnostic::new("lock not usable", path.display().to_string()).why(error.to_string()).into()
}

fn lock_path(state: &Path, set: &SetName) -> PathBuf {
    state.join("locks").join(format!("{set}.lock"))
}

fn snapshot_path(state: &Path, set: &SetName, snapshot: &SnapshotId) -> PathBuf {
    state.join("locks").join(format!("{set}.{snapshot}.lock"))
}

/// Takes a set for a run or for pruning. The file says who holds it.
pub fn set(host: &dyn Host, state: &Path, set: &SetName, purpose: &str) -> Result<Lock, WorkflowError> {
    let path = lock_path(state, set);
    let mut file = open(host, &path).map_err(|error| trouble(&path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who holds it is a courtesy: the lock itself is the truth.
            let _unreadable = file.read_to_string(&mut holder);
            let holder =
                if holder.trim().is_empty() { "another process".into() } else { holder.trim().to_owned() };
            return Err(WorkflowError::Locked { set: set.clone(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(trouble(&path, &error)),
    }
    let holder = format!("`bkp {purpose}` (process {}, since {})", std::process::id(), host.now());
    let written =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
    written.map_err(|error| trouble(&path, &error))?;
    Ok(Lock { _file: file })
}

/// Whether somebody has a set now. Only looks: it neither makes the file nor keeps the lock.
pub fn is_held(state: &Path, set: &SetName) -> bool {
    let looked = File::open(lock_path(state, set)).map(|file| file.try_lock_shared());
    matches!(looked, Ok(Err(TryLockError::WouldBlock)))
}

/// Waits for one of the host's `count` places for runs. `waiting` is called once, where there is none at first; none is
/// given when `given_up` says so.
pub fn place(
    host: &dyn Host,
    state: &Path,
    count: u32,
    waiting: &dyn Fn(),
    given_up: &dyn Fn() -> bool,
) -> Result<Option<Lock>, WorkflowError> {
    let slots = runner::slots(host, state);
    let mut told = false;
    loop {
        for number in 0..count {
            let path = place_path(&slots, number);
            if let Some(lock) = take_place(host, &path).map_err(|error| trouble(&path, &error))? {
                return Ok(Some(lock));
            }
        }
        if given_up() {
            return Ok(None);
        }
        if !told {
            waiting();
            told = true;
        }
        pause(STEP);
    }
}

/// Waits until nobody holds a set, telling once who does; false when that takes longer than the limit, or when bkp
/// is told to end.
pub fn wait(
    host: &dyn Host,
    state: &Path,
    set: &SetName,
    limit: Duration,
    told: &mut dyn FnMut(&str),
) -> Result<bool, WorkflowError> {
    let began = host.now();
    let mut said = false;
    loop {
        match self::set(host, state, set, "apply") {
            Ok(_given_back) => return Ok(true),
            Err(WorkflowError::Locked { holder, .. }) if !said => {
                told(&holder);
                said = true;
            }
            Err(WorkflowError::Locked { .. }) => {}
            Err(error) => return Err(error),
        }
        if host.now().duration_since(began).unsigned_abs() > limit || signal::told_to_end() {
            return Ok(false);
        }
        pause(STEP);
    }
}

/// Takes a lock file for as long as the process lives; none while another process has it.
pub fn process(host: &dyn Host, path: &Path) -> io::Result<Option<Lock>> {
    let file = open(host, path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Keeps a snapshot from being removed while it is read.
pub fn snapshot_shared(
    host: &dyn Host,
    state: &Path,
    set: &SetName,
    snapshot: &SnapshotId,
) -> Result<Lock, WorkflowError> {
    let path = snapshot_path(state, set, snapshot);
    let file = open(host, &path).map_err(|error| trouble(&path, &error))?;
    match file.try_lock_shared() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => {
            Err(Diagnostic::new("snapshot is being removed", format!("set `{set}`, snapshot {snapshot}"))
                .into())
        }
        Err(TryLockError::Error(error)) => Err(trouble(&path, &error)),
    }
}

/// Takes a snapshot for removal; none while somebody reads it.
pub fn snapshot_exclusive(
    host: &dyn Host,
    state: &Path,
    set: &SetName,
    snapshot: &SnapshotId,
) -> Result<Option<Lock>, WorkflowError> {
    let path = snapshot_path(state, set, snapshot);
    let file = open(host, &path).map_err(|error| trouble(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(trouble(&path, &error)),
    }
}

/// Removes a snapshot's lock file after the snapshot itself is gone, or after its last reader left.
pub fn forget_snapshot(host: &dyn Host, state: &Path, set: &SetName, snapshot: &SnapshotId) {
    // A file that stays behind is empty and does no harm.
    let _left = host.remove_file(&snapshot_path(state, set, snapshot));
}

/// Takes a folder: its lock tells a sweeper that somebody works in it.
pub fn folder(path: &Path) -> io::Result<Option<File>> {
    let file = File::open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::RealHost;

    #[test]
    fn users_share_their_places_and_cannot_hold_up_roots() {
        let folder = tempfile::tempdir().expect("a folder");
        let (root, user) = (folder.path().to_path_buf(), folder.path().join("users/app"));
        let host = RealHost::new();
        let slots = root.join("slots");
        host.create_dir_all(&slots, 0o755).expect("a folder");
        make_place(&slots, 0).expect("a place");
        let told = std::cell::Cell::new(false);
        let take =
            |state: &Path| place(&host, state, 1, &|| told.set(true), &|| true).expect("a place or none");
        let held = take(&user);
        assert!(held.is_some() && take(&user).is_none() && take(&folder.path().join("users/web")).is_none());
        assert!(take(&root).is_some());
        drop(held);
        assert!(take(&user).is_some());
    }
}
