//! Names and code of a tenant's: they reach the server as names, and run as nobody.

use super::server::Server;
use super::{counts, with_shop};
use crate::support::{Bench, set_mode, text};

fn bench_of(server: &Server, more: &str) -> Bench {
    let bench = Bench::new();
    bench.plan(&format!("  pg: {}\n", server.set(more)));
    bench
}

#[test]
fn database_s_name_is_never_run_as_a_statement() {
    let server = Server::new();
    let name = "x WITH TEMPLATE = template0; alter role evil superuser --";
    server.sql("postgres", "create role evil login createdb");
    server.sql("postgres", &format!("set role evil; create database \"{name}\""));
    server.sql(name, "create table t (x int); insert into t values (1)");
    server.sql("postgres", &format!("alter database \"{name}\" set search_path to public, \"it's\"\"\""));
    let bench = bench_of(&server, ", drill: server");
    let applied = bench.bkp("apply plan.yaml --yes");
    assert_eq!(server.sql("postgres", "select rolsuper from pg_roles where rolname = 'evil'"), "f");
    applied.exits(0);
    bench.run(["restore", "pg", "--member", name, "--as", "copy1"]).exits(0);
    assert_eq!(server.sql("postgres", "select rolsuper from pg_roles where rolname = 'evil'"), "f");
    assert_eq!(server.sql("copy1", "select count(*) from t"), "1");
    assert_eq!(server.sql("copy1", "show search_path"), server.sql(name, "show search_path"));
}

#[test]
fn settings_of_a_database_whose_name_is_a_keyword_go_to_the_new_one_alone() {
    let server = Server::new();
    server.sql("postgres", "create role app");
    server.sql("postgres", "create database \"user\"");
    server.sql(
        "postgres",
        "alter database \"user\" set work_mem to '5MB'; grant create on database \"user\" to app; \
         alter database \"user\" connection limit 7; alter role app in database \"user\" set work_mem to '6MB'",
    );
    let bench = bench_of(&server, "");
    bench.apply("plan");
    server.sql(
        "postgres",
        "alter database \"user\" reset work_mem; revoke create on database \"user\" from app; \
         alter database \"user\" connection limit 8; alter role app in database \"user\" reset work_mem",
    );
    let is = |name: &str| {
        let sql = "select d.datconnlimit, has_database_privilege('app', d.oid, 'create'), (select \
                   string_agg(s.setconfig::text, ' ' order by s.setrole) from pg_db_role_setting s where s.setdatabase \
                   = d.oid) from pg_database d where d.datname = ";
        server.sql("postgres", &format!("{sql}'{name}'"))
    };
    let before = is("user");
    bench.bkp("restore pg --member user --as again").exits(0);
    assert_eq!(is("user"), before, "the original is as it was");
    assert_eq!(is("again"), "7|t|{work_mem=5MB} {work_mem=6MB}");
}

#[test]
fn maintenance_database_is_a_member_as_soon_as_it_holds_an_object_of_any_kind() {
    let server = Server::new();
    let bench = bench_of(&server, "");
    let takes = || {
        let facts = bench.bkp("facts --plan plan.yaml").json();
        let facts = facts["sources"]["pg"].to_string();
        assert!(facts.contains("_globals"), "{facts}");
        facts.contains("\"name\":\"postgres\"")
    };
    assert!(!takes(), "nothing is in it");
    for (make, unmake) in [
        ("create type color as enum ('red')", "drop type color"),
        ("create extension citext", "drop extension citext"),
        (
            "alter default privileges grant select on tables to public",
            "alter default privileges revoke select on tables from public",
        ),
    ] {
        server.sql("postgres", make);
        assert!(takes(), "{make}");
        server.sql("postgres", unmake);
    }
    assert!(!takes(), "it is empty again");
}

#[test]
fn code_of_a_dump_does_not_run_as_the_owner_of_the_live_server() {
    let (server, bench) = with_shop(1);
    let folder = server.owned_folder("told");
    set_mode(&folder, 0o777);
    server.sql(
        "shop",
        &format!(
            "create function who(x int) returns bool language plpgsql as $$ begin if current_database() like 'bkp%' \
             then copy (select 1) to program 'cat >/dev/null; id -un > {}/who'; end if; return true; end $$; \
             create table t (x int check (public.who(x))); insert into t values (1)",
            folder.display()
        ),
    );
    bench.apply("plan");
    bench.bkp("drill pg").exits(0);
    assert_eq!(text(&folder.join("who")).trim(), "nobody");
}

#[test]
fn tables_whose_names_differ_only_by_their_quotes_are_counted_apart() {
    let server = Server::new();
    server.sql("postgres", "create database shop");
    server.sql(
        "shop",
        "create schema \"a.b\"; create schema a; create table \"a.b\".c (x int); create table a.\"b.c\" (x int); \
         create table users (x int); insert into \"a.b\".c values (1), (2); insert into a.\"b.c\" values (1)",
    );
    for more in ["", ", parallel: 2"] {
        let bench = bench_of(&server, more);
        bench.apply("plan");
        bench.bkp("run pg").exits(0);
        let shop = counts(&bench, "shop");
        assert_eq!((&shop["rows \"a.b\".c"], &shop["rows a.\"b.c\""]), (&2.into(), &1.into()), "{shop:#}");
        assert_eq!(shop["rows public.users"], 0);
        bench.bkp("drill pg").exits(0);
    }
}

/// A role that may read all and make databases, and is no member of the roles that own them.
const BACKUP: &str = "create role backup login createdb bypassrls; grant pg_read_all_data to backup; \
                      create role owner_of_it; create role reader";

#[test]
fn drill_on_the_server_needs_no_right_over_the_owners_of_what_it_restores() {
    let server = Server::new();
    server.make_shop("shop", 10);
    server.sql("postgres", BACKUP);
    server.sql(
        "shop",
        "select lo_unlink(oid) from pg_largeobject_metadata; alter table sales.lines owner to owner_of_it; \
         grant select on sales.orders to reader; alter default privileges for role owner_of_it in schema sales \
         grant select on tables to reader",
    );
    let bench = Bench::new();
    let set = server.set(", drill: server").replace("user: postgres", "user: backup");
    bench.plan(&format!("  pg: {set}\n"));
    bench.bkp("apply plan.yaml --yes");
    bench.bkp("run pg").exits(0);
    bench.bkp("drill pg").exits(0);
    assert_eq!(counts(&bench, "shop")["default privileges"], 1);
}

#[test]
fn right_that_a_drill_on_the_server_lacks_is_no_damage_of_the_snapshot() {
    let server = Server::new();
    server.make_shop("shop", 10);
    server.sql("postgres", BACKUP);
    server.sql(
        "shop",
        "select lo_unlink(oid) from pg_largeobject_metadata; create function ev() returns event_trigger language \
         plpgsql as $$ begin end $$; create event trigger ev on ddl_command_end execute function ev()",
    );
    let bench = Bench::new();
    let set = server.set(", drill: server").replace("user: postgres", "user: backup");
    bench.plan(&format!("  pg: {set}\n"));
    bench.bkp("apply plan.yaml --yes");
    bench.bkp("run pg");
    let outcome = bench.bkp("drill pg").says("permission denied");
    outcome.says_nothing_of("damaged");
}
