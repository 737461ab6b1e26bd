//! Length and SHA-256 of what goes by.

use crate::format::{Digest, StoredSize};
use sha2::{Digest as _, Sha256};

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
}
