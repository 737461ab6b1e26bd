//! Damaged archives and indexes: never a drill that passes.

use super::*;

fn small() -> (Bed, Made) {
    let bed = Bed::new();
    bed.write("a", "content of a");
    bed.write("folder/b", "content of b");
    std::os::unix::fs::symlink("a", bed.at("link")).expect("a link");
    std::fs::hard_link(bed.at("a"), bed.at("second")).expect("a link");
    let file = std::fs::File::create(bed.at("sparse")).expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, b"x", 200 << 10).expect("room");
    file.set_len(400 << 10).expect("room");
    tool([
        "setfattr".as_ref(),
        "-n".as_ref(),
        "user.x".as_ref(),
        "-v".as_ref(),
        "value".as_ref(),
        bed.at("a").as_os_str(),
    ]);
    let made = bed.back_up().expect("a backup");
    bed.drill(&made).expect("it restores");
    (bed, made)
}

#[test]
fn archive_truncated_at_any_block_is_damaged() {
    let (bed, made) = small();
    let index = made.index();
    assert_eq!(made.archive.len() % 512, 0);
    for blocks in 0..made.archive.len() / 512 {
        let drilled = bed.drill_bytes(&made.archive[..blocks * 512], &index);
        assert!(matches!(drilled, Err(RestoreError::Damaged { .. })), "{blocks}: {drilled:?}");
    }
    let drilled = bed.drill_bytes(&made.archive[..made.archive.len() - 1], &index);
    assert!(matches!(drilled, Err(RestoreError::Damaged { .. })));
}

#[test]
fn flipped_bit_anywhere_is_found() {
    let (bed, made) = small();
    let index = made.index();
    let mut archive = made.archive.clone();
    // Zeros are padding, which lies in runs: some of each run stand for the others.
    let wanted = |at: &usize| made.archive[*at] != 0 || at.is_multiple_of(37) || made.archive[*at - 1] != 0;
    for at in (0..archive.len()).filter(wanted) {
        let bit = 1 << (at % 8);
        archive[at] ^= bit;
        let drilled = bed.drill_bytes(&archive, &index);
        archive[at] ^= bit;
        let found = matches!(
            drilled,
            Err(RestoreError::Damaged { .. } | RestoreError::Differs { .. } | RestoreError::Escapes { .. })
        );
        let block = String::from_utf8_lossy(&archive[at / 512 * 512..][..512]).replace('\0', "");
        assert!(found, "byte {at}, bit {bit}: {drilled:?} in {block}");
    }
}

#[test]
fn damaged_index_is_found() {
    let (bed, made) = small();
    let index = made.index();
    for length in (0..index.len()).rev().step_by(11) {
        assert!(bed.drill_bytes(&made.archive, &index[..length]).is_err(), "{length} bytes of the index");
    }
    let text = String::from_utf8(index).expect("plain names");
    for (from, to) in
        [("\"size\":12", "\"size\":13"), ("0644", "0600"), ("\"target\":\"a\"", "\"target\":\"b\"")]
    {
        assert!(text.contains(from), "{from} in {text}");
        let drilled = bed.drill_bytes(&made.archive, text.replacen(from, to, 1).as_bytes());
        assert!(matches!(drilled, Err(RestoreError::Differs { .. })), "{from}: {drilled:?}");
    }
}

#[test]
fn missing_and_extra_entries_are_named() {
    let (bed, made) = small();
    std::fs::remove_file(bed.at("folder/b")).expect("ours");
    let less = bed.back_up().expect("a backup");
    let Err(RestoreError::Differs { reason, .. }) = bed.drill_bytes(&less.archive, &made.index()) else {
        panic!("nothing was missed")
    };
    assert!(reason.contains("folder/b` is missing"), "{reason}");
    let Err(RestoreError::Differs { reason, .. }) = bed.drill_bytes(&made.archive, &less.index()) else {
        panic!("nothing was too much")
    };
    assert!(reason.contains("folder/b` is not in the index"), "{reason}");
}

#[test]
fn bytes_after_the_end_blocks_are_damage() {
    let (bed, made) = small();
    let longer = [&made.archive[..], b"x"].concat();
    assert!(matches!(bed.drill_bytes(&longer, &made.index()), Err(RestoreError::Damaged { .. })));
}

#[test]
fn artifact_without_an_index_cannot_be_drilled() {
    let (bed, made) = small();
    let mut body = &made.archive[..];
    let artifact = Artifact { member: "docs", body: &mut body, index: None, counts: &Counts::default() };
    let scratch = bed.folder("drill");
    assert!(matches!(FilesRestorer.drill(artifact, &scratch), Err(RestoreError::Damaged { .. })));
}
