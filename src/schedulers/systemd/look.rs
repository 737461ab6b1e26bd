//! What systemd and the disk say of our jobs. Only looks.
//!
//! Three calls for all jobs together, however many there are; the bus is asked again only for a job that was changed
//! behind our back.

use super::ctl::{self, Manager, Properties, value};
use super::disk::{self, Disk};
use super::unit;
use crate::declared::Scope;
use crate::host::{FileKind, Host};
use crate::observed::{
    Enablement, InstalledFile, InstalledJob, JobName, SchedulerFacts, SchedulerKind, ServiceState, TimerState,
};
use crate::schedulers::{Places, SchedulerError};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

const PROPERTIES: &[&str] = &[
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "NextElapseUSecRealtime",
    "NeedDaemonReload",
    "DropInPaths",
    "FragmentPath",
    "ExecStart",
    "ConditionResult",
    "ConditionTimestamp",
];

/// Everything of ours that lies on disk or that the manager has loaded.
pub(super) fn observe(
    host: &dyn Host,
    manager: &Manager<'_>,
    places: &Places,
) -> Result<SchedulerFacts, SchedulerError> {
    let mut search_path = manager.look(&["show", "-p", "UnitPath", "--value"])?;
    if !search_path.split_whitespace().any(|folder| Path::new(folder) == places.units) {
        search_path = format!("{} {search_path}", places.units.display());
    }
    let disk = Disk::read(host, &search_path)?;
    let mut names: BTreeSet<JobName> = disk.jobs().cloned().collect();
    let loaded = manager.list(&["list-units", "--all", "--full", "--plain", "--no-legend", "bkp-*"])?;
    names.extend(loaded.lines().filter_map(|line| unit::job_of(line.split_whitespace().next()?)));
    let units: Vec<String> = names.iter().flat_map(|name| [unit::service(name), unit::timer(name)]).collect();
    let shown = if units.is_empty() { Vec::new() } else { manager.show(&units, PROPERTIES)? };
    let shown: BTreeMap<String, Properties> = units.into_iter().zip(shown).collect();
    let mut jobs = Vec::with_capacity(names.len());
    for name in names {
        let found = Found {
            service: &shown[&unit::service(&name)],
            timer: &shown[&unit::timer(&name)],
            files: files(host, &places.units, &name, &shown)?,
        };
        if found.exists() {
            jobs.push(found.job(host, manager, places.scope, &disk, name)?);
        }
    }
    Ok(SchedulerFacts { jobs, lingers: lingers(host, places.scope)? })
}

/// The job's files: those in our folder, and whatever else the manager reads in their place.
fn files(
    host: &dyn Host,
    units: &Path,
    name: &JobName,
    shown: &BTreeMap<String, Properties>,
) -> Result<Vec<InstalledFile>, SchedulerError> {
    let named = [unit::service(name), unit::timer(name), unit::failed(name)];
    let mut paths: Vec<PathBuf> = named.iter().map(|unit| units.join(unit)).collect();
    for fragment in named.iter().filter_map(|unit| shown.get(unit)).map(|it| value(it, "FragmentPath")) {
        let fragment = PathBuf::from(fragment);
        // Nearly always it is the very path; the disk is asked only where it is not.
        let known =
            paths.contains(&fragment) || paths.iter().any(|path| disk::same_file(host, path, &fragment));
        if !fragment.as_os_str().is_empty() && !known {
            paths.push(fragment);
        }
    }
    let files = paths.into_iter().map(|path| read_file(host, path));
    files.filter_map(Result::transpose).collect()
}

fn read_file(host: &dyn Host, path: PathBuf) -> Result<Option<InstalledFile>, SchedulerError> {
    let read = || -> io::Result<Option<String>> {
        if host.link_status(&path)?.kind == FileKind::Symlink
            && host.read_link(&path)? == Path::new("/dev/null")
        {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&host.read(&path)?).into_owned()))
    };
    match read() {
        Ok(text) => Ok(Some(InstalledFile { path, text })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SchedulerError::File { path, error }),
    }
}

/// Whether a user's manager runs without a login (loginctl(1), enable-linger).
fn lingers(host: &dyn Host, scope: Scope) -> Result<Option<bool>, SchedulerError> {
    match scope {
        Scope::System => Ok(None),
        Scope::User => {
            let path = Path::new("/var/lib/systemd/linger").join(host.user().name);
            match host.link_status(&path) {
                Ok(_) => Ok(Some(true)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(false)),
                Err(error) => Err(SchedulerError::File { path, error }),
            }
        }
    }
}

/// What was found of one job.
struct Found<'a> {
    service: &'a Properties,
    timer: &'a Properties,
    files: Vec<InstalledFile>,
}

impl Found<'_> {
    fn exists(&self) -> bool {
        let known = |unit: &Properties| value(unit, "LoadState") != "not-found" || is_up(unit);
        !self.files.is_empty() || known(self.service) || known(self.timer)
    }

    fn file(&self, unit: &str) -> Option<&InstalledFile> {
        self.files.iter().find(|file| file.path.file_name().is_some_and(|name| name == unit))
    }

    fn text(&self, unit: &str) -> Option<&str> {
        self.file(unit).and_then(|file| file.text.as_deref())
    }

    /// As `systemctl is-enabled` would say after a reload.
    fn enablement(&self, disk: &Disk, timer: &str) -> Enablement {
        let file = self.file(timer);
        if value(self.timer, "LoadState") == "masked" || file.is_some_and(|file| file.text.is_none()) {
            Enablement::Masked
        } else if disk.is_wanted(timer) {
            Enablement::Enabled
        } else if disk.is_wanted_until_reboot(timer) {
            Enablement::Other("enabled until the next reboot".to_owned())
        } else if file.is_some_and(|file| file.text.as_ref().is_some_and(|text| installs_nothing(text))) {
            Enablement::Static
        } else {
            Enablement::Disabled
        }
    }

    fn job(
        &self,
        host: &dyn Host,
        manager: &Manager<'_>,
        scope: Scope,
        disk: &Disk,
        name: JobName,
    ) -> Result<InstalledJob, SchedulerError> {
        let (service, timer) = (unit::service(&name), unit::timer(&name));
        let has_timer =
            self.file(&timer).is_some() || value(self.timer, "LoadState") != "not-found" || is_up(self.timer);
        let mut drops = Drops::default();
        drops.add(host, disk, &service, self.service)?;
        drops.add(host, disk, &timer, self.timer)?;
        let command = self.command(manager, &service, !drops.all.is_empty())?;
        let mut markers = [&service, &timer].into_iter().filter_map(|unit| self.text(unit));
        let marker = markers.find_map(unit::read_marker);
        Ok(InstalledJob {
            marker,
            scheduler: SchedulerKind::Systemd,
            scope,
            files: self.files.clone(),
            timer: has_timer.then(|| timer_state(self.timer, self.enablement(disk, &timer))).transpose()?,
            service: ServiceState {
                loaded: value(self.service, "LoadState") == "loaded",
                masked: value(self.service, "LoadState") == "masked"
                    || self.file(&service).is_some_and(|file| file.text.is_none()),
                running: is_up(self.service),
                condition_failed_at: condition_failed_at(self.service)?,
                needs_reload: drops.unread
                    || [self.service, self.timer].iter().any(|unit| value(unit, "NeedDaemonReload") == "yes"),
                drop_ins: drops.all,
                command,
            },
            name,
        })
    }

    /// What would be executed. `systemctl show` joins the arguments by blanks, so the file's own words are taken where
    /// they are what the manager has loaded, and the bus is asked where they are not.
    fn command(
        &self,
        manager: &Manager<'_>,
        service: &str,
        changed: bool,
    ) -> Result<Vec<String>, SchedulerError> {
        if value(self.service, "LoadState") != "loaded" {
            return Ok(Vec::new());
        }
        let loaded = self.service.get("ExecStart").map(Vec::as_slice).unwrap_or_default();
        if let (false, [only], Some(words)) =
            (changed, loaded, self.text(service).and_then(unit::read_command))
        {
            let joined = format!("; argv[]={} ; ignore_errors=", words.join(" "));
            if only.contains(&joined) {
                return Ok(words);
            }
        }
        let commands = manager.property(service, "Service", "ExecStart")?;
        let unreadable = || SchedulerError::Unreadable {
            command: "busctl get-property".to_owned(),
            reason: format!("ExecStart of {service} is no list of commands"),
        };
        let mut words = Vec::new();
        for command in commands.as_array().ok_or_else(unreadable)? {
            if !words.is_empty() {
                words.push(";".to_owned());
            }
            let argv = command.get(1).and_then(serde_json::Value::as_array).ok_or_else(unreadable)?;
            words.extend(argv.iter().map(|word| word.as_str().unwrap_or_default().to_owned()));
        }
        Ok(words)
    }
}

/// Drop-ins of a job, those that the manager has read and those that it has not.
#[derive(Default)]
struct Drops {
    all: Vec<PathBuf>,
    unread: bool,
}

impl Drops {
    fn add(
        &mut self,
        host: &dyn Host,
        disk: &Disk,
        unit: &str,
        shown: &Properties,
    ) -> Result<(), SchedulerError> {
        let read = paths(value(shown, "DropInPaths"));
        for path in disk.drop_ins(host, unit)? {
            if !read.iter().any(|known| disk::same_file(host, known, &path)) {
                self.unread = true;
                self.all.push(path);
            }
        }
        self.all.extend(read.into_iter().filter(|path| !disk::is_distributions(path)));
        Ok(())
    }
}

/// Absolute paths on one line; a path may hold blanks.
fn paths(line: &str) -> Vec<PathBuf> {
    let starts = line.match_indices(" /").map(|(index, _)| index + 1);
    let bounds: Vec<usize> = std::iter::once(0).chain(starts).chain([line.len()]).collect();
    let parts = bounds.windows(2).map(|pair| line[pair[0]..pair[1]].trim());
    parts.filter(|part| !part.is_empty()).map(PathBuf::from).collect()
}

/// Whether a unit file names nothing that would start it at boot.
fn installs_nothing(text: &str) -> bool {
    !text.lines().any(|line| line.starts_with("WantedBy=") || line.starts_with("RequiredBy="))
}

/// Running, whatever its file says.
fn is_up(unit: &Properties) -> bool {
    match value(unit, "ActiveState") {
        "activating" | "deactivating" | "reloading" => true,
        "active" => value(unit, "SubState") != "exited",
        _ => false,
    }
}

/// When a condition last kept the unit from being started. Before the first start the result is `no` too, without a
/// time.
fn condition_failed_at(service: &Properties) -> Result<Option<Timestamp>, SchedulerError> {
    match value(service, "ConditionResult") {
        "no" => ctl::timestamp(value(service, "ConditionTimestamp")),
        _ => Ok(None),
    }
}

fn timer_state(timer: &Properties, enablement: Enablement) -> Result<TimerState, SchedulerError> {
    Ok(TimerState {
        loaded: value(timer, "LoadState") == "loaded",
        enablement,
        // `active (elapsed)` is a timer that will never fire again.
        active: value(timer, "ActiveState") == "active"
            && matches!(value(timer, "SubState"), "waiting" | "running"),
        next_elapse: ctl::timestamp(value(timer, "NextElapseUSecRealtime"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect()
    }

    #[test]
    fn elapsed_timer_is_not_active() {
        let dead = timer(&[
            ("LoadState", "loaded"),
            ("ActiveState", "active"),
            ("SubState", "elapsed"),
            ("NextElapseUSecRealtime", ""),
        ]);
        let state = timer_state(&dead, Enablement::Enabled).expect("a state");
        assert!(!state.active && state.next_elapse.is_none() && state.loaded);
    }

    #[test]
    fn drop_in_paths_may_hold_blanks() {
        assert_eq!(
            paths("/etc/a b.conf /run/c.conf"),
            [Path::new("/etc/a b.conf"), Path::new("/run/c.conf")]
        );
        assert!(paths("").is_empty());
    }
}
