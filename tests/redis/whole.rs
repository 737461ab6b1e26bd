//! What works: every key and value comes back, and every way in is seen.

use crate::server::{Server, Writer, password};
use crate::support::{Bench, picture, text, tool};
use crate::{applied, member, plan};
use serde_json::json;
use std::ffi::OsStr;
use std::fs;

/// A free port of every address.
fn free_port() -> u16 {
    std::net::TcpListener::bind("0.0.0.0:0").expect("a port").local_addr().expect("its address").port()
}

#[test]
fn everything_comes_back_value_for_value_by_both_ways_of_sending() {
    for (diskless, first) in [("yes", "0"), ("no", "1")] {
        let bench = Bench::new();
        let server =
            Server::start(&bench, &["--repl-diskless-sync", diskless, "--hash-max-listpack-entries", "64"]);
        server.fill();
        plan(&bench, &server, "");
        bench.apply("plan");
        let member = member(&bench);
        assert_eq!(member["counts"], json!({ "keys db11": 2, "libraries": 1 }), "{first}");
        let keys: u64 = server.cli(&["DBSIZE"]).parse().expect("a number");
        assert_eq!(member["bounds"], json!({ "keys db0": { "min": keys - 2, "max": keys } }));
        bench.bkp("drill cache").exits(0);
        bench.bkp("verify cache").exits(0);
        assert_eq!(bench.codes(), [""; 0], "{:#?}", bench.findings());
        let back = bench.path("back");
        bench.run(["restore", "cache", "--to", &back.display().to_string()]).exits(0);
        fs::copy(back.join("cache.rdb"), back.join("dump.rdb")).expect("a copy");
        let restored = Server::start_in(back, &[]);
        assert_eq!(restored.digest(), server.digest());
        assert!(restored.cli(&["FUNCTION", "LIST"]).contains("shop"));
    }
}

#[test]
fn counts_are_those_of_the_snapshot_while_somebody_writes() {
    let bench = Bench::new();
    let server = Server::start(&bench, &[]);
    server.fill();
    plan(&bench, &server, "");
    bench.apply("plan");
    let writer = Writer::start(&server);
    let before = writer.written();
    bench.bkp("run cache").exits(0);
    let after = writer.written();
    assert!(after > before + 100, "it wrote meanwhile: {before} to {after}");
    bench.bkp("drill cache").exits(0);
    drop(writer);
    let counted = member(&bench)["counts"]["keys db5"].as_u64().expect("exact: none of them expires");
    assert!((before.saturating_sub(1)..=after).contains(&counted), "{before} {counted} {after}");
    let back = bench.path("back");
    bench.run(["restore", "cache", "--to", &back.display().to_string()]).exits(0);
    fs::copy(back.join("cache.rdb"), back.join("dump.rdb")).expect("a copy");
    let restored = Server::start_in(back, &[]);
    assert_eq!(restored.cli(&["-n", "5", "DBSIZE"]), counted.to_string());
    let last = format!("written:{}", counted - 1);
    assert_eq!(
        restored.cli(&["-n", "5", "GET", &last]),
        (counted - 1).to_string(),
        "a prefix, without a hole"
    );
}

#[test]
fn keys_that_expire_before_the_drill_do_not_disprove_it() {
    let bench = Bench::new();
    let server = Server::start(&bench, &[]);
    // The server keeps what has expired until somebody looks: it is in the dump, and is gone when it is loaded.
    server.cli(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    server.pipe("SET stays 1\nSET goes 1 PX 1\nSELECT 3\nSET alone 1 PX 1\n");
    plan(&bench, &server, "");
    bench.apply("plan");
    let member = member(&bench);
    assert_eq!(member["bounds"]["keys db0"], json!({ "min": 1, "max": 2 }));
    assert_eq!(member["bounds"]["keys db3"], json!({ "min": 0, "max": 1 }));
    let proof = bench.bkp("drill cache").exits(0);
    proof.says_nothing_of("could not");
}

#[test]
fn database_made_after_apply_is_in_the_next_snapshot() {
    let (bench, server) = applied(&["--databases", "40"]);
    server.cli(&["-n", "39", "SET", "late", "1"]);
    bench.bkp("run cache").exits(0);
    bench.bkp("drill cache").exits(0);
    assert_eq!(member(&bench)["counts"]["keys db39"], 1);
}

#[test]
fn empty_server_is_backed_up_as_empty() {
    let bench = Bench::new();
    let server = Server::start(&bench, &[]);
    plan(&bench, &server, "");
    bench.apply("plan");
    assert_eq!(member(&bench)["counts"], json!({ "libraries": 0 }));
}

#[test]
fn password_goes_nowhere_but_to_the_server() {
    let bench = Bench::new();
    let secret = ["corr", "ect-", "horse"].concat();
    let server = Server::start(&bench, &[]);
    server.fill();
    server.cli(&[
        "ACL",
        "SETUSER",
        "bkp",
        "on",
        &format!(">{secret}"),
        "+ping",
        "+info",
        "+replconf",
        "+sync",
    ]);
    server.cli(&["ACL", "SETUSER", "default", "resetpass", ">other"]);
    let file = password(&bench, "secret", &format!("{secret}\n"));
    plan(&bench, &server, &format!(", user: bkp, password: {{ file: {} }}", file.display()));
    let said =
        [bench.bkp("plan plan.yaml").exits(0), bench.apply("plan"), bench.bkp("run cache -v").exits(0)];
    for outcome in said {
        assert!(!outcome.out.contains(&secret) && !outcome.err.contains(&secret));
    }
    bench.bkp("drill cache").exits(0);
    fs::remove_file(&file).expect("a file");
    for folder in [bench.root().to_path_buf(), bench.store()] {
        let found =
            tool("sh", &[OsStr::new("-c"), OsStr::new(&format!("grep -rlF {secret} . || true"))], &folder);
        assert_eq!(String::from_utf8_lossy(&found), "", "below {}", folder.display());
    }
}

#[test]
fn plan_changes_nothing_and_names_the_members_size() {
    let bench = Bench::new();
    let server = Server::start(&bench, &[]);
    server.fill();
    plan(&bench, &server, "");
    let (before, saves) = (picture(bench.root()), server.cli(&["INFO", "stats"]));
    bench.bkp("plan plan.yaml").exits(0);
    let syncs = |info: &str| info.lines().find(|it| it.starts_with("sync_full")).map(str::to_owned);
    assert_eq!(syncs(&saves), syncs(&server.cli(&["INFO", "stats"])), "no dump was begun");
    crate::support::assert_same(&before, &picture(bench.root()));
    let facts = bench.bkp("facts --plan plan.yaml").exits(0).json();
    let seen = &facts["sources"]["cache"]["observed"]["value"];
    assert!(seen["members"]["value"][0]["size_bytes"].as_u64() > Some(1000), "{seen}");
    assert_eq!(seen["addresses"], json!([format!("unix:{}", server.socket().display())]));
}

#[test]
fn door_is_what_lets_others_in_without_a_password() {
    let port = free_port().to_string();
    let bench = Bench::new();
    let open = ["--port", &port, "--bind", "0.0.0.0", "--protected-mode", "no"];
    let server = Server::start(&bench, &open);
    server.fill();
    let secret = password(&bench, "secret", "s3cret-of-redis");
    plan(&bench, &server, "");
    bench.apply("plan");
    let door = bench.finding("open-door");
    assert!(door.object.ends_with(&format!(":{port}")), "{door:#?}");
    assert!(door.evidence.contains("PING"), "{door:#?}");
    // Protected mode refuses whoever does not come from here; but an own address of this machine is no loopback.
    server.cli(&["CONFIG", "SET", "protected-mode", "yes"]);
    assert!(!bench.codes().contains(&"open-door".to_owned()), "{:#?}", bench.findings());
    server.cli(&["CONFIG", "SET", "protected-mode", "no"]);
    server.cli(&["CONFIG", "SET", "requirepass", &text(&secret)]);
    plan(&bench, &server, &format!(", password: {{ file: {} }}", secret.display()));
    bench.apply("plan");
    assert_eq!(bench.codes(), [""; 0], "{:#?}", bench.findings());
}

#[test]
fn server_reached_by_network_is_backed_up_too() {
    let port = free_port().to_string();
    let bench = Bench::new();
    let server = Server::start(&bench, &["--port", &port, "--bind", "127.0.0.1"]);
    server.fill();
    bench.plan(&format!("  cache: {{ type: redis, host: localhost, port: {port} }}\n"));
    bench.apply("plan");
    assert_eq!(member(&bench)["counts"]["keys db11"], 2);
    assert_eq!(bench.codes(), [""; 0], "{:#?}", bench.findings());
    drop(server);
}

#[test]
fn no_server_is_written_to_by_a_restore() {
    let (bench, _server) = applied(&[]);
    bench.bkp("restore cache --member cache --as other").exits(1).says("appendonly no");
}

#[test]
fn drill_in_a_folder_too_deep_for_a_socket_works_all_the_same() {
    let (bench, _server) = applied(&[]);
    let deep = bench.path(&"deep/".repeat(30));
    fs::create_dir_all(&deep).expect("folders");
    let deep = deep.display().to_string();
    bench.run(["--state-dir", &deep, "--plan", "plan.yaml", "drill", "cache"]).exits(0);
}
