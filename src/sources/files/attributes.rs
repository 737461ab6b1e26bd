//! Owner, mode, attributes and times of what was restored, as far as this user can set them.
//!
//! What a user cannot set is never compared and never an error; what can be set and fails is.

use super::folder::by_descriptor;
use super::header::EntryHeader;
use super::node::{MODE_BITS, is_unsupported, mode_of};
use crate::format::EntryTime;
use rustix::fs::{AtFlags, Gid, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};

/// Who restores.
#[derive(Debug, Clone, Copy)]
pub struct Restoring {
    uid: u32,
    gid: u32,
}

impl Restoring {
    /// This process.
    pub fn now() -> Self {
        Self { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }

    /// Whether owners, devices and every attribute can be set.
    pub fn privileged(self) -> bool {
        self.uid == 0
    }

    /// The mode that a restored entry gets: without its owner, a program must not gain this user's rights.
    pub fn mode(self, mode: u32, uid: u32, gid: u32) -> u32 {
        if self.privileged() || (uid, gid) == (self.uid, self.gid) { mode & MODE_BITS } else { mode & 0o1777 }
    }

    /// Whether this user can set an attribute of this name (setxattr(2) of macOS): all but the system's own.
    #[cfg(not(target_os = "linux"))]
    pub fn sets(self, name: &[u8]) -> bool {
        !labels_by_itself(name) && (self.privileged() || !name.starts_with(b"com.apple.system."))
    }

    /// Whether this user can set an attribute of this name (xattr(7)).
    #[cfg(target_os = "linux")]
    pub fn sets(self, name: &[u8]) -> bool {
        self.privileged() || name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_")
    }
}

/// Whether the system gives an attribute of this name to what is new, unasked: the labels of Linux's security modules
/// (xattr(7)), and where a Mac notes which program made a file.
pub fn labels_by_itself(name: &[u8]) -> bool {
    if cfg!(target_os = "linux") { name.starts_with(b"security.") } else { name == b"com.apple.provenance" }
}

/// What is given its attributes.
pub enum Subject<'a> {
    /// An open file or folder.
    Open(BorrowedFd<'a>),
    /// Something in an open folder that cannot be opened, such as a symbolic link.
    Named(BorrowedFd<'a>, &'a [u8]),
}

fn times(modified: EntryTime) -> Timestamps {
    let time = Timespec { tv_sec: modified.seconds, tv_nsec: i64::from(modified.nanoseconds) };
    Timestamps { last_access: time, last_modification: time }
}

impl Subject<'_> {
    fn owner(&self, uid: u32, gid: u32) -> Result<(), Errno> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match self {
            Self::Open(file) => rustix::fs::fchown(file, uid, gid),
            Self::Named(folder, name) => {
                rustix::fs::chownat(folder, *name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    fn mode(&self, mode: u32) -> Result<(), Errno> {
        let mode = mode_of(mode);
        match self {
            Self::Open(file) => rustix::fs::fchmod(file, mode),
            Self::Named(folder, name) => rustix::fs::chmodat(folder, *name, mode, AtFlags::empty()),
        }
    }

    fn xattr(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(file) => rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()),
            Self::Named(folder, own) => rustix::fs::lsetxattr(
                by_descriptor(folder.as_fd(), own)?.as_slice(),
                name,
                value,
                XattrFlags::empty(),
            ),
        }
    }

    fn modified(&self, modified: EntryTime) -> Result<(), Errno> {
        match self {
            Self::Open(file) => rustix::fs::futimens(file, &times(modified)),
            Self::Named(folder, name) => {
                rustix::fs::utimensat(folder, *name, &times(modified), AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    /// Sets everything, in the order in which one does not undo the other: a change of owner takes capabilities and
    /// set-user-id away. Names of attributes that cannot be kept here are added to `unkept`.
    pub fn apply(
        &self,
        restoring: Restoring,
        header: &EntryHeader,
        is_symlink: bool,
        unkept: &mut BTreeSet<Vec<u8>>,
    ) -> Result<(), Errno> {
        if restoring.privileged() {
            self.owner(header.uid, header.gid)?;
        }
        if !is_symlink {
            self.mode(restoring.mode(header.mode, header.uid, header.gid))?;
        }
        for (name, value) in &header.xattrs {
            if restoring.sets(name) {
                match self.xattr(name, value) {
                    Ok(()) => {}
                    Err(errno) if errno == Errno::PERM || is_unsupported(errno) => {
                        unkept.insert(name.clone());
                    }
                    Err(errno) => return Err(errno),
                }
            }
        }
        self.modified(header.modified)
    }
}
