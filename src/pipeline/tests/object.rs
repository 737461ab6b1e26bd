//! Small objects.

use super::*;
use crate::destinations::conformance::noise;
use crate::destinations::memory::{Faults, MemoryDestination};
use crate::format::{Digest, StoredSize};
use crate::host::{Command, Host, RealHost, pulse};
use crate::pipeline::compress::decompressor;
use crate::pipeline::{
    ReadBackError, StoreError, copy_artifact, copy_object, sidecar, store_bytes, store_index,
};
use std::io::Write;

#[test]
fn sidecar_is_accepted_by_sha256sum_and_finds_a_changed_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = "a%20b.tar.zst";
    let host = RealHost::new();
    let check = |content: &[u8]| {
        host.write_atomic(&folder.path().join(name), content, 0o600).expect("room");
        let sidecar = sidecar(name, &Digest::of(b"artifact"));
        host.write_atomic(&folder.path().join("sums"), &sidecar, 0o600).expect("room");
        let mut command = Command::look(["sha256sum", "--strict", "-c", "sums"]);
        command.directory = Some(folder.path().to_owned());
        host.run(&command).expect("coreutils are everywhere")
    };
    let good = check(b"artifact");
    assert!(good.succeeded() && good.text() == format!("{name}: OK\n"), "{good:?}");
    assert!(!check(b"artifacT").succeeded());
}

#[test]
fn bytes_that_come_back_changed_are_an_error_and_do_not_stay() {
    let place = MemoryDestination::prepared("place").with(Faults { flips: Some("bad"), ..Faults::default() });
    let stored = store_bytes(&host(), &place, &key("good"), b"1234").expect("a sound object");
    assert_eq!((stored.bytes, stored.sha256), (4, Digest::of(b"1234")));
    let refused = store_bytes(&host(), &place, &key("bad"), b"1234");
    assert!(matches!(refused, Err(StoreError::ReadBack(_))), "{refused:?}");
    assert_eq!(place.bytes(&key("bad")), None);
    let taken = store_bytes(&host(), &place, &key("good"), b"other");
    assert!(matches!(taken, Err(StoreError::Destination(_))), "{taken:?}");
    assert_eq!(place.bytes(&key("good")).as_deref(), Some(&b"1234"[..]));
}

#[test]
fn index_is_stored_compressed_and_read_back() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let line = "{\"path\":\"a\",\"bytes\":1}\n".repeat(100_000);
    file.write_all(line.as_bytes()).expect("room");
    let place = MemoryDestination::prepared("place").with(Faults { flips: Some("bad"), ..Faults::default() });
    let stored = store_index(&host(), &place, &key("index"), file.path(), None).expect("a sound object");
    let kept = place.bytes(&key("index")).expect("it is stored");
    assert_eq!((stored.bytes, stored.sha256), (kept.len() as u64, Digest::of(&kept)));
    let mut unpacked = String::new();
    let mut reader = decompressor(Compression::Zstd, Box::new(kept.as_slice())).expect("a stream");
    reader.read_to_string(&mut unpacked).expect("a whole stream");
    assert!(unpacked == line);
    let refused = store_index(&host(), &place, &key("bad"), file.path(), None);
    assert!(matches!(refused, Err(StoreError::ReadBack(_))), "{refused:?}");
    assert_eq!(place.bytes(&key("bad")), None);
    let folder = store_index(&host(), &place, &key("folder"), std::path::Path::new("/"), None);
    assert!(matches!(folder, Err(StoreError::File { .. })), "{folder:?}");
}

/// What a copy from one place to another comes to, and what lies at the other afterwards.
fn copied(
    origin: &MemoryDestination,
    expected: &StoredSize,
    cancelled: &dyn Fn() -> bool,
) -> (Result<(), StoreError>, Option<Vec<u8>>) {
    let target = MemoryDestination::prepared("target");
    let copied = copy_object((origin, &key("one")), (&target, &key("two")), expected, cancelled);
    (copied, target.bytes(&key("two")))
}

#[test]
fn copy_arrives_whole_and_shows_that_it_moves() {
    let origin = MemoryDestination::prepared("origin");
    let stored = store_bytes(&host(), &origin, &key("one"), &noise(3 << 20)).expect("room");
    // It is asked before each piece: between two of them it has moved.
    let seen = std::cell::RefCell::new(Vec::new());
    let (result, bytes) = copied(&origin, &stored, &|| {
        seen.borrow_mut().push(pulse::beats());
        false
    });
    result.expect("a copy");
    assert!(bytes.expect("it is there") == noise(3 << 20));
    assert!(seen.borrow().windows(2).all(|two| two[0].is_none() || two[0] != two[1]), "{seen:?}");
    assert!(seen.borrow().len() > 2);
}

#[test]
fn damage_at_the_origin_is_not_copied_and_not_blamed_on_the_target() {
    let origin = MemoryDestination::prepared("origin");
    let stored = store_bytes(&host(), &origin, &key("one"), &noise(3 << 20)).expect("room");
    let mut damaged = noise(3 << 20);
    damaged[9] ^= 1;
    for damage in [damaged, noise(2 << 20), Vec::new()] {
        origin.replace(&key("one"), damage);
        let (result, bytes) = copied(&origin, &stored, &|| false);
        let Err(StoreError::Origin(error)) = result else { panic!("{result:?}") };
        assert!(error.is_disproven() && error.to_string().contains("one"), "{error}");
        assert_eq!(bytes, None);
    }
    origin.delete(&key("one")).expect("it is there");
    let (result, _) = copied(&origin, &stored, &|| false);
    assert!(matches!(result, Err(StoreError::Origin(ReadBackError::Missing { .. }))), "{result:?}");
}

#[test]
fn copy_that_is_told_to_end_publishes_nothing() {
    let origin = MemoryDestination::prepared("origin");
    let stored = store_bytes(&host(), &origin, &key("one"), &noise(3 << 20)).expect("room");
    let asked = AtomicU64::new(0);
    let (result, bytes) = copied(&origin, &stored, &|| asked.fetch_add(1, Ordering::Relaxed) > 2);
    assert!(matches!(result, Err(StoreError::Cancelled)), "{result:?}");
    assert_eq!(bytes, None);
}

#[test]
fn copy_of_an_artifact_is_read_back_and_one_that_is_not_waited_for_does_not_stay() {
    let origin = MemoryDestination::prepared("origin");
    let stored = store_bytes(&host(), &origin, &key("one"), &noise(3 << 20)).expect("room");
    let id = crate::format::SnapshotId::new(jiff::Timestamp::UNIX_EPOCH, 1);
    let mut member = crate::decide::testing::manifest(id, id.started_at(), None).members.remove(0);
    (member.stored, member.plain) = (stored, Some(stored));
    let copied = |target: &MemoryDestination, cancelled: &(dyn Fn() -> bool + Sync)| {
        let to = lane("target", Compression::None, target);
        let copied = copy_artifact(&host(), (&origin, &key("one")), &to, &member, cancelled);
        (copied.map(|_| ()), target.bytes(&to.key))
    };
    let (result, bytes) = copied(&MemoryDestination::prepared("target"), &|| false);
    result.expect("a copy");
    assert!(bytes.expect("it is there") == noise(3 << 20));
    // Told to end once it is published: what was not read back is no copy.
    let target = MemoryDestination::prepared("target");
    let (result, bytes) = copied(&target, &|| !target.order().is_empty());
    assert!(matches!(result, Err(StoreError::Cancelled)), "{result:?}");
    assert_eq!((bytes, target.order().len()), (None, 1), "it was there, and was taken back");
    let target = MemoryDestination::prepared("target").with(Faults { flips: Some(""), ..Faults::default() });
    let (result, bytes) = copied(&target, &|| false);
    assert!(matches!(result, Err(StoreError::ReadBack(_))), "{result:?}");
    assert_eq!(bytes, None);
}
