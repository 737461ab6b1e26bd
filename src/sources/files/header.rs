//! Tar headers with a PAX layer: what does not fit a ustar header byte-exactly goes into records before it.
//!
//! POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; `SCHILY.xattr.` as GNU tar and star write
//! it, and GNU tar's sparse format 1.0.

use super::node::Xattrs;
use crate::format::{DeviceNumber, EntryKind, EntryTime};

/// Tar's block, in bytes.
pub const BLOCK_BYTES: u64 = 512;
/// Largest number in a ustar header's eight octal digits (owners).
const OWNER_MAX: u32 = 0o7_777_777;
/// Largest number in a ustar header's twelve octal digits (sizes and times).
const LONG_MAX: u64 = 0o77_777_777_777;

/// An entry's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryHeader {
    pub path: Vec<u8>,
    pub kind: EntryKind,
    /// Bytes that follow in the archive, before padding; of a sparse file its map and its data.
    pub body_bytes: u64,
    /// Logical size of a sparse file.
    pub sparse_size: Option<u64>,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub user: String,
    pub group: String,
    pub modified: EntryTime,
    pub target: Vec<u8>,
    pub device: Option<DeviceNumber>,
    pub xattrs: Xattrs,
}

/// Tar's letter for a kind.
pub fn entry_type(kind: EntryKind) -> tar::EntryType {
    match kind {
        EntryKind::File => tar::EntryType::Regular,
        EntryKind::Folder => tar::EntryType::Directory,
        EntryKind::Symlink => tar::EntryType::Symlink,
        EntryKind::HardLink => tar::EntryType::Link,
        EntryKind::Fifo => tar::EntryType::Fifo,
        EntryKind::CharacterDevice => tar::EntryType::Char,
        EntryKind::BlockDevice => tar::EntryType::Block,
    }
}

/// Adds one record: its own length in decimal, a blank, key, `=`, value, newline.
fn push_record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// An attribute's name in a PAX key: GNU tar encodes only what would end the key.
fn xattr_key(name: &[u8]) -> Vec<u8> {
    let mut key = b"SCHILY.xattr.".to_vec();
    for byte in name {
        match byte {
            b'%' => key.extend_from_slice(b"%25"),
            b'=' => key.extend_from_slice(b"%3D"),
            other => key.push(*other),
        }
    }
    key
}

/// The start of a name, cut to fit a header field.
fn cut(name: &[u8]) -> &[u8] {
    &name[..name.len().min(100)]
}

fn put(field: &mut [u8], bytes: &[u8]) {
    field[..bytes.len()].copy_from_slice(bytes);
}

impl EntryHeader {
    /// The name as tar has it: a folder's ends in `/`.
    fn archived_path(&self) -> Vec<u8> {
        let mut path = self.path.clone();
        if self.kind == EntryKind::Folder {
            path.push(b'/');
        }
        path
    }

    fn records(&self) -> Vec<u8> {
        let mut records = Vec::new();
        let path = self.archived_path();
        if let Some(size) = self.sparse_size {
            push_record(&mut records, b"GNU.sparse.major", b"1");
            push_record(&mut records, b"GNU.sparse.minor", b"0");
            push_record(&mut records, b"GNU.sparse.name", &path);
            push_record(&mut records, b"GNU.sparse.realsize", size.to_string().as_bytes());
        } else if path.len() > 100 {
            push_record(&mut records, b"path", &path);
        }
        if self.target.len() > 100 {
            push_record(&mut records, b"linkpath", &self.target);
        }
        if self.body_bytes > LONG_MAX {
            push_record(&mut records, b"size", self.body_bytes.to_string().as_bytes());
        }
        if self.uid > OWNER_MAX {
            push_record(&mut records, b"uid", self.uid.to_string().as_bytes());
        }
        if self.gid > OWNER_MAX {
            push_record(&mut records, b"gid", self.gid.to_string().as_bytes());
        }
        if self.kind != EntryKind::HardLink {
            // A link has the time of what it names; a second one would be a byte that nothing checks.
            push_record(&mut records, b"mtime", self.modified.to_string().as_bytes());
        }
        for (name, value) in &self.xattrs {
            push_record(&mut records, &xattr_key(name), value);
        }
        records
    }

    /// The header's blocks: the records with their own header, then the entry's header.
    pub fn encode(&self) -> Vec<u8> {
        let records = self.records();
        let mut out = Vec::with_capacity(1536 + records.len());
        if records.is_empty() {
            return self.block().as_bytes().to_vec();
        }
        let mut before = tar::Header::new_ustar();
        put(&mut before.as_mut_bytes()[..100], b"././@PaxHeader");
        before.set_entry_type(tar::EntryType::XHeader);
        before.set_size(records.len() as u64);
        before.set_mode(0o644);
        before.set_cksum();
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(&records);
        out.resize(out.len().next_multiple_of(512), 0);
        out.extend_from_slice(self.block().as_bytes());
        out
    }

    fn block(&self) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        let path = self.archived_path();
        if self.sparse_size.is_some() {
            // What a tar that does not know the format would extract to; GNU tar's own spelling.
            let shown = [b"GNUSparseFile.0/".as_slice(), &path].concat();
            put(&mut header.as_mut_bytes()[..100], cut(&shown));
        } else {
            put(&mut header.as_mut_bytes()[..100], cut(&path));
        }
        put(&mut header.as_mut_bytes()[157..257], cut(&self.target));
        header.set_entry_type(entry_type(self.kind));
        header.set_size(if self.body_bytes > LONG_MAX { 0 } else { self.body_bytes });
        header.set_mode(self.mode);
        header.set_uid(if self.uid > OWNER_MAX { 0 } else { u64::from(self.uid) });
        header.set_gid(if self.gid > OWNER_MAX { 0 } else { u64::from(self.gid) });
        header.set_mtime(u64::try_from(self.modified.seconds).unwrap_or(0).min(LONG_MAX));
        // Names are a courtesy: the numbers count, and a name that does not fit is left out.
        put(&mut header.as_mut_bytes()[265..297], fitting(&self.user));
        put(&mut header.as_mut_bytes()[297..329], fitting(&self.group));
        if let (Some(device), Some(ustar)) = (self.device, header.as_ustar_mut()) {
            ustar.set_device_major(device.major);
            ustar.set_device_minor(device.minor);
        }
        header.set_cksum();
        header
    }
}

fn fitting(name: &str) -> &[u8] {
    if name.len() < 32 { name.as_bytes() } else { b"" }
}
