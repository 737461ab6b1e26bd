//! Destinations that are filled from another one: declared so, or because they failed while the source was read and
//! another has what they lack.
//!
//! The source is not read again. What is copied is read back like anything else, and gets a manifest of its own.

use super::members::{Harvest, chain};
use super::placement::{Placement, placement, remember};
use super::session::{Party, Session};
use crate::declared::DestinationName;
use crate::diagnostic::Diagnostic;
use crate::format::{IndexObject, Layout, Manifest, ManifestMember};
use crate::pipeline::{self, Lane, ProvenMember, StoreError};
use crate::sources::Member;
use crate::workflow::signal;
use crate::workflow::site::Site;

/// Where a party's snapshot of this run comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filled {
    /// From the source.
    BySource,
    /// From another destination.
    From(DestinationName),
}

/// How a party is filled.
pub(super) fn filled(session: &Session<'_>, party: &Party) -> Filled {
    let declared = session.plan().destinations.get(&party.site.name);
    declared.and_then(|it| it.copy_from.clone()).map_or(Filled::BySource, Filled::From)
}

/// The summary of a destination that another could not fill.
pub(super) const NOT_FILLED: &str = "destination not filled";

/// Copies every member of a snapshot of this run from one destination to another.
pub(super) fn copy(
    session: &Session<'_>,
    (from, manifest): (&Site, &Manifest),
    to: &Site,
    members: &[Member],
    harvest: &mut Harvest,
) {
    for (number, member) in members.iter().enumerate() {
        let Some(stored) = manifest.members.iter().find(|it| it.name == member.name) else { continue };
        let copied = copy_member(session, (from, manifest), to, (member, number + 1), stored);
        match copied {
            Ok(proven) => harvest.add(&to.name, proven),
            Err(error) => {
                let what = format!("destination `{}`, member `{}`", to.name, member.name);
                let why = format!("copying it from `{}`: {}", from.name, chain(&error));
                let to_mend = if matches!(error, StoreError::Origin(_)) { &from.name } else { &to.name };
                if matches!(&error, StoreError::Origin(error) if error.is_disproven()) {
                    harvest.damaged.insert(from.name.clone());
                }
                let fix = format!("earlier snapshots there are untouched; mend `{to_mend}` and run again");
                harvest.drop_out(&to.name, Diagnostic::new(NOT_FILLED, what).why(why).fix(fix));
                return;
            }
        }
    }
}

fn copy_member(
    session: &Session<'_>,
    (from, manifest): (&Site, &Manifest),
    to: &Site,
    (member, number): (&Member, usize),
    stored: &ManifestMember,
) -> Result<ProvenMember, StoreError> {
    let place = placement(session, to, member, number)?;
    let noted = place.clone();
    let (host, name) = (session.host(), session.set().0);
    let key = |object: &str| from.layout.artifact(name, &manifest.snapshot, object);
    let Placement { packing, object, key: to_key, index_object } = place;
    let lane = Lane { destination: to.name.clone(), packing, target: &*to.target, key: to_key };
    let receipt = pipeline::copy_artifact(
        host,
        (&*from.target, &key(&stored.object)),
        &lane,
        stored,
        &signal::told_to_end,
    )?;
    remember(session, to, number, &noted)?;
    let sidecar = pipeline::sidecar(lane.key.file_name(), &stored.stored.sha256);
    pipeline::store_bytes(host, lane.target, &lane.key.with_suffix(Layout::SIDECAR), &sidecar)?;
    let index = match &stored.index {
        None => None,
        Some(index) => {
            let to_key = to.layout.artifact(name, &manifest.snapshot, &index_object);
            let source = (&*from.target, &key(&index.object));
            pipeline::copy_object(source, (lane.target, &to_key), &index.stored, &signal::told_to_end)?;
            let sidecar = pipeline::sidecar(&index_object, &index.stored.sha256);
            pipeline::store_bytes(host, lane.target, &to_key.with_suffix(Layout::SIDECAR), &sidecar)?;
            Some(IndexObject { object: index_object, stored: index.stored })
        }
    };
    Ok(ProvenMember::copied(receipt, stored, object, index))
}
