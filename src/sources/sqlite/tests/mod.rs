//! Promises of the `sqlite` source, held against real databases and, for writers, against another process.
#![expect(clippy::disallowed_methods, reason = "the tests make, damage and look at real files")]

mod looking;
mod restoring;
mod writers;

use super::copy::copy_database;
use super::*;
use crate::declared::Span;
use crate::format::Counts;
use crate::host::RealHost;
use crate::sources::{Artifact, Complete, RestoreError, Target};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn source_of(files: &[(&str, &Path)]) -> SqliteSource {
    let files: BTreeMap<_, _> =
        files.iter().map(|(name, path)| ((*name).to_owned(), path.to_path_buf())).collect();
    SqliteSource::new(SqliteDeclaration { files, max_lock: Span::from_seconds(2) })
}

fn member(name: &str) -> Member {
    Member { name: name.into() }
}

/// A database with 200 rows in `ledger`, 1 in `odd "name"`, an index, a view and a trigger.
fn database(path: &Path, mode: &str) -> Connection {
    let connection = Connection::open(path).expect("opens");
    let _mode: String =
        connection.pragma_update_and_check(None, "journal_mode", mode, |row| row.get(0)).expect("a mode");
    connection
        .execute_batch(
            "CREATE TABLE ledger(id INTEGER PRIMARY KEY, note TEXT);
             CREATE INDEX notes ON ledger(note);
             CREATE TABLE \"odd \"\"name\"\"; DROP TABLE ledger; --\"(x);
             CREATE VIEW recent AS SELECT * FROM ledger;
             CREATE TRIGGER stamp AFTER DELETE ON ledger BEGIN SELECT 1; END;
             INSERT INTO \"odd \"\"name\"\"; DROP TABLE ledger; --\" VALUES (1);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
             INSERT INTO ledger SELECT i, printf('note %d %s', i, hex(randomblob(100))) FROM n;",
        )
        .expect("fills");
    connection
}

fn read_all(source: &SqliteSource, name: &str) -> Result<(Vec<u8>, Complete), SourceError> {
    let scratch = folder();
    let mut stream = source.open(&RealHost, &member(name), scratch.path())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the copy is read");
    let complete = stream.finish()?;
    assert_eq!(std::fs::read_dir(scratch.path()).expect("lists").count(), 0, "the copy is removed");
    Ok((bytes, complete))
}

fn drill(bytes: &[u8], counts: &Counts) -> Result<Counts, RestoreError> {
    let scratch = folder();
    let mut body = bytes;
    let mut artifact = Artifact { member: "db", body: &mut body, index: None, counts };
    SqliteRestorer.drill(&mut artifact, scratch.path())
}

fn reason(error: &SourceError) -> &str {
    match error {
        SourceError::Database { reason, .. } => reason,
        other => panic!("not the database's fault: {other}"),
    }
}

#[test]
fn backup_counts_every_table_and_comes_back_in_a_drill() {
    let folder = folder();
    for mode in ["delete", "wal", "truncate", "persist", "memory"] {
        let path = folder.path().join(format!("{mode}.db"));
        drop(database(&path, mode));
        let (bytes, complete) = read_all(&source_of(&[("db", &path)]), "db").expect(mode);
        let counts = &complete.counts().0;
        assert_eq!(counts["table:ledger"], 200, "{mode}");
        assert_eq!(counts["table:odd \"name\"; DROP TABLE ledger; --"], 1);
        let kinds = ["tables", "indexes", "triggers", "views"].map(|kind| counts[kind]);
        assert_eq!(kinds, [2, 1, 1, 1]);
        assert_eq!(bytes[18..20], [1, 1], "one self-contained file");
        assert!(complete.warnings().is_empty() && complete.index().is_none());
        assert_eq!(&drill(&bytes, complete.counts()).expect("restores"), complete.counts());
    }
}

#[test]
fn rows_in_the_log_are_not_lost_and_the_log_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("live.db");
    let live = database(&path, "wal");
    live.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA wal_autocheckpoint = 0;")
        .expect("checkpoints");
    live.execute_batch("INSERT INTO ledger(note) VALUES ('only in the log')").expect("inserts");
    // What a crash leaves: the log's rows, and nobody connected.
    let crashed = folder.path().join("crashed.db");
    std::fs::copy(&path, &crashed).expect("copies");
    std::fs::copy(beside(&path, "-wal"), beside(&crashed, "-wal")).expect("copies");
    let link = folder.path().join("elsewhere");
    std::os::unix::fs::symlink(&crashed, &link).expect("links");
    let before =
        (std::fs::read(&crashed).expect("reads"), std::fs::read(beside(&crashed, "-wal")).expect("reads"));
    for database in [&path, &crashed, &link] {
        let (_, complete) = read_all(&source_of(&[("db", database)]), "db").expect("backs up");
        assert_eq!(complete.counts().0["table:ledger"], 201, "{}", database.display());
    }
    let after =
        (std::fs::read(&crashed).expect("reads"), std::fs::read(beside(&crashed, "-wal")).expect("reads"));
    assert!(before == after, "neither database nor log changes");
    drop(live);
}

#[test]
fn what_opening_makes_belongs_to_the_databases_owner() {
    let folder = folder();
    let (live, crashed) = (folder.path().join("live.db"), folder.path().join("crashed.db"));
    let connection = database(&live, "wal");
    std::fs::copy(&live, &crashed).expect("copies");
    std::fs::copy(beside(&live, "-wal"), beside(&crashed, "-wal")).expect("copies");
    for path in [&crashed, &beside(&crashed, "-wal")] {
        std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).expect("this test needs root");
    }
    read_all(&source_of(&[("db", &crashed)]), "db").expect("backs up");
    let made = RealHost.status(&beside(&crashed, "-shm")).expect("it stays as long as the log does");
    assert_eq!((made.uid, made.gid), (65_534, 65_534));
    drop(connection);
}

#[test]
fn log_that_only_our_connection_made_is_gone_afterwards() {
    let folder = folder();
    let path = folder.path().join("rest.db");
    drop(database(&path, "wal"));
    let before = std::fs::read(&path).expect("reads");
    read_all(&source_of(&[("db", &path)]), "db").expect("backs up");
    assert!(!beside(&path, "-wal").exists() && !beside(&path, "-shm").exists());
    assert!(before == std::fs::read(&path).expect("reads"));
}

#[test]
fn rows_of_a_hot_journal_are_rolled_back() {
    let folder = folder();
    let path = folder.path().join("live.db");
    drop(database(&path, "delete"));
    let script = "import sqlite3,sys,os
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute('PRAGMA cache_size = 1'); c.execute('PRAGMA cache_spill = 1'); c.execute('BEGIN')
for i in range(5000): c.execute('INSERT INTO ledger(note) VALUES (?)', ('uncommitted' * 20,))
os._exit(9)";
    let status = Command::new("python3").args(["-c", script]).arg(&path).status().expect("python3 runs");
    assert_eq!(status.code(), Some(9));
    assert!(beside(&path, "-journal").exists(), "the journal is hot");
    let (_, complete) = read_all(&source_of(&[("db", &path)]), "db").expect("backs up");
    assert_eq!(complete.counts().0["table:ledger"], 200);
}

#[test]
fn damaged_page_is_found_before_anything_is_stored() {
    let folder = folder();
    let path = folder.path().join("bad.db");
    drop(database(&path, "delete"));
    let mut bytes = std::fs::read(&path).expect("reads");
    for page in 3..bytes.len() / 4096 {
        bytes[page * 4096..page * 4096 + 16].fill(0xff);
    }
    std::fs::write(&path, &bytes).expect("writes");
    let error = read_all(&source_of(&[("db", &path)]), "db").expect_err("damaged");
    assert!(reason(&error).contains("damaged"), "{error}");
}

#[test]
fn index_that_misses_rows_is_found() {
    let folder = folder();
    let path = folder.path().join("index.db");
    let connection = database(&path, "delete");
    connection
        .execute_batch(
            "CREATE TABLE other(a, b); CREATE INDEX by_b ON other(b); INSERT INTO other VALUES (1, 2), (3, 4);
             PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = 'CREATE INDEX by_b ON other(a)' WHERE name = 'by_b';",
        )
        .expect("breaks the index");
    drop(connection);
    let error = read_all(&source_of(&[("db", &path)]), "db").expect_err("damaged");
    assert!(reason(&error).contains("by_b"), "{error}");
}

#[test]
fn what_only_the_application_has_is_said_and_does_not_fail_the_backup() {
    let folder = folder();
    let path = folder.path().join("app.db");
    let connection = database(&path, "delete");
    drop(connection);
    let script = "import sqlite3,sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.create_collation('house', lambda a, b: (a < b) - (a > b))
c.create_function('fine', 1, lambda x: 1, deterministic=True)
c.execute('CREATE TABLE sorted(x TEXT COLLATE house)'); c.execute('CREATE INDEX by_house ON sorted(x)')
c.execute('CREATE TABLE checked(x CHECK (fine(x)))')
c.execute('INSERT INTO checked VALUES (1)')
for word in 'abc': c.execute('INSERT INTO sorted VALUES (?)', (word,))
c.execute('PRAGMA writable_schema = ON')
far = 'CREATE VIRTUAL TABLE far USING warp(x)'
c.execute('INSERT INTO sqlite_schema VALUES (?, ?, ?, 0, ?)', ('table', 'far', 'far', far))";
    let status = Command::new("python3").args(["-c", script]).arg(&path).status().expect("python3 runs");
    assert!(status.success());
    let (bytes, complete) = read_all(&source_of(&[("db", &path)]), "db").expect("backs up");
    assert_eq!(complete.counts().0["table:sorted"], 3);
    assert!(!complete.counts().0.contains_key("table:far"));
    assert!(complete.warnings().iter().any(|warning| warning.contains("`far`")), "{:?}", complete.warnings());
    assert_eq!(&drill(&bytes, complete.counts()).expect("restores"), complete.counts());
}

#[test]
fn full_text_and_tree_tables_are_counted() {
    let folder = folder();
    let path = folder.path().join("virtual.db");
    let connection = database(&path, "wal");
    connection
        .execute_batch(
            "CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('one'), ('two');
             CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1); INSERT INTO boxes VALUES (1, 0, 1);",
        )
        .expect("fills");
    drop(connection);
    let (bytes, complete) = read_all(&source_of(&[("db", &path)]), "db").expect("backs up");
    assert_eq!((complete.counts().0["table:words"], complete.counts().0["table:boxes"]), (2, 1));
    assert_eq!(&drill(&bytes, complete.counts()).expect("restores"), complete.counts());
}

#[test]
fn stream_that_is_not_read_to_its_end_is_not_complete() {
    let folder = folder();
    let path = folder.path().join("a.db");
    drop(database(&path, "delete"));
    let mut stream =
        source_of(&[("db", &path)]).open(&RealHost, &member("db"), folder.path()).expect("opens");
    let mut some = [0; 4096];
    stream.read_exact(&mut some).expect("reads");
    let error = stream.finish().expect_err("not at its end");
    assert!(matches!(error, SourceError::Read { .. }));
}

#[test]
fn copy_is_private_and_gone_with_its_stream() {
    let folder = folder();
    let path = folder.path().join("a.db");
    drop(database(&path, "delete"));
    let scratch = folder.path().join("scratch");
    std::fs::create_dir(&scratch).expect("creates");
    let source = source_of(&[("Odd/Name", &path)]);
    let stream = source.open(&RealHost, &member("Odd/Name"), &scratch).expect("opens");
    let copy = scratch.join("%4Fdd%2F%4Eame.db");
    assert_eq!(std::fs::metadata(&copy).expect("is there").permissions().mode() & 0o777, 0o600);
    drop(stream);
    assert!(!copy.exists());
}

#[test]
fn full_scratch_is_the_scratch_folders_fault() {
    let folder = folder();
    let path = folder.path().join("a.db");
    writers::written_database(&path, "delete", 2);
    let scratch = folder.path().join("small");
    std::fs::create_dir(&scratch).expect("creates");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(&scratch)
        .status()
        .expect("mount runs");
    assert!(mounted.success(), "this test needs root");
    let outcome = copy_database(&path, &scratch.join("copy.db"), Duration::from_secs(1));
    assert!(Command::new("umount").arg(&scratch).status().expect("umount runs").success());
    match outcome.expect_err("full") {
        SourceError::Scratch { error, .. } => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
        other => panic!("{other}"),
    }
}
