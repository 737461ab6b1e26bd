//! Several plans on one host: none touches another's jobs.

use super::machine::{APP_SETS, plan};
use super::*;

#[test]
fn applying_one_plan_leaves_the_others_jobs_as_they_are() {
    let machine = Machine::boot("several").with_data();
    machine.write_plan(&plan("home", "daily 03:00", APP_SETS));
    machine.converge();
    let timer = "systemctl show bkp-orders.timer bkp-files.timer bkp-audit.timer bkp-audit-home.timer \
                 -p Id,LoadState,UnitFileState,ActiveState,SubState,ActiveEnterTimestampMonotonic,NextElapseUSecRealtime";
    let others =
        "/etc/systemd/system/bkp-* /etc/systemd/system/timers.target.wants/bkp-* /etc/bkp/plans/home.*";
    let before = (machine.fingerprint(others), machine.sh(timer));

    let second = plan("second", "daily 04:00", "  mail: { type: files, paths: [/srv/mail] }\n");
    machine.sh("mkdir /srv/mail; echo hello >/srv/mail/one");
    machine.write("/root/second.yaml", &second);
    machine.bkp(&["apply", "/root/second.yaml", "--yes"]).ended(0);
    machine.bkp(&["plan", "/root/second.yaml", "--detailed-exitcode"]).ended(0);
    let of_home = |all: String| {
        let theirs = |line: &&str| !line.contains("bkp-mail") && !line.contains("audit-second");
        all.lines().filter(theirs).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(of_home(machine.fingerprint(others)), of_home(before.0.clone()));
    assert_eq!(machine.sh(timer), before.1);
    machine.audit().is_clean();

    // A set that the other plan owns is refused, and the rest of the plan goes on.
    machine.write("/root/second.yaml", &format!("{second}  orders: {{ type: sqlite, path: /srv/app/app.db }}\n  extra: {{ type: files, paths: [/srv/mail] }}\n"));
    let refused = machine.bkp(&["apply", "/root/second.yaml", "--yes"]).ended(1);
    refused.says("another plan owns the set").says("home");
    let theirs =
        |all: String| all.lines().filter(|line| line.contains("bkp-orders")).collect::<Vec<_>>().join("\n");
    assert_eq!(theirs(machine.fingerprint(others)), theirs(before.0.clone()));
    assert_eq!(machine.sh(timer), before.1);
    assert_eq!(machine.snapshots("extra").len(), 1);
    assert_eq!(machine.sh("ls -d /mnt/backup/second/*/orders 2>/dev/null || true"), "");

    // Taking the second plan away leaves the first one's jobs.
    machine.bkp(&["uninstall", "second", "--yes"]).ended(0);
    assert_eq!(of_home(machine.fingerprint(others)), of_home(before.0));
    assert_eq!(machine.sh(timer), before.1);
    machine.audit().is_clean();
}
