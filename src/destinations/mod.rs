//! Where snapshots are kept. One file per protocol; every kind passes the suite in `conformance`.
//!
//! A destination stores and gives back objects and knows nothing of manifests. Nothing here may leave a partial
//! object under a final key.

#[cfg(test)]
pub(crate) mod conformance;
mod local;
#[cfg(test)]
pub(crate) mod memory;

use crate::declared::{DestinationDeclaration, DestinationKind};
use crate::format::{Key, Prefix};
use crate::host::Space;
use std::io::{self, Read};

/// Why a destination did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// The key is taken.
    #[error("`{key}` exists already")]
    Exists {
        /// The key.
        key: Key,
    },
    /// There is nothing under the key.
    #[error("`{key}` does not exist")]
    NotFound {
        /// The key.
        key: Key,
    },
    /// It was not prepared by `apply`: perhaps a file system is not mounted.
    #[error(
        "`{root}` is not a prepared destination: its marker is missing; perhaps a file system is not mounted"
    )]
    NotPrepared {
        /// The root.
        root: String,
    },
    /// No room.
    #[error("`{object}`: the destination is full")]
    Full {
        /// Key or root.
        object: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Not allowed.
    #[error("`{object}`: permission denied")]
    Denied {
        /// Key or root.
        object: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The body to be stored ended in an error: nothing was published.
    #[error("`{key}`: the upload was given up")]
    BodyAborted {
        /// The key.
        key: Key,
        /// What the body said.
        #[source]
        error: io::Error,
    },
    /// Anything else that the system said.
    #[error("`{object}`: {during} failed")]
    Io {
        /// Key or root.
        object: String,
        /// What was tried.
        during: &'static str,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// This opening of the destination may only look.
    #[error("`{object}`: this command changes nothing, and refused to write")]
    ReadOnly {
        /// Key or root.
        object: String,
    },
}

/// An object as listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its key.
    pub key: Key,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// What a protocol can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Publishing by a rename that does not replace, or by a conditional put.
    pub put_without_replacing: bool,
    /// Free room can be asked.
    pub space: bool,
}

/// A place for objects.
pub trait Destination: Send + Sync {
    /// What the protocol can do.
    fn capabilities(&self) -> Capabilities;

    /// Whether `prepare` has been done and the marker is there.
    fn prepared(&self) -> Result<bool, DestinationError>;

    /// Creates the root and its marker; harmless where it was done before. Refuses a root that holds other things.
    fn prepare(&self) -> Result<(), DestinationError>;

    /// Stores a new object durably. Fails if the key exists; never leaves a partial object under it. A body whose
    /// `read` fails is an abort.
    fn put_new(&self, key: &Key, body: &mut dyn Read) -> Result<(), DestinationError>;

    /// Gives an object back, from the medium and not from memory as far as the system allows.
    fn get(&self, key: &Key) -> Result<Box<dyn Read + Send>, DestinationError>;

    /// All objects below a prefix, sorted by key. Temporary leftovers are not objects. A prefix that does not exist
    /// has none.
    fn list(&self, prefix: &Prefix) -> Result<Vec<Object>, DestinationError>;

    /// The names of folders directly below a prefix, as stored (encoded), sorted.
    fn folders(&self, prefix: &Prefix) -> Result<Vec<String>, DestinationError>;

    /// Removes an object; one that does not exist is an error.
    fn delete(&self, key: &Key) -> Result<(), DestinationError>;

    /// Removes what killed uploads left below a prefix, and empty folders. Only called under the set's lock.
    fn sweep(&self, prefix: &Prefix) -> Result<(), DestinationError>;

    /// Makes the folder of a prefix, of which a user of this host (user id, group id) is then the only owner, and lets
    /// that user pass through the folders above it. Nothing to do where users of this host are not the destination's.
    fn give(&self, _prefix: &Prefix, _owner: (u32, u32)) -> Result<(), DestinationError> {
        Ok(())
    }

    /// Room, where the protocol shows it.
    fn space(&self) -> Result<Option<Space>, DestinationError>;

    /// Device number, where the destination is a file system of this host.
    fn device(&self) -> Option<u64>;

    /// How people recognise it: a path or a URL without secrets.
    fn location(&self) -> String;
}

/// Whether an opening may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Every change is refused.
    Look,
    /// Changes are allowed.
    Change,
}

/// Opens a declared destination. Nothing is touched yet.
pub fn open(declaration: &DestinationDeclaration, access: Access) -> Box<dyn Destination> {
    match &declaration.kind {
        DestinationKind::Local(declaration) => {
            Box::new(local::LocalDestination::new(declaration.path.clone(), access))
        }
    }
}
