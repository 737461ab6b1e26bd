//! How well a set is proven, where the evidence contradicts itself or could not be had.

use super::*;
use crate::decide::audit::audit;
use crate::decide::testing::{Scene, at};
use crate::format::ProofRecord;
use jiff::SignedDuration;

fn level(scene: &Scene, level: Level) -> LevelState {
    coverage(&scene.world())[0].level(level).clone()
}

/// What a snapshot's proofs are, by their index among the set's snapshots.
fn proofs(scene: &mut Scene, index: usize) -> &mut Vec<ProofRecord> {
    match &mut scene.snapshots()[index].state {
        SnapshotState::Sealed(sealed) => &mut sealed.proofs,
        other => panic!("not sealed: {other:?}"),
    }
}

/// Its bytes were found not to be those that were made.
fn damage(scene: &mut Scene, index: usize) {
    let time = scene.now - SignedDuration::from_hours(1);
    let all = proofs(scene, index);
    let result = Outcome::Disproven { reason: "the bytes differ".to_owned() };
    all.push(ProofRecord { level: Level::Intact, at: time, result, ..all[0].clone() });
}

#[test]
fn restore_that_was_proven_falls_with_the_bytes() {
    let mut scene = Scene::healthy();
    let last = scene.snapshots().len() - 1;
    damage(&mut scene, last);
    for of in [Level::Intact, Level::Restored] {
        let state = level(&scene, of);
        assert!(
            matches!(&state, LevelState::Disproven { reason, .. } if reason.contains("the bytes differ")),
            "{of}: {state:?}"
        );
        assert_eq!(state.at(), Some(scene.now - SignedDuration::from_hours(1)));
    }
    // Read well since, it is what came back once.
    let time = scene.now - SignedDuration::from_mins(1);
    let all = proofs(&mut scene, last);
    all.push(ProofRecord { level: Level::Intact, at: time, ..all[0].clone() });
    assert!(matches!(level(&scene, Level::Restored), LevelState::Proven { .. }));
}

#[test]
fn damage_of_an_older_snapshot_is_nothing_against_a_newer_ones_restore() {
    let mut scene = Scene::healthy();
    damage(&mut scene, 0);
    let state = level(&scene, Level::Restored);
    assert!(matches!(state, LevelState::Proven { .. }), "{state:?}");
}

#[test]
fn destination_that_lost_its_marker_is_unknown_and_nothing_vanished_there() {
    let mut scene = Scene::healthy();
    scene.destination().prepared = false;
    scene.destination().sets.clear();
    for of in [Level::Stored, Level::Intact, Level::Restored] {
        let state = level(&scene, of);
        assert!(state.is_unknown() && state.text().contains("may not be mounted"), "{of}: {state:?}");
    }
    let codes: Vec<_> = audit(&scene.world()).iter().map(|it| it.code).collect();
    assert_eq!(codes, [Code::DestinationNotPrepared]);
    // Where nothing was ever sealed, nothing is there.
    scene.journal().entries.clear();
    assert!(matches!(level(&scene, Level::Stored), LevelState::Unproven { .. }));
}

#[test]
fn listing_tells_that_nothing_was_restored_and_a_name_alone_does_not() {
    let mut scene = Scene::healthy();
    scene.newest().proofs.clear();
    let last = scene.snapshots().len() - 1;
    for snapshot in &mut scene.snapshots()[..last] {
        snapshot.state = SnapshotState::NeverRestored;
    }
    assert_eq!(level(&scene, Level::Restored), LevelState::unproven("never restored"));
    // It says nothing of bytes that were read back.
    scene.newest().manifest.members.clear();
    assert!(level(&scene, Level::Intact).is_unknown());
    scene.snapshots()[0].state = SnapshotState::NotRead;
    assert!(level(&scene, Level::Restored).is_unknown());
    let text = serde_json::to_string(&scene.facts).expect("JSON");
    assert_eq!(serde_json::from_str::<crate::observed::Facts>(&text).expect("facts"), scene.facts);
}

#[test]
fn run_that_was_killed_is_told_at_once() {
    let mut scene = Scene::healthy();
    let id = SnapshotId::new(at("2026-11-20T11:00:00Z"), 99);
    let trigger = crate::format::Trigger::Manual;
    scene.note(
        id.started_at(),
        crate::observed::JournalEvent::Started { snapshot: id, trigger, identity: Vec::new() },
    );
    let failed = |scene: &Scene| audit(&scene.world()).iter().any(|it| it.code == Code::RunFailed);
    assert!(!failed(&scene), "it may be going on");
    scene.journal().cut_short.insert(crate::decide::testing::set(), id);
    assert!(failed(&scene));
    let other = SnapshotId::new(at("2026-11-20T10:00:00Z"), 98);
    scene.journal().cut_short.insert(crate::decide::testing::set(), other);
    assert!(!failed(&scene), "another run's");
}
