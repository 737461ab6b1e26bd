//! Where snapshots are kept.

use super::{
    ByteSize, Compression, DestinationName, Encryption, Identity, KeyForm, LayoutTemplate, Protocol,
    ProvePolicy, RetentionPolicy, SecretRef, Span,
};
use crate::format::Level;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A destination as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationDeclaration {
    /// The protocol and its own keys.
    pub kind: DestinationKind,
    /// Overrides the defaults' retention.
    pub retention: Option<RetentionPolicy>,
    /// Overrides the defaults' compression.
    pub compression: Option<Compression>,
    /// Overrides the defaults' proof ages.
    pub prove: Option<ProvePolicy>,
    /// Two destinations in one failure domain are one copy.
    pub failure_domain: Option<String>,
    /// What is stored can be read by who has a key only.
    pub encryption: Option<Encryption>,
    /// Where artifacts lie; beside their manifest where nothing is said.
    pub layout: Option<LayoutTemplate>,
    /// Filled from another destination once that one has its snapshot, and not by the source.
    pub copy_from: Option<DestinationName>,
}

/// The kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationKind {
    /// A folder on this host: a disk, or something mounted.
    Local(LocalDeclaration),
    /// A place that is reached by a protocol.
    Remote(Box<RemoteDeclaration>),
}

impl DestinationKind {
    /// The word after `type:`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
            Self::Remote(remote) => remote.protocol.word(),
        }
    }
}

/// A folder on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDeclaration {
    /// Absolute path of the folder that holds the keys.
    pub path: PathBuf,
}

/// A place that is reached by a protocol. Which keys there are stands in [`Protocol::keys`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteDeclaration {
    /// The protocol.
    pub protocol: Protocol,
    /// Its keys that are no secrets, as written; paths are absolute.
    pub settings: BTreeMap<&'static str, String>,
    /// Its keys that are references to secrets.
    pub secrets: BTreeMap<&'static str, SecretRef>,
    /// How it is talked to.
    pub transport: Transport,
}

impl RemoteDeclaration {
    /// A key's text; empty where it was not written.
    pub fn setting(&self, key: &str) -> &str {
        self.settings.get(key).map_or("", String::as_str)
    }
}

/// How a remote destination is talked to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transport {
    /// Most bytes per second, in each direction.
    pub limit_rate: Option<ByteSize>,
    /// Longest that one request may take to make progress; 1 min where nothing is said.
    pub timeout: Option<Span>,
    /// How often a request that failed for a passing reason is tried again; 4 where nothing is said.
    pub retries: Option<u32>,
    /// An HTTP proxy.
    pub proxy: Option<String>,
    /// The authority that the server's certificate is checked against; the system's where nothing is said.
    pub ca: Option<PathBuf>,
}

impl Transport {
    /// [`Self::timeout`] where the plan file says nothing, in seconds.
    pub const TIMEOUT_DEFAULT_SECONDS: u64 = 60;
    /// [`Self::retries`] where the plan file says nothing.
    pub const RETRIES_DEFAULT: u32 = 4;

    /// Longest that one request may take to make progress.
    pub fn timeout(&self) -> Span {
        self.timeout.unwrap_or(Span::from_seconds(Self::TIMEOUT_DEFAULT_SECONDS))
    }

    /// How often a request that failed for a passing reason is tried again.
    pub fn retries(&self) -> u32 {
        self.retries.unwrap_or(Self::RETRIES_DEFAULT)
    }
}

impl DestinationDeclaration {
    /// Whether it is reached by a protocol, and is no folder of this host.
    pub fn is_remote(&self) -> bool {
        match &self.kind {
            DestinationKind::Local(_) => false,
            DestinationKind::Remote(_) => true,
        }
    }

    /// A destination of which nothing but its kind is said.
    pub fn new(kind: DestinationKind) -> Self {
        Self {
            kind,
            retention: None,
            compression: None,
            prove: None,
            failure_domain: None,
            encryption: None,
            layout: None,
            copy_from: None,
        }
    }

    /// Whether a key's value must be kept from others.
    pub fn is_secret(&self, key: &str) -> bool {
        match &self.kind {
            DestinationKind::Local(_) => true,
            DestinationKind::Remote(remote) => {
                !remote.protocol.keys().iter().any(|it| it.name == key && it.form == KeyForm::Reference)
            }
        }
    }

    /// The highest level that the declared host itself can prove there: what it cannot open it cannot restore.
    pub fn level_provable_here(&self) -> Level {
        match self.encryption.as_ref().map(|it| &it.identity) {
            Some(Identity::Elsewhere(_)) => Level::Intact,
            Some(Identity::Here(_) | Identity::Passphrase) | None => Level::Restored,
        }
    }

    /// Its secrets, each by the key that holds it: the protocol's, and what decrypts.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &SecretRef)> {
        let of_protocol = match &self.kind {
            DestinationKind::Local(_) => None,
            DestinationKind::Remote(remote) => Some(remote.secrets.iter().map(|(key, it)| (*key, it))),
        };
        let of_encryption = self.encryption.as_ref().and_then(Encryption::secret);
        of_protocol.into_iter().flatten().chain(of_encryption)
    }
}

/// The name under which a destination's secret is handed on: sets' secrets have no dot in theirs.
pub fn destination_secret_name(destination: &DestinationName, key: &str) -> String {
    format!("{destination}.{}", key.replace('_', "-"))
}
