//! What is encrypted on its way.

use super::*;
use crate::destinations::memory::MemoryDestination;
use crate::encryption::{Opener, Sealer, new_key};
use crate::format::{Details, Digest, Manifest, Trigger};
use crate::pipeline::{ManifestDraft, ProvenMember, open_artifact, seal};

fn pair() -> (Sealer, Opener) {
    let (secret, recipient) = new_key();
    let opener = Opener::from_identity(secret.expose().as_bytes()).expect("an identity");
    (Sealer::for_recipients(&[recipient]).expect("a recipient"), opener)
}

fn sealed_lane<'a>(
    destination: &str,
    compression: Compression,
    sealer: &Sealer,
    target: &'a dyn Destination,
) -> Lane<'a> {
    let packing = Packing { compression, sealer: Some(sealer.clone()) };
    let key = key(&format!("1.tar{}", packing.extension()));
    Lane { destination: name(destination), packing, target, key }
}

fn read(place: &MemoryDestination, lane: &Lane<'_>, stored: &Stored, opener: Option<&Opener>) -> Vec<u8> {
    let receipt = stored.receipts[&lane.destination].as_ref().expect("a sound place");
    let packed = (lane.packing.compression, opener);
    let mut reader =
        open_artifact(place, &lane.key, packed, receipt.stored(), Some(receipt.plain())).expect("opened");
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain).expect("a whole stream");
    reader.finish().expect("as it was made");
    plain
}

#[test]
fn source_is_read_once_for_open_and_encrypted_destinations_alike() {
    let producer = Producer::of(3_000_000);
    let ((one, opens_one), (two, opens_two)) = (pair(), pair());
    let places = [(); 6].map(|()| MemoryDestination::prepared("many"));
    let lanes = [
        lane("open", Compression::Zstd, &places[0]),
        sealed_lane("one", Compression::Zstd, &one, &places[1]),
        sealed_lane("one-again", Compression::Zstd, &one, &places[2]),
        sealed_lane("two", Compression::Zstd, &two, &places[3]),
        sealed_lane("plain", Compression::None, &two, &places[4]),
        lane("bare", Compression::None, &places[5]),
    ];
    let stored = store(&producer, &lanes);
    assert_eq!(producer.produced.load(Ordering::SeqCst), 3_000_000);
    let openers = [None, Some(&opens_one), Some(&opens_one), Some(&opens_two), Some(&opens_two), None];
    for ((lane, place), opener) in lanes.iter().zip(&places).zip(openers) {
        assert!(read(place, lane, &stored, opener) == producer.bytes(), "{}", lane.destination);
    }
    // Encrypted once for each set of recipients: the same bytes lie at both places, and others elsewhere.
    let bytes = |at: usize| places[at].bytes(&lanes[at].key).expect("it is stored");
    assert_eq!(bytes(1), bytes(2));
    assert_ne!(bytes(1), bytes(3));
    let strangers = open_artifact(
        &places[1],
        &lanes[1].key,
        (Compression::Zstd, Some(&opens_two)),
        stored.receipts[&lanes[1].destination].as_ref().expect("a sound place").stored(),
        None,
    );
    assert!(matches!(strangers.err(), Some(crate::pipeline::ReadBackError::NotOpened { .. })));
}

#[test]
fn source_that_breaks_half_way_publishes_nothing_encrypted() {
    let (sealer, _) = pair();
    let producer = Producer { breaks_at: Some(1_500_000), ..Producer::of(3_000_000) };
    let place = MemoryDestination::prepared("place");
    let lanes = [sealed_lane("place", Compression::Zstd, &sealer, &place)];
    let stored = store(&producer, &lanes);
    assert!(stored.receipts[&name("place")].is_err());
    assert_eq!(place.bytes(&lanes[0].key), None);
}

#[test]
fn manifest_of_an_encrypted_snapshot_tells_strangers_nothing_of_the_data() {
    let (sealer, opener) = pair();
    let place = MemoryDestination::prepared("place");
    let lanes = [sealed_lane("place", Compression::Zstd, &sealer, &place)];
    let mut stored = store(&Producer::of(1000), &lanes);
    let receipt = stored.receipts.remove(&name("place")).expect("it was a lane").expect("a sound place");
    let complete = stored.outcome.expect("a sound producer");
    let draft = ManifestDraft {
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
    };
    let names = ("payroll-of-ada".to_owned(), receipt.key().file_name().to_owned());
    let plain = *receipt.plain();
    let member = ProvenMember::new(&complete, receipt, names, draft.started_at, None);
    let sealed = seal(&host(), &place, &layout(), draft, vec![member]).expect("proven");
    let written = place.bytes(&layout().manifest(&set(), &snapshot())).expect("it is sealed");
    let text = String::from_utf8_lossy(&written);
    for secret in ["payroll", "counts\": {\n      \"", &plain.sha256.to_string()] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let mut manifest = Manifest::parse(&written).expect("a manifest");
    assert!(manifest.is_concealed());
    let details = layout().artifact(&set(), &snapshot(), Details::OBJECT);
    let details = opener.open_bytes(&place.bytes(&details).expect("it is stored")).expect("its own");
    Details::parse(&details).expect("details").put_into(&mut manifest).expect("of this manifest");
    assert_eq!(manifest, *sealed.manifest());
    assert_eq!(manifest.members[0].name, "payroll-of-ada");
    assert_eq!(manifest.members[0].plain, Some(plain));
}
