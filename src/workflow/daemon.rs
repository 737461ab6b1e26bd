//! The embedded scheduler: where nothing else starts jobs, `bkp daemon` does, one at a time, with catch-up.
//!
//! It says that it lives by a lock that the kernel holds and a heartbeat; neither says that a backup was made.

use super::event::{Event, Listener};
use super::{WorkflowError, lock, signal};
use crate::diagnostic::Diagnostic;
use crate::format::Digest;
use crate::host::{Host, pause};
use crate::observed::{DaemonFacts, JobName};
use crate::schedulers::{self, EmbeddedJob, JobOutcome, Places, Scheduler};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time between two heartbeats; `decide` calls a daemon dead after a minute without one.
const BEAT: Duration = Duration::from_secs(10);
/// Time between two looks at the clock.
const TICK: Duration = Duration::from_millis(500);

/// How often the lock is asked for before another daemon is said to hold it.
const LOCK_TRIES: u32 = 4;

/// How the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never by itself.
    Told,
    /// When everything that is due now has run.
    NothingDue,
}

struct Loaded {
    job: EmbeddedJob,
    next: Option<Timestamp>,
}

struct Daemon<'a> {
    host: &'a dyn Host,
    places: &'a Places,
    listener: Listener<'a>,
    scheduler: Box<dyn Scheduler>,
    started_at: Timestamp,
    heartbeat: PathBuf,
    last_runs: PathBuf,
    loaded: BTreeMap<String, Loaded>,
    /// Last start of each job by this or an earlier daemon.
    ran_at: BTreeMap<String, Timestamp>,
}

/// Runs until it is told to end.
pub fn daemon(
    host: &dyn Host,
    places: &Places,
    until: Until,
    listener: Listener<'_>,
) -> Result<(), WorkflowError> {
    let (lock_path, heartbeat) = schedulers::daemon_paths(places);
    let trouble =
        |why: String| Diagnostic::new("daemon not started", lock_path.display().to_string()).why(why);
    let mut held = None;
    // Whoever looks whether a daemon lives holds the lock for an instant.
    for _ in 0..LOCK_TRIES {
        held = lock::process(host, &lock_path).map_err(|error| trouble(error.to_string()))?;
        if held.is_some() {
            break;
        }
        pause(TICK);
    }
    let Some(_lock) = held else {
        return Err(trouble("another daemon runs here already".into()).fix("stop that one first").into());
    };
    let last_runs = places.state.join("daemon-runs.json");
    let mut daemon = Daemon {
        host,
        places,
        listener,
        scheduler: schedulers::scheduler(crate::observed::SchedulerKind::Embedded, places),
        started_at: host.now(),
        heartbeat,
        ran_at: read_runs(host, &last_runs),
        last_runs,
        loaded: BTreeMap::new(),
    };
    daemon.live(until)
}

fn read_runs(host: &dyn Host, path: &Path) -> BTreeMap<String, Timestamp> {
    // A lost memory makes every job due once: that is the safe side.
    host.read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn next_start(job: &EmbeddedJob, now: Timestamp) -> Option<Timestamp> {
    job.calendar.as_ref()?.next_start(now)
}

fn previous(job: &EmbeddedJob, now: Timestamp) -> Option<Timestamp> {
    job.calendar.as_ref()?.previous(now)
}

impl Daemon<'_> {
    fn live(&mut self, until: Until) -> Result<(), WorkflowError> {
        let mut last_beat: Option<Timestamp> = None;
        while !signal::told_to_end() {
            let now = self.host.now();
            let beat_due = last_beat.is_none_or(|at| now.duration_since(at).unsigned_abs() >= BEAT);
            if beat_due {
                self.reload(now)?;
                self.beat()?;
                last_beat = Some(now);
            }
            let due = self.loaded.iter().find(|(_, loaded)| loaded.next.is_some_and(|next| next <= now));
            match due.map(|(name, _)| name.clone()) {
                Some(name) => {
                    self.run(&name)?;
                    last_beat = None;
                }
                None if until == Until::NothingDue => return Ok(()),
                None => pause(TICK),
            }
        }
        Ok(())
    }

    /// Reads the job files; a new or changed one gets its next elapse, due at once where a run was missed.
    fn reload(&mut self, now: Timestamp) -> Result<(), WorkflowError> {
        let found = schedulers::load_jobs(self.host, self.places)
            .map_err(|error| Diagnostic::from_error("jobs not readable", &error))?;
        for error in &found.damaged {
            (self.listener)(Event::Trouble(Diagnostic::from_error("job not readable", error)));
        }
        let mut loaded = BTreeMap::new();
        for job in found.jobs.into_iter().filter(|job| job.enabled_at.is_some()) {
            let name = job.name.to_string();
            let same = self.loaded.remove(&name).filter(|before| before.job.digest == job.digest);
            let entry = same.unwrap_or_else(|| {
                let missed = self.missed(&name, &job, now);
                let next = if missed { Some(now) } else { next_start(&job, now) };
                Loaded { job, next }
            });
            loaded.insert(name, entry);
        }
        self.loaded = loaded;
        Ok(())
    }

    /// Whether a run was due since the last one, or since the job was enabled.
    fn missed(&self, name: &str, job: &EmbeddedJob, now: Timestamp) -> bool {
        let Some(due) = previous(job, now) else { return false };
        let since = self.ran_at.get(name).copied().or(job.enabled_at);
        since.is_some_and(|since| since < due)
    }

    fn run(&mut self, name: &str) -> Result<(), WorkflowError> {
        let Some(loaded) = self.loaded.get(name) else { return Ok(()) };
        let (job, limit): (JobName, Duration) = (loaded.job.name.clone(), loaded.job.time_limit.duration());
        let started = self.host.now();
        self.ran_at.insert(name.to_owned(), started);
        self.remember()?;
        (self.listener)(Event::Phase(format!("starting {name}")));
        let scheduler = schedulers::scheduler(self.scheduler.kind(), self.places);
        let (host, mut beaten) = (self.host, started);
        let outcome = scheduler.start_and_wait(host, &job, limit, &mut || {
            let now = host.now();
            if now.duration_since(beaten).unsigned_abs() >= BEAT {
                beaten = now;
                // The next regular beat says what went wrong with this one.
                let _later = self.beat();
            }
        });
        let said = match outcome {
            Ok(JobOutcome::Exited(0)) => Event::Phase(format!("{name} ended with exit status 0")),
            Ok(JobOutcome::Exited(status)) => Event::Trouble(
                Diagnostic::new("job failed", format!("{name}: exit status {status}")).fix("run `bkp audit`"),
            ),
            Ok(JobOutcome::Failed(how) | JobOutcome::NotStarted(how)) => {
                Event::Trouble(Diagnostic::new("job failed", format!("{name}: {how}")).fix("run `bkp audit`"))
            }
            Err(error) => Event::Trouble(Diagnostic::from_error("job failed", &error)),
        };
        (self.listener)(said);
        let now = self.host.now();
        if let Some(loaded) = self.loaded.get_mut(name) {
            loaded.next = next_start(&loaded.job, now);
        }
        Ok(())
    }

    fn remember(&self) -> Result<(), WorkflowError> {
        let bytes = serde_json::to_vec_pretty(&self.ran_at).expect("a map of names");
        self.host.write_atomic(&self.last_runs, &bytes, 0o600).map_err(|error| {
            Diagnostic::new("state folder not usable", self.last_runs.display().to_string())
                .why(error.to_string())
                .into()
        })
    }

    fn beat(&self) -> Result<(), WorkflowError> {
        let loaded: BTreeMap<String, Digest> =
            self.loaded.iter().map(|(name, loaded)| (name.clone(), loaded.job.digest)).collect();
        let next = self.loaded.iter().filter_map(|(name, loaded)| Some((name.clone(), loaded.next?)));
        let facts = DaemonFacts {
            pid: std::process::id(),
            bkp_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            holds_lock: true,
            started_at: self.started_at,
            beat_at: self.host.now(),
            loaded,
            next_elapse: next.collect(),
        };
        let bytes = serde_json::to_vec_pretty(&facts).expect("facts have only string keys");
        self.host.write_atomic(&self.heartbeat, &bytes, 0o600).map_err(|error| {
            Diagnostic::new("heartbeat not written", self.heartbeat.display().to_string())
                .why(error.to_string())
                .into()
        })
    }
}
