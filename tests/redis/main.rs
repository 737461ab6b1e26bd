//! Redis from end to end: a real server, the real program, and everything broken on purpose.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

mod broken;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod whole;

use serde_json::Value;
use server::Server;
use support::{Bench, text};

/// The plan `plan` with the set `cache` on a server's socket, and more of the set's keys.
fn plan(bench: &Bench, server: &Server, more: &str) {
    let socket = server.socket().display().to_string();
    bench.plan(&format!("  cache: {{ type: redis, socket: {socket}{more} }}\n"));
}

/// A bench with a filled server and an applied plan.
fn applied(options: &[&str]) -> (Bench, Server) {
    let bench = Bench::new();
    let server = Server::start(&bench, options);
    server.fill();
    plan(&bench, &server, "");
    bench.apply("plan");
    (bench, server)
}

/// The member of the newest snapshot, as its manifest has it.
fn member(bench: &Bench) -> Value {
    let manifest: Value =
        serde_json::from_str(&text(&bench.newest("cache").join("manifest.json"))).expect("a manifest");
    assert_eq!(manifest["complete"], true);
    assert_eq!(manifest["members"].as_array().map(Vec::len), Some(1));
    manifest["members"][0].clone()
}
