//! A STAND-IN serves here. What a kill leaves on the server, and what the next run makes of it.

use super::bench;
use super::stand_in::StandIn;
use super::support::Bench;
use serde_json::json;

fn backed_up() -> (StandIn, Bench) {
    let server = StandIn::new();
    server.collection("a", 60);
    let bench = bench(&server, "");
    bench.apply("plan");
    (server, bench)
}

/// Starts a command, kills it where a fault holds it, and lets go.
fn killed(server: &StandIn, bench: &Bench, command: &str, fault: &str) {
    server.faults(&json!({ fault: true }));
    let mut run = bench.start(command);
    super::support::wait_until(fault, || server.is_held(fault) || !run.lives());
    assert!(run.lives(), "it was not held: {:#?}", run.finish());
    run.signal("KILL");
    run.finish();
    server.faults(&json!({}));
}

#[test]
fn snapshot_of_a_run_that_was_killed_while_reading_it_goes_with_the_next_run_and_anothers_stays() {
    let (server, bench) = backed_up();
    let theirs = server.ask("POST", "/collections/a/snapshots?wait=true", None)["name"].clone();
    let second = std::time::Instant::now();
    super::support::wait_until("another second, for another name", || second.elapsed().as_millis() > 1100);
    killed(&server, &bench, "run vectors", "hold_download");
    assert_eq!(server.files().len(), 4, "theirs, ours, and their sums");
    bench.bkp("run vectors").exits(0);
    let theirs = theirs.as_str().expect("a name");
    assert_eq!(server.files(), [theirs.to_owned(), format!("{theirs}.checksum")]);
}

#[test]
fn scratch_collection_of_a_killed_drill_is_shown_and_goes_with_the_next_run() {
    let (server, bench) = backed_up();
    killed(&server, &bench, "drill vectors", "hold_upload");
    super::support::wait_until("the upload that goes on", || server.collections().len() == 2);
    let seen = super::seen(&bench);
    assert!(seen["value"]["uncovered"].to_string().contains("bkp-drill-vectors-"), "{seen:#}");
    bench.bkp("run vectors").exits(0);
    assert_eq!((server.collections(), server.files()), (vec!["a".to_owned()], Vec::new()));
    let manifest = super::manifest(&bench);
    assert_eq!(manifest["members"].as_array().map(Vec::len), Some(2), "it was no member: {manifest:#}");
}

#[test]
fn snapshot_whose_run_was_killed_before_it_had_a_name_is_told_and_not_removed() {
    let (server, bench) = backed_up();
    killed(&server, &bench, "run vectors", "hold_create");
    super::support::wait_until("the snapshot that goes on", || server.files().len() == 2);
    let there = server.files();
    let told = bench.bkp("run vectors");
    told.says(&there[0]).says("nobody can tell whose it is");
    assert_eq!(server.files(), there, "what may be another's is not removed");
    let name = there[0].clone();
    server.ask("DELETE", &format!("/collections/a/snapshots/{name}"), None);
    bench.bkp("run vectors").exits(0).says_nothing_of("nobody can tell");
}

#[test]
fn run_that_is_told_to_end_removes_the_snapshot_that_it_asked_for() {
    let (server, bench) = backed_up();
    server.faults(&json!({ "hold_create": true }));
    let run = bench.start("run vectors");
    server.wait_held("hold_create");
    run.signal("TERM");
    server.faults(&json!({}));
    run.finish().exits(143);
    assert_eq!(server.files(), [""; 0]);
    assert_eq!(bench.ids("vectors").len(), 1);
}
