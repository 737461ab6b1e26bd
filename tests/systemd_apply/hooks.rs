//! Hooks and secrets inside a job, and jobs that do not end by themselves.

use super::machine::{PLAN, PROGRAM, plan, trigger};
use super::*;

const WAIT: Duration = Duration::from_mins(1);

#[test]
fn hooks_run_inside_the_job_and_their_secret_reaches_nobody_else() {
    let machine = Machine::boot("hooks").with_data();
    machine.sh("mkdir /var/lib/app-hooks; mkdir -p /etc/app; umask 077; echo hush-hush >/etc/app/token");
    machine.write("/usr/local/bin/app-hook", "#!/bin/sh\nset -e\necho \"$1 $BKP_SET\" >>/var/lib/app-hooks/log\n\
        test \"$(cat \"$BKP_SECRET_TOKEN_FILE\")\" = hush-hush\nls -l \"$BKP_SECRET_TOKEN_FILE\" >>/var/lib/app-hooks/modes\n\
        cat /proc/self/cgroup >>/var/lib/app-hooks/cgroup\n");
    machine.sh("chmod 0755 /usr/local/bin/app-hook");
    machine.write_plan(&plan("home", "daily 03:00",
        "  files:\n    type: files\n    paths: [/srv/app/files]\n    before: [[app-hook, before]]\n    after: [[app-hook, after]]\n    \
         secrets: { TOKEN: { file: /etc/app/token } }\n"));
    machine.converge();
    machine.bkp(&["run", "files", "--job"]).ended(0);
    assert_eq!(machine.sh("cat /var/lib/app-hooks/log"), "before files\nafter files\n".repeat(2));
    assert!(machine.sh("cat /var/lib/app-hooks/modes").lines().all(|line| line.starts_with("-rw-------")));
    let groups = machine.sh("cat /var/lib/app-hooks/cgroup");
    assert!(groups.contains("bkp-try-files.service") && groups.contains("bkp-files.service"), "{groups}");
    let triggers: Vec<String> = machine.snapshots("files").iter().map(|it| trigger(it).to_owned()).collect();
    assert_eq!(triggers, ["trial", "schedule"]);
    let told = machine.sh(
        "systemctl show bkp-files.service; journalctl --no-pager -u 'bkp-*'; grep -r hush-hush /etc/systemd /etc/bkp /var/lib/bkp \
         /mnt/backup || true",
    );
    assert!(!told.contains("hush-hush"), "{told}");
    machine.audit().is_clean();
    // A secret that others can read, or that is gone, is named.
    machine.sh("chmod 0644 /etc/app/token");
    machine.audit().names("secret-readable", "files");
    machine.sh("chmod 0600 /etc/app/token; chmod 0777 /usr/local/bin/app-hook");
    machine.audit().names("hook-writable", "files");
}

/// Two sets whose hook does what `/srv/way` says, and nothing where there is no such file; `files` has a limit of time.
fn with_ways(purpose: &str) -> Machine {
    let machine = Machine::boot(purpose).with_data();
    machine.write("/usr/local/bin/way", "#!/bin/sh\ntest ! -e /srv/way || . /srv/way\n");
    machine.sh("chmod 0755 /usr/local/bin/way");
    machine.write_plan(&plan(
        "home",
        "daily 03:00",
        "  files: { type: files, paths: [/srv/app/files], before: [[way]], time_limit: 10s }\n  \
         other: { type: files, paths: [/srv/app/files], before: [[way]] }\n",
    ));
    machine.converge();
    machine.audit().is_clean();
    machine
}

/// Waits for the finding that the last run failed.
fn run_failed(machine: &Machine, set: &str, evidence: &str) {
    until(WAIT, &format!("run-failed of {set}: {evidence}"), || {
        let audit = machine.audit();
        audit
            .findings
            .iter()
            .any(|it| it.code == "run-failed" && it.set == set && it.evidence.contains(evidence))
            .then_some(())
    });
}

#[test]
fn job_that_does_not_end_by_itself_is_a_run_that_failed() {
    let machine = with_ways("limits");
    let mended = |set: &str| {
        machine.sh(&format!("rm -f /srv/way; systemctl start bkp-{set}.service"));
        machine.audit().is_clean();
    };
    // Ended at its limit.
    machine.sh("echo 'sleep 300' >/srv/way; ! systemctl start bkp-files.service");
    run_failed(&machine, "files", "");
    mended("files");
    // Killed without a word of its own, by no limit: the unit beside it notes it.
    machine.sh("echo 'touch /srv/there; sleep 300' >/srv/way; systemctl start --no-block bkp-other.service");
    until(WAIT, "the hook runs", || {
        machine.sh("ls /srv/there 2>/dev/null || true").contains("there").then_some(())
    });
    machine.sh("systemctl kill -s KILL bkp-other.service");
    run_failed(&machine, "other", "the scheduler saw the job fail");
    mended("other");
    assert_eq!(machine.sh("find /mnt/backup/home/*/{files,other} -name '.*' -type f"), "");
}

#[test]
fn job_whose_environment_cannot_be_set_up_is_a_run_that_failed() {
    let machine = with_ways("environment");
    machine.sh(
        "mv /mnt/backup/home /mnt/backup/away; ! systemctl start bkp-other.service; mkdir /mnt/backup/tmp",
    );
    machine.sh("mv /mnt/backup/away /mnt/backup/home");
    run_failed(&machine, "other", "226");
    machine.sh("systemctl start bkp-other.service");
    machine.audit().is_clean();
}

#[test]
fn run_that_finds_the_lock_held_is_skipped_and_says_nothing_of_the_other() {
    let machine = with_ways("locked");
    machine.sh("echo 'touch /srv/there; while test -e /srv/way; do sleep 0.1; done' >/srv/way");
    machine.sh(&format!(
        "sed -i 's/time_limit: 10s/time_limit: 5m/' {PLAN}; rm -f /srv/way.off; mv /srv/way /srv/way.off"
    ));
    machine.converge();
    machine.sh(&format!("mv /srv/way.off /srv/way; systemd-run --quiet --unit=by-hand {PROGRAM} run files"));
    until(WAIT, "the hook runs", || {
        machine.sh("ls /srv/there 2>/dev/null || true").contains("there").then_some(())
    });
    machine.sh("! systemctl start bkp-files.service");
    assert_eq!(machine.property("bkp-files.service", "ExecMainStatus"), "75");
    until(WAIT, "the note of the failure ends", || {
        (machine.property("bkp-files.failed.service", "ActiveState") == "inactive").then_some(())
    });
    let audit = machine.audit();
    audit.names("run-skipped", "files");
    audit.is_clean_of("run-failed");
    machine.sh("rm /srv/way");
    until(WAIT, "the run by hand ends", || {
        (machine.property("by-hand.service", "ActiveState") != "active").then_some(())
    });
    let finished = machine.sh("grep -F finished /var/lib/bkp/journal.jsonl | grep -F '\"files\"'");
    assert!(finished.lines().count() == 3 && !finished.contains("failed"), "{finished}");
}
