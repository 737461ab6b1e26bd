//! One source, many destinations.

use super::*;
use crate::destinations::memory::{Faults, MemoryDestination};
use crate::destinations::{Capabilities, DestinationError, Object};
use crate::format::{Digest, Prefix};
use crate::host::Space;
use crate::pipeline::chunk::{CHUNK_BYTES, QUEUE_CHUNKS};
use crate::pipeline::compress::decompressor;
use crate::pipeline::{ReadBackError, StoreError};
use std::sync::atomic::AtomicBool;

const ALL: [Compression; 3] = [Compression::Zstd, Compression::Gzip, Compression::None];

#[test]
fn every_destination_gets_what_the_source_made_and_gives_a_receipt() {
    for length in [0, 1, CHUNK_BYTES as u64, 3_000_000] {
        let producer = Producer::of(length);
        let places = ALL.map(|compression| MemoryDestination::prepared(compression.word()));
        let lanes: Vec<_> = ALL
            .iter()
            .zip(&places)
            .map(|(compression, place)| lane(compression.word(), *compression, place))
            .collect();
        let stored = store(&producer, &lanes);
        assert_eq!(stored.read_bytes, length);
        assert_eq!(stored.outcome.expect("a sound producer").counts().0["bytes"], length);
        let bytes = producer.bytes();
        for (lane, place) in lanes.iter().zip(&places) {
            let receipt = stored.receipts[&lane.destination].as_ref().expect("a sound destination");
            let kept = place.bytes(&lane.key).expect("it is stored");
            assert_eq!(receipt.stored().bytes, kept.len() as u64);
            assert_eq!(receipt.stored().sha256, Digest::of(&kept));
            assert_eq!(receipt.plain().bytes, length);
            assert_eq!(receipt.plain().sha256, Digest::of(&bytes));
            assert_eq!(*receipt.packing(), lane.packing);
            let mut unpacked = Vec::new();
            let mut reader =
                decompressor(lane.packing.compression, Box::new(kept.as_slice())).expect("a stream");
            reader.read_to_end(&mut unpacked).expect("a whole stream");
            assert!(unpacked == bytes, "{} {length}", lane.packing.compression.word());
        }
    }
}

#[test]
fn source_is_read_once_and_packed_once_for_each_compression() {
    let producer = Producer::of(2_000_000);
    let places = [(); 6].map(|()| MemoryDestination::prepared("many"));
    let lanes: Vec<_> = places
        .iter()
        .enumerate()
        .map(|(index, place)| lane(&format!("d{index}"), ALL[index % 3], place))
        .collect();
    let told = AtomicU64::new(0);
    let progress = |bytes| {
        told.fetch_add(bytes, Ordering::SeqCst);
    };
    let stored = super::super::store(&host(), producer.open(), &lanes, &progress, &|| false);
    assert!(stored.receipts.len() == 6 && stored.receipts.values().all(Result::is_ok));
    assert_eq!(producer.produced.load(Ordering::SeqCst), 2_000_000);
    assert_eq!(producer.finished.load(Ordering::SeqCst), 1);
    assert_eq!(told.load(Ordering::SeqCst), 2_000_000);
}

#[test]
fn source_that_breaks_half_way_publishes_nothing() {
    let producer = Producer { breaks_at: Some(1_500_000), ..Producer::of(3_000_000) };
    let places = ALL.map(|compression| MemoryDestination::prepared(compression.word()));
    let lanes: Vec<_> = ALL
        .iter()
        .zip(&places)
        .map(|(compression, place)| lane(compression.word(), *compression, place))
        .collect();
    let stored = store(&producer, &lanes);
    assert!(matches!(stored.outcome, Err(StoreError::SourceRead { .. })), "{:?}", stored.outcome);
    for (destination, receipt) in &stored.receipts {
        assert!(matches!(receipt, Err(StoreError::Aborted { .. })), "{destination}: {receipt:?}");
    }
    for place in &places {
        assert_eq!(place.list(&Prefix::root()).expect("a list"), []);
    }
    assert_eq!(producer.finished.load(Ordering::SeqCst), 0);
}

#[test]
fn source_that_refuses_its_end_publishes_nothing_although_all_was_read() {
    for length in [0, 10, 3_000_000] {
        let producer = Producer { refuses_end: true, ..Producer::of(length) };
        let folder = tempfile::tempdir().expect("a folder");
        let local = crate::destinations::open(
            &crate::host::FakeHost::at(jiff::Timestamp::UNIX_EPOCH),
            &"local".parse().expect("a name"),
            &crate::declared::DestinationDeclaration::new(crate::declared::DestinationKind::Local(
                crate::declared::LocalDeclaration { path: folder.path().join("root") },
            )),
            crate::destinations::Access::Change,
        );
        local.prepare().expect("a fresh place");
        let memory = MemoryDestination::prepared("memory");
        let lanes = [
            lane("plain", Compression::None, &memory),
            lane("zstd", Compression::Zstd, &*local),
            lane("gzip", Compression::Gzip, &*local),
        ];
        let stored = store(&producer, &lanes);
        assert!(matches!(stored.outcome, Err(StoreError::Source(SourceError::Database { .. }))));
        assert!(stored.receipts.values().all(|receipt| matches!(receipt, Err(StoreError::Aborted { .. }))));
        assert_eq!(memory.list(&Prefix::root()).expect("a list"), []);
        assert_eq!(local.list(&Prefix::root()).expect("a list"), []);
        assert_eq!(local.folders(&Prefix::root()).expect("a list"), Vec::<String>::new());
        assert_eq!(producer.finished.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn full_destination_drops_out_and_the_others_go_on() {
    let producer = Producer::of(5_000_000);
    let room_bytes = Some(1_000_000);
    for compression in ALL {
        let full = MemoryDestination::prepared("full").with(Faults { room_bytes, ..Faults::default() });
        let (same, other) = (MemoryDestination::prepared("same"), MemoryDestination::prepared("other"));
        let lanes = [
            lane("full", compression, &full),
            lane("same", compression, &same),
            lane("other", Compression::Zstd, &other),
        ];
        let stored = store(&producer, &lanes);
        stored.outcome.expect("a sound producer");
        let full = &stored.receipts[&name("full")];
        assert!(matches!(full, Err(StoreError::Destination(DestinationError::Full { .. }))), "{full:?}");
        assert!(stored.receipts[&name("same")].is_ok() && stored.receipts[&name("other")].is_ok());
    }
}

#[test]
fn when_every_destination_has_failed_the_source_is_read_no_further() {
    for compression in ALL {
        let producer = Producer::of(1 << 40);
        let room_bytes = Some(1_000_000);
        let full = MemoryDestination::prepared("full").with(Faults { room_bytes, ..Faults::default() });
        let stored = store(&producer, &[lane("full", compression, &full)]);
        assert!(matches!(stored.outcome, Err(StoreError::NoDestinationLeft)), "{:?}", stored.outcome);
        let receipt = &stored.receipts[&name("full")];
        assert!(
            matches!(receipt, Err(StoreError::Destination(DestinationError::Full { .. }))),
            "{receipt:?}"
        );
    }
    let stored = store(&Producer::of(1 << 40), &[]);
    assert!(matches!(stored.outcome, Err(StoreError::NoDestinationLeft)));
}

#[test]
fn destination_that_flips_a_bit_gets_no_receipt() {
    let lying =
        MemoryDestination::prepared("lying").with(Faults { flips: Some(".tar"), ..Faults::default() });
    let stored = store(&Producer::of(1_000_000), &[lane("lying", Compression::None, &lying)]);
    let Err(StoreError::ReadBack(error)) = &stored.receipts[&name("lying")] else { panic!("a receipt") };
    assert!(error.is_disproven() && matches!(error, ReadBackError::Differs { .. }), "{error}");
}

#[test]
fn destination_that_does_not_read_to_the_end_gets_no_receipt() {
    for after in [1, 700_000, 1_000_000] {
        let faults = Faults { stops_reading_after: Some(after), ..Faults::default() };
        let short = MemoryDestination::prepared("short").with(faults);
        let sound = MemoryDestination::prepared("sound");
        let lanes = [lane("short", Compression::None, &short), lane("sound", Compression::None, &sound)];
        let stored = store(&Producer::of(1_000_000), &lanes);
        let receipt = &stored.receipts[&name("short")];
        assert!(matches!(receipt, Err(StoreError::EndNotRead { .. })), "{receipt:?}");
        assert!(stored.receipts[&name("sound")].is_ok());
    }
}

#[test]
fn destination_that_cannot_be_reached_for_the_read_back_is_not_disproven() {
    let away = MemoryDestination::prepared("away").with(Faults { unreachable: true, ..Faults::default() });
    let stored = store(&Producer::of(10), &[lane("away", Compression::None, &away)]);
    let Err(StoreError::ReadBack(error)) = &stored.receipts[&name("away")] else { panic!("a receipt") };
    assert!(!error.is_disproven(), "{error}");
}

#[test]
fn key_that_is_taken_is_neither_replaced_nor_given_a_receipt() {
    let place = MemoryDestination::prepared("place");
    let lanes = [lane("place", Compression::None, &place)];
    assert!(store(&Producer::of(10), &lanes).receipts[&name("place")].is_ok());
    let again = store(&Producer::of(10), &lanes);
    let receipt = &again.receipts[&name("place")];
    assert!(matches!(receipt, Err(StoreError::Destination(DestinationError::Exists { .. }))), "{receipt:?}");
}

#[test]
fn run_that_is_told_to_end_publishes_nothing() {
    let producer = Producer::of(1 << 40);
    let places = ALL.map(|compression| MemoryDestination::prepared(compression.word()));
    let lanes: Vec<_> = ALL
        .iter()
        .zip(&places)
        .map(|(compression, place)| lane(compression.word(), *compression, place))
        .collect();
    let cancelled = || producer.produced.load(Ordering::SeqCst) > 5_000_000;
    let stored = super::super::store(&host(), producer.open(), &lanes, &|_| (), &cancelled);
    assert!(matches!(stored.outcome, Err(StoreError::Cancelled)), "{:?}", stored.outcome);
    assert!(stored.receipts.values().all(|receipt| matches!(receipt, Err(StoreError::Aborted { .. }))));
    assert!(places.iter().all(|place| place.order().is_empty()));
}

/// Takes what it is given only when it is allowed to, and keeps nothing but a digest.
struct Gate {
    open: AtomicBool,
    consumed: AtomicU64,
    lead_max: AtomicU64,
    produced: Arc<AtomicU64>,
}

impl Destination for Gate {
    fn put_new(&self, key: &Key, body: &mut dyn Read) -> Result<(), DestinationError> {
        let mut buffer = vec![0; 100_000];
        loop {
            let read = body.read(&mut buffer);
            let length = read.map_err(|error| DestinationError::BodyAborted { key: key.clone(), error })?;
            if length == 0 {
                return Ok(());
            }
            let consumed = self.consumed.fetch_add(length as u64, Ordering::SeqCst) + length as u64;
            // Somebody slow: the source gets every chance to run ahead.
            std::thread::yield_now();
            let lead = self.produced.load(Ordering::SeqCst).saturating_sub(consumed);
            self.lead_max.fetch_max(lead, Ordering::SeqCst);
            while !self.open.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
    }

    fn get(&self, key: &Key) -> Result<Box<dyn Read + Send>, DestinationError> {
        Err(DestinationError::NotFound { key: key.clone() })
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { put_without_replacing: true, space: false }
    }
    fn prepared(&self) -> Result<bool, DestinationError> {
        Ok(true)
    }
    fn prepare(&self) -> Result<(), DestinationError> {
        Ok(())
    }
    fn list(&self, _prefix: &Prefix) -> Result<Vec<Object>, DestinationError> {
        Ok(Vec::new())
    }
    fn folders(&self, _prefix: &Prefix) -> Result<Vec<String>, DestinationError> {
        Ok(Vec::new())
    }
    fn delete(&self, key: &Key) -> Result<(), DestinationError> {
        Err(DestinationError::NotFound { key: key.clone() })
    }
    fn sweep(&self, _prefix: &Prefix) -> Result<(), DestinationError> {
        Ok(())
    }
    fn space(&self) -> Result<Option<Space>, DestinationError> {
        Ok(None)
    }
    fn device(&self) -> Option<u64> {
        None
    }
    fn location(&self) -> String {
        "gate".to_owned()
    }
}

impl Gate {
    fn before(producer: &Producer, open: bool) -> Self {
        Self {
            open: AtomicBool::new(open),
            consumed: AtomicU64::new(0),
            lead_max: AtomicU64::new(0),
            produced: Arc::clone(&producer.produced),
        }
    }
}

#[test]
fn source_never_runs_further_ahead_than_the_queues_hold() {
    let producer = Producer::of(200 << 20);
    let gate = Gate::before(&producer, true);
    let stored = store(&producer, &[lane("gate", Compression::None, &gate)]);
    let receipt = &stored.receipts[&name("gate")];
    assert!(matches!(receipt, Err(StoreError::ReadBack(ReadBackError::Missing { .. }))), "{receipt:?}");
    assert_eq!(gate.consumed.load(Ordering::SeqCst), 200 << 20);
    // The queue, the chunk being sent, the chunk being read into, and the one that the destination has in hand.
    let bound = (QUEUE_CHUNKS + 3) * CHUNK_BYTES;
    let lead = gate.lead_max.load(Ordering::SeqCst);
    assert!(lead <= bound as u64, "{lead} bytes ahead");
}

#[test]
fn destination_that_hangs_does_not_keep_a_run_from_ending() {
    let producer = Producer::of(1 << 40);
    let gate = Gate::before(&producer, false);
    let fast = MemoryDestination::prepared("fast");
    let lanes = [lane("gate", Compression::None, &gate), lane("fast", Compression::None, &fast)];
    let asked = AtomicU64::new(0);
    // The queues are full long before the thousandth look; the gate opens only after the run was told to end.
    let cancelled = || {
        let full = producer.produced.load(Ordering::SeqCst) > (QUEUE_CHUNKS * CHUNK_BYTES) as u64;
        let told = full && asked.fetch_add(1, Ordering::SeqCst) > 2;
        gate.open.store(told, Ordering::SeqCst);
        told
    };
    let stored = super::super::store(&host(), producer.open(), &lanes, &|_| (), &cancelled);
    assert!(matches!(stored.outcome, Err(StoreError::Cancelled)), "{:?}", stored.outcome);
    assert!(fast.order().is_empty());
}
