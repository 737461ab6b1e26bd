//! What breaks: each time the right words and exit status, nothing published, and the old snapshot intact.

use crate::server::{Server, children, password, runs};
use crate::support::{Bench, assert_same, flip_byte, picture, wait_until};
use crate::{applied, plan};
use std::fs;
use std::process::Command;

/// Demands that a run fails, says so, publishes nothing and leaves what there is.
#[track_caller]
fn fails(bench: &Bench, words: &[&str]) {
    let stored = contents(bench);
    let ids = bench.ids("cache");
    let mut outcome = bench.bkp("run cache").exits(1);
    for word in words {
        outcome = outcome.says(word);
    }
    intact(bench, &stored, &ids);
}

/// The snapshots' files; a run that failed may leave its mark elsewhere.
fn contents(bench: &Bench) -> Vec<String> {
    picture(&bench.store())
        .into_iter()
        .filter(|line| line.contains("/cache/") && line.contains(".rdb"))
        .collect()
}

#[track_caller]
fn intact(bench: &Bench, stored: &[String], ids: &[String]) {
    assert_same(stored, &contents(bench));
    assert_eq!(bench.ids("cache"), ids);
    assert!(bench.codes().contains(&"run-failed".to_owned()), "{:?}", bench.codes());
    bench.bkp("verify cache").exits(0);
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(sent.expect("kill starts").success(), "kill -{name} {pid}");
}

/// A server that sends slowly: each key takes a while.
fn slow() -> (Bench, Server) {
    let (bench, server) = applied(&["--repl-diskless-sync", "yes"]);
    server.pipe(
        &(0..3000)
            .map(|number| format!("SET bulk:{number} {}\n", "y".repeat(2000)))
            .collect::<Vec<_>>()
            .concat(),
    );
    server.cli(&["CONFIG", "SET", "rdb-key-save-delay", "2000"]);
    (bench, server)
}

#[test]
fn wrong_password_is_seen_by_plan_and_fails_the_run() {
    let bench = Bench::new();
    let server = Server::start(&bench, &["--requirepass", "right-password"]);
    let file = password(&bench, "secret", "right-password");
    plan(&bench, &server, &format!(", password: {{ file: {} }}", file.display()));
    bench.apply("plan");
    password(&bench, "secret", "wrong-password");
    bench
        .bkp("plan plan.yaml")
        .exits(1)
        .says("login failed")
        .says("WRONGPASS")
        .says_nothing_of("wrong-password");
    fails(&bench, &["WRONGPASS"]);
    bench.finding("login-refused");
}

#[test]
fn revoked_right_is_named_with_the_command_that_gives_it_back() {
    let bench = Bench::new();
    let server = Server::start(&bench, &[]);
    server.fill();
    server.cli(&["ACL", "SETUSER", "bkp", "on", ">pw-of-bkp", "+ping", "+info", "+replconf", "+sync"]);
    let file = password(&bench, "secret", "pw-of-bkp");
    plan(&bench, &server, &format!(", user: bkp, password: {{ file: {} }}", file.display()));
    bench.apply("plan");
    let grant = "ACL SETUSER bkp +ping +info +replconf +sync";
    // With and without the right to ask (ACL DRYRUN).
    for asking in ["-acl", "+acl"] {
        for right in ["sync", "replconf", "info"] {
            server.cli(&["ACL", "SETUSER", "bkp", asking, &format!("-{right}")]);
            bench
                .bkp("plan plan.yaml")
                .exits(1)
                .says(&format!("right missing: {}", right.to_uppercase()))
                .says(grant);
            fails(&bench, &["NOPERM", grant]);
            server.cli(&["ACL", "SETUSER", "bkp", &format!("+{right}")]);
        }
    }
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(0);
    bench.bkp("run cache").exits(0);
}

#[test]
fn server_that_is_not_there_is_not_an_empty_one() {
    let (bench, mut server) = applied(&[]);
    server.kill();
    bench.bkp("plan plan.yaml").exits(1).says("server not reached");
    fails(&bench, &["cannot be reached"]);
}

#[test]
fn server_that_dies_half_way_publishes_nothing() {
    let (bench, mut server) = slow();
    let (stored, ids) = (contents(&bench), bench.ids("cache"));
    let run = bench.start("run cache");
    wait_until("the dump's beginning", || !children(server.pid()).is_empty());
    server.kill();
    run.finish().exits(1).says("closed the connection");
    intact(&bench, &stored, &ids);
}

#[test]
fn producer_that_is_killed_publishes_nothing() {
    let (bench, server) = slow();
    let (stored, ids) = (contents(&bench), bench.ids("cache"));
    let run = bench.start("run cache");
    let mut child = Vec::new();
    wait_until("the dump's beginning", || {
        child = children(server.pid());
        !child.is_empty()
    });
    signal(child[0], "KILL");
    run.finish().exits(1);
    intact(&bench, &stored, &ids);
    server.cli(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
}

#[test]
fn last_snapshot_of_the_server_that_failed_is_a_requirement() {
    let (bench, server) = applied(&[]);
    server.cli(&["CONFIG", "SET", "rdb-key-save-delay", "100000"]);
    server.cli(&["BGSAVE"]);
    wait_until("the child", || !children(server.pid()).is_empty());
    signal(children(server.pid())[0], "KILL");
    wait_until("its end", || server.cli(&["INFO", "persistence"]).contains("rdb_last_bgsave_status:err"));
    bench
        .bkp("plan plan.yaml")
        .exits(1)
        .says("the server's own last snapshot failed")
        .says("overcommit_memory");
}

#[test]
fn full_destination_publishes_nothing() {
    let bench = Bench::new();
    let server = Server::start(&bench, &[]);
    server.fill();
    let store = bench.store();
    fs::create_dir_all(&store).expect("a folder");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs"])
        .arg(&store)
        .status()
        .expect("mount");
    assert!(mounted.success(), "root may mount");
    let _unmounted = Unmount(store);
    plan(&bench, &server, ", compression: none");
    bench.apply("plan");
    server.pipe(
        &(0..6000)
            .map(|number| format!("SET bulk:{number} {}\n", noise(number, 1000)))
            .collect::<Vec<_>>()
            .concat(),
    );
    fails(&bench, &["no destination was left"]);
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A text that no server shortens.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + u8::try_from((state >> 33) % 26).expect("a letter"))
    };
    (0..length).map(|_| letter()).collect()
}

#[test]
fn byte_flipped_or_cut_off_at_rest_is_disproven() {
    let (bench, _server) = applied(&[]);
    let artifact = bench.newest("cache").join("cache.rdb.zst");
    let whole = fs::read(&artifact).expect("the artifact");
    flip_byte(&artifact);
    bench.bkp("drill cache").exits(2);
    bench.bkp("verify cache").exits(2);
    fs::write(&artifact, &whole[..whole.len() - 9]).expect("cut off");
    bench.bkp("drill cache").exits(2);
    bench.bkp("verify cache").exits(2);
}

#[test]
fn drill_without_its_server_could_not_tell() {
    let (bench, server) = applied(&[]);
    fs::create_dir_all(bench.path("empty")).expect("a folder");
    plan(&bench, &server, &format!(", tools: {}", bench.path("empty").display()));
    bench.bkp("plan plan.yaml").exits(1).says("redis-server").says("install redis-server");
    bench.bkp("drill cache --plan plan.yaml").exits(1).says("install redis-server");
}

#[test]
fn drill_whose_server_starts_empty_is_disproven() {
    let (bench, server) = applied(&[]);
    let tools = bench.path("tools");
    // What a misplaced file does: the server starts, and has nothing.
    bench.script(
        "tools/redis-server",
        "case \"$1\" in --version) exec /usr/bin/redis-server --version;; esac\nexec /usr/bin/redis-server \"$@\" \
         --dbfilename elsewhere.rdb",
    );
    plan(&bench, &server, &format!(", tools: {}", tools.display()));
    bench.bkp("drill cache --plan plan.yaml").exits(2).says("keys db11: 2 at backup, 0 restored");
}

#[test]
fn drill_whose_server_cannot_read_the_dump_could_not_tell() {
    let (bench, server) = applied(&[]);
    bench.script(
        "tools/redis-server",
        "case \"$1\" in --version) exec /usr/bin/redis-server --version;; esac\n\
         while test $# -gt 0; do test \"$1\" = --logfile && log=$2; test \"$1\" = --dir && dir=$2; shift; done\n\
         echo \"1:M 21 Nov 2026 04:04:57.411 # Can't handle RDB format version 10\" >\"$dir/$log\"\nexit 1",
    );
    plan(&bench, &server, &format!(", tools: {}", bench.path("tools").display()));
    bench.bkp("drill cache --plan plan.yaml").exits(1).says("Can't handle RDB format version 10");
}

#[test]
fn server_of_a_killed_drill_is_ended_by_the_next_run() {
    let (bench, server) = applied(&[]);
    // The real server, and a name of it that is asked for its version first: the drill waits for a folder that it cannot
    // see, so that it can be killed while the server serves. The server writes its arguments anew.
    bench.script(
        "tools/redis-server",
        "case \"$1\" in --version) exec /usr/bin/redis-server --version;; esac\nexec /usr/bin/redis-server \"$@\" --unixsocket elsewhere",
    );
    plan(&bench, &server, &format!(", tools: {}", bench.path("tools").display()));
    let drill = bench.start("drill cache --plan plan.yaml");
    let scratch = bench.state("scratch");
    let traced = || {
        let folders = fs::read_dir(&scratch).into_iter().flatten().filter_map(Result::ok);
        folders.into_iter().any(|it| it.path().join("outside.jsonl").exists())
    };
    wait_until("the drill's server", || traced() && runs(&scratch));
    drill.signal("KILL");
    assert_eq!(drill.finish().signal, Some(9));
    assert!(runs(&scratch), "nobody has ended it");
    bench.bkp("run cache").exits(0);
    assert!(!runs(&scratch), "the next run has");
    assert_eq!(fs::read_dir(&scratch).expect("a folder").count(), 0);
}
