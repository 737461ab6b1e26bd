//! The systemd scheduler against a real, booted systemd: what it says must be what is so.

#[path = "../bed/mod.rs"]
mod bed;
mod installed;
mod seen;
mod started;
mod users;

use bed::{Bed, Inside};
use bkp::declared::{Calendar, IoClass, Scope, SecretRef, Span, TimeZoneName};
use bkp::format::Digest;
use bkp::host::{Host, ReadOnlyHost, pause};
use bkp::observed::{Enablement, InstalledJob, JobName, Observed, SchedulerFacts, SchedulerKind, TimerState};
use bkp::schedulers::{
    Job, JobOutcome, Places, Scheduler, SchedulerError, differences, scheduler, systemd_runs,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One manager, and `daemon-reload` concerns all of it: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

struct World {
    host: Inside,
    systemd: Box<dyn Scheduler>,
    places: Places,
    _turn: MutexGuard<'static, ()>,
}

fn world() -> World {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    World::of(Bed::shared().host(), Scope::System, turn)
}

impl World {
    fn of(host: Inside, scope: Scope, turn: MutexGuard<'static, ()>) -> Self {
        let home = host.user().home;
        let places = match scope {
            Scope::System => Places {
                scope,
                config: "/etc/bkp".into(),
                state: "/var/lib/bkp".into(),
                units: "/etc/systemd/system".into(),
                agents: "/nowhere/agents".into(),
                cron: "/nowhere/cron".into(),
            },
            Scope::User => Places {
                scope,
                config: home.join(".config/bkp"),
                state: home.join(".local/state/bkp"),
                units: home.join(".config/systemd/user"),
                agents: "/nowhere/agents".into(),
                cron: "/nowhere/cron".into(),
            },
        };
        Self { systemd: scheduler(SchedulerKind::Systemd, &places), host, places, _turn: turn }
    }

    /// A job that runs a shell script; `$0` in it is the job's own folder, which it may write to.
    fn job(&self, set: &str, script: &str) -> Job {
        let folder = format!("{}/{set}", Bed::SHARED_INSIDE);
        self.host.sh(&format!("mkdir -p {folder}"));
        Job {
            name: JobName::Set(set.parse().expect("a name")),
            plan: "home".parse().expect("a name"),
            scope: self.places.scope,
            set_digest: Digest::of(script.as_bytes()),
            argv: ["/bin/sh", "-c", script, &folder].map(str::to_owned).to_vec(),
            search_path: "/usr/bin:/bin".to_owned(),
            home: self.host.user().home,
            calendar: Some(Calendar::plain(
                "daily 03:00".parse().expect("a schedule"),
                TimeZoneName::default(),
            )),
            host_zone: Some(TimeZoneName::default()),
            run_as: None,
            memory_limit: None,
            nice: 10,
            io_class: IoClass::BestEffort,
            time_limit: Span::from_seconds(60),
            writable: vec![folder.into()],
            readable: vec!["/srv/data".into()],
            runs_programs: false,
            other_users: false,
            credentials: BTreeMap::new(),
        }
    }

    fn trial(&self, set: &str, script: &str) -> Job {
        let name = JobName::Trial(set.parse().expect("a name"));
        Job { name, calendar: None, ..self.job(set, script) }
    }

    fn install(&self, job: &Job) {
        self.systemd.install(&self.host, job).unwrap_or_else(|error| panic!("{error}"));
    }

    fn enable(&self, job: &Job) {
        self.systemd.enable(&self.host, &job.name).unwrap_or_else(|error| panic!("{error}"));
    }

    fn remove(&self, job: &Job) {
        self.systemd.remove(&self.host, &job.name).unwrap_or_else(|error| panic!("{error}"));
    }

    fn start(&self, job: &Job) -> JobOutcome {
        let limit = Duration::from_mins(2);
        self.systemd.start_and_wait(&self.host, &job.name, limit, &mut || {}).expect("an outcome")
    }

    /// Looks through a host that refuses every change.
    fn facts(&self) -> SchedulerFacts {
        match self.systemd.observe(&ReadOnlyHost::new(&self.host)) {
            Observed::Present(facts) => facts,
            other => panic!("not present: {other:?}"),
        }
    }

    fn found(&self, job: &Job) -> Option<InstalledJob> {
        self.facts().jobs.into_iter().find(|found| found.name == job.name)
    }

    fn seen(&self, job: &Job) -> InstalledJob {
        self.found(job).expect("the job is seen")
    }

    fn timer(&self, job: &Job) -> TimerState {
        self.seen(job).timer.expect("a timer")
    }

    fn unit(&self, job: &Job, kind: &str) -> PathBuf {
        self.places.units.join(format!("{}.{kind}", job.name))
    }

    fn healthy(&self, set: &str) -> Job {
        let job = self.job(set, "exit 0");
        self.install(&job);
        self.enable(&job);
        job
    }
}

fn said(outcome: &JobOutcome) -> &str {
    match outcome {
        JobOutcome::Failed(words) | JobOutcome::NotStarted(words) => words,
        JobOutcome::Exited(status) => panic!("exited {status}"),
    }
}
