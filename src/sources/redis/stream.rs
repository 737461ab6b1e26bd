//! A dump on its way to the destinations, read by its own grammar while it passes.
//!
//! Never here: a dump that is called complete before its announced end, its end mark, its check sum and its keys have
//! been seen.

use super::client::ClientError;
use super::rdb::{self, Census, Checksum, RdbError};
use super::session::Session;
use super::transfer::Transfer;
use super::vitals::Vitals;
use crate::diagnostic::causes;
use crate::sources::{Complete, SourceError, SourceStream};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Pieces that may wait for the reader of the grammar.
const PIECES_WAITING: usize = 4;

/// The grammar's reader, on a thread of its own.
struct Checker {
    pieces: Option<SyncSender<Vec<u8>>>,
    census: JoinHandle<Result<Census, RdbError>>,
}

/// What the grammar's reader reads.
struct Pieces {
    coming: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            let Ok(piece) = self.coming.recv() else { return Ok(0) };
            (self.piece, self.at) = (piece, 0);
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl Checker {
    fn start() -> Self {
        let (sender, coming) = sync_channel(PIECES_WAITING);
        let census = std::thread::spawn(move || rdb::read(&mut Pieces { coming, piece: Vec::new(), at: 0 }));
        Self { pieces: Some(sender), census }
    }

    /// Hands a piece on; false when the reader has found fault and listens no more.
    fn hand_on(&self, piece: Vec<u8>) -> bool {
        self.pieces.as_ref().is_some_and(|pieces| pieces.send(piece).is_ok())
    }

    fn census(mut self) -> Result<Census, RdbError> {
        drop(self.pieces.take());
        self.census.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// A text of an error and what caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let below = causes(error);
    if below.is_empty() { error.to_string() } else { format!("{error}: {below}") }
}

/// A dump.
pub(super) struct DumpStream {
    session: Session,
    before: Vitals,
    transfer: Transfer,
    checker: Option<Checker>,
    ready: Vec<u8>,
    at: usize,
}

impl DumpStream {
    /// Begins to read a dump that is coming; `before` is what the server said of itself before it was asked.
    pub(super) fn new(session: Session, before: Vitals, transfer: Transfer) -> Self {
        Self { session, before, transfer, checker: Some(Checker::start()), ready: Vec::new(), at: 0 }
    }

    fn read_on(&mut self) -> io::Result<bool> {
        let broken = |error: ClientError| io::Error::other(format!("{}: {error}", self.session.server()));
        let Some(piece) = self.transfer.piece().map_err(broken)? else { return Ok(false) };
        let heard = self.checker.as_ref().is_some_and(|checker| checker.hand_on(piece.clone()));
        if !heard {
            let fault = self.checker.take().map(Checker::census);
            let why = match fault {
                Some(Err(error)) => chain(&error),
                Some(Ok(_)) => "more came than its end mark allows".to_owned(),
                None => "it was found at fault before".to_owned(),
            };
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the dump is not sound: {why}")));
        }
        (self.ready, self.at) = (piece, 0);
        Ok(true)
    }
}

impl Read for DumpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.ready.len() && !self.read_on()? {
            return Ok(0);
        }
        let count = buffer.len().min(self.ready.len() - self.at);
        buffer[..count].copy_from_slice(&self.ready[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl SourceStream for DumpStream {
    fn finish(mut self: Box<Self>) -> Result<Complete, SourceError> {
        let server = self.session.server();
        let incomplete = |reason: String| SourceError::Incomplete { producer: server.clone(), reason };
        if !self.transfer.ended() || self.at != self.ready.len() {
            return Err(incomplete("it was not read to its end".to_owned()));
        }
        let Some(checker) = self.checker.take() else {
            return Err(incomplete("it was found at fault before".to_owned()));
        };
        let census = checker.census().map_err(|error| incomplete(chain(&error)))?;
        let after = self.session.info();
        if let Some(database) = vanished(&census, &self.before, after.as_ref().ok()) {
            return Err(incomplete(format!(
                "database {database} has no keys in it, and the server counted some before and after"
            )));
        }
        let warnings = match census.checksum {
            Checksum::Matches => Vec::new(),
            Checksum::Absent => vec![self.session.excused_checksum().map_err(incomplete)?],
        };
        Ok(Complete { counts: census.counts(), bounds: census.bounds(), warnings, index: None })
    }
}

/// A database that the dump has no key of although the server held keys that do not go by themselves, before and
/// after. Where the server can no longer be asked, before has to do.
fn vanished(census: &Census, before: &Vitals, after: Option<&Vitals>) -> Option<u64> {
    let lasting = |info: &Vitals, database: u64| {
        info.databases().get(&database).is_some_and(|keys| keys.all > keys.fading)
    };
    let empty = |database: &u64| census.databases.get(database).is_none_or(|keys| keys.all == 0);
    before
        .databases()
        .into_keys()
        .filter(empty)
        .find(|database| lasting(before, *database) && after.is_none_or(|after| lasting(after, *database)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::redis::rdb::Dialect;
    use std::collections::BTreeMap;

    #[test]
    fn dump_without_the_keys_that_the_server_counts_is_not_believed() {
        let empty = Census {
            dialect: Dialect::Redis,
            databases: BTreeMap::new(),
            libraries: 0,
            checksum: Checksum::Matches,
        };
        let thousand = Vitals::parse("db0:keys=1000,expires=0,avg_ttl=0");
        let expiring = Vitals::parse("db0:keys=1000,expires=1000,avg_ttl=9");
        let none = Vitals::default();
        assert_eq!(vanished(&empty, &thousand, Some(&thousand)), Some(0));
        assert_eq!(vanished(&empty, &thousand, None), Some(0));
        assert_eq!(vanished(&empty, &thousand, Some(&none)), None, "it was emptied meanwhile");
        assert_eq!(vanished(&empty, &expiring, Some(&expiring)), None, "they may have expired");
        assert_eq!(vanished(&empty, &none, Some(&thousand)), None, "they came later");
    }
}
