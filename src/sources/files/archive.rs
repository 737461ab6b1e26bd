//! Reads archives that this module wrote, strictly: what it would not have written is damage.
//!
//! No byte of an archive goes unchecked: padding is zero, checksums are spelled in the one way, unknown records and
//! types are refused, and after the two end blocks nothing but zeros may follow.

use super::header::{BLOCK_BYTES, EntryHeader};
use super::node::Xattrs;
use super::sparse::{self, PIECES_MAX, Piece};
use crate::format::{DeviceNumber, EntryKind, EntryTime};
use std::io::{self, Read};

/// Largest block of PAX records that is read, in bytes.
const RECORDS_BYTES_MAX: u64 = 16 << 20;

/// Why an archive could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// The stream below failed.
    #[error("the stream failed")]
    Stream(#[source] io::Error),
}

fn damaged<T>(reason: impl Into<String>) -> Result<T, ArchiveError> {
    Err(ArchiveError::Damaged(reason.into()))
}

/// An entry, before its body.
#[derive(Debug)]
pub struct ArchiveEntry {
    pub header: EntryHeader,
    /// Logical size of a file.
    pub size_bytes: u64,
    /// Of a file, where its body goes.
    pub pieces: Vec<Piece>,
}

/// Reads entries one after the other.
pub struct ArchiveReader<'a> {
    inner: &'a mut dyn Read,
    offset: u64,
    body_left: u64,
    padding: u64,
}

/// PAX records that this format uses.
#[derive(Debug, Default)]
struct Records {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    modified: Option<EntryTime>,
    sparse_name: Option<Vec<u8>>,
    sparse_size: Option<u64>,
    sparse_version: (Option<Vec<u8>>, Option<Vec<u8>>),
    xattrs: Xattrs,
}

/// A number in its one spelling.
fn number(text: &[u8]) -> Result<u64, ArchiveError> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
    match parsed {
        Some(number) if number.to_string().as_bytes() == text => Ok(number),
        _ => damaged("a number in a header is not one"),
    }
}

fn owner(text: &[u8]) -> Result<u32, ArchiveError> {
    u32::try_from(number(text)?).or_else(|_| damaged("an owner in a header is not one"))
}

fn xattr_name(key: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(key.len());
    let mut rest = key;
    while let Some((first, tail)) = rest.split_first() {
        let (byte, length) = match rest.get(..3) {
            Some(b"%25") => (b'%', 3),
            Some(b"%3D") => (b'=', 3),
            _ => (*first, rest.len() - tail.len()),
        };
        name.push(byte);
        rest = &rest[length..];
    }
    name
}

impl Records {
    fn parse(mut bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut records = Self::default();
        while !bytes.is_empty() {
            let Some(blank) = bytes.iter().take(21).position(|byte| *byte == b' ') else {
                return damaged("a record has no length");
            };
            let length = usize::try_from(number(&bytes[..blank])?).unwrap_or(usize::MAX);
            let Some(record) = bytes.get(..length).and_then(|record| record.get(blank + 1..)) else {
                return damaged("a record has a wrong length");
            };
            let Some((b'\n', record)) = record.split_last() else { return damaged("a record has no end") };
            let Some(equals) = record.iter().position(|byte| *byte == b'=') else {
                return damaged("a record has no value");
            };
            records.set(&record[..equals], &record[equals + 1..])?;
            bytes = &bytes[length..];
        }
        Ok(records)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), ArchiveError> {
            if slot.replace(value).is_some() { damaged("a record comes twice") } else { Ok(()) }
        }
        match key {
            b"path" => once(&mut self.path, value.to_vec()),
            b"linkpath" => once(&mut self.target, value.to_vec()),
            b"size" => once(&mut self.size, number(value)?),
            b"uid" => once(&mut self.uid, owner(value)?),
            b"gid" => once(&mut self.gid, owner(value)?),
            b"mtime" => {
                let time = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                let Some(time) = time else { return damaged("a time in a header is not one") };
                once(&mut self.modified, time)
            }
            b"GNU.sparse.major" => once(&mut self.sparse_version.0, value.to_vec()),
            b"GNU.sparse.minor" => once(&mut self.sparse_version.1, value.to_vec()),
            b"GNU.sparse.name" => once(&mut self.sparse_name, value.to_vec()),
            b"GNU.sparse.realsize" => once(&mut self.sparse_size, number(value)?),
            _ => match key.strip_prefix(b"SCHILY.xattr.") {
                Some(name) if !name.is_empty() => {
                    let twice = self.xattrs.insert(xattr_name(name), value.to_vec()).is_some();
                    if twice { damaged("a record comes twice") } else { Ok(()) }
                }
                Some(_) | None => damaged(format!("unknown record `{}`", String::from_utf8_lossy(key))),
            },
        }
    }
}

fn kind(entry_type: tar::EntryType) -> Option<EntryKind> {
    match entry_type {
        tar::EntryType::Regular => Some(EntryKind::File),
        tar::EntryType::Directory => Some(EntryKind::Folder),
        tar::EntryType::Symlink => Some(EntryKind::Symlink),
        tar::EntryType::Link => Some(EntryKind::HardLink),
        tar::EntryType::Fifo => Some(EntryKind::Fifo),
        tar::EntryType::Char => Some(EntryKind::CharacterDevice),
        tar::EntryType::Block => Some(EntryKind::BlockDevice),
        _ => None,
    }
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

fn check_block(block: &tar::Header) -> Result<(), ArchiveError> {
    let mut again = block.clone();
    again.set_cksum();
    if again.as_bytes() == block.as_bytes() { Ok(()) } else { damaged("a header's checksum is wrong") }
}

impl<'a> ArchiveReader<'a> {
    /// Reads an archive from its first byte.
    pub fn new(inner: &'a mut dyn Read) -> Self {
        Self { inner, offset: 0, body_left: 0, padding: 0 }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ArchiveError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.inner.read(&mut buffer[filled..]) {
                Ok(0) => return damaged(format!("it ends at byte {}, before its end blocks", self.offset)),
                Ok(count) => {
                    filled += count;
                    self.offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Stream(error)),
            }
        }
        Ok(())
    }

    fn block(&mut self) -> Result<tar::Header, ArchiveError> {
        let mut header = tar::Header::new_old();
        self.fill(header.as_mut_bytes())?;
        Ok(header)
    }

    fn padding_to_block(&mut self, length: u64) -> Result<(), ArchiveError> {
        let mut padding = [0_u8; 512];
        let count =
            usize::try_from(length.next_multiple_of(BLOCK_BYTES) - length).expect("less than a block");
        self.fill(&mut padding[..count])?;
        if padding.iter().all(|byte| *byte == 0) { Ok(()) } else { damaged("padding is not zero") }
    }

    /// Reads the next piece of the current entry's body; 0 at its end.
    pub fn read_body(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let wanted = usize::try_from(self.body_left).unwrap_or(usize::MAX).min(buffer.len());
        self.fill(&mut buffer[..wanted])?;
        self.body_left -= wanted as u64;
        Ok(wanted)
    }

    /// The next entry, after what is left of the one before; none at the archive's proper end.
    pub fn next_entry(&mut self) -> Result<Option<ArchiveEntry>, ArchiveError> {
        if self.body_left > 0 {
            let mut buffer = vec![0; 64 << 10];
            while self.read_body(&mut buffer)? > 0 {}
        }
        let padded = std::mem::take(&mut self.padding);
        self.padding_to_block(padded)?;
        let mut block = self.block()?;
        if block.as_bytes().iter().all(|byte| *byte == 0) {
            return self.end().map(|()| None);
        }
        check_block(&block)?;
        let mut records = Records::default();
        if block.entry_type() == tar::EntryType::XHeader {
            records = self.records(&block)?;
            block = self.block()?;
            check_block(&block)?;
        }
        self.entry(&block, records).map(Some)
    }

    fn records(&mut self, block: &tar::Header) -> Result<Records, ArchiveError> {
        let size = block.entry_size().unwrap_or(u64::MAX);
        if size > RECORDS_BYTES_MAX {
            return damaged("the records of an entry are too long");
        }
        let mut bytes = vec![0; usize::try_from(size).expect("it was compared with the limit")];
        self.fill(&mut bytes)?;
        self.padding_to_block(size)?;
        Records::parse(&bytes)
    }

    fn end(&mut self) -> Result<(), ArchiveError> {
        let second = self.block()?;
        if second.as_bytes().iter().any(|byte| *byte != 0) {
            return damaged("one end block is followed by something else");
        }
        let mut rest = vec![0; 64 << 10];
        loop {
            match self.inner.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(count) if rest[..count].iter().all(|byte| *byte == 0) => {}
                Ok(_) => return damaged("something follows its end blocks"),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Stream(error)),
            }
        }
    }

    fn entry(&mut self, block: &tar::Header, records: Records) -> Result<ArchiveEntry, ArchiveError> {
        let Some(kind) = kind(block.entry_type()) else { return damaged("an entry has an unknown type") };
        let bytes = block.as_bytes();
        let field = |value: io::Result<u64>| value.or_else(|_| damaged("a number in a header is not one"));
        let small = |value: u64| u32::try_from(value).or_else(|_| damaged("a number in a header is not one"));
        let is_device = matches!(kind, EntryKind::CharacterDevice | EntryKind::BlockDevice);
        let device = |value: io::Result<Option<u32>>| match value {
            Ok(Some(number)) => Ok(number),
            Ok(None) | Err(_) => damaged("a device has no number"),
        };
        let body_bytes = match records.size {
            Some(size) => size,
            None => field(block.entry_size())?,
        };
        let mut header = EntryHeader {
            path: records.sparse_name.clone().or(records.path).unwrap_or_else(|| text(&bytes[..100])),
            kind,
            body_bytes,
            sparse_size: records.sparse_size,
            mode: small(field(block.mode().map(u64::from))?)?,
            uid: records.uid.map_or_else(|| small(field(block.uid())?), Ok)?,
            gid: records.gid.map_or_else(|| small(field(block.gid())?), Ok)?,
            user: String::from_utf8_lossy(&text(&bytes[265..297])).into_owned(),
            group: String::from_utf8_lossy(&text(&bytes[297..329])).into_owned(),
            modified: match records.modified {
                Some(time) => time,
                None => EntryTime {
                    seconds: i64::try_from(field(block.mtime())?).unwrap_or(i64::MAX),
                    nanoseconds: 0,
                },
            },
            target: records.target.unwrap_or_else(|| text(&bytes[157..257])),
            device: if is_device {
                Some(DeviceNumber {
                    major: device(block.device_major())?,
                    minor: device(block.device_minor())?,
                })
            } else {
                None
            },
            xattrs: records.xattrs,
        };
        if kind == EntryKind::Folder && header.path.len() > 1 && header.path.ends_with(b"/") {
            header.path.pop();
        }
        let sparse = (records.sparse_name, records.sparse_size, records.sparse_version);
        self.body_left = header.body_bytes;
        let (size_bytes, pieces) = match sparse {
            (None, None, (None, None)) => (body_bytes, vec![Piece { offset: 0, length: body_bytes }]),
            (Some(_), Some(size), (Some(major), Some(minor))) if major == b"1" && minor == b"0" => {
                (size, self.sparse_map(size)?)
            }
            _ => return damaged("a sparse file's records are not whole"),
        };
        if kind != EntryKind::File && (body_bytes > 0 || header.sparse_size.is_some()) {
            return damaged("an entry has a body that its type has not");
        }
        if header.path.is_empty() || header.path.contains(&0) || header.target.contains(&0) {
            return damaged("an entry has no proper name");
        }
        self.padding = header.body_bytes % BLOCK_BYTES;
        Ok(ArchiveEntry { header, size_bytes, pieces })
    }

    fn map_number(&mut self, used: &mut u64) -> Result<u64, ArchiveError> {
        let mut digits = Vec::new();
        loop {
            let mut byte = [0];
            if self.read_body(&mut byte)? == 0 || digits.len() > 20 {
                return damaged("a sparse map is not one");
            }
            *used += 1;
            if byte[0] == b'\n' {
                return number(&digits);
            }
            digits.push(byte[0]);
        }
    }

    fn sparse_map(&mut self, size: u64) -> Result<Vec<Piece>, ArchiveError> {
        let mut used = 0;
        let count = self.map_number(&mut used)?;
        if count > PIECES_MAX as u64 {
            return damaged("a sparse map is too long");
        }
        let mut pieces = Vec::new();
        for _ in 0..count {
            let offset = self.map_number(&mut used)?;
            pieces.push(Piece { offset, length: self.map_number(&mut used)? });
        }
        sparse::check(&pieces, size).or_else(|error| damaged(error.to_string()))?;
        let rest = used.next_multiple_of(BLOCK_BYTES) - used;
        if rest > self.body_left {
            return damaged("a sparse map is not one");
        }
        self.body_left -= rest;
        self.padding_to_block(used)?;
        let data: u64 = pieces.iter().map(|piece| piece.length).sum();
        if data == self.body_left {
            Ok(pieces)
        } else {
            damaged("a sparse file has another length than its map")
        }
    }
}
