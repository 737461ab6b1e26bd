//! Writers and locks of another process.

use super::*;
use std::process::{Child, Stdio};

/// A process that keeps `a` and `b` equal in one transaction every 2 ms, and says how often it committed and failed.
struct Writer {
    child: Child,
}

impl Writer {
    fn start(path: &Path, timeout_seconds: u32) -> Self {
        let script = "import sqlite3,sys,time
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=float(sys.argv[2]))
c.execute('PRAGMA synchronous = OFF')
print('ready', flush=True)
done = failed = 0
import select
while not select.select([sys.stdin], [], [], 0.002)[0]:
    try:
        c.execute('BEGIN IMMEDIATE')
        c.execute('UPDATE a SET n = n + 1'); c.execute('UPDATE b SET n = n + 1')
        c.execute('INSERT INTO log_a VALUES (?)', (done,)); c.execute('INSERT INTO log_b VALUES (?)', (done,))
        c.execute('COMMIT'); done += 1
    except sqlite3.OperationalError:
        failed += 1
        if c.in_transaction: c.execute('ROLLBACK')
print(done, failed)";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(path)
            .arg(timeout_seconds.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut ready = [0; 6];
        child.stdout.as_mut().expect("piped").read_exact(&mut ready).expect("the writer starts");
        Self { child }
    }

    /// Commits and failures.
    fn stop(mut self) -> (u64, u64) {
        drop(self.child.stdin.take());
        let output = self.child.wait_with_output().expect("the writer ends");
        let text = String::from_utf8(output.stdout).expect("text");
        let mut numbers = text.split_whitespace().map(|word| word.parse().expect("a number"));
        (numbers.next().expect("commits"), numbers.next().expect("failures"))
    }
}

/// A database of so many MiB with what [`Writer`] writes to.
pub(super) fn written_database(path: &Path, mode: &str, mebibytes: u32) {
    let connection = database(path, mode);
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = OFF;
             CREATE TABLE a(n); CREATE TABLE b(n); INSERT INTO a VALUES (0); INSERT INTO b VALUES (0);
             CREATE TABLE log_a(i); CREATE TABLE log_b(i); CREATE TABLE bulk(x);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {mebibytes})
             INSERT INTO bulk SELECT randomblob(1048000) FROM n;"
        ))
        .expect("fills");
}

fn agrees(path: &Path) -> bool {
    let copy = Connection::open(path).expect("opens");
    let pair = |sql: &str| {
        copy.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).expect("counts")
    };
    let (a, b) = pair("SELECT (SELECT n FROM a), (SELECT n FROM b)");
    let (log_a, log_b) = pair("SELECT (SELECT count(*) FROM log_a), (SELECT count(*) FROM log_b)");
    a == b && log_a == log_b && a == log_a
}

#[test]
fn backup_ends_and_agrees_while_another_process_commits_every_2_ms() {
    for mode in ["wal", "delete"] {
        let folder = folder();
        let path = folder.path().join("busy.db");
        written_database(&path, mode, 60);
        let writer = Writer::start(&path, 10);
        for round in 0..3 {
            let destination = folder.path().join(format!("copy-{round}.db"));
            let copy = copy_database(&path, &destination, Duration::from_secs(5)).expect(mode);
            assert!(agrees(copy.file.path()), "{mode}: the copy is a state that was committed");
        }
        let (commits, failures) = writer.stop();
        assert!(commits > 0 && failures == 0, "{mode}: {commits} commits, {failures} failures");
    }
}

#[test]
fn backup_that_would_lock_writers_out_for_too_long_gives_up() {
    let folder = folder();
    let path = folder.path().join("busy.db");
    written_database(&path, "delete", 60);
    let writer = Writer::start(&path, 10);
    let destination = folder.path().join("copy.db");
    let error = copy_database(&path, &destination, Duration::from_millis(5)).expect_err("gives up");
    let (commits, failures) = writer.stop();
    assert!(reason(&error).contains("max_lock"), "{error}");
    assert!(commits > 0 && failures == 0, "writers go on");
    assert!(!destination.exists(), "an unfinished copy does not stay");
}

#[test]
fn backup_of_a_quiet_database_ends_however_short_the_lock_may_be() {
    let folder = folder();
    let path = folder.path().join("quiet.db");
    written_database(&path, "delete", 60);
    let copy = copy_database(&path, &folder.path().join("copy.db"), Duration::from_millis(1)).expect("ends");
    assert_eq!(copy.checked.counts.0["table:bulk"], 60);
}

#[test]
fn database_that_stays_locked_is_given_up_with_the_remedy() {
    let folder = folder();
    let path = folder.path().join("locked.db");
    drop(database(&path, "delete"));
    let script = "import sqlite3,sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute('BEGIN EXCLUSIVE'); print('ready', flush=True); sys.stdin.read()";
    let mut holder = Command::new("python3")
        .args(["-c", script])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    holder.stdout.as_mut().expect("piped").read_exact(&mut [0; 6]).expect("locks");
    let outcome = copy_database(&path, &folder.path().join("copy.db"), Duration::from_millis(300));
    drop(holder.stdin.take());
    holder.wait().expect("ends");
    assert!(reason(&outcome.expect_err("locked")).contains("locked for longer than `max_lock`"));
}

#[test]
fn looking_at_a_database_does_not_drop_the_locks_of_a_connection() {
    let folder = folder();
    let path = folder.path().join("a.db");
    drop(database(&path, "delete"));
    let (connected, header) = header::Connected::begin(&path).expect("registers");
    let holder = Connection::open(&path).expect("opens");
    holder.execute_batch("BEGIN EXCLUSIVE").expect("locks");
    assert_eq!(header::read_live(&path).expect("known"), header);
    assert!(matches!(discover(&RealHost, folder.path()), Observed::Present(found) if found.len() == 1));
    let script = "import sqlite3,sys
try:
    sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT count(*) FROM ledger'); print('free')
except sqlite3.OperationalError as error: print(error)";
    let output = Command::new("python3").args(["-c", script]).arg(&path).output().expect("python3 runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "database is locked\n");
    drop(holder);
    drop(connected);
}
