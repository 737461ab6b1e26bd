//! Restoring a part, and archives that want to lead out of the target.

use super::super::header::EntryHeader;
use super::super::node::Xattrs;
use super::*;
use crate::format::{EntryKind, EntryTime};
use std::os::unix::fs::PermissionsExt;

fn entry(path: &str, kind: EntryKind, target: &str, content: &[u8]) -> Vec<u8> {
    let header = EntryHeader {
        path: path.as_bytes().to_vec(),
        kind,
        body_bytes: content.len() as u64,
        sparse_size: None,
        mode: 0o644,
        uid: 0,
        gid: 0,
        user: String::new(),
        group: String::new(),
        modified: EntryTime { seconds: 1, nanoseconds: 0 },
        target: target.as_bytes().to_vec(),
        device: None,
        xattrs: Xattrs::new(),
    };
    let mut bytes = header.encode();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

/// Restores a hostile archive beside a file that must stay as it is.
fn refused(entries: &[Vec<u8>]) -> RestoreError {
    let bed = Bed::new();
    let victim = bed.write("victim", "untouched");
    let target = bed.folder("target");
    let bytes = archive(entries);
    let result = restore_to(&bytes, None, &target, &[]);
    assert_eq!(std::fs::read(&victim).expect("it is there"), b"untouched");
    assert_eq!(RealHost.list_dir(bed.room()).expect("the room").len(), 3, "something was written outside");
    let drilled = bed.drill_bytes(&bytes, b"{\"format\":1}\n");
    assert!(drilled.is_err());
    result.expect_err("it was restored")
}

#[test]
fn names_that_climb_or_are_absolute_are_refused() {
    let file = |path: &str| entry(path, EntryKind::File, "", b"evil");
    for path in ["../tree/victim", "a/../../tree/victim", "..", "/tmp/evil", "a/.."] {
        assert!(matches!(refused(&[file(path)]), RestoreError::Escapes { .. }), "{path}");
    }
    for path in ["./x", "a//b", "a/./b"] {
        assert!(matches!(refused(&[file(path)]), RestoreError::Damaged { .. }), "{path}");
    }
}

#[test]
fn nothing_is_written_through_a_symbolic_link() {
    for target in ["../tree", "/tmp", "."] {
        let link = entry("way", EntryKind::Symlink, target, b"");
        let error = refused(&[link.clone(), entry("way/victim", EntryKind::File, "", b"evil")]);
        assert!(matches!(error, RestoreError::Escapes { .. }), "{error:?}");
        let error = refused(&[link.clone(), entry("way", EntryKind::File, "", b"evil")]);
        assert!(matches!(error, RestoreError::Damaged { .. }), "{error:?}");
        let error = refused(&[link.clone(), entry("way", EntryKind::Folder, "", b"")]);
        assert!(matches!(error, RestoreError::Damaged { .. }), "{error:?}");
        let error = refused(&[link, entry("way/sub", EntryKind::Folder, "", b"")]);
        assert!(matches!(error, RestoreError::Escapes { .. }), "{error:?}");
    }
}

#[test]
fn hard_links_lead_only_to_what_was_restored_before() {
    for target in ["../tree/victim", "/etc/passwd", "a/../../tree/victim"] {
        let error = refused(&[entry("x", EntryKind::HardLink, target, b"")]);
        assert!(matches!(error, RestoreError::Escapes { .. }), "{error:?}");
    }
    let error = refused(&[entry("x", EntryKind::HardLink, "nothing", b"")]);
    assert!(matches!(error, RestoreError::Damaged { .. }), "{error:?}");
    let way = entry("way", EntryKind::Symlink, "../tree", b"");
    let error = refused(&[way, entry("x", EntryKind::HardLink, "way/victim", b"")]);
    assert!(matches!(error, RestoreError::Escapes { .. }), "{error:?}");
}

#[test]
fn hard_link_to_a_symbolic_link_is_not_written_through() {
    let entries = [
        entry("way", EntryKind::Symlink, "../tree/victim", b""),
        entry("x", EntryKind::HardLink, "way", b""),
        entry("x", EntryKind::File, "", b"evil"),
    ];
    assert!(matches!(refused(&entries), RestoreError::Damaged { .. }));
}

#[test]
fn entry_that_comes_twice_with_something_between_is_refused() {
    let one = entry("a", EntryKind::File, "", b"1");
    let between = entry("b", EntryKind::File, "", b"2");
    assert!(matches!(refused(&[one.clone(), between, one]), RestoreError::Damaged { .. }));
}

#[test]
fn target_that_holds_anything_is_refused_and_stays() {
    let bed = Bed::new();
    bed.write("kept", "kept");
    let bytes = archive(&[entry("a", EntryKind::File, "", b"1")]);
    let result = restore_to(&bytes, None, &bed.tree(), &[]);
    assert!(matches!(result, Err(RestoreError::TargetNotEmpty { .. })));
    let result = restore_to(&bytes, None, &bed.at("kept"), &[]);
    assert!(matches!(result, Err(RestoreError::TargetNotEmpty { .. })));
    assert_eq!(std::fs::read(bed.at("kept")).expect("it is there"), b"kept");
}

#[test]
fn new_target_is_private() {
    let bed = Bed::new();
    let target = bed.room().join("new/deeper");
    restore_to(&archive(&[entry("a", EntryKind::File, "", b"1")]), None, &target, &[]).expect("it restores");
    let mode = std::fs::metadata(&target).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn include_takes_a_folder_whole_and_says_when_nothing_matches() {
    let bed = Bed::new();
    for name in ["a/1.txt", "a/2.json", "b/3.txt"] {
        bed.write(name, name);
    }
    let made = bed.back_up().expect("a backup");
    let tree = bed.tree().display().to_string();
    let count = |include: &[&str]| bed.restore(&made.archive, include).1.map(|counts| counts.0["files"]);
    assert_eq!(count(&[&format!("{tree}/a")]).expect("a part"), 2);
    assert_eq!(count(&[&format!("{}/a/*.txt", &tree[1..])]).expect("a part"), 1);
    assert_eq!(count(&["**/*.txt"]).expect("a part"), 2);
    assert_eq!(count(&[&tree]).expect("all"), 3);
    for include in ["**/*.xml", "["] {
        assert!(matches!(count(&["**/a", include]), Err(RestoreError::Fetch { .. })), "{include}");
    }
}

#[test]
fn hard_link_that_is_wanted_without_its_first_name_gets_the_content() {
    let bed = Bed::new();
    bed.write("a/first", "shared");
    for name in ["second", "third"] {
        std::fs::hard_link(bed.at("a/first"), bed.at(name)).expect("a link");
    }
    let made = bed.back_up().expect("a backup");
    let folder = bed.room().join("part");
    let counts =
        restore_to(&made.archive, Some(&made.index()), &folder, &["**/second", "**/third"]).expect("a part");
    assert_eq!((counts.0["files"], counts.0["links"], counts.0["entries"]), (1, 1, 2));
    for name in ["second", "third"] {
        let place = folder.join(bed.at(name).strip_prefix("/").expect("absolute"));
        assert_eq!(std::fs::read(place).expect("restored"), b"shared");
    }
    let (_, without) = bed.restore(&made.archive, &["**/second"]);
    assert!(matches!(without, Err(RestoreError::Damaged { .. })));
}
