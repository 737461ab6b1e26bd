//! GNU tar reads the archive and gives every byte and attribute back.

use super::*;
use std::os::unix::fs::MetadataExt;

/// Extracts with GNU tar and gives the folder that then stands for the tree.
fn extracted(bed: &Bed, made: &Made) -> PathBuf {
    let archive = bed.room().join("archive.tar");
    std::fs::write(&archive, &made.archive).expect("room");
    let folder = tempfile::tempdir_in(bed.room()).expect("a folder").keep();
    let output = RealHost
        .run(&Command::change([
            "tar".as_ref(),
            "--xattrs".as_ref(),
            "--xattrs-include=*".as_ref(),
            "--warning=no-timestamp".as_ref(),
            "-xpf".as_ref(),
            archive.as_os_str(),
            "-C".as_ref(),
            folder.as_os_str(),
        ]))
        .expect("tar is installed");
    assert!(output.succeeded() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join(bed.tree().strip_prefix("/").expect("absolute"))
}

fn attributes(path: &Path) -> String {
    let shown = tool([
        "getfattr".as_ref(),
        "-h".as_ref(),
        "-d".as_ref(),
        "-m".as_ref(),
        "-".as_ref(),
        "-e".as_ref(),
        "hex".as_ref(),
        "--absolute-names".as_ref(),
        path.as_os_str(),
    ]);
    shown.lines().skip(1).collect::<Vec<_>>().join("\n")
}

/// Compares two trees: names, kinds, owners, modes, times to the nanosecond, attributes, content.
fn assert_same(one: &Path, other: &Path) {
    let (left, right) =
        (std::fs::symlink_metadata(one).expect("there"), std::fs::symlink_metadata(other).expect("there"));
    let seen = |data: &std::fs::Metadata| {
        (data.mode(), data.uid(), data.gid(), data.mtime(), data.mtime_nsec(), data.nlink(), data.rdev())
    };
    assert_eq!(seen(&left), seen(&right), "{}", one.display());
    assert_eq!(attributes(one), attributes(other), "{}", one.display());
    if left.is_dir() {
        let names = |path: &Path| RealHost.list_dir(path).expect("a folder");
        assert_eq!(names(one), names(other));
        for name in names(one) {
            assert_same(&one.join(&name), &other.join(&name));
        }
    } else if left.is_symlink() {
        assert_eq!(std::fs::read_link(one).expect("a link"), std::fs::read_link(other).expect("a link"));
    } else if left.is_file() {
        assert!(
            std::fs::read(one).expect("a file") == std::fs::read(other).expect("a file"),
            "{}",
            one.display()
        );
    }
}

/// A tree of everything that file systems can hold.
pub fn wild_tree() -> Bed {
    assert!(is_root(), "owners and devices need root");
    let bed = Bed::new();
    for name in [
        &b"plain"[..],
        b"line\nbreak",
        b"bytes-\xff\xfe",
        b"-rf",
        b" blank ",
        b"tab\tquote\"'",
        b"=%3D%",
        "ünï".as_bytes(),
    ] {
        bed.write(name, name);
    }
    let long = "d".repeat(120);
    bed.write(format!("{long}/{long}/{long}/file"), "long name");
    bed.write([long.as_bytes(), b"/\xff", long.as_bytes()].concat(), "long name of bytes");
    std::os::unix::fs::symlink(format!("{long}/{long}/nowhere"), bed.at("long-link")).expect("a link");
    std::os::unix::fs::symlink(OsStr::from_bytes(b"\xff"), bed.at("byte-link")).expect("a link");
    bed.write("empty", "");
    bed.write("hard/one", "one content");
    for name in ["hard/two", &format!("{long}/three")] {
        std::fs::hard_link(bed.at("hard/one"), bed.at(name)).expect("a link");
    }
    bed.write("block", vec![1; 512]);
    bed.write("large", vec![2; 1_300_001]);
    tool(["mkfifo".as_ref(), bed.at("fifo").as_os_str()]);
    tool(["mknod".as_ref(), bed.at("char").as_os_str(), "c".as_ref(), "10".as_ref(), "200".as_ref()]);
    tool(["mknod".as_ref(), bed.at("block-device").as_os_str(), "b".as_ref(), "7".as_ref(), "3".as_ref()]);
    for (name, value) in
        [("user.plain", "value"), ("user.%=x", "odd name"), ("user.empty", ""), ("trusted.t", "0x000a3d0a")]
    {
        tool([
            "setfattr".as_ref(),
            "-n".as_ref(),
            name.as_ref(),
            "-v".as_ref(),
            value.as_ref(),
            bed.at("plain").as_os_str(),
        ]);
    }
    tool([
        "setfattr".as_ref(),
        "-n".as_ref(),
        "user.on-folder".as_ref(),
        "-v".as_ref(),
        "x".as_ref(),
        bed.at("hard").as_os_str(),
    ]);
    tool(["setfacl".as_ref(), "-m".as_ref(), "u:1234:rw,g:99:r".as_ref(), bed.at("plain").as_os_str()]);
    tool(["setfacl".as_ref(), "-m".as_ref(), "u:1234:rwx,d:u:77:r".as_ref(), bed.at("hard").as_os_str()]);
    let chown =
        |name: &str, uid, gid| std::os::unix::fs::lchown(bed.at(name), Some(uid), Some(gid)).expect("root");
    chown("plain", 12, 34);
    chown("large", 3_000_000_000, 2_500_000);
    chown("byte-link", 5, 6);
    for (name, mode) in [("block", "4711"), ("empty", "0000"), ("hard", "1777")] {
        tool(["chmod".as_ref(), mode.as_ref(), bed.at(name).as_os_str()]);
    }
    for (name, time) in [
        ("empty", "1969-12-31 23:59:58.5"),
        ("large", "2026-01-02 03:04:05.678901234"),
        ("block", "2300-01-01 00:00:00.000000001"),
    ] {
        tool(["touch".as_ref(), "-h".as_ref(), "-d".as_ref(), time.as_ref(), bed.at(name).as_os_str()]);
    }
    bed
}

#[test]
fn gnu_tar_gives_back_every_name_attribute_and_byte() {
    let bed = wild_tree();
    let made = bed.back_up().expect("a backup");
    assert_eq!(made.complete.warnings(), [""; 0]);
    assert_same(&bed.tree(), &extracted(&bed, &made));
    assert_eq!(bed.drill(&made).expect("it restores"), *made.complete.counts());
}

#[test]
fn own_restore_gives_back_every_name_attribute_and_byte() {
    let bed = wild_tree();
    let made = bed.back_up().expect("a backup");
    let (folder, restored) = bed.restore(&made.archive, &[]);
    assert_eq!(restored.expect("it restores"), *made.complete.counts());
    assert_same(&bed.tree(), &folder.join(bed.tree().strip_prefix("/").expect("absolute")));
}

#[test]
fn sparse_files_stay_sparse_in_the_archive_and_on_both_ways_back() {
    let bed = Bed::new();
    let path = bed.at("sparse");
    let file = std::fs::File::create(&path).expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, b"begin", 0).expect("room");
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 90 << 20).expect("room");
    file.set_len(100 << 20).expect("room");
    let hole = std::fs::File::create(bed.at("only-a-hole")).expect("a file");
    hole.set_len(5 << 20).expect("room");
    let made = bed.back_up().expect("a backup");
    assert!(made.archive.len() < 1 << 20, "{}", made.archive.len());
    assert_eq!(made.complete.counts().0["bytes"], (100 << 20) + (5 << 20));
    let by_tar = extracted(&bed, &made);
    let (folder, restored) = bed.restore(&made.archive, &[]);
    restored.expect("it restores");
    let by_us = folder.join(bed.tree().strip_prefix("/").expect("absolute"));
    for place in [&by_tar, &by_us] {
        for name in ["sparse", "only-a-hole"] {
            let status = std::fs::metadata(place.join(name)).expect("there");
            assert!(status.blocks() * 512 < 1 << 20, "{name} took {} blocks", status.blocks());
            tool(["cmp".as_ref(), bed.at(name).as_os_str(), place.join(name).as_os_str()]);
        }
    }
    bed.drill(&made).expect("it restores");
}
