//! What is a member, what is not covered, and what plan and audit say of it.

use super::{RIGHTS, SECRET, Scene};
use crate::server::Server;
use crate::support::set_mode;

#[test]
fn every_schema_is_a_member_and_one_made_after_apply_is_taken_without_an_edit() {
    let scene = Scene::new();
    scene.bench.apply("plan");
    scene
        .server
        .sql("CREATE DATABASE later; CREATE TABLE later.t (i INT); INSERT INTO later.t VALUES (1), (2)");
    scene.bench.bkp("run db").exits(0);
    assert_eq!(scene.member("later")["counts"]["table:t"], 2);
    let names: Vec<String> = scene.manifest()["members"]
        .as_array()
        .expect("members")
        .iter()
        .map(|it| it["name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(names, ["_accounts", "later", "shop"]);
}

#[test]
fn fifth_schema_is_named_by_plan_and_audit_where_four_are_listed() {
    let scene = Scene::new();
    scene.server.sql("CREATE DATABASE a; CREATE DATABASE b; CREATE DATABASE fifth");
    scene.plan(", databases: [shop, a, b, _accounts]");
    scene.bench.bkp("plan plan.yaml").says("fifth");
    scene.bench.apply("plan");
    assert!(
        scene.bench.findings().iter().any(|it| it.object.contains("fifth") || it.evidence.contains("fifth"))
    );
    scene.plan(", databases: [shop, a, b, _accounts], ignore: { fifth: made anew from a }");
    scene.bench.apply("plan");
    assert_eq!(scene.bench.codes(), [""; 0]);
    scene.plan("");
    scene.bench.apply("plan");
    assert_eq!(scene.bench.codes(), [""; 0]);
    assert_eq!(scene.manifest()["members"].as_array().expect("members").len(), 5);
}

#[test]
fn listed_schema_that_is_gone_makes_the_run_incomplete() {
    let scene = Scene::new();
    scene.server.sql("CREATE DATABASE gone");
    scene.plan(", databases: [shop, gone, _accounts]");
    scene.bench.apply("plan");
    scene.server.sql("DROP DATABASE gone");
    scene.bench.bkp("run db").exits(3).says("gone");
    assert!(scene.bench.findings().iter().any(|it| it.evidence.contains("gone")));
}

#[test]
fn account_that_sees_some_schemas_alone_is_told_the_grant_and_runs_nothing() {
    let scene = Scene::with(RIGHTS, "");
    scene.bench.apply("plan");
    scene.server.sql(&format!(
        "REVOKE {RIGHTS} ON *.* FROM bkp@localhost; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON shop.* TO bkp@localhost"
    ));
    scene.bench.bkp("run db").exits(1).says("may not be complete").says("GRANT SELECT, SHOW VIEW, TRIGGER");
    assert_eq!(scene.bench.ids("db").len(), 1);
    scene.bench.bkp("plan plan.yaml").says("SHOW DATABASES, RELOAD ON *.* TO 'bkp'@'localhost'");
}

#[test]
fn world_writable_option_file_is_a_requirement_that_is_not_met() {
    let scene = Scene::new();
    let file = scene.bench.write(
        "my.cnf",
        format!("[client]\npassword=\"{}\"\n", SECRET.replace('\\', "\\\\").replace('"', "\\\"")),
    );
    set_mode(&file, 0o600);
    let set = |mode| {
        set_mode(&file, mode);
        scene.bench.plan(&format!(
            "  db: {{ type: mysql, socket: {}, user: bkp, defaults_file: {} }}\n",
            scene.server.socket().display(),
            file.display()
        ));
    };
    set(0o600);
    scene.bench.apply("plan");
    set(0o666);
    scene.bench.bkp("plan plan.yaml").says("chmod 600");
    scene.bench.bkp("run db").exits(1).says("chmod 600");
    assert_eq!(scene.bench.ids("db").len(), 1);
}

#[test]
fn account_without_a_password_is_an_open_door_on_every_address_that_lets_it_in() {
    let server = Server::with_port();
    server.sql("DELETE FROM mysql.global_priv WHERE User = 'root' AND Host != 'localhost'; FLUSH PRIVILEGES");
    let scene = Scene::of(server, RIGHTS, "");
    let shut = scene.bench.bkp("facts plan.yaml").exits(0);
    assert!(!shut.out.contains("without a password was let in"), "{}", shut.out);
    scene.server.sql("CREATE USER root@'127.0.0.1'");
    let open = scene.bench.bkp("facts plan.yaml").exits(0);
    let evidence = "a login from this host as `root` without a password was let in as root@127.0.0.1";
    assert!(open.out.contains(evidence), "{}", open.out);
    assert!(open.out.contains(&format!("tcp:127.0.0.1:{}", scene.server.port())), "{}", open.out);
    scene.server.sql("DROP USER root@'127.0.0.1'; CREATE USER ''@'%'");
    let anybody = scene.bench.bkp("facts plan.yaml").exits(0);
    assert!(anybody.out.contains("as bkp_nobody"), "{}", anybody.out);
    // The server listens on the loopback address alone: an account of other hosts is no way in by itself.
    assert!(!anybody.out.contains("mysql account ''@'%'"), "{}", anybody.out);
}

#[test]
fn folder_that_is_no_schema_is_left_out_or_told() {
    let scene = Scene::new();
    std::fs::create_dir(scene.server.socket().with_file_name("data").join("lost+found")).expect("a folder");
    assert!(scene.server.sql("SHOW DATABASES").contains("#mysql50#lost+found"));
    scene.bench.apply("plan");
    let members = scene.manifest()["members"].as_array().expect("members").len();
    assert_eq!(members, 2, "`_accounts` and `shop`");
    assert_eq!(scene.bench.codes(), [""; 0]);
    std::fs::create_dir(scene.server.socket().with_file_name("data").join("a.b")).expect("a folder");
    scene.bench.bkp("plan plan.yaml").says("ignore: { \"#mysql50#a.b\":");
    scene.plan(", ignore: { \"#mysql50#a.b\": a folder of somebody's }");
    scene.bench.apply("plan");
    assert_eq!(scene.bench.codes(), [""; 0]);
}
