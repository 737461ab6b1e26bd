//! What is seen without opening a database.

use super::*;

#[test]
fn missing_file_is_an_error_everywhere_and_is_never_created() {
    let folder = folder();
    let (there, gone) = (folder.path().join("a.db"), folder.path().join("gone.db"));
    drop(database(&there, "delete"));
    let source = source_of(&[("a", &there), ("gone", &gone)]);
    let names_it =
        |error: SourceError| matches!(error, SourceError::Missing { object } if object.ends_with("gone.db"));
    assert!(source.enumerate(&RealHost).is_err_and(names_it));
    assert!(read_all(&source, "gone").is_err_and(names_it));
    let observed = source.observe(&RealHost);
    let diagnostic = observed.unknown().expect("a set whose source is gone is not empty");
    assert!(diagnostic.what.contains("gone.db") && diagnostic.fix.is_some());
    let unmet: Vec<_> =
        source.requirements(&RealHost).into_iter().filter(|one| one.unmet.is_some()).collect();
    assert!(matches!(unmet.as_slice(), [one] if one.kind == "readable" && one.object.ends_with("gone.db")));
    assert!(copy_database(&gone, &folder.path().join("copy"), Duration::from_secs(1)).is_err());
    assert!(!gone.exists());
}

#[test]
fn observing_gives_sizes_and_opens_nothing() {
    let folder = folder();
    let path = folder.path().join("a.db");
    drop(database(&path, "wal"));
    let source = source_of(&[("a", &path)]);
    let size = std::fs::metadata(&path).expect("is there").len();
    let members = source.observe(&RealHost);
    assert_eq!(members.present().expect("present")[0].size_bytes, Some(size));
    let kinds: Vec<_> = source.requirements(&RealHost).into_iter().map(|one| (one.kind, one.unmet)).collect();
    assert_eq!(kinds, [("readable".to_owned(), None), ("writable".to_owned(), None)]);
    assert_eq!(source.scratch_bytes(&RealHost), size);
    assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1, "no -wal, no -shm");
}

#[test]
fn file_that_is_no_database_is_refused_with_its_reason() {
    let folder = folder();
    let cases: [(&str, &[u8], &str); 4] = [
        ("empty", b"", "0 bytes"),
        ("garbage", &[7; 5000], "encrypted"),
        ("stump", b"SQLite format 3\0....", "100 bytes"),
        ("text", b"SQLite format 2", "not an SQLite database"),
    ];
    for (name, content, expected) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("writes");
        let error = read_all(&source_of(&[("db", &path)]), "db").expect_err(name);
        assert!(reason(&error).contains(expected), "{name}: {error}");
    }
    let error = read_all(&source_of(&[("db", folder.path())]), "db").expect_err("a folder");
    assert!(reason(&error).contains("not a file"));
}

#[test]
fn discovery_finds_databases_by_their_first_bytes_and_follows_no_links() {
    let folder = folder();
    let deep = folder.path().join("x/y");
    std::fs::create_dir_all(&deep).expect("creates");
    drop(database(&deep.join("no-extension"), "wal"));
    std::fs::write(folder.path().join("empty.db"), "").expect("writes");
    std::fs::write(folder.path().join("text.db"), "SQLite format 2 and more").expect("writes");
    std::os::unix::fs::symlink(deep.join("no-extension"), folder.path().join("link.db")).expect("links");
    std::os::unix::fs::symlink(folder.path(), deep.join("loop")).expect("links");
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    let found = discover(&RealHost, folder.path());
    let objects: Vec<_> = found.present().expect("present").iter().map(|one| one.object.as_str()).collect();
    assert_eq!(objects, [deep.join("no-extension").to_string_lossy()]);
    assert_eq!(discover(&RealHost, &folder.path().join("nowhere")), Observed::Absent);
}

/// Runs one test of this binary again as another user, without privileges, with a folder handed on.
fn again_as_nobody(test: &str, folder: &Path) {
    // The build folder may be closed to others.
    let binary = folder.join("binary");
    std::fs::copy(std::env::current_exe().expect("runs"), &binary).expect("copies");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&binary)
        .args(["--exact", &format!("sources::sqlite::tests::looking::{test}")])
        .env("BKP_TEST_FOLDER", folder)
        .output()
        .expect("setpriv runs; this test needs root");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

#[test]
fn another_users_databases_are_denied_and_the_remedy_is_named() {
    if let Ok(folder) = std::env::var("BKP_TEST_FOLDER") {
        return as_nobody(Path::new(&folder));
    }
    let folder = folder();
    let permit = |path: &Path, bits| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).expect("a mode");
    };
    drop(database(&folder.path().join("secret.db"), "delete"));
    permit(&folder.path().join("secret.db"), 0o600);
    for (name, journal_mode) in [("log.db", "wal"), ("plain.db", "delete")] {
        drop(database(&folder.path().join(name), journal_mode));
        permit(&folder.path().join(name), 0o644);
    }
    std::fs::create_dir(folder.path().join("closed")).expect("creates");
    permit(&folder.path().join("closed"), 0o700);
    permit(folder.path(), 0o755);
    again_as_nobody("another_users_databases_are_denied_and_the_remedy_is_named", folder.path());
}

/// The half of the test above that runs without privileges.
fn as_nobody(folder: &Path) {
    let unmet = |path: &Path| -> Vec<_> {
        let requirements = source_of(&[("db", path)]).requirements(&RealHost);
        requirements.into_iter().filter(|one| one.unmet.is_some()).map(|one| one.kind).collect()
    };
    let secret = folder.join("secret.db");
    let refused = read_all(&source_of(&[("db", &secret)]), "db");
    assert!(matches!(refused, Err(SourceError::Denied { .. })));
    assert_eq!(unmet(&secret), ["readable"]);

    let log = folder.join("log.db");
    assert_eq!(unmet(&log), ["writable"]);
    let error = read_all(&source_of(&[("db", &log)]), "db").expect_err("its folder cannot be written");
    assert!(reason(&error).contains("WAL"), "{error}");

    let plain = folder.join("plain.db");
    assert!(unmet(&plain).is_empty());
    let (_, complete) = read_all(&source_of(&[("db", &plain)]), "db").expect("reading is enough");
    assert_eq!(complete.counts().0["table:ledger"], 200);

    let found = discover(&RealHost, folder);
    assert!(found.unknown().expect("not all could be looked at").what.contains(&*folder.to_string_lossy()));
    let gone = source_of(&[("db", &folder.join("closed/any.db"))]).enumerate(&RealHost);
    assert!(matches!(gone, Err(SourceError::Denied { .. })), "what cannot be looked at is not missing");
}

#[test]
fn folders_too_deep_to_be_searched_make_the_answer_unknown() {
    let folder = folder();
    let mut deep = folder.path().to_path_buf();
    deep.extend(std::iter::repeat_n("d", 33));
    std::fs::create_dir_all(&deep).expect("creates");
    assert!(discover(&RealHost, folder.path()).unknown().is_some());
    std::fs::remove_dir(&deep).expect("removes");
    assert_eq!(discover(&RealHost, folder.path()), Observed::Present(Vec::new()));
}
