//! Each place on a host of data: what is found, what is left out, and what is not claimed.

use super::*;
use crate::declared::Scope;
use crate::host::FakeHost;
use crate::observed::{CalledState, LastRun};

fn places() -> Places {
    Places {
        scope: Scope::System,
        config: "/etc/bkp".into(),
        state: "/var/lib/bkp".into(),
        units: "/etc/systemd/system".into(),
        agents: "/Library/LaunchDaemons".into(),
        cron: "/etc/cron.d".into(),
    }
}

fn look(host: &FakeHost) -> BTreeMap<String, Fact<Vec<ForeignBackup>>> {
    let facts = observe_foreign(host, &places(), &default_script_folders(host));
    assert!(host.changes().is_empty(), "{:?}", host.changes());
    facts
}

/// Everything that was found, by name.
fn found(host: &FakeHost) -> BTreeMap<String, ForeignBackup> {
    let facts = look(host);
    let all = facts.values().filter_map(|fact| fact.observed.present()).flatten();
    all.map(|it| (it.name.clone(), it.clone())).collect()
}

fn unit(host: FakeHost, name: &str, text: &str) -> FakeHost {
    host.file(&format!("/etc/systemd/system/{name}"), text, 0o644)
}

const RESTIC: &str = "[Service]\nExecStart=/usr/bin/restic backup /srv\n";
const DAILY: &str = "[Timer]\nOnCalendar=daily\nPersistent=true\n[Install]\nWantedBy=timers.target\n";
const PROPERTIES: &str = "Id,LoadState,UnitFileState,ActiveState,SubState,NextElapseUSecRealtime,NextElapseUSecMonotonic,ExecMainStartTimestamp";

/// A booted systemd that knows `nightly.timer` and its service in these states.
fn booted(active: &str, next: &str, started: &str) -> FakeHost {
    let shown = format!(
        "Id=nightly.timer\nLoadState=loaded\nUnitFileState=enabled\nActiveState={active}\nSubState=waiting\n\
         NextElapseUSecRealtime={next}\nNextElapseUSecMonotonic=\n\n\
         Id=nightly.service\nLoadState=loaded\nUnitFileState=static\nActiveState=inactive\nSubState=dead\n\
         ExecMainStartTimestamp={started}\n"
    );
    let host = FakeHost::default()
        .file("/run/systemd/system/x.slice", "", 0o644)
        .file("/usr/bin/restic", "\u{0}", 0o755)
        .answer("systemctl show -p Version --value", 0, "252\n")
        .answer(&format!("systemctl show -p {PROPERTIES} -- nightly.timer nightly.service"), 0, &shown);
    unit(unit(host, "nightly.service", RESTIC), "nightly.timer", DAILY)
}

#[test]
fn timer_is_started_when_it_is_active_and_elapses_again() {
    let next = "Sat 2026-11-21 00:00:00 UTC";
    let backup = &found(&booted("active", next, "Fri 2026-11-20 00:00:01 UTC"))["nightly.timer"];
    assert_eq!((&backup.started, backup.schedule.as_deref()), (&Started::ByScheduler, Some("daily")));
    assert_eq!(backup.last_run, LastRun::At("2026-11-20T00:00:01Z".parse().expect("a time")));
    assert_eq!(
        (backup.tools.as_slice(), backup.command.as_slice()),
        (&["restic".to_owned()][..], &["/usr/bin/restic".to_owned()][..])
    );
    assert_eq!(backup.calls[0].state, CalledState::Found("/usr/bin/restic".into()));
    for (active, next) in [("active", ""), ("inactive", next), ("inactive", "")] {
        let backup = &found(&booted(active, next, ""))["nightly.timer"];
        assert!(matches!(backup.started, Started::Disabled(_)), "{active} {next}: {:?}", backup.started);
    }
}

#[test]
fn never_is_said_only_without_a_stamp_and_without_a_start() {
    assert_eq!(found(&booted("active", "x", ""))["nightly.timer"].last_run, LastRun::Never);
    let stamped = booted("active", "x", "").file("/var/lib/systemd/timers/stamp-nightly.timer", "", 0o644);
    assert!(matches!(found(&stamped)["nightly.timer"].last_run, LastRun::Unknown(_)));
    let forgets = unit(booted("active", "x", ""), "nightly.timer", "[Timer]\nOnCalendar=daily\n");
    assert!(matches!(found(&forgets)["nightly.timer"].last_run, LastRun::Unknown(_)));
}

#[test]
fn without_a_running_systemd_a_timer_is_not_said_to_start_anything() {
    let host = unit(unit(FakeHost::default(), "nightly.service", RESTIC), "nightly.timer", DAILY);
    let backup = &found(&host)["nightly.timer"];
    assert!(matches!(backup.started, Started::Unknown(_)) && matches!(backup.last_run, LastRun::Unknown(_)));
    assert_eq!(backup.calls[0].state, CalledState::Missing);
}

#[test]
fn service_that_nothing_starts_is_named_and_one_that_is_pulled_in_is_not_judged() {
    let host = unit(FakeHost::default(), "lone.service", RESTIC);
    let host = unit(
        unit(host, "after.service", RESTIC),
        "app.service",
        "[Unit]\nOnSuccess=after.service\n[Service]\nExecStart=/app\n",
    );
    let all = found(&host);
    assert!(matches!(all["lone.service"].started, Started::ByNothing(_)), "{all:#?}");
    assert!(matches!(all["after.service"].started, Started::Unknown(_)), "{all:#?}");
    assert_eq!(all.len(), 2);
    let host = host.file("/etc/cron.d/x", "0 3 * * * root systemctl start lone.service\n", 0o644);
    assert!(matches!(found(&host)["lone.service"].started, Started::Unknown(_)));
}

#[test]
fn units_of_ours_and_of_the_distribution_are_left_out() {
    let host = unit(FakeHost::default(), "bkp-x.service", &format!("# bkp-job: {{}}\n{RESTIC}"))
        .file(
            "/usr/lib/systemd/system/dpkg-db-backup.service",
            "[Service]\nExecStart=/usr/libexec/dpkg-db-backup\n",
            0o644,
        )
        .file("/usr/lib/systemd/system/dpkg-db-backup.timer", DAILY, 0o644)
        .file("/usr/lib/systemd/system/pg_dump@.service", "[Service]\nExecStart=/usr/bin/pg_dump\n", 0o644)
        .file("/usr/lib/systemd/system/pg_dump@.timer", DAILY, 0o644);
    assert!(found(&host).is_empty(), "{:#?}", found(&host));
    let host = unit(host, "timers.target.wants/pg_dump@main.timer", DAILY);
    assert_eq!(found(&host).into_keys().collect::<Vec<_>>(), ["pg_dump@main.timer"]);
    let host = unit(host, "bkp-y.service", RESTIC);
    assert!(found(&host).contains_key("bkp-y.service"), "a unit without our marker is not ours");
}

#[test]
fn timer_whose_service_is_gone_is_named() {
    let host = unit(FakeHost::default(), "backup.timer", DAILY);
    assert!(matches!(found(&host)["backup.timer"].started, Started::ByNothing(_)));
}

fn debian(cron_runs: bool) -> FakeHost {
    let host =
        FakeHost::default().file("/etc/debian_version", "12\n", 0o644).file("/proc/1/comm", "init\n", 0o444);
    if cron_runs { host.file("/proc/77/comm", "cron\n", 0o444) } else { host }
}

#[test]
fn cron_line_is_found_with_its_number_and_the_path_of_its_job() {
    let text = "SHELL=/bin/sh\n# a\n30 2 * * * postgres pg_dump shop | gzip > /mnt/x.gz\n";
    let host =
        debian(true).file("/etc/cron.d/shop", text, 0o644).file("/usr/local/bin/pg_dump", "\u{0}", 0o755);
    let backup = &found(&host)["/etc/cron.d/shop:3"];
    assert_eq!((backup.line, backup.schedule.as_deref()), (Some(3), Some("30 2 * * *")));
    assert_eq!(backup.started, Started::ByScheduler);
    assert_eq!(backup.calls[0].state, CalledState::NotOnPath("/usr/bin:/bin".to_owned()));
    let host = host.file("/etc/cron.d/shop", &format!("PATH=/usr/local/bin:/usr/bin\n{text}"), 0o644);
    let backup = &found(&host)["/etc/cron.d/shop:4"];
    assert_eq!(backup.calls[0].state, CalledState::Found("/usr/local/bin/pg_dump".into()));
}

#[test]
fn what_cron_passes_over_in_silence_is_started_by_nothing() {
    let line = "30 2 * * * root restic backup /srv\n";
    let cases = [
        ("/etc/cron.d/shop.cron", line, 0o644, true),
        ("/etc/cron.d/shop", line, 0o666, true),
        ("/etc/cron.d/shop", line.trim_end(), 0o644, true),
        ("/etc/cron.d/shop", line, 0o644, false),
    ];
    for (path, text, mode, passed_over) in cases {
        let host = debian(true).file(path, text, mode);
        let started = found(&host)[&format!("{path}:1")].started.clone();
        assert_eq!(
            matches!(started, Started::ByNothing(_)),
            passed_over,
            "{path} {text:?} {mode:o}: {started:?}"
        );
    }
    let host = debian(false).file("/etc/cron.d/shop", line, 0o644);
    assert!(matches!(found(&host)["/etc/cron.d/shop:1"].started, Started::ByNothing(_)), "no cron runs");
}

#[test]
fn script_in_cron_daily_with_a_dot_in_its_name_never_runs() {
    let crontab = "25 6 * * * root cd / && run-parts --report /etc/cron.daily\n";
    let script = "#!/bin/sh\nrestic backup /srv\n";
    let cases = [("backup", 0o755, true), ("backup.sh", 0o755, false), ("backup", 0o644, false)];
    for (name, mode, starts) in cases {
        let path = format!("/etc/cron.daily/{name}");
        let host = debian(true).file("/etc/crontab", crontab, 0o644).file(&path, script, mode);
        let backup = &found(&host)[&path];
        assert_eq!(backup.started == Started::ByScheduler, starts, "{name} {mode:o}: {:?}", backup.started);
        assert_eq!(backup.tools, ["restic"]);
        let host = debian(true).file("/etc/crontab", "# nothing\n", 0o644).file(&path, script, mode);
        assert!(matches!(found(&host)[&path].started, Started::ByNothing(_)), "nothing starts the folder");
    }
}

#[test]
fn crontabs_of_all_users_are_read_by_root_and_lines_of_ours_are_left_out() {
    let text = "# bkp-job: {}\n0 3 * * * /usr/local/bin/bkp run x\n0 4 * * * /home/ada/bin/backup.sh\n";
    let host = debian(true).file("/var/spool/cron/crontabs/ada", text, 0o600);
    let all = found(&host);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["/var/spool/cron/crontabs/ada:3"]);
    assert_eq!(all["/var/spool/cron/crontabs/ada:3"].calls[0].state, CalledState::Missing);
}

const AGENT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><plist version=\"1.0\"><dict>\
    <key>Label</key><string>org.example.backup</string>\
    <key>ProgramArguments</key><array><string>restic</string><string>backup</string></array>";

fn agent(rest: &str) -> FakeHost {
    let text = format!("{AGENT}{rest}</dict></plist>");
    FakeHost::default().file("/root/Library/LaunchAgents/a.plist", &text, 0o644)
}

#[test]
fn agent_is_unknown_until_launchd_answers() {
    let timed = "<key>StartInterval</key><integer>3600</integer>";
    let backup = found(&agent(timed)).remove("org.example.backup").expect("the agent");
    assert!(matches!(backup.started, Started::Unknown(_)));
    assert_eq!(backup.schedule.as_deref(), Some("StartInterval 3600"));
    let folders = "/usr/bin:/bin:/usr/sbin:/sbin".to_owned();
    assert_eq!(backup.calls[0].state, CalledState::NotOnPath(folders));
    let mac = |status| {
        agent(timed).file("/bin/launchctl", "", 0o755).answer(
            "launchctl print gui/0/org.example.backup",
            status,
            "",
        )
    };
    assert_eq!(found(&mac(0))["org.example.backup"].started, Started::ByScheduler);
    assert!(matches!(found(&mac(113))["org.example.backup"].started, Started::Disabled(_)));
    assert!(matches!(found(&mac(1))["org.example.backup"].started, Started::Unknown(_)));
}

#[test]
fn agent_without_a_trigger_is_started_by_nothing() {
    for rest in ["", "<key>RunAtLoad</key><false/>"] {
        assert!(matches!(found(&agent(rest))["org.example.backup"].started, Started::ByNothing(_)), "{rest}");
    }
}

#[test]
fn binary_property_list_is_read_and_a_torn_one_is_a_gap() {
    let mut bytes = Vec::new();
    let keys: plist::Dictionary = [
        ("Label".to_owned(), plist::Value::from("org.example.b")),
        ("Program".to_owned(), plist::Value::from("/usr/local/bin/restic")),
    ]
    .into_iter()
    .collect();
    plist::Value::Dictionary(keys).to_writer_binary(&mut bytes).expect("written");
    let host = FakeHost::default().file("/root/Library/LaunchAgents/torn.plist", "<plist><dict>", 0o644);
    crate::host::Host::write_atomic(&host, "/root/Library/LaunchAgents/b.plist".as_ref(), &bytes, 0o644)
        .expect("written");
    let facts = observe_foreign(&host, &places(), &[]);
    assert_eq!(facts["launchd"].observed.present().expect("present")[0].name, "org.example.b");
    assert!(facts["launchd:/root/Library/LaunchAgents/torn.plist"].observed.unknown().is_some());
}

#[test]
fn script_attached_to_nothing_is_named_and_an_attached_one_is_not() {
    let script = "#!/bin/sh\n# nightly backup\nsqlite3 /srv/shop.db .dump > /mnt/shop.sql\n";
    let host = debian(true).file("/usr/local/bin/nightly", script, 0o755);
    let backup = found(&host).remove("/usr/local/bin/nightly").expect("the script");
    assert!(matches!(backup.started, Started::ByNothing(_)));
    assert_eq!(backup.tools, ["sqlite3"]);
    let called = backup.calls.iter().find(|it| it.program == "sqlite3").expect("a call");
    assert!(matches!(called.state, CalledState::NotOnPath(_)) && called.via.is_some());
    for command in [
        "/usr/local/bin/nightly",
        "nightly",
        "cd /usr/local/bin && ./nightly",
        "sh -c 'exec /usr/local/bin/nightly -q'",
    ] {
        let text = format!("0 3 * * * root {command}\n");
        let host =
            debian(true).file("/usr/local/bin/nightly", script, 0o755).file("/etc/cron.d/n", &text, 0o644);
        assert!(!found(&host).contains_key("/usr/local/bin/nightly"), "{command}");
    }
}

#[test]
fn script_is_not_attached_by_a_word_that_merely_has_its_name() {
    let host = debian(true)
        .file("/usr/local/bin/nightly", "#!/bin/sh\n# backup\nborg create x\n", 0o755)
        .file("/etc/cron.d/n", "0 3 * * * root restic backup --tag nightly /other/nightly\n", 0o644);
    assert!(found(&host).contains_key("/usr/local/bin/nightly"), "{:#?}", found(&host));
}

#[test]
fn script_called_by_an_attached_script_is_attached() {
    let host = debian(true).file("/usr/local/bin/all", "#!/bin/sh\n/opt/tools/backup.sh\n", 0o755).file(
        "/opt/tools/backup.sh",
        "#!/bin/sh\nborg create x\n",
        0o755,
    );
    assert!(found(&host).contains_key("/opt/tools/backup.sh"));
    let host = host.file("/etc/cron.d/n", "0 3 * * * root /usr/local/bin/all\n", 0o644);
    assert!(!found(&host).contains_key("/opt/tools/backup.sh"));
}

#[test]
fn scripts_that_are_no_backups_are_left_alone() {
    let host = debian(true)
        .file("/usr/local/bin/deploy", "#!/bin/sh\nrsync -a out/ web:\n", 0o755)
        .file("/usr/local/bin/unpack-archive", "#!/bin/sh\ntar -xzf \"$1\"\n", 0o755)
        .file("/usr/local/bin/check", "#!/bin/sh\n# is there a backup?\ncommand -v restic\n", 0o755)
        .file("/usr/local/bin/restic", "#!/bin/sh\nexec /opt/restic/restic backup \"$@\"\n", 0o755)
        .file("/usr/local/bin/program", "\u{7f}ELF\u{0} backup pg_dump", 0o755)
        .file("/usr/local/bin/notes.txt", "restic backup\n", 0o644);
    assert!(found(&host).is_empty(), "{:#?}", found(&host));
}

#[test]
fn bound_of_scripts_is_a_gap_and_keeps_what_was_found() {
    let mut host = debian(true).file("/usr/local/bin/000-backup", "#!/bin/sh\nrestic backup\n", 0o755);
    for number in 0..2000 {
        host = host.file(&format!("/usr/local/bin/x{number}"), "true\n", 0o755);
    }
    let facts = look(&host);
    assert!(facts["scripts:/usr/local/bin"].observed.unknown().is_some());
    assert_eq!(facts["scripts"].observed.present().expect("present").len(), 1);
}

#[test]
fn no_argument_of_a_command_is_kept() {
    let secret = "hunter2";
    let host = debian(true)
        .file(
            "/etc/cron.d/a",
            &format!("0 3 * * * root PGPASSWORD={secret} pg_dump -U x --password={secret} shop\n"),
            0o644,
        )
        .file("/root/backup.sh", &format!("#!/bin/sh\nmysqldump -p{secret} shop\n"), 0o755);
    let host = unit(
        host,
        "r.service",
        &format!(
            "[Service]\nEnvironment=RESTIC_PASSWORD={secret}\nExecStart=sh -c 'restic -p {secret} backup'\n"
        ),
    );
    let facts = serde_json::to_string(&look(&host)).expect("JSON");
    assert!(
        facts.contains("pg_dump") && facts.contains("mysqldump") && facts.contains("r.service"),
        "{facts}"
    );
    assert!(!facts.contains(secret), "{facts}");
}

#[test]
fn place_that_is_not_there_is_absent() {
    let facts = observe_foreign(&FakeHost::default(), &places(), &[]);
    for (place, fact) in &facts {
        assert_eq!(fact.observed, Observed::Absent, "{place}");
    }
    assert_eq!(facts.len(), 6);
}
