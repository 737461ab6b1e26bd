//! Where a member's artifact lies at a destination, and under which name.
//!
//! Beside its manifest, or where the destination's template says. What lies elsewhere is written down in the snapshot's
//! folder as soon as it lies there, so that a run that came to nothing takes it back.

use super::session::Session;
use crate::declared::{LayoutTemplate, Piece, Placeholder};
use crate::destinations::DestinationError;
use crate::format::{Key, Layout, SnapshotId, encode_name};
use crate::pipeline::{self, Packing, StoreError};
use crate::sources::Member;
use crate::workflow::site::Site;

/// Names that are tried where a template repeats itself.
const NAMES_MAX: u32 = 100;

/// A place for a member's artifact.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    /// How it is packed.
    pub packing: Packing,
    /// Its name in the manifest.
    pub object: String,
    /// Its key.
    pub key: Key,
    /// The name of its list of entries, where it has one.
    pub index_object: String,
}

/// Chooses the place of a member's artifact. `number` counts the members from 1: at an encrypted destination names would
/// say too much.
pub(super) fn placement(
    session: &Session<'_>,
    site: &Site,
    member: &Member,
    number: usize,
) -> Result<Placement, StoreError> {
    let (name, set) = session.set();
    let packing = Packing {
        compression: session.plan().compression(set, &site.name),
        sealer: site.keys.sealer().cloned(),
    };
    let base = match &packing.sealer {
        Some(_) => number.to_string(),
        None => encode_name(&member.name),
    };
    let sealed = packing.sealer.as_ref().map_or("", |_| crate::declared::Encryption::EXTENSION);
    let index_object = format!("{base}.index.jsonl.zst{sealed}");
    let snapshot = session.snapshot();
    if site.encrypted && packing.sealer.is_none() {
        let reason = "it must be encrypted, and for whom is not known here".to_owned();
        return Err(StoreError::Unproven { reason });
    }
    let object = match &site.template {
        None => format!("{base}.{}{}", session.source().extension(member), packing.extension()),
        Some(template) => {
            let path = filled(template, &site.layout, name.as_str(), &base, snapshot);
            if path.starts_with(site.layout.host().as_str()) {
                let reason = format!("the layout leads into this host's own folder: `{path}`");
                return Err(StoreError::Unproven { reason });
            }
            format!("/{}", free_name(site, &path, snapshot)?)
        }
    };
    let key = site.layout.artifact(name, &snapshot, &object);
    Ok(Placement { packing, object, key, index_object })
}

/// A template with everything put in.
fn filled(
    template: &LayoutTemplate,
    layout: &Layout,
    set: &str,
    member: &str,
    snapshot: SnapshotId,
) -> String {
    let at = snapshot.started_at();
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Placeholder(Placeholder::Date) => at.strftime("%Y-%m-%d").to_string(),
        Piece::Placeholder(Placeholder::Time) => at.strftime("%H%M%S").to_string(),
        Piece::Placeholder(Placeholder::Node) => encode_name(layout.node().as_str()),
        Piece::Placeholder(Placeholder::Set) => set.to_owned(),
        Piece::Placeholder(Placeholder::Member) => member.to_owned(),
        Piece::Placeholder(Placeholder::Snapshot) => snapshot.to_string(),
    };
    template.pieces().iter().map(piece).collect()
}

/// The path, or where it or its sidecar is taken, as by a run of the same day, the path with the snapshot's number in it.
fn free_name(site: &Site, path: &str, snapshot: SnapshotId) -> Result<String, StoreError> {
    for attempt in 0..NAMES_MAX {
        let candidate = match attempt {
            0 => path.to_owned(),
            1 => numbered(path, &format!("{:06}", snapshot.sequence())),
            more => numbered(path, &format!("{:06}-{more}", snapshot.sequence())),
        };
        let key = crate::format::Prefix::root().listed_key(&candidate);
        let taken = |key: &Key| site.target.size(key).map_err(StoreError::Destination).map(|it| it.is_some());
        if !taken(&key)? && !taken(&key.with_suffix(Layout::SIDECAR))? {
            return Ok(candidate);
        }
    }
    let key = crate::format::Prefix::root().listed_key(path);
    Err(StoreError::Destination(DestinationError::Exists { key }))
}

/// `sqlite/2026-11-20/app.db.gz` with a number: `sqlite/2026-11-20/app-000042.db.gz`.
fn numbered(path: &str, number: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, ending) =
        name.split_once('.').map_or((name, String::new()), |(stem, it)| (stem, format!(".{it}")));
    format!("{folder}/{stem}-{number}{ending}")
}

/// Writes down what lies outside of the snapshot's folder, once it does: what was noted before could be another's by the
/// time that it is removed. A run that is killed between the two leaves an object that stays.
pub(super) fn remember(
    session: &Session<'_>,
    site: &Site,
    number: usize,
    place: &Placement,
) -> Result<(), StoreError> {
    let Some(path) = place.object.strip_prefix('/') else { return Ok(()) };
    let key = site.layout.placed(session.set().0, &session.snapshot(), number);
    pipeline::store_bytes(session.host(), &*site.target, &key, format!("{path}\n").as_bytes()).map(|_| ())
}

/// The folder that a template leads to for a snapshot, as far as that does not depend on the member.
pub fn folder_of(template: &LayoutTemplate, layout: &Layout, set: &str, snapshot: SnapshotId) -> String {
    let path = filled(template, layout, set, "\0", snapshot);
    let known = path.split('\0').next().unwrap_or_default();
    known.rfind('/').map_or_else(String::new, |at| known[..=at].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_gives_the_key_of_an_existing_runbook_and_the_folder_that_is_ours() {
        let template = LayoutTemplate::try_from("sqlite/{date}/{set}.db.gz".to_owned()).expect("a template");
        let snapshot: SnapshotId = "20261120T030000Z-000042".parse().expect("an id");
        let layout = Layout::new("mini".parse().expect("a name"));
        assert_eq!(
            filled(&template, &layout, "ledger", "ledger", snapshot),
            "sqlite/2026-11-20/ledger.db.gz"
        );
        assert_eq!(folder_of(&template, &layout, "ledger", snapshot), "sqlite/2026-11-20/");
        let by_member = LayoutTemplate::try_from("db/{member}/{date}.gz".to_owned()).expect("a template");
        assert_eq!(folder_of(&by_member, &layout, "ledger", snapshot), "db/");
        assert_eq!(
            numbered("sqlite/2026-11-20/ledger.db.gz", "000042"),
            "sqlite/2026-11-20/ledger-000042.db.gz"
        );
    }
}
