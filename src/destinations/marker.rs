//! The file that says that `apply` made a root: without it nothing is written there.

use crate::format::Digest;
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, Hasher};
use std::io;

/// Its name at the root.
pub(super) const MARKER: &str = ".bkp-destination";

/// What the marker says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Marker {
    format: u32,
    /// Random; tells two destinations apart wherever they are mounted or reached.
    id: String,
}

impl Marker {
    const FORMAT: u32 = 1;
    /// Bytes of a marker, at most.
    pub const BYTES_MAX: u64 = 64 << 10;

    /// A new one, unlike any other.
    pub fn new() -> Self {
        let seed = format!("{:x}{:x}{}", random(), random(), std::process::id());
        let mut id = Digest::of(seed.as_bytes()).to_string();
        id.truncate(32);
        Self { format: Self::FORMAT, id }
    }

    /// Its bytes.
    pub fn render(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("a marker has only string keys");
        bytes.push(b'\n');
        bytes
    }

    /// Reads one; a later bkp's is refused.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let marker: Self = serde_json::from_slice(bytes)?;
        if marker.format > Self::FORMAT {
            let text = format!("its format is {}, and this bkp knows up to {}", marker.format, Self::FORMAT);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(marker)
    }
}

/// A number that nobody else has.
pub(super) fn random() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
