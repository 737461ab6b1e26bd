//! The online backup of a live database into the scratch folder.
//!
//! Never here: a connection with CREATE, a write to the live database (SQLite's own recovery after a crash apart), or a
//! lock on its writers that outlasts `max_lock`. How the copy comes to its end although others write:
//!
//! - WAL mode: one read transaction is held while pages are copied. Writers go on; their commits wait in the log.
//! - Rollback-journal mode: a reader keeps writers from committing, so at first there is a lock for each step only.
//!   When others wrote meanwhile, copying has to begin again: then a read transaction is held, at most for `max_lock`.
//!   After that it is given up and copying goes on step by step, which comes to its end where nobody writes, however
//!   large the database. After [`RESTARTS_MAX`] beginnings it gives up.

use super::beside;
use super::check::{self, Checked};
use super::header::{Connected, HeaderError};
use crate::host::pause;
use crate::host::pulse;
use crate::sources::SourceError;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Pages in a step: 4 MiB of the usual page size.
const STEP_PAGES: i32 = 1024;
/// Between steps that let writers in.
const STEP_PAUSE: Duration = Duration::from_millis(1);
/// Times that copying begins again because others wrote.
const RESTARTS_MAX: u32 = 10;

/// A file in the scratch folder, and what SQLite may have left beside it; gone when dropped.
#[derive(Debug)]
pub(super) struct ScratchFile {
    path: PathBuf,
}

impl ScratchFile {
    /// Creates it empty and private; an existing one is an error.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchFile {
    #[expect(clippy::disallowed_methods, reason = "the copy is bulk data that this module made")]
    fn drop(&mut self) {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            // Most are not there; what cannot be removed goes with the run's scratch folder.
            let _gone = std::fs::remove_file(beside(&self.path, suffix));
        }
    }
}

/// A finished copy: one self-contained file, checked and counted.
#[derive(Debug)]
pub(super) struct Copy {
    /// The file.
    pub(super) file: ScratchFile,
    /// What the check found.
    pub(super) checked: Checked,
}

/// Why copying ended early.
#[derive(Debug)]
enum CopyError {
    /// The live database refused.
    Source(rusqlite::Error),
    /// The copy could not be written, or a step failed on either side.
    Step(rusqlite::Error),
    /// Somebody held a lock for longer than `max_lock`.
    Locked,
    /// Others wrote too often.
    Restarted,
}

/// Copies a live database to `destination`, which must not exist, makes it self-contained, checks and counts it.
pub(super) fn copy_database(
    source: &Path,
    destination: &Path,
    max_lock: Duration,
) -> Result<Copy, SourceError> {
    let file =
        ScratchFile::create(destination).map_err(|error| scratch(destination, "create the copy", error))?;
    copy_pages(source, file.path(), max_lock)?;
    check::make_self_contained(file.path()).map_err(|error| step_error(source, destination, error))?;
    let checked = check::check(file.path()).map_err(|reason| {
        database(source, format!("its copy is damaged, and so is the database: {reason}"))
    })?;
    Ok(Copy { file, checked })
}

fn database(source: &Path, reason: impl Into<String>) -> SourceError {
    SourceError::Database { object: source.display().to_string(), reason: reason.into() }
}

fn scratch(destination: &Path, during: &str, error: io::Error) -> SourceError {
    let folder = destination.parent().unwrap_or(destination).display().to_string();
    SourceError::Scratch { folder, during: during.into(), error }
}

fn copy_pages(source: &Path, destination: &Path, max_lock: Duration) -> Result<(), SourceError> {
    let (_connected, _header) = Connected::begin(source).map_err(|error| match error {
        HeaderError::Io(error) => super::source_error(source, error),
        HeaderError::Empty | HeaderError::Foreign | HeaderError::Malformed(_) => {
            database(source, error.to_string())
        }
    })?;
    let outcome = open_source(source, max_lock)
        .map_err(CopyError::Source)
        .and_then(|connection| hold_and_copy(&connection, destination, max_lock));
    outcome.map_err(|error| copy_error(source, destination, max_lock, error))
}

/// Opens without CREATE. It is opened to write, because only a writer may roll a hot journal back, which SQLite does
/// when anybody opens the database; where this user may not write, SQLite falls back to reading.
fn open_source(source: &Path, max_lock: Duration) -> rusqlite::Result<Connection> {
    let log_bytes = rustix::fs::stat(beside(source, "-wal")).map_or(0, |status| status.st_size);
    let connection = Connection::open_with_flags(
        source,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(max_lock)?;
    // A log with rows in it is left as it was found; an empty one may go together with what opening made.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log_bytes > 0)?;
    harden(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// A schema is data: nothing in it may run code or write.
pub(super) fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(())
}

fn hold_and_copy(source: &Connection, destination: &Path, max_lock: Duration) -> Result<(), CopyError> {
    let mode: String =
        source.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(CopyError::Source)?;
    let mut copy = open_copy(destination).map_err(CopyError::Step)?;
    if mode == "wal" {
        begin_reading(source)?;
    }
    let backup = Backup::new(source, &mut copy).map_err(CopyError::Step)?;
    let result = step_to_end(source, &backup, max_lock);
    drop(backup);
    result?;
    copy.close().map_err(|(_, error)| CopyError::Step(error))
}

/// Holds what is committed now. BEGIN alone takes no lock: the first read does.
fn begin_reading(source: &Connection) -> Result<(), CopyError> {
    source.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;").map_err(CopyError::Source)
}

fn open_copy(destination: &Path) -> rusqlite::Result<Connection> {
    let copy = Connection::open_with_flags(
        destination,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // A copy that is not finished is thrown away, so it needs neither journal nor fsync.
    let _mode: String = copy.pragma_update_and_check(None, "journal_mode", "off", |row| row.get(0))?;
    copy.pragma_update(None, "synchronous", "off")?;
    Ok(copy)
}

/// Steps until all pages are copied. A read transaction that is already held on `source` (WAL mode) stays; one that is
/// begun here, because others wrote, ends after `max_lock`.
fn step_to_end(source: &Connection, backup: &Backup<'_, '_>, max_lock: Duration) -> Result<(), CopyError> {
    let mut locked_since: Option<Instant> = None;
    let mut refused_since: Option<Instant> = None;
    let mut copied_pages = 0;
    let mut restarts = 0;
    loop {
        match backup.step(STEP_PAGES).map_err(CopyError::Step)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {
                refused_since = None;
                let progress = backup.progress();
                let copied = progress.pagecount - progress.remaining;
                if copied > copied_pages {
                    pulse::beat();
                } else {
                    restarts += 1;
                    if restarts == 1 {
                        locked_since = Some(Instant::now());
                        begin_reading(source)?;
                    }
                }
                copied_pages = copied;
                if restarts > RESTARTS_MAX {
                    return Err(CopyError::Restarted);
                }
            }
            // Busy or locked.
            _ => {
                if refused_since.get_or_insert_with(Instant::now).elapsed() >= max_lock {
                    return Err(CopyError::Locked);
                }
                pause(STEP_PAUSE);
            }
        }
        if locked_since.is_some_and(|since| since.elapsed() >= max_lock) {
            source.execute_batch("COMMIT").map_err(CopyError::Source)?;
            locked_since = None;
        }
        if source.is_autocommit() {
            // No transaction is held, so this is when writers get in.
            pause(STEP_PAUSE);
        }
    }
}

fn copy_error(source: &Path, destination: &Path, max_lock: Duration, error: CopyError) -> SourceError {
    let limit = max_lock.as_secs_f32();
    match error {
        CopyError::Step(error) => step_error(source, destination, error),
        CopyError::Locked => database(source, locked_reason(limit)),
        CopyError::Restarted => database(
            source,
            format!(
                "others write to it, and copying it takes longer than writers may be locked out \
                 (`max_lock`, {limit} s): raise `max_lock`, run when it is quiet, or put the database into WAL mode, \
                 where backups lock nobody out"
            ),
        ),
        CopyError::Source(error) => source_refusal(source, limit, &error),
    }
}

fn locked_reason(limit: f32) -> String {
    format!(
        "another program kept it locked for longer than `max_lock` ({limit} s); SQLite cannot tell which: look for it \
         with `fuser`, end its transaction, or raise `max_lock`"
    )
}

fn source_refusal(source: &Path, limit: f32, error: &rusqlite::Error) -> SourceError {
    let said = error.to_string();
    let (code, extended) = match error {
        rusqlite::Error::SqliteFailure(failure, _) => (Some(failure.code), failure.extended_code),
        _ => (None, 0),
    };
    let reason = match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => locked_reason(limit),
        Some(ErrorCode::NotADatabase) => format!("it is encrypted or not an SQLite database ({said})"),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => format!(
            "{said} (SQLite code {extended}): a database in WAL mode or with a hot journal needs a folder and a file \
             that this user may write"
        ),
        _ => format!("{said} (SQLite code {extended})"),
    };
    database(source, reason)
}

/// A failed step says little of which side failed: a full disk and a failed write are the copy's, all else is the
/// source's.
fn step_error(source: &Path, destination: &Path, error: rusqlite::Error) -> SourceError {
    let extended = match &error {
        rusqlite::Error::SqliteFailure(failure, _) => failure.extended_code,
        _ => 0,
    };
    let written_only = [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_DIR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
    ];
    if extended & 0xff == ffi::SQLITE_FULL {
        scratch(destination, "copy the database", io::ErrorKind::StorageFull.into())
    } else if written_only.contains(&extended) {
        scratch(destination, "copy the database", io::Error::other(error))
    } else {
        database(source, format!("{error} (SQLite code {extended})"))
    }
}
