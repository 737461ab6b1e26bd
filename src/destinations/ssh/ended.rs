//! How an `rsync` ended, and what that means.

use super::client::{Setback, heard};
use crate::destinations::remote::store::Fault;
use crate::host::Output;
use std::io;

/// rsync(1), EXIT VALUES: socket I/O, timeout, timeout waiting for a daemon, ssh's own.
const PASSING: [i32; 4] = [10, 30, 35, 255];
/// rsync(1): file I/O, protocol stream. Either side's; where nothing is said of it the other side's words were lost on their
/// way, and are heard the next time.
const MUTE: [i32; 2] = [11, 12];
/// rsync(1): partial transfer; files that vanished.
const PARTIAL: [i32; 2] = [23, 24];

/// How rsync ended, with the lines that it printed.
pub(super) struct Ended {
    pub output: Output,
    pub stderr: String,
    pub lines: Vec<Vec<u8>>,
}

impl Ended {
    /// Whether its standard error has one of these words.
    pub fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.stderr.contains(word))
    }

    /// Whether the path that was asked for is not there. rrsync looks for it before rsync does.
    pub fn is_missing(&self) -> bool {
        let absent =
            |line: &str| line.contains("No such file or directory") || line.contains("Not a directory");
        let partial = self.output.status.is_some_and(|it| PARTIAL.contains(&it));
        let missing = |line: &str| absent(line) && (partial || line.contains("rrsync error: "));
        self.stderr.lines().any(missing) && !self.says(&["Permission denied"])
    }

    /// The line that says what happened; what rsync says after it, whatever that was, is none.
    fn own_words(&self) -> Option<&str> {
        let plain = |line: &&str| {
            let late = ["connection unexpectedly closed", "Broken pipe", "Did you see "];
            let last = line.trim().is_empty() || line.starts_with("rsync error: ");
            !last && !late.iter().any(|it| line.contains(it))
        };
        self.stderr.lines().find(plain)
    }

    fn ended_with(&self, statuses: &[i32]) -> bool {
        self.output.status.is_some_and(|it| statuses.contains(&it))
    }

    /// Whether it failed, and the other side's words were lost on their way.
    pub fn is_mute(&self) -> bool {
        self.own_words().is_none() && self.ended_with(&MUTE)
    }

    /// What it means where it failed.
    pub fn setback(&self, during: &'static str) -> Setback {
        let own_words = self.own_words();
        let line = own_words.or(self.stderr.lines().last());
        let text = line.map_or_else(|| self.output.explain(), |it| it.trim().to_owned());
        let error = || io::Error::other(text.clone());
        if self.says(&["No space left on device", "Disk quota exceeded"]) {
            return Setback::Lasting(Fault::Full(error()));
        }
        if let Some(setback) = heard(during, &self.stderr).filter(|_| self.output.status != Some(23)) {
            return setback;
        }
        if self.says(&["Permission denied (13)", "Operation not permitted (1)", "Read-only file system (30)"])
        {
            return Setback::Lasting(Fault::Refused(error()));
        }
        if self.output.timed_out || self.ended_with(&PASSING) || self.is_mute() {
            return Setback::Passing(Fault::Other { during, error: error() });
        }
        Setback::Lasting(Fault::Other { during, error: error() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_without_its_words_is_tried_again_and_one_with_words_is_what_they_say() {
        let setback = |status, stderr: &str| {
            let output = Output {
                status: Some(status),
                timed_out: false,
                stdout: Vec::new(),
                stderr: stderr.as_bytes().to_vec(),
            };
            Ended { output, stderr: stderr.to_owned(), lines: Vec::new() }.setback("storing it")
        };
        let closed = "rsync: connection unexpectedly closed (40 bytes received so far) [sender]\n";
        for (status, stderr) in [(11, ""), (12, ""), (12, closed)] {
            assert!(matches!(setback(status, stderr), Setback::Passing(_)), "{status} {stderr}");
        }
        let full = "rsync: [receiver] write failed on \"a\": No space left on device (28)\n";
        assert!(matches!(setback(11, full), Setback::Lasting(Fault::Full(_))));
        let other = "rsync: [receiver] read error: Input/output error (5)\n";
        assert!(matches!(setback(11, other), Setback::Lasting(Fault::Other { .. })));
    }
}
