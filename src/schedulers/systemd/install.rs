//! Installs, enables and removes a job's units.
//!
//! What is removed is what bears the job's name; nothing here touches another unit, and a run that is going on is
//! never ended.

use super::ctl::{self, Manager, value};
use super::unit;
use crate::host::{FileKind, Host};
use crate::observed::JobName;
use crate::schedulers::{Job, RenderedFile, SchedulerError};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long `systemctl` may take for what ends at once.
const SHORT: Duration = Duration::from_mins(1);
const UNIT_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

/// What lay in the place of a file before.
enum Before {
    Nothing,
    Mask,
    Content(Vec<u8>),
}

/// Writes the job's files, has them checked, and the manager read them.
pub(super) fn install(
    host: &dyn Host,
    manager: &Manager<'_>,
    units: &Path,
    job: &Job,
) -> Result<(), SchedulerError> {
    if let Some(what) = unit::inexpressible(job) {
        let output = format!("{what} cannot be written into a unit file");
        return Err(SchedulerError::Check { job: job.name.clone(), output });
    }
    let files = unit::render(units, job);
    host.create_dir_all(units, FOLDER_MODE)
        .map_err(|error| SchedulerError::File { path: units.to_owned(), error })?;
    let before = files.iter().map(|file| before(host, &file.path)).collect::<Result<Vec<_>, _>>()?;
    for file in &files {
        host.write_atomic(&file.path, file.text.as_bytes(), UNIT_MODE)
            .map_err(|error| SchedulerError::File { path: file.path.clone(), error })?;
    }
    let checked = check(manager, &files, &job.name);
    if let Err(error) = checked {
        put_back(host, manager, &files, before)?;
        return Err(error);
    }
    remove_leftovers(host, manager, units, &job.name, &files)?;
    manager.change(&["daemon-reload"])?;
    let timer = unit::timer(&job.name);
    let new = files.iter().zip(&before).find(|(file, _)| file.path.ends_with(&timer));
    let changed = new.is_some_and(|(file, before)| match before {
        Before::Nothing | Before::Mask => true,
        Before::Content(content) => content != file.text.as_bytes(),
    });
    if changed && state(manager, &timer)?.active == "active" {
        manager.change(&["restart", &timer])?;
    }
    Ok(())
}

fn before(host: &dyn Host, path: &Path) -> Result<Before, SchedulerError> {
    let look = || -> io::Result<Before> {
        if host.link_status(path)?.kind == FileKind::Symlink
            && host.read_link(path)? == Path::new("/dev/null")
        {
            return Ok(Before::Mask);
        }
        host.read(path).map(Before::Content)
    };
    match look() {
        Ok(before) => Ok(before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Before::Nothing),
        Err(error) => Err(SchedulerError::File { path: path.to_owned(), error }),
    }
}

fn check(manager: &Manager<'_>, files: &[RenderedFile], job: &JobName) -> Result<(), SchedulerError> {
    let paths: Vec<&str> = files.iter().filter_map(|file| file.path.to_str()).collect();
    let said = manager.verify(&paths)?;
    let ours: Vec<&str> = said.lines().filter(|line| !is_about_another_unit(line, job)).collect();
    if ours.is_empty() {
        return Ok(());
    }
    Err(SchedulerError::Check { job: job.clone(), output: ours.join("\n") })
}

/// The checker loads what our units want (the network's targets and what hangs on them) and reports that too. A line
/// is about another unit when it begins with the path or the name of one; every other line counts.
fn is_about_another_unit(line: &str, job: &JobName) -> bool {
    let subject = line.split(':').next().unwrap_or_default().trim();
    let kinds =
        [".service", ".timer", ".target", ".socket", ".mount", ".path", ".slice", ".conf", ".automount"];
    let names_a_unit = kinds.iter().any(|kind| subject.ends_with(kind)) && !subject.contains(' ');
    line.trim().is_empty() || (names_a_unit && !line.contains(&job.to_string()))
}

fn put_back(
    host: &dyn Host,
    manager: &Manager<'_>,
    files: &[RenderedFile],
    before: Vec<Before>,
) -> Result<(), SchedulerError> {
    for (file, before) in files.iter().zip(before) {
        let path = &file.path;
        let done = match &before {
            Before::Nothing | Before::Mask => host.remove_file(path),
            Before::Content(content) => host.write_atomic(path, content, UNIT_MODE),
        };
        done.map_err(|error| SchedulerError::File { path: path.clone(), error })?;
        if let (Before::Mask, Some(name)) = (before, path.file_name().and_then(|name| name.to_str())) {
            manager.change(&["mask", name])?;
        }
    }
    Ok(())
}

/// The drop-ins of a unit of ours: with one the job is not the declared one, whatever its own file says.
fn remove_drop_ins(host: &dyn Host, units: &Path, unit: &str) -> Result<(), SchedulerError> {
    let folder = units.join(format!("{unit}.d"));
    match host.remove_dir_all(&folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(SchedulerError::File { path: folder, error }),
    }
}

/// Drop-ins, and what is left of a job that had a timer or a note of failure and has it no longer.
fn remove_leftovers(
    host: &dyn Host,
    manager: &Manager<'_>,
    units: &Path,
    job: &JobName,
    files: &[RenderedFile],
) -> Result<(), SchedulerError> {
    for unit in [unit::service(job), unit::timer(job), unit::failed(job)] {
        remove_drop_ins(host, units, &unit)?;
    }
    for name in [unit::timer(job), unit::failed(job)] {
        let path = units.join(&name);
        if files.iter().any(|file| file.path == path) || host.link_status(&path).is_err() {
            continue;
        }
        if name == unit::timer(job) {
            stop_timer(host, manager, units, &name)?;
        }
        remove_file(host, &path)?;
    }
    Ok(())
}

struct State {
    load: String,
    file: String,
    active: String,
    sub: String,
    next: String,
}

fn state(manager: &Manager<'_>, unit: &str) -> Result<State, SchedulerError> {
    let names = ["Id", "LoadState", "UnitFileState", "ActiveState", "SubState", "NextElapseUSecRealtime"];
    let shown = manager.show(&[unit.to_owned()], &names)?;
    let get = |name: &str| shown.first().map(|it| value(it, name).to_owned()).unwrap_or_default();
    Ok(State {
        load: get("LoadState"),
        file: get("UnitFileState"),
        active: get("ActiveState"),
        sub: get("SubState"),
        next: get("NextElapseUSecRealtime"),
    })
}

impl State {
    /// None when the timer will fire and will still do so after a reboot; else what it says instead.
    fn unhealthy(&self) -> Result<Option<String>, SchedulerError> {
        let ahead = ctl::timestamp(&self.next)?.is_some() && self.sub == "waiting";
        let good = self.load == "loaded"
            && self.file == "enabled"
            && self.active == "active"
            && (ahead || self.sub == "running");
        Ok((!good).then(|| {
            format!(
                "afterwards the timer is {}, {}, {} ({}), next elapse `{}`",
                self.load, self.file, self.active, self.sub, self.next
            )
        }))
    }
}

/// Enables and starts the timer, and sees that it waits.
pub(super) fn enable(manager: &Manager<'_>, job: &JobName) -> Result<(), SchedulerError> {
    let timer = unit::timer(job);
    for unit in [unit::service(job), timer.clone()] {
        let state = state(manager, &unit)?;
        if state.load == "masked" || state.file.starts_with("masked") {
            manager.change(&["unmask", &unit])?;
            manager.change(&["unmask", "--runtime", &unit])?;
            manager.change(&["daemon-reload"])?;
        }
    }
    manager.change(&["enable", "--now", &timer])?;
    if state(manager, &timer)?.unhealthy()?.is_none() {
        return Ok(());
    }
    // `enable --now` leaves a timer alone that is active and elapsed.
    manager.change(&["restart", &timer])?;
    match state(manager, &timer)?.unhealthy()? {
        None => Ok(()),
        Some(reason) => {
            Err(SchedulerError::Refused { command: format!("systemctl enable --now {timer}"), reason })
        }
    }
}

/// Stops and disables the timer, and removes everything that bears the job's name.
pub(super) fn remove(
    host: &dyn Host,
    manager: &Manager<'_>,
    units: &Path,
    job: &JobName,
) -> Result<(), SchedulerError> {
    let (service, timer) = (unit::service(job), unit::timer(job));
    stop_timer(host, manager, units, &timer)?;
    for unit in [&service, &timer, &unit::failed(job)] {
        remove_file(host, &units.join(unit))?;
        remove_drop_ins(host, units, unit)?;
    }
    manager.change(&["daemon-reload"])?;
    // It refuses units that it has forgotten already, which is what was wanted.
    let _forgotten = manager.attempt(&["reset-failed", &service, &timer, &unit::failed(job)], SHORT)?;
    let left = state(manager, &timer)?;
    if left.active == "active" {
        let reason = format!("afterwards the timer is still {} ({})", left.active, left.sub);
        return Err(SchedulerError::Refused { command: format!("systemctl stop {timer}"), reason });
    }
    Ok(())
}

/// Stops the timer, forgets when it last fired, and takes away what enables it, also where its file is gone or masked
/// and `systemctl disable` would refuse.
fn stop_timer(
    host: &dyn Host,
    manager: &Manager<'_>,
    units: &Path,
    timer: &str,
) -> Result<(), SchedulerError> {
    let state = state(manager, timer)?;
    if state.active != "inactive" {
        manager.change(&["stop", timer])?;
    }
    if state.load == "loaded" {
        // A stamp that stays behind makes the next timer of this name fire early, and nothing worse.
        let _stamp = manager.attempt(&["clean", "--what=state", timer], SHORT)?;
    }
    if state.file == "enabled" || state.file == "enabled-runtime" {
        manager.change(&["disable", timer])?;
    }
    remove_file(host, &units.join("timers.target.wants").join(timer))
}

fn remove_file(host: &dyn Host, path: &Path) -> Result<(), SchedulerError> {
    match host.remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(SchedulerError::File { path: path.to_owned(), error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_about_other_units_are_passed_over() {
        let job = JobName::parse("bkp-x").expect("a name");
        let ours = [
            "/etc/systemd/system/bkp-x.service:9: Unknown key name 'Foo' in section 'Service', ignoring.",
            "bkp-x.service: Command /nope is not executable: No such file or directory",
            "Failed to create manager: something",
            "Unit bkp-x.timer not found.",
        ];
        let others =
            ["/lib/systemd/system/plymouth-start.service:15: Unit configured to use KillMode=none.", ""];
        assert!(ours.iter().all(|line| !is_about_another_unit(line, &job)));
        assert!(others.iter().all(|line| is_about_another_unit(line, &job)));
    }
}
