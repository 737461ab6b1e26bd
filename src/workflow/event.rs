//! What a workflow tells while it works. Whoever listens draws bars, writes lines, or does nothing.

use crate::declared::{DestinationName, SetName};
use crate::diagnostic::Diagnostic;
use crate::format::{Level, SnapshotId};

/// Something happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A phase began; in words.
    Phase(String),
    /// So many more bytes were read from the source.
    ReadBytes(u64),
    /// Time passes while something else works.
    Tick,
    /// A snapshot was sealed.
    Sealed {
        /// The set.
        set: SetName,
        /// Where.
        destination: DestinationName,
        /// The snapshot.
        snapshot: SnapshotId,
        /// Whether every member is in it.
        complete: bool,
    },
    /// A level was proven.
    Proven {
        /// The set.
        set: SetName,
        /// Where.
        destination: DestinationName,
        /// The snapshot.
        snapshot: SnapshotId,
        /// The level.
        level: Level,
    },
    /// A snapshot was removed.
    Removed {
        /// The set.
        set: SetName,
        /// Where.
        destination: DestinationName,
        /// The snapshot.
        snapshot: SnapshotId,
        /// Why.
        reason: String,
    },
    /// Something went wrong, and the rest goes on; the report repeats it.
    Trouble(Diagnostic),
}

/// Somebody who listens.
pub type Listener<'a> = &'a (dyn Fn(Event) + Sync);
