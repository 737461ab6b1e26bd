//! What is observed of a job: from the disk, from launchd, and from both together.

use super::super::testing::{job, places, printed};
use super::*;
use crate::host::FakeHost;

const FILE: &str = "/agents/io.bkp.ledger.plist";
const ARGV: [&str; 2] = ["/bin/bkp", "run"];

/// A host at noon whose launchd lists these labels and has these overrides.
fn host(labels: &str, overrides: &str) -> FakeHost {
    FakeHost::at("2026-11-20T12:00:00Z".parse().expect("an instant"))
        .answer("launchctl print system", 0, &format!("system = {{\n\tservices = {{\n{labels}\t}}\n}}\n"))
        .answer("launchctl print-disabled system", 0, &format!("\tdisabled services = {{\n{overrides}\t}}\n"))
}

fn text() -> String {
    agent::render(&places(), &job(&ARGV))
}

fn digest() -> String {
    agent::read(text().as_bytes()).expect("read").digest.expect("a digest")
}

fn only(host: &FakeHost) -> InstalledJob {
    let launchctl = Launchctl::new(host, places().scope);
    let mut jobs = observe(&launchctl, &places()).expect("a look").jobs;
    assert!(host.changes().is_empty(), "a look changes nothing");
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

fn loaded(file: &str, path: &str, argv: &[&str], digest: &str) -> FakeHost {
    host("\t\t       0      - \tio.bkp.ledger\n", "").file(FILE, file, 0o644).answer(
        "launchctl print system/io.bkp.ledger",
        0,
        &printed(path, argv, digest),
    )
}

#[test]
fn healthy_job_is_loaded_enabled_active_and_has_a_next_elapse() {
    let job = only(&loaded(&text(), FILE, &ARGV, &digest()));
    let timer = job.timer.expect("a timer");
    assert!(timer.loaded && timer.active && timer.enablement == Enablement::Enabled);
    assert_eq!(timer.next_elapse, Some("2026-11-21T03:00:00Z".parse().expect("an instant")));
    assert!(job.service.loaded && !job.service.running && !job.service.needs_reload);
    assert_eq!(job.service.command, ARGV);
    assert_eq!(job.marker.expect("a marker").job, job.name);
    assert_eq!(job.files[0].text, Some(text()));
}

#[test]
fn what_launchd_has_read_is_compared_with_what_lies_there() {
    let good = digest();
    for (case, host) in [
        ("another version", loaded(&text(), FILE, &ARGV, "0000")),
        ("another command", loaded(&text(), FILE, &["/bin/bkp", "version"], &good)),
        ("another file", loaded(&text(), "/tmp/io.bkp.ledger.plist", &ARGV, &good)),
        ("no property list", loaded("garbage", FILE, &ARGV, &good)),
    ] {
        let job = only(&host);
        assert!(job.service.needs_reload, "{case}");
        assert_eq!(
            job.timer.expect("a timer").next_elapse,
            None,
            "{case}: what will be started is not known"
        );
    }
}

#[test]
fn disabled_job_is_not_active() {
    let host = loaded(&text(), FILE, &ARGV, &digest()).answer(
        "launchctl print-disabled system",
        0,
        "\tdisabled services = {\n\t\t\"io.bkp.ledger\" => disabled\n\t}\n",
    );
    let timer = only(&host).timer.expect("a timer");
    assert!(
        timer.loaded
            && !timer.active
            && timer.enablement == Enablement::Disabled
            && timer.next_elapse.is_none()
    );
}

#[test]
fn file_without_a_loaded_job_and_a_job_without_a_file_are_told() {
    let file_alone =
        host("", "").file(FILE, &text(), 0o644).answer("launchctl print system/io.bkp.ledger", 113, "");
    let job = only(&file_alone);
    assert!(!job.service.loaded && job.timer.is_some_and(|timer| !timer.loaded && !timer.active));
    let job_alone = host("\t\t       0      - \tio.bkp.ledger\n", "").answer(
        "launchctl print system/io.bkp.ledger",
        0,
        &printed(FILE, &ARGV, &digest()),
    );
    let job = only(&job_alone);
    assert!(job.service.loaded && job.service.needs_reload && job.files.is_empty() && job.marker.is_none());
}

#[test]
fn what_cannot_be_understood_is_an_error() {
    let launchd = |host: &FakeHost| observe(&Launchctl::new(host, places().scope), &places());
    let garbage = loaded(&text(), FILE, &ARGV, &digest()).answer(
        "launchctl print system/io.bkp.ledger",
        0,
        "service is fine, trust me",
    );
    assert!(matches!(launchd(&garbage), Err(SchedulerError::Unreadable { .. })));
    assert!(matches!(launchd(&FakeHost::default()), Err(SchedulerError::Tool { .. })));
    let refused = loaded(&text(), FILE, &ARGV, &digest()).answer("launchctl print-disabled system", 1, "");
    assert!(matches!(launchd(&refused), Err(SchedulerError::Refused { .. })));
}
