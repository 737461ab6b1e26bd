//! From one stream to many queues: the trunk behind the source, and the branches behind each compressor.
//!
//! A queue whose destination has failed falls away; the others go on. When none is left, that is an error, so that
//! nobody works for nobody.

use super::chunk::{CHUNK_BYTES, Message, Pool};
use super::packing::PackingStep;
use super::tally::Tally;
use crate::format::StoredSize;
use crossbeam_channel::{Receiver, SendTimeoutError, Sender};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

/// How long a full queue may hold up the look whether the run was told to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// Why the trunk stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    Cancelled,
    NobodyLeft,
}

/// The queues directly behind the source.
pub(super) struct Trunk {
    pub digest: Sender<Message>,
    pub branches: Vec<Sender<Message>>,
}

impl Trunk {
    /// Hands a message to every queue that is left.
    pub fn send(&mut self, message: &Message, cancelled: &dyn Fn() -> bool) -> Result<(), Stopped> {
        let mut stopped = None;
        self.branches.retain(|queue| match send(queue, message, cancelled) {
            Ok(()) => true,
            Err(Stopped::NobodyLeft) => false,
            Err(Stopped::Cancelled) => {
                stopped = Some(Stopped::Cancelled);
                true
            }
        });
        match stopped {
            Some(stopped) => Err(stopped),
            None if self.branches.is_empty() => Err(Stopped::NobodyLeft),
            None => send(&self.digest, message, cancelled),
        }
    }
}

fn send(queue: &Sender<Message>, message: &Message, cancelled: &dyn Fn() -> bool) -> Result<(), Stopped> {
    let mut message = message.clone();
    loop {
        match queue.send_timeout(message, PATIENCE) {
            Ok(()) => return Ok(()),
            Err(SendTimeoutError::Disconnected(_)) => return Err(Stopped::NobodyLeft),
            Err(SendTimeoutError::Timeout(_)) if cancelled() => return Err(Stopped::Cancelled),
            Err(SendTimeoutError::Timeout(back)) => message = back,
        }
    }
}

/// A thread's result; its panic is ours.
pub(super) fn joined<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Adds up a queue; none when it ended without its end.
pub(super) fn digest(queue: &Receiver<Message>) -> Option<StoredSize> {
    let mut tally = Tally::default();
    loop {
        match queue.recv() {
            Ok(Message::Chunk(chunk)) => tally.add(chunk.bytes()),
            Ok(Message::End) => return Some(tally.size()),
            Err(_) => return None,
        }
    }
}

/// Compresses or encrypts a queue into the queues behind it; none when it ended without its end, or when no destination
/// was left (each has its own error then).
pub(super) fn pack(
    queue: &Receiver<Message>,
    step: &PackingStep,
    lanes: Vec<Sender<Message>>,
) -> io::Result<Option<StoredSize>> {
    let deserted = Arc::new(AtomicBool::new(false));
    let mut packer = step.begin(Branches::new(lanes, Arc::clone(&deserted)))?;
    let sum = loop {
        match queue.recv() {
            Ok(Message::Chunk(chunk)) => {
                if let Err(error) = packer.write_all(chunk.bytes()) {
                    break Err(error);
                }
            }
            Ok(Message::End) => break packer.finish().and_then(Branches::end).map(Some),
            Err(_) => break Ok(None),
        }
    };
    if deserted.load(Ordering::Relaxed) { Ok(None) } else { sum }
}

/// Where a compressor writes.
struct Branches {
    lanes: Vec<Sender<Message>>,
    pool: Pool,
    buffer: Vec<u8>,
    filled: usize,
    tally: Tally,
    /// Set when no destination is left: a compressor need not hand our error on as it is.
    deserted: Arc<AtomicBool>,
}

impl Branches {
    fn new(lanes: Vec<Sender<Message>>, deserted: Arc<AtomicBool>) -> Self {
        let pool = Pool::new();
        let buffer = pool.buffer();
        Self { lanes, pool, buffer, filled: 0, tally: Tally::default(), deserted }
    }

    fn send(&mut self, message: &Message) -> io::Result<()> {
        self.lanes.retain(|lane| lane.send(message.clone()).is_ok());
        if self.lanes.is_empty() {
            self.deserted.store(true, Ordering::Relaxed);
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "no destination is left"));
        }
        Ok(())
    }

    fn ship(&mut self) -> io::Result<()> {
        if self.filled == 0 {
            return Ok(());
        }
        self.tally.add(&self.buffer[..self.filled]);
        let full = std::mem::replace(&mut self.buffer, self.pool.buffer());
        let message = self.pool.share(full, self.filled);
        self.filled = 0;
        self.send(&message)
    }

    /// Passes the proven end on.
    fn end(mut self) -> io::Result<StoredSize> {
        self.ship()?;
        self.send(&Message::End)?;
        Ok(self.tally.size())
    }
}

impl Write for Branches {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.filled == CHUNK_BYTES {
            self.ship()?;
        }
        let length = bytes.len().min(CHUNK_BYTES - self.filled);
        self.buffer[self.filled..self.filled + length].copy_from_slice(&bytes[..length]);
        self.filled += length;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
