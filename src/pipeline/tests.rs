//! The pipeline's promises, with producers and destinations that fail on command.

mod artifact;
mod object;
mod seal;
mod sealed;
mod store;

use super::{Lane, Packing, Stored};
use crate::declared::{Compression, DestinationName, SetName};
use crate::destinations::Destination;
use crate::format::{Counts, Key, Layout, SnapshotId};
use crate::host::FakeHost;
use crate::sources::{Complete, SourceError, SourceStream};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A producer of noise.
#[derive(Debug, Default, Clone)]
struct Producer {
    length: u64,
    /// Fails to read beyond this position.
    breaks_at: Option<u64>,
    /// Comes to its end of stream, and then says that it did not come to its end.
    refuses_end: bool,
    /// Bytes handed out so far, over all streams.
    produced: Arc<AtomicU64>,
    /// How often the end was asked for.
    finished: Arc<AtomicU64>,
}

struct ProducerStream {
    producer: Producer,
    position: u64,
    block: Vec<u8>,
}

/// How many bytes of noise repeat; no multiple of any buffer's size.
const BLOCK_BYTES: usize = 1_000_003;

impl Producer {
    fn of(length: u64) -> Self {
        Self { length, ..Self::default() }
    }

    fn open(&self) -> Box<dyn SourceStream> {
        let block = crate::destinations::conformance::noise(BLOCK_BYTES);
        Box::new(ProducerStream { producer: self.clone(), position: 0, block })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.open().read_to_end(&mut bytes).expect("it does not fail");
        bytes
    }
}

impl Read for ProducerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.producer.breaks_at.unwrap_or(self.producer.length);
        let at = usize::try_from(self.position % BLOCK_BYTES as u64).expect("a block is small");
        let left = usize::try_from(end - self.position).unwrap_or(usize::MAX);
        let length = buffer.len().min(left).min(BLOCK_BYTES - at);
        if length == 0 && self.producer.breaks_at.is_some() {
            return Err(io::Error::other("the disk is dying"));
        }
        buffer[..length].copy_from_slice(&self.block[at..at + length]);
        self.position += length as u64;
        self.producer.produced.fetch_add(length as u64, Ordering::SeqCst);
        Ok(length)
    }
}

impl SourceStream for ProducerStream {
    fn finish(self: Box<Self>) -> Result<Complete, SourceError> {
        self.producer.finished.fetch_add(1, Ordering::SeqCst);
        if self.producer.refuses_end {
            let reason = "it exited with status 1".to_owned();
            return Err(SourceError::Database { object: "db".to_owned(), reason });
        }
        let counts = Counts([("bytes".to_owned(), self.position)].into());
        Ok(Complete::in_test(counts, vec!["odd".to_owned()]))
    }
}

fn host() -> FakeHost {
    FakeHost::at("2026-11-20T03:00:00Z".parse().expect("a time"))
}

fn layout() -> Layout {
    Layout::new("host".parse().expect("a name"))
}

fn set() -> SetName {
    "mail".parse().expect("a name")
}

fn snapshot() -> SnapshotId {
    "20261120T030000Z-000042".parse().expect("an id")
}

fn key(name: &str) -> Key {
    layout().artifact(&set(), &snapshot(), name)
}

fn name(text: &str) -> DestinationName {
    text.parse().expect("a name")
}

fn lane<'a>(destination: &str, compression: Compression, target: &'a dyn Destination) -> Lane<'a> {
    let key = key(&format!("all.tar{}", compression.extension()));
    Lane { destination: name(destination), packing: Packing::open(compression), target, key }
}

fn store(producer: &Producer, lanes: &[Lane<'_>]) -> Stored {
    super::store(&host(), producer.open(), lanes, &|_| (), &|| false)
}
