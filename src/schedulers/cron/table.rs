//! A job's lines in a table of cron (crontab(5)). Pure.
//!
//! Nothing here sets a variable: in a user's crontab it would change the meaning of the lines below, which are others'.

use super::command::CommandLine;
use crate::declared::{ClockPattern, Scope, TimeZoneName};
use crate::observed::{JobMarker, JobName};
use crate::schedulers::Job;
use std::collections::BTreeSet;

/// What a marker's line begins with.
const MARKER_PREFIX: &str = "# bkp-job: ";
/// What a line begins with that waits for being enabled.
const OFF: &str = "#off ";
/// What the line of a job without a calendar begins with.
const RUN: &str = "#run ";
/// What stands above lines that are there for one start.
const ONCE_MARK: &str = "# bkp-once: ";
/// How a line is known that is there for one start.
const ONCE_WORDS: &str = " once --record ";

/// When a line starts its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    /// At these times of the host's clock.
    Clock(Vec<ClockPattern>),
    /// When cron starts after a boot.
    Boot,
    /// Not by itself.
    Never,
}

/// A line that has a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Cron starts it; it is not commented out.
    pub(super) enabled: bool,
    pub(super) when: When,
    /// As whom, in the system's tables.
    pub(super) user: Option<String>,
    pub(super) command: String,
}

fn list(values: &[u8]) -> String {
    values.iter().map(u8::to_string).collect::<Vec<_>>().join(",")
}

fn field(values: Option<&Vec<u8>>) -> String {
    values.map_or_else(|| "*".to_owned(), |values| list(values))
}

/// The five fields of a pattern.
fn fields(pattern: &ClockPattern) -> String {
    let minutes = if pattern.minutes.len() == 60 { "*".to_owned() } else { list(&pattern.minutes) };
    let rest =
        [&pattern.hours, &pattern.days, &pattern.months, &pattern.weekdays].map(|it| field(it.as_ref()));
    format!("{minutes} {}", rest.join(" "))
}

/// The command of a job. What an audit says are findings, which are worth a mail.
pub(super) fn command(job: &Job) -> CommandLine {
    match job.name {
        JobName::Set(_) | JobName::Trial(_) => CommandLine::of(job, true),
        JobName::Audit(_) => CommandLine::of(job, false),
    }
}

/// When a job's lines start it: at the times of its calendar; a set's also after a boot and, since no cron makes up for
/// what was missed in sleep, once an hour, where the job itself asks whether a run is due. A line for every hour is one that
/// Debian's cron starts in an hour that comes twice, where it passes over the others (cron(8)).
fn times(job: &Job) -> Vec<String> {
    let Some(calendar) = &job.calendar else { return Vec::new() };
    let zone = job.host_zone.as_ref().map(TimeZoneName::zone);
    let patterns = calendar.clock_patterns(zone.as_ref());
    let mut times: Vec<String> = patterns.iter().map(fields).collect();
    match job.name {
        JobName::Set(_) => {
            times.push("@reboot".to_owned());
            let minute = patterns.first().and_then(|first| first.minutes.first()).copied().unwrap_or(0);
            times.push(format!("{minute} * * * *"));
        }
        JobName::Trial(_) | JobName::Audit(_) => {}
    }
    let mut seen = BTreeSet::new();
    times.retain(|time| seen.insert(time.clone()));
    times
}

fn user_of(job: &Job) -> Option<String> {
    match job.scope {
        Scope::System => Some(job.run_as.as_ref().map_or_else(|| "root".to_owned(), ToString::to_string)),
        Scope::User => None,
    }
}

/// The lines of a job, enabled.
pub(super) fn render(job: &Job) -> String {
    let marker = JobMarker {
        plan: job.plan.clone(),
        job: job.name.clone(),
        set_digest: job.set_digest,
        bkp_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let json = serde_json::to_string(&marker).expect("a marker is names and digests");
    let mut text = format!(
        "{MARKER_PREFIX}{json}\n# Made by bkp from plan `{}`; to change it, change the plan file and run `bkp apply`.\n",
        job.plan
    );
    let user = user_of(job).map(|user| user + " ").unwrap_or_default();
    let command = command(job).text();
    let times = times(job);
    if times.is_empty() {
        return format!(
            "{text}# It has no times of its own: `bkp apply` starts it through cron.\n{RUN}{user}{command}\n"
        );
    }
    let zone = job.host_zone.as_ref().map_or("a zone that could not be told", TimeZoneName::as_str);
    text.push_str("# Times are those of the host's clock (");
    text.push_str(zone);
    text.push_str(").\n");
    text.extend(times.into_iter().map(|time| format!("{time} {user}{command}\n")));
    text
}

/// The marker of a text; none where it is missing or cannot be read.
pub(super) fn read_marker(text: &str) -> Option<JobMarker> {
    let json = text.lines().find_map(|line| line.strip_prefix(MARKER_PREFIX))?;
    serde_json::from_str(json).ok()
}

/// The lines of a text that have a command, those too that are commented out. A line that is none of cron's is left out.
pub(super) fn entries(text: &str, scope: Scope) -> Vec<Entry> {
    text.lines().filter(|line| !line.contains(ONCE_WORDS)).filter_map(|line| entry(line, scope)).collect()
}

fn entry(line: &str, scope: Scope) -> Option<Entry> {
    if let Some(rest) = line.strip_prefix(RUN) {
        let (user, command) = user_and_command(rest, scope)?;
        return Some(Entry { enabled: false, when: When::Never, user, command });
    }
    let line = line.trim_start();
    let (line, enabled) = match line.strip_prefix(OFF).or_else(|| line.strip_prefix('#')) {
        Some(rest) => (rest.trim_start(), false),
        None => (line, true),
    };
    let (when, rest) = if let Some(rest) = line.strip_prefix("@reboot") {
        (When::Boot, rest.trim_start())
    } else {
        let mut rest = line;
        let mut found = Vec::new();
        for _ in 0..5 {
            let (field, after) = rest.split_once([' ', '\t'])?;
            found.push(field);
            rest = after.trim_start();
        }
        (When::Clock(read_fields(&found)?), rest)
    };
    let (user, command) = user_and_command(rest, scope)?;
    Some(Entry { enabled, when, user, command })
}

fn user_and_command(rest: &str, scope: Scope) -> Option<(Option<String>, String)> {
    match scope {
        Scope::System => {
            let (user, command) = rest.split_once([' ', '\t'])?;
            Some((Some(user.to_owned()), command.trim_start().to_owned()))
        }
        Scope::User => (!rest.is_empty()).then(|| (None, rest.to_owned())),
    }
}

/// Numbers, ranges, steps and lists; names of months and days are not read.
fn read_field(text: &str, first: u8, last: u8) -> Option<Vec<u8>> {
    let mut values = BTreeSet::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u8>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*", _) => (first, last),
            (_, Some((from, to))) => (from.parse().ok()?, to.parse().ok()?),
            (_, None) => {
                let value: u8 = range.parse().ok()?;
                (value, value)
            }
        };
        if from < first || to > last || from > to {
            return None;
        }
        values.extend((from..=to).step_by(usize::from(step)));
    }
    Some(values.into_iter().collect())
}

fn read_fields(found: &[&str]) -> Option<Vec<ClockPattern>> {
    let [minutes, hours, days, months, weekdays] = found else { return None };
    let some = |text: &str, first, last| match text {
        "*" => Some(None),
        _ => read_field(text, first, last).map(Some),
    };
    let weekdays =
        some(weekdays, 0, 7)?.map(|days| days.into_iter().map(|day| day % 7).collect::<BTreeSet<_>>());
    let weekdays = weekdays.map(|days| days.into_iter().collect::<Vec<_>>());
    let all = ClockPattern {
        minutes: read_field(minutes, 0, 59)?,
        hours: some(hours, 0, 23)?,
        days: some(days, 1, 31)?,
        months: some(months, 1, 12)?,
        weekdays,
    };
    // Where both are given, either is enough (crontab(5)).
    if all.days.is_some() && all.weekdays.is_some() {
        let (by_day, by_weekday) =
            (ClockPattern { weekdays: None, ..all.clone() }, ClockPattern { days: None, ..all });
        return Some(vec![by_day, by_weekday]);
    }
    Some(vec![all])
}

/// A text with its lines switched off.
pub(super) fn disabled(text: &str, scope: Scope) -> String {
    each_line(text, |line| match entry(line, scope) {
        Some(Entry { enabled: true, .. }) => Some(format!("{OFF}{line}")),
        Some(_) | None => Some(line.to_owned()),
    })
}

/// A text with the lines switched on that [`disabled`] switched off.
pub(super) fn enabled(text: &str) -> String {
    each_line(text, |line| Some(line.strip_prefix(OFF).unwrap_or(line).to_owned()))
}

/// A text without the lines that are there for one start.
pub(super) fn without_once(text: &str) -> String {
    each_line(text, |line| {
        (!line.starts_with(ONCE_MARK) && !line.contains(ONCE_WORDS)).then(|| line.to_owned())
    })
}

/// The lines for one start at each of these times.
pub(super) fn once_lines(times: &[String], user: Option<&str>, command: &str) -> String {
    let user = user.map(|user| format!("{user} ")).unwrap_or_default();
    let mut text = format!("{ONCE_MARK}for one start; the first line that cron comes to does it\n");
    text.extend(times.iter().map(|time| format!("{time} {user}{command}\n")));
    text
}

fn each_line(text: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    for whole in text.split_inclusive('\n') {
        let (line, end) = whole.strip_suffix('\n').map_or((whole, ""), |line| (line, "\n"));
        if let Some(line) = change(line) {
            out.push_str(&line);
            out.push_str(end);
        }
    }
    out
}

/// Names of settings in a text: they would change what the lines mean.
pub(super) fn settings(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let (name, _) = line.split_once('=')?;
        let name = name.trim();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        (!name.is_empty() && name.bytes().all(plain)).then(|| name.to_owned())
    };
    text.lines().filter_map(name).collect()
}
