//! How the program behaves to whoever calls it: outputs that go away, names mistyped, things left behind.
#![expect(clippy::disallowed_methods, reason = "the program is run, and its files looked at, from outside")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

const PLAN: &str = "\
version: 1
name: manners
scope: user
scheduler: embedded
destinations:
  disk: { type: local, path: backups }
sets:
  shop: { type: files, paths: [data], schedule: daily 03:00, destinations: [disk], retention: { last: 7 } }
";

struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().expect("a folder") };
        std::fs::create_dir(machine.path("data")).expect("a folder");
        std::fs::write(machine.path("data/file"), "data").expect("a file");
        std::fs::write(machine.path("bkp.yaml"), PLAN).expect("a plan");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bkp"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.folder.path())
            .env("PATH", "/usr/bin:/bin")
            .env("BKP_TEST_HOST_NAME", "host-1")
            .env("BKP_TEST_PROC", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/quiet-proc"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Standard output and error, and the exit status.
    fn run(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let output = self.command(arguments).output().expect("the program runs");
        let text = [output.stdout, output.stderr].concat();
        (String::from_utf8_lossy(&text).into_owned(), output.status.code())
    }

    fn applied() -> Self {
        let machine = Self::new();
        let (text, status) = machine.run(&["apply", "--yes"]);
        assert_eq!(status, Some(0), "{text}");
        machine
    }
}

/// A pipe's end for writing that nobody reads.
fn nobody() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer
}

#[test]
fn readers_that_went_away_end_no_backup() {
    let machine = Machine::applied();
    let ended = machine.command(&["run", "shop"]).stdout(nobody()).stderr(nobody()).status();
    assert_eq!(ended.expect("the program runs").code(), Some(0));
    let (text, _) = machine.run(&["snapshots", "shop"]);
    assert!(text.contains("-000002  complete"), "{}", text.split_whitespace().collect::<Vec<_>>().join(" "));
}

#[test]
fn readers_that_went_away_do_not_turn_a_failure_into_a_crash() {
    let machine = Machine::applied();
    std::fs::remove_dir_all(machine.path("data")).expect("the data");
    let ended = machine.command(&["run", "shop"]).stdout(nobody()).stderr(nobody()).status();
    assert_eq!(ended.expect("the program runs").code(), Some(1));
}

#[test]
fn only_a_name_that_is_near_is_suggested() {
    let machine = Machine::applied();
    let (text, status) = machine.run(&["run", "shpo"]);
    assert!(!text.contains("did you mean") && text.contains("the sets are: shop"), "{text}");
    assert_eq!(status, Some(1));
    let (text, _) = machine.run(&["run", "shopp"]);
    assert!(text.contains("did you mean `shop`?"), "{text}");
    let (text, _) = machine.run(&["run", "nope"]);
    assert!(text.contains("the sets are: shop"), "{text}");
}

#[test]
fn restore_says_what_is_in_the_way_and_leaves_it() {
    let machine = Machine::applied();
    std::fs::create_dir(machine.path("back")).expect("a folder");
    std::fs::write(machine.path("back/mine"), "mine").expect("a file");
    let (text, status) = machine.run(&["restore", "shop", "--to", "back"]);
    assert!(text.contains("it holds `mine`"), "{text}");
    assert_eq!(status, Some(1));
    assert_eq!(std::fs::read_dir(machine.path("back")).expect("a folder").count(), 1);
}

#[test]
fn restore_says_where_the_data_came_from() {
    let machine = Machine::applied();
    std::fs::write(machine.path("disk.yaml"), "{ type: local, path: backups }\n").expect("a file");
    let (text, status) = machine.run(&["restore", "shop", "--from", "disk.yaml", "--to", "back"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains(&format!("from {} to back", machine.path("backups").display())), "{text}");
}

#[test]
fn pause_does_not_outlive_its_plan() {
    let machine = Machine::applied();
    let (text, status) = machine.run(&["pause", "shop", "--until", "2999-12-31", "--reason", "moving"]);
    assert_eq!(status, Some(0), "{text}");
    let (text, _) = machine.run(&["status"]);
    assert!(text.contains("paused until 2999-12-31"), "{text}");
    let (text, status) = machine.run(&["uninstall", "--yes"]);
    assert_eq!(status, Some(0), "{text}");
    let (text, status) = machine.run(&["apply", "--yes"]);
    assert_eq!(status, Some(0), "{text}");
    let (text, _) = machine.run(&["status"]);
    assert!(text.contains("shop") && !text.contains("paused"), "{text}");
}

#[test]
fn nothing_is_done_without_a_yes() {
    let machine = Machine::new();
    let (text, status) = machine.run(&["apply"]);
    assert!(text.contains("not confirmed"), "{text}");
    assert_eq!(status, Some(1));
    assert!(!machine.path("home").exists() && !machine.path("backups").exists());
}
