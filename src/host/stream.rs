//! Child processes whose bytes move while they run: read, fed, talked to, or left serving.
//!
//! End of stream is never success: each of them has an end that must be asked for. A value that is dropped without it
//! kills its child, with the child's whole process group.

use super::children::{LIVE_GROUPS, STDERR_KEPT_BYTES, STDOUT_KEPT_BYTES, drain, signal_group};
use super::wide_pipe::WidePipe;
use super::{Command, Output, pause, pulse};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between the first two looks at whether a child has ended; each later one comes after twice the time.
const POLL_MIN: Duration = Duration::from_millis(1);
/// The longest between two looks.
const POLL_MAX: Duration = Duration::from_millis(16);
/// Bytes moved at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A child that runs, leader of a group of its own.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) child: Child,
    stderr: Option<JoinHandle<Vec<u8>>>,
    time_limit: Duration,
    ended: bool,
}

#[expect(
    clippy::disallowed_methods,
    reason = "duct keeps its own ends of a child's pipes open, so that whoever streams would never see an end"
)]
pub(super) fn spawn(command: &Command, stdin: Stdio, stdout: Stdio) -> io::Result<Live> {
    let (program, arguments) = command
        .argv
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "empty argv"))?;
    let mut child = std::process::Command::new(program);
    child.args(arguments).stdin(stdin).stdout(stdout).stderr(Stdio::piped()).process_group(0);
    if command.clear_env {
        child.env_clear();
    }
    child.envs(&command.env);
    if let Some(directory) = &command.directory {
        child.current_dir(directory);
    }
    if let Some((uid, gid)) = command.ids {
        child.uid(uid).gid(gid);
    }
    let mut child = child.spawn()?;
    let stderr = child.stderr.take();
    let stderr = stderr.map(|it| std::thread::spawn(move || drain(it, STDERR_KEPT_BYTES, true)));
    if let Ok(mut live) = LIVE_GROUPS.lock() {
        live.insert(child.id());
    }
    Ok(Live { child, stderr, time_limit: command.time_limit, ended: false })
}

impl Live {
    fn forget(&mut self) {
        self.ended = true;
        if let Ok(mut live) = LIVE_GROUPS.lock() {
            live.remove(&self.child.id());
        }
    }

    /// Waits for its end, at most the command's time limit, and ends what it left running.
    pub(super) fn end(mut self, stdout: Vec<u8>) -> io::Result<Output> {
        let deadline = Instant::now() + self.time_limit;
        let mut timed_out = false;
        let mut poll = POLL_MIN;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status.code();
            }
            if Instant::now() >= deadline {
                timed_out = true;
                signal_group(self.child.id(), rustix::process::Signal::KILL);
                break self.child.wait()?.code();
            }
            pause(poll);
            poll = POLL_MAX.min(2 * poll);
        };
        signal_group(self.child.id(), rustix::process::Signal::KILL);
        self.forget();
        let stderr = self.stderr.take().map(|it| it.join().unwrap_or_default()).unwrap_or_default();
        Ok(Output { status, timed_out, stdout, stderr })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if !self.ended {
            signal_group(self.child.id(), rustix::process::Signal::KILL);
            // A child that was killed ends; that it cannot be waited for leaves nothing else to do.
            let _ended = self.child.wait();
            self.forget();
        }
    }
}

fn missing_pipe() -> io::Error {
    io::Error::other("the child has no such pipe")
}

/// A child whose standard output is read as it comes. Its time limit counts from [`ChildReader::finish`] on.
#[derive(Debug)]
pub struct ChildReader {
    stdout: WidePipe,
    live: Live,
}

impl ChildReader {
    /// Starts it; `command.stdin` is not used, its standard input is `/dev/null`.
    pub fn start(command: &Command) -> io::Result<Self> {
        let mut live = spawn(command, Stdio::null(), Stdio::piped())?;
        let stdout = live.child.stdout.take().ok_or_else(missing_pipe)?;
        Ok(Self { stdout: WidePipe::new(stdout), live })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.live.child.id()
    }

    /// Whether it has ended by itself; what it started may still hold its output open.
    pub fn ended(&mut self) -> bool {
        matches!(self.live.child.try_wait(), Ok(Some(_)))
    }

    /// Reads what is there, and waits for it at most so long; none when nothing came.
    pub fn read_within(&mut self, buffer: &mut [u8], patience: Duration) -> io::Result<Option<usize>> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        let mut waited = [PollFd::new(&self.stdout, PollFlags::IN)];
        match poll(&mut waited, Some(&patience)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(None),
            Ok(_) => self.stdout.read(buffer).map(Some),
            Err(error) => Err(error.into()),
        }
    }

    /// How it ended. What was not read is not waited for: the child gets a broken pipe.
    pub fn finish(self) -> io::Result<Output> {
        drop(self.stdout);
        self.live.end(Vec::new())
    }
}

impl Read for ChildReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stdout.read(buffer)
    }
}

/// A child that is fed on its standard input.
#[derive(Debug)]
pub struct ChildWriter {
    stdin: Option<ChildStdin>,
    stdout: JoinHandle<Vec<u8>>,
    live: Live,
}

impl ChildWriter {
    /// Starts it; `command.stdin` is not used.
    pub fn start(command: &Command) -> io::Result<Self> {
        let mut live = spawn(command, Stdio::piped(), Stdio::piped())?;
        let stdin = live.child.stdin.take();
        let stdout = live.child.stdout.take().ok_or_else(missing_pipe)?;
        let stdout = std::thread::spawn(move || drain(stdout, STDOUT_KEPT_BYTES, false));
        Ok(Self { stdin, stdout, live })
    }

    /// Hands on everything that `body` gives. A child that takes no more is no error here: how it ended says why.
    /// Errors are those of `body`, as [`FeedError::Body`], and of the pipe.
    pub fn feed(&mut self, body: &mut dyn Read) -> Result<u64, FeedError> {
        let Some(stdin) = &mut self.stdin else { return Ok(0) };
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut fed = 0;
        loop {
            let length = match body.read(&mut buffer) {
                Ok(0) => return Ok(fed),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(FeedError::Body(error)),
            };
            pulse::beat();
            match stdin.write_all(&buffer[..length]) {
                Ok(()) => fed += length as u64,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(fed),
                Err(error) => return Err(FeedError::Pipe(error)),
            }
        }
    }

    /// Closes its standard input, waits for its end and gives what it printed (16 MiB at most).
    pub fn finish(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let Self { stdout, live, .. } = self;
        let output = live.end(Vec::new())?;
        Ok(Output { stdout: stdout.join().unwrap_or_default(), ..output })
    }
}

/// Why feeding stopped.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// What was to be handed on could not be read.
    #[error("the input could not be read")]
    Body(#[source] io::Error),
    /// The child could not be written to.
    #[error("the program could not be written to")]
    Pipe(#[source] io::Error),
}

/// A child that is asked and answers, line by line: a database's client with a session that stays open.
#[derive(Debug)]
pub struct Dialogue {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    live: Live,
}

impl Dialogue {
    /// Starts it; `command.stdin` is not used.
    pub fn start(command: &Command) -> io::Result<Self> {
        let mut live = spawn(command, Stdio::piped(), Stdio::piped())?;
        let stdin = live.child.stdin.take().ok_or_else(missing_pipe)?;
        let stdout = BufReader::new(live.child.stdout.take().ok_or_else(missing_pipe)?);
        Ok(Self { stdin, stdout, live })
    }

    /// What ends it while another thread waits for its answer.
    pub fn ender(&self) -> Ender {
        Ender(self.live.child.id())
    }

    /// Sends text as it is.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        self.stdin.write_all(text.as_bytes())?;
        self.stdin.flush()
    }

    /// The next line without its newline; none at the end of what it says.
    pub fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        if self.stdout.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }

    /// Closes its standard input and waits for its end.
    pub fn finish(self) -> io::Result<Output> {
        let Self { stdin, stdout, live } = self;
        drop(stdin);
        drop(stdout);
        live.end(Vec::new())
    }
}

/// Ends a [`Dialogue`] that another thread waits for.
#[derive(Debug, Clone, Copy)]
pub struct Ender(u32);

impl Ender {
    /// Kills its child, with the child's group, where it has not ended.
    pub fn kill(self) {
        // Only what is still known to run: the number may be another's by now.
        if LIVE_GROUPS.lock().is_ok_and(|live| live.contains(&self.0)) {
            signal_group(self.0, rustix::process::Signal::KILL);
        }
    }
}

/// A child that serves until it is told to end; killed when dropped.
#[derive(Debug)]
pub struct ServerChild {
    live: Live,
}

impl ServerChild {
    /// Starts it; its standard output goes nowhere, the end of its standard error is kept.
    pub fn start(command: &Command) -> io::Result<Self> {
        Ok(Self { live: spawn(command, Stdio::null(), Stdio::null())? })
    }

    /// Its process id, which is its group's too.
    pub fn pid(&self) -> u32 {
        self.live.child.id()
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.live.child.try_wait(), Ok(None))
    }

    /// Sends it a signal and waits for its end, at most the command's time limit.
    pub fn end(self, signal: rustix::process::Signal) -> io::Result<Output> {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // One that has ended already is what was wanted.
            let _gone = rustix::process::kill_process(pid, signal);
        }
        self.live.end(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_sees_the_bytes_and_the_status_that_follows_them() {
        let mut child = ChildReader::start(&Command::look(["sh", "-c", "printf abc; echo oops >&2; exit 3"]))
            .expect("sh");
        let mut text = String::new();
        child.read_to_string(&mut text).expect("its output");
        assert_eq!(text, "abc");
        let output = child.finish().expect("its end");
        assert_eq!(output.explain(), "exit status 3: oops");
    }

    #[test]
    fn dropped_reader_kills_its_child() {
        let child = ChildReader::start(&Command::look(["sleep", "60"])).expect("sleep");
        let pid = child.pid();
        drop(child);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn fed_child_that_stops_listening_ends_with_its_own_reason() {
        let mut child =
            ChildWriter::start(&Command::look(["sh", "-c", "head -c 1; echo enough >&2; exit 4"]))
                .expect("sh");
        child.feed(&mut io::repeat(b'x').take(8 << 20)).expect("a broken pipe is the child's affair");
        let output = child.finish().expect("its end");
        assert_eq!((output.text().as_str(), output.status), ("x", Some(4)));
    }

    #[test]
    fn dialogue_answers_line_by_line() {
        let mut child = Dialogue::start(&Command::look(["cat"])).expect("cat");
        child.send("one\n").expect("sent");
        assert_eq!(child.line().expect("a line").as_deref(), Some("one"));
        assert!(child.finish().expect("its end").succeeded());
    }

    #[test]
    fn server_ends_by_the_signal_that_it_is_sent() {
        let mut server = ServerChild::start(&Command::look(["sleep", "60"])).expect("sleep");
        assert!(server.alive());
        let output = server.end(rustix::process::Signal::TERM).expect("its end");
        assert_eq!((output.status, output.timed_out), (None, false));
    }
}
