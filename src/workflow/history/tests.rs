//! What is seen of a set's snapshots, and how little is asked for it.

use super::*;
use crate::decide::testing::{at, local, manifest, set};
use crate::destinations::Destination;
use crate::destinations::memory::{Faults, MemoryDestination};
use crate::format::{Digest, Layout, Outcome, ProofRecord, SnapshotId};
use crate::observed::ObjectsState;
use crate::workflow::keyring::Keyring;
use crate::workflow::site::sidecars;
use jiff::{SignedDuration, Timestamp};

const NOW: &str = "2026-11-20T12:00:00Z";

struct Bed {
    place: MemoryDestination,
    site: Site,
    ids: Vec<SnapshotId>,
}

/// A day's snapshot each, the last of them yesterday's.
fn bed(snapshots: u64) -> Bed {
    let place = MemoryDestination::prepared("far");
    let layout = Layout::new("observatory".parse().expect("a name"));
    let (name, keys, target) = (local(), Keyring::Open, Box::new(place.clone()));
    let site = Site { name, target, layout, keys, encrypted: false, template: None, opened_at: at(NOW) };
    let day = |before: u64| at(NOW) - SignedDuration::from_hours(24 * i64::try_from(before).expect("few"));
    let ids: Vec<SnapshotId> =
        (1..=snapshots).map(|number| SnapshotId::new(day(snapshots - number + 1), number)).collect();
    let bed = Bed { place, site, ids };
    (0..bed.ids.len()).for_each(|index| bed.seal(index, true));
    bed
}

impl Bed {
    fn seal(&self, index: usize, complete: bool) {
        let id = self.ids[index];
        let mut manifest = manifest(id, id.started_at(), None);
        manifest.complete = complete;
        let bytes = manifest.render();
        let layout = &self.site.layout;
        for (name, text) in sidecars(&manifest, Digest::of(&bytes)) {
            self.place.replace(&layout.artifact(&set(), &id, &name), text);
        }
        self.place.replace(&layout.artifact(&set(), &id, "orders.db.zst"), vec![0; 1024]);
        self.place.replace(&layout.manifest(&set(), &id), bytes);
    }

    fn record(&self, index: usize, level: Level, at: Timestamp, held: bool) -> ProofRecord {
        let id = self.ids[index];
        let manifest = self.place.bytes(&self.site.layout.manifest(&set(), &id)).expect("a manifest");
        let result = if held { Outcome::Proven } else { Outcome::Disproven { reason: "it differs".into() } };
        ProofRecord {
            format: ProofRecord::FORMAT,
            bkp_version: "0.1.0".to_owned(),
            by: "observatory".to_owned(),
            level,
            at,
            set: set(),
            snapshot: id,
            manifest_sha256: Digest::of(&manifest),
            result,
            counts: BTreeMap::new(),
            limits: Vec::new(),
        }
    }

    fn write(&self, record: &ProofRecord) {
        let key = self.site.layout.proof(&set(), &record.snapshot, record.at, record.level);
        self.place.replace(&key, serde_json::to_vec(record).expect("JSON"));
    }

    fn prove(&self, index: usize, level: Level, time: &str, held: bool) {
        self.write(&self.record(index, level, at(time), held));
    }

    /// The times and results of the proofs that are seen of a snapshot.
    fn proofs(&self, index: usize) -> Vec<(Level, Timestamp, bool)> {
        let copy = Copy { id: self.ids[index], stored_as: set() };
        let seen = self.site.seen(&copy, Depth::Objects).expect("seen");
        let SnapshotState::Sealed(sealed) = seen.state else { panic!("sealed") };
        sealed.proofs.iter().map(|it| (it.level, it.at, it.result == Outcome::Proven)).collect()
    }

    fn in_full(&self, history: &mut History) {
        history.look_into_all(&self.site, &set(), &BTreeMap::new()).expect("history");
    }
}

fn states(snapshots: &[SnapshotFacts]) -> String {
    let letter = |it: &SnapshotFacts| match &it.state {
        SnapshotState::NotRead => '?',
        SnapshotState::NeverRestored => '-',
        SnapshotState::Unsealed => 'u',
        SnapshotState::Sealed(sealed) if sealed.objects == ObjectsState::NotListed => 'm',
        SnapshotState::Sealed(_) => 'S',
        SnapshotState::Damaged(_) => 'd',
    };
    snapshots.iter().map(letter).collect()
}

#[test]
fn run_begins_with_one_listing_and_the_newest_complete_manifest() {
    let bed = bed(20);
    bed.seal(19, false);
    bed.place.delete(&bed.site.layout.manifest(&set(), &bed.ids[3])).expect("it was there");
    bed.place.forget_questions();
    let history = History::begin(&bed.site, &set(), &BTreeMap::new()).expect("history");
    assert_eq!(states(history.snapshots()), "???u??????????????mm");
    // Two manifests, and the one that the listing does not show.
    let questions = bed.place.questions();
    assert_eq!(questions.iter().filter(|it| it.starts_with("get ")).count(), 3, "{questions:?}");
    assert_eq!(questions.len(), 5, "{questions:?}");
}

#[test]
fn what_was_seen_is_not_asked_for_again() {
    let bed = bed(20);
    (0..20).for_each(|index| bed.prove(index, Level::Restored, "2026-11-20T04:00:00Z", true));
    let mut history = History::begin(&bed.site, &set(), &BTreeMap::new()).expect("history");
    bed.place.forget_questions();
    bed.in_full(&mut history);
    assert_eq!(states(history.snapshots()), "S".repeat(20));
    let questions = bed.place.questions();
    // The listing of the set and of its folders, 19 manifests and 20 proofs.
    assert_eq!(questions.len(), 2 + 19 + 20, "{questions:?}");
    let before = history.snapshots().to_vec();
    bed.place.forget_questions();
    bed.in_full(&mut history);
    assert_eq!(bed.place.questions().len(), 2, "{:?}", bed.place.questions());
    assert_eq!(history.snapshots(), before);
}

#[test]
fn what_can_be_read_together_is_and_what_is_large_is_not() {
    let bed = bed(20);
    (0..20).for_each(|index| bed.prove(index, Level::Restored, "2026-11-20T04:00:00Z", index != 3));
    bed.prove(3, Level::Restored, "2026-11-20T03:00:00Z", true);
    let large = bed.site.layout.proof(&set(), &bed.ids[7], at("2026-11-20T05:00:00Z"), Level::Restored);
    bed.place.replace(&large, vec![b' '; 2 << 20]);
    let mut one_by_one = History::default();
    bed.in_full(&mut one_by_one);
    bed.place.clone().with(Faults { reads_together: true, ..Faults::default() });
    bed.place.forget_questions();
    let mut together = History::default();
    bed.in_full(&mut together);
    assert_eq!(together.snapshots(), one_by_one.snapshots());
    // The large one and the good one before it; the one that held before what was disproven.
    let questions = bed.place.questions();
    assert_eq!(questions[2], "get 39 together", "{questions:?}");
    assert_eq!(questions.len(), 3 + 2 + 1, "{questions:?}");
}

#[test]
fn what_has_changed_since_is_looked_into_again() {
    let bed = bed(4);
    let mut history = History::default();
    bed.in_full(&mut history);
    bed.prove(1, Level::Intact, "2026-11-20T04:00:00Z", false);
    bed.place.delete(&bed.site.layout.artifact(&set(), &bed.ids[2], "orders.db.zst")).expect("it was there");
    for object in bed.place.list(&bed.site.layout.snapshot(&set(), &bed.ids[0])).expect("a list") {
        bed.place.delete(&object.key).expect("it was there");
    }
    bed.in_full(&mut history);
    assert_eq!(history.snapshots().iter().map(|it| it.id).collect::<Vec<_>>(), bed.ids[1..]);
    let sealed = |index: usize| match &history.snapshots()[index].state {
        SnapshotState::Sealed(sealed) => sealed,
        other => panic!("not sealed: {other:?}"),
    };
    assert_eq!(sealed(0).proofs.len(), 1);
    assert!(
        matches!(&sealed(1).objects, ObjectsState::Wrong { missing, .. } if missing == &["orders.db.zst"])
    );
    assert_eq!((sealed(2).proofs.len(), &sealed(2).objects), (0, &ObjectsState::AllPresent));
}

#[test]
fn snapshot_that_was_sealed_after_it_was_listed_lacks_nothing() {
    let bed = bed(1);
    let copy = Copy { id: bed.ids[0], stored_as: set() };
    let before = Seen { listed: Vec::new(), depth: None, revealed: false };
    let mut history = History { snapshots: vec![not_read(&copy)], seen: vec![before] };
    history.look_into(&bed.site, 0, Depth::Objects, &mut Shelf::default()).expect("looked into");
    let SnapshotState::Sealed(sealed) = &history.snapshots[0].state else { panic!("it was sealed") };
    assert_eq!(sealed.objects, ObjectsState::AllPresent);
}

#[test]
fn of_each_level_the_newest_proofs_speak_back_to_one_that_held() {
    let bed = bed(1);
    for hour in 1..=5 {
        bed.prove(0, Level::Intact, &format!("2026-11-20T0{hour}:00:00Z"), true);
        bed.prove(0, Level::Restored, &format!("2026-11-20T0{hour}:30:00Z"), hour < 4);
    }
    bed.place.forget_questions();
    let expected = [
        (Level::Restored, at("2026-11-20T03:30:00Z"), true),
        (Level::Restored, at("2026-11-20T04:30:00Z"), false),
        (Level::Intact, at("2026-11-20T05:00:00Z"), true),
        (Level::Restored, at("2026-11-20T05:30:00Z"), false),
    ];
    assert_eq!(bed.proofs(0), expected);
    // The manifest, the listing, four proofs.
    assert_eq!(bed.place.questions().len(), 6, "{:?}", bed.place.questions());
}

#[test]
fn proof_that_proves_nothing_hides_none_that_does() {
    let bed = bed(1);
    let good = (Level::Intact, at("2026-11-20T01:00:00Z"), true);
    bed.prove(0, Level::Intact, "2026-11-20T01:00:00Z", true);
    let layout = &bed.site.layout;
    // Of another manifest; no proof at all; of another time than its name says; dated in the future.
    let mut foreign = bed.record(0, Level::Intact, at("2026-11-20T02:00:00Z"), true);
    foreign.manifest_sha256 = Digest::of(b"another");
    bed.write(&foreign);
    let garbage = layout.proof(&set(), &bed.ids[0], at("2026-11-20T03:00:00Z"), Level::Intact);
    bed.place.replace(&garbage, b"{".to_vec());
    let misnamed = layout.proof(&set(), &bed.ids[0], at("2026-11-20T04:00:00Z"), Level::Intact);
    let older = bed.record(0, Level::Intact, at("2026-11-20T03:30:00Z"), true);
    bed.place.replace(&misnamed, serde_json::to_vec(&older).expect("JSON"));
    bed.prove(0, Level::Intact, "2027-11-20T01:00:00Z", true);
    let seen = bed.proofs(0);
    assert!(seen.contains(&good), "{seen:?}");
    let times: Vec<Timestamp> = seen.iter().map(|(_, at, _)| *at).collect();
    assert_eq!(times, [good.1, foreign.at, at("2027-11-20T01:00:00Z")]);
}

#[test]
fn plan_finds_the_last_drill_by_its_name_and_opens_no_other() {
    let bed = bed(20);
    bed.prove(5, Level::Restored, "2026-11-06T04:00:00Z", true);
    bed.prove(7, Level::Restored, "2026-11-08T04:00:00Z", true);
    bed.prove(9, Level::Intact, "2026-11-10T04:00:00Z", true);
    bed.place.forget_questions();
    let seen = newest_and_restored(&bed.site, &set(), &BTreeMap::new()).expect("history");
    assert_eq!(states(&seen), "-----?-S-----------S");
    // Folders, then manifest and list of the newest; the list of the set, then manifest, list and proof of the drilled.
    assert_eq!(bed.place.questions().len(), 7, "{:?}", bed.place.questions());
    // An old one may have been drilled last; what is incomplete or of another manifest is passed by.
    bed.prove(2, Level::Restored, "2026-11-09T04:00:00Z", true);
    bed.prove(12, Level::Restored, "2026-11-19T04:00:00Z", true);
    bed.seal(12, false);
    let seen = newest_and_restored(&bed.site, &set(), &BTreeMap::new()).expect("history");
    assert_eq!(states(&seen), "--S--?-?----S------S");
    // Where the newest is drilled nothing else is asked.
    bed.prove(19, Level::Restored, "2026-11-20T04:00:00Z", true);
    bed.place.forget_questions();
    let seen = newest_and_restored(&bed.site, &set(), &BTreeMap::new()).expect("history");
    assert_eq!(states(&seen), format!("{}S", "?".repeat(19)));
    assert_eq!(bed.place.questions().len(), 4, "{:?}", bed.place.questions());
}

#[test]
fn condition_of_a_run_reads_one_manifest() {
    let bed = bed(20);
    bed.place.forget_questions();
    let seen = newest_looked_into(&bed.site, &set(), &BTreeMap::new(), Depth::Manifest).expect("history");
    assert_eq!(states(&seen), format!("{}m", "?".repeat(19)));
    assert_eq!(bed.place.questions().len(), 2, "{:?}", bed.place.questions());
}
