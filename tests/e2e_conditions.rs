//! When scheduled runs begin and when not: whether one is due, quiet hours, mains power, a first day, and what ends a
//! run that hangs.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

mod support;

use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};
use support::{Bench, DAY, picture, wait_until};

/// A bench with the set `docs`, applied, whose clock stands at the next three in the night, and a few seconds.
fn at_three(conditions: &str) -> Bench {
    let mut bench = Bench::new();
    bench.make_docs("docs");
    bench.plan(&format!("  docs: {{ type: files, paths: [docs]{conditions} }}\n"));
    bench.apply("plan");
    let now = i64::try_from(unix_now()).expect("a time");
    let three = 3 * 3600;
    bench.shift_seconds = ((now - three) / DAY + 1) * DAY + three + 5 - now;
    bench
}

fn unix_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

const ASK: &str = "run docs --if-due --trigger schedule";

fn events(bench: &Bench, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(bench.state("journal.jsonl")).expect("a journal");
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line"));
    all.filter(|line| line["event"]["kind"] == kind).collect()
}

#[test]
fn scheduler_that_asks_too_often_makes_one_run() {
    let mut bench = at_three("");
    bench.bkp(ASK).exits(0);
    assert_eq!(bench.ids("docs").len(), 2);
    for _ in 0..2 {
        bench.bkp(ASK).exits(0).says("no run is due");
        bench.shift_seconds += 3600;
    }
    assert_eq!(bench.ids("docs").len(), 2);
    bench.shift_seconds += DAY;
    bench.bkp(ASK).exits(0);
    assert_eq!(bench.ids("docs").len(), 3);
}

#[test]
fn run_that_failed_is_due_again() {
    let bench = at_three("");
    fs::rename(bench.path("docs"), bench.path("gone")).expect("a rename");
    bench.bkp(ASK).exits(1);
    fs::rename(bench.path("gone"), bench.path("docs")).expect("a rename");
    bench.bkp(ASK).exits(0);
    assert_eq!(bench.ids("docs").len(), 2);
}

#[test]
fn destination_that_is_down_does_not_make_each_question_a_run() {
    let mut bench = Bench::new();
    bench.make_docs("docs");
    let (near, far) = (bench.store().display().to_string(), bench.other_device("far").display().to_string());
    bench.plan_of(
        "plan",
        &format!(
            "defaults: {{ schedule: daily 03:00, destinations: [near, far], retention: {{ last: 2 }} }}\n\
             destinations:\n  near: {{ type: local, path: {near} }}\n  far: {{ type: local, path: {far} }}\n"
        ),
        "  docs: { type: files, paths: [docs] }\n",
    );
    bench.apply("plan");
    fs::rename(&far, bench.other_device("unmounted")).expect("a rename");
    bench.shift_seconds = DAY;
    // By hand it is due for as long as one destination lacks it; the scheduler's questions come each hour.
    bench.bkp(ASK).exits(3);
    let ids = bench.bkp("snapshots docs --format json").out;
    bench.bkp(ASK).exits(0).says("no run is due");
    assert_eq!(bench.bkp("snapshots docs --format json").out, ids);
    fs::remove_dir_all(bench.state("")).expect("the state goes");
    bench.bkp(ASK).exits(0).says("no run is due");
}

#[test]
fn snapshot_from_the_future_does_not_stop_the_runs() {
    let mut bench = at_three("");
    let today = bench.shift_seconds;
    bench.shift_seconds += 400 * DAY;
    bench.bkp("run docs").exits(0);
    bench.shift_seconds = today;
    bench.bkp(ASK).exits(0);
    assert_eq!(bench.ids("docs").len(), 3);
}

#[test]
fn run_that_is_due_in_quiet_hours_begins_at_their_end() {
    let mut bench = at_three(", quiet_hours: \"02:00-06:00\"");
    bench.bkp("run docs --trigger schedule").exits(0).says("quiet hours (02:00-06:00)");
    assert_eq!(events(&bench, "held").len(), 1);
    bench.bkp(ASK).exits(0);
    assert_eq!(bench.ids("docs").len(), 1);
    bench.shift_seconds += 3 * 3600;
    bench.bkp(ASK).exits(0);
    assert_eq!(bench.ids("docs").len(), 2);
    // By hand nobody is held.
    bench.shift_seconds += DAY - 3600;
    bench.bkp("run docs").exits(0);
    assert_eq!(bench.ids("docs").len(), 3);
}

#[test]
fn laptop_on_its_battery_waits_and_audit_says_so_when_the_set_is_stale() {
    let mut bench = at_three(", require_ac_power: true");
    let supplies = bench.path("supplies");
    let power = |online: &str, status: &str| {
        bench.write("supplies/AC/type", "Mains\n");
        bench.write("supplies/AC/online", online);
        bench.write("supplies/BAT0/type", "Battery\n");
        bench.write("supplies/BAT0/status", status);
    };
    let ask = |bench: &Bench| {
        let mut command = bench.command(ASK.split_whitespace());
        let output = command.env("BKP_TEST_POWER_SUPPLIES", &supplies).output().expect("bkp starts");
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    power("0\n", "Discharging\n");
    assert!(ask(&bench).contains("the machine works on its battery"));
    assert_eq!(bench.ids("docs").len(), 1);
    assert!(!bench.codes().contains(&"run-held".to_owned()));
    bench.shift_seconds += DAY;
    assert!(ask(&bench).contains("the machine works on its battery"));
    bench.shift_seconds += DAY / 2 + 600;
    let codes = bench.codes();
    assert!(codes.contains(&"set-stale".to_owned()) && codes.contains(&"run-held".to_owned()), "{codes:?}");
    assert!(bench.finding("run-held").evidence.contains("battery"));
    fs::write(supplies.join("AC/online"), "1\n").expect("power is back");
    ask(&bench);
    assert_eq!(bench.ids("docs").len(), 2);
    assert!(!bench.codes().contains(&"run-held".to_owned()));
}

#[test]
fn nothing_is_due_before_the_first_day_and_apply_proves_the_set_all_the_same() {
    let mut bench = at_three(", not_before: 2999-01-01");
    assert_eq!(bench.ids("docs").len(), 1);
    bench.bkp(ASK).exits(0).says("no run has been due yet");
    bench.bkp("run docs --trigger schedule").exits(0).says("not_before");
    bench.shift_seconds += 30 * DAY;
    let codes = bench.codes();
    assert!(!codes.contains(&"set-stale".to_owned()), "{codes:?}");
}

/// Runs the set in a process whose first fsync takes so many seconds: a disk, or a mount, that does not answer.
fn slow_disk(bench: &Bench, seconds: u32, words: &str) -> (Option<i32>, String, Duration) {
    let source = format!(
        "#include <unistd.h>\n#include <sys/syscall.h>\nstatic int calls;\n\
         int fsync(int fd) {{ if (calls++ == 0) sleep({seconds}); return syscall(SYS_fsync, fd); }}\n"
    );
    bench.write("slow.c", source);
    support::sh("cc -shared -fPIC -o slow.so slow.c", bench.root());
    let began = Instant::now();
    let output = bench
        .command(words.split_whitespace())
        .env("LD_PRELOAD", bench.path("slow.so"))
        .output()
        .expect("bkp starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), began.elapsed())
}

#[test]
fn run_that_stops_moving_is_ended_in_order_and_says_why() {
    let bench = at_three(", stall_limit: 2s");
    let names = || -> Vec<String> {
        let all = picture(&bench.store()).into_iter();
        all.filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
    };
    let stored = names();
    let (code, said, _) = slow_disk(&bench, 3, "run docs");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nothing moved for 2s"), "{said}");
    assert_eq!(names(), stored);
    let last = events(&bench, "finished").pop().expect("an end");
    assert_eq!(last["event"]["outcome"], "failed");
    assert!(last["event"]["reason"].as_str().is_some_and(|it| it.contains("nothing moved for 2s")), "{last}");
    bench.bkp("run docs").exits(0);
}

#[test]
fn run_that_never_comes_back_is_ended_all_the_same() {
    let bench = at_three(", stall_limit: 2s");
    let (code, said, took) = slow_disk(&bench, 60, "run docs");
    assert_eq!(code, Some(1), "{said}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    let last = events(&bench, "finished").pop().expect("an end");
    let reason = last["event"]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("nothing moved for 2s") && reason.contains("did not come back"), "{reason}");
    assert!(bench.codes().contains(&"run-failed".to_owned()));
    bench.bkp("run docs").exits(0);
    assert!(!bench.codes().contains(&"run-failed".to_owned()));
}

#[test]
fn hook_may_be_silent_longer_than_a_run_may_stand_still_and_time_limit_ends_it() {
    let bench = Bench::new();
    bench.make_docs("docs");
    let hook = bench.script("bin/before", "sleep 4");
    let set = |more: &str| {
        let hook = hook.display();
        bench.plan(&format!("  docs: {{ type: files, paths: [docs], before: [[{hook}]]{more} }}\n"));
    };
    set(", stall_limit: 1s");
    bench.apply("plan");
    set(", stall_limit: 1s, time_limit: 2s");
    bench.bkp("run docs --plan plan.yaml").exits(1).says("before hook failed");
}

#[test]
fn sets_after_one_that_was_given_up_are_not_begun_and_said_so() {
    let bench = Bench::new();
    bench.make_docs("docs");
    bench.make_docs("other");
    bench.plan(
        "  docs: { type: files, paths: [docs], stall_limit: 2s }\n  other: { type: files, paths: [other] }\n",
    );
    bench.apply("plan");
    let (code, said, _) = slow_disk(&bench, 3, "run docs other");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("set not begun") && said.contains("run `bkp run other`"), "{said}");
    assert_eq!(bench.ids("other").len(), 1);
}

#[test]
fn after_hooks_of_a_run_that_was_given_up_run_to_their_end() {
    let bench = Bench::new();
    bench.make_docs("docs");
    let root = bench.root().display().to_string();
    let after = bench.script("bin/after", &format!("sleep 5; echo thawed >>{root}/hooks"));
    bench.plan(&format!(
        "  docs: {{ type: files, paths: [docs], stall_limit: 2s, after: [[{}]] }}\n",
        after.display()
    ));
    bench.apply("plan");
    fs::remove_file(bench.path("hooks")).expect("the hook's note");
    let (code, said, _) = slow_disk(&bench, 3, "run docs");
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(fs::read_to_string(bench.path("hooks")).expect("the hook's note"), "thawed\n", "{said}");
}

#[test]
fn run_that_goes_on_is_not_joined_by_another() {
    let bench = Bench::new();
    bench.make_docs("docs");
    let root = bench.root().display().to_string();
    let hook =
        bench.script("bin/before", &format!("touch {root}/in; test ! -e {root}/fifo || cat {root}/fifo"));
    let hook = hook.display().to_string();
    bench.plan(&format!("  docs: {{ type: files, paths: [docs], before: [[{hook}]] }}\n"));
    bench.apply("plan");
    fs::remove_file(bench.path("in")).expect("the mark");
    support::sh("mkfifo fifo", bench.root());
    let mut running = bench.start("run docs --trigger schedule");
    wait_until("the hook runs", || bench.path("in").exists());
    bench.bkp(ASK).exits(0).says("no run is due");
    assert!(running.lives());
    assert!(events(&bench, "skipped").is_empty());
    fs::write(bench.path("fifo"), "go\n").expect("the hook is let go");
    running.finish().exits(0);
}

#[test]
fn run_that_is_asked_for_through_its_job_waits_for_nothing() {
    let bench = at_three(", quiet_hours: [\"00:00-11:59\", \"12:00-23:59\"], not_before: 2999-01-01");
    bench.bkp("pause docs --until 2998-01-01 --reason test").exits(0);
    bench.bkp("run docs --job").exits(0);
    assert_eq!(bench.ids("docs").len(), 2);
    // The request is answered, and the next start asks again.
    bench.bkp("run docs --trigger schedule").exits(0).says("paused");
    assert_eq!(bench.ids("docs").len(), 2);
}
