//! A drill on a server: each member into a database of its own that is new, and gone afterwards.
//!
//! Never here: a database made that no trace names, or one removed that bkp has not made.

use super::place::Place;
use super::{KIND, bench as in_the_way, declared};
use crate::declared::SourceDeclaration;
use crate::format::Counts;
use crate::sources::mongodb::connection::Access;
use crate::sources::{Artifact, Bench, Drill, RestoreError, Trace, leave_trace};
use std::path::Path;

/// What every database of a drill is called first. A name has 63 bytes at most
/// (<https://www.mongodb.com/docs/manual/reference/limits/>).
const PREFIX: &str = "bkp_drill_";

/// The server that drills restore to: another one where the plan names it.
fn server(bench: Bench<'_>) -> Result<Access, RestoreError> {
    match bench.declaration {
        Some(SourceDeclaration::Mongodb(it)) if it.drill_url.is_some() => {
            Ok(Access::open(it.drill_url.as_deref().unwrap_or_default()))
        }
        Some(_) | None => declared(bench),
    }
}

/// A drill that is going on.
pub(super) struct ServerDrill<'a> {
    bench: Bench<'a>,
    access: Access,
}

impl<'a> ServerDrill<'a> {
    pub fn begin(bench: Bench<'a>) -> Result<Self, RestoreError> {
        Ok(Self { bench, access: server(bench)? })
    }
}

/// A database that goes with this value.
struct Scratch(Option<Place>);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            // Its trace stays, so what is left now the next run removes.
            let _left = place.remove();
        }
    }
}

impl Drill for ServerDrill<'_> {
    fn member(&mut self, artifact: Artifact<'_>, _: &Path) -> Result<Counts, RestoreError> {
        let name = format!("{PREFIX}{:016x}", rand_name());
        let place = Place::at(self.bench, self.access.clone(), &name)?;
        place.prove_new()?;
        leave_trace(self.bench.host, self.bench.folder, &Trace::Place { kind: KIND.into(), name })
            .map_err(|error| RestoreError::Target { path: self.bench.folder.to_path_buf(), error })?;
        let mut scratch = Scratch(Some(place));
        let counts = scratch.0.as_ref().expect("it was put there").fill(artifact)?;
        let place = scratch.0.take().expect("it was put there");
        place.remove()?;
        Ok(counts)
    }
}

/// A number that no other drill has.
fn rand_name() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// Removes what a killed drill has left.
pub(super) fn sweep(bench: Bench<'_>, name: &str) -> Result<(), RestoreError> {
    if !name.starts_with(PREFIX) {
        return Err(in_the_way(KIND, format!("`{name}` is no database of a drill")));
    }
    Place::to_remove(server(bench)?, name)?.remove()
}
