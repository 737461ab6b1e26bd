//! Stored bytes, fetched again and compared.

use super::error::ReadBackError;
use super::tally::Tally;
use crate::destinations::Destination;
use crate::format::{Key, StoredSize};

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
    let found =
        Tally::of_reader(&mut *body, cancelled).map_err(|error| ReadBackError::reading(key, error))?;
    match found {
        None => Ok(false),
        Some(found) if found == *expected => Ok(true),
        Some(found) => Err(ReadBackError::differs(key, "the stored bytes", expected, &found)),
    }
}
