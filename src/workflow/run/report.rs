//! What a run came to, as data.

use crate::declared::{DestinationName, SetName};
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::format::{Bound, Counts, Digest, SnapshotId, Trigger};
use crate::observed::RunOutcome;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// A run's report.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// The set.
    pub set: SetName,
    /// The snapshot's name.
    pub snapshot: SnapshotId,
    /// Why it ran.
    pub trigger: Trigger,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Bytes read from the source.
    pub read_bytes: u64,
    /// The members that were enumerated.
    pub members: Vec<MemberReport>,
    /// Each destination.
    pub destinations: BTreeMap<DestinationName, DestinationReport>,
    /// What went wrong, beyond members and destinations.
    pub failures: Vec<Diagnostic>,
}

/// A member's part.
#[derive(Debug, Clone, Serialize)]
pub struct MemberReport {
    /// The member.
    pub name: String,
    /// What was counted.
    pub counts: Counts,
    /// What could not be counted exactly.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bounds: BTreeMap<String, Bound>,
    /// What people should know.
    pub warnings: Vec<String>,
    /// Why it is not in the snapshot.
    pub failed: Option<String>,
}

/// A destination's part.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DestinationReport {
    /// The manifest's digest, where one was sealed.
    pub sealed: Option<Digest>,
    /// Bytes stored.
    pub stored_bytes: u64,
    /// Whether the snapshot was drilled in this run, and held.
    pub drilled: bool,
    /// Older snapshots that were read back in this run.
    pub read_again: Vec<SnapshotId>,
    /// Snapshots that retention removed.
    pub removed: Vec<SnapshotId>,
    /// Why there is no complete snapshot, or what was disproven.
    pub failures: Vec<Diagnostic>,
}

impl RunReport {
    /// How it ended. Complete: every member at every destination, and nothing disproven.
    pub fn outcome(&self) -> RunOutcome {
        let sealed = self.destinations.values().any(|it| it.sealed.is_some());
        let clean = self.destinations.values().all(|it| it.sealed.is_some() && it.failures.is_empty());
        let whole = self.members.iter().all(|it| it.failed.is_none()) && !self.members.is_empty();
        match (sealed, clean && whole && self.failures.is_empty()) {
            (true, true) => RunOutcome::Complete,
            (true, false) => RunOutcome::Incomplete,
            (false, _) => RunOutcome::Failed,
        }
    }

    /// The exit status: 0 complete, 3 incomplete, 1 failed.
    pub fn exit_code(&self) -> ExitCode {
        match self.outcome() {
            RunOutcome::Complete => ExitCode::Ok,
            RunOutcome::Incomplete => ExitCode::Incomplete,
            RunOutcome::Failed => ExitCode::Failed,
        }
    }

    /// Bytes stored at the destination that took most.
    pub fn stored_bytes(&self) -> u64 {
        self.destinations.values().map(|it| it.stored_bytes).max().unwrap_or(0)
    }

    /// How long it took, in milliseconds; none below zero though the clock may have been set back.
    pub fn duration_milliseconds(&self) -> u64 {
        u64::try_from(self.finished_at.duration_since(self.started_at).as_millis()).unwrap_or(0)
    }

    /// Everything that went wrong.
    pub fn all_failures(&self) -> Vec<Diagnostic> {
        let members = self.members.iter().filter_map(|member| {
            let why = member.failed.clone()?;
            Some(
                Diagnostic::new(
                    "member not backed up",
                    format!("set `{}`, member `{}`", self.set, member.name),
                )
                .why(why),
            )
        });
        let destinations = self.destinations.values().flat_map(|it| it.failures.clone());
        self.failures.iter().cloned().chain(members).chain(destinations).collect()
    }

    /// The first thing that went wrong, on one line.
    pub fn first_failure(&self) -> Option<String> {
        self.all_failures().first().map(|it| format!("{}: {}", it.summary, it.sentence()))
    }
}
