//! Backups of a server that is written to, drilled and restored: every count equal.

use super::Scene;
use crate::server::Server;
use crate::support::text;
use std::fs;
use std::process::{Command, Stdio};

#[test]
fn counts_are_exact_in_twenty_runs_while_a_writer_commits() {
    let scene = Scene::new();
    scene.bench.apply("plan");
    let writer = scene.server.writer("shop");
    let mut seen = Vec::new();
    for _ in 0..20 {
        scene.bench.bkp("run db").exits(0);
        let shop = scene.member("shop");
        assert!(shop["bounds"].is_null(), "{shop:#}");
        assert!(shop["warnings"].is_null(), "{shop:#}");
        let count = |key: &str| shop["counts"][key].as_u64().expect("a count");
        // The trigger writes in the same transaction: a snapshot has both rows, or neither.
        assert_eq!(count("table:orders"), count("table:log"));
        seen.push(count("table:orders"));
    }
    drop(writer);
    assert!(seen.windows(2).any(|pair| pair[0] < pair[1]), "nothing was written meanwhile: {seen:?}");
    scene.bench.bkp("drill db").exits(0);
}

#[test]
fn every_kind_of_object_comes_back_and_is_counted() {
    let scene = Scene::new();
    scene.server.sql("CREATE ROLE reader; GRANT SELECT ON shop.orders TO reader; GRANT reader TO bkp@localhost; CREATE DATABASE other; CREATE TABLE other.t (a INT, b INT); CREATE USER few@'%' IDENTIFIED BY 'x'; GRANT SELECT (a, b) ON other.t TO few@'%'; GRANT EXECUTE ON PROCEDURE shop.tidy TO few@'%'");
    scene.plan(", ignore: { other: a test }");
    scene.bench.apply("plan");
    let counts = scene.member("shop")["counts"].clone();
    let expected = [
        ("tables", 4),
        ("views", 1),
        ("triggers", 1),
        ("procedures", 1),
        ("functions", 1),
        ("events", 2),
        ("sequences", 1),
        ("foreign keys", 1),
        ("indexes", 5),
        ("columns", 10),
        ("collation utf8mb4_bin", 1),
        ("table:orders", 4),
        ("table:notes", 2),
        ("table:priced", 2),
        ("history:priced", 3),
        ("table:log", 4),
    ];
    for (key, count) in expected {
        assert_eq!(counts[key], count, "{key} in {counts:#}");
    }
    let accounts = scene.member("_accounts")["counts"].clone();
    assert_eq!(accounts["roles"], 1, "{accounts:#}");
    scene.bench.bkp("drill db").exits(0);
    assert_eq!(scene.bench.codes(), [""; 0]);
}

#[test]
fn restored_file_is_what_the_client_takes_on_a_bare_server() {
    let scene = Scene::new();
    scene.bench.apply("plan");
    scene.bench.bkp("restore db --to out").exits(0);
    let bare = Server::new();
    bare.sql("CREATE DATABASE shop");
    let file = fs::File::open(scene.bench.path("out/shop.sql")).expect("the file");
    let status = bare.client().arg("shop").stdin(Stdio::from(file)).status().expect("mariadb");
    assert!(status.success());
    assert_eq!(
        bare.sql("SELECT COUNT(*) FROM shop.orders; SELECT MAX(LENGTH(body)) FROM shop.notes"),
        "4\n70000"
    );
    let collation =
        "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'shop'";
    assert_eq!(bare.sql(collation), "utf8mb4_bin", "the dump itself does not say it");
    let rows = "SELECT HEX(what) FROM shop.orders ORDER BY id";
    assert_eq!(bare.sql(rows), scene.server.sql(rows));
    assert!(text(&scene.bench.path("out/_accounts.sql")).ends_with("-- Accounts completed\n"));
}

/// Gives the account what a restore onto the server takes.
fn may_restore(scene: &Scene) {
    scene.server.sql("GRANT ALL PRIVILEGES ON *.* TO bkp@localhost");
}

#[test]
fn member_is_restored_beside_under_a_new_name_and_the_live_one_is_not_touched() {
    let scene = Scene::new();
    may_restore(&scene);
    scene.bench.apply("plan");
    scene.server.sql("DELETE FROM shop.notes");
    let before =
        scene.server.sql("SHOW CREATE DATABASE shop; CHECKSUM TABLE shop.orders, shop.log, shop.notes");
    scene.bench.bkp("restore db --member shop --as back").exits(0);
    assert_eq!(scene.server.sql("SELECT COUNT(*) FROM back.notes; SELECT COUNT(*) FROM shop.notes"), "2\n0");
    let after =
        scene.server.sql("SHOW CREATE DATABASE shop; CHECKSUM TABLE shop.orders, shop.log, shop.notes");
    assert_eq!(before, after);
    scene.bench.bkp("restore db --member shop --as back").exits(1).says("exists already");
    assert_eq!(scene.server.sql("SELECT COUNT(*) FROM back.notes"), "2");
    scene.bench.bkp("restore db --member _accounts --as x").exits(1).says("`--to`");
}

#[test]
fn live_schema_is_replaced_when_it_is_named_in_full() {
    let scene = Scene::new();
    may_restore(&scene);
    scene.bench.apply("plan");
    scene.server.sql("DROP TRIGGER shop.noted; DELETE FROM shop.notes; CREATE TABLE shop.junk (i INT)");
    scene.bench.bkp("restore db --member shop --over shop").exits(1).says("named in full");
    let full = format!("mysql:{}/shop", scene.server.socket().display());
    let outcome = scene.bench.bkp(&format!("restore db --member shop --over {full}")).exits(0);
    assert_eq!(
        scene.server.sql("SELECT COUNT(*) FROM shop.notes; SHOW TRIGGERS FROM shop").lines().count(),
        2
    );
    assert_eq!(scene.server.sql("SHOW TABLES FROM shop LIKE 'junk'"), "");
    let old = scene.server.sql("SHOW DATABASES LIKE 'bkp%'");
    assert!(old.starts_with("bkp_old_") && old.lines().count() == 1, "{old}");
    outcome.says(&format!("DROP DATABASE `{old}`"));
    assert_eq!(scene.server.sql(&format!("SHOW TABLES FROM {old} LIKE 'junk'")), "junk");
    assert_eq!(events(&scene, "shop"), "nightly\tENABLED\troot@localhost\nweekly\tENABLED\troot@localhost");
    assert!(!events(&scene, &old).contains("ENABLED"));
}

/// The events of a schema, their status and whose they are.
fn events(scene: &Scene, schema: &str) -> String {
    scene.server.sql(&format!(
        "SELECT EVENT_NAME, STATUS, DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA = '{schema}' ORDER BY 1"
    ))
}

/// Lets what is fed into some schemas pass through `body`, where `real` is the client.
fn feeding_client(scene: &Scene, schemas: &str, body: &str) {
    scene.bench.script(
        "tools/mariadb",
        &format!(
            "real=/usr/bin/mariadb\nfor a in \"$@\"; do case $a in --database={schemas}*) {body};; esac; done\nexec $real \"$@\""
        ),
    );
    std::os::unix::fs::symlink("/usr/bin/mariadb-dump", scene.bench.path("tools/mariadb-dump"))
        .expect("a link");
}

#[test]
fn events_of_a_copy_on_the_live_server_are_disabled_and_told() {
    let scene = Scene::of(Server::with_binary_log(), super::RIGHTS, "");
    may_restore(&scene);
    let fed = scene.bench.path("fed");
    feeding_client(&scene, "bkp_drill_", &format!("tee {} | $real \"$@\"; exit", fed.display()));
    let tools = scene.bench.path("tools").display().to_string();
    scene.plan(&format!(", drill: server, tools: {tools}, ignore: {{ _accounts: kept elsewhere }}"));
    scene.bench.apply("plan");
    let log = scene.server.sql("SHOW MASTER STATUS");
    scene.bench.bkp("drill db").exits(0);
    let text = String::from_utf8_lossy(&fs::read(&fed).expect("what was fed")).into_owned();
    assert!(text.contains(" PRESERVE DISABLE DO ") && !text.contains(" PRESERVE ENABLE "));
    assert_eq!(scene.server.sql("SHOW MASTER STATUS"), log, "replicas repeat nothing of a drill");
    let outcome = scene.bench.bkp("restore db --member shop --as back").exits(0);
    assert_eq!(events(&scene, "back"), "nightly\tDISABLED\troot@localhost\nweekly\tDISABLED\troot@localhost");
    let enabling = "ALTER DEFINER=`root`@`localhost` EVENT `back`.`nightly` ENABLE;";
    outcome.says("events are disabled").says(enabling);
    scene.server.sql(enabling);
    assert!(events(&scene, "back").starts_with("nightly\tENABLED\troot@localhost"));
    assert!(!events(&scene, "shop").contains("DISABLED"));
}

#[test]
fn live_schema_that_is_written_to_while_it_is_copied_is_not_replaced() {
    let scene = Scene::new();
    may_restore(&scene);
    let socket = scene.server.socket();
    let change = format!(
        "$real \"$@\" || exit; exec $real --no-defaults -uroot --socket={} -e \"UPDATE shop.orders SET what = 'changed' WHERE id = 1\"",
        socket.display()
    );
    feeding_client(&scene, "bkp_old_", &change);
    let full = format!("mysql:{}/shop", socket.display());
    let over = format!("restore db --member shop --over {full}");
    scene.plan(&format!(", tools: {}", scene.bench.path("tools").display()));
    scene.bench.apply("plan");
    scene.bench.bkp(&over).exits(1).says("it was changed while it was copied: rows of `orders`");
    scene.plan("");
    scene.bench.apply("plan");
    let writer = scene.server.writer("shop");
    scene.bench.bkp(&over).exits(1).says("it was changed while it was copied: table:log: ");
    drop(writer);
    let count = scene.server.sql("SELECT COUNT(*) FROM shop.orders").parse::<u64>().expect("a count");
    assert!(count > 4, "what was written is there");
    assert_eq!(scene.server.sql("SELECT what FROM shop.orders WHERE id = 1"), "changed");
    assert_eq!(scene.server.sql("SHOW TRIGGERS FROM shop").lines().count(), 1);
    assert_eq!(scene.server.sql("SHOW DATABASES LIKE 'bkp%'"), "");
}

#[test]
fn kill_while_the_live_schema_is_copied_touches_nothing() {
    let scene = Scene::new();
    may_restore(&scene);
    feeding_client(&scene, "bkp_old_", "kill -9 $(grep PPid /proc/$$/status | cut -f2); exit 1");
    scene.plan(&format!(", tools: {}", scene.bench.path("tools").display()));
    scene.bench.apply("plan");
    scene.server.sql("INSERT INTO shop.orders (what) VALUES ('since then')");
    let full = format!("mysql:{}/shop", scene.server.socket().display());
    let killed = scene.bench.bkp(&format!("restore db --member shop --over {full}"));
    assert_eq!(killed.signal, Some(9), "{}{}", killed.out, killed.err);
    assert_eq!(scene.server.sql("SELECT COUNT(*) FROM shop.orders"), "5", "the live schema is as it was");
}

/// A client that works like the real one, and kills bkp when it is told to drop the live schema.
fn killing_client(scene: &Scene, when: &str) {
    let body = format!(
        "f=$(mktemp)\nfor a in \"$@\"; do case $a in --help|--unbuffered|--version|--database=*) exec /usr/bin/mariadb \"$@\";; esac; done\n\
         cat >$f\nif grep -q '{when}' $f; then kill -9 $(grep PPid /proc/$$/status | cut -f2); exit 1; fi\n\
         exec /usr/bin/mariadb \"$@\" <$f"
    );
    scene.bench.script("tools/mariadb", &body);
    std::os::unix::fs::symlink("/usr/bin/mariadb-dump", scene.bench.path("tools/mariadb-dump"))
        .expect("a link");
}

#[test]
fn kill_behind_the_removal_of_the_live_tables_loses_nothing() {
    let scene = Scene::new();
    may_restore(&scene);
    scene.bench.apply("plan");
    scene.server.sql("INSERT INTO shop.orders (what) VALUES ('since then')");
    killing_client(&scene, "DROP DATABASE IF EXISTS `shop`");
    scene.plan(&format!(", tools: {}", scene.bench.path("tools").display()));
    scene.bench.apply("plan");
    let full = format!("mysql:{}/shop", scene.server.socket().display());
    let killed = scene.bench.bkp(&format!("restore db --member shop --over {full}"));
    assert_eq!(killed.signal, Some(9), "{}{}", killed.out, killed.err);
    let left = scene.server.sql("SHOW DATABASES LIKE 'bkp%'");
    let lines: Vec<&str> = left.lines().collect();
    assert_eq!(lines.len(), 2, "{left}");
    for name in lines {
        assert_eq!(scene.server.sql(&format!("SELECT COUNT(*) FROM {name}.orders")), "5", "{name}");
    }
}

#[test]
fn drill_on_the_declared_server_leaves_nothing_and_says_what_it_cannot_try() {
    let scene = Scene::new();
    may_restore(&scene);
    scene.plan(", drill: server, ignore: { _accounts: kept elsewhere }");
    scene.bench.apply("plan");
    scene.bench.bkp("drill db").exits(0);
    assert_eq!(scene.server.sql("SHOW DATABASES LIKE 'bkp%'"), "");
    scene.server.sql("CREATE TRIGGER shop.named BEFORE INSERT ON shop.notes FOR EACH ROW DELETE FROM shop.log WHERE at < 0");
    scene.bench.bkp("run db").exits(0);
    let outcome = scene.bench.bkp("drill db").says("objects that name `shop` itself");
    assert_ne!(outcome.code, Some(0));
    let triggers = "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'shop'";
    assert_eq!(scene.server.sql(triggers), "2");
    scene.server.sql("DROP TRIGGER shop.named");
    scene.bench.bkp("restore db --member shop --as back").exits(1).says("objects that name `shop` itself");
    assert_eq!(scene.server.sql(triggers), "1", "nothing was made in the live schema");
    assert_eq!(scene.server.sql("SHOW DATABASES LIKE 'bkp%'"), "");
}

/// Whether a process runs whose arguments hold this text.
pub fn runs(what: &str) -> bool {
    let output = Command::new("pgrep").args(["-f", what]).output().expect("pgrep");
    output.status.success()
}
