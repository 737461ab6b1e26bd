//! What a source is mounted from, compared with what its newest snapshot says: a folder whose file system is not mounted
//! looks like an empty one.

use super::world::{World, sealed};
use crate::declared::SetName;
use crate::diagnostic::Diagnostic;
use crate::format::{SnapshotId, SourceIdentity};
use crate::observed::SourceFacts;

/// Why a source is not what it was at a snapshot; none where every path lies where it lay.
pub fn not_what_it_was(
    set: &SetName,
    (snapshot, before): (SnapshotId, &[SourceIdentity]),
    now: &[SourceIdentity],
) -> Option<Diagnostic> {
    let pairs = before.iter().filter_map(|was| Some((was, now.iter().find(|is| is.path == was.path)?)));
    let (was, is) = pairs.into_iter().find(|(was, is)| was != is)?;
    let place = |it: &SourceIdentity| {
        format!("{} ({}) mounted at {}", it.mount_source, it.file_system, it.mount_point.display())
    };
    let path = was.path.display();
    Some(
        Diagnostic::new("source is not what it was", format!("set `{set}`"))
            .why(format!(
                "`{path}` lay on {} at snapshot {snapshot}, and lies on {} now",
                place(was),
                place(is)
            ))
            .fix(format!(
                "mount what is missing; or, if the data has moved for good, `bkp run {set} --accept-source`"
            )),
    )
}

/// The same, for what was observed.
pub(super) fn moved_away(world: &World<'_>, set: &SetName, facts: &SourceFacts) -> Option<Diagnostic> {
    let destinations = world.plan.destinations_of(world.plan.sets.get(set)?).iter();
    let snapshots = destinations.filter_map(|it| world.snapshots(set, it)).flatten();
    let complete = snapshots.filter_map(|it| Some((it.id, &sealed(it)?.manifest))).filter(|it| it.1.complete);
    let (id, newest) = complete.max_by_key(|(id, _)| *id)?;
    not_what_it_was(set, (id, &newest.identity), &facts.identity)
}
