//! A small host of its own for tests that break things: a home, two sources, a destination, and an applied plan.
//!
//! Whether a snapshot holds is judged here from the files alone, so that bkp never vouches for itself.
#![expect(clippy::disallowed_methods, reason = "the bed is built, broken and looked into from outside")]

use bkp::format::{Digest, Manifest};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The host's name in keys.
const NODE: &str = "bed";

/// What a command left behind.
#[derive(Debug)]
pub struct Said {
    /// Its exit status; none when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// One host.
pub struct Bed {
    folder: TempDir,
}

impl Bed {
    /// A host with the sets `docs` (files) and `shop` (sqlite) and the destination `local`, not applied yet; further
    /// lines of the plan's `defaults`, `destinations` and `sets`.
    pub fn new(defaults: &str, destinations: &str, sets: &str) -> Self {
        let bed = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir_all(bed.path("source/docs/deep")).expect("a source");
        fs::create_dir_all(bed.path("home")).expect("a home");
        fs::write(bed.path("source/docs/letter.txt"), "dear reader\n").expect("a file");
        fs::write(bed.path("source/docs/deep/noise.bin"), noise(150_000)).expect("a file");
        let shop = rusqlite::Connection::open(bed.path("source/shop.db")).expect("a database");
        shop.execute_batch(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO orders SELECT i, hex(i * 7919) FROM n;",
        )
        .expect("orders");
        bed.write_plan(defaults, destinations, sets);
        bed
    }

    /// Writes the plan file, `plan.yaml`.
    pub fn write_plan(&self, defaults: &str, destinations: &str, sets: &str) {
        let text = format!(
            "version: 1\nname: bed\nhost: \"*\"\nscope: user\nscheduler: embedded\n\
             defaults:\n  schedule: daily 03:00\n  destinations: [local]\n{defaults}\n\
             destinations:\n  local: {{ type: local, path: destination }}\n{destinations}\n\
             sets:\n  docs: {{ type: files, paths: [source/docs] }}\n  shop: {{ type: sqlite, path: source/shop.db }}\n\
             {sets}\n"
        );
        fs::write(self.path("plan.yaml"), text).expect("a plan file");
    }

    /// A path below the bed's folder.
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// A command line in the bed's own environment; `program` is run by bkp's side, so its arguments come first.
    pub fn command(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let line: Vec<&str> =
            wrapper.iter().chain(&[env!("CARGO_BIN_EXE_bkp")]).chain(arguments).copied().collect();
        let mut command = Command::new(line[0]);
        command
            .args(&line[1..])
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("TMPDIR", self.folder.path())
            .env("BKP_TEST_HOST_NAME", NODE)
            .env("BKP_TEST_PROC", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/quiet-proc"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs bkp to its end.
    pub fn bkp(&self, arguments: &[&str]) -> Said {
        said(&mut self.command(&[], arguments))
    }

    /// Runs bkp and demands an exit status.
    pub fn demand(&self, code: i32, arguments: &[&str]) -> Said {
        let said = self.bkp(arguments);
        assert_eq!(said.code, Some(code), "bkp {}:\n{}{}", arguments.join(" "), said.out, said.err);
        said
    }

    /// The folder of a set's snapshots.
    pub fn set_folder(&self, set: &str) -> PathBuf {
        self.path("destination").join(NODE).join(set)
    }

    /// The sealed snapshots of a set, by name; each of them holds: every object and every sidecar is there and is
    /// what its manifest says.
    pub fn sealed(&self, set: &str) -> BTreeSet<String> {
        sealed_in(&self.set_folder(set))
    }
}

/// Runs a command to its end.
pub fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The names in a folder; none where there is no folder.
pub fn names(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// As [`Bed::sealed`], for any folder.
pub fn sealed_in(folder: &Path) -> BTreeSet<String> {
    let sealed = names(folder).into_iter().filter(|name| folder.join(name).join("manifest.json").exists());
    sealed.inspect(|name| demand_whole(&folder.join(name))).collect()
}

fn demand_whole(snapshot: &Path) {
    let read = |name: &str| {
        let path = snapshot.join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let demand_sidecar = |name: &str, digest: Digest| {
        let said = String::from_utf8(read(&format!("{name}.sha256"))).expect("a sidecar is text");
        assert_eq!(said, format!("{digest}  {name}\n"), "{}: sidecar of {name}", snapshot.display());
    };
    let bytes = read("manifest.json");
    demand_sidecar("manifest.json", Digest::of(&bytes));
    let manifest = Manifest::parse(&bytes).expect("a manifest");
    assert!(!manifest.members.is_empty(), "{}: no members", snapshot.display());
    for (object, stored) in manifest.objects() {
        let found = Digest::of(&read(object));
        assert_eq!(found, stored.sha256, "{}: {object}", snapshot.display());
        demand_sidecar(object, found);
    }
}

/// Bytes that do not compress, the same each time (xorshift).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}
