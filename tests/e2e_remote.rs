//! The whole way at each destination behind a network that has a real server here: apply, plan, verify, drill, restore,
//! retention, an object that vanishes after a good run, and a restore to a bare machine.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a server keeps")]

#[path = "servers/mod.rs"]
mod servers;
mod support;

use servers::ftpd::{self, Dialect, Ftpd};
use servers::webdav::{self, Maker, Webdav};
use servers::{Azurite, S3, Sshd};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{Bench, flip_byte, rows, set_mode, sh};

/// A destination that a server keeps, as a plan file has it.
struct Place {
    /// Its map, on one line, without the braces.
    map: String,
    /// Removes the newest artifact whose key ends so, behind bkp's back.
    lose: Box<dyn Fn(&str)>,
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.make_docs("docs");
    bench.make_database("shop.db", 10);
    bench
}

fn secret(bench: &Bench, name: &str, text: &str) -> String {
    let path = bench.write(name, text);
    set_mode(&path, 0o600);
    format!("{{ file: {} }}", path.display())
}

fn plan(bench: &Bench, map: &str) {
    let body = format!(
        "defaults: {{ schedule: daily 03:00, destinations: [far], retention: {{ last: 2 }} }}\ndestinations:\n  far: {{ \
         {map} }}\n"
    );
    bench.plan_of(
        "plan",
        &body,
        "  docs: { type: files, paths: [docs] }\n  shop: { type: sqlite, path: shop.db }\n",
    );
}

/// Removes the newest file below a folder whose name ends so.
fn lose_file(root: PathBuf) -> Box<dyn Fn(&str)> {
    Box::new(move |ending| {
        let found = sh(&format!("find . -name '*{ending}' | sort | tail -1"), &root);
        fs::remove_file(root.join(found.trim())).expect("an artifact");
    })
}

/// Everything that a user does with a destination.
fn the_whole_way(bench: &Bench, place: &Place) {
    plan(bench, &place.map);
    bench.apply("plan").says("restored: docs at far").says("restored: shop at far");
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(0);
    assert_eq!(bench.codes(), Vec::<String>::new());
    bench.bkp("verify").exits(0).says("intact: docs at far").says("intact: shop at far");
    bench.bkp("drill").exits(0).says("restored: docs at far").says("restored: shop at far");
    bench.bkp("restore shop --to back").exits(0);
    assert_eq!(rows(&bench.path("back/shop.db")), 10);
    bench.bkp("restore docs --include **/b.txt --to part").exits(0);
    assert_eq!(sh("find . -name b.txt -exec cat {} +", &bench.path("part")), "beta\n");
    for _ in 0..2 {
        bench.bkp("run shop").exits(0);
    }
    assert_eq!(bench.snapshots("shop").len(), 2, "retention has removed the oldest");

    // A machine that has nothing but the destination's map, and the secrets that it names.
    let mut bare = Bench::new();
    "bare".clone_into(&mut bare.host_name);
    bare.write("far.yaml", place.map.replace(", ", "\n").replace("{\n", "{ "));
    bare.bkp("restore --from far.yaml")
        .exits(0)
        .says("host testhost")
        .says("set shop")
        .says("plan plan.yaml");
    bare.bkp("restore shop --from far.yaml --host testhost --to back").exits(0);
    assert_eq!(rows(&bare.path("back/shop.db")), 10);

    // What is gone behind bkp's back is missed by name, disproven, and not given back; the next run mends it.
    (place.lose)("shop.db.zst");
    let missing = bench.finding("object-missing");
    assert_eq!(missing.destination.as_deref(), Some("far"), "{missing:?}");
    bench.bkp("verify shop").exits(2).says("snapshot disproven");
    bench.bkp("run shop").exits(0);
    bench.bkp("drill shop").exits(0);
    bench.bkp("uninstall plan --yes").exits(0);
    bare.bkp("restore shop --from far.yaml --host testhost --to later").exits(0);
}

#[test]
fn sftp_goes_the_whole_way() {
    let (bench, server) = (bench(), Sshd::start());
    let root = bench.path("kept");
    let map = format!(
        "type: sftp, host: 127.0.0.1, port: {}, path: {}, key: {{ file: {} }}, known_hosts: {{ file: {} }}",
        server.port(),
        root.display(),
        server.key().display(),
        server.known_hosts(server.port()).display()
    );
    the_whole_way(&bench, &Place { map, lose: lose_file(root) });
}

#[test]
fn rsync_goes_the_whole_way() {
    let (bench, server) = (bench(), Sshd::start());
    let root = bench.path("kept");
    let map = format!(
        "type: rsync, host: 127.0.0.1, port: {}, path: {}, key: {{ file: {} }}, known_hosts: {{ file: {} }}",
        server.port(),
        root.display(),
        server.key().display(),
        server.known_hosts(server.port()).display()
    );
    the_whole_way(&bench, &Place { map, lose: lose_file(root) });
}

#[test]
fn s3_goes_the_whole_way() {
    let (bench, server) = (bench(), S3::start());
    let map = format!(
        "type: s3, provider: other, endpoint: \"http://127.0.0.1:{}\", bucket: {}, path: kept/here, access_key_id: {}, \
         secret_access_key: {}",
        server.port(),
        server.bucket(),
        secret(&bench, "id", "an id"),
        secret(&bench, "key", "a key")
    );
    let lose = Box::new(move |ending: &str| {
        let key = server.keys().into_iter().filter(|it| it.ends_with(ending)).max().expect("an artifact");
        assert_eq!(server.ask("DELETE", &format!("/{}/{key}", server.bucket()), &[], "").0, 204);
    });
    the_whole_way(&bench, &Place { map, lose });
}

fn azblob(bench: &Bench, server: &Azurite, key: &str) -> String {
    format!(
        "type: azblob, account: {account}, endpoint: \"http://127.0.0.1:{port}/{account}\", container: {container}, path: \
         kept, {key}",
        account = server.account(),
        port = server.port(),
        container = server.container(),
        key = key.replace("KEY", &secret(bench, "azure", server.key())),
    )
}

#[test]
fn azblob_goes_the_whole_way() {
    let (bench, server) = (bench(), Azurite::start());
    let map = azblob(&bench, &server, "account_key: KEY");
    let lose = Box::new(move |ending: &str| {
        let key = server.keys().into_iter().filter(|it| it.ends_with(ending)).max().expect("an artifact");
        let (status, answer) = server.ask("DELETE", &format!("/{key}"), "", &[], "");
        assert_eq!(status, 202, "{answer}");
    });
    the_whole_way(&bench, &Place { map, lose });
}

#[test]
fn webdav_goes_the_whole_way() {
    let (bench, server) = (bench(), Webdav::start(Maker::Rclone));
    let map = format!(
        "type: webdav, url: \"http://127.0.0.1:{}\", path: kept, user: {}, password: {}",
        server.server.port(),
        webdav::USER,
        secret(&bench, "password", webdav::PASSWORD)
    );
    the_whole_way(&bench, &Place { map, lose: lose_file(server.root.join("kept")) });
}

#[test]
fn ftp_goes_the_whole_way() {
    let (bench, server) = (bench(), Ftpd::start(Dialect::Plain));
    let map = format!(
        "type: ftp, url: \"ftp://127.0.0.1:{}\", path: kept, user: {}, password: {}",
        server.server.port(),
        ftpd::USER,
        secret(&bench, "password", ftpd::PASSWORD)
    );
    the_whole_way(&bench, &Place { map, lose: lose_file(server.path("kept")) });
}

#[test]
fn rclone_goes_the_whole_way() {
    let bench = bench();
    let root = bench.path("kept");
    fs::create_dir(&root).expect("a folder");
    let config =
        secret(&bench, "rclone.conf", &format!("[box]\ntype = alias\nremote = {}\n", root.display()));
    let map = format!("type: rclone, remote: \"box:below\", config: {config}");
    the_whole_way(&bench, &Place { map, lose: lose_file(root.join("below")) });
}

#[test]
fn azure_runbook_keeps_its_keys_and_audit_names_what_went_wrong_with_its_blobs() {
    let (bench, server) = (bench(), Azurite::start());
    let sas = secret(&bench, "sas", &server.sas("2099-01-01T00:00:00Z"));
    let map = azblob(&bench, &server, &format!("sas_token: {sas}"));
    let body = |map: &str| {
        format!(
            "defaults: {{ schedule: daily 03:00, destinations: [blobs], compression: gzip }}\ndestinations:\n  blobs: {{ \
             {map}, layout: \"sqlite/{{date}}/{{set}}.db.gz\", retention: {{ by: provider }} }}\n"
        )
    };
    let sets = "  shop: { type: sqlite, path: shop.db }\n";
    bench.plan_of("plan", &body(&map), sets);
    bench.apply("plan").says("restored: shop at blobs");
    assert_eq!(bench.codes(), Vec::<String>::new());
    let blob = server.keys().into_iter().find(|it| it.ends_with("/shop.db.gz")).expect("the runbook's blob");
    assert!(blob.starts_with("kept/sqlite/20"), "{blob}");

    // Restored by what every system has.
    let by_hand = bench.path("by-hand");
    fs::create_dir(&by_hand).expect("a folder");
    for key in [blob.clone(), format!("{blob}.sha256")] {
        let url = format!(
            "http://127.0.0.1:{}/{}/{}/{key}?{}",
            server.port(),
            server.account(),
            server.container(),
            server.sas("2099-01-01T00:00:00Z").trim_start_matches('?')
        );
        sh(
            &format!("curl -sSf -o '{}' '{url}'", Path::new(&key).file_name().expect("a name").display()),
            &by_hand,
        );
    }
    sh("sha256sum -c shop.db.gz.sha256 && gunzip shop.db.gz", &by_hand);
    assert_eq!(rows(&by_hand.join("shop.db")), 10);

    // Moved to the archive tier: it lies there, and nobody can read it.
    server.set_tier(&blob, "Archive");
    let archived = bench.finding("object-archived");
    assert_eq!(archived.destination.as_deref(), Some("blobs"), "{archived:?}");
    server.ask("DELETE", &format!("/{blob}"), "", &[], "");
    assert_eq!(bench.finding("object-missing").destination.as_deref(), Some("blobs"));
    bench.bkp("run shop").exits(0);

    // The login is over, and the container is another one.
    bench.write("sas", server.sas("2020-01-01T00:00:00Z"));
    assert_eq!(bench.finding("destination-refused").destination.as_deref(), Some("blobs"));
    bench.bkp("run shop").exits(1).says_nothing_of("sig=");
    bench.write("sas", server.sas("2099-01-01T00:00:00Z"));
    bench.plan_of("plan", &body(&map.replace("container: box", "container: elsewhere")), sets);
    let found = bench.findings_of("audit --plan plan.yaml");
    assert!(found.iter().any(|it| it.code == "destination-place-missing"), "{found:#?}");
}

#[test]
fn clock_that_is_twenty_minutes_off_is_named() {
    let (mut bench, server) = (bench(), S3::start());
    let map = format!(
        "type: s3, provider: other, endpoint: \"http://127.0.0.1:{}\", bucket: {}, access_key_id: {}, secret_access_key: {}",
        server.port(),
        server.bucket(),
        secret(&bench, "id", "an id"),
        secret(&bench, "key", "a key")
    );
    plan(&bench, &map);
    bench.apply("plan");
    bench.shift_seconds = 20 * 60;
    let skew = bench.finding("clock-skew");
    assert_eq!(skew.destination.as_deref(), Some("far"), "{skew:?}");
}

#[test]
fn slow_and_dead_destinations_do_not_keep_the_others_from_their_snapshot() {
    let (bench, server) = (bench(), Webdav::start(Maker::Rclone));
    let near = bench.store().display().to_string();
    let password = secret(&bench, "password", webdav::PASSWORD);
    let proxy = servers::Proxy::before(server.server.port());
    let far = format!(
        "type: webdav, url: \"http://127.0.0.1:{}\", path: kept, user: {}, password: {password}, retries: 0, timeout: 5s",
        proxy.port(),
        webdav::USER
    );
    let body = format!(
        "defaults: {{ schedule: daily 03:00, destinations: [near, far, behind], retention: {{ last: 5 }} }}\ndestinations:\n  \
         near: {{ type: local, path: {near} }}\n  far: {{ {far} }}\n  behind: {{ type: local, path: {}, copy_from: far \
         }}\n",
        bench.other_device("behind").display()
    );
    bench.plan_of("plan", &body, "  shop: { type: sqlite, path: shop.db }\n");
    bench.apply("plan");
    proxy.cut();
    let told = bench.bkp("run shop").exits(3);
    assert!(told.err.contains("far"), "{}", told.err);
    bench.bkp("drill shop --destination near").exits(0);
    // What was cut while the bytes passed is filled once more from where they lie by now.
    proxy.mend();
    proxy.rule(servers::Rule::Answer {
        line: "PUT ".to_owned(),
        times: 1,
        with: "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
    });
    bench.bkp("run shop").exits(0);
    bench.bkp("drill shop --destination far").exits(0);
    // So is what hangs on it.
    let newest = |at: &str| {
        let here = bench.snapshots("shop").into_iter().filter(|it| it.destination == at && it.complete);
        here.map(|it| it.id).max().expect("a snapshot")
    };
    assert_eq!(newest("behind"), newest("near"));
    bench.bkp("drill shop --destination behind").exits(0);
}

#[test]
fn damage_that_a_copy_finds_is_proven_at_its_origin_and_pushes_nothing_out() {
    let (bench, server) = (bench(), Webdav::start(Maker::Rclone));
    let kept = server.root.join("kept");
    // The second time that an artifact is fetched, which is for the copy, its disk has lost a bit of it.
    let fetched = Arc::new(AtomicU32::new(u32::MAX));
    let front = {
        let (fetched, kept) = (Arc::clone(&fetched), kept.clone());
        servers::Front::before(server.server.port(), move |request| {
            let artifact = request.method == "GET" && request.target.ends_with("/shop.db.zst");
            if artifact
                && fetched.load(Ordering::SeqCst) != u32::MAX
                && fetched.fetch_add(1, Ordering::SeqCst) == 1
            {
                let newest = sh("ls -d testhost/shop/* | sort | tail -1", &kept);
                flip_byte(&kept.join(newest.trim()).join("shop.db.zst"));
            }
            None
        })
    };
    let near = format!(
        "type: webdav, url: \"http://127.0.0.1:{}\", path: kept, user: {}, password: {}",
        front.port(),
        webdav::USER,
        secret(&bench, "password", webdav::PASSWORD)
    );
    let body = format!(
        "defaults: {{ schedule: daily 03:00, destinations: [near, far], retention: {{ last: 1 }} }}\ndestinations:\n  \
         near: {{ {near} }}\n  far: {{ type: local, path: {}, copy_from: near }}\n",
        bench.other_device("far").display()
    );
    bench.plan_of("plan", &body, "  shop: { type: sqlite, path: shop.db }\n");
    bench.apply("plan");
    let good = bench.ids("shop");
    fetched.store(0, Ordering::SeqCst);
    let told = bench.bkp("run shop").exits(3);
    told.says("copying it from `near`").says("mend `near`").says("snapshot disproven");
    assert_eq!(fetched.load(Ordering::SeqCst), 3, "read back, copied, and looked at again");
    let damaged = bench.finding("digest-differs");
    assert_eq!(damaged.destination.as_deref(), Some("near"), "{damaged:?}");
    // What was proven before is still at both.
    for at in ["near", "far"] {
        bench.bkp(&format!("drill shop --destination {at} --snapshot {}", good[0])).exits(0);
    }
}
