//! Drills and restores.

use super::*;

fn restore(member: &str, bytes: &[u8], to: &Path) -> Result<Counts, RestoreError> {
    let mut body = bytes;
    let counts = Counts::default();
    let mut artifact = Artifact { member, body: &mut body, index: None, counts: &counts };
    SqliteRestorer.restore(&mut artifact, &Target { folder: to.to_path_buf(), include: Vec::new() })
}

#[test]
fn drill_refuses_what_is_not_the_whole_database() {
    let folder = folder();
    let path = folder.path().join("a.db");
    drop(database(&path, "wal"));
    let (bytes, complete) = read_all(&source_of(&[("db", &path)]), "db").expect("backs up");
    let longer = [bytes.as_slice(), b"more"].concat();
    let pages = bytes.len() / 4096;
    let cuts = [0, 1, 50, 100, 4096, (pages - 1) * 4096, bytes.len() - 1];
    let damaged = cuts.iter().map(|cut| &bytes[..*cut]).chain([longer.as_slice(), &[9; 9000][..]]);
    for body in damaged {
        let outcome = drill(body, complete.counts());
        assert!(matches!(outcome, Err(RestoreError::Damaged { .. })), "{} bytes pass", body.len());
    }
}

#[test]
fn restore_gives_files_and_never_touches_what_is_there() {
    let folder = folder();
    let path = folder.path().join("a.db");
    drop(database(&path, "wal"));
    let (bytes, complete) = read_all(&source_of(&[("db", &path)]), "db").expect("backs up");
    let target = folder.path().join("new/place");
    for name in ["one", "../Two"] {
        assert_eq!(&restore(name, &bytes, &target).expect("restores"), complete.counts());
    }
    assert!(std::fs::read(target.join("one.db")).expect("is there") == bytes);
    assert!(target.join("..%2F%54wo.db").exists() || target.join("%2E.%2F%54wo.db").exists());

    std::fs::write(target.join("mine.db"), "precious").expect("writes");
    assert!(matches!(restore("mine", &bytes, &target), Err(RestoreError::Target { .. })));
    assert_eq!(std::fs::read_to_string(target.join("mine.db")).expect("is there"), "precious");

    std::fs::write(target.join("old.db-wal"), "somebody else's log").expect("writes");
    assert!(matches!(restore("old", &bytes, &target), Err(RestoreError::Target { .. })));
    assert!(!target.join("old.db").exists());

    assert!(matches!(restore("cut", &bytes[..5000], &target), Err(RestoreError::Damaged { .. })));
    assert!(!target.join("cut.db").exists(), "what is damaged does not stay");
}
