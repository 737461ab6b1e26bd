//! The plan file as a whole, and what is in force for a set at a destination.

use super::{
    Calendar, Compression, DestinationDeclaration, DestinationName, JobPolicy, NodeName, PlanName,
    ProvePolicy, Require, RetentionPolicy, Schedule, SecretRef, SetDeclaration, SetName, SetRetention, Span,
    TimeZoneName, destination_secret_name,
};
use crate::format::Level;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A valid plan file, or a folder of them merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Owns its jobs; default: the file's stem.
    pub name: PlanName,
    /// Hosts that may apply it, by short name or FQDN; `None` is any host.
    pub hosts: Option<Vec<String>>,
    /// Overrides the host's name in keys.
    pub node: Option<NodeName>,
    /// What starts the jobs.
    pub scheduler: SchedulerChoice,
    /// System or user; `None` follows who applies it.
    pub scope: Option<Scope>,
    /// How many runs may go on at once on the host; `None` is 1.
    pub max_parallel: Option<u32>,
    /// What sets fall back to.
    pub defaults: Defaults,
    /// Where snapshots are kept.
    pub destinations: BTreeMap<DestinationName, DestinationDeclaration>,
    /// What is backed up.
    pub sets: BTreeMap<SetName, SetDeclaration>,
    /// When the infrastructure is checked; `None` means no audit job.
    pub audit: Option<AuditDeclaration>,
    /// Where to look for data that nobody declared.
    pub discover: DiscoverDeclaration,
    /// Old set name to new one: a rename that keeps its history.
    pub moved: BTreeMap<SetName, SetName>,
}

/// What sets fall back to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// When sets are due.
    pub schedule: Option<Schedule>,
    /// The time zone of schedules; UTC where nothing is said.
    pub timezone: Option<TimeZoneName>,
    /// Where sets go.
    pub destinations: Option<Vec<DestinationName>>,
    /// How many snapshots are kept; nothing said keeps all.
    pub retention: Option<RetentionPolicy>,
    /// zstd where nothing is said.
    pub compression: Option<Compression>,
    /// 30 days each where nothing is said.
    pub prove: Option<ProvePolicy>,
    /// No more than one copy is asked for where nothing is said.
    pub require: Option<Require>,
    /// 24 h where nothing is said.
    pub time_limit: Option<Span>,
    /// Derived from the schedule where nothing is said.
    pub grace: Option<Span>,
    /// Under which conditions jobs run.
    pub job: JobPolicy,
}

/// What starts the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchedulerChoice {
    /// systemd where it runs, launchd on a Mac, else cron where it runs, else embedded.
    #[default]
    Auto,
    /// systemd timers.
    Systemd,
    /// `LaunchAgents` and `LaunchDaemons`.
    Launchd,
    /// cron.
    Cron,
    /// `bkp daemon`.
    Embedded,
}

/// Whose jobs they are.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The machine's, run as root.
    System,
    /// One user's.
    User,
}

/// When the infrastructure is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditDeclaration {
    /// When the audit job runs.
    pub schedule: Schedule,
}

/// Where to look for data that nobody declared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoverDeclaration {
    /// Folders searched for `SQLite` databases by their first 16 bytes.
    pub sqlite: Vec<PathBuf>,
    /// Folders searched for scripts that look like backups, beside the usual ones.
    pub scripts: Vec<PathBuf>,
    /// `kind:object` to the reason why it needs nothing: data without a backup, such as
    /// `sqlite:/var/lib/fwupd/pending.db`, or a backup that is not bkp's, such as `backup:restic.timer`.
    pub ignore: BTreeMap<String, String>,
}

impl Plan {
    /// A run's time limit where the plan file says nothing: 24 h.
    pub const TIME_LIMIT_DEFAULT_SECONDS: u64 = 86_400;

    /// When a set is due. Every set of a valid plan has a schedule of its own or from `defaults`.
    #[expect(clippy::missing_panics_doc, reason = "a valid plan gives every set a schedule")]
    pub fn schedule(&self, set: &SetDeclaration) -> Schedule {
        let declared = set.schedule.as_ref().or(self.defaults.schedule.as_ref());
        declared.expect("a valid plan gives every set a schedule").clone()
    }

    /// The time zone of a set's schedule.
    pub fn timezone(&self, set: &SetDeclaration) -> TimeZoneName {
        set.timezone.clone().or_else(|| self.defaults.timezone.clone()).unwrap_or_default()
    }

    /// Under which conditions a set's job runs.
    pub fn job_policy(&self, set: &SetDeclaration) -> JobPolicy {
        set.job.or(&self.defaults.job)
    }

    /// When scheduled runs of a set begin.
    pub fn calendar(&self, set: &SetDeclaration) -> Calendar {
        Calendar::new(self.schedule(set), self.timezone(set), &self.job_policy(set))
    }

    /// The time zone of the plan's own jobs.
    pub fn default_timezone(&self) -> TimeZoneName {
        self.defaults.timezone.clone().unwrap_or_default()
    }

    /// Where a set goes, in order. Every set of a valid plan goes somewhere.
    pub fn destinations_of<'a>(&'a self, set: &'a SetDeclaration) -> &'a [DestinationName] {
        set.destinations.as_deref().or(self.defaults.destinations.as_deref()).unwrap_or_default()
    }

    /// The highest level that the declared host itself can prove at a destination.
    pub fn level_provable_here(&self, destination: &DestinationName) -> Level {
        self.destinations
            .get(destination)
            .map_or(Level::Restored, DestinationDeclaration::level_provable_here)
    }

    /// How many snapshots of a set a destination keeps; `None` keeps all.
    pub fn retention<'a>(
        &'a self,
        set: &'a SetDeclaration,
        destination: &DestinationName,
    ) -> Option<&'a RetentionPolicy> {
        let of_set = match &set.retention {
            Some(SetRetention::Every(policy)) => Some(policy),
            Some(SetRetention::ByDestination(policies)) => policies.get(destination),
            None => None,
        };
        let of_destination = || self.destinations.get(destination).and_then(|it| it.retention.as_ref());
        of_set.or_else(of_destination).or(self.defaults.retention.as_ref())
    }

    /// How a set is packed for a destination.
    pub fn compression(&self, set: &SetDeclaration, destination: &DestinationName) -> Compression {
        let of_destination = || self.destinations.get(destination).and_then(|it| it.compression);
        set.compression.or_else(of_destination).or(self.defaults.compression).unwrap_or(Compression::Zstd)
    }

    /// How well a set must be proven at a destination.
    pub fn prove(&self, set: &SetDeclaration, destination: &DestinationName) -> ProvePolicy {
        let of_destination = || self.destinations.get(destination).and_then(|it| it.prove);
        set.prove
            .or_else(of_destination)
            .or(self.defaults.prove)
            .unwrap_or(ProvePolicy { intact: None, restored: None })
    }

    /// Every secret that a run of a set resolves, by the name under which it is handed on: the source's, the hooks', and
    /// the destinations'.
    pub fn every_secret<'a>(&'a self, set: &'a SetDeclaration) -> Vec<(String, &'a SecretRef)> {
        let own = set.every_secret().map(|(name, it)| (name.to_owned(), it));
        own.chain(self.secrets_of_destinations(self.destinations_of(set))).collect()
    }

    /// The files of a set's secrets that nobody else may read: the source's, the hooks', and the destinations'.
    pub fn secret_files<'a>(&'a self, set: &'a SetDeclaration) -> Vec<&'a Path> {
        let of_destinations = self.destinations_of(set).iter().filter_map(|name| self.destinations.get(name));
        let kept = of_destinations
            .flat_map(|it| it.secrets().filter(|(key, _)| it.is_secret(key)).map(|(_, secret)| secret));
        let all = set.every_secret().map(|(_, secret)| secret).chain(kept);
        all.filter_map(|secret| match secret {
            SecretRef::File(path) => Some(path.as_path()),
            SecretRef::Credential(_) | SecretRef::Command(_) | SecretRef::Env(_) => None,
        })
        .collect()
    }

    /// The secrets of some destinations, by the name under which each is handed on.
    pub fn secrets_of_destinations<'a>(
        &'a self,
        names: impl IntoIterator<Item = &'a DestinationName>,
    ) -> Vec<(String, &'a SecretRef)> {
        let declared = names.into_iter().filter_map(|name| Some((name, self.destinations.get(name)?)));
        declared
            .flat_map(|(name, it)| {
                it.secrets().map(|(key, secret)| (destination_secret_name(name, key), secret))
            })
            .collect()
    }

    /// How many copies of a set there must be, and where.
    pub fn require(&self, set: &SetDeclaration) -> Option<Require> {
        set.require.or(self.defaults.require)
    }

    /// The destinations of a set that the source fills, and behind them those that are filled from another, each
    /// behind the one that it is filled from.
    pub fn filling_order<'a>(&'a self, set: &'a SetDeclaration) -> Vec<&'a DestinationName> {
        let from = |name: &DestinationName| self.destinations.get(name).and_then(|it| it.copy_from.as_ref());
        let all = self.destinations_of(set);
        let mut ordered: Vec<&DestinationName> = all.iter().filter(|name| from(name).is_none()).collect();
        // A valid plan has no circles, so each round places at least one.
        for _ in 0..all.len() {
            let next: Vec<&DestinationName> = all
                .iter()
                .filter(|name| !ordered.contains(name) && from(name).is_some_and(|it| ordered.contains(&it)))
                .collect();
            ordered.extend(next);
        }
        ordered
    }

    /// How long a run of a set may take.
    pub fn time_limit(&self, set: &SetDeclaration) -> Span {
        set.time_limit
            .or(self.defaults.time_limit)
            .unwrap_or(Span::from_seconds(Self::TIME_LIMIT_DEFAULT_SECONDS))
    }

    /// How long after a due run a set counts as overdue: as declared, else half the shortest period between runs,
    /// at least 10 minutes and at most 12 hours.
    pub fn grace(&self, set: &SetDeclaration) -> Span {
        let derived =
            || Span::from_seconds((self.calendar(set).period_min().seconds() / 2).clamp(600, 43_200));
        set.grace.or(self.defaults.grace).unwrap_or_else(derived)
    }

    /// The plan with one set, the destinations it uses, and every default resolved into them: what that set's job
    /// runs. Two plans give equal results exactly when the set is declared equally in both.
    pub fn only(&self, name: &SetName) -> Option<Self> {
        let set = self.sets.get(name)?;
        let used = self.destinations_of(set).to_vec();
        let policies = |destination: &DestinationName| {
            Some((destination.clone(), self.retention(set, destination)?.clone()))
        };
        let retention: BTreeMap<_, _> = used.iter().filter_map(policies).collect();
        let destinations = used
            .iter()
            .filter_map(|destination| {
                let declared = self.destinations.get(destination)?;
                let resolved = DestinationDeclaration {
                    retention: None,
                    compression: Some(self.compression(set, destination)),
                    prove: Some(self.prove(set, destination)),
                    ..declared.clone()
                };
                Some((destination.clone(), resolved))
            })
            .collect();
        let resolved = SetDeclaration {
            schedule: Some(self.schedule(set)),
            timezone: Some(self.timezone(set)),
            destinations: Some(used),
            retention: (!retention.is_empty()).then_some(SetRetention::ByDestination(retention)),
            compression: None,
            prove: None,
            require: self.require(set),
            time_limit: Some(self.time_limit(set)),
            grace: Some(self.grace(set)),
            job: self.job_policy(set),
            ..set.clone()
        };
        let moved = self.moved.iter().filter(|(_, new)| *new == name);
        Some(Self {
            name: self.name.clone(),
            hosts: self.hosts.clone(),
            node: self.node.clone(),
            scheduler: self.scheduler,
            scope: self.scope,
            max_parallel: self.max_parallel,
            defaults: Defaults::default(),
            destinations,
            sets: BTreeMap::from([(name.clone(), resolved)]),
            audit: None,
            discover: DiscoverDeclaration::default(),
            moved: moved.map(|(old, new)| (old.clone(), new.clone())).collect(),
        })
    }
}
