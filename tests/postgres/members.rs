//! Which databases are taken, and that each is counted in the snapshot that was dumped.

use super::server::Server;
use super::{artifact, counts, with_shop};
use crate::support::{Bench, text};
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn dump_under_a_writer_holds_exactly_the_rows_that_were_counted_in_its_snapshot() {
    let (server, bench) = with_shop(20_000);
    bench.apply("plan");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                server
                    .sql("shop", "insert into sales.orders (what) select 'more' from generate_series(1, 50)");
            }
        });
        for _ in 0..3 {
            bench.bkp("run pg").exits(0);
            let counted = counts(&bench, "shop")["rows sales.orders"].as_u64().expect("a count");
            assert!(counted >= 20_000 && counted.is_multiple_of(50), "a whole number of commits: {counted}");
            bench.bkp("drill pg").exits(0);
        }
        done.store(true, Ordering::Relaxed);
    });
    let live: u64 = server.sql("shop", "select count(*) from sales.orders").parse().expect("a number");
    assert!(live > counts(&bench, "shop")["rows sales.orders"].as_u64().expect("a count"));
}

#[test]
fn objects_of_every_kind_are_counted() {
    let (server, bench) = with_shop(10);
    server.sql("postgres", "create role reader; create role app login; grant reader to app");
    server.sql("shop", "grant usage on schema sales to reader; grant select on sales.orders to reader");
    bench.apply("plan");
    let shop = counts(&bench, "shop");
    let expected = [
        ("rows sales.orders", 10),
        ("rows sales.lines", 10),
        ("rows sales.parts_2025", 100),
        ("rows public.odd name\nwith a newline", 3),
        ("schemas", 1),
        ("tables", 5),
        ("views", 1),
        ("materialized views", 1),
        ("functions", 1),
        ("triggers", 1),
        ("policies", 1),
        ("sequences", 2),
        ("types", 2),
        ("enum values", 2),
        ("indexes", 3),
        ("large objects", 2),
    ];
    for (key, count) in expected {
        assert_eq!(shop[key], count, "{key} in {shop:#}");
    }
    let globals = counts(&bench, "_globals");
    assert_eq!((&globals["roles"], &globals["memberships"]), (&3.into(), &1.into()));
    let script =
        zstd::decode_all(&std::fs::read(artifact(&bench, "_globals")).expect("a script")[..]).expect("zstd");
    assert!(String::from_utf8_lossy(&script).contains("CREATE ROLE reader"));
}

#[test]
fn database_made_after_apply_is_covered_without_an_edit() {
    let (server, bench) = with_shop(10);
    bench.apply("plan");
    server.make_shop("fifth", 7);
    bench.bkp("run pg").exits(0);
    assert_eq!(counts(&bench, "fifth")["rows sales.orders"], 7);
    server.sql("postgres", "create table notes (x int); insert into notes values (1)");
    bench.bkp("run pg").exits(0);
    assert_eq!(counts(&bench, "postgres")["rows public.notes"], 1, "it holds data now");
}

#[test]
fn fifth_of_four_listed_is_named_and_a_listed_one_that_is_gone_fails() {
    let server = Server::new();
    for name in ["one", "two"] {
        server.make_shop(name, 5);
    }
    let bench = Bench::new();
    bench.plan(&format!("  pg: {}\n", server.set(", databases: [one]")));
    let facts = bench.bkp("facts --plan plan.yaml").exits(0).json();
    let uncovered = facts["sources"]["pg"]["observed"].to_string();
    assert!(uncovered.contains("\"uncovered\":[{\"name\":\"two\""), "{uncovered}");
    bench.apply("plan");
    bench.plan(&format!("  pg: {}\n", server.set(", databases: [one, gone], ignore: { two: 'a toy' }")));
    let facts = bench.bkp("facts --plan plan.yaml").json();
    assert!(!facts["sources"]["pg"].to_string().contains("\"uncovered\":[{"));
    bench.bkp("plan plan.yaml").says("`gone` does not exist");
    bench.plan(&format!("  pg: {}\n", server.set(", databases: [one, two]")));
    bench.apply("plan");
    server.sql("postgres", "drop database two");
    bench.bkp("run pg").exits(3).says("two");
}

#[test]
fn database_that_lets_nobody_connect_is_a_member_that_fails() {
    let (server, bench) = with_shop(10);
    bench.apply("plan");
    server.make_shop("shut", 1);
    server.sql("postgres", "alter database shut allow_connections false");
    bench
        .bkp("plan plan.yaml")
        .says("lets nobody connect")
        .says("ALTER DATABASE \"shut\" ALLOW_CONNECTIONS true");
    bench.bkp("run pg").exits(3).says("shut");
    bench.plan(&format!("  pg: {}\n", server.set(", ignore: { shut: 'being moved' }")));
    bench.apply("plan");
    bench.bkp("run pg").exits(0);
}

#[test]
fn database_named_as_the_roles_are_is_refused_with_a_way_out() {
    let (server, bench) = with_shop(10);
    server.sql("postgres", "create database _globals");
    bench.bkp("plan plan.yaml").says("the member that holds roles").says("roles: none");
    bench.plan(&format!("  pg: {}\n", server.set(", roles: none")));
    bench.apply("plan");
    assert_eq!(counts(&bench, "_globals")["tables"], 0);
}

#[test]
fn hostile_names_are_dumped_and_restored() {
    let server = Server::new();
    server.sql("postgres", "create database \"a=b 'c' \\ \"\"d\"\"\"");
    server.sql("postgres", "create role \"odd '\"\" role\"");
    server.sql(
        "a=b 'c' \\ \"d\"",
        "create table t (x int); insert into t values (1); grant select on t to \"odd '\"\" role\"",
    );
    let bench = Bench::new();
    bench.plan(&format!("  pg: {}\n", server.set("")));
    bench.apply("plan");
    assert_eq!(counts(&bench, "a=b 'c' \\ \"d\"")["rows public.t"], 1);
}

#[test]
fn example_in_the_plans_folder_is_of_this_kind() {
    let plan = text(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/postgres-server.yaml"));
    assert!(plan.contains("type: postgres"));
}

#[test]
fn parallel_dump_is_counted_drilled_and_restored_as_the_other_is() {
    let server = Server::new();
    server.make_shop("shop", 3000);
    let bench = Bench::new();
    bench.plan(&format!("  pg: {}\n", server.set(", parallel: 2")));
    bench.apply("plan");
    assert_eq!(counts(&bench, "shop")["rows sales.lines"], 3000);
    assert!(artifact(&bench, "shop").to_string_lossy().contains("shop.tar"));
    bench.bkp("restore pg --member shop --as again").exits(0);
    assert_eq!(server.sql("again", "select count(*) from sales.parts"), "100");
    bench.bkp(&format!("restore pg --member shop --to {}", bench.path("out").display())).exits(0);
    assert!(bench.path("out/shop/toc.dat").exists());
}
