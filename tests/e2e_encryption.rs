//! What an encrypted destination keeps is nobody's but the key's: made, proven, restored, by bkp and by the `age` tool
//! alone, and blocked where the key does not fit.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a thief would look at")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use support::{Bench, flip_byte, rows, set_mode, sh, text};

/// A host with a key and two sets at an encrypted destination `near`.
fn encrypted(identity: &str) -> (Bench, String) {
    let bench = Bench::new();
    bench.make_docs("docs");
    bench.make_database("payroll.db", 10);
    let recipient = bench.bkp("keys new --out home/key.txt").exits(0).out.trim().to_owned();
    plan(&bench, &recipient, identity);
    (bench, recipient)
}

fn plan(bench: &Bench, recipient: &str, identity: &str) {
    let store = bench.store().display().to_string();
    let body = format!(
        "defaults:\n  schedule: daily 03:00\n  destinations: [near]\n  retention: {{ last: 7 }}\n\
         destinations:\n  near:\n    type: local\n    path: {store}\n    encryption: {{ type: age, recipients: \
         [\"{recipient}\"], identity: {identity} }}\n"
    );
    let sets = "  docs: { type: files, paths: [docs] }\n  ledgers: { type: sqlite, files: { payroll: payroll.db } }\n";
    bench.plan_of("plan", &body, sets);
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn encrypted_destination_tells_a_thief_nothing_and_comes_back_with_the_key() {
    let (bench, _) = encrypted("{ file: home/key.txt }");
    bench.apply("plan").says("restored: ledgers at near");
    for file in files(&bench.store()) {
        let name = file.display().to_string();
        let bytes = fs::read(&file).expect("a file");
        for told in ["payroll", "orders", "a.txt", "deep", "alpha", "table:"] {
            let shows = bytes.windows(told.len()).any(|it| it == told.as_bytes());
            assert!(!shows && !name.contains(told), "`{told}` is in {name}");
        }
    }
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(0);
    assert_eq!(bench.codes(), Vec::<String>::new());
    bench.bkp("verify").exits(0).says("intact: ledgers at near");
    bench.bkp("drill").exits(0).says("restored: docs at near");
    bench.bkp("ls ledgers").exits(0).says("payroll").says("table:orders 10");
    bench.bkp("restore ledgers --to back").exits(0);
    assert_eq!(rows(&bench.path("back/payroll.db")), 10);
    bench.bkp("restore docs --include **/b.txt --to part").exits(0);
    assert_eq!(sh("find . -name b.txt -exec cat {} +", &bench.path("part")), "beta\n");
}

#[test]
fn the_age_tool_alone_brings_everything_back() {
    let (bench, _) = encrypted("{ file: home/key.txt }");
    bench.apply("plan");
    let folder = bench.newest("ledgers");
    let key = bench.home().join("key.txt").display().to_string();
    sh("sha256sum -c *.sha256", &folder);
    let details = sh(&format!("age --decrypt -i {key} details.json.age"), &folder);
    let details: serde_json::Value = serde_json::from_str(&details).expect("JSON");
    assert_eq!(details["members"]["1.db.zst.age"]["name"], "payroll");
    let out = bench.path("by-hand.db").display().to_string();
    sh(&format!("age --decrypt -i {key} 1.db.zst.age | zstd -d -q -o {out}"), &folder);
    assert_eq!(rows(&bench.path("by-hand.db")), 10);
    let plans = bench.store().join("testhost/_plans");
    let plan = sh(&format!("age --decrypt -i {key} plan.yaml.age"), &plans);
    assert!(plan.contains("payroll"), "{plan}");
}

#[test]
fn key_that_is_absent_or_anothers_blocks_before_the_first_backup() {
    let (bench, _) = encrypted("{ file: home/key.txt }");
    fs::rename(bench.home().join("key.txt"), bench.home().join("kept.txt")).expect("a file");
    bench.bkp("plan plan.yaml").exits(1).says("encryption not usable").says("key.txt");
    bench.bkp("apply plan.yaml --yes").exits(1).says("encryption not usable");
    bench.bkp("keys new --out home/key.txt").exits(0);
    bench
        .bkp("plan plan.yaml")
        .exits(1)
        .says("the identity opens nothing that is encrypted for these recipients");
    bench.bkp("apply plan.yaml --yes").exits(1);
    assert!(!bench.store().exists() || files(&bench.store()).iter().all(|it| !it.ends_with("manifest.json")));
    fs::rename(bench.home().join("kept.txt"), bench.home().join("key.txt")).expect("a file");
    bench.apply("plan");
}

#[test]
fn key_that_is_lost_after_a_good_backup_fails_the_drill_and_the_run() {
    let (bench, _) = encrypted("{ file: home/key.txt }");
    bench.apply("plan");
    fs::remove_file(bench.home().join("key.txt")).expect("a file");
    bench.bkp("drill ledgers").exits(1).says("key.txt");
    // To store needs no key: the run goes on, and is not complete.
    for _ in 0..8 {
        bench.bkp("run ledgers").exits(3).says("encryption not usable");
    }
    // And retention, which keeps seven, takes nothing for what nobody has seen come back.
    assert_eq!(bench.ids("ledgers").len(), 9);
    assert_eq!(bench.finding("destination-unopened").destination.as_deref(), Some("near"));
    // The bytes are still the bytes that were made, and that needs no key.
    bench.bkp("verify ledgers").exits(0);
}

#[test]
fn restored_stays_unproven_until_a_drill_ran_where_the_key_is() {
    let (bench, recipient) = encrypted("{ elsewhere: in the safe }");
    bench.apply("plan").says("intact: ledgers at near");
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(0);
    let missing = bench.finding("drill-missing");
    assert!(missing.evidence.contains("in the safe"), "{missing:?}");
    bench.bkp("drill ledgers").exits(1).says("in the safe").says("--identity FILE");
    bench.bkp("ls ledgers").exits(0).says("encrypted, and not opened here").says_nothing_of("payroll");
    bench.bkp("restore ledgers --to back").exits(1).says("encrypted, and not opened");
    bench.bkp("run ledgers").exits(0);

    // The machine with the key has nothing of the host but a way to the destination.
    let mut safe = Bench::new();
    "safe".clone_into(&mut safe.host_name);
    safe.write("key.txt", fs::read(bench.home().join("key.txt")).expect("the key"));
    let store = bench.store().display().to_string();
    safe.write(
        "near.yaml",
        format!(
            "type: local\npath: {store}\nencryption: {{ type: age, recipients: [\"{recipient}\"], identity: {{ \
             elsewhere: in the safe }} }}\n"
        ),
    );
    safe.bkp("drill --from near.yaml --host testhost").exits(1).says("in the safe");
    safe.bkp("drill --from near.yaml --host testhost --identity key.txt")
        .exits(0)
        .says("restored: docs at bare")
        .says("restored: ledgers at bare");
    safe.bkp("restore ledgers --from near.yaml --host testhost --identity key.txt --to back").exits(0);
    // The bare map of the place is enough where the key is brought; a host that is not there is said to be none.
    safe.write("bare.yaml", format!("type: local\npath: {store}\n"));
    safe.bkp("restore ledgers --from bare.yaml --host testhost --identity key.txt --to again").exits(0);
    assert_eq!(rows(&safe.path("again/payroll.db")), 10);
    safe.bkp("verify --from bare.yaml --host nosuch").exits(1).says("nothing is stored there");
    assert_eq!(rows(&safe.path("back/payroll.db")), 10);
    assert_eq!(bench.codes(), Vec::<String>::new(), "the proof was seen from the host");

    // Nobody here can make it again, so it outlives what retention keeps.
    let narrow = text(&bench.path("plan.yaml")).replace("last: 7", "last: 1");
    bench.write("plan.yaml", narrow);
    bench.apply("plan").says("intact: ledgers at near");
    bench.bkp("run ledgers").exits(0).says("removed by retention");
    bench.bkp("run ledgers").exits(0);
    bench.bkp("prune ledgers --dry-run").exits(0).says("the last one that was restored always stays");
    assert_eq!(bench.codes(), Vec::<String>::new(), "the proof was not removed");
}

#[test]
fn damage_to_encrypted_bytes_and_details_is_told_from_a_wrong_key() {
    for object in ["1.db.zst.age", "details.json.age"] {
        let (bench, _) = encrypted("{ file: home/key.txt }");
        bench.apply("plan");
        flip_byte(&bench.newest("ledgers").join(object));
        bench.bkp("verify ledgers").exits(2).says("snapshot disproven");
        bench.bkp("drill ledgers").exits(2).says("snapshot disproven");
        bench.bkp("restore ledgers --to back").exits(1);
        bench.bkp("run ledgers").exits(0);
        bench.bkp("drill ledgers").exits(0);
    }
}

#[test]
fn ssh_keys_several_recipients_and_passphrases_seal_too() {
    let (bench, age) = encrypted("{ file: home/key.txt }");
    sh("ssh-keygen -q -t ed25519 -N '' -f home/ssh", bench.root());
    let public = text(&bench.home().join("ssh.pub"));
    let public = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let secret = bench.write("home/passphrase", "correct horse battery staple\n");
    set_mode(&secret, 0o600);
    let (near, far) = (bench.store().display().to_string(), bench.other_device("far").display().to_string());
    let body = format!(
        "defaults:\n  schedule: daily 03:00\n  destinations: [near, far]\n  retention: {{ last: 7 }}\n\
         destinations:\n  near:\n    type: local\n    path: {near}\n    encryption: {{ type: age, recipients: \
         [\"{age}\", \"{public}\"], identity: {{ file: home/ssh }} }}\n  far:\n    type: local\n    path: {far}\n    \
         encryption: {{ type: age, passphrase: {{ file: home/passphrase }} }}\n"
    );
    bench.plan_of("plan", &body, "  docs: { type: files, paths: [docs] }\n");
    bench.apply("plan").says("restored: docs at near").says("restored: docs at far");
    let newest = bench.newest("docs");
    let key = bench.home().join("key.txt").display().to_string();
    let ssh = bench.home().join("ssh").display().to_string();
    for identity in [key, ssh] {
        let listed = sh(&format!("age --decrypt -i {identity} 1.tar.zst.age | zstd -d -q | tar -t"), &newest);
        assert!(listed.contains("deep/b.txt"), "{listed}");
    }
}

#[test]
fn sheet_has_the_way_back_and_the_secret_only_where_it_was_asked_for() {
    let (bench, recipient) = encrypted("{ file: home/key.txt }");
    bench.apply("plan");
    let secret = text(&bench.home().join("key.txt"));
    let secret = secret.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).expect("a key");
    let sheet = bench.bkp("keys sheet").exits(0).says(&recipient).says("sets: docs, ledgers");
    sheet.says_nothing_of(secret);
    bench.bkp("keys sheet --identity home/key.txt").exits(0).says(secret);
    bench.bkp("keys new --out other.txt").exits(0);
    bench.bkp("keys sheet --identity other.txt").exits(1).says("no destination is encrypted for it");
    bench.bkp("keys new --out home/key.txt").exits(1).says("key not written");
    assert!(text(&bench.home().join("key.txt")).contains(secret), "nothing was replaced");
    assert_eq!(fs::metadata(bench.home().join("key.txt")).map(|it| mode(&it)).expect("a status"), 0o600);
}

fn mode(status: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&status.permissions()) & 0o777
}
