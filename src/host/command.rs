//! A child process as data: an argv list, never a shell string.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Whether a command only looks or may change something; a read-only host refuses the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Lists, prints, asks for a version.
    Look,
    /// May change the host.
    Change,
}

/// A program to run.
#[derive(Debug, Clone)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// Variables added to the environment.
    pub env: BTreeMap<String, OsString>,
    /// Starts from an empty environment.
    pub clear_env: bool,
    /// What it may do.
    pub purpose: Purpose,
    /// Ends its whole process group after this long.
    pub time_limit: Duration,
    /// Bytes for its standard input; none is `/dev/null`.
    pub stdin: Option<Vec<u8>>,
    /// Working directory.
    pub directory: Option<PathBuf>,
    /// User and group id to run as; only root can. The groups of root are given up.
    pub ids: Option<(u32, u32)>,
}

impl Command {
    /// A command that only looks, with a limit of 30 s.
    pub fn look<I, S>(argv: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<OsString>,
    {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            clear_env: false,
            purpose: Purpose::Look,
            time_limit: Duration::from_secs(30),
            stdin: None,
            directory: None,
            ids: None,
        }
    }

    /// A command that may change the host, with a limit of 5 min.
    pub fn change<I, S>(argv: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<OsString>,
    {
        Self { purpose: Purpose::Change, time_limit: Duration::from_mins(5), ..Self::look(argv) }
    }

    /// The argv as one line for messages.
    pub fn display(&self) -> String {
        self.argv.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit status; none when a signal ended it.
    pub status: Option<i32>,
    /// Whether it was ended because its time was over.
    pub timed_out: bool,
    /// Its standard output, at most 16 MiB.
    pub stdout: Vec<u8>,
    /// The last 64 KiB of its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether it ended by itself with status 0.
    pub fn succeeded(&self) -> bool {
        self.status == Some(0) && !self.timed_out
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// One line that says how it ended, with the end of its standard error.
    pub fn explain(&self) -> String {
        let how = match (self.timed_out, self.status) {
            (true, _) => "was ended at its time limit".to_owned(),
            (false, Some(status)) => format!("exit status {status}"),
            (false, None) => "ended by a signal".to_owned(),
        };
        let stderr = String::from_utf8_lossy(&self.stderr);
        let last = stderr.trim().lines().last().unwrap_or_default().to_owned();
        if last.is_empty() { how } else { format!("{how}: {last}") }
    }
}
