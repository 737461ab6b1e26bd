//! What a role may not read is told by plan with the command that mends it, and never left out.

use super::server::Server;
use crate::support::Bench;

/// A bench whose set logs in as `backup`, a role that is no superuser.
fn with_backup(server: &Server, more: &str) -> Bench {
    let bench = Bench::new();
    bench.plan(&format!("  pg: {}\n", server.set(more).replace("user: postgres", "user: backup")));
    bench
}

#[test]
fn missing_rights_are_told_with_the_commands_that_give_them_and_then_all_is_dumped() {
    let server = Server::new();
    server.make_shop("shop", 10);
    server.sql("postgres", "create role backup login");
    let bench = with_backup(&server, "");
    let plan = bench.bkp("plan plan.yaml");
    assert_eq!(plan.code, Some(1), "{plan:?}");
    plan.says("GRANT pg_read_all_data TO \"backup\"").says("ALTER ROLE \"backup\" BYPASSRLS");
    server.sql("postgres", "grant pg_read_all_data to backup; alter role backup bypassrls");
    bench.bkp("plan plan.yaml").says("large objects").says("SUPERUSER");
    server.sql("shop", "select lo_unlink(oid) from pg_largeobject_metadata");
    bench.apply("plan");
    bench.bkp("run pg").exits(0);
}

#[test]
fn right_that_is_revoked_after_apply_makes_the_run_incomplete() {
    let server = Server::new();
    server.make_shop("shop", 10);
    server.sql("shop", "select lo_unlink(oid) from pg_largeobject_metadata");
    server.sql("postgres", "create role backup login bypassrls; grant pg_read_all_data to backup");
    let bench = with_backup(&server, "");
    bench.apply("plan");
    server.sql("postgres", "revoke pg_read_all_data from backup");
    bench.bkp("run pg").exits(3).says("permission denied");
    server.sql("postgres", "grant pg_read_all_data to backup; alter role backup nobypassrls");
    bench.bkp("run pg").exits(3).says("row");
    bench.bkp("verify pg").exits(0);
}

#[test]
fn password_hashes_are_dumped_only_where_the_plan_says_so() {
    let server = Server::new();
    server.make_shop("shop", 10);
    server.sql("postgres", "create role app login password 'known'");
    let script = |policy: &str| {
        let bench = Bench::new();
        bench.plan(&format!("  pg: {}\n", server.set(policy)));
        bench.apply("plan");
        bench.bkp(&format!("restore pg --member _globals --to {}", bench.path("out").display())).exits(0);
        crate::support::text(&bench.path("out/_globals.sql"))
    };
    assert!(!script("").contains("SCRAM-SHA-256"));
    assert!(script(", roles: with-passwords").contains("SCRAM-SHA-256"));
    server.sql("postgres", "create role backup login");
    let bench = with_backup(&server, ", roles: with-passwords");
    bench.bkp("plan plan.yaml").says("may not read pg_authid").says("roles: without-passwords");
}

#[test]
fn password_less_address_is_an_open_door_with_the_login_that_went_through() {
    let port = super::server::free_port();
    let settings = ["listen_addresses = '127.0.0.1'".to_owned(), format!("port = {port}")];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let server =
        Server::on_port("host all all 127.0.0.1/32 trust\nhost all all 10.0.0.0/8 trust", &settings, port);
    server.make_shop("shop", 1);
    let bench = Bench::new();
    bench.plan(&format!("  pg: {}\n", server.set("")));
    let facts = bench.bkp("facts --plan plan.yaml").json()["sources"]["pg"].to_string();
    assert!(facts.contains(&format!("postgres at 127.0.0.1:{port} as role postgres")), "{facts}");
    assert!(facts.contains("without any password was let in as `postgres`"), "{facts}");
    assert!(facts.contains("from 10.0.0.0"), "{facts}");
    assert!(facts.contains(&format!("\"tcp:127.0.0.1:{port}\"")), "{facts}");
}

#[test]
fn address_that_asks_for_a_password_is_no_open_door() {
    let port = super::server::free_port();
    let settings = ["listen_addresses = '127.0.0.1'".to_owned(), format!("port = {port}")];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let server = Server::on_port("host all all 127.0.0.1/32 scram-sha-256", &settings, port);
    server.make_shop("shop", 1);
    let bench = Bench::new();
    bench.plan(&format!("  pg: {}\n", server.set("")));
    let facts = bench.bkp("facts --plan plan.yaml").json()["sources"]["pg"].to_string();
    assert!(!facts.contains("\"doors\""), "{facts}");
}

/// What the facts of the set `pg` say of a server that listens on loopback addresses, with rules.
fn facts_of(addresses: &str, rules: &str, sql: &str) -> (serde_json::Value, u16) {
    let port = super::server::free_port();
    let settings = [format!("listen_addresses = '{addresses}'"), format!("port = {port}")];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let server = Server::on_port(rules, &settings, port);
    server.make_shop("shop", 1);
    server.sql("postgres", sql);
    let bench = Bench::new();
    bench.plan(&format!("  pg: {}\n", server.set("")));
    let facts = bench.bkp("facts --plan plan.yaml").json()["sources"]["pg"]["observed"]["value"].clone();
    (facts, port)
}

#[test]
fn ipv6_address_without_a_password_is_an_open_door() {
    let (facts, port) = facts_of("::1", "host all all ::1/128 trust\nhost all all fd00::/8 trust", "");
    let facts = facts.to_string();
    assert!(facts.contains(&format!("postgres at [::1]:{port} as role postgres")), "{facts}");
    assert!(facts.contains("from fd00:: "), "{facts}");
}

#[test]
fn rule_for_one_role_of_one_database_is_tried_as_that_role() {
    let rules = "host shop app 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256";
    let (facts, port) = facts_of("127.0.0.1", rules, "create role app login");
    let doors = facts["doors"].as_array().unwrap_or_else(|| panic!("doors in {facts}")).clone();
    assert_eq!(doors.len(), 1, "{doors:?}");
    assert_eq!(doors[0]["object"], format!("postgres at 127.0.0.1:{port} as role app"));
    assert!(doors[0]["evidence"].as_str().expect("a text").contains("was let in as `app`"), "{doors:?}");
}

#[test]
fn role_that_cannot_log_in_and_is_asked_for_no_password_is_an_open_door_all_the_same() {
    let rules = "host all nobody 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256";
    let (facts, _port) = facts_of("127.0.0.1", rules, "create role nobody");
    assert!(facts.to_string().contains("is not permitted to log in"), "{facts}");
}

#[test]
fn rules_that_ask_for_a_proof_are_no_open_doors_and_ident_over_the_network_is_one() {
    let rules = "host all all 10.1.0.0/16 md5\nhost all all 10.2.0.0/16 password\nhost all all 10.3.0.0/16 scram-sha-256\n\
                 host all all 10.4.0.0/16 reject\nhost all all 10.5.0.0/16 ident\nhost all all 127.0.0.1/32 ident";
    let (facts, port) = facts_of("127.0.0.1", rules, "");
    let doors = facts["doors"].as_array().unwrap_or_else(|| panic!("doors in {facts}")).clone();
    assert_eq!(doors.len(), 1, "{doors:?}");
    assert_eq!(doors[0]["object"], format!("postgres port {port}, pg_hba.conf line 5"));
    assert!(facts.get("unseen").is_none(), "{facts}");
}

#[test]
fn what_was_not_looked_at_is_a_note_of_plan_until_the_grants_that_it_names_are_given() {
    let port = super::server::free_port();
    let settings = ["listen_addresses = '127.0.0.1'".to_owned(), format!("port = {port}")];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let server = Server::on_port("host all all 10.0.0.0/8 trust", &settings, port);
    server.sql("postgres", "create role backup login createdb; grant pg_read_all_data to backup");
    let bench = with_backup(&server, "");
    let plan = bench.bkp("plan plan.yaml").exits(0).says("not looked at set `pg`: the rules of");
    let text = plan.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("TO \"backup\"; GRANT EXECUTE"), "{text}");
    server.sql(
        "postgres",
        "GRANT SELECT ON pg_catalog.pg_hba_file_rules TO \"backup\"; GRANT EXECUTE ON FUNCTION \
         pg_catalog.pg_hba_file_rules() TO \"backup\"",
    );
    bench.bkp("plan plan.yaml").exits(0).says_nothing_of("not looked at").says("trusts role all");
}
