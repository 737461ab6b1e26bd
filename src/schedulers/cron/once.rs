//! `bkp once`: one start of a job, and the record of how it ended.
//!
//! Cron cannot be told to start a job now, so a job has lines for the next few minutes, and the first that starts makes the
//! record. The record's lock is the kernel's and held as long as the job lives: a start that was killed is never taken
//! for one that goes on, nor for one that ended.

use crate::host::{Command, Host, open_plain};
use crate::schedulers::SchedulerError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The job's own limit ends it; this one only has to be longer.
const LIMIT: Duration = Duration::from_hours(24 * 366);
const FOLDER_MODE: u32 = 0o700;

/// The first line of a record.
#[derive(Debug, Serialize, Deserialize)]
struct Started {
    at: Timestamp,
    pid: u32,
}

/// The second line of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    at: Timestamp,
    /// Exit status; none when a signal ended it, or it could not be started.
    pub(super) status: Option<i32>,
    /// How it ended, in words.
    pub(super) words: String,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// Nothing has started.
    None,
    /// Its process lives.
    Running,
    /// It ended.
    Ended(Ended),
    /// Its process is gone and has not said how it ended.
    Killed,
}

/// The record of a job.
pub(super) fn record_path(state: impl AsRef<Path>, job: &str) -> PathBuf {
    state.as_ref().join("once").join(format!("{job}.record"))
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> SchedulerError {
    let path = path.to_owned();
    move |error| SchedulerError::File { path: path.clone(), error }
}

/// Longest record, in bytes.
const RECORD_MAX_BYTES: u64 = 64 << 10;

/// Reads a record.
pub(super) fn look(path: &Path) -> Result<Record, SchedulerError> {
    let mut file = match open_plain(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Record::None),
        Err(error) => return Err(file_error(path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Record::Running),
        Err(TryLockError::Error(error)) => return Err(file_error(path)(error)),
    }
    let mut text = String::new();
    Read::by_ref(&mut file).take(RECORD_MAX_BYTES).read_to_string(&mut text).map_err(file_error(path))?;
    let ended = text.lines().nth(1).and_then(|line| serde_json::from_str(line).ok());
    Ok(ended.map_or(Record::Killed, Record::Ended))
}

/// Runs a program, once for a record: where the record is there already, nothing happens.
pub fn run_once(host: &dyn Host, record: &Path, argv: &[String]) -> Result<(), SchedulerError> {
    let Some(mut file) = begin(host, record).map_err(file_error(record))? else { return Ok(()) };
    let mut command = Command::change(argv);
    command.time_limit = LIMIT;
    let (status, words) = match host.run(&command) {
        Ok(output) => (output.status, output.explain()),
        Err(error) => (None, format!("it could not be started: {error}")),
    };
    let ended = Ended { at: host.now(), status, words };
    let line = serde_json::to_string(&ended).expect("a record is numbers and text");
    file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(file_error(record))
}

/// Makes the record, locked before anybody can see it; none where somebody else has made it.
fn begin(host: &dyn Host, record: &Path) -> io::Result<Option<File>> {
    let folder = record.parent().unwrap_or(Path::new("."));
    host.create_dir_all(folder, FOLDER_MODE)?;
    let new = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    let mut file = new.as_file();
    file.try_lock().map_err(io::Error::from)?;
    let started = Started { at: host.now(), pid: std::process::id() };
    let line = serde_json::to_string(&started).expect("a record is numbers and text");
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()?;
    match new.persist_noclobber(record) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::RealHost;

    fn record(folder: &tempfile::TempDir) -> PathBuf {
        record_path(folder.path(), "bkp-x")
    }

    fn run(record: &Path, script: &str) {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned);
        run_once(&RealHost, record, &argv).expect("a record");
    }

    fn status(record: &Path) -> Option<i32> {
        match look(record).expect("readable") {
            Record::Ended(ended) => ended.status,
            other @ (Record::None | Record::Running | Record::Killed) => panic!("{other:?}"),
        }
    }

    #[test]
    fn second_start_does_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = record(&folder);
        assert_eq!(look(&path).expect("readable"), Record::None);
        let mark = folder.path().join("mark");
        let script = format!("echo ran >>{}; exit 3", mark.display());
        run(&path, &script);
        run(&path, &script);
        assert_eq!(status(&path), Some(3));
        assert_eq!(RealHost.read(&mark).expect("it ran"), b"ran\n");
        assert_eq!(RealHost.list_dir(&folder.path().join("once")).expect("a folder").len(), 1);
    }

    #[test]
    fn record_tells_running_from_ended_and_from_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = record(&folder);
        let file = begin(&RealHost, &path).expect("a folder").expect("the first");
        assert_eq!(look(&path).expect("readable"), Record::Running);
        assert!(begin(&RealHost, &path).expect("a folder").is_none());
        drop(file);
        assert_eq!(look(&path).expect("readable"), Record::Killed);
    }

    #[test]
    fn signal_and_a_program_that_is_not_there_are_no_status() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = record(&folder);
        run(&path, "kill -9 $$");
        assert_eq!(status(&path), None);
        RealHost.remove_file(&path).expect("removed");
        run_once(&RealHost, &path, &["/nonexistent/bkp".to_owned()]).expect("a record");
        assert_eq!(status(&path), None);
    }
}
