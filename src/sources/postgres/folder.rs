//! A database dumped by several workers into a folder (`pg_dump -Fd -j`), and handed on as a tar archive.
//!
//! Workers cannot write to one stream, so the folder lies in scratch until it is read. Never here: a folder that lacks a
//! file of its table of contents, or a table whose rows are not those of the snapshot.

use super::archive::{CopyRows, table};
use super::dump::{Counting, agree, arguments, export, tool_failed, warnings};
use super::login::Login;
use super::refill::beating;
use super::toc::{ArchiveError, Entry, Fields, Head, Short, entry, head};
use super::tools::Toolbox;
use super::{Complete, SourceError, SourceStream};
use crate::format::Counts;
use crate::host::{Command, Host};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The run's own limit is shorter.
const LIMIT: Duration = Duration::from_hours(24 * 7);
/// The table of contents within the folder.
pub(super) const CONTENTS: &str = "toc.dat";
/// A tar archive is made of such blocks, and ends with two empty ones.
const BLOCK_BYTES: u64 = 512;

/// One file on its way into the archive: of a database with a million large objects there are as many.
struct Part {
    name: OsString,
    /// The table whose rows it holds.
    table: Option<String>,
    size_bytes: u64,
}

impl Part {
    fn header(&self) -> io::Result<Vec<u8>> {
        let mut header = tar::Header::new_gnu();
        header.set_size(self.size_bytes);
        header.set_mode(0o600);
        header.set_path(&self.name)?;
        header.set_cksum();
        Ok(header.as_bytes().to_vec())
    }
}

/// The folder as a tar archive.
pub(super) struct FolderStream {
    parts: std::vec::IntoIter<Part>,
    /// The part that is being read.
    current: Option<(Part, File, u64, CopyRows)>,
    /// Bytes to give before anything else: a header, padding, the end.
    ready: io::Cursor<Vec<u8>>,
    rows: BTreeMap<String, u64>,
    counts: Counts,
    warnings: Vec<String>,
    folder: PathBuf,
    ended: bool,
}

/// Reads a folder's table of contents.
pub(super) fn read_contents(bytes: &[u8], each: &mut dyn FnMut(Entry)) -> Result<Head, ArchiveError> {
    let short = |short: Short| match short {
        Short::More => {
            ArchiveError::Truncated(format!("within its table of contents, after {} bytes", bytes.len()))
        }
        Short::Never(error) => error,
    };
    let mut fields = Fields::new(bytes);
    let head = head(&mut fields).map_err(short)?;
    for _ in 0..head.entries {
        each(entry(&mut fields, &head).map_err(short)?);
    }
    Ok(head)
}

fn incomplete(reason: impl Into<String>) -> SourceError {
    SourceError::Incomplete { producer: "pg_dump".into(), reason: reason.into() }
}

fn scratch_error(folder: &Path) -> impl Fn(io::Error) -> SourceError {
    let folder = folder.display().to_string();
    move |error| SourceError::Scratch { folder: folder.clone(), during: "read the dump".into(), error }
}

impl FolderStream {
    /// Dumps and counts, and gives the stream when both are done.
    pub fn begin(
        host: &dyn Host,
        login: &Login,
        toolbox: &Toolbox,
        database: &str,
        (lock_wait, workers): (Duration, u32),
        folder: PathBuf,
    ) -> Result<Self, SourceError> {
        let psql = toolbox.path("psql");
        let exported = export(login, &psql, database)?;
        let mut argv = arguments(toolbox.path("pg_dump"), &exported.id, lock_wait, database);
        argv.extend(["-Fd".into(), "-Z0".into(), "-j".into(), workers.to_string().into(), "-f".into()]);
        argv.push(OsString::from(&folder));
        let mut command = login.equip(Command::change(argv));
        command.time_limit = LIMIT;
        let counting = Counting::begin(exported, login, &psql, database, lock_wait)?;
        let output = beating(|| grown(host, &folder), || host.run(&command))
            .map_err(|error| SourceError::Tool { tool: "pg_dump".into(), error })?;
        if !output.succeeded() {
            // What is left goes with the run's scratch folder; room is all that is at stake.
            let _gone = host.remove_dir_all(&folder);
            return Err(counting.failed(tool_failed(login, "pg_dump", &output)));
        }
        let counts = counting.end()?;
        let parts = parts(host, &folder)?;
        let mut stream = Self {
            parts: parts.into_iter(),
            current: None,
            ready: io::Cursor::default(),
            rows: BTreeMap::new(),
            counts,
            warnings: warnings(login, &output),
            folder,
            ended: false,
        };
        stream.next_part().map_err(scratch_error(&stream.folder))?;
        Ok(stream)
    }

    /// Begins the next part; after the last one come two empty blocks.
    fn next_part(&mut self) -> io::Result<()> {
        let Some(part) = self.parts.next() else {
            self.ready = io::Cursor::new(vec![0; 2 * 512]);
            self.ended = true;
            return Ok(());
        };
        let file = std::fs::OpenOptions::new().read(true).open(self.folder.join(&part.name))?;
        self.ready = io::Cursor::new(part.header()?);
        let left = part.size_bytes;
        self.current = Some((part, file, left, CopyRows::default()));
        Ok(())
    }

    /// Ends a part: its rows, and padding to a whole block.
    fn end_part(&mut self, part: Part, rows: &CopyRows) -> io::Result<()> {
        if let Some(table) = part.table {
            let whole = rows.rows().ok_or_else(|| {
                let text = format!("the rows of {table} end without the end mark of COPY");
                io::Error::new(io::ErrorKind::InvalidData, text)
            })?;
            self.rows.insert(table, whole);
        }
        let over = part.size_bytes % BLOCK_BYTES;
        let padding = if over == 0 { 0 } else { BLOCK_BYTES - over };
        // The next header follows the padding.
        let padding = vec![0; usize::try_from(padding).unwrap_or_default()];
        self.next_part()?;
        let after = std::mem::take(&mut self.ready).into_inner();
        self.ready = io::Cursor::new([padding, after].concat());
        Ok(())
    }
}

/// How many bytes a dump has written, which shows that it goes on.
fn grown(host: &dyn Host, folder: &Path) -> Option<String> {
    let names = host.list_dir(folder).ok()?;
    let sizes = names.iter().filter_map(|name| host.status(&folder.join(name)).ok());
    Some(sizes.map(|it| it.size_bytes).sum::<u64>().to_string())
}

/// Every file of the folder, the table of contents first; one that it names and that is not there is an error.
fn parts(host: &dyn Host, folder: &Path) -> Result<Vec<Part>, SourceError> {
    let failed = scratch_error(folder);
    let bytes = host.read(&folder.join(CONTENTS)).map_err(&failed)?;
    let mut expected = BTreeMap::new();
    let head = read_contents(&bytes, &mut |entry| {
        if entry.has_data {
            let table = (entry.kind == "TABLE DATA").then(|| table(&entry));
            expected.insert(entry.file.clone(), table);
        }
    });
    match head {
        Ok(_) => {}
        Err(error) => return Err(incomplete(error.to_string())),
    }
    let mut names = host.list_dir(folder).map_err(&failed)?;
    names.sort_by_key(|name| name != CONTENTS);
    let mut parts = Vec::new();
    for name in names {
        let size_bytes = host.status(&folder.join(&name)).map_err(&failed)?.size_bytes;
        let table = expected.remove(&*name.to_string_lossy()).flatten();
        parts.push(Part { name, table, size_bytes });
    }
    match expected.keys().next() {
        Some(name) => Err(incomplete(format!("`{name}` is in its table of contents, and not in its folder"))),
        None => Ok(parts),
    }
}

impl Read for FolderStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.ready.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some((part, mut file, left, mut rows)) = self.current.take() else { return Ok(0) };
            if left == 0 {
                self.end_part(part, &rows)?;
                continue;
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let count = file.read(&mut buffer[..most])?;
            if count == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "a file of the dump became shorter",
                ));
            }
            if part.table.is_some() {
                rows.pass(&buffer[..count]);
            }
            self.current = Some((part, file, left - count as u64, rows));
            return Ok(count);
        }
    }
}

impl SourceStream for FolderStream {
    fn finish(mut self: Box<Self>) -> Result<Complete, SourceError> {
        let (counts, warnings) = (std::mem::take(&mut self.counts), std::mem::take(&mut self.warnings));
        if !self.ended || self.ready.position() < self.ready.get_ref().len() as u64 {
            return Err(incomplete("it was not read to its end"));
        }
        agree(&counts, &self.rows)?;
        Ok(Complete { counts, bounds: BTreeMap::new(), warnings, index: None })
    }
}

impl Drop for FolderStream {
    #[expect(
        clippy::disallowed_methods,
        reason = "the folder is bulk data that this module made a moment ago"
    )]
    fn drop(&mut self) {
        // What is left goes with the run's scratch folder.
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}
