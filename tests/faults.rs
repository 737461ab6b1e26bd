//! Faults from below: the system says no, the disk is full, the mount is another one, the clock jumps, a hook hangs.
//! Whatever it is, a run says so, publishes nothing that does not hold, and leaves the earlier snapshots alone.
#![expect(clippy::disallowed_methods, reason = "faults are brought about from outside")]

mod support_faults;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support_faults::{Bed, Said, names, said, sealed_in};

const RETENTION: &str = "  retention: { within: 3650d }";

fn applied() -> Bed {
    let bed = Bed::new(RETENTION, "", "");
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    bed
}

/// Runs a set below strace with an injected fault, and says whether the fault came about.
fn run_with(bed: &Bed, set: &str, injections: &[&str]) -> (Said, bool) {
    let log = bed.path("strace.log");
    let log_name = log.display().to_string();
    let mut wrapper = vec!["strace", "-f", "-qq", "-o", log_name.as_str()];
    for injection in injections {
        wrapper.extend(["-e", injection]);
    }
    let said = said(&mut bed.command(&wrapper, &["run", set]));
    let told =
        fs::read_to_string(&log).unwrap_or_else(|error| panic!("strace left no log ({error}): {said:?}"));
    (said, told.contains("(INJECTED)") || told.contains("killed by SIGKILL"))
}

/// What holds after any fault: nothing lost, all that is sealed holds, and a run that claims to be complete has
/// sealed a snapshot.
fn demand_ground(bed: &Bed, set: &str, before: &BTreeSet<String>, said: &Said, fault: &str) {
    let after = bed.sealed(set);
    assert!(after.is_superset(before), "{fault}: lost {:?}: {said:#?}", before.difference(&after));
    let new = after.len() - before.len();
    match said.code {
        Some(0) => assert_eq!(new, 1, "{fault}: a success without a snapshot: {said:#?}"),
        Some(1) => assert_eq!(new, 0, "{fault}: failed, and yet published: {said:#?}"),
        // Sealed, and something after it failed; or killed by the injected signal.
        Some(3) | None => {}
        Some(137) if fault.contains("KILL") => {}
        Some(other) => panic!("{fault}: exit status {other}: {said:#?}"),
    }
    if said.code.is_some_and(|code| code != 0 && code != 137) {
        assert!(said.err.contains("error: "), "{fault}: it failed without a word: {said:#?}");
    }
}

/// What a success despite a fault means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Success {
    /// The call was needed: a success hides the fault.
    Hides,
    /// The call may have been one that nothing rests on.
    Possible,
}

/// Injects `fault` at each call of a system call, one run for each, until a run has no such call left; gives how
/// many came about.
fn sweep(bed: &Bed, set: &str, call: &str, fault: &str, step: usize, success: Success) -> usize {
    let mut struck = 0;
    for number in (1..400).step_by(step) {
        let before = bed.sealed(set);
        let injection = format!("inject={call}:{fault}:when={number}");
        let (said, came) = run_with(bed, set, &[&injection]);
        demand_ground(bed, set, &before, &said, &format!("{set}: {injection}"));
        if !came {
            assert_eq!(said.code, Some(0), "{injection} did not come about, and yet: {said:#?}");
            break;
        }
        struck += 1;
        let hides = success == Success::Hides && said.code == Some(0);
        assert!(!hides, "{set}: {injection}: a success hides it: {said:#?}");
    }
    bed.demand(0, &["run", set]);
    bed.demand(0, &["verify", set, "--all"]);
    struck
}

#[test]
fn fsync_that_fails_is_a_failure_at_every_call() {
    let bed = applied();
    for set in ["docs", "shop"] {
        let struck = sweep(&bed, set, "fsync", "error=EIO", 1, Success::Hides);
        assert!(struck >= 6, "only {struck} calls of fsync were struck in `{set}`");
    }
}

#[test]
fn journal_that_does_not_reach_the_disk_is_a_failure_at_every_call() {
    let bed = applied();
    let struck = sweep(&bed, "docs", "fdatasync", "error=EIO", 1, Success::Hides);
    assert!(struck >= 3, "only {struck} calls of fdatasync were struck");
}

#[test]
fn rename_that_fails_is_a_failure_at_every_call() {
    let bed = applied();
    for set in ["docs", "shop"] {
        let struck = sweep(&bed, set, "renameat2", "error=EIO", 1, Success::Hides);
        assert!(struck >= 3, "only {struck} calls of renameat2 were struck in `{set}`");
    }
}

#[test]
fn full_disk_at_any_write_publishes_nothing_that_does_not_hold() {
    let bed = applied();
    for set in ["docs", "shop"] {
        // A log that cannot be written costs no backup: those calls may be struck and the run succeed.
        let struck = sweep(&bed, set, "write", "error=ENOSPC", 1, Success::Possible);
        assert!(struck >= 8, "only {struck} calls of write were struck in `{set}`");
    }
}

#[test]
fn leftovers_that_cannot_be_removed_cost_no_backup_and_are_told() {
    let bed = applied();
    let before = bed.sealed("docs");
    let (said, came) = run_with(&bed, "docs", &["inject=unlinkat:error=EIO:when=1"]);
    assert!(came, "no folder was to be removed: {said:#?}");
    assert_eq!(said.code, Some(3), "{said:#?}");
    assert!(said.err.contains("leftovers not cleared"), "{said:#?}");
    assert_eq!(bed.sealed("docs").len(), before.len() + 1);
}

#[test]
fn log_that_cannot_be_written_costs_no_backup() {
    let bed = applied();
    let before = bed.sealed("docs");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut command = bed.command(&[], &["run", "docs"]);
    let log = full.try_clone().expect("a second handle");
    let status = command.stdout(full).stderr(log).status().expect("bkp starts");
    assert_eq!(status.code(), Some(0));
    assert_eq!(bed.sealed("docs").len(), before.len() + 1);
}

#[test]
fn kill_at_any_rename_sync_or_removal_leaves_only_snapshots_that_hold() {
    let bed = Bed::new("  retention: { last: 2 }", "", "");
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    for call in ["renameat2", "fsync", "fdatasync", "unlinkat", "unlink", "mkdirat", "write"] {
        let mut killed = 0;
        for number in 1..100 {
            let before = bed.sealed("docs");
            let injection = format!("inject={call}:signal=KILL:when={number}");
            let (said, came) = run_with(&bed, "docs", &[&injection]);
            let after = bed.sealed("docs");
            let newest = before.last().expect("an earlier snapshot");
            assert!(after.contains(newest), "{injection}: lost {newest}: {said:#?}");
            bed.demand(0, &["run", "docs"]);
            if !came {
                break;
            }
            killed += 1;
        }
        assert!(killed > 0, "no call of {call} was struck");
        bed.demand(0, &["verify", "docs", "--all"]);
    }
}

#[test]
fn file_that_cannot_be_opened_or_read_is_named_and_fails_the_run() {
    let bed = applied();
    let noise = bed.path("source/docs/deep/noise.bin").display().to_string();
    for (path, fault) in [
        (noise.as_str(), "inject=pread64,read:error=EIO"),
        (noise.as_str(), "inject=pread64,read:error=EIO:when=2"),
        ("noise.bin", "inject=openat,open:error=EACCES"),
        ("noise.bin", "inject=openat,open:error=EIO"),
    ] {
        let before = bed.sealed("docs");
        let wrapper = ["strace", "-f", "-qq", "-o", "strace.log", "-P", path, "-e", fault];
        let said = said(&mut bed.command(&wrapper, &["run", "docs"]));
        let log = fs::read_to_string(bed.path("strace.log")).expect("a log");
        assert!(log.contains("(INJECTED)"), "{fault} did not come about: {said:#?}");
        assert_eq!(said.code, Some(1), "{fault}: {said:#?}");
        assert!(said.err.contains("noise.bin"), "{fault}: the file is not named: {said:#?}");
        assert_eq!(bed.sealed("docs"), before, "{fault}: something was published");
    }
    bed.demand(0, &["run", "docs"]);
}

#[test]
fn database_that_cannot_be_opened_or_read_fails_the_run() {
    let bed = applied();
    let shop = bed.path("source/shop.db").display().to_string();
    for fault in
        ["inject=pread64:error=EIO", "inject=openat,open:error=EACCES", "inject=openat,open:error=EIO"]
    {
        let before = bed.sealed("shop");
        let wrapper = ["strace", "-f", "-qq", "-o", "strace.log", "-P", shop.as_str(), "-e", fault];
        let said = said(&mut bed.command(&wrapper, &["run", "shop"]));
        let log = fs::read_to_string(bed.path("strace.log")).expect("a log");
        assert!(log.contains("(INJECTED)"), "{fault} did not come about: {said:#?}");
        assert_eq!(said.code, Some(1), "{fault}: {said:#?}");
        assert!(said.err.contains("shop.db"), "{fault}: the database is not named: {said:#?}");
        assert_eq!(bed.sealed("shop"), before, "{fault}: something was published");
    }
    bed.demand(0, &["run", "shop"]);
}

#[test]
fn system_that_refuses_to_open_anything_never_gets_a_success_out_of_it_that_does_not_hold() {
    let bed = applied();
    // The first calls are the loader's.
    for number in (12..200).step_by(5) {
        let before = bed.sealed("docs");
        let injection = format!("inject=openat:error=EACCES:when={number}");
        let (said, came) = run_with(&bed, "docs", &[&injection]);
        demand_ground(&bed, "docs", &before, &said, &injection);
        if !came {
            break;
        }
    }
    bed.demand(0, &["verify", "docs", "--all"]);
}

/// A file system of its own at a path, gone with this value.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: &Path, arguments: &[&str]) -> Self {
        fs::create_dir_all(path).expect("a mount point");
        let said = said(Command::new("mount").args(arguments).arg(path));
        assert_eq!(
            said.code,
            Some(0),
            "nothing can be mounted here, and without it nothing is proven: {said:#?}"
        );
        Self(path.to_path_buf())
    }

    fn small(path: &Path, size: &str) -> Self {
        Self::at(path, &["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"])
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let said = said(Command::new("umount").arg(&self.0));
        assert!(said.code == Some(0) || std::thread::panicking(), "{}: {said:#?}", self.0.display());
    }
}

fn fill(bed: &Bed, bytes: u64) {
    let mut noise = fs::File::open("/dev/urandom").expect("/dev/urandom");
    let mut file = fs::File::create(bed.path("source/docs/large.bin")).expect("a file");
    std::io::copy(&mut std::io::Read::take(&mut noise, bytes), &mut file).expect("room");
}

#[test]
fn full_destination_fails_the_run_and_keeps_the_earlier_snapshots() {
    let bed = Bed::new(RETENTION, "", "");
    let _small = Mounted::small(&bed.path("destination"), "1m");
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    let before = bed.sealed("docs");
    fill(&bed, 2 << 20);
    let said = bed.demand(1, &["run", "docs"]);
    assert!(said.err.contains("the destination is full"), "{said:#?}");
    assert_eq!(bed.sealed("docs"), before);
    bed.demand(0, &["verify", "--all"]);
    fs::remove_file(bed.path("source/docs/large.bin")).expect("a file");
    bed.demand(0, &["run", "docs"]);
    assert_eq!(bed.sealed("docs"), names(&bed.set_folder("docs")), "leftovers stay");
}

#[test]
fn full_destination_does_not_keep_the_other_one_from_its_snapshot() {
    let bed = Bed::new(
        RETENTION,
        "  small: { type: local, path: small }",
        "  both: { type: files, paths: [source/docs], destinations: [local, small] }",
    );
    let _small = Mounted::small(&bed.path("small"), "1m");
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    let small = bed.path("small/bed/both");
    let (before, before_small) = (bed.sealed("both"), sealed_in(&small));
    fill(&bed, 2 << 20);
    let said = bed.demand(3, &["run", "both"]);
    assert!(said.err.contains("destination `small`") && said.err.contains("full"), "{said:#?}");
    assert_eq!(
        bed.sealed("both").len(),
        before.len() + 1,
        "the other destination has its snapshot: {said:#?}"
    );
    assert_eq!(sealed_in(&small), before_small);
    let audit = bed.demand(2, &["audit"]);
    assert!(audit.out.contains("[run-incomplete]"), "{audit:#?}");
}

#[test]
fn full_state_folder_fails_the_run_before_it_begins() {
    let bed = applied();
    let before = bed.sealed("shop");
    let _small = Mounted::small(&bed.path("home/.local/state/bkp"), "4m");
    let said = bed.demand(1, &["run", "shop"]);
    assert!(said.err.contains("scratch folder too small"), "{said:#?}");
    assert_eq!(bed.sealed("shop"), before);
}

#[test]
fn destination_whose_mount_is_missing_is_refused_and_nothing_is_written_there() {
    let bed = applied();
    fs::rename(bed.path("destination"), bed.path("elsewhere")).expect("a rename");
    fs::create_dir(bed.path("destination")).expect("an empty folder");
    for command in [&["run", "docs"][..], &["verify"], &["drill"], &["prune", "--yes"]] {
        let said = bed.demand(1, command);
        assert!(said.err.contains("mounted"), "{said:#?}");
    }
    assert!(names(&bed.path("destination")).is_empty(), "something was written below a missing mount");
    let audit = bed.demand(2, &["audit"]);
    assert!(audit.out.contains("[destination-not-prepared]"), "{audit:#?}");
    fs::remove_dir(bed.path("destination")).expect("still empty");
    fs::rename(bed.path("elsewhere"), bed.path("destination")).expect("a rename");
    bed.demand(0, &["run", "docs"]);
}

fn demand_source_refused(bed: &Bed) {
    for set in ["docs", "shop"] {
        let before = bed.sealed(set);
        let looked = bed.demand(2, &["audit"]);
        assert!(looked.out.contains(&format!("[source-moved]\n  set `{set}`")), "{looked:#?}");
        let said = bed.demand(1, &["plan", "plan.yaml"]);
        let blocked = format!("! set `{set}`\n    source is not what it was");
        assert!(said.out.contains(&blocked), "{said:#?}");
        let said = bed.demand(1, &["run", set]);
        assert!(
            said.err.contains("source is not what it was") && said.err.contains("--accept-source"),
            "{said:#?}"
        );
        assert_eq!(bed.sealed(set), before);
        bed.demand(0, &["run", set, "--accept-source"]);
        assert_eq!(bed.sealed(set).len(), before.len() + 1);
        bed.demand(0, &["run", set]);
    }
}

#[test]
fn source_on_another_mount_is_refused_until_it_is_accepted() {
    let bed = applied();
    let copy = |from: &str, to: &str| {
        let said = said(Command::new("cp").args(["-a", "-T"]).args([bed.path(from), bed.path(to)]));
        assert_eq!(said.code, Some(0), "{said:#?}");
    };
    copy("source", "copy");
    {
        let _other = Mounted::small(&bed.path("source"), "8m");
        copy("copy", "source");
        demand_source_refused(&bed);
    }
    // Back on the old one is a change too.
    demand_source_refused(&bed);
    let copy = bed.path("copy").display().to_string();
    let _bound = Mounted::at(&bed.path("source"), &["--bind", &copy]);
    demand_source_refused(&bed);
}

/// As `/etc/resolv.conf` is: a link is kept as one, and where it leads is nothing of the set's.
#[test]
fn link_to_a_file_may_lead_to_another_file_system_later() {
    let bed = Bed::new(RETENTION, "", "  linked: { type: files, paths: [etc/one, etc/link] }");
    fs::create_dir(bed.path("etc")).expect("a folder");
    for name in ["one", "two"] {
        fs::write(bed.path("etc").join(name), "line\n").expect("a file");
    }
    let _other = Mounted::small(&bed.path("stub"), "1m");
    fs::write(bed.path("stub/file"), "line\n").expect("a file");
    std::os::unix::fs::symlink("../stub/file", bed.path("etc/link")).expect("a link");
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    fs::remove_file(bed.path("etc/link")).expect("a link");
    std::os::unix::fs::symlink("two", bed.path("etc/link")).expect("a link");
    bed.demand(0, &["run", "linked"]);
    bed.demand(0, &["plan", "plan.yaml", "--detailed-exitcode"]);
}

/// Where the details of the newest snapshot are encrypted and the key is kept elsewhere, its manifest says nothing of mounts.
#[test]
fn source_on_another_mount_is_refused_also_where_nothing_here_reads_the_manifests() {
    let keys = Bed::new(RETENTION, "", "");
    let recipient = keys.demand(0, &["keys", "new", "--out", "key.txt"]).out;
    let sealed = format!(
        "  vault:\n    type: local\n    path: vault\n    encryption: {{ type: age, recipients: [\"{}\"], identity: \
         {{ elsewhere: in the safe }} }}",
        recipient.trim()
    );
    for destinations in ["[vault]", "[local, vault]", "[vault, local]"] {
        let bed = Bed::new(
            RETENTION,
            &sealed,
            &format!("  mounted:\n    type: files\n    paths: [data]\n    destinations: {destinations}"),
        );
        {
            let _disk = Mounted::small(&bed.path("data"), "1m");
            fs::write(bed.path("data/letter.txt"), "dear reader\n").expect("a file");
            bed.demand(0, &["apply", "plan.yaml", "--yes"]);
            bed.demand(0, &["run", "mounted"]);
        }
        let said = bed.demand(1, &["run", "mounted"]);
        assert!(said.err.contains("source is not what it was"), "{destinations}: {said:#?}");
        let looked = bed.demand(2, &["audit"]);
        assert!(looked.out.contains("[source-moved]\n  set `mounted`"), "{destinations}: {looked:#?}");
    }
}

fn run_at(bed: &Bed, shift_days: i64) -> Said {
    let shift = (shift_days * 86_400).to_string();
    said(bed.command(&[], &["run", "docs"]).env("BKP_TEST_CLOCK_SHIFT_SECONDS", shift))
}

#[test]
fn clock_set_back_keeps_the_order_and_prunes_nothing() {
    let bed = Bed::new("  retention: { within: 30d }", "", "");
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    for shift_days in [0, 0, -400, -800] {
        let before = bed.sealed("docs");
        let said = run_at(&bed, shift_days);
        assert_eq!(said.code, Some(0), "{said:#?}");
        let after = bed.sealed("docs");
        assert!(after.is_superset(&before), "a clock {shift_days} days off pruned: {said:#?}");
        assert_eq!(after.len(), before.len() + 1);
    }
    let sequences: Vec<u64> = bed
        .sealed("docs")
        .iter()
        .map(|name| name.rsplit('-').next().expect("a sequence").parse().expect("a number"))
        .collect();
    let highest = sequences.iter().max().copied();
    assert_eq!(highest, Some(5), "{sequences:?}");
    // The newest by sequence is the one that restore takes.
    let newest = bed.sealed("docs").into_iter().find(|name| name.ends_with("-000005")).expect("the newest");
    let said = bed.demand(0, &["verify", "docs"]);
    assert!(said.out.contains(&newest), "{said:#?}");
}

#[test]
fn clock_that_jumps_forward_does_not_prune_everything() {
    let bed = Bed::new("  retention: { within: 30d }", "", "");
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    for _ in 0..3 {
        bed.demand(0, &["run", "docs"]);
    }
    let before = bed.sealed("docs");
    let said = run_at(&bed, 4000);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(bed.sealed("docs").is_superset(&before), "the clock jumped, and snapshots are gone: {said:#?}");
}

#[test]
fn hook_that_hangs_ends_with_its_whole_group_at_the_time_limit() {
    let bed = Bed::new(
        RETENTION,
        "",
        "  slow:\n    type: files\n    paths: [source/docs]\n    time_limit: 2s\n    \
         before: [[/bin/sh, hook.sh]]",
    );
    fs::write(bed.path("hook.sh"), "exit 0\n").expect("a hook");
    bed.write_plan(
        RETENTION,
        "",
        &format!(
            "  slow:\n    type: files\n    paths: [source/docs]\n    time_limit: 2s\n    before: [[/bin/sh, {}]]",
            bed.path("hook.sh").display()
        ),
    );
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    let before = bed.sealed("slow");
    let noted = bed.path("child.pid");
    fs::write(bed.path("hook.sh"), format!("sleep 600 & echo $! > {}\nwait\n", noted.display()))
        .expect("a hook");
    let started = Instant::now();
    let said = bed.demand(1, &["run", "slow"]);
    assert!(started.elapsed() < Duration::from_secs(30), "it took {:?}", started.elapsed());
    assert!(said.err.contains("hook failed"), "{said:#?}");
    assert_eq!(bed.sealed("slow"), before);
    let child = fs::read_to_string(&noted).expect("the hook's child");
    let state = fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    let gone =
        state.is_empty() || state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
    assert!(gone, "the hook's child lives on: {state}");
}

#[test]
fn flood_on_a_hooks_standard_error_is_drained_and_bounded() {
    let hook = |tail: &str| format!("head -c 60000000 /dev/zero | tr '\\\\0' x >&2; {tail}\n");
    let bed = Bed::new(RETENTION, "", "");
    fs::write(bed.path("hook.sh"), "exit 0\n").expect("a hook");
    let path = bed.path("hook.sh").display().to_string();
    bed.write_plan(
        RETENTION,
        "",
        &format!("  loud: {{ type: files, paths: [source/docs], before: [[/bin/sh, {path}]] }}"),
    );
    bed.demand(0, &["apply", "plan.yaml", "--yes"]);
    fs::write(&path, hook("exit 0")).expect("a hook");
    bed.demand(0, &["run", "loud"]);
    let before = bed.sealed("loud");
    fs::write(&path, hook("exit 9")).expect("a hook");
    let said = bed.demand(1, &["run", "loud"]);
    assert!(said.err.contains("hook failed"), "{}", said.err.len());
    assert!(said.err.len() < 256 << 10, "{} bytes are said of it", said.err.len());
    assert_eq!(bed.sealed("loud"), before);
}

/// A process that ends with this value.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself: then the test has already failed for it.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn audit_by_a_user_who_may_not_look_is_unknown_and_not_fine() {
    const NOBODY: [&str; 5] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let bed = Bed::new(RETENTION, "", "");
    let root = bed.path("");
    let said = said(Command::new("chown").args(["-R", "65534:65534"]).arg(&root));
    assert_eq!(said.code, Some(0), "the tests run as root: {said:#?}");
    let as_nobody = |arguments: &[&str]| support_faults::said(&mut bed.command(&NOBODY, arguments));
    let applied = as_nobody(&["apply", "plan.yaml", "--yes"]);
    assert_eq!(applied.code, Some(0), "{applied:#?}");
    let mut daemon = bed.command(&NOBODY, &["daemon"]);
    let _daemon = Running(daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a daemon"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while !bed.path("home/.local/state/bkp/daemon.json").exists() {
        assert!(Instant::now() < deadline, "the daemon gives no sign of life");
        std::thread::yield_now();
    }
    let destination = bed.path("destination");
    let said = support_faults::said(Command::new("chown").arg("root:root").arg(&destination));
    assert_eq!(said.code, Some(0), "{said:#?}");
    let audit = as_nobody(&["audit"]);
    assert!(audit.out.contains("[could-not-look]") && audit.out.contains("denied"), "{audit:#?}");
    assert_eq!(audit.code, Some(1), "{audit:#?}");
    let verify = as_nobody(&["verify"]);
    assert_eq!(verify.code, Some(1), "{verify:#?}");
}
