//! Given back: into a folder, under a new name, and over a live database that is named in full.

use super::server::PORT;
use super::with_shop;

#[test]
fn restored_under_a_new_name_every_count_and_setting_is_equal() {
    let (server, bench) = with_shop(500);
    server.sql(
        "postgres",
        "create role app; alter database shop set search_path to sales; grant create on database shop to app",
    );
    bench.apply("plan");
    bench.bkp("restore pg --member shop --as shop").exits(1).says("exists already");
    bench.bkp("restore pg --member shop --as again").exits(0);
    let sum = "select count(*), sum(price), md5(string_agg(what, ',' order by id)) from sales.orders";
    assert_eq!(server.sql("again", sum), server.sql("shop", sum));
    assert_eq!(server.sql("again", "show search_path"), "sales");
    assert_eq!(server.sql("again", "select has_database_privilege('app', 'again', 'create')"), "t");
}

#[test]
fn restored_over_a_live_database_only_in_full_and_the_old_one_is_kept() {
    let (mut server, bench) = with_shop(500);
    bench.apply("plan");
    server.sql("shop", "delete from sales.lines; insert into sales.orders (what) values ('after')");
    bench.bkp("restore pg --member shop --over shop").exits(1).says("not named in full");
    let full = format!("postgres:{}:{PORT}/shop", server.socket());
    let command = ["restore", "pg", "--member", "shop", "--over", full.as_str()];
    server.hold("shop", "select 1");
    bench.run(command).exits(1).says("nothing was replaced");
    assert_eq!(server.sql("shop", "select count(*) from sales.orders"), "501");
    server.release();
    let told = bench.run(command).exits(0);
    assert_eq!(server.sql("shop", "select count(*) from sales.orders"), "500");
    let kept =
        server.databases().into_iter().find(|name| name.starts_with("shop_before_")).expect("the old one");
    told.says(&format!("is kept in database `{kept}`")).says(&format!("DROP DATABASE \"{kept}\";"));
    assert_eq!(server.sql(&kept, "select count(*) from sales.orders"), "501");
}

#[test]
fn folder_gets_what_pg_restore_takes() {
    let (server, bench) = with_shop(20);
    bench.apply("plan");
    bench.bkp(&format!("restore pg --to {}", bench.path("out").display())).exits(0);
    let dump = bench.path("out/shop.dump");
    let listed =
        std::process::Command::new(server.tools().join("pg_restore")).arg("--list").arg(dump).output();
    assert!(String::from_utf8_lossy(&listed.expect("pg_restore").stdout).contains("TABLE DATA sales orders"));
    assert!(bench.path("out/_globals.sql").exists());
}
