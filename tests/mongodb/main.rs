//! `mongodb` sets, end to end. No mongod is to be had here: the server is a STAND-IN (`tests/mongodb_stand_in/mongod.py`),
//! and so are mongodump and mongorestore, unless `BKP_TEST_MONGO_TOOLS` names a folder with the real ones.
#![expect(clippy::disallowed_methods, reason = "the tests look at the host's files themselves")]

mod server;
#[path = "../support/mod.rs"]
mod support;

use mongodb::bson::doc;
use server::{Mongo, PASSWORD, script, tools};
use std::fs;
use support::{Bench, assert_same, picture};

/// A host with a plan for a set `shop` on this server.
fn bench(mongo: &Mongo, more: &str) -> Bench {
    let bench = Bench::new();
    tools(&bench.path("tools"));
    plan(&bench, mongo, more);
    bench
}

fn plan(bench: &Bench, mongo: &Mongo, more: &str) {
    let tools = bench.path("tools").display().to_string();
    let url = mongo.url();
    bench.plan(&format!("  shop: {{ type: mongodb, url: '{url}', tools: {tools}{more} }}\n"));
}

/// The same with the login of `bkp`.
fn bench_with_login(mongo: &Mongo, more: &str) -> Bench {
    let bench = bench(mongo, "");
    let secret = bench.write("password", format!("{PASSWORD}\n"));
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    plan(&bench, mongo, &format!(", user: bkp, password: {{ file: {} }}{more}", secret.display()));
    bench
}

#[test]
fn databases_of_a_stand_in_server_come_back_with_every_count() {
    let mongo = Mongo::closed();
    mongo.fill_shop();
    let bench = bench_with_login(&mongo, "");
    bench.apply("plan").says_nothing_of(PASSWORD);
    let manifest = fs::read_to_string(bench.newest("shop").join("manifest.json")).expect("a manifest");
    for count in ["\"documents orders\": 350", "\"indexes orders\": 2", "\"views\": 1", "\"validators\": 1"] {
        assert!(manifest.contains(count), "{manifest}");
    }
    assert!(manifest.contains("\"documents system.users\": 2"), "{manifest}");
    assert_eq!(mongo.databases(), ["admin", "shop"]);
    bench.bkp("restore shop --member shop --as again").exits(0);
    assert_eq!((mongo.count("again", "orders"), mongo.count("again", "customers")), (350, 5));
}

/// A store that has one good snapshot, and a way to see that it is untouched.
struct Safe {
    ids: Vec<String>,
    stored: Vec<String>,
}

impl Safe {
    fn of(bench: &Bench) -> Self {
        Self { ids: bench.ids("shop"), stored: picture(&bench.newest("shop")) }
    }

    /// Demands that a run fails, says why, shows no secret, and publishes nothing.
    #[track_caller]
    fn holds(&self, bench: &Bench, code: i32, why: &str) {
        bench.bkp("run shop").exits(code).says(why).says_nothing_of(PASSWORD);
        assert_eq!(self.ids, bench.ids("shop"));
        assert_same(&self.stored, &picture(&bench.newest("shop")));
    }
}

fn with_one_snapshot() -> (Mongo, Bench, Safe) {
    let mongo = Mongo::closed();
    mongo.fill_shop();
    let bench = bench_with_login(&mongo, ", databases: [shop], ignore: { admin: by hand }");
    bench.apply("plan");
    let safe = Safe::of(&bench);
    (mongo, bench, safe)
}

#[test]
fn missing_tool_is_a_finding_and_a_failed_run() {
    let (_mongo, bench, safe) = with_one_snapshot();
    fs::remove_file(bench.path("tools/mongodump")).expect("the tool");
    assert_eq!(bench.finding("tool-missing").object, "mongodump");
    safe.holds(&bench, 1, "`mongodump` is not in");
}

#[test]
fn wrong_password_is_a_finding_and_shown_nowhere() {
    let (_mongo, bench, safe) = with_one_snapshot();
    bench.write("password", format!("{PASSWORD}-old\n"));
    let found = bench.finding("login-refused");
    assert!(!format!("{found:?}").contains(PASSWORD), "{found:?}");
    safe.holds(&bench, 1, "it refuses the login");
}

#[test]
fn login_that_may_not_see_all_databases_never_makes_a_shorter_list() {
    let (mongo, bench, safe) = with_one_snapshot();
    mongo.run("admin", doc! { "updateUser": "bkp", "roles": [{ "role": "read", "db": "shop" }] });
    bench.finding("catalogue-limited");
    let plan = bench.bkp("plan plan.yaml");
    plan.says("db.getSiblingDB(\"admin\").grantRolesToUser(\"bkp\", [{ role: \"backup\", db: \"admin\" }])");
    safe.holds(&bench, 1, "the list of its members may not be complete");
}

#[test]
fn users_that_the_login_may_not_read_are_a_missing_grant() {
    let (mongo, bench, _) = with_one_snapshot();
    let secret = bench.path("password").display().to_string();
    plan(&bench, &mongo, &format!(", user: bkp, password: {{ file: {secret} }}"));
    bench.apply("plan");
    mongo.run("admin", doc! { "updateUser": "bkp", "roles": ["readAnyDatabase"] });
    let found = bench.finding("grant-missing");
    assert!(found.evidence.contains("`find` on `admin.system.users`"), "{found:?}");
    bench.bkp("run shop").exits(3).says("not authorized on admin").says_nothing_of(PASSWORD);
}

#[test]
fn server_that_dies_half_way_publishes_nothing() {
    let (mongo, bench, safe) = with_one_snapshot();
    mongo.fault(doc! { "die_in_get_more": 1 });
    safe.holds(&bench, 1, "mongodump");
    bench.finding("server-unreachable");
}

#[test]
fn dump_that_is_cut_off_with_status_0_publishes_nothing() {
    let (_mongo, bench, safe) = with_one_snapshot();
    let tools = bench.path("tools");
    fs::rename(tools.join("mongodump"), tools.join("dump")).expect("renamed");
    script(&tools.join("mongodump"), &format!("'{}/dump' \"$@\" | head -c 9000", tools.display()));
    safe.holds(&bench, 1, "the output of `mongodump` is not complete: it ends in the middle, at byte 9000");
    script(&tools.join("mongodump"), "exit 0");
    safe.holds(&bench, 1, "the output of `mongodump` is not complete: it ends in the middle, at byte 0");
    script(
        &tools.join("mongodump"),
        &format!("'{}/dump' \"$@\" | head -c 9000; kill -9 $$", tools.display()),
    );
    safe.holds(&bench, 1, "ended by a signal");
}

#[test]
fn dump_with_changed_bytes_publishes_nothing() {
    let (_mongo, bench, safe) = with_one_snapshot();
    let tools = bench.path("tools");
    fs::rename(tools.join("mongodump"), tools.join("dump")).expect("renamed");
    script(
        &tools.join("mongodump"),
        &format!("'{}/dump' \"$@\" | sed 's/order 77/order 78/'", tools.display()),
    );
    safe.holds(&bench, 1, "the check sum of `orders` is");
}

#[test]
fn dump_that_lacks_a_document_or_a_collection_publishes_nothing() {
    let (mongo, bench, safe) = with_one_snapshot();
    mongo.fault(doc! { "lose_from": "shop.orders" });
    safe.holds(&bench, 1, "`orders`: 349 documents came, and the server counted 350");
    mongo.fault(doc! {});
    let tools = bench.path("tools");
    let shop = bench.path("shop.archive").display().to_string();
    // An older dump, from before there was the collection `new`.
    fs::rename(tools.join("mongodump"), tools.join("dump")).expect("renamed");
    script(&tools.join("mongodump"), &format!("'{}/dump' \"$@\" | tee {shop}", tools.display()));
    bench.bkp("run shop").exits(0);
    mongo.insert("shop", "new", 0..1);
    script(&tools.join("mongodump"), &format!("cat {shop}"));
    let safe = Safe::of(&bench);
    safe.holds(&bench, 1, "collection `new` is not in it");
}

#[test]
fn document_that_does_not_come_back_fails_the_drill_though_mongorestore_ends_with_0() {
    let (mongo, bench, _) = with_one_snapshot();
    let tools = bench.path("tools");
    fs::rename(tools.join("mongorestore"), tools.join("restore")).expect("renamed");
    mongo.fault(doc! { "refuse_in": "customers" });
    let lenient = "for word; do shift; [ \"$word\" = --stopOnError ] || set -- \"$@\" \"$word\"; done";
    script(&tools.join("mongorestore"), &format!("{lenient}\nexec '{}/restore' \"$@\"", tools.display()));
    bench.bkp("drill shop").exits(2).says("mongorestore restored 350 documents and 5 failed");
    assert_eq!(mongo.databases(), ["admin", "shop"]);
}

#[test]
fn killed_drill_is_swept_by_the_next_run() {
    let (mongo, bench, _) = with_one_snapshot();
    let tools = bench.path("tools");
    fs::rename(tools.join("mongorestore"), tools.join("restore")).expect("renamed");
    script(&tools.join("mongorestore"), &format!("'{}/restore' \"$@\"; sleep 60", tools.display()));
    let drill = bench.start("drill shop");
    eventually("the drill's database", || mongo.databases().iter().any(|it| it.starts_with("bkp_drill_")));
    drill.signal("KILL");
    drill.finish();
    assert!(mongo.databases().iter().any(|it| it.starts_with("bkp_drill_")));
    fs::rename(tools.join("restore"), tools.join("mongorestore")).expect("renamed");
    bench.bkp("run shop").exits(0);
    assert_eq!(mongo.databases(), ["admin", "shop"]);
}

#[test]
fn database_made_after_apply_is_covered_by_all_and_named_where_a_list_leaves_it_out() {
    let (mongo, bench, _) = with_one_snapshot();
    mongo.insert("fifth", "things", 0..3);
    let found = bench.finding("uncovered");
    assert!(format!("{found:?}").contains("fifth"), "{found:?}");
    bench.bkp("plan plan.yaml").says("fifth");
    let secret = bench.path("password").display().to_string();
    plan(&bench, &mongo, &format!(", user: bkp, password: {{ file: {secret} }}"));
    bench.apply("plan");
    mongo.insert("sixth", "things", 0..3);
    bench.bkp("run shop").exits(0);
    let manifest = fs::read_to_string(bench.newest("shop").join("manifest.json")).expect("a manifest");
    assert!(manifest.contains("\"fifth\"") && manifest.contains("\"sixth\""), "{manifest}");
}

#[test]
fn listed_database_that_does_not_exist_makes_the_run_incomplete() {
    let mongo = Mongo::open();
    mongo.fill_shop();
    mongo.insert("gone", "things", 0..3);
    let bench = bench(&mongo, ", databases: [shop, gone], ignore: { admin: by hand }");
    bench.apply("plan");
    mongo.run("gone", doc! { "dropDatabase": 1 });
    bench.bkp("run shop").exits(3).says("/gone` does not exist");
    bench.bkp("plan plan.yaml").says("`gone` does not exist");
}

#[test]
fn dump_under_a_writer_holds_what_it_says() {
    let (mongo, bench, _) = with_one_snapshot();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1000.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                mongo.insert("shop", "orders", number..number + 1);
            }
        });
        let outcome = bench.bkp("run shop");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        outcome.exits(0).says("no single moment of the database");
    });
    bench.bkp("drill shop").exits(0);
}

#[test]
fn documents_that_a_dump_loses_are_missed_though_another_database_is_busy() {
    let (mongo, bench, safe) = with_one_snapshot();
    mongo.fault(doc! { "lose_from": "shop.orders" });
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                mongo.insert("busy", "things", 0..1);
                mongo
                    .run("busy", doc! { "delete": "things", "deletes": [{ "q": { "_id": 0 }, "limit": 1 }] });
            }
        });
        eventually("the writer", || mongo.databases().contains(&"busy".to_owned()));
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            safe.holds(&bench, 1, "`orders`: 349 documents came, and the server counted 350");
        }));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(caught.is_ok(), "{caught:?}");
    });
}

#[test]
fn server_that_answers_strangers_is_an_open_door_and_one_that_does_not_is_none() {
    let mongo = Mongo::start(&["--bind_ip", "0.0.0.0"]);
    mongo.fill_shop();
    let bench = bench(&mongo, "");
    bench.apply("plan");
    let found = bench.finding("open-door");
    assert!(found.evidence.contains("`listDatabases` without a login"), "{found:?}");
    let mongo = Mongo::closed_at("0.0.0.0");
    mongo.fill_shop();
    let bench = bench_with_login(&mongo, "");
    bench.apply("plan");
    assert!(!bench.codes().contains(&"open-door".to_owned()));
}

#[test]
fn database_is_replaced_only_when_named_in_full_and_only_by_what_was_counted() {
    let (mongo, bench, _) = with_one_snapshot();
    mongo.insert("shop", "orders", 5000..5010);
    mongo.insert("shop", "later", 0..1);
    let full = format!("mongodb:127.0.0.1:{}/shop", mongo.port);
    bench.bkp("restore shop --as shop").exits(1).says("exists already");
    bench.bkp("restore shop --over shop").exits(1).says(&full);
    assert_eq!(mongo.count("shop", "orders"), 360);
    mongo.fault(doc! { "refuse_in": "customers" });
    bench.bkp(&format!("restore shop --over {full}")).exits(1);
    assert_eq!((mongo.count("shop", "orders"), mongo.count("shop", "later")), (360, 1));
    mongo.run("admin", doc! { "updateUser": "bkp", "roles": ["root"] });
    mongo.fault(doc! {});
    bench.bkp(&format!("restore shop --over {full}")).exits(0);
    assert_eq!((mongo.count("shop", "orders"), mongo.count("shop", "later")), (350, 0));
    assert_eq!(mongo.databases(), ["admin", "shop"]);
}

#[test]
fn archive_restored_into_a_folder_is_what_mongorestore_takes() {
    let (mongo, bench, _) = with_one_snapshot();
    let folder = bench.path("back").display().to_string();
    bench.bkp(&format!("restore shop --to {folder}")).exits(0);
    let archive = fs::read(bench.path("back/shop.archive")).expect("an archive");
    assert_eq!(archive[..4], [0x6d, 0xe2, 0x99, 0x81]);
    drop(mongo);
}

#[test]
fn time_series_come_back_bucket_by_bucket() {
    let mongo = Mongo::open();
    mongo.run("shop", doc! { "create": "heat", "timeseries": { "timeField": "at" } });
    mongo.insert("shop", "system.buckets.heat", 0..7);
    let bench = bench(&mongo, "");
    bench.apply("plan");
    let manifest = fs::read_to_string(bench.newest("shop").join("manifest.json")).expect("a manifest");
    assert!(manifest.contains("\"buckets heat\": 7"), "{manifest}");
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !done() {
        assert!(std::time::Instant::now() < until, "{what} did not come");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A file system of its own, gone with this value.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let gone = std::process::Command::new("umount").arg(&self.0).status();
        assert!(gone.is_ok_and(|it| it.success()) || std::thread::panicking(), "{}", self.0.display());
    }
}

#[test]
fn full_destination_publishes_nothing() {
    let mongo = Mongo::open();
    mongo.fill_shop();
    let bench = bench(&mongo, "");
    fs::create_dir_all(bench.store()).expect("a folder");
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=400k,mode=0700", "tmpfs"]).arg(bench.store());
    assert!(mount.status().expect("mount starts").success(), "nothing can be mounted here");
    let _small = Mounted(bench.store());
    bench.apply("plan");
    let safe = Safe::of(&bench);
    let mut seed = 1_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{seed:016x}")
    };
    let documents: Vec<_> = (0..50)
        .map(|it| doc! { "_id": it, "noise": (0..1500).map(|_| noise()).collect::<String>() })
        .collect();
    let place = mongo.client().database("shop").collection::<mongodb::bson::Document>("noise");
    place.insert_many(documents).run().expect("documents");
    safe.holds(&bench, 1, "No space left on device");
}

#[test]
fn byte_flipped_at_rest_is_found_and_never_restored() {
    let (mongo, bench, _) = with_one_snapshot();
    let newest = bench.newest("shop");
    let artifact = fs::read_dir(&newest).expect("a snapshot").map(|it| it.expect("an entry").path());
    let artifact =
        artifact.into_iter().find(|it| it.to_string_lossy().ends_with(".archive.zst")).expect("an artifact");
    let mut bytes = fs::read(&artifact).expect("its bytes");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(&artifact, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    fs::write(&artifact, bytes).expect("written");
    bench.bkp("verify shop").exits(2);
    bench.bkp("restore shop --as again").exits(1).says("not restored");
    assert_eq!(mongo.databases(), ["admin", "shop"]);
}
