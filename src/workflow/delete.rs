//! One snapshot removed because a person asked for it; never the last verified one.

use super::history::all_looked_into;
use super::site::{Copy, Site};
use super::{LoadedPlan, WorkflowError, journal, lock, prune};
use crate::decide;
use crate::declared::SetName;
use crate::diagnostic::Diagnostic;
use crate::format::{Level, SnapshotId};
use crate::host::Host;
use crate::observed::SnapshotFacts;

/// As retention has it: complete, its objects there, and nothing that was found since speaks against it.
fn is_verified(snapshot: &SnapshotFacts) -> bool {
    decide::candidates(std::slice::from_ref(snapshot), Level::Restored)
        .iter()
        .any(|it| it.complete && it.verified)
}

/// Where a snapshot lies and may be removed, or is remembered and lies no more. It is an error where it is the last verified
/// one.
fn removable<'a>(
    host: &dyn Host,
    loaded: &LoadedPlan,
    set: &SetName,
    id: SnapshotId,
    sites: &'a [Site],
) -> Result<Vec<(&'a Site, Copy)>, WorkflowError> {
    let mut found = Vec::new();
    for site in sites {
        let history = all_looked_into(site, set, &loaded.plan.moved)
            .map_err(|error| Diagnostic::from_error("destination not readable", &error))?;
        let Some(wanted) = history.iter().find(|snapshot| snapshot.id == id) else {
            if journal::remembers(host, &loaded.places.state, set, &site.name, id) {
                found.push((site, Copy { id, stored_as: set.clone() }));
            }
            continue;
        };
        let others = history.iter().any(|snapshot| snapshot.id != id && is_verified(snapshot));
        if is_verified(wanted) && !others {
            let what = format!("set `{set}`, destination `{}`, snapshot {id}", site.name);
            return Err(Diagnostic::new("last verified snapshot", what)
                .why("it is the only one there that is proven")
                .fix(format!("run `bkp run {set}` first; when a newer one is verified, this one can go"))
                .into());
        }
        found.push((site, Copy { id, stored_as: wanted.stored_as.clone() }));
    }
    if found.is_empty() {
        return Err(Diagnostic::new("no such snapshot", format!("set `{set}` has no snapshot {id}"))
            .fix(format!("`bkp snapshots {set}` lists them"))
            .into());
    }
    Ok(found)
}

/// The destinations at which a snapshot would be removed.
pub fn allowed(
    host: &dyn Host,
    loaded: &LoadedPlan,
    set: &SetName,
    id: SnapshotId,
    sites: &[Site],
) -> Result<Vec<String>, WorkflowError> {
    Ok(removable(host, loaded, set, id, sites)?.into_iter().map(|(site, _)| site.name.to_string()).collect())
}

/// Removes a snapshot at each of the given destinations and names those where it was removed.
pub fn delete(
    host: &dyn Host,
    loaded: &LoadedPlan,
    set: &SetName,
    id: SnapshotId,
    sites: &[Site],
) -> Result<Vec<String>, WorkflowError> {
    let _lock = lock::set(host, &loaded.places.state, set, &format!("delete {set}"))?;
    let mut removed = Vec::new();
    for (site, copy) in removable(host, loaded, set, id, sites)? {
        if !prune::remove(host, &loaded.places, site, set, &copy, "deleted by hand")? {
            return Err(Diagnostic::new(
                "snapshot in use",
                format!("snapshot {id} at `{}` is being read", site.name),
            )
            .fix("wait for the verify, drill or restore to end")
            .into());
        }
        removed.push(site.name.to_string());
    }
    Ok(removed)
}
