//! What is selected, and what makes reading fail.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn tree_is_taken_whole_each_entry_once_in_bytewise_order() {
    let mut bed = Bed::new();
    for name in ["b/2", "b/10", "a", "b.txt", "b/Z/x"] {
        bed.write(name, name);
    }
    bed.paths(&["b/2", "", "b", "*", "**/x"]);
    let made = bed.back_up().expect("a backup");
    assert_eq!(made.paths(&bed), ["", "a", "b", "b/10", "b/2", "b/Z", "b/Z/x", "b.txt"]);
    assert_eq!(made.complete.counts().0["entries"], 8);
    assert_eq!((made.complete.counts().0["files"], made.complete.counts().0["folders"]), (5, 3));
    assert_eq!(bed.drill(&made).expect("it restores"), *made.complete.counts());
}

#[test]
fn same_tree_gives_the_same_bytes() {
    let bed = Bed::new();
    for number in 0..40 {
        bed.write(format!("{}/{number}", number % 3), vec![7; number * 100]);
    }
    let (one, other) = (bed.back_up().expect("a backup"), bed.back_up().expect("a backup"));
    assert!(one.archive == other.archive);
    assert!(one.index() == other.index());
}

#[test]
fn glob_takes_what_matches_and_nothing_else() {
    let mut bed = Bed::new();
    for name in ["c/1.json", "c/2.json", "c/note.txt", "c/sub/3.json"] {
        bed.write(name, name);
    }
    bed.paths(&["c/*.json"]);
    assert_eq!(bed.back_up().expect("a backup").paths(&bed), ["c/1.json", "c/2.json"]);
    bed.paths(&["c/**/*.json"]);
    assert_eq!(bed.back_up().expect("a backup").paths(&bed), ["c/1.json", "c/2.json", "c/sub/3.json"]);
}

#[test]
fn missing_path_and_glob_without_a_match_fail_by_name() {
    let mut bed = Bed::new();
    bed.write("a.txt", "a");
    for path in ["nothing", "*.json", "sub/*.json", "**/*.json"] {
        bed.paths(&["a.txt", path]);
        let Err(error) = bed.open().map(|_| ()) else { panic!("{path} was opened") };
        assert!(matches!(&error, SourceError::Missing { object } if object.ends_with(path)), "{error:?}");
        let observed = bed.source().observe(&RealHost);
        assert!(observed.unknown().is_some_and(|diagnostic| diagnostic.fix.is_some()));
        assert!(bed.source().enumerate(&RealHost).is_err());
        let requirements = bed.source().requirements(&RealHost);
        assert_eq!(requirements.iter().filter(|requirement| requirement.unmet.is_some()).count(), 1);
    }
}

#[test]
fn glob_whose_last_match_vanishes_before_it_is_read_fails() {
    let mut bed = Bed::new();
    bed.write("a.json", "a");
    bed.paths(&["*.json"]);
    let made = bed.back_up_while(|moment, path| {
        if moment == Moment::Listed {
            std::fs::remove_file(path).expect("it is there");
        }
    });
    assert!(matches!(made.map(|_| ()), Err(SourceError::Missing { .. })));
}

#[test]
fn excludes_leave_out_names_and_paths_but_not_what_is_declared_in_full() {
    let mut bed = Bed::new();
    for name in ["x.tmp", "keep/x", "cache/a", "cache/deep/kept", "keep/y.tmp"] {
        bed.write(name, name);
    }
    bed.paths(&["", "**", "cache/deep"]);
    bed.declaration.exclude = vec!["*.tmp".to_owned(), format!("{}/cache", bed.tree().display())];
    let paths = bed.back_up().expect("a backup").paths(&bed);
    assert_eq!(paths, ["", "cache/deep", "cache/deep/kept", "keep", "keep/x"]);
}

#[test]
fn declared_path_that_is_left_out_is_missing() {
    let mut bed = Bed::new();
    bed.write("x.tmp", "x");
    bed.paths(&["x.tmp"]);
    bed.declaration.exclude = vec!["*.tmp".to_owned()];
    assert!(matches!(bed.back_up().map(|_| ()), Err(SourceError::Missing { .. })));
}

#[test]
fn cache_folder_keeps_only_its_tag_and_only_when_the_tag_is_valid() {
    let mut bed = Bed::new();
    let signature = "Signature: 8a477f597d28d172789f06886806bc55\n# a cache\n";
    bed.write("cache/CACHEDIR.TAG", signature);
    bed.write("cache/a/b", "b");
    bed.write("other/CACHEDIR.TAG", "not a signature");
    bed.write("other/b", "b");
    let all = bed.back_up().expect("a backup").paths(&bed);
    assert!(all.contains(&"cache/a/b".to_owned()));
    bed.declaration.exclude_caches = true;
    let made = bed.back_up().expect("a backup");
    assert_eq!(
        made.paths(&bed),
        ["", "cache", "cache/CACHEDIR.TAG", "other", "other/CACHEDIR.TAG", "other/b"]
    );
    bed.drill(&made).expect("it restores");
}

#[test]
fn other_file_systems_are_left_out_only_when_asked_and_their_folder_stays() {
    assert!(is_root(), "mounting needs root");
    let bed = Bed::new();
    bed.write("here", "x");
    let mount = bed.folder("tree/mount");
    tool(["mount".as_ref(), "-t".as_ref(), "tmpfs".as_ref(), "none".as_ref(), mount.as_os_str()]);
    bed.write("mount/inside", "x");
    let result = std::panic::catch_unwind(|| {
        let mut bed =
            Bed { room: tempfile::tempdir().expect("a folder"), declaration: bed.declaration.clone() };
        std::fs::create_dir(bed.room.path().join("scratch")).expect("a folder");
        let inside = |bed: &Bed| {
            bed.back_up().expect("a backup").entries().iter().any(|entry| entry.path.ends_with("inside"))
        };
        let all = inside(&bed);
        bed.declaration.one_file_system = true;
        let one = inside(&bed);
        let root = bed.declaration.paths[0].clone();
        bed.declaration.paths = vec![format!("{root}/**")];
        let recursive = inside(&bed);
        bed.declaration.paths = vec![root.clone(), format!("{root}/mount")];
        let declared = inside(&bed);
        bed.declaration.paths = vec![root];
        let folder =
            bed.back_up().expect("a backup").entries().iter().any(|entry| entry.path.ends_with("mount"));
        (all, one, recursive, declared, folder)
    });
    tool(["umount".as_ref(), mount.as_os_str()]);
    assert_eq!(result.expect("no panic"), (true, false, false, true, true));
}

#[test]
fn links_on_the_way_are_followed_and_links_below_are_kept() {
    let mut bed = Bed::new();
    bed.write("real/sub/file", "x");
    symlink("real", bed.at("way")).expect("a link");
    symlink("/etc/passwd", bed.at("real/sub/link")).expect("a link");
    bed.paths(&["way/sub"]);
    let made = bed.back_up().expect("a backup");
    assert_eq!(made.paths(&bed), ["way/sub", "way/sub/file", "way/sub/link"]);
    bed.drill(&made).expect("it restores");
    bed.paths(&["way/sub/*"]);
    assert_eq!(bed.back_up().expect("a backup").paths(&bed), ["way/sub/file", "way/sub/link"]);
    bed.paths(&["", "way/sub"]);
    assert!(
        matches!(bed.back_up().map(|_| ()), Err(SourceError::Read { object, .. }) if object.ends_with("way"))
    );
}

fn linked_away(bed: &Bed) -> bool {
    matches!(bed.back_up().map(|_| ()), Err(SourceError::LinkedAway { object, .. }) if object.ends_with("/link"))
}

#[test]
fn declared_link_to_a_folder_needs_that_folder_in_the_set() {
    let mut bed = Bed::new();
    bed.write("moved/sub/file", "x");
    symlink("moved/sub", bed.at("link")).expect("a link");
    let unmet = |bed: &Bed| {
        let needs = bed.source().look(&RealHost).requirements;
        needs.into_iter().filter_map(|it| it.unmet?.fix).collect::<Vec<_>>()
    };
    let fix = format!("declare `{}` in its place, or beside it", bed.at("moved/sub").display());
    bed.paths(&["link"]);
    assert!(linked_away(&bed));
    assert_eq!(unmet(&bed), [fix.as_str()]);
    // What brings in only a part, or leaves it out, does not count.
    for (paths, exclude) in [
        (&["link", "moved/sub/file"], ""),
        (&["link", "moved"], "sub"),
        (&["link", "moved/*"], "sub"),
        (&["link", "moved/sub/*"], ""),
    ] {
        bed.paths(paths);
        bed.declaration.exclude = if exclude.is_empty() { Vec::new() } else { vec![exclude.to_owned()] };
        bed.write("moved/other/file", "x");
        assert!(linked_away(&bed), "{paths:?} without `{exclude}`");
        assert_eq!(unmet(&bed), [fix.as_str()], "{paths:?} without `{exclude}`");
    }
    bed.declaration.exclude = Vec::new();
    for beside in ["moved", "moved/sub", "moved/*", "m*", "m*/sub"] {
        bed.paths(&["link", beside]);
        let made = bed.back_up().expect("a backup");
        assert_eq!(made.complete.counts().0["links"], 1);
        assert!(made.paths(&bed).contains(&"moved/sub/file".to_owned()), "{beside}");
        assert_eq!((unmet(&bed), made.complete.warnings().len()), (Vec::new(), 0), "{beside}");
    }
    // What only the walk can tell.
    bed.paths(&["link", "moved"]);
    bed.write("moved/sub/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
    bed.declaration.exclude_caches = true;
    assert!(linked_away(&bed));
}

#[test]
fn declared_link_to_a_file_is_kept_as_one_and_one_to_nothing_is_missing() {
    let mut bed = Bed::new();
    bed.write("real", "x");
    symlink("real", bed.at("link")).expect("a link");
    bed.paths(&["link"]);
    let made = bed.back_up().expect("a backup");
    assert_eq!(made.complete.counts().0["links"], 1);
    let told = made.complete.warnings();
    assert!(told.len() == 1 && told[0].contains("kept as one, without what it leads to"), "{told:?}");
    // What leads nowhere may lead to a file system that is not mounted.
    symlink("nowhere", bed.at("dangling")).expect("a link");
    bed.paths(&["dangling", "link"]);
    assert!(matches!(bed.back_up().map(|_| ()), Err(SourceError::Missing { .. })));
    assert_eq!(bed.source().look(&RealHost).requirements.iter().filter(|it| it.unmet.is_some()).count(), 1);
}

#[test]
fn sockets_are_left_out_with_a_warning_and_fifos_are_never_opened() {
    let bed = Bed::new();
    let _socket = std::os::unix::net::UnixListener::bind(bed.at("socket")).expect("a socket");
    tool(["mkfifo".as_ref(), bed.at("fifo").as_os_str()]);
    tool(["mknod".as_ref(), bed.at("device").as_os_str(), "c".as_ref(), "1".as_ref(), "3".as_ref()]);
    let made = bed.back_up().expect("a backup");
    assert_eq!(made.paths(&bed), ["", "device", "fifo"]);
    assert!(made.complete.warnings()[0].contains("socket"));
    assert_eq!(bed.drill(&made).expect("it restores"), *made.complete.counts());
}

#[test]
fn scratch_folder_is_never_part_of_the_backup() {
    let mut bed = Bed::new();
    bed.declaration.paths = vec![bed.room().display().to_string()];
    bed.write("a", "a");
    let made = bed.back_up().expect("a backup");
    assert!(made.complete.warnings().is_empty());
    assert!(!made.entries().iter().any(|entry| entry.path.ends_with("scratch")));
}

/// Runs one of these tests as nobody, in a process of its own.
fn as_nobody(test: &str, room: &Path) -> String {
    let binary = std::env::current_exe().expect("this binary");
    std::fs::set_permissions(room, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let copy = room.join("tests");
    std::fs::copy(binary, &copy).expect("room for a copy");
    let command = [
        "env".into(),
        format!("BKP_TEST_ROOM={}", room.display()).into(),
        "setpriv".into(),
        "--reuid=65534".into(),
        "--regid=65534".into(),
        "--clear-groups".into(),
        copy.into_os_string(),
        "--exact".into(),
        format!("sources::files::tests::reading::{test}").into(),
        "--nocapture".into(),
    ];
    let output = RealHost.run(&Command::change(command)).expect("setpriv is installed");
    assert!(
        output.succeeded() && output.text().contains("1 passed"),
        "{}{}",
        output.text(),
        output.explain()
    );
    output.text()
}

/// The room that the parent process made; none when the test runs by itself.
fn given_room() -> Option<PathBuf> {
    let given = RealHost.env("BKP_TEST_ROOM");
    given.map(PathBuf::from)
}

#[test]
fn unreadable_file_and_folder_fail_by_name() {
    if let Some(room) = given_room() {
        for name in ["file", "folder"] {
            let scratch = tempfile::tempdir().expect("a folder");
            let declared = room.join("tree").join(name);
            let declaration = FilesDeclaration {
                paths: vec![declared.display().to_string()],
                exclude: Vec::new(),
                one_file_system: false,
                exclude_caches: false,
                changed: ChangedPolicy::Warn,
            };
            let source = FilesSource::new(&"docs".parse().expect("a name"), declaration);
            let member = Member { name: "docs".to_owned() };
            let made = source.open(&RealHost, &member, scratch.path()).and_then(drain);
            let Err(SourceError::Denied { object, .. }) = made.map(|_| ()) else { panic!("it was read") };
            assert!(object.contains(name));
        }
        return;
    }
    assert!(is_root(), "becoming another user needs root");
    let bed = Bed::new();
    for (name, path) in [("file/secret", "file/secret"), ("folder/sub/x", "folder/sub")] {
        bed.write(name, "x");
        std::fs::set_permissions(bed.at(path), std::fs::Permissions::from_mode(0o000)).expect("ours");
    }
    as_nobody("unreadable_file_and_folder_fail_by_name", bed.room());
}

#[test]
fn other_user_drills_what_root_backed_up_and_can_remove_it() {
    if let Some(room) = given_room() {
        let scratch = tempfile::tempdir().expect("a folder");
        let (archive, index) = (
            std::fs::read(room.join("archive")).expect("ours"),
            std::fs::read(room.join("index")).expect("ours"),
        );
        let (mut body, mut index) = (&archive[..], &index[..]);
        let artifact =
            Artifact { member: "docs", body: &mut body, index: Some(&mut index), counts: &Counts::default() };
        let counts = FilesRestorer.drill(artifact, scratch.path()).expect("it restores");
        assert_eq!((counts.0["files"], counts.0["entries"]), (3, 7));
        scratch.close().expect("it can be removed");
        return;
    }
    assert!(is_root(), "becoming another user needs root");
    let bed = Bed::new();
    bed.write("setuid", "#!");
    bed.write("locked/file", "x");
    bed.write("none", "no rights");
    tool(["mknod".as_ref(), bed.at("device").as_os_str(), "c".as_ref(), "1".as_ref(), "3".as_ref()]);
    tool(["mkfifo".as_ref(), bed.at("fifo").as_os_str()]);
    tool([
        "setfattr".as_ref(),
        "-n".as_ref(),
        "trusted.x".as_ref(),
        "-v".as_ref(),
        "1".as_ref(),
        bed.at("none").as_os_str(),
    ]);
    for (name, mode) in [("setuid", 0o4755), ("locked", 0o500), ("none", 0)] {
        std::fs::set_permissions(bed.at(name), std::fs::Permissions::from_mode(mode)).expect("ours");
    }
    let made = bed.back_up().expect("a backup");
    std::fs::write(bed.room().join("archive"), &made.archive).expect("room");
    std::fs::write(bed.room().join("index"), made.index()).expect("room");
    as_nobody("other_user_drills_what_root_backed_up_and_can_remove_it", bed.room());
}

#[test]
fn stream_that_was_not_read_to_its_end_is_not_complete() {
    let bed = Bed::new();
    bed.write("a", vec![1; 3 << 20]);
    let mut stream = bed.open().expect("a stream");
    let mut some = [0; 100];
    stream.read_exact(&mut some).expect("bytes");
    assert!(stream.finish().is_err());
}

#[test]
fn dropped_stream_ends_its_thread_at_once() {
    let bed = Bed::new();
    for number in 0..64 {
        bed.write(format!("{number}"), vec![1; 1 << 20]);
    }
    let mut stream = bed.open().expect("a stream");
    stream.read_exact(&mut [0; 100]).expect("bytes");
    let started = std::time::Instant::now();
    drop(stream);
    assert!(started.elapsed() < std::time::Duration::from_secs(2));
    let left = std::fs::read_dir(bed.room().join("scratch")).expect("the scratch folder").count();
    assert_eq!(left, 0, "the thread took its index with it");
}
