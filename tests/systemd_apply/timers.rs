//! Timers of the system and of a user that fire by themselves.

use super::machine::{APP_SETS, audit, bkp, plan, snapshots, trigger};
use super::*;

/// Two firings of `every 1m`, their random delay, and two runs on a busy machine.
const TWO_FIRINGS: Duration = Duration::from_secs(210);

#[test]
fn applied_sets_are_backed_up_by_timers_that_fire_by_themselves() {
    let machine = Machine::boot("timers").with_data();
    machine.write_plan(&plan("home", "every 1m", APP_SETS));
    machine.bkp(&["plan", "/root/plan.yaml", "--detailed-exitcode"]).ended(2);
    machine.converge();
    let applied_again = machine.fingerprint("/etc/bkp /etc/systemd/system /mnt/backup");
    machine.apply().ended(0);
    // A timer may have fired meanwhile; the rest stays as it is.
    let units =
        |all: &str| all.lines().filter(|it| !it.contains("/mnt/backup")).collect::<Vec<_>>().join("\n");
    assert_eq!(
        units(&applied_again),
        units(&machine.fingerprint("/etc/bkp /etc/systemd/system /mnt/backup"))
    );
    assert_eq!(machine.sh("systemd-analyze verify /etc/systemd/system/bkp-{orders,files}.{service,timer} 2>&1 | grep bkp- || true"), "");

    let ada = machine.user("ada", true);
    machine.sh("install -d -o ada -g ada -m 0700 /mnt/backup/ada");
    ada.sh("mkdir ~/notes; echo note >~/notes/a; sqlite3 ~/diary.db 'PRAGMA journal_mode=wal' 'CREATE TABLE d (t)' 'INSERT INTO d VALUES (1)'");
    let text = plan(
        "ada",
        "every 1m",
        "  diary: { type: sqlite, path: ~/diary.db }\n  notes: { type: files, paths: [~/notes] }\n",
    );
    ada.write_atomic(
        "/home/ada/plan.yaml".as_ref(),
        text.replace("scope: system", "scope: user").as_bytes(),
        0o644,
    )
    .expect("a plan file");
    bkp(&ada, &["apply", "/home/ada/plan.yaml", "--yes"]).ended(0);
    bkp(&ada, &["plan", "/home/ada/plan.yaml", "--detailed-exitcode"]).ended(0);

    let root = machine.root();
    for (host, set) in [(&root, "orders"), (&root, "files"), (&ada, "diary"), (&ada, "notes")] {
        until(TWO_FIRINGS, &format!("two snapshots of {set} that its timer made"), || {
            let made = snapshots(host, set).iter().filter(|it| trigger(it) == "schedule").count();
            (made >= 2).then_some(())
        });
        bkp(host, &["verify", set]).ended(0);
        bkp(host, &["drill", set]).ended(0);
    }
    machine.audit().is_clean();
    let of_ada = || audit(&bkp(&ada, &["audit", "--format", "json"]));
    of_ada().is_clean();
    machine.sh("rm /var/lib/systemd/linger/ada");
    of_ada().names("linger-off", "");
}
