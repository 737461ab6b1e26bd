//! Reading from the medium and not from the page cache, and leaving the cache to others.
//!
//! `posix_fadvise(2)`: `DONTNEED` drops clean pages and starts the writing of dirty ones. It is advice: on a file
//! system that lives in memory there is no medium, and pages that another process has mapped stay.
//!
//! A Mac has no such call. There `F_NOCACHE` (fcntl(2)) keeps what is written and read through a descriptor from staying
//! in memory; pages that were there before are still used. A read-back is a read-back of the file there too, and less
//! surely one of the medium.

#[cfg(target_os = "linux")]
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::io::{self, Read};
#[cfg(target_os = "linux")]
use std::num::NonZeroU64;

/// Pages are dropped in steps of this size.
const WINDOW_BYTES: u64 = 8 << 20;
/// A medium is asked for so much before it is needed, so that it works while the bytes before are hashed.
const AHEAD_BYTES: u64 = 8 << 20;
/// It is asked in steps of this size; what is shorter than one is left to the kernel's own reading ahead.
const AHEAD_STEP_BYTES: u64 = 1 << 20;

/// Gives up the cached pages of a file; no length means to the end.
#[cfg(target_os = "linux")]
fn drop_pages(file: &File, from: u64, bytes: u64) {
    // Only advice: what follows is right without it.
    let _advice = fadvise(file, from, NonZeroU64::new(bytes), Advice::DontNeed);
}

/// Says that a file is read from its begin to its end.
#[cfg(target_os = "linux")]
fn reads_in_order(file: &File) {
    let _advice = fadvise(file, 0, None, Advice::Sequential);
}

/// Asks the medium for what comes next.
#[cfg(target_os = "linux")]
fn ask(file: &File, from: u64) {
    let _advice = fadvise(file, from, NonZeroU64::new(AHEAD_STEP_BYTES), Advice::WillNeed);
}

/// Keeps what passes through this descriptor from staying in memory, from now on.
#[cfg(not(target_os = "linux"))]
fn drop_pages(file: &File, _from: u64, _bytes: u64) {
    let _advice = rustix::fs::fcntl_nocache(file, true);
}

/// A Mac reads ahead by itself.
#[cfg(not(target_os = "linux"))]
fn reads_in_order(_file: &File) {}

/// Asks the medium for what comes next.
#[cfg(not(target_os = "linux"))]
fn ask(file: &File, from: u64) {
    let _advice = rustix::fs::fcntl_rdadvise(file, from, AHEAD_STEP_BYTES);
}

/// Drops the pages behind a position that moves through a file.
#[derive(Debug, Default)]
pub(super) struct Window {
    position: u64,
    dropped: u64,
}

impl Window {
    /// Moves on; every few MiB the pages behind are given up.
    pub fn advance(&mut self, file: &File, bytes: usize) {
        self.position += bytes as u64;
        if self.position - self.dropped >= WINDOW_BYTES {
            // One window further back too: when its turn came, its pages were dirty and could only be sent off.
            let from = self.dropped.saturating_sub(WINDOW_BYTES);
            drop_pages(file, from, self.position - from);
            self.dropped = self.position;
        }
    }
}

/// Reads a file and leaves the cache to others. The file must be clean, as every published object is.
#[derive(Debug)]
pub(super) struct MediumReader {
    file: File,
    window: Window,
    asked: u64,
}

impl MediumReader {
    /// Drops the file's pages, so that every byte comes from the medium.
    pub fn new(file: File) -> Self {
        // A length of none means to the end.
        drop_pages(&file, 0, 0);
        Self::cached(file)
    }

    /// Takes what is in the page cache: enough to look, never to prove.
    pub fn cached(file: File) -> Self {
        reads_in_order(&file);
        Self { file, window: Window::default(), asked: 0 }
    }

    /// Asks for what comes next; beyond the end of the file it is no request.
    fn ask_ahead(&mut self) {
        let position = self.window.position;
        if position < AHEAD_STEP_BYTES {
            return;
        }
        self.asked = self.asked.max(position);
        while self.asked < position + AHEAD_BYTES {
            ask(&self.file, self.asked);
            self.asked += AHEAD_STEP_BYTES;
        }
    }
}

impl Read for MediumReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.window.advance(&self.file, length);
        self.ask_ahead();
        Ok(length)
    }
}
