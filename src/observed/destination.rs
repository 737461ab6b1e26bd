//! What was seen at a destination.

use super::StorageRules;
use crate::declared::SetName;
use crate::diagnostic::Diagnostic;
use crate::format::{Digest, Manifest, ProofRecord, SnapshotId};
use crate::host::Space;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A destination, as far as one host's sets at it go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationFacts {
    /// Whether `apply` has prepared it: its marker was there. Without it a run refuses to write (a mount may be
    /// missing).
    pub prepared: bool,
    /// Room, where the protocol shows it.
    pub space: Option<Space>,
    /// Device number, for comparison with sources of the same observation.
    pub device: Option<u64>,
    /// The server's clock minus the host's, where the server shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_seconds: Option<i64>,
    /// What the service deletes, archives or locks by itself; none where nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<StorageRules>,
    /// Each set's snapshots, in order of sequence; a set without any is absent from the map.
    pub sets: BTreeMap<SetName, Vec<SnapshotFacts>>,
}

/// One folder that is named like a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFacts {
    /// Its name.
    pub id: SnapshotId,
    /// The set under whose name it lies: an old name, after `moved`.
    pub stored_as: SetName,
    /// How far we looked into it.
    pub state: SnapshotState,
}

/// What is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotState {
    /// Only its name was read.
    NotRead,
    /// Only what lies in its folder was listed, and there is no proof of a restore.
    NeverRestored,
    /// No manifest: a run that was killed, or a manifest that somebody removed.
    Unsealed,
    /// A manifest that can be read.
    Sealed(Box<SealedFacts>),
    /// A manifest that cannot be read.
    Damaged(Diagnostic),
}

/// A snapshot with its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedFacts {
    /// Digest of the manifest's bytes.
    pub manifest_sha256: Digest,
    /// The manifest.
    pub manifest: Manifest,
    /// Whether its objects are all there.
    pub objects: ObjectsState,
    /// The proofs beside it that speak now, oldest first: of each level the newest, back to one that held.
    pub proofs: Vec<ProofRecord>,
    /// Names of objects that somebody tried to read and that must first be brought back from their tier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub archived: Vec<String>,
}

/// What a listing said of a snapshot's objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectsState {
    /// Nobody listed them.
    NotListed,
    /// All there, each of its size.
    AllPresent,
    /// Some are missing or of another size; each named.
    Wrong {
        /// Names of objects that are not there.
        missing: Vec<String>,
        /// Names with `expected` and `found` sizes in bytes, as text.
        resized: Vec<String>,
    },
}
