//! One database as a stream of `pg_dump`, counted in the very transaction that the dump was taken from.
//!
//! The session that exported the snapshot stays open until both are done. Never here: a [`Complete`] without
//! `pg_dump`'s status, the archive's end, and a count of every table that agrees with the rows that passed.

use super::archive::ArchiveReader;
use super::counts::count;
use super::login::{Login, conninfo, literal};
use super::session::Session;
use super::toc::ArchiveError;
use super::tools::Toolbox;
use super::{Complete, SourceError, SourceStream};
use crate::format::Counts;
use crate::host::{ChildReader, ChildWriter, Command, Ender, Output};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest that `pg_dump` may take to go once its output has ended.
const END_LIMIT: Duration = Duration::from_mins(1);

/// Counts in a thread and a session of its own, in the snapshot that was exported. The session that exported it does
/// nothing but hold it: were its transaction over sooner, because a count failed, `pg_dump` could come too late for it,
/// and that would be told instead.
#[derive(Debug)]
pub(super) struct Counting {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Counts, SourceError>>>,
    holder: Option<Session>,
    /// The counting client, and the server's process that works for it.
    client: Option<Ender>,
    backend: u64,
}

impl Counting {
    /// Begins to count. A table's lock is waited for as long as the dump waits for it.
    pub fn begin(
        exported: Exported,
        login: &Login,
        psql: &std::path::Path,
        database: &str,
        lock_wait: Duration,
    ) -> Result<Self, SourceError> {
        let mut session = Session::open(login, psql, database)?;
        session.rows(&format!(
            "set lock_timeout = {};\nbegin isolation level repeatable read read only;\nset transaction snapshot {}",
            lock_wait.as_millis(),
            literal(&exported.id)
        ))?;
        let rows = session.rows("select json_build_array(pg_backend_pid())")?;
        let backend = rows.first().and_then(|row| row[0].as_u64());
        let backend = backend.ok_or_else(|| login.refused("the server did not number its process"))?;
        let client = session.ender();
        let stop = Arc::new(AtomicBool::new(false));
        let (told, login) = (Arc::clone(&stop), login.clone());
        let thread = std::thread::spawn(move || {
            let counts = count(&mut session, &login, &told)?;
            session.rows("commit")?;
            session.close()?;
            Ok(counts)
        });
        Ok(Self { stop, thread: Some(thread), holder: Some(exported.session), client, backend })
    }

    fn counted(&mut self) -> Option<Result<Counts, SourceError>> {
        let counted = self.thread.take().map(JoinHandle::join);
        counted.map(|it| it.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }

    /// The counts, once all is counted; ends the transaction, so the dump must have ended. Each answer is a sign of
    /// life, and nothing else is.
    pub fn end(mut self) -> Result<Counts, SourceError> {
        let counts = self.counted().expect("it is taken once")?;
        if let Some(mut holder) = self.holder.take() {
            holder.rows("commit")?;
            holder.close()?;
        }
        Ok(counts)
    }

    /// Why both failed, where the dump has: a count that has failed already says it of a table.
    pub fn failed(mut self, dump: SourceError) -> SourceError {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(Err(error)) = self.counted()
        {
            return error;
        }
        dump
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        if !thread.is_finished() {
            // The server goes on with what its client no longer waits for, until it is told.
            if let Some(holder) = self.holder.take() {
                holder.leave(&format!("select pg_terminate_backend({})", self.backend));
            }
            if let Some(client) = self.client {
                client.kill();
            }
        }
        // Nobody asks any more what it counted.
        let _counted = thread.join();
    }
}

/// A snapshot that lasts as long as its session.
pub(super) struct Exported {
    pub session: Session,
    pub id: String,
}

/// Begins a transaction and exports its snapshot.
pub(super) fn export(login: &Login, psql: &std::path::Path, database: &str) -> Result<Exported, SourceError> {
    let mut session = Session::open(login, psql, database)?;
    session.rows("begin isolation level repeatable read read only")?;
    let name = session.text("select json_build_array(current_database())")?;
    if name != database {
        return Err(login.refused(format!("asked for database `{database}`, and came to `{name}`")));
    }
    let id = session.text("select json_build_array(pg_export_snapshot())")?;
    Ok(Exported { session, id })
}

/// The arguments that both forms of a dump have.
pub(super) fn arguments(pg_dump: PathBuf, id: &str, lock_wait: Duration, database: &str) -> Vec<OsString> {
    let words = [
        "-w".to_owned(),
        format!("--snapshot={id}"),
        format!("--lock-wait-timeout={}", lock_wait.as_millis()),
        format!("--dbname={}", conninfo(database)),
    ];
    std::iter::once(pg_dump.into_os_string()).chain(words.into_iter().map(OsString::from)).collect()
}

/// Reads an archive through: in this process, or where its format is not known here, by `pg_restore`.
#[derive(Debug)]
enum Check {
    Ours(Box<ArchiveReader>),
    Theirs(ChildWriter),
}

/// `pg_dump -Fc`, read through as it passes.
#[derive(Debug)]
pub(super) struct DumpStream {
    child: ChildReader,
    check: Check,
    broken: Option<ArchiveError>,
    ended: bool,
    counting: Counting,
    login: Login,
    pg_restore: PathBuf,
}

impl DumpStream {
    /// Begins to dump and to count.
    pub fn begin(
        login: &Login,
        toolbox: &Toolbox,
        database: &str,
        lock_wait: Duration,
    ) -> Result<Self, SourceError> {
        let psql = toolbox.path("psql");
        let exported = export(login, &psql, database)?;
        let mut argv = arguments(toolbox.path("pg_dump"), &exported.id, lock_wait, database);
        argv.extend(["-Fc".into(), "-Z0".into()]);
        let mut command = login.equip(Command::look(argv));
        command.time_limit = END_LIMIT;
        // It reads the catalogue, on one core, while the session that counts logs in.
        let child = ChildReader::start(&command)
            .map_err(|error| SourceError::Tool { tool: "pg_dump".into(), error })?;
        let counting = Counting::begin(exported, login, &psql, database, lock_wait)?;
        Ok(Self {
            child,
            check: Check::Ours(Box::default()),
            broken: None,
            ended: false,
            counting,
            login: login.clone(),
            pg_restore: toolbox.path("pg_restore"),
        })
    }

    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let error = match &mut self.check {
            Check::Theirs(child) => {
                return child.feed(&mut &*bytes).map(|_| ()).map_err(io::Error::other);
            }
            Check::Ours(reader) => match reader.feed(bytes, &mut |_| ()) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
        };
        if let ArchiveError::Unknown { .. } = error {
            // Its version stands in the first bytes, so nothing has passed before these.
            let argv = [self.pg_restore.as_os_str(), "-f".as_ref(), "/dev/null".as_ref()];
            let mut child = ChildWriter::start(&self.login.equip(Command::look(argv)))?;
            let fed = child.feed(&mut &*bytes);
            self.check = Check::Theirs(child);
            return fed.map(|_| ()).map_err(io::Error::other);
        }
        let text = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        self.broken = Some(error);
        Err(text)
    }
}

impl Read for DumpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.broken.is_some() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the archive is not whole"));
        }
        let count = self.child.read(buffer)?;
        self.ended |= count == 0 && !buffer.is_empty();
        self.pass(&buffer[..count])?;
        Ok(count)
    }
}

/// An error of a tool's, by how it ended.
pub(super) fn tool_failed(login: &Login, tool: &str, output: &Output) -> SourceError {
    SourceError::Incomplete { producer: tool.to_owned(), reason: login.reason(output) }
}

/// Rows that passed, against rows that were counted: the same snapshot, so the same numbers.
pub(super) fn agree(counts: &Counts, rows: &BTreeMap<String, u64>) -> Result<(), SourceError> {
    let incomplete = |reason: String| SourceError::Incomplete { producer: "pg_dump".into(), reason };
    for (key, counted) in &counts.0 {
        let Some(table) = key.strip_prefix("rows ") else { continue };
        match rows.get(table) {
            Some(passed) if passed == counted => {}
            Some(passed) => {
                let what =
                    format!("table {table} has {counted} rows in its snapshot, and {passed} in the archive");
                return Err(incomplete(what));
            }
            None => {
                return Err(incomplete(format!(
                    "table {table} has {counted} rows, and no data in the archive"
                )));
            }
        }
    }
    Ok(())
}

impl SourceStream for DumpStream {
    fn finish(self: Box<Self>) -> Result<Complete, SourceError> {
        let Self { child, check, broken, ended, counting, login, .. } = *self;
        let output = child.finish().map_err(|error| SourceError::Tool { tool: "pg_dump".into(), error })?;
        if !output.succeeded() {
            return Err(counting.failed(tool_failed(&login, "pg_dump", &output)));
        }
        let incomplete = |reason: String| SourceError::Incomplete { producer: "pg_dump".into(), reason };
        if let Some(error) = broken {
            return Err(incomplete(error.to_string()));
        }
        if !ended {
            return Err(incomplete("it was not read to its end".into()));
        }
        let rows = match check {
            Check::Ours(reader) => Some(reader.end().map_err(|error| incomplete(error.to_string()))?),
            Check::Theirs(child) => {
                let output =
                    child.finish().map_err(|error| SourceError::Tool { tool: "pg_restore".into(), error })?;
                if !output.succeeded() {
                    return Err(tool_failed(&login, "pg_restore", &output));
                }
                None
            }
        };
        let counts = counting.end()?;
        if let Some(rows) = rows {
            agree(&counts, &rows)?;
        }
        Ok(Complete { counts, bounds: BTreeMap::new(), warnings: warnings(&login, &output), index: None })
    }
}

/// What `pg_dump` said on its way to a good end.
pub(super) fn warnings(login: &Login, output: &Output) -> Vec<String> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = stderr.lines().filter(|line| line.contains("warning:")).take(10);
    said.map(|line| login.redact(line)).collect()
}
