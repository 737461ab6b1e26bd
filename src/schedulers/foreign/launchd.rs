//! Property lists of launchd's (launchd.plist(5)), in XML and binary.
//!
//! `launchctl print` is no interface: only whether it knows the label is taken from it. What it does not answer is
//! unknown, never fine.

use super::entry::{Entry, Looked};
use super::programs::{Surroundings, programs_of_argv};
use crate::diagnostic::Diagnostic;
use crate::host::{Command, Host};
use crate::observed::{ForeignBackup, ForeignKind, LastRun, Started};
use plist::{Dictionary, Value};
use std::path::Path;

/// PATH of a job that sets none.
const LAUNCHD_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// Keys of which each can start a job.
const TRIGGERS: [&str; 9] = [
    "StartCalendarInterval",
    "StartInterval",
    "RunAtLoad",
    "KeepAlive",
    "WatchPaths",
    "QueueDirectories",
    "StartOnMount",
    "Sockets",
    "MachServices",
];

/// Exit status of `launchctl print` for a label that is not loaded.
const NOT_LOADED: i32 = 113;

/// Looks at this user's agents, and everybody's agents and daemons.
pub(super) fn look(host: &dyn Host) -> Looked {
    let mut looked = Looked::new("property lists of launchd read");
    let user = host.user();
    let folders = [
        (user.home.join("Library/LaunchAgents"), format!("gui/{}", user.uid)),
        ("/Library/LaunchAgents".into(), format!("gui/{}", user.uid)),
        ("/Library/LaunchDaemons".into(), "system".to_owned()),
    ];
    for (folder, domain) in folders {
        for name in looked
            .names(host, &folder)
            .iter()
            .filter(|name| Path::new(name).extension().is_some_and(|it| it == "plist"))
        {
            let path = folder.join(name);
            let bytes = match host.read(&path) {
                Ok(bytes) => bytes,
                Err(error) => {
                    looked.gap(&path, &error);
                    continue;
                }
            };
            match Value::from_reader(std::io::Cursor::new(&bytes)) {
                Ok(Value::Dictionary(keys)) => agent(host, &mut looked, &path, &keys, &domain),
                Ok(_) => looked.gap(&path, &"it holds no dictionary"),
                Err(error) => looked.gap(&path, &error),
            }
        }
    }
    looked
}

fn agent(host: &dyn Host, looked: &mut Looked, path: &Path, keys: &Dictionary, domain: &str) {
    let home = host.user().home;
    let text = |key: &str| keys.get(key).and_then(Value::as_string);
    let stem = path.file_stem().map_or_else(String::new, |it| it.to_string_lossy().into_owned());
    let label = text("Label").map_or(stem, str::to_owned);
    let arguments = keys.get("ProgramArguments").and_then(Value::as_array);
    let mut argv: Vec<String> =
        arguments.into_iter().flatten().filter_map(Value::as_string).map(str::to_owned).collect();
    if let Some(program) = text("Program") {
        argv.splice(..argv.len().min(1), [program.to_owned()]);
    }
    if label.starts_with("io.bkp.") && argv.iter().any(|word| word == "--plan") {
        return;
    }
    let set = keys.get("EnvironmentVariables").and_then(Value::as_dictionary);
    let search_path = set.and_then(|it| it.get("PATH")).and_then(Value::as_string).unwrap_or(LAUNCHD_PATH);
    let surroundings = Surroundings::new(Some(search_path.to_owned()), &home);
    let unknown = |summary: &str, why: &str| Diagnostic::new(summary, format!("agent `{label}`")).why(why);
    let entry = Entry {
        kind: ForeignKind::LaunchAgent,
        name: label.clone(),
        path: path.to_owned(),
        line: None,
        schedule: schedule(keys),
        programs: programs_of_argv(&argv, &surroundings),
        started: Started::Unknown(unknown("start not known", "launchd was not asked")),
        last_run: LastRun::Unknown(unknown("last run not known", "launchd keeps no record of runs")),
        of_the_distribution: false,
        bears_a_name: true,
    };
    let before = looked.backups.len();
    looked.add(host, &home, entry);
    for backup in &mut looked.backups[before..] {
        backup.started = started(host, keys, domain, backup);
    }
}

/// When it starts, as the keys say.
fn schedule(keys: &Dictionary) -> Option<String> {
    if let Some(seconds) = keys.get("StartInterval").and_then(Value::as_signed_integer) {
        return Some(format!("StartInterval {seconds}"));
    }
    let calendar = keys.get("StartCalendarInterval")?;
    let times: Vec<&Value> = match calendar {
        Value::Array(times) => times.iter().collect(),
        other => vec![other],
    };
    let shown = times.into_iter().filter_map(Value::as_dictionary).map(|time| {
        let fields =
            time.iter().filter_map(|(key, value)| Some(format!("{key} {}", value.as_signed_integer()?)));
        fields.collect::<Vec<_>>().join(" ")
    });
    Some(format!("StartCalendarInterval {}", shown.collect::<Vec<_>>().join("; ")))
}

fn started(host: &dyn Host, keys: &Dictionary, domain: &str, backup: &ForeignBackup) -> Started {
    let off = |value: &Value| value.as_boolean() == Some(false);
    if !TRIGGERS.iter().any(|key| keys.get(key).is_some_and(|value| !off(value))) {
        return Started::ByNothing("none of its keys starts it".to_owned());
    }
    if keys.get("Disabled").and_then(Value::as_boolean) == Some(true) {
        return Started::Disabled("its property list says so".to_owned());
    }
    let unknown = |why: String| {
        Started::Unknown(Diagnostic::new("start not known", format!("agent `{}`", backup.name)).why(why))
    };
    if host.find_tool("launchctl", "/bin:/usr/bin").is_none() {
        return unknown("no launchd runs here".to_owned());
    }
    match host.run(&Command::look(["launchctl", "print", &format!("{domain}/{}", backup.name)])) {
        Ok(output) if output.succeeded() => Started::ByScheduler,
        Ok(output) if output.status == Some(NOT_LOADED) => {
            Started::Disabled(format!("it is not loaded in {domain}"))
        }
        Ok(output) => unknown(output.explain()),
        Err(error) => unknown(error.to_string()),
    }
}
