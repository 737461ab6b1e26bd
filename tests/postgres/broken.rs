//! Broken on purpose: the right message, the right exit status, nothing published, the old snapshot intact.

use super::server::Server;
use super::{artifact, with_shop};
use crate::support::{Bench, assert_same, flip_byte, picture, set_mode, wait_until};
use std::os::unix::fs::symlink;

/// A folder of the server's programs in which one is a script of the test's.
pub fn tools(bench: &Bench, server: &Server, tool: &str, script: &str) -> String {
    let folder = bench.path("tools");
    std::fs::create_dir_all(&folder).expect("a folder");
    for entry in std::fs::read_dir(server.tools()).expect("programs") {
        let entry = entry.expect("an entry");
        if entry.file_name() != tool {
            symlink(entry.path(), folder.join(entry.file_name())).expect("a link");
        }
    }
    let real = server.tools().join(tool).display().to_string();
    bench.script(
        &format!("tools/{tool}"),
        &format!("real={real}\ncase \"$1\" in --version) exec $real --version;; esac\n{script}"),
    );
    folder.display().to_string()
}

/// A file system that goes with this value.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _gone = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A run that must fail so, leave what was stored as it was, and publish nothing.
#[track_caller]
fn fails(bench: &Bench, said: &str) {
    let stored = bench.ids("pg");
    let before = picture(&bench.newest("pg"));
    let outcome = bench.bkp("run pg");
    assert!(matches!(outcome.code, Some(1 | 3)), "{outcome:?}");
    let outcome = outcome.says(said);
    let complete: Vec<_> =
        bench.snapshots("pg").into_iter().filter(|it| it.complete).map(|it| it.id).collect();
    assert_eq!(complete, stored, "no complete snapshot was added\n{}", outcome.err);
    let old = bench.store().join(&bench.host_name).join("pg").join(&stored[stored.len() - 1]);
    assert_same(&before, &picture(&old));
}

#[test]
fn missing_tool_is_told_by_plan_and_by_run() {
    let (server, bench) = with_shop(10);
    bench.apply("plan");
    std::fs::create_dir(bench.path("none")).expect("a folder");
    let none = bench.path("none").display().to_string();
    bench.plan(&format!("  pg: {}\n", server.set(&format!(", tools: {none}"))));
    bench.bkp("plan plan.yaml").says("`pg_dump` is not in").says("install postgresql-client");
    let outcome = bench.bkp("run pg --plan plan.yaml");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    outcome.says("`pg_dump` is not in");
}

#[test]
fn dump_that_was_cut_with_a_good_status_is_not_published() {
    let (server, bench) = with_shop(3000);
    let tools = tools(
        &bench,
        &server,
        "pg_dump",
        &format!(
            "test -e {}/cut || exec $real \"$@\"\n$real \"$@\" | head -c 150000",
            bench.root().display()
        ),
    );
    bench.plan(&format!("  pg: {}\n", server.set(&format!(", tools: {tools}"))));
    bench.apply("plan");
    bench.write("cut", "");
    fails(&bench, "the output of `pg_dump` is not complete: it ends within");
}

#[test]
fn rows_that_are_left_out_with_a_good_status_are_noticed() {
    let (server, bench) = with_shop(3000);
    let tools = tools(
        &bench,
        &server,
        "pg_dump",
        &format!(
            "test -e {}/cut || exec $real \"$@\"\nexec $real \"$@\" --exclude-table-data=sales.lines",
            bench.root().display()
        ),
    );
    bench.plan(&format!("  pg: {}\n", server.set(&format!(", tools: {tools}"))));
    bench.apply("plan");
    bench.write("cut", "");
    fails(&bench, "table sales.lines has 3000 rows, and no data in the archive");
}

#[test]
fn producer_that_is_killed_publishes_nothing() {
    let (server, bench) = with_shop(3000);
    let tools = tools(
        &bench,
        &server,
        "pg_dump",
        &format!(
            "test -e {}/cut || exec $real \"$@\"\n$real \"$@\" | head -c 150000\nkill -9 $$",
            bench.root().display()
        ),
    );
    bench.plan(&format!("  pg: {}\n", server.set(&format!(", tools: {tools}"))));
    bench.apply("plan");
    bench.write("cut", "");
    fails(&bench, "ended by a signal");
}

#[test]
fn roles_without_their_end_line_are_not_published() {
    let (server, bench) = with_shop(10);
    let tools = tools(
        &bench,
        &server,
        "pg_dumpall",
        &format!("test -e {}/cut || exec $real \"$@\"\n$real \"$@\" | head -n 20", bench.root().display()),
    );
    bench.plan(&format!("  pg: {}\n", server.set(&format!(", tools: {tools}"))));
    bench.apply("plan");
    bench.write("cut", "");
    fails(&bench, "PostgreSQL database cluster dump complete");
}

#[test]
fn server_that_stops_half_way_publishes_nothing() {
    let (mut server, bench) = with_shop(10);
    bench.apply("plan");
    let before = bench.ids("pg");
    server.hold("shop", "lock table sales.orders in access exclusive mode");
    let run = bench.start("run pg");
    wait_until("the dump waits for a lock", || {
        server.sql("postgres", "select count(*) from pg_stat_activity where application_name = 'bkp' and wait_event_type = 'Lock'") != "0"
    });
    server.stop();
    let outcome = run.finish();
    assert!(matches!(outcome.code, Some(1 | 3)), "{outcome:?}");
    let complete = bench.snapshots("pg").into_iter().filter(|it| it.complete).count();
    assert_eq!(complete, before.len());
    server.start();
    bench.bkp("run pg").exits(0);
}

#[test]
fn lock_that_is_not_given_in_time_is_told() {
    let (mut server, bench) = with_shop(10);
    bench.plan(&format!("  pg: {}\n", server.set(", lock_wait: 1s")));
    bench.apply("plan");
    server.hold("shop", "lock table sales.orders in access exclusive mode");
    fails(&bench, "timeout");
}

#[test]
fn server_that_is_down_leaves_members_unknown_and_the_run_fails() {
    let (mut server, bench) = with_shop(10);
    bench.apply("plan");
    server.stop();
    let outcome = bench.bkp("plan plan.yaml");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    fails(&bench, "connection to server");
}

#[test]
fn wrong_password_is_told_and_no_password_is_shown() {
    let server = Server::with("local all backup scram-sha-256", &[]);
    server.make_shop("shop", 10);
    server.sql("postgres", "create role backup login superuser password 'r:i\\ght'");
    let bench = Bench::new();
    let secret = bench.write("password", "r:i\\ght\n");
    set_mode(&secret, 0o600);
    let set = server
        .set(&format!(", password: {{ file: {} }}", secret.display()))
        .replace("user: postgres", "user: backup");
    bench.plan(&format!("  pg: {set}\n"));
    bench.apply("plan");
    bench.write("password", "wr0ng-one");
    let outcome = bench.bkp("plan plan.yaml").says("password authentication failed");
    assert!(!format!("{}{}", outcome.out, outcome.err).contains("wr0ng-one"));
    fails(&bench, "password authentication failed");
}

#[test]
fn flipped_byte_at_rest_is_found_by_verify_and_by_drill() {
    let (_server, bench) = with_shop(1000);
    bench.apply("plan");
    flip_byte(&artifact(&bench, "shop"));
    bench.bkp("verify pg").exits(2).says("snapshot disproven");
    bench.bkp("drill pg").exits(2).says("snapshot disproven");
}

#[test]
fn full_destination_publishes_nothing() {
    let (server, bench) = with_shop(10);
    let small = bench.other_device("small");
    std::fs::create_dir_all(&small).expect("a folder");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs"])
        .arg(&small)
        .status()
        .expect("mount starts");
    assert!(mounted.success(), "a tmpfs, which this test needs");
    let unmount = Mounted(small.clone());
    let body = format!(
        "defaults:\n  schedule: daily 03:00\n  destinations: [near]\n  retention: {{ last: 7 }}\ndestinations:\n  near: {{ type: local, path: {}/store }}\n",
        small.display()
    );
    bench.plan_of("plan", &body, &format!("  pg: {}\n", server.set("")));
    bench.apply("plan");
    server.sql("shop", "insert into sales.orders (what) select md5(random()::text) || md5(random()::text) from generate_series(1, 100000)");
    let outcome = bench.bkp("run pg");
    assert!(matches!(outcome.code, Some(1 | 3)), "{outcome:?}");
    outcome.says("No space left on device");
    bench.bkp("verify pg --all").exits(0);
    drop(unmount);
}
