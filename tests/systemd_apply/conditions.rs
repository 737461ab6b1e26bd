//! Conditions under which jobs run: the plan's own, and those that somebody adds to a unit.

use super::machine::plan;
use super::*;
use std::fmt::Write;

const TWO_DAYS: Duration = Duration::from_hours(48);

#[test]
fn condition_that_is_false_is_told_when_the_set_is_stale_by_it() {
    let machine = Machine::boot("condition").with_data();
    machine.write_plan(&plan("home", "daily 03:00", "  files: { type: files, paths: [/srv/app/files] }\n"));
    machine.converge();
    machine.sh("mkdir /etc/systemd/system/bkp-files.service.d; \
         printf '[Unit]\\nConditionPathExists=/nowhere\\n' >/etc/systemd/system/bkp-files.service.d/x.conf; \
         systemctl daemon-reload; systemctl start bkp-files.service");
    // systemd calls that start a success.
    assert_eq!(machine.property("bkp-files.service", "Result"), "success");
    assert_eq!(machine.snapshots("files").len(), 1);
    machine.audit().names("job-drifted", "files");
    let ran = machine.bkp_later(TWO_DAYS, &["audit", "--format", "json"]);
    let audit = machine::audit(&ran);
    audit.names("set-stale", "files");
    let held = audit.names("run-held", "files");
    assert!(held.evidence.contains("a condition of its unit was not met"), "{held:?}");
    machine.bkp(&["run", "files", "--job"]).ended(1).says("condition");
    machine.converge();
    machine.audit().is_clean();
}

#[test]
fn conditions_of_the_plan_are_in_the_units_and_hold_scheduled_runs() {
    let machine = Machine::boot("quiet").with_data();
    let now: jiff::Timestamp = machine.root().now();
    let local = now.to_zoned(jiff::tz::TimeZone::UTC);
    let (from, until) = (local.hour(), (local.hour() + 2) % 24);
    let set = format!(
        "  files:\n    type: files\n    paths: [/srv/app/files]\n    quiet_hours: [\"{from:02}:00-{until:02}:00\"]\n    \
         memory_limit: 512MiB\n    nice: 7\n    io_class: idle\n    require_ac_power: true\n"
    );
    let at = (local.hour() + 12) % 24;
    machine.write_plan(&plan("home", &format!("daily {at:02}:30"), &set));
    machine.converge();
    machine.audit().is_clean();
    let timer = machine.sh("cat /etc/systemd/system/bkp-files.timer");
    for line in [
        format!("*-*-* {at:02}:30:00 UTC"),
        format!("*-*-* {until:02}:00:00 UTC"),
        "*-*-* *:00:00 UTC".to_owned(),
    ] {
        assert!(timer.contains(&format!("OnCalendar={line}\n")), "{timer}");
    }
    assert_eq!(machine.property("bkp-files.service", "MemoryMax"), (512_u64 << 20).to_string());
    assert_eq!(machine.property("bkp-files.service", "Nice"), "7");
    assert_eq!(machine.property("bkp-files.service", "IOSchedulingClass"), "3");
    // Started by its timer or not, the job asks first: nothing is due, and later it is, and is held.
    machine.sh("systemctl start bkp-files.service");
    assert_eq!(machine.snapshots("files").len(), 1);
    let shifted = Duration::from_hours(24);
    machine
        .bkp_later(shifted, &["run", "files", "--if-due", "--trigger", "schedule"])
        .ended(0)
        .says("quiet hours");
    assert_eq!(machine.snapshots("files").len(), 1);
    let journal = machine.sh("grep -c '\"held\"' /var/lib/bkp/journal.jsonl");
    assert_eq!(journal.trim(), "1");
}

#[test]
fn schedule_in_a_zone_with_gaps_is_clean_for_systemd_and_waits_with_a_next_elapse() {
    let machine = Machine::boot("zones").with_data();
    let mut sets = String::new();
    let schedules = [
        ("berlin", "cron 30 2 * * *", "Europe/Berlin"),
        ("cairo", "daily 00:30", "Africa/Cairo"),
        ("howe", "every 15m", "Australia/Lord_Howe"),
        ("santiago", "cron 0,30 0 13 * 5", "America/Santiago"),
    ];
    for (name, schedule, zone) in schedules {
        let _fits = writeln!(
            sets,
            "  {name}: {{ type: files, paths: [/srv/app/files], schedule: \"{schedule}\", timezone: {zone} }}"
        );
    }
    machine.write_plan(&plan("home", "daily 03:00", &sets));
    machine.converge();
    machine.audit().is_clean();
    let unit = machine.sh("cat /etc/systemd/system/bkp-berlin.timer /etc/systemd/system/bkp-berlin.service");
    assert!(unit.contains("OnCalendar=Sun *-03-* 03:00:00 Europe/Berlin\n"), "{unit}");
    assert!(unit.contains("\"--if-due\""), "{unit}");
    let plain = machine.sh("cat /etc/systemd/system/bkp-howe.service");
    assert!(!plain.contains("\"--if-due\""), "{plain}");
}
