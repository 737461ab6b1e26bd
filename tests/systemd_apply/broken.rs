//! One thing broken at a time: audit names it, and apply mends it.

use super::machine::{APP_SETS, PLAN, PROGRAM, command, id, plan};
use super::*;

const DAYS: Duration = Duration::from_hours(3 * 24);

/// Breaks something, demands the finding, applies, and demands that nothing is found.
#[track_caller]
fn breaks(machine: &Machine, code: &str, line: &str) {
    machine.sh(line);
    machine.audit().names(code, "orders");
    machine.converge();
    machine.audit().is_clean();
}

#[test]
fn every_break_of_a_timer_or_a_job_is_named_and_mended() {
    let machine = Machine::boot("units").with_data();
    machine.write_plan(&plan("home", "daily 03:00", APP_SETS));
    machine.converge();
    machine.audit().is_clean();
    // What systemd remembers of a run that went well counts for nothing.
    machine.sh("systemctl start bkp-orders.service");
    assert_eq!(machine.property("bkp-orders.service", "Result"), "success");
    breaks(&machine, "timer-disabled", "systemctl disable --now bkp-orders.timer");
    breaks(&machine, "timer-inactive", "systemctl stop bkp-orders.timer");
    breaks(&machine, "timer-disabled", "systemctl disable bkp-orders.timer");
    // A file of ours stands where the mask would lie, as it does for an administrator.
    breaks(
        &machine,
        "timer-masked",
        "cd /etc/systemd/system; rm bkp-orders.timer; systemctl mask --now bkp-orders.timer",
    );
    breaks(
        &machine,
        "service-masked",
        "cd /etc/systemd/system; rm bkp-orders.service; systemctl mask bkp-orders.service",
    );
    breaks(&machine, "timer-missing", "rm /etc/systemd/system/bkp-orders.*; systemctl daemon-reload");
    breaks(
        &machine,
        "job-drifted",
        "mkdir /etc/systemd/system/bkp-orders.service.d; \
         printf '[Service]\\nExecStart=\\nExecStart=/bin/true\\n' >/etc/systemd/system/bkp-orders.service.d/x.conf",
    );
    machine.sh("sed -i 's/^TimeoutStartSec=.*/TimeoutStartSec=1/' /etc/systemd/system/bkp-orders.service; systemctl daemon-reload");
    machine.audit().names("job-drifted", "orders");
    let shown = machine.bkp(&["plan", PLAN, "--detailed-exitcode"]).ended(2);
    let diff = |line: &str| shown.out.lines().any(|it| it.trim_start().starts_with(line));
    assert!(diff("-TimeoutStartSec=1") && diff("+TimeoutStartSec="), "{}", shown.out);
    machine.converge();
    machine.audit().is_clean();
}

/// Applies, which makes a good snapshot beside the damaged one; that one is named until somebody deletes it.
#[track_caller]
fn replaced(machine: &Machine, code: &str, damaged: &str) {
    machine.converge();
    assert!(machine.audit().names(code, "orders").object.starts_with(damaged));
    machine.bkp(&["delete", "orders", damaged, "--yes"]).ended(0);
    machine.audit().is_clean();
    machine.bkp(&["verify", "orders"]).ended(0);
}

#[test]
fn every_break_of_what_is_stored_is_named_and_mended() {
    let machine = Machine::boot("stored").with_data();
    let text = plan("home", "daily 03:00", APP_SETS).replace("last: 9", "last: 1");
    machine.write_plan(&text);
    machine.converge();
    machine.audit().is_clean();
    let artifact = "$(ls /mnt/backup/home/*/orders/*/*.db*zst)";
    for (code, line) in [
        ("object-missing", format!("rm {artifact}")),
        ("object-wrong-size", format!("truncate -s -1 {artifact}")),
    ] {
        let damaged = id(machine.snapshots("orders").last().expect("a snapshot")).to_owned();
        machine.sh(&line);
        machine.audit().names(code, "orders");
        machine.bkp(&["verify", "orders"]).ended(2);
        replaced(&machine, code, &damaged);
    }
    // A flipped bit can only be seen by who reads: verify finds it, and from then on audit knows.
    let damaged = id(machine.snapshots("orders").last().expect("a snapshot")).to_owned();
    machine.sh(&format!(
        "f={artifact}; at=$(($(stat -c %s $f) / 2)); byte=$(od -An -tu1 -j $at -N 1 $f); chmod u+w $f; \
         printf \"\\\\x$(printf %02x $((byte ^ 1)))\" | dd of=$f bs=1 seek=$at conv=notrunc status=none"
    ));
    machine.audit().is_clean();
    machine.bkp(&["verify", "orders"]).ended(2);
    machine.audit().names("digest-differs", "orders");
    replaced(&machine, "digest-differs", &damaged);
    let later = machine.bkp_later(DAYS, &["audit", "--format", "json"]);
    let audit = super::machine::audit(&later);
    audit.names("set-stale", "orders");
    audit.names("set-stale", "files");
    // A timer that is gone is found beside the success that systemd remembers.
    machine.sh("systemctl start bkp-orders.service");
    assert_eq!(machine.snapshots("orders").len(), 1);
    // The run let go of the snapshot that was drilled last, so it has drilled its own.
    machine.audit().is_clean();
    machine.sh("systemctl disable --now bkp-orders.timer");
    machine.audit().names("timer-disabled", "orders");
    // What is no longer declared loses its job, and nothing else.
    let without = text.replace("  files: { type: files, paths: [/srv/app/files] }\n", "");
    let kept = machine.fingerprint("/mnt/backup/home/*/files");
    machine.write_plan(&without);
    machine.audit().names("plan-edited", "");
    super::machine::audit(&machine.bkp(&["audit", "--plan", PLAN, "--format", "json"]))
        .names("job-orphaned", "files");
    let shown = machine.bkp(&["plan", PLAN, "--detailed-exitcode"]).ended(2);
    assert!(shown.out.contains("bkp-files"), "{}", shown.out);
    let applied = machine.converge();
    assert!(applied.said().contains("1 snapshot is kept"), "{}", applied.said());
    assert_eq!(machine.sh("find /etc/systemd /run/systemd/system -name 'bkp-files*'"), "");
    assert_eq!(machine.property("bkp-files.timer", "LoadState"), "not-found");
    assert_eq!(machine.fingerprint("/mnt/backup/home/*/files"), kept);
    machine.audit().is_clean();
}

#[test]
fn program_in_a_build_folder_is_named_and_its_remedy_mends_it() {
    let machine = Machine::boot("misplaced").with_data();
    machine.write_plan(&plan("home", "daily 03:00", APP_SETS));
    let built = "/srv/project/target/debug/bkp";
    machine.sh(&format!("install -D -m 0755 {PROGRAM} {built}; rm {PROGRAM}"));
    let run =
        |program: &str, args: &[&str]| machine.root().run(&command(program, args)).expect("nsenter runs");
    let applied = run(built, &["apply", PLAN, "--yes"]);
    assert!(applied.succeeded(), "{}", applied.explain());
    let found = run(built, &["audit"]);
    assert_eq!(found.status, Some(2), "{}", found.text());
    assert!(found.text().contains("binary-misplaced"), "{}", found.text());
    machine.sh(&format!("install -m 0755 {built} {PROGRAM}"));
    machine.converge();
    machine.audit().is_clean();
    assert!(machine.property("bkp-orders.service", "ExecStart").contains(PROGRAM));
}
