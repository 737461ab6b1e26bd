//! The first 100 bytes of a database (<https://www.sqlite.org/fileformat2.html#the_database_header>).
//!
//! Never here: a descriptor of a live database closed while this process holds a connection to it, which would drop
//! the connection's locks.

use crate::host::stat_number;
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What every database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;

/// Why a file is no database.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    /// It could not be read.
    #[error("it could not be read")]
    Io(#[source] io::Error),
    /// 0 bytes: SQLite takes that for a valid database without tables.
    #[error("it is empty (0 bytes)")]
    Empty,
    /// Other first bytes.
    #[error("it is not an SQLite database, or it is encrypted (its first 16 bytes differ)")]
    Foreign,
    /// The magic, and then nonsense.
    #[error("its header is damaged: {0}")]
    Malformed(&'static str),
}

/// The fields that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    page_bytes: u64,
    write_version: u8,
    read_version: u8,
    pages: u64,
}

impl Header {
    /// Whether connections use a write-ahead log.
    pub(super) fn is_wal(&self) -> bool {
        self.write_version == 2 || self.read_version == 2
    }

    /// Length that a database at rest has.
    pub(super) fn file_bytes(&self) -> u64 {
        self.page_bytes * self.pages
    }

    fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.is_empty() {
            return Err(HeaderError::Empty);
        }
        if !bytes.starts_with(MAGIC) {
            return Err(HeaderError::Foreign);
        }
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(HeaderError::Malformed("it ends within its first 100 bytes"));
        };
        let page_bytes = match u16::from_be_bytes([bytes[16], bytes[17]]) {
            1 => 65_536,
            size if size.is_power_of_two() && size >= 512 => u64::from(size),
            _ => return Err(HeaderError::Malformed("its page size is not a power of two from 512 to 65536")),
        };
        let pages = u32::from_be_bytes([bytes[28], bytes[29], bytes[30], bytes[31]]);
        Ok(Self { page_bytes, write_version: bytes[18], read_version: bytes[19], pages: u64::from(pages) })
    }
}

/// Opens a file to look at it, never waiting for a FIFO's other end.
fn open(path: &Path, extra: OFlags) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | extra;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn first_bytes(file: File, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(count);
    file.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the header of a file that nobody has open, such as a copy.
pub(super) fn read(path: &Path) -> Result<Header, HeaderError> {
    let bytes = open(path, OFlags::empty()).and_then(|file| first_bytes(file, HEADER_BYTES));
    Header::parse(&bytes.map_err(HeaderError::Io)?)
}

/// The databases that this process has open, by device and inode, with the header that was read before.
static CONNECTED: Mutex<BTreeMap<(u64, u64), Vec<Header>>> = Mutex::new(BTreeMap::new());

fn connected() -> MutexGuard<'static, BTreeMap<(u64, u64), Vec<Header>>> {
    // The map is whole between any two statements, so a panic elsewhere cannot have broken it.
    CONNECTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Identity of the file that a path leads to, without opening it.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let status = rustix::fs::stat(path)?;
    Ok((stat_number(status.st_dev), status.st_ino))
}

/// Reads the header of a live database; one that this process is connected to is not opened again.
pub(super) fn read_live(path: &Path) -> Result<Header, HeaderError> {
    let connected = connected();
    if let Some(header) = identity(path).ok().and_then(|key| connected.get(&key)).and_then(|all| all.last()) {
        return Ok(*header);
    }
    // The lock is held while the descriptor is open: a connection cannot begin meanwhile.
    read(path)
}

/// Whether a file begins as a database does; links are not followed.
pub(super) fn is_database(path: &Path) -> io::Result<bool> {
    let connected = connected();
    if identity(path).is_ok_and(|key| connected.contains_key(&key)) {
        return Ok(true);
    }
    let bytes = first_bytes(open(path, OFlags::NOFOLLOW)?, MAGIC.len())?;
    Ok(bytes == MAGIC)
}

/// Says that this process is about to connect to a live database; dropped after the connection.
#[derive(Debug)]
pub(super) struct Connected {
    key: (u64, u64),
}

impl Connected {
    /// Reads the header and registers the file, in this order and undivided.
    pub(super) fn begin(path: &Path) -> Result<(Self, Header), HeaderError> {
        let mut connected = connected();
        let key = identity(path).map_err(HeaderError::Io)?;
        let known = connected.get(&key).and_then(|all| all.last()).copied();
        let header = known.map_or_else(|| read(path), Ok)?;
        connected.entry(key).or_default().push(header);
        Ok((Self { key }, header))
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut connected = connected();
        if let Some(all) = connected.get_mut(&self.key) {
            all.pop();
            if all.is_empty() {
                connected.remove(&self.key);
            }
        }
    }
}
