//! An open folder and its entries.
//!
//! Every step goes through the folder's descriptor and never again through its path, so that a file system that is
//! mounted or unmounted meanwhile cannot divert it.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
#[cfg(target_os = "linux")]
use rustix::fs::{RawDir, SeekFrom};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Room for what one call of getdents64(2) gives.
#[cfg(target_os = "linux")]
const LISTING_BYTES: usize = 32 << 10;

/// What an entry is, a symbolic link not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Folder,
    Link,
    Special,
}

impl EntryKind {
    fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            _ => Self::Special,
        }
    }
}

/// A name in a folder.
#[derive(Debug)]
pub(super) struct Entry {
    pub name: OsString,
    pub kind: EntryKind,
}

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
}

const FOLDER_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a folder for reading, or, where that is not allowed, for passing through: above a user's own folder lie
/// those of root, whose names are nobody's business.
fn passable(open: impl Fn(OFlags) -> rustix::io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    match open(FOLDER_FLAGS) {
        #[cfg(target_os = "linux")]
        Err(Errno::ACCESS) => Ok(open(FOLDER_FLAGS | OFlags::PATH)?),
        other => Ok(other?),
    }
}

impl Folder {
    /// Opens a path.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { fd: passable(|flags| rustix::fs::open(path, flags, Mode::empty()))? })
    }

    /// Opens a folder in this one.
    pub fn folder(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = name.as_ref();
        Ok(Self { fd: passable(|flags| rustix::fs::openat(&self.fd, name, flags, Mode::empty()))? })
    }

    /// Opens a folder in this one, a symbolic link not followed.
    pub fn own_folder(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let flags = FOLDER_FLAGS | OFlags::NOFOLLOW;
        Ok(Self { fd: rustix::fs::openat(&self.fd, name.as_ref(), flags, Mode::empty())? })
    }

    /// Status of the folder itself.
    pub fn own_status(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.fd)?)
    }

    /// Opens the folder that the names lead to; none when there is no such folder.
    pub fn descend(&self, names: &[&str]) -> io::Result<Option<Self>> {
        let mut folder = Self { fd: self.fd.try_clone()? };
        for name in names {
            folder = match folder.folder(name) {
                Ok(next) => next,
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        Ok(Some(folder))
    }

    /// Creates a folder in this one, for its owner only, durably; false when it was there.
    pub fn make_folder(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) => self.sync().map(|()| true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Creates a file that must be new.
    pub fn create_new(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Opens a regular file by a path below this folder; none when nothing of that kind is there.
    pub fn file(&self, path: &str) -> io::Result<Option<File>> {
        // Without NONBLOCK the opening of a FIFO would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.fd, path, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NXIO) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        Ok(file.metadata()?.is_file().then_some(file))
    }

    /// Status of what a path below this folder leads to; none when nothing is there.
    pub fn status(&self, path: impl AsRef<OsStr>) -> io::Result<Option<Stat>> {
        self.status_with(path.as_ref(), AtFlags::empty())
    }

    /// Whether anything, be it a dead link, has the name.
    pub fn has(&self, path: &str) -> io::Result<bool> {
        Ok(self.status_with(OsStr::new(path), AtFlags::SYMLINK_NOFOLLOW)?.is_some())
    }

    fn status_with(&self, path: &OsStr, flags: AtFlags) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.fd, path, flags) {
            Ok(status) => Ok(Some(status)),
            // A link that leads back to itself is as dead as one that leads nowhere.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The entries, in no order. Asks the system for nothing but the names and kinds where the file system tells both.
    #[cfg(not(target_os = "linux"))]
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        // It opens the folder anew, so no earlier listing has moved its position.
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                entries.extend(self.entry(name, entry.file_type())?);
            }
        }
        Ok(entries)
    }

    /// The entries, in no order. Asks the system for nothing but the names and kinds where the file system tells both.
    #[cfg(target_os = "linux")]
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut buffer = Vec::with_capacity(LISTING_BYTES);
        // The descriptor's position may have been moved by an earlier listing.
        match rustix::fs::seek(&self.fd, SeekFrom::Start(0)) {
            // It could only be opened for passing through.
            Err(Errno::BADF) => return Err(Errno::ACCESS.into()),
            moved => moved?,
        };
        let mut listing = RawDir::new(&self.fd, buffer.spare_capacity_mut());
        while let Some(entry) = listing.next() {
            let entry = match entry {
                // The folder itself was removed after it was opened: it has no entries.
                Err(Errno::NOENT) => break,
                entry => entry?,
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            entries.extend(self.entry(name, entry.file_type())?);
        }
        Ok(entries)
    }

    /// An entry as it was listed; none when it went away before its kind, which was not told, could be asked for.
    fn entry(&self, name: &OsStr, kind: FileType) -> io::Result<Option<Entry>> {
        let kind = match kind {
            FileType::Unknown => match self.status_with(name, AtFlags::SYMLINK_NOFOLLOW)? {
                Some(status) => EntryKind::of(FileType::from_raw_mode(status.st_mode)),
                None => return Ok(None),
            },
            kind => EntryKind::of(kind),
        };
        Ok(Some(Entry { name: name.to_owned(), kind }))
    }

    /// Removes a file.
    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name.as_ref(), AtFlags::empty())?)
    }

    /// Removes a folder if it is empty; false when it is not, or is no folder, or is gone, or when the folder that
    /// holds it is another user's: an empty folder that stays is no object.
    pub fn remove_empty_folder(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        match rustix::fs::unlinkat(&self.fd, name.as_ref(), AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(
                Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::NOENT | Errno::BUSY | Errno::ACCESS,
            ) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes the names durable (fsync(2) of the folder).
    #[cfg(target_os = "linux")]
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// Makes the names durable: fsync(2) of macOS leaves them in the drive, `F_FULLFSYNC` (fcntl(2)) does not. Where a
    /// file system cannot do that for a folder, fsync is all there is.
    #[cfg(not(target_os = "linux"))]
    pub fn sync(&self) -> io::Result<()> {
        match rustix::fs::fcntl_fullfsync(&self.fd) {
            Err(Errno::NOTSUP | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOTTY) => {
                Ok(rustix::fs::fsync(&self.fd)?)
            }
            done => Ok(done?),
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether an error says that nothing is there.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
