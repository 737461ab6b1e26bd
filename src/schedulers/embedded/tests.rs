//! The embedded scheduler on this machine's files, in folders of their own.
#![expect(
    clippy::disallowed_methods,
    reason = "a daemon is played by holding its lock and writing its heartbeat"
)]

use super::*;
use crate::declared::{Calendar, IoClass, Scope, SecretRef, Span, TimeZoneName};
use crate::format::Digest;
use crate::host::{ReadOnlyHost, RealHost};
use jiff::Timestamp;
use std::collections::BTreeMap;

struct Place {
    _folder: tempfile::TempDir,
    embedded: Embedded,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    let places = Places {
        scope: Scope::User,
        config: folder.path().join("config"),
        state: folder.path().join("state"),
        units: folder.path().join("units"),
        agents: "/nowhere/agents".into(),
        cron: "/nowhere/cron".into(),
    };
    std::fs::create_dir_all(&places.state).expect("a folder");
    Place { embedded: Embedded::new(places), _folder: folder }
}

fn job(script: &str) -> Job {
    Job {
        name: JobName::Set("ledger".parse().expect("a name")),
        plan: "home".parse().expect("a name"),
        scope: Scope::User,
        set_digest: Digest::of(b"set"),
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        search_path: "/usr/bin:/bin".to_owned(),
        home: "/home/ada".into(),
        calendar: Some(Calendar::plain("every 90m".parse().expect("a schedule"), TimeZoneName::default())),
        host_zone: Some(TimeZoneName::default()),
        run_as: None,
        memory_limit: None,
        nice: 10,
        io_class: IoClass::BestEffort,
        time_limit: Span::from_seconds(30),
        writable: Vec::new(),
        readable: Vec::new(),
        runs_programs: false,
        other_users: false,
        credentials: BTreeMap::new(),
    }
}

fn only_job(embedded: &Embedded) -> InstalledJob {
    let observed = embedded.observe(&ReadOnlyHost::new(&RealHost));
    let mut jobs = observed.present().expect("present").jobs.clone();
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

fn heartbeat(embedded: &Embedded, digest: Digest) {
    let facts = DaemonFacts {
        pid: 1,
        bkp_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        holds_lock: true,
        started_at: Timestamp::UNIX_EPOCH,
        beat_at: Timestamp::UNIX_EPOCH,
        loaded: BTreeMap::from([("bkp-ledger".to_owned(), digest)]),
        next_elapse: BTreeMap::from([("bkp-ledger".to_owned(), Timestamp::UNIX_EPOCH)]),
    };
    let (_, path) = daemon_paths(&embedded.places);
    std::fs::write(path, serde_json::to_string(&facts).expect("facts")).expect("written");
}

#[test]
fn what_is_installed_is_loaded_and_differs_in_nothing() {
    let place = place();
    let job = job("exit 0");
    place.embedded.install(&RealHost, &job).expect("installed");
    let loaded = load_jobs(&RealHost, &place.embedded.places).expect("loaded");
    assert!(loaded.damaged.is_empty());
    let [read] = loaded.jobs.as_slice() else { panic!("one job") };
    assert_eq!((&read.argv, &read.calendar, read.time_limit), (&job.argv, &job.calendar, job.time_limit));
    assert!(read.enabled_at.is_none());
    assert!(super::super::differences(&only_job(&place.embedded), &place.embedded.render(&job)).is_empty());
}

#[test]
fn job_is_active_only_while_a_daemon_holds_its_lock_and_has_this_file() {
    let place = place();
    let embedded = &place.embedded;
    embedded.install(&RealHost, &job("exit 0")).expect("installed");
    embedded.enable(&RealHost, &job("").name).expect("enabled");
    let digest = load_jobs(&RealHost, &embedded.places).expect("loaded").jobs[0].digest;
    heartbeat(embedded, digest);
    let timer = |embedded: &Embedded| only_job(embedded).timer.expect("a timer");
    assert!(!timer(embedded).active, "no lock file");

    let (lock, _) = daemon_paths(&embedded.places);
    let file = std::fs::File::create(&lock).expect("a lock file");
    assert!(!timer(embedded).active, "a lock file that nobody holds");
    file.try_lock().expect("the lock is free");
    let alive = timer(embedded);
    assert!(alive.active && alive.loaded && alive.enablement == Enablement::Enabled);
    assert_eq!(alive.next_elapse, Some(Timestamp::UNIX_EPOCH));

    heartbeat(embedded, Digest::of(b"an older file"));
    let outdated = only_job(embedded);
    assert!(outdated.service.needs_reload && !outdated.timer.expect("a timer").active);
    drop(file);
    let facts = daemon_facts(&RealHost, &embedded.places);
    assert!(!facts.present().expect("a heartbeat").holds_lock);
}

#[test]
fn observing_leaves_the_lock_free_and_makes_no_file() {
    let place = place();
    let (lock, _) = daemon_paths(&place.embedded.places);
    assert_eq!(daemon_facts(&RealHost, &place.embedded.places), Observed::Absent);
    assert!(!lock.exists());
    let file = std::fs::File::create(&lock).expect("a lock file");
    assert_eq!(daemon_facts(&RealHost, &place.embedded.places), Observed::Absent);
    file.try_lock().expect("still free");
}

#[test]
fn installing_anew_keeps_a_job_enabled_and_removing_leaves_nothing() {
    let place = place();
    let embedded = &place.embedded;
    embedded.install(&RealHost, &job("exit 0")).expect("installed");
    embedded.enable(&RealHost, &job("").name).expect("enabled");
    embedded.install(&RealHost, &job("exit 1")).expect("installed");
    assert_eq!(only_job(embedded).timer.expect("a timer").enablement, Enablement::Enabled);
    embedded.remove(&RealHost, &job("").name).expect("removed");
    embedded.remove(&RealHost, &job("").name).expect("removed twice");
    assert!(RealHost.list_dir(&jobs_folder(&embedded.places)).expect("a folder").is_empty());
}

#[test]
fn job_that_is_not_installed_cannot_be_enabled() {
    let place = place();
    assert!(matches!(place.embedded.enable(&RealHost, &job("").name), Err(SchedulerError::File { .. })));
}

#[test]
fn damaged_file_is_told_and_does_not_stop_the_others() {
    let place = place();
    let embedded = &place.embedded;
    embedded.install(&RealHost, &job("exit 0")).expect("installed");
    let broken = jobs_folder(&embedded.places).join("bkp-broken.json");
    std::fs::write(&broken, "{").expect("written");
    let copied = jobs_folder(&embedded.places).join("bkp-copied.json");
    std::fs::copy(job_path(&embedded.places, &job("").name), copied).expect("copied");
    let loaded = load_jobs(&RealHost, &embedded.places).expect("loaded");
    assert_eq!((loaded.jobs.len(), loaded.damaged.len()), (1, 2));
    let observed = embedded.observe(&RealHost);
    let jobs = &observed.present().expect("present").jobs;
    assert_eq!(jobs.iter().filter(|job| job.marker.is_none() && !job.service.loaded).count(), 2);
}

fn outcome(script: &str, change: impl FnOnce(&mut Job)) -> (JobOutcome, u32) {
    let place = place();
    let mut job = job(script);
    change(&mut job);
    place.embedded.install(&RealHost, &job).expect("installed");
    let mut ticks = 0;
    let outcome = place
        .embedded
        .start_and_wait(&RealHost, &job.name, Duration::from_mins(1), &mut || ticks += 1)
        .expect("an outcome");
    (outcome, ticks)
}

#[test]
fn status_of_the_child_is_the_outcome() {
    assert_eq!(outcome("exit 0", |_| {}).0, JobOutcome::Exited(0));
    assert_eq!(outcome("exit 3", |_| {}).0, JobOutcome::Exited(3));
    assert!(matches!(outcome("kill -9 $$", |_| {}).0, JobOutcome::Failed(_)));
}

#[test]
fn child_that_hangs_is_ended_at_its_limit_and_the_caller_is_told_meanwhile() {
    let (outcome, ticks) = outcome("sleep 60", |job| job.time_limit = Span::from_seconds(1));
    assert_eq!(outcome, JobOutcome::Failed("it was ended at its time limit".into()));
    assert!(ticks >= 3, "{ticks}");
}

#[test]
fn program_that_is_not_there_was_not_started() {
    let (outcome, _) = outcome("", |job| job.argv = vec!["/nonexistent/bkp".to_owned()]);
    assert!(matches!(outcome, JobOutcome::NotStarted(_)));
}

#[test]
fn environment_is_path_and_home_and_the_named_secrets() {
    // CARGO_MANIFEST_DIR stands for any variable of the caller: it is handed on when it is named, and only then.
    let script = |dir: &str| {
        format!("test \"$HOME $PATH\" = '/home/ada /usr/bin:/bin' && test {dir} \"$CARGO_MANIFEST_DIR\"")
    };
    assert_eq!(outcome(&script("-z"), |_| {}).0, JobOutcome::Exited(0));
    let named = |job: &mut Job| {
        job.credentials.insert("word".to_owned(), SecretRef::Env("CARGO_MANIFEST_DIR".to_owned()));
    };
    assert_eq!(outcome(&script("-n"), named).0, JobOutcome::Exited(0));
}

#[test]
fn trial_has_no_timer() {
    let place = place();
    let mut job = job("exit 0");
    job.name = JobName::Trial("ledger".parse().expect("a name"));
    job.calendar = None;
    place.embedded.install(&RealHost, &job).expect("installed");
    assert_eq!(only_job(&place.embedded).timer, None);
}

#[test]
fn job_of_another_user_is_started_through_bkp_and_with_that_users_cache() {
    let place = place();
    let mut job = job("exit 0");
    job.run_as = "app".parse().ok();
    job.credentials.insert("WORD".into(), SecretRef::Env("WORD".into()));
    job.argv = ["/usr/bin/bkp", "run", "ledger", "--state-dir", "/var/lib/bkp/users/app"]
        .map(str::to_owned)
        .to_vec();
    place.embedded.install(&RealHost, &job).expect("installed");
    let read = job_file::read(&RealHost, &place.embedded.places, &job.name).expect("read");
    let command = read.command(&RealHost);
    assert_eq!(
        command.display(),
        "/usr/bin/bkp as-user app --keep WORD --keep XDG_CACHE_HOME -- /usr/bin/bkp run ledger \
         --state-dir /var/lib/bkp/users/app"
    );
    assert_eq!(command.env["XDG_CACHE_HOME"], "/var/lib/bkp/users/app/cache");
    // What the scheduler says of the job is what was asked for.
    assert_eq!(only_job(&place.embedded).service.command, job.argv);
}
