//! Keys: where each object lies below a destination's root.
//!
//! ```text
//! <host>/<set>/<snapshot>/<member>.<db|tar>[.zst|.gz]   and the same with .sha256
//! <host>/<set>/<snapshot>/manifest.json                 last
//! <host>/<set>/<snapshot>/proofs/<time>-<level>.json
//! <host>/_plans/<plan>.yaml                             the plan as applied
//! ```
//!
//! `_plans` cannot be a set's name, and no host's encoded name begins with a dot.

use super::{Digest, Level, SnapshotId};
use crate::declared::{NodeName, PlanName, SetName};
use serde::{Deserialize, Serialize};
use std::fmt;

const HEX: [&str; 16] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F"];

/// Longest encoded member name in bytes; beyond it the end is replaced by a hash.
const NAME_BYTES_MAX: usize = 120;

/// An object's key: parts joined by `/`, each percent-encoded, none empty, none `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the last `/`.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The folder that it lies in.
    pub fn folder(&self) -> Prefix {
        Prefix(self.0.rfind('/').map_or_else(String::new, |at| self.0[..=at].to_owned()))
    }

    /// The same key with a suffix.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        Self(format!("{}{suffix}", self.0))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// A folder of keys; empty, or ending in `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(String);

impl Prefix {
    /// The whole destination.
    pub fn root() -> Self {
        Self(String::new())
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A folder below this one; the name is percent-encoded.
    #[must_use]
    pub fn folder(&self, name: &str) -> Self {
        Self(format!("{}{}/", self.0, encode_name(name)))
    }

    /// A folder whose name bkp made itself and that needs no encoding.
    fn plain_folder(&self, name: &str) -> Self {
        Self(format!("{}{name}/", self.0))
    }

    /// An object in this folder, by its name as the destination lists it.
    pub fn listed_key(&self, name: &str) -> Key {
        Key(format!("{}{name}", self.0))
    }

    /// An object in this folder; the name is percent-encoded.
    pub fn key(&self, name: &str) -> Key {
        Key(format!("{}{}", self.0, encode_name(name)))
    }
}

/// Where one host's objects lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    node: NodeName,
}

impl Layout {
    /// The layout of one host.
    pub fn new(node: NodeName) -> Self {
        Self { node }
    }

    /// The host.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// Everything of this host.
    pub fn host(&self) -> Prefix {
        Prefix::root().folder(self.node.as_str())
    }

    /// A set's snapshots.
    pub fn set(&self, set: &SetName) -> Prefix {
        self.host().folder(set.as_str())
    }

    /// One snapshot.
    pub fn snapshot(&self, set: &SetName, snapshot: &SnapshotId) -> Prefix {
        self.set(set).plain_folder(&snapshot.to_string())
    }

    /// The manifest, whose presence makes artifacts a snapshot.
    pub fn manifest(&self, set: &SetName, snapshot: &SnapshotId) -> Key {
        self.snapshot(set, snapshot).key(Self::MANIFEST)
    }

    /// The manifest's file name.
    pub const MANIFEST: &'static str = "manifest.json";
    /// The ending of the files that `sha256sum -c` reads.
    pub const SIDECAR: &'static str = ".sha256";

    /// An object of a snapshot, by the name that the manifest gives (already encoded): in the snapshot's folder, or with a
    /// `/` before it, below the destination's root.
    pub fn artifact(&self, set: &SetName, snapshot: &SnapshotId, encoded: &str) -> Key {
        if let Some(path) = encoded.strip_prefix('/') {
            return Key(path.to_owned());
        }
        Key(format!("{}{encoded}", self.snapshot(set, snapshot).as_str()))
    }

    /// The note of an object of a snapshot that lies outside of its folder: its path below the root.
    pub fn placed(&self, set: &SetName, snapshot: &SnapshotId, number: usize) -> Key {
        self.snapshot(set, snapshot).key(&format!("{}{number}", Self::PLACED))
    }

    /// How the names of such notes begin.
    pub const PLACED: &'static str = "placed-";

    /// A snapshot's proofs.
    pub fn proofs(&self, set: &SetName, snapshot: &SnapshotId) -> Prefix {
        self.snapshot(set, snapshot).folder("proofs")
    }

    /// A new proof, named by its time in milliseconds and its level.
    pub fn proof(&self, set: &SetName, snapshot: &SnapshotId, at: jiff::Timestamp, level: Level) -> Key {
        let time = at.strftime("%Y%m%dT%H%M%S%.3fZ");
        Key(format!("{}{time}{}", self.proofs(set, snapshot).as_str(), Self::proof_ending(level)))
    }

    /// How the names of proofs of a level end.
    pub fn proof_ending(level: Level) -> String {
        format!("-{}.json", level.word())
    }

    /// The copy of an applied plan; `ending` says that it is encrypted.
    pub fn plan_copy(&self, plan: &PlanName, ending: &str) -> Key {
        self.plans().key(&format!("{plan}.yaml{ending}"))
    }

    /// The copies of applied plans.
    pub fn plans(&self) -> Prefix {
        self.host().folder("_plans")
    }
}

/// Percent-encodes all but `[a-z0-9._-]`, and a leading dot, and shortens beyond 120 bytes by prefix and hash.
/// Capitals are encoded too, because some destinations do not tell them from small letters.
pub fn encode_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(byte, b'_' | b'-')
            || (byte == b'.' && index > 0);
        if plain {
            out.push(char::from(byte));
        } else {
            out.extend(["%", HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    if out.len() > NAME_BYTES_MAX {
        let hash = Digest::of(name.as_bytes()).to_string();
        out.truncate(NAME_BYTES_MAX - 17);
        // Never cut an escape in two.
        if let Some(at) = out.rfind('%').filter(|at| out.len() - at < 3) {
            out.truncate(at);
        }
        out = format!("{out}-{}", &hash[..16]);
    }
    out
}

/// Undoes [`encode_name`] where nothing was shortened; none when the text is not its result.
pub fn decode_name(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_names_are_safe_and_come_back() {
        for name in ["plain-1.2", "Ünï cödé", "../../etc/passwd", ".hidden", "a/b", "100%", ""] {
            let encoded = encode_name(name);
            assert!(!encoded.contains('/') && !encoded.starts_with('.'), "{encoded}");
            assert_eq!(decode_name(&encoded).as_deref(), Some(name));
        }
    }

    #[test]
    fn long_names_are_shortened_and_stay_apart() {
        let (one, two) = (format!("{}1", "ü".repeat(200)), format!("{}2", "ü".repeat(200)));
        assert!(encode_name(&one).len() <= NAME_BYTES_MAX);
        assert_ne!(encode_name(&one), encode_name(&two));
    }
}
