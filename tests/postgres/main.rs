//! The source `postgres` from end to end: the real binary against a real server.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

#[path = "../support/mod.rs"]
mod support;

mod broken;
mod drills;
mod hostile;
mod members;
mod restores;
mod rights;
mod server;
mod waits;

use server::Server;
use support::Bench;

/// A host with a set `pg` of a server that has the database `shop`.
fn with_shop(rows: u32) -> (Server, Bench) {
    let server = Server::new();
    server.make_shop("shop", rows);
    let bench = Bench::new();
    bench.plan(&format!("  pg: {}\n", server.set("")));
    (server, bench)
}

/// The counts of a member in the set's newest snapshot.
#[track_caller]
fn counts(bench: &Bench, member: &str) -> serde_json::Value {
    let text = support::text(&bench.newest("pg").join("manifest.json"));
    let manifest: serde_json::Value = serde_json::from_str(&text).expect("a manifest");
    let members = manifest["members"].as_array().expect("members");
    let found = members.iter().find(|it| it["name"] == member);
    found.unwrap_or_else(|| panic!("no member `{member}` in {text}"))["counts"].clone()
}

/// The artifact of a member in the set's newest snapshot.
#[track_caller]
fn artifact(bench: &Bench, member: &str) -> std::path::PathBuf {
    let folder = bench.newest("pg");
    let names = std::fs::read_dir(&folder).expect("a snapshot").map(|it| it.expect("an entry").path());
    let mut found = names.filter(|it| {
        let name = it.file_name().expect("a name").to_string_lossy().into_owned();
        name.starts_with(&format!("{member}.")) && !name.ends_with(".sha256")
    });
    found.next().expect("an artifact")
}
