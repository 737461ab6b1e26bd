//! `kill -9` at random moments: no snapshot that does not hold, none lost, and the next run succeeds.
#![expect(clippy::disallowed_methods, reason = "the moment of the kill is a time, and nothing else")]

mod support_faults;

use std::collections::BTreeSet;
use std::io::BufRead;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support_faults::{Bed, names};

/// Runs that are killed with each retention.
const KILLED_RUNS: u32 = 100;
/// Killed `apply`s of a fresh host, and as many of a plan that changed.
const KILLED_APPLIES: u32 = 10;

/// Random moments that are the same each time (xorshift*).
struct Moments(u64);

impl Moments {
    fn new(seed: u64) -> Self {
        println!("seed {seed:#x}");
        Self(seed)
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let share = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        let nanoseconds = longest.as_nanos() * u128::from(share) / (1 << 32);
        Duration::from_nanos(u64::try_from(nanoseconds).expect("less than the longest"))
    }
}

/// Starts bkp and kills it after the delay; says whether the kill came in time.
fn kill_after(bed: &Bed, arguments: &[&str], delay: Duration) -> bool {
    let mut command = bed.command(&[], arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("bkp starts");
    std::thread::sleep(delay);
    child.kill().expect("a child can be killed");
    child.wait().expect("a child ends").signal() == Some(9)
}

/// How long a run takes that nobody disturbs.
fn measured(bed: &Bed, set: &str) -> Duration {
    let started = Instant::now();
    bed.demand(0, &["run", set]);
    started.elapsed()
}

/// Nothing is left of what was killed: every folder is a snapshot, no temporary name, no scratch place.
fn demand_swept(bed: &Bed, set: &str) {
    let folder = bed.set_folder(set);
    assert_eq!(names(&folder), bed.sealed(set), "leftovers of `{set}` after a run that sealed");
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for name in names(&folder) {
            assert!(!name.starts_with('.'), "{} is left in {}", name, folder.display());
            let path = folder.join(&name);
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    let scratch = names(&bed.path("home/.local/state/bkp/scratch"));
    let left: Vec<_> = scratch.iter().filter(|name| name.starts_with(set)).collect();
    assert!(left.is_empty(), "scratch places are left: {left:?}");
}

/// Kills runs of both sets; `must_stay` says which of the earlier snapshots have to be there, given whether a new
/// one was sealed.
fn kill_runs(retention: &str, seed: u64, must_stay: impl Fn(&BTreeSet<String>, bool) -> BTreeSet<String>) {
    let bed = Bed::new(&format!("  retention: {retention}"), "", "");
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    let mut moments = Moments::new(seed);
    // Each run that was let be says how long the next one may live: the machine's load changes.
    let mut lengths = ["docs", "shop"].map(|set| (set, measured(&bed, set)));
    let mut interrupted = 0;
    for number in 0..KILLED_RUNS {
        let (set, longest) = &mut lengths[usize::from(number % 2 == 1)];
        let before = bed.sealed(set);
        let delay = moments.up_to(*longest);
        interrupted += u32::from(kill_after(&bed, &["run", set], delay));
        let after = bed.sealed(set);
        let sealed = after.last() > before.last();
        let lost: Vec<_> = must_stay(&before, sealed).difference(&after).cloned().collect();
        assert!(lost.is_empty(), "run {number}, killed after {delay:?}: {lost:?} lost of {before:?}");
        *longest = measured(&bed, set);
        assert!(bed.sealed(set).last() > after.last(), "run {number}: the next one sealed nothing");
        demand_swept(&bed, set);
    }
    println!("{interrupted} of {KILLED_RUNS} runs were killed in time");
    assert!(interrupted > KILLED_RUNS / 2, "most kills came too late to prove anything: {interrupted}");
    bed.demand(0, &["verify", "--all"]);
    bed.demand(0, &["drill"]);
}

#[test]
fn killed_run_leaves_no_snapshot_that_does_not_hold_and_loses_none() {
    kill_runs("{ within: 3650d }", 0x00b1_c0de, |before, _| before.clone());
}

#[test]
fn killed_run_never_prunes_more_than_retention_allows() {
    kill_runs("{ last: 2 }", 0x5eed_0002, |before, sealed| {
        before.iter().rev().take(if sealed { 1 } else { 2 }).cloned().collect()
    });
}

/// Applies, demands that nothing is left to do, and that every set holds.
fn demand_converged(bed: &Bed, number: u32, delay: Duration) {
    let again = bed.bkp(&["apply", "plan.yaml", "--yes"]);
    assert_eq!(again.code, Some(0), "apply {number}, killed after {delay:?}, does not converge: {again:#?}");
    bed.demand(0, &["plan", "plan.yaml", "--detailed-exitcode"]);
    for set in ["docs", "shop"] {
        assert!(!bed.sealed(set).is_empty(), "apply {number}: `{set}` has no snapshot");
    }
}

fn start_afresh(bed: &Bed) {
    for name in ["home", "destination"] {
        let path = bed.path(name);
        if Path::new(&path).exists() {
            std::fs::remove_dir_all(path).expect("a bed can be emptied");
        }
    }
    std::fs::create_dir(bed.path("home")).expect("a home");
}

#[test]
fn killed_apply_of_a_fresh_host_converges_when_it_is_run_again() {
    let bed = Bed::new("  retention: { last: 3 }", "", "");
    let started = Instant::now();
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    let longest = started.elapsed();
    let mut moments = Moments::new(0xa991_0001);
    for number in 0..KILLED_APPLIES {
        start_afresh(&bed);
        let delay = moments.up_to(longest);
        kill_after(&bed, &["apply", "plan.yaml", "--yes"], delay);
        demand_converged(&bed, number, delay);
    }
}

#[test]
fn killed_apply_of_a_changed_plan_converges_when_it_is_run_again() {
    let bed = Bed::new("  retention: { last: 3 }", "", "");
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    let started = Instant::now();
    bed.write_plan("  retention: { last: 4 }\n  compression: gzip", "", "");
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    let longest = started.elapsed();
    let mut moments = Moments::new(0xa991_0002);
    for number in 0..KILLED_APPLIES {
        let before = bed.sealed("docs");
        let compression = if number % 2 == 0 { "zstd" } else { "none" };
        bed.write_plan(&format!("  retention: {{ within: 30d }}\n  compression: {compression}"), "", "");
        let delay = moments.up_to(longest);
        kill_after(&bed, &["apply", "plan.yaml", "--yes"], delay);
        demand_converged(&bed, number, delay);
        assert!(bed.sealed("docs").is_superset(&before), "apply {number} lost snapshots");
    }
}

#[test]
fn apply_waits_for_a_run_that_is_still_going() {
    let bed = Bed::new("", "", "");
    let (hook, fifo, hold) = (bed.path("hook.sh"), bed.path("fifo"), bed.path("hold"));
    let script = format!("if [ -e {0} ]; then cat {1}; fi\n", hold.display(), fifo.display());
    std::fs::write(&hook, script).expect("a hook");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs");
    assert!(made.success());
    // The limit keeps this test from waiting for ever; a second place lets the other sets pass by.
    let slow = format!(
        "  slow: {{ type: files, paths: [source/docs], time_limit: 60s, before: [[/bin/sh, {}]] }}\n\
         max_parallel: 2",
        hook.display()
    );
    bed.write_plan("  retention: { last: 3 }", "", &slow);
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    std::fs::write(&hold, "").expect("a file");
    let mut run = bed.command(&[], &["run", "slow"]).spawn().expect("a run");
    // The hook has opened the pipe: the run holds its lock.
    let release = std::fs::OpenOptions::new().write(true).open(&fifo).expect("the hook's end");
    std::fs::remove_file(&hold).expect("a file");
    bed.write_plan("  retention: { last: 4 }", "", &slow);
    let mut command = bed.command(&[], &["apply", "plan.yaml", "--yes"]);
    let mut apply = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("an apply");
    let mut lines = std::io::BufReader::new(apply.stderr.take().expect("a pipe")).lines();
    let waiting = lines.by_ref().map_while(Result::ok).find(|line| line.contains("waiting for"));
    assert!(waiting.is_some_and(|line| line.contains("bkp run slow")), "apply does not wait for the run");
    drop(release);
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    assert!(apply.wait().expect("apply ends").success(), "{rest:#?}");
    assert!(run.wait().expect("the run ends").success());
}
