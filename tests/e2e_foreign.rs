//! `bkp plan` names the backups that are not bkp's, with the real binary in a home of its own.
//!
//! The machine's own units, crontabs and scripts are seen too; each test asserts on its own entries alone.
#![expect(clippy::disallowed_methods, reason = "a test puts real files where a person would")]

mod support;

use serde_json::Value;
use std::fs;
use support::{Bench, set_mode};

/// A script attached to nothing, a service without a timer, an agent that calls a script which is gone.
fn bench_with_foreign_backups() -> Bench {
    let bench = Bench::with_two_sets();
    bench.script(
        "home/bin/nightly-shop",
        "# backup of the shop\nsqlite3 /srv/shop.db \".backup /mnt/shop.db\"",
    );
    bench.write(
        "home/.config/systemd/user/nightly-restic.service",
        "[Service]\nExecStart=/usr/bin/env RESTIC_PASSWORD=hunter2 restic backup /srv\n",
    );
    bench.write(
        "home/Library/LaunchAgents/org.example.shop-backup.plist",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict>\n\
         <key>Label</key><string>org.example.shop-backup</string>\n\
         <key>ProgramArguments</key><array><string>/bin/sh</string><string>/nowhere/shop-backup.sh</string></array>\n\
         <key>StartInterval</key><integer>3600</integer>\n</dict></plist>\n",
    );
    bench
}

/// The verdicts on one entry, by its name.
#[track_caller]
fn verdicts(document: &Value, name: &str) -> String {
    let all = document["foreign"].as_array().expect("foreign backups");
    let found = all.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name} in {all:#?}"));
    found["verdicts"]
        .as_array()
        .expect("verdicts")
        .iter()
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn what_nothing_starts_is_named_on_the_first_day() {
    let bench = bench_with_foreign_backups();
    let script = bench.home().join("bin/nightly-shop").display().to_string();
    let document = bench.bkp("plan plan.yaml --format json").exits(0).json();
    assert!(verdicts(&document, &script).contains("nothing starts it: "), "{document:#}");
    assert!(verdicts(&document, "nightly-restic.service").contains("nothing starts it: "), "{document:#}");
    let agent = verdicts(&document, "org.example.shop-backup");
    assert!(agent.contains("calls `/nowhere/shop-backup.sh`, which does not exist"), "{agent}");
    for format in ["text", "markdown", "github"] {
        let outcome = bench.bkp(&format!("plan plan.yaml --format {format}")).exits(0);
        for name in [script.as_str(), "nightly-restic.service", "org.example.shop-backup"] {
            assert!(outcome.out.contains(name), "{format} does not name {name}:\n{}", outcome.out);
        }
    }
}

#[test]
fn password_in_a_command_reaches_neither_plan_nor_facts() {
    let bench = bench_with_foreign_backups();
    for command in ["plan plan.yaml --format json", "plan plan.yaml", "facts plan.yaml"] {
        let outcome = bench.bkp(command).exits(0).says("nightly-restic.service");
        assert!(!outcome.out.contains("hunter2"), "{command}:\n{}", outcome.out);
    }
}

#[test]
fn foreign_backup_is_no_change_and_no_finding() {
    let bench = bench_with_foreign_backups();
    bench.apply("plan");
    bench
        .bkp("plan plan.yaml --detailed-exitcode")
        .exits(0)
        .says("No changes.")
        .says("nightly-restic.service");
    bench.bkp("audit").says_nothing_of("nightly-restic");
}

#[test]
fn script_that_another_attached_script_calls_is_started() {
    let bench = bench_with_foreign_backups();
    let caller = bench.script("home/bin/run-all", "nightly-shop");
    bench.write(
        "home/.config/systemd/user/all.service",
        format!("[Service]\nExecStart={}\n[Install]\nWantedBy=default.target\n", caller.display()),
    );
    bench.write("home/.config/systemd/user/all.timer", "[Timer]\nOnCalendar=daily\n");
    let script = bench.home().join("bin/nightly-shop").display().to_string();
    let document = bench.bkp("plan plan.yaml --format json").exits(0).json();
    let names: Vec<&str> =
        document["foreign"].as_array().expect("some").iter().filter_map(|it| it["name"].as_str()).collect();
    assert!(!names.contains(&script.as_str()), "{names:?}");
}

#[test]
fn reason_in_the_plan_silences_an_entry_and_a_declared_folder_is_searched() {
    let bench = bench_with_foreign_backups();
    let jobs = bench.script("jobs/dump-shop.sh", "pg_dump shop > /mnt/shop.sql");
    bench.plan_with(
        "plan",
        "discover: { scripts: [jobs], ignore: { \"backup:nightly-restic.service\": \"off the host\" } }\n",
        "  docs: { type: files, paths: [docs] }\n",
    );
    let outcome = bench.bkp("plan plan.yaml").exits(0).says_nothing_of("nightly-restic.service");
    outcome.says(&jobs.display().to_string());
}

#[test]
fn list_that_cannot_be_read_is_named_and_changes_no_exit_status() {
    let bench = bench_with_foreign_backups();
    let path = bench.write("home/Library/LaunchAgents/torn.plist", "<?xml version=\"1.0\"?><plist><dict>");
    bench.bkp("plan plan.yaml").exits(0).says("not looked at").says(&path.display().to_string());
    fs::remove_file(&path).expect("removed");
    bench.bkp("plan plan.yaml").exits(0).says_nothing_of(&path.display().to_string());
}

#[test]
fn script_without_the_right_to_be_executed_is_found_by_its_ending() {
    let bench = Bench::with_two_sets();
    let path = bench.script("home/scripts/backup.sh", "restic backup /srv");
    set_mode(&path, 0o644);
    bench.bkp("plan plan.yaml").exits(0).says(&path.display().to_string()).says("nothing starts it");
}
