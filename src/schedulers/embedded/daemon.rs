//! Whether the daemon lives and what it says of itself.
//!
//! Only looks: the lock file is opened for reading, and a lock that is taken for the question is given back at once.
#![expect(
    clippy::disallowed_methods,
    reason = "a lock belongs to an open file, which Host does not hand out"
)]

use super::file_error;
use crate::diagnostic::Diagnostic;
use crate::host::{Host, read_text};
use crate::observed::{DaemonFacts, Observed};
use crate::schedulers::{Places, SchedulerError};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The daemon's lock, held exclusively (flock(2)) as long as it lives, and its heartbeat, a [`DaemonFacts`] as JSON.
pub fn daemon_paths(places: &Places) -> (PathBuf, PathBuf) {
    (places.state.join("daemon.lock"), places.state.join("daemon.json"))
}

/// Whether another process holds the lock, asked of the kernel.
fn is_held(lock: &Path) -> Result<bool, SchedulerError> {
    let file = match File::open(lock) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(file_error(lock)(error)),
    };
    match file.try_lock_shared() {
        // Closing the file gives it back.
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(file_error(lock)(error)),
    }
}

fn read_heartbeat(host: &dyn Host, path: &Path) -> Result<Option<DaemonFacts>, SchedulerError> {
    let text = match read_text(host, path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error(path)(error)),
    };
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|error| SchedulerError::Unreadable {
        command: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn look(host: &dyn Host, places: &Places) -> Result<Option<DaemonFacts>, SchedulerError> {
    let (lock, heartbeat) = daemon_paths(places);
    let holds_lock = is_held(&lock)?;
    let facts = read_heartbeat(host, &heartbeat)?;
    Ok(facts.map(|facts| DaemonFacts { holds_lock, ..facts }))
}

/// The daemon that holds its lock and has said what it loaded; none when there is no such daemon.
pub(super) fn living(host: &dyn Host, places: &Places) -> Result<Option<DaemonFacts>, SchedulerError> {
    let (lock, _) = daemon_paths(places);
    if !is_held(&lock)? {
        return Ok(None);
    }
    Ok(look(host, places)?.filter(|facts| facts.holds_lock))
}

/// What the daemon last said of itself, with the lock as the kernel tells it now; absent when no daemon has ever run
/// here.
pub fn daemon_facts(host: &dyn Host, places: &Places) -> Observed<DaemonFacts> {
    match look(host, places) {
        Ok(Some(facts)) => Observed::Present(facts),
        Ok(None) => Observed::Absent,
        Err(error) => Observed::Unknown(
            Diagnostic::from_error("the daemon could not be asked", &error)
                .fix("stop `bkp daemon`, remove the file, and start it again"),
        ),
    }
}
