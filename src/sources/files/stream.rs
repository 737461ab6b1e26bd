//! The archive as a stream: a thread walks and reads, the stream hands out what it made.
//!
//! Only a walk that came to its end makes a [`Complete`]; a dropped stream ends its thread before it is gone.

use super::super::{Complete, SourceError, SourceStream};
use super::chunks::{ChunkReader, channel};
use super::producer::{Finished, Order, Producer};
use super::walk::End;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// How far the stream is.
enum State {
    Reading(ChunkReader, JoinHandle<Result<Finished, End>>),
    Ended(Box<Finished>),
    Failed(SourceError),
    Taken,
}

/// A `files` member's bytes.
pub struct FilesStream {
    member: String,
    state: State,
    stop: Arc<AtomicBool>,
}

impl FilesStream {
    /// Starts the thread.
    pub fn start(member: &str, order: Order) -> Result<Self, SourceError> {
        let stop = order.stop.clone();
        let (writer, reader) = channel();
        let producer = Producer::new(order, writer)?;
        let thread = std::thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || producer.run())
            .map_err(|error| SourceError::Read { object: member.to_owned(), error })?;
        Ok(Self { member: member.to_owned(), state: State::Reading(reader, thread), stop })
    }

    fn failure(&self, reason: &str) -> SourceError {
        SourceError::Read { object: self.member.clone(), error: io::Error::other(reason.to_owned()) }
    }

    fn join(&self, thread: JoinHandle<Result<Finished, End>>) -> State {
        match thread.join() {
            Ok(Ok(finished)) => State::Ended(Box::new(finished)),
            Ok(Err(End::Source(error))) => State::Failed(error),
            Ok(Err(End::Stopped)) => State::Failed(self.failure("the stream was stopped")),
            Err(_) => State::Failed(self.failure("the thread that reads files panicked")),
        }
    }
}

impl Read for FilesStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let State::Reading(reader, _) = &mut self.state {
            let count = reader.read(buffer);
            if count > 0 {
                return Ok(count);
            }
            if let State::Reading(_, thread) = std::mem::replace(&mut self.state, State::Taken) {
                self.state = self.join(thread);
            }
        }
        match &self.state {
            State::Ended(_) => Ok(0),
            State::Failed(error) => {
                let causes = crate::diagnostic::causes(error);
                let colon = if causes.is_empty() { "" } else { ": " };
                Err(io::Error::other(format!("{error}{colon}{causes}")))
            }
            State::Reading(..) | State::Taken => Err(io::Error::other("the stream has no end")),
        }
    }
}

impl SourceStream for FilesStream {
    fn finish(mut self: Box<Self>) -> Result<Complete, SourceError> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Ended(finished) => {
                let Finished { counts, warnings, index } = *finished;
                Ok(Complete { counts, bounds: BTreeMap::new(), warnings, index: Some(index) })
            }
            State::Failed(error) => Err(error),
            reading @ State::Reading(..) => {
                self.state = reading;
                Err(self.failure("the stream was not read to its end"))
            }
            State::Taken => Err(self.failure("the stream has no end")),
        }
    }
}

impl Drop for FilesStream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let State::Reading(reader, thread) = std::mem::replace(&mut self.state, State::Taken) {
            // The thread wakes from a full channel when its reader is gone.
            drop(reader);
            let _ended = thread.join();
        }
    }
}
