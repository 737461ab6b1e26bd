//! Why bytes were not stored, or not proven.
//!
//! "It differs" and "it could not be looked at" must never become one another.

use crate::destinations::DestinationError;
use crate::encryption::EncryptionError;
use crate::format::{Key, StoredSize};
use crate::sources::SourceError;
use std::io;
use std::path::PathBuf;

/// Why a read-back proved nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadBackError {
    /// Disproven: the bytes are others than were made.
    #[error("`{key}` differs: {reason}")]
    Differs {
        /// The object.
        key: Key,
        /// What was expected and what was found.
        reason: String,
    },
    /// Disproven: the destination is there, and the object is not.
    #[error("`{key}` is missing")]
    Missing {
        /// The object.
        key: Key,
    },
    /// Could not tell: the identity does not open it.
    #[error("`{key}` was not opened")]
    NotOpened {
        /// The object.
        key: Key,
        /// Why.
        #[source]
        error: EncryptionError,
    },
    /// Could not tell: the destination did not give the bytes.
    #[error("`{key}` could not be read back")]
    Unreadable {
        /// The object.
        key: Key,
        /// What the destination said: a [`DestinationError`], or an I/O error half-way.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ReadBackError {
    /// Whether it is known that the object is not what was made; false when that could not be told.
    pub fn is_disproven(&self) -> bool {
        match self {
            Self::Differs { .. } | Self::Missing { .. } => true,
            Self::Unreadable { .. } | Self::NotOpened { .. } => false,
        }
    }

    pub(super) fn opening(key: &Key, error: DestinationError) -> Self {
        match error {
            DestinationError::NotFound { .. } => Self::Missing { key: key.clone() },
            error => Self::Unreadable { key: key.clone(), source: Box::new(error) },
        }
    }

    pub(super) fn reading(key: &Key, error: io::Error) -> Self {
        Self::Unreadable { key: key.clone(), source: Box::new(error) }
    }

    pub(super) fn differs(key: &Key, what: &str, expected: &StoredSize, found: &StoredSize) -> Self {
        let reason = if expected.bytes == found.bytes {
            format!("{what}: SHA-256 {} expected, {} found", expected.sha256, found.sha256)
        } else {
            format!("{what}: {} bytes expected, {} found", expected.bytes, found.bytes)
        };
        Self::Differs { key: key.clone(), reason }
    }
}

/// Why something was not stored, or not sealed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The source failed, and said why.
    #[error(transparent)]
    Source(SourceError),
    /// Reading the source failed.
    #[error("reading the source failed")]
    SourceRead {
        /// What the source said.
        #[source]
        error: io::Error,
    },
    /// The run was told to end.
    #[error("interrupted: nothing was published")]
    Cancelled,
    /// Nobody was left to store for.
    #[error("no destination was left before the source was read to its end")]
    NoDestinationLeft,
    /// This destination did nothing wrong; the source did not come to its proven end.
    #[error("`{key}` was given up, because the source did not come to its end")]
    Aborted {
        /// The object.
        key: Key,
    },
    /// The compressor failed.
    #[error("compressing `{key}` failed")]
    Compress {
        /// The object.
        key: Key,
        /// What the compressor said.
        #[source]
        error: io::Error,
    },
    /// Encrypting failed.
    #[error("encrypting `{key}` failed")]
    Encrypt {
        /// The object.
        key: Key,
        /// What was said.
        #[source]
        error: io::Error,
    },
    /// The destination said that it had stored an object to whose end it had not read.
    #[error("`{key}`: the destination did not read it to its end")]
    EndNotRead {
        /// The object.
        key: Key,
    },
    /// The destination failed.
    #[error(transparent)]
    Destination(DestinationError),
    /// It was stored, and did not come back as it was.
    #[error(transparent)]
    ReadBack(ReadBackError),
    /// The destination that is copied from did not give what it had stored. The other one did nothing wrong.
    #[error("what is to be copied was not given back as it was stored")]
    Origin(#[source] ReadBackError),
    /// A file of the scratch folder could not be read.
    #[error("reading `{}` failed", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The manifest would have said more than was proven.
    #[error("the manifest was not written: {reason}")]
    Unproven {
        /// What is not proven.
        reason: String,
    },
}
