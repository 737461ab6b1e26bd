//! Qdrant from end to end, with the real binary against a STAND-IN that keeps state (`tests/qdrant_stand_in/server.py`).
//! What passes here is proven against what was read in Qdrant's own source, and not against Qdrant.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

#[path = "../support/mod.rs"]
mod support;

mod broken;
mod cluster;
mod killed;
mod look;
mod restore;
mod round;
mod stand_in;

use serde_json::Value;
use stand_in::StandIn;
use std::fs;
use support::Bench;

/// A host whose set `vectors` is the stand-in, with more keys such as `, collections: [a]`.
fn bench(stand_in: &StandIn, more: &str) -> Bench {
    let bench = Bench::new();
    declare(&bench, stand_in, more);
    bench
}

/// Declares the set `vectors` anew.
fn declare(bench: &Bench, stand_in: &StandIn, more: &str) {
    bench.plan(&format!("  vectors: {{ type: qdrant, url: \"{}\"{more} }}\n", stand_in.url()));
}

/// A private file with a key, as a plan refers to it.
fn key_file(bench: &Bench, name: &str, key: &str) -> String {
    let path = bench.write(name, format!("{key}\n"));
    support::set_mode(&path, 0o600);
    format!("{{ file: {} }}", path.display())
}

/// The newest manifest.
fn manifest(bench: &Bench) -> Value {
    let path = bench.newest("vectors").join("manifest.json");
    serde_json::from_str(&fs::read_to_string(path).expect("a manifest")).expect("JSON")
}

/// A member of a manifest.
fn member<'a>(manifest: &'a Value, name: &str) -> &'a Value {
    let all = manifest["members"].as_array().expect("members");
    all.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no member `{name}` in {manifest:#}"))
}

/// What was seen of the set's source.
fn seen(bench: &Bench) -> Value {
    let document = bench.bkp("facts plan.yaml").json();
    let observed = document["sources"]["vectors"]["observed"].clone();
    assert!(observed.is_object(), "{document:#}");
    observed
}
