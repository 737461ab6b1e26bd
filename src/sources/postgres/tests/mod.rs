//! The archive reader against a real archive of `pg_dump` 15 (`-Fc -Z0`): tables a (20 rows), b (none), c (1 row), and two
//! large objects, one of them empty.

use super::archive::ArchiveReader;
use super::toc::{ArchiveError, Entry};
use proptest::prelude::*;
use std::collections::BTreeMap;

const SMALL: &[u8] = include_bytes!("small.dump");

/// Reads the archive in pieces; the rows of each table, and the kinds of its entries.
fn read(bytes: &[u8], piece: usize) -> Result<(BTreeMap<String, u64>, Vec<String>), ArchiveError> {
    let mut reader = ArchiveReader::default();
    let mut kinds = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.feed(piece, &mut |entry: Entry| kinds.push(entry.kind))?;
    }
    Ok((reader.end()?, kinds))
}

#[test]
fn rows_of_every_table_are_counted_however_the_bytes_come() {
    let (rows, kinds) = read(SMALL, SMALL.len()).expect("whole");
    let expected = [("public.a", 20), ("public.b", 0), ("public.c", 1)];
    assert_eq!(rows, expected.map(|(table, rows)| (table.to_owned(), rows)).into());
    for kind in ["DATABASE", "TABLE", "TABLE DATA", "BLOBS"] {
        assert!(kinds.iter().any(|it| it == kind), "{kind}");
    }
    for piece in [1, 2, 3, 5, 6, 7, 64, 1000] {
        assert_eq!(read(SMALL, piece).expect("whole"), (rows.clone(), kinds.clone()), "pieces of {piece}");
    }
}

#[test]
fn archive_that_was_cut_anywhere_is_not_whole() {
    for length in 0..SMALL.len() {
        let cut = read(&SMALL[..length], 4096);
        assert!(cut.is_err(), "cut to {length} of {} bytes", SMALL.len());
    }
}

#[test]
fn bytes_after_the_last_block_are_no_archive() {
    for more in [&b"x"[..], b"\x01\x00\x00\x00\x00\x00", b"\x00"] {
        let longer = [SMALL, more].concat();
        assert!(read(&longer, longer.len()).is_err(), "{more:?}");
    }
}

#[test]
fn block_that_is_missing_between_two_others_is_named() {
    // The data of table b: its block's mark, number, end mark of COPY in one piece, and end.
    let at = SMALL.windows(5).position(|it| it == b"\\.\n\n\n").expect("the end of table a");
    let after_a = at + 5 + 5;
    let block_b = 6 + 5 + 5 + 5;
    let cut = [&SMALL[..after_a], &SMALL[after_a + block_b..]].concat();
    let error = read(&cut, cut.len()).expect_err("table b is missing");
    assert!(error.to_string().contains("before TABLE DATA public.b"), "{error}");
}

#[test]
fn later_format_is_unknown_and_never_read_as_a_known_one() {
    let mut later = SMALL.to_vec();
    later[6] = 17;
    assert_eq!(read(&later, 100).expect_err("1.17"), ArchiveError::Unknown { minor: 17 });
    assert_eq!(read(b"-- a plain dump\n", 100).expect_err("SQL"), ArchiveError::Foreign);
}

proptest! {
    #[test]
    fn damaged_archive_never_panics(at in 0..SMALL.len(), value: u8, piece in 1..4000_usize) {
        let mut bytes = SMALL.to_vec();
        bytes[at] = value;
        let _either = read(&bytes, piece);
    }
}

#[test]
fn documented_lock_wait_is_the_one_that_holds() {
    let docs = include_str!("../../../../docs/PLAN.md");
    let line = docs.lines().find(|line| line.starts_with("| `lock_wait` | how long a dump waits"));
    let said = format!("| `{}s` |", super::LOCK_WAIT.as_secs());
    assert!(line.is_some_and(|line| line.ends_with(&said)), "{line:?} does not say {said}");
}
