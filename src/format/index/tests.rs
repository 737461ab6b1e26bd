//! What an index gives back, and what of it is damage.

use super::*;

fn entry(path: &[u8]) -> IndexEntry {
    IndexEntry {
        path: PathBuf::from(OsString::from_vec(path.to_vec())),
        kind: EntryKind::File,
        size_bytes: 3,
        sha256: Some(Digest::of(b"abc")),
        mode: 0o4755,
        uid: 1,
        gid: 2,
        modified: EntryTime { seconds: -2, nanoseconds: 500_000_000 },
        target: None,
        device: None,
        xattrs: BTreeMap::from([("user.x".to_owned(), Digest::of(b"y"))]),
    }
}

#[test]
fn entries_come_back_in_order_with_any_byte_in_a_name() {
    let entries = [entry(b"srv/plain"), entry(b"srv/line\nbreak"), entry(b"srv/\xff\xfe")];
    let mut writer = IndexWriter::new(Vec::new()).expect("memory");
    for entry in &entries {
        writer.write(entry.clone()).expect("memory");
    }
    let bytes = writer.finish().expect("memory");
    let read: Vec<_> = IndexReader::new(&bytes[..]).collect::<Result<_, _>>().expect("an index");
    assert_eq!(read, entries);
}

#[test]
fn truncated_index_is_an_error_and_not_a_short_list() {
    let mut writer = IndexWriter::new(Vec::new()).expect("memory");
    writer.write(entry(b"a")).expect("memory");
    let bytes = writer.finish().expect("memory");
    assert!(IndexReader::new(&bytes[..bytes.len() - 1]).any(|entry| entry.is_err()));
    assert!(IndexReader::new(&b""[..]).any(|entry| entry.is_err()));
}

#[test]
fn later_format_is_refused_by_number() {
    let error = IndexReader::new(&b"{\"format\":2}\n"[..]).next().expect("an item").expect_err("too new");
    assert!(matches!(error, IndexError::TooNew { found: 2 }));
}

#[test]
fn times_have_one_spelling() {
    for (seconds, nanoseconds, text) in [
        (0, 0, "0.000000000"),
        (1_700_000_000, 123_456_789, "1700000000.123456789"),
        (-2, 500_000_000, "-1.500000000"),
        (-1, 500_000_000, "-0.500000000"),
        (i64::MAX, 999_999_999, "9223372036854775807.999999999"),
    ] {
        let time = EntryTime { seconds, nanoseconds };
        assert_eq!(time.to_string(), text);
        assert_eq!(text.parse(), Ok(time));
    }
    for text in ["1", "1.5", "01.000000000", "+1.000000000", "1.0000000000", "-0.000000000", "a.000000000"] {
        assert!(text.parse::<EntryTime>().is_err(), "{text}");
    }
}
