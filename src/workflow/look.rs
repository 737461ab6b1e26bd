//! Snapshots listed, their contents shown, two of them compared.

use super::drill::open_index;
use super::history::all_looked_into;
use super::restore::demand_opened;
use super::site::{Copy, Depth, Site, node_of};
use super::{LoadedPlan, WorkflowError};
use crate::declared::{DestinationName, SetName};
use crate::destinations::Access;
use crate::diagnostic::Diagnostic;
use crate::format::{IndexEntry, IndexReader, Manifest, ManifestMember, SnapshotId};
use crate::host::Host;
use crate::observed::{SealedFacts, SnapshotFacts, SnapshotState};
use std::collections::BTreeMap;
use std::path::PathBuf;

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
    let what = wanted.map_or_else(|| "a complete snapshot".to_owned(), |id| format!("snapshot {id}"));
    Err(Diagnostic::new("no such snapshot", format!("set `{set}` has no {what} at `{}`", site.name))
        .fix(format!("`bkp snapshots {set}` lists them"))
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
    let damaged =
        |why: String| Diagnostic::new("list of entries not readable", index.object.clone()).why(why);
    let mut reader =
        open_index((site, manifest), copy, index).map_err(|error| damaged(super::verify::chain(&error)))?;
    for entry in IndexReader::new(&mut reader) {
        each(entry.map_err(|error| damaged(error.to_string()))?)?;
    }
    reader.finish().map_err(|error| damaged(super::verify::chain(&error)))?;
    Ok(true)
}

/// One difference between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Difference {
    /// The member.
    pub member: String,
    /// The entry or the count; empty for the member itself.
    pub object: String,
    /// `+`, `-` or `~`.
    pub symbol: char,
    /// Before and after, in words.
    pub detail: String,
}

/// What differs between two snapshots of a set: members, entries, counts.
pub fn diff(site: &Site, before: &Chosen, after: &Chosen) -> Result<Vec<Difference>, WorkflowError> {
    for chosen in [before, after] {
        demand_opened(site, &chosen.sealed.manifest)?;
    }
    let mut differences = Vec::new();
    let by_name = |chosen: &'_ Chosen| -> BTreeMap<String, ManifestMember> {
        chosen.sealed.manifest.members.iter().map(|member| (member.name.clone(), member.clone())).collect()
    };
    let (mut old, new) = (by_name(before), by_name(after));
    // A single member bears its set's name: where the set moved, so did it.
    let (was_set, is_set) = (&before.copy.stored_as, &after.copy.stored_as);
    if was_set != is_set
        && !new.contains_key(was_set.as_str())
        && !old.contains_key(is_set.as_str())
        && let Some(member) = old.remove(was_set.as_str())
    {
        old.insert(is_set.to_string(), member);
    }
    let whole = |member: &str, symbol, detail: String| Difference {
        member: member.to_owned(),
        object: String::new(),
        symbol,
        detail,
    };
    for (name, member) in &old {
        if !new.contains_key(name) {
            differences.push(whole(name, '-', format!("{} bytes", plain_bytes(member))));
        }
    }
    for (name, member) in &new {
        match old.get(name) {
            None => differences.push(whole(name, '+', format!("{} bytes", plain_bytes(member)))),
            Some(was)
                if was.plain.is_some()
                    && was.plain.map(|it| it.sha256) == member.plain.map(|it| it.sha256) => {}
            Some(was) => differences.extend(diff_member(site, (before, was), (after, member))?),
        }
    }
    Ok(differences)
}

/// Bytes that the source made; those that are stored where nothing opens what is encrypted.
fn plain_bytes(member: &ManifestMember) -> u64 {
    member.plain.unwrap_or(member.stored).bytes
}

fn diff_member(
    site: &Site,
    (before, was): (&Chosen, &ManifestMember),
    (after, is): (&Chosen, &ManifestMember),
) -> Result<Vec<Difference>, WorkflowError> {
    let change = |object: &str, symbol, detail: String| Difference {
        member: is.name.clone(),
        object: object.to_owned(),
        symbol,
        detail,
    };
    let mut old: BTreeMap<PathBuf, IndexEntry> = BTreeMap::new();
    let listed = entries(site, (&before.copy, &before.sealed.manifest), was, &mut |entry| {
        old.insert(entry.path.clone(), entry);
        Ok(())
    })?;
    let mut differences = Vec::new();
    if listed {
        entries(site, (&after.copy, &after.sealed.manifest), is, &mut |entry| {
            let path = entry.path.display().to_string();
            match old.remove(&entry.path) {
                None => differences.push(change(&path, '+', format!("{} bytes", entry.size_bytes))),
                Some(was) if was == entry => {}
                Some(was) => differences.push(change(
                    &path,
                    '~',
                    format!("{} -> {} bytes", was.size_bytes, entry.size_bytes),
                )),
            }
            Ok(())
        })?;
        differences.extend(old.iter().map(|(path, entry)| {
            change(&path.display().to_string(), '-', format!("{} bytes", entry.size_bytes))
        }));
        differences.sort();
        return Ok(differences);
    }
    let names: std::collections::BTreeSet<_> = was.counts.0.keys().chain(is.counts.0.keys()).collect();
    for name in names {
        let (old, new) = (was.counts.0.get(name), is.counts.0.get(name));
        match (old, new) {
            (None, Some(new)) => differences.push(change(name, '+', new.to_string())),
            (Some(old), None) => differences.push(change(name, '-', old.to_string())),
            (Some(old), Some(new)) if old != new => {
                differences.push(change(name, '~', format!("{old} -> {new}")));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    if differences.is_empty() {
        differences.push(change("", '~', "the bytes differ, the counts do not".to_owned()));
    }
    Ok(differences)
}
