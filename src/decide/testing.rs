//! A healthy world built by hand, for tests: each test breaks one thing in it.

mod parts;
use parts::{facts, plan};

pub(crate) use parts::{
    declaration, destination_declaration, installed, manifest, remote_declaration, seen, wanted,
};

use super::world::{WantedJob, World};
use crate::declared::{DestinationName, Plan, SetDeclaration, SetName};
use crate::format::{Digest, Level, Outcome, ProofRecord, SnapshotId, Trigger};
use crate::observed::{
    DaemonFacts, DestinationFacts, Fact, Facts, InstalledJob, InstalledPlan, JobName, JournalEntry,
    JournalEvent, JournalFacts, ObjectsState, Observed, PathFacts, RunOutcome, SchedulerFacts, SchedulerKind,
    SealedFacts, SnapshotFacts, SnapshotState, SourceFacts, TimerState,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) const PLAN_TEXT: &str = "version: 1\n";

/// What a test may change before it asks for the world.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub plan: Plan,
    pub facts: Facts,
    pub jobs: Vec<WantedJob>,
    pub others: Vec<Plan>,
    pub now: Timestamp,
}

impl Scene {
    /// A machine on which set `orders` is backed up nightly to `local` by systemd, everything proven this night.
    pub(crate) fn healthy() -> Self {
        let now = at("2026-11-20T12:00:00Z");
        let plan = plan();
        let jobs: Vec<_> = [JobName::Set(set()), JobName::Audit(plan.name.clone())].map(wanted).into();
        let mut scene = Self { facts: facts(now), plan, jobs, others: Vec::new(), now };
        for day in [18, 19, 20] {
            scene.add_snapshot(at(&format!("2026-11-{day}T03:00:00Z")));
        }
        scene.install_all();
        scene
    }

    /// The same with nothing installed and nothing stored.
    pub(crate) fn fresh() -> Self {
        let mut scene = Self::healthy();
        scene.scheduler().jobs.clear();
        scene.facts.plans.clear();
        scene.facts.journal = Some(Fact::new(scene.now, "read", Observed::Absent));
        *scene.destination() =
            DestinationFacts { prepared: false, sets: BTreeMap::new(), ..scene.destination().clone() };
        scene
    }

    pub(crate) fn world(&self) -> World<'_> {
        World {
            plan: &self.plan,
            plan_text: Some(PLAN_TEXT),
            facts: &self.facts,
            jobs: &self.jobs,
            installed_others: &self.others,
            now: self.now,
        }
    }

    pub(crate) fn scheduler(&mut self) -> &mut SchedulerFacts {
        present(&mut self.facts.schedulers.get_mut(&SchedulerKind::Systemd).expect("systemd").observed)
    }

    /// The set's installed job.
    pub(crate) fn job(&mut self) -> &mut InstalledJob {
        let name = JobName::Set(set());
        self.scheduler().jobs.iter_mut().find(|job| job.name == name).expect("the set's job")
    }

    pub(crate) fn timer(&mut self) -> &mut TimerState {
        self.job().timer.as_mut().expect("a timer")
    }

    pub(crate) fn destination(&mut self) -> &mut DestinationFacts {
        present(&mut self.facts.destinations.get_mut(&local()).expect("local").observed)
    }

    pub(crate) fn source(&mut self) -> &mut SourceFacts {
        present(&mut self.facts.sources.get_mut(&set()).expect("orders").observed)
    }

    pub(crate) fn installed_plan(&mut self) -> &mut InstalledPlan {
        present(&mut self.facts.plans.get_mut(&self.plan.name).expect("the plan").observed)
    }

    pub(crate) fn journal(&mut self) -> &mut JournalFacts {
        present(&mut self.facts.journal.as_mut().expect("a journal").observed)
    }

    pub(crate) fn note(&mut self, time: Timestamp, event: JournalEvent) {
        let entry = JournalEntry { format: JournalEntry::FORMAT, at: time, set: set(), event };
        self.journal().entries.push(entry);
    }

    pub(crate) fn declaration(&mut self) -> &mut SetDeclaration {
        self.plan.sets.get_mut(&set()).expect("orders")
    }

    pub(crate) fn snapshots(&mut self) -> &mut Vec<SnapshotFacts> {
        self.destination().sets.entry(set()).or_default()
    }

    pub(crate) fn newest(&mut self) -> &mut SealedFacts {
        match &mut self.snapshots().last_mut().expect("a snapshot").state {
            SnapshotState::Sealed(sealed) => sealed,
            other => panic!("not sealed: {other:?}"),
        }
    }

    /// Adds a path of a role with mode and owner.
    pub(crate) fn path(&mut self, role: &str, mode: u32) {
        let path = PathBuf::from(format!("/etc/bkp/{role}"));
        let facts = PathFacts { path, role: role.to_owned(), set: None, uid: 0, mode, writable_folder: None };
        self.facts.paths.push(Fact::new(self.now, "stat", Observed::Present(facts)));
    }

    /// Adds the next snapshot, complete, drilled and in the journal.
    pub(crate) fn add_snapshot(&mut self, started_at: Timestamp) -> SnapshotId {
        let previous = self.snapshots().last().and_then(|it| match &it.state {
            SnapshotState::Sealed(sealed) => Some(sealed.manifest_sha256),
            SnapshotState::NotRead
            | SnapshotState::NeverRestored
            | SnapshotState::Unsealed
            | SnapshotState::Damaged(_) => None,
        });
        let sequence = self.snapshots().last().map_or(1, |it| it.id.sequence() + 1);
        let id = SnapshotId::new(started_at, sequence);
        let manifest = manifest(id, started_at, previous);
        let manifest_sha256 = Digest::of(&manifest.render());
        let proof = ProofRecord {
            format: ProofRecord::FORMAT,
            bkp_version: "0.1.0".to_owned(),
            by: "observatory".to_owned(),
            level: Level::Restored,
            at: started_at + SignedDuration::from_mins(2),
            set: set(),
            snapshot: id,
            manifest_sha256,
            result: Outcome::Proven,
            counts: BTreeMap::new(),
            limits: Vec::new(),
        };
        let sealed = SealedFacts {
            manifest_sha256,
            manifest,
            objects: ObjectsState::AllPresent,
            proofs: vec![proof],
            archived: Vec::new(),
        };
        let state = SnapshotState::Sealed(Box::new(sealed));
        self.snapshots().push(SnapshotFacts { id, stored_as: set(), state });
        let trigger = Trigger::Schedule;
        self.note(started_at, JournalEvent::Started { snapshot: id, trigger, identity: Vec::new() });
        self.note(
            started_at,
            JournalEvent::Sealed { snapshot: id, destination: local(), manifest_sha256, complete: true },
        );
        self.note(started_at, finished(id, RunOutcome::Complete));
        id
    }

    /// Installs every wanted job as systemd would show it.
    pub(crate) fn install_all(&mut self) {
        let next = at("2026-11-21T03:00:00Z");
        let jobs = self.jobs.iter().map(|wanted| installed(wanted, next)).collect();
        self.scheduler().jobs = jobs;
    }

    /// Moves everything to the embedded scheduler, with a living daemon.
    pub(crate) fn embed(&mut self) {
        for job in &mut self.jobs {
            job.scheduler = SchedulerKind::Embedded;
        }
        self.install_all();
        let fact = self.facts.schedulers.remove(&SchedulerKind::Systemd).expect("systemd");
        self.facts.schedulers.insert(SchedulerKind::Embedded, fact);
        let next = at("2026-11-21T03:00:00Z");
        let digest = |job: &WantedJob| (job.name.to_string(), Digest::of(job.files[0].1.as_bytes()));
        let daemon = DaemonFacts {
            pid: 4711,
            bkp_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            holds_lock: true,
            started_at: at("2026-11-01T00:00:00Z"),
            beat_at: self.now,
            loaded: self.jobs.iter().map(digest).collect(),
            next_elapse: self.jobs.iter().map(|job| (job.name.to_string(), next)).collect(),
        };
        self.facts.daemon = Some(Fact::new(self.now, "read", Observed::Present(daemon)));
    }

    pub(crate) fn daemon(&mut self) -> &mut DaemonFacts {
        present(&mut self.facts.daemon.as_mut().expect("a daemon").observed)
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

pub(crate) fn set() -> SetName {
    "orders".parse().expect("a name")
}

pub(crate) fn local() -> DestinationName {
    "local".parse().expect("a name")
}

pub(crate) fn finished(snapshot: SnapshotId, outcome: RunOutcome) -> JournalEvent {
    JournalEvent::Finished {
        snapshot,
        outcome,
        read_bytes: 4096,
        stored_bytes: 1024,
        duration_milliseconds: 900,
        reason: None,
    }
}

fn present<T>(observed: &mut Observed<T>) -> &mut T {
    match observed {
        Observed::Present(value) => value,
        Observed::Absent | Observed::Unknown(_) => panic!("the scene has it"),
    }
}

/// Compares a generated text with the file that the repository keeps, and leaves the new text below `target/`.
#[expect(clippy::disallowed_methods, reason = "a test reads and writes the repository's own files")]
pub(crate) fn compare_with_file(path: &str, generated: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = std::fs::read_to_string(root.join(path)).unwrap_or_default();
    if kept != generated {
        let name = Path::new(path).file_name().expect("a file").to_string_lossy().into_owned();
        let fresh = root.join("target").join(&name);
        std::fs::write(&fresh, generated).expect("target can be written");
        panic!("{path} is not what the code says; take it over with: cp target/{name} {path}");
    }
}
