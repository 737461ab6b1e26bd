//! What a protocol has to do. Everything else, the marker, the keys, refusing to write while only looking, is done once
//! for all of them in [`super::RemoteDestination`].

use crate::host::Space;
use crate::observed::StorageRules;
use std::io::{self, Read};

/// An object of a store, by its path below the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::destinations) struct Found {
    /// Path below the root, without a `/` before it.
    pub path: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// Why a store did not do what was asked.
#[derive(Debug)]
pub(in crate::destinations) enum Fault {
    /// There is nothing under the path.
    Missing,
    /// Something is under the path already.
    Taken,
    /// The body's `read` failed.
    Body(io::Error),
    /// The server does not accept who we say we are, or does not let them.
    Refused(io::Error),
    /// No room, or a quota is used up.
    Full(io::Error),
    /// The bucket, container or account's folder is not there.
    NoPlace(io::Error),
    /// The object lies in a tier from which it must be brought back before it can be read.
    Archived(io::Error),
    /// The server's clock and this host's are too far apart.
    Clock(io::Error),
    /// The server is not the one that it was: its host key or certificate is another.
    Stranger(io::Error),
    /// Anything else.
    Other {
        /// What was tried.
        during: &'static str,
        /// What was said.
        error: io::Error,
    },
}

impl Fault {
    /// Anything that has no word of its own.
    pub fn other(during: &'static str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other { during, error: io::Error::other(error) }
    }

    /// What was said, where no more than that can be told.
    pub fn words(self) -> String {
        match self {
            Self::Missing => "it is not there".to_owned(),
            Self::Taken => "something is there already".to_owned(),
            Self::Body(error)
            | Self::Refused(error)
            | Self::Full(error)
            | Self::NoPlace(error)
            | Self::Archived(error)
            | Self::Clock(error)
            | Self::Stranger(error)
            | Self::Other { error, .. } => error.to_string(),
        }
    }
}

/// A protocol. Paths are below the destination's root, names with `/` between them.
pub(in crate::destinations) trait Store: Send + Sync {
    /// How people recognise it: a URL without secrets.
    fn location(&self) -> String;

    /// Whether [`Self::put`] never replaces what another process puts there meanwhile.
    fn puts_without_replacing(&self) -> bool;

    /// Makes the root where that is a thing to be made.
    fn make_root(&self) -> Result<(), Fault>;

    /// Stores an object durably: whole, or nothing is under the path. The path was free a moment ago.
    fn put(&self, path: &str, body: &mut dyn Read) -> Result<(), Fault>;

    /// Gives an object back, from a byte on.
    fn get(&self, path: &str, from: u64) -> Result<Box<dyn Read + Send>, Fault>;

    /// Objects of no more bytes than that read whole, by their paths, where that is quicker for many than for each. What is not
    /// among them is asked for by [`Self::get`].
    fn get_together(&self, _paths: &[&str], _bytes_max: u64) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }

    /// An object's size; none when there is none.
    fn size(&self, path: &str) -> Result<Option<u64>, Fault>;

    /// All objects below a folder (`""`, or with a `/` at its end), temporary ones too. One that does not exist has none.
    fn list(&self, folder: &str) -> Result<Vec<Found>, Fault>;

    /// Names directly below a folder: folders with an object in them, and objects, temporary ones too.
    fn names(&self, folder: &str) -> Result<(Vec<String>, Vec<String>), Fault>;

    /// Removes an object, and folders that are empty then.
    fn delete(&self, path: &str) -> Result<(), Fault>;

    /// Removes what no listing shows of killed uploads below a folder, and empty folders.
    fn sweep(&self, folder: &str) -> Result<(), Fault>;

    /// Whether objects may lie in tiers from which they cannot be read at once.
    fn has_tiers(&self) -> bool {
        false
    }

    /// Room, where the protocol shows it.
    fn space(&self) -> Result<Option<Space>, Fault>;

    /// What the server says that the time is, where it does.
    fn clock(&self) -> Result<Option<jiff::Timestamp>, Fault>;

    /// What the service does to objects by itself, as far as it shows.
    fn rules(&self) -> Result<StorageRules, Fault> {
        Ok(StorageRules::not_shown("this protocol has no question for it"))
    }
}
