//! Formats stay readable: destinations that earlier versions made are listed, verified, drilled and restored.
//!
//! `tests/fixtures/format-N/` is what version N of the formats looks like: a destination, the installed plan that made
//! it below `/srv/format-N`, and the host's journal. A fixture is never made anew; a new format gets a new folder.
#![expect(clippy::disallowed_methods, reason = "the program is run, and its files looked at, from outside")]

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A host that has a fixture's destination, plan and journal.
struct Machine {
    folder: tempfile::TempDir,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file");
        }
    }
}

impl Machine {
    fn of_format_1() -> Self {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
        let machine = Self { folder: tempfile::tempdir().expect("a folder") };
        copy(&fixture.join("backups"), &machine.path("backups"));
        let plan = std::fs::read_to_string(fixture.join("installed.yaml")).expect("the installed plan");
        let here = machine.folder.path().display().to_string();
        let write = |name: &str, bytes: &[u8]| {
            let path = machine.path(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, bytes).expect("a file");
        };
        write("home/.config/bkp/plans/archive.yaml", plan.replace("/srv/format-1", &here).as_bytes());
        let journal = std::fs::read(fixture.join("journal.jsonl")).expect("the journal");
        write("home/.local/state/bkp/journal.jsonl", &journal);
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bkp(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bkp"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.folder.path())
            .env("PATH", "/usr/bin:/bin")
            .env("BKP_TEST_HOST_NAME", "another-host")
            .env("BKP_TEST_PROC", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/quiet-proc"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("the program runs")
    }

    /// Standard output of a command that must end with this status.
    fn said(&self, arguments: &[&str], status: i32) -> String {
        let output = self.bkp(arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "bkp {arguments:?}:\n{out}{err}");
        out.into_owned()
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn snapshots_of_format_1_are_listed_with_their_proofs() {
    let machine = Machine::of_format_1();
    let listed = json(&machine.said(&["snapshots", "--format", "json"], 0));
    let snapshots = listed["snapshots"].as_array().expect("a list");
    assert_eq!(snapshots.len(), 5, "{listed:#}");
    let text = machine.said(&["snapshots"], 0);
    let proven = text.lines().filter(|line| line.contains(" complete ") && !line.contains("never"));
    assert_eq!(proven.count(), 5, "{text}");
    let listed = machine.said(&["ls", "letters"], 0);
    for part in ["letters/ada.txt", "letters/Überschrift 1.txt", "letters/sparse.bin", "hard_link", "fifo"] {
        assert!(listed.contains(part), "{part} is missing:\n{listed}");
    }
    let changed = machine.said(&["diff", "shop", "20261120T224612Z-000001"], 0);
    assert!(changed.contains("table:orders") && changed.contains("2 -> 3"), "{changed}");
}

#[test]
fn snapshots_of_format_1_verify_and_drill() {
    let machine = Machine::of_format_1();
    for command in ["verify", "drill"] {
        let text = machine.said(&[command, "--all"], 0);
        assert_eq!(text.lines().filter(|line| line.contains(" at disk: ")).count(), 5, "{command}:\n{text}");
    }
}

#[test]
fn files_of_format_1_come_back_as_they_were() {
    let machine = Machine::of_format_1();
    machine.said(&["restore", "letters", "--to", "back"], 0);
    machine.said(&["restore", "notes", "--to", "plain"], 0);
    let letters = machine.path("back/srv/format-1/letters");
    let read = |name: &str| std::fs::read_to_string(letters.join(name)).expect("a restored file");
    let status = |name: &str| std::fs::symlink_metadata(letters.join(name)).expect("a restored entry");
    assert_eq!(read("ada.txt"), "Dear Ada\n");
    assert_eq!((status("ada.txt").mtime(), status("ada.txt").mtime_nsec()), (981_173_106, 123_456_789));
    assert_eq!(status("ada.txt").ino(), status("hard.txt").ino());
    assert_eq!(std::fs::read_link(letters.join("link.txt")).expect("a link"), Path::new("ada.txt"));
    assert_eq!(status("empty").mode() & 0o7777, 0o700);
    assert_eq!(status("Überschrift 1.txt").mode() & 0o7777, 0o4750);
    assert!(status("pipe").file_type().is_fifo());
    let bytes_in_name = letters.join(std::ffi::OsStr::from_bytes(b"caf\xe9.txt"));
    assert_eq!(std::fs::read_to_string(bytes_in_name).expect("a restored file"), "bytes\n");
    let sparse = std::fs::read(letters.join("sparse.bin")).expect("a restored file");
    assert_eq!((sparse.len(), &sparse[1 << 20..]), ((1 << 20) + 3, &b"end"[..]));
    assert!(status("sparse.bin").blocks() * 512 < 1 << 20, "the hole was filled");
    let plain = std::fs::read_to_string(machine.path("plain/srv/format-1/notes/plain.txt"));
    assert_eq!(plain.expect("a restored file"), "plain\n");
}

#[test]
fn databases_of_format_1_come_back_on_a_bare_machine() {
    let machine = Machine::of_format_1();
    std::fs::remove_dir_all(machine.path("home")).expect("the home");
    std::fs::write(machine.path("disk.yaml"), "{ type: local, path: backups }\n").expect("a file");
    let listed = machine.said(&["restore", "--from", "disk.yaml"], 0);
    assert!(listed.contains("host archive-1") && listed.contains("set ledgers: newest"), "{listed}");
    let ask = |file: &Path, question: &str| -> i64 {
        let connection = rusqlite::Connection::open(file).expect("a database");
        connection.query_row(question, [], |row| row.get(0)).expect("an answer")
    };
    machine.said(&["restore", "shop", "--from", "disk.yaml", "--host", "archive-1", "--to", "shop"], 0);
    assert_eq!(ask(&machine.path("shop/shop.db"), "SELECT count(*) FROM orders"), 3);
    machine.said(&["restore", "ledgers", "--from", "disk.yaml", "--to", "ledgers"], 0);
    let restored = std::fs::read_dir(machine.path("ledgers")).expect("the target");
    let files: Vec<PathBuf> = restored.map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    let costs = files.iter().find(|file| file.display().to_string().contains("2026")).expect("the member");
    assert_eq!(ask(costs, "SELECT sum(cents) FROM costs"), 6);
}

#[test]
fn journal_and_plan_of_format_1_are_read_whole() {
    let machine = Machine::of_format_1();
    let runs = machine.said(&["status"], 0);
    assert_eq!(runs.lines().filter(|line| line.contains(" complete ")).count(), 5, "{runs}");
    let findings = json(&machine.said(&["audit", "--format", "json"], 2));
    let codes: Vec<&str> = findings["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["code"].as_str())
        .collect();
    let unreadable =
        ["state", "snapshot", "object", "digest", "drill-differs", "plan-missing", "could-not-look"];
    let wrong: Vec<&&str> =
        codes.iter().filter(|code| unreadable.iter().any(|start| code.starts_with(start))).collect();
    assert!(codes.contains(&"timer-missing") && wrong.is_empty(), "{codes:?}");
    // The journal is what remembers: a snapshot that vanishes is missed.
    std::fs::remove_dir_all(machine.path("backups/archive-1/shop/20261120T224612Z-000001"))
        .expect("a snapshot");
    let findings = machine.said(&["audit", "--format", "json"], 2);
    assert!(findings.contains("snapshot-gone"), "{findings}");
}

/// What format 2 has and 1 has not: an encrypted snapshot, and artifacts under the keys of a layout. The key is the
/// fixture's own and guards nothing.
#[test]
fn encrypted_snapshots_and_layouts_of_format_2_come_back_on_a_bare_machine() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-2");
    let machine = Machine { folder: tempfile::tempdir().expect("a folder") };
    copy(&fixture, machine.folder.path());
    for (destination, object) in [("sealed.yaml", "encrypted"), ("laid-out.yaml", "laid out")] {
        let to = format!("back-{destination}");
        machine.said(&["restore", "shop", "--from", destination, "--host", "vault-1", "--to", &to], 0);
        let database = rusqlite::Connection::open(machine.path(&to).join("shop.db")).expect(object);
        let rows: i64 =
            database.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).expect("rows");
        assert_eq!(rows, 3, "{object}");
        let verified = ["verify", "shop", "--from", destination, "--host", "vault-1", "--all"];
        assert!(machine.said(&verified, 0).contains("intact: shop at bare"), "{object}");
        machine.said(&["drill", "shop", "--from", destination, "--host", "vault-1"], 0);
    }
    machine.said(&["restore", "letters", "--from", "sealed.yaml", "--host", "vault-1", "--to", "letters"], 0);
    let ada = machine.path("letters/srv/format-2/letters/ada.txt");
    assert_eq!(std::fs::read_to_string(ada).expect("a restored file"), "Dear Ada\n");
}

#[test]
fn a_later_format_is_refused_by_its_number() {
    let machine = Machine::of_format_1();
    let manifest = machine.path("backups/archive-1/notes/20261120T224612Z-000001/manifest.json");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(&manifest, text.replacen("\"format\": 1", "\"format\": 3", 1)).expect("a manifest");
    let output = machine.bkp(&["verify", "notes", "--snapshot", "20261120T224612Z-000001"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("its format is 3, and this bkp reads up to 2"), "{said}");
}
