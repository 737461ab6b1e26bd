//! launchd of a Mac: `LaunchDaemons` of the system, `LaunchAgents` of a user.
//!
//! Made from Apple's manual pages and tried against a stand-in of `launchctl`: no Mac has confirmed it. What launchctl
//! says in words that bkp does not know is unknown, never fine. A job that runs is never killed.

mod agent;
mod ctl;
mod install;
mod label;
mod log;
mod look;
mod printed;
mod start;
mod starts;
#[cfg(test)]
mod testing;

pub use log::bound_job_log;

use super::{Job, JobOutcome, Places, RenderedFile, Scheduler, SchedulerError};
use crate::declared::Scope;
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::{JobName, Observed, SchedulerFacts, SchedulerKind};
use ctl::Launchctl;
use std::time::Duration;

/// Where a Mac has its launchctl.
const TOOL_PATH: &str = "/bin:/usr/bin";

/// Launchd of one scope.
#[derive(Debug)]
pub struct Launchd {
    places: Places,
}

impl Launchd {
    /// The scheduler whose files lie in these places.
    pub fn new(places: Places) -> Self {
        Self { places }
    }

    fn launchctl<'a>(&self, host: &'a dyn Host) -> Launchctl<'a> {
        Launchctl::new(host, self.places.scope)
    }
}

/// Whether it runs here: on every Mac, and on nothing else.
pub fn runs(host: &dyn Host) -> bool {
    cfg!(target_os = "macos") && host.find_tool("launchctl", TOOL_PATH).is_some()
}

/// Why launchd could not be asked, with what helps.
fn could_not_ask(error: &SchedulerError, scope: Scope) -> Diagnostic {
    let fix = match (error, scope) {
        (SchedulerError::Tool { .. }, _) => {
            "launchctl is a part of macOS: on any other system write `scheduler: auto` in the plan file"
        }
        (SchedulerError::Refused { .. }, Scope::User) if ctl::names_no_domain(error) => {
            "a user's jobs exist only while the user is logged in: log in and look again, or run bkp as root with \
             `scope: system`, whose jobs (LaunchDaemons) need no login"
        }
        (SchedulerError::Unreadable { .. }, _) => {
            "run the command and see what it says; this bkp does not know these words, so it cannot say what the jobs do"
        }
        (SchedulerError::File { .. }, _) => "see that this user may read the file, and look again",
        (SchedulerError::Refused { .. } | SchedulerError::Check { .. }, Scope::System) => {
            "run the command as root and see what it says"
        }
        (SchedulerError::Refused { .. } | SchedulerError::Check { .. }, Scope::User) => {
            "run the command as this user and see what it says"
        }
    };
    Diagnostic::from_error("launchd could not be asked", error).fix(fix)
}

impl Scheduler for Launchd {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::Launchd
    }

    fn render(&self, job: &Job) -> Vec<RenderedFile> {
        let path = label::path(&self.places.agents, &job.name);
        vec![RenderedFile { path, text: agent::render(&self.places, job) }]
    }

    fn observe(&self, host: &dyn Host) -> Observed<SchedulerFacts> {
        match look::observe(&self.launchctl(host), &self.places) {
            Ok(facts) => Observed::Present(facts),
            Err(error) => Observed::Unknown(could_not_ask(&error, self.places.scope)),
        }
    }

    fn install(&self, host: &dyn Host, job: &Job) -> Result<(), SchedulerError> {
        install::install(&self.launchctl(host), &self.places, job)
    }

    fn enable(&self, host: &dyn Host, job: &JobName) -> Result<(), SchedulerError> {
        install::enable(&self.launchctl(host), &self.places, job)
    }

    fn start_and_wait(
        &self,
        host: &dyn Host,
        job: &JobName,
        limit: Duration,
        tick: &mut dyn FnMut(),
    ) -> Result<JobOutcome, SchedulerError> {
        start::start_and_wait(&self.launchctl(host), &self.places, job, limit, tick)
    }

    fn remove(&self, host: &dyn Host, job: &JobName) -> Result<(), SchedulerError> {
        install::remove(&self.launchctl(host), &self.places, job)
    }
}
