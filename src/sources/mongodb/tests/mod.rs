//! The archive, held against one that mongodump itself has written: built from mongo-tools at commit
//! 8fa3cfc8263b9cead37912d7b0447766143c3e3a, run against the stand-in server of `tests/mongodb_stand_in`.

mod words;

use super::archive::{Archive, ArchiveError, ArchiveParser, CollectionKind};
use super::counts::of_archive;

/// A database `shop`: `orders` (3 documents, two indexes, a validator), `empty`, the view `dear`, the time series `heat`.
const SHOP: &[u8] = include_bytes!("shop.archive");

fn parse(bytes: &[u8], step: usize) -> Result<Archive, ArchiveError> {
    let mut parser = ArchiveParser::new("shop");
    for piece in bytes.chunks(step) {
        parser.feed(piece)?;
    }
    parser.finish()
}

#[test]
fn archive_of_mongodump_is_counted_however_it_comes() {
    let whole = parse(SHOP, SHOP.len()).expect("an archive");
    for step in [1, 3, 4, 7, 64] {
        assert_eq!(parse(SHOP, step).expect("the same archive"), whole);
    }
    let counts = of_archive(&whole);
    let count = |name: &str| counts.0.get(name).copied();
    assert_eq!((count("documents orders"), count("indexes orders")), (Some(3), Some(2)));
    assert_eq!((count("documents empty"), count("buckets heat")), (Some(0), Some(2)));
    assert_eq!((count("collections"), count("views")), (Some(2), Some(1)));
    assert_eq!((count("time series"), count("validators")), (Some(1), Some(1)));
    assert_eq!(whole.collections["dear"].kind, CollectionKind::View);
    assert_eq!(whole.documents(), 5);
}

#[test]
fn archive_cut_anywhere_is_never_whole() {
    for length in 0..SHOP.len() {
        let error = parse(&SHOP[..length], 64).expect_err("a part");
        let told = matches!(error, ArchiveError::Truncated { .. } | ArchiveError::Unfinished { .. });
        assert!(told, "{length}: {error}");
    }
}

#[test]
fn flipped_document_is_found_by_its_check_sum() {
    let mut bytes = SHOP.to_vec();
    let at = bytes.windows(7).position(|it| it == b"order 1").expect("a document");
    bytes[at + 6] ^= 1;
    let error = parse(&bytes, 64).expect_err("it was changed");
    assert!(
        matches!(error, ArchiveError::CheckSum { ref namespace, .. } if namespace == "orders"),
        "{error}"
    );
}

#[test]
fn flipped_bit_anywhere_in_the_documents_and_ends_is_found() {
    // The prelude has no check sum; what follows it has.
    let start = SHOP.windows(4).position(|it| it == [0xff; 4]).expect("the prelude's end") + 4;
    for at in start..SHOP.len() {
        let mut bytes = SHOP.to_vec();
        bytes[at] ^= 1;
        // A block's header writes a check sum that nobody reads, and the lengths of keys' names are their own.
        let noticed = parse(&bytes, 64).is_err() || parse(&bytes, 64) == parse(SHOP, 64);
        assert!(noticed, "at {at}");
    }
}

#[test]
fn documents_of_another_database_are_refused() {
    let mut parser = ArchiveParser::new("stock");
    let error = parser.feed(SHOP).expect_err("another database's");
    assert!(error.to_string().contains("of another database, `shop`"), "{error}");
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    assert_eq!(parse(b"PK\x03\x04 and more", 64), Err(ArchiveError::Magic));
    let mut bytes = SHOP[..4].to_vec();
    bytes.extend_from_slice(&[0xff; 4]);
    assert!(matches!(parse(&bytes, 64), Err(ArchiveError::Length { .. })));
}
