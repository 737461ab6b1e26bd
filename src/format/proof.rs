//! The ladder of proof, and the records of it that lie beside a manifest.

use super::{Counts, Digest, SnapshotId};
use crate::declared::SetName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How well something is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// It is in the plan file.
    Declared,
    /// A timer will start it.
    Scheduled,
    /// A complete snapshot lies at the destination and is fresh.
    Stored,
    /// The stored bytes are the bytes that were made.
    Intact,
    /// The data comes back.
    Restored,
}

impl Level {
    /// All levels, weakest first.
    pub const ALL: [Self; 5] = [Self::Declared, Self::Scheduled, Self::Stored, Self::Intact, Self::Restored];

    /// The one word used everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Scheduled => "scheduled",
            Self::Stored => "stored",
            Self::Intact => "intact",
            Self::Restored => "restored",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

/// What a verify or a drill found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome", deny_unknown_fields)]
pub enum Outcome {
    /// It holds.
    Proven,
    /// It does not hold, and this is how.
    Disproven {
        /// What differs.
        reason: String,
    },
}

/// `proofs/<time>-<level>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofRecord {
    /// The format's version.
    pub format: u32,
    /// The bkp that made the proof.
    pub bkp_version: String,
    /// The host on which it was made.
    pub by: String,
    /// `intact` or `restored`.
    pub level: Level,
    /// When it was finished.
    pub at: Timestamp,
    /// The set.
    pub set: SetName,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Digest of the manifest that was proven: a proof of another manifest proves nothing.
    pub manifest_sha256: Digest,
    /// What was found.
    pub result: Outcome,
    /// What came back, for each member (drills).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, Counts>,
    /// What the proof does not prove, where that is less than its level says by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
}

impl ProofRecord {
    /// The format that this bkp writes.
    pub const FORMAT: u32 = 1;
}
