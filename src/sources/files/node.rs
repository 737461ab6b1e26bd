//! What the kernel says of one entry: kind, owner, times, extended attributes.
//!
//! Nothing here follows a symbolic link or opens anything.

use crate::format::{DeviceNumber, Digest, EntryKind, EntryTime};
use crate::host::stat_number;
use rustix::fs::{FileType, Mode, Stat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;

/// Permission bits with set-user-id, set-group-id and sticky.
pub const MODE_BITS: u32 = 0o7777;

/// What stat says of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    pub kind: FileType,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size_bytes: u64,
    /// Bytes that take room on the disk.
    pub stored_bytes: u64,
    pub links: u64,
    pub device: u64,
    pub inode: u64,
    pub modified: EntryTime,
    pub changed: EntryTime,
    /// Of a device node.
    pub number: DeviceNumber,
}

fn time(seconds: i64, nanoseconds: impl TryInto<u32>) -> EntryTime {
    EntryTime { seconds, nanoseconds: nanoseconds.try_into().unwrap_or(0) }
}

/// Permission bits as the system's calls take them.
#[cfg(target_os = "linux")]
pub fn mode_of(bits: u32) -> Mode {
    Mode::from_raw_mode(bits & MODE_BITS)
}

/// Permission bits as the system's calls take them: a Mac has 16 bits for them.
#[cfg(not(target_os = "linux"))]
pub fn mode_of(bits: u32) -> Mode {
    Mode::from_raw_mode(u16::try_from(bits & MODE_BITS).expect("twelve bits"))
}

/// What a system says of an extended attribute that is not there (xattr(7); getxattr(2) of macOS).
#[cfg(target_os = "linux")]
pub const NO_ATTRIBUTE: Errno = Errno::NODATA;
/// What a system says of an extended attribute that is not there (xattr(7); getxattr(2) of macOS).
#[cfg(not(target_os = "linux"))]
pub const NO_ATTRIBUTE: Errno = Errno::NOATTR;

/// Whether a file system cannot do what was asked. A Mac has two numbers for that, Linux one with two names.
pub fn is_unsupported(errno: Errno) -> bool {
    [Errno::OPNOTSUPP, Errno::NOTSUP].contains(&errno)
}

impl Node {
    /// Reads what stat gave.
    pub fn of(stat: &Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: u32::try_from(stat_number(stat.st_mode)).unwrap_or(0) & MODE_BITS,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            stored_bytes: u64::try_from(stat.st_blocks).unwrap_or(0) * 512,
            links: stat_number(stat.st_nlink),
            device: stat_number(stat.st_dev),
            inode: stat.st_ino,
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
            changed: time(stat.st_ctime, stat.st_ctime_nsec),
            number: DeviceNumber {
                major: rustix::fs::major(stat.st_rdev),
                minor: rustix::fs::minor(stat.st_rdev),
            },
        }
    }

    /// Whether a file stayed the same between two looks at it: size, content time and status time.
    pub fn same_content(&self, later: &Self) -> bool {
        (self.size_bytes, self.modified, self.changed) == (later.size_bytes, later.modified, later.changed)
    }

    /// The kind in an index; none for a socket and for what the kernel does not name.
    pub fn entry_kind(&self) -> Option<EntryKind> {
        match self.kind {
            FileType::RegularFile => Some(EntryKind::File),
            FileType::Directory => Some(EntryKind::Folder),
            FileType::Symlink => Some(EntryKind::Symlink),
            FileType::Fifo => Some(EntryKind::Fifo),
            FileType::CharacterDevice => Some(EntryKind::CharacterDevice),
            FileType::BlockDevice => Some(EntryKind::BlockDevice),
            FileType::Socket | FileType::Unknown => None,
        }
    }
}

/// Extended attributes by name, which is any bytes but NUL.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Whose attributes are asked for.
pub enum XattrsOf<'a> {
    /// An open file or folder.
    Open(BorrowedFd<'a>),
    /// What cannot be opened, by a path whose last name is not followed.
    Path(&'a [u8]),
}

impl XattrsOf<'_> {
    fn list(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(file) => rustix::fs::flistxattr(file, buffer),
            Self::Path(path) => rustix::fs::llistxattr(*path, buffer),
        }
    }

    fn get(&self, name: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(file) => rustix::fs::fgetxattr(file, name, buffer),
            Self::Path(path) => rustix::fs::lgetxattr(*path, name, buffer),
        }
    }

    /// All of them; empty where the file system keeps none.
    pub fn read(&self) -> io::Result<Xattrs> {
        let mut found = Xattrs::new();
        let mut small = [0_u8; 1024];
        let names = match self.list(&mut small) {
            Ok(0) => return Ok(found),
            Err(errno) if is_unsupported(errno) => return Ok(found),
            Ok(length) => small[..length].to_vec(),
            Err(Errno::RANGE) => whole(|buffer| self.list(buffer))?,
            Err(errno) => return Err(errno.into()),
        };
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            match whole(|buffer| self.get(name, buffer)) {
                Ok(value) => {
                    found.insert(name.to_vec(), value);
                }
                // It went away since it was listed.
                Err(NO_ATTRIBUTE) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(found)
    }
}

/// Asks again with a larger buffer until the answer fits; Linux keeps at most 64 KiB a list or a value (xattr(7)).
fn whole(ask: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0_u8; 256];
    loop {
        match ask(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 8, 0),
            Err(errno) => return Err(errno),
        }
    }
}

/// The attributes as an index keeps them.
pub fn xattr_digests(xattrs: &Xattrs) -> BTreeMap<String, Digest> {
    xattrs.iter().map(|(name, value)| (xattr_name_text(name), Digest::of(value))).collect()
}

/// A name as text: all but graphic ASCII, `%` and `=` percent-encoded.
pub fn xattr_name_text(name: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'%' && byte != b'=';
    name.iter()
        .map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A path for people: one line, whatever bytes are in it.
pub fn shown(path: &[u8]) -> String {
    let mut out = String::new();
    for character in String::from_utf8_lossy(path).chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Makes a FIFO or a device.
#[cfg(target_os = "linux")]
pub fn special_node(
    parent: BorrowedFd<'_>,
    name: &[u8],
    kind: FileType,
    device: Option<DeviceNumber>,
) -> Result<(), Errno> {
    let number = device.map_or(0, |device| rustix::fs::makedev(device.major, device.minor));
    rustix::fs::mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, number)
}

/// A Mac has no call to make a FIFO in an open folder that can be named here, and its devices are nobody's to make:
/// these are left out and counted, and a FIFO is an error.
#[cfg(not(target_os = "linux"))]
pub fn special_node(
    _parent: BorrowedFd<'_>,
    _name: &[u8],
    kind: FileType,
    _device: Option<DeviceNumber>,
) -> Result<(), Errno> {
    Err(if kind == FileType::Fifo { Errno::NOTSUP } else { Errno::PERM })
}
