//! Every finding of audit, provoked on a real host: named by its code, and gone where it is mended.
//!
//! A test's name begins with the code that it provokes; `every_code_is_provoked_here_or_named_elsewhere` holds that
//! no code is forgotten.
#![expect(clippy::disallowed_methods, reason = "a test damages the files that a user would damage")]

mod support;

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::process::Command;
use support::{Bench, DAY, Found, SEARCH_PATH, flip_byte, set_mode, sh, text, wait_until};

/// Codes that no test here provokes, and where they are.
const ELSEWHERE: [(&str, &str); 29] = [
    ("timer-inactive", "systemd"),
    ("timer-dead", "systemd"),
    ("timer-masked", "systemd"),
    ("timer-static", "systemd"),
    ("service-masked", "systemd"),
    ("linger-off", "systemd"),
    ("run-held", "e2e_conditions, systemd"),
    ("destination-full-soon", "decide: a small file system has to be mounted"),
    ("source-moved", "faults"),
    ("tool-too-old", "postgres"),
    ("server-unreachable", "postgres, mysql, redis, qdrant, mongodb"),
    ("login-refused", "postgres, mysql, redis, qdrant, mongodb"),
    ("grant-missing", "postgres, mysql, redis, mongodb"),
    ("catalogue-limited", "mysql, mongodb"),
    ("member-gone", "qdrant"),
    ("member-not-stored", "qdrant"),
    ("open-door", "postgres, redis, qdrant"),
    ("drill-unjudged", "command_source"),
    ("destination-refused", "e2e_remote_findings"),
    ("destination-place-missing", "e2e_remote_findings"),
    ("destination-stranger", "decide, observe: a server with another certificate has to be trusted first"),
    ("clock-skew", "e2e_remote_findings"),
    ("destination-unopened", "e2e_remote_findings"),
    ("object-archived", "e2e_remote_findings"),
    ("copies-too-few", "e2e_remote_findings"),
    ("off-host-too-few", "e2e_remote_findings"),
    ("shared-fate", "e2e_remote_findings"),
    ("lifecycle-too-early", "decide: no service is asked for its rules yet"),
    ("proof-missing", "decide: a manifest says of every member when it was read back"),
];

fn applied() -> Bench {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    assert_eq!(bench.codes(), [""; 0], "a host that was just applied has no findings");
    bench
}

/// Demands that a code is the only one, the daemon's apart.
#[track_caller]
fn only(bench: &Bench, code: &str) -> Found {
    assert_eq!(bench.codes(), [code], "{:#?}", bench.findings());
    bench.finding(code)
}

fn shop(found: &Found) -> bool {
    found.set.as_deref() == Some("shop")
}

#[test]
fn every_code_is_provoked_here_or_named_elsewhere() {
    let listed = Bench::new().bkp("explain").exits(0).out;
    let codes: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(codes.len() >= 50, "{codes:?}");
    let here = include_str!("e2e_findings.rs");
    for code in codes {
        let provoked = here.contains(&format!("\nfn {}_", code.replace('-', "_")));
        let elsewhere = ELSEWHERE.iter().any(|(other, _)| *other == code);
        assert!(provoked != elsewhere, "`{code}`: provoked here {provoked}, named elsewhere {elsewhere}");
    }
}

#[test]
fn timer_missing_when_the_job_file_is_gone() {
    let bench = applied();
    fs::remove_file(bench.config("jobs/bkp-shop.json")).expect("a job file");
    assert!(shop(&only(&bench, "timer-missing")));
    bench.apply("plan");
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn timer_disabled_when_the_job_is_not_enabled() {
    let bench = applied();
    fs::remove_file(bench.config("jobs/bkp-shop.enabled")).expect("a mark");
    assert!(shop(&only(&bench, "timer-disabled")));
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(2).says("bkp-shop");
    bench.apply("plan");
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn job_drifted_when_the_job_file_was_edited() {
    let bench = applied();
    let path = bench.config("jobs/bkp-shop.json");
    fs::write(&path, text(&path).replace("daily 03:00", "daily 04:00")).expect("a job file");
    assert!(shop(&only(&bench, "job-drifted")));
    // Drift is shown as a diff.
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(2).says("daily 04:00");
    bench.apply("plan");
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn job_orphaned_when_a_job_of_the_plan_is_not_declared() {
    let bench = applied();
    let job = text(&bench.config("jobs/bkp-shop.json"));
    let mut job: serde_json::Value = serde_json::from_str(&job).expect("a job file");
    job["marker"]["job"] = serde_json::json!({"set": "ghost"});
    fs::write(bench.config("jobs/bkp-ghost.json"), format!("{job:#}\n")).expect("a job file");
    let found = only(&bench, "job-orphaned");
    assert_eq!(found.object, "bkp-ghost");
    bench.apply("plan");
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn job_writable_when_others_can_change_a_job_file() {
    let bench = applied();
    set_mode(&bench.config("jobs/bkp-shop.json"), 0o666);
    let found = only(&bench, "job-writable");
    assert!(found.evidence.contains("0666") && shop(&found), "{found:?}");
}

#[test]
fn pause_expired_when_the_day_has_come() {
    let mut bench = applied();
    let until = sh("date -u -d '+2 days' +%F", bench.root());
    bench.run(["pause", "shop", "--until", until.trim(), "--reason", "the shop moves"]).exits(0);
    assert_eq!(bench.codes(), [""; 0], "a pause that was declared is silent");
    bench.shift_seconds = 3 * DAY;
    assert!(bench.codes().contains(&"pause-expired".to_owned()), "{:#?}", bench.findings());
    bench.bkp("pause shop --end").exits(0);
    assert!(!bench.codes().contains(&"pause-expired".to_owned()));
}

#[test]
fn set_never_run_when_no_snapshot_exists() {
    let bench = applied();
    fs::remove_dir_all(bench.store().join("testhost/shop")).expect("snapshots");
    assert_eq!(bench.codes(), ["set-never-run", "snapshot-gone"]);
    assert!(shop(&bench.finding("set-never-run")));
}

#[test]
fn set_stale_when_runs_did_not_follow() {
    let mut bench = applied();
    bench.shift_seconds = 3 * DAY;
    assert_eq!(bench.codes(), ["set-stale"]);
    bench.bkp("run shop docs").exits(0);
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn snapshot_incomplete_when_a_member_failed_and_gone_after_a_complete_one() {
    let bench = Bench::new();
    bench.make_database("a.db", 5);
    bench.make_database("b.db", 5);
    bench.plan("  pair: { type: sqlite, files: { a: a.db, b: b.db } }\n");
    bench.apply("plan");
    let good = fs::read(bench.path("b.db")).expect("a database");
    let mut bad = good.clone();
    bad[4096..].fill(0x5a);
    fs::write(bench.path("b.db"), bad).expect("a database");
    let run = bench.bkp("run pair").exits(3).says("incomplete").says("FAILED");
    assert!(run.err.contains("member `b`"), "{}", run.err);
    assert_eq!(bench.codes(), ["run-incomplete", "snapshot-incomplete"]);
    let found = bench.finding("snapshot-incomplete");
    assert!(found.evidence.starts_with("b: "), "{found:?}");
    let manifest = text(&bench.newest("pair").join("manifest.json"));
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("a manifest");
    assert_eq!(manifest["complete"], false);
    assert_eq!(manifest["failed"][0]["name"], "b");
    let listed = bench.snapshots("pair");
    assert_eq!(listed.iter().map(|it| it.complete).collect::<Vec<_>>(), [true, false]);
    // It can be restored from, and does not count as fresh.
    bench.bkp(&format!("restore pair --snapshot {} --to back", listed[1].id)).exits(0);
    let status = bench.bkp("snapshots pair --format json").exits(0).out;
    assert!(status.contains(&listed[1].id));
    fs::write(bench.path("b.db"), good).expect("a database");
    bench.bkp("run pair").exits(0);
    assert_eq!(bench.codes(), [""; 0]);
    assert!(!bench.ids("pair").contains(&listed[1].id), "it went when a complete one had followed");
}

#[test]
fn run_incomplete_when_a_destination_is_gone_and_the_other_goes_on() {
    let bench = Bench::new();
    bench.make_docs("docs");
    let (near, far) = (bench.store(), bench.other_device("far"));
    let plan = |bench: &Bench| {
        bench.plan_of(
            "plan",
            &format!(
                "defaults: {{ schedule: daily 03:00, destinations: [near, far] }}\ndestinations:\n  near: {{ type: local, path: {} }}\n  far: {{ type: local, path: {} }}\n",
                near.display(),
                far.display()
            ),
            "  docs: { type: files, paths: [docs] }\n",
        )
    };
    plan(&bench);
    bench.apply("plan");
    fs::remove_file(far.join(".bkp-destination")).expect("a marker");
    bench.bkp("run docs").exits(3).says("destination `far`").says("destination near: stored and read back");
    let codes = bench.codes();
    assert!(codes.contains(&"run-incomplete".to_owned()), "{codes:?}");
    assert!(codes.contains(&"destination-not-prepared".to_owned()), "{codes:?}");
    // One destination's trouble hides nothing of the other.
    bench.bkp("snapshots docs --destination near").exits(0);
    bench.bkp("snapshots docs").exits(1).says("complete").says("marker is missing");
    bench.bkp("restore docs --to back").exits(0);
}

#[test]
fn snapshot_damaged_when_a_manifest_cannot_be_read() {
    let bench = applied();
    let manifest = bench.newest("shop").join("manifest.json");
    let half = text(&manifest);
    fs::write(&manifest, &half[..half.len() / 2]).expect("a manifest");
    let codes = bench.codes();
    assert!(codes.contains(&"snapshot-damaged".to_owned()), "{codes:?}");
    assert!(shop(&bench.finding("snapshot-damaged")));
    bench.bkp("verify shop").exits(1);
}

#[test]
fn snapshot_changed_when_a_manifest_is_another() {
    let bench = applied();
    let manifest = bench.newest("shop").join("manifest.json");
    let changed = text(&manifest).replace("\"table:orders\": 10", "\"table:orders\": 11");
    assert_ne!(changed, text(&manifest));
    fs::write(&manifest, changed).expect("a manifest");
    assert!(shop(&bench.finding("snapshot-changed")));
}

#[test]
fn snapshot_gone_when_it_vanished() {
    let bench = applied();
    bench.bkp("run shop").exits(0);
    bench.bkp("run shop").exits(0);
    let ids = bench.ids("shop");
    fs::remove_dir_all(bench.store().join("testhost/shop").join(&ids[1])).expect("a snapshot");
    let found = only(&bench, "snapshot-gone");
    assert_eq!(found.object, ids[1]);
}

#[test]
fn deleted_snapshot_is_not_gone_behind_bkps_back() {
    let bench = applied();
    bench.bkp("run shop").exits(0);
    bench.bkp("run shop").exits(0);
    let ids = bench.ids("shop");
    bench.bkp(&format!("delete shop {} --yes", ids[1])).exits(0);
    assert_eq!(bench.ids("shop").len(), 2);
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn object_missing_when_an_artifact_is_deleted() {
    let bench = applied();
    fs::remove_file(bench.newest("shop").join("shop.db.zst")).expect("an artifact");
    let found = only(&bench, "object-missing");
    assert!(found.object.ends_with("/shop.db.zst") && shop(&found), "{found:?}");
}

#[test]
fn object_wrong_size_when_an_artifact_is_cut() {
    let bench = applied();
    let artifact = bench.newest("shop").join("shop.db.zst");
    let bytes = fs::read(&artifact).expect("an artifact");
    fs::write(&artifact, &bytes[..bytes.len() - 1]).expect("an artifact");
    assert!(shop(&only(&bench, "object-wrong-size")));
}

#[test]
fn digest_differs_when_a_byte_flipped_and_verify_read_it() {
    let bench = applied();
    flip_byte(&bench.newest("shop").join("shop.db.zst"));
    bench.bkp("verify shop").exits(2).says("snapshot disproven");
    let found = only(&bench, "digest-differs");
    assert!(shop(&found), "{found:?}");
    // The next run is proven anew, also restored, and the damaged one stays until a person takes it.
    let damaged = bench.ids("shop")[0].clone();
    bench.bkp("run shop").exits(0);
    bench.bkp("verify shop").exits(0);
    assert_eq!(only(&bench, "digest-differs").object, damaged);
    bench.bkp("verify shop --all").exits(2).says(&damaged);
    bench.bkp(&format!("delete shop {damaged} --yes")).exits(0);
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn proof_old_when_nothing_was_read_back_for_a_month() {
    let mut bench = applied();
    bench.shift_seconds = 40 * DAY;
    let codes = bench.codes();
    assert!(codes.contains(&"proof-old".to_owned()), "{codes:?}");
    bench.bkp("verify --all").exits(0);
    assert!(!bench.codes().contains(&"proof-old".to_owned()));
}

#[test]
fn drill_missing_when_no_proof_of_a_restore_is_there() {
    let bench = applied();
    fs::remove_dir_all(bench.newest("shop").join("proofs")).expect("proofs");
    assert!(shop(&only(&bench, "drill-missing")));
    bench.bkp("drill shop").exits(0);
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn drill_old_when_the_last_restore_is_older_than_the_plan_allows() {
    let mut bench = Bench::with_two_sets();
    bench.plan("  shop: { type: sqlite, path: shop.db, prove: { restored: 2d } }\n");
    bench.apply("plan");
    bench.shift_seconds = 3 * DAY;
    let codes = bench.codes();
    assert!(codes.contains(&"drill-old".to_owned()), "{codes:?}");
    bench.bkp("drill shop").exits(0);
    assert!(!bench.codes().contains(&"drill-old".to_owned()));
}

#[test]
fn drill_differs_when_the_counts_are_not_those_of_the_backup() {
    let bench = applied();
    let manifest = bench.newest("shop").join("manifest.json");
    let changed = text(&manifest).replace("\"table:orders\": 10", "\"table:orders\": 11");
    assert_ne!(changed, text(&manifest));
    fs::write(&manifest, changed).expect("a manifest");
    bench.bkp("drill shop").exits(2).says("snapshot disproven");
    let found = bench.finding("drill-differs");
    assert!(shop(&found) && found.evidence.contains("orders"), "{found:?}");
}

#[test]
fn source_missing_when_it_was_deleted() {
    let bench = applied();
    fs::remove_file(bench.path("shop.db")).expect("a database");
    assert!(shop(&only(&bench, "source-missing")));
    bench.bkp("run shop").exits(1).says("does not exist");
    assert!(!bench.path("shop.db").exists(), "a database is never created");
    assert_eq!(bench.ids("shop").len(), 1);
}

#[test]
fn snapshot_shrunk_when_the_source_has_suddenly_less_in_it() {
    let bench = applied();
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[7]
    };
    let noise: Vec<u8> = (0..200_000).map(|_| next()).collect();
    for length in [200_000, 120_000] {
        fs::write(bench.path("docs/large.bin"), &noise[..length]).expect("a file");
        bench.bkp("run docs").exits(0);
        assert_eq!(bench.codes(), [""; 0], "more, and a little less, are no finding");
    }
    fs::remove_file(bench.path("docs/large.bin")).expect("a file");
    bench.bkp("run docs").exits(0);
    let found = only(&bench, "snapshot-shrunk");
    assert!(found.set.as_deref() == Some("docs") && found.object == bench.ids("docs")[3], "{found:#?}");
    let ids = bench.ids("docs");
    bench.bkp("audit").exits(2).says(&format!("`bkp diff docs {} {}`", ids[1], ids[3]));
    bench.bkp(&format!("diff docs {} {}", ids[1], ids[3])).says("large.bin");
}

/// What administrators do when a disk is full.
#[test]
fn source_linked_when_the_data_lies_behind_a_link_now() {
    let bench = applied();
    fs::rename(bench.path("docs"), bench.path("large")).expect("a rename");
    symlink("large", bench.path("docs")).expect("a link");
    let found = only(&bench, "source-linked");
    let target = bench.path("large");
    let fix = format!("declare `{}` in its place, or beside it", target.display());
    assert!(found.set.as_deref() == Some("docs"), "{found:#?}");
    bench.bkp("audit").exits(2).says(&fix);
    bench.bkp("plan plan.yaml").exits(1).says(&fix);
    bench.bkp("run docs").exits(1).says("is a symbolic link, and what it leads to").says(&fix);
    assert_eq!(bench.ids("docs").len(), 1, "a link alone is no backup of the folder");
    // Nor is one that leads nowhere, as when a disk is not mounted.
    fs::rename(bench.path("large"), bench.path("away")).expect("a rename");
    bench.bkp("run docs").exits(1).says("does not exist");
    assert_eq!(bench.finding("source-missing").set.as_deref(), Some("docs"));
    assert_eq!(bench.ids("docs").len(), 1);
}

#[test]
fn source_unreadable_when_the_user_may_not_read_it() {
    let bench = Bench::new();
    bench.make_docs("docs");
    bench.plan("  docs: { type: files, paths: [docs] }\n");
    set_mode(&bench.path("docs"), 0o700);
    set_mode(bench.root(), 0o755);
    chown(bench.home(), Some(65534), Some(65534)).expect("root: the tests run as root");
    let binary = bench.path("bkp");
    fs::copy(&bench.binary, &binary).expect("a copy of the binary");
    let audit = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args(["audit", "--format", "json", "--plan"])
        .arg(bench.path("plan.yaml"))
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("HOME", bench.home())
        .output()
        .expect("setpriv starts");
    let said = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(said.contains("\"source-unreadable\""), "{said}{}", String::from_utf8_lossy(&audit.stderr));
    assert!(!said.contains("\"source-missing\""), "{said}");
}

#[test]
fn tool_missing_when_a_hooks_program_is_gone() {
    let bench = Bench::with_two_sets();
    let hook = bench.script("bin/hook", "exit 0");
    bench.plan(&format!("  shop: {{ type: sqlite, path: shop.db, before: [[{}]] }}\n", hook.display()));
    bench.apply("plan");
    assert_eq!(bench.codes(), [""; 0]);
    fs::remove_file(&hook).expect("a hook");
    assert!(shop(&only(&bench, "tool-missing")));
    bench.bkp("run shop").exits(1).says("before hook failed");
    assert_eq!(bench.ids("shop").len(), 1);
}

#[test]
fn hook_writable_when_others_can_change_a_hook() {
    let bench = Bench::with_two_sets();
    let hook = bench.script("bin/hook", "exit 0");
    bench.plan(&format!("  shop: {{ type: sqlite, path: shop.db, after: [[{}]] }}\n", hook.display()));
    bench.apply("plan");
    set_mode(&hook, 0o777);
    assert!(shop(&only(&bench, "hook-writable")));
    set_mode(&hook, 0o755);
    set_mode(&bench.path("bin"), 0o777);
    only(&bench, "hook-writable");
}

fn with_secret() -> Bench {
    let bench = Bench::with_two_sets();
    let secret = bench.write("token", "s3cret\n");
    set_mode(&secret, 0o600);
    bench.plan(&format!(
        "  shop: {{ type: sqlite, path: shop.db, before: [[\"true\"]], secrets: {{ TOKEN: {{ file: {} }} }} }}\n",
        secret.display()
    ));
    bench.apply("plan");
    assert_eq!(bench.codes(), [""; 0]);
    bench
}

#[test]
fn secret_readable_when_others_can_read_it() {
    let bench = with_secret();
    set_mode(&bench.path("token"), 0o644);
    let found = only(&bench, "secret-readable");
    assert!(shop(&found) && found.evidence.contains("0644"), "{found:?}");
}

#[test]
fn requirement_unmet_when_a_secret_is_gone() {
    let bench = with_secret();
    fs::remove_file(bench.path("token")).expect("a secret");
    assert!(shop(&only(&bench, "requirement-unmet")));
    bench.bkp("run shop").exits(1).says("secret not available");
}

#[test]
fn plan_missing_when_it_was_not_applied() {
    let bench = Bench::with_two_sets();
    let found = bench.findings_of("audit --plan plan.yaml");
    for code in ["plan-missing", "timer-missing", "destination-not-prepared"] {
        assert!(found.iter().any(|it| it.code == code), "{code}: {found:#?}");
    }
    assert!(!bench.store().exists() && !bench.config("").exists(), "audit makes nothing");
}

#[test]
fn plan_edited_when_its_file_is_not_what_was_applied() {
    let bench = applied();
    let plan = text(&bench.path("plan.yaml"));
    bench.write("plan.yaml", format!("{plan}# a note\n"));
    only(&bench, "plan-edited");
    bench.apply("plan");
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn plan_writable_when_others_can_change_the_installed_one() {
    let bench = applied();
    set_mode(&bench.config("plans/plan.yaml"), 0o666);
    only(&bench, "plan-writable");
    set_mode(&bench.config("plans/plan.yaml"), 0o644);
    set_mode(&bench.config("plans/plan.d/shop.yaml"), 0o646);
    assert!(shop(&only(&bench, "plan-writable")));
}

#[test]
fn binary_writable_when_others_can_change_it() {
    let mut bench = Bench::with_two_sets();
    let copy = bench.path("bkp");
    fs::copy(&bench.binary, &copy).expect("a copy of the binary");
    bench.binary = copy;
    bench.apply("plan");
    assert_eq!(bench.codes(), [""; 0]);
    set_mode(&bench.binary, 0o777);
    only(&bench, "binary-writable");
}

#[test]
fn binary_misplaced_when_a_system_plan_runs_it_from_a_build_folder() {
    let bench = Bench::with_two_sets();
    let plan = text(&bench.path("plan.yaml")).replace("scope: user", "scope: system");
    bench.write("plan.yaml", plan.replace("name: plan\n", "name: never-applied\n"));
    let found = bench.findings_of("audit --plan plan.yaml --state-dir state");
    let found = found.iter().find(|it| it.code == "binary-misplaced").expect("a finding");
    assert!(found.evidence.contains("build folder"), "{found:?}");
}

#[test]
fn same_device_when_the_destination_lies_beside_its_source() {
    let bench = Bench::with_two_sets();
    let plan = text(&bench.path("plan.yaml"));
    let beside = bench.path("beside").display().to_string();
    bench.write("plan.yaml", plan.replace(&bench.store().display().to_string(), &beside));
    bench.apply("plan");
    // How full that device is, is the machine's affair.
    let found = bench.finding("same-device");
    assert!(found.evidence.contains("protects nothing"), "{found:?}");
}

#[test]
fn destination_not_prepared_when_its_marker_is_gone() {
    let bench = applied();
    fs::remove_file(bench.store().join(".bkp-destination")).expect("a marker");
    let codes = bench.codes();
    assert!(codes.contains(&"destination-not-prepared".to_owned()), "{codes:?}");
    bench.bkp("run shop").exits(1).says("destination not prepared");
    // A missing mount looks like this: apply does not prepare it anew.
    bench.bkp("apply plan.yaml --yes").exits(1).says("marker is gone");
    assert!(!bench.store().join(".bkp-destination").exists());
}

#[test]
fn state_damaged_when_a_line_of_the_journal_cannot_be_read() {
    let bench = applied();
    let journal = bench.state("journal.jsonl");
    let lines = text(&journal);
    fs::write(&journal, format!("{{\"torn\n{lines}")).expect("a journal");
    let found = only(&bench, "state-damaged");
    assert!(found.evidence.ends_with(": 1"), "{found:?}");
    bench.bkp("status").exits(0).says("shop");
}

#[test]
fn state_missing_when_the_journal_is_deleted_and_status_still_tells_the_truth() {
    let bench = applied();
    let levels = |bench: &Bench| {
        let text = bench.bkp("status --format json").exits(0).out;
        let keep = |line: &&str| line.contains("\"state\"") || line.contains("\"newest\"");
        text.lines().filter(keep).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let before = levels(&bench);
    assert!(!before.is_empty());
    fs::remove_dir_all(bench.state("")).expect("the state folder");
    assert_eq!(levels(&bench), before);
    only(&bench, "state-missing");
    bench.bkp("run shop").exits(0);
    assert_eq!(bench.ids("shop").len(), 2, "the sequence goes on");
}

#[test]
fn run_skipped_when_another_run_held_the_lock() {
    let bench = Bench::with_two_sets();
    let hook = bench.script("bin/hook", &format!("test ! -e {0} || cat {0}", bench.path("fifo").display()));
    bench.plan(&format!("  shop: {{ type: sqlite, path: shop.db, before: [[{}]] }}\n", hook.display()));
    bench.apply("plan");
    sh("mkfifo fifo", bench.root());
    let first = bench.start("run shop");
    wait_until("the first run's lock", || bench.state("locks/shop.lock").exists() && busy(&bench));
    let holder = format!("process {}", first.pid());
    bench.bkp("run shop").exits(75).says(&holder).says("bkp run shop");
    bench.bkp("prune shop --yes").exits(75).says(&holder);
    let found = bench.finding("run-skipped");
    assert!(shop(&found) && found.evidence.contains(&holder), "{found:?}");
    // Looking at what is there needs no lock.
    bench.bkp("verify shop").exits(0);
    bench.bkp("restore shop --to back").exits(0);
    fs::write(bench.path("fifo"), "go\n").expect("a word through the fifo");
    first.finish().exits(0);
    fs::remove_file(bench.path("fifo")).expect("a fifo");
    bench.bkp("run shop").exits(0);
    assert_eq!(bench.codes(), [""; 0], "a later run makes up for the skipped one");
}

fn busy(bench: &Bench) -> bool {
    let started = text(&bench.state("journal.jsonl")).matches("\"started\"").count();
    started >= 2
}

#[test]
fn run_failed_when_a_hook_failed_and_gone_after_a_good_run() {
    let bench = Bench::with_two_sets();
    let hook = bench.script("bin/hook", &format!("test ! -e {}", bench.path("bad").display()));
    bench.plan(&format!("  shop: {{ type: sqlite, path: shop.db, before: [[{}]] }}\n", hook.display()));
    bench.apply("plan");
    bench.write("bad", "");
    bench.bkp("run shop").exits(1).says("before hook failed");
    assert_eq!(bench.ids("shop").len(), 1);
    let found = only(&bench, "run-failed");
    assert!(shop(&found) && found.evidence.contains("before hook failed"), "{found:?}");
    fs::remove_file(bench.path("bad")).expect("a file");
    bench.bkp("run shop").exits(0);
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn leftover_when_a_snapshot_was_begun_and_never_sealed() {
    let bench = applied();
    let left = bench.store().join("testhost/shop/20200101T000000Z-000000");
    fs::create_dir_all(&left).expect("a folder");
    fs::write(left.join("shop.db.zst"), "half").expect("half an artifact");
    let found = only(&bench, "leftover");
    assert_eq!(found.object, "20200101T000000Z-000000");
    bench.bkp("restore shop --to back").exits(0);
    bench.bkp("run shop").exits(0);
    only(&bench, "leftover");
    assert!(left.join("shop.db.zst").exists(), "what the journal does not explain is not bkp's to clear");
    bench.bkp("delete shop 20200101T000000Z-000000 --yes").exits(0);
    assert_eq!(bench.codes(), [""; 0]);
    assert!(!left.exists());
}

#[test]
fn daemon_not_running_when_none_holds_the_lock() {
    let bench = applied();
    let found = bench.findings();
    assert_eq!(found.iter().map(|it| it.code.as_str()).collect::<Vec<_>>(), ["daemon-not-running"]);
}

#[test]
fn daemon_stale_when_it_gives_no_sign_of_life() {
    let mut bench = applied();
    let daemon = bench.start("daemon");
    wait_until("the daemon's heartbeat", || bench.findings().is_empty());
    daemon.signal("STOP");
    bench.shift_seconds = 300;
    let found = bench.findings();
    assert_eq!(found.iter().map(|it| it.code.as_str()).collect::<Vec<_>>(), ["daemon-stale"]);
    bench.shift_seconds = 0;
    daemon.signal("CONT");
    wait_until("the daemon's heartbeat", || bench.findings().is_empty());
}

#[test]
fn uncovered_when_a_database_is_in_no_set() {
    let bench = Bench::with_two_sets();
    bench.make_database("data/forgotten.db", 1);
    bench.make_database("data/known.db", 1);
    bench.plan_with(
        "plan",
        "discover: { sqlite: [data] }\n",
        "  shop: { type: sqlite, path: shop.db }\n  known: { type: sqlite, path: data/known.db }\n",
    );
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(2).says("forgotten.db");
    bench.apply("plan");
    let found = only(&bench, "uncovered");
    assert!(found.object.ends_with("data/forgotten.db"), "{found:?}");
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(2);
    let key = found.object;
    bench.plan_with(
        "plan",
        &format!("discover: {{ sqlite: [data], ignore: {{ \"{key}\": \"made again\" }} }}\n"),
        "  shop: { type: sqlite, path: shop.db }\n  known: { type: sqlite, path: data/known.db }\n",
    );
    bench.apply("plan");
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn could_not_look_when_the_journal_cannot_be_read_and_alone_it_is_exit_1() {
    let bench = applied();
    let daemon = bench.start("daemon");
    wait_until("the daemon's heartbeat", || bench.findings().is_empty());
    bench.bkp("audit").exits(0);
    bench.bkp("audit --format nagios").exits(0);
    fs::remove_file(bench.state("journal.jsonl")).expect("a journal");
    fs::create_dir(bench.state("journal.jsonl")).expect("a folder in its place");
    let found = bench.findings();
    assert_eq!(found.iter().map(|it| it.code.as_str()).collect::<Vec<_>>(), ["could-not-look"]);
    bench.bkp("audit").exits(1);
    bench.bkp("audit --format nagios").exits(3);
    drop(daemon);
    bench.bkp("audit").exits(2);
    bench.bkp("audit --format nagios").exits(2);
}

#[test]
fn node_unstable_when_the_hosts_name_is_a_containers() {
    let mut bench = Bench::with_two_sets();
    bench.host_name = "3f2a9c0b1d4e".to_owned();
    bench.apply("plan");
    only(&bench, "node-unstable");
    let plan = text(&bench.path("plan.yaml"));
    bench.write("plan.yaml", plan.replace("host: \"*\"\n", "host: \"*\"\nnode: 3f2a9c0b1d4e\n"));
    bench.apply("plan");
    assert_eq!(bench.codes(), [""; 0]);
    bench.host_name = "another-container".to_owned();
    assert_eq!(bench.codes(), [""; 0], "the keys no longer follow the host's name");
}

#[test]
fn run_overlaps_when_it_goes_on_past_the_next_due_time() {
    let mut bench = Bench::new();
    bench.make_docs("docs");
    let root = bench.root().display().to_string();
    let hook =
        bench.script("bin/before", &format!("touch {root}/in; test ! -e {root}/fifo || cat {root}/fifo"));
    let hook = hook.display().to_string();
    bench.plan(&format!("  docs: {{ type: files, paths: [docs], before: [[{hook}]] }}\n"));
    bench.apply("plan");
    fs::remove_file(bench.path("in")).expect("the mark");
    sh("mkfifo fifo", bench.root());
    let running = bench.start("run docs --trigger schedule");
    wait_until("the hook runs", || bench.path("in").exists());
    assert!(!bench.codes().contains(&"run-overlaps".to_owned()));
    bench.shift_seconds = DAY - 60;
    assert!(bench.finding("run-overlaps").evidence.contains("goes on"));
    bench.shift_seconds = 0;
    fs::write(bench.path("fifo"), "go\n").expect("the hook is let go");
    running.finish().exits(0);
    assert!(!bench.codes().contains(&"run-overlaps".to_owned()));
}
