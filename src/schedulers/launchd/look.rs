//! What launchd and the disk say of our jobs. Only looks.
//!
//! launchd does not say when it starts a job next. The next elapse is computed from the calendar of the file, and only
//! where launchd has read the file that lies there.

use super::agent::{self, Agent};
use super::ctl::Launchctl;
use super::label;
use super::printed::{Activity, Loaded};
use crate::declared::{ClockPattern, TimeZoneName};
use crate::host::Host;
use crate::observed::{
    Enablement, InstalledFile, InstalledJob, JobName, SchedulerFacts, SchedulerKind, ServiceState, TimerState,
};
use crate::schedulers::{Places, SchedulerError};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Everything of ours that lies on disk or that launchd has loaded.
pub(super) fn observe(launchctl: &Launchctl<'_>, places: &Places) -> Result<SchedulerFacts, SchedulerError> {
    let host = launchctl.host();
    let labels = launchctl.labels()?;
    let overrides = launchctl.overrides()?;
    let mut names: BTreeSet<JobName> = labels.iter().filter_map(|label| label::job_of(label)).collect();
    names.extend(on_disk(host, &places.agents)?);
    let mut jobs = Vec::with_capacity(names.len());
    for name in names {
        let file = read_file(host, &places.agents, &name)?;
        let loaded = launchctl.loaded(&name)?;
        let is_disabled = overrides.get(&label::label(&name)).copied().unwrap_or(false);
        if file.is_some() || loaded.is_some() {
            jobs.push(installed(host, places, name, Found { file, loaded, is_disabled }));
        }
    }
    Ok(SchedulerFacts { jobs, lingers: None })
}

fn on_disk(host: &dyn Host, agents: &Path) -> Result<Vec<JobName>, SchedulerError> {
    match host.list_dir(agents) {
        Ok(names) => Ok(names.iter().filter_map(|name| label::job_of_file(name.to_str()?)).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(SchedulerError::File { path: agents.to_owned(), error }),
    }
}

fn read_file(host: &dyn Host, agents: &Path, name: &JobName) -> Result<Option<Vec<u8>>, SchedulerError> {
    let path = label::path(agents, name);
    match host.read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SchedulerError::File { path, error }),
    }
}

/// What was found of one job.
struct Found {
    file: Option<Vec<u8>>,
    loaded: Option<Loaded>,
    is_disabled: bool,
}

fn installed(host: &dyn Host, places: &Places, name: JobName, found: Found) -> InstalledJob {
    let path = label::path(&places.agents, &name);
    let agent = found.file.as_deref().and_then(agent::read);
    let loaded = found.loaded.as_ref();
    let needs_reload = loaded.is_some_and(|loaded| needs_reload(host, &path, agent.as_ref(), loaded));
    let timer = match &name {
        JobName::Trial(_) => None,
        JobName::Set(_) | JobName::Audit(_) => Some(TimerState {
            loaded: loaded.is_some(),
            enablement: if found.is_disabled { Enablement::Disabled } else { Enablement::Enabled },
            active: loaded.is_some() && !found.is_disabled,
            next_elapse: agent
                .as_ref()
                .filter(|_| loaded.is_some() && !needs_reload && !found.is_disabled)
                .and_then(|agent| next_elapse(host, agent)),
        }),
    };
    InstalledJob {
        scheduler: SchedulerKind::Launchd,
        scope: places.scope,
        marker: agent.and_then(|agent| agent.marker),
        timer,
        service: ServiceState {
            loaded: loaded.is_some(),
            masked: false,
            running: loaded.is_some_and(|loaded| loaded.activity != Activity::Idle),
            condition_failed_at: None,
            needs_reload,
            drop_ins: Vec::new(),
            command: loaded.map(|loaded| loaded.argv.clone()).unwrap_or_default(),
        },
        files: found
            .file
            .map(|bytes| InstalledFile { path, text: Some(String::from_utf8_lossy(&bytes).into_owned()) })
            .into_iter()
            .collect(),
        name,
    }
}

/// Whether launchd has read something else than the file that lies there: another file, another command, or another
/// version of it, which the digest in the environment tells.
pub(super) fn needs_reload(host: &dyn Host, path: &Path, agent: Option<&Agent>, loaded: &Loaded) -> bool {
    let Some(agent) = agent else { return true };
    !agent::same_path(host, path, &loaded.path)
        || agent.argv != loaded.argv
        || agent.digest.as_ref() != loaded.environment.get(agent::DIGEST_VARIABLE)
}

/// The next start, COMPUTED from the file's calendar and the host's clock: launchd does not tell it. None where the
/// file has no calendar that can be understood, or the host's zone is not known.
fn next_elapse(host: &dyn Host, agent: &Agent) -> Option<Timestamp> {
    let zone = TimeZoneName::try_from(host.time_zone()?).ok()?.zone();
    ClockPattern::next_of(agent.starts.as_deref()?, &zone, host.now())
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
