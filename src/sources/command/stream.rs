//! A program's output as it comes.
//!
//! Never here: the output of a program that has ended is waited for without an end, because something that it started
//! still holds it open.

use super::BYTES;
use super::mark::Tail;
use crate::declared::CommandDeclaration;
use crate::format::Counts;
use crate::host::{ChildReader, Output, told_to_end};
use crate::secrets::Secret;
use crate::sources::{Complete, SourceError, SourceStream};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// Between two looks at whether the program still lives.
const STEP: Duration = Duration::from_millis(250);
/// How long its output may stay open after its end without anything coming.
const HELD_OPEN_MAX: Duration = Duration::from_secs(2);
/// Reads that what lies in its pipe at its end may take, and then some: a pipe has 1 MiB at most (pipe(7)).
const AFTER_END_READS_MAX: u32 = 256;
/// The shortest line of a secret that is taken out of messages.
const HIDDEN_BYTES_MIN: usize = 4;

/// An output.
pub(super) struct OutputStream {
    name: String,
    child: ChildReader,
    tail: Tail,
    end_mark: Option<String>,
    bytes_min: u64,
    hidden: Vec<Secret>,
    /// When the program was first seen to have ended, and how often something came since.
    ended: Option<(Instant, u32)>,
    at_end: bool,
}

impl OutputStream {
    /// Begins to read what a program writes.
    pub(super) fn new(
        name: String,
        child: ChildReader,
        declaration: &CommandDeclaration,
        hidden: Vec<Secret>,
    ) -> Self {
        let end_mark = declaration.end_mark.clone();
        let (tail, bytes_min) = (Tail::default(), declaration.bytes_min);
        Self { name, child, tail, end_mark, bytes_min, hidden, ended: None, at_end: false }
    }

    /// Fails when somebody else than the program, which has ended, writes or could write.
    fn demand_the_program(&mut self, came: bool) -> io::Result<()> {
        if self.ended.is_none() && self.child.ended() {
            self.ended = Some((Instant::now(), 0));
        }
        let Some((since, reads)) = &mut self.ended else { return Ok(()) };
        *reads += u32::from(came);
        if *reads > AFTER_END_READS_MAX || (!came && since.elapsed() > HELD_OPEN_MAX) {
            return Err(io::Error::other(format!(
                "`{}` has ended, and something that it started still holds its output open: whether the output is \
                 complete cannot be told; let the program wait for what it starts",
                self.name
            )));
        }
        Ok(())
    }

    fn explain(output: &Output, hidden: &[Secret]) -> String {
        let mut text = output.explain();
        for secret in hidden {
            text = secret.redact(&text);
            // One of many lines may come alone.
            for line in
                String::from_utf8_lossy(secret.bytes()).lines().filter(|it| it.len() >= HIDDEN_BYTES_MIN)
            {
                text = text.replace(line, "[redacted]");
            }
        }
        text
    }
}

impl Read for OutputStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let came = self.child.read_within(buffer, STEP)?;
            if let Some(count) = came {
                self.at_end = count == 0;
                self.tail.push(&buffer[..count]);
                if count == 0 {
                    return Ok(0);
                }
            } else if told_to_end() {
                return Err(io::Error::other("the run was told to end"));
            }
            self.demand_the_program(came.is_some())?;
            if let Some(count) = came {
                return Ok(count);
            }
        }
    }
}

impl SourceStream for OutputStream {
    fn finish(self: Box<Self>) -> Result<Complete, SourceError> {
        let Self { name, child, tail, end_mark, bytes_min, hidden, at_end, .. } = *self;
        let incomplete = |reason: String| SourceError::Incomplete { producer: name.clone(), reason };
        if !at_end {
            return Err(incomplete("it was not read to its end".to_owned()));
        }
        let output = child.finish().map_err(|error| SourceError::Tool { tool: name.clone(), error })?;
        if !output.succeeded() {
            return Err(incomplete(Self::explain(&output, &hidden)));
        }
        if tail.bytes < bytes_min {
            return Err(incomplete(format!(
                "it has {} bytes, and a complete one has at least {bytes_min}",
                tail.bytes
            )));
        }
        if let Some(mark) = end_mark.filter(|mark| !tail.has(mark)) {
            return Err(incomplete(format!("its end mark `{mark}` is not in its last lines")));
        }
        let counts = Counts([(BYTES.to_owned(), tail.bytes)].into());
        Ok(Complete { counts, bounds: BTreeMap::new(), warnings: Vec::new(), index: None })
    }
}
