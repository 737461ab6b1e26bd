//! Child processes of this process: run to their end within bounds, and ended with it.
//!
//! Each leads a process group of its own, so that what it starts ends with it.

use super::{Command, Output};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Standard output kept of a child, in bytes.
pub(super) const STDOUT_KEPT_BYTES: usize = 16 << 20;
/// Standard error kept of a child (its end), in bytes.
pub(super) const STDERR_KEPT_BYTES: usize = 64 << 10;

/// Time for a child that is past its limit to end in order before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Process groups of running children, so that a signal to bkp can end them too.
pub(super) static LIVE_GROUPS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Whether bkp itself was told to end, for what waits without a child.
static TOLD_TO_END: AtomicBool = AtomicBool::new(false);

/// Whether the running children were told to end: who waits for something else has to give up too.
pub fn told_to_end() -> bool {
    TOLD_TO_END.load(Ordering::SeqCst)
}

/// Tells every running child's process group to end, and says which; called when bkp itself is told to end. A child that
/// is a bkp tells its own, so that a job's hooks end with it.
pub fn tell_children_to_end() -> BTreeSet<u32> {
    TOLD_TO_END.store(true, Ordering::SeqCst);
    let groups = live_groups();
    for group in &groups {
        signal_group(*group, rustix::process::Signal::TERM);
    }
    groups
}

/// Ends those of the process groups that still live and have not done as they were told.
pub fn kill_groups(told: &BTreeSet<u32>) {
    let live = live_groups();
    for group in told.intersection(&live) {
        signal_group(*group, rustix::process::Signal::KILL);
    }
}

/// Ends every running child's process group that has not done as it was told.
pub fn kill_children() {
    kill_groups(&live_groups());
}

fn live_groups() -> BTreeSet<u32> {
    LIVE_GROUPS.lock().map(|groups| groups.clone()).unwrap_or_default()
}

pub(super) fn signal_group(group: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(group).ok().and_then(rustix::process::Pid::from_raw) {
        // A group that is already gone is what was wanted.
        let _gone = rustix::process::kill_process_group(pid, signal);
    }
}

/// Reads to the end, keeping at most `kept` bytes: the first ones, or the last ones when `tail`.
pub(super) fn drain(mut reader: impl Read, kept: usize, tail: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut buffer = [0_u8; 16 << 10];
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        if tail {
            out.extend_from_slice(&buffer[..count]);
            if out.len() > 2 * kept {
                out.drain(..out.len() - kept);
            }
        } else if out.len() < kept {
            let room = kept - out.len();
            out.extend_from_slice(&buffer[..count.min(room)]);
        }
    }
    if tail && out.len() > kept {
        out.drain(..out.len() - kept);
    }
    out
}

pub(super) fn expression(command: &Command) -> io::Result<duct::Expression> {
    let (program, arguments) = command
        .argv
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "empty argv"))?;
    let mut expression = duct::cmd(program, arguments);
    if command.clear_env {
        let variables = command.env.iter().map(|(name, value)| (OsString::from(name), value.clone()));
        expression = expression.full_env(variables);
    } else {
        for (name, value) in &command.env {
            expression = expression.env(name, value);
        }
    }
    if let Some(directory) = &command.directory {
        expression = expression.dir(directory);
    }
    expression = match &command.stdin {
        Some(bytes) => expression.stdin_bytes(bytes.clone()),
        None => expression.stdin_null(),
    };
    Ok(expression.unchecked())
}

/// The same, as the leader of a process group of its own.
fn leading(expression: &duct::Expression, ids: Option<(u32, u32)>) -> duct::Expression {
    expression.before_spawn(move |child| {
        child.process_group(0);
        if let Some((uid, gid)) = ids {
            child.uid(uid).gid(gid);
        }
        Ok(())
    })
}

pub(super) fn run_bounded(command: &Command) -> io::Result<Output> {
    let (stdout_reader, stdout_writer) = io::pipe()?;
    let (stderr_reader, stderr_writer) = io::pipe()?;
    let handle = leading(&expression(command)?, command.ids)
        .stdout_file(stdout_writer)
        .stderr_file(stderr_writer)
        .start()?;
    let groups = handle.pids();
    if let Ok(mut live) = LIVE_GROUPS.lock() {
        live.extend(&groups);
    }
    let stdout = std::thread::spawn(move || drain(stdout_reader, STDOUT_KEPT_BYTES, false));
    let stderr = std::thread::spawn(move || drain(stderr_reader, STDERR_KEPT_BYTES, true));
    let ended = handle.wait_timeout(command.time_limit)?.map(|output| output.status.code());
    let timed_out = ended.is_none();
    if timed_out {
        // A child that is a bkp has children of its own, which it alone knows.
        for group in &groups {
            signal_group(*group, rustix::process::Signal::TERM);
        }
        handle.wait_timeout(END_PATIENCE)?;
    }
    // What the child left running in its group holds the pipes open and would make us wait for ever.
    for group in &groups {
        signal_group(*group, rustix::process::Signal::KILL);
    }
    if timed_out {
        handle.wait()?;
    }
    if let Ok(mut live) = LIVE_GROUPS.lock() {
        live.retain(|group| !groups.contains(group));
    }
    // The expression keeps its ends of the pipes until it is dropped.
    drop(handle);
    Ok(Output {
        status: ended.flatten(),
        timed_out,
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Host, RealHost};

    #[test]
    fn child_that_hangs_is_ended_with_its_group() {
        let mut command = Command::look(["/bin/sh", "-c", "sleep 60 & sleep 60"]);
        command.time_limit = Duration::from_millis(200);
        let started = std::time::Instant::now();
        let output = RealHost.run(&command).expect("sh starts");
        assert!(output.timed_out && !output.succeeded());
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn flood_on_stderr_is_drained_and_bounded() {
        let output = RealHost
            .run(&Command::look(["/bin/sh", "-c", "head -c 5000000 /dev/zero >&2; echo done"]))
            .expect("sh starts");
        assert!(output.succeeded());
        assert_eq!(output.text(), "done\n");
        assert!(output.stderr.len() <= STDERR_KEPT_BYTES);
    }
}
