//! The embedded scheduler from end to end: a real `bkp daemon`, what it starts and when, and what audit says of it.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

mod support;

use std::fs;
use std::time::Duration;
use support::{Bench, DAY, Running, text, wait_for, wait_until};

fn applied() -> Bench {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    bench
}

/// Starts a daemon and waits until it says that it lives.
fn living(bench: &Bench) -> Running {
    let daemon = bench.start("daemon");
    wait_until("the daemon to be seen", || bench.findings().is_empty());
    daemon
}

#[test]
fn once_runs_what_is_due_and_nothing_twice() {
    let mut bench = applied();
    bench.bkp("daemon --once").exits(0);
    assert_eq!(bench.ids("shop").len(), 1, "nothing was due");
    // Three days off: one run makes up for all of them.
    bench.shift_seconds = 3 * DAY;
    bench.bkp("daemon --once").exits(0);
    assert_eq!(bench.ids("shop").len(), 2, "a missed run is made up for");
    assert_eq!(bench.ids("docs").len(), 2);
    bench.bkp("daemon --once").exits(0);
    assert_eq!(bench.ids("shop").len(), 2);
    bench.shift_seconds = 4 * DAY;
    bench.bkp("daemon --once").exits(0);
    assert_eq!(bench.ids("shop").len(), 3);
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn daemon_fires_by_itself_minute_after_minute() {
    let bench = Bench::with_two_sets();
    bench.plan("  shop: { type: sqlite, path: shop.db, schedule: \"cron * * * * *\" }\n");
    bench.apply("plan");
    let daemon = living(&bench);
    let status = bench.bkp("status --format json").exits(0).json().to_string();
    assert!(status.contains("next elapse"), "{status}");
    let mut fired = || text(&bench.state("journal.jsonl")).matches("\"trigger\":\"schedule\"").count() >= 2;
    wait_for(Duration::from_secs(140), "the timer to fire twice", &mut fired);
    let sealed = || bench.ids("shop").len() >= 3;
    wait_until("the second snapshot", sealed);
    wait_until("a clean audit", || bench.findings().is_empty());
    daemon.signal("TERM");
    daemon.finish().exits(143);
    bench.bkp("verify shop --all").exits(0);
}

#[test]
fn second_daemon_is_refused_and_a_killed_one_is_known_to_be_dead() {
    let bench = applied();
    let daemon = living(&bench);
    bench.bkp("audit").exits(0);
    bench.bkp("apply plan.yaml --yes").exits(0).says_nothing_of("not scheduled");
    bench.bkp("daemon").exits(1).says("another daemon runs here already");
    bench.bkp("daemon --once").exits(1).says("another daemon runs here already");
    daemon.signal("KILL");
    assert_eq!(daemon.finish().signal, Some(9));
    let found = bench.findings();
    assert_eq!(found.iter().map(|it| it.code.as_str()).collect::<Vec<_>>(), ["daemon-not-running"]);
    bench.bkp("apply plan.yaml --yes").exits(0).says("not scheduled: start bkp daemon");
    drop(living(&bench));
}

#[test]
fn status_shows_the_next_run_only_while_the_daemon_lives() {
    let bench = applied();
    let scheduled = |bench: &Bench| {
        let status = bench.bkp("status --format json").exits(0).json().to_string();
        status.contains("next elapse")
    };
    assert!(!scheduled(&bench));
    let daemon = living(&bench);
    assert!(scheduled(&bench));
    drop(daemon);
    assert!(!scheduled(&bench));
}

#[test]
fn daemon_takes_up_a_changed_plan_and_lets_go_of_a_removed_set() {
    let bench = applied();
    let _daemon = living(&bench);
    bench.plan("  shop: { type: sqlite, path: shop.db, schedule: daily 04:00 }\n");
    bench.bkp("apply plan.yaml --yes");
    wait_until("the daemon to take it up", || bench.findings().is_empty());
    let heartbeat = sh_find(&bench, "bkp-docs");
    assert!(!heartbeat, "the removed set is still loaded");
}

/// Whether the daemon's own files still name a job.
fn sh_find(bench: &Bench, word: &str) -> bool {
    let out = support::sh("cat daemon*.json 2>/dev/null || true", &bench.state(""));
    assert!(out.contains("bkp-shop"), "the heartbeat names the jobs: {out}");
    let document: serde_json::Value = out
        .split_inclusive("\n}")
        .filter_map(|part| serde_json::from_str::<serde_json::Value>(part).ok())
        .find(|value| value.get("loaded").is_some())
        .expect("a heartbeat");
    document["loaded"].get(word).is_some()
}

#[test]
fn failing_job_does_not_end_the_daemon_and_is_a_finding() {
    let mut bench = applied();
    fs::rename(bench.path("shop.db"), bench.path("away.db")).expect("a move");
    bench.shift_seconds = DAY;
    bench.bkp("daemon --once").exits(0).says("job failed").says("bkp-shop");
    assert_eq!(bench.ids("docs").len(), 2, "the other set went on");
    let codes = bench.codes();
    for code in ["run-failed", "source-missing"] {
        assert!(codes.contains(&code.to_owned()), "{code}: {codes:?}");
    }
}

#[test]
fn daemon_leaves_a_paused_set_alone() {
    let mut bench = applied();
    let until = support::sh("date -u -d '+20 days' +%F", bench.root());
    bench.run(["pause", "shop", "--until", until.trim(), "--reason", "it moves"]).exits(0);
    bench.shift_seconds = DAY;
    bench.bkp("daemon --once").exits(0);
    assert_eq!(bench.ids("shop").len(), 1);
    assert_eq!(bench.ids("docs").len(), 2);
}

#[test]
fn daemon_told_to_end_ends_its_job_and_nothing_is_sealed() {
    let bench = Bench::with_two_sets();
    let root = bench.root().display().to_string();
    bench.script("bin/before", &format!("echo $$ >>{root}/pids\ntest ! -e {root}/fifo || cat {root}/fifo"));
    bench.plan(&format!(
        "  shop: {{ type: sqlite, path: shop.db, schedule: \"cron * * * * *\", before: [[{root}/bin/before]] }}\n"
    ));
    bench.apply("plan");
    support::sh("mkfifo fifo", bench.root());
    fs::remove_file(bench.path("pids")).expect("the trial's note");
    let daemon = bench.start("daemon");
    wait_for(Duration::from_secs(80), "the job to begin", &mut || bench.path("pids").exists());
    daemon.signal("TERM");
    daemon.finish().exits(143);
    assert_eq!(bench.ids("shop").len(), 1);
    let pid = text(&bench.path("pids"));
    let gone = || !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists();
    wait_until("the hook to end", gone);
    bench.bkp("verify shop").exits(0);
}
