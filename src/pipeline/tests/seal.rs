//! The commit.

use super::*;
use crate::destinations::memory::{Faults, MemoryDestination};
use crate::format::{Digest, FailedMember, IndexObject, Manifest, StoredSize, Trigger};
use crate::pipeline::{ManifestDraft, ProvenMember, StoreError, seal, sidecar, store_bytes};

fn draft() -> ManifestDraft {
    ManifestDraft {
        plan: "plan".parse().expect("a name"),
        set: set(),
        set_digest: Digest::of(b"set"),
        snapshot: snapshot(),
        started_at: "2026-11-20T03:00:00Z".parse().expect("a time"),
        trigger: Trigger::Manual,
        source: "files".to_owned(),
        identity: Vec::new(),
        failed: Vec::new(),
        previous: None,
    }
}

fn proven(place: &MemoryDestination, member: &str, key: Key, index: Option<IndexObject>) -> ProvenMember {
    let lanes =
        [Lane { destination: name("place"), packing: Packing::open(Compression::None), target: place, key }];
    let mut stored = store(&Producer::of(1000), &lanes);
    let receipt = stored.receipts.remove(&name("place")).expect("it was a lane").expect("a sound place");
    let complete = stored.outcome.expect("a sound producer");
    let object = receipt.key().file_name().to_owned();
    ProvenMember::new(&complete, receipt, (member.to_owned(), object), draft().started_at, index)
}

fn place() -> MemoryDestination {
    MemoryDestination::prepared("place")
}

fn refused(place: &MemoryDestination, draft: ManifestDraft, members: Vec<ProvenMember>) -> String {
    let sealed = seal(&host(), place, &layout(), draft, members);
    let Err(StoreError::Unproven { reason }) = sealed else { panic!("{sealed:?}") };
    assert_eq!(place.bytes(&layout().manifest(&set(), &snapshot())), None);
    reason
}

#[test]
fn manifest_is_written_last_and_says_what_was_proven() {
    let place = place();
    let members = vec![proven(&place, "b", key("b.tar"), None), proven(&place, "a", key("a.tar"), None)];
    let sealed = seal(&host(), &place, &layout(), draft(), members).expect("all is proven");
    let key = layout().manifest(&set(), &snapshot());
    let order: Vec<String> = place.order().iter().map(|key| key.file_name().to_owned()).collect();
    assert_eq!(order, ["b.tar", "a.tar", "manifest.json.sha256", "manifest.json"]);
    let bytes = place.bytes(&key).expect("it is stored");
    assert_eq!(sealed.digest(), Digest::of(&bytes));
    assert_eq!(&Manifest::parse(&bytes).expect("a manifest"), sealed.manifest());
    assert_eq!(
        place.bytes(&key.with_suffix(".sha256")).expect("it is stored"),
        sidecar("manifest.json", &sealed.digest())
    );
    let manifest = sealed.manifest();
    assert!(manifest.complete);
    assert_eq!(manifest.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(manifest.members[0].counts.0["bytes"], 1000);
    assert_eq!(manifest.members[0].warnings, ["odd"]);
    assert_eq!(
        manifest.members[0].plain.expect("it is not concealed").sha256,
        Digest::of(&Producer::of(1000).bytes())
    );
}

#[test]
fn failed_member_makes_the_snapshot_incomplete() {
    let place = place();
    let failed = vec![FailedMember { name: "b".to_owned(), reason: "gone".to_owned() }];
    let members = vec![proven(&place, "a", key("a.tar"), None)];
    let sealed =
        seal(&host(), &place, &layout(), ManifestDraft { failed, ..draft() }, members).expect("a is proven");
    assert!(!sealed.manifest().complete);
}

#[test]
fn receipt_of_another_destination_or_snapshot_seals_nothing() {
    let (here, there) = (place(), MemoryDestination::prepared("there"));
    let reason = refused(&here, draft(), vec![proven(&there, "a", key("a.tar"), None)]);
    assert!(reason.contains("memory:there"), "{reason}");
    let other: SnapshotId = "20261121T030000Z-000043".parse().expect("an id");
    let other = layout().artifact(&set(), &other, "a.tar");
    let reason = refused(&here, draft(), vec![proven(&here, "a", other, None)]);
    assert!(reason.contains("another snapshot"), "{reason}");
}

#[test]
fn object_that_is_gone_or_resized_since_its_receipt_seals_nothing() {
    let place = place();
    let member = proven(&place, "a", key("a.tar"), None);
    place.replace(&key("a.tar"), vec![0; 999]);
    assert!(refused(&place, draft(), vec![member]).contains("999 bytes"));
    let member = proven(&place, "b", key("b.tar"), None);
    place.delete(&key("b.tar")).expect("it is there");
    assert!(refused(&place, draft(), vec![member]).contains("not at the destination"));
    let index =
        IndexObject { object: "i".to_owned(), stored: StoredSize { bytes: 1, sha256: Digest::of(b"1") } };
    let member = proven(&place, "c", key("c.tar"), Some(index.clone()));
    assert!(refused(&place, draft(), vec![member]).contains("`i`"));
    store_bytes(&host(), &place, &key("i"), b"1").expect("room");
    let member = proven(&place, "d", key("d.tar"), Some(index));
    seal(&host(), &place, &layout(), draft(), vec![member]).expect("all is proven");
}

#[test]
fn no_member_and_the_same_member_twice_seal_nothing() {
    let place = place();
    assert!(refused(&place, draft(), Vec::new()).contains("no member"));
    let twice = vec![proven(&place, "a", key("a.tar"), None), proven(&place, "a", key("b.tar"), None)];
    assert!(refused(&place, draft(), twice).contains("`a` is there twice"));
    let failed = vec![FailedMember { name: "c".to_owned(), reason: "gone".to_owned() }];
    let member = proven(&place, "c", key("c.tar"), None);
    assert!(
        refused(&place, ManifestDraft { failed, ..draft() }, vec![member]).contains("`c` is there twice")
    );
}

#[test]
fn manifest_that_does_not_come_back_as_it_was_is_no_commit_and_does_not_stay() {
    let place = place().with(Faults { flips: Some("manifest.json"), ..Faults::default() });
    let members = vec![proven(&place, "a", key("a.tar"), None)];
    let sealed = seal(&host(), &place, &layout(), draft(), members);
    assert!(matches!(sealed, Err(StoreError::ReadBack(_))), "{sealed:?}");
    assert_eq!(place.bytes(&layout().manifest(&set(), &snapshot())), None);
}

#[test]
fn snapshot_is_sealed_once() {
    let place = place();
    let members = vec![proven(&place, "a", key("a.tar"), None)];
    seal(&host(), &place, &layout(), draft(), members).expect("all is proven");
    let members = vec![proven(&place, "b", key("b.tar"), None)];
    let again = seal(&host(), &place, &layout(), draft(), members);
    assert!(matches!(again, Err(StoreError::Destination(_))), "{again:?}");
}
