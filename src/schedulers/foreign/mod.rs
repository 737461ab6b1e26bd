//! Backups on this host that are not bkp's: what schedulers start, what nothing starts any more, and what nothing ever
//! started.
//!
//! Only looks, and keeps no argument of any command: passwords stand in them. What is not recognised here is not said to
//! be absent: a backup can always be made by something that no list knows.

mod cron;
mod cron_folder;
mod crontab;
mod entry;
mod launchd;
mod programs;
mod script;
mod systemd;
#[cfg(test)]
mod tests;
mod tools;
mod unit_file;
mod words;

pub use script::default_script_folders;

use super::Places;
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::{Fact, ForeignBackup, ForeignKind, Observed, Started};
use entry::Looked;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Backups that are not bkp's, by the place where they were looked for; a part of a place that could not be looked at
/// stands beside it as `PLACE:PATH`. Scripts are looked for in `script_folders`, directly in each.
pub fn observe_foreign(
    host: &dyn Host,
    places: &Places,
    script_folders: &[PathBuf],
) -> BTreeMap<String, Fact<Vec<ForeignBackup>>> {
    let cron = cron::Cron::look(host);
    let mut systemd = systemd::look(host, places);
    let others = [
        ("crontab", crontab::look_users(host, &cron)),
        ("cron.d", crontab::look_system(host, &cron)),
        ("cron.daily", cron_folder::look(host, &cron)),
        ("launchd", launchd::look(host)),
    ];
    let mut mentions: BTreeSet<String> =
        others.iter().flat_map(|(_, it)| it.mentions.iter().cloned()).collect();
    services_called(&mut systemd.backups, &mentions);
    mentions.extend(systemd.mentions.iter().cloned());
    let scripts = script::look(host, script_folders, mentions);
    let mut facts = BTreeMap::new();
    for (place, mut looked) in [("systemd", systemd), ("scripts", scripts)].into_iter().chain(others) {
        for (path, diagnostic) in std::mem::take(&mut looked.gaps) {
            let fact = Fact::new(host.now(), looked.how.clone(), Observed::Unknown(diagnostic));
            facts.insert(format!("{place}:{}", path.display()), fact);
        }
        facts.insert(place.to_owned(), of(host, looked));
    }
    facts
}

fn of(host: &dyn Host, mut looked: Looked) -> Fact<Vec<ForeignBackup>> {
    let observed = looked.observed();
    Fact::new(host.now(), looked.how, observed)
}

/// A service that a command of cron's or launchd's names may be started by it.
fn services_called(services: &mut [ForeignBackup], mentions: &BTreeSet<String>) {
    for service in services.iter_mut().filter(|it| it.kind == ForeignKind::SystemdService) {
        let stem = service.name.trim_end_matches(".service");
        let by_stem = mentions.contains(stem) && mentions.contains("systemctl");
        if mentions.contains(&service.name) || by_stem {
            let what = Diagnostic::new("start not known", format!("unit `{}`", service.name));
            service.started =
                Started::Unknown(what.why("a command that is started by cron or launchd names it"));
        }
    }
}
