//! cron: a file for each job in `/etc/cron.d`, or a block for each job in a user's crontab.
//!
//! Cron has no catch-up, no environment and no memory: the job itself asks whether a run is due, brings its environment
//! along, and keeps its own journal. Another's line is never changed, and nothing is said to be scheduled that a living cron
//! would not read.

mod command;
mod crontab;
mod daemon;
mod look;
mod once;
mod start;
mod store;
mod table;

pub use once::run_once;

use super::{Job, JobOutcome, Places, RenderedFile, Scheduler, SchedulerError};
use crate::declared::Scope;
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::{JobName, Observed, SchedulerFacts, SchedulerKind};
use std::path::Path;
use std::time::Duration;
use store::Store;

/// Lines of one job: there are crons that take no more than 1000 in a table.
const LINES_MAX: usize = 500;

/// Cron of one scope.
#[derive(Debug)]
pub struct Cron {
    places: Places,
}

impl Cron {
    /// The scheduler whose files lie in these places.
    pub fn new(places: Places) -> Self {
        Self { places }
    }

    fn text(&self, job: &Job) -> String {
        store::framed(self.places.scope, &job.name, &table::render(job))
    }
}

/// Whether a cron runs here that would start jobs of this scope: one that lives, and for the system's jobs reads
/// `/etc/cron.d`, for a user's lets this user have a table.
pub fn runs(host: &dyn Host, scope: Scope) -> bool {
    let place = || match scope {
        Scope::System => host.status(Path::new("/etc/cron.d")).is_ok(),
        Scope::User => store::has_tool(host) && crontab::read(host).is_ok(),
    };
    daemon::living(host, scope).is_ok_and(|daemon| daemon.is_some()) && place()
}

/// Why a job cannot be written as lines of cron's.
fn inexpressible(places: &Places, job: &Job, text: &str) -> Option<String> {
    let command = table::command(job);
    let once = command.once(&once::record_path(start::state_of(places, &command), &job.name.to_string()));
    command.inexpressible().or_else(|| once?.inexpressible()).or_else(|| {
        let count = text.lines().count();
        (count > LINES_MAX).then(|| {
            format!(
                "its schedule takes {count} lines, and a table of cron holds {LINES_MAX}: use a simpler one"
            )
        })
    })
}

impl Scheduler for Cron {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::Cron
    }

    fn render(&self, job: &Job) -> Vec<RenderedFile> {
        vec![RenderedFile { path: store::path(&self.places, &job.name), text: self.text(job) }]
    }

    fn observe(&self, host: &dyn Host) -> Observed<SchedulerFacts> {
        match look::observe(host, &self.places) {
            Ok(Some(facts)) => Observed::Present(facts),
            Ok(None) => Observed::Absent,
            Err(error) => {
                let fix = match &error {
                    SchedulerError::Unreadable { .. } => {
                        "where a block of bkp's is damaged, remove its lines with `crontab -e`, from `# bkp-begin` on, and \
                         apply again; else see that processes and crontab can be read"
                    }
                    SchedulerError::File { .. }
                    | SchedulerError::Tool { .. }
                    | SchedulerError::Refused { .. }
                    | SchedulerError::Check { .. } => {
                        "see that this user may have a crontab (crontab(1)), and look again"
                    }
                };
                Observed::Unknown(Diagnostic::from_error("cron's tables could not be read", &error).fix(fix))
            }
        }
    }

    fn install(&self, host: &dyn Host, job: &Job) -> Result<(), SchedulerError> {
        let text = self.text(job);
        if let Some(output) = inexpressible(&self.places, job, &text) {
            return Err(SchedulerError::Check { job: job.name.clone(), output });
        }
        let store = Store::new(host, &self.places);
        let scope = self.places.scope;
        let before =
            store.read(&job.name)?.map(|stored| table::entries(&stored.text, scope)).unwrap_or_default();
        let was_enabled = before.iter().any(|entry| entry.enabled);
        store.write(&job.name, &if was_enabled { text } else { table::disabled(&text, scope) })
    }

    fn enable(&self, host: &dyn Host, job: &JobName) -> Result<(), SchedulerError> {
        let store = Store::new(host, &self.places);
        let refused =
            |reason: &str| SchedulerError::Refused { command: "cron".to_owned(), reason: reason.to_owned() };
        let stored = store.read(job)?.ok_or_else(|| refused(&format!("it has no job `{job}`")))?;
        store.write(job, &table::enabled(&stored.text))?;
        let now = store.read(job)?.ok_or_else(|| refused(&format!("it has no job `{job}`")))?;
        if let Some(trouble) = now.trouble {
            return Err(refused(&format!("it would not read `{}`: {trouble}", now.path.display())));
        }
        match daemon::living(host, self.places.scope)? {
            Some(_) => Ok(()),
            None => Err(refused("none runs that would start the job")),
        }
    }

    fn start_and_wait(
        &self,
        host: &dyn Host,
        job: &JobName,
        limit: Duration,
        tick: &mut dyn FnMut(),
    ) -> Result<JobOutcome, SchedulerError> {
        start::start_and_wait(host, &self.places, job, limit, tick)
    }

    fn remove(&self, host: &dyn Host, job: &JobName) -> Result<(), SchedulerError> {
        Store::new(host, &self.places).remove(job)
    }
}

#[cfg(test)]
mod tests;
