//! An apply that is killed, at any moment, leaves a machine that the next one brings to an end.

use super::machine::{APP_SETS, PLAN, PROGRAM, bkp, command, plan};
use super::*;
use std::time::Instant;

/// How many applies are killed at moments that nobody chose.
const KILLS: u64 = 6;

#[test]
fn apply_that_was_killed_is_brought_to_an_end_by_the_next() {
    let machine = Machine::boot("killed").with_data();
    let declared = |compression: &str, last: u64| {
        plan("home", "daily 03:00", APP_SETS)
            .replace("last: 9 }", &format!("last: {last} }}\n  compression: {compression}"))
    };
    machine.write_plan(&declared("zstd", 9));
    let began = Instant::now();
    machine.converge();
    let whole = began.elapsed();
    let mut cut_off = 0;
    for round in 0..KILLS {
        // Another compression is another declaration of both sets: each round tries both jobs anew.
        let compression = if round % 2 == 0 { "gzip" } else { "none" };
        machine.write_plan(&declared(compression, 10 + round));
        let nanoseconds =
            u64::try_from(machine.root().now().as_nanosecond() % 1_000_000_007).expect("positive");
        let part = whole.mul_f64(
            (f64::from(u32::try_from(round).expect("small"))
                + f64::from(u32::try_from(nanoseconds % 1000).expect("small")) / 1000.0)
                / f64::from(u32::try_from(KILLS).expect("small")),
        );
        let moment = format!("{:.3}s", part.as_secs_f64().max(0.05));
        let killed = machine
            .root()
            .run(&command("timeout", &["-s", "KILL", &moment, PROGRAM, "apply", PLAN, "--yes"]));
        let killed = killed.expect("nsenter runs");
        // `timeout` ends by the signal that it sends; the last moments may come after the apply's own end.
        cut_off += u64::from(killed.status.is_none());
        machine.converge();
        machine.has_no_trial();
        bkp(&machine.root(), &["verify", "orders", "files"]).ended(0);
        let audit = machine.audit();
        assert_eq!(audit.status, 0, "killed after {moment}: {audit:#?}");
    }
    assert!(cut_off >= KILLS / 2, "only {cut_off} of {KILLS} applies were cut off");
}

#[test]
fn trial_that_outlives_its_apply_is_attached_to() {
    let machine = Machine::boot("attached").with_data();
    let hook =
        "before: [[sh, -c, \"echo ran >>/var/lib/hook-runs; while test -e /srv/hold; do sleep 0.1; done\"]]";
    machine.write_plan(&plan(
        "home",
        "daily 03:00",
        &format!("  files: {{ type: files, paths: [/srv/app/files], {hook} }}\n"),
    ));
    machine.sh("touch /srv/hold");
    let log = "/root/apply.log";
    machine.sh(&format!(
        "systemd-run --quiet --unit=apply-once sh -c '{PROGRAM} apply {PLAN} --yes >{log} 2>&1'"
    ));
    let limit = Duration::from_mins(1);
    until(limit, "the trial's hook runs", || {
        machine.sh("cat /var/lib/hook-runs 2>/dev/null || true").contains("ran").then_some(())
    });
    machine.sh("systemctl kill -s KILL apply-once.service");
    assert_eq!(machine.property("bkp-try-files.service", "ActiveState"), "activating");
    machine.bkp(&["plan", PLAN, "--detailed-exitcode"]).ended(2);
    machine.sh(&format!("systemd-run --quiet --unit=apply-again -p RemainAfterExit=yes sh -c '{PROGRAM} apply {PLAN} --yes >{log} 2>&1'"));
    until(limit, "the second apply waits for the trial", || {
        let waits = machine.sh("pgrep -f '^systemctl.* start bkp-try-files.service' || true");
        (!waits.is_empty()).then_some(())
    });
    machine.sh("rm /srv/hold");
    let state = until(limit, "the second apply ends", || {
        let state = machine.property("apply-again.service", "SubState");
        (state == "exited" || state == "failed").then_some(state)
    });
    assert_eq!(state, "exited", "{}", machine.sh(&format!("cat {log}")));
    assert_eq!(machine.sh("cat /var/lib/hook-runs"), "ran\n");
    assert_eq!(machine.snapshots("files").len(), 1);
    machine.bkp(&["plan", PLAN, "--detailed-exitcode"]).ended(0);
    machine.has_no_trial();
    machine.audit().is_clean();
}
