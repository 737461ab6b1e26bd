//! Pieces of a stream in shared buffers, and the queue that ends in a destination.
//!
//! A queue that ends without [`Message::End`] is an abort, so whoever fails has only to let go of it.

use crossbeam_channel::{Receiver, Sender};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Size of a chunk in bytes: small enough for the processor's caches.
pub(super) const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that wait in a queue: by so much the fastest destination runs ahead of the slowest.
pub(super) const QUEUE_CHUNKS: usize = 4;

/// Fills a buffer; less than full only at the end.
pub(super) fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Buffers that come back when nobody needs their chunk any more.
#[derive(Debug)]
pub(super) struct Pool {
    home: Sender<Vec<u8>>,
    free: Receiver<Vec<u8>>,
}

impl Pool {
    pub fn new() -> Self {
        // At most as many buffers as the queues hold are ever made.
        let (home, free) = crossbeam_channel::unbounded();
        Self { home, free }
    }

    /// A buffer of [`CHUNK_BYTES`] with any content.
    pub fn buffer(&self) -> Vec<u8> {
        self.free.try_recv().unwrap_or_else(|_| vec![0; CHUNK_BYTES])
    }

    /// Shares the first `length` bytes of a buffer.
    pub fn share(&self, buffer: Vec<u8>, length: usize) -> Message {
        Message::Chunk(Arc::new(Chunk { buffer, length, home: self.home.clone() }))
    }
}

/// A piece of a stream.
#[derive(Debug)]
pub(super) struct Chunk {
    buffer: Vec<u8>,
    length: usize,
    home: Sender<Vec<u8>>,
}

impl Chunk {
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // Where the pool is gone the buffer goes too.
        let _pool_is_gone = self.home.send(std::mem::take(&mut self.buffer));
    }
}

/// What goes through a queue.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// The next piece.
    Chunk(Arc<Chunk>),
    /// The proven end.
    End,
}

/// The queue's far side, as the body that a destination reads.
pub(super) struct Body<'a> {
    queue: Receiver<Message>,
    stop: &'a AtomicBool,
    current: Option<(Arc<Chunk>, usize)>,
    ended: bool,
}

impl<'a> Body<'a> {
    /// A body that fails as soon as `stop` is set.
    pub fn new(queue: Receiver<Message>, stop: &'a AtomicBool) -> Self {
        Self { queue, stop, current: None, ended: false }
    }

    /// Whether the reader was told of the end.
    pub fn ended(&self) -> bool {
        self.ended
    }
}

impl Read for Body<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let aborted = || io::Error::new(io::ErrorKind::BrokenPipe, "the source did not come to its end");
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(aborted());
            }
            if self.ended || out.is_empty() {
                return Ok(0);
            }
            if let Some((chunk, at)) = &mut self.current {
                let rest = &chunk.bytes()[*at..];
                let length = rest.len().min(out.len());
                out[..length].copy_from_slice(&rest[..length]);
                *at += length;
                if length > 0 {
                    return Ok(length);
                }
                self.current = None;
            }
            match self.queue.recv() {
                Ok(Message::Chunk(chunk)) => self.current = Some((chunk, 0)),
                Ok(Message::End) => self.ended = true,
                Err(_) => return Err(aborted()),
            }
        }
    }
}
