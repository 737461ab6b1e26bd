//! The coverage table: each set at each destination, level by level.
//!
//! A destination never inherits another's proof, and a level that was not looked at is unknown.

use super::CLOCK_SLACK;
use super::age::ago;
use super::finding::FindingCode as Code;
use super::freshness::{Freshness, freshness};
use super::scheduled::examine;
use super::world::{Seen, World, sealed};
use crate::declared::{DestinationName, SetDeclaration, SetName, Span};
use crate::format::{Level, Outcome, SnapshotId};
use crate::observed::{ObjectsState, SealedFacts, SnapshotFacts, SnapshotState};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// How far a level is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LevelState {
    /// It is, since then.
    Proven {
        /// When it was proven.
        at: Timestamp,
        /// By what.
        evidence: String,
    },
    /// It was, and the proof is older than the plan allows.
    Expired {
        /// When it was proven.
        at: Timestamp,
        /// By what.
        evidence: String,
    },
    /// We looked, and there is no proof.
    Unproven {
        /// What is missing.
        reason: String,
    },
    /// We looked, and it is not so.
    Disproven {
        /// When that was found.
        at: Timestamp,
        /// What was found.
        reason: String,
    },
    /// We could not look.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl LevelState {
    /// Whether it is proven, and the proof is young enough.
    pub fn is_proven(&self) -> bool {
        match self {
            Self::Proven { .. } => true,
            Self::Expired { .. } | Self::Unproven { .. } | Self::Disproven { .. } | Self::Unknown { .. } => {
                false
            }
        }
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// One word: `proven`, `expired`, `unproven`, `disproven` or `unknown`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Proven { .. } => "proven",
            Self::Expired { .. } => "expired",
            Self::Unproven { .. } => "unproven",
            Self::Disproven { .. } => "disproven",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// When it was proven or disproven.
    pub fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Proven { at, .. } | Self::Expired { at, .. } | Self::Disproven { at, .. } => Some(*at),
            Self::Unproven { .. } | Self::Unknown { .. } => None,
        }
    }

    /// The evidence or the reason.
    pub fn text(&self) -> &str {
        match self {
            Self::Proven { evidence, .. } | Self::Expired { evidence, .. } => evidence,
            Self::Unproven { reason } | Self::Disproven { reason, .. } | Self::Unknown { reason } => reason,
        }
    }

    fn unproven(reason: impl Into<String>) -> Self {
        Self::Unproven { reason: reason.into() }
    }

    fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { reason: reason.into() }
    }
}

/// One set at one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageRow {
    /// The set.
    pub set: SetName,
    /// The destination.
    pub destination: DestinationName,
    /// Every level of the ladder.
    pub levels: BTreeMap<Level, LevelState>,
    /// The newest complete snapshot.
    pub newest: Option<SnapshotId>,
    /// When the scheduler starts the set next; none when that is not known.
    pub next_run: Option<Timestamp>,
    /// Stored bytes of the newest complete snapshot.
    pub size_bytes: Option<u64>,
    /// Stored bytes of the complete snapshot before it that was read.
    pub previous_size_bytes: Option<u64>,
    /// Snapshots at the destination, sealed or not; none when that is not known.
    pub snapshots: Option<usize>,
    /// Until when and why the set is paused, while it is.
    pub paused: Option<String>,
}

impl CoverageRow {
    /// A level's state.
    pub fn level(&self, level: Level) -> &LevelState {
        self.levels.get(&level).expect("a row has every level")
    }
}

/// Draws up the table, by set and then in the order in which the set names its destinations.
pub fn coverage(world: &World<'_>) -> Vec<CoverageRow> {
    let mut rows = Vec::new();
    for (name, set) in &world.plan.sets {
        let (scheduled, next_run) = scheduled_level(world, name);
        for destination in world.plan.destinations_of(set) {
            rows.push(row(world, name, set, destination, scheduled.clone(), next_run));
        }
    }
    rows
}

fn row(
    world: &World<'_>,
    name: &SetName,
    set: &SetDeclaration,
    destination: &DestinationName,
    scheduled: LevelState,
    next_run: Option<Timestamp>,
) -> CoverageRow {
    let declared =
        LevelState::Proven { at: world.facts.observed_at, evidence: "in the plan file".to_owned() };
    let paused = world.paused(set).map(|pause| format!("paused until {}: {}", pause.until, pause.reason));
    let mut row = CoverageRow {
        set: name.clone(),
        destination: destination.clone(),
        levels: BTreeMap::from([(Level::Declared, declared), (Level::Scheduled, scheduled)]),
        newest: None,
        next_run,
        size_bytes: None,
        previous_size_bytes: None,
        snapshots: None,
        paused,
    };
    let Some(snapshots) = world.snapshots(name, destination) else {
        let reason = match world.destination(destination) {
            Seen::Unknown(diagnostic) => diagnostic.sentence(),
            Seen::Absent | Seen::Present(_) => {
                format!("the marker of `{destination}` is not there: a file system may not be mounted")
            }
            Seen::NotSupplied => format!("destination `{destination}` was not observed"),
        };
        for level in [Level::Stored, Level::Intact, Level::Restored] {
            row.levels.insert(level, LevelState::unknown(reason.clone()));
        }
        return row;
    };
    row.snapshots = Some(snapshots.len());
    let mut complete = snapshots
        .iter()
        .rev()
        .filter_map(|it| Some((it, sealed(it)?)))
        .filter(|(_, it)| it.manifest.complete);
    let newest = complete.next();
    row.newest = newest.map(|(snapshot, _)| snapshot.id);
    row.size_bytes = newest.map(|(_, sealed)| sealed.manifest.stored_bytes());
    row.previous_size_bytes = complete.next().map(|(_, sealed)| sealed.manifest.stored_bytes());
    if let Some((snapshot, sealed)) = newest.filter(|(_, sealed)| sealed.manifest.plan != world.plan.name) {
        // It may be of other data: nothing that it proves is proven of what this plan declares.
        let reason = format!("{} is plan `{}`'s", snapshot.id, sealed.manifest.plan);
        for level in [Level::Stored, Level::Intact, Level::Restored] {
            row.levels.insert(level, LevelState::unproven(reason.clone()));
        }
        return row;
    }
    row.levels.insert(Level::Stored, stored(world, set, destination, snapshots, newest));
    let prove = world.plan.prove(set, destination);
    for (level, age_max) in
        [(Level::Intact, prove.intact_age_max()), (Level::Restored, prove.restored_age_max())]
    {
        let state = proof_level(world, level, age_max, snapshots);
        let archived = newest.filter(|(_, sealed)| !sealed.archived.is_empty());
        row.levels.insert(level, archived.map_or(state.clone(), |newest| unverifiable(state, newest)));
    }
    row
}

/// What cannot be read without being brought back first cannot be told to be intact, whatever was proven before.
fn unverifiable(state: LevelState, (snapshot, sealed): (&SnapshotFacts, &SealedFacts)) -> LevelState {
    match state {
        LevelState::Disproven { .. } => state,
        LevelState::Proven { .. }
        | LevelState::Expired { .. }
        | LevelState::Unproven { .. }
        | LevelState::Unknown { .. } => {
            let objects = sealed.archived.join(", ");
            LevelState::unknown(format!("unverifiable: {objects} of {} lies in an archive tier", snapshot.id))
        }
    }
}

fn scheduled_level(world: &World<'_>, name: &SetName) -> (LevelState, Option<Timestamp>) {
    let Some(wanted) = world.wanted(name) else {
        return (LevelState::unknown("no job was derived for the set"), None);
    };
    let job = examine(world, wanted);
    let reasons = |unknown: bool| {
        let faults = job.faults.iter().filter(|it| (it.code == Code::CouldNotLook) == unknown);
        faults.map(|it| it.evidence.as_str()).collect::<Vec<_>>().join("; ")
    };
    let (faults, unknown) = (reasons(false), reasons(true));
    let level = if !faults.is_empty() {
        LevelState::unproven(faults)
    } else if !unknown.is_empty() {
        LevelState::unknown(unknown)
    } else if !job.lingers {
        LevelState::unproven("the user does not linger: timers run only while it is logged in")
    } else {
        let evidence = match job.next_elapse {
            Some(next) => format!("next elapse {next}"),
            None => "running now".to_owned(),
        };
        LevelState::Proven { at: job.observed_at.unwrap_or(world.facts.observed_at), evidence }
    };
    // A job that asks first is started when no run is due, too.
    let asks = wanted.argv.iter().any(|word| word == "--if-due");
    let set = world.plan.sets.get(name).filter(|_| asks);
    let due = set.and_then(|set| world.plan.calendar(set).next_after(world.now));
    (level, job.next_elapse.map(|elapse| due.map_or(elapse, |due| due.max(elapse))))
}

fn stored(
    world: &World<'_>,
    set: &SetDeclaration,
    destination: &DestinationName,
    snapshots: &[SnapshotFacts],
    newest: Option<(&SnapshotFacts, &SealedFacts)>,
) -> LevelState {
    let unread = snapshots.iter().rev().find(|it| is_unread(it)).map(|it| it.id);
    let Some((snapshot, sealed)) = newest else {
        return match (snapshots.len(), unread) {
            (0, _) => LevelState::unproven("no snapshot"),
            (_, Some(id)) => LevelState::unknown(format!("the manifest of {id} was not read")),
            (count, None) => LevelState::unproven(format!("{count} snapshots, none of them complete")),
        };
    };
    if let Some(id) = unread.filter(|id| *id > snapshot.id) {
        return LevelState::unknown(format!("the manifest of {id} was not read"));
    }
    let (id, at) = (snapshot.id, sealed.manifest.started_at);
    if at > world.now + CLOCK_SLACK {
        return LevelState::unknown(format!("{id} is dated in the future: its age cannot be told"));
    }
    match &sealed.objects {
        ObjectsState::NotListed => {
            return LevelState::unknown(format!("the objects of {id} were not listed"));
        }
        ObjectsState::Wrong { missing, resized } => {
            let looked_at = world.facts.destinations.get(destination).map_or(world.now, |fact| fact.at);
            let named = |word: &str, names: &[String]| {
                (!names.is_empty()).then(|| format!("{word}: {}", names.join(", ")))
            };
            let parts: Vec<_> = [named("missing", missing), named("of the wrong size", resized)]
                .into_iter()
                .flatten()
                .collect();
            return LevelState::Disproven { at: looked_at, reason: format!("{id}: {}", parts.join("; ")) };
        }
        ObjectsState::AllPresent => {}
    }
    match set_freshness(world, set, at) {
        Freshness::Fresh => LevelState::Proven { at, evidence: id.to_string() },
        Freshness::Overdue { expected, since } => LevelState::Expired {
            at,
            evidence: format!(
                "{id}; the run due {} did not follow, overdue since {}",
                ago(expected, world.now),
                ago(since, world.now)
            ),
        },
    }
}

/// A snapshot's freshness; runs that fell into a pause were not expected.
fn set_freshness(world: &World<'_>, set: &SetDeclaration, at: Timestamp) -> Freshness {
    let zone = world.plan.timezone(set).zone();
    let pause_end = set.pause.as_ref().and_then(|pause| {
        let end = pause.until.to_zoned(zone.clone()).ok()?;
        Some(end.timestamp())
    });
    if world.paused(set).is_some() {
        return Freshness::Fresh;
    }
    let basis = pause_end.map_or(at, |end| at.max(end));
    freshness(&world.plan.calendar(set), world.plan.grace(set), basis, world.now)
}

/// One thing that was found out about a snapshot's bytes.
struct Evidence {
    /// When it was found out.
    of: Timestamp,
    /// When that held last, or was found to hold no more.
    at: Timestamp,
    snapshot: SnapshotId,
    disproven: Option<String>,
    words: &'static str,
}

/// What the manifest and the proofs beside it say of a level.
fn evidence(level: Level, snapshot: &SnapshotFacts, sealed: &SealedFacts) -> Vec<Evidence> {
    let mut all = Vec::new();
    // The manifest is written after every artifact was read back; the oldest read-back speaks for all.
    if level == Level::Intact
        && let Some(at) = sealed.manifest.members.iter().map(|member| member.read_back_at).min()
    {
        let words = "read back by its run";
        all.push(Evidence { of: at, at, snapshot: snapshot.id, disproven: None, words });
    }
    for record in &sealed.proofs {
        let same = record.manifest_sha256 == sealed.manifest_sha256 && record.snapshot == snapshot.id;
        let disproven = match &record.result {
            Outcome::Proven => None,
            Outcome::Disproven { reason } => Some(reason.clone()),
        };
        // What was restored was read; what could not be restored may still be the bytes that were made.
        let speaks = record.level == level
            || (record.level == Level::Restored && level == Level::Intact && disproven.is_none());
        if same && speaks {
            let words = if record.level == Level::Restored { "restored" } else { "read back" };
            all.push(Evidence { of: record.at, at: record.at, snapshot: snapshot.id, disproven, words });
        }
    }
    if level == Level::Restored
        && let Some((at, reason)) = damaged_since(sealed)
    {
        // What came back once and is not what was made any more does not come back again.
        for proof in all.iter_mut().filter(|it| it.disproven.is_none() && it.at < at) {
            (proof.at, proof.disproven) = (at, Some(reason.to_owned()));
        }
    }
    all
}

/// What the newest proof of a snapshot's bytes found wrong with them, and when.
fn damaged_since(sealed: &SealedFacts) -> Option<(Timestamp, &str)> {
    let ours = sealed.proofs.iter().filter(|it| it.manifest_sha256 == sealed.manifest_sha256);
    let newest = ours.filter(|it| it.level == Level::Intact).max_by_key(|it| it.at)?;
    match &newest.result {
        Outcome::Proven => None,
        Outcome::Disproven { reason } => Some((newest.at, reason)),
    }
}

fn is_unread(snapshot: &SnapshotFacts) -> bool {
    matches!(snapshot.state, SnapshotState::NotRead | SnapshotState::NeverRestored)
}

fn proof_level(world: &World<'_>, level: Level, age_max: Span, snapshots: &[SnapshotFacts]) -> LevelState {
    let all: Vec<Evidence> = snapshots
        .iter()
        .filter_map(|snapshot| Some((snapshot, sealed(snapshot)?)))
        .filter(|(_, sealed)| sealed.manifest.complete)
        .flat_map(|(snapshot, sealed)| evidence(level, snapshot, sealed))
        .collect();
    let trusted = all.iter().filter(|it| it.at <= world.now + CLOCK_SLACK);
    let Some(newest) = trusted.max_by_key(|it| (it.of, it.disproven.is_some())) else {
        let verb = if level == Level::Restored { "restored" } else { "read back" };
        // A listing tells that there is no proof of a restore.
        let tells = |it: &SnapshotFacts| level == Level::Restored && it.state == SnapshotState::NeverRestored;
        return if !all.is_empty() {
            LevelState::unknown("the only proofs are dated in the future")
        } else if let Some(unread) = snapshots.iter().find(|it| is_unread(it) && !tells(it)) {
            LevelState::unknown(format!("the manifest of {} was not read", unread.id))
        } else if snapshots.is_empty() {
            LevelState::unproven("no snapshot")
        } else {
            LevelState::unproven(format!("never {verb}"))
        };
    };
    let at = newest.at;
    if let Some(reason) = &newest.disproven {
        return LevelState::Disproven { at, reason: format!("{}: {reason}", newest.snapshot) };
    }
    let evidence = format!("{} {}", newest.snapshot, newest.words);
    if world.now.duration_since(at) <= age_max.signed() {
        LevelState::Proven { at, evidence }
    } else {
        LevelState::Expired { at, evidence: format!("{evidence}, and a proof may be {age_max} old") }
    }
}

#[cfg(test)]
mod tests;
