//! Files that change, vanish or become something else while they are read.

use super::*;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

fn append(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("it is there");
    file.write_all(bytes).expect("room");
}

/// Backs up while each read of `growing` finds it longer, `times` times.
fn grow(bed: &Bed, times: u32) -> Result<Made, SourceError> {
    let count = AtomicU32::new(0);
    bed.back_up_while(move |moment, path| {
        if moment == Moment::Read && path.ends_with("growing") && count.fetch_add(1, Ordering::SeqCst) < times
        {
            append(path, b"more");
        }
    })
}

#[test]
fn file_that_changed_once_is_read_again_and_the_last_copy_wins() {
    let bed = Bed::new();
    bed.write("growing", "first");
    bed.write("z", "after");
    let made = grow(&bed, 1).expect("a backup");
    assert!(made.complete.warnings().is_empty());
    let entry =
        made.entries().into_iter().find(|entry| entry.path.ends_with("growing")).expect("it is there");
    assert_eq!(entry.sha256, Some(crate::format::Digest::of(b"firstmore")));
    assert_eq!(bed.drill(&made).expect("it restores"), *made.complete.counts());
    let (folder, restored) = bed.restore(&made.archive, &[]);
    restored.expect("it restores");
    let place = folder.join(bed.at("growing").strip_prefix("/").expect("absolute"));
    assert_eq!(std::fs::read(place).expect("restored"), b"firstmore");
}

#[test]
fn file_that_keeps_changing_is_a_warning_or_a_failure_as_the_plan_says() {
    let mut bed = Bed::new();
    bed.write("growing", "first");
    let made = grow(&bed, 9).expect("a backup");
    assert!(made.complete.warnings()[0].contains("3 times"), "{:?}", made.complete.warnings());
    assert_eq!(bed.drill(&made).expect("it restores"), *made.complete.counts());
    bed.declaration.changed = ChangedPolicy::Fail;
    let failed = grow(&bed, 9).map(|_| ());
    assert!(matches!(failed, Err(SourceError::Changed { attempts: 3, .. })));
    assert!(grow(&bed, 2).is_ok());
}

#[test]
fn file_that_shrinks_is_padded_and_read_again() {
    let bed = Bed::new();
    bed.write("shrinking", vec![7; 9 << 20]);
    let path = bed.at("shrinking");
    let mut stream = bed.open().expect("a stream");
    // The thread waits on a full channel in the middle of the file.
    let mut archive = vec![0; 1 << 20];
    stream.read_exact(&mut archive).expect("bytes");
    std::fs::OpenOptions::new().write(true).open(&path).expect("ours").set_len(1000).expect("ours");
    stream.read_to_end(&mut archive).expect("it goes on");
    let complete = stream.finish().expect("a backup");
    let made = Made { archive, complete };
    assert_eq!(bed.drill(&made).expect("it restores"), *made.complete.counts());
    assert_eq!(made.complete.counts().0["bytes"], 1000);
}

#[test]
fn file_written_by_another_thread_all_the_time_restores_to_its_own_digest() {
    let bed = Bed::new();
    let path = bed.write("busy", vec![1; 4 << 20]);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (seen, writer_path) = (stop.clone(), path);
    let writer = std::thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            append(&writer_path, b"line\n");
        }
    });
    let made = bed.back_up();
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("no panic");
    // Whether a read met a write is chance; that the archive holds what its index says is not.
    let made = made.expect("a backup");
    assert_eq!(bed.drill(&made).expect("it restores"), *made.complete.counts());
}

#[test]
fn file_that_vanished_is_reported() {
    let bed = Bed::new();
    bed.write("a", "a");
    bed.write("b", "b");
    let made = bed
        .back_up_while(|moment, path| {
            if moment == Moment::Listed && path.ends_with("a") {
                std::fs::remove_file(path).expect("it is there");
            }
        })
        .expect("a backup");
    assert_eq!(made.paths(&bed), ["", "b"]);
    assert!(made.complete.warnings()[0].contains("vanished"));
    bed.drill(&made).expect("it restores");
}

#[test]
fn file_that_vanished_after_it_changed_is_kept_and_reported() {
    let bed = Bed::new();
    bed.write("a", "a");
    let made = bed
        .back_up_while(|moment, path| {
            if moment == Moment::Read {
                std::fs::remove_file(path).expect("it is there");
            }
        })
        .expect("a backup");
    assert_eq!(made.paths(&bed), ["", "a"]);
    assert!(made.complete.warnings()[0].contains("vanished"));
    bed.drill(&made).expect("it restores");
}

#[test]
fn symbolic_link_swapped_in_is_a_failure_and_never_followed() {
    let bed = Bed::new();
    bed.write("a", "a");
    let made = bed.back_up_while(|moment, path| {
        if moment == Moment::Listed {
            std::fs::remove_file(path).expect("it is there");
            std::os::unix::fs::symlink("/etc/shadow", path).expect("a link");
        }
    });
    let Err(SourceError::Read { object, .. }) = made.map(|_| ()) else { panic!("it was read") };
    assert!(object.ends_with("/a"));
}

#[test]
fn fifo_swapped_in_is_a_failure_and_holds_nobody() {
    let bed = Bed::new();
    bed.write("a", "a");
    let made = bed.back_up_while(|moment, path| {
        if moment == Moment::Listed {
            std::fs::remove_file(path).expect("it is there");
            tool(["mkfifo".as_ref(), path.as_os_str()]);
        }
    });
    assert!(matches!(made.map(|_| ()), Err(SourceError::Read { .. })));
}

#[test]
fn input_output_error_names_the_file() {
    // /proc/self/mem gives EIO at its first byte, where nothing is mapped; it has no size, so one byte is asked for.
    let mut bed = Bed::new();
    bed.declaration.paths = vec!["/proc/self/mem".to_owned()];
    let Err(SourceError::Read { object, error }) = bed.back_up().map(|_| ()) else { panic!("it was read") };
    assert_eq!((object.as_str(), error.raw_os_error()), ("/proc/self/mem", Some(5)));
}
