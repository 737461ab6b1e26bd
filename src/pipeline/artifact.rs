//! An artifact on its way back: decompressed for the restore, and proven by the same read.

use super::compress::decompressor;
use super::error::ReadBackError;
use super::tally::Tally;
use crate::declared::Compression;
use crate::destinations::Destination;
use crate::encryption::Opener;
use crate::format::{Key, StoredSize};
use crate::host::pulse;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard};

/// The stored side, shared between the decoder and [`ArtifactReader::finish`].
struct Stored {
    body: Box<dyn Read + Send>,
    tally: Tally,
    failure: Option<io::Error>,
}

#[derive(Clone)]
struct Tap(Arc<Mutex<Stored>>);

impl Tap {
    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().expect("nobody panics while the stored side is held")
    }
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Stored { body, tally, failure } = &mut *self.stored();
        match body.read(buffer) {
            Ok(length) => {
                tally.add(&buffer[..length]);
                Ok(length)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    *failure = Some(io::Error::new(error.kind(), error.to_string()));
                }
                Err(error)
            }
        }
    }
}

/// Reads an artifact decompressed, and adds up its stored and its plain bytes on the way. What was read is proven
/// only when [`ArtifactReader::finish`] says so.
pub struct ArtifactReader {
    key: Key,
    decoder: Box<dyn Read + Send>,
    tap: Tap,
    plain: Tally,
    expected_stored: StoredSize,
    expected_plain: Option<StoredSize>,
    /// What the decoder said of bytes that it could not read.
    damage: Option<String>,
}

/// Begins to read an artifact with the sums that its manifest gives, opened first where it is encrypted; `plain` is none for
/// a list of entries, whose stored bytes alone are in the manifest.
pub fn open_artifact(
    target: &dyn Destination,
    key: &Key,
    (compression, opener): (Compression, Option<&Opener>),
    stored: &StoredSize,
    plain: Option<&StoredSize>,
) -> Result<ArtifactReader, ReadBackError> {
    let body = target.get(key).map_err(|error| ReadBackError::opening(key, error))?;
    let tap = Tap(Arc::new(Mutex::new(Stored { body, tally: Tally::default(), failure: None })));
    let opened: Box<dyn Read + Send> = match opener {
        None => Box::new(tap.clone()),
        Some(opener) => Box::new(opener.open(tap.clone()).map_err(|error| {
            // Bytes that the destination did not give are not the wrong key's.
            match tap.stored().failure.take() {
                Some(failure) => ReadBackError::reading(key, failure),
                None => ReadBackError::NotOpened { key: key.clone(), error },
            }
        })?),
    };
    let decoder = decompressor(compression, opened).map_err(|error| ReadBackError::reading(key, error))?;
    Ok(ArtifactReader {
        key: key.clone(),
        decoder,
        tap,
        plain: Tally::default(),
        expected_stored: *stored,
        expected_plain: plain.copied(),
        damage: None,
    })
}

impl Read for ArtifactReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.decoder.read(buffer) {
            Ok(length) => {
                pulse::beat();
                self.plain.add(&buffer[..length]);
                Ok(length)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.damage.get_or_insert_with(|| error.to_string());
                }
                Err(error)
            }
        }
    }
}

impl ArtifactReader {
    /// Reads what is left, and compares size and SHA-256 of the stored and of the plain bytes.
    pub fn finish(mut self) -> Result<(), ReadBackError> {
        // An error is kept in `damage` or in the tap, and judged below.
        let _judged_below = io::copy(&mut self, &mut io::sink());
        // A decoder may stop before the stored bytes do.
        let _judged_below = io::copy(&mut self.tap, &mut io::sink());
        let Self { key, tap, plain, expected_stored, expected_plain, damage, .. } = self;
        let mut stored = tap.stored();
        if let Some(error) = stored.failure.take() {
            return Err(ReadBackError::reading(&key, error));
        }
        let found = std::mem::take(&mut stored.tally).size();
        if found != expected_stored {
            return Err(ReadBackError::differs(&key, "the stored bytes", &expected_stored, &found));
        }
        if let Some(damage) = damage {
            let reason = format!("the stored bytes are as made, but do not decompress: {damage}");
            return Err(ReadBackError::Differs { key, reason });
        }
        let found = plain.size();
        match expected_plain {
            Some(expected) if found != expected => {
                Err(ReadBackError::differs(&key, "the plain bytes", &expected, &found))
            }
            Some(_) | None => Ok(()),
        }
    }
}
