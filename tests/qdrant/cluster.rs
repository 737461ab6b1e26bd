//! A STAND-IN serves here, as several peers of one cluster. Every node's snapshot, or none.

use super::stand_in::StandIn;
use super::support::Bench;
use super::{declare, manifest, member, seen};
use serde_json::json;

fn nodes(server: &StandIn, more: &str) -> String {
    format!(", nodes: [\"{}\", \"{}\"]{more}", server.url_of(1), server.url_of(2))
}

#[test]
fn every_node_of_a_cluster_has_its_own_member_and_comes_back_on_another_server() {
    let server = StandIn::with(&["--peers", "3"]);
    server.collection("a", 90);
    let drills = StandIn::new();
    let bench = Bench::new();
    declare(&bench, &server, &nodes(&server, &format!(", drill_url: \"{}\"", drills.url())));
    bench.apply("plan");
    let manifest = manifest(&bench);
    for peer in ["a@1000", "a@1001", "a@1002"] {
        let part = member(&manifest, peer);
        assert_eq!(part["bounds"]["points"], json!({ "min": 0, "max": 90 }), "{part:#}");
        assert!(part["warnings"].to_string().contains("1 of 3 shards"), "{part:#}");
    }
    bench.bkp("drill vectors").exits(0);
    assert_eq!((server.files(), drills.files()), (Vec::new(), Vec::new()));
    assert_eq!((server.collections(), drills.collections()), (vec!["a".to_owned()], Vec::new()));
}

#[test]
fn cluster_with_a_peer_that_nobody_declared_makes_no_snapshot() {
    let server = StandIn::with(&["--peers", "3"]);
    server.collection("a", 9);
    let bench = Bench::new();
    declare(&bench, &server, &nodes(&server, ""));
    declare(&bench, &server, &format!(", nodes: [\"{}\"]", server.url_of(1)));
    let observed = seen(&bench).to_string();
    assert!(observed.contains("no URL is declared for peer 1002 (http://10.0.0.3:6335/)"), "{observed}");
    bench.bkp("plan plan.yaml").exits(1);
    bench.bkp("run vectors --plan plan.yaml").exits(1);
    assert_eq!(server.files(), [""; 0]);
}

#[test]
fn cluster_without_another_server_for_drills_is_told_before_a_run() {
    let server = StandIn::with(&["--peers", "3"]);
    server.collection("a", 9);
    let bench = Bench::new();
    declare(&bench, &server, &nodes(&server, ""));
    let observed = seen(&bench).to_string();
    assert!(observed.contains("no place for drills") && observed.contains("drill_url"), "{observed}");
}

#[test]
fn server_that_stands_alone_with_nodes_declared_is_an_error() {
    let (server, other) = (StandIn::new(), StandIn::new());
    let bench = Bench::new();
    declare(&bench, &server, &format!(", nodes: [\"{}\"]", other.url()));
    let observed = seen(&bench).to_string();
    assert!(observed.contains("it is not part of a cluster"), "{observed}");
}
