//! A host of its own for each end-to-end test: a home, a place for sources, a destination on another device, and the
//! real binary, run in an environment that has nothing else.
//!
//! Nothing here knows the library: what a test sees is what a user sees.
#![allow(dead_code, reason = "each test program uses its share")]

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// PATH of everything that a test runs.
pub const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Tables of a kernel on which nothing listens.
pub const QUIET_PROC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/quiet-proc");
/// Longest that anything is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// Seconds in a day, for clock shifts.
pub const DAY: i64 = 86_400;

/// A host of its own.
pub struct Bench {
    root: TempDir,
    elsewhere: TempDir,
    /// How far this host's clock is ahead, in seconds.
    pub shift_seconds: i64,
    /// The host's name.
    pub host_name: String,
    /// The binary that is run.
    pub binary: PathBuf,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status; none when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Outcome {
    /// Of a process that a test has started by itself.
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Demands an exit status.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n-- stdout\n{}\n-- stderr\n{}", self.out, self.err);
        self
    }

    /// Demands that standard output or error says something; line breaks and runs of blanks count as one blank.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.has(text), "`{text}` is not in\n-- stdout\n{}\n-- stderr\n{}", self.out, self.err);
        self
    }

    /// Demands that neither says it.
    #[track_caller]
    pub fn says_nothing_of(self, text: &str) -> Self {
        assert!(!self.has(text), "`{text}` is in\n-- stdout\n{}\n-- stderr\n{}", self.out, self.err);
        self
    }

    fn has(&self, text: &str) -> bool {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        flat(&self.out).contains(&flat(text)) || flat(&self.err).contains(&flat(text))
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.out) {
            Ok(value) => value,
            Err(error) => panic!("{error}\n-- stdout\n{}\n-- stderr\n{}", self.out, self.err),
        }
    }
}

/// One finding of an audit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Its code.
    pub code: String,
    /// Its set.
    pub set: Option<String>,
    /// Its destination.
    pub destination: Option<String>,
    /// Its object.
    pub object: String,
    /// Its evidence.
    pub evidence: String,
}

/// A snapshot as `bkp snapshots` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub id: String,
    /// The set that it was stored as.
    pub stored_as: String,
    /// Where.
    pub destination: String,
    /// Whether it is sealed and complete.
    pub complete: bool,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// A new host. Its destination lies in /dev/shm, because a destination on its source's device is a finding.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("bkp-e2e.").tempdir().expect("a temporary folder");
        let elsewhere = tempfile::Builder::new()
            .prefix("bkp-e2e.")
            .tempdir_in("/dev/shm")
            .expect("a folder in /dev/shm, which these tests need as a second device");
        let device = |path: &Path| fs::metadata(path).expect("a status").dev();
        assert_ne!(
            device(root.path()),
            device(elsewhere.path()),
            "/dev/shm lies on the device of the temporary folder: set TMPDIR to another one"
        );
        let bench = Self {
            root,
            elsewhere,
            shift_seconds: 0,
            host_name: "testhost".to_owned(),
            binary: PathBuf::from(env!("CARGO_BIN_EXE_bkp")),
        };
        for folder in [bench.home(), bench.path("tmp")] {
            fs::create_dir_all(folder).expect("a folder");
        }
        bench
    }

    /// A host with a folder `docs` and a database `shop.db`, and a plan `plan.yaml` for both.
    pub fn with_two_sets() -> Self {
        let bench = Self::new();
        bench.make_docs("docs");
        bench.make_database("shop.db", 10);
        bench.plan("  docs: { type: files, paths: [docs] }\n  shop: { type: sqlite, path: shop.db }\n");
        bench
    }

    /// A path below the host's own folder.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// The host's own folder.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The user's home.
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// A path on another device.
    pub fn other_device(&self, relative: &str) -> PathBuf {
        self.elsewhere.path().join(relative)
    }

    /// The destination of `plan`.
    pub fn store(&self) -> PathBuf {
        self.other_device("store")
    }

    /// The installed configuration.
    pub fn config(&self, relative: &str) -> PathBuf {
        self.home().join(".config/bkp").join(relative)
    }

    /// The state folder.
    pub fn state(&self, relative: &str) -> PathBuf {
        self.home().join(".local/state/bkp").join(relative)
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, relative: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a folder above")).expect("folders");
        fs::write(&path, text).expect("a file");
        path
    }

    /// Writes an executable shell script.
    pub fn script(&self, relative: &str, body: &str) -> PathBuf {
        let path = self.write(relative, format!("#!/bin/sh\n{body}\n"));
        set_mode(&path, 0o755);
        path
    }

    /// Writes `plan.yaml` for the plan `plan`: user scope, embedded scheduler, daily at three, the destination `near`
    /// at `store()`, and these sets.
    pub fn plan(&self, sets: &str) -> PathBuf {
        self.plan_with("plan", "", sets)
    }

    /// Writes `NAME.yaml`, with more top-level keys.
    pub fn plan_with(&self, name: &str, more: &str, sets: &str) -> PathBuf {
        let store = self.store().display().to_string();
        self.plan_of(
            name,
            &format!(
                "defaults:\n  schedule: daily 03:00\n  destinations: [near]\n  retention: {{ last: 7 }}\n\
                 destinations:\n  near: {{ type: local, path: {store} }}\n{more}"
            ),
            sets,
        )
    }

    /// Writes `NAME.yaml` with everything but the head as given.
    pub fn plan_of(&self, name: &str, body: &str, sets: &str) -> PathBuf {
        let head = format!("version: 1\nname: {name}\nhost: \"*\"\nscope: user\nscheduler: embedded\n");
        self.write(&format!("{name}.yaml"), format!("{head}{body}sets:\n{sets}"))
    }

    /// A small folder of files.
    pub fn make_docs(&self, relative: &str) -> PathBuf {
        self.write(&format!("{relative}/a.txt"), "alpha\n");
        self.write(&format!("{relative}/deep/b.txt"), "beta\n");
        self.path(relative)
    }

    /// A database with a table `orders` of so many rows.
    pub fn make_database(&self, relative: &str, rows: u32) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a folder above")).expect("folders");
        let mut database = rusqlite::Connection::open(&path).expect("a database");
        database
            .execute_batch("create table if not exists orders (id integer primary key, what text)")
            .expect("a table");
        let all = database.transaction().expect("a transaction");
        for row in 0..rows {
            all.execute("insert into orders (what) values (?1)", [format!("order {row}")]).expect("a row");
        }
        all.commit().expect("a commit");
        path
    }

    /// A command of bkp's, with nothing in its environment but what this host has.
    pub fn command<I, S>(&self, arguments: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("HOME", self.home())
            .env("TMPDIR", self.path("tmp"))
            .env("BKP_TEST_HOST_NAME", &self.host_name)
            // Servers that other tests have running are not this host's.
            .env("BKP_TEST_PROC", QUIET_PROC)
            .current_dir(self.root())
            .stdin(Stdio::null());
        if self.shift_seconds != 0 {
            command.env("BKP_TEST_CLOCK_SHIFT_SECONDS", self.shift_seconds.to_string());
        }
        command
    }

    /// Runs bkp with arguments that are separated by blanks.
    #[track_caller]
    pub fn bkp(&self, arguments: &str) -> Outcome {
        self.run(arguments.split_whitespace())
    }

    /// Runs bkp.
    #[track_caller]
    pub fn run<I, S>(&self, arguments: I) -> Outcome
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        Outcome::of(&self.command(arguments).output().expect("bkp starts"))
    }

    /// Starts bkp and leaves it running; its output is kept for `finish`.
    pub fn start(&self, arguments: &str) -> Running {
        let child = self
            .command(arguments.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bkp starts");
        Running { child: Some(child) }
    }

    /// Applies a plan file and demands that the host converges.
    #[track_caller]
    pub fn apply(&self, plan: &str) -> Outcome {
        self.bkp(&format!("apply {plan}.yaml --yes")).exits(0)
    }

    /// Every finding of an audit; its exit status must agree with them.
    #[track_caller]
    pub fn findings(&self) -> Vec<Found> {
        self.findings_of("audit")
    }

    /// Every finding of an audit with other arguments.
    #[track_caller]
    pub fn findings_of(&self, audit: &str) -> Vec<Found> {
        let outcome = self.bkp(&format!("{audit} --format json"));
        let document = outcome.json();
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let found: Vec<Found> = document["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .map(|it| Found {
                code: text(&it["code"]).expect("a code"),
                set: text(&it["set"]),
                destination: text(&it["destination"]),
                object: text(&it["object"]).expect("an object"),
                evidence: text(&it["evidence"]).expect("evidence"),
            })
            .collect();
        let unknown = |it: &Found| it.code == "could-not-look";
        let expected = match (found.is_empty(), found.iter().all(unknown)) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        outcome.exits(expected);
        found
    }

    /// The codes of the findings other than that no daemon runs, each once.
    #[track_caller]
    pub fn codes(&self) -> Vec<String> {
        let mut codes: Vec<String> = self.findings().into_iter().map(|it| it.code).collect();
        codes.retain(|code| code != "daemon-not-running");
        codes.sort();
        codes.dedup();
        codes
    }

    /// Demands a finding, and gives it.
    #[track_caller]
    pub fn finding(&self, code: &str) -> Found {
        let found = self.findings();
        match found.iter().find(|it| it.code == code) {
            Some(it) => it.clone(),
            None => panic!("no finding `{code}` among {found:#?}"),
        }
    }

    /// The snapshots of a set, oldest first.
    #[track_caller]
    pub fn snapshots(&self, set: &str) -> Vec<Listed> {
        let document = self.bkp(&format!("snapshots {set} --format json")).exits(0).json();
        let all = document["snapshots"].as_array().expect("snapshots").clone();
        let listed = |it: &Value| Listed {
            id: it["snapshot"]["id"].as_str().expect("an id").to_owned(),
            stored_as: it["snapshot"]["stored_as"].as_str().expect("a set").to_owned(),
            destination: it["destination"].as_str().expect("a destination").to_owned(),
            complete: it["snapshot"]["state"].pointer("/sealed/manifest/complete")
                == Some(&Value::Bool(true)),
        };
        all.iter().map(listed).collect()
    }

    /// The ids of a set's snapshots at the destination `near`.
    #[track_caller]
    pub fn ids(&self, set: &str) -> Vec<String> {
        let all = self.snapshots(set).into_iter();
        all.filter(|it| it.destination == "near").map(|it| it.id).collect()
    }

    /// The folder of a set's newest snapshot at `store()`.
    #[track_caller]
    pub fn newest(&self, set: &str) -> PathBuf {
        let id = self.ids(set).pop().expect("a snapshot");
        self.store().join(&self.host_name).join(set).join(id)
    }
}

/// A process that was started and not yet waited for; it is killed with this value.
pub struct Running {
    child: Option<Child>,
}

impl Running {
    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it was not waited for")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it was not waited for").id()
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        self.child().try_wait().expect("a status").is_none()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.expect("kill starts").success(), "kill -{name}");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Outcome {
        let mut child = self.child.take().expect("it was not waited for");
        let out = reader(child.stdout.take());
        let err = reader(child.stderr.take());
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("a status") {
                break status;
            }
            if began.elapsed() > PATIENCE {
                let _gone = child.kill();
                panic!("it did not end within {PATIENCE:?}");
            }
            breathe();
        };
        let text = |thread: std::thread::JoinHandle<Vec<u8>>| thread.join().expect("a reader");
        Outcome::of(&Output { status, stdout: text(out), stderr: text(err) })
    }
}

fn reader(stream: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut bytes).expect("output");
        }
        bytes
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// Gives way to others while a condition is waited for.
fn breathe() {
    std::thread::park_timeout(Duration::from_millis(20));
}

/// Waits until something is so, a minute at most.
#[track_caller]
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    wait_for(PATIENCE, what, &mut so);
}

/// Waits until something is so, with a bound of one's own.
#[track_caller]
pub fn wait_for(bound: Duration, what: &str, so: &mut dyn FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < bound, "waited {bound:?} in vain: {what}");
        breathe();
    }
}

/// Runs another program and demands that it succeeds; gives its standard output.
#[track_caller]
pub fn tool(program: &str, arguments: &[&OsStr], folder: &Path) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .output()
        .unwrap_or_else(|error| panic!("`{program}` is needed: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs a shell script in a folder and gives what it printed.
#[track_caller]
pub fn sh(script: &str, folder: &Path) -> String {
    let out = tool("sh", &[OsStr::new("-euc"), OsStr::new(script)], folder);
    String::from_utf8(out).expect("text")
}

/// Sets a file's mode.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// Reads a text.
#[track_caller]
pub fn text(path: &Path) -> String {
    match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// Counts the rows of `orders`.
#[track_caller]
pub fn rows(database: &Path) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(database, flags).expect("a database");
    database.query_row("select count(*) from orders", [], |row| row.get(0)).expect("a count")
}

/// Something that differs when a file's bytes differ.
fn fingerprint(path: &Path) -> String {
    let bytes = fs::read(path).expect("a file");
    format!("{} bytes, {:08x}", bytes.len(), crc32fast::hash(&bytes))
}

/// Demands that two pictures are the same, and shows only what differs.
#[track_caller]
pub fn assert_same(before: &[String], after: &[String]) {
    let gone: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(gone.is_empty() && new.is_empty(), "gone: {gone:#?}\nnew: {new:#?}");
}

/// Everything below a folder, one line each: path, kind, mode, owner, size, times of change of data and of inode, link
/// target, and what is in it.
pub fn picture(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        let Ok(status) = fs::symlink_metadata(&path) else { continue };
        let content = if status.is_file() {
            fingerprint(&path)
        } else if status.is_symlink() {
            fs::read_link(&path).expect("a link").display().to_string()
        } else {
            String::new()
        };
        lines.push(format!(
            "{} {:o} {}:{} {} {}.{} {}.{} {content}",
            path.display(),
            status.mode(),
            status.uid(),
            status.gid(),
            status.len(),
            status.mtime(),
            status.mtime_nsec(),
            status.ctime(),
            status.ctime_nsec(),
        ));
        if status.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
    }
    lines.sort();
    lines
}

/// The names, modes, link targets and contents below a folder, without the folder's own place: what a restore has to
/// give back.
pub fn contents(folder: &Path) -> Vec<String> {
    let prefix = folder.display().to_string();
    let mut lines = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        let status = fs::symlink_metadata(&path).expect("a status");
        let content = if status.is_file() {
            fingerprint(&path)
        } else if status.is_symlink() {
            fs::read_link(&path).expect("a link").display().to_string()
        } else {
            String::new()
        };
        let name = path.display().to_string().replacen(&prefix, "", 1);
        lines.push(format!(
            "{name} {:o} {}.{} {content}",
            status.mode(),
            status.mtime(),
            status.mtime_nsec()
        ));
        if status.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
    }
    lines.sort();
    lines
}

/// Changes one byte of a file in its middle.
pub fn flip_byte(path: &Path) {
    let mut bytes = fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::write(path, bytes).expect("a file");
}
