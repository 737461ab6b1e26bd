//! The collections of a Qdrant server or cluster, and its aliases, through its API alone.
//!
//! Never here: a copy of the server's files, a list of collections that may hide some, a snapshot of one node for a
//! whole cluster, or a snapshot of bkp's that stays on the server.

mod aliases;
mod api;
mod cluster;
mod doors;
mod drill;
mod http;
mod left;
mod look;
mod names;
mod restore;
mod spool;
mod stream;
mod tar_walk;

pub use restore::QdrantRestorer;

use super::{Desk, Member, Source, SourceError, SourceStream};
use crate::declared::{QdrantDeclaration, Standing};
use crate::host::Host;
use crate::observed::SourceFacts;
use cluster::{Servers, refused};
use names::{ALIASES, DRILL_PREFIX, Part};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The live side of a declaration.
#[derive(Debug, Clone)]
pub struct QdrantSource {
    declaration: QdrantDeclaration,
}

/// The collections that exist, sorted by what the set says of them.
struct Census {
    /// Backed up.
    taken: BTreeSet<String>,
    /// Not backed up, and nobody said why.
    uncovered: BTreeSet<String>,
    /// Named by the set, and not there.
    missing: BTreeSet<String>,
}

impl Census {
    /// Of collections that exist. Scratch collections of drills are nobody's data; one that is still there when
    /// somebody looks was left by a killed drill.
    fn of(declaration: &QdrantDeclaration, existing: BTreeSet<String>) -> Self {
        let choice = &declaration.collections;
        let listed = || choice.listed.iter().flatten();
        let missing = listed().filter(|it| !existing.contains(*it)).cloned().collect();
        let (mut taken, mut uncovered) = (BTreeSet::new(), BTreeSet::new());
        for name in existing {
            let of_a_drill = name.starts_with(DRILL_PREFIX) && !listed().any(|it| *it == name);
            match choice.standing(&name) {
                Standing::Taken if of_a_drill => uncovered.insert(name),
                Standing::Taken => taken.insert(name),
                Standing::Uncovered => uncovered.insert(name),
                Standing::Ignored(_) => false,
            };
        }
        Self { taken, uncovered, missing }
    }

    /// The members of a set: the aliases first, so that none leads to a collection that came later.
    fn parts(&self, servers: &Servers) -> Vec<Part> {
        let missing = self.missing.iter().map(|name| Part::Collection(name.clone()));
        let taken = self.taken.iter().flat_map(|name| servers.parts_of(name));
        std::iter::once(Part::Aliases).chain(missing).chain(taken).collect()
    }
}

/// Two members cannot have one name.
fn no_namesake(taken: &BTreeSet<String>, url: &str) -> Result<(), SourceError> {
    if !taken.contains(ALIASES) {
        return Ok(());
    }
    let reason = format!(
        "a collection is called `{ALIASES}`, which is the name of the member that holds the aliases; put it under `ignore:` \
         with a reason, or rename it"
    );
    Err(SourceError::Server { server: format!("qdrant at {url}"), reason })
}

impl QdrantSource {
    /// The live side of a declaration.
    pub fn new(declaration: QdrantDeclaration) -> Self {
        Self { declaration }
    }

    fn census(&self, servers: &Servers) -> Result<Census, SourceError> {
        let first = servers.first();
        let existing = first.collections().map_err(|error| refused(first.url(), &error))?;
        let census = Census::of(&self.declaration, existing);
        no_namesake(&census.taken, first.url())?;
        Ok(census)
    }
}

impl Source for QdrantSource {
    fn enumerate(&self, host: &dyn Host) -> Result<Vec<Member>, SourceError> {
        let servers = Servers::of(&self.declaration, host)?;
        let parts = self.census(&servers)?.parts(&servers);
        Ok(parts.iter().map(|part| Member { name: part.member() }).collect())
    }

    fn look(&self, host: &dyn Host) -> SourceFacts {
        look::look(self, host)
    }

    fn scratch_bytes(&self, _: &dyn Host) -> u64 {
        0
    }

    fn open(&self, desk: &Desk<'_>, member: &Member) -> Result<Box<dyn SourceStream>, SourceError> {
        let servers = Servers::of(&self.declaration, desk.host)?;
        let part = Part::of(&member.name, servers.is_cluster());
        match &part {
            Part::Aliases => Ok(Box::new(aliases::open(servers.first(), &self.declaration.collections)?)),
            Part::Collection(name) | Part::OnPeer(name, _) => {
                Ok(Box::new(stream::open(desk, servers.server_of(&part)?, &part, name)?))
            }
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn writable_paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn reachable_paths(&self) -> Vec<PathBuf> {
        self.declaration.ca.iter().cloned().collect()
    }

    fn extension(&self, member: &Member) -> String {
        if member.name == ALIASES { "json" } else { "snapshot" }.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::MemberChoice;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    fn census(listed: Option<&[&str]>, existing: &[&str]) -> Census {
        let listed = listed.map(|it| it.iter().map(|it| (*it).to_owned()).collect());
        let ignore = [("tmp".to_owned(), "rebuilt".to_owned())].into();
        let collections = MemberChoice { listed, ignore };
        Census::of(&QdrantDeclaration { collections, ..QdrantDeclaration::default() }, names(existing))
    }

    #[test]
    fn fifth_collection_of_four_listed_is_uncovered_and_of_all_is_taken() {
        let existing = ["a", "b", "c", "d", "e", "tmp"];
        let four = census(Some(&["a", "b", "c", "d"]), &existing);
        assert_eq!((four.uncovered, four.taken), (names(&["e"]), names(&["a", "b", "c", "d"])));
        let all = census(None, &existing);
        assert_eq!((all.uncovered, all.taken), (names(&[]), names(&["a", "b", "c", "d", "e"])));
    }

    #[test]
    fn listed_collection_that_is_not_there_stays_a_member() {
        let census = census(Some(&["a", "gone"]), &["a"]);
        assert_eq!(census.missing, names(&["gone"]));
    }

    #[test]
    fn scratch_collection_of_a_drill_is_no_member_and_is_shown() {
        let census = census(None, &["a", "bkp-drill-v-x-1"]);
        assert_eq!((census.taken, census.uncovered), (names(&["a"]), names(&["bkp-drill-v-x-1"])));
    }

    #[test]
    fn collection_that_is_called_as_the_aliases_are_is_refused() {
        assert!(no_namesake(&names(&["a"]), "http://q").is_ok());
        assert!(no_namesake(&names(&["_aliases"]), "http://q").is_err());
    }
}
