//! The host's journal: what ran here, and what was sealed. A cache: deleting it loses no proof.

use crate::declared::{DestinationName, SetName};
use crate::format::{Digest, Level, SnapshotId, SourceIdentity, Trigger};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalEntry {
    /// The format's version.
    pub format: u32,
    /// When it happened.
    pub at: Timestamp,
    /// The set.
    pub set: SetName,
    /// What happened.
    pub event: JournalEvent,
}

impl JournalEntry {
    /// The format that this bkp writes.
    pub const FORMAT: u32 = 1;
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum JournalEvent {
    /// A run began, and will use this snapshot's name. Written before anything is stored.
    Started {
        /// The snapshot's name.
        snapshot: SnapshotId,
        /// Why it ran.
        trigger: Trigger,
        /// What the paths of the source are mounted from.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        identity: Vec<SourceIdentity>,
    },
    /// A manifest was stored and read back.
    Sealed {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Where.
        destination: DestinationName,
        /// The manifest's digest.
        manifest_sha256: Digest,
        /// Whether every member is in it.
        complete: bool,
    },
    /// A run ended.
    Finished {
        /// The snapshot's name.
        snapshot: SnapshotId,
        /// `complete`, `incomplete` or `failed`.
        outcome: RunOutcome,
        /// Bytes read from the source.
        read_bytes: u64,
        /// Bytes stored, at one destination.
        stored_bytes: u64,
        /// How long it took, in milliseconds.
        duration_milliseconds: u64,
        /// Why it was not complete.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A run did not begin because another held the lock.
    Skipped {
        /// Who held it.
        holder: String,
    },
    /// A run was due and did not begin, because a condition of the plan kept it.
    Held {
        /// Which, in words.
        reason: String,
    },
    /// A snapshot is about to be removed by retention or by `delete`.
    Removing {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Where.
        destination: DestinationName,
        /// Why.
        reason: String,
    },
    /// A verify or a drill ended.
    Proved {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Where.
        destination: DestinationName,
        /// `intact` or `restored`.
        level: Level,
        /// Why it did not hold; none when it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disproven: Option<String>,
    },
}

impl JournalEvent {
    /// The snapshot that was sealed, and where; none of any other event.
    pub fn sealed(&self) -> Option<(SnapshotId, &DestinationName)> {
        match self {
            Self::Sealed { snapshot, destination, .. } => Some((*snapshot, destination)),
            Self::Started { .. }
            | Self::Finished { .. }
            | Self::Skipped { .. }
            | Self::Held { .. }
            | Self::Removing { .. }
            | Self::Proved { .. } => None,
        }
    }

    /// The snapshot that it speaks of.
    pub fn snapshot(&self) -> Option<SnapshotId> {
        match self {
            Self::Started { snapshot, .. }
            | Self::Sealed { snapshot, .. }
            | Self::Finished { snapshot, .. }
            | Self::Removing { snapshot, .. }
            | Self::Proved { snapshot, .. } => Some(*snapshot),
            Self::Skipped { .. } | Self::Held { .. } => None,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Every member at every destination.
    Complete,
    /// A member or a destination is missing.
    Incomplete,
    /// No complete snapshot anywhere.
    Failed,
}

/// The journal as read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalFacts {
    /// Where it lies.
    pub path: PathBuf,
    /// Its entries, oldest first.
    pub entries: Vec<JournalEntry>,
    /// Numbers of the lines that could not be read, from 1.
    pub damaged_lines: Vec<u64>,
    /// Sets whose last run began, did not end, and holds its lock no more; each with that run's snapshot.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cut_short: BTreeMap<SetName, SnapshotId>,
    /// Sets whose user's journal is not there, each with where it would lie.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<SetName, PathBuf>,
}
