//! Reads one file into the archive: its digest in the same read, its holes kept, and again when it changed.
//!
//! What was written cannot be taken back: a file that is read again follows under the same name, and tar's rule is that
//! the last copy wins. A copy never has another length than its header says.

use super::super::SourceError;
use super::folder::open_file;
use super::header::{BLOCK_BYTES, EntryHeader};
use super::node::{Node, XattrsOf, shown};
use super::producer::Producer;
use super::sparse::{self, Piece};
use super::walk::{End, failed};
use crate::declared::ChangedPolicy;
use crate::format::{Digest, EntryKind};
use rustix::fs::FileType;
use rustix::io::Errno;
use sha2::Digest as _;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// How often a file is read at most.
const ATTEMPTS_MAX: u32 = 3;
/// Zeros for the digests of holes.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A copy that is in the archive.
struct Copy {
    header: EntryHeader,
    node: Node,
    sha256: Digest,
    stable: bool,
}

impl Producer {
    /// Writes a file; false when it was gone before anything was written.
    pub fn file(&mut self, parent: &OwnedFd, name: &[u8]) -> Result<bool, End> {
        let mut last: Option<Copy> = None;
        let mut attempts = 0;
        while attempts < ATTEMPTS_MAX && last.as_ref().is_none_or(|copy| !copy.stable) {
            let file = match open_file(parent, name) {
                Ok(file) => File::from(file),
                Err(Errno::NOENT) => break,
                Err(errno) => return Err(failed(&self.path, errno).into()),
            };
            attempts += 1;
            last = Some(self.copy(&file)?);
        }
        let Some(copy) = last else {
            self.vanished();
            return Ok(false);
        };
        if !copy.stable {
            self.kept_changing(attempts)?;
        }
        self.record(&copy.header, copy.node.size_bytes, Some(copy.sha256))?;
        self.remember(&copy.node, Some(copy.sha256));
        Ok(true)
    }

    fn kept_changing(&mut self, attempts: u32) -> Result<(), SourceError> {
        let object = shown(&self.path);
        match self.changed {
            ChangedPolicy::Fail => Err(SourceError::Changed { object, attempts }),
            ChangedPolicy::Warn if attempts < ATTEMPTS_MAX => {
                self.warn(format!(
                    "`{object}` changed while it was read and then vanished; the copy that was read is kept"
                ));
                Ok(())
            }
            ChangedPolicy::Warn => {
                self.warn(format!(
                    "`{object}` kept changing while it was read ({attempts} times); the last copy is kept"
                ));
                Ok(())
            }
        }
    }

    fn look(&self, file: &File) -> Result<Node, SourceError> {
        let stat = rustix::fs::fstat(file).map_err(|errno| failed(&self.path, errno))?;
        Ok(Node::of(&stat))
    }

    /// Writes one copy of an open file.
    fn copy(&mut self, file: &File) -> Result<Copy, End> {
        let node = self.look(file)?;
        if node.kind != FileType::RegularFile {
            return Err(failed(&self.path, Errno::LOOP).into());
        }
        let xattrs = self.xattrs(&XattrsOf::Open(file.as_fd()))?;
        let mut header = self.header(&node, EntryKind::File, xattrs);
        let holes = node.stored_bytes < node.size_bytes;
        let pieces = if holes { sparse::pieces(file, node.size_bytes) } else { None };
        let mut digest = sha2::Sha256::new();
        let exact = if let Some(pieces) = pieces {
            let map = sparse::map(&pieces);
            let data: u64 = pieces.iter().map(|piece| piece.length).sum();
            header.body_bytes = map.len() as u64 + data;
            header.sparse_size = Some(node.size_bytes);
            self.out.write(&header.encode())?;
            self.out.write(&map)?;
            self.sparse_content(file, &pieces, &mut digest)?
        } else {
            header.body_bytes = node.size_bytes;
            self.out.write(&header.encode())?;
            self.piece(file, Piece { offset: 0, length: node.size_bytes }, &mut digest)?
        };
        self.out.zeros(header.body_bytes.next_multiple_of(BLOCK_BYTES) - header.body_bytes)?;
        self.hooks.read(&self.path);
        let longer = self.read_at(file, &mut [0], node.size_bytes)? > 0;
        let stable = exact && !longer && node.same_content(&self.look(file)?);
        Ok(Copy { header, node, sha256: Digest::from_bytes(digest.finalize().into()), stable })
    }

    fn sparse_content(
        &mut self,
        file: &File,
        pieces: &[Piece],
        digest: &mut sha2::Sha256,
    ) -> Result<bool, End> {
        let mut at = 0;
        let mut exact = true;
        for piece in pieces {
            let mut hole = piece.offset - at;
            while hole > 0 {
                self.check_stopped()?;
                let part = usize::try_from(hole).unwrap_or(usize::MAX).min(ZEROS.len());
                digest.update(&ZEROS[..part]);
                hole -= part as u64;
            }
            exact &= self.piece(file, *piece, digest)?;
            at = piece.offset + piece.length;
        }
        Ok(exact)
    }

    /// Writes one piece, with zeros in the place of what is not there any more; false when something was not.
    fn piece(&mut self, file: &File, piece: Piece, digest: &mut sha2::Sha256) -> Result<bool, End> {
        let mut done = 0;
        while done < piece.length {
            let wanted = usize::try_from(piece.length - done).unwrap_or(usize::MAX);
            let path = &self.path;
            let space = self.out.space()?;
            let length = space.len().min(wanted);
            let count = read_at(file, &mut space[..length], piece.offset + done)
                .map_err(|error| SourceError::Read { object: shown(path), error })?;
            if count == 0 {
                let mut missing = piece.length - done;
                self.out.zeros(missing)?;
                while missing > 0 {
                    let part = usize::try_from(missing).unwrap_or(usize::MAX).min(ZEROS.len());
                    digest.update(&ZEROS[..part]);
                    missing -= part as u64;
                }
                return Ok(false);
            }
            digest.update(&space[..count]);
            self.out.advance(count);
            done += count as u64;
        }
        Ok(true)
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> Result<usize, SourceError> {
        read_at(file, buffer, offset).map_err(|error| SourceError::Read { object: shown(&self.path), error })
    }
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
