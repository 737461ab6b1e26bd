//! What audit says of destinations behind a network that do not work, by the service's own answers; and of copies that
//! would be lost together.
//!
//! The service is a stand-in that gives one answer whatever it is asked: S3's error bodies, as its documentation has them
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
#![expect(clippy::disallowed_methods, reason = "a test runs the real binary on real files")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use support::{Bench, Found};

/// A service that answers everything with one status and one error code; its port. Its clock is off by so many seconds.
fn service(status: &str, code: &str, offset_seconds: i64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (status, code) = (status.to_owned(), code.to_owned());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                request.push(byte[0]);
            }
            let head = request.starts_with(b"HEAD");
            let body =
                format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>");
            let clock = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(offset_seconds);
            let date = clock.strftime("%a, %d %b %Y %H:%M:%S GMT");
            let answer = format!(
                "HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
                body.len(),
                if head { "" } else { &body }
            );
            let _gone = stream.write_all(answer.as_bytes());
        }
    });
    port
}

/// A plan for one folder that goes into a bucket of the service at a port.
fn bench(port: u16) -> Bench {
    let bench = Bench::new();
    bench.make_docs("docs");
    bench.write("id", "a key");
    bench.write("key", "a secret");
    support::set_mode(&bench.path("id"), 0o600);
    support::set_mode(&bench.path("key"), 0o600);
    bench.plan_of(
        "plan",
        &format!(
            "defaults: {{ schedule: daily 03:00, destinations: [bucket], retention: {{ last: 7 }} }}\n\
             destinations:\n  bucket:\n    type: s3\n    provider: other\n    endpoint: http://127.0.0.1:{port}\n\
             \x20   bucket: b\n    retries: 0\n    access_key_id: {{ file: id }}\n    secret_access_key: {{ file: key }}\n"
        ),
        "  docs: { type: files, paths: [docs] }\n",
    );
    bench
}

/// What audit says of destinations.
fn found(bench: &Bench) -> Vec<Found> {
    let all = bench.findings_of("audit --plan plan.yaml --state-dir state");
    all.into_iter().filter(|it| it.destination.is_some() || it.code.contains("copies")).collect()
}

#[test]
fn each_answer_of_a_service_is_named_by_its_own_code() {
    for (status, answer, code) in [
        ("403 Forbidden", "ExpiredToken", "destination-refused"),
        ("403 Forbidden", "InvalidAccessKeyId", "destination-refused"),
        ("404 Not Found", "NoSuchBucket", "destination-place-missing"),
        ("403 Forbidden", "InvalidObjectState", "object-archived"),
        ("403 Forbidden", "RequestTimeTooSkewed", "clock-skew"),
        ("418 Teapot", "Whatever", "could-not-look"),
    ] {
        let bench = bench(service(status, answer, 0));
        let found = found(&bench);
        let codes: Vec<&str> = found.iter().map(|it| it.code.as_str()).collect();
        assert_eq!(codes, [code], "{answer}: {found:?}");
        // Plan could not tell, whatever the reason has for a name.
        bench.bkp("plan plan.yaml").exits(1).says("Could not be told");
    }
}

#[test]
fn clock_that_is_twenty_minutes_off_is_told_in_seconds() {
    let found = found(&bench(service("403 Forbidden", "RequestTimeTooSkewed", 1200)));
    assert_eq!(found.len(), 1, "{found:?}");
    let evidence = &found[0].evidence;
    let seconds: i64 = evidence
        .strip_prefix("the server's clock is ")
        .and_then(|rest| rest.split_once(" s ahead of this host's"))
        .and_then(|(seconds, _)| seconds.parse().ok())
        .unwrap_or_else(|| panic!("{evidence}"));
    assert!((1190..=1201).contains(&seconds), "{evidence}");
}

#[test]
fn secret_that_is_missing_is_told_as_such() {
    let bench = bench(service("403 Forbidden", "ExpiredToken", 0));
    fs::remove_file(bench.path("key")).expect("a secret");
    let found = found(&bench);
    let codes: Vec<&str> = found.iter().map(|it| it.code.as_str()).collect();
    assert!(codes.contains(&"destination-unopened"), "{found:?}");
    assert!(!codes.contains(&"destination-refused"), "nobody was asked: {found:?}");
}

#[test]
fn copies_on_one_device_are_counted_once_by_status_and_audit() {
    let bench = Bench::new();
    bench.make_docs("docs");
    let plan = |require: &str| {
        bench.plan_of(
            "plan",
            &format!(
                "defaults:\n  schedule: daily 03:00\n  destinations: [near, far]\n  retention: {{ last: 7 }}\n{require}\
                 destinations:\n  near: {{ type: local, path: {} }}\n  far: {{ type: local, path: {} }}\n",
                bench.other_device("near").display(),
                bench.other_device("far").display()
            ),
            "  docs: { type: files, paths: [docs] }\n",
        );
    };
    plan("");
    bench.apply("plan");
    assert_eq!(bench.codes(), ["shared-fate"], "{:#?}", bench.findings());
    let line = "docs: 2 copies in 1 place (`near` and `far` lie on one device)";
    bench.bkp("status").exits(0).says(line);
    plan("  require: { copies: 2, off_host: 1 }\n");
    bench.bkp("plan plan.yaml").exits(0).says("`require` can never be met").says("2 destinations in 1 place");
    bench.bkp("apply plan.yaml --yes").exits(1).says("`require` asks for 2");
    assert_eq!(bench.codes(), ["copies-too-few", "off-host-too-few"], "{:#?}", bench.findings());
    let json = bench.bkp("status --format json").exits(0).json();
    assert_eq!(json["copies"][0]["copies"], 2, "{json}");
    assert_eq!(json["copies"][0]["places"], 1, "{json}");
    assert_eq!(json["copies"][0]["required_copies"], 2, "{json}");
}
