//! A child that is given bytes and must take them all.
//!
//! What lies in a pipe was written and not yet read: a child that ends with 0 after the first line has taken the rest
//! of nothing. So both ends are kept, and what is left in the pipe is counted after the child's end.

use super::stream::{FeedError, spawn};
use super::{Command, Output, pulse, told_to_end};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Bytes moved at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Between two looks at whether a child that takes nothing still lives.
const STEP: Duration = Duration::from_millis(100);

/// What became of the bytes.
#[derive(Debug)]
pub struct Fed {
    /// How the child ended.
    pub output: Output,
    /// Bytes that there were; less than all only when the child ended before them.
    pub given_bytes: u64,
    /// Bytes that it did not take, of those given.
    pub left_bytes: u64,
    /// Whether the input was read to its end.
    pub to_end: bool,
}

/// Runs a program on an input. Its time limit is the longest that it may take nothing, and the longest from its last
/// byte to its end. Its standard output goes nowhere.
pub fn feed_all(command: &Command, body: &mut dyn Read) -> Result<Fed, FeedError> {
    let (reader, mut writer) = io::pipe().map_err(FeedError::Pipe)?;
    let stdin = reader.try_clone().map_err(FeedError::Pipe)?;
    rustix::io::ioctl_fionbio(&writer, true).map_err(|error| FeedError::Pipe(error.into()))?;
    let mut live = spawn(command, Stdio::from(stdin), Stdio::null()).map_err(FeedError::Pipe)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut given_bytes, mut to_end) = (0, false);
    let timed_out = loop {
        let length = match body.read(&mut buffer) {
            Ok(0) => {
                to_end = true;
                break false;
            }
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(FeedError::Body(error)),
        };
        pulse::beat();
        match put(&mut writer, &buffer[..length], &mut live.child, command.time_limit)? {
            Put::All => given_bytes += length as u64,
            Put::Ended(count) => {
                given_bytes += count as u64;
                break false;
            }
            Put::TimedOut => break true,
        }
    };
    drop(writer);
    if timed_out {
        // The value kills its group as it is dropped.
        drop(live);
        let output = Output { status: None, timed_out, stdout: Vec::new(), stderr: Vec::new() };
        return Ok(Fed { output, given_bytes, left_bytes: 0, to_end });
    }
    let output = live.end(Vec::new()).map_err(FeedError::Pipe)?;
    let left_bytes = left(reader).map_err(FeedError::Pipe)?;
    Ok(Fed { output, given_bytes, left_bytes, to_end })
}

enum Put {
    All,
    /// The child has ended; so many bytes went into the pipe before.
    Ended(usize),
    TimedOut,
}

fn put(writer: &mut PipeWriter, bytes: &[u8], child: &mut Child, limit: Duration) -> Result<Put, FeedError> {
    let step = Timespec::try_from(STEP).map_err(|error| FeedError::Pipe(io::Error::other(error)))?;
    let (mut at, mut moved_at) = (0, Instant::now());
    while at < bytes.len() {
        match writer.write(&bytes[at..]) {
            Ok(count) => {
                at += count;
                moved_at = Instant::now();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if child.try_wait().map_err(FeedError::Pipe)?.is_some() {
                    return Ok(Put::Ended(at));
                }
                if moved_at.elapsed() > limit || told_to_end() {
                    return Ok(Put::TimedOut);
                }
                let mut waited = [PollFd::new(&*writer, PollFlags::OUT)];
                match poll(&mut waited, Some(&step)) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(FeedError::Pipe(error.into())),
                }
            }
            Err(error) => return Err(FeedError::Pipe(error)),
        }
    }
    Ok(Put::All)
}

/// What nobody has taken. Whoever could still write or read has been ended with the child's group.
fn left(mut reader: PipeReader) -> io::Result<u64> {
    rustix::io::ioctl_fionbio(&reader, true)?;
    let mut buffer = [0; 16 << 10];
    let mut left = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(left),
            Ok(count) => left += count as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(left),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(script: &str, bytes: u64) -> Fed {
        let command = Command { time_limit: Duration::from_secs(2), ..Command::look(["sh", "-c", script]) };
        feed_all(&command, &mut io::repeat(b'x').take(bytes)).expect("sh starts")
    }

    #[test]
    fn child_that_takes_everything_leaves_nothing() {
        for bytes in [0, 1, 5 << 20] {
            let fed = fed("cat >/dev/null", bytes);
            assert!(fed.output.succeeded() && fed.to_end, "{fed:?}");
            assert_eq!((fed.given_bytes, fed.left_bytes), (bytes, 0));
        }
    }

    #[test]
    fn child_that_ends_well_after_a_part_has_left_the_rest() {
        // Few enough to lie in the pipe, and too many.
        for bytes in [1000, 5 << 20] {
            let fed = fed("exec dd bs=1 count=10 status=none >/dev/null", bytes);
            assert!(fed.output.succeeded());
            assert!(fed.left_bytes > 0, "{fed:?}");
            assert_eq!(fed.to_end, bytes == 1000);
        }
    }

    #[test]
    fn child_that_takes_nothing_is_ended_at_its_limit() {
        let fed = fed("exec sleep 60", 5 << 20);
        assert!(fed.output.timed_out && !fed.output.succeeded());
    }
}
