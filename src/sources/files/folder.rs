//! One open folder and its names, sorted bytewise.
//!
//! Names lie in one buffer, not each in its own: a folder may have millions of them.

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CStr;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How folders are opened: never through a symbolic link in the last name.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// How files are opened: `NONBLOCK` so that a FIFO that was swapped in does not hold us.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The names of a folder.
#[derive(Debug, Default)]
pub struct Names {
    bytes: Vec<u8>,
    spans: Vec<(u32, u32)>,
    next: usize,
}

impl Names {
    /// Names that are known without looking.
    pub fn given<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut out = Self::default();
        for name in names {
            out.push(name);
        }
        out.sorted()
    }

    /// Lists a folder.
    pub fn list(folder: BorrowedFd<'_>) -> Result<Self, Errno> {
        let mut out = Self::default();
        for entry in rustix::fs::Dir::read_from(folder)? {
            let entry = entry?;
            let name: &CStr = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                out.push(name.to_bytes());
            }
        }
        Ok(out.sorted())
    }

    fn push(&mut self, name: &[u8]) {
        let place = |at: usize| u32::try_from(at).expect("the names of one folder take less than 4 GiB");
        let from = place(self.bytes.len());
        self.bytes.extend_from_slice(name);
        self.spans.push((from, place(self.bytes.len())));
    }

    fn sorted(mut self) -> Self {
        let bytes = std::mem::take(&mut self.bytes);
        let name = |span: &(u32, u32)| &bytes[span.0 as usize..span.1 as usize];
        self.spans.sort_unstable_by(|one, other| name(one).cmp(name(other)));
        self.spans.dedup_by(|one, other| name(one) == name(other));
        self.bytes = bytes;
        self
    }

    /// Copies the next name to `name`; false at the end.
    pub fn take_next(&mut self, name: &mut Vec<u8>) -> bool {
        let Some((from, to)) = self.spans.get(self.next) else { return false };
        name.clear();
        name.extend_from_slice(&self.bytes[*from as usize..*to as usize]);
        self.next += 1;
        true
    }
}

/// Opens the root of the file system.
pub fn open_root() -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, c"/", FOLDER, Mode::empty())
}

/// Opens a folder in a folder, and fails on a symbolic link.
pub fn open_folder(parent: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, name, FOLDER, Mode::empty())
}

/// What asks for no right to list a folder (open(2)).
#[cfg(target_os = "linux")]
const UNREAD: OFlags = OFlags::PATH;
/// A Mac has no such flag that can be named here: a folder that may be passed and not listed is refused there.
#[cfg(not(target_os = "linux"))]
const UNREAD: OFlags = OFlags::empty();

/// Opens a folder on the way to a declared path, which may be reached through links as the user wrote it; `unread`
/// asks for no right to list it.
pub fn open_way(parent: impl AsFd, name: &[u8], unread: bool) -> Result<OwnedFd, Errno> {
    let flags = FOLDER.difference(OFlags::NOFOLLOW);
    let flags = if unread { flags | UNREAD } else { flags };
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Opens a file in a folder for reading, and fails on a symbolic link.
pub fn open_file(parent: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, name, FILE, Mode::empty())
}

/// A path to a name in an open folder, for the calls that take no descriptor: by the descriptor itself (proc(5)), so
/// that nobody can divert it.
#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "on a Mac the system is asked, and can refuse")]
pub fn by_descriptor(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    Ok([format!("/proc/self/fd/{}/", folder.as_raw_fd()).as_bytes(), name].concat())
}

/// A path to a name in an open folder, for the calls that take no descriptor: where the folder lies now (fcntl(2) of
/// macOS, `F_GETPATH`). Who may rename what lies above could divert it.
#[cfg(not(target_os = "linux"))]
pub fn by_descriptor(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    Ok([rustix::fs::getpath(folder)?.as_bytes(), b"/", name].concat())
}
