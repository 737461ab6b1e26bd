//! Sessions and limits: nothing is left behind, and what hangs is ended.

use super::broken::tools;
use super::server::Server;
use super::with_shop;
use crate::support::{Bench, wait_until};
use std::time::{Duration, Instant};

#[test]
fn count_that_fails_is_told_also_where_the_dump_comes_late_for_its_snapshot() {
    for more in ["", ", parallel: 2"] {
        let server = Server::new();
        server.make_shop("shop", 10);
        server.sql("shop", "select lo_unlink(oid) from pg_largeobject_metadata");
        server.sql("postgres", "create role backup login bypassrls; grant pg_read_all_data to backup");
        let bench = Bench::new();
        let tools = tools(&bench, &server, "pg_dump", "sleep 1\nexec $real \"$@\"");
        let set = server.set(&format!(", tools: {tools}{more}")).replace("user: postgres", "user: backup");
        bench.plan(&format!("  pg: {set}\n"));
        bench.apply("plan");
        server.sql("postgres", "revoke pg_read_all_data from backup");
        let outcome = bench.bkp("run pg").exits(3).says("permission denied");
        outcome.says_nothing_of("invalid snapshot");
    }
}

#[test]
fn table_that_stays_locked_leaves_no_session_behind() {
    for more in ["", ", parallel: 2"] {
        let (mut server, bench) = with_shop(10);
        bench.plan(&format!("  pg: {}\n", server.set(&format!(", lock_wait: 2s{more}"))));
        bench.apply("plan");
        server.hold("shop", "lock table sales.orders in access exclusive mode");
        let began = Instant::now();
        bench.bkp("run pg").exits(3).says("timeout");
        assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
        wait_until("no session of bkp's is left", || {
            let sql = "select count(*) from pg_stat_activity where application_name = 'bkp'";
            server.sql("postgres", sql) == "0"
        });
        let socket = server.socket();
        let all = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
        let clients = all.filter_map(|it| {
            let name = std::fs::read(it.path().join("comm")).ok()?;
            let env = std::fs::read(it.path().join("environ")).ok()?;
            (name == b"psql\n" && String::from_utf8_lossy(&env).contains(&socket)).then(|| it.path())
        });
        assert_eq!(clients.count(), 0, "a client is left");
        server.release();
    }
}

#[test]
fn tool_that_hangs_is_ended_by_the_stall_limit() {
    for (tool, more) in [("pg_dump", ", parallel: 2"), ("pg_restore", "")] {
        let (server, bench) = with_shop(10);
        let script = format!(
            "test -e {}/hang || exec $real \"$@\"\ncase \"$*\" in *--list*) exec $real \"$@\";; esac\n\
             test {tool} = pg_dump || cat > /dev/null\nsleep 25\nexec $real \"$@\"",
            bench.root().display()
        );
        let tools = tools(&bench, &server, tool, &script);
        bench.plan(&format!("  pg: {}\n", server.set(&format!(", stall_limit: 4s, tools: {tools}{more}"))));
        bench.write("hang", "");
        let began = Instant::now();
        let outcome = bench.bkp("apply plan.yaml --yes");
        assert!(began.elapsed() < Duration::from_secs(22), "{tool}: {:?}\n{outcome:?}", began.elapsed());
        outcome.says("nothing moved");
    }
}

#[test]
fn index_that_is_long_in_the_making_is_no_stall() {
    let (server, bench) = with_shop(10);
    bench.plan(&format!("  pg: {}\n", server.set(", stall_limit: 5s")));
    server.sql(
        "shop",
        "create function slow(x int) returns int language plpgsql immutable as $$ begin perform pg_sleep(case when \
         current_database() like 'bkp%' then 0.02 else 0 end); return x; end $$; create table late (x int, \
         f char(7000)); alter table late alter f set storage plain; insert into late select generate_series(1, 400), ''; create index on late (slow(x))",
    );
    bench.apply("plan");
    bench.bkp("drill pg").exits(0);
}
