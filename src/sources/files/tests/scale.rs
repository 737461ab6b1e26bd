//! Many entries and large files in constant memory.

use super::*;

/// Peak resident memory of this process in KiB (proc(5)), after it was set back.
fn peak_kib() -> u64 {
    let status = crate::host::read_text(&RealHost, Path::new("/proc/self/status")).expect("proc is mounted");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux has it");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

fn entries_of(count: usize) -> Bed {
    let bed = Bed::new();
    for folder in 0..count / 100 {
        for file in 0..100 {
            bed.write(format!("{folder}/{file}"), "x");
        }
    }
    bed
}

/// Counts a stream's bytes and forgets them.
fn swallow(mut stream: Box<dyn SourceStream>) -> (u64, Complete) {
    let bytes = std::io::copy(&mut stream, &mut std::io::sink()).expect("it is read");
    (bytes, stream.finish().expect("it is complete"))
}

/// Runs a test of this file in a process of its own, which says what its peak was.
fn peak_of(test: &str, size: usize) -> u64 {
    let room = tempfile::tempdir().expect("a folder");
    let answer = room.path().join("answer");
    tool([
        "env".to_owned(),
        format!("BKP_TEST_SIZE={size}"),
        format!("BKP_TEST_ANSWER={}", answer.display()),
        std::env::current_exe().expect("this binary").display().to_string(),
        "--exact".to_owned(),
        format!("sources::files::tests::scale::{test}"),
    ]);
    std::fs::read_to_string(answer).expect("an answer").parse().expect("a number")
}

/// The size that the parent process asks for; none when the test runs by itself.
fn asked_size() -> Option<usize> {
    RealHost.env("BKP_TEST_SIZE").map(|size| size.parse().expect("a number"))
}

fn answer() {
    std::fs::write(RealHost.env("BKP_TEST_ANSWER").expect("a path"), peak_kib().to_string()).expect("room");
}

#[test]
fn hundred_thousand_entries_take_no_more_memory_than_a_hundred() {
    if let Some(count) = asked_size() {
        swallow(entries_of(count).open().expect("a stream"));
        return answer();
    }
    let peak = |count| peak_of("hundred_thousand_entries_take_no_more_memory_than_a_hundred", count);
    let (few, many) = (peak(100), peak(100_000));
    assert!(many < few + 8192, "{few} KiB for 100 entries, {many} KiB for 100,000");
}

#[test]
fn drill_of_many_entries_takes_no_more_memory_than_of_a_few() {
    if let Some(count) = asked_size() {
        let bed = entries_of(count);
        let archive = bed.room().join("archive");
        let mut stream = bed.open().expect("a stream");
        std::io::copy(&mut stream, &mut std::fs::File::create(&archive).expect("room")).expect("it is read");
        let complete = stream.finish().expect("it is complete");
        let mut body = std::fs::File::open(&archive).expect("ours");
        let mut index = complete.index().expect("files have one").reopen().expect("ours");
        let artifact =
            Artifact { member: "docs", body: &mut body, index: Some(&mut index), counts: complete.counts() };
        let counts = FilesRestorer.drill(artifact, &bed.folder("drill")).expect("it restores");
        assert_eq!(counts, *complete.counts());
        return answer();
    }
    let peak = |count| peak_of("drill_of_many_entries_takes_no_more_memory_than_of_a_few", count);
    let (few, many) = (peak(100), peak(20_000));
    assert!(many < few + 8192, "{few} KiB for 100 entries, {many} KiB for 20,000");
}

#[test]
fn large_file_takes_no_more_memory_than_a_small_one() {
    if let Some(size) = asked_size() {
        let bed = Bed::new();
        let file = std::fs::File::create(bed.at("file")).expect("a file");
        for part in 0..size {
            std::os::unix::fs::FileExt::write_all_at(&file, &[1; 4096], part as u64 * 4096).expect("room");
        }
        let (bytes, _) = swallow(bed.open().expect("a stream"));
        assert!(bytes > size as u64 * 4096);
        return answer();
    }
    let peak = |size| peak_of("large_file_takes_no_more_memory_than_a_small_one", size);
    let (small, large) = (peak(1), peak(65_536));
    assert!(large < small + 8192, "{small} KiB for 4 KiB, {large} KiB for 256 MiB");
}
