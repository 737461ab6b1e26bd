//! Uninstalling takes the jobs away and leaves the backups.

use super::machine::{APP_SETS, id, plan};
use super::*;

#[test]
fn uninstalled_plan_leaves_no_unit_and_keeps_its_history() {
    let machine = Machine::boot("uninstalled").with_data();
    machine.write_plan(&plan("home", "daily 03:00", APP_SETS));
    machine.converge();
    let first = machine.snapshots("orders");
    assert_eq!(first.len(), 1);
    let stored = machine.fingerprint("/mnt/backup/home");
    let would = machine.bkp(&["uninstall", "--dry-run"]).ended(0).says("bkp-orders");
    assert!(would.out.contains("bkp-files"));
    assert_eq!(machine.property("bkp-orders.timer", "ActiveState"), "active");
    machine.bkp(&["uninstall"]).ended(1).says("--yes");
    machine.bkp(&["uninstall", "--yes"]).ended(0);
    assert_eq!(
        machine.sh("find /etc/systemd /run/systemd/system /etc/bkp -name '*bkp-*' -o -name '*.yaml'"),
        ""
    );
    assert_eq!(machine.sh("systemctl list-units --all --no-legend --plain 'bkp-*'"), "");
    assert_eq!(machine.fingerprint("/mnt/backup/home"), stored);
    machine.converge();
    let after = machine.snapshots("orders");
    assert_eq!(id(&after[0]), id(&first[0]));
    machine.bkp(&["verify", "orders", "files"]).ended(0);
    machine.audit().is_clean();
}
