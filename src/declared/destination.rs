//! Where snapshots are kept.

use super::{Compression, ProvePolicy, RetentionPolicy};
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
}

/// The protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationKind {
    /// A folder on this host: a disk, or something mounted.
    Local(LocalDeclaration),
}

impl DestinationKind {
    /// The word after `type:`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
        }
    }
}

/// A folder on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDeclaration {
    /// Absolute path of the folder that holds the keys.
    pub path: PathBuf,
}
