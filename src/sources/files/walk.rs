//! Walks what a selection names and writes each entry once, in bytewise order.
//!
//! Each folder is opened relative to the one above and never through a symbolic link, except on the way to a declared
//! path, which leads where the user said. The names of the folders on the way down are in memory, never a whole tree.
//! A failure ends the walk: an archive that lacks what was declared must not come to its end.

use super::super::{SourceError, refused};
use super::chunks::Stopped;
use super::folder::{Names, open_file, open_folder, open_root, open_way};
use super::linked::Linked;
use super::node::{Node, shown};
use super::producer::Producer;
use super::selection::{Position, Selection, Step};
use crate::host::pulse;
use rustix::fs::{AtFlags, CWD, FileType};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What begins a valid CACHEDIR.TAG (<https://bford.info/cachedir/>).
const CACHE_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";
const CACHE_TAG: &[u8] = b"CACHEDIR.TAG";

/// Why the walk ended early.
#[derive(Debug)]
pub enum End {
    /// The source failed.
    Source(SourceError),
    /// Nobody reads the stream any more.
    Stopped,
}

impl From<SourceError> for End {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<Stopped> for End {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// A failure of the operating system at a path.
pub fn failed(path: &[u8], errno: Errno) -> SourceError {
    let object = shown(path);
    match errno {
        Errno::ACCESS | Errno::PERM => refused(object, errno.into()),
        Errno::LOOP | Errno::NOTDIR => SourceError::Read {
            object,
            error: io::Error::other("it was replaced by something else while the folder was read"),
        },
        other => SourceError::Read { object, error: other.into() },
    }
}

/// A folder that is being read.
struct Frame {
    folder: OwnedFd,
    names: Names,
    path_bytes: usize,
    depth: usize,
    taken: bool,
    position: Position,
    device: u64,
}

/// A name that was found in a folder.
struct Found<'a> {
    parent: &'a OwnedFd,
    name: &'a [u8],
    depth: usize,
    node: Node,
}

/// What to do about a path.
struct Verdict {
    taken: bool,
    /// A declared path or a plain glob's match: may lie on any file system.
    own: bool,
    below: Position,
}

impl Verdict {
    fn of(selection: &Selection, step: Step, inherited: bool, excluded: bool) -> Self {
        let own = !excluded
            && (!step.here.literals.is_empty()
                || step.here.globs.iter().any(|number| !selection.globs[*number].recursive));
        let mut below = step.below;
        if excluded {
            // Only what is named in full is taken from a folder that is left out.
            below.globs.clear();
        }
        Self { taken: !excluded && (inherited || !step.here.is_empty()), own, below }
    }
}

impl Producer {
    /// Walks everything.
    pub fn walk(&mut self) -> Result<(), End> {
        self.path = b"/".to_vec();
        let root = open_root().map_err(|errno| failed(b"/", errno))?;
        let node = Node::of(&rustix::fs::fstat(&root).map_err(|errno| failed(b"/", errno))?);
        let selection = self.selection.clone();
        let step = selection.step(&selection.everywhere(), b"/", 0);
        let found = Found { parent: &root, name: b".", depth: 0, node };
        let mut frames: Vec<Frame> = self.consider(&found, step, false, None)?.into_iter().collect();
        let mut name = Vec::new();
        while let Some(frame) = frames.last_mut() {
            self.check_stopped()?;
            pulse::beat();
            if !frame.names.take_next(&mut name) {
                frames.pop();
                continue;
            }
            self.path.truncate(frame.path_bytes);
            if frame.path_bytes > 1 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&name);
            if let Some(next) = self.visit(frame, &name)? {
                frames.push(next);
            }
        }
        self.check_roots().map_err(End::from)
    }

    fn visit(&mut self, frame: &Frame, name: &[u8]) -> Result<Option<Frame>, End> {
        let stat = match rustix::fs::statat(&frame.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => {
                // A declared path that is not there is found missing at the end.
                if frame.taken {
                    self.vanished();
                }
                return Ok(None);
            }
            Err(errno) => return Err(failed(&self.path, errno).into()),
        };
        let depth = frame.depth + 1;
        let step = if frame.position.is_empty() {
            Step::default()
        } else {
            self.selection.step(&frame.position, &self.path, depth)
        };
        let found = Found { parent: &frame.folder, name, depth, node: Node::of(&stat) };
        self.consider(&found, step, frame.taken, Some(frame.device))
    }

    /// Writes what is found where it is selected, and opens it where there is more below.
    fn consider(
        &mut self,
        found: &Found<'_>,
        step: Step,
        inherited: bool,
        device: Option<u64>,
    ) -> Result<Option<Frame>, End> {
        let is_folder = found.node.kind == FileType::Directory;
        let excluded = self.selection.excluded(&self.path, is_folder);
        let (here, nearest) = (step.here.clone(), step.here.literals.first().copied());
        let verdict = Verdict::of(&self.selection, step, inherited, excluded);
        if !verdict.taken && verdict.below.is_empty() {
            return Ok(None);
        }
        if is_folder {
            let frame = self.enter(found, &verdict, device)?;
            if verdict.taken && frame.is_some() {
                self.mark(&here);
            }
            return Ok(frame);
        }
        let leads_on = found.node.kind == FileType::Symlink && !verdict.below.literals.is_empty();
        if verdict.taken {
            if leads_on {
                return Err(SourceError::Read {
                    object: shown(&self.path),
                    error: io::Error::other(
                        "a declared path leads through this symbolic link, which is itself declared: declare what it leads to",
                    ),
                }
                .into());
            }
            if nearest.is_some() {
                self.check_literal(&found.node)?;
            }
            if self.leaf(found.parent, found.name, &found.node)? {
                self.mark(&here);
            }
            return Ok(None);
        }
        if found.node.kind == FileType::Symlink {
            return self.follow_way(found, verdict.below);
        }
        Ok(None)
    }

    /// A literal that is not what people think it is.
    fn check_literal(&mut self, node: &Node) -> Result<(), SourceError> {
        if node.kind == FileType::Symlink && Linked::of(&self.path).is_none() {
            rustix::fs::statat(CWD, self.path.as_slice(), AtFlags::empty())
                .map_err(|errno| failed(&self.path, errno))?;
            let warning = format!(
                "`{}` is a symbolic link: it is kept as one, without what it leads to",
                shown(&self.path)
            );
            self.warn(warning);
        }
        if node.kind == FileType::Socket {
            return Err(SourceError::Read {
                object: shown(&self.path),
                error: io::Error::other("it is a socket, which holds no data"),
            });
        }
        Ok(())
    }

    /// Goes through a link on the way to a declared path.
    fn follow_way(&mut self, found: &Found<'_>, mut below: Position) -> Result<Option<Frame>, End> {
        below.globs.retain(|number| found.depth <= self.selection.globs[*number].prefix_depth);
        if below.is_empty() {
            return Ok(None);
        }
        let folder = match open_way(found.parent, found.name, below.globs.is_empty()) {
            Ok(folder) => folder,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(failed(&self.path, errno).into()),
        };
        let node = Node::of(&rustix::fs::fstat(&folder).map_err(|errno| failed(&self.path, errno))?);
        self.frame(folder, found.depth, false, below, node.device).map(Some)
    }

    fn enter(
        &mut self,
        found: &Found<'_>,
        verdict: &Verdict,
        device: Option<u64>,
    ) -> Result<Option<Frame>, End> {
        let only_way = !verdict.taken && verdict.below.globs.is_empty();
        let opened = if only_way {
            open_way(found.parent, found.name, true)
        } else {
            open_folder(found.parent, found.name)
        };
        let folder = match opened {
            Ok(folder) => folder,
            Err(Errno::NOENT) => {
                if verdict.taken {
                    self.vanished();
                }
                return Ok(None);
            }
            Err(errno) => return Err(failed(&self.path, errno).into()),
        };
        let node = Node::of(&rustix::fs::fstat(&folder).map_err(|errno| failed(&self.path, errno))?);
        if (node.device, node.inode) == self.scratch {
            return Ok(None);
        }
        let mut below = verdict.below.clone();
        let crosses = self.selection.one_file_system
            && !verdict.own
            && device.is_some_and(|above| above != node.device);
        let mut content = verdict.taken;
        if crosses {
            content = false;
            below.globs.retain(|number| {
                let glob = &self.selection.globs[*number];
                !glob.recursive || found.depth <= glob.prefix_depth
            });
        }
        if verdict.taken {
            self.folder_entry(&folder, &node)?;
        }
        if content && self.selection.exclude_caches && is_cache(&folder) {
            below.globs.clear();
            let names = Names::given(self.selection.next_names(&below, &self.path));
            return self.cache_frame(folder, found.depth, names, below, node.device);
        }
        if !content && below.is_empty() {
            // Entered for its own entry only.
            let names = Names::default();
            return Ok(Some(Frame {
                folder,
                names,
                path_bytes: self.path.len(),
                depth: found.depth,
                taken: false,
                position: below,
                device: node.device,
            }));
        }
        if content {
            self.linked.retain(|it| !it.leads_to((node.device, node.inode)));
        }
        self.frame(folder, found.depth, content, below, node.device).map(Some)
    }

    /// A cache folder: its tag is kept, and what is declared in full.
    fn cache_frame(
        &mut self,
        folder: OwnedFd,
        depth: usize,
        names: Names,
        position: Position,
        device: u64,
    ) -> Result<Option<Frame>, End> {
        let path_bytes = self.path.len();
        let stat = rustix::fs::statat(&folder, CACHE_TAG, AtFlags::SYMLINK_NOFOLLOW);
        self.path.push(b'/');
        self.path.extend_from_slice(CACHE_TAG);
        match stat {
            Ok(stat) => {
                self.leaf(&folder, CACHE_TAG, &Node::of(&stat))?;
            }
            Err(Errno::NOENT) => self.vanished(),
            Err(errno) => return Err(failed(&self.path, errno).into()),
        }
        self.path.truncate(path_bytes);
        Ok(Some(Frame { folder, names, path_bytes, depth, taken: false, position, device }))
    }

    fn frame(
        &mut self,
        folder: OwnedFd,
        depth: usize,
        taken: bool,
        position: Position,
        device: u64,
    ) -> Result<Frame, End> {
        let names = if taken || !position.globs.is_empty() {
            Names::list(folder.as_fd()).map_err(|errno| failed(&self.path, errno))?
        } else {
            Names::given(self.selection.next_names(&position, &self.path))
        };
        Ok(Frame { folder, names, path_bytes: self.path.len(), depth, taken, position, device })
    }
}

/// Whether a folder says that its content can be made again.
fn is_cache(folder: &OwnedFd) -> bool {
    let Ok(tag) = open_file(folder, CACHE_TAG) else { return false };
    let mut begin = [0_u8; CACHE_SIGNATURE.len()];
    let read = rustix::io::pread(&tag, &mut begin, 0);
    read == Ok(begin.len()) && begin == CACHE_SIGNATURE
}
