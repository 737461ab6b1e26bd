//! Drills: what they restore to, what they leave, and what they cannot tell.

use super::server::Server;
use super::{counts, with_shop};
use crate::support::{Bench, Outcome, set_mode, wait_until};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

/// Processes whose arguments name a folder.
fn processes(folder: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let lines = all.filter_map(|it| std::fs::read(it.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder) && line.contains("bin/postgres")).collect()
}

/// Servers whose files lie below a folder, each with its user.
fn servers_in(folder: &Path) -> Vec<u32> {
    let data = format!("\0-D\0{}", folder.display());
    let all = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let ours = all.filter(|it| {
        let line = std::fs::read(it.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&data)
    });
    ours.filter_map(|it| Some(std::fs::metadata(it.path()).ok()?.uid())).collect()
}

/// Makes an index that takes a moment to make anew in a drill, and none here.
fn make_slow(server: &Server, seconds: u32) {
    server.sql(
        "shop",
        &format!(
            "create function slow(x int) returns int language plpgsql immutable as $$ begin perform \
             pg_sleep(case when current_database() like 'bkp%' then {seconds} else 0 end); return x; end $$; \
             create table late (x int); insert into late values (1); create index on late (slow(x))"
        ),
    );
}

/// A user's number and group.
fn user(name: &str) -> (u32, u32) {
    let text = crate::support::text(Path::new("/etc/passwd"));
    let line = text.lines().find(|it| it.starts_with(&format!("{name}:"))).expect("a user");
    let number = |at: usize| line.split(':').nth(at).and_then(|it| it.parse().ok()).expect("a number");
    (number(2), number(3))
}

fn leftovers(bench: &Bench) -> Vec<String> {
    let folder = bench.state("scratch");
    std::fs::read_dir(folder).map_or_else(
        |_| Vec::new(),
        |all| all.map(|it| it.expect("an entry").file_name().to_string_lossy().into_owned()).collect(),
    )
}

#[test]
fn drill_of_its_own_leaves_no_server_no_folder_and_no_database() {
    let (server, bench) = with_shop(100);
    let before = server.databases();
    bench.apply("plan");
    bench.bkp("drill pg").exits(0);
    assert_eq!(server.databases(), before);
    assert_eq!(processes(&bench.root().display().to_string()), [""; 0]);
    assert_eq!(leftovers(&bench), [""; 0]);
}

#[test]
fn drill_on_the_server_drops_its_scratch_database() {
    let (server, bench) = with_shop(100);
    bench.plan(&format!("  pg: {}\n", server.set(", drill: server")));
    let before = server.databases();
    bench.apply("plan");
    bench.bkp("drill pg").exits(0);
    assert_eq!(server.databases(), before);
    let proofs = std::fs::read_dir(bench.newest("pg").join("proofs")).expect("proofs");
    let proofs: Vec<_> = proofs.map(|it| it.expect("an entry").path()).collect();
    let drilled = proofs.iter().filter(|it| it.display().to_string().contains("restored"));
    for proof in drilled.clone() {
        let proof = crate::support::text(proof);
        assert!(proof.contains("counted and not run, because the drill was on the live server"), "{proof}");
        assert!(proof.contains("every role in it exists there"), "{proof}");
    }
    assert!(drilled.count() > 0, "{proofs:?}");
}

#[test]
fn role_that_is_gone_from_the_server_says_nothing_of_the_snapshot() {
    let (server, bench) = with_shop(10);
    server.sql("postgres", "create role clerk");
    server.sql("shop", "alter table sales.lines owner to clerk");
    bench.plan(&format!("  pg: {}\n", server.set(", drill: server")));
    let before = server.databases();
    bench.apply("plan");
    server.sql("shop", "alter table sales.lines owner to postgres; drop role clerk");
    bench.bkp("drill pg").exits(0);
    let proofs = std::fs::read_dir(bench.newest("pg").join("proofs")).expect("proofs");
    let texts: Vec<String> = proofs.map(|it| crate::support::text(&it.expect("an entry").path())).collect();
    for limit in ["\\\"clerk\\\" do not exist there now", "owners and rights were not given back"] {
        assert!(texts.iter().any(|it| it.contains(limit)), "{texts:?}");
    }
    assert_eq!(server.databases(), before);
}

#[test]
fn killed_drill_is_swept_by_the_next_run() {
    for place in ["own", "server"] {
        let (server, bench) = with_shop(10);
        bench.plan(&format!("  pg: {}\n", server.set(&format!(", drill: {place}"))));
        bench.apply("plan");
        let before = server.databases();
        make_slow(&server, 60);
        bench.bkp("run pg").exits(0);
        let root = bench.root().display().to_string();
        let drill = bench.start("drill pg");
        // Its client is killed while the server is at it, and goes on with it.
        let at_it = "select count(*) from pg_stat_activity where datname like 'bkp%' and query like 'CREATE INDEX%late%'";
        wait_until("the index is being made", || {
            if place == "own" { !processes(&root).is_empty() } else { server.sql("postgres", at_it) != "0" }
        });
        drill.signal("KILL");
        drill.finish();
        server.sql("shop", "drop table late");
        bench.bkp("run pg").exits(0);
        assert_eq!(server.databases(), before, "{place}");
        wait_until("the server of the drill is gone", || processes(&root).is_empty());
        assert_eq!(leftovers(&bench), [""; 0], "{place}");
    }
}

#[test]
fn root_drills_in_the_bench_on_a_server_of_another_user_while_the_live_one_is_stopped() {
    let (mut server, bench) = with_shop(100);
    make_slow(&server, 1);
    set_mode(bench.root(), 0o711);
    std::fs::create_dir_all(bench.state("")).expect("folders that let others pass");
    set_mode(&bench.state(""), 0o700);
    bench.plan(&format!("  pg: {}\n", server.set(", drill: own")));
    bench.apply("plan");
    server.stop();
    let scratch = bench.state("scratch");
    let drill = bench.start("drill pg");
    wait_until("a server runs in the bench", || !servers_in(&scratch).is_empty());
    assert!(servers_in(&scratch).iter().all(|uid| *uid == user("nobody").0), "not the live server's owner");
    drill.finish().exits(0);
    assert_eq!(servers_in(&scratch), [0; 0]);
    assert_eq!(leftovers(&bench), [""; 0]);
}

#[test]
fn plain_user_drills_in_the_bench_while_the_live_server_is_stopped() {
    let (mut server, mut bench) = with_shop(100);
    make_slow(&server, 1);
    let (uid, gid) = user("nobody");
    // Whatever lies where the tests are built is not this user's to reach.
    std::fs::copy(&bench.binary, bench.path("bkp")).expect("a copy");
    bench.binary = bench.path("bkp");
    bench.plan(&format!("  pg: {}\n", server.set(", drill: own")));
    let folders = [bench.root().to_path_buf(), bench.other_device(""), bench.home(), bench.path("tmp")];
    for folder in &folders {
        chown(folder, Some(uid), Some(gid)).expect("an owner");
    }
    let start = |arguments: &str| -> Child {
        let mut command = bench.command(arguments.split_whitespace());
        command.uid(uid).gid(gid).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("bkp starts")
    };
    let end = |child: Child| Outcome::of(&child.wait_with_output().expect("its end"));
    end(start("apply plan.yaml --yes")).exits(0);
    server.stop();
    let scratch = bench.state("scratch");
    let drill = start("drill pg");
    wait_until("a server runs in the bench", || !servers_in(&scratch).is_empty());
    assert!(servers_in(&scratch).iter().all(|it| *it == uid));
    end(drill).exits(0);
    assert_eq!(servers_in(&scratch), [0; 0]);
    assert_eq!(leftovers(&bench), [""; 0]);
}

#[test]
fn drill_without_the_dump_s_roles_makes_them_first() {
    let server = Server::new();
    server.make_shop("shop", 10);
    server.sql("postgres", "create role \"Owner Of It\"; create role reader");
    server.sql(
        "shop",
        "alter table sales.lines owner to \"Owner Of It\"; grant select on sales.orders to reader; \
         create policy theirs on sales.lines to reader using (true); \
         alter default privileges in schema sales grant select on tables to reader",
    );
    let bench = Bench::new();
    bench.plan(&format!("  pg: {}\n", server.set(", roles: none")));
    bench.apply("plan");
    assert_eq!(counts(&bench, "shop")["policies"], 2);
    bench.bkp("drill pg").exits(0);
}

#[test]
fn encoding_and_tablespaces_of_the_archive_do_not_touch_the_live_ones() {
    let server = Server::new();
    let space = server.owned_folder("space");
    server.sql("postgres", &format!("create tablespace fast location '{}'", space.display()));
    server.sql(
        "postgres",
        "create database latin encoding 'LATIN1' locale 'C' template template0 tablespace fast",
    );
    server.sql("latin", "create table t (x text); insert into t values (chr(233))");
    let bench = Bench::new();
    bench.plan(&format!("  pg: {}\n", server.set("")));
    bench.apply("plan");
    assert_eq!(counts(&bench, "_globals")["tablespaces"], 1);
    assert_eq!(counts(&bench, "latin")["rows public.t"], 1);
}
