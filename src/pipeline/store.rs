//! One member's bytes, from its source to all its destinations, and read back from each.
//!
//! The source is read once and compressed once for each distinct compression, however many destinations there are.

use super::chunk::{Body, Message, Pool, QUEUE_CHUNKS, fill};
use super::error::StoreError;
use super::fan_out::{Stopped, Trunk, digest, joined, pack};
use super::packing::{Packing, PackingStep};
use super::receipt::Receipt;
use crate::declared::{Compression, DestinationName};
use crate::destinations::{Destination, DestinationError};
use crate::encryption::Sealer;
use crate::format::{Key, StoredSize};
use crate::host::Host;
use crate::host::pulse;
use crate::sources::{Complete, SourceError, SourceStream};
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};

/// One destination of a member's bytes.
pub struct Lane<'a> {
    /// Its name in the plan.
    pub destination: DestinationName,
    /// How its artifact is packed.
    pub packing: Packing,
    /// The destination.
    pub target: &'a dyn Destination,
    /// The artifact's key, with the packing's extension.
    pub key: Key,
}

/// What became of a member.
#[derive(Debug)]
pub struct Stored {
    /// Bytes that were read of the source.
    pub read_bytes: u64,
    /// The source's proof of its end; without it nothing was published anywhere.
    pub outcome: Result<Complete, StoreError>,
    /// For each destination the proof that it gave the artifact back, or why there is none.
    pub receipts: BTreeMap<DestinationName, Result<Receipt, StoreError>>,
}

/// A [`Lane`] without its name.
#[derive(Clone, Copy)]
pub(super) struct Track<'a> {
    pub packing: &'a Packing,
    pub target: &'a dyn Destination,
    pub key: &'a Key,
}

/// Stores a member at every destination and reads it back from each.
///
/// `progress` is told the bytes read of the source since it was last called. When `cancelled` says so, everything is
/// given up and nothing is published.
pub fn store(
    host: &dyn Host,
    stream: Box<dyn SourceStream>,
    lanes: &[Lane<'_>],
    progress: &(dyn Fn(u64) + Sync),
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Stored {
    let tracks: Vec<Track<'_>> = lanes
        .iter()
        .map(|lane| Track { packing: &lane.packing, target: lane.target, key: &lane.key })
        .collect();
    let finish = |stream: Box<dyn SourceStream>| stream.finish().map_err(StoreError::Source);
    let Flow { read_bytes, outcome, receipts } = flow(host, stream, finish, &tracks, progress, cancelled);
    let names = lanes.iter().map(|lane| lane.destination.clone());
    Stored { read_bytes, outcome, receipts: names.zip(receipts).collect() }
}

/// What became of a stream: the same as [`Stored`], the receipts in the order of the tracks.
pub(super) struct Flow<T> {
    pub read_bytes: u64,
    pub outcome: Result<T, StoreError>,
    pub receipts: Vec<Result<Receipt, StoreError>>,
}

/// What one destination did with its body.
struct Put {
    result: Result<(), DestinationError>,
    read_to_end: bool,
}

/// Sizes and digests, as far as the streams came to their ends.
struct Sums {
    plain: Option<StoredSize>,
    packed: Vec<(Packing, io::Result<Option<StoredSize>>)>,
}

impl Sums {
    fn of(&self, packing: &Packing) -> Option<&io::Result<Option<StoredSize>>> {
        self.packed.iter().find(|(it, _)| it == packing).map(|(_, sum)| sum)
    }

    /// Why a packing came to nothing, where compressing or encrypting failed.
    fn failure(&self, packing: &Packing) -> Option<io::Error> {
        let steps = [Packing::open(packing.compression), packing.clone()];
        steps.iter().find_map(|step| match self.of(step) {
            Some(Err(error)) => Some(io::Error::new(error.kind(), error.to_string())),
            Some(Ok(_)) | None => None,
        })
    }
}

/// The lanes behind one compression: those that take it as it is, and those of each encryption.
#[derive(Default)]
struct Branch {
    open: Vec<Sender<Message>>,
    sealed: Vec<(Sealer, Vec<Sender<Message>>)>,
}

impl Branch {
    fn add(&mut self, sealer: Option<&Sealer>, lane: Sender<Message>) {
        let Some(sealer) = sealer else { return self.open.push(lane) };
        match self.sealed.iter_mut().find(|(it, _)| it == sealer) {
            Some((_, lanes)) => lanes.push(lane),
            None => self.sealed.push((sealer.clone(), vec![lane])),
        }
    }
}

/// Moves a stream to every track; `finish` is asked for its proof before the end is passed on.
pub(super) fn flow<S: Read, T>(
    host: &dyn Host,
    stream: S,
    finish: impl FnOnce(S) -> Result<T, StoreError>,
    tracks: &[Track<'_>],
    progress: &(dyn Fn(u64) + Sync),
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Flow<T> {
    let stop = AtomicBool::new(false);
    let mut read_bytes = 0;
    let (outcome, puts, sums) = std::thread::scope(|scope| {
        let (mut branches, mut uploads) = (BTreeMap::<Compression, Branch>::new(), Vec::new());
        for track in tracks {
            let (queue, handle) = upload(scope, *track, &stop);
            branches.entry(track.packing.compression).or_default().add(track.packing.sealer.as_ref(), queue);
            uploads.push(handle);
        }
        let (sender, queue) = crossbeam_channel::bounded(QUEUE_CHUNKS);
        let plain = scope.spawn(move || digest(&queue));
        let mut trunk = Trunk { digest: sender, branches: Vec::new() };
        let mut packers = Vec::new();
        let mut begin = |packing: Packing, step: PackingStep, lanes| {
            let (sender, queue) = crossbeam_channel::bounded(QUEUE_CHUNKS);
            packers.push((packing, scope.spawn(move || pack(&queue, &step, lanes))));
            sender
        };
        for (compression, Branch { open: mut lanes, sealed }) in branches {
            for (sealer, sealed) in sealed {
                let packing = Packing { compression, sealer: Some(sealer.clone()) };
                lanes.push(begin(packing, PackingStep::Seal(sealer), sealed));
            }
            match compression {
                // What is not compressed goes straight from the source; stored as made it has the plain digest.
                Compression::None => trunk.branches.extend(lanes),
                Compression::Zstd | Compression::Gzip => {
                    let step = PackingStep::Compress(compression);
                    trunk.branches.push(begin(Packing::open(compression), step, lanes));
                }
            }
        }
        let report = |bytes| {
            read_bytes += bytes;
            progress(bytes);
        };
        let outcome = pump(stream, finish, &mut trunk, report, cancelled);
        if outcome.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        // Whoever waits for a message that will not come learns of it now.
        drop(trunk);
        let packed = packers.into_iter().map(|(packing, packer)| (packing, joined(packer))).collect();
        let puts: Vec<Put> = uploads.into_iter().map(joined).collect();
        (outcome, puts, Sums { plain: joined(plain), packed })
    });
    let complete = outcome.is_ok();
    let stored =
        puts.into_iter().zip(tracks).map(|(put, track)| settle(put, track, &sums, complete)).collect();
    let receipts = prove(host, tracks, stored, cancelled);
    Flow { read_bytes, outcome, receipts }
}

/// Begins to store at one destination what its queue gives.
fn upload<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    track: Track<'env>,
    stop: &'env AtomicBool,
) -> (Sender<Message>, ScopedJoinHandle<'scope, Put>) {
    let (sender, queue) = crossbeam_channel::bounded(QUEUE_CHUNKS);
    let handle = scope.spawn(move || {
        let mut body = Body::new(queue, stop);
        let result = track.target.put_new(track.key, &mut body);
        Put { result, read_to_end: body.ended() }
    });
    (sender, handle)
}

/// Reads the stream to its end, asks for its proof, and only then passes the end on.
fn pump<S: Read, T>(
    mut stream: S,
    finish: impl FnOnce(S) -> Result<T, StoreError>,
    trunk: &mut Trunk,
    mut report: impl FnMut(u64),
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<T, StoreError> {
    let stopped = |stopped| match stopped {
        Stopped::Cancelled => StoreError::Cancelled,
        Stopped::NobodyLeft => StoreError::NoDestinationLeft,
    };
    let pool = Pool::new();
    loop {
        if cancelled() {
            return Err(StoreError::Cancelled);
        }
        let mut buffer = pool.buffer();
        let length = fill(&mut stream, &mut buffer).map_err(source_error)?;
        if length == 0 {
            break;
        }
        report(length as u64);
        pulse::beat();
        trunk.send(&pool.share(buffer, length), cancelled).map_err(stopped)?;
    }
    let proof = finish(stream)?;
    match trunk.send(&Message::End, cancelled) {
        // The source is proven all the same; each destination says for itself why it failed.
        Ok(()) | Err(Stopped::NobodyLeft) => Ok(proof),
        Err(Stopped::Cancelled) => Err(StoreError::Cancelled),
    }
}

/// Streams may carry their own error through `Read`.
fn source_error(error: io::Error) -> StoreError {
    match error.downcast::<SourceError>() {
        Ok(error) => StoreError::Source(error),
        Err(error) => StoreError::SourceRead { error },
    }
}

/// Whether a destination took the whole artifact, and its plain and stored sums.
fn settle(
    put: Put,
    track: &Track<'_>,
    sums: &Sums,
    complete: bool,
) -> Result<(StoredSize, StoredSize), StoreError> {
    let key = || track.key.clone();
    match put.result {
        Err(DestinationError::BodyAborted { .. }) => match sums.failure(track.packing) {
            Some(error) => return Err(StoreError::Compress { key: key(), error }),
            None => return Err(StoreError::Aborted { key: key() }),
        },
        Err(error) => return Err(StoreError::Destination(error)),
        Ok(()) if !put.read_to_end => return Err(StoreError::EndNotRead { key: key() }),
        Ok(()) if !complete => return Err(StoreError::Aborted { key: key() }),
        Ok(()) => {}
    }
    let stored = match track.packing {
        Packing { compression: Compression::None, sealer: None } => sums.plain,
        packing => sums.of(packing).and_then(|packed| *packed.as_ref().ok()?),
    };
    sums.plain.zip(stored).ok_or_else(|| StoreError::Aborted { key: key() })
}

/// Reads every stored artifact back, the destinations side by side.
fn prove(
    host: &dyn Host,
    tracks: &[Track<'_>],
    stored: Vec<Result<(StoredSize, StoredSize), StoreError>>,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Vec<Result<Receipt, StoreError>> {
    std::thread::scope(|scope| {
        let handles: Vec<_> = stored
            .into_iter()
            .zip(tracks)
            .map(|(stored, track)| {
                stored.map(|(plain, stored)| {
                    scope.spawn(move || Receipt::prove(host, track, plain, stored, cancelled))
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.and_then(joined)).collect()
    })
}
