//! Retention carried out, and leftovers cleared. What is removed is chosen by `decide::retention` alone.

use super::run::folder_of;
use super::site::{Copy, Site, small};
use super::verify::chain;
use super::{WorkflowError, journal, lock};
use crate::decide::{Verdict, candidates, retention};
use crate::declared::{Plan, RetentionBy, RetentionPolicy, SetDeclaration, SetName};
use crate::destinations::{DestinationError, Object};
use crate::diagnostic::Diagnostic;
use crate::format::{Key, Layout, Prefix, SnapshotId};
use crate::host::Host;
use crate::observed::{JournalEntry, JournalEvent, SnapshotFacts, SnapshotState, Trouble};
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

/// Applies retention to one set at one destination, of which everything was looked into. The caller holds the set's lock when `mode` is `Remove`.
pub fn one(
    host: &dyn Host,
    plan: &Plan,
    places: &Places,
    (name, set): (&SetName, &SetDeclaration),
    (site, history): (&Site, &[SnapshotFacts]),
    mode: Mode,
) -> Result<Vec<Pruned>, WorkflowError> {
    let zone = plan.timezone(set).zone();
    let policy = plan.retention(set, &site.name);
    let candidates = candidates(history, plan.level_provable_here(&site.name));
    let verdicts = retention(policy, &zone, &candidates, host.now());
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
    if let Some(who) = others(policy) {
        let unsealed = history.iter().filter(|it| matches!(it.state, SnapshotState::Unsealed));
        pruned.extend(unsealed.map(|it| {
            let reasons = vec![format!("never sealed: left for {who}")];
            Pruned { verdict: Verdict { id: it.id, keep: true, reasons }, removed: false }
        }));
    }
    Ok(pruned)
}

/// Who removes what is old, where it is not bkp here.
fn others(policy: Option<&RetentionPolicy>) -> Option<&'static str> {
    Some(match policy?.by? {
        RetentionBy::Provider => "the provider",
        RetentionBy::Pruner => "the pruner",
    })
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
        let what = format!("snapshot {} at `{}`", copy.id, site.name);
        let diagnostic = Diagnostic::new("snapshot not removed", what).why(chain(&error));
        WorkflowError::from(match error.trouble() {
            Some(Trouble::Refused) => diagnostic.fix(
                "give it credentials that may delete, or say who removes what is old: `retention: { by: provider }`",
            ),
            _ => diagnostic,
        })
    })?;
    lock::forget_snapshot(host, &places.state, set, &copy.id);
    Ok(true)
}

/// Removes the objects of a snapshot, the manifest first.
pub fn remove_objects(site: &Site, copy: &Copy) -> Result<(), DestinationError> {
    let prefix = site.layout.snapshot(&copy.stored_as, &copy.id);
    let mut objects = site.target.list(&prefix)?;
    objects.sort_by_key(|object| object.key.file_name() != Layout::MANIFEST);
    // A note goes before what it names: were it to stay behind, it could name another snapshot's object one day.
    let placed = placed(site, copy, &objects)?;
    objects.sort_by_key(|object| (object.key.file_name() != Layout::MANIFEST, !is_note(&object.key)));
    let elsewhere = placed.into_iter().flat_map(|key| [key.with_suffix(Layout::SIDECAR), key]);
    let keys: Vec<Key> = objects.into_iter().map(|it| it.key).chain(elsewhere).collect();
    for key in keys {
        match site.target.delete(&key) {
            Ok(()) | Err(DestinationError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    site.target.sweep(&prefix)
}

/// Whether an object is a note of what lies elsewhere: artifacts have an ending, and no number for a name.
fn is_note(key: &Key) -> bool {
    let number = key.file_name().strip_prefix(Layout::PLACED);
    number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What a snapshot has outside of its folder, by the notes in it. Anybody who may write there can leave a note, so one that
/// leads elsewhere than the destination's layout does for this snapshot is no note of ours.
fn placed(site: &Site, copy: &Copy, objects: &[Object]) -> Result<Vec<Key>, DestinationError> {
    let Some(template) = &site.template else { return Ok(Vec::new()) };
    let folder = folder_of(template, &site.layout, copy.stored_as.as_str(), copy.id);
    let mut keys = Vec::new();
    for note in objects.iter().filter(|it| is_note(&it.key)) {
        let path = String::from_utf8_lossy(&small(&*site.target, &note.key)?).trim().to_owned();
        if path.starts_with(&folder) && !path.starts_with(site.layout.host().as_str()) {
            keys.push(Prefix::root().listed_key(&path));
        }
    }
    Ok(keys)
}

/// Removes what killed runs and killed removals of this host left: folders without a manifest that the journal says
/// this host began or was removing. The caller holds the set's lock. A folder that the journal does not explain is
/// left for people to judge. Where bkp does not remove what is old, its credentials need not be able to: what it was
/// refused to remove is given back by name, left for who does.
pub fn clear_leftovers(
    site: &Site,
    set: &SetName,
    history: &[SnapshotFacts],
    entries: &[JournalEntry],
    policy: Option<&RetentionPolicy>,
) -> Result<Vec<SnapshotId>, DestinationError> {
    let append_only = policy.is_none_or(|policy| policy.by.is_some());
    let mut left = Vec::new();
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
            let copy = Copy { id: snapshot.id, stored_as: snapshot.stored_as.clone() };
            match remove_objects(site, &copy) {
                Ok(()) => {}
                Err(DestinationError::Denied { .. }) if append_only => left.push(snapshot.id),
                Err(error) => return Err(error),
            }
        }
    }
    match site.target.sweep(&site.layout.set(set)) {
        Ok(()) => Ok(left),
        Err(DestinationError::Denied { .. }) if append_only => Ok(left),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::{Scene, local, set};
    use crate::declared::Scope;
    use crate::destinations::memory::{Faults, MemoryDestination};
    use crate::format::{Digest, Trigger};
    use crate::host::FakeHost;
    use crate::workflow::history::all_looked_into;
    use crate::workflow::keyring::Keyring;
    use crate::workflow::site::sidecars;

    /// A place with one sealed snapshot and one that a killed run left, at which nothing can be deleted.
    struct Bed {
        scene: Scene,
        site: Site,
        history: Vec<SnapshotFacts>,
        entries: Vec<JournalEntry>,
        leftover: SnapshotId,
        place: MemoryDestination,
    }

    fn bed(policy: Option<RetentionPolicy>, refuses_deletes: bool) -> Bed {
        let mut scene = Scene::healthy();
        scene.plan.defaults.retention = policy;
        let place =
            MemoryDestination::prepared("append-only").with(Faults { refuses_deletes, ..Faults::default() });
        let layout = Layout::new("observatory".parse().expect("a name"));
        let ids: Vec<SnapshotId> = scene.snapshots().iter().map(|it| it.id).collect();
        let (sealed, leftover) = (ids[1], ids[2]);
        for id in &ids[..2] {
            let manifest = crate::decide::testing::manifest(*id, id.started_at(), None);
            let bytes = manifest.render();
            for (name, text) in sidecars(&manifest, Digest::of(&bytes)) {
                place.replace(&layout.artifact(&set(), id, &name), text);
            }
            place.replace(&layout.manifest(&set(), id), bytes);
            place.replace(&layout.artifact(&set(), id, "orders.db.zst"), vec![0; 1024]);
        }
        place.replace(&layout.artifact(&set(), &leftover, "orders.db.zst"), vec![0; 9]);
        let (name, keys) = (local(), Keyring::Open);
        let site = Site {
            name,
            target: Box::new(place.clone()),
            layout,
            keys,
            encrypted: false,
            template: None,
            opened_at: scene.now,
        };
        let history = all_looked_into(&site, &set(), &scene.plan.moved).expect("history");
        assert!(history.iter().any(|it| it.id == sealed));
        let event =
            JournalEvent::Started { snapshot: leftover, trigger: Trigger::Schedule, identity: Vec::new() };
        let entries = vec![JournalEntry { format: JournalEntry::FORMAT, at: scene.now, set: set(), event }];
        Bed { scene, site, history, entries, leftover, place }
    }

    fn by(by: RetentionBy) -> Option<RetentionPolicy> {
        Some(RetentionPolicy { by: Some(by), ..RetentionPolicy::default() })
    }

    fn last(count: u32) -> Option<RetentionPolicy> {
        Some(RetentionPolicy { last: Some(count), ..RetentionPolicy::default() })
    }

    impl Bed {
        fn clear(&self) -> Result<Vec<SnapshotId>, DestinationError> {
            let policy = self.scene.plan.retention(&self.scene.plan.sets[&set()], &local());
            clear_leftovers(&self.site, &set(), &self.history, &self.entries, policy)
        }

        #[expect(clippy::disallowed_methods, reason = "the lock's folder is one of the system's")]
        fn prune(&self) -> Result<Vec<Pruned>, WorkflowError> {
            let folder = tempfile::tempdir().expect("a folder");
            let below = |name: &str| folder.path().join(name);
            // A lock is a file of the system's, whatever the host.
            std::fs::create_dir_all(below("state/locks")).expect("a folder");
            let host = FakeHost::at(self.scene.now);
            let places = Places {
                scope: Scope::User,
                config: below("config"),
                state: below("state"),
                units: below("units"),
                agents: below("agents"),
                cron: below("cron"),
            };
            let name = set();
            let of_set = (&name, &self.scene.plan.sets[&set()]);
            one(&host, &self.scene.plan, &places, of_set, (&self.site, &self.history), Mode::Remove)
        }
    }

    #[test]
    fn leftovers_are_left_where_others_remove_and_the_credentials_may_not() {
        for policy in [by(RetentionBy::Provider), by(RetentionBy::Pruner), None] {
            let bed = bed(policy, true);
            assert_eq!(bed.clear().expect("no failure"), [bed.leftover]);
        }
        let refused = bed(last(7), true).clear();
        assert!(matches!(refused, Err(DestinationError::Denied { .. })), "{refused:?}");
        let bed = bed(by(RetentionBy::Provider), false);
        assert_eq!(bed.clear().expect("cleared"), []);
        let key = bed.site.layout.artifact(&set(), &bed.leftover, "orders.db.zst");
        assert_eq!(bed.place.bytes(&key), None, "who may delete clears up");
    }

    #[test]
    fn prune_says_what_it_leaves_to_others_and_does_not_fail() {
        let bed = bed(by(RetentionBy::Provider), true);
        let pruned = bed.prune().expect("no failure");
        assert!(pruned.iter().all(|it| it.verdict.keep && !it.removed), "{pruned:?}");
        let reasons: Vec<String> = pruned.iter().map(|it| it.verdict.reasons.join(", ")).collect();
        assert_eq!(
            reasons,
            [
                "the provider removes what is old",
                "the provider removes what is old",
                "never sealed: left for the provider"
            ]
        );
    }

    #[test]
    fn refusal_where_bkp_itself_removes_is_a_failure_that_names_the_way_out() {
        let error = bed(last(1), true).prune().expect_err("it cannot");
        let fix = error.diagnostic().fix.unwrap_or_default();
        assert!(fix.contains("by: provider"), "{fix}");
    }
}
