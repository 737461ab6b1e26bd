//! Compares what lies on disk with an index, entry by entry.
//!
//! Only what this user could not restore is left out of the comparison; content never is.

use super::attributes::{Restoring, labels_by_itself};
use super::extract::{Extracted, count, no_counts};
use super::folder::{Names, by_descriptor, open_file, open_folder};
use super::node::{Node, XattrsOf, mode_of, shown, xattr_digests, xattr_name_text};
use crate::format::{Counts, Digest, EntryKind, IndexEntry};
use crate::host::pulse;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use sha2::Digest as _;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Differences that are told in words; of the rest only the number.
const TOLD: usize = 5;

/// What differs.
#[derive(Debug, Default)]
pub struct Differences {
    told: Vec<String>,
    count: u64,
}

impl Differences {
    /// Adds one.
    pub fn add(&mut self, path: &[u8], what: impl AsRef<str>) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("`{}` {}", shown(path), what.as_ref()));
        }
    }

    /// One line; none when nothing differs.
    pub fn told(&self) -> Option<String> {
        let more = self.count.saturating_sub(self.told.len() as u64);
        let list = self.told.join("; ");
        match (self.count, more) {
            (0, _) => None,
            (1, _) => Some(list),
            (count, 0) => Some(format!("{count} entries: {list}")),
            (count, more) => Some(format!("{count} entries: {list}; and {more} more")),
        }
    }
}

/// A failure to look at what was restored.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` could not be read again")]
pub struct LookError {
    pub path: String,
    #[source]
    pub error: io::Error,
}

/// The folders on the way to a path, open.
struct Descent {
    root: OwnedFd,
    levels: Vec<(Vec<u8>, OwnedFd)>,
}

impl Descent {
    /// The folder that holds a path and the path's last name.
    fn parent<'p>(&mut self, path: &'p [u8]) -> Result<(&OwnedFd, &'p [u8]), Errno> {
        let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&path[..0], path),
        };
        let holds = |above: &[u8]| {
            folder.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        while self.levels.last().is_some_and(|(above, _)| !holds(above)) {
            self.levels.pop();
        }
        loop {
            let (above, open) =
                self.levels.last().map_or((&b""[..], &self.root), |(path, open)| (path, open));
            let rest = folder[above.len()..].strip_prefix(b"/").unwrap_or(&folder[above.len()..]);
            if rest.is_empty() {
                break;
            }
            let next = rest.split(|byte| *byte == b'/').next().unwrap_or(rest);
            let reached = folder[..folder.len() - rest.len() + next.len()].to_vec();
            let opened = open_folder(open, next)?;
            self.levels.push((reached, opened));
        }
        Ok((self.levels.last().map_or(&self.root, |(_, open)| open), name))
    }
}

/// A comparison that is going on.
pub struct Comparison<'a> {
    extracted: &'a Extracted,
    restoring: Restoring,
    unkept: BTreeSet<String>,
    descent: Descent,
    targets: Descent,
    devices_missing: u64,
    counts: BTreeMap<&'static str, u64>,
    pub differences: Differences,
}

impl<'a> Comparison<'a> {
    /// Compares what lies in this folder.
    pub fn new(extracted: &'a Extracted, folder: &OwnedFd) -> io::Result<Self> {
        let descent = || folder.try_clone().map(|root| Descent { root, levels: Vec::new() });
        Ok(Self {
            extracted,
            restoring: Restoring::now(),
            unkept: extracted.unkept.iter().map(|name| xattr_name_text(name)).collect(),
            descent: descent()?,
            targets: descent()?,
            devices_missing: 0,
            counts: no_counts(),
            differences: Differences::default(),
        })
    }

    /// What was found on disk and is as it was.
    pub fn counts(&self) -> Counts {
        Counts(self.counts.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect())
    }

    /// Compares one entry.
    pub fn entry(&mut self, entry: &IndexEntry) -> Result<(), LookError> {
        let path = entry.path.as_os_str().as_bytes();
        let looked = self.descent.parent(path).and_then(|(parent, name)| {
            let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok((parent.try_clone(), name, Node::of(&stat)))
        });
        let (parent, name, node) = match looked {
            Ok((Ok(parent), name, node)) => (parent, name, node),
            Ok((Err(error), ..)) => return Err(LookError { path: shown(path), error }),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                self.missing(entry, path);
                return Ok(());
            }
            Err(errno) => return Err(LookError { path: shown(path), error: errno.into() }),
        };
        count(&mut self.counts, entry.kind, if entry.kind == EntryKind::File { node.size_bytes } else { 0 });
        let differences = self
            .differing(entry, &parent, name, &node)
            .map_err(|error| LookError { path: shown(path), error })?;
        if !differences.is_empty() {
            self.differences.add(path, differences.join(", "));
        }
        Ok(())
    }

    fn missing(&mut self, entry: &IndexEntry, path: &[u8]) {
        let is_device = matches!(entry.kind, EntryKind::CharacterDevice | EntryKind::BlockDevice);
        if is_device && self.devices_missing < self.extracted.devices_left_out {
            // This user cannot make it; that the archive has it was seen when it was extracted.
            self.devices_missing += 1;
            count(&mut self.counts, entry.kind, 0);
        } else {
            self.differences.add(path, "is missing");
        }
    }

    fn differing(
        &mut self,
        entry: &IndexEntry,
        parent: &OwnedFd,
        name: &[u8],
        node: &Node,
    ) -> io::Result<Vec<String>> {
        if entry.kind == EntryKind::HardLink {
            return Ok(self.hard_link(entry, node));
        }
        if node.entry_kind() != Some(entry.kind) {
            return Ok(vec![format!("is no {}", entry.kind.word())]);
        }
        let mut differences = Vec::new();
        let is_symlink = entry.kind == EntryKind::Symlink;
        let mode = self.restoring.mode(entry.mode, entry.uid, entry.gid);
        if !is_symlink && node.mode != mode {
            differences.push(format!("has mode {:04o} instead of {mode:04o}", node.mode));
        }
        if self.restoring.privileged() && (node.uid, node.gid) != (entry.uid, entry.gid) {
            differences
                .push(format!("belongs to {}:{} instead of {}:{}", node.uid, node.gid, entry.uid, entry.gid));
        }
        if node.modified != entry.modified {
            differences.push(format!("has the time {} instead of {}", node.modified, entry.modified));
        }
        if entry.device.is_some_and(|number| number != node.number) {
            differences.push("has another device number".to_owned());
        }
        if is_symlink {
            let target = rustix::fs::readlinkat(parent, name, Vec::new())?;
            if Some(target.as_bytes()) != entry.target.as_ref().map(|target| target.as_os_str().as_bytes()) {
                differences.push("leads elsewhere".to_owned());
            }
        }
        self.unlock(parent, name, node)?;
        differences.extend(Self::content(entry, parent, name, node)?);
        differences.extend(self.attributes(entry, parent, name)?);
        Ok(differences)
    }

    /// Lets this user into what was restored without a right for its own owner; the superuser needs none.
    fn unlock(&self, parent: &OwnedFd, name: &[u8], node: &Node) -> io::Result<()> {
        let needed = match node.entry_kind() {
            Some(EntryKind::File) => 0o400,
            Some(EntryKind::Folder) => 0o700,
            _ => return Ok(()),
        };
        if !self.restoring.privileged() && node.mode & needed != needed {
            rustix::fs::chmodat(parent, name, mode_of(node.mode | needed), AtFlags::empty())?;
        }
        Ok(())
    }

    fn content(entry: &IndexEntry, parent: &OwnedFd, name: &[u8], node: &Node) -> io::Result<Option<String>> {
        if entry.kind != EntryKind::File {
            return Ok(None);
        }
        if node.size_bytes != entry.size_bytes {
            return Ok(Some(format!("has {} bytes instead of {}", node.size_bytes, entry.size_bytes)));
        }
        let digest = digest_of(File::from(open_file(parent, name)?))?;
        Ok((Some(digest) != entry.sha256).then(|| "has other content".to_owned()))
    }

    fn hard_link(&mut self, entry: &IndexEntry, node: &Node) -> Vec<String> {
        let target = entry.target.as_ref().map(|target| target.as_os_str().as_bytes()).unwrap_or_default();
        let same = self.targets.parent(target).and_then(|(parent, name)| {
            let stat = Node::of(&rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?);
            Ok((stat.device, stat.inode) == (node.device, node.inode))
        });
        if same == Ok(true) { Vec::new() } else { vec![format!("is no other name of `{}`", shown(target))] }
    }

    fn attributes(&self, entry: &IndexEntry, parent: &OwnedFd, name: &[u8]) -> io::Result<Option<String>> {
        let path = by_descriptor(parent.as_fd(), name)?;
        let found = xattr_digests(&XattrsOf::Path(&path).read()?);
        let compared = |name: &str| self.restoring.sets(name.as_bytes()) && !self.unkept.contains(name);
        let unasked = |name: &str| labels_by_itself(name.as_bytes()) && !entry.xattrs.contains_key(name);
        let names: BTreeSet<&String> = entry.xattrs.keys().chain(found.keys()).collect();
        let differing: Vec<&str> = names
            .into_iter()
            .filter(|name| compared(name) && !unasked(name) && entry.xattrs.get(*name) != found.get(*name))
            .map(String::as_str)
            .collect();
        Ok((!differing.is_empty()).then(|| format!("differs in its attributes {}", differing.join(" "))))
    }
}

fn digest_of(mut file: File) -> io::Result<Digest> {
    let mut digest = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Digest::from_bytes(digest.finalize().into())),
            Ok(count) => {
                pulse::beat();
                digest.update(&buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What is done about each path: the path, its folder, its last name, and what it is.
pub type Seen<'a> = dyn FnMut(&[u8], &OwnedFd, &[u8], &Node) -> Result<(), Errno> + 'a;

/// Walks everything in a folder, depth first, and calls with each path; no order between names is promised.
pub fn each(folder: &OwnedFd, seen: &mut Seen<'_>) -> Result<(), Errno> {
    let mut levels = vec![(folder.try_clone().map_err(|_| Errno::MFILE)?, Names::list(folder.as_fd())?, 0)];
    let (mut path, mut name) = (Vec::new(), Vec::new());
    while let Some((open, names, length)) = levels.last_mut() {
        if !names.take_next(&mut name) {
            levels.pop();
            continue;
        }
        path.truncate(*length);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        let node = Node::of(&rustix::fs::statat(&*open, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?);
        seen(&path, open, &name, &node)?;
        if node.entry_kind() == Some(EntryKind::Folder) {
            let below = open_folder(&*open, &name)?;
            let names = Names::list(below.as_fd())?;
            levels.push((below, names, path.len()));
        }
    }
    Ok(())
}

/// A path's number in a set that must stay small; used only to name what is too much.
pub fn path_number(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// Adds what is on disk and not in the index.
pub fn add_extra(
    folder: &OwnedFd,
    known: &HashSet<u64>,
    extracted: &Extracted,
    differences: &mut Differences,
) -> Result<(), Errno> {
    each(folder, &mut |path, _, _, _| {
        if !known.contains(&path_number(path)) && !extracted.implicit.contains(path) {
            differences.add(path, "is not in the index");
        }
        Ok(())
    })
}
