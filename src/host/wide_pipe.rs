//! The pipe that a child's output comes through, read in few large pieces.
//!
//! Producers write small pieces: `pg_dump` 4 KiB at a time, which is the buffer that the C library gives a pipe. Who waits
//! in `read` is woken for every one of them, and waking costs more than copying does. So the pipe is made wide, and
//! where little lies in it the reader looks away for a moment. Never here: a wait that a child which writes nothing, or
//! has ended, could prolong beyond that moment.

use super::pause;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ChildStdout;
use std::time::Duration;

/// What the pipe is asked to hold, in bytes: the most that a user may ask for (pipe(7), `pipe-max-size`).
#[cfg(target_os = "linux")]
const PIPE_BYTES: usize = 1 << 20;
/// Less than this is left to gather, in bytes. A child that fills the rest of the pipe meanwhile is not held up.
const GATHERED_BYTES: usize = 256 << 10;
/// How long it may gather: a child that writes 700 MB a second does not fill the pipe in it.
const GATHERING: Duration = Duration::from_millis(1);

/// A child's standard output.
#[derive(Debug)]
pub(super) struct WidePipe {
    stdout: ChildStdout,
    wide: bool,
}

impl WidePipe {
    pub fn new(stdout: ChildStdout) -> Self {
        let wide = widen(&stdout);
        Self { stdout, wide }
    }

    /// Whether the child has written less than can be taken.
    fn holds_little(&self, room: usize) -> bool {
        let least = room.min(GATHERED_BYTES) as u64;
        rustix::io::ioctl_fionread(&self.stdout).is_ok_and(|waiting| waiting < least)
    }
}

/// Makes room in the pipe, as far as the kernel gives it: a user who has many wide pipes gets no more of them (pipe(7),
/// `pipe-user-pages-soft`). A pipe that stays narrow is read as it comes, since it would be full while nobody looks.
#[cfg(target_os = "linux")]
fn widen(stdout: &ChildStdout) -> bool {
    rustix::pipe::fcntl_setpipe_size(stdout, PIPE_BYTES).is_ok_and(|bytes| bytes >= PIPE_BYTES)
}

/// Elsewhere a pipe has the size that it has.
#[cfg(not(target_os = "linux"))]
fn widen(_stdout: &ChildStdout) -> bool {
    false
}

impl AsFd for WidePipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stdout.as_fd()
    }
}

impl Read for WidePipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.wide && self.holds_little(buffer.len()) {
            pause(GATHERING);
        }
        self.stdout.read(buffer)
    }
}
