//! The proof that a destination gave an artifact back.

use super::error::StoreError;
use super::packing::Packing;
use super::read_back::read_back_unless;
use super::store::Track;
use crate::format::{Key, StoredSize};
use crate::host::Host;
use jiff::Timestamp;

/// Proof that a destination gave the bytes back as they were made. Only the read-back makes one:
///
/// ```
/// fn look(receipt: &bkp::pipeline::Receipt) -> &bkp::format::StoredSize {
///     receipt.stored()
/// }
/// ```
///
/// ```compile_fail
/// fn forge(receipt: bkp::pipeline::Receipt, stored: bkp::format::StoredSize) -> bkp::pipeline::Receipt {
///     bkp::pipeline::Receipt { stored, ..receipt }
/// }
/// ```
#[derive(Debug)]
pub struct Receipt {
    location: String,
    key: Key,
    packing: Packing,
    plain: StoredSize,
    stored: StoredSize,
    read_back_at: Timestamp,
}

impl Receipt {
    /// Reads the artifact back, and makes the receipt if it is what was made.
    pub(super) fn prove(
        host: &dyn Host,
        track: &Track<'_>,
        plain: StoredSize,
        stored: StoredSize,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, StoreError> {
        if !read_back_unless(track.target, track.key, &stored, cancelled).map_err(StoreError::ReadBack)? {
            return Err(StoreError::Cancelled);
        }
        Ok(Self {
            location: track.target.location(),
            key: track.key.clone(),
            packing: track.packing.clone(),
            plain,
            stored,
            read_back_at: host.now(),
        })
    }

    /// The destination, as [`crate::destinations::Destination::location`] names it.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The artifact's key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// How plain became stored.
    pub fn packing(&self) -> &Packing {
        &self.packing
    }

    /// The bytes that the source made.
    pub fn plain(&self) -> &StoredSize {
        &self.plain
    }

    /// The bytes that were stored and came back.
    pub fn stored(&self) -> &StoredSize {
        &self.stored
    }

    /// When they had come back and matched.
    pub fn read_back_at(&self) -> Timestamp {
        self.read_back_at
    }
}
