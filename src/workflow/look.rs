//! Snapshots listed and chosen, and their contents shown.

use super::drill::open_index;
use super::history::all_looked_into;
use super::site::{Copy, Depth, Site, node_of};
use super::{LoadedPlan, WorkflowError};
use crate::declared::{DestinationName, SetName};
use crate::destinations::Access;
use crate::diagnostic::Diagnostic;
use crate::format::{IndexEntry, IndexReader, Manifest, ManifestMember, SnapshotId};
use crate::host::Host;
use crate::observed::{SealedFacts, SnapshotFacts, SnapshotState};
use std::collections::BTreeMap;

/// The destinations of a set, or the one that was named.
pub fn sites(
    host: &dyn Host,
    loaded: &LoadedPlan,
    set: &SetName,
    only: Option<&DestinationName>,
    access: Access,
) -> Result<Vec<Site>, WorkflowError> {
    let plan = &loaded.plan;
    let declaration = plan.sets.get(set).ok_or_else(|| Diagnostic::new("unknown set", set.to_string()))?;
    let names = plan.destinations_of(declaration);
    if let Some(only) = only
        && !names.contains(only)
    {
        let known = names.iter().map(DestinationName::as_str).collect::<Vec<_>>().join(", ");
        return Err(Diagnostic::new(
            "not a destination of the set",
            format!("set `{set}`, destination `{only}`"),
        )
        .fix(format!("its destinations are: {known}"))
        .into());
    }
    let wanted = names.iter().filter(|name| only.is_none_or(|only| only == *name));
    let opened = wanted.filter_map(|name| {
        Some(Site::open(host, name, plan.destinations.get(name)?, node_of(host, plan), access))
    });
    Ok(opened.collect())
}

/// A set's snapshots at one destination.
pub fn history(site: &Site, loaded: &LoadedPlan, set: &SetName) -> Result<Vec<SnapshotFacts>, WorkflowError> {
    all_looked_into(site, set, &loaded.plan.moved)
        .map_err(|error| Diagnostic::from_error("destination not readable", &error).into())
}

/// A snapshot that was chosen, with its manifest.
pub struct Chosen {
    /// Which.
    pub copy: Copy,
    /// Its manifest.
    pub sealed: SealedFacts,
    /// Newer ones that could not be taken: their manifest is damaged, or it is not there.
    pub passed_over: Vec<SnapshotFacts>,
}

/// Chooses a snapshot by name, or the newest complete one.
pub fn choose(
    site: &Site,
    set: &SetName,
    moved: &BTreeMap<SetName, SetName>,
    wanted: Option<SnapshotId>,
) -> Result<Chosen, WorkflowError> {
    let unreadable = |error| Diagnostic::from_error("destination not readable", &error);
    let copies = site.copies(set, moved).map_err(unreadable)?;
    let mut passed_over = Vec::new();
    for copy in copies.into_iter().rev() {
        if wanted.is_some_and(|id| id != copy.id) {
            continue;
        }
        // With its proofs: who takes it must know what was found wrong with it.
        let seen = site.look(&copy, Depth::Objects).map_err(unreadable)?;
        match seen.state {
            SnapshotState::Sealed(sealed) if wanted.is_some() || sealed.manifest.complete => {
                return Ok(Chosen { copy, sealed: *sealed, passed_over });
            }
            SnapshotState::Damaged(diagnostic) if wanted.is_some() => return Err(diagnostic.into()),
            // An incomplete one is no fault of the store's, and audit says it.
            SnapshotState::Sealed(_) | SnapshotState::NotRead | SnapshotState::NeverRestored => {}
            state @ (SnapshotState::Damaged(_) | SnapshotState::Unsealed) => {
                passed_over.push(SnapshotFacts { id: copy.id, stored_as: copy.stored_as, state });
            }
        }
    }
    let what =
        wanted.map_or_else(|| "complete snapshot".to_owned(), |id| format!("snapshot {id} with a manifest"));
    let (place, node) = (site.target.location(), site.layout.node());
    Err(Diagnostic::new("no such snapshot", format!("set `{set}` of host `{node}` has no {what} at {place}"))
        .fix(format!("`bkp snapshots {set}` lists them, and `bkp restore --from FILE` the hosts and sets of a destination"))
        .into())
}

/// A member of a manifest by name, or its only one.
pub fn member<'a>(manifest: &'a Manifest, wanted: Option<&str>) -> Result<&'a ManifestMember, WorkflowError> {
    let names = || manifest.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ");
    match (wanted, manifest.members.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => Err(Diagnostic::new("which member?", format!("the snapshot has several: {}", names()))
            .fix("name one with `--member`")
            .into()),
        (Some(wanted), members) => members.iter().find(|member| member.name == wanted).ok_or_else(|| {
            Diagnostic::new("no such member", format!("`{wanted}`"))
                .fix(format!("the members are: {}", names()))
                .into()
        }),
    }
}

/// Calls `each` for every entry of a member that has a list of entries; says whether it has one. The list's bytes
/// are compared with the manifest on the way.
pub fn entries(
    site: &Site,
    (copy, manifest): (&Copy, &Manifest),
    member: &ManifestMember,
    each: &mut dyn FnMut(IndexEntry) -> Result<(), WorkflowError>,
) -> Result<bool, WorkflowError> {
    let Some(index) = &member.index else { return Ok(false) };
    let damaged = |why: String| not_readable(&index.object, why);
    let mut reader =
        open_index((site, manifest), copy, index).map_err(|error| damaged(super::verify::chain(&error)))?;
    for entry in IndexReader::new(&mut reader) {
        each(entry.map_err(|error| damaged(error.to_string()))?)?;
    }
    reader.finish().map_err(|error| damaged(super::verify::chain(&error)))?;
    Ok(true)
}

/// A list of entries that cannot be read, and why.
pub(super) fn not_readable(object: &str, why: String) -> Diagnostic {
    Diagnostic::new("list of entries not readable", object.to_owned()).why(why)
}
