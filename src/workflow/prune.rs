//! Retention carried out, and leftovers cleared. What is removed is chosen by `decide::retention` alone.

use super::history::{Copy, Depth, Site, small};
use super::verify::chain;
use super::{WorkflowError, journal, lock};
use crate::decide::{Verdict, candidates, retention};
use crate::declared::{Plan, SetDeclaration, SetName};
use crate::destinations::{DestinationError, Object};
use crate::diagnostic::Diagnostic;
use crate::format::{Key, Layout, Prefix};
use crate::host::Host;
use crate::observed::{JournalEntry, JournalEvent, SnapshotFacts, SnapshotState};
use crate::schedulers::Places;

/// Whether the verdicts are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only said.
    Say,
    /// Carried out.
    Remove,
}

/// A verdict, and whether it was carried out.
#[derive(Debug, Clone)]
pub struct Pruned {
    /// What retention says.
    pub verdict: Verdict,
    /// Whether the snapshot is gone.
    pub removed: bool,
}

/// Applies retention to one set at one destination. The caller holds the set's lock when `mode` is `Remove`.
pub fn one(
    host: &dyn Host,
    plan: &Plan,
    places: &Places,
    (name, set): (&SetName, &SetDeclaration),
    site: &Site,
    mode: Mode,
) -> Result<Vec<Pruned>, WorkflowError> {
    let trouble =
        |error: &DestinationError| WorkflowError::from(Diagnostic::from_error("retention stopped", error));
    let history = site.all_looked_into(name, &plan.moved, Depth::Objects).map_err(|error| trouble(&error))?;
    let zone = plan.timezone(set).zone();
    let verdicts = retention(plan.retention(set, &site.name), &zone, &candidates(&history), host.now());
    let mut pruned = Vec::new();
    for verdict in verdicts {
        let mut removed = false;
        if !verdict.keep && mode == Mode::Remove {
            let stored_as = history
                .iter()
                .find(|it| it.id == verdict.id)
                .map_or_else(|| name.clone(), |it| it.stored_as.clone());
            let copy = Copy { id: verdict.id, stored_as };
            removed = remove(host, places, site, name, &copy, &verdict.reasons.join(", "))?;
        }
        pruned.push(Pruned { verdict, removed });
    }
    Ok(pruned)
}

/// Removes a snapshot: the manifest first, so that what is left half-way is no snapshot. Says false when somebody
/// is reading it.
pub fn remove(
    host: &dyn Host,
    places: &Places,
    site: &Site,
    set: &SetName,
    copy: &Copy,
    reason: &str,
) -> Result<bool, WorkflowError> {
    let Some(_lock) = lock::snapshot_exclusive(host, &places.state, set, &copy.id)? else { return Ok(false) };
    let event = JournalEvent::Removing {
        snapshot: copy.id,
        destination: site.name.clone(),
        reason: reason.to_owned(),
    };
    journal::write(host, &places.state, set, event)?;
    remove_objects(site, copy).map_err(|error| {
        WorkflowError::from(
            Diagnostic::new("snapshot not removed", format!("snapshot {} at `{}`", copy.id, site.name))
                .why(chain(&error)),
        )
    })?;
    lock::forget_snapshot(host, &places.state, set, &copy.id);
    Ok(true)
}

/// Removes the objects of a snapshot, the manifest first.
pub fn remove_objects(site: &Site, copy: &Copy) -> Result<(), DestinationError> {
    let prefix = site.layout.snapshot(&copy.stored_as, &copy.id);
    let mut objects = site.target.list(&prefix)?;
    objects.sort_by_key(|object| object.key.file_name() != Layout::MANIFEST);
    let placed = placed(site, &objects)?;
    // The notes of what lies elsewhere go last of all, so that a removal that was killed can go on.
    objects.sort_by_key(|object| object.key.file_name().starts_with(Layout::PLACED));
    let elsewhere = placed.into_iter().flat_map(|key| [key.with_suffix(Layout::SIDECAR), key]);
    let manifest_and_others = objects.partition_point(|it| !it.key.file_name().starts_with(Layout::PLACED));
    let notes = objects.split_off(manifest_and_others);
    let keys =
        objects.into_iter().map(|it| it.key).chain(elsewhere).chain(notes.into_iter().map(|it| it.key));
    for key in keys {
        match site.target.delete(&key) {
            Ok(()) | Err(DestinationError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    site.target.sweep(&prefix)
}

/// What a snapshot has outside of its folder, by the notes in it.
fn placed(site: &Site, objects: &[Object]) -> Result<Vec<Key>, DestinationError> {
    let notes = objects.iter().filter(|it| it.key.file_name().starts_with(Layout::PLACED));
    let read = |note: &Object| {
        let path = String::from_utf8_lossy(&small(&*site.target, &note.key)?).trim().to_owned();
        Ok(Prefix::root().listed_key(&path))
    };
    notes.map(read).collect()
}

/// Removes what killed runs and killed removals of this host left: folders without a manifest that the journal says
/// this host began or was removing. The caller holds the set's lock. A folder that the journal does not explain is
/// left for people to judge.
pub fn clear_leftovers(
    site: &Site,
    set: &SetName,
    history: &[SnapshotFacts],
    entries: &[JournalEntry],
) -> Result<(), DestinationError> {
    for snapshot in history.iter().filter(|it| matches!(it.state, SnapshotState::Unsealed)) {
        let at_this = |destination: &crate::declared::DestinationName| *destination == site.name;
        let mut ours = false;
        for entry in entries {
            match &entry.event {
                JournalEvent::Started { snapshot: id, .. } if *id == snapshot.id => ours = true,
                JournalEvent::Removing { snapshot: id, destination, .. }
                    if *id == snapshot.id && at_this(destination) =>
                {
                    ours = true;
                }
                // It was a snapshot once: that its manifest is gone is a finding, not a leftover.
                JournalEvent::Sealed { snapshot: id, destination, .. }
                    if *id == snapshot.id && at_this(destination) =>
                {
                    ours = false;
                }
                JournalEvent::Started { .. }
                | JournalEvent::Removing { .. }
                | JournalEvent::Sealed { .. }
                | JournalEvent::Finished { .. }
                | JournalEvent::Skipped { .. }
                | JournalEvent::Held { .. }
                | JournalEvent::Proved { .. } => {}
            }
        }
        if ours {
            remove_objects(site, &Copy { id: snapshot.id, stored_as: snapshot.stored_as.clone() })?;
        }
    }
    site.target.sweep(&site.layout.set(set))
}
