//! The index: the list of a `files` member's entries, as JSON lines in the order of the archive.
//!
//! The first line names the format; each further line is one entry. Paths are bytes, so what is not UTF-8 is written
//! in base 16 under another key. Reading is a stream: an index is never in memory as a whole.

use super::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Longest line that is read, in bytes; a longer one is damage.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// Why an index could not be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The stream below failed.
    #[error("the index could not be read")]
    Read(#[source] io::Error),
    /// A line is not an entry.
    #[error("line {line} of the index is not an entry: {reason}")]
    Malformed {
        /// Number of the line, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// Written by a later bkp.
    #[error("the index has format {found}, and this bkp reads up to {}", IndexWriter::<Vec<u8>>::FORMAT)]
    TooNew {
        /// The format it names.
        found: u32,
    },
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// Another name of an entry that comes before it.
    HardLink,
    /// A FIFO.
    Fifo,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
}

impl EntryKind {
    /// The word in indexes and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Symlink => "symlink",
            Self::HardLink => "hard_link",
            Self::Fifo => "fifo",
            Self::CharacterDevice => "character_device",
            Self::BlockDevice => "block_device",
        }
    }
}

/// A time as file systems keep it: any 64-bit second, which is more than a calendar can show.
///
/// Its text is a decimal number of seconds since 1970 with nine places, as PAX writes times (pax, POSIX.1-2017).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryTime {
    /// Whole seconds since 1970, rounded down.
    pub seconds: i64,
    /// Nanoseconds above them, below 10^9.
    pub nanoseconds: u32,
}

impl EntryTime {
    /// The time as a timestamp; none beyond the calendar's years.
    pub fn timestamp(self) -> Option<jiff::Timestamp> {
        let nanoseconds = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds);
        jiff::Timestamp::from_nanosecond(nanoseconds).ok()
    }
}

impl fmt::Display for EntryTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds);
        let sign = if total < 0 { "-" } else { "" };
        let (seconds, nanoseconds) =
            (total.unsigned_abs() / 1_000_000_000, total.unsigned_abs() % 1_000_000_000);
        write!(formatter, "{sign}{seconds}.{nanoseconds:09}")
    }
}

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a number of seconds with nine places")]
pub struct EntryTimeError(String);

impl FromStr for EntryTime {
    type Err = EntryTimeError;

    fn from_str(text: &str) -> Result<Self, EntryTimeError> {
        let bad = || EntryTimeError(text.to_owned());
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let (whole, fraction) = digits.split_once('.').ok_or_else(bad)?;
        let whole: i128 = whole.parse().map_err(|_| bad())?;
        let fraction: i128 = fraction.parse().map_err(|_| bad())?;
        let total =
            whole.checked_mul(1_000_000_000).ok_or_else(bad)?.checked_add(fraction).ok_or_else(bad)? * sign;
        let time = Self {
            seconds: i64::try_from(total.div_euclid(1_000_000_000)).map_err(|_| bad())?,
            nanoseconds: u32::try_from(total.rem_euclid(1_000_000_000)).map_err(|_| bad())?,
        };
        // Only the one way of writing it is right: damage must not read as another spelling.
        if time.to_string() == text { Ok(time) } else { Err(bad()) }
    }
}

impl TryFrom<String> for EntryTime {
    type Error = EntryTimeError;
    fn try_from(text: String) -> Result<Self, EntryTimeError> {
        text.parse()
    }
}

impl From<EntryTime> for String {
    fn from(time: EntryTime) -> Self {
        time.to_string()
    }
}

/// The number of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceNumber {
    /// Its driver.
    pub major: u32,
    /// Its unit.
    pub minor: u32,
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Line", into = "Line")]
pub struct IndexEntry {
    /// Its name in the archive: the absolute path without the leading `/`; `.` for `/` itself.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Length in bytes of a file's content (a hard link's: of the file it names); else 0.
    pub size_bytes: u64,
    /// SHA-256 of a file's content (a hard link's: of the file it names).
    pub sha256: Option<Digest>,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last modification.
    pub modified: EntryTime,
    /// Where a symbolic link leads, or the entry of which a hard link is another name.
    pub target: Option<PathBuf>,
    /// The number of a device.
    pub device: Option<DeviceNumber>,
    /// Extended attributes (ACLs too): name, with all but graphic ASCII percent-encoded, and SHA-256 of the value.
    pub xattrs: BTreeMap<String, Digest>,
}

/// How an entry is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_base16: Option<String>,
    kind: EntryKind,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
    mode: String,
    uid: u32,
    gid: u32,
    mtime: EntryTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_base16: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<DeviceNumber>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, Digest>,
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: u32,
}

/// Text, or base 16 where the bytes are no text.
fn written(path: &Path) -> (Option<String>, Option<String>) {
    if let Some(text) = path.to_str() {
        return (Some(text.to_owned()), None);
    }
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    let bytes = path.as_os_str().as_bytes();
    (None, Some(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()))
}

fn read_back(text: Option<String>, base16: Option<String>) -> Result<Option<PathBuf>, String> {
    match (text, base16) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(PathBuf::from(text))),
        (None, Some(digits)) => {
            let bad = || format!("`{digits}` is not base 16");
            if digits.len() % 2 != 0 || !digits.is_ascii() {
                return Err(bad());
            }
            let bytes = (0..digits.len() / 2)
                .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| bad()))
                .collect::<Result<Vec<u8>, String>>()?;
            Ok(Some(PathBuf::from(OsString::from_vec(bytes))))
        }
        (Some(_), Some(_)) => Err("a name is given twice".to_owned()),
    }
}

impl From<IndexEntry> for Line {
    fn from(entry: IndexEntry) -> Self {
        let (path, path_base16) = written(&entry.path);
        let (target, target_base16) = entry.target.as_deref().map_or((None, None), written);
        Self {
            path,
            path_base16,
            kind: entry.kind,
            size: entry.size_bytes,
            sha256: entry.sha256,
            mode: format!("{:04o}", entry.mode),
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.modified,
            target,
            target_base16,
            device: entry.device,
            xattrs: entry.xattrs,
        }
    }
}

impl TryFrom<Line> for IndexEntry {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        Ok(Self {
            path: read_back(line.path, line.path_base16)?.ok_or("it has no `path`")?,
            kind: line.kind,
            size_bytes: line.size,
            sha256: line.sha256,
            mode: u32::from_str_radix(&line.mode, 8)
                .map_err(|_| format!("mode `{}` is not octal", line.mode))?,
            uid: line.uid,
            gid: line.gid,
            modified: line.mtime,
            target: read_back(line.target, line.target_base16)?,
            device: line.device,
            xattrs: line.xattrs,
        })
    }
}

/// Writes an index.
pub struct IndexWriter<W: Write> {
    inner: W,
}

impl<W: Write> IndexWriter<W> {
    /// The format that this bkp writes.
    pub const FORMAT: u32 = 1;

    /// Begins an index.
    pub fn new(mut inner: W) -> io::Result<Self> {
        serde_json::to_writer(&mut inner, &Head { format: Self::FORMAT })?;
        inner.write_all(b"\n")?;
        Ok(Self { inner })
    }

    /// Adds an entry.
    pub fn write(&mut self, entry: IndexEntry) -> io::Result<()> {
        serde_json::to_writer(&mut self.inner, &Line::from(entry))?;
        self.inner.write_all(b"\n")
    }

    /// Gives the writer back, flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.inner.flush()?;
        Ok(self.inner)
    }
}

/// Reads an index, one entry at a time. After an error it ends.
pub struct IndexReader<R: Read> {
    inner: io::BufReader<R>,
    line: u64,
    ended: bool,
}

impl<R: Read> IndexReader<R> {
    /// Reads an uncompressed index.
    pub fn new(inner: R) -> Self {
        Self { inner: io::BufReader::with_capacity(64 << 10, inner), line: 0, ended: false }
    }

    /// What it reads from; bytes that were read ahead are gone.
    pub fn into_inner(self) -> R {
        self.inner.into_inner()
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>, IndexError> {
        let mut bytes = Vec::new();
        let count = self
            .inner
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut bytes)
            .map_err(IndexError::Read)?;
        if count == 0 {
            return Ok(None);
        }
        self.line += 1;
        // Also the end of a truncated index: each line that was written whole has its end mark.
        if bytes.pop() != Some(b'\n') {
            return Err(self.malformed("it has no end"));
        }
        Ok(Some(bytes))
    }

    fn malformed(&self, reason: impl fmt::Display) -> IndexError {
        IndexError::Malformed { line: self.line, reason: reason.to_string() }
    }

    fn head(&mut self) -> Result<(), IndexError> {
        let Some(line) = self.next_line()? else {
            return Err(IndexError::Malformed { line: 1, reason: "the index is empty".to_owned() });
        };
        let head: Head = serde_json::from_slice(&line).map_err(|error| self.malformed(error))?;
        if head.format > IndexWriter::<Vec<u8>>::FORMAT {
            return Err(IndexError::TooNew { found: head.format });
        }
        Ok(())
    }

    fn entry(&mut self) -> Result<Option<IndexEntry>, IndexError> {
        if self.line == 0 {
            self.head()?;
        }
        let Some(line) = self.next_line()? else { return Ok(None) };
        serde_json::from_slice(&line).map(Some).map_err(|error| self.malformed(error))
    }
}

impl<R: Read> Iterator for IndexReader<R> {
    type Item = Result<IndexEntry, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.entry();
        self.ended = !matches!(item, Ok(Some(_)));
        item.transpose()
    }
}

#[cfg(test)]
mod tests;
