//! The journal, set by set: read through once, because it can be long.

use super::world::World;
use crate::declared::{DestinationName, SetName};
use crate::format::{Digest, SnapshotId};
use crate::observed::{JournalEntry, JournalEvent};
use std::collections::BTreeMap;

/// Each set's journal entries, oldest first, those under an old name too.
pub(super) struct History<'a> {
    by_set: BTreeMap<&'a SetName, Vec<&'a JournalEntry>>,
}

impl<'a> History<'a> {
    pub(super) fn new(world: &World<'a>) -> Self {
        let mut by_set: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let journal = world.facts.journal.as_ref().and_then(|fact| fact.observed.present());
        for entry in journal.into_iter().flat_map(|journal| &journal.entries) {
            let set = world.plan.moved.get(&entry.set).unwrap_or(&entry.set);
            by_set.entry(set).or_default().push(entry);
        }
        Self { by_set }
    }

    pub(super) fn of(&self, set: &SetName) -> &[&'a JournalEntry] {
        self.by_set.get(set).map_or(&[], Vec::as_slice)
    }

    /// The manifests that the journal knows to lie at a destination: sealed here and not removed since.
    pub(super) fn remembered(&self, set: &SetName, name: &DestinationName) -> BTreeMap<SnapshotId, Digest> {
        let mut known = BTreeMap::new();
        for entry in self.of(set) {
            match &entry.event {
                JournalEvent::Sealed { snapshot, destination, manifest_sha256, .. }
                    if destination == name =>
                {
                    known.insert(*snapshot, *manifest_sha256);
                }
                JournalEvent::Removing { snapshot, destination, .. } if destination == name => {
                    known.remove(snapshot);
                }
                JournalEvent::Sealed { .. }
                | JournalEvent::Removing { .. }
                | JournalEvent::Started { .. }
                | JournalEvent::Finished { .. }
                | JournalEvent::Skipped { .. }
                | JournalEvent::Held { .. }
                | JournalEvent::Proved { .. } => {}
            }
        }
        known
    }
}
