//! Programs that run before and after a backup. What `after` undoes is undone even after a kill.

use super::{WorkflowError, signal};
use crate::declared::{Hook, SetDeclaration, SetName};
use crate::diagnostic::Diagnostic;
use crate::host::{Command, Host, pulse};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A set's hooks, with what they are given.
pub struct Hooks<'a> {
    /// The host.
    pub host: &'a dyn Host,
    /// The state folder.
    pub state: &'a Path,
    /// The set.
    pub name: &'a SetName,
    /// Its declaration.
    pub set: &'a SetDeclaration,
    /// Variables that name the secrets' files.
    pub variables: BTreeMap<String, OsString>,
    /// Longest that one hook may take.
    pub time_limit: Duration,
}

impl Hooks<'_> {
    fn pending(&self) -> PathBuf {
        self.state.join("pending-after").join(self.name.as_str())
    }

    fn trouble(&self, what: &str, why: String) -> Diagnostic {
        Diagnostic::new(format!("{what} hook failed"), format!("set `{}`", self.name)).why(why)
    }

    fn run_one(&self, what: &str, hook: &Hook) -> Result<(), Diagnostic> {
        let mut command = Command::change(hook);
        command.time_limit = self.time_limit;
        command.env = self.variables.clone();
        command.env.insert("BKP_SET".into(), self.name.as_str().into());
        let line = command.display();
        let _it_has_its_own_limit = pulse::Excuse::begin();
        let output = self.host.run(&command).map_err(|error| {
            self.trouble(what, format!("`{line}`: {error}"))
                .fix("check that the program is installed and on the job's PATH")
        })?;
        if output.succeeded() {
            return Ok(());
        }
        Err(self.trouble(what, format!("`{line}`: {}", output.explain())))
    }

    /// Whether a run that was killed left its `after` hooks to be run.
    pub fn left_pending(&self) -> bool {
        self.host.status(&self.pending()).is_ok()
    }

    /// Runs `before`; the first that fails ends it. From here on `after` is owed.
    pub fn before(&self) -> Result<(), WorkflowError> {
        if !self.set.after.is_empty() {
            let path = self.pending();
            let folder = path.parent().unwrap_or(self.state);
            let noted = self
                .host
                .create_dir_all(folder, 0o700)
                .and_then(|()| self.host.write_atomic(&path, b"", 0o600));
            noted.map_err(|error| self.trouble("before", format!("{}: {error}", path.display())))?;
        }
        for hook in &self.set.before {
            self.run_one("before", hook)?;
        }
        Ok(())
    }

    /// Runs `after`, every one of them, and gives what failed.
    pub fn after(&self) -> Vec<Diagnostic> {
        let mut failures: Vec<Diagnostic> =
            self.set.after.iter().filter_map(|hook| self.run_one("after", hook).err()).collect();
        if !failures.is_empty() && signal::told_to_end() {
            // They may have been cut short: the next run owes them still.
            return failures;
        }
        if let Err(error) = self.host.remove_file(&self.pending())
            && error.kind() != std::io::ErrorKind::NotFound
        {
            failures.push(self.trouble("after", format!("{}: {error}", self.pending().display())));
        }
        failures
    }
}
