//! `launchctl` (launchctl(1)) in one domain: the system's or a user's.
//!
//! A job that runs is never killed here on purpose: no `kickstart -k`, and `bootout` is for callers who have seen that it
//! does not run.

use super::{label, printed};
use crate::declared::Scope;
use crate::host::{Command, Host, Output};
use crate::observed::JobName;
use crate::schedulers::SchedulerError;
use std::collections::BTreeMap;
use std::path::Path;

/// Exit status of `launchctl print` for a service, or a domain, that launchd does not know.
const NOT_FOUND: i32 = 113;

/// launchd as one user sees it.
pub(super) struct Launchctl<'a> {
    host: &'a dyn Host,
    domain: String,
}

impl<'a> Launchctl<'a> {
    /// For a scope: the domain `system`, or that of a user who is logged in.
    pub(super) fn new(host: &'a dyn Host, scope: Scope) -> Self {
        let domain = match scope {
            Scope::System => "system".to_owned(),
            Scope::User => format!("gui/{}", host.user().uid),
        };
        Self { host, domain }
    }

    pub(super) fn host(&self) -> &'a dyn Host {
        self.host
    }

    /// The job's service target.
    pub(super) fn target(&self, job: &JobName) -> String {
        format!("{}/{}", self.domain, label::label(job))
    }

    fn run(&self, command: &Command) -> Result<Output, SchedulerError> {
        self.host.run(command).map_err(|error| SchedulerError::Tool { command: command.display(), error })
    }

    fn refused<T>(command: &Command, output: &Output) -> Result<T, SchedulerError> {
        Err(SchedulerError::Refused { command: command.display(), reason: explain(output) })
    }

    fn unreadable(command: &Command, error: &printed::Unreadable) -> SchedulerError {
        SchedulerError::Unreadable { command: command.display(), reason: error.to_string() }
    }

    /// Changes; anything but success is an error.
    fn change(&self, words: &[&str]) -> Result<(), SchedulerError> {
        let command = Command::change(std::iter::once("launchctl").chain(words.iter().copied()));
        let output = self.run(&command)?;
        if output.succeeded() { Ok(()) } else { Self::refused(&command, &output) }
    }

    /// The labels of everything that is loaded in the domain. A domain that does not exist is an error.
    pub(super) fn labels(&self) -> Result<Vec<String>, SchedulerError> {
        let command = Command::look(["launchctl", "print", &self.domain]);
        let output = self.run(&command)?;
        if !output.succeeded() {
            return Self::refused(&command, &output);
        }
        printed::labels(&output.text(), &self.domain).map_err(|error| Self::unreadable(&command, &error))
    }

    /// What launchd says of a job; none when it has not loaded it.
    pub(super) fn loaded(&self, job: &JobName) -> Result<Option<printed::Loaded>, SchedulerError> {
        let target = self.target(job);
        let command = Command::look(["launchctl", "print", &target]);
        let output = self.run(&command)?;
        if output.status == Some(NOT_FOUND) && !output.timed_out {
            // A domain that does not exist gives the same status, and says nothing of the job.
            self.labels()?;
            return Ok(None);
        }
        if !output.succeeded() {
            return Self::refused(&command, &output);
        }
        let read = printed::job(&output.text(), &target);
        read.map(Some).map_err(|error| Self::unreadable(&command, &error))
    }

    /// The labels that somebody disabled or enabled by hand; true is disabled.
    pub(super) fn overrides(&self) -> Result<BTreeMap<String, bool>, SchedulerError> {
        let command = Command::look(["launchctl", "print-disabled", &self.domain]);
        let output = self.run(&command)?;
        if !output.succeeded() {
            return Self::refused(&command, &output);
        }
        printed::overrides(&output.text()).map_err(|error| Self::unreadable(&command, &error))
    }

    /// Whether a job is disabled.
    pub(super) fn is_disabled(&self, job: &JobName) -> Result<bool, SchedulerError> {
        Ok(self.overrides()?.get(&label::label(job)).copied().unwrap_or(false))
    }

    pub(super) fn enable(&self, job: &JobName) -> Result<(), SchedulerError> {
        self.change(&["enable", &self.target(job)])
    }

    pub(super) fn bootstrap(&self, file: &Path) -> Result<(), SchedulerError> {
        let file = file.to_string_lossy();
        self.change(&["bootstrap", &self.domain, &file])
    }

    /// Unloads. Its status says little (it gives "in progress" and goes on), so callers look again.
    pub(super) fn bootout(&self, job: &JobName) -> Result<Output, SchedulerError> {
        self.run(&Command::change(["launchctl", "bootout", &self.target(job)]))
    }

    /// Starts a job that is loaded.
    pub(super) fn kickstart(&self, job: &JobName) -> Result<Output, SchedulerError> {
        self.run(&Command::change(["launchctl", "kickstart", &self.target(job)]))
    }
}

/// How a command failed, with both of its outputs: launchctl writes some of its errors to standard output.
pub(super) fn explain(output: &Output) -> String {
    let said = output.text();
    let last = said.trim().lines().last().unwrap_or_default();
    if output.stderr.is_empty() && !last.is_empty() {
        return format!("{}: {last}", output.explain());
    }
    output.explain()
}

/// Whether an error says that nobody is logged in, so that there is no domain for a user's jobs.
pub(super) fn names_no_domain(error: &SchedulerError) -> bool {
    match error {
        SchedulerError::Refused { reason, .. } => reason.to_lowercase().contains("could not find domain"),
        SchedulerError::File { .. }
        | SchedulerError::Tool { .. }
        | SchedulerError::Check { .. }
        | SchedulerError::Unreadable { .. } => false,
    }
}
