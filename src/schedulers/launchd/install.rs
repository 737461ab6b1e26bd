//! Installs, enables and removes a job's property list.
//!
//! `bootout` kills a job that runs, and launchd has no other way to read a file anew or to forget a job. So a run that is
//! going on is waited for, not long; while it goes on nothing is unloaded, and the caller is told to come again.

use super::ctl::{Launchctl, explain};
use super::printed::{Activity, Loaded};
use super::{agent, label, look};
use crate::host::{Host, account, pause};
use crate::observed::JobName;
use crate::schedulers::{Job, Places, SchedulerError};
use std::io;
use std::path::Path;
use std::time::Duration;

/// launchd refuses files that others may write (launchd.plist(5)).
const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;
const LOGS_MODE: u32 = 0o700;
/// How often launchd is asked again.
const STEP: Duration = Duration::from_millis(200);
/// How often a job is asked whether its run has ended, before the caller is told to come again: 20 s.
const ASKED_WHILE_RUNNING: u32 = 100;
/// How often launchd is asked whether it has forgotten a job: 20 s.
const ASKED_WHILE_UNLOADING: u32 = 100;

fn file_error(path: &Path) -> impl Fn(io::Error) -> SchedulerError {
    let path = path.to_owned();
    move |error| SchedulerError::File { path: path.clone(), error }
}

/// Makes the folder of a job's log, for the user that the job runs as.
fn make_logs(host: &dyn Host, logs: &Path, job: &Job) -> io::Result<()> {
    let Some(user) = &job.run_as else { return host.create_dir_all(logs, LOGS_MODE) };
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("there is no user `{user}`"));
    let account = account(host, user.as_str())?.ok_or_else(unknown)?;
    host.own_folder(logs, Some((account.uid, account.gid)), LOGS_MODE)
}

/// What launchd has loaded once the job's run has ended; an error where it goes on for too long.
fn at_rest(launchctl: &Launchctl<'_>, job: &JobName) -> Result<Option<Loaded>, SchedulerError> {
    for _ in 0..ASKED_WHILE_RUNNING {
        match launchctl.loaded(job)? {
            None => return Ok(None),
            Some(loaded) => match loaded.activity {
                Activity::Idle => return Ok(Some(loaded)),
                Activity::Starting | Activity::Running => pause(STEP),
            },
        }
    }
    Err(SchedulerError::Refused {
        command: format!("launchctl bootout {}", launchctl.target(job)),
        reason:
            "not tried: the job runs, and this would kill it; run the command again when the run has ended"
                .to_owned(),
    })
}

/// Unloads a job that does not run, and sees that launchd has forgotten it.
fn unload(launchctl: &Launchctl<'_>, job: &JobName) -> Result<(), SchedulerError> {
    let output = launchctl.bootout(job)?;
    for _ in 0..ASKED_WHILE_UNLOADING {
        if launchctl.loaded(job)?.is_none() {
            return Ok(());
        }
        pause(STEP);
    }
    let reason = format!("the job is still loaded ({})", explain(&output));
    Err(SchedulerError::Refused { command: format!("launchctl bootout {}", launchctl.target(job)), reason })
}

/// Writes the file and has launchd read it where it had loaded the job before; a job that is new stays unloaded.
///
/// A run of the same job is waited for up to 20 s. When it goes on, the file is in place, launchd still has the old one,
/// and the error says so; `observe` reports it until a later install has launchd read it. A trial is left as it is,
/// because who starts it attaches to its run.
pub(super) fn install(launchctl: &Launchctl<'_>, places: &Places, job: &Job) -> Result<(), SchedulerError> {
    if let Some(what) = agent::inexpressible(places, job) {
        let output = format!("{what} cannot be read back from launchd: it holds a control character");
        return Err(SchedulerError::Check { job: job.name.clone(), output });
    }
    let host = launchctl.host();
    let logs = agent::logs(places, job);
    host.create_dir_all(&places.agents, FOLDER_MODE).map_err(file_error(&places.agents))?;
    make_logs(host, &logs, job).map_err(file_error(&logs))?;
    let path = label::path(&places.agents, &job.name);
    let text = agent::render(places, job);
    host.write_atomic(&path, text.as_bytes(), FILE_MODE).map_err(file_error(&path))?;
    let Some(loaded) = launchctl.loaded(&job.name)? else { return Ok(()) };
    let written = agent::read(text.as_bytes());
    if !look::needs_reload(host, &path, written.as_ref(), &loaded) {
        return Ok(());
    }
    let attached_to = matches!(job.name, JobName::Trial(_)) && loaded.activity != Activity::Idle;
    if attached_to {
        return Ok(());
    }
    if at_rest(launchctl, &job.name)?.is_some() {
        unload(launchctl, &job.name)?;
    }
    // A job that somebody disabled cannot be loaded, and enabling it is for `enable`.
    if job.calendar.is_some() && !launchctl.is_disabled(&job.name)? {
        launchctl.bootstrap(&path)?;
    }
    Ok(())
}

/// Loads the job's file, whatever was said of it before: a disabled job is enabled first, else `bootstrap` fails with an
/// input/output error.
pub(super) fn load(launchctl: &Launchctl<'_>, places: &Places, job: &JobName) -> Result<(), SchedulerError> {
    if launchctl.is_disabled(job)? {
        launchctl.enable(job)?;
    }
    launchctl.bootstrap(&label::path(&places.agents, job))
}

/// Enables the job, loads it, and sees that it is loaded and enabled.
pub(super) fn enable(
    launchctl: &Launchctl<'_>,
    places: &Places,
    job: &JobName,
) -> Result<(), SchedulerError> {
    launchctl.enable(job)?;
    if launchctl.loaded(job)?.is_none() {
        launchctl.bootstrap(&label::path(&places.agents, job))?;
    }
    let reason = match (launchctl.loaded(job)?, launchctl.is_disabled(job)?) {
        (Some(_), false) => return Ok(()),
        (None, _) => "afterwards launchd has not loaded the job",
        (Some(_), true) => "afterwards the job is still disabled",
    };
    let command = format!("launchctl enable {}", launchctl.target(job));
    Err(SchedulerError::Refused { command, reason: reason.to_owned() })
}

/// Unloads the job and removes its file. While it runs for longer than 20 s nothing is changed, and the error says so:
/// with its file gone and itself still loaded it would go on without an owner. The log stays.
pub(super) fn remove(
    launchctl: &Launchctl<'_>,
    places: &Places,
    job: &JobName,
) -> Result<(), SchedulerError> {
    if at_rest(launchctl, job)?.is_some() {
        unload(launchctl, job)?;
    }
    let path = label::path(&places.agents, job);
    match launchctl.host().remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(&path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
