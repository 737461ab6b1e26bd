//! A job started by cron itself, and followed to its end.
//!
//! Cron cannot be told to start a job now. For one start the job gets lines for the next minutes of the host's clock; the
//! first that cron comes to does it, in the very environment of the scheduled lines. What comes of it is read from the
//! record that the start makes, never guessed.

use super::command::{COMMAND_MAX_BYTES, CommandLine};
use super::once::{self, Record};
use super::store::{Store, Stored};
use super::{crontab, daemon, table};
use crate::host::{Host, pause, told_to_end};
use crate::observed::JobName;
use crate::schedulers::{JobOutcome, Places, SchedulerError};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the caller is told that time passes, and the record is looked at.
const STEP: Duration = Duration::from_millis(200);
/// Minutes that have a line.
const MINUTES: i64 = 3;
/// Waited for a start: the minutes that have a line, and one more.
const START_LIMIT: SignedDuration = SignedDuration::from_secs(60 * (MINUTES + 1));

/// Starts a job, or attaches to a start that goes on, and says how it ended.
pub(super) fn start_and_wait(
    host: &dyn Host,
    places: &Places,
    job: &JobName,
    limit: Duration,
    tick: &mut dyn FnMut(),
) -> Result<JobOutcome, SchedulerError> {
    let store = Store::new(host, places);
    let Some(stored) = store.read(job)? else {
        return Ok(JobOutcome::NotStarted(format!("cron has no job `{job}`")));
    };
    let entry = table::entries(&stored.text, places.scope).into_iter().next();
    let line = entry.as_ref().and_then(|entry| CommandLine::read(&entry.command));
    let (Some(entry), Some(line)) = (entry, line) else {
        return Ok(JobOutcome::NotStarted(format!("the lines of `{job}` were changed by hand")));
    };
    let record = once::record_path(state_of(places, &line), &job.to_string());
    let clean = table::without_once(&stored.text);
    let began = host.now();
    let mut watch = Watch { host, record: &record, began, limit, tick };
    if once::look(&record)? == Record::Running {
        if clean != stored.text {
            store.write(job, &clean)?;
        }
        return watch.end();
    }
    if let Some(trouble) = &stored.trouble {
        return Ok(JobOutcome::NotStarted(format!(
            "cron would not read `{}`: {trouble}",
            stored.path.display()
        )));
    }
    if daemon::living(host, places.scope)?.is_none() {
        return Ok(JobOutcome::NotStarted("no cron runs".to_owned()));
    }
    forget(host, &record)?;
    let Some(command) = line.once(&record).map(|line| line.text()).filter(|it| it.len() <= COMMAND_MAX_BYTES)
    else {
        return Ok(JobOutcome::NotStarted("its command is too long for a line of cron's".to_owned()));
    };
    let lines = table::once_lines(&minutes(host), entry.user.as_deref(), &command);
    store.write(job, &with_lines(&stored, &clean, &lines))?;
    let started = watch.start();
    // Also where nothing has started: a later start would run behind the back of whoever reads this outcome.
    let cleaned = store.write(job, &clean);
    let outcome = match started? {
        None => watch.end()?,
        Some(outcome) => outcome,
    };
    cleaned?;
    if once::look(&record)? != Record::Running {
        forget(host, &record)?;
    }
    Ok(outcome)
}

/// The job's own state folder, in which its user may write.
pub(super) fn state_of(places: &Places, line: &CommandLine) -> PathBuf {
    line.option("--state-dir").map_or_else(|| places.state.clone(), PathBuf::from)
}

/// The lines for one start stand behind the others, within the frame of a block.
fn with_lines(stored: &Stored, clean: &str, lines: &str) -> String {
    let frame_end = crontab::last_line(&stored.name);
    match clean.strip_suffix(&frame_end) {
        Some(inside) => format!("{inside}{lines}{frame_end}"),
        None => format!("{clean}{lines}"),
    }
}

fn forget(host: &dyn Host, record: &Path) -> Result<(), SchedulerError> {
    match host.remove_file(record) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(SchedulerError::File { path: record.to_owned(), error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The next minutes as cron's fields. With their dates they also show that cron goes by the clock that its lines are made
/// for. Where the host's zone cannot be told it is every minute.
fn minutes(host: &dyn Host) -> Vec<String> {
    let Some(zone) = host.time_zone().and_then(|name| TimeZone::get(&name).ok()) else {
        return vec!["* * * * *".to_owned()];
    };
    let field = |minute: i64| {
        let at = zone.to_datetime(host.now() + SignedDuration::from_mins(minute));
        format!("{} {} {} {} *", at.minute(), at.hour(), at.day(), at.month())
    };
    (1..=MINUTES).map(field).collect()
}

struct Watch<'a> {
    host: &'a dyn Host,
    record: &'a Path,
    began: Timestamp,
    limit: Duration,
    tick: &'a mut dyn FnMut(),
}

impl Watch<'_> {
    fn passed(&self) -> SignedDuration {
        self.host.now().duration_since(self.began)
    }

    /// Waits until the record is there; else says what keeps it from being.
    fn start(&mut self) -> Result<Option<JobOutcome>, SchedulerError> {
        loop {
            (self.tick)();
            if once::look(self.record)? != Record::None {
                return Ok(None);
            }
            if told_to_end() {
                return Ok(Some(JobOutcome::NotStarted(
                    "bkp was told to end before cron started it".to_owned(),
                )));
            }
            if self.passed() > START_LIMIT {
                let words = "cron did not start it within four minutes; its log says why. A cron that was started \
                             before the host's time zone was changed goes by the old one until it is restarted";
                return Ok(Some(JobOutcome::NotStarted(words.to_owned())));
            }
            pause(STEP);
        }
    }

    /// Waits for the end of a start.
    fn end(&mut self) -> Result<JobOutcome, SchedulerError> {
        loop {
            (self.tick)();
            match once::look(self.record)? {
                Record::Ended(ended) => {
                    return Ok(ended.status.map_or(JobOutcome::Failed(ended.words), JobOutcome::Exited));
                }
                Record::Killed | Record::None => {
                    return Ok(JobOutcome::Failed(
                        "it was killed, and could not say how it ended".to_owned(),
                    ));
                }
                Record::Running => {}
            }
            if told_to_end() {
                return Ok(JobOutcome::Failed("bkp was told to end; the job goes on".to_owned()));
            }
            if self.passed().unsigned_abs() > self.limit {
                return Ok(JobOutcome::Failed(format!("it still runs after {} s", self.limit.as_secs())));
            }
            pause(STEP);
        }
    }
}
