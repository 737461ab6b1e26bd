//! Root at work in folders that belong to somebody else.
//!
//! The owner can put a link wherever root is about to write, so no link is ever followed here, and nothing is given
//! away that was not made here or did not belong to the same user before.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Creates a folder where it is missing, and gives it an owner (user id, group id) and a mode. Its parent must exist.
pub(super) fn own_folder(path: &Path, owner: Option<(u32, u32)>, mode: u32) -> io::Result<()> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let folder = File::from(rustix::fs::open(path, FOLDER, Mode::empty())?);
    let status = folder.metadata()?;
    if let Some((uid, gid)) = owner
        && (status.uid(), status.gid()) != (uid, gid)
    {
        fchown(&folder, Some(uid), Some(gid))?;
    }
    if status.mode() & 0o7777 != mode {
        folder.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Opens, or makes, a small file in a folder in another user's folder. What is made belongs to the owner of `base`.
/// The folders above `base` must be root's.
pub fn open_anothers(base: &Path, folder: &OsStr, name: &OsStr) -> io::Result<File> {
    let base = File::from(rustix::fs::open(base, FOLDER, Mode::empty())?);
    let owner = base.metadata()?;
    let made = match rustix::fs::mkdirat(&base, folder, Mode::RWXU) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(errno.into()),
    };
    let inner = File::from(rustix::fs::openat(&base, folder, FOLDER, Mode::empty())?);
    if made {
        fchown(&inner, Some(owner.uid()), Some(owner.gid()))?;
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(&inner, name, flags, Mode::RUSR | Mode::WUSR)?);
    let status = file.metadata()?;
    let plain = status.is_file() && status.nlink() == 1;
    let theirs = status.uid() == owner.uid();
    let fresh = status.uid() == rustix::process::geteuid().as_raw() && status.size() == 0;
    if !plain || !(theirs || fresh) {
        let text = "it is no plain file of the folder's owner";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if !theirs {
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(file)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test looks at the files that were made")]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const OWNER: u32 = 4711;

    fn base() -> (tempfile::TempDir, std::path::PathBuf) {
        assert!(
            rustix::process::geteuid().is_root(),
            "only root can give folders to users: run this as root"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path().join("app");
        own_folder(&base, Some((OWNER, OWNER)), 0o700).expect("a folder");
        (folder, base)
    }

    fn lock(base: &Path) -> io::Result<File> {
        open_anothers(base, "locks".as_ref(), "set.lock".as_ref())
    }

    #[test]
    fn folder_gets_its_owner_and_mode_and_a_link_is_refused() {
        let (folder, base) = base();
        let status = std::fs::metadata(&base).expect("there");
        assert_eq!((status.uid(), status.gid(), status.mode() & 0o7777), (OWNER, OWNER, 0o700));
        own_folder(&base, None, 0o711).expect("a mode");
        let status = std::fs::metadata(&base).expect("there");
        assert_eq!((status.uid(), status.mode() & 0o7777), (OWNER, 0o711));
        symlink("/", folder.path().join("link")).expect("a link");
        assert!(own_folder(&folder.path().join("link"), Some((OWNER, OWNER)), 0o700).is_err());
        assert_eq!(std::fs::metadata("/").expect("there").uid(), 0);
    }

    #[test]
    fn what_root_makes_in_anothers_folder_is_theirs() {
        let (_folder, base) = base();
        for _ in 0..2 {
            lock(&base).expect("a file");
            for path in [base.join("locks"), base.join("locks/set.lock")] {
                assert_eq!(std::fs::metadata(&path).expect("there").uid(), OWNER, "{}", path.display());
            }
        }
    }

    #[test]
    fn links_of_the_owner_lead_root_nowhere() {
        let (folder, base) = base();
        let treasure = folder.path().join("treasure");
        std::fs::write(&treasure, "").expect("a file");
        let locks = base.join("locks");
        std::fs::create_dir(&locks).expect("a folder");
        symlink(&treasure, locks.join("set.lock")).expect("a link");
        assert!(lock(&base).is_err());
        std::fs::remove_file(locks.join("set.lock")).expect("removed");
        std::fs::hard_link(&treasure, locks.join("set.lock")).expect("a second name");
        assert!(lock(&base).is_err());
        std::fs::remove_dir_all(&locks).expect("removed");
        symlink(folder.path(), &locks).expect("a link");
        assert!(lock(&base).is_err());
        assert!(!folder.path().join("set.lock").exists());
        assert_eq!(std::fs::metadata(&treasure).expect("there").uid(), 0);
    }
}
