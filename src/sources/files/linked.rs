//! Declared paths that are links to folders: the data is in the set only where the folder itself is read.

use super::super::SourceError;
use super::node::shown;
use rustix::fs::{AtFlags, CWD, FileType};

/// One of them, whose folder was not read so far.
#[derive(Debug)]
pub struct Linked {
    path: Vec<u8>,
    folder: (u64, u64),
}

impl Linked {
    /// A link to a folder; none of anything else, and of what is not there.
    pub fn of(path: &[u8]) -> Option<Self> {
        let link = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let there = rustix::fs::statat(CWD, path, AtFlags::empty()).ok()?;
        let is = |stat: &rustix::fs::Stat, kind| FileType::from_raw_mode(stat.st_mode) == kind;
        let to_folder = is(&link, FileType::Symlink) && is(&there, FileType::Directory);
        let there = super::node::Node::of(&there);
        to_folder.then(|| Self { path: path.to_owned(), folder: (there.device, there.inode) })
    }

    /// Whether it leads to a folder, by its device and inode.
    pub fn leads_to(&self, folder: (u64, u64)) -> bool {
        self.folder == folder
    }

    /// A link's target, which may be relative to the folder that the link is in.
    fn absolute(&self, target: &[u8]) -> Vec<u8> {
        if target.starts_with(b"/") {
            return target.to_owned();
        }
        let folder = self.path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        [&self.path[..folder], target].concat()
    }

    /// What is said of it when its folder was not read.
    pub fn error(&self) -> SourceError {
        let target = rustix::fs::readlinkat(CWD, self.path.as_slice(), Vec::new());
        let target =
            target.map_or_else(|_| "elsewhere".to_owned(), |it| shown(&self.absolute(it.as_bytes())));
        SourceError::LinkedAway { object: shown(&self.path), target }
    }
}
