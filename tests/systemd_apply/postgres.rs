//! A `PostgreSQL` server backed up and drilled by the jobs themselves: as its own user by `peer`, and as root with a
//! password.

use super::machine::{PROGRAM, plan, trigger};
use super::*;

/// By `peer` as the server's user; as root with a password where libpq looks by itself; as root beside `/tmp`, with
/// drills on the server.
const SETS: &str = "  own: { type: postgres, host: /srv/pg/s, port: 6543, user: postgres, run_as: postgres }\n  \
     root: { type: postgres, port: 6543, user: backup, password: { file: /etc/app/pg } }\n  \
     there: { type: postgres, host: /tmp, port: 6543, user: backup, password: { file: /etc/app/pg }, drill: server }\n";

/// A server in `/srv/pg` with the database `shop`, whose index takes a moment to make anew in a drill.
fn with_server(purpose: &str) -> Machine {
    let machine = Machine::boot(purpose);
    machine.write(
        "/srv/shop.sql",
        "create role backup login superuser password 'hush-hush';\ncreate role app;\ncreate database shop;\n\\c shop\n\
         create function slow(x int) returns int language plpgsql immutable as $$ begin perform pg_sleep(case when \
         current_database() like 'bkp%' then 1 else 0 end); return x; end $$;\n\
         create table orders (id int primary key, what text);\n\
         insert into orders select n, 'order ' || n from generate_series(1, 500) n;\nalter table orders owner to app;\n\
         create table late (x int);\ninsert into late values (1);\ncreate index on late (slow(x));\n",
    );
    machine.write("/srv/pg_hba.conf", "local all backup scram-sha-256\nlocal all all peer\n");
    // What of the drills' servers is to be seen while they run.
    machine.write(
        "/srv/watch",
        "#!/bin/bash\nwhile sleep 0.1; do ps -eo user:20,args | grep '[b]in/postgres -D'; done >>/srv/seen\n",
    );
    machine.sh(
        "set -e; mkdir -p /etc/app /run/postgresql; chown postgres: /run/postgresql; (umask 077; echo hush-hush >/etc/app/pg); \
         chmod 0755 /srv/watch; systemd-run --quiet --unit=watch /srv/watch; \
         bin=$(echo /usr/lib/postgresql/*/bin); install -d -o postgres -g postgres /srv/pg /srv/pg/s; cd /srv/pg; \
         runuser -u postgres -- $bin/initdb --no-sync -A peer -E UTF8 --locale=C.UTF-8 -D data >/dev/null; \
         install -o postgres /srv/pg_hba.conf data/pg_hba.conf; \
         systemd-run --quiet --unit=srv-pg -p User=postgres -p StandardError=file:/srv/pg/log $bin/postgres -D /srv/pg/data \
           -c listen_addresses= -c port=6543 -c unix_socket_directories=/srv/pg/s,/run/postgresql,/tmp -c fsync=off \
           -c shared_buffers=32MB -c log_statement=ddl -c log_line_prefix=; \
         for i in $(seq 100); do $bin/pg_isready -q -h /srv/pg/s -p 6543 && break; sleep 0.1; done; \
         runuser -u postgres -- $bin/psql -X -q -v ON_ERROR_STOP=1 -h /srv/pg/s -p 6543 -f /srv/shop.sql",
    );
    machine.write_plan(&plan("home", "daily 03:00", SETS));
    machine
}

/// Servers of drills below a state folder that were seen, each with its user.
fn seen(machine: &Machine, scratch: &str) -> Vec<String> {
    let lines = machine.sh(&format!("sort -u /srv/seen | grep -F -- '-D {scratch}' || true"));
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn server_is_backed_up_and_drilled_by_jobs_of_its_own_user_and_of_root() {
    let machine = with_server("postgres");
    machine.converge();
    machine.audit().is_clean();
    for set in ["own", "root", "there"] {
        let snapshots = machine.snapshots(set);
        assert_eq!(trigger(snapshots.last().expect("a snapshot")), "trial", "{set}");
        let timer = format!("bkp-{set}.timer");
        assert_eq!(machine.property(&timer, "UnitFileState"), "enabled", "{set}");
        assert_eq!(machine.property(&timer, "ActiveState"), "active", "{set}");
        let unit = format!("bkp-{set}.service");
        let said = machine.sh(&format!("systemd-analyze security --no-pager {unit}"));
        let line = said.lines().last().expect("a verdict").to_owned();
        let score = line.split_whitespace().find_map(|word| word.parse::<f32>().ok()).expect("a number");
        assert!(score <= 3.0, "{unit}: {said}");
        // Drilled to the last row: what was counted in the dump's snapshot came back.
        machine.bkp(&["status", "--format", "json"]).ended(0);
        machine
            .sh(&format!("grep -l '\"rows public.orders\": *500' /mnt/backup/home/*/{set}/*/manifest.json"));
        machine.sh(&format!("ls /mnt/backup/home/*/{set}/*/proofs/*restored*"));
    }
    // The drills' servers lay in the benches, and were nobody's but the drills'.
    let own = seen(&machine, "/var/lib/bkp/users/postgres/scratch/own.");
    let root = seen(&machine, "/var/lib/bkp/scratch/root.");
    assert!(!own.is_empty() && own.iter().all(|line| line.starts_with("postgres ")), "{own:?}");
    assert!(!root.is_empty() && root.iter().all(|line| line.starts_with("nobody ")), "{root:?}");
    assert_eq!(seen(&machine, "/var/lib/bkp/scratch/there."), [""; 0]);
    // The live server was asked to make a database by the drill that works there, and by no other.
    let made = machine.sh("grep -c 'create database \"bkp_drill_' /srv/pg/log");
    assert_eq!(made.trim(), "1");
    let kept = |set: &str| machine.property(&format!("bkp-{set}.service"), "CapabilityBoundingSet");
    assert!(kept("root").contains("cap_setuid") && !kept("there").contains("cap_setuid"));
    assert_eq!(kept("own"), "");
    assert_eq!(machine.property("bkp-root.service", "PrivateTmp"), "no");
    assert_eq!(machine.property("bkp-own.service", "PrivateTmp"), "yes");
    for folder in ["/var/lib/bkp", "/var/lib/bkp/users/postgres"] {
        assert_eq!(machine.sh(&format!("ls -A {folder}/scratch")), "");
    }
    machine.sh("systemctl start bkp-own.service bkp-root.service bkp-there.service");
    for set in ["own", "root", "there"] {
        assert_eq!(trigger(machine.snapshots(set).last().expect("a snapshot")), "schedule", "{set}");
    }
    machine.audit().is_clean();
}

#[test]
fn server_of_a_killed_drill_is_ended_by_the_next_job() {
    let machine = with_server("pgkilled");
    machine.write_plan(&plan("home", "daily 03:00", SETS.lines().nth(1).expect("the set `root`")));
    machine.converge();
    machine.sh(&format!(
        "rm -f /srv/seen; systemctl restart watch; systemd-run --quiet --unit=by-hand -p KillMode=process {PROGRAM} drill root"
    ));
    let scratch = "/var/lib/bkp/scratch/root.";
    until(Duration::from_mins(1), "the drill's server runs", || {
        (!seen(&machine, scratch).is_empty()).then_some(())
    });
    machine.sh("systemctl kill -s KILL --kill-who=main by-hand");
    let alive = "ps -eo args | grep '[b]in/postgres -D /var/lib/bkp' || true";
    assert_ne!(machine.sh(alive), "");
    machine.sh("systemctl start bkp-root.service");
    assert_eq!(machine.sh(alive), "");
    assert_eq!(machine.sh("ls -A /var/lib/bkp/scratch"), "");
    machine.audit().is_clean();
}
