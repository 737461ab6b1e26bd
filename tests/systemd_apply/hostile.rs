//! Users who are gone, or who are not to be trusted: what they own leads root nowhere and holds nobody else up.

use super::machine::{PLAN, plan};
use super::*;

const SETS: &str = "  orders: { type: sqlite, path: /srv/app/app.db, run_as: app }\n  \
     roots: { type: files, paths: [/srv/app/files], quiet_hours: \"00:00-00:01\" }\n";

fn machine_of(purpose: &str) -> Machine {
    let machine = Machine::boot(purpose).with_data();
    machine.write_plan(&plan("home", "daily 03:00", SETS));
    machine.converge();
    machine
}

#[test]
fn data_comes_back_when_its_user_is_gone() {
    let machine = machine_of("gone");
    machine.sh("userdel app");
    machine.bkp(&["restore", "orders", "--to", "/srv/back"]).ended(0);
    assert_eq!(machine.sh("sqlite3 /srv/back/orders.db 'SELECT count(*) FROM orders'").trim(), "2");
}

#[test]
fn what_a_user_puts_in_its_state_leads_root_nowhere() {
    let machine = machine_of("links");
    // A link where root once wrote by name.
    machine.sh("mkdir /srv/treasure; echo kept | tee /srv/treasure/orders >/srv/treasure/orders.requested; cd /var/lib/bkp/users/app; mv locks was; ln -s /srv/treasure locks");
    machine.bkp(&["run", "orders", "--job"]).ended(1);
    assert_eq!(machine.sh("cd /srv/treasure; ls -A; cat *"), "orders\norders.requested\nkept\nkept\n");
    machine.sh("cd /var/lib/bkp/users/app; rm locks; mv was locks");
    machine.bkp(&["run", "orders", "--job"]).ended(0);
    // A pipe where root reads.
    machine
        .sh("cd /var/lib/bkp/users/app; mv journal.jsonl was; mkfifo journal.jsonl; chown app journal.jsonl");
    let audit = machine.audit();
    let [found] = audit.findings.as_slice() else { panic!("{audit:?}") };
    assert_eq!((audit.status, found.code.as_str()), (1, "could-not-look"));
    assert!(found.evidence.contains("users/app/journal.jsonl: it is no plain file"), "{found:?}");
    machine.sh("cd /var/lib/bkp/users/app; rm journal.jsonl; mv was journal.jsonl");
    machine.audit().is_clean();
}

#[test]
fn user_holds_up_no_run_of_roots_and_what_was_closed_is_not_opened() {
    let machine = machine_of("slots");
    machine.sh("systemd-run --quiet --uid=nobody flock /var/lib/bkp/slots/place.0 sleep 120");
    machine.bkp(&["run", "roots"]).ended(0);
    machine.sh("chmod 0700 /etc/bkp; echo x >/etc/bkp/note; chmod 0644 /etc/bkp/note");
    machine.bkp(&["restore", "orders", "--to", "/srv/back"]).ended(0);
    machine.sh("! runuser -u nobody -- ls /etc/bkp");
    assert_eq!(machine.sh("stat -c %a /etc/bkp").trim(), "711");
}

#[test]
fn another_name_of_root_is_refused() {
    let machine = Machine::boot("toor").with_data();
    machine.sh("useradd -o -u 0 -M toor");
    machine.write_plan(&plan("home", "daily 03:00", &SETS.replace("run_as: app", "run_as: toor")));
    machine.bkp(&["plan", PLAN]).ended(1).says("another name of root");
}

#[test]
fn failure_of_a_job_that_asks_first_is_noted() {
    let machine = machine_of("noted");
    let argv = machine.sh("cat /etc/systemd/system/bkp-roots.service");
    assert!(argv.contains("\"--if-due\""), "{argv}");
    machine.sh("mv /mnt/backup/home /mnt/backup/away; ! systemctl start bkp-roots.service; mv /mnt/backup/away /mnt/backup/home");
    until(Duration::from_secs(30), "the failure is noted", || {
        let audit = machine.audit();
        audit.findings.iter().any(|it| it.code == "run-failed" && it.set == "roots").then_some(())
    });
}
