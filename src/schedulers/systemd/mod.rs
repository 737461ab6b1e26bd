//! systemd timers and services, of the system and of a user.
//!
//! systemd's word about a result is not taken where it can be wrong: `Result=success` is what a unit says that never
//! ran, that does not exist and that was forgotten. Nothing here judges; it reports.

mod ctl;
mod disk;
mod install;
mod look;
mod quote;
mod sandbox;
mod start;
mod unit;

use super::{Job, JobOutcome, Places, RenderedFile, Scheduler, SchedulerError, ShownUnit};
use crate::declared::Scope;
use crate::diagnostic::Diagnostic;
use crate::host::{FileKind, Host};
use crate::observed::{JobName, Observed, SchedulerFacts, SchedulerKind};
use ctl::Manager;
use std::path::Path;
use std::time::Duration;

/// The systemd manager of one scope.
#[derive(Debug)]
pub struct Systemd {
    places: Places,
}

impl Systemd {
    /// The manager whose units lie in these places.
    pub fn new(places: Places) -> Self {
        Self { places }
    }

    fn manager<'a>(&self, host: &'a dyn Host) -> Manager<'a> {
        Manager::new(host, self.places.scope)
    }
}

/// Whether a manager of this scope runs and answers. The folder is the test of `sd_booted(3)`.
pub fn runs(host: &dyn Host, scope: Scope) -> bool {
    let booted =
        host.status(Path::new("/run/systemd/system")).is_ok_and(|status| status.kind == FileKind::Directory);
    let answers = || Manager::new(host, scope).look(&["show", "-p", "Version", "--value"]);
    booted && answers().is_ok_and(|version| !version.trim().is_empty())
}

/// What the manager of a scope says of any units, in the order of their names, in one call.
pub fn show(host: &dyn Host, scope: Scope, units: &[String]) -> Result<Vec<ShownUnit>, SchedulerError> {
    let properties = [
        "Id",
        "LoadState",
        "UnitFileState",
        "ActiveState",
        "SubState",
        "NextElapseUSecRealtime",
        "NextElapseUSecMonotonic",
        "ExecMainStartTimestamp",
    ];
    let shown = Manager::new(host, scope).show(units, &properties)?;
    let unit = |it: &ctl::Properties| {
        let text = |name: &str| ctl::value(it, name).to_owned();
        let ahead = |name: &str| !matches!(ctl::value(it, name), "" | "0" | "infinity" | "n/a");
        ShownUnit {
            load_state: text("LoadState"),
            unit_file_state: text("UnitFileState"),
            active_state: text("ActiveState"),
            elapses: text("SubState") == "running"
                || ahead("NextElapseUSecRealtime")
                || ahead("NextElapseUSecMonotonic"),
            main_started_at: ctl::timestamp(&text("ExecMainStartTimestamp")),
        }
    };
    Ok(shown.iter().map(unit).collect())
}

/// Why the manager could not be asked, with what helps.
fn could_not_ask(error: &SchedulerError, scope: Scope) -> Diagnostic {
    let fix = match scope {
        Scope::System => {
            "run bkp as root on a host that was booted with systemd, or write `scheduler: embedded` in the plan file"
        }
        Scope::User => {
            "run `loginctl enable-linger` as this user and look again; where no systemd runs, write \
             `scheduler: embedded` in the plan file"
        }
    };
    Diagnostic::from_error("systemd could not be asked", error).fix(fix)
}

impl Scheduler for Systemd {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::Systemd
    }

    fn render(&self, job: &Job) -> Vec<RenderedFile> {
        unit::render(&self.places.units, job)
    }

    fn observe(&self, host: &dyn Host) -> Observed<SchedulerFacts> {
        match look::observe(host, &self.manager(host), &self.places) {
            Ok(facts) => Observed::Present(facts),
            Err(error) => Observed::Unknown(could_not_ask(&error, self.places.scope)),
        }
    }

    fn install(&self, host: &dyn Host, job: &Job) -> Result<(), SchedulerError> {
        install::install(host, &self.manager(host), &self.places.units, job)
    }

    fn enable(&self, host: &dyn Host, job: &JobName) -> Result<(), SchedulerError> {
        install::enable(&self.manager(host), job)
    }

    fn start_and_wait(
        &self,
        host: &dyn Host,
        job: &JobName,
        limit: Duration,
        tick: &mut dyn FnMut(),
    ) -> Result<JobOutcome, SchedulerError> {
        start::start_and_wait(&self.manager(host), job, limit, tick)
    }

    fn remove(&self, host: &dyn Host, job: &JobName) -> Result<(), SchedulerError> {
        install::remove(host, &self.manager(host), &self.places.units, job)
    }
}
