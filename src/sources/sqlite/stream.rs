//! The finished copy as a stream. The copy is gone when the stream is.

use super::copy::{Copy, ScratchFile};
use crate::format::Counts;
use crate::sources::{Complete, SourceError, SourceStream};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads the copy once, from beginning to end.
#[derive(Debug)]
pub(super) struct CopyStream {
    object: String,
    reader: File,
    left_bytes: u64,
    counts: Counts,
    warnings: Vec<String>,
    /// Removes the copy.
    _file: ScratchFile,
}

impl CopyStream {
    /// Opens the copy of the database at `source`.
    pub(super) fn open(source: &Path, copy: Copy) -> Result<Self, SourceError> {
        let reader = std::fs::OpenOptions::new().read(true).open(copy.file.path()).map_err(|error| {
            let folder = copy.file.path().parent().unwrap_or(Path::new("/")).display().to_string();
            SourceError::Scratch { folder, during: "read the copy".into(), error }
        })?;
        Ok(Self {
            object: source.display().to_string(),
            reader,
            left_bytes: copy.checked.bytes,
            counts: copy.checked.counts,
            warnings: copy.checked.warnings,
            _file: copy.file,
        })
    }
}

impl Read for CopyStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left_bytes = self.left_bytes.checked_sub(count as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the copy grew after it was checked")
        })?;
        Ok(count)
    }
}

impl SourceStream for CopyStream {
    fn finish(self: Box<Self>) -> Result<Complete, SourceError> {
        if self.left_bytes > 0 {
            let reason = format!("{} bytes of the copy were not read", self.left_bytes);
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, reason);
            return Err(SourceError::Read { object: self.object, error });
        }
        Ok(Complete { counts: self.counts, bounds: BTreeMap::new(), warnings: self.warnings, index: None })
    }
}
