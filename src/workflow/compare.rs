//! Two snapshots of a set compared: members, entries, counts.

use super::WorkflowError;
use super::drill::open_index;
use super::look::{Chosen, not_readable};
use super::restore::demand_opened;
use super::site::Site;
use super::verify::chain;
use crate::format::{IndexEntry, IndexReader, ManifestMember};
use crate::pipeline::ArtifactReader;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

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
    if let (Some(old), Some(new)) = (Entries::open(site, before, was)?, Entries::open(site, after, is)?) {
        let mut differences = Vec::new();
        merge(old, new, &mut |path, symbol, detail| {
            differences.push(change(&path.display().to_string(), symbol, detail));
        })?;
        differences.sort();
        return Ok(differences);
    }
    let mut differences = Vec::new();
    let names: BTreeSet<_> = was.counts.0.keys().chain(is.counts.0.keys()).collect();
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

/// The entries of a member, one after another: an index is in the order of the walk, by the parts of its paths.
struct Entries {
    reader: Option<IndexReader<ArtifactReader>>,
    object: String,
    last: Option<PathBuf>,
}

impl Entries {
    /// None where the member has no list of entries.
    fn open(site: &Site, chosen: &Chosen, member: &ManifestMember) -> Result<Option<Self>, WorkflowError> {
        let Some(index) = &member.index else { return Ok(None) };
        let opened = open_index((site, &chosen.sealed.manifest), &chosen.copy, index);
        let reader = opened.map_err(|error| not_readable(&index.object, chain(&error)))?;
        let reader = Some(IndexReader::new(reader));
        Ok(Some(Self { reader, object: index.object.clone(), last: None }))
    }

    /// The next entry; at the end, the list's bytes have been compared with the manifest.
    fn next(&mut self) -> Result<Option<IndexEntry>, WorkflowError> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        match reader.next() {
            Some(Ok(entry)) if self.last.as_ref().is_some_and(|last| *last >= entry.path) => {
                let why = format!("{} is out of order", entry.path.display());
                Err(not_readable(&self.object, why).into())
            }
            Some(Ok(entry)) => {
                self.last = Some(entry.path.clone());
                Ok(Some(entry))
            }
            Some(Err(error)) => Err(not_readable(&self.object, error.to_string()).into()),
            None => {
                let ended = self.reader.take().map_or(Ok(()), |reader| reader.into_inner().finish());
                ended.map_err(|error| not_readable(&self.object, chain(&error)))?;
                Ok(None)
            }
        }
    }
}

/// Goes through two lists side by side, so that neither is in memory.
fn merge(
    mut old: Entries,
    mut new: Entries,
    differs: &mut dyn FnMut(&Path, char, String),
) -> Result<(), WorkflowError> {
    let (mut was, mut is) = (old.next()?, new.next()?);
    loop {
        let order = match (&was, &is) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(was), Some(is)) => was.path.cmp(&is.path),
        };
        match (order, &was, &is) {
            (Ordering::Equal, Some(was), Some(is)) if was != is => {
                differs(&is.path, '~', format!("{} -> {} bytes", was.size_bytes, is.size_bytes));
            }
            (Ordering::Less, Some(was), _) => differs(&was.path, '-', format!("{} bytes", was.size_bytes)),
            (Ordering::Greater, _, Some(is)) => differs(&is.path, '+', format!("{} bytes", is.size_bytes)),
            _ => {}
        }
        if order != Ordering::Greater {
            was = old.next()?;
        }
        if order != Ordering::Less {
            is = new.next()?;
        }
    }
}
