//! Jobs of launchd from end to end, on a stand-in of `launchctl` that really runs them.
//!
//! The stand-in keeps launchctl's documented behaviour; that a Mac behaves so too is not shown here, or anywhere yet.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Bench, Outcome, SEARCH_PATH, set_mode, text, tool, wait_until};

/// A host whose PATH begins with the stand-in.
struct Mac {
    bench: Bench,
}

impl Mac {
    /// With the sets of a plan `plan`.
    fn new(sets: &str) -> Self {
        let mut bench = Bench::new();
        bench.make_docs("docs");
        bench.make_database("shop.db", 3);
        // A job has the environment of its property list alone, and so the host's real name.
        let name = tool("uname", &[OsStr::new("-n")], Path::new("/"));
        String::from_utf8(name).expect("text").trim().clone_into(&mut bench.host_name);
        let bkp = bench.binary.display().to_string();
        let (tools, state) = (Self::tools(), bench.path("launchd"));
        let (tools, state) = (tools.display(), state.display());
        bench.binary = bench.script(
            "bkp-on-a-mac",
            &format!(
                "unset BKP_TEST_HOST_NAME\nexec env PATH={tools}:{SEARCH_PATH} BKP_STANDIN_LAUNCHD={state} {bkp} \"$@\""
            ),
        );
        fs::create_dir_all(bench.path("launchd")).expect("a folder");
        let mac = Self { bench };
        mac.plan(sets);
        mac
    }

    fn tools() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support_launchd")
    }

    fn plan(&self, sets: &str) {
        let store = self.bench.store().display().to_string();
        let head = "version: 1\nname: plan\nhost: \"*\"\nscope: user\nscheduler: launchd\n";
        let defaults =
            "defaults:\n  schedule: daily 03:00\n  destinations: [near]\n  retention: { last: 7 }\n";
        let destinations = format!("destinations:\n  near: {{ type: local, path: {store} }}\n");
        self.bench.write("plan.yaml", format!("{head}{defaults}{destinations}sets:\n{sets}"));
    }

    fn applied(sets: &str) -> Self {
        let mac = Self::new(sets);
        mac.bench.apply("plan");
        mac
    }

    fn launchctl(&self, words: &str) -> Outcome {
        let output = Command::new(Self::tools().join("launchctl"))
            .args(words.split_whitespace())
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("BKP_STANDIN_LAUNCHD", self.bench.path("launchd"))
            .output()
            .expect("the stand-in starts: it needs python3");
        Outcome {
            code: output.status.code(),
            signal: None,
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// A job's target in the domain of this test's user.
    fn target(job: &str) -> String {
        let uid = tool("id", &[OsStr::new("-u")], Path::new("/"));
        format!("gui/{}/io.bkp.{job}", String::from_utf8(uid).expect("text").trim())
    }

    fn plist(&self, job: &str) -> PathBuf {
        self.bench.home().join(format!("Library/LaunchAgents/io.bkp.{job}.plist"))
    }

    fn is_loaded(&self, job: &str) -> bool {
        self.launchctl(&format!("print {}", Self::target(job))).code == Some(0)
    }

    fn runs(&self, job: &str) -> bool {
        self.launchctl(&format!("print {}", Self::target(job))).out.contains("state = running")
    }

    fn calls(&self) -> String {
        text(&self.bench.path("launchd/calls"))
    }

    /// Tells the stand-in something.
    fn tell(&self, what: &str, words: &str) {
        self.bench.write(&format!("launchd/{what}"), words);
    }

    /// What a set's job has found to do: the store is emptied, so a run is due.
    fn start_due(&self, set: &str) {
        fs::remove_dir_all(self.bench.store().join(&self.bench.host_name).join(set)).expect("snapshots");
        self.launchctl(&format!("kickstart {}", Self::target(set))).exits(0);
    }

    #[track_caller]
    fn converges(&self) {
        self.bench.apply("plan");
        self.bench.bkp("plan plan.yaml --detailed-exitcode").exits(0).says("No changes.");
        assert_eq!(self.bench.codes(), [""; 0]);
    }

    #[track_caller]
    fn evidence(&self, code: &str) -> String {
        self.bench.finding(code).evidence
    }
}

const DOCS: &str = "  docs: { type: files, paths: [docs] }\n";

/// A set whose run waits for the file `gate`.
fn gated(mac: &Bench) -> String {
    let wait = mac.script("wait", "while ! [ -e \"$1\" ]; do sleep 0.1; done");
    let (wait, gate) = (wait.display().to_string(), mac.path("gate").display().to_string());
    format!("  docs: {{ type: files, paths: [docs], before: [[{wait}, {gate}]] }}\n")
}

#[test]
fn apply_tries_the_job_through_launchd_in_its_own_environment_and_a_second_time_changes_nothing() {
    let mac = Mac::new(DOCS);
    let seen = mac.bench.path("seen");
    let hook = mac.bench.script("look", &format!("env > {}; umask >> {0}; pwd >> {0}", seen.display()));
    mac.plan(&format!("  docs: {{ type: files, paths: [docs], before: [[{}]] }}\n", hook.display()));
    mac.converges();
    let seen = text(&seen);
    assert!(seen.contains(&format!("HOME={}\n", mac.bench.home().display())), "{seen}");
    assert!(seen.contains(&format!("PATH={SEARCH_PATH}\n")) && seen.contains("\n0077\n/\n"), "{seen}");
    assert!(seen.contains("XPC_SERVICE_NAME=io.bkp.try-docs\n"), "the trial ran it: {seen}");
    assert!(!seen.contains("TMPDIR") && !seen.contains("BKP_STANDIN"), "nothing of ours reached it: {seen}");
    let calls = mac.calls();
    assert!(
        calls.contains(&format!("kickstart {}", Mac::target("try-docs"))) && !calls.contains("kickstart -k")
    );
    assert!(!mac.plist("try-docs").exists() && !mac.is_loaded("try-docs"), "the trial is taken away");
    assert!(mac.is_loaded("docs") && mac.is_loaded("audit-plan"));
    assert_eq!(mac.bench.ids("docs").len(), 1, "what is loaded and not due makes no snapshot");
    mac.bench.bkp("status").exits(0).says("docs");
}

#[test]
fn property_list_is_one_for_apples_tools_too() {
    let mac = Mac::applied(DOCS);
    let path = mac.plist("docs");
    // plistutil is of the package libplist-utils, and reads as Apple's own library does.
    let binary = tool("plistutil", &[OsStr::new("-i"), path.as_os_str()], Path::new("/"));
    assert!(binary.starts_with(b"bplist00"), "{}", String::from_utf8_lossy(&binary));
    let read = plist::Value::from_reader(std::io::Cursor::new(binary)).expect("a property list");
    let read = read.into_dictionary().expect("a dictionary");
    let word = |key: &str| read.get(key).and_then(plist::Value::as_string).map(str::to_owned);
    assert_eq!(word("Label").as_deref(), Some("io.bkp.docs"));
    assert!(word("BkpJob").is_some_and(|marker| marker.contains("\"plan\":\"plan\"")));
    let words = read["ProgramArguments"].as_array().expect("words");
    assert_eq!(words[1].as_string(), Some("run"));
    let first = read["StartCalendarInterval"].as_array().and_then(|all| all.first()).expect("a start");
    assert_eq!(first.as_dictionary().and_then(|it| it.get("Minute")?.as_unsigned_integer()), Some(0));
    assert_eq!(
        (read["RunAtLoad"].as_boolean(), read["Umask"].as_unsigned_integer()),
        (Some(true), Some(0o077))
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o644, "launchd refuses what others may write");
}

#[test]
fn disabling_it_behind_our_back_is_found_and_mended() {
    let mac = Mac::applied(DOCS);
    for words in [false, true] {
        if words {
            mac.tell("old-words", "");
        }
        mac.launchctl(&format!("disable {}", Mac::target("docs"))).exits(0);
        assert!(mac.evidence("timer-disabled").contains("disabled"));
        mac.bench.bkp("plan plan.yaml --detailed-exitcode").exits(2);
        mac.converges();
    }
}

#[test]
fn job_that_was_disabled_and_unloaded_is_enabled_before_it_is_loaded() {
    let mac = Mac::applied(DOCS);
    mac.launchctl(&format!("disable {}", Mac::target("docs"))).exits(0);
    mac.launchctl(&format!("bootout {}", Mac::target("docs")));
    mac.converges();
    assert!(mac.is_loaded("docs"));
}

#[test]
fn unloading_it_behind_our_back_is_found_and_mended() {
    let mac = Mac::applied(DOCS);
    wait_until("the job's first look whether a run is due", || !mac.runs("docs"));
    mac.launchctl(&format!("bootout {}", Mac::target("docs"))).exits(0);
    assert!(mac.evidence("timer-missing").contains("not loaded"));
    mac.converges();
}

#[test]
fn edited_property_list_is_drift_and_so_is_one_that_launchd_has_not_read() {
    let mac = Mac::applied(DOCS);
    let good = text(&mac.plist("docs"));
    fs::write(mac.plist("docs"), good.replace("<integer>3</integer>", "<integer>4</integer>"))
        .expect("a file");
    assert!(mac.evidence("job-drifted").contains("differs"));
    mac.converges();
    assert_eq!(text(&mac.plist("docs")), good);
    // The right file lies there, and launchd has loaded another.
    let other = mac.bench.write("other.plist", good.replace("--if-due", "--help"));
    set_mode(&other, 0o644);
    wait_until("the job's first look whether a run is due", || !mac.runs("docs"));
    mac.launchctl(&format!("bootout {}", Mac::target("docs"))).exits(0);
    let domain = Mac::target("").replace("/io.bkp.", "");
    mac.launchctl(&format!("bootstrap {domain} {}", other.display())).exits(0);
    let found = mac.bench.findings();
    let told = |words: &str| found.iter().any(|it| it.code == "job-drifted" && it.evidence.contains(words));
    assert!(told("since the scheduler read it") && told("--help"), "{found:#?}");
    mac.converges();
}

#[test]
fn property_list_that_is_gone_is_found_although_launchd_still_runs_it() {
    let mac = Mac::applied(DOCS);
    fs::remove_file(mac.plist("docs")).expect("a file");
    assert!(mac.bench.codes().contains(&"job-drifted".to_owned()));
    mac.converges();
}

#[test]
fn words_that_bkp_does_not_know_are_unknown_and_never_fine() {
    let mac = Mac::applied(DOCS);
    for words in ["io.bkp.docs is running fine, next run tomorrow", "", "{}"] {
        mac.tell("garbage", words);
        mac.bench.bkp("audit").exits(1).says("could-not-look").says("cannot be understood");
        mac.bench.bkp("plan plan.yaml").exits(1);
        mac.bench.bkp("apply plan.yaml --yes").exits(1);
    }
    fs::remove_file(mac.bench.path("launchd/garbage")).expect("a file");
    assert_eq!(mac.bench.codes(), [""; 0]);
}

#[test]
fn user_who_is_not_logged_in_is_told_what_helps() {
    let mac = Mac::applied(DOCS);
    mac.tell("logged-out", "");
    let audit = mac.bench.bkp("audit").exits(1);
    audit.says("could-not-look").says("Could not find domain").says("scope: system");
}

#[test]
fn host_without_launchctl_is_unknown_too() {
    let mac = Mac::new(DOCS);
    let bkp = env!("CARGO_BIN_EXE_bkp");
    let run = |words: &[&str]| {
        let mut command = Command::new(bkp);
        command.args(words).current_dir(mac.bench.root()).env_clear();
        command.env("PATH", SEARCH_PATH).env("HOME", mac.bench.home());
        let output = command.output().expect("bkp starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, out) = run(&["plan", "plan.yaml"]);
    assert!(code == Some(1) && out.contains("launchctl"), "{code:?} {out}");
}

#[test]
fn start_that_launchd_only_pretends_is_not_taken_for_a_run() {
    let mac = Mac::new(DOCS);
    mac.tell("spawn-nothing", "");
    mac.bench.bkp("apply plan.yaml --yes").exits(1).says("was not started");
    assert!(!mac.plist("docs").exists() && !mac.is_loaded("docs"));
    fs::remove_file(mac.bench.path("launchd/spawn-nothing")).expect("a file");
    mac.converges();
}

#[test]
fn failing_trial_keeps_the_older_job() {
    let mac = Mac::applied(DOCS);
    let before = text(&mac.plist("docs"));
    mac.plan("  docs: { type: files, paths: [docs], before: [[\"false\"]] }\n");
    mac.bench.bkp("apply plan.yaml --yes").exits(1).says("before hook failed");
    assert_eq!(text(&mac.plist("docs")), before);
    assert!(mac.is_loaded("docs") && !mac.plist("try-docs").exists() && !mac.is_loaded("try-docs"));
    assert_eq!(mac.bench.snapshots("docs").len(), 1);
}

#[test]
fn run_that_is_going_on_is_never_killed() {
    let mac = Mac::new(DOCS);
    let gate = mac.bench.write("gate", "");
    mac.plan(&gated(&mac.bench));
    mac.converges();
    fs::remove_file(&gate).expect("a gate");
    mac.start_due("docs");
    wait_until("the run to begin", || mac.runs("docs"));
    // Removing it waits for a while, and then leaves everything as it is and says so.
    mac.bench.bkp("uninstall plan --yes").exits(1).says("kill");
    assert!(mac.runs("docs") && mac.plist("docs").exists());
    // A changed job is tried when the run has ended, and put in its place after that.
    mac.plan(&gated(&mac.bench).replace("before:", "exclude: [\"*.tmp\"], before:"));
    let apply = mac.bench.start("apply plan.yaml --yes");
    wait_until("apply to try the job", || mac.calls().contains("kickstart") && mac.is_loaded("try-docs"));
    assert!(mac.runs("docs"));
    fs::write(&gate, "").expect("a gate");
    apply.finish().exits(0);
    assert!(!mac.bench.path("launchd/killed").exists(), "a run was killed");
    let journal = text(&mac.bench.state("journal.jsonl"));
    assert!(journal.contains("\"trigger\":\"schedule\""), "{journal}");
    mac.bench.bkp("verify docs --all").exits(0);
    mac.bench.bkp("plan plan.yaml --detailed-exitcode").exits(0).says("No changes.");
}

#[test]
fn removing_waits_for_a_run_that_ends_soon() {
    let mac = Mac::new(DOCS);
    let gate = mac.bench.write("gate", "");
    mac.plan(&gated(&mac.bench));
    mac.converges();
    fs::remove_file(&gate).expect("a gate");
    mac.start_due("docs");
    wait_until("the run to begin", || mac.runs("docs"));
    let asked = mac.calls().lines().count();
    let uninstall = mac.bench.start("uninstall plan --yes");
    wait_until("bkp to ask for the run's end", || mac.calls().lines().count() > asked + 10);
    assert!(mac.runs("docs"));
    fs::write(&gate, "").expect("a gate");
    uninstall.finish().exits(0);
    assert!(!mac.bench.path("launchd/killed").exists(), "a run was killed");
    assert!(!mac.is_loaded("docs") && !mac.plist("docs").exists());
}

#[test]
fn uninstall_removes_the_jobs_and_no_artifact() {
    let mac = Mac::applied(DOCS);
    mac.bench.bkp("uninstall plan --yes").exits(0);
    for job in ["docs", "audit-plan", "try-docs"] {
        assert!(!mac.plist(job).exists() && !mac.is_loaded(job), "{job}");
    }
    assert!(mac.bench.store().join(&mac.bench.host_name).join("docs").exists());
}

#[test]
fn set_that_left_the_plan_loses_its_job() {
    let shop = "  shop: { type: sqlite, path: shop.db }\n";
    let mac = Mac::applied(&format!("{DOCS}{shop}"));
    assert!(mac.is_loaded("shop"));
    mac.plan(DOCS);
    mac.converges();
    assert!(!mac.is_loaded("shop") && !mac.plist("shop").exists());
}

#[test]
fn missed_run_is_caught_up_when_the_job_is_loaded() {
    let mac = Mac::applied(DOCS);
    wait_until("the job's first look whether a run is due", || !mac.runs("docs"));
    mac.launchctl(&format!("bootout {}", Mac::target("docs"))).exits(0);
    fs::remove_dir_all(mac.bench.store().join(&mac.bench.host_name).join("docs")).expect("snapshots");
    // As after a night without power: launchd loads what lies in its folder.
    let domain = Mac::target("").replace("/io.bkp.", "");
    mac.launchctl(&format!("bootstrap {domain} {}", mac.plist("docs").display())).exits(0);
    wait_until("the run to end", || !mac.runs("docs"));
    assert_eq!(mac.bench.ids("docs").len(), 1, "{}", text(&mac.bench.state("logs/io.bkp.docs.log")));
}

#[test]
fn log_of_a_job_is_bounded() {
    let mac = Mac::applied(DOCS);
    wait_until("the job's first look whether a run is due", || !mac.runs("docs"));
    let log = mac.bench.state("logs/io.bkp.docs.log");
    let run = || {
        mac.launchctl(&format!("kickstart {}", Mac::target("docs"))).exits(0);
        wait_until("the run to end", || !mac.runs("docs"));
    };
    fs::write(&log, "x".repeat(2 << 20)).expect("a log");
    run();
    run();
    assert!(fs::metadata(&log).expect("a log").len() < 1 << 20);
    assert!(fs::metadata(log.with_extension("log.1")).expect("the one before").len() > 1 << 20);
}

#[test]
fn installed_job_can_be_started_by_hand() {
    let mac = Mac::applied(DOCS);
    mac.bench.bkp("run docs --job").exits(0);
    // The job asks whether a run is due, and somebody asked for one.
    assert_eq!(mac.bench.ids("docs").len(), 2);
    assert!(mac.calls().contains(&format!("kickstart {}", Mac::target("docs"))));
}
