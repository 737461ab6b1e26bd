//! The `files` source: files and folders as one tar archive and an index of its entries.
//!
//! Reading never follows a symbolic link below a declared path and never opens what is not a file or a folder.
//! Restoring never writes outside its target, never through a link, and never over anything that is there.

mod archive;
mod attributes;
mod chunks;
mod compare;
mod content;
mod extract;
mod folder;
mod header;
mod hooks;
mod include;
mod linked;
mod look;
mod node;
mod owners;
mod producer;
mod restorer;
mod selection;
mod sparse;
mod stream;
#[cfg(test)]
mod tests;
mod walk;

pub use restorer::FilesRestorer;

use super::{Desk, Member, Source, SourceError, SourceStream};
use crate::declared::{FilesDeclaration, SetName};
use crate::host::Host;
use crate::observed::{MemberFacts, Observed, RequirementFacts, SourceFacts};
use hooks::Hooks;
use producer::Order;
use selection::Selection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use stream::FilesStream;

/// Room for an index of about 300,000 entries.
const SCRATCH_BYTES: u64 = 64 << 20;

/// Files and folders as declared.
pub struct FilesSource {
    set: SetName,
    declaration: FilesDeclaration,
    hooks: Hooks,
}

impl FilesSource {
    /// A set's source.
    pub fn new(set: &SetName, declaration: FilesDeclaration) -> Self {
        Self { set: set.clone(), declaration, hooks: Hooks::default() }
    }

    fn order(&self, host: &dyn Host, selection: Selection, scratch: &Path) -> Result<Order, SourceError> {
        let failed = |during: &str| {
            let (folder, during) = (scratch.display().to_string(), during.to_owned());
            move |error| SourceError::Scratch { folder, during, error }
        };
        let status = host.status(scratch).map_err(failed("looking at it"))?;
        let index = tempfile::Builder::new()
            .prefix("index-")
            .tempfile_in(scratch)
            .map_err(failed("making the index"))?;
        Ok(Order {
            selection: Arc::new(selection),
            changed: self.declaration.changed,
            owners: owners::Owners::read(host),
            scratch_folder: scratch.to_owned(),
            scratch: (status.device, status.inode),
            index,
            stop: Arc::new(AtomicBool::new(false)),
            hooks: self.hooks.clone(),
        })
    }
}

impl FilesSource {
    fn observe(&self, host: &dyn Host) -> Observed<Vec<MemberFacts>> {
        match self.enumerate(host) {
            Ok(members) => Observed::Present(
                members.into_iter().map(|member| MemberFacts { name: member.name, size_bytes: None }).collect(),
            ),
            Err(error) => Observed::Unknown(error.diagnostic(&self.set).fix(
                "correct `paths` in the plan file, or mount or make what it names; `bkp validate` checks the file",
            )),
        }
    }

    fn requirements(&self, host: &dyn Host) -> Vec<RequirementFacts> {
        match Selection::new(&self.declaration) {
            Ok(selection) => look::requirements(host, &selection),
            Err(error) => vec![RequirementFacts {
                kind: "readable".to_owned(),
                object: self.declaration.paths.join(", "),
                unmet: Some(error.diagnostic(&self.set).fix("correct the glob in the plan file")),
            }],
        }
    }

    fn open(
        &self,
        host: &dyn Host,
        member: &Member,
        scratch: &Path,
    ) -> Result<Box<dyn SourceStream>, SourceError> {
        if member.name != self.set.as_str() {
            return Err(SourceError::Missing { object: member.name.clone() });
        }
        let selection = Selection::new(&self.declaration)?;
        look::roots(host, &selection)?;
        Ok(Box::new(FilesStream::start(&member.name, self.order(host, selection, scratch)?)?))
    }
}

impl Source for FilesSource {
    fn enumerate(&self, host: &dyn Host) -> Result<Vec<Member>, SourceError> {
        look::roots(host, &Selection::new(&self.declaration)?)?;
        Ok(vec![Member { name: self.set.to_string() }])
    }

    fn look(&self, host: &dyn Host) -> SourceFacts {
        SourceFacts::new(self.observe(host), self.requirements(host))
    }

    fn scratch_bytes(&self, _host: &dyn Host) -> u64 {
        SCRATCH_BYTES
    }

    fn open(&self, desk: &Desk<'_>, member: &Member) -> Result<Box<dyn SourceStream>, SourceError> {
        self.open(desk.host, member, desk.scratch)
    }

    fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            self.declaration.paths.iter().map(|declared| selection::fixed_prefix(declared)).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    fn writable_paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn extension(&self, _: &Member) -> String {
        "tar".to_owned()
    }
}
