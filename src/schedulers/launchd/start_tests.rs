//! How the end of a run is told.

use super::super::{printed, testing};
use super::*;
use crate::declared::Scope;
use crate::host::FakeHost;

const TARGET: &str = "system/io.bkp.ledger";

fn loaded(runs: u64, last_exit: LastExit) -> Loaded {
    let text = testing::printed("/agents/io.bkp.ledger.plist", &["/bin/bkp"], "abc");
    Loaded { runs, last_exit, ..printed::job(&text, TARGET).expect("read") }
}

#[test]
fn status_is_believed_only_of_the_run_that_is_ours() {
    assert_eq!(ended(&loaded(5, LastExit::Status(3, None)), 5), JobOutcome::Exited(3));
    for (runs, exit) in [
        (6, LastExit::Status(0, None)),
        (5, LastExit::Never),
        (5, LastExit::Otherwise("its last exit code is `fine`".to_owned())),
        (5, LastExit::Status(78, Some("EX_CONFIG".to_owned()))),
    ] {
        let outcome = ended(&loaded(runs, exit.clone()), 5);
        assert!(matches!(outcome, JobOutcome::Failed(_)), "{runs} {exit:?}: {outcome:?}");
    }
}

fn start(host: &FakeHost) -> Result<JobOutcome, SchedulerError> {
    let name = JobName::parse("bkp-ledger").expect("a name");
    let launchctl = Launchctl::new(host, Scope::System);
    start_and_wait(&launchctl, &testing::places(), &name, Duration::from_millis(300), &mut || {})
}

#[test]
fn run_that_is_not_counted_did_not_end_well() {
    // It says for ever what it said before: an earlier run ended with 0.
    let text = testing::printed("/agents/io.bkp.ledger.plist", &["/bin/bkp"], "abc");
    let host = FakeHost::default().answer("launchctl print system/io.bkp.ledger", 0, &text).answer(
        "launchctl kickstart system/io.bkp.ledger",
        0,
        "",
    );
    assert!(matches!(start(&host), Ok(JobOutcome::Failed(_))));
    assert_eq!(host.changes(), ["run launchctl kickstart system/io.bkp.ledger"]);
}

#[test]
fn job_that_runs_is_attached_to_and_not_started_again() {
    let text = testing::printed("/agents/io.bkp.ledger.plist", &["/bin/bkp"], "abc");
    let text = text.replace("state = not running", "state = running\n\tpid = 7");
    let host = FakeHost::default().answer("launchctl print system/io.bkp.ledger", 0, &text);
    assert!(matches!(start(&host), Ok(JobOutcome::Failed(words)) if words.contains("still runs")));
    assert!(host.changes().is_empty());
}

#[test]
fn job_that_is_not_loaded_is_not_started() {
    let host = FakeHost::default().answer("launchctl print system/io.bkp.ledger", 113, "").answer(
        "launchctl print system",
        0,
        "system = {\n\tservices = {\n\t}\n}\n",
    );
    assert!(matches!(start(&host), Ok(JobOutcome::NotStarted(_))));
    assert!(host.changes().is_empty());
}

#[test]
fn domain_that_is_gone_is_an_error_and_not_a_job_that_is_not_loaded() {
    let host = FakeHost::default().answer("launchctl print system/io.bkp.ledger", 113, "").answer(
        "launchctl print system",
        113,
        "Could not find domain",
    );
    assert!(matches!(start(&host), Err(SchedulerError::Refused { .. })));
}
