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
    /// False where a put that must not replace was seen to replace; nothing is said where it did not, or was not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conditional_put: Option<bool>,
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
        Self { format: Self::FORMAT, id, conditional_put: None }
    }

    /// Says of the place that a put there replaced what must not be replaced.
    pub fn note_that_it_was_replaced(&mut self) {
        self.conditional_put = Some(false);
    }

    /// Whether a put was seen to replace there what must not be replaced.
    pub fn replaces(&self) -> bool {
        self.conditional_put == Some(false)
    }

    /// What tells it from any other.
    pub fn id(&self) -> &str {
        &self.id
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_of_before_and_one_that_was_replaced_are_read() {
        let old = Marker::parse(br#"{"format":1,"id":"0123"}"#).expect("an old marker");
        assert!(!old.replaces());
        let mut new = Marker::new();
        assert!(!String::from_utf8(new.render()).expect("text").contains("conditional_put"));
        new.note_that_it_was_replaced();
        let again = Marker::parse(&new.render()).expect("a marker");
        assert!(again.replaces() && again.id == new.id);
    }
}
