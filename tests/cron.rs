//! The whole program with Debian's own cron on a booted machine: jobs that it starts, tables that it reads, and tables
//! that are not ours.
//!
//! Cron starts a job at the turn of a minute and not before, so these tests wait for some.

mod bed;
#[expect(dead_code, reason = "the machine has more than this binary needs")]
#[path = "systemd_apply/machine.rs"]
mod machine;

use bkp::host::pause;
use machine::{Machine, PLAN, PROGRAM, audit, bkp, id, trigger, until};
use std::time::Duration;

/// What a trial may take until it has run: the turn of a minute, and the run.
const TRIAL: Duration = Duration::from_mins(2);
const JOB: &str = "/etc/cron.d/bkp-files";

fn boot(purpose: &str) -> Machine {
    let machine = Machine::boot(purpose).with_data();
    machine.sh("systemctl start cron; systemctl is-active cron");
    machine
}

fn plan(schedule: &str, more: &str) -> String {
    format!(
        "version: 1\nname: home\nscheduler: cron\ndefaults:\n  schedule: {schedule}\n  destinations: [second]\n  \
         retention: {{ last: 9 }}\ndestinations:\n  second: {{ type: local, path: /mnt/backup/home }}\nsets:\n  \
         files: {{ type: files, paths: [/srv/app/files]{more} }}\n"
    )
}

/// How often cron has started the set's job, by cron's own log.
fn starts(machine: &Machine) -> usize {
    let log = machine.sh("journalctl -u cron -o cat --no-pager");
    log.lines()
        .filter(|line| line.contains("CMD") && line.contains("run files ") && line.contains("--if-due"))
        .count()
}

#[test]
fn cron_runs_the_trial_and_then_what_is_due_and_what_it_would_not_run_is_found() {
    let machine = boot("cron-system");
    machine.write_plan(&plan("every 2m", ""));
    machine.converge();
    assert_eq!(machine.snapshots("files").iter().map(trigger).collect::<Vec<_>>(), ["trial"]);
    assert_eq!(
        machine.sh("ls /etc/cron.d").lines().filter(|name| name.starts_with("bkp-")).collect::<Vec<_>>(),
        ["bkp-audit-home", "bkp-files"]
    );
    assert_eq!(machine.sh(&format!("stat -c '%U:%G %a' {JOB}")), "root:root 644\n");
    assert!(!machine.sh(&format!("cat {JOB}")).contains("once"));
    assert_eq!(machine.sh("ls -A /var/lib/bkp/once"), "");
    machine.audit().is_clean();

    // A start in every minute, and a run that is due in every second one.
    machine.sh(&format!("sed -i 's/^0,2,.* root umask/* * * * * root umask/' {JOB}"));
    let before = starts(&machine);
    until(Duration::from_secs(200), "cron starts the job twice", || {
        (starts(&machine) >= before + 2).then_some(())
    });
    let scheduled = until(Duration::from_secs(20), "the run that was due", || {
        let found: Vec<String> = machine
            .snapshots("files")
            .iter()
            .filter(|it| trigger(it) == "schedule")
            .map(|it| id(it).to_owned())
            .collect();
        (!found.is_empty()).then_some(found)
    });
    // Of the second start nothing may be left to come.
    pause(Duration::from_secs(3));
    let ids: Vec<_> = machine
        .snapshots("files")
        .iter()
        .filter(|it| trigger(it) == "schedule")
        .map(|it| id(it).to_owned())
        .collect();
    assert_eq!((ids.len(), &ids), (1, &scheduled), "of two starts in a row one is due");
    let minute: u32 = ids[0][11..13].parse().expect("the minute of a name");
    assert_eq!(minute % 2, 0, "{ids:?}");
    machine.audit().names("job-drifted", "files");

    machine.converge();
    for (harm, mend, code) in [
        ("systemctl stop cron", "systemctl start cron", "timer-inactive"),
        ("chmod 0666 /etc/cron.d/bkp-files", "chmod 0644 /etc/cron.d/bkp-files", "timer-missing"),
        ("chmod 0666 /etc/cron.d/bkp-files", "chmod 0644 /etc/cron.d/bkp-files", "job-writable"),
        (
            "cp -p /etc/cron.d/bkp-files /root/kept; sed -i 's/^[^#]/#&/' /etc/cron.d/bkp-files",
            "cp -p /root/kept /etc/cron.d/bkp-files",
            "timer-disabled",
        ),
        ("mv /etc/cron.d/bkp-files /root/kept", "mv /root/kept /etc/cron.d/bkp-files", "timer-missing"),
    ] {
        machine.sh(harm);
        machine.audit().names(code, "files");
        machine.sh(mend);
        let after = machine.audit();
        assert!(after.findings.iter().all(|it| it.code == "set-stale"), "{harm}: {after:#?}");
    }
    machine.sh("systemctl stop cron");
    machine.bkp(&["run", "files", "--job"]).ended(1).says("no cron runs");
    machine.sh("systemctl start cron");
    machine.bkp(&["uninstall", "home", "--yes"]).ended(0);
    assert_eq!(machine.sh("ls /etc/cron.d | grep -c '^bkp-' || true"), "0\n");
}

/// A user's table before bkp came: settings that would ruin every line below them, and lines of many kinds.
const FOREIGN: &str = "# my own\n#two\n# three\nMAILTO=\"\"\nSHELL=/bin/false\nCRON_TZ=Asia/Tokyo\n\t5 4\t* * *  /bin/true % a % b\n# crlf\r\n\
                       0 0 1 1 *  echo caf\u{e9} \\b >/dev/null\r\n# bkp-begin: not a block\n";

/// The table as it lies there, without the lines that the tool puts above it.
fn crontab(machine: &Machine) -> String {
    machine.sh("tail -n +4 /var/spool/cron/crontabs/ada")
}

#[test]
fn users_crontab_keeps_every_byte_that_is_not_ours() {
    let machine = boot("cron-user");
    let ada = machine.user("ada", false);
    machine.sh("install -d -o ada -g ada /home/ada/files /mnt/backup/ada; echo one >/home/ada/files/one");
    machine.write("/root/foreign", FOREIGN);
    machine.sh("crontab -u ada /root/foreign");
    assert_eq!(crontab(&machine), FOREIGN);
    machine.write(
        "/home/ada/plan.yaml",
        &plan("daily 03:00", "").replace("/srv/app", "/home/ada").replace("backup/home", "backup/ada"),
    );
    let state = "/home/ada/it's 100%\\\\% state";
    let run = |args: &[&str]| bkp(&ada, &[args, &["--state-dir", state]].concat());
    run(&["apply", "/home/ada/plan.yaml", "--yes"]).ended(0);
    run(&["plan", "/home/ada/plan.yaml", "--detailed-exitcode"]).ended(0);
    let table = crontab(&machine);
    let (ours, foreign) = table.split_once("# bkp-end: bkp-files\n").expect("a block");
    assert_eq!(foreign, FOREIGN);
    assert!(ours.starts_with("# bkp-begin: bkp-audit-home\n# bkp-job: {") && !ours.contains("try"), "{ours}");
    let clean = audit(&run(&["audit", "--format", "json"]));
    clean.is_clean();

    machine.sh("echo ada >/etc/cron.deny");
    let blind = audit(&run(&["audit", "--format", "json"]));
    assert!(
        blind.findings.iter().any(|it| it.code == "could-not-look" && it.evidence.contains("not allowed")),
        "{blind:#?}"
    );
    run(&["plan", "/home/ada/plan.yaml", "--detailed-exitcode"]).ended(1);
    machine.sh("rm /etc/cron.deny");

    run(&["uninstall", "home", "--yes"]).ended(0);
    assert_eq!(crontab(&machine), FOREIGN);
}

#[test]
fn trial_that_outlives_its_apply_is_attached_to_and_one_that_is_killed_is_no_proof() {
    let machine = boot("cron-killed");
    let hook = |word: &str| {
        plan(
            "daily 03:00",
            &format!(
                ", before: [[sh, -c, \"echo {word} >>/var/lib/hook-runs; while test -e /srv/hold; do sleep 0.1; done\"]]"
            ),
        )
    };
    let apply = |unit: &str| {
        machine.sh(&format!("systemd-run --quiet --unit={unit} -p RemainAfterExit=yes sh -c '{PROGRAM} apply {PLAN} --yes >/root/{unit}.log 2>&1'"));
    };
    let ran = || machine.sh("cat /var/lib/hook-runs 2>/dev/null || true");
    let ended = |unit: &str| {
        until(TRIAL, "the apply ends", || {
            let state = machine.property(&format!("{unit}.service"), "SubState");
            (state == "exited" || state == "failed").then_some(state)
        })
    };
    machine.write_plan(&hook("one"));
    machine.sh("touch /srv/hold");
    apply("first");
    until(TRIAL, "the trial's hook runs", || (ran() == "one\n").then_some(()));
    machine.sh("systemctl kill -s KILL first.service");
    let inode = "stat -c %i /etc/cron.d/bkp-try-files";
    let left = machine.sh(inode);
    apply("second");
    until(TRIAL, "the second apply has written its trial", || (machine.sh(inode) != left).then_some(()));
    pause(Duration::from_secs(1));
    machine.sh("rm /srv/hold");
    assert_eq!(ended("second"), "exited", "{}", machine.sh("cat /root/second.log"));
    assert_eq!(ran(), "one\n");
    assert_eq!(machine.snapshots("files").len(), 1);
    machine.bkp(&["plan", PLAN, "--detailed-exitcode"]).ended(0);
    machine.audit().is_clean();

    let working = machine.sh(&format!("cat {JOB}"));
    machine.write_plan(&hook("two"));
    machine.sh("touch /srv/hold");
    apply("third");
    until(TRIAL, "the trial's hook runs", || (ran() == "one\ntwo\n").then_some(()));
    machine.sh("kill -9 $(sed -n 's/.*\"pid\":\\([0-9]*\\).*/\\1/p' /var/lib/bkp/once/bkp-try-files.record)");
    assert_eq!(ended("third"), "failed", "{}", machine.sh("cat /root/third.log"));
    assert!(
        machine.sh("cat /root/third.log").contains("it was killed"),
        "{}",
        machine.sh("cat /root/third.log")
    );
    machine.sh("rm /srv/hold");
    assert_eq!(machine.sh(&format!("cat {JOB}")), working);
    assert_eq!(machine.sh("ls /etc/cron.d | grep -c try || true; ls -A /var/lib/bkp/once"), "0\n");
}
