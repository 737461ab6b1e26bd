//! How well a copy must be proven, and how it is packed.

use super::Span;
use serde::{Deserialize, Serialize};

/// The oldest that a proof may be before it stops counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvePolicy {
    /// Oldest age of a full read-back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intact: Option<Span>,
    /// Oldest age of a drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Span>,
}

impl ProvePolicy {
    /// Where the plan file says nothing: 30 days for both.
    pub const DEFAULT_AGE: Span = Span::DAYS_30;

    /// Oldest age of a full read-back, with the default put in.
    pub fn intact_age_max(&self) -> Span {
        self.intact.unwrap_or(Self::DEFAULT_AGE)
    }

    /// Oldest age of a drill, with the default put in.
    pub fn restored_age_max(&self) -> Span {
        self.restored.unwrap_or(Self::DEFAULT_AGE)
    }
}

/// How many copies there must be, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Require {
    /// Fresh verified copies in so many places: destinations in one place count once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<u32>,
    /// So many of them on no disk of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_host: Option<u32>,
}

/// How artifacts are compressed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Zstandard, level 3; the default.
    Zstd,
    /// gzip, level 6, one member.
    Gzip,
    /// Stored as made.
    None,
}

impl Compression {
    /// What follows the artifact's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::None => "",
        }
    }

    /// The word in plan files and manifests.
    pub fn word(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::None => "none",
        }
    }
}
