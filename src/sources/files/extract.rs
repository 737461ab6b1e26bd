//! Writes an archive's entries below a folder.
//!
//! Every name is walked from the target's open folder, one folder at a time and never through a symbolic link; nothing
//! that is there is ever opened for writing. Folders get their modes and times when nothing more comes below them.

use super::super::RestoreError;
use super::archive::{ArchiveEntry, ArchiveError, ArchiveReader};
use super::attributes::{Restoring, Subject};
use super::folder::open_folder;
use super::header::EntryHeader;
use super::include::Include;
use super::node::{shown, special_node};
use crate::format::{Counts, EntryKind};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 256 << 10;
const PRIVATE: Mode = Mode::RWXU;

/// What was written.
#[derive(Debug, Default)]
pub struct Extracted {
    pub counts: BTreeMap<&'static str, u64>,
    /// Folders above the entries that had no entry of their own.
    pub implicit: HashSet<Vec<u8>>,
    /// Attributes that could not be kept here.
    pub unkept: BTreeSet<Vec<u8>>,
    /// Devices that this user cannot make.
    pub devices_left_out: u64,
}

impl Extracted {
    /// The counts as manifests have them.
    pub fn counts(&self) -> Counts {
        Counts(self.counts.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect())
    }
}

/// Adds an entry to counts, with the same words as at backup time.
pub fn count(counts: &mut BTreeMap<&'static str, u64>, kind: EntryKind, size_bytes: u64) {
    let mut add = |word: &'static str, more: u64| *counts.entry(word).or_default() += more;
    add("entries", 1);
    match kind {
        EntryKind::File => {
            add("files", 1);
            add("bytes", size_bytes);
        }
        EntryKind::Folder => add("folders", 1),
        EntryKind::Symlink | EntryKind::HardLink => add("links", 1),
        EntryKind::Fifo | EntryKind::CharacterDevice | EntryKind::BlockDevice => {}
    }
}

/// The words of [`count`], all 0.
pub fn no_counts() -> BTreeMap<&'static str, u64> {
    ["entries", "files", "folders", "links", "bytes"].map(|word| (word, 0)).into()
}

/// An open folder on the way down.
struct Level {
    path: Vec<u8>,
    folder: OwnedFd,
    header: Option<EntryHeader>,
}

/// An extraction that is going on.
pub struct Extraction<'a> {
    pub member: &'a str,
    /// For messages.
    pub target: &'a Path,
    pub include: Include,
    /// Entries that are not wanted themselves, and the wanted hard link whose content they are.
    pub stand_ins: HashMap<Vec<u8>, Vec<u8>>,
    restoring: Restoring,
    levels: Vec<Level>,
    last_file: Vec<u8>,
    last_stand_in: bool,
    out: Extracted,
}

impl<'a> Extraction<'a> {
    /// Extracts into an open, empty folder.
    pub fn new(member: &'a str, target: &'a Path, folder: OwnedFd) -> Self {
        Self {
            member,
            target,
            include: Include::default(),
            stand_ins: HashMap::new(),
            restoring: Restoring::now(),
            levels: vec![Level { path: Vec::new(), folder, header: None }],
            last_file: Vec::new(),
            last_stand_in: false,
            out: Extracted { counts: no_counts(), ..Extracted::default() },
        }
    }

    fn damaged(&self, reason: impl Into<String>) -> RestoreError {
        RestoreError::Damaged { member: self.member.to_owned(), reason: reason.into() }
    }

    fn escapes(&self, path: &[u8]) -> RestoreError {
        RestoreError::Escapes { member: self.member.to_owned(), entry: shown(path) }
    }

    fn failed(&self, path: &[u8], error: impl Into<io::Error>) -> RestoreError {
        RestoreError::Target { path: self.place(path), error: error.into() }
    }

    fn place(&self, path: &[u8]) -> PathBuf {
        self.target.join(OsStr::from_bytes(path))
    }

    fn archive_failed(&self, error: ArchiveError) -> RestoreError {
        match error {
            ArchiveError::Damaged(reason) => self.damaged(reason),
            ArchiveError::Stream(error) => RestoreError::Fetch { member: self.member.to_owned(), error },
        }
    }

    /// Extracts everything that is wanted.
    pub fn run(mut self, archive: &mut ArchiveReader<'_>) -> Result<Extracted, RestoreError> {
        let mut buffer = vec![0; COPY_BYTES];
        while let Some(mut entry) = archive.next_entry().map_err(|error| self.archive_failed(error))? {
            self.check_path(&entry.header.path, &entry.header.path)?;
            if !self.include.wants(&entry.header.path) {
                match self.stand_ins.get(&entry.header.path) {
                    Some(link) => entry.header.path.clone_from(link),
                    None => continue,
                }
            }
            self.entry(archive, entry, &mut buffer)?;
        }
        while !self.levels.is_empty() {
            self.close_level()?;
        }
        if let Some(pattern) = self.include.unmatched() {
            let error = io::Error::new(io::ErrorKind::NotFound, format!("nothing in it matches `{pattern}`"));
            return Err(RestoreError::Fetch { member: self.member.to_owned(), error });
        }
        Ok(self.out)
    }

    /// Refuses a name that leads out, before anything is done about it.
    fn check_path(&self, path: &[u8], entry: &[u8]) -> Result<(), RestoreError> {
        if path.starts_with(b"/") || path.split(|byte| *byte == b'/').any(|name| name == b"..") {
            return Err(self.escapes(entry));
        }
        if path != b"." && path.split(|byte| *byte == b'/').any(|name| matches!(name, b"" | b".")) {
            return Err(self.damaged(format!("`{}` is not a name that bkp writes", shown(entry))));
        }
        Ok(())
    }

    fn entry(
        &mut self,
        archive: &mut ArchiveReader<'_>,
        entry: ArchiveEntry,
        buffer: &mut [u8],
    ) -> Result<(), RestoreError> {
        let again = entry.header.kind == EntryKind::File && self.last_file == entry.header.path;
        let (kind, size_bytes) = (entry.header.kind, entry.size_bytes);
        match kind {
            EntryKind::File => self.file(archive, &entry, again, buffer)?,
            EntryKind::Folder => self.folder(entry.header)?,
            EntryKind::HardLink => self.hard_link(&entry.header)?,
            EntryKind::Symlink | EntryKind::Fifo | EntryKind::CharacterDevice | EntryKind::BlockDevice => {
                self.special(&entry.header)?;
            }
        }
        // A link whose content came under its own name was counted then.
        let stands_in = kind == EntryKind::HardLink && self.last_stand_in;
        if !again && !stands_in {
            count(&mut self.out.counts, kind, size_bytes);
        }
        Ok(())
    }

    /// Sets what a folder has, now that nothing more comes below it.
    fn close_level(&mut self) -> Result<(), RestoreError> {
        let Some(level) = self.levels.pop() else { return Ok(()) };
        let Some(header) = &level.header else { return Ok(()) };
        Subject::Open(level.folder.as_fd())
            .apply(self.restoring, header, false, &mut self.out.unkept)
            .map_err(|errno| self.failed(&level.path, errno))
    }

    /// Goes to the folder that holds a name, and makes folders that are not there. Gives the name.
    fn descend<'p>(&mut self, path: &'p [u8]) -> Result<&'p [u8], RestoreError> {
        let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&path[..0], path),
        };
        while let Some(level) = self.levels.last() {
            let above = level.path.as_slice();
            let holds = above.is_empty()
                || folder.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
            if holds {
                break;
            }
            self.close_level()?;
        }
        loop {
            let top = self.levels.last().expect("the target's own level closes last");
            let rest = folder[top.path.len()..].strip_prefix(b"/").unwrap_or(&folder[top.path.len()..]);
            if rest.is_empty() {
                return Ok(name);
            }
            let next = rest.split(|byte| *byte == b'/').next().unwrap_or(rest);
            let reached = folder.len() - rest.len() + next.len();
            let opened = match open_folder(&top.folder, next) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&top.folder, next, PRIVATE)
                        .map_err(|errno| self.failed(&folder[..reached], errno))?;
                    self.out.implicit.insert(folder[..reached].to_vec());
                    open_folder(&top.folder, next)
                }
                other => other,
            };
            let folder_file = opened.map_err(|errno| self.not_a_folder(path, errno))?;
            self.levels.push(Level { path: folder[..reached].to_vec(), folder: folder_file, header: None });
        }
    }

    fn not_a_folder(&self, path: &[u8], errno: Errno) -> RestoreError {
        match errno {
            // A symbolic link, or a file, where the archive has something below it.
            Errno::LOOP | Errno::NOTDIR => self.escapes(path),
            other => self.failed(path, other),
        }
    }

    fn parent(&self) -> &OwnedFd {
        &self.levels.last().expect("the target's own level closes last").folder
    }

    fn twice(&self, path: &[u8], errno: Errno) -> RestoreError {
        match errno {
            Errno::EXIST => self.damaged(format!("`{}` is in it twice", shown(path))),
            other => self.failed(path, other),
        }
    }

    fn folder(&mut self, header: EntryHeader) -> Result<(), RestoreError> {
        if header.path == b"." {
            self.levels[0].header = Some(header);
            return Ok(());
        }
        if let Some(level) = self.levels.iter_mut().find(|level| level.path == header.path)
            && self.out.implicit.remove(&header.path)
        {
            level.header = Some(header);
            return Ok(());
        }
        let name = self.descend(&header.path)?;
        match rustix::fs::mkdirat(self.parent(), name, PRIVATE) {
            Err(Errno::EXIST) if self.out.implicit.remove(&header.path) => {}
            other => other.map_err(|errno| self.twice(&header.path, errno))?,
        }
        let folder =
            open_folder(self.parent(), name).map_err(|errno| self.not_a_folder(&header.path, errno))?;
        self.levels.push(Level { path: header.path.clone(), folder, header: Some(header) });
        Ok(())
    }

    fn file(
        &mut self,
        archive: &mut ArchiveReader<'_>,
        entry: &ArchiveEntry,
        again: bool,
        buffer: &mut [u8],
    ) -> Result<(), RestoreError> {
        let path = &entry.header.path;
        let name = self.descend(path)?;
        if again {
            // The copy before it was torn: the last one wins.
            rustix::fs::unlinkat(self.parent(), name, AtFlags::empty())
                .map_err(|errno| self.failed(path, errno))?;
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.parent(), name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| self.twice(path, errno))?;
        let file = File::from(file);
        for piece in &entry.pieces {
            let mut done = 0;
            while done < piece.length {
                let wanted = usize::try_from(piece.length - done).unwrap_or(usize::MAX).min(buffer.len());
                let count =
                    archive.read_body(&mut buffer[..wanted]).map_err(|error| self.archive_failed(error))?;
                if count == 0 {
                    return Err(self.damaged(format!("`{}` is shorter than its header says", shown(path))));
                }
                file.write_all_at(&buffer[..count], piece.offset + done)
                    .map_err(|error| self.failed(path, error))?;
                done += count as u64;
            }
        }
        if entry.header.sparse_size.is_some() {
            file.set_len(entry.size_bytes).map_err(|error| self.failed(path, error))?;
        }
        Subject::Open(file.as_fd())
            .apply(self.restoring, &entry.header, false, &mut self.out.unkept)
            .map_err(|errno| self.failed(path, errno))?;
        self.last_file.clone_from(path);
        Ok(())
    }

    fn special(&mut self, header: &EntryHeader) -> Result<(), RestoreError> {
        let path = &header.path;
        let name = self.descend(path)?;
        let node = |kind: FileType| special_node(self.parent().as_fd(), name, kind, header.device);
        let is_symlink = header.kind == EntryKind::Symlink;
        let (made, is_device) = match header.kind {
            EntryKind::Symlink if header.target.is_empty() => {
                return Err(self.damaged(format!("`{}` is a symbolic link to nothing", shown(path))));
            }
            EntryKind::Symlink => {
                (rustix::fs::symlinkat(header.target.as_slice(), self.parent(), name), false)
            }
            EntryKind::Fifo => (node(FileType::Fifo), false),
            EntryKind::CharacterDevice => (node(FileType::CharacterDevice), true),
            EntryKind::BlockDevice => (node(FileType::BlockDevice), true),
            EntryKind::File | EntryKind::Folder | EntryKind::HardLink => return Ok(()),
        };
        match made {
            Err(Errno::PERM) if is_device => {
                self.out.devices_left_out += 1;
                return Ok(());
            }
            other => other.map_err(|errno| self.twice(path, errno))?,
        }
        let mut unkept = std::mem::take(&mut self.out.unkept);
        let applied = Subject::Named(self.parent().as_fd(), name).apply(
            self.restoring,
            header,
            is_symlink,
            &mut unkept,
        );
        self.out.unkept = unkept;
        applied.map_err(|errno| self.failed(path, errno))
    }

    fn hard_link(&mut self, header: &EntryHeader) -> Result<(), RestoreError> {
        self.check_path(&header.target, &header.path)?;
        self.last_stand_in = false;
        let target = match self.stand_ins.get(&header.target) {
            Some(link) if *link == header.path => {
                // Its content came under this name.
                self.last_stand_in = true;
                return Ok(());
            }
            Some(link) => link.clone(),
            None => header.target.clone(),
        };
        let unknown = |extraction: &Self| {
            extraction.damaged(format!(
                "`{}` is another name of `{}`, which is not restored before it",
                shown(&header.path),
                shown(&header.target)
            ))
        };
        let name = self.descend(&header.path)?;
        let mut names: Vec<&[u8]> = target.split(|byte| *byte == b'/').collect();
        let last = names.pop().unwrap_or_default();
        let root = &self.levels[0].folder;
        let mut folder: Option<OwnedFd> = None;
        for step in names {
            let opened = open_folder(folder.as_ref().unwrap_or(root), step);
            folder = Some(match opened {
                Ok(folder) => folder,
                Err(Errno::NOENT) => return Err(unknown(self)),
                Err(errno) => return Err(self.not_a_folder(&header.path, errno)),
            });
        }
        match rustix::fs::linkat(folder.as_ref().unwrap_or(root), last, self.parent(), name, AtFlags::empty())
        {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => Err(unknown(self)),
            Err(Errno::PERM) => Err(self.damaged(format!("`{}` links to a folder", shown(&header.path)))),
            Err(errno) => Err(self.twice(&header.path, errno)),
        }
    }
}
