//! What must not be called well: another plan's snapshots, a place that is not mounted, a run that was killed, bytes that were
//! found damaged on the way to a restore, copies that are too few.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

mod support;

use std::fs;
use support::{Bench, flip_byte, sh, wait_until};

fn one_set(bench: &Bench, name: &str, store: &str, more: &str) {
    let body = format!(
        "defaults: {{ schedule: daily 03:00, destinations: [near], retention: {{ last: 1 }} }}\n\
         destinations: {{ near: {{ type: local, path: {store} }} }}\n"
    );
    bench.plan_of(name, &body, &format!("  docs: {{ type: files, paths: [docs]{more} }}\n"));
}

#[test]
fn two_plans_with_one_name_for_their_sets_do_not_take_each_others_snapshots() {
    let (one, other) = (Bench::new(), Bench::new());
    let store = one.store().display().to_string();
    for (bench, name) in [(&one, "one"), (&other, "other")] {
        bench.make_docs("docs");
        bench.write("docs/whose", name);
        one_set(bench, name, &store, "");
    }
    one.apply("one");
    let before = one.ids("docs");
    other.bkp("apply other.yaml --yes").exits(1).says("is plan `one`'s");
    other.bkp("--plan other.yaml status").says_nothing_of("yes, just now");
    other.bkp("--plan other.yaml run docs").exits(1).says("plan `one`");
    assert_eq!(one.ids("docs"), before, "nothing was removed");
    one.bkp("restore docs --to back").exits(0);
    assert_eq!(sh("find back -name whose -exec cat {} +", one.root()), "one");
    // Its own later snapshots, and those that it made under another name of the plan, are no other's.
    one.bkp("run docs").exits(0);
    one.bkp("uninstall one --yes").exits(0);
    one_set(&one, "renamed", &store, "");
    one.apply("renamed");
    // Who takes them over says so.
    other.bkp("--plan other.yaml run docs --accept-source").exits(0);
    other.apply("other");
    one.bkp("run docs").exits(1).says("another plan keeps a set of this name there").says("plan `other`");
    one.bkp("restore docs --to others").exits(0).says("another plan's snapshot");
    one.bkp("status").says_nothing_of("yes, just now").says("is plan `other`'s");
}

#[test]
fn place_that_is_not_mounted_is_unknown_and_not_empty() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    let (store, away) = (bench.store(), bench.store().with_extension("away"));
    fs::rename(&store, &away).expect("a folder");
    for mounted_over in [false, true] {
        if mounted_over {
            fs::create_dir(&store).expect("a folder");
        }
        let said = bench.bkp("status").out;
        assert!(said.contains("may not be mounted") && !said.contains("no snapshot"), "{said}");
        let codes = bench.codes();
        assert!(codes.contains(&"destination-not-prepared".to_owned()), "{codes:?}");
        for wrong in ["snapshot-gone", "set-never-run", "set-stale"] {
            assert!(!codes.contains(&wrong.to_owned()), "{codes:?}");
        }
    }
    fs::remove_dir(&store).expect("an empty folder");
    fs::rename(&away, &store).expect("a folder");
    assert_eq!(bench.codes(), Vec::<String>::new());
}

#[test]
fn run_that_was_killed_is_told_at_once_and_until_the_next_one() {
    let bench = Bench::new();
    bench.make_docs("docs");
    let store = bench.store().display().to_string();
    let (slow, there) = (bench.path("slow"), bench.path("there"));
    let waits = format!("test ! -e {} || {{ touch {}; exec sleep 60; }}", slow.display(), there.display());
    let hook = bench.script("hook", &waits);
    one_set(&bench, "plan", &store, &format!(", before: [[{}]]", hook.display()));
    bench.apply("plan");
    bench.write("slow", "");
    let run = bench.start("run docs");
    wait_until("the hook runs", || there.exists());
    assert!(!bench.codes().contains(&"run-failed".to_owned()), "it goes on");
    run.signal("KILL");
    let _killed = run.finish();
    let told = bench.finding("run-failed");
    assert!(told.evidence.contains("it was killed"), "{told:?}");
    fs::remove_file(&slow).expect("a file");
    bench.bkp("run docs").exits(0);
    assert_eq!(bench.codes(), Vec::<String>::new());
}

#[test]
fn bytes_that_a_drill_found_damaged_are_not_intact_and_a_snapshot_that_is_gone_can_be_forgotten() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    flip_byte(&bench.newest("shop").join("shop.db.zst"));
    bench.bkp("drill shop").exits(2);
    let codes = bench.codes();
    assert!(
        codes.contains(&"digest-differs".to_owned()) && codes.contains(&"drill-differs".to_owned()),
        "{codes:?}"
    );
    bench.bkp("run shop").exits(0);
    let gone = bench.ids("shop")[0].clone();
    fs::remove_dir_all(bench.store().join("testhost/shop").join(&gone)).expect("a snapshot");
    assert_eq!(bench.codes(), ["snapshot-gone"]);
    bench.bkp(&format!("delete shop {gone} --yes")).exits(0);
    assert_eq!(bench.codes(), Vec::<String>::new());
    bench.bkp(&format!("delete shop {gone} --yes")).exits(1).says("no such snapshot");
}

#[test]
fn copies_that_are_too_few_are_no_plan_that_was_applied() {
    let bench = Bench::new();
    bench.make_docs("docs");
    // Two destinations, and one place.
    let (near, twin) = (bench.store(), bench.store().with_extension("twin"));
    let asking = |copies: u32| {
        let body = format!(
            "defaults: {{ schedule: daily 03:00, destinations: [near, twin] }}\ndestinations:\n  near: {{ type: local, path: \
             {} }}\n  twin: {{ type: local, path: {} }}\n",
            near.display(),
            twin.display()
        );
        let set = format!("  docs: {{ type: files, paths: [docs], require: {{ copies: {copies} }} }}\n");
        bench.plan_of("plan", &body, &set);
    };
    asking(2);
    bench.bkp("apply plan.yaml --yes").exits(1).says("2 copies in 1 place").says("`require` asks for 2");
    asking(1);
    bench.apply("plan");
}

#[test]
fn what_else_lies_in_a_sets_folder_is_in_nobodys_way() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    let folder = bench.store().join("testhost/shop");
    // A link that leads nowhere ends, one that leads to everything, and somebody's file.
    sh("ln -s round round; ln -s / everything; mkdir old; echo mine >old/file", &folder);
    bench.bkp("run shop").exits(0);
    bench.bkp("verify shop").exits(0);
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(0);
    assert_eq!(bench.codes(), Vec::<String>::new());
    assert_eq!(sh("cat old/file", &folder), "mine\n");
}

#[test]
fn manifest_that_was_changed_together_with_its_sum_is_not_intact() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    bench.bkp("verify shop").exits(0);
    let folder = bench.newest("shop");
    sh("sed -i 's/\"trigger\": *\"trial\"/\"trigger\": \"manual\"/' manifest.json", &folder);
    sh("sha256sum manifest.json >manifest.json.sha256", &folder);
    bench.bkp("verify shop").exits(2).says("its manifest is not the one with which it was sealed here");
    assert!(bench.codes().contains(&"snapshot-changed".to_owned()));
}
