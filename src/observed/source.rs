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
    /// Members that exist and that the set neither takes nor ignores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncovered: Vec<MemberFacts>,
    /// Where the server can be reached, as far as its own settings and the declaration say; as in [`Found`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Ways in that need no password.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doors: Vec<DoorFacts>,
    /// What could not be looked at, though the server was asked, and what would show it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
    /// Why the server was not asked, where only a run can ask it: that is no failure, and no proof either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<String>,
}

impl SourceFacts {
    /// What a source alone can say: its members and what it needs.
    pub fn new(members: Observed<Vec<MemberFacts>>, requirements: Vec<RequirementFacts>) -> Self {
        Self {
            members,
            requirements,
            identity: Vec::new(),
            devices: Vec::new(),
            uncovered: Vec::new(),
            addresses: Vec::new(),
            doors: Vec::new(),
            unseen: Vec::new(),
            deferred: None,
        }
    }
}

/// A way into a server that needs no password.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DoorFacts {
    /// The server and the way in, such as `postgres at 10.8.0.2:5432 as role postgres`.
    pub object: String,
    /// What was tried, from where, and what came of it; or why it could not be tried.
    pub evidence: String,
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
    /// A stable word for its kind: `tool`, `version`, `readable`, `link` (a declared path that is one, out of the set), `secret`, `hook`, `server` (reachable), `login`,
    /// `grant`, `catalogue` (an enumeration that may be partial), `state` (of a server that cannot be read now).
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
    /// Where a server can be reached: `unix:PATH` of a socket, `tcp:ADDRESS:PORT`. Any of them in a set covers it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}
