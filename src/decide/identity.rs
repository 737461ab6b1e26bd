//! What a source is mounted from, compared with what its newest snapshot says: a folder whose file system is not mounted
//! looks like an empty one.

use super::history::History;
use super::world::{World, sealed};
use crate::declared::SetName;
use crate::diagnostic::Diagnostic;
use crate::format::{Manifest, SnapshotId, SourceIdentity};
use crate::observed::{JournalEntry, JournalEvent, RequirementFacts, SourceFacts};

/// Why a source is not what it was at a snapshot; none where every path lies where it lay.
pub fn not_what_it_was(
    set: &SetName,
    (snapshot, before): (SnapshotId, &[SourceIdentity]),
    now: &[SourceIdentity],
) -> Option<Diagnostic> {
    let pairs = before.iter().filter_map(|was| Some((was, now.iter().find(|is| is.path == was.path)?)));
    let (was, is) = pairs.into_iter().find(|(was, is)| !same_place(was, is))?;
    let same_name = was.mount_source == is.mount_source;
    let place = |it: &SourceIdentity| {
        let uuid = it.file_system_uuid.as_ref().filter(|_| same_name);
        let known = uuid.map_or_else(String::new, |uuid| format!(" {uuid}"));
        format!("{} ({}{known}) mounted at {}", it.mount_source, it.file_system, it.mount_point.display())
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
                "mount what is missing; or, if the data has moved for good, `bkp run {set} --accept-source`, with `--plan FILE` where \
                 the plan file was changed"
            )),
    )
}

/// Whether a path lies where it lay. A disk may have another name after a boot; its file system has the identifier that it had.
fn same_place(was: &SourceIdentity, is: &SourceIdentity) -> bool {
    let same_file_system = match (&was.file_system_uuid, &is.file_system_uuid) {
        (Some(was), Some(is)) => was == is,
        (None, _) | (_, None) => was.mount_source == is.mount_source,
    };
    same_file_system && was.mount_point == is.mount_point && was.file_system == is.file_system
}

/// Where a set's paths lay at its newest complete snapshot: by its manifest, or by this host's journal where the manifest's
/// details are encrypted and were not opened.
pub fn newest_identity<'a>(
    complete: impl Iterator<Item = (SnapshotId, &'a Manifest)>,
    journal: impl IntoIterator<Item = &'a JournalEntry>,
) -> Option<(SnapshotId, &'a [SourceIdentity])> {
    let complete: Vec<_> = complete.collect();
    // Of two copies of one snapshot the one whose details can be read says more.
    let (id, newest) = *complete.iter().max_by_key(|(id, it)| (*id, !it.is_concealed()))?;
    if !newest.is_concealed() {
        return Some((id, &newest.identity));
    }
    let noted = journal.into_iter().find_map(|entry| match &entry.event {
        JournalEvent::Started { snapshot, identity, .. } if *snapshot == id && !identity.is_empty() => {
            Some((id, identity.as_slice()))
        }
        JournalEvent::Started { .. }
        | JournalEvent::Sealed { .. }
        | JournalEvent::Finished { .. }
        | JournalEvent::Skipped { .. }
        | JournalEvent::Held { .. }
        | JournalEvent::Removing { .. }
        | JournalEvent::Proved { .. } => None,
    });
    let readable = complete.iter().filter(|(_, it)| !it.is_concealed()).max_by_key(|(id, _)| *id);
    noted.or_else(|| readable.map(|(id, it)| (*id, it.identity.as_slice())))
}

/// The same as [`not_what_it_was`], for what was observed.
pub(super) fn moved_away(world: &World<'_>, set: &SetName, facts: &SourceFacts) -> Option<Diagnostic> {
    let destinations = world.plan.destinations_of(world.plan.sets.get(set)?).iter();
    let snapshots = destinations.filter_map(|it| world.snapshots(set, it)).flatten();
    let complete = snapshots.filter_map(|it| Some((it.id, &sealed(it)?.manifest))).filter(|it| it.1.complete);
    let history = History::new(world);
    let before = newest_identity(complete, history.of(set).iter().copied())?;
    not_what_it_was(set, before, &facts.identity)
}

/// Whether it can be told where a source lies: what cannot be read of it, and what is a link, is the nearer trouble.
pub(super) fn place_is_known(facts: &SourceFacts) -> bool {
    let unmet = |it: &RequirementFacts| it.unmet.is_some() && matches!(it.kind.as_str(), "readable" | "link");
    facts.members.present().is_some() && !facts.requirements.iter().any(unmet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(point: &str, source: &str, uuid: Option<&str>) -> SourceIdentity {
        SourceIdentity {
            path: "/srv/data".into(),
            mount_point: point.into(),
            mount_source: source.to_owned(),
            file_system: "xfs".to_owned(),
            file_system_uuid: uuid.map(str::to_owned),
        }
    }

    #[test]
    fn file_system_is_known_by_its_identifier_or_else_by_its_device() {
        let before = place("/srv", "/dev/sdb1", Some("5f2c"));
        for (now, same) in [
            (before.clone(), true),
            (place("/srv", "/dev/sdc1", Some("5f2c")), true),
            (place("/srv", "/dev/sdb1", Some("77aa")), false),
            (place("/srv", "/dev/sdb1", None), true),
            (place("/srv", "/dev/sdc1", None), false),
            (place("/", "/dev/sda1", Some("0001")), false),
            (place("/", "/dev/sdb1", Some("5f2c")), false),
            (SourceIdentity { file_system: "ext4".to_owned(), ..before.clone() }, false),
            (SourceIdentity { path: "/srv/other".into(), ..place("/", "/dev/sda1", None) }, true),
        ] {
            let set = "data".parse().expect("a name");
            let id = "20261120T030000Z-000001".parse().expect("a snapshot's name");
            let moved =
                not_what_it_was(&set, (id, std::slice::from_ref(&before)), std::slice::from_ref(&now));
            assert_eq!(moved.is_none(), same, "{now:?}");
        }
    }

    #[test]
    fn place_is_known_from_what_can_be_read_here() {
        let scene = crate::decide::testing::Scene::healthy();
        let set = crate::decide::testing::set();
        let facts = scene.facts.destinations.values().next().expect("one").observed.present().expect("seen");
        let made = |place: SourceIdentity, concealed: bool| {
            let snapshot = facts.sets[&set].last().expect("a snapshot");
            let mut manifest = sealed(snapshot).expect("sealed").manifest.clone();
            manifest.identity = if concealed { Vec::new() } else { vec![place] };
            if concealed {
                manifest.members[0].plain = None;
            }
            manifest
        };
        let id = |text: &str| text.parse::<SnapshotId>().expect("a snapshot's name");
        let (older, newer) = (id("20261120T030000Z-000001"), id("20261121T030000Z-000002"));
        let (old, new) = (place("/srv", "/dev/sdb1", None), place("/srv", "/dev/sdc1", None));
        let (readable, copy, closed) =
            (made(old.clone(), false), made(new.clone(), false), made(new.clone(), true));
        let noted = |identity: &[SourceIdentity]| JournalEntry {
            format: JournalEntry::FORMAT,
            at: scene.now,
            set: set.clone(),
            event: JournalEvent::Started {
                snapshot: newer,
                trigger: crate::format::Trigger::Schedule,
                identity: identity.to_vec(),
            },
        };
        let known = |all: &[(SnapshotId, &Manifest)], journal: &[JournalEntry]| {
            newest_identity(all.iter().copied(), journal).map(|(id, it)| (id, it.to_vec()))
        };
        let (of_old, of_new) = (Some((older, vec![old])), Some((newer, vec![new.clone()])));
        assert_eq!(
            known(&[(newer, &copy), (newer, &closed)], &[]),
            of_new,
            "of two copies the one that is open"
        );
        assert_eq!(known(&[(newer, &closed), (newer, &copy)], &[]), of_new);
        assert_eq!(known(&[(newer, &closed)], &[noted(std::slice::from_ref(&new))]), of_new);
        assert_eq!(known(&[(newer, &closed), (older, &readable)], &[noted(&[new])]), of_new);
        assert_eq!(known(&[(newer, &closed), (older, &readable)], &[noted(&[])]), of_old, "a line of before");
        assert_eq!(known(&[(newer, &closed)], &[]), None);
    }
}
