//! Writes entries to the archive and to the index, and keeps count.
//!
//! An entry is in the index exactly when it is in the archive, once, with what its last copy has.

use super::super::SourceError;
use super::chunks::ChunkWriter;
use super::folder::by_descriptor;
use super::header::{BLOCK_BYTES, EntryHeader};
use super::hooks::Hooks;
use super::linked::Linked;
use super::node::{Node, Xattrs, XattrsOf, shown, xattr_digests};
use super::owners::Owners;
use super::selection::{Position, Selection};
use super::walk::{End, failed};
use crate::declared::ChangedPolicy;
use crate::format::{Counts, Digest, EntryKind, IndexEntry, IndexWriter};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::{self, BufWriter, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::NamedTempFile;

/// Warnings that are kept word for word; of the rest only the number.
const WARNINGS_MAX: usize = 100;

/// The entry under which an inode with several names was written.
pub struct FirstName {
    path: Vec<u8>,
    node: Node,
    sha256: Option<Digest>,
    names_left: u64,
}

/// What a finished walk leaves.
#[derive(Debug)]
pub struct Finished {
    pub counts: Counts,
    pub warnings: Vec<String>,
    pub index: NamedTempFile,
}

/// What a walk needs.
pub struct Order {
    pub selection: Arc<Selection>,
    pub changed: ChangedPolicy,
    pub owners: Owners,
    pub scratch_folder: PathBuf,
    /// Device and inode of the scratch folder, which is never part of a backup.
    pub scratch: (u64, u64),
    pub index: NamedTempFile,
    pub stop: Arc<AtomicBool>,
    pub hooks: Hooks,
}

/// The thread's state.
pub struct Producer {
    pub selection: Arc<Selection>,
    pub changed: ChangedPolicy,
    pub out: ChunkWriter,
    pub path: Vec<u8>,
    pub scratch: (u64, u64),
    pub hooks: Hooks,
    owners: Owners,
    index: IndexWriter<BufWriter<NamedTempFile>>,
    scratch_folder: PathBuf,
    hard_links: HashMap<(u64, u64), FirstName>,
    literals_matched: Vec<bool>,
    globs_matched: Vec<bool>,
    /// Declared paths that are links to folders which were not read so far.
    pub linked: Vec<Linked>,
    counts: BTreeMap<&'static str, u64>,
    warnings: Vec<String>,
    warnings_count: usize,
    stop: Arc<AtomicBool>,
}

fn index_failed(folder: &std::path::Path, error: io::Error) -> SourceError {
    SourceError::Scratch {
        folder: folder.display().to_string(),
        during: "writing the index".to_owned(),
        error,
    }
}

impl Producer {
    /// Begins.
    pub fn new(order: Order, out: ChunkWriter) -> Result<Self, SourceError> {
        let index = IndexWriter::new(BufWriter::with_capacity(64 << 10, order.index))
            .map_err(|error| index_failed(&order.scratch_folder, error))?;
        Ok(Self {
            linked: order.selection.literals.iter().filter_map(|literal| Linked::of(&literal.path)).collect(),
            literals_matched: vec![false; order.selection.literals.len()],
            globs_matched: vec![false; order.selection.globs.len()],
            selection: order.selection,
            changed: order.changed,
            out,
            path: Vec::new(),
            scratch: order.scratch,
            hooks: order.hooks,
            owners: order.owners,
            index,
            scratch_folder: order.scratch_folder,
            hard_links: HashMap::new(),
            counts: ["entries", "files", "folders", "links", "bytes"].map(|word| (word, 0)).into(),
            warnings: Vec::new(),
            warnings_count: 0,
            stop: order.stop,
        })
    }

    /// Walks, and closes the archive with its two end blocks.
    pub fn run(mut self) -> Result<Finished, End> {
        self.walk()?;
        self.out.zeros(2 * BLOCK_BYTES)?;
        self.out.flush()?;
        let folder = self.scratch_folder;
        let mut index = self
            .index
            .finish()
            .and_then(|writer| writer.into_inner().map_err(io::IntoInnerError::into_error))
            .map_err(|error| index_failed(&folder, error))?;
        index.rewind().map_err(|error| index_failed(&folder, error))?;
        let mut warnings = self.warnings;
        if self.warnings_count > warnings.len() {
            warnings.push(format!("and {} more warnings", self.warnings_count - warnings.len()));
        }
        let counts = Counts(self.counts.into_iter().map(|(word, count)| (word.to_owned(), count)).collect());
        Ok(Finished { counts, warnings, index })
    }

    /// Ends the walk when the stream was dropped.
    pub fn check_stopped(&self) -> Result<(), End> {
        if self.stop.load(Ordering::Relaxed) { Err(End::Stopped) } else { Ok(()) }
    }

    /// Keeps a warning.
    pub fn warn(&mut self, warning: String) {
        self.warnings_count += 1;
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(warning);
        }
    }

    /// The entry at the current path is gone since its folder was listed.
    pub fn vanished(&mut self) {
        let warning = format!("`{}` vanished while its folder was read", shown(&self.path));
        self.warn(warning);
    }

    /// Notes which declared paths came to something.
    pub fn mark(&mut self, here: &Position) {
        for number in &here.literals {
            self.literals_matched[*number] = true;
        }
        for number in &here.globs {
            self.globs_matched[*number] = true;
        }
    }

    /// Fails when a declared path came to nothing, or to a link alone.
    pub fn check_roots(&self) -> Result<(), SourceError> {
        if let Some(linked) = self.linked.first() {
            return Err(linked.error());
        }
        let literals = self.selection.literals.iter().map(|literal| &literal.declared);
        let globs = self.selection.globs.iter().map(|glob| &glob.declared);
        let matched = self.literals_matched.iter().chain(&self.globs_matched);
        match literals.chain(globs).zip(matched).find(|(_, matched)| !**matched) {
            Some((declared, _)) => Err(SourceError::Missing { object: declared.clone() }),
            None => Ok(()),
        }
    }

    /// The current path as the archive has it.
    pub fn archived_path(&self) -> Vec<u8> {
        if self.path.len() > 1 { self.path[1..].to_vec() } else { b".".to_vec() }
    }

    /// A header for the current path.
    pub fn header(&self, node: &Node, kind: EntryKind, xattrs: Xattrs) -> EntryHeader {
        EntryHeader {
            path: self.archived_path(),
            kind,
            body_bytes: 0,
            sparse_size: None,
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            user: self.owners.user(node.uid),
            group: self.owners.group(node.gid),
            modified: node.modified,
            target: Vec::new(),
            device: matches!(kind, EntryKind::CharacterDevice | EntryKind::BlockDevice)
                .then_some(node.number),
            xattrs,
        }
    }

    /// Writes an entry's line and counts it.
    pub fn record(
        &mut self,
        header: &EntryHeader,
        size_bytes: u64,
        sha256: Option<Digest>,
    ) -> Result<(), SourceError> {
        let path_of = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
        let entry = IndexEntry {
            path: path_of(&header.path),
            kind: header.kind,
            size_bytes,
            sha256,
            mode: header.mode,
            uid: header.uid,
            gid: header.gid,
            modified: header.modified,
            target: (!header.target.is_empty()).then(|| path_of(&header.target)),
            device: header.device,
            xattrs: xattr_digests(&header.xattrs),
        };
        self.index.write(entry).map_err(|error| index_failed(&self.scratch_folder, error))?;
        let mut count = |word: &'static str, more: u64| *self.counts.entry(word).or_default() += more;
        count("entries", 1);
        match header.kind {
            EntryKind::File => {
                count("files", 1);
                count("bytes", size_bytes);
            }
            EntryKind::Folder => count("folders", 1),
            EntryKind::Symlink | EntryKind::HardLink => count("links", 1),
            EntryKind::Fifo | EntryKind::CharacterDevice | EntryKind::BlockDevice => {}
        }
        Ok(())
    }

    /// Writes a folder's own entry.
    pub fn folder_entry(&mut self, folder: &OwnedFd, node: &Node) -> Result<(), End> {
        let xattrs = self.xattrs(&XattrsOf::Open(folder.as_fd()))?;
        let header = self.header(node, EntryKind::Folder, xattrs);
        self.out.write(&header.encode())?;
        Ok(self.record(&header, 0, None)?)
    }

    /// Attributes of what is at the current path.
    pub fn xattrs(&self, of: &XattrsOf<'_>) -> Result<Xattrs, SourceError> {
        of.read().map_err(|error| SourceError::Read {
            object: format!("{} (extended attributes)", shown(&self.path)),
            error,
        })
    }

    /// Writes what is not a folder; false when nothing was written.
    pub fn leaf(&mut self, parent: &OwnedFd, name: &[u8], node: &Node) -> Result<bool, End> {
        self.hooks.listed(&self.path);
        if node.links > 1 && self.hard_link(node)? {
            return Ok(true);
        }
        let Some(kind) = node.entry_kind() else {
            let warning = format!("`{}` is a socket and is left out", shown(&self.path));
            self.warn(warning);
            return Ok(false);
        };
        if node.kind == FileType::RegularFile {
            return self.file(parent, name);
        }
        let target = if node.kind == FileType::Symlink {
            match rustix::fs::readlinkat(parent, name, Vec::new()) {
                Ok(target) => target.into_bytes(),
                Err(Errno::NOENT) => {
                    self.vanished();
                    return Ok(false);
                }
                Err(errno) => return Err(failed(&self.path, errno).into()),
            }
        } else {
            Vec::new()
        };
        let by_descriptor = by_descriptor(parent.as_fd(), name).map_err(|errno| failed(&self.path, errno))?;
        let xattrs = match XattrsOf::Path(&by_descriptor).read() {
            Ok(xattrs) => xattrs,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.vanished();
                return Ok(false);
            }
            Err(error) => return Err(SourceError::Read { object: shown(&self.path), error }.into()),
        };
        let header = EntryHeader { target, ..self.header(node, kind, xattrs) };
        self.out.write(&header.encode())?;
        self.record(&header, 0, None)?;
        self.remember(node, None);
        Ok(true)
    }

    /// Writes another name of what is in the archive already; false when it is not there yet.
    fn hard_link(&mut self, node: &Node) -> Result<bool, End> {
        let key = (node.device, node.inode);
        let Some(first) = self.hard_links.get_mut(&key) else { return Ok(false) };
        let as_read = (first.node.kind, first.node.size_bytes, first.node.modified);
        if as_read != (node.kind, node.size_bytes, node.modified) {
            // Written to since, or the number belongs to another file by now: it gets a copy of its own.
            self.hard_links.remove(&key);
            return Ok(false);
        }
        let (target, sha256, size_bytes) = (first.path.clone(), first.sha256, first.node.size_bytes);
        first.names_left -= 1;
        let is_file = node.kind == FileType::RegularFile;
        let first_node = first.node;
        if first.names_left == 0 {
            self.hard_links.remove(&key);
        }
        let header = EntryHeader { target, ..self.header(&first_node, EntryKind::HardLink, Xattrs::new()) };
        self.out.write(&header.encode())?;
        self.record(&header, if is_file { size_bytes } else { 0 }, sha256)?;
        Ok(true)
    }

    /// Remembers an inode that has more names, so that they become links.
    pub fn remember(&mut self, node: &Node, sha256: Option<Digest>) {
        if node.links > 1 {
            let first =
                FirstName { path: self.archived_path(), node: *node, sha256, names_left: node.links - 1 };
            self.hard_links.insert((node.device, node.inode), first);
        }
    }
}
