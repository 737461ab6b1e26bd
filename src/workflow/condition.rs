//! What keeps a scheduled run from beginning now. A run by hand asks nobody.

use super::history::{newest_complete, newest_looked_into};
use super::site::Depth;
use super::{LoadedPlan, journal, lock, request};
use crate::decide::CLOCK_SLACK;
use crate::declared::{DestinationName, SetName};
use crate::diagnostic::Diagnostic;
use crate::format::{SnapshotId, Trigger};
use crate::host::{Host, read_text};
use crate::observed::{JournalEvent, SnapshotFacts, SnapshotState};
use crate::workflow::WorkflowError;
use std::path::PathBuf;

/// Why a scheduled run does not begin now, though it may be due; none when nothing keeps it.
pub fn held(host: &dyn Host, loaded: &LoadedPlan, name: &SetName) -> Option<String> {
    let set = loaded.plan.sets.get(name)?;
    let (calendar, now) = (loaded.plan.calendar(set), host.now());
    if let Some(first) = calendar.not_before
        && calendar.zone().to_datetime(now) < first
    {
        return Some(format!("nothing is due before {first} (`not_before`)"));
    }
    // Where quiet hours fill the day, they hold nothing back.
    if calendar.released(now) > now
        && let Some(hours) = calendar.quiet(now)
    {
        return Some(format!("these are quiet hours ({hours})"));
    }
    let wants_power = loaded.plan.job_policy(set).requires_ac_power();
    (wants_power && on_battery(host))
        .then(|| "the machine works on its battery (`require_ac_power`)".to_owned())
}

/// Whether the machine is known to work on its battery: no mains supply is online and a battery discharges
/// (sysfs-class-power; `pmset -g batt` on a Mac). A machine that says nothing is taken for one without a battery.
fn on_battery(host: &dyn Host) -> bool {
    if cfg!(target_os = "macos") {
        let said = host.run(&crate::host::Command::look(["pmset", "-g", "batt"]));
        return said.is_ok_and(|output| output.succeeded() && output.text().contains("'Battery Power'"));
    }
    let folder = supplies(host);
    let Ok(names) = host.list_dir(&folder) else { return false };
    let word = |name: &std::ffi::OsString, file: &str| {
        read_text(host, &folder.join(name).join(file)).map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    let mains = |name: &&std::ffi::OsString| matches!(word(name, "type").as_str(), "Mains" | "USB");
    if names.iter().filter(mains).any(|name| word(name, "online") == "1") {
        return false;
    }
    // The batteries of mice and headsets say `Device`.
    let own = |name: &&std::ffi::OsString| word(name, "type") == "Battery" && word(name, "scope") != "Device";
    names.iter().filter(own).any(|name| word(name, "status") == "Discharging")
}

fn supplies(host: &dyn Host) -> PathBuf {
    // Tests have machines with batteries where there are none.
    let of_test = cfg!(debug_assertions).then(|| host.env("BKP_TEST_POWER_SUPPLIES")).flatten();
    of_test.map_or_else(|| PathBuf::from("/sys/class/power_supply"), PathBuf::from)
}

/// Whether a run is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// It is.
    Yes,
    /// It is not, for this reason.
    No(String),
}

/// Whether a run was due since the last one.
///
/// By hand, a run is due where one of the set's destinations has no complete snapshot since the schedule's last instant.
/// A scheduler asks more often than runs are due, and a destination that is down must not make each question a run: any
/// snapshot since then, complete or not, at any destination answers it. Of a destination that cannot be read the journal
/// says what was sealed there.
pub fn due(
    host: &dyn Host,
    loaded: &LoadedPlan,
    name: &SetName,
    trigger: Trigger,
) -> Result<Due, WorkflowError> {
    let plan = &loaded.plan;
    let Some(set) = plan.sets.get(name) else { return Ok(Due::Yes) };
    let now = host.now();
    let by_scheduler = match trigger {
        Trigger::Schedule => true,
        Trigger::Manual | Trigger::Trial => false,
    };
    if by_scheduler && request::is_there(host, &loaded.places.state, name) {
        return Ok(Due::Yes);
    }
    let Some(due) = plan.calendar(set).previous(now) else {
        return Ok(Due::No("no run has been due yet".to_owned()));
    };
    if by_scheduler && lock::is_held(&loaded.places.state, name) {
        let entries = journal::of_set(host, &loaded.places.state, name)?;
        // What else holds the lock, or a run that should have ended by now, leaves this one out, and that is to be said.
        if journal::open_run(&entries).is_some_and(|(began, _)| began >= due) {
            return Ok(Due::No("a run is going on".to_owned()));
        }
        return Ok(Due::Yes);
    }
    // A snapshot that is dated in the future says nothing of today: the clock was set back. Then older ones bear the
    // dates that come again, so only the newest by its number is asked.
    let credible = due..=now.saturating_add(CLOCK_SLACK).unwrap_or(now);
    let since = |id: &SnapshotId| credible.contains(&id.started_at());
    let mut newest = None;
    for site in super::look::sites(host, loaded, name, None, crate::destinations::Access::Look)? {
        let found = match newest_looked_into(&site, name, &plan.moved, Depth::Manifest) {
            Ok(history) if by_scheduler => {
                let sealed = |it: &&SnapshotFacts| matches!(it.state, SnapshotState::Sealed(_));
                history.iter().filter(sealed).map(|it| it.id).max().filter(since)
            }
            Ok(history) => newest_complete(&history).map(|(it, _)| it.id).filter(since),
            Err(_) if by_scheduler => {
                sealed_at(host, loaded, name, &site.name)?.into_iter().max().filter(since)
            }
            Err(error) => return Err(Diagnostic::from_error("destination not readable", &error).into()),
        };
        match found {
            Some(id) => newest = newest.max(Some(id)),
            None if by_scheduler => {}
            None => return Ok(Due::Yes),
        }
    }
    Ok(newest.map_or(Due::Yes, |id| Due::No(format!("{id} was made since {due}"))))
}

/// The snapshots that the journal knows to have been sealed at a destination.
fn sealed_at(
    host: &dyn Host,
    loaded: &LoadedPlan,
    name: &SetName,
    at: &DestinationName,
) -> Result<Vec<SnapshotId>, WorkflowError> {
    let entries = journal::of_set(host, &loaded.places.state, name)?;
    let sealed = entries.iter().filter_map(|entry| match &entry.event {
        JournalEvent::Sealed { snapshot, destination, .. } if destination == at => Some(*snapshot),
        JournalEvent::Sealed { .. }
        | JournalEvent::Started { .. }
        | JournalEvent::Finished { .. }
        | JournalEvent::Skipped { .. }
        | JournalEvent::Held { .. }
        | JournalEvent::Removing { .. }
        | JournalEvent::Proved { .. } => None,
    });
    Ok(sealed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FakeHost;
    use jiff::Timestamp;

    fn machine(mains: Option<&str>, batteries: &[(&str, &str)]) -> FakeHost {
        let base = "/sys/class/power_supply";
        let mut host = FakeHost::at(Timestamp::UNIX_EPOCH);
        if let Some(online) = mains {
            host = host.file(&format!("{base}/AC/type"), "Mains\n", 0o444).file(
                &format!("{base}/AC/online"),
                online,
                0o444,
            );
        }
        for (number, (status, scope)) in batteries.iter().enumerate() {
            host = host
                .file(&format!("{base}/BAT{number}/type"), "Battery\n", 0o444)
                .file(&format!("{base}/BAT{number}/status"), status, 0o444)
                .file(&format!("{base}/BAT{number}/scope"), scope, 0o444);
        }
        host
    }

    #[test]
    fn battery_counts_only_where_it_feeds_the_machine() {
        assert!(on_battery(&machine(Some("0\n"), &[("Discharging\n", "System\n")])));
        assert!(on_battery(&machine(None, &[("Discharging\n", "\n")])));
        assert!(!on_battery(&machine(Some("1\n"), &[("Discharging\n", "System\n")])));
        assert!(!on_battery(&machine(None, &[("Discharging\n", "Device\n")])));
        assert!(!on_battery(&machine(Some("0\n"), &[])));
        assert!(!on_battery(&machine(None, &[])));
    }
}
