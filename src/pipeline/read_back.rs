//! Stored bytes, fetched again and compared.

use super::chunk::{Message, Pool, QUEUE_CHUNKS, fill};
use super::error::ReadBackError;
use super::fan_out::{digest, joined};
use crate::destinations::Destination;
use crate::format::{Key, StoredSize};
use crate::host::pulse;
use std::io::{self, Read};

/// Streams the stored bytes back and compares size and SHA-256.
pub fn read_back(target: &dyn Destination, key: &Key, expected: &StoredSize) -> Result<(), ReadBackError> {
    read_back_unless(target, key, expected, &|| false).map(|_told| ())
}

/// As [`read_back`]; false when it was told to stop before it could tell.
pub(super) fn read_back_unless(
    target: &dyn Destination,
    key: &Key,
    expected: &StoredSize,
    cancelled: &dyn Fn() -> bool,
) -> Result<bool, ReadBackError> {
    let mut body = target.get(key).map_err(|error| ReadBackError::opening(key, error))?;
    let found = sum(&mut *body, cancelled).map_err(|error| ReadBackError::reading(key, error))?;
    match found {
        None => Ok(false),
        Some(found) if found == *expected => Ok(true),
        Some(found) => Err(ReadBackError::differs(key, "the stored bytes", expected, &found)),
    }
}

/// Reads to the end, and adds up on a thread of its own: nothing else is left to do then, so a medium that is read and
/// hashed by turns is waited for twice. None when it was told to stop before.
fn sum(mut body: &mut dyn Read, cancelled: &dyn Fn() -> bool) -> io::Result<Option<StoredSize>> {
    std::thread::scope(|scope| {
        let (sender, queue) = crossbeam_channel::bounded(QUEUE_CHUNKS);
        let digest = scope.spawn(move || digest(&queue));
        let pool = Pool::new();
        while !cancelled() {
            let mut buffer = pool.buffer();
            let length = fill(&mut body, &mut buffer)?;
            pulse::beat();
            let message = if length == 0 { Message::End } else { pool.share(buffer, length) };
            sender.send(message).expect("the digest takes all until the end");
            if length == 0 {
                return Ok(joined(digest));
            }
        }
        Ok(None)
    })
}
