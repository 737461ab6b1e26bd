//! Whether a timer will start a job, and starts what the plan says.
//!
//! What a scheduler remembers of earlier runs counts for nothing here: `Result=success` is every unit's default.

use super::age::ago;
use super::finding::FindingCode as Code;
use super::world::{Seen, WantedJob, World};
use crate::declared::Scope;
use crate::format::Digest;
use crate::observed::{DaemonFacts, Enablement, InstalledJob, SchedulerKind, TimerState};
use jiff::{SignedDuration, Timestamp};

/// Oldest sign of life of a daemon that counts as alive.
const BEAT_AGE_MAX: SignedDuration = SignedDuration::from_secs(60);
/// A timer that elapses right now has its next elapse behind the observation for a moment.
const ELAPSE_SLACK: SignedDuration = SignedDuration::from_secs(60);

/// The bkp that judges.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One reason why a job is not scheduled as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobFault {
    pub code: Code,
    pub evidence: String,
}

/// What is known of a job.
#[derive(Debug, Clone, Default)]
pub(super) struct JobState {
    pub faults: Vec<JobFault>,
    pub next_elapse: Option<Timestamp>,
    pub observed_at: Option<Timestamp>,
    pub lingers: bool,
}

impl JobState {
    fn fault(&mut self, code: Code, evidence: impl Into<String>) {
        self.faults.push(JobFault { code, evidence: evidence.into() });
    }

    /// Whether the timer has to be enabled or started again, its files apart.
    pub(super) fn needs_enabling(&self) -> Option<&JobFault> {
        self.faults.iter().find(|fault| {
            matches!(
                fault.code,
                Code::TimerMissing
                    | Code::TimerDisabled
                    | Code::TimerInactive
                    | Code::TimerDead
                    | Code::TimerMasked
                    | Code::TimerStatic
            )
        })
    }
}

/// Judges a wanted job by what the scheduler says of it.
pub(super) fn examine(world: &World<'_>, wanted: &WantedJob) -> JobState {
    let mut state = JobState { lingers: true, ..JobState::default() };
    let kind = wanted.scheduler.word();
    let facts = match world.scheduler(wanted.scheduler) {
        Seen::Present(facts) => facts,
        Seen::Absent => {
            state.fault(Code::TimerMissing, format!("{kind} does not run on this host"));
            return state;
        }
        Seen::Unknown(diagnostic) => {
            state.fault(Code::CouldNotLook, diagnostic.sentence());
            return state;
        }
        Seen::NotSupplied => {
            state.fault(Code::CouldNotLook, format!("{kind} was not observed"));
            return state;
        }
    };
    let observed_at = world.facts.schedulers.get(&wanted.scheduler).map(|fact| fact.at);
    state.observed_at = observed_at;
    if wanted.scheduler == SchedulerKind::Systemd && wanted.scope == Scope::User {
        match facts.lingers {
            Some(lingers) => state.lingers = lingers,
            None => state.fault(Code::CouldNotLook, "nobody looked whether the user lingers"),
        }
    }
    let Some(job) = world.installed(wanted) else {
        state.fault(Code::TimerMissing, format!("{kind} knows no job `{}`", wanted.name));
        return state;
    };
    for evidence in drift(world, wanted, job) {
        state.fault(Code::JobDrifted, evidence);
    }
    if job.service.masked {
        state.fault(Code::ServiceMasked, format!("the service of `{}` is masked", wanted.name));
    }
    match &job.timer {
        None => state.fault(Code::TimerMissing, format!("`{}` has no timer", wanted.name)),
        Some(timer) => judge_timer(&mut state, wanted, job, timer, observed_at.unwrap_or(world.now)),
    }
    if wanted.scheduler == SchedulerKind::Embedded {
        judge_daemon(&mut state, world, wanted);
    }
    state
}

fn judge_timer(
    state: &mut JobState,
    wanted: &WantedJob,
    job: &InstalledJob,
    timer: &TimerState,
    observed_at: Timestamp,
) {
    let name = &wanted.name;
    match &timer.enablement {
        Enablement::Masked => {
            state.fault(Code::TimerMasked, format!("the timer of `{name}` is masked"));
            return;
        }
        Enablement::Enabled => {}
        Enablement::Disabled => {
            state.fault(Code::TimerDisabled, format!("the timer of `{name}` is disabled"));
        }
        Enablement::Static => {
            state.fault(Code::TimerStatic, format!("the timer of `{name}` has no [Install] section"));
        }
        Enablement::Other(word) => state
            .fault(Code::CouldNotLook, format!("the timer of `{name}` is `{word}`, which bkp cannot judge")),
    }
    if wanted.scheduler == SchedulerKind::Embedded {
        // Whether an embedded timer is loaded and active, and when it elapses, is the daemon's to say.
        return;
    }
    if !timer.loaded {
        state.fault(Code::TimerMissing, format!("the timer of `{name}` is not loaded"));
        return;
    }
    if !timer.active && wanted.scheduler == SchedulerKind::Cron {
        state.fault(Code::TimerInactive, format!("no cron daemon runs that would start `{name}`"));
        return;
    }
    if !timer.active {
        state.fault(Code::TimerInactive, format!("the timer of `{name}` is not active"));
        return;
    }
    match timer.next_elapse {
        Some(next) if next > observed_at - ELAPSE_SLACK => state.next_elapse = Some(next),
        // A timer whose service runs now waits for its end.
        Some(_) | None if job.service.running => {}
        Some(next) => state.fault(
            Code::TimerDead,
            format!("the timer of `{name}` is active, and its next elapse was {}", ago(next, observed_at)),
        ),
        None => {
            state.fault(Code::TimerDead, format!("the timer of `{name}` is active without a next elapse"));
        }
    }
}

fn judge_daemon(state: &mut JobState, world: &World<'_>, wanted: &WantedJob) {
    let daemon = match daemon(world) {
        Ok(daemon) => daemon,
        Err(fault) => {
            state.faults.push(fault);
            return;
        }
    };
    let name = wanted.name.to_string();
    let loaded = daemon.loaded.get(&name);
    let current = loaded
        .is_some_and(|digest| wanted.files.iter().any(|(_, text)| Digest::of(text.as_bytes()) == *digest));
    match (loaded, current) {
        (None, _) => state.fault(Code::JobDrifted, format!("the daemon has not loaded `{name}`")),
        (Some(_), false) => {
            state.fault(Code::JobDrifted, format!("the daemon has loaded another version of `{name}`"));
        }
        (Some(_), true) if daemon.bkp_version.as_ref().is_some_and(|it| it != VERSION) => {
            let version = daemon.bkp_version.as_deref().unwrap_or_default();
            let evidence = format!("the daemon is bkp {version}, and this is {VERSION}: start it again");
            state.fault(Code::JobDrifted, evidence);
        }
        (Some(_), true) => match daemon.next_elapse.get(&name) {
            Some(next) => state.next_elapse = Some(*next),
            None => state.fault(Code::TimerDead, format!("the daemon knows no next elapse of `{name}`")),
        },
    }
}

/// The living daemon, or what is wrong with it.
pub(super) fn daemon<'a>(world: &World<'a>) -> Result<&'a DaemonFacts, JobFault> {
    let fault = |code, evidence: String| Err(JobFault { code, evidence });
    match Seen::of(world.facts.daemon.as_ref()) {
        Seen::NotSupplied => fault(Code::CouldNotLook, "nobody looked whether `bkp daemon` runs".to_owned()),
        Seen::Unknown(diagnostic) => fault(Code::CouldNotLook, diagnostic.sentence()),
        Seen::Absent => fault(Code::DaemonNotRunning, "not scheduled: `bkp daemon` does not run".to_owned()),
        Seen::Present(daemon) if !daemon.holds_lock => {
            let evidence = format!(
                "not scheduled: no `bkp daemon` holds its lock (the last one was process {})",
                daemon.pid
            );
            fault(Code::DaemonNotRunning, evidence)
        }
        Seen::Present(daemon) => {
            let looked_at = world.facts.daemon.as_ref().map_or(world.now, |fact| fact.at);
            if looked_at.duration_since(daemon.beat_at) > BEAT_AGE_MAX {
                let age = ago(daemon.beat_at, looked_at);
                return fault(
                    Code::DaemonStale,
                    format!("process {} gave its last sign of life {age}", daemon.pid),
                );
            }
            Ok(daemon)
        }
    }
}

/// Every way in which an installed job differs from the wanted one.
pub(super) fn drift(world: &World<'_>, wanted: &WantedJob, job: &InstalledJob) -> Vec<String> {
    let mut found = Vec::new();
    match &job.marker {
        None => found.push("bkp's marker is missing or cannot be read".to_owned()),
        Some(marker) if marker.plan != world.plan.name => {
            found.push(format!("it belongs to plan `{}`", marker.plan));
        }
        Some(marker) if marker.set_digest != wanted.set_digest => {
            found.push("it was made from another declaration of the set".to_owned());
        }
        Some(_) => {}
    }
    let older = job.marker.as_ref().map(|marker| &marker.bkp_version).filter(|it| *it != VERSION);
    if let Some(version) = older {
        // Its files differ by what the two versions write; that is one reason, not one for each line.
        found.push(format!("it was made by bkp {version}; this is {VERSION}"));
    }
    for (path, text) in &wanted.files {
        let shown = path.display();
        match job.files.iter().find(|file| file.path == *path) {
            None => found.push(format!("`{shown}` is missing")),
            // A mask is judged as such.
            Some(file) if file.text.is_none() => {}
            Some(_) if older.is_some() => {}
            Some(file) if file.text.as_ref() != Some(text) => found.push(format!("`{shown}` differs")),
            Some(_) => {}
        }
    }
    let service = &job.service;
    if !service.drop_ins.is_empty() {
        let paths: Vec<_> = service.drop_ins.iter().map(|path| format!("`{}`", path.display())).collect();
        found.push(format!("changed by drop-ins: {}", paths.join(", ")));
    }
    if service.needs_reload {
        found.push("a file changed since the scheduler read it".to_owned());
    }
    if !service.masked {
        if !service.loaded {
            found.push("the scheduler has not loaded what the timer starts".to_owned());
        } else if service.command != wanted.argv {
            found.push(format!(
                "it executes `{}` instead of `{}`",
                service.command.join(" "),
                wanted.argv.join(" ")
            ));
        }
    }
    found
}
