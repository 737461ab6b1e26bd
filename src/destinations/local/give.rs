//! A set's folder given to the user who writes it, and to nobody else.
//!
//! A user can put a link wherever root is about to go, so none is followed, and a file with a second name elsewhere is
//! given to nobody.

use super::folder::{Entry, EntryKind, Folder};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, RawMode, Uid};
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

/// What lets others pass through a folder. Where the system cannot open a folder only to pass, they may list it too.
const PASSING: RawMode = if cfg!(target_os = "linux") { 0o011 } else { 0o055 };
/// The marker says nothing that is a secret, and every user of the destination must see it.
const MARKER_MODE: RawMode = 0o644;
/// The user alone.
const OWN_MODE: RawMode = 0o700;

fn mode_of(mode: RawMode) -> RawMode {
    Mode::from_raw_mode(mode).bits() & 0o7777
}

fn let_pass(folder: &Folder) -> io::Result<()> {
    let mode = mode_of(folder.own_status()?.st_mode);
    if mode & PASSING != PASSING {
        rustix::fs::fchmod(folder.as_fd(), Mode::from_bits_truncate(mode | PASSING))?;
    }
    Ok(())
}

/// Makes the folder that the names lead to, gives it and what is in it to a user, and lets that user come to it.
pub(super) fn give(root: &Folder, marker: &str, names: &[&str], (uid, gid): (u32, u32)) -> io::Result<()> {
    let Some((own, above)) = names.split_last() else { return Err(io::ErrorKind::InvalidInput.into()) };
    if uid != 0 {
        let status = root.status(marker)?.ok_or(io::ErrorKind::NotFound)?;
        if mode_of(status.st_mode) != MARKER_MODE {
            rustix::fs::chmodat(
                root.as_fd(),
                marker,
                Mode::from_bits_truncate(MARKER_MODE),
                AtFlags::empty(),
            )?;
        }
        let_pass(root)?;
    }
    let mut folder = root.descend(&[])?.ok_or(io::ErrorKind::NotFound)?;
    for name in above {
        folder.make_folder(name)?;
        folder = folder.own_folder(name)?;
        if uid != 0 {
            let_pass(&folder)?;
        }
    }
    folder.make_folder(own)?;
    let folder = folder.own_folder(own)?;
    let status = folder.own_status()?;
    if (status.st_uid, status.st_gid) != (uid, gid) {
        give_below(&folder, uid, gid)?;
        take(&folder, uid, gid)?;
    }
    if mode_of(status.st_mode) != OWN_MODE {
        rustix::fs::fchmod(folder.as_fd(), Mode::from_bits_truncate(OWN_MODE))?;
    }
    Ok(())
}

fn take(folder: &Folder, uid: u32, gid: u32) -> io::Result<()> {
    Ok(rustix::fs::fchown(folder.as_fd(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
}

/// What lies in the folder first: until the last of it is theirs, the folder itself is not, and a second try goes on.
fn give_below(folder: &Folder, uid: u32, gid: u32) -> io::Result<()> {
    for Entry { name, kind } in folder.entries()? {
        let name: &OsStr = &name;
        match kind {
            EntryKind::Folder => {
                let inner = folder.own_folder(name)?;
                give_below(&inner, uid, gid)?;
                take(&inner, uid, gid)?;
            }
            EntryKind::File => {
                // Looked at and given by one descriptor: the earlier owner may put another file under the name meanwhile.
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = rustix::fs::openat(folder.as_fd(), name, flags, Mode::empty())?;
                let status = rustix::fs::fstat(&file)?;
                let plain = rustix::fs::FileType::from_raw_mode(status.st_mode).is_file();
                if plain && status.st_nlink == 1 {
                    rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
                }
            }
            EntryKind::Link | EntryKind::Special => {}
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test looks at the files that were made")]
mod tests {
    use super::*;
    use crate::destinations::{Access, Destination, local::LocalDestination};
    use crate::format::Layout;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn folder_of_a_set_is_its_users_and_those_above_can_be_passed() {
        assert!(
            rustix::process::geteuid().is_root(),
            "only root can give folders to users: run this as root"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("root");
        let destination = LocalDestination::new(path.clone(), Access::Change);
        destination.prepare().expect("prepared");
        let layout = Layout::new("host".parse().expect("a name"));
        let prefix = layout.set(&"ledger".parse().expect("a name"));
        destination.put_new(&prefix.key("old"), &mut &b"by root"[..]).expect("room");
        std::fs::write(folder.path().join("treasure"), "").expect("a file");
        std::fs::hard_link(folder.path().join("treasure"), path.join("host/ledger/second")).expect("a name");
        symlink(folder.path().join("treasure"), path.join("host/ledger/link")).expect("a link");
        destination.give(&prefix, (4711, 4712)).expect("given");
        let seen = |name: &str| {
            let status = std::fs::symlink_metadata(path.join(name)).expect(name);
            (status.uid(), status.mode() & 0o777)
        };
        assert_eq!(seen("host/ledger"), (4711, 0o700));
        assert_eq!(seen("host/ledger/old").0, 4711);
        assert_eq!((seen("host/ledger/second").0, seen("host/ledger/link").0), (0, 0));
        assert_eq!((seen("host"), seen("")), ((0, 0o700 | PASSING), (0, 0o700 | PASSING)));
        assert_eq!(seen(super::super::MARKER), (0, 0o644));
        destination.give(&prefix, (0, 0)).expect("taken back");
        assert_eq!((seen("host/ledger").0, seen("host/ledger/old").0), (0, 0));
    }
}
