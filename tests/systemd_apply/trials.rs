//! A job is tried first: what fails its trial replaces nothing.

use super::machine::{APP_SETS, PLAN, plan, trigger};
use super::*;

const JOB: &str = "/etc/systemd/system/bkp-files.* /etc/systemd/system/timers.target.wants/bkp-files.timer \
                   /etc/bkp/plans/home.d/files.yaml";

fn timer_is_well(machine: &Machine) {
    let property = |name| machine.property("bkp-files.timer", name);
    assert_eq!((property("UnitFileState"), property("ActiveState")), ("enabled".into(), "active".into()));
    assert_ne!(property("NextElapseUSecRealtime"), "");
}

#[test]
fn set_whose_trial_fails_keeps_its_older_working_job() {
    let machine = Machine::boot("trials").with_data();
    let good = plan("home", "daily 03:00", APP_SETS);
    machine.write_plan(&good);
    machine.converge();
    let older = machine.fingerprint(JOB);
    // A folder that root sees and that the job's sandbox hides, behind a link that tells nothing of it.
    machine.sh(
        "mkdir -p /home/shared/notes; echo note >/home/shared/notes/one; ln -s /home/shared/notes /srv/notes",
    );
    let hidden = "files: { type: files, paths: [\"/srv/notes/*\"] }";
    let failing =
        "files: { type: files, paths: [/srv/app/files], before: [[sh, -c, \"echo refused >&2; exit 1\"]] }";
    for changed in [failing, hidden] {
        let broken = good.replace("files: { type: files, paths: [/srv/app/files] }", changed);
        assert_ne!(broken, good);
        machine.write_plan(&broken);
        let before = machine.snapshots("files").len();
        machine.apply().ended(1).says("not proven");
        assert_eq!(machine.fingerprint(JOB), older, "{changed}");
        timer_is_well(&machine);
        machine.has_no_trial();
        assert_eq!(machine.bkp(&["plan", PLAN, "--detailed-exitcode"]).status, 2, "{changed}");
        // The older job still makes what it made.
        machine.sh("systemctl start bkp-files.service");
        let after = machine.snapshots("files");
        assert_eq!(after.len(), before + 1);
        assert_eq!(trigger(after.last().expect("a snapshot")), "schedule");
        machine.bkp(&["verify", "files"]).ended(0);
        machine.audit().names("job-drifted", "files");
    }
    machine.write_plan(&good);
    machine.converge();
    assert_eq!(machine.fingerprint(JOB), older);
    machine.audit().is_clean();
}

#[test]
fn missing_program_and_missing_timer_are_shown_and_nothing_is_enabled() {
    let machine = Machine::boot("day51").with_data();
    let good = plan("home", "daily 03:00", APP_SETS);
    let broken = good.replace(
        "orders: { type: sqlite, path: /srv/app/app.db }",
        "orders: { type: sqlite, path: /srv/app/app.db, before: [[sqlite3-that-is-not-there]] }",
    );
    machine.write_plan(&broken);
    let shown = machine.bkp(&["plan", PLAN, "--detailed-exitcode"]);
    assert_eq!(shown.status, 1, "{}", shown.said());
    let shown = shown.says("sqlite3-that-is-not-there").says("bkp-orders").says("no such job is installed");
    assert!(shown.out.contains("files"));
    machine.apply().ended(1).says("sqlite3-that-is-not-there");
    assert_eq!(
        machine.sh("find /etc/systemd /run/systemd/system -name 'bkp-orders*' -o -name 'bkp-try-*'"),
        ""
    );
    assert_eq!(machine.property("bkp-orders.timer", "LoadState"), "not-found");
    assert_eq!(machine.sh("ls -d /mnt/backup/home/*/orders 2>/dev/null || true"), "");
    // The set that nothing is wrong with is proven and scheduled all the same.
    timer_is_well(&machine);
    assert_eq!(machine.snapshots("files").len(), 1);
    let audit = machine.audit();
    audit.names("tool-missing", "orders");
    audit.names("timer-missing", "orders");
    audit.names("set-never-run", "orders");
    // The program appears, and one apply is enough.
    machine.sh("printf '#!/bin/sh\\n' >/usr/local/bin/sqlite3-that-is-not-there; chmod 0755 /usr/local/bin/sqlite3-that-is-not-there");
    machine.converge();
    machine.audit().is_clean();
    assert_eq!(machine.snapshots("orders").len(), 1);
}

#[test]
fn job_that_proves_its_data_and_still_fails_is_told_by_apply_and_audit() {
    let machine = Machine::boot("afterwards").with_data();
    let set = "  files: { type: files, paths: [/srv/app/files], after: [[sh, -c, \"echo not thawed >&2; exit 7\"]] }\n";
    machine.write_plan(&plan("home", "daily 03:00", set));
    machine.apply().ended(1).says("the job did not end well").says("not thawed");
    // What is stored is proven, so the timer runs; that the hook fails stays said.
    timer_is_well(&machine);
    machine.audit().names("run-incomplete", "files");
}
