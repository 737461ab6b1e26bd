//! Artifacts on their way back.

use super::*;
use crate::destinations::memory::{Faults, MemoryDestination};
use crate::format::StoredSize;
use crate::pipeline::{ArtifactReader, ReadBackError, Receipt, open_artifact};

const ALL: [Compression; 3] = [Compression::Zstd, Compression::Gzip, Compression::None];

fn stored(place: &MemoryDestination, compression: Compression) -> Receipt {
    let lanes = [lane("place", compression, place)];
    let mut stored = store(&Producer::of(3_000_000), &lanes);
    stored.receipts.remove(&name("place")).expect("it was a lane").expect("a sound place")
}

fn open(place: &MemoryDestination, receipt: &Receipt, plain: &StoredSize) -> ArtifactReader {
    open_artifact(place, receipt.key(), (receipt.packing().compression, None), receipt.stored(), Some(plain))
        .expect("it is there")
}

#[test]
fn artifact_is_proven_by_one_read_wherever_the_restore_stops() {
    let bytes = Producer::of(3_000_000).bytes();
    for compression in ALL {
        let place = MemoryDestination::prepared("place");
        let receipt = stored(&place, compression);
        for length in [0, 1, 1_000_000, bytes.len()] {
            let mut reader = open(&place, &receipt, receipt.plain());
            let mut read = vec![0; length];
            reader.read_exact(&mut read).expect("it is as long");
            assert!(read == bytes[..length]);
            reader.finish().expect("it is as it was made");
        }
    }
}

#[test]
fn flipped_truncated_or_lengthened_artifact_is_disproven() {
    for compression in ALL {
        let place = MemoryDestination::prepared("place");
        let receipt = stored(&place, compression);
        let good = place.bytes(receipt.key()).expect("it is stored");
        let mut damaged =
            vec![good[..0].to_vec(), good[..good.len() - 1].to_vec(), [&good[..], b"\0"].concat()];
        for at in [0, 5, good.len() / 2, good.len() - 1] {
            let mut flipped = good.clone();
            flipped[at] ^= 0x10;
            damaged.push(flipped);
        }
        for bytes in damaged {
            place.replace(receipt.key(), bytes);
            let proof = open(&place, &receipt, receipt.plain()).finish();
            assert!(matches!(&proof, Err(ReadBackError::Differs { .. })), "{proof:?}");
            assert!(super::super::read_back(&place, receipt.key(), receipt.stored()).is_err());
        }
        place.replace(receipt.key(), good);
        open(&place, &receipt, receipt.plain()).finish().expect("it is as it was made");
    }
}

#[test]
fn plain_bytes_that_differ_from_the_manifest_are_disproven() {
    let place = MemoryDestination::prepared("place");
    let receipt = stored(&place, Compression::Zstd);
    let other = StoredSize { bytes: 3_000_000, sha256: crate::format::Digest::of(b"other") };
    let proof = open(&place, &receipt, &other).finish();
    assert!(
        matches!(&proof, Err(ReadBackError::Differs { reason, .. }) if reason.contains("plain")),
        "{proof:?}"
    );
}

#[test]
fn sound_bytes_that_do_not_decompress_are_disproven() {
    let place = MemoryDestination::prepared("place");
    let receipt = stored(&place, Compression::None);
    let opened = open_artifact(
        &place,
        receipt.key(),
        (Compression::Zstd, None),
        receipt.stored(),
        Some(receipt.plain()),
    )
    .expect("it opens");
    let proof = opened.finish();
    assert!(
        matches!(&proof, Err(ReadBackError::Differs { reason, .. }) if reason.contains("decompress")),
        "{proof:?}"
    );
}

#[test]
fn missing_is_disproven_and_unreachable_could_not_tell() {
    let place = MemoryDestination::prepared("place");
    let receipt = stored(&place, Compression::None);
    place.delete(receipt.key()).expect("it is there");
    let (key, sum) = (receipt.key(), receipt.stored());
    let missing =
        open_artifact(&place, key, (Compression::None, None), sum, Some(sum)).err().expect("it is gone");
    assert!(matches!(missing, ReadBackError::Missing { .. }) && missing.is_disproven());
    let away = place.with(Faults { unreachable: true, ..Faults::default() });
    let unreadable =
        open_artifact(&away, key, (Compression::None, None), sum, Some(sum)).err().expect("nobody answers");
    assert!(matches!(unreadable, ReadBackError::Unreadable { .. }) && !unreadable.is_disproven());
}
