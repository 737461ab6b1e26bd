//! The unit folders as they lie on disk (systemd.unit(5)): units of ours, what enables them, and drop-ins.
//!
//! A manager says `NeedDaemonReload=no` after a drop-in folder has been added, remembers `UnitFileState` from before,
//! and takes time that grows with the square of the units to work it out; so the folders are read here, each once.

use super::unit;
use crate::host::Host;
use crate::observed::JobName;
use crate::schedulers::SchedulerError;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// What the folders of a manager's search path hold of ours.
#[derive(Debug, Default)]
pub(super) struct Disk {
    jobs: BTreeSet<JobName>,
    /// The `*.d` folders that can concern our units: by name, in order of precedence.
    drop_ins: BTreeMap<String, Vec<PathBuf>>,
    /// Units that a link in a `*.wants` or `*.requires` folder starts at boot.
    wanted: BTreeSet<String>,
    /// The same, of links that a reboot takes away.
    wanted_until_reboot: BTreeSet<String>,
}

impl Disk {
    /// Reads the folders of a search path, as the manager's `UnitPath` tells it.
    pub(super) fn read(host: &dyn Host, search_path: &str) -> Result<Self, SchedulerError> {
        let mut disk = Self::default();
        for folder in search_path.split_whitespace().map(Path::new) {
            for name in list(host, folder)? {
                let Some(name) = name.to_str() else { continue };
                let path = folder.join(name);
                if matches!(name.rsplit_once('.'), Some((_, "wants" | "requires"))) {
                    let links = list(host, &path)?;
                    let links =
                        links.iter().filter_map(|link| link.to_str()).filter(|link| link.starts_with("bkp-"));
                    let wanted = if path.starts_with("/run") {
                        &mut disk.wanted_until_reboot
                    } else {
                        &mut disk.wanted
                    };
                    wanted.extend(links.map(str::to_owned));
                } else if concerns_us(name) && !is_distributions(&path) {
                    disk.drop_ins.entry(name.to_owned()).or_default().push(path);
                } else if let Some(job) = unit::job_of(name) {
                    disk.jobs.insert(job);
                }
            }
        }
        Ok(disk)
    }

    /// Jobs that have a service or a timer in one of the folders.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &JobName> {
        self.jobs.iter()
    }

    /// Whether a unit is started again after a reboot.
    pub(super) fn is_wanted(&self, unit: &str) -> bool {
        self.wanted.contains(unit)
    }

    /// Whether a unit is wanted, and no longer after a reboot.
    pub(super) fn is_wanted_until_reboot(&self, unit: &str) -> bool {
        self.wanted_until_reboot.contains(unit) && !self.is_wanted(unit)
    }

    /// The drop-ins that would take effect for a unit. Of one file name the first counts: the unit's own folder before
    /// those of its prefixes, and an earlier folder of the search path before a later one.
    pub(super) fn drop_ins(&self, host: &dyn Host, unit: &str) -> Result<Vec<PathBuf>, SchedulerError> {
        let mut seen: BTreeSet<OsString> = BTreeSet::new();
        let mut files = Vec::new();
        for folder in folder_names(unit).iter().filter_map(|name| self.drop_ins.get(name)).flatten() {
            for name in list(host, folder)? {
                let is_drop_in = Path::new(&name).extension().is_some_and(|extension| extension == "conf");
                if is_drop_in && seen.insert(name.clone()) {
                    files.push(folder.join(name));
                }
            }
        }
        Ok(files)
    }
}

fn list(host: &dyn Host, folder: &Path) -> Result<Vec<OsString>, SchedulerError> {
    match host.list_dir(folder) {
        Ok(names) => Ok(names),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(SchedulerError::File { path: folder.to_owned(), error }),
    }
}

fn concerns_us(name: &str) -> bool {
    let of_ours = name.starts_with("bkp-") && (name.ends_with(".service.d") || name.ends_with(".timer.d"));
    of_ours || name == "service.d" || name == "timer.d"
}

/// A drop-in for all units that the distribution brings with it (Fedora does) says nothing about our jobs.
pub(super) fn is_distributions(path: &Path) -> bool {
    let for_all = path.iter().any(|part| part == "service.d" || part == "timer.d");
    for_all && (path.starts_with("/usr/lib") || path.starts_with("/lib"))
}

/// Names of the folders that are read for a unit: its own, those of its prefixes at each dash, that of its type.
fn folder_names(unit: &str) -> Vec<String> {
    let Some((stem, kind)) = unit.rsplit_once('.') else { return Vec::new() };
    let mut names = vec![format!("{unit}.d")];
    let mut rest = stem.trim_end_matches('-');
    while let Some((prefix, _)) = rest.rsplit_once('-') {
        names.push(format!("{prefix}-.{kind}.d"));
        rest = prefix.trim_end_matches('-');
    }
    names.push(format!("{kind}.d"));
    names
}

/// Whether two paths lead to the same file; `/lib` is often a link to `/usr/lib`.
pub(super) fn same_file(host: &dyn Host, one: &Path, other: &Path) -> bool {
    one == other
        || match (host.canonical(one), host.canonical(other)) {
            (Ok(one), Ok(other)) => one == other,
            (Err(_), _) | (_, Err(_)) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FakeHost;

    #[test]
    fn prefixes_and_the_type_have_folders_too() {
        assert_eq!(
            folder_names("bkp-try-x.service"),
            ["bkp-try-x.service.d", "bkp-try-.service.d", "bkp-.service.d", "service.d"]
        );
    }

    #[test]
    fn first_of_one_name_counts_and_the_distributions_own_is_not_told() {
        let host = FakeHost::default()
            .file("/etc/s/bkp-x.service.d/a.conf", "", 0o644)
            .file("/etc/s/bkp-x.service.d/notes.txt", "", 0o644)
            .file("/run/s/bkp-.service.d/a.conf", "", 0o644)
            .file("/run/s/bkp-.service.d/b.conf", "", 0o644)
            .file("/usr/lib/s/service.d/c.conf", "", 0o644);
        let disk = Disk::read(&host, "/etc/s /run/s /usr/lib/s /nowhere").expect("a look");
        let found = disk.drop_ins(&host, "bkp-x.service").expect("a look");
        assert_eq!(
            found,
            [Path::new("/etc/s/bkp-x.service.d/a.conf"), Path::new("/run/s/bkp-.service.d/b.conf")]
        );
    }

    #[test]
    fn link_of_this_boot_alone_does_not_count_as_enabled() {
        let host = FakeHost::default()
            .file("/etc/s/timers.target.wants/bkp-x.timer", "", 0o644)
            .file("/run/s/timers.target.wants/bkp-y.timer", "", 0o644)
            .file("/etc/s/bkp-z.service", "", 0o644)
            .file("/etc/s/bkp-z.failed.service", "", 0o644);
        let disk = Disk::read(&host, "/etc/s /run/s").expect("a look");
        assert!(disk.is_wanted("bkp-x.timer") && !disk.is_wanted_until_reboot("bkp-x.timer"));
        assert!(!disk.is_wanted("bkp-y.timer") && disk.is_wanted_until_reboot("bkp-y.timer"));
        assert_eq!(disk.jobs().map(ToString::to_string).collect::<Vec<_>>(), ["bkp-z"]);
    }
}
