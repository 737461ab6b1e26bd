//! A job as a property list (launchd.plist(5)), and what a property list says. Pure.
//!
//! No secret stands here: `launchctl print` shows a job's environment to its user. launchd has no `LoadCredential`, so
//! the job reads the files of its secrets itself.

use super::{label, starts};
use crate::declared::{ClockPattern, IoClass, Scope};
use crate::format::Digest;
use crate::observed::JobMarker;
use crate::schedulers::{Job, Places};
use plist::{Dictionary, Value};
use std::path::{Path, PathBuf};

/// The key with the job's marker, as JSON. launchd.plist(5) defines no such key, and launchd is known to pass over keys
/// that it does not know; no Mac has confirmed it to us.
const MARKER_KEY: &str = "BkpJob";
/// The key with the note for whoever opens the file.
const NOTE_KEY: &str = "BkpNote";
/// Variable of a job's environment with the digest of everything else in its property list. `launchctl print` shows the
/// environment and not reliably the calendar, so by this it is seen whether launchd has read the file that lies there.
pub(super) const DIGEST_VARIABLE: &str = "BKP_JOB_DIGEST";
/// Variable of a job's environment with the file that its output goes to.
pub(super) const LOG_VARIABLE: &str = "BKP_JOB_LOG";
/// How long a job that is told to end may take to leave everything in order, in seconds.
const EXIT_SECONDS: u64 = 90;
/// Nobody but the owner may read what a job makes.
const UMASK: u64 = 0o077;

/// Where a job's output is kept: with the user that it runs as, who opens it and moves it aside.
pub(super) fn logs(places: &Places, job: &Job) -> PathBuf {
    let state = match &job.run_as {
        Some(user) => places.state.join("users").join(user.as_str()),
        None => places.state.clone(),
    };
    state.join("logs")
}

/// The file that launchd appends a job's output to.
pub(super) fn log(places: &Places, job: &Job) -> PathBuf {
    logs(places, job).join(format!("{}.log", label::label(&job.name)))
}

/// What of a job a property list, or `launchctl print`, cannot carry: a line break or another control character.
pub(super) fn inexpressible(places: &Places, job: &Job) -> Option<String> {
    let paths = [job.home.as_path(), places.state.as_path(), places.agents.as_path()];
    let paths = paths.into_iter().map(|path| path.to_string_lossy().into_owned());
    let texts = job.argv.iter().chain([&job.search_path]).cloned().chain(paths);
    texts.into_iter().find(|text| text.chars().any(char::is_control)).map(|text| format!("{text:?}"))
}

fn note(job: &Job) -> String {
    let memory = job.memory_limit.map(|_| ", nor the memory limit").unwrap_or_default();
    format!(
        "Made by bkp from plan {}; to change it, change the plan file and run `bkp apply`. launchd does not hold a job \
         to its time limit{memory}.",
        job.plan
    )
}

fn marker(job: &Job) -> String {
    let marker = JobMarker {
        plan: job.plan.clone(),
        job: job.name.clone(),
        set_digest: job.set_digest,
        bkp_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    serde_json::to_string(&marker).expect("a marker is names and digests")
}

fn array(words: &[String]) -> Value {
    Value::Array(words.iter().map(|word| Value::from(word.as_str())).collect())
}

/// Everything but the environment.
fn dictionary(places: &Places, job: &Job) -> Dictionary {
    let mut keys = Dictionary::new();
    let mut put = |key: &str, value: Value| keys.insert(key.to_owned(), value);
    put(NOTE_KEY, note(job).into());
    put(MARKER_KEY, marker(job).into());
    put("Label", label::label(&job.name).into());
    put("ProgramArguments", array(&job.argv));
    if let Some(calendar) = &job.calendar {
        let zone = job.host_zone.as_ref().map(crate::declared::TimeZoneName::zone);
        let patterns = calendar.clock_patterns(zone.as_ref());
        put("StartCalendarInterval", Value::Array(starts::intervals(&patterns)));
    }
    // What was missed while the Mac was off is caught up at its start: the job asks whether a run is due. launchd itself
    // catches up only on what was missed in sleep.
    put("RunAtLoad", job.calendar.is_some().into());
    put("ProcessType", "Background".into());
    put("Nice", u64::from(job.nice).into());
    put("LowPriorityIO", true.into());
    put("LowPriorityBackgroundIO", matches!(job.io_class, IoClass::Idle).into());
    let log = log(places, job).display().to_string();
    put("StandardOutPath", log.as_str().into());
    put("StandardErrorPath", log.as_str().into());
    put("WorkingDirectory", "/".into());
    put("Umask", UMASK.into());
    put("ExitTimeOut", EXIT_SECONDS.into());
    put("AbandonProcessGroup", false.into());
    if let (Scope::System, Some(user)) = (job.scope, &job.run_as) {
        put("UserName", user.as_str().into());
    }
    keys
}

fn xml(keys: Dictionary) -> String {
    let mut bytes = Vec::new();
    Value::Dictionary(keys)
        .to_writer_xml(&mut bytes)
        .expect("text, numbers and truth values can be written to memory");
    let mut text = String::from_utf8(bytes).expect("XML is made of text");
    text.push('\n');
    text
}

/// The file's text. The same job gives the same text.
pub(super) fn render(places: &Places, job: &Job) -> String {
    let mut keys = dictionary(places, job);
    let mut environment: Dictionary = [
        ("PATH".to_owned(), Value::from(job.search_path.as_str())),
        ("HOME".to_owned(), Value::from(job.home.display().to_string())),
        (LOG_VARIABLE.to_owned(), Value::from(log(places, job).display().to_string())),
    ]
    .into_iter()
    .collect();
    keys.insert("EnvironmentVariables".to_owned(), Value::Dictionary(environment.clone()));
    let digest = Digest::of(xml(keys.clone()).as_bytes());
    environment.insert(DIGEST_VARIABLE.to_owned(), Value::from(digest.to_string()));
    keys.insert("EnvironmentVariables".to_owned(), Value::Dictionary(environment));
    xml(keys)
}

/// What a property list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agent {
    /// Who owns it; none where the marker is missing or cannot be read.
    pub(super) marker: Option<JobMarker>,
    /// What is executed.
    pub(super) argv: Vec<String>,
    /// When launchd starts it; none where no calendar is given or it cannot be understood.
    pub(super) starts: Option<Vec<ClockPattern>>,
    /// The digest in its environment.
    pub(super) digest: Option<String>,
}

/// Reads a property list, in XML or binary; none where it is none.
pub(super) fn read(bytes: &[u8]) -> Option<Agent> {
    let value = Value::from_reader(std::io::Cursor::new(bytes)).ok()?;
    let keys = value.as_dictionary()?;
    let words = keys.get("ProgramArguments").and_then(Value::as_array);
    let words = words.map(|words| words.iter().filter_map(Value::as_string).map(str::to_owned).collect());
    let environment = keys.get("EnvironmentVariables").and_then(Value::as_dictionary);
    let digest = environment.and_then(|it| it.get(DIGEST_VARIABLE)?.as_string());
    Some(Agent {
        marker: keys
            .get(MARKER_KEY)
            .and_then(Value::as_string)
            .and_then(|json| serde_json::from_str(json).ok()),
        argv: words.unwrap_or_default(),
        starts: keys.get("StartCalendarInterval").and_then(starts::patterns),
        digest: digest.map(str::to_owned),
    })
}

/// Whether a path is the one that launchd was given, also where `/tmp` or `/var` is a link.
pub(super) fn same_path(host: &dyn crate::host::Host, one: &Path, other: &Path) -> bool {
    one == other
        || match (host.canonical(one), host.canonical(other)) {
            (Ok(one), Ok(other)) => one == other,
            (Err(_), _) | (_, Err(_)) => false,
        }
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
