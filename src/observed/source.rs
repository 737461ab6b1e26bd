//! What was seen of a set's source.

use super::Observed;
use crate::diagnostic::Diagnostic;
use crate::format::SourceIdentity;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A set's source, as the observing user sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Its members, or why they could not be enumerated (a missing file is `Unknown` with its remedy: a set whose
    /// source is gone is not empty).
    pub members: Observed<Vec<MemberFacts>>,
    /// Tools, readable paths and other things that a run needs.
    pub requirements: Vec<RequirementFacts>,
    /// What the paths are mounted from.
    pub identity: Vec<SourceIdentity>,
    /// Device numbers of the paths, for comparison with destinations of the same observation.
    pub devices: Vec<u64>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberFacts {
    /// Its name.
    pub name: String,
    /// About how many bytes it has, where that costs no reading.
    pub size_bytes: Option<u64>,
}

/// One thing that a run needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequirementFacts {
    /// A stable word for its kind: `tool`, `readable`, `secret`, `hook`.
    pub kind: String,
    /// The tool, path or server.
    pub object: String,
    /// None when it is met; else why not and how to mend it.
    pub unmet: Option<Diagnostic>,
}

/// Data that exists on the host, declared or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Found {
    /// The source kind that could back it up, such as `sqlite`.
    pub kind: String,
    /// What it is: a path, a database.
    pub object: String,
    /// Its size in bytes, where that costs no reading.
    pub size_bytes: Option<u64>,
    /// The file, where it is one.
    pub path: Option<PathBuf>,
}
