//! The bounded channel between the thread that reads files and whoever reads the stream.
//!
//! Files are read straight into the chunks that are handed over, and chunks go back to be filled again: memory is
//! constant, whatever the size of a file.

use crossbeam_channel::{Receiver, Sender, bounded};

/// A chunk's size in bytes.
const CHUNK_BYTES: usize = 512 << 10;
/// Chunks on their way at one time.
const CHUNKS: usize = 6;

/// The stream's reader is gone: nobody wants the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// Bytes on their way.
pub struct Chunk {
    bytes: Vec<u8>,
    filled: usize,
}

/// The writing end.
pub struct ChunkWriter {
    chunk: Chunk,
    full: Sender<Chunk>,
    empty: Receiver<Vec<u8>>,
    allocated: usize,
}

/// The reading end.
pub struct ChunkReader {
    chunk: Option<Chunk>,
    offset: usize,
    full: Receiver<Chunk>,
    empty: Sender<Vec<u8>>,
}

fn empty_chunk() -> Chunk {
    Chunk { bytes: vec![0; CHUNK_BYTES], filled: 0 }
}

/// Makes a channel.
pub fn channel() -> (ChunkWriter, ChunkReader) {
    let (full_sender, full_receiver) = bounded(CHUNKS);
    let (empty_sender, empty_receiver) = bounded(CHUNKS + 2);
    (
        ChunkWriter { chunk: empty_chunk(), full: full_sender, empty: empty_receiver, allocated: 1 },
        ChunkReader { chunk: None, offset: 0, full: full_receiver, empty: empty_sender },
    )
}

impl ChunkWriter {
    /// Room for the next bytes, never empty. What was put there counts after [`ChunkWriter::advance`].
    pub fn space(&mut self) -> Result<&mut [u8], Stopped> {
        if self.chunk.filled == CHUNK_BYTES {
            self.flush()?;
        }
        Ok(&mut self.chunk.bytes[self.chunk.filled..])
    }

    /// Counts bytes that were put into [`ChunkWriter::space`].
    pub fn advance(&mut self, count: usize) {
        self.chunk.filled += count;
    }

    /// Adds bytes.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), Stopped> {
        while !bytes.is_empty() {
            let space = self.space()?;
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.advance(count);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Adds zeros.
    pub fn zeros(&mut self, mut count: u64) -> Result<(), Stopped> {
        while count > 0 {
            let space = self.space()?;
            let part = usize::try_from(count).unwrap_or(usize::MAX).min(space.len());
            space[..part].fill(0);
            self.advance(part);
            count -= part as u64;
        }
        Ok(())
    }

    /// Hands over what is there.
    pub fn flush(&mut self) -> Result<(), Stopped> {
        if self.chunk.filled == 0 {
            return Ok(());
        }
        let next = match self.empty.try_recv() {
            Ok(bytes) => Chunk { bytes, filled: 0 },
            Err(_) if self.allocated < CHUNKS + 2 => {
                self.allocated += 1;
                empty_chunk()
            }
            Err(_) => Chunk { bytes: self.empty.recv().map_err(|_| Stopped)?, filled: 0 },
        };
        let chunk = std::mem::replace(&mut self.chunk, next);
        self.full.send(chunk).map_err(|_| Stopped)
    }
}

impl ChunkReader {
    /// Copies the next bytes to `buffer`; 0 when the writer is gone and all is read.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            if let Some(chunk) = &self.chunk {
                let rest = &chunk.bytes[self.offset..chunk.filled];
                if !rest.is_empty() {
                    let count = rest.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&rest[..count]);
                    self.offset += count;
                    return count;
                }
            }
            if let Some(chunk) = self.chunk.take() {
                // A writer that has ended wants no more chunks.
                let _ended = self.empty.try_send(chunk.bytes);
            }
            match self.full.recv() {
                Ok(chunk) => (self.chunk, self.offset) = (Some(chunk), 0),
                Err(_) => return 0,
            }
        }
    }
}
