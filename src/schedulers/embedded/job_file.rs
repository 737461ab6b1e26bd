//! A job as a JSON file, and the daemon's reading of all of them.
//!
//! Whether a job is enabled is a file of its own, so that installing a job anew neither enables nor disables it. No
//! secret stands in a job's file: of an environment variable only the name.

use super::file_error;
use crate::declared::{Calendar, QuietHours, Schedule, SecretRef, Span, TimeZoneName, UserName};
use crate::format::Digest;
use crate::host::{Command, Host};
use crate::observed::{JobMarker, JobName};
use crate::schedulers::{Job, Places, SchedulerError, cache_of};
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The format that this bkp writes and reads.
const FORMAT: u32 = 1;
/// Where programs keep what they can do without.
const CACHE: &str = "XDG_CACHE_HOME";

/// What stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobFile {
    format: u32,
    note: String,
    marker: JobMarker,
    argv: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<Schedule>,
    timezone: TimeZoneName,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    quiet_hours: Vec<QuietHours>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<DateTime>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    conditional: bool,
    time_limit_seconds: u64,
    search_path: String,
    home: PathBuf,
    /// The user that it runs as, where that is another than the daemon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_as: Option<UserName>,
    /// Names of the variables that the job is handed from the daemon's environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    environment: Vec<String>,
}

/// A job that the daemon can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedJob {
    /// What it is for.
    pub name: JobName,
    /// Who owns it.
    pub marker: JobMarker,
    /// What is executed.
    pub argv: Vec<String>,
    /// When it is due; none for a trial.
    pub calendar: Option<Calendar>,
    /// It is ended after this long.
    pub time_limit: Span,
    /// PATH of the job.
    pub search_path: String,
    /// HOME of the job.
    pub home: PathBuf,
    /// The user that it runs as, where that is another than the daemon's.
    pub run_as: Option<UserName>,
    /// `XDG_CACHE_HOME` of the job.
    pub cache: Option<PathBuf>,
    /// Names of the variables that it is handed from this process's environment.
    pub environment: Vec<String>,
    /// Since when the daemon starts it by itself; none when it does not.
    pub enabled_at: Option<Timestamp>,
    /// Digest of its file.
    pub digest: Digest,
}

impl EmbeddedJob {
    /// Its command line; another user's job is started through bkp, which becomes that user.
    fn words(&self) -> Vec<String> {
        let Some(user) = &self.run_as else { return self.argv.clone() };
        let mut words: Vec<String> = self.argv.first().cloned().into_iter().collect();
        words.extend(["as-user".to_owned(), user.to_string()]);
        for name in self.environment.iter().map(String::as_str).chain([CACHE]) {
            words.extend(["--keep".to_owned(), name.to_owned()]);
        }
        words.push("--".to_owned());
        words.extend(self.argv.iter().cloned());
        words
    }

    /// The child that does its work: an environment of its own, ended at its time limit.
    pub fn command(&self, host: &dyn Host) -> Command {
        let mut command = Command::change(self.words());
        command.clear_env = true;
        command.time_limit = self.time_limit.duration();
        command.env.insert("PATH".to_owned(), OsString::from(&self.search_path));
        command.env.insert("HOME".to_owned(), OsString::from(&self.home));
        if let Some(cache) = &self.cache {
            command.env.insert(CACHE.to_owned(), OsString::from(cache));
        }
        for name in &self.environment {
            if let Some(value) = host.env(name) {
                command.env.insert(name.clone(), OsString::from(value));
            }
        }
        // Tests set the clock and the host's name of the binary that they run, and of what it starts.
        #[cfg(debug_assertions)]
        for (name, value) in std::env::vars_os() {
            if let Some(name) = name.to_str().filter(|name| name.starts_with("BKP_TEST_")) {
                command.env.insert(name.to_owned(), value);
            }
        }
        command
    }
}

/// The jobs of a folder: those that can be read, and why the others cannot.
#[derive(Debug)]
pub struct LoadedJobs {
    /// In order of name.
    pub jobs: Vec<EmbeddedJob>,
    /// Files that cannot be understood. They are never passed over in silence: the daemon says so and starts the rest.
    pub damaged: Vec<SchedulerError>,
}

/// A file of the folder as it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) name: JobName,
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) digest: Digest,
    pub(super) enabled: bool,
    pub(super) job: Result<EmbeddedJob, SchedulerError>,
}

pub(super) fn jobs_folder(places: &Places) -> PathBuf {
    places.config.join("jobs")
}

pub(super) fn job_path(places: &Places, job: &JobName) -> PathBuf {
    jobs_folder(places).join(format!("{job}.json"))
}

pub(super) fn enabled_path(places: &Places, job: &JobName) -> PathBuf {
    jobs_folder(places).join(format!("{job}.enabled"))
}

/// The file's text. Pure.
pub(super) fn render(job: &Job) -> String {
    let mut environment: Vec<String> = job
        .credentials
        .values()
        .filter_map(|secret| match secret {
            SecretRef::Env(name) => Some(name.clone()),
            SecretRef::Credential(_) => Some("CREDENTIALS_DIRECTORY".to_owned()),
            SecretRef::File(_) | SecretRef::Command(_) => None,
        })
        .collect();
    environment.sort();
    environment.dedup();
    let calendar = &job.calendar;
    let file = JobFile {
        format: FORMAT,
        note: format!(
            "Made by bkp from plan `{}`; to change it, change the plan file and run `bkp apply`.",
            job.plan
        ),
        marker: JobMarker {
            plan: job.plan.clone(),
            job: job.name.clone(),
            set_digest: job.set_digest,
            bkp_version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        argv: job.argv.clone(),
        schedule: calendar.as_ref().map(|it| it.schedule.clone()),
        timezone: calendar.as_ref().map(|it| it.timezone.clone()).unwrap_or_default(),
        quiet_hours: calendar.as_ref().map(|it| it.quiet_hours.clone()).unwrap_or_default(),
        not_before: calendar.as_ref().and_then(|it| it.not_before),
        conditional: calendar.as_ref().is_some_and(|it| it.conditional),
        time_limit_seconds: job.time_limit.seconds(),
        search_path: job.search_path.clone(),
        home: job.home.clone(),
        run_as: job.run_as.clone(),
        environment,
    };
    let mut text =
        serde_json::to_string_pretty(&file).expect("a job is text, numbers and absolute UTF-8 paths");
    text.push('\n');
    text
}

fn parse(
    path: &Path,
    name: &JobName,
    text: &str,
    enabled_at: Option<Timestamp>,
) -> Result<EmbeddedJob, SchedulerError> {
    let unreadable =
        |reason: String| SchedulerError::Unreadable { command: path.display().to_string(), reason };
    let file: JobFile = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    if file.format != FORMAT {
        return Err(unreadable(format!("its format is {}, and this bkp reads {FORMAT}", file.format)));
    }
    if file.marker.job != *name {
        return Err(unreadable(format!("it says that it is `{}`", file.marker.job)));
    }
    if file.argv.is_empty() {
        return Err(unreadable("it has no command".to_owned()));
    }
    let calendar = file.schedule.map(|schedule| Calendar {
        schedule,
        timezone: file.timezone,
        quiet_hours: file.quiet_hours,
        not_before: file.not_before,
        conditional: file.conditional,
    });
    Ok(EmbeddedJob {
        name: name.clone(),
        marker: file.marker,
        cache: cache_of(&file.argv),
        argv: file.argv,
        calendar,
        time_limit: Span::from_seconds(file.time_limit_seconds),
        search_path: file.search_path,
        home: file.home,
        run_as: file.run_as,
        environment: file.environment,
        enabled_at,
        digest: Digest::of(text.as_bytes()),
    })
}

fn read_file(host: &dyn Host, places: &Places, name: JobName) -> Result<Read, SchedulerError> {
    let path = job_path(places, &name);
    let bytes = host.read(&path).map_err(file_error(&path))?;
    let enabled_at = match host.status(&enabled_path(places, &name)) {
        Ok(status) => Some(status.modified_at),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(file_error(&enabled_path(places, &name))(error)),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Read {
        job: parse(&path, &name, &text, enabled_at),
        digest: Digest::of(&bytes),
        name,
        path,
        text,
        enabled: enabled_at.is_some(),
    })
}

/// One job's file, which must be there and readable.
pub(super) fn read(host: &dyn Host, places: &Places, name: &JobName) -> Result<EmbeddedJob, SchedulerError> {
    read_file(host, places, name.clone())?.job
}

/// Every job's file, also those that cannot be understood.
pub(super) fn read_all(host: &dyn Host, places: &Places) -> Result<Vec<Read>, SchedulerError> {
    let folder = jobs_folder(places);
    let names = match host.list_dir(&folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(file_error(&folder)(error)),
    };
    let jobs = names.iter().filter_map(|name| JobName::parse(name.to_str()?.strip_suffix(".json")?));
    jobs.map(|name| read_file(host, places, name)).collect()
}

/// The jobs that a daemon starts. An error when the folder or a file cannot be read at all.
pub fn load_jobs(host: &dyn Host, places: &Places) -> Result<LoadedJobs, SchedulerError> {
    let mut loaded = LoadedJobs { jobs: Vec::new(), damaged: Vec::new() };
    for file in read_all(host, places)? {
        match file.job {
            Ok(job) => loaded.jobs.push(job),
            Err(error) => loaded.damaged.push(error),
        }
    }
    Ok(loaded)
}
