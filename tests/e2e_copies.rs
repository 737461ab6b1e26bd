//! Where copies lie and how they come there: filled from one another, under the keys of an existing runbook, read in shares.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

mod support;

use std::fs;
use support::{Bench, flip_byte, rows, sh};

/// A host with a set `shop` that goes to `near` and `far`, with these keys for `far` besides its path.
fn two(far: &str) -> Bench {
    let bench = Bench::new();
    bench.make_database("shop.db", 10);
    let (near, there) =
        (bench.store().display().to_string(), bench.other_device("far").display().to_string());
    let body = format!(
        "defaults:\n  schedule: daily 03:00\n  destinations: [near, far]\n  retention: {{ last: 7 }}\n\
         destinations:\n  near: {{ type: local, path: {near} }}\n  far: {{ type: local, path: {there}, {far} }}\n"
    );
    bench.plan_of("plan", &body, "  shop: { type: sqlite, path: shop.db }\n");
    bench
}

#[test]
fn destination_is_filled_from_another_and_proven_by_itself() {
    let bench = two("copy_from: near");
    bench.apply("plan").says("restored: shop at near").says("restored: shop at far");
    let ids = |at: &str| -> Vec<String> {
        bench
            .snapshots("shop")
            .into_iter()
            .filter(|it| it.destination == at && it.complete)
            .map(|it| it.id)
            .collect()
    };
    assert_eq!(ids("near"), ids("far"));
    let sum = |folder: &std::path::Path| sh("cat testhost/shop/*/shop.db.zst | sha256sum", folder);
    assert_eq!(sum(&bench.store()), sum(&bench.other_device("far")));
    bench.bkp("restore shop --destination far --to back").exits(0);
    assert_eq!(rows(&bench.path("back/shop.db")), 10);
    // Without its origin it gets nothing, and says so; the earlier snapshot stays.
    fs::remove_file(bench.store().join(".bkp-destination")).expect("the marker");
    bench.bkp("run shop").exits(1).says("`near`, which it is filled from, has no snapshot of this run");
    bench.bkp("drill shop --destination far").exits(0);
}

#[test]
fn two_ways_to_one_place_take_nothing_from_each_other() {
    let bench = two("retention: { last: 1 }");
    bench.apply("plan");
    // One of them becomes another way to the other: a link, as a mount would be.
    let far = bench.other_device("far");
    fs::remove_dir_all(&far).expect("a folder");
    std::os::unix::fs::symlink(bench.store(), &far).expect("a link");
    for _ in 0..2 {
        let before = bench.ids("shop");
        bench.bkp("run shop").exits(3).says("two destinations are one place");
        assert!(bench.ids("shop").len() > before.len(), "the new snapshot is there, and no old one is gone");
    }
    bench.bkp("drill shop --destination near").exits(0);
}

#[test]
fn damage_at_the_origin_is_not_copied() {
    let bench = two("copy_from: near");
    bench.apply("plan");
    flip_byte(&bench.newest("shop").join("shop.db.zst"));
    bench.bkp("verify shop --destination near").exits(2);
    bench.bkp("verify shop --destination far").exits(0);
}

#[test]
fn runbooks_own_keys_are_kept_and_restore_with_sha256sum_and_gunzip_alone() {
    let bench = two("layout: \"sqlite/{date}/{set}.db.gz\", compression: gzip");
    let far = bench.other_device("far");
    fs::create_dir_all(far.join("sqlite/2001-01-01")).expect("a folder");
    fs::write(far.join("sqlite/2001-01-01/shop.db.gz"), "what was there before").expect("a file");
    bench.apply("plan").says("restored: shop at far");
    let day = sh("ls sqlite | tail -1", &far).trim().to_owned();
    let folder = far.join("sqlite").join(&day);
    assert_eq!(sh("ls", &folder), "shop.db.gz\nshop.db.gz.sha256\n");
    sh("sha256sum -c shop.db.gz.sha256 && gunzip -k shop.db.gz", &folder);
    assert_eq!(rows(&folder.join("shop.db")), 10);
    fs::remove_file(folder.join("shop.db")).expect("a file");
    // A second run of the same day finds the name taken, and takes another.
    bench.bkp("run shop").exits(0);
    assert_eq!(sh("ls | grep -c 'shop.*db.gz$'", &folder), "2\n");
    bench.bkp("verify shop --all --destination far").exits(0);
    bench.bkp("drill shop --destination far").exits(0);
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(0);
    // What lies elsewhere is missed, and found damaged, as what lies beside the manifest is.
    flip_byte(&folder.join("shop.db.gz"));
    bench.bkp("verify shop --all --destination far").exits(2).says("snapshot disproven");
    fs::remove_file(folder.join("shop.db.gz")).expect("a file");
    assert!(bench.codes().contains(&"object-missing".to_owned()), "{:?}", bench.codes());
}

#[test]
fn objects_under_a_runbooks_keys_go_with_their_snapshot_and_nothing_else_does() {
    let bench = two("layout: \"sqlite/{date}/{set}.db.gz\", compression: gzip, retention: { last: 1 }");
    let far = bench.other_device("far");
    fs::create_dir_all(far.join("sqlite/2001-01-01")).expect("a folder");
    fs::write(far.join("sqlite/2001-01-01/shop.db.gz"), "what was there before").expect("a file");
    bench.apply("plan");
    for _ in 0..3 {
        bench.bkp("run shop").exits(0);
    }
    assert_eq!(sh("find sqlite -name '*.gz' | wc -l", &far), "2\n", "the newest, and what was there before");
    assert_eq!(sh("cat sqlite/2001-01-01/shop.db.gz", &far), "what was there before");
    bench.bkp("drill shop --destination far").exits(0);
}

#[test]
fn shares_of_the_snapshots_are_together_all_of_them() {
    let bench = two("compression: none");
    bench.apply("plan");
    for _ in 0..4 {
        bench.bkp("run shop").exits(0);
    }
    let mut read = Vec::new();
    for share in ["1/3", "2/3", "3/3"] {
        let said = bench.bkp(&format!("verify shop --destination near --share {share}")).exits(0).out;
        read.extend(said.lines().filter_map(|line| line.rsplit(' ').next()).map(str::to_owned));
    }
    read.sort();
    assert_eq!(read, bench.ids("shop"));
    bench.bkp("verify shop --share 4/3").exits(64);
}
