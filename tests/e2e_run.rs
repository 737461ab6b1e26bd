//! Runs from end to end: hooks, secrets, signals, pauses, retention, deletion, and what a run leaves behind.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use support::{Bench, DAY, assert_same, flip_byte, picture, set_mode, sh, text, wait_until};

/// A bench whose set `shop` waits in its `before` hook while a fifo is there, and notes its hooks.
fn with_hooks() -> Bench {
    let bench = Bench::with_two_sets();
    let root = bench.root().display().to_string();
    let before = bench.script(
        "bin/before",
        &format!("echo before >>{root}/hooks\ntest ! -e {root}/fifo || cat {root}/fifo"),
    );
    let after = bench.script("bin/after", &format!("echo after >>{root}/hooks"));
    bench.plan(&format!(
        "  shop: {{ type: sqlite, path: shop.db, before: [[{}]], after: [[{}]] }}\n  docs: {{ type: files, paths: [docs] }}\n",
        before.display(),
        after.display()
    ));
    bench.apply("plan");
    fs::remove_file(bench.path("hooks")).expect("the hooks' notes");
    bench
}

fn noted(bench: &Bench) -> String {
    fs::read_to_string(bench.path("hooks")).unwrap_or_default()
}

#[test]
fn failing_before_hook_stores_nothing_and_after_hooks_run() {
    let bench = Bench::with_two_sets();
    let root = bench.root().display().to_string();
    bench.script("bin/before", &format!("test ! -e {root}/bad"));
    bench.script("bin/after", &format!("echo after >>{root}/hooks"));
    bench.plan(&format!(
        "  shop: {{ type: sqlite, path: shop.db, before: [[{root}/bin/before]], after: [[{root}/bin/after]] }}\n"
    ));
    bench.apply("plan");
    assert_eq!(noted(&bench), "after\n");
    bench.write("bad", "");
    let stored = picture(&bench.store());
    bench.bkp("run shop").exits(1).says("before hook failed");
    assert_same(&stored, &picture(&bench.store()));
    assert_eq!(noted(&bench), "after\nafter\n");
}

#[test]
fn failing_after_hook_is_told_and_the_snapshot_stays() {
    let bench = Bench::with_two_sets();
    let root = bench.root().display().to_string();
    bench.script("bin/after", &format!("test ! -e {root}/bad"));
    bench.plan(&format!("  shop: {{ type: sqlite, path: shop.db, after: [[{root}/bin/after]] }}\n"));
    bench.apply("plan");
    bench.write("bad", "");
    bench.bkp("run shop").exits(3).says("after hook failed");
    assert_eq!(bench.ids("shop").len(), 2);
    bench.bkp("verify shop").exits(0);
}

#[test]
fn after_hooks_of_a_killed_run_are_made_up_for_at_the_next_start() {
    let bench = with_hooks();
    sh("mkfifo fifo", bench.root());
    let run = bench.start("run shop");
    wait_until("the before hook", || noted(&bench) == "before\n");
    run.signal("KILL");
    assert_eq!(run.finish().signal, Some(9));
    fs::remove_file(bench.path("fifo")).expect("a fifo");
    assert_eq!(noted(&bench), "before\n");
    bench.bkp("run shop").exits(0);
    assert_eq!(noted(&bench), "before\nafter\nbefore\nafter\n");
    assert_eq!(bench.ids("shop").len(), 2);
    bench.bkp("verify shop --all").exits(0);
    assert_eq!(bench.codes(), [""; 0]);
}

#[test]
fn interrupted_run_exits_130_or_143_and_seals_nothing() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let bench = with_hooks();
        sh("mkfifo fifo", bench.root());
        let run = bench.start("run shop");
        wait_until("the before hook", || noted(&bench) == "before\n");
        run.signal(signal);
        run.finish().exits(code);
        assert_eq!(bench.ids("shop").len(), 1);
        assert_eq!(noted(&bench), "before\nafter\n", "what `before` did is undone");
        bench.bkp("verify shop").exits(0);
        assert_eq!(bench.codes(), ["run-failed"]);
        fs::remove_file(bench.path("fifo")).expect("a fifo");
        bench.bkp("run shop").exits(0);
        assert_eq!(bench.codes(), [""; 0]);
    }
}

#[test]
fn secret_reaches_hooks_by_a_private_file_alone() {
    let bench = Bench::with_two_sets();
    let root = bench.root().display().to_string();
    // Put together here, so that the hook's own text does not hold it.
    let secret = ["pa55", "word-", "of-the-shop"].concat();
    let file = bench.write("token", &secret);
    set_mode(&file, 0o600);
    bench.script(
        "bin/before",
        &format!(
            "test ! -e {root}/look && exit 0\ncat \"$BKP_SECRET_TOKEN_FILE\" >{root}/got\nstat -c %a \"$BKP_SECRET_TOKEN_FILE\" >{root}/mode\nfor p in $$ $PPID; do cat /proc/$p/cmdline /proc/$p/environ; done >{root}/seen\necho \"$BKP_SECRET_TOKEN_FILE\" >{root}/where"
        ),
    );
    bench.plan(&format!(
        "  shop: {{ type: sqlite, path: shop.db, before: [[{root}/bin/before]], secrets: {{ TOKEN: {{ file: {root}/token }} }} }}\n"
    ));
    let applied = bench.apply("plan");
    bench.write("look", "");
    let run = bench.bkp("run shop -v").exits(0);
    assert_eq!(text(&bench.path("got")), secret);
    assert_eq!(text(&bench.path("mode")).trim(), "600");
    let seen = fs::read(bench.path("seen")).expect("what was seen");
    assert!(seen.len() > 100, "the environments were read");
    assert!(!String::from_utf8_lossy(&seen).contains(&secret));
    for said in [&applied.out, &applied.err, &run.out, &run.err] {
        assert!(!said.contains(&secret));
    }
    let gone = text(&bench.path("where"));
    assert!(!Path::new(gone.trim()).exists(), "the file goes with the run");
    fs::remove_file(bench.path("got")).expect("a file");
    fs::remove_file(bench.path("token")).expect("a file");
    let places = [bench.root().to_path_buf(), bench.store()];
    for place in places {
        let found = sh(&format!("grep -rl -- '{secret}' . || true"), &place);
        assert_eq!(found, "", "the secret was written below {}", place.display());
    }
}

#[test]
fn scheduled_run_of_a_paused_set_does_nothing_and_audit_is_silent() {
    let mut bench = Bench::with_two_sets();
    bench.apply("plan");
    bench.bkp("pause shop").exits(64);
    let until = sh("date -u -d '+20 days' +%F", bench.root());
    bench.run(["pause", "shop", "--until", until.trim()]).exits(64);
    bench.run(["pause", "shop", "--until", until.trim(), "--reason", " "]).exits(1).says("no reason");
    bench.bkp("pause shop --until 2020-01-01 --reason late").exits(1).says("no end ahead");
    bench.run(["pause", "shop", "--until", until.trim(), "--reason", "it moves"]).exits(0);
    bench.bkp("run shop --trigger schedule").exits(0).says("paused until").says("it moves");
    assert_eq!(bench.ids("shop").len(), 1);
    bench.bkp("run shop").exits(0);
    assert_eq!(bench.ids("shop").len(), 2, "a run by hand goes on");
    bench.shift_seconds = 3 * DAY;
    let stale: Vec<_> = bench.findings().into_iter().filter(|it| it.code == "set-stale").collect();
    assert_eq!(stale.iter().map(|it| it.set.as_deref()).collect::<Vec<_>>(), [Some("docs")]);
    bench.bkp("status").exits(0).says("paused until");
    bench.bkp("pause shop --end").exits(0);
    assert!(bench.findings().iter().any(|it| it.code == "set-stale" && it.set.as_deref() == Some("shop")));
    bench.bkp("run shop --trigger schedule").exits(0).says("complete");
}

#[test]
fn run_applies_retention_and_keeps_a_proof_of_the_restore() {
    let mut bench = Bench::with_two_sets();
    bench.plan("  shop: { type: sqlite, path: shop.db, retention: { last: 2 } }\n");
    bench.apply("plan");
    for day in 1..=6 {
        bench.shift_seconds = day * DAY;
        bench.bkp("run shop").exits(0);
        assert_eq!(bench.codes(), [""; 0], "day {day}: {:#?}", bench.findings());
        assert_eq!(bench.ids("shop").len(), 2);
    }
    bench.bkp("verify --all").exits(0);
}

#[test]
fn prune_says_why_and_asks_and_keeps_the_last_verified() {
    let mut bench = Bench::with_two_sets();
    bench.apply("plan");
    for day in 1..=3 {
        bench.shift_seconds = day * DAY;
        bench.bkp("run shop").exits(0);
    }
    let ids = bench.ids("shop");
    assert_eq!(ids.len(), 4);
    bench.plan("  shop: { type: sqlite, path: shop.db, retention: { last: 1 } }\n");
    let before = picture(&bench.store());
    let said = bench.bkp("prune shop --dry-run --plan plan.yaml").exits(0);
    let said = said.says("last 1 of 1").says("not kept by any rule");
    assert_eq!(said.out.matches("would remove").count(), 3, "{}", said.out);
    bench.bkp("prune shop --plan plan.yaml").exits(1).says("--yes");
    assert_same(&before, &picture(&bench.store()));
    bench.bkp("prune shop --plan plan.yaml --yes").exits(0);
    assert_eq!(bench.ids("shop"), ids[3..]);
    assert!(!bench.codes().contains(&"snapshot-gone".to_owned()), "what prune removed is not gone");
}

#[test]
fn delete_asks_and_never_takes_the_last_verified() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    let first = bench.ids("shop")[0].clone();
    bench.bkp(&format!("delete shop {first} --yes")).exits(1).says("last verified");
    bench.bkp("run shop").exits(0);
    let second = bench.ids("shop")[1].clone();
    bench.bkp(&format!("delete shop {first}")).exits(1).says("--yes");
    bench.bkp(&format!("delete shop {first} --dry-run")).exits(0).says("would remove");
    assert_eq!(bench.ids("shop").len(), 2);
    // A newer one that was disproven does not count: the older is the last that is verified.
    flip_byte(&bench.newest("shop").join("shop.db.zst"));
    bench.bkp("verify shop").exits(2);
    bench.bkp(&format!("delete shop {first} --yes")).exits(1).says("last verified");
    assert_eq!(bench.ids("shop").len(), 2);
    bench.bkp(&format!("delete shop {second} --yes")).exits(0);
    assert_eq!(bench.ids("shop"), [first]);
    bench.bkp("delete shop 20200101T000000Z-000009 --yes").exits(1).says("no such snapshot");
}

#[test]
fn several_sets_exit_with_the_worst_and_one_failure_stops_none() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    fs::remove_dir_all(bench.path("docs")).expect("a source");
    bench.bkp("run docs shop").exits(1).says("docs");
    assert_eq!(bench.ids("docs").len(), 1);
    assert_eq!(bench.ids("shop").len(), 2);
}

#[test]
fn run_if_due_runs_once_for_each_time_due() {
    let mut bench = Bench::with_two_sets();
    bench.apply("plan");
    bench.bkp("run shop --if-due").exits(0).says("no run is due");
    bench.shift_seconds = DAY;
    bench.bkp("run shop --if-due").exits(0).says("complete");
    bench.bkp("run shop --if-due").exits(0).says("no run is due");
    assert_eq!(bench.ids("shop").len(), 2);
}

#[test]
fn installed_job_is_started_and_followed() {
    let bench = with_hooks();
    bench.bkp("run shop --job").exits(0).says("exit status 0");
    assert_eq!(bench.ids("shop").len(), 2);
    fs::remove_file(bench.path("shop.db")).expect("a database");
    bench.bkp("run shop --job").exits(1).says("exit status 1");
}

#[test]
fn journal_and_status_tell_of_each_run() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    bench.bkp("run shop").exits(0);
    fs::rename(bench.path("shop.db"), bench.path("away.db")).expect("a move");
    bench.bkp("run shop").exits(1);
    let said = bench.bkp("status").exits(0).says("complete").says("failed").says("LAST RUNS");
    assert!(said.out.contains("does not exist"), "{}", said.out);
    for line in text(&bench.state("journal.jsonl")).lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        assert_eq!(entry["format"], 1);
    }
    let mode = fs::metadata(bench.state("")).expect("a status").permissions().mode();
    assert_eq!(mode & 0o077, 0, "the state folder is private");
}

#[test]
fn report_in_json_and_progress_in_json_can_be_read() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    let run = bench.bkp("run shop --format json --log-format json").exits(0);
    let report = run.json();
    assert_eq!(report["outcome"], "complete");
    assert_eq!(report["format_version"], 1);
    assert_eq!(report["members"][0]["counts"]["table:orders"], 10);
    let mut kinds = Vec::new();
    for line in run.err.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        kinds.push(event["event"].as_str().expect("a kind").to_owned());
    }
    assert!(kinds.contains(&"stored".to_owned()), "{kinds:?}");
    assert_eq!(bench.bkp("run shop --quiet").exits(0).out, "");
}

#[test]
fn another_sets_run_waits_for_its_turn_unless_the_plan_lets_two_go_on() {
    let bench = with_hooks();
    sh("mkfifo fifo", bench.root());
    let first = bench.start("run shop");
    wait_until("the before hook", || noted(&bench) == "before\n");
    let second = bench.start("run docs");
    wait_until("two processes that want the host's only place", || {
        // The second holds its own set's lock, and stores nothing while the first goes on.
        fs::read_to_string(bench.state("locks/docs.lock"))
            .is_ok_and(|it| it.contains(&second.pid().to_string()))
    });
    assert_eq!(bench.ids("docs").len(), 1);
    sh("echo go >fifo", bench.root());
    first.finish().exits(0);
    let waited = second.finish().exits(0);
    assert!(waited.err.contains("waiting for another set's run to end (`max_parallel`)"), "{}", waited.err);
    assert_eq!(bench.ids("docs").len(), 2);

    let plan = text(&bench.config("plans/plan.yaml")).replace("scope: user", "scope: user\nmax_parallel: 2");
    let plan = bench.write("two.yaml", plan);
    let first = bench.start("run shop");
    wait_until("the before hook again", || noted(&bench).ends_with("after\nbefore\n"));
    bench.bkp(&format!("run docs --plan {}", plan.display())).exits(0);
    sh("echo go >fifo", bench.root());
    first.finish().exits(0);
}
