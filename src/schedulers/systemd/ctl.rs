//! `systemctl`, `busctl` and `systemd-analyze` of one manager: the system's or a user's.
//!
//! Every answer is asked for in UTC and in the C locale. What cannot be understood is an error, never a default.

use crate::declared::Scope;
use crate::host::{Command, Host, Output, Purpose};
use crate::schedulers::SchedulerError;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

/// Properties of a unit, by name; several lines of one name are kept in order.
pub(super) type Properties = BTreeMap<String, Vec<String>>;

/// Units asked for in one call: far below the kernel's limit for an argument list.
const UNITS_A_CALL: usize = 2000;

/// How long `systemctl show` may take. The manager works out `UnitFileState` for it, asked or not, and where there are
/// thousands of units that takes many seconds the first time after a reload.
const SHOW_LIMIT: Duration = Duration::from_mins(3);

/// Characters of a command that a message shows.
const COMMAND_SHOWN: usize = 200;

/// The tools of one manager.
pub(super) struct Manager<'a> {
    host: &'a dyn Host,
    scope: Scope,
}

impl<'a> Manager<'a> {
    pub(super) fn new(host: &'a dyn Host, scope: Scope) -> Self {
        Self { host, scope }
    }

    fn command(&self, purpose: Purpose, tool: &str, arguments: &[&str]) -> Command {
        let user = matches!(self.scope, Scope::User).then_some("--user");
        let words = std::iter::once(tool).chain(user).chain(arguments.iter().copied());
        let mut command = match purpose {
            Purpose::Look => Command::look(words),
            Purpose::Change => Command::change(words),
        };
        for (name, value) in [("TZ", "UTC"), ("LC_ALL", "C"), ("SYSTEMD_PAGER", ""), ("SYSTEMD_COLORS", "0")]
        {
            command.env.insert(name.to_owned(), OsString::from(value));
        }
        if matches!(self.scope, Scope::User) && self.host.env("XDG_RUNTIME_DIR").is_none() {
            // Without it the user's manager cannot be found, as under cron or after `su`.
            let folder = format!("/run/user/{}", self.host.user().uid);
            command.env.insert("XDG_RUNTIME_DIR".to_owned(), OsString::from(folder));
        }
        command
    }

    fn run(&self, command: &Command) -> Result<Output, SchedulerError> {
        self.host.run(command).map_err(|error| SchedulerError::Tool { command: command.display(), error })
    }

    fn demand(&self, command: &Command) -> Result<String, SchedulerError> {
        let output = self.run(command)?;
        if output.succeeded() {
            return Ok(output.text());
        }
        Err(SchedulerError::Refused { command: named(command), reason: output.explain() })
    }

    /// Asks; anything but success is an error.
    pub(super) fn look(&self, arguments: &[&str]) -> Result<String, SchedulerError> {
        self.demand(&self.command(Purpose::Look, "systemctl", arguments))
    }

    /// Lists by pattern. Some versions exit 1, and say nothing, where nothing matches.
    pub(super) fn list(&self, arguments: &[&str]) -> Result<String, SchedulerError> {
        let command = self.command(Purpose::Look, "systemctl", arguments);
        let output = self.run(&command)?;
        let nothing = output.status == Some(1) && output.stdout.is_empty() && output.stderr.is_empty();
        if output.succeeded() || nothing {
            return Ok(output.text());
        }
        Err(SchedulerError::Refused { command: named(&command), reason: output.explain() })
    }

    /// Changes; anything but success is an error.
    pub(super) fn change(&self, arguments: &[&str]) -> Result<String, SchedulerError> {
        self.demand(&self.command(Purpose::Change, "systemctl", arguments))
    }

    /// Changes, and hands back how it went.
    pub(super) fn attempt(&self, arguments: &[&str], limit: Duration) -> Result<Output, SchedulerError> {
        let mut command = self.command(Purpose::Change, "systemctl", arguments);
        command.time_limit = limit;
        self.run(&command)
    }

    /// What `systemd-analyze verify` prints about the files; empty is clean. Its exit status says nothing: an unknown
    /// key exits 0.
    pub(super) fn verify(&self, files: &[&str]) -> Result<String, SchedulerError> {
        let arguments = ["verify", "--man=no"].iter().copied().chain(files.iter().copied());
        let command = self.command(Purpose::Look, "systemd-analyze", &arguments.collect::<Vec<_>>());
        let output = self.run(&command)?;
        let mut said = output.text();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        if said.trim().is_empty() && !output.succeeded() {
            return Err(SchedulerError::Refused { command: named(&command), reason: output.explain() });
        }
        Ok(said)
    }

    /// The names of properties' values for each unit, in the order of `units`.
    pub(super) fn show(
        &self,
        units: &[String],
        properties: &[&str],
    ) -> Result<Vec<Properties>, SchedulerError> {
        let mut all = Vec::with_capacity(units.len());
        for chunk in units.chunks(UNITS_A_CALL) {
            let list = properties.join(",");
            let arguments: Vec<&str> =
                ["show", "-p", &list, "--"].into_iter().chain(chunk.iter().map(String::as_str)).collect();
            let mut command = self.command(Purpose::Look, "systemctl", &arguments);
            command.time_limit = SHOW_LIMIT;
            let text = self.demand(&command)?;
            let blocks = blocks(&text, properties);
            if blocks.len() != chunk.len() {
                return Err(SchedulerError::Unreadable {
                    command: "systemctl show".to_owned(),
                    reason: format!("{} units were asked for, {} came back", chunk.len(), blocks.len()),
                });
            }
            all.extend(blocks);
        }
        Ok(all)
    }

    /// A property on the bus, as JSON: the only place where argument lists keep their limits.
    pub(super) fn property(
        &self,
        unit: &str,
        interface: &str,
        property: &str,
    ) -> Result<serde_json::Value, SchedulerError> {
        let path = super::quote::object_path(unit);
        let interface = format!("org.freedesktop.systemd1.{interface}");
        let arguments =
            ["--json=short", "get-property", "org.freedesktop.systemd1", &path, &interface, property];
        let command = self.command(Purpose::Look, "busctl", &arguments);
        let text = self.demand(&command)?;
        let unreadable = |reason: String| SchedulerError::Unreadable { command: named(&command), reason };
        let mut value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        match value.get_mut("data") {
            Some(data) => Ok(data.take()),
            None => Err(unreadable("it has no `data`".to_owned())),
        }
    }
}

/// A command for a message: its first words, since it may name thousands of units.
fn named(command: &Command) -> String {
    let mut line: String = command.display().chars().take(COMMAND_SHOWN).collect();
    if command.display().chars().count() > COMMAND_SHOWN {
        line.push_str(" ...");
    }
    line
}

/// The blocks of `systemctl show`. A line that begins with none of the asked names goes on with the one before: an
/// argument may hold line ends.
fn blocks(text: &str, properties: &[&str]) -> Vec<Properties> {
    let mut blocks: Vec<Properties> = Vec::new();
    let mut last: Option<String> = None;
    let mut between = true;
    for line in text.lines() {
        let known = line
            .split_once('=')
            .filter(|(name, _)| properties.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        if let Some((name, value)) = known {
            if between {
                blocks.push(Properties::new());
                between = false;
            }
            if let Some(block) = blocks.last_mut() {
                block.entry(name.clone()).or_default().push(value);
            }
            last = Some(name);
        } else if line.is_empty() {
            between = true;
        } else if let (Some(name), Some(block)) = (&last, blocks.last_mut()) {
            between = false;
            if let Some(value) = block.get_mut(name).and_then(|values| values.last_mut()) {
                value.push('\n');
                value.push_str(line);
            }
        }
    }
    blocks
}

/// The only value of a property; empty where it was not told.
pub(super) fn value<'p>(properties: &'p Properties, name: &str) -> &'p str {
    properties.get(name).and_then(|values| values.first()).map_or("", String::as_str)
}

/// Reads a timestamp as `systemctl show` prints it in UTC (`Sat 2026-11-21 03:00:00 UTC`, `@1795230000`); empty and
/// `n/a` are none.
pub(super) fn timestamp(text: &str) -> Result<Option<Timestamp>, SchedulerError> {
    let text = text.trim();
    if text.is_empty() || text == "n/a" {
        return Ok(None);
    }
    let unreadable = || SchedulerError::Unreadable {
        command: "systemctl show".to_owned(),
        reason: format!("`{text}` is not a time in UTC"),
    };
    if let Some(seconds) = text.strip_prefix('@') {
        let seconds = seconds.split('.').next().unwrap_or(seconds).parse().map_err(|_| unreadable())?;
        return Timestamp::from_second(seconds).map(Some).map_err(|_| unreadable());
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    match fields.as_slice() {
        [_, date, time, "UTC"] | [date, time, "UTC"] => {
            format!("{date}T{time}Z").parse().map(Some).map_err(|_| unreadable())
        }
        _ => Err(unreadable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form_that_systemd_prints() {
        let at: Timestamp = "2026-11-21T03:00:00Z".parse().expect("a time");
        for text in ["Sat 2026-11-21 03:00:00 UTC", "@1795230000", "2026-11-21 03:00:00 UTC"] {
            assert_eq!(timestamp(text).expect(text), Some(at), "{text}");
        }
        assert_eq!(timestamp("").expect("empty"), None);
        assert_eq!(timestamp("n/a").expect("n/a"), None);
    }

    #[test]
    fn time_in_another_zone_is_not_guessed() {
        for text in ["Sat 2026-11-21 04:00:00 CET", "tomorrow", "@x"] {
            assert!(timestamp(text).is_err(), "{text}");
        }
    }

    #[test]
    fn argument_with_a_line_end_stays_in_its_block() {
        let text = "Id=a.service\nExecStart={ argv[]=/bin/x one\ntwo ; }\n\nId=b.service\nExecStart=\n";
        let blocks = blocks(text, &["Id", "ExecStart"]);
        assert_eq!(blocks.len(), 2);
        assert_eq!(value(&blocks[0], "ExecStart"), "{ argv[]=/bin/x one\ntwo ; }");
        assert_eq!(value(&blocks[1], "Id"), "b.service");
    }
}
