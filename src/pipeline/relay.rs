//! The body of a copy: what one destination gives, on its way to another.
//!
//! Never here: bytes passed on as whole that are not those of the manifest. They are judged before the end is told, so
//! nothing is published of an origin that is damaged.

use super::error::{ReadBackError, StoreError};
use super::tally::Tally;
use crate::destinations::{Destination, DestinationError};
use crate::format::{Key, StoredSize};
use crate::host::pulse;
use std::io::{self, Read};

/// A body that shows that it moves, and ends where the run was told to end.
struct Relay<'a> {
    body: Box<dyn Read + Send>,
    key: &'a Key,
    expected: &'a StoredSize,
    tally: Tally,
    cancelled: &'a dyn Fn() -> bool,
    /// Why it did not come to its end, or that it did.
    end: Option<Result<(), StoreError>>,
}

impl Relay<'_> {
    fn stopped(&mut self, error: StoreError) -> io::Error {
        self.end = Some(Err(error));
        broken()
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the origin did not come to its end")
}

impl Read for Relay<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(self.end, Some(Err(_))) {
            return Err(broken());
        }
        if (self.cancelled)() {
            return Err(self.stopped(StoreError::Cancelled));
        }
        let length = match self.body.read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            // What carries the bytes is ended with the run.
            Err(_) if (self.cancelled)() => return Err(self.stopped(StoreError::Cancelled)),
            Err(error) => {
                return Err(self.stopped(StoreError::Origin(ReadBackError::reading(self.key, error))));
            }
        };
        pulse::beat();
        self.tally.add(&buffer[..length]);
        if length == 0 && !buffer.is_empty() && self.end.is_none() {
            let found = self.tally.clone().size();
            if found != *self.expected {
                let error = ReadBackError::differs(self.key, "the stored bytes", self.expected, &found);
                return Err(self.stopped(StoreError::Origin(error)));
            }
            self.end = Some(Ok(()));
        }
        Ok(length)
    }
}

/// Stores at one destination what another has, as it is stored there.
pub(super) fn relay(
    (from, from_key): (&dyn Destination, &Key),
    (to, to_key): (&dyn Destination, &Key),
    expected: &StoredSize,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), StoreError> {
    let body =
        from.get(from_key).map_err(|error| StoreError::Origin(ReadBackError::opening(from_key, error)))?;
    let tally = Tally::default();
    let mut relay = Relay { body, key: from_key, expected, tally, cancelled, end: None };
    match (to.put_new(to_key, &mut relay), relay.end) {
        (Err(DestinationError::BodyAborted { .. }), Some(Err(error))) => Err(error),
        (Err(error), _) => Err(StoreError::Destination(error)),
        (Ok(()), Some(Ok(()))) => Ok(()),
        (Ok(()), Some(Err(_)) | None) => Err(StoreError::EndNotRead { key: to_key.clone() }),
    }
}
