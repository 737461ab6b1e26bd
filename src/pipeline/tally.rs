//! Length and SHA-256 of what goes by.

use crate::format::{Digest, StoredSize};
use crate::host::pulse;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A running count and digest.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    hasher: Sha256,
    bytes: u64,
}

impl Tally {
    /// Adds what went by.
    pub fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// The sum.
    pub fn size(self) -> StoredSize {
        StoredSize { bytes: self.bytes, sha256: Digest::from_bytes(self.hasher.finalize().into()) }
    }

    /// Of bytes that are in memory.
    pub fn of(bytes: &[u8]) -> StoredSize {
        let mut tally = Self::default();
        tally.add(bytes);
        tally.size()
    }

    /// Reads to the end; none when it was told to stop before.
    pub fn of_reader(reader: &mut dyn Read, cancelled: &dyn Fn() -> bool) -> io::Result<Option<StoredSize>> {
        let mut tally = Self::default();
        let mut buffer = vec![0; BUFFER_BYTES];
        while !cancelled() {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(Some(tally.size())),
                Ok(length) => {
                    pulse::beat();
                    tally.add(&buffer[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
