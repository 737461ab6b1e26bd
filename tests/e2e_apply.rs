//! Apply from end to end, with the embedded scheduler: what it promises of a fresh host, of a second time, of a set
//! that fails, and of other plans.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use support::{Bench, assert_same, contents, picture, rows, set_mode, text};

#[test]
fn quick_start_proves_both_sets_and_a_second_apply_changes_nothing() {
    let bench = Bench::new();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let copied = Command::new("cp").arg("-r").arg(here).arg(bench.path("plans")).status();
    assert!(copied.expect("cp starts").success());
    let applied = bench.bkp("apply plans/quickstart.yaml --yes").exits(0);
    let applied = applied.says("not scheduled: start bkp daemon");
    for set in ["documents", "shop"] {
        assert!(applied.err.contains(&format!("restored: {set} at local")), "{}", applied.err);
    }
    let status = bench.bkp("status --format json").exits(0).json();
    let table = status.to_string();
    for set in ["documents", "shop"] {
        let row = status
            .pointer("/coverage")
            .or(status.pointer("/rows"))
            .and_then(|rows| rows.as_array()?.iter().find(|row| row["set"] == set).cloned());
        let row = row.unwrap_or_else(|| panic!("no row of `{set}` in {table}"));
        for level in ["stored", "intact", "restored"] {
            assert_eq!(
                row.pointer(&format!("/levels/{level}/state")),
                Some(&"proven".into()),
                "{set} {level}"
            );
        }
    }
    assert_eq!(bench.snapshots("shop").len(), 1);
    let before = picture(&bench.path("target"));
    bench.bkp("apply plans/quickstart.yaml --yes").exits(0).says("No changes.");
    assert_eq!(bench.snapshots("shop").len(), 1);
    assert_eq!(bench.snapshots("documents").len(), 1);
    assert_same(&before, &picture(&bench.path("target")));
    bench.bkp("audit").exits(2).says("daemon-not-running");
}

#[test]
fn missing_tool_and_missing_job_are_shown_and_only_that_set_is_refused() {
    let bench = Bench::new();
    bench.make_docs("docs");
    bench.make_database("shop.db", 3);
    bench.plan(
        "  docs: { type: files, paths: [docs] }\n  shop:\n    type: sqlite\n    path: shop.db\n    before: [[no-such-binary, --now]]\n",
    );
    let planned = bench.bkp("plan plan.yaml").exits(1);
    planned.says("no-such-binary").says("create job `bkp-shop`");
    bench.bkp("apply plan.yaml --yes").exits(1).says("no-such-binary");
    assert!(!bench.config("jobs/bkp-shop.json").exists());
    assert!(!bench.config("jobs/bkp-shop.enabled").exists());
    assert!(!bench.config("plans/plan.d/shop.yaml").exists());
    assert_eq!(bench.snapshots("shop").len(), 0);
    assert!(bench.config("jobs/bkp-docs.json").exists());
    assert!(bench.config("jobs/bkp-docs.enabled").exists());
    assert_eq!(bench.snapshots("docs").len(), 1);
    let found = bench.findings();
    for code in ["tool-missing", "timer-missing", "set-never-run"] {
        let of_shop = found.iter().any(|it| it.code == code && it.set.as_deref() == Some("shop"));
        assert!(of_shop, "{code} in {found:#?}");
        assert!(!found.iter().any(|it| it.code == code && it.set.as_deref() == Some("docs")), "{code}");
    }
}

#[test]
fn failing_trial_keeps_the_older_job_and_the_other_sets_go_on() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    let kept = ["jobs/bkp-shop.json", "jobs/bkp-shop.enabled", "plans/plan.d/shop.yaml"];
    let before: Vec<String> = kept.iter().map(|file| text(&bench.config(file))).collect();
    bench.plan(
        "  docs: { type: files, paths: [docs], exclude: [\"*.tmp\"] }\n  shop:\n    type: sqlite\n    path: shop.db\n    before: [[\"false\"]]\n",
    );
    bench.bkp("apply plan.yaml --yes").exits(1).says("before hook failed").says("left to do");
    let after: Vec<String> = kept.iter().map(|file| text(&bench.config(file))).collect();
    assert_eq!(after, before);
    assert!(!bench.config("jobs/bkp-try-shop.json").exists(), "the trial is taken away");
    assert_eq!(bench.snapshots("shop").len(), 1);
    assert!(text(&bench.config("plans/plan.d/docs.yaml")).contains("*.tmp"), "the good set was changed");
    assert_eq!(bench.snapshots("docs").len(), 2);
    // The older job still backs up what it always did.
    let job: serde_json::Value =
        serde_json::from_str(&text(&bench.config("jobs/bkp-shop.json"))).expect("a job file");
    let argv: Vec<String> = serde_json::from_value(job["argv"].clone()).expect("argv");
    bench.run(&argv[1..]).exits(0);
    assert_eq!(bench.snapshots("shop").len(), 2);
}

#[test]
fn mended_set_converges_at_the_next_apply() {
    let bench = Bench::with_two_sets();
    let gate = bench.path("gate");
    let before = format!("[[test, -e, {}]]", gate.display());
    bench.plan(&format!("  shop:\n    type: sqlite\n    path: shop.db\n    before: {before}\n"));
    bench.bkp("apply plan.yaml --yes").exits(1);
    assert!(!bench.config("jobs/bkp-shop.enabled").exists());
    fs::write(&gate, "").expect("a gate");
    bench.apply("plan");
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(0).says("No changes.");
}

#[test]
fn applying_one_plan_leaves_the_other_as_it_is_and_a_set_has_one_owner() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    let ours = |bench: &Bench| -> Vec<String> {
        let all = picture(&bench.config("jobs")).into_iter().chain(picture(&bench.config("plans")));
        // Folders change their times when the other plan's files come and go.
        let others = ["bills", "second", "third", " 40755 "];
        let theirs = |line: &String| others.iter().any(|word| line.contains(word));
        all.filter(|line| !theirs(line)).collect()
    };
    let before = ours(&bench);
    assert!(before.iter().any(|line| line.contains("bkp-shop.json")));
    bench.make_docs("bills");
    bench.plan_with("second", "", "  bills: { type: files, paths: [bills] }\n");
    bench.apply("second");
    assert_same(&before, &ours(&bench));
    bench.apply("plan");
    assert!(bench.config("jobs/bkp-bills.json").exists());
    assert!(bench.config("jobs/bkp-audit-second.json").exists());
    // The same set name in another plan is refused, and its owner named.
    bench.plan_with("third", "", "  shop: { type: files, paths: [bills] }\n");
    bench.bkp("plan third.yaml").exits(1).says("`plan`").says("shop");
    bench.bkp("apply third.yaml --yes").exits(1).says("`plan`");
    assert_same(&before, &ours(&bench));
    assert_eq!(bench.snapshots("shop").len(), 1);
    // Both plans at once in the other commands.
    bench.bkp("status").exits(0).says("bills").says("shop");
    bench.bkp("uninstall second --yes").exits(0);
    assert_same(&before, &ours(&bench));
    assert!(!bench.config("jobs/bkp-bills.json").exists());
    assert!(bench.store().join("testhost/bills").exists(), "uninstall removes no artifact");
}

#[test]
fn set_that_left_the_plan_loses_its_job_and_keeps_its_snapshots() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    let stored = picture(&bench.store().join("testhost/shop"));
    bench.plan("  docs: { type: files, paths: [docs] }\n");
    bench.bkp("plan plan.yaml").exits(0).says("remove job `bkp-shop`").says("(1 snapshot is kept)");
    bench.bkp("apply plan.yaml --yes").exits(0).says("(1 snapshot is kept)");
    assert!(!bench.config("jobs/bkp-shop.json").exists());
    assert!(!bench.config("jobs/bkp-shop.enabled").exists());
    assert_same(&stored, &picture(&bench.store().join("testhost/shop")));
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(0);
}

#[test]
fn moved_set_keeps_its_history() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    bench.shift_and_run(DAY_AND_A_BIT, "shop");
    let old = bench.snapshots("shop");
    assert_eq!(old.len(), 2);
    bench.make_database("shop.db", 5);
    bench.plan_with(
        "plan",
        "moved: { shop: store }\n",
        "  docs: { type: files, paths: [docs] }\n  store: { type: sqlite, path: shop.db, retention: { last: 2 } }\n",
    );
    let bench = bench.later(2 * DAY_AND_A_BIT);
    bench.apply("plan");
    assert!(!bench.config("jobs/bkp-shop.json").exists(), "the old job is gone");
    let all = bench.snapshots("store");
    // `last: 2` counts the new one and the newest of the old name.
    assert_eq!(all.len(), 2, "{all:#?}");
    assert_eq!(all[0].stored_as, "shop");
    assert_eq!(all[0].id, old[1].id);
    assert_eq!(all[1].stored_as, "store");
    bench.bkp(&format!("diff store {}", all[0].id)).exits(0).says("orders");
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(0);
    assert!(!bench.codes().contains(&"snapshot-gone".to_owned()), "{:#?}", bench.findings());
    bench.bkp(&format!("restore store --snapshot {} --to old", all[0].id)).exits(0);
    let database =
        fs::read_dir(bench.path("old")).expect("a folder").next().expect("one").expect("one").path();
    assert_eq!(rows(&database), 10);
}

#[test]
fn apply_asks_and_without_a_terminal_nothing_is_done() {
    let bench = Bench::with_two_sets();
    let before = picture(bench.root());
    bench.bkp("apply plan.yaml").exits(1).says("--yes");
    assert_same(&before, &picture(bench.root()));
    assert!(!bench.store().exists());
}

#[test]
fn another_hosts_plan_is_a_note_in_plan_and_an_error_in_apply() {
    let bench = Bench::with_two_sets();
    let plan = text(&bench.path("plan.yaml")).replace("host: \"*\"", "host: elsewhere");
    bench.write("plan.yaml", plan);
    bench.bkp("plan plan.yaml").exits(0).says("elsewhere");
    bench.bkp("apply plan.yaml --yes").exits(1).says("not this host's plan");
    assert!(!bench.store().exists());
}

#[test]
fn only_one_set_is_applied_when_one_is_named() {
    let bench = Bench::with_two_sets();
    bench.bkp("apply plan.yaml --yes --only docs").exits(0);
    assert_eq!(bench.snapshots("docs").len(), 1);
    assert!(!bench.config("jobs/bkp-shop.json").exists());
    assert!(!bench.store().join("testhost/shop").exists());
    bench.apply("plan");
    assert_eq!(bench.snapshots("docs").len(), 1);
    assert_eq!(bench.snapshots("shop").len(), 1);
}

#[test]
fn uninstall_takes_the_jobs_and_leaves_every_artifact() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    let stored = contents(&bench.store());
    bench.bkp("uninstall").exits(1).says("--yes");
    bench.bkp("uninstall --dry-run").exits(0).says("bkp-shop");
    assert!(bench.config("jobs/bkp-shop.json").exists());
    bench.bkp("uninstall --yes").exits(0);
    assert!(!bench.config("jobs/bkp-shop.json").exists());
    assert!(!bench.config("plans/plan.yaml").exists());
    assert!(!bench.config("plans/plan.d").exists());
    assert_same(&stored, &contents(&bench.store()));
    bench.bkp("status").exits(1).says("no plan is installed");
    // The plan file alone is enough to see what is stored, and to come back.
    bench.bkp("snapshots --plan plan.yaml").exits(0).says("complete");
    bench.apply("plan");
}

#[test]
fn killed_trial_left_over_is_taken_away_by_the_next_apply() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    let text = text(&bench.config("jobs/bkp-shop.json"));
    let mut job: serde_json::Value = serde_json::from_str(&text).expect("a job file");
    job["marker"]["job"] = serde_json::json!({"trial": "shop"});
    fs::write(bench.config("jobs/bkp-try-shop.json"), format!("{job:#}\n")).expect("a file");
    set_mode(&bench.config("jobs/bkp-try-shop.json"), 0o644);
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(2).says("bkp-try-shop");
    bench.apply("plan");
    assert!(!bench.config("jobs/bkp-try-shop.json").exists());
}

const DAY_AND_A_BIT: i64 = support::DAY + 600;

impl Bench {
    fn later(mut self, seconds: i64) -> Self {
        self.shift_seconds = seconds;
        self
    }

    fn shift_and_run(&self, seconds: i64, set: &str) {
        let mut command = self.command(["run", set]);
        command.env("BKP_TEST_CLOCK_SHIFT_SECONDS", seconds.to_string());
        assert!(command.status().expect("bkp starts").success());
    }
}
