//! A STAND-IN serves here. What plan and audit see: uncovered collections, rights, open doors, addresses.

use super::stand_in::StandIn;
use super::support::Bench;
use super::{bench, declare, key_file, seen};
use serde_json::{Value, json};

/// The requirements that are not met, as `kind: summary`.
fn unmet(observed: &Value) -> Vec<String> {
    let all = source(observed)["requirements"].as_array().expect("requirements").clone();
    let unmet = all.iter().filter(|it| it["unmet"].is_object());
    unmet.map(|it| format!("{}: {}", text(&it["kind"]), text(&it["unmet"]["summary"]))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}

fn source(observed: &Value) -> &Value {
    &observed["value"]
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().map(|it| it.iter().map(|it| text(&it["name"])).collect()).unwrap_or_default()
}

fn guarded() -> (StandIn, Bench) {
    let server = StandIn::with(&[
        "--api-key",
        "manage",
        "--read-only-key",
        "read",
        "--limited-key",
        "limited",
        "--limited-to",
        "a",
    ]);
    server.collection("a", 1);
    server.collection("b", 1);
    let bench = Bench::new();
    (server, bench)
}

fn with_key(server: &StandIn, bench: &Bench, key: &str) -> Value {
    let file = key_file(bench, "key", key);
    declare(bench, server, &format!(", api_key: {file}"));
    seen(bench)
}

#[test]
fn fifth_collection_of_four_listed_is_named_and_all_takes_it_without_an_edit() {
    let server = StandIn::new();
    for name in ["a", "b", "c", "d", "e"] {
        server.collection(name, 1);
    }
    let bench = bench(&server, ", collections: [a, b, c, d]");
    assert_eq!(names(&source(&seen(&bench))["uncovered"]), ["e"]);
    declare(&bench, &server, ", collections: [a, b, c, d], ignore: { e: rebuilt nightly }");
    assert_eq!(source(&seen(&bench))["uncovered"], Value::Null);
    declare(&bench, &server, "");
    let observed = seen(&bench);
    assert_eq!(source(&observed)["uncovered"], Value::Null);
    assert_eq!(names(&source(&observed)["members"]["value"]), ["_aliases", "a", "b", "c", "d", "e"]);
}

#[test]
fn plan_and_audit_name_the_fifth_collection_and_what_came_and_went_since_the_last_run() {
    let server = StandIn::new();
    for name in ["a", "b", "c", "d", "e"] {
        server.collection(name, 1);
    }
    let bench = bench(&server, ", collections: [a, b, c, d]");
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(2).says("qdrant:vectors/e");
    bench.apply("plan");
    assert_eq!(bench.finding("uncovered").object, "qdrant:vectors/e");
    declare(&bench, &server, "");
    bench.apply("plan");
    let codes = bench.codes();
    assert!(!codes.contains(&"uncovered".to_owned()), "{codes:?}");

    server.collection("f", 3);
    assert_eq!(bench.finding("member-not-stored").object, "vectors/f");
    bench.bkp("run vectors").exits(0);
    assert!(!bench.codes().contains(&"member-not-stored".to_owned()));

    server.ask("DELETE", "/collections/a", None);
    assert_eq!(bench.finding("member-gone").object, "vectors/a");
    bench.bkp("run vectors").exits(0);
    assert!(!bench.codes().contains(&"member-gone".to_owned()));
}

#[test]
fn listed_collection_that_is_missing_is_told_before_a_run() {
    let server = StandIn::new();
    server.collection("a", 1);
    let bench = bench(&server, ", collections: [a, gone]");
    assert_eq!(unmet(&seen(&bench)), ["readable: collection missing"]);
}

#[test]
fn looking_changes_nothing_on_the_server() {
    let server = StandIn::new();
    server.collection("a", 4);
    let bench = bench(&server, "");
    bench.bkp("plan plan.yaml").exits(0);
    assert_eq!(unmet(&seen(&bench)), [""; 0]);
    assert_eq!(
        (server.collections(), server.count("a"), server.files()),
        (vec!["a".to_owned()], 4, Vec::new())
    );
}

#[test]
fn key_that_manages_is_enough_and_the_door_is_shut() {
    let (server, bench) = guarded();
    let observed = with_key(&server, &bench, "manage");
    assert_eq!(unmet(&observed), [""; 0]);
    assert_eq!(source(&observed)["doors"], Value::Null, "{observed:#}");
    assert_eq!(source(&observed)["addresses"], json!([format!("tcp:127.0.0.1:{}", server.port())]));
}

#[test]
fn wrong_key_is_a_login_refused_and_the_members_are_unknown() {
    let (server, bench) = guarded();
    let observed = with_key(&server, &bench, "wrong");
    assert_eq!(unmet(&observed), ["login: login refused"]);
    assert_eq!(source(&observed)["members"]["state"], "unknown", "{observed:#}");
    let said = observed.to_string();
    assert!(said.contains("Invalid API key or JWT") && said.contains("api_key"), "{observed:#}");
    declare(&bench, &server, "");
    assert_eq!(unmet(&seen(&bench)), ["login: login refused"], "no key at all");
}

#[test]
fn key_that_only_reads_lacks_a_right() {
    let (server, bench) = guarded();
    assert_eq!(unmet(&with_key(&server, &bench, "read")), ["grant: right missing"]);
}

#[test]
fn key_that_sees_some_collections_is_never_a_shorter_list() {
    let (server, bench) = guarded();
    let observed = with_key(&server, &bench, "limited");
    assert_eq!(unmet(&observed)[0], "catalogue: server not asked");
    assert_eq!(source(&observed)["members"]["state"], "unknown", "{observed:#}");
}

#[test]
fn server_that_is_gone_is_unknown_and_not_empty() {
    let mut server = StandIn::new();
    server.collection("a", 1);
    let bench = bench(&server, "");
    server.stop();
    let observed = seen(&bench);
    assert!(unmet(&observed).contains(&"server: server not reachable".to_owned()), "{observed:#}");
    assert_eq!(source(&observed)["members"]["state"], "unknown");
}

#[test]
fn server_that_lists_without_a_key_is_an_open_door_at_each_of_its_addresses() {
    let server = StandIn::with(&["--bind", "0.0.0.0"]);
    server.collection("a", 1);
    let bench = bench(&server, "");
    let observed = seen(&bench);
    let doors = source(&observed)["doors"].as_array().expect("doors").clone();
    let objects: Vec<&str> = doors.iter().map(|it| text(&it["object"])).collect();
    assert!(objects[0].contains("127.0.0.1"), "{objects:?}");
    assert!(text(&doors[0]["evidence"]).contains("listed 1 collections"), "{doors:?}");
    let addresses = source(&observed)["addresses"].as_array().expect("addresses").len();
    assert_eq!(doors.len(), addresses, "{observed:#}");
    let others = super::support::sh("hostname -I", bench.root());
    let here = others.split_whitespace().filter(|it| it.contains('.')).count();
    assert_eq!(addresses, here + 1, "one for each address of this host, and the loopback: {observed:#}");
}

#[test]
fn secret_that_only_a_run_has_is_deferred_and_no_failure() {
    let (server, bench) = guarded();
    declare(&bench, &server, ", api_key: { command: [cat, /nowhere] }");
    let observed = seen(&bench);
    assert!(text(&source(&observed)["deferred"]).contains("command"), "{observed:#}");
    let keys = unmet(&observed);
    assert!(!keys.iter().any(|it| it.starts_with("login") || it.starts_with("secret")), "{keys:?}");
}

#[test]
fn server_for_drills_must_be_of_a_version_that_takes_the_snapshots() {
    let server = StandIn::new();
    server.collection("a", 1);
    let older = StandIn::with(&["--version", "1.18.2"]);
    let bench = bench(&server, &format!(", drill_url: \"{}\"", older.url()));
    assert_eq!(unmet(&seen(&bench)), ["version: versions do not fit"]);
}

/// A certificate for 127.0.0.1 that no authority of the system knows, and its key.
fn certificate(bench: &Bench) -> (String, String) {
    super::support::sh(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout tls.key -out tls.pem \
         -subj /CN=stand-in -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE 2>&1",
        bench.root(),
    );
    (bench.path("tls.pem").display().to_string(), bench.path("tls.key").display().to_string())
}

#[test]
fn certificate_is_judged_by_the_authority_that_is_declared_and_else_by_the_systems() {
    let bench = Bench::new();
    let (pem, key) = certificate(&bench);
    let server = StandIn::with(&["--api-key", "manage", "--certificate", &pem, "--private-key", &key]);
    let url = format!("https://127.0.0.1:{}", server.port());
    let file = key_file(&bench, "key", "manage");
    let declare = |more: &str| {
        bench.plan(&format!("  vectors: {{ type: qdrant, url: \"{url}\", api_key: {file}{more} }}\n"));
    };
    declare(&format!(", ca: {pem}"));
    let observed = seen(&bench);
    assert_eq!(unmet(&observed), [""; 0], "{observed:#}");
    assert_eq!(source(&observed)["doors"], Value::Null);
    bench.apply("plan");
    declare("");
    let observed = seen(&bench);
    assert!(unmet(&observed).contains(&"server: server not reachable".to_owned()), "{observed:#}");
    bench.bkp("run vectors --plan plan.yaml").exits(1).says("certificate");
}

#[test]
fn redirect_is_not_followed_and_the_key_goes_nowhere_else() {
    let (server, bench) = guarded();
    let elsewhere = StandIn::new();
    server.faults(&json!({ "redirect": elsewhere.url() }));
    let observed = with_key(&server, &bench, "manage");
    assert!(observed.to_string().contains("HTTP 307"), "{observed:#}");
    assert!(!elsewhere.was_sent_a_key());
    with_key(&elsewhere, &bench, "manage");
    assert!(elsewhere.was_sent_a_key(), "it would have been noticed");
}
