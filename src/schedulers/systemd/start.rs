//! Starts a service and follows it to its end.
//!
//! `systemctl start` waits for a oneshot, and for one that runs already. Its success alone is no proof that anything
//! ran (a false condition exits 0), and a unit that nothing refers to is forgotten together with its result; so the
//! invocation's identity decides, and where that is gone, only a unit that cannot hide a failure is believed.

use super::ctl::{Manager, Properties, value};
use super::unit;
use crate::host::{Output, pause};
use crate::observed::JobName;
use crate::schedulers::{JobOutcome, SchedulerError};
use std::time::Duration;

/// How often the caller is told that time passes, and the unit is looked at.
const STEP: Duration = Duration::from_millis(200);

const PROPERTIES: &[&str] = &[
    "Id",
    "LoadState",
    "LoadError",
    "ActiveState",
    "SubState",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
    "ConditionResult",
    "AssertResult",
    "InvocationID",
    "DropInPaths",
    "SuccessExitStatus",
    "ExecStart",
];

/// Starts the job, or attaches to its run, and says how it ended.
pub(super) fn start_and_wait(
    manager: &Manager<'_>,
    job: &JobName,
    limit: Duration,
    tick: &mut dyn FnMut(),
) -> Result<JobOutcome, SchedulerError> {
    let service = unit::service(job);
    let before = look(manager, &service)?;
    match value(&before, "LoadState") {
        "loaded" => {}
        "masked" => return Ok(JobOutcome::NotStarted(format!("{service} is masked"))),
        "not-found" => return Ok(JobOutcome::NotStarted(format!("systemd knows no {service}"))),
        word => {
            let error = value(&before, "LoadError");
            return Ok(JobOutcome::NotStarted(format!("systemd cannot load {service}: {word} {error}")));
        }
    }
    let (output, seen_running) = follow(manager, &service, limit, tick)?;
    let run = Run {
        attached: is_going_on(&before),
        invocation_before: value(&before, "InvocationID").to_owned(),
        seen_running,
        after: look(manager, &service)?,
    };
    if output.timed_out && is_going_on(&run.after) {
        return Ok(JobOutcome::Failed(format!("it still runs after {} s", limit.as_secs())));
    }
    if run.started() {
        return Ok(ended(&run.after, &output));
    }
    if !output.succeeded() {
        return Ok(JobOutcome::NotStarted(output.explain()));
    }
    if value(&run.after, "InvocationID").is_empty() {
        return forgotten(manager, &service, &run);
    }
    Ok(JobOutcome::NotStarted(skipped(&run.after)))
}

/// What was seen around one start.
struct Run {
    attached: bool,
    invocation_before: String,
    seen_running: bool,
    after: Properties,
}

impl Run {
    /// Whether the result that the unit shows is that of our run.
    fn started(&self) -> bool {
        let invocation = value(&self.after, "InvocationID");
        !invocation.is_empty() && (self.attached || invocation != self.invocation_before)
    }
}

fn look(manager: &Manager<'_>, service: &str) -> Result<Properties, SchedulerError> {
    let shown = manager.show(&[service.to_owned()], PROPERTIES)?;
    Ok(shown.into_iter().next().expect("one block for each unit that was asked for"))
}

fn is_going_on(unit: &Properties) -> bool {
    matches!(value(unit, "ActiveState"), "activating" | "deactivating" | "reloading")
}

/// Runs `systemctl start` to its end; says too whether the unit was seen running meanwhile.
fn follow(
    manager: &Manager<'_>,
    service: &str,
    limit: Duration,
    tick: &mut dyn FnMut(),
) -> Result<(Output, bool), SchedulerError> {
    std::thread::scope(|scope| {
        let start = scope.spawn(|| manager.attempt(&["start", service], limit));
        let mut seen_running = false;
        while !start.is_finished() {
            tick();
            if !seen_running {
                seen_running = look(manager, service).is_ok_and(|unit| is_going_on(&unit));
            }
            pause(STEP);
        }
        let output = start.join().expect("running a command does not panic")?;
        Ok((output, seen_running))
    })
}

/// How a run of ours ended, by the unit's own words.
fn ended(unit: &Properties, output: &Output) -> JobOutcome {
    let result = value(unit, "Result");
    let status = value(unit, "ExecMainStatus").parse::<i32>();
    let by_itself = value(unit, "ExecMainCode") == "1";
    match (result, status) {
        ("success", Ok(0)) if by_itself && output.succeeded() => JobOutcome::Exited(0),
        ("success", Ok(0)) => JobOutcome::Failed(format!("it was stopped: {}", output.explain())),
        ("exit-code", Ok(0)) => {
            JobOutcome::Failed("a command that is started before or after it failed".to_owned())
        }
        ("success" | "exit-code", Ok(status)) if by_itself => match environment(status) {
            None => JobOutcome::Exited(status),
            Some(words) => JobOutcome::Failed(format!("status {status}: {words}")),
        },
        ("success" | "signal" | "core-dump", Ok(signal)) => {
            JobOutcome::Failed(format!("it was ended by signal {signal}"))
        }
        ("timeout", _) => JobOutcome::Failed("it was ended at its time limit".to_owned()),
        ("oom-kill", _) => JobOutcome::Failed("it was ended because memory ran out".to_owned()),
        ("resources", _) => {
            JobOutcome::Failed("systemd could not set up what it needs (result `resources`)".to_owned())
        }
        (word, _) => JobOutcome::Failed(format!("systemd says `{word}`; {}", output.explain())),
    }
}

/// Statuses of systemd itself for an environment that it could not set up (systemd.exec(5), "Process exit codes").
fn environment(status: i32) -> Option<&'static str> {
    match status {
        200 => Some("its working folder cannot be entered"),
        203 => Some("its program cannot be executed"),
        217 => Some("its user does not exist"),
        218 | 219 => Some("its capabilities or control group cannot be set up"),
        226 => Some("its sandbox cannot be set up; one of its ReadWritePaths may not exist"),
        228 => Some("its system call filter cannot be set up"),
        243 => Some("a credential cannot be loaded; a secret's file may not exist or not be readable"),
        201..=245 => Some("systemd could not set up its environment"),
        _ => None,
    }
}

/// `start` said success and the unit has forgotten everything: a finished unit that nothing refers to is unloaded.
fn forgotten(manager: &Manager<'_>, service: &str, run: &Run) -> Result<JobOutcome, SchedulerError> {
    let plain = value(&run.after, "DropInPaths").is_empty()
        && value(&run.after, "SuccessExitStatus").is_empty()
        && !run
            .after
            .get("ExecStart")
            .is_some_and(|all| all.iter().any(|it| it.contains("ignore_errors=yes")));
    let no_list = |list: &serde_json::Value| list.as_array().is_some_and(Vec::is_empty);
    let conditions = manager.property(service, "Unit", "Conditions")?;
    let asserts = manager.property(service, "Unit", "Asserts")?;
    let unconditional = no_list(&conditions) && no_list(&asserts);
    Ok(match (plain, unconditional || run.seen_running) {
        (true, true) => JobOutcome::Exited(0),
        (false, true) => JobOutcome::Failed(
            "it ended and systemd forgot its status, and a setting of the unit could hide a failure"
                .to_owned(),
        ),
        (_, false) => {
            JobOutcome::NotStarted("the unit has conditions, and nothing shows that they were met".to_owned())
        }
    })
}

fn skipped(unit: &Properties) -> String {
    if value(unit, "ConditionResult") == "no" {
        return "a condition of the unit was not met".to_owned();
    }
    if value(unit, "AssertResult") == "no" {
        return "an assertion of the unit did not hold".to_owned();
    }
    format!("systemd left it as it was: {} ({})", value(unit, "ActiveState"), value(unit, "SubState"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect()
    }

    fn output(status: i32) -> Output {
        Output { status: Some(status), timed_out: false, stdout: Vec::new(), stderr: Vec::new() }
    }

    #[test]
    fn hidden_status_is_told() {
        let masked_by_success_exit_status =
            unit(&[("Result", "success"), ("ExecMainCode", "1"), ("ExecMainStatus", "3")]);
        assert_eq!(ended(&masked_by_success_exit_status, &output(0)), JobOutcome::Exited(3));
    }

    #[test]
    fn success_of_a_stopped_run_is_a_failure() {
        let stopped = unit(&[("Result", "success"), ("ExecMainCode", "0"), ("ExecMainStatus", "0")]);
        assert!(matches!(ended(&stopped, &output(1)), JobOutcome::Failed(_)));
        let killed = unit(&[("Result", "success"), ("ExecMainCode", "2"), ("ExecMainStatus", "15")]);
        assert_eq!(ended(&killed, &output(1)), JobOutcome::Failed("it was ended by signal 15".into()));
    }

    #[test]
    fn environment_that_cannot_be_set_up_is_put_in_words() {
        for status in ["203", "226", "243"] {
            let unit = unit(&[("Result", "exit-code"), ("ExecMainCode", "1"), ("ExecMainStatus", status)]);
            assert!(matches!(ended(&unit, &output(1)), JobOutcome::Failed(words) if words.contains(status)));
        }
    }

    #[test]
    fn run_counts_only_with_an_invocation_of_its_own() {
        let run = |attached, before: &str, after: &str| Run {
            attached,
            invocation_before: before.to_owned(),
            seen_running: false,
            after: unit(&[("InvocationID", after)]),
        };
        assert!(
            run(false, "", "aa").started()
                && run(false, "aa", "bb").started()
                && run(true, "aa", "aa").started()
        );
        assert!(!run(false, "aa", "aa").started() && !run(false, "aa", "").started());
    }
}
