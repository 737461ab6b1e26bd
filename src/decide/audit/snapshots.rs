//! Findings about what lies at the destinations: age, objects, proofs, and what changed behind bkp's back.

use crate::decide::age::ago;
use crate::decide::coverage::{CoverageRow, LevelState};
use crate::decide::finding::{Finding, FindingCode as Code};
use crate::decide::history::History;
use crate::decide::world::{World, sealed};
use crate::declared::{Identity, SetName};
use crate::format::{Digest, Level, Outcome, SnapshotId};
use crate::observed::{JournalEvent, ObjectsState, SealedFacts, SnapshotFacts, SnapshotState};
use std::collections::{BTreeMap, BTreeSet};

/// With how many runs before its own the newest snapshot's size is compared.
const COMPARED: u64 = 7;
/// A set with fewer stored bytes than these may halve by a few lines.
const SHRUNK_FROM_BYTES: u64 = 64 << 10;

pub(super) fn findings(world: &World<'_>, history: &History<'_>, rows: &[CoverageRow]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut compared = BTreeSet::new();
    for row in rows {
        // A destination that could not be looked at is a finding of its own.
        let Some(snapshots) = world.snapshots(&row.set, &row.destination) else { continue };
        let mut found = freshness(world, row);
        found.extend(proofs(world, row, snapshots));
        for snapshot in snapshots {
            found.extend(state(world, history, row, snapshot));
        }
        found.extend(incomplete(row, snapshots));
        // What the source has is the same at each destination.
        if !compared.contains(&row.set)
            && let Some(judged) = shrunk(&row.set, snapshots)
        {
            compared.insert(&row.set);
            found.extend(judged);
        }
        found.extend(tampering(history, row, snapshots));
        found.retain(|finding| !is_others_business(world, row, finding));
        findings.extend(found.into_iter().map(|it| it.of(&row.set).at(&row.destination)));
    }
    findings
}

/// Whether a finding is about what whoever else carries retention out may remove: a snapshot that is not the newest, and
/// older than any proof may be. What goes sooner goes too soon, whoever removes it.
fn is_others_business(world: &World<'_>, row: &CoverageRow, finding: &Finding) -> bool {
    let gone = matches!(
        finding.code,
        Code::SnapshotGone | Code::ObjectMissing | Code::Leftover | Code::DigestDiffers | Code::DrillDiffers
    );
    let Some(set) = world.plan.sets.get(&row.set).filter(|_| gone) else { return false };
    let policy = world.plan.retention(set, &row.destination);
    let name = finding.object.split('/').next().unwrap_or_default();
    let Ok(id) = name.parse::<SnapshotId>() else { return false };
    let prove = world.plan.prove(set, &row.destination);
    let needed = prove.intact_age_max().signed().max(prove.restored_age_max().signed());
    policy.is_some_and(|it| it.by.is_some())
        && row.newest != Some(id)
        && world.now.duration_since(id.started_at()) > needed
}

fn freshness(world: &World<'_>, row: &CoverageRow) -> Vec<Finding> {
    let object = row.newest.map_or_else(|| row.set.to_string(), |id| id.to_string());
    match row.level(Level::Stored) {
        // Objects that are missing are told by name below.
        LevelState::Proven { .. } | LevelState::Disproven { .. } => Vec::new(),
        LevelState::Unproven { reason } => vec![Finding::new(Code::SetNeverRun, object, reason.clone())],
        LevelState::Unknown { reason } => vec![Finding::new(Code::CouldNotLook, object, reason.clone())],
        LevelState::Expired { at, evidence } => {
            let evidence = format!("made {}: {evidence}", ago(*at, world.now));
            vec![Finding::new(Code::SetStale, object, evidence)]
        }
    }
}

/// A source that has suddenly less in it; none where there is nothing to compare with.
fn shrunk(set: &SetName, snapshots: &[SnapshotFacts]) -> Option<Vec<Finding>> {
    let sealed = snapshots.iter().rev().filter_map(|it| Some((it.id, &sealed(it)?.manifest)));
    let mut complete = sealed.filter(|(_, manifest)| manifest.complete);
    let (id, newest) = complete.next()?;
    let before = complete.filter(|(older, it)| {
        it.set_digest == newest.set_digest && older.sequence() + COMPARED >= id.sequence()
    });
    let (largest_id, largest) =
        before.map(|(id, it)| (id, it.stored_bytes())).max_by_key(|(_, bytes)| *bytes)?;
    let bytes = newest.stored_bytes();
    let found = || {
        let evidence = format!("{bytes} bytes are stored, and {largest} at {largest_id}");
        let remedy = format!(
            "See what is gone, of files with `bkp diff {set} {largest_id} {id}`; where that is meant, the warning ends by itself."
        );
        Finding::new(Code::SnapshotShrunk, id.to_string(), evidence).remedy(remedy)
    };
    Some((largest >= SHRUNK_FROM_BYTES && bytes < largest / 2).then(found).into_iter().collect())
}

fn newest_is_archived(row: &CoverageRow, snapshots: &[SnapshotFacts]) -> bool {
    let newest = snapshots.iter().find(|it| Some(it.id) == row.newest).and_then(sealed);
    newest.is_some_and(|it| !it.archived.is_empty())
}

fn proofs(world: &World<'_>, row: &CoverageRow, snapshots: &[SnapshotFacts]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let codes = [
        (Level::Intact, Code::ProofMissing, Code::ProofOld),
        (Level::Restored, Code::DrillMissing, Code::DrillOld),
    ];
    // Where nothing complete is stored, that is the finding.
    let Some(newest) = row.newest else { return findings };
    for (level, missing, old) in codes {
        match row.level(level) {
            // What was disproven is told for each snapshot below.
            LevelState::Proven { .. } | LevelState::Disproven { .. } => {}
            LevelState::Unproven { reason } => {
                let elsewhere = key_elsewhere(world, row, level);
                let evidence = format!("{reason}{elsewhere}");
                findings.push(drilled_there(Finding::new(missing, newest.to_string(), evidence), &elsewhere));
            }
            LevelState::Expired { .. } if row.paused.is_some() => {}
            LevelState::Expired { at, evidence } => {
                let elsewhere = key_elsewhere(world, row, level);
                let evidence = format!("proven {}: {evidence}{elsewhere}", ago(*at, world.now));
                findings.push(drilled_there(Finding::new(old, newest.to_string(), evidence), &elsewhere));
            }
            // What is archived is told by name below.
            LevelState::Unknown { .. } if newest_is_archived(row, snapshots) => {}
            LevelState::Unknown { reason } => {
                let evidence = format!("{level}: {reason}");
                findings.push(Finding::new(Code::CouldNotLook, newest.to_string(), evidence));
            }
        }
    }
    findings
}

/// A drill that needs a key of another place is made there.
fn drilled_there(finding: Finding, elsewhere: &str) -> Finding {
    if elsewhere.is_empty() { finding } else { finding.remedy("Run that `bkp drill` where the key is.") }
}

/// Where the key is that a drill needs, when it is not on this host.
fn key_elsewhere(world: &World<'_>, row: &CoverageRow, level: Level) -> String {
    let declared = world.plan.destinations.get(&row.destination).and_then(|it| it.encryption.as_ref());
    match declared.map(|it| &it.identity) {
        Some(Identity::Elsewhere(reason)) if level == Level::Restored => {
            format!(
                "; its key is kept elsewhere ({reason}): `bkp drill {} --from DESTINATION-FILE --host NAME --identity FILE` there",
                row.set
            )
        }
        Some(Identity::Elsewhere(_) | Identity::Here(_) | Identity::Passphrase) | None => String::new(),
    }
}

/// What is wrong with one snapshot by itself.
fn state(
    world: &World<'_>,
    history: &History<'_>,
    row: &CoverageRow,
    snapshot: &SnapshotFacts,
) -> Vec<Finding> {
    let id = snapshot.id.to_string();
    match &snapshot.state {
        SnapshotState::NotRead | SnapshotState::NeverRestored => Vec::new(),
        SnapshotState::Damaged(diagnostic) => {
            vec![Finding::new(Code::SnapshotDamaged, id, diagnostic.sentence())]
        }
        SnapshotState::Unsealed => {
            let remembered = history.remembered(&row.set, &row.destination).contains_key(&snapshot.id);
            if remembered || may_run(world, history, row, snapshot.id) {
                Vec::new()
            } else {
                vec![Finding::new(Code::Leftover, id, "no manifest, and no run that is going on makes it")]
            }
        }
        SnapshotState::Sealed(sealed) => {
            let mut findings = objects(&id, sealed);
            findings.extend(archived(&id, sealed));
            findings.extend(disproven(&id, snapshot, sealed));
            findings
        }
    }
}

fn objects(id: &str, sealed: &SealedFacts) -> Vec<Finding> {
    let ObjectsState::Wrong { missing, resized } = &sealed.objects else { return Vec::new() };
    let missing =
        missing.iter().map(|name| (Code::ObjectMissing, name, "the manifest names it, and it is not there"));
    let resized = resized.iter().map(|name| (Code::ObjectWrongSize, name, "its size is not the manifest's"));
    missing
        .chain(resized)
        .map(|(code, name, evidence)| Finding::new(code, format!("{id}/{name}"), evidence))
        .collect()
}

fn archived(id: &str, sealed: &SealedFacts) -> Vec<Finding> {
    let evidence = "unverifiable: it lies in an archive tier, and neither `intact` nor `restored` can be proven until it \
                    was brought back";
    let of_name = |name: &String| Finding::new(Code::ObjectArchived, format!("{id}/{name}"), evidence);
    sealed.archived.iter().map(of_name).collect()
}

/// Each level's newest record of this very manifest speaks.
fn disproven(id: &str, snapshot: &SnapshotFacts, sealed: &SealedFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (level, code) in [(Level::Intact, Code::DigestDiffers), (Level::Restored, Code::DrillDiffers)] {
        let records = sealed.proofs.iter().filter(|record| {
            record.level == level
                && record.snapshot == snapshot.id
                && record.manifest_sha256 == sealed.manifest_sha256
        });
        if let Some(newest) = records.max_by_key(|record| record.at)
            && let Outcome::Disproven { reason } = &newest.result
        {
            findings.push(Finding::new(code, id, format!("{reason} (found {} by {})", newest.at, newest.by)));
        }
    }
    findings
}

/// Whether a run that may still be going on makes this snapshot: it began within its time limit and has not ended.
fn may_run(world: &World<'_>, history: &History<'_>, row: &CoverageRow, id: SnapshotId) -> bool {
    let ended = history.of(&row.set).iter().any(|entry| match &entry.event {
        JournalEvent::Finished { snapshot, .. } => *snapshot == id,
        JournalEvent::Started { .. }
        | JournalEvent::Sealed { .. }
        | JournalEvent::Skipped { .. }
        | JournalEvent::Held { .. }
        | JournalEvent::Removing { .. }
        | JournalEvent::Proved { .. } => false,
    });
    let set = world.plan.sets.get(&row.set).expect("a row's set is declared");
    let limit = world.plan.time_limit(set).signed();
    let newest = world.snapshots(&row.set, &row.destination).and_then(<[_]>::last);
    !ended
        && newest.is_some_and(|newest| newest.id == id)
        && world.now.duration_since(id.started_at()) <= limit
}

/// Incomplete snapshots that no complete one has followed.
fn incomplete(row: &CoverageRow, snapshots: &[SnapshotFacts]) -> Vec<Finding> {
    let newer = snapshots.iter().filter(|it| row.newest.is_none_or(|newest| it.id > newest));
    let incomplete =
        newer.filter_map(|it| Some((it.id, sealed(it)?))).filter(|(_, it)| !it.manifest.complete);
    incomplete
        .map(|(id, sealed)| {
            let failed = &sealed.manifest.failed;
            let members: Vec<_> = failed.iter().map(|it| format!("{}: {}", it.name, it.reason)).collect();
            Finding::new(Code::SnapshotIncomplete, id.to_string(), members.join("; "))
        })
        .collect()
}

/// Compares what is listed with what the journal and the next manifest remember.
fn tampering(history: &History<'_>, row: &CoverageRow, snapshots: &[SnapshotFacts]) -> Vec<Finding> {
    let remembered = history.remembered(&row.set, &row.destination);
    let listed: BTreeMap<SnapshotId, &SnapshotFacts> = snapshots.iter().map(|it| (it.id, it)).collect();
    let mut findings = Vec::new();
    let mut told = BTreeSet::new();
    for (id, digest) in &remembered {
        let (code, evidence) = match listed.get(id).map(|it| &it.state) {
            None => {
                (Code::SnapshotGone, "the journal says that it was sealed here and never removed".to_owned())
            }
            Some(SnapshotState::Unsealed) => (
                Code::SnapshotGone,
                "the journal says that it was sealed here, and its manifest is gone".to_owned(),
            ),
            Some(SnapshotState::Sealed(sealed)) if sealed.manifest_sha256 != *digest => {
                (Code::SnapshotChanged, changed_words("the journal", *digest, sealed.manifest_sha256))
            }
            Some(
                SnapshotState::Sealed(_)
                | SnapshotState::NotRead
                | SnapshotState::NeverRestored
                | SnapshotState::Damaged(_),
            ) => continue,
        };
        told.insert(*id);
        findings.push(Finding::new(code, id.to_string(), evidence));
    }
    // Sequences without a gap leave no room for a snapshot between that was removed.
    for pair in snapshots.windows(2) {
        let (Some(earlier), Some(later)) = (sealed(&pair[0]), sealed(&pair[1])) else { continue };
        let adjacent = pair[0].id.sequence() + 1 == pair[1].id.sequence();
        let Some(previous) = later.manifest.previous else { continue };
        if adjacent && previous != earlier.manifest_sha256 && !told.contains(&pair[0].id) {
            let evidence = changed_words(&pair[1].id.to_string(), previous, earlier.manifest_sha256);
            findings.push(Finding::new(Code::SnapshotChanged, pair[0].id.to_string(), evidence));
        }
    }
    findings
}

fn changed_words(who: &str, remembered: Digest, found: Digest) -> String {
    format!("{who} remembers manifest {remembered}, and {found} is there")
}
