//! What `launchctl print` says, as data. Pure.
//!
//! launchctl(1) says that this output is not an interface. So nothing here falls back to a default: what is missing or
//! is written in another way is an error, and a job of which it was said is unknown, never fine.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Why an output cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(String);

fn unreadable<T>(why: impl Into<String>) -> Result<T, Unreadable> {
    Err(Unreadable(why.into()))
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// Nothing: it waits.
    Idle,
    /// It will be started in a moment.
    Starting,
    /// It runs.
    Running,
}

/// How a job's last run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LastExit {
    /// No run has ended.
    Never,
    /// With this status, and the word that launchd puts behind it.
    Status(i32, Option<String>),
    /// By something that is no status; in launchd's words.
    Otherwise(String),
}

/// A job that launchd has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loaded {
    /// The file that it was loaded from.
    pub(super) path: PathBuf,
    /// What it does now.
    pub(super) activity: Activity,
    /// What would be executed.
    pub(super) argv: Vec<String>,
    /// The variables of its property list.
    pub(super) environment: BTreeMap<String, String>,
    /// How often it was started since it was loaded.
    pub(super) runs: u64,
    /// How the last one ended.
    pub(super) last_exit: LastExit,
}

/// A text of braces: values and blocks of the first level.
struct Printed<'a> {
    values: BTreeMap<&'a str, &'a str>,
    blocks: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Printed<'a> {
    /// Reads the output for one target. What stands in a block is kept line by line, each without its two tabs.
    fn read(text: &'a str, target: &str) -> Result<Self, Unreadable> {
        let mut lines = text.lines();
        let head = format!("{target} = {{");
        if lines.next() != Some(head.as_str()) {
            return unreadable(format!("it does not begin with `{head}`"));
        }
        let mut printed = Self { values: BTreeMap::new(), blocks: BTreeMap::new() };
        let mut block: Option<&'a str> = None;
        let mut ended = false;
        for line in lines {
            match (block, line) {
                (_, _) if ended && !line.trim().is_empty() => return unreadable("something follows its end"),
                (Some(_), "\t}") => block = None,
                (Some(name), line) => {
                    let line = line.strip_prefix("\t\t").unwrap_or_else(|| line.trim_start());
                    printed.blocks.entry(name).or_default().push(line);
                }
                (None, "}") => ended = true,
                (None, line) => {
                    let Some((key, value)) = line.trim_start().split_once(" = ") else { continue };
                    if value == "{" {
                        printed.blocks.entry(key).or_default();
                        block = Some(key);
                    } else {
                        printed.values.insert(key, value);
                    }
                }
            }
        }
        if ended { Ok(printed) } else { unreadable("it breaks off") }
    }

    fn value(&self, key: &str) -> Result<&'a str, Unreadable> {
        self.values.get(key).copied().map_or_else(|| unreadable(format!("it has no `{key}`")), Ok)
    }

    fn block(&self, key: &str) -> Result<&[&'a str], Unreadable> {
        self.blocks.get(key).map_or_else(|| unreadable(format!("it has no `{key}`")), |it| Ok(it.as_slice()))
    }
}

fn activity(word: &str, has_process: bool) -> Result<Activity, Unreadable> {
    match word {
        "running" => Ok(Activity::Running),
        "spawn scheduled" | "xpcproxy" => Ok(Activity::Starting),
        "not running" | "waiting" | "exited" | "spawn failed" if !has_process => Ok(Activity::Idle),
        word => unreadable(format!("its state is `{word}`")),
    }
}

fn last_exit(printed: &Printed<'_>) -> Result<LastExit, Unreadable> {
    if let Ok(signal) = printed.value("last terminating signal") {
        return Ok(LastExit::Otherwise(format!("it was ended by a signal ({signal})")));
    }
    let text = printed.value("last exit code")?;
    if text == "(never exited)" {
        return Ok(LastExit::Never);
    }
    let (number, word) = text.split_once(": ").map_or((text, None), |(number, word)| (number, Some(word)));
    Ok(match number.parse() {
        Ok(status) => LastExit::Status(status, word.map(str::to_owned)),
        Err(_) => LastExit::Otherwise(format!("its last exit code is `{text}`")),
    })
}

/// Reads what `launchctl print DOMAIN/LABEL` says of a loaded job.
pub(super) fn job(text: &str, target: &str) -> Result<Loaded, Unreadable> {
    let printed = Printed::read(text, target)?;
    let runs = printed.value("runs")?;
    let Ok(runs) = runs.parse() else { return unreadable(format!("its runs are `{runs}`")) };
    let variable = |line: &&str| {
        let (name, value) = line.split_once(" => ")?;
        Some((name.to_owned(), value.to_owned()))
    };
    // A job without variables of its own may have no such block.
    let environment = printed.blocks.get("environment").map(Vec::as_slice).unwrap_or_default();
    Ok(Loaded {
        path: printed.value("path")?.into(),
        activity: activity(printed.value("state")?, printed.values.contains_key("pid"))?,
        argv: printed.block("arguments")?.iter().map(|word| (*word).to_owned()).collect(),
        environment: environment.iter().filter_map(variable).collect(),
        runs,
        last_exit: last_exit(&printed)?,
    })
}

/// Reads the labels that `launchctl print DOMAIN` lists: the last word of each line of its services.
pub(super) fn labels(text: &str, domain: &str) -> Result<Vec<String>, Unreadable> {
    let printed = Printed::read(text, domain)?;
    let lines = printed.block("services")?.iter();
    Ok(lines.filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect())
}

/// Reads which labels `launchctl print-disabled DOMAIN` calls disabled: `true` or `disabled`, by release.
pub(super) fn overrides(text: &str) -> Result<BTreeMap<String, bool>, Unreadable> {
    let mut lines = text.lines().skip_while(|line| line.trim().is_empty());
    if lines.next().map(str::trim) != Some("disabled services = {") {
        return unreadable("it does not begin with `disabled services = {`");
    }
    let mut found = BTreeMap::new();
    for line in lines {
        if line.trim() == "}" {
            return Ok(found);
        }
        let Some((label, word)) = line.trim().split_once(" => ") else {
            return unreadable(format!("`{}` is no override", line.trim()));
        };
        let disabled = match word {
            "true" | "disabled" => true,
            "false" | "enabled" => false,
            word => return unreadable(format!("the override of {label} is `{word}`")),
        };
        found.insert(label.trim_matches('"').to_owned(), disabled);
    }
    unreadable("it breaks off")
}

#[cfg(test)]
#[path = "printed_tests.rs"]
mod tests;
