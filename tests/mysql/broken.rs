//! Broken on purpose: the right message, the right exit status, nothing published, and the old snapshot as it was.

use super::{RIGHTS, SECRET, Scene};
use crate::restored::runs;
use crate::support::{assert_same, flip_byte, picture, set_mode, sh, text, wait_until};
use std::fs;

/// A run that must end so, say so, publish nothing and leave the old snapshot as it was.
#[track_caller]
fn fails(scene: &Scene, code: i32, says: &str) {
    let complete = || {
        scene.bench.snapshots("db").into_iter().filter(|it| it.complete).map(|it| it.id).collect::<Vec<_>>()
    };
    let before = complete();
    let last = before.last().expect("a snapshot");
    let folder = scene.bench.store().join(&scene.bench.host_name).join("db").join(last);
    let stored = picture(&folder);
    let outcome = scene.bench.bkp("run db").exits(code).says(says);
    assert!(!outcome.err.contains(SECRET) && !outcome.out.contains(SECRET));
    assert_eq!(complete(), before, "nothing complete was added");
    assert_same(&stored, &picture(&folder));
    scene.bench.bkp(&format!("verify db --snapshot {last}")).exits(0);
}

/// Tools of a scene's own; `dump` is what its dump program does with `"$@"`.
fn with_tools(dump: &str) -> Scene {
    let scene = Scene::new();
    std::os::unix::fs::symlink("/usr/bin/mariadb", scene.bench.path("home/mariadb")).expect("a link");
    scene.bench.script("home/mariadb-dump", "exec /usr/bin/mariadb-dump \"$@\"");
    scene.plan(&format!(", tools: {}", scene.bench.home().display()));
    scene.bench.apply("plan");
    scene.bench.script(
        "home/mariadb-dump",
        &format!("case $1 in --version) exec /usr/bin/mariadb-dump --version;; esac\n{dump}"),
    );
    scene
}

#[test]
fn missing_tool_is_named_by_plan_and_fails_the_run() {
    let scene = with_tools("");
    fs::remove_file(scene.bench.path("home/mariadb-dump")).expect("a file");
    fails(&scene, 1, "`mariadb-dump` or `mysqldump` is not in");
    scene.bench.bkp("plan plan.yaml").says("`mariadb-dump` or `mysqldump` is not on the job's PATH");
}

#[test]
fn wrong_password_fails_and_is_shown_nowhere() {
    let scene = Scene::new();
    scene.bench.apply("plan");
    scene.server.sql("ALTER USER bkp@localhost IDENTIFIED BY 'another'");
    fails(&scene, 1, "ERROR 1045");
    scene.bench.bkp("plan plan.yaml").says("check `user` and `password`");
}

#[test]
fn revoked_right_fails_the_member_that_would_be_silently_short() {
    for right in ["TRIGGER", "EVENT", "SHOW VIEW"] {
        let scene = Scene::new();
        scene.bench.apply("plan");
        scene.server.sql(&format!("REVOKE {right} ON *.* FROM bkp@localhost"));
        fails(&scene, 3, &format!("GRANT {right} ON `shop`.* TO 'bkp'@'localhost'"));
        scene.bench.bkp("plan plan.yaml").says(&format!("lacks {right} for `shop`"));
    }
}

#[test]
fn accounts_that_may_not_be_read_are_a_failing_member() {
    let scene = Scene::new();
    scene.bench.apply("plan");
    scene.server.sql(&format!(
        "REVOKE {RIGHTS} ON *.* FROM bkp@localhost; GRANT SHOW DATABASES ON *.* TO bkp@localhost; \
         GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON shop.* TO bkp@localhost; GRANT SELECT ON mysql.proc TO bkp@localhost"
    ));
    fails(&scene, 3, "GRANT SELECT ON mysql.* TO 'bkp'@'localhost'");
}

#[test]
fn server_that_is_down_fails_the_run_and_is_a_requirement() {
    let mut scene = Scene::new();
    scene.bench.apply("plan");
    scene.server.kill();
    fails(&scene, 1, "ERROR 2002");
    scene.bench.bkp("plan plan.yaml").says("start the server");
}

#[test]
fn server_that_is_killed_half_way_leaves_nothing_published() {
    let marker = "bkp-half-way";
    let mut scene = with_tools(&format!(
        "/usr/bin/mariadb-dump \"$@\" | {{ head -c 20000; touch $HOME/{marker}; while [ -e $HOME/{marker} ]; do sleep 0.02; done; cat; }}; exit 2"
    ));
    scene.server.sql("INSERT INTO shop.notes (of_order, body) SELECT 1, REPEAT('y', 100000) FROM shop.orders o, shop.orders p, shop.orders q");
    let run = scene.bench.start("run db");
    let path = scene.bench.home().join(marker);
    wait_until("the dump's middle", || path.exists());
    scene.server.kill();
    fs::remove_file(path).expect("the marker");
    run.finish().exits(1).says("exit status");
    scene.server.start();
    assert_eq!(scene.bench.snapshots("db").iter().filter(|it| it.complete).count(), 1);
    scene.bench.bkp("verify db").exits(0);
}

#[test]
fn dump_that_ends_well_and_is_short_is_found_by_what_it_lacks() {
    let with = "a=$1; shift; exec /usr/bin/mariadb-dump \"$a\"";
    let ignored = format!("{with} --ignore-table=shop.log \"$@\"");
    let chosen = format!("{with} --where=1=0 \"$@\"");
    let cases = [
        ("/usr/bin/mariadb-dump \"$@\" | head -n 60; exit 0", "is not its last line"),
        ("/usr/bin/mariadb-dump \"$@\" | sed /50001.VIEW/d", "views: 1 in the catalogue, 0 in the dump"),
        ("/usr/bin/mariadb-dump \"$@\" | sed /50003.CREATE/d", "triggers: 1 in the catalogue, 0 in the dump"),
        ("/usr/bin/mariadb-dump \"$@\" | sed /50106.CREATE/d", "events: 2 in the catalogue, 0 in the dump"),
        ("/usr/bin/mariadb-dump \"$@\" | sed '/  KEY/d'", "indexes: 5 in the catalogue, 3 in the dump"),
        (ignored.as_str(), "tables: 4 in the catalogue, 3 in the dump"),
        (chosen.as_str(), "table:orders: 4 counted in the snapshot, 0 in the dump"),
        ("exit 0", "is not its last line"),
        ("/usr/bin/mariadb-dump \"$@\" | head -c 30000; kill -9 $$", "ended by a signal"),
        ("/usr/bin/mariadb-dump \"$@\"; exit 3", "exit status 3"),
    ];
    let scene = with_tools("");
    for (dump, says) in cases {
        scene.bench.script(
            "home/mariadb-dump",
            &format!("case $1 in --version) exec /usr/bin/mariadb-dump --version;; esac\n{dump}"),
        );
        fails(&scene, 3, says);
    }
}

#[test]
fn rows_that_a_dump_leaves_out_are_missed() {
    let scene = with_tools("/usr/bin/mariadb-dump \"$@\" | sed \"s/^(1,'it.*$//\"; exit 0");
    fails(&scene, 3, "table:orders: 4 counted in the snapshot, 3 in the dump");
}

#[test]
fn lock_that_is_refused_makes_bounds_and_says_so() {
    let scene = Scene::new();
    scene.bench.apply("plan");
    scene.server.sql("REVOKE RELOAD, LOCK TABLES ON *.* FROM bkp@localhost");
    scene.bench.bkp("run db").exits(0);
    let shop = scene.member("shop");
    assert_eq!(shop["counts"]["table:orders"], 4, "the dump itself was counted: {shop:#}");
    assert!(shop["warnings"].to_string().contains("rows were counted before and after"), "{shop:#}");
    scene.bench.bkp("plan plan.yaml").says("GRANT LOCK TABLES ON `shop`.* TO 'bkp'@'localhost'");
    let writer = scene.server.writer("shop");
    scene.bench.bkp("run db").exits(0);
    drop(writer);
    scene.bench.bkp("drill db").exits(0);
}

#[test]
fn tables_alone_can_be_locked_and_counts_are_exact() {
    let scene = Scene::with(&RIGHTS.replace(", RELOAD", ""), "");
    scene.bench.apply("plan");
    let writer = scene.server.writer("shop");
    for _ in 0..5 {
        scene.bench.bkp("run db").exits(0);
        let shop = scene.member("shop");
        assert!(shop["bounds"].is_null(), "{shop:#}");
        assert_eq!(shop["counts"]["table:orders"], shop["counts"]["table:log"]);
    }
    drop(writer);
    scene.bench.bkp("drill db").exits(0);
}

#[test]
fn lock_goes_by_itself_when_the_dump_does_not_begin() {
    let scene = Scene::new();
    scene.plan(&format!(", lock_wait: 1s, tools: {}", scene.bench.home().display()));
    std::os::unix::fs::symlink("/usr/bin/mariadb", scene.bench.path("home/mariadb")).expect("a link");
    scene.bench.script(
        "home/mariadb-dump",
        "case $1 in --version) ;; *) [ -e $HOME/slow ] && { touch $HOME/held; while [ -e $HOME/held ]; do sleep 0.02; done; };; esac\n\
         exec /usr/bin/mariadb-dump \"$@\"",
    );
    scene.bench.apply("plan");
    scene.bench.write("home/slow", "");
    let run = scene.bench.start("run db");
    let held = scene.bench.path("home/held");
    wait_until("the dump", || held.exists());
    // It waits for the lock, which nobody lets go: the server does, after a second.
    scene.server.sql("INSERT INTO shop.orders (what) VALUES ('not for long')");
    fs::remove_file(scene.bench.path("home/slow")).expect("a file");
    fs::remove_file(held).expect("a file");
    run.finish().exits(0);
    let shop = scene.member("shop");
    assert!(shop["warnings"].to_string().contains("the lock did not last"), "{shop:#}");
    assert_eq!(shop["counts"]["table:orders"], 5, "{shop:#}");
}

#[test]
fn rows_that_are_lost_where_no_lock_and_no_snapshot_is_are_missed_too() {
    let scene = with_tools("/usr/bin/mariadb-dump \"$@\"");
    scene.server.sql("CREATE TABLE shop.old (i INT) ENGINE=MyISAM; INSERT INTO shop.old SELECT seq FROM shop.seq_1_to_1000");
    scene.bench.bkp("run db").exits(0);
    let without = "case $1 in --version) exec /usr/bin/mariadb-dump --version;; esac\n\
                   /usr/bin/mariadb-dump \"$@\" | sed '/^INSERT INTO `TABLE`/,/;$/d'";
    scene.bench.script("home/mariadb-dump", &without.replace("TABLE", "old"));
    fails(&scene, 3, "table:old: 1000 counted before and after, 0 in the dump");
    // No lock at all: two snapshots around the dump's judge it.
    scene.server.sql("REVOKE RELOAD, LOCK TABLES ON *.* FROM bkp@localhost; DROP TABLE shop.old");
    scene.bench.script("home/mariadb-dump", &without.replace("TABLE", "log"));
    fails(&scene, 3, "table:log: 4 counted before and after, 0 in the dump");
}

#[test]
fn tables_that_no_snapshot_holds_are_judged_by_their_bounds_and_named() {
    let scene = Scene::new();
    scene.server.sql("CREATE TABLE shop.old (i INT) ENGINE=MyISAM; INSERT INTO shop.old VALUES (1), (2)");
    scene.bench.apply("plan");
    let shop = scene.member("shop");
    assert_eq!(shop["counts"]["table:old"], 2, "{shop:#}");
    assert!(shop["warnings"].to_string().contains("`old` (MyISAM)"), "{shop:#}");
    scene.bench.bkp("drill db").exits(0);
}

#[test]
fn byte_flipped_at_rest_is_found_and_not_restored() {
    let scene = Scene::new();
    scene.bench.apply("plan");
    let artifact = |name: &std::path::Path| {
        let name = name.to_string_lossy().into_owned();
        name.contains("shop.sql") && !name.contains("sha256")
    };
    let names =
        fs::read_dir(scene.bench.newest("db")).expect("a folder").map(|it| it.expect("an entry").path());
    flip_byte(&names.into_iter().find(|it| artifact(it)).expect("the artifact"));
    scene.bench.bkp("drill db").exits(2).says("disproven");
    scene.bench.bkp("verify db").exits(2).says("disproven");
    assert!(!scene.bench.codes().is_empty());
}

#[test]
fn full_destination_publishes_nothing() {
    let scene = Scene::new();
    scene.bench.apply("plan");
    let big = scene.server.socket().with_file_name("big");
    sh(&format!("head -c 24000000 /dev/urandom >{}", big.display()), scene.bench.root());
    let load = format!("INSERT INTO shop.notes (of_order, body) VALUES (1, LOAD_FILE('{}'))", big.display());
    scene.server.sql(&load);
    assert_eq!(scene.server.sql("SELECT MAX(LENGTH(body)) FROM shop.notes"), "24000000");
    let folder = scene.bench.store();
    let kept = folder.with_file_name("kept");
    fs::rename(&folder, &kept).expect("a folder");
    fs::create_dir(&folder).expect("a folder");
    let (full, kept) = (folder.display().to_string(), kept.display().to_string());
    sh(&format!("mount -t tmpfs -o size=8M none {full} && cp -a {kept}/. {full}"), scene.bench.root());
    let _mounted = Mounted(folder);
    fails(&scene, 1, "No space left on device");
}

/// A file system of a test's own, gone with it.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        sh(&format!("umount -l {}", self.0.display()), std::path::Path::new("/"));
    }
}

#[test]
fn killed_drill_is_swept_by_the_next_run() {
    let scene = Scene::new();
    scene.bench.apply("plan");
    // A client that stops the drill where it feeds a schema.
    std::os::unix::fs::symlink("/usr/bin/mariadb-dump", scene.bench.path("home/mariadb-dump"))
        .expect("a link");
    scene.bench.script(
        "home/mariadb",
        "for a in \"$@\"; do case $a in --database=*) if [ -e $HOME/stop ]; then touch $HOME/there; exec sleep 60; fi;; esac; done\nexec /usr/bin/mariadb \"$@\"",
    );
    scene.plan(&format!(", tools: {}", scene.bench.home().display()));
    scene.bench.apply("plan");
    scene.bench.write("home/stop", "");
    let drill = scene.bench.start("drill db");
    let there = scene.bench.path("home/there");
    wait_until("the drill", || there.exists());
    let scratch = scene.bench.state("scratch").display().to_string();
    assert!(runs(&format!("datadir={scratch}")));
    drill.signal("KILL");
    drill.finish();
    assert!(runs(&format!("datadir={scratch}")), "nobody was there to end it");
    fs::remove_file(scene.bench.path("home/stop")).expect("a file");
    scene.bench.bkp("run db").exits(0);
    assert!(!runs(&format!("datadir={scratch}")));
    assert!(fs::read_dir(&scratch).expect("a folder").next().is_none());
}

#[test]
fn secret_is_in_no_argument_and_no_environment_and_on_no_disk() {
    let scene = with_tools(
        "tr '\\0' '\\n' </proc/$$/cmdline >$HOME/seen; tr '\\0' '\\n' </proc/$$/environ >>$HOME/seen\nexec /usr/bin/mariadb-dump \"$@\"",
    );
    scene.bench.bkp("run db -v").exits(0);
    let seen = text(&scene.bench.path("home/seen"));
    assert!(seen.contains("--defaults-extra-file=/proc/"), "{seen}");
    assert!(!seen.contains(SECRET), "{seen}");
    set_mode(&scene.bench.path("pass"), 0o600);
}
