//! Cron's tables in a world made of data. What a real cron does with them is `tests/cron.rs`'s to show.

use super::*;
use crate::declared::{Calendar, IoClass, Span, TimeZoneName};
use crate::format::Digest;
use crate::host::{FakeHost, ReadOnlyHost};
use crate::observed::{Enablement, InstalledJob, TimerState};
use jiff::Timestamp;
use std::collections::BTreeMap;

const FILE: &str = "/etc/cron.d/bkp-ledger";

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn cron(scope: Scope) -> Cron {
    Cron::new(Places {
        scope,
        config: "/etc/bkp".into(),
        state: "/var/lib/bkp".into(),
        units: "/nowhere/units".into(),
        agents: "/nowhere/agents".into(),
        cron: "/etc/cron.d".into(),
    })
}

fn job(schedule: &str) -> Job {
    let argv =
        ["/usr/local/bin/bkp", "run", "ledger", "--plan", "/etc/bkp/plans/home.d/ledger.yaml", "--if-due"];
    Job {
        name: JobName::Set("ledger".parse().expect("a name")),
        plan: "home".parse().expect("a name"),
        scope: Scope::System,
        set_digest: Digest::of(b"set"),
        argv: argv.map(str::to_owned).to_vec(),
        search_path: "/usr/bin:/bin".to_owned(),
        home: "/root".into(),
        calendar: Some(Calendar::plain(schedule.parse().expect("a schedule"), TimeZoneName::default())),
        host_zone: Some(TimeZoneName::default()),
        run_as: None,
        memory_limit: None,
        nice: 10,
        io_class: IoClass::BestEffort,
        time_limit: Span::from_seconds(3600),
        writable: Vec::new(),
        readable: Vec::new(),
        runs_programs: false,
        other_users: false,
        credentials: BTreeMap::new(),
    }
}

/// A machine whose cron lives or not, at half past a minute.
fn machine(alive: bool) -> FakeHost {
    let host = FakeHost::at(at("2026-11-21T02:00:30Z"))
        .file("/etc/cron.d/.placeholder", "", 0o644)
        .file("/etc/cron.d/e2scrub_all", "30 3 * * 0 root true\n", 0o644)
        .file("/proc/1/comm", "init\n", 0o444);
    if !alive {
        return host;
    }
    host.file("/proc/70/comm", "cron\n", 0o444).file("/proc/70/stat", "70 (cron) S 1 70 70", 0o444)
}

fn text(host: &FakeHost) -> String {
    String::from_utf8(host.read(Path::new(FILE)).expect("a file")).expect("text")
}

fn only(host: &FakeHost) -> InstalledJob {
    let observed = cron(Scope::System).observe(&ReadOnlyHost::new(host));
    let mut jobs = observed.present().expect("present").jobs.clone();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    jobs.remove(0)
}

fn timer(host: &FakeHost) -> TimerState {
    only(host).timer.expect("a timer")
}

fn enabled(job: &Job) -> FakeHost {
    let host = machine(true);
    cron(Scope::System).install(&host, job).expect("installed");
    cron(Scope::System).enable(&host, &job.name).expect("enabled");
    host
}

fn schedule_lines(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(" root ").map(|(time, _)| time.to_owned())).collect()
}

#[test]
fn set_is_started_at_its_times_after_a_boot_and_every_hour() {
    let rendered = cron(Scope::System).render(&job("daily 03:10"));
    assert_eq!((rendered.len(), rendered[0].path.as_path()), (1, Path::new(FILE)));
    assert_eq!(schedule_lines(&rendered[0].text), ["10 3 * * *", "@reboot", "10 * * * *"]);
    assert!(rendered[0].text.ends_with(" --if-due --quiet >/dev/null\n"), "{}", rendered[0].text);
    let hourly = cron(Scope::System).render(&job("hourly"));
    assert_eq!(schedule_lines(&hourly[0].text), ["0 * * * *", "@reboot"]);
}

#[test]
fn audit_is_started_at_its_times_alone_and_heard() {
    let mut job = job("hourly");
    job.name = JobName::Audit("home".parse().expect("a name"));
    let rendered = cron(Scope::System).render(&job);
    assert_eq!(schedule_lines(&rendered[0].text), ["0 * * * *"]);
    assert!(!rendered[0].text.contains("/dev/null"), "{}", rendered[0].text);
}

#[test]
fn job_runs_as_its_user_in_an_environment_of_its_own() {
    let mut job = job("hourly");
    job.run_as = Some("ada".to_owned().try_into().expect("a user"));
    let rendered = cron(Scope::System).render(&job);
    let start =
        " ada umask 077; exec /usr/bin/env -i PATH=/usr/bin:/bin HOME=/root LANG=C.UTF-8 timeout -k 90 3600 ";
    assert!(rendered[0].text.contains(start), "{}", rendered[0].text);
}

#[test]
fn new_job_waits_until_it_is_enabled_and_stays_so_when_it_changes() {
    let cron = cron(Scope::System);
    let host = machine(true);
    cron.install(&host, &job("daily 03:00")).expect("installed");
    assert!(schedule_lines(&text(&host)).is_empty(), "{}", text(&host));
    assert_eq!(timer(&host).enablement, Enablement::Disabled);
    cron.enable(&host, &job("hourly").name).expect("enabled");
    assert_eq!(text(&host), cron.render(&job("daily 03:00"))[0].text);
    let state = timer(&host);
    assert!(state.loaded && state.active && state.enablement == Enablement::Enabled);
    assert_eq!(state.next_elapse, Some(at("2026-11-21T03:00:00Z")));
    cron.install(&host, &job("daily 04:00")).expect("installed");
    assert_eq!(text(&host), cron.render(&job("daily 04:00"))[0].text);
    cron.remove(&host, &job("hourly").name).expect("removed");
    cron.remove(&host, &job("hourly").name).expect("removed twice");
    assert_eq!(cron.observe(&host).present().expect("present").jobs, []);
    assert!(host.read(Path::new("/etc/cron.d/e2scrub_all")).is_ok());
}

#[test]
fn what_is_installed_is_what_is_seen() {
    let job = job("weekly sun 03:00");
    let found = only(&enabled(&job));
    assert_eq!(found.service.command, job.argv);
    assert_eq!(found.marker.expect("a marker").set_digest, job.set_digest);
    assert_eq!(super::super::differences(&only(&enabled(&job)), &cron(Scope::System).render(&job)), []);
}

/// What is seen after somebody changed the file behind our back.
fn changed(change: impl Fn(&str) -> String, mode: u32) -> InstalledJob {
    let host = enabled(&job("daily 03:00"));
    let now = change(&text(&host));
    only(&host.file(FILE, &now, mode))
}

#[test]
fn file_that_cron_would_not_read_is_not_loaded() {
    assert!(changed(str::to_owned, 0o644).timer.expect("a timer").loaded);
    for (change, mode) in [
        (str::to_owned as fn(&str) -> String, 0o666),
        (str::to_owned, 0o664),
        (str::to_owned, 0o755),
        (|text: &str| text.trim_end().to_owned(), 0o644),
    ] {
        let found = changed(change, mode);
        assert!(!found.service.loaded && !found.timer.expect("a timer").loaded, "{mode:o}");
    }
}

#[test]
fn lines_that_were_commented_out_are_a_disabled_timer() {
    for sign in ["#", "# ", "#off "] {
        let commented = |text: &str| {
            text.lines()
                .map(
                    |line| {
                        if line.starts_with('#') { format!("{line}\n") } else { format!("{sign}{line}\n") }
                    },
                )
                .collect()
        };
        let timer = changed(commented, 0o644).timer.expect("a timer");
        assert_eq!((timer.enablement, timer.next_elapse), (Enablement::Disabled, None), "{sign}");
    }
    let without = |text: &str| text.split_inclusive('\n').filter(|line| line.starts_with('#')).collect();
    assert_eq!(changed(without, 0o644).timer, None);
}

#[test]
fn what_would_really_be_executed_is_told() {
    let found = changed(|text| text.replace("bkp run", "bkp prune"), 0o644);
    assert_eq!(found.service.command[1], "prune");
    let found = changed(|text| text.replacen(" --quiet >/dev/null", " --quiet || true", 1), 0o644);
    assert_eq!(found.service.command[..2], ["/bin/sh", "-c"]);
    let found = changed(|text| text.replace("# bkp-job: {", "# bkp-job: "), 0o644);
    assert_eq!((found.marker, found.name), (None, job("hourly").name));
    let found = changed(|text| format!("CRON_TZ=Asia/Tokyo\n{text}"), 0o644);
    assert_eq!(found.timer.expect("a timer").next_elapse, None);
}

#[test]
fn next_elapse_is_that_of_the_lines_as_found() {
    let next = |time: &str| changed(|text| text.replace("0 * * * *", time).replace("0 3 * * *", time), 0o644);
    for (time, elapse) in [
        ("15 5 * * *", Some("2026-11-21T05:15:00Z")),
        ("*/20 3-4 * * *", Some("2026-11-21T03:00:00Z")),
        ("0 0 1 * 7", Some("2026-11-22T00:00:00Z")),
        ("0 0 1 12 *", Some("2026-12-01T00:00:00Z")),
    ] {
        assert_eq!(next(time).timer.expect("a timer").next_elapse, elapse.map(at), "{time}");
    }
    assert_eq!(next("0 25 * * *").timer.expect("@reboot is left").enablement, Enablement::Disabled);
}

#[test]
fn without_a_cron_nothing_is_active_and_nothing_is_enabled() {
    let host = machine(false);
    let cron = cron(Scope::System);
    cron.install(&host, &job("hourly")).expect("installed");
    assert!(matches!(cron.enable(&host, &job("hourly").name), Err(SchedulerError::Refused { .. })));
    assert!(!timer(&host).active);
    assert!(!runs(&host, Scope::System) && runs(&machine(true), Scope::System));
    let nowhere = FakeHost::default().file("/proc/1/comm", "init\n", 0o444);
    assert_eq!(cron.observe(&nowhere), Observed::Absent);
    let blind = FakeHost::default().file("/etc/cron.d/x", "", 0o644);
    assert!(matches!(cron.observe(&blind), Observed::Unknown(_)));
}

#[test]
fn trial_has_a_command_and_no_times() {
    let mut job = job("hourly");
    job.name = JobName::Trial("ledger".parse().expect("a name"));
    job.calendar = None;
    let host = machine(true);
    cron(Scope::System).install(&host, &job).expect("installed");
    let found = only(&host);
    assert_eq!((found.timer, found.service.command), (None, job.argv));
}

#[test]
fn what_a_table_cannot_hold_is_refused_before_anything_is_written() {
    let host = machine(true);
    let before = host.changes();
    for word in ["a\nb".to_owned(), "x".repeat(1000), "x".repeat(780)] {
        let mut job = job("hourly");
        job.argv.push(word);
        assert!(matches!(cron(Scope::System).install(&host, &job), Err(SchedulerError::Check { .. })));
    }
    assert_eq!(host.changes(), before);
}

#[test]
fn lines_of_one_start_are_no_schedule_and_go_without_a_trace() {
    let clean = cron(Scope::System).render(&job("daily 03:00"))[0].text.clone();
    let command =
        table::command(&job("daily 03:00")).once(Path::new("/var/lib/bkp/once/x.record")).expect("text");
    let lines = table::once_lines(&["1 2 3 4 *".to_owned()], Some("root"), &command.text());
    let both = format!("{clean}{lines}");
    assert_eq!(table::entries(&both, Scope::System), table::entries(&clean, Scope::System));
    assert_eq!(table::without_once(&both), clean);
    assert!(
        lines.contains(
            "/usr/local/bin/bkp once --record /var/lib/bkp/once/x.record -- /usr/local/bin/bkp run"
        )
    );
}

#[test]
fn switching_off_and_on_gives_the_same_lines() {
    for scope in [Scope::System, Scope::User] {
        let job = Job { scope, ..job("cron 0 3 13 * 5") };
        let text = cron(scope).render(&job)[0].text.clone();
        let off = table::disabled(&text, scope);
        assert!(table::entries(&off, scope).iter().all(|entry| !entry.enabled));
        assert_eq!(table::entries(&off, scope).len(), table::entries(&text, scope).len());
        assert_eq!(table::enabled(&off), text);
    }
}
