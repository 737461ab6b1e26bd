//! gzip on several threads: blocks of raw deflate, joined by sync flushes into ONE member (RFC 1951, RFC 1952).
//!
//! Each block is primed with the 32 KiB before it, so the ratio is that of one thread. Never here: a second member
//! (some readers stop after the first), or a queue that grows with the data.

use crossbeam_channel::{Receiver, Sender, bounded};
use flate2::{Compress, Compression, FlushCompress, Status};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::thread::JoinHandle;

/// Plain bytes in a block.
pub(super) const BLOCK_BYTES: usize = 256 << 10;
/// How far deflate looks back (RFC 1951).
const WINDOW_BYTES: usize = 32 << 10;
/// Level of deflate; gzip's default.
const LEVEL: u32 = 6;
/// Threads that deflate.
const WORKERS: usize = 2;
/// Blocks on their way at most: each worker's, and as many waiting.
const IN_FLIGHT_MAX: usize = 2 * WORKERS + 2;
/// Magic, deflate, no flags, no time, no extra flags, Unix (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

/// One block for a worker, and where its result goes.
struct Job {
    /// The window before the block, then the block.
    bytes: Vec<u8>,
    window_bytes: usize,
    last: bool,
    reply: Sender<io::Result<Block>>,
}

/// A block deflated.
struct Block {
    deflated: Vec<u8>,
    checksum: crc32fast::Hasher,
    plain_bytes: usize,
}

/// Writes one gzip member; without [`GzipWriter::finish`] it has no final block and no trailer.
pub(super) struct GzipWriter<W> {
    out: W,
    /// The window before the block, then what has been written of the block.
    bytes: Vec<u8>,
    window_bytes: usize,
    jobs: Option<Sender<Job>>,
    pending: VecDeque<Receiver<io::Result<Block>>>,
    workers: Vec<JoinHandle<()>>,
    checksum: crc32fast::Hasher,
    plain_bytes: u64,
    /// The output is missing a block after a failure, so nothing may follow.
    failed: bool,
}

impl<W: Write> GzipWriter<W> {
    /// Starts the workers and writes the member's header.
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&HEADER)?;
        let (jobs, queue) = bounded::<Job>(IN_FLIGHT_MAX);
        let workers = (0..WORKERS)
            .map(|_| {
                let queue = queue.clone();
                std::thread::Builder::new().name("gzip".into()).spawn(move || deflate_jobs(&queue))
            })
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            out,
            bytes: Vec::with_capacity(WINDOW_BYTES + BLOCK_BYTES),
            window_bytes: 0,
            jobs: Some(jobs),
            pending: VecDeque::with_capacity(IN_FLIGHT_MAX),
            workers,
            checksum: crc32fast::Hasher::new(),
            plain_bytes: 0,
            failed: false,
        })
    }

    /// Writes the final block and the trailer, and gives the output back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.submit(true)?;
        while !self.pending.is_empty() {
            self.collect()?;
        }
        self.jobs = None;
        for worker in self.workers.drain(..) {
            worker.join().map_err(|_| io::Error::other("a gzip thread panicked"))?;
        }
        // ISIZE is the length modulo 2^32 (RFC 1952, 2.3.1).
        let length = u32::try_from(self.plain_bytes & u64::from(u32::MAX)).expect("masked to 32 bits");
        let checksum = std::mem::take(&mut self.checksum).finalize();
        self.out.write_all(&checksum.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn submit(&mut self, last: bool) -> io::Result<()> {
        if self.pending.len() == IN_FLIGHT_MAX {
            self.collect()?;
        }
        let mut next = Vec::with_capacity(WINDOW_BYTES + BLOCK_BYTES);
        next.extend_from_slice(&self.bytes[self.bytes.len().saturating_sub(WINDOW_BYTES)..]);
        let next_window_bytes = next.len();
        let bytes = std::mem::replace(&mut self.bytes, next);
        let window_bytes = std::mem::replace(&mut self.window_bytes, next_window_bytes);
        let (reply, result) = bounded(1);
        let gone = |_| io::Error::other("the gzip threads are gone");
        let jobs = self.jobs.as_ref().expect("only finish takes the queue away");
        jobs.send(Job { bytes, window_bytes, last, reply }).map_err(gone)?;
        self.pending.push_back(result);
        Ok(())
    }

    /// Waits for the oldest block and writes it.
    fn collect(&mut self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier block of this gzip stream failed"));
        }
        let Some(result) = self.pending.pop_front() else { return Ok(()) };
        self.failed = true;
        let block = result.recv().map_err(|_| io::Error::other("a gzip thread panicked"))??;
        self.out.write_all(&block.deflated)?;
        self.checksum.combine(&block.checksum);
        self.plain_bytes += block.plain_bytes as u64;
        self.failed = false;
        Ok(())
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full block leaves only when more follows, so that the final block is never an empty extra one.
        if self.bytes.len() - self.window_bytes == BLOCK_BYTES && !bytes.is_empty() {
            self.submit(false)?;
        }
        let room = BLOCK_BYTES - (self.bytes.len() - self.window_bytes);
        let count = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Writes the blocks that are under way; what does not fill a block stays, as a block of its own would cost ratio.
    fn flush(&mut self) -> io::Result<()> {
        while !self.pending.is_empty() {
            self.collect()?;
        }
        self.out.flush()
    }
}

fn deflate_jobs(queue: &Receiver<Job>) {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    for job in queue {
        let result = deflate(&mut compress, &job);
        // The writer was dropped: nobody wants the block.
        let _gone = job.reply.send(result);
    }
}

fn deflate(compress: &mut Compress, job: &Job) -> io::Result<Block> {
    compress.reset();
    let (window, plain) = job.bytes.split_at(job.window_bytes);
    if !window.is_empty() {
        compress.set_dictionary(window).map_err(io::Error::other)?;
    }
    let flush = if job.last { FlushCompress::Finish } else { FlushCompress::Sync };
    // Stored blocks cost a few bytes each (RFC 1951, 3.2.4), so this is room for the worst case.
    let mut deflated = Vec::with_capacity(plain.len() + plain.len() / 16 + 1024);
    let status = compress.compress_vec(plain, &mut deflated, flush).map_err(io::Error::other)?;
    let ended = match status {
        Status::StreamEnd => job.last,
        Status::Ok => !job.last && deflated.len() < deflated.capacity(),
        Status::BufError => false,
    };
    if !ended || compress.total_in() != plain.len() as u64 {
        return Err(io::Error::other("deflate did not take a whole block"));
    }
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(plain);
    Ok(Block { deflated, checksum, plain_bytes: plain.len() })
}
