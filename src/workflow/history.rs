//! A set's snapshots at a destination, looked into together.

use super::site::{Copy, Depth, PROOF_LEVELS, Shelf, Site};
use crate::declared::SetName;
use crate::destinations::{DestinationError, Object};
use crate::format::{Key, Level, ProofRecord};
use crate::observed::{SealedFacts, SnapshotFacts, SnapshotState};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes after which no more manifests and proofs are read together.
const SHELF_BYTES: u64 = 8 << 20;
/// Bytes of the largest that are read so.
const SHELVED_BYTES_MAX: u64 = 1 << 20;

/// A set's snapshots, oldest first, old names of the set included. What was seen once is not asked for again while the
/// listing of the snapshot stays what it was.
#[derive(Debug, Default)]
pub struct History {
    snapshots: Vec<SnapshotFacts>,
    /// What was listed of each, and how far it was looked into.
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    listed: Vec<Object>,
    /// None where only its name is known.
    depth: Option<Depth>,
    revealed: bool,
}

impl History {
    /// Lists the snapshots, and reads manifests from the newest back to the newest complete one.
    pub fn begin(
        site: &Site,
        set: &SetName,
        moved: &BTreeMap<SetName, SetName>,
    ) -> Result<Self, DestinationError> {
        let mut history = Self::default();
        history.list(site, set, moved)?;
        let mut found = false;
        for index in (0..history.snapshots.len()).rev() {
            let snapshot = &history.snapshots[index];
            let copy = copy_of(snapshot);
            let manifest = site.layout.manifest(&copy.stored_as, &copy.id);
            // Where a listing does not show a manifest, a question tells whether there is one.
            if !found || history.seen[index].listed.iter().all(|it| it.key != manifest) {
                history.look_into(site, index, Depth::Manifest, &mut Shelf::default())?;
                found = found || history.reveal(site, index)?;
            }
        }
        Ok(history)
    }

    /// Lists again, and looks into everything that is new or was not looked into before; details are opened from the
    /// newest complete snapshot on.
    pub fn look_into_all(
        &mut self,
        site: &Site,
        set: &SetName,
        moved: &BTreeMap<SetName, SetName>,
    ) -> Result<(), DestinationError> {
        self.list(site, set, moved)?;
        let unseen =
            (0..self.snapshots.len()).filter(|index| self.seen[*index].depth != Some(Depth::Objects));
        let mut unseen = unseen.collect::<Vec<usize>>();
        while !unseen.is_empty() {
            let (together, keys) = self.together(site, &unseen);
            let mut shelf = site.shelf(&keys, SHELVED_BYTES_MAX);
            for index in unseen.drain(..together) {
                self.look_into(site, index, Depth::Objects, &mut shelf)?;
            }
        }
        for index in (0..self.snapshots.len()).rev() {
            if self.reveal(site, index)? {
                break;
            }
        }
        Ok(())
    }

    /// What was seen.
    pub fn snapshots(&self) -> &[SnapshotFacts] {
        &self.snapshots
    }

    /// What was seen.
    pub fn into_snapshots(self) -> Vec<SnapshotFacts> {
        self.snapshots
    }

    /// Lists each name of the set once.
    fn list(
        &mut self,
        site: &Site,
        set: &SetName,
        moved: &BTreeMap<SetName, SetName>,
    ) -> Result<(), DestinationError> {
        let copies = site.copies(set, moved)?;
        let mut listed = listed(site, &copies)?;
        let before = std::mem::take(self);
        let known = before.snapshots.into_iter().zip(before.seen);
        let mut known: BTreeMap<Copy, (SnapshotFacts, Seen)> =
            known.map(|(facts, seen)| (copy_of(&facts), (facts, seen))).collect();
        for copy in copies {
            let objects = listed.remove(&copy).unwrap_or_default();
            let same = known.remove(&copy).filter(|(_, seen)| seen.listed == objects);
            let (facts, mut seen) = same
                .unwrap_or_else(|| (not_read(&copy), Seen { listed: objects, depth: None, revealed: false }));
            if lies_elsewhere(&facts) {
                seen.depth = seen.depth.min(Some(Depth::Manifest));
            }
            self.snapshots.push(facts);
            self.seen.push(seen);
        }
        Ok(())
    }

    /// How many of the snapshots are looked into together, and the manifests and newest proofs that are read for it.
    fn together(&self, site: &Site, unseen: &[usize]) -> (usize, Vec<Key>) {
        let (mut keys, mut bytes) = (Vec::new(), 0);
        for (number, index) in unseen.iter().enumerate() {
            let (copy, seen) = (copy_of(&self.snapshots[*index]), &self.seen[*index]);
            let newest = PROOF_LEVELS.map(|level| site.proof_keys(&copy, level, &seen.listed).next());
            let manifest = site.layout.manifest(&copy.stored_as, &copy.id);
            let manifest = Some(&manifest).filter(|_| seen.depth.is_none());
            let wanted: BTreeSet<&Key> = newest.into_iter().flatten().chain(manifest).collect();
            let small = |it: &&Object| it.size_bytes <= SHELVED_BYTES_MAX && wanted.contains(&it.key);
            for object in seen.listed.iter().filter(small) {
                bytes += object.size_bytes;
                keys.push(object.key.clone());
            }
            if bytes >= SHELF_BYTES {
                return (number + 1, keys);
            }
        }
        (unseen.len(), keys)
    }

    fn look_into(
        &mut self,
        site: &Site,
        index: usize,
        depth: Depth,
        shelf: &mut Shelf,
    ) -> Result<(), DestinationError> {
        let (facts, seen) = (&mut self.snapshots[index], &mut self.seen[index]);
        if seen.depth >= Some(depth) {
            return Ok(());
        }
        let copy = copy_of(facts);
        if seen.depth.is_none() {
            facts.state = site.manifest_of(&copy, shelf)?;
            let manifest = site.layout.manifest(&copy.stored_as, &copy.id);
            let is_sealed = matches!(facts.state, SnapshotState::Sealed(_));
            if is_sealed && seen.listed.iter().all(|it| it.key != manifest) {
                // It was sealed meanwhile: what was listed before is not what lies there.
                seen.listed = site.target.list(&site.layout.snapshot(&copy.stored_as, &copy.id))?;
            }
        }
        if depth == Depth::Objects
            && let SnapshotState::Sealed(sealed) = &mut facts.state
        {
            site.count(&copy, sealed, &seen.listed, shelf)?;
        }
        seen.depth = Some(depth);
        Ok(())
    }

    /// Opens the details of a snapshot, and says whether it is complete.
    fn reveal(&mut self, site: &Site, index: usize) -> Result<bool, DestinationError> {
        let (facts, seen) = (&mut self.snapshots[index], &mut self.seen[index]);
        if !seen.revealed {
            site.reveal(facts)?;
            seen.revealed = true;
        }
        Ok(is_complete(facts))
    }
}

/// Whether a listing of a snapshot's folder does not tell of all its objects.
fn lies_elsewhere(facts: &SnapshotFacts) -> bool {
    let SnapshotState::Sealed(sealed) = &facts.state else { return false };
    sealed.manifest.objects().any(|(object, _)| object.starts_with('/'))
}

fn copy_of(facts: &SnapshotFacts) -> Copy {
    Copy { id: facts.id, stored_as: facts.stored_as.clone() }
}

fn not_read(copy: &Copy) -> SnapshotFacts {
    SnapshotFacts { id: copy.id, stored_as: copy.stored_as.clone(), state: SnapshotState::NotRead }
}

/// What lies in the folder of each snapshot: by one listing for each name of its set where that is quicker, and nothing
/// else that lies there is in the way.
fn listed(site: &Site, copies: &[Copy]) -> Result<BTreeMap<Copy, Vec<Object>>, DestinationError> {
    let mut found: BTreeMap<Copy, Vec<Object>> = BTreeMap::new();
    let names: BTreeSet<&SetName> = copies.iter().map(|copy| &copy.stored_as).collect();
    for stored_as in names {
        let prefix = site.layout.set(stored_as);
        let together = if site.target.lists_deep() { site.target.list(&prefix).ok() } else { None };
        let Some(objects) = together else {
            for copy in copies.iter().filter(|copy| copy.stored_as == *stored_as) {
                found.insert(copy.clone(), site.target.list(&site.layout.snapshot(stored_as, &copy.id))?);
            }
            continue;
        };
        for object in objects {
            let below = object.key.as_str().strip_prefix(prefix.as_str());
            let folder = below.and_then(|below| below.split_once('/')).map(|(folder, _)| folder.parse());
            if let Some(Ok(id)) = folder {
                found.entry(Copy { id, stored_as: stored_as.clone() }).or_default().push(object);
            }
        }
    }
    Ok(found)
}

/// All of a set's snapshots, each looked into; details are opened from the newest complete one on.
pub fn all_looked_into(
    site: &Site,
    set: &SetName,
    moved: &BTreeMap<SetName, SetName>,
) -> Result<Vec<SnapshotFacts>, DestinationError> {
    let mut history = History::default();
    history.look_into_all(site, set, moved)?;
    Ok(history.into_snapshots())
}

/// All of a set's snapshots by name, with those from the newest back to the newest complete one looked into. Details are
/// opened where more is asked for than manifests.
pub fn newest_looked_into(
    site: &Site,
    set: &SetName,
    moved: &BTreeMap<SetName, SetName>,
    depth: Depth,
) -> Result<Vec<SnapshotFacts>, DestinationError> {
    let mut snapshots: Vec<SnapshotFacts> = site.copies(set, moved)?.iter().map(not_read).collect();
    for facts in snapshots.iter_mut().rev() {
        *facts = site.seen(&copy_of(facts), depth)?;
        if depth > Depth::Manifest {
            site.reveal(facts)?;
        }
        if is_complete(facts) {
            break;
        }
    }
    Ok(snapshots)
}

/// As [`newest_looked_into`], and the newest that was restored besides: what `plan` needs.
pub fn newest_and_restored(
    site: &Site,
    set: &SetName,
    moved: &BTreeMap<SetName, SetName>,
) -> Result<Vec<SnapshotFacts>, DestinationError> {
    let mut snapshots = newest_looked_into(site, set, moved, Depth::Objects)?;
    if snapshots.iter().any(|facts| is_drilled(site, facts)) {
        return Ok(snapshots);
    }
    let copies: Vec<Copy> = snapshots.iter().map(copy_of).collect();
    let listed = listed(site, &copies)?;
    let mut drilled = Vec::new();
    for (index, copy) in copies.iter().enumerate() {
        if snapshots[index].state != SnapshotState::NotRead {
            continue;
        }
        let objects = listed.get(copy).map(Vec::as_slice).unwrap_or_default();
        match site.proof_keys(copy, Level::Restored, objects).next() {
            Some(newest) => drilled.push((newest.file_name(), index)),
            None => snapshots[index].state = SnapshotState::NeverRestored,
        }
    }
    // Their names begin with their time: an old snapshot may have been drilled last.
    drilled.sort_unstable();
    for (_, index) in drilled.into_iter().rev() {
        snapshots[index] = site.seen(&copies[index], Depth::Objects)?;
        if is_drilled(site, &snapshots[index]) {
            break;
        }
    }
    Ok(snapshots)
}

/// Whether a proof of a restore, or what disproved one, speaks of a complete snapshot as it is.
fn is_drilled(site: &Site, facts: &SnapshotFacts) -> bool {
    let SnapshotState::Sealed(sealed) = &facts.state else { return false };
    let speaks = |proof: &ProofRecord| {
        proof.level == Level::Restored
            && proof.manifest_sha256 == sealed.manifest_sha256
            && proof.at <= site.opened_at
    };
    sealed.manifest.complete && sealed.proofs.iter().any(speaks)
}

fn is_complete(facts: &SnapshotFacts) -> bool {
    matches!(&facts.state, SnapshotState::Sealed(sealed) if sealed.manifest.complete)
}

/// The newest complete snapshot of a history that was looked into.
pub fn newest_complete(history: &[SnapshotFacts]) -> Option<(&SnapshotFacts, &SealedFacts)> {
    history.iter().rev().find_map(|snapshot| match &snapshot.state {
        SnapshotState::Sealed(sealed) if sealed.manifest.complete => Some((snapshot, &**sealed)),
        SnapshotState::Sealed(_)
        | SnapshotState::NotRead
        | SnapshotState::NeverRestored
        | SnapshotState::Unsealed
        | SnapshotState::Damaged(_) => None,
    })
}

#[cfg(test)]
mod tests;
