//! What the decisions are made from, and the few questions that all of them ask of it.

use crate::declared::{DestinationName, NodeName, Pause, Plan, Scope, SetDeclaration, SetName};
use crate::diagnostic::Diagnostic;
use crate::format::Digest;
use crate::observed::{
    DestinationFacts, Facts, InstalledJob, JobName, JournalEntry, Observed, SchedulerFacts, SchedulerKind,
    SealedFacts, SnapshotFacts, SnapshotState, Trouble,
};
use jiff::Timestamp;
use std::path::PathBuf;

/// A job as it should be installed; the workflow renders it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedJob {
    /// What it is for: a set's, or the audit's.
    pub name: JobName,
    /// The set, for a set's job.
    pub set: Option<SetName>,
    /// What starts it.
    pub scheduler: SchedulerKind,
    /// Whose it is.
    pub scope: Scope,
    /// Digest of the set as declared.
    pub set_digest: Digest,
    /// What it executes.
    pub argv: Vec<String>,
    /// Its files: where they belong, and what they say.
    pub files: Vec<(PathBuf, String)>,
}

/// Everything that a decision may depend on.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// What is wanted.
    pub plan: &'a Plan,
    /// The text that would be installed for the plan; none where the installed plan itself is judged.
    pub plan_text: Option<&'a str>,
    /// What was seen.
    pub facts: &'a Facts,
    /// The jobs that the plan asks for.
    pub jobs: &'a [WantedJob],
    /// The other plans that are installed here.
    pub installed_others: &'a [Plan],
    /// The clock.
    pub now: Timestamp,
}

/// What was seen of one thing, or why nothing is known of it.
pub(super) enum Seen<'a, T> {
    /// It is there.
    Present(&'a T),
    /// We looked, and it is not there.
    Absent,
    /// We tried to look, and could not.
    Unknown(&'a Diagnostic),
    /// Nobody looked: the facts do not have it.
    NotSupplied,
}

impl<'a, T> Seen<'a, T> {
    pub(super) fn of(fact: Option<&'a crate::observed::Fact<T>>) -> Self {
        match fact.map(|fact| &fact.observed) {
            Some(Observed::Present(value)) => Self::Present(value),
            Some(Observed::Absent) => Self::Absent,
            Some(Observed::Unknown(diagnostic)) => Self::Unknown(diagnostic),
            None => Self::NotSupplied,
        }
    }
}

impl<'a> World<'a> {
    /// The host's name in keys: the plan's `node`, else the first label of the host's name.
    pub(super) fn node(&self) -> NodeName {
        let label = self.facts.host.name.split('.').next().unwrap_or_default().to_lowercase();
        let short = || label.parse().or_else(|_| "localhost".parse()).expect("`localhost` is a node's name");
        self.plan.node.clone().unwrap_or_else(short)
    }

    /// Why nothing is known of a destination, where there is a word for it.
    pub(super) fn trouble(&self, name: &DestinationName) -> Option<Trouble> {
        self.facts.destinations.get(name)?.trouble
    }

    pub(super) fn destination(&self, name: &DestinationName) -> Seen<'a, DestinationFacts> {
        Seen::of(self.facts.destinations.get(name))
    }

    /// A set's snapshots at a destination, in order of sequence; none where nothing is known of the destination.
    pub(super) fn snapshots(&self, set: &SetName, name: &DestinationName) -> Option<&'a [SnapshotFacts]> {
        match self.destination(name) {
            _ if self.has_lost_its_marker(name) => None,
            Seen::Present(facts) => Some(facts.sets.get(set).map_or(&[][..], Vec::as_slice)),
            Seen::Absent => Some(&[]),
            Seen::Unknown(_) | Seen::NotSupplied => None,
        }
    }

    /// Whether a destination at which the journal knows snapshots has no marker: a mount that is missing looks like an empty
    /// folder, and nothing is known of what lies there.
    fn has_lost_its_marker(&self, name: &DestinationName) -> bool {
        let prepared = match self.destination(name) {
            Seen::Present(facts) => facts.prepared,
            Seen::Absent => false,
            Seen::Unknown(_) | Seen::NotSupplied => true,
        };
        let journal = self.facts.journal.as_ref().and_then(|fact| fact.observed.present());
        let sealed_here = |entry: &JournalEntry| entry.event.sealed().is_some_and(|(_, at)| at == name);
        !prepared && journal.is_some_and(|journal| journal.entries.iter().any(sealed_here))
    }

    pub(super) fn scheduler(&self, kind: SchedulerKind) -> Seen<'a, SchedulerFacts> {
        Seen::of(self.facts.schedulers.get(&kind))
    }

    pub(super) fn installed(&self, wanted: &WantedJob) -> Option<&'a InstalledJob> {
        match self.scheduler(wanted.scheduler) {
            Seen::Present(facts) => {
                facts.jobs.iter().find(|job| job.name == wanted.name && job.scope == wanted.scope)
            }
            Seen::Absent | Seen::Unknown(_) | Seen::NotSupplied => None,
        }
    }

    /// The job that the plan asks for, for a set.
    pub(super) fn wanted(&self, set: &SetName) -> Option<&'a WantedJob> {
        self.jobs.iter().find(|job| matches!(&job.name, JobName::Set(name) if name == set))
    }

    /// Jobs on this host whose marker names this plan, whatever starts them.
    pub(super) fn own_jobs(&self) -> impl Iterator<Item = &'a InstalledJob> {
        let plan = &self.plan.name;
        let schedulers = self.facts.schedulers.values().filter_map(|fact| fact.observed.present());
        schedulers
            .flat_map(|facts| &facts.jobs)
            .filter(move |job| job.marker.as_ref().is_some_and(|marker| marker.plan == *plan))
    }

    /// Whose jobs these are.
    pub(super) fn scope(&self) -> Scope {
        let by_user = || if self.facts.host.uid == 0 { Scope::System } else { Scope::User };
        self.plan.scope.or_else(|| self.jobs.first().map(|job| job.scope)).unwrap_or_else(by_user)
    }

    /// A set's pause while it lasts.
    pub(super) fn paused<'b>(&self, set: &'b SetDeclaration) -> Option<&'b Pause> {
        let today = self.now.to_zoned(self.plan.timezone(set).zone()).date();
        set.pause.as_ref().filter(|pause| today < pause.until)
    }
}

/// A snapshot's manifest, where it was read.
pub(super) fn sealed(snapshot: &SnapshotFacts) -> Option<&SealedFacts> {
    match &snapshot.state {
        SnapshotState::Sealed(sealed) => Some(sealed),
        SnapshotState::NotRead
        | SnapshotState::NeverRestored
        | SnapshotState::Unsealed
        | SnapshotState::Damaged(_) => None,
    }
}

/// Tells whether the plan may be applied on a host of this name: by its short name or in full.
pub fn host_matches(plan: &Plan, host: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let same = |declared: &String| {
        declared == "*"
            || declared.eq_ignore_ascii_case(host)
            || (!declared.contains('.') && declared.eq_ignore_ascii_case(&short(host)))
            || (!host.contains('.') && short(declared).eq_ignore_ascii_case(host))
    };
    plan.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(same))
}
