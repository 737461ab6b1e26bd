//! Where snapshots are kept. One file per protocol; every kind passes the suite in `conformance`.
//!
//! A destination stores and gives back objects and knows nothing of manifests. Nothing here may leave a partial
//! object under a final key.

#[cfg(test)]
pub(crate) mod conformance;
mod ftp;
mod local;
mod marker;
#[cfg(test)]
pub(crate) mod memory;
mod rclone;
mod remote;
mod runtime;
#[cfg(test)]
#[path = "../../tests/servers/mod.rs"]
pub(crate) mod servers;
mod service;
mod ssh;
mod unopened;

use crate::declared::{
    DestinationDeclaration, DestinationKind, DestinationName, Protocol, RemoteDeclaration,
    destination_secret_name,
};
use crate::format::{Key, Prefix};
use crate::host::{Host, SEARCH_PATH, Space};
use crate::observed::{StorageRules, Trouble};
use crate::secrets::{Secret, SecretError, resolve};
use std::collections::BTreeMap;
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
    /// The bucket, container or account's folder is not there.
    #[error("`{object}`: the place is not there")]
    NoPlace {
        /// Key or root.
        object: String,
        /// What the server said.
        #[source]
        error: io::Error,
    },
    /// It lies in a tier from which it must be brought back before it can be read.
    #[error("`{object}` is archived: it cannot be read until it was brought back from its tier")]
    Archived {
        /// Key or root.
        object: String,
        /// What the server said.
        #[source]
        error: io::Error,
    },
    /// The server's clock and this host's are too far apart.
    #[error("`{object}`: the clocks of this host and of the server differ")]
    Clock {
        /// Key or root.
        object: String,
        /// What the server said.
        #[source]
        error: io::Error,
    },
    /// The server is not the one that it was.
    #[error("`{object}`: the server does not prove that it is the declared one")]
    Stranger {
        /// Key or root.
        object: String,
        /// What the client said.
        #[source]
        error: io::Error,
    },
    /// It could not be opened at all: a secret or a program is missing.
    #[error("`{root}` could not be opened: {reason}")]
    Unopened {
        /// The root.
        root: String,
        /// Why.
        reason: String,
        /// What mends it.
        remedy: String,
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

impl DestinationError {
    /// What mends it, by the error's own words or by those for its trouble; none where there are no better ones than to look.
    pub fn remedy(&self, trouble: Option<Trouble>) -> Option<String> {
        match self {
            Self::Unopened { remedy, .. } => Some(remedy.clone()),
            _ => trouble.and_then(Trouble::remedy).map(str::to_owned),
        }
    }

    /// The word for what kept a destination behind a network from being used, where there is one.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Denied { .. } => Some(Trouble::Refused),
            Self::NoPlace { .. } => Some(Trouble::PlaceMissing),
            Self::Stranger { .. } => Some(Trouble::Stranger),
            Self::Clock { .. } => Some(Trouble::Clock { offset_seconds: None }),
            Self::Unopened { .. } => Some(Trouble::Unopened),
            Self::Archived { .. } => Some(Trouble::Archived),
            Self::Exists { .. }
            | Self::NotFound { .. }
            | Self::NotPrepared { .. }
            | Self::Full { .. }
            | Self::BodyAborted { .. }
            | Self::Io { .. }
            | Self::ReadOnly { .. } => None,
        }
    }
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

    /// As [`Self::get`], from a byte on.
    fn get_from(&self, key: &Key, from: u64) -> Result<Box<dyn Read + Send>, DestinationError> {
        let mut body = self.get(key)?;
        let skipped = io::copy(&mut (&mut body).take(from), &mut io::sink());
        skipped.map_err(|error| DestinationError::Io {
            object: key.to_string(),
            during: "reading up to a place in it",
            error,
        })?;
        Ok(body)
    }

    /// Objects of no more bytes than that read whole, where that is quicker for many than for each. What is not among them was
    /// not to be had so, and is asked for by [`Self::get`].
    fn get_together(&self, _keys: &[Key], _bytes_max: u64) -> BTreeMap<Key, Vec<u8>> {
        BTreeMap::new()
    }

    /// An object's size in bytes; none when there is none.
    fn size(&self, key: &Key) -> Result<Option<u64>, DestinationError> {
        let objects = self.list(&key.folder())?;
        Ok(objects.into_iter().find(|object| object.key == *key).map(|object| object.size_bytes))
    }

    /// All objects below a prefix, sorted by key. Temporary leftovers are not objects. A prefix that does not exist
    /// has none.
    fn list(&self, prefix: &Prefix) -> Result<Vec<Object>, DestinationError>;

    /// Whether one listing of many folders is quicker than one of each.
    fn lists_deep(&self) -> bool {
        false
    }

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

    /// What tells it from any other destination, wherever it is mounted or reached: its marker's. None before `prepare`.
    fn id(&self) -> Result<Option<String>, DestinationError> {
        Ok(None)
    }

    /// Whether objects may lie in tiers from which they cannot be read at once.
    fn has_tiers(&self) -> bool {
        false
    }

    /// What the destination's own clock says, where it shows one.
    fn clock(&self) -> Result<Option<jiff::Timestamp>, DestinationError> {
        Ok(None)
    }

    /// What the destination does to objects by itself, as far as it shows: needs no marker, changes nothing.
    fn rules(&self) -> Result<StorageRules, DestinationError> {
        Ok(StorageRules::not_shown("a folder has no rules of its own"))
    }

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

/// A part of a key begins with no dot and is not empty: names that bkp makes are encoded so, and anything else could
/// lead out of the root or onto the marker.
fn key_parts(text: &str) -> Result<Vec<&str>, DestinationError> {
    let parts: Vec<&str> = text.split('/').collect();
    let bad = |part: &&str| part.is_empty() || part.starts_with('.') || part.contains('\0');
    if parts.iter().any(bad) {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "a part of it is empty or begins with a dot");
        return Err(DestinationError::Io { object: text.to_owned(), during: "using it as a key", error });
    }
    Ok(parts)
}

fn prefix_parts(prefix: &Prefix) -> Result<Vec<&str>, DestinationError> {
    match prefix.as_str() {
        "" => Ok(Vec::new()),
        text => key_parts(text.strip_suffix('/').unwrap_or(text)),
    }
}

/// Opens a declared destination. Nothing is touched yet; what cannot be opened says so whatever is asked of it.
pub fn open(
    host: &dyn Host,
    name: &DestinationName,
    declaration: &DestinationDeclaration,
    access: Access,
) -> Box<dyn Destination> {
    // An artifact's own place may be one that others use too.
    let shared = declaration.layout.is_some();
    match &declaration.kind {
        DestinationKind::Local(local) if shared => {
            Box::new(local::LocalDestination::shared(local.path.clone(), access))
        }
        DestinationKind::Local(local) => Box::new(local::LocalDestination::new(local.path.clone(), access)),
        DestinationKind::Remote(remote) => match open_store(host, name, remote) {
            Ok(store) => {
                let throttle = remote::Throttle::new(remote.transport.limit_rate);
                Box::new(remote::RemoteDestination::new(store, access, shared, throttle))
            }
            Err(Unopenable { reason, remedy }) => {
                Box::new(unopened::UnopenedDestination::new(format!("destination {name}"), reason, remedy))
            }
        },
    }
}

/// Why a destination could not be opened, and what mends it.
struct Unopenable {
    reason: String,
    remedy: String,
}

impl From<SecretError> for Unopenable {
    fn from(error: SecretError) -> Self {
        let causes = crate::diagnostic::causes(&error);
        let reason = if causes.is_empty() { error.to_string() } else { format!("{error}: {causes}") };
        Self { reason, remedy: error.remedy() }
    }
}

/// Secrets by the key that holds each.
type Secrets = BTreeMap<&'static str, Secret>;

fn open_store(
    host: &dyn Host,
    name: &DestinationName,
    remote: &RemoteDeclaration,
) -> Result<Box<dyn remote::store::Store>, Unopenable> {
    let resolved = remote
        .secrets
        .iter()
        .map(|(key, reference)| Ok((*key, resolve(host, &destination_secret_name(name, key), reference)?)));
    let secrets: Secrets = resolved.collect::<Result<_, SecretError>>()?;
    if let Some(program) = remote.protocol.program().filter(|it| host.find_tool(it, SEARCH_PATH).is_none()) {
        return Err(Unopenable {
            reason: format!("`{program}` is not on the job's PATH ({SEARCH_PATH})"),
            remedy: format!("install {program}"),
        });
    }
    match remote.protocol {
        Protocol::S3
        | Protocol::Gcs
        | Protocol::Azblob
        | Protocol::B2
        | Protocol::Webdav
        | Protocol::Swift
        | Protocol::Oss
        | Protocol::Cos
        | Protocol::Obs
        | Protocol::Dropbox
        | Protocol::Gdrive
        | Protocol::Onedrive => service::open(remote, &secrets),
        Protocol::Sftp | Protocol::Rsync => ssh::open(remote, &secrets),
        Protocol::Ftp => ftp::open(host, remote, &secrets),
        Protocol::Rclone => rclone::open(host, remote, &secrets),
    }
}
