//! Data given back: everything of it, to this host and to a bare machine, by bkp and by hand.
#![expect(clippy::disallowed_methods, reason = "a test compares the files that a user would compare")]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use support::{Bench, assert_same, contents, flip_byte, rows, set_mode, sh, text, tool};

/// A folder with what file systems can hold: modes, links, times, an extended attribute, a hole, odd names.
fn rich_folder(bench: &Bench) {
    bench.make_docs("docs");
    let docs = bench.path("docs");
    fs::create_dir_all(docs.join("empty")).expect("a folder");
    set_mode(&docs.join("a.txt"), 0o640);
    symlink("a.txt", docs.join("link")).expect("a link");
    symlink("/nowhere", docs.join("dangling")).expect("a link");
    fs::hard_link(docs.join("a.txt"), docs.join("again.txt")).expect("a hard link");
    fs::write(docs.join(OsStr::from_bytes(b"not \xff utf-8\n")), "odd").expect("a file");
    sh(
        "truncate -s 3M hole; printf end >>hole; mkfifo pipe; setfattr -n user.colour -v blue a.txt; \
         chown 1234:4321 deep/b.txt; chmod 2750 deep; touch -d '2001-02-03T04:05:06.123456789Z' deep/b.txt deep",
        &docs,
    );
}

#[test]
fn restored_folder_is_the_folder() {
    let bench = Bench::new();
    rich_folder(&bench);
    bench.plan("  docs: { type: files, paths: [docs] }\n");
    let before = contents(&bench.path("docs"));
    bench.apply("plan");
    bench.bkp("restore docs --to back").exits(0).says("restored snapshot");
    let docs = bench.path("docs");
    let back = bench.path("back").join(docs.strip_prefix("/").expect("absolute"));
    assert_same(&before, &contents(&back));
    let status = |path: &str| fs::metadata(back.join(path)).expect("a status");
    assert_eq!((status("deep/b.txt").uid(), status("deep/b.txt").gid()), (1234, 4321));
    assert_eq!(status("a.txt").ino(), status("again.txt").ino(), "hard links are one file again");
    assert!(status("hole").blocks() < 64, "the hole is a hole again");
    let got = sh("getfattr --only-values -n user.colour a.txt", &back);
    assert_eq!(got, "blue");
}

#[test]
fn parts_can_be_restored_by_glob_and_by_member_and_to_a_stream() {
    let bench = Bench::new();
    rich_folder(&bench);
    bench.make_database("a.db", 3);
    bench.make_database("b.db", 4);
    bench.plan(
        "  docs: { type: files, paths: [docs] }\n  pair: { type: sqlite, files: { a: a.db, b: b.db } }\n",
    );
    bench.apply("plan");
    bench.run(["restore", "docs", "--to", "part", "--include", "**/b.txt"]).exits(0);
    let found = sh("find . -type f | sort", &bench.path("part"));
    assert_eq!(found.lines().count(), 1, "{found}");
    assert!(found.trim().ends_with("/deep/b.txt"));
    bench.bkp("restore pair --to only-b --member b").exits(0);
    let files = sh("ls", &bench.path("only-b"));
    assert_eq!(files.lines().count(), 1, "{files}");
    assert_eq!(rows(&bench.path("only-b").join(files.trim())), 4);
    let stream =
        bench.command(["restore", "pair", "--member", "a", "--stdout"]).output().expect("bkp starts");
    assert!(stream.status.success());
    fs::write(bench.path("a-again.db"), stream.stdout).expect("a file");
    assert_eq!(rows(&bench.path("a-again.db")), 3);
    let tar = bench.command(["restore", "docs", "--stdout"]).output().expect("bkp starts");
    fs::write(bench.path("docs.tar"), tar.stdout).expect("a file");
    assert!(sh("tar -tf docs.tar", bench.root()).contains("deep/b.txt"));
    bench.bkp("restore pair --stdout").exits(1).says("member");
    bench.bkp("restore pair --to x --member nobody").exits(1).says("nobody");
}

#[test]
fn data_is_never_restored_over_anything() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    bench.write("full/precious", "mine");
    let before = contents(&bench.path("full"));
    bench.bkp("restore shop --to full").exits(1).says("target is not empty");
    bench.bkp("restore shop --to plan.yaml").exits(1);
    assert_same(&before, &contents(&bench.path("full")));
    fs::create_dir(bench.path("empty")).expect("a folder");
    bench.bkp("restore shop --to empty").exits(0);
}

#[test]
fn damaged_artifact_is_never_restored_in_silence() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    flip_byte(&bench.newest("shop").join("shop.db.zst"));
    bench.bkp("restore shop --to back").exits(1);
    bench.bkp("restore shop --stdout").exits(1);
    bench.bkp("drill shop").exits(2);
}

#[test]
fn snapshot_that_was_disproven_is_listed_as_that_and_restored_only_with_a_warning() {
    let bench = Bench::new();
    let noise: String = (0..400_000_u64)
        .fold(String::new(), |noise, it| noise + &it.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string());
    bench.write("noise", &noise);
    let program = bench.script("bin/dump", &format!("cat {}", bench.path("noise").display()));
    bench.plan(&format!("  out: {{ type: command, command: [{}], compression: none }}\n", program.display()));
    bench.apply("plan");
    bench.bkp("snapshots out").exits(0).says_nothing_of("DISPROVEN");
    flip_byte(&bench.newest("out").join("out.out"));
    bench.bkp("verify out").exits(2);
    bench.bkp("snapshots out").exits(0).says("DISPROVEN");
    let to = bench.path("back");
    bench
        .run(["restore", "out", "--to", &to.display().to_string()])
        .exits(1)
        .says("this snapshot was disproven")
        .says("--snapshot");
    let left: Vec<_> =
        fs::read_dir(&to).expect("a folder").map(|it| it.expect("an entry").file_name()).collect();
    assert_eq!(left, ["out.out.damaged"], "nobody takes it for good data");
}

#[test]
fn second_destination_gives_the_data_when_the_first_is_lost() {
    let bench = Bench::with_two_sets();
    let (near, far) = (bench.store(), bench.other_device("far"));
    bench.plan_of(
        "plan",
        &format!(
            "defaults: {{ schedule: daily 03:00, destinations: [near, far] }}\ndestinations:\n  near: {{ type: local, path: {} }}\n  far: {{ type: local, path: {}, compression: gzip }}\n",
            near.display(),
            far.display()
        ),
        "  shop: { type: sqlite, path: shop.db }\n",
    );
    bench.apply("plan");
    assert_eq!(bench.snapshots("shop").len(), 2);
    fs::remove_dir_all(&near).expect("a destination");
    bench.bkp("restore shop --to back").exits(0).says("from far");
    assert_eq!(rows(&bench.path("back/shop.db")), 10);
}

#[test]
fn bare_machine_gets_everything_back_with_a_destination_file_alone() {
    let mut bench = Bench::new();
    rich_folder(&bench);
    bench.make_database("shop.db", 10);
    bench.plan("  docs: { type: files, paths: [docs] }\n  shop: { type: sqlite, path: shop.db }\n");
    bench.apply("plan");
    let before = contents(&bench.path("docs"));
    let docs = bench.path("docs");
    // The host is gone: another one, with nothing but the destination.
    let keep = bench.path("keep");
    fs::rename(&docs, &keep).expect("the original");
    for lost in ["home", "shop.db", "plan.yaml"] {
        let path = bench.path(lost);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("it was there");
    }
    bench.host_name = "rescue".to_owned();
    bench.write("dest.yaml", format!("{{ type: local, path: {} }}\n", bench.store().display()));
    let listed = bench.bkp("restore --from dest.yaml").exits(0);
    for word in ["host testhost", "set docs: newest", "set shop: newest", "plan plan"] {
        assert!(listed.out.contains(word), "{word}: {}", listed.out);
    }
    bench.bkp("restore --from dest.yaml --host testhost").exits(0).says("set shop");
    let stored = support::picture(&bench.store());
    bench.bkp("restore --from dest.yaml --host testhost docs --to back").exits(0);
    bench.bkp("restore --from dest.yaml shop --to back-shop").exits(0);
    assert_same(&stored, &support::picture(&bench.store()));
    let back = bench.path("back").join(docs.strip_prefix("/").expect("absolute"));
    assert_same(&before, &contents(&back));
    assert_eq!(rows(&bench.path("back-shop/shop.db")), 10);
    // The plan is there too, and is the plan that was applied.
    let plan = sh("find . -path '*_plans/plan.yaml'", &bench.store());
    let plan = bench.store().join(plan.trim());
    bench.run([OsStr::new("validate"), plan.as_os_str()]).exits(0).says("plan `plan`, 2 sets");
    bench.write("bad.yaml", "{ type: local, path: /nowhere/at/all }\n");
    bench.bkp("restore --from bad.yaml").exits(1);
    bench.bkp("restore --from dest.yaml --host nobody shop --to x").exits(1);
}

#[test]
fn every_object_is_restorable_by_hand() {
    let bench = Bench::with_two_sets();
    let (near, far) = (bench.store(), bench.other_device("far"));
    bench.plan_of(
        "plan",
        &format!(
            "defaults: {{ schedule: daily 03:00, destinations: [near, far] }}\ndestinations:\n  near: {{ type: local, path: {} }}\n  far: {{ type: local, path: {}, compression: gzip }}\n",
            near.display(),
            far.display()
        ),
        "  docs: { type: files, paths: [docs] }\n  shop: { type: sqlite, path: shop.db }\n",
    );
    bench.apply("plan");
    let by_hand = |store: &Path, set: &str| {
        let id = bench.ids(set).pop().expect("a snapshot");
        store.join("testhost").join(set).join(id)
    };
    for (store, unpack) in [(&near, "zstd -dcq"), (&far, "gunzip -c")] {
        let end = if unpack.starts_with("zstd") { "zst" } else { "gz" };
        let shop = by_hand(store, "shop");
        let checked = sh("sha256sum -c *.sha256", &shop);
        assert!(checked.contains(&format!("shop.db.{end}: OK")), "{checked}");
        assert!(checked.contains("manifest.json: OK"), "{checked}");
        sh(&format!("{unpack} shop.db.{end} >{}/hand.db", bench.root().display()), &shop);
        let counted =
            sh("sqlite3 hand.db 'pragma integrity_check; select count(*) from orders'", bench.root());
        assert_eq!(counted, "ok\n10\n");
        let docs = by_hand(store, "docs");
        let checked = sh("sha256sum -c *.sha256", &docs);
        assert_eq!(checked.lines().count(), 3, "artifact, index and manifest: {checked}");
        let out = bench.path(&format!("hand-{end}"));
        fs::create_dir(&out).expect("a folder");
        sh(&format!("{unpack} docs.tar.{end} | tar -xpf - -C {}", out.display()), &docs);
        let found = sh("find . -name b.txt -exec cat {} +", &out);
        assert_eq!(found, "beta\n");
    }
    let manifest = text(&by_hand(&near, "shop").join("manifest.json"));
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("a manifest");
    assert_eq!(manifest["complete"], true);
}

#[test]
fn backup_of_a_database_under_writes_is_one_moment() {
    let bench = Bench::with_two_sets();
    let writer = rusqlite::Connection::open(bench.path("shop.db")).expect("a database");
    writer
        .execute_batch("pragma journal_mode=wal; insert into orders (what) values ('committed, in the wal')")
        .expect("a row");
    writer.execute_batch("begin; insert into orders (what) values ('not committed')").expect("a row");
    bench.apply("plan");
    writer.execute_batch("rollback").expect("a rollback");
    bench.bkp("restore shop --to back").exits(0);
    assert_eq!(rows(&bench.path("back/shop.db")), 11);
    let mode = tool("sqlite3", &["back/shop.db".as_ref(), "pragma journal_mode".as_ref()], bench.root());
    assert_eq!(String::from_utf8_lossy(&mode).trim(), "delete", "the copy needs no other file");
    assert_eq!(sh("ls back", bench.root()).trim(), "shop.db");
}

#[test]
fn diff_keeps_its_place_whatever_the_names_are() {
    let bench = Bench::new();
    // Names that sort one way as texts and another by the parts of their paths, and one that is no text.
    let names =
        ["a", "a.b", "a b", "a-", "a/c", "a/b.x", "a/b/z", "B", "b", "é", "z/1", "z/10", "z/2", "z.d/x"];
    let files = |bench: &Bench, keep: &dyn Fn(usize) -> bool| {
        sh("rm -rf one two", bench.root());
        for (index, name) in names.iter().enumerate().filter(|(index, _)| keep(*index)) {
            for root in ["one", "two"] {
                let file = if *name == "a" { "a/self" } else { name };
                bench.write(&format!("{root}/{file}"), format!("{index}"));
            }
        }
        sh("printf x >one/\"$(printf 'no-text-\\377')\"", bench.root());
    };
    files(&bench, &|_| true);
    bench.plan("  docs: { type: files, paths: [two, one] }\n");
    bench.apply("plan");
    for missing in [0, 4, 6, 9, 13] {
        files(&bench, &|index| index != missing);
        bench.bkp("run docs").exits(0);
        let first = bench.ids("docs")[0].clone();
        let said = bench.bkp(&format!("diff docs {first} --format json")).exits(0).out;
        let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        let differences = told["differences"].as_array().expect("a list");
        // Folders have no bytes of their own.
        let of = |symbol: &str| {
            let named = differences.iter().filter(|it| it["symbol"] == symbol && it["detail"] != "0 bytes");
            named.filter_map(|it| it["object"].as_str()).collect::<Vec<_>>()
        };
        let (gone, name) = (of("-"), names[missing]);
        assert!(gone.len() == 2 && gone.iter().all(|it| it.contains(name)), "{name}: {said}");
        assert_eq!(of("+"), Vec::<&str>::new(), "{name}: {said}");
    }
}

#[test]
fn ls_and_diff_show_what_is_in_snapshots() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    bench.bkp("ls docs").exits(0).says("deep/b.txt").says("a.txt");
    bench.bkp("ls shop").exits(0).says("table:orders 10");
    bench.write("docs/new.txt", "new");
    bench.write("docs/a.txt", "longer than before\n");
    fs::remove_file(bench.path("docs/deep/b.txt")).expect("a file");
    bench.make_database("shop.db", 2);
    bench.bkp("run docs shop").exits(0);
    let first = bench.ids("docs")[0].clone();
    let said = bench.bkp(&format!("diff docs {first}")).exits(0).out;
    for (symbol, name) in [("+", "new.txt"), ("~", "a.txt"), ("-", "b.txt")] {
        let line = said.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {said}"));
        assert!(line.starts_with(symbol), "{line}");
    }
    let first = bench.ids("shop")[0].clone();
    bench.bkp(&format!("diff shop {first}")).exits(0).says("table:orders (10 -> 12)");
    bench.bkp(&format!("diff shop {first} {first}")).exits(0).says("the same data");
}
