//! A STAND-IN serves here. Backup while a writer writes, restore, and every count equal.

use super::stand_in::StandIn;
use super::{bench, declare, key_file, manifest, member};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn every_collection_and_the_aliases_come_back_with_equal_counts() {
    let server = StandIn::new();
    server.collection("articles", 40);
    server.collection("empty", 0);
    server.alias("latest", "articles");
    let bench = bench(&server, "");
    bench.apply("plan");
    let manifest = manifest(&bench);
    let articles = member(&manifest, "articles");
    assert_eq!(articles["counts"], json!({ "points": 40, "vectors": 1, "payload-indexes": 1 }));
    assert_eq!(articles["warnings"], json!(null), "no warning is kept: {articles:#}");
    assert_eq!(member(&manifest, "empty")["counts"]["points"], 0);
    assert_eq!(member(&manifest, "_aliases")["counts"], json!({ "aliases": 1 }));
    bench.bkp("drill vectors").exits(0);
    bench.bkp("verify vectors").exits(0);
    assert_eq!(server.collections(), ["articles", "empty"], "drills leave no collection");
    assert_eq!(server.files(), [""; 0], "neither runs nor drills leave a file on the server");
}

#[test]
fn points_that_are_written_meanwhile_are_told_as_bounds_and_the_drill_holds_them() {
    let server = StandIn::new();
    server.collection("busy", 100);
    let bench = bench(&server, "");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = 100;
            while !done.load(Ordering::Relaxed) {
                server.points("busy", next, 5);
                next += 5;
            }
        });
        server.faults(&json!({ "hold_create": true }));
        let apply = bench.start("apply plan.yaml --yes");
        server.wait_held("hold_create");
        let held_at = server.count("busy");
        super::support::wait_until("points that come meanwhile", || server.count("busy") > held_at + 20);
        server.faults(&json!({}));
        let outcome = apply.finish();
        done.store(true, Ordering::Relaxed);
        outcome.exits(0);
    });
    let manifest = manifest(&bench);
    let busy = member(&manifest, "busy");
    let (min, max) = (&busy["bounds"]["points"]["min"], &busy["bounds"]["points"]["max"]);
    assert!(min.as_u64() >= Some(100) && min.as_u64() < max.as_u64(), "{busy:#}");
    assert_eq!(busy["counts"]["points"], json!(null), "what moved is not told as exact");
}

#[test]
fn collection_that_came_after_apply_is_in_the_next_run_and_one_that_is_not_listed_is_not() {
    let server = StandIn::new();
    server.collection("a", 1);
    let bench = bench(&server, "");
    bench.apply("plan");
    server.collection("b", 2);
    bench.bkp("run vectors").exits(0);
    assert_eq!(member(&manifest(&bench), "b")["counts"]["points"], 2);
    declare(&bench, &server, ", collections: [a]");
    bench.apply("plan");
    let manifest = manifest(&bench);
    let names: Vec<_> =
        manifest["members"].as_array().expect("members").iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["_aliases", "a"]);
}

#[test]
fn names_that_are_data_are_neither_paths_nor_questions() {
    let server = StandIn::new();
    for name in ["two words", "per%cent", "a@1", "\u{e4}\u{f6}&x=1", "..dots"] {
        let path = name.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        server.collection(&path, 3);
        assert!(server.collections().contains(&name.to_owned()));
    }
    let bench = bench(&server, "");
    bench.apply("plan");
    assert_eq!(manifest(&bench)["members"].as_array().map(Vec::len), Some(6));
    bench.bkp("drill vectors").exits(0);
    assert_eq!(server.collections().len(), 5);
}

#[test]
fn key_is_sent_in_its_header_and_is_written_nowhere() {
    let key = ["k3y-", "of-the-", "vectors"].concat();
    let server = StandIn::with(&["--api-key", &key]);
    server.collection("a", 5);
    let bench = bench(&server, "");
    let file = key_file(&bench, "qdrant.key", &key);
    declare(&bench, &server, &format!(", api_key: {file}"));
    let applied = bench.apply("plan");
    let run = bench.bkp("run vectors -v").exits(0);
    for said in [&applied.out, &applied.err, &run.out, &run.err] {
        assert!(!said.contains(&key), "{said}");
    }
    std::fs::remove_file(bench.path("qdrant.key")).expect("a file");
    for place in [bench.root().to_path_buf(), bench.store()] {
        let found = super::support::sh(&format!("grep -rl -- '{key}' . || true"), &place);
        assert_eq!(found, "", "the key was written below {}", place.display());
    }
}
