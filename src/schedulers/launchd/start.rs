//! Starts a job and follows it to its end.
//!
//! That `kickstart` succeeds is no proof that anything ran, and a last exit code may be an earlier run's: a status is
//! believed only where exactly one run was counted, and it is that one.

use super::ctl::{Launchctl, explain};
use super::install;
use super::printed::{Activity, LastExit, Loaded};
use crate::host::pause;
use crate::observed::JobName;
use crate::schedulers::{JobOutcome, Places, SchedulerError};
use std::time::Duration;

/// How often the caller is told that time passes, and launchd is asked.
const STEP: Duration = Duration::from_millis(200);
/// How long launchd may take to start a job that it was told to start: it holds back what ran less than 10 s ago.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// launchd's own status for a job that it could not set up: the binary, the user, the folder of the log
/// (sysexits(3), `EX_CONFIG`). bkp never ends with it.
const COULD_NOT_SET_UP: i32 = 78;

/// Starts the job, or attaches to its run, and says how it ended.
pub(super) fn start_and_wait(
    launchctl: &Launchctl<'_>,
    places: &Places,
    job: &JobName,
    limit: Duration,
    tick: &mut dyn FnMut(),
) -> Result<JobOutcome, SchedulerError> {
    let mut before = launchctl.loaded(job)?;
    if before.is_none() && matches!(job, JobName::Trial(_)) {
        install::load(launchctl, places, job)?;
        before = launchctl.loaded(job)?;
    }
    let Some(before) = before else {
        return Ok(JobOutcome::NotStarted(
            "launchd has not loaded the job; `bkp apply` has it loaded".to_owned(),
        ));
    };
    // launchd counts a run when it begins.
    let ours = match before.activity {
        Activity::Running => before.runs,
        Activity::Starting => before.runs + 1,
        Activity::Idle => {
            let output = launchctl.kickstart(job)?;
            if !output.succeeded() {
                return Ok(JobOutcome::NotStarted(explain(&output)));
            }
            before.runs + 1
        }
    };
    follow(launchctl, job, ours, limit, tick)
}

/// Looks at the job until the run with this number is over.
fn follow(
    launchctl: &Launchctl<'_>,
    job: &JobName,
    ours: u64,
    limit: Duration,
    tick: &mut dyn FnMut(),
) -> Result<JobOutcome, SchedulerError> {
    let mut waited = Duration::ZERO;
    while waited <= limit {
        let Some(now) = launchctl.loaded(job)? else {
            return Ok(JobOutcome::Failed("the job was unloaded while it ran".to_owned()));
        };
        if now.runs > ours || (now.runs == ours && now.activity == Activity::Idle) {
            return Ok(ended(&now, ours));
        }
        if now.runs < ours && now.activity == Activity::Idle && waited >= START_PATIENCE {
            let words = format!("launchd said no error and has not started it for {} s", waited.as_secs());
            return Ok(JobOutcome::NotStarted(words));
        }
        tick();
        pause(STEP);
        waited += STEP;
    }
    Ok(JobOutcome::Failed(format!("it still runs after {} s", limit.as_secs())))
}

/// How the run with this number ended, by launchd's words about the last one.
fn ended(now: &Loaded, ours: u64) -> JobOutcome {
    if now.runs != ours {
        let words = format!(
            "launchd started it {} times meanwhile and tells the end of one alone",
            now.runs - ours + 1
        );
        return JobOutcome::Failed(words);
    }
    match &now.last_exit {
        LastExit::Status(COULD_NOT_SET_UP, word) => {
            let word = word.as_deref().unwrap_or("EX_CONFIG");
            JobOutcome::Failed(format!(
                "status {COULD_NOT_SET_UP} ({word}): launchd could not set the job up"
            ))
        }
        LastExit::Status(status, _) => JobOutcome::Exited(*status),
        LastExit::Never => {
            JobOutcome::Failed("it does not run any more, and launchd says that it never ended".to_owned())
        }
        LastExit::Otherwise(words) => JobOutcome::Failed(words.clone()),
    }
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
