//! Stored bytes read back and compared: the level `intact`.

use super::history::newest_complete;
use super::site::{Copy, Depth, Site, sidecars};
use super::{journal, lock};
use crate::decide::{candidates, retention};
use crate::declared::{DestinationName, Plan, SetDeclaration, SetName, Span};
use crate::destinations::DestinationError;
use crate::diagnostic::{Diagnostic, causes};
use crate::format::{Counts, Key, Level, Outcome, ProofRecord, Trigger};
use crate::host::Host;
use crate::observed::{JournalEvent, SealedFacts, SnapshotFacts, SnapshotState};
use crate::pipeline::{self, ReadBackError};
use crate::schedulers::Places;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Why a proof was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unproven {
    /// It does not hold.
    Disproven(String),
    /// It does not hold, because the stored bytes are not those that were made, or are not there.
    BytesDiffer(String),
    /// It could not be told.
    CouldNotTell(String),
}

/// What a run proves beyond its own snapshot.
pub struct Due {
    /// The new snapshot is drilled.
    pub drill: bool,
    /// Older snapshots that are read back.
    pub read_again: Vec<Copy>,
}

/// The newest time at which a level held for a snapshot: a drill proves the bytes too.
pub fn proven_at(sealed: &SealedFacts, level: Level) -> Option<Timestamp> {
    let of_proofs = sealed
        .proofs
        .iter()
        .filter(|proof| {
            proof.manifest_sha256 == sealed.manifest_sha256
                && proof.level >= level
                && proof.result == Outcome::Proven
        })
        .map(|proof| proof.at);
    let read_back =
        (level == Level::Intact).then(|| sealed.manifest.members.iter().map(|it| it.read_back_at).min());
    of_proofs.chain(read_back.flatten()).max()
}

/// What the newest proof of a level found wrong, and when; none where it held, or there is none. What could not be read
/// back cannot be restored, but what could not be restored may still be the bytes that were made.
pub fn disproven_at(sealed: &SealedFacts, level: Level) -> Option<(Timestamp, &str)> {
    let of_this = sealed.proofs.iter().filter(|proof| proof.manifest_sha256 == sealed.manifest_sha256);
    let newest = of_this.filter(|proof| match &proof.result {
        Outcome::Proven => proof.level >= level,
        Outcome::Disproven { .. } => proof.level <= level,
    });
    match newest.max_by_key(|proof| proof.at) {
        Some(proof) => match &proof.result {
            Outcome::Disproven { reason } => Some((proof.at, reason)),
            Outcome::Proven => None,
        },
        None => None,
    }
}

impl Due {
    /// Decides for a destination at which a snapshot was just sealed: a drill where the last one would be too old
    /// before the next run, and the share of the kept snapshots whose turn it is to be read again.
    pub fn of(
        now: Timestamp,
        plan: &Plan,
        set: &SetDeclaration,
        (destination, history): (&DestinationName, &[SnapshotFacts]),
        trigger: Trigger,
    ) -> Self {
        let prove = plan.prove(set, destination);
        let calendar = plan.calendar(set);
        let next = calendar.next_after(now).unwrap_or(now);
        let next = next.saturating_add(plan.grace(set).signed()).unwrap_or(next);
        // A proof goes with its snapshot: what retention is about to take, or was disproven, counts no more.
        let zone = plan.timezone(set).zone();
        let mut standing = candidates(history, plan.level_provable_here(destination));
        let verdicts = retention(plan.retention(set, destination), &zone, &standing, now);
        standing
            .retain(|it| it.verified && verdicts.iter().any(|verdict| verdict.id == it.id && verdict.keep));
        let restored = history
            .iter()
            .filter(|snapshot| standing.iter().any(|it| it.id == snapshot.id))
            .filter_map(sealed)
            .filter_map(|it| proven_at(it, Level::Restored))
            .max();
        let expires =
            |at: Timestamp| at.saturating_add(prove.restored_age_max().signed()).unwrap_or(at) <= next;
        let drill = trigger == Trigger::Trial || restored.is_none_or(expires);
        Self { drill, read_again: share(history, prove.intact_age_max(), calendar.period_min(), now) }
    }
}

fn sealed(snapshot: &SnapshotFacts) -> Option<&SealedFacts> {
    match &snapshot.state {
        SnapshotState::Sealed(sealed) => Some(sealed),
        SnapshotState::NotRead
        | SnapshotState::NeverRestored
        | SnapshotState::Unsealed
        | SnapshotState::Damaged(_) => None,
    }
}

/// The kept snapshots whose turn it is, the longest unread first: those that have lived half of the age unread, and so
/// many of them in each run that all are read before it is over. The newest was read back just now.
fn share(history: &[SnapshotFacts], age: Span, period: Span, now: Timestamp) -> Vec<Copy> {
    let newest = newest_complete(history).map(|(snapshot, _)| snapshot.id);
    let mut older: Vec<(Option<Timestamp>, Copy)> = history
        .iter()
        .filter(|snapshot| Some(snapshot.id) != newest)
        .filter_map(|snapshot| {
            let sealed = sealed(snapshot)?;
            // What was disproven is known: reading it once more would take another one's turn.
            let last = sealed.proofs.iter().rfind(|proof| proof.manifest_sha256 == sealed.manifest_sha256);
            if last.is_some_and(|proof| proof.result != Outcome::Proven) {
                return None;
            }
            let read_at = proven_at(sealed, Level::Intact);
            Some((read_at, Copy { id: snapshot.id, stored_as: snapshot.stored_as.clone() }))
        })
        .collect();
    older.sort_by_key(|(read_at, copy)| (*read_at, copy.id));
    let half = Span::from_seconds(age.seconds() / 2);
    let runs = usize::try_from((half.seconds() / period.seconds()).max(1)).unwrap_or(usize::MAX);
    let count = older.len().div_ceil(runs);
    let due = |read_at: Option<Timestamp>| read_at.is_none_or(|at| now.duration_since(at) >= half.signed());
    older.into_iter().filter(|(read_at, _)| due(*read_at)).take(count).map(|(_, copy)| copy).collect()
}

/// Reads every object of a snapshot back and compares; the proof, or what disproves it, is written beside the
/// manifest.
pub fn one(
    host: &dyn Host,
    places: &Places,
    site: &Site,
    set: &SetName,
    copy: &Copy,
) -> Result<(), Box<Diagnostic>> {
    let result = read_back(host, places, site, set, copy);
    let (sealed, outcome) = match result {
        Ok(sealed) => (Some(sealed), Ok(())),
        Err((sealed, unproven)) => (sealed, Err(unproven)),
    };
    conclude(
        host,
        places,
        (site, set, copy),
        Level::Intact,
        sealed.as_ref(),
        outcome.map(|()| Shown::default()),
    )
}

type Failed = (Option<SealedFacts>, Unproven);

/// The manifest of a snapshot that was looked into, or why there is none to prove.
pub fn sealed_of(seen: Result<SnapshotFacts, DestinationError>) -> Result<SealedFacts, Failed> {
    let seen = seen.map_err(|error| (None, Unproven::CouldNotTell(chain(&error))))?;
    match seen.state {
        SnapshotState::Sealed(sealed) => Ok(*sealed),
        SnapshotState::Damaged(diagnostic) => Err((None, Unproven::Disproven(diagnostic.sentence()))),
        SnapshotState::Unsealed | SnapshotState::NotRead | SnapshotState::NeverRestored => {
            Err((None, Unproven::Disproven("it has no manifest: it is no snapshot".to_owned())))
        }
    }
}

/// An error with its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let below = causes(error);
    if below.is_empty() { error.to_string() } else { format!("{error}: {below}") }
}

/// A read-back's error as what it says about the proof.
pub fn unproven(error: &ReadBackError) -> Unproven {
    match error {
        ReadBackError::Differs { .. } | ReadBackError::Missing { .. } => Unproven::BytesDiffer(chain(error)),
        ReadBackError::Unreadable { .. } | ReadBackError::NotOpened { .. } => {
            Unproven::CouldNotTell(chain(error))
        }
    }
}

fn read_back(
    host: &dyn Host,
    places: &Places,
    site: &Site,
    set: &SetName,
    copy: &Copy,
) -> Result<SealedFacts, Failed> {
    let _lock = lock::snapshot_shared(host, &places.state, set, &copy.id)
        .map_err(|error| (None, Unproven::CouldNotTell(error.diagnostic().sentence())))?;
    // The bytes are proven as they are stored: nothing needs to be opened for it.
    let sealed = sealed_of(site.seen(copy, Depth::Manifest))?;
    let known = journal::sealed(host, &places.state, set, &site.name, copy.id);
    if let Some(known) = known.filter(|known| *known != sealed.manifest_sha256) {
        let reason = format!("its manifest is not the one with which it was sealed here ({known})");
        return Err((Some(sealed), Unproven::Disproven(reason)));
    }
    for (object, stored) in sealed.manifest.objects() {
        let key = site.layout.artifact(&copy.stored_as, &copy.id, object);
        if let Err(error) = pipeline::read_back(&*site.target, &key, stored) {
            return Err((Some(sealed.clone()), unproven(&error)));
        }
    }
    if let Err(unproven) = check_sidecars(site, copy, &sealed) {
        return Err((Some(sealed.clone()), unproven));
    }
    Ok(sealed)
}

/// The sidecars say what the manifest says, and the manifest's own says that the manifest is the one that was sealed.
fn check_sidecars(site: &Site, copy: &Copy, sealed: &SealedFacts) -> Result<(), Unproven> {
    let keyed = sidecars(&sealed.manifest, sealed.manifest_sha256)
        .map(|(object, text)| (site.layout.artifact(&copy.stored_as, &copy.id, &object), text));
    let keyed: Vec<(Key, Vec<u8>)> = keyed.collect();
    let bytes_max = keyed.iter().map(|(_, text)| text.len() as u64).max().unwrap_or_default();
    let mut shelf = site.shelf(&keyed.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), bytes_max);
    for (key, expected) in keyed {
        match site.read(&key, &mut shelf) {
            Ok(found) if found == expected => {}
            Ok(_) => {
                let reason = format!("`{key}` does not say the digest of what lies beside it");
                return Err(Unproven::Disproven(reason));
            }
            Err(DestinationError::NotFound { .. }) => {
                return Err(Unproven::Disproven(format!("`{key}` is missing")));
            }
            Err(error) => return Err(Unproven::CouldNotTell(chain(&error))),
        }
    }
    Ok(())
}

/// What a proof shows beyond its level.
#[derive(Debug, Default)]
pub struct Shown {
    /// What came back, for each member.
    pub counts: BTreeMap<String, Counts>,
    /// What it does not prove.
    pub limits: Vec<String>,
}

/// Writes down what a verify or a drill found, and gives it to people.
pub fn conclude(
    host: &dyn Host,
    places: &Places,
    (site, set, copy): (&Site, &SetName, &Copy),
    level: Level,
    sealed: Option<&SealedFacts>,
    outcome: Result<Shown, Unproven>,
) -> Result<(), Box<Diagnostic>> {
    let what = format!("set `{set}`, destination `{}`, snapshot {}", site.name, copy.id);
    let could_not_tell = |why: String| {
        Diagnostic::new("proof could not be made", what.clone())
            .why(why)
            .fix("mend what is in the way and try again")
    };
    let (Shown { counts, limits }, disproven) = match outcome {
        Ok(shown) => (shown, None),
        Err(Unproven::Disproven(reason) | Unproven::BytesDiffer(reason)) => (Shown::default(), Some(reason)),
        Err(Unproven::CouldNotTell(why)) => return Err(Box::new(could_not_tell(why))),
    };
    if let Some(sealed) = sealed {
        let at = host.now();
        let record = ProofRecord {
            format: ProofRecord::FORMAT,
            bkp_version: env!("CARGO_PKG_VERSION").to_owned(),
            by: host.host_name(),
            level,
            at,
            set: set.clone(),
            snapshot: copy.id,
            manifest_sha256: sealed.manifest_sha256,
            result: disproven.clone().map_or(Outcome::Proven, |reason| Outcome::Disproven { reason }),
            counts,
            limits,
        };
        let record = if sealed.manifest.encryption.is_some() { concealed(record) } else { record };
        let bytes = serde_json::to_vec_pretty(&record).expect("a proof has only string keys");
        let key = site.layout.proof(&copy.stored_as, &copy.id, at, level);
        pipeline::store_bytes(host, &*site.target, &key, &bytes).map_err(|error| {
            let found = disproven
                .as_ref()
                .map_or("it holds".to_owned(), |reason| format!("it does not hold ({reason})"));
            could_not_tell(format!("{found}, and that could not be written down there: {}", chain(&error)))
        })?;
    }
    let event = JournalEvent::Proved {
        snapshot: copy.id,
        destination: site.name.clone(),
        level,
        disproven: disproven.clone(),
    };
    journal::write(host, &places.state, set, event).map_err(|error| Box::new(error.diagnostic()))?;
    match disproven {
        None => Ok(()),
        Some(reason) => Err(Box::new(
            Diagnostic::new(DISPROVEN, what)
                .why(reason)
                .fix(format!("keep the other snapshots, and run `bkp run {set}` for a new one")),
        )),
    }
}

/// A proof as it may lie where everybody can read it: that it holds or does not, and nothing of what is in the data.
fn concealed(record: ProofRecord) -> ProofRecord {
    let result = match record.result {
        Outcome::Proven => Outcome::Proven,
        Outcome::Disproven { .. } => {
            Outcome::Disproven { reason: "the reason is in the journal of the host that looked".to_owned() }
        }
    };
    ProofRecord { result, counts: BTreeMap::new(), limits: Vec::new(), ..record }
}

/// The summary of a proof that does not hold; any other summary means that it could not be told.
pub const DISPROVEN: &str = "snapshot disproven";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing;
    use crate::format::{Digest, SnapshotId};

    const DAY: Span = Span::from_days(1);

    fn at(day: i64) -> Timestamp {
        testing::at("2026-01-01T03:00:00Z") + jiff::SignedDuration::from_hours(24 * day)
    }

    fn snapshot(day: i64) -> SnapshotFacts {
        let id = SnapshotId::new(at(day), u64::try_from(day).expect("a day") + 1);
        let mut manifest = testing::manifest(id, at(day), None);
        for member in &mut manifest.members {
            member.read_back_at = at(day);
        }
        let manifest_sha256 = Digest::of(&manifest.render());
        let objects = crate::observed::ObjectsState::AllPresent;
        let sealed =
            SealedFacts { manifest_sha256, manifest, objects, proofs: Vec::new(), archived: Vec::new() };
        SnapshotFacts { id, stored_as: testing::set(), state: SnapshotState::Sealed(Box::new(sealed)) }
    }

    fn read_again(snapshot: &mut SnapshotFacts, day: i64) {
        let SnapshotState::Sealed(sealed) = &mut snapshot.state else { return };
        sealed.proofs.push(ProofRecord {
            format: ProofRecord::FORMAT,
            bkp_version: String::new(),
            by: String::new(),
            level: Level::Intact,
            at: at(day),
            set: testing::set(),
            snapshot: snapshot.id,
            manifest_sha256: sealed.manifest_sha256,
            result: Outcome::Proven,
            counts: BTreeMap::new(),
            limits: Vec::new(),
        });
    }

    /// Plays `days` daily runs with retention by count, and gives the oldest that a kept snapshot's read ever was.
    fn oldest_read(kept: usize, days: i64, age: Span) -> jiff::SignedDuration {
        let mut history: Vec<SnapshotFacts> = Vec::new();
        let mut oldest = jiff::SignedDuration::ZERO;
        for day in 0..days {
            history.push(snapshot(day));
            for copy in share(&history, age, DAY, at(day)) {
                read_again(history.iter_mut().find(|it| it.id == copy.id).expect("it is kept"), day);
            }
            if history.len() > kept {
                history.remove(0);
            }
            for snapshot in &history {
                let read = proven_at(sealed(snapshot).expect("sealed"), Level::Intact).expect("read back");
                oldest = oldest.max(at(day).duration_since(read));
            }
        }
        oldest
    }

    #[test]
    fn every_kept_snapshot_is_read_again_within_the_age() {
        for kept in [1, 7, 29, 60, 200] {
            let age = Span::from_days(30);
            assert!(oldest_read(kept, 400, age) <= age.signed(), "{kept} kept");
        }
    }
}
