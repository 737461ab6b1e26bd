//! The artifact side of a kind: what every drill and every restore is made of.
//!
//! Never here: a restore over live data that was not named in full, or a count that was not taken of what came back.

use super::RestoreError;
use crate::declared::{SetName, SourceDeclaration};
use crate::diagnostic::Diagnostic;
use crate::format::Counts;
use crate::host::Host;
use std::io::Read;
use std::path::{Path, PathBuf};

/// An artifact on its way back, decompressed.
pub struct Artifact<'a> {
    /// The member it is of.
    pub member: &'a str,
    /// The bytes that the source made.
    pub body: &'a mut dyn Read,
    /// The list of entries, where the source made one.
    pub index: Option<&'a mut dyn Read>,
    /// What was counted at backup time.
    pub counts: &'a Counts,
}

/// Where and what to restore.
#[derive(Debug, Clone)]
pub struct Target {
    /// A folder that is empty or does not exist yet.
    pub folder: PathBuf,
    /// Globs of the entries wanted; empty for all. Kinds without entries ignore it.
    pub include: Vec<String>,
}

/// Where a drill or a restore works.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// The operating system.
    pub host: &'a dyn Host,
    /// A private folder, gone afterwards. What is made outside it is written there first ([`super::leave_trace`]).
    pub folder: &'a Path,
    /// The set.
    pub set: &'a SetName,
    /// How the set is declared; none on a bare machine.
    pub declaration: Option<&'a SourceDeclaration>,
}

/// A drill that is going on: what it has started serves every member of the snapshot, and ends when it is dropped.
pub trait Drill {
    /// Restores a member into a new and empty place, compares, and gives the counts of what came back. The caller
    /// compares the counts. `scratch` is an empty private folder of this member.
    fn member(&mut self, artifact: Artifact<'_>, scratch: &Path) -> Result<Counts, RestoreError>;

    /// What was restored so far and still not shown to work, for the proof.
    fn limits(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A drill that needs nothing but the member's folder.
pub(super) struct PlainDrill(pub(super) fn(Artifact<'_>, &Path) -> Result<Counts, RestoreError>);

impl Drill for PlainDrill {
    fn member(&mut self, artifact: Artifact<'_>, scratch: &Path) -> Result<Counts, RestoreError> {
        (self.0)(artifact, scratch)
    }
}

/// A place on a live server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LivePlace {
    /// A name that nothing has yet.
    New(String),
    /// What is there is replaced. It was named in full: what [`Restorer::live_name`] gives.
    Over(String),
}

/// The artifact side of a kind.
pub trait Restorer: Send + Sync {
    /// Which members come first in a drill: the lowest. Roles come before the databases that they own.
    fn rank(&self, _member: &str) -> u8 {
        0
    }

    /// Begins a drill, in a place that is new and proven empty.
    fn begin<'a>(&self, bench: Bench<'a>) -> Result<Box<dyn Drill + 'a>, RestoreError>;

    /// Restores into the target folder, never over anything that is there. Gives the counts of what came back; none
    /// where the artifact is given back as it was made, and its digest alone speaks for it.
    fn restore(&self, artifact: Artifact<'_>, target: &Target) -> Result<Option<Counts>, RestoreError>;

    /// Restores onto the declared server, and gives the counts of what came back.
    fn restore_live(
        &self,
        bench: Bench<'_>,
        _artifact: Artifact<'_>,
        _place: &LivePlace,
    ) -> Result<Counts, RestoreError> {
        let kind = bench.declaration.map_or("", SourceDeclaration::word).to_owned();
        Err(RestoreError::NotByName { kind, reason: "restore it into a folder with `--to`".into() })
    }

    /// The same, telling what whoever asked for it must know or do afterwards.
    fn restore_live_saying(
        &self,
        bench: Bench<'_>,
        artifact: Artifact<'_>,
        place: &LivePlace,
        _told: &mut Vec<Diagnostic>,
    ) -> Result<Counts, RestoreError> {
        self.restore_live(bench, artifact, place)
    }

    /// A live place named in full, with its server, such as `postgres:/run/postgresql:5432/app`: what must be typed to
    /// restore over it.
    fn live_name(&self, _declaration: &SourceDeclaration, _name: &str) -> Option<String> {
        None
    }

    /// Removes a place on a server that a drill has left, by its trace.
    fn sweep(&self, _bench: Bench<'_>, name: &str) -> Result<(), RestoreError> {
        Err(RestoreError::Bench { tool: "drill".into(), reason: format!("`{name}` is of another version") })
    }
}
