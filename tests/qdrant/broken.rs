//! A STAND-IN serves here. Everything that can break a backup, with its message, its status, nothing published and the
//! older snapshot intact.

use super::stand_in::StandIn;
use super::support::{Bench, Outcome, contents, flip_byte, sh};
use super::{bench, declare, key_file, manifest, member};
use serde_json::json;
use std::path::PathBuf;

/// A server with a collection `a`, and a host that has backed it up once.
fn backed_up() -> (StandIn, Bench) {
    let server = StandIn::new();
    server.collection("a", 60);
    let bench = bench(&server, "");
    bench.apply("plan");
    (server, bench)
}

/// Runs with faults, and demands that the collection failed alone: exit 3, a snapshot that is not complete and does not
/// hold it, the older one as it was, and nothing left on the server.
#[track_caller]
fn fails_with(faults: &serde_json::Value) -> (StandIn, Bench, Outcome) {
    let (server, bench) = backed_up();
    let (old, was) = (bench.newest("vectors"), contents(&bench.newest("vectors")));
    server.faults(faults);
    let outcome = bench.bkp("run vectors").exits(3);
    server.faults(&json!({}));
    assert_eq!(contents(&old), was);
    let manifest = manifest(&bench);
    assert_eq!(manifest["complete"], false);
    assert_eq!(manifest["failed"][0]["name"], "a", "{manifest:#}");
    assert!(!bench.newest("vectors").join("a.snapshot.zst").exists(), "nothing of it is published");
    bench.bkp(&format!("verify vectors --snapshot {}", old.file_name().expect("an id").display())).exits(0);
    (server, bench, outcome)
}

#[track_caller]
fn leaves_nothing(server: &StandIn) {
    assert_eq!(server.files(), [""; 0], "no snapshot of bkp's stays on the server");
}

#[test]
fn download_that_is_cut_is_not_complete() {
    let (server, _, outcome) = fails_with(&json!({ "cut_download": true }));
    leaves_nothing(&server);
    assert!(outcome.out.contains('a'));
}

#[test]
fn download_without_a_length_that_is_cut_is_not_complete() {
    let (server, _, outcome) = fails_with(&json!({ "cut_download": true, "chunked": true }));
    outcome.says("bytes were read");
    leaves_nothing(&server);
}

#[test]
fn snapshot_of_another_size_than_announced_is_not_complete() {
    let (server, _, outcome) = fails_with(&json!({ "size_off": 512 }));
    outcome.says("the server announces");
    leaves_nothing(&server);
}

#[test]
fn snapshot_whose_checksum_differs_is_not_complete() {
    let (server, _, outcome) = fails_with(&json!({ "checksum": "wrong" }));
    outcome.says("and the server says 0000");
    leaves_nothing(&server);
}

#[test]
fn byte_that_flips_on_its_way_is_found_by_the_servers_checksum() {
    let (server, _, outcome) = fails_with(&json!({ "flip_download": true }));
    outcome.says("its SHA-256 is");
    leaves_nothing(&server);
}

#[test]
fn archive_without_its_end_is_not_complete_whatever_its_checksum_says() {
    let (server, _, outcome) = fails_with(&json!({ "no_end": true }));
    outcome.says("the two end blocks are missing");
    leaves_nothing(&server);
}

#[test]
fn server_without_room_for_a_snapshot_is_told_in_its_own_words() {
    let (_, _, outcome) = fails_with(&json!({ "create_fails": true }));
    outcome.says("No space left on device");
}

#[test]
fn work_that_is_only_taken_on_is_no_snapshot() {
    let (_, _, outcome) = fails_with(&json!({ "create_accepted": true }));
    outcome.says("HTTP 202");
}

#[test]
fn collection_that_vanishes_is_a_member_that_failed() {
    let (_, _, outcome) = fails_with(&json!({ "vanish": true }));
    outcome.says("Collection `a` doesn't exist!");
}

#[test]
fn collection_that_is_red_or_has_no_active_shard_or_moves_is_not_copied() {
    fails_with(&json!({ "status": "red" })).2.says("its status is red");
    fails_with(&json!({ "shard_state": "Dead" })).2.says("no copy of shard 0 is active");
    fails_with(&json!({ "transfers": [{ "shard_id": 0 }] })).2.says("shards are being moved");
}

#[test]
fn server_that_ends_half_way_leaves_the_older_snapshot_alone() {
    let (mut server, bench) = backed_up();
    let (old, was) = (bench.newest("vectors"), contents(&bench.newest("vectors")));
    server.faults(&json!({ "hold_download": true }));
    let run = bench.start("run vectors");
    server.wait_held("hold_download");
    server.stop();
    run.finish().exits(3).says("`a`");
    assert_eq!(contents(&old), was);
    assert_eq!(manifest(&bench)["complete"], false);
    bench.bkp("run vectors").exits(1);
    assert_eq!(contents(&old), was);
}

#[test]
fn missing_checksum_is_a_warning_and_not_a_proof() {
    let (server, bench) = backed_up();
    server.faults(&json!({ "checksum": "null" }));
    bench.bkp("run vectors").exits(0);
    let warnings = member(&manifest(&bench), "a")["warnings"].to_string();
    assert!(warnings.contains("gave no checksum"), "{warnings}");
}

#[test]
fn servers_copy_that_cannot_be_deleted_is_told() {
    let (server, bench) = backed_up();
    server.faults(&json!({ "delete_fails": true }));
    bench.bkp("run vectors");
    let warnings = member(&manifest(&bench), "a")["warnings"].to_string();
    assert!(warnings.contains("is still on the server"), "{warnings}");
    assert!(!server.files().is_empty());
}

#[test]
fn run_with_a_wrong_or_a_limited_key_makes_no_snapshot() {
    let server = StandIn::with(&["--api-key", "manage", "--limited-key", "limited", "--limited-to", "a"]);
    server.collection("a", 1);
    let bench = Bench::new();
    let file = key_file(&bench, "key", "manage");
    declare(&bench, &server, &format!(", api_key: {file}"));
    bench.apply("plan");
    let old = bench.ids("vectors");
    key_file(&bench, "key", "wrong");
    bench.bkp("run vectors").exits(1).says("Invalid API key or JWT");
    key_file(&bench, "key", "limited");
    bench.bkp("run vectors").exits(1).says("the list of its members may not be complete");
    std::fs::remove_file(bench.path("key")).expect("a key");
    bench.bkp("run vectors").exits(1).says("secret `api_key`");
    assert_eq!(bench.ids("vectors"), old);
}

#[test]
fn right_that_is_revoked_fails_every_collection() {
    let server = StandIn::with(&["--api-key", "manage", "--read-only-key", "read"]);
    server.collection("a", 1);
    let bench = Bench::new();
    let file = key_file(&bench, "key", "manage");
    declare(&bench, &server, &format!(", api_key: {file}"));
    bench.apply("plan");
    key_file(&bench, "key", "read");
    bench.bkp("run vectors").exits(3).says("Global manage access is required");
}

#[test]
fn listed_collection_that_is_missing_or_an_alias_makes_the_run_incomplete() {
    let server = StandIn::new();
    server.collection("a", 1);
    let bench = bench(&server, ", collections: [a, b]");
    server.collection("b", 1);
    bench.apply("plan");
    server.ask("DELETE", "/collections/b", None);
    bench.bkp("run vectors").exits(3).says("collections/b` does not exist");
    server.alias("b", "a");
    bench.bkp("run vectors").exits(3).says("collections/b` does not exist");
}

#[test]
fn byte_that_flips_at_rest_is_disproven_and_no_scratch_collection_stays() {
    let (server, bench) = backed_up();
    let artifact: PathBuf = bench.newest("vectors").join("a.snapshot.zst");
    flip_byte(&artifact);
    bench.bkp("verify vectors").exits(2);
    bench.bkp("drill vectors").exits(2);
    assert_eq!((server.collections(), server.files()), (vec!["a".to_owned()], Vec::new()));
}

#[test]
fn recovery_that_loses_points_is_disproven() {
    let (server, bench) = backed_up();
    server.faults(&json!({ "recover_loses": { "bkp-drill-": 1 } }));
    bench.bkp("drill vectors").exits(2).says("points: 60 at backup, 59 restored");
    assert_eq!((server.collections(), server.files()), (vec!["a".to_owned()], Vec::new()));
}

#[test]
fn server_that_cannot_take_the_drill_proves_and_disproves_nothing() {
    let (server, bench) = backed_up();
    server.faults(&json!({ "upload_fails": true }));
    bench.bkp("drill vectors").exits(1).says("No space left on device");
    assert_eq!(server.collections(), ["a"]);
}

#[test]
fn full_destination_publishes_nothing_and_leaves_nothing_on_the_server() {
    let server = StandIn::new();
    server.collection("a", 20_000);
    let bench = bench(&server, ", compression: none");
    let store = bench.store().display().to_string();
    std::fs::create_dir_all(&store).expect("a folder");
    sh(&format!("mount -t tmpfs -o size=192k,mode=0700 tmpfs {store}"), bench.root());
    let outcome = std::panic::catch_unwind(|| {
        bench.bkp("apply plan.yaml --yes").exits(1).says("No space left on device");
        let published = sh("find . -name 'a.snapshot*' -o -name manifest.json", &bench.store());
        assert_eq!(published, "", "nothing is published there");
    });
    sh(&format!("umount {store}"), bench.root());
    outcome.expect("what was demanded of a full destination");
    leaves_nothing(&server);
}
