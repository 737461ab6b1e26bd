//! Our jobs as cron would read them. Only looks.
//!
//! What cron holds in memory cannot be asked for: a table that lies as it should, and a cron that lives, are what there
//! is to see. That a job runs is shown by its runs.

use super::command::CommandLine;
use super::daemon;
use super::store::{Store, Stored};
use super::table::{self, Entry, When};
use crate::declared::{ClockPattern, Scope};
use crate::host::Host;
use crate::observed::{
    Enablement, InstalledFile, InstalledJob, SchedulerFacts, SchedulerKind, ServiceState, TimerState,
};
use crate::schedulers::{Places, SchedulerError};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What is the same for every job.
struct Machine {
    alive: bool,
    zone: Option<TimeZone>,
    now: Timestamp,
}

/// Our jobs; none where there is no place for them.
pub(super) fn observe(host: &dyn Host, places: &Places) -> Result<Option<SchedulerFacts>, SchedulerError> {
    let store = Store::new(host, places);
    if !store.is_there()? {
        return Ok(None);
    }
    let machine = Machine {
        alive: daemon::living(host, places.scope)?.is_some(),
        zone: host.time_zone().and_then(|name| TimeZone::get(&name).ok()),
        now: host.now(),
    };
    let jobs = store.all()?.into_iter().map(|stored| installed(places.scope, stored, &machine)).collect();
    Ok(Some(SchedulerFacts { jobs, lingers: None }))
}

fn installed(scope: Scope, stored: Stored, machine: &Machine) -> InstalledJob {
    let entries = table::entries(&stored.text, scope);
    let readable = stored.trouble.is_none();
    InstalledJob {
        scheduler: SchedulerKind::Cron,
        scope,
        marker: table::read_marker(&stored.text).filter(|marker| marker.job == stored.name),
        timer: timer(&stored, &entries, machine),
        service: ServiceState {
            loaded: readable && !entries.is_empty(),
            masked: false,
            // Whether it runs is the set's lock's to say.
            running: false,
            condition_failed_at: None,
            needs_reload: false,
            drop_ins: Vec::new(),
            command: command(&entries),
        },
        files: vec![InstalledFile { path: stored.path, text: Some(stored.text) }],
        name: stored.name,
    }
}

/// What all lines execute; where they differ, or are not in our form, what the shell is given by the odd one.
fn command(entries: &[Entry]) -> Vec<String> {
    let mut found: Option<Vec<String>> = None;
    for entry in entries {
        let argv = CommandLine::read(&entry.command).map(|line| line.argv);
        match (&found, argv) {
            (_, None) => return ["/bin/sh", "-c", &entry.command].map(str::to_owned).to_vec(),
            (None, argv) => found = argv,
            (Some(first), Some(argv)) if *first != argv => return argv,
            (Some(_), Some(_)) => {}
        }
    }
    found.unwrap_or_default()
}

fn timer(stored: &Stored, entries: &[Entry], machine: &Machine) -> Option<TimerState> {
    let scheduled: Vec<&Entry> = entries.iter().filter(|entry| entry.when != When::Never).collect();
    if scheduled.is_empty() {
        return None;
    }
    let enabled: Vec<&Entry> = scheduled.into_iter().filter(|entry| entry.enabled).collect();
    let patterns: Vec<ClockPattern> = enabled
        .iter()
        .flat_map(|entry| match &entry.when {
            When::Clock(patterns) => patterns.clone(),
            When::Boot | When::Never => Vec::new(),
        })
        .collect();
    // A setting in our own lines, such as CRON_TZ, is somebody else's, and gives the times another meaning.
    let plain = table::settings(&stored.text).is_empty();
    let zone = machine.zone.as_ref().filter(|_| plain);
    Some(TimerState {
        loaded: stored.trouble.is_none(),
        enablement: if patterns.is_empty() { Enablement::Disabled } else { Enablement::Enabled },
        active: machine.alive,
        next_elapse: zone.and_then(|zone| ClockPattern::next_of(&patterns, zone, machine.now)),
    })
}
