//! A STAND-IN serves here. Restores: into a folder, under a new name, over a live collection, and what goes wrong there.

use super::bench;
use super::stand_in::StandIn;
use super::support::{Bench, sh};
use serde_json::{Value, json};

fn backed_up() -> (StandIn, Bench) {
    let server = StandIn::new();
    server.collection("a", 60);
    server.alias("latest", "a");
    let bench = bench(&server, "");
    bench.apply("plan");
    (server, bench)
}

#[test]
fn folder_gets_a_file_that_the_servers_own_upload_takes() {
    let (server, bench) = backed_up();
    bench.bkp("restore vectors --to back").exits(0);
    let aliases: Value =
        serde_json::from_str(&super::support::text(&bench.path("back/aliases.json"))).expect("JSON");
    assert_eq!(aliases, json!({ "aliases": [{ "alias_name": "latest", "collection_name": "a" }] }));
    let url = server.url();
    let uploaded = sh(
        &format!(
            "curl -sS -F snapshot=@back/a.snapshot '{url}/collections/by-hand/snapshots/upload?priority=snapshot'"
        ),
        bench.root(),
    );
    assert!(uploaded.contains("\"result\": true"), "{uploaded}");
    assert_eq!(server.count("by-hand"), 60);
}

#[test]
fn new_name_gets_the_points_and_a_taken_one_is_refused() {
    let (server, bench) = backed_up();
    server.points("a", 60, 5);
    bench.bkp("restore vectors --member a --as back").exits(0);
    assert_eq!((server.count("back"), server.count("a")), (60, 65));
    assert_eq!(server.files(), [""; 0], "the uploaded file does not stay");
    bench.bkp("restore vectors --member a --as a").exits(1).says("exists already");
    bench.bkp("restore vectors --member a --as latest").exits(1).says("exists already");
    assert_eq!(server.count("a"), 65);
}

#[test]
fn live_collection_is_replaced_only_by_its_full_name() {
    let (server, bench) = backed_up();
    server.points("a", 60, 5);
    bench.bkp("restore vectors --member a --over a").exits(1);
    assert_eq!(server.count("a"), 65);
    let full = format!("qdrant:127.0.0.1:{}/a", server.port());
    bench.run(["restore", "vectors", "--member", "a", "--over", &full]).exits(0);
    assert_eq!((server.count("a"), server.collections()), (60, vec!["a".to_owned()]));
    assert_eq!(server.files(), [""; 0]);
}

#[test]
fn snapshot_that_does_not_come_back_beside_the_live_one_never_touches_it() {
    let (server, bench) = backed_up();
    server.points("a", 60, 5);
    server.faults(&json!({ "recover_loses": { "bkp-drill-": 1 } }));
    let full = format!("qdrant:127.0.0.1:{}/a", server.port());
    bench
        .run(["restore", "vectors", "--member", "a", "--over", &full])
        .exits(1)
        .says("60 at backup, 59 restored");
    assert_eq!((server.count("a"), server.collections()), (65, vec!["a".to_owned()]));
    assert_eq!(server.files(), [""; 0]);
}

#[test]
fn live_collection_that_comes_out_wrong_is_kept_as_a_snapshot_and_brought_back() {
    let (server, bench) = backed_up();
    server.points("a", 60, 5);
    server.faults(&json!({ "recover_loses": { "a": 1 } }));
    let full = format!("qdrant:127.0.0.1:{}/a", server.port());
    bench
        .run(["restore", "vectors", "--member", "a", "--over", &full])
        .exits(1)
        .says("60 at backup, 59 restored")
        .says("is also kept as its snapshot");
    // The fault loses one of those that are brought back too; what was is in the snapshot that was kept.
    assert_eq!(server.count("a"), 64);
    assert_eq!(server.files().len(), 2, "{:?}", server.files());
}

#[test]
fn collection_of_another_shape_is_not_overwritten() {
    let (server, bench) = backed_up();
    server.ask("DELETE", "/collections/a", None);
    server.ask("PUT", "/collections/a", Some(&json!({ "vectors": { "size": 9, "distance": "Cosine" } })));
    server.points("a", 0, 3);
    let full = format!("qdrant:127.0.0.1:{}/a", server.port());
    bench.run(["restore", "vectors", "--member", "a", "--over", &full]).exits(1).says("not compatible");
    assert_eq!(server.count("a"), 3);
}

#[test]
fn aliases_are_given_back_as_a_list_and_never_onto_the_server() {
    let (_server, bench) = backed_up();
    bench.bkp("restore vectors --member _aliases --as x").exits(1).says("an alias may lead elsewhere by now");
}
