//! The host's journal: one JSON line for each thing that happened. A cache: deleting it loses no proof, only the
//! memory of what was sealed here.

use super::WorkflowError;
use crate::declared::{DestinationName, SetName};
use crate::diagnostic::Diagnostic;
use crate::format::{Digest, SnapshotId};
use crate::host::Host;
use crate::observed::{Fact, JournalEntry, JournalEvent, JournalFacts, Observed};
use jiff::Timestamp;
use serde::Deserialize;
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

/// Where it lies.
pub fn path(state: &Path) -> PathBuf {
    state.join("journal.jsonl")
}

/// Adds a line.
pub fn write(host: &dyn Host, state: &Path, set: &SetName, event: JournalEvent) -> Result<(), WorkflowError> {
    let path = path(state);
    let entry = JournalEntry { format: JournalEntry::FORMAT, at: host.now(), set: set.clone(), event };
    let line = serde_json::to_string(&entry).expect("a journal entry has only string keys");
    let written = host.create_dir_all(state, 0o700).and_then(|()| host.append_line(&path, &line));
    written.map_err(|error| {
        Diagnostic::new("journal not writable", path.display().to_string()).why(error.to_string()).into()
    })
}

/// Reads it whole.
pub fn read(host: &dyn Host, state: &Path) -> Fact<JournalFacts> {
    let path = path(state);
    let mut facts = JournalFacts { path: path.clone(), ..JournalFacts::default() };
    let mut number = 0;
    let read = host.read_lines(&path, &mut |line| {
        number += 1;
        match serde_json::from_slice(line) {
            Ok(entry) => facts.entries.push(entry),
            Err(_) if line.is_empty() => {}
            Err(_) => facts.damaged_lines.push(number),
        }
    });
    let observed = match read {
        Ok(()) => Observed::Present(facts),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Observed::Absent,
        Err(error) => Observed::Unknown(not_readable(&path, &error)),
    };
    Fact::new(host.now(), format!("read {}", path.display()), observed)
}

/// Whether it is known that a snapshot was sealed at a destination and not removed by bkp since.
pub fn remembers(
    host: &dyn Host,
    state: &Path,
    set: &SetName,
    destination: &DestinationName,
    id: SnapshotId,
) -> bool {
    sealed(host, state, set, destination, id).is_some()
}

/// The manifest with which a snapshot was sealed at a destination, where it was and bkp has not removed it since.
pub fn sealed(
    host: &dyn Host,
    state: &Path,
    set: &SetName,
    destination: &DestinationName,
    id: SnapshotId,
) -> Option<Digest> {
    let mut known = None;
    for entry in of_set(host, state, set).unwrap_or_default() {
        match &entry.event {
            JournalEvent::Sealed { snapshot, destination: at, manifest_sha256, .. }
                if *snapshot == id && at == destination =>
            {
                known = Some(*manifest_sha256);
            }
            JournalEvent::Removing { snapshot, destination: at, .. }
                if *snapshot == id && at == destination =>
            {
                known = None;
            }
            JournalEvent::Sealed { .. }
            | JournalEvent::Removing { .. }
            | JournalEvent::Started { .. }
            | JournalEvent::Finished { .. }
            | JournalEvent::Skipped { .. }
            | JournalEvent::Held { .. }
            | JournalEvent::Proved { .. } => {}
        }
    }
    known
}

/// Whose line it is, so that those of others cost no memory and little time.
#[derive(Deserialize)]
struct Owner<'a> {
    #[serde(borrow)]
    set: Cow<'a, str>,
}

/// A set's entries, oldest first. Lines that cannot be understood are passed over: audit names them. A journal that
/// cannot be read at all is an error, because what it remembers decides what may be cleared away.
pub fn of_set(host: &dyn Host, state: &Path, set: &SetName) -> Result<Vec<JournalEntry>, WorkflowError> {
    let path = path(state);
    let mut entries = Vec::new();
    let read = host.read_lines(&path, &mut |line| {
        let own = serde_json::from_slice::<Owner<'_>>(line).is_ok_and(|owner| owner.set == set.as_str());
        entries.extend(own.then(|| serde_json::from_slice::<JournalEntry>(line).ok()).flatten());
    });
    match read {
        Ok(()) => Ok(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(not_readable(&path, &error)
            .fix("mend the file, or move it away: bkp then begins a new one, and audit says so")
            .into()),
    }
}

/// The run that a set's entries show begun and not ended: when it began, and its snapshot's name.
pub fn open_run<'a>(entries: impl IntoIterator<Item = &'a JournalEntry>) -> Option<(Timestamp, SnapshotId)> {
    let mut open = None;
    for entry in entries {
        match &entry.event {
            JournalEvent::Started { snapshot, .. } => open = Some((entry.at, *snapshot)),
            JournalEvent::Finished { .. } => open = None,
            JournalEvent::Sealed { .. }
            | JournalEvent::Skipped { .. }
            | JournalEvent::Held { .. }
            | JournalEvent::Removing { .. }
            | JournalEvent::Proved { .. } => {}
        }
    }
    open
}

fn not_readable(path: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::new("journal not readable", path.display().to_string()).why(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{FakeHost, RealHost};

    fn skipped(host: &dyn Host, state: &Path, set: &str) {
        let event = JournalEvent::Skipped { holder: r#"{"set":"other"}"#.to_owned() };
        write(host, state, &set.parse().expect("a name"), event).expect("room");
    }

    fn of(host: &dyn Host, state: &Path, set: &str) -> usize {
        of_set(host, state, &set.parse().expect("a name")).expect("it can be read").len()
    }

    fn has_its_own_lines(host: &dyn Host, state: &Path) {
        for set in ["one", "two", "one"] {
            skipped(host, state, set);
        }
        host.append_line(&path(state), r#"{"set":"one", damaged"#).expect("room");
        assert_eq!((of(host, state, "one"), of(host, state, "two"), of(host, state, "other")), (2, 1, 0));
        let facts = read(host, state);
        let facts = facts.observed.present().expect("it can be read");
        assert_eq!((facts.entries.len(), facts.damaged_lines.as_slice()), (3, &[4][..]));
    }

    #[test]
    fn set_has_its_own_lines_and_damaged_ones_are_numbered() {
        let folder = tempfile::tempdir().expect("a folder");
        has_its_own_lines(&RealHost::new(), folder.path());
        has_its_own_lines(&FakeHost::at(jiff::Timestamp::UNIX_EPOCH), Path::new("/var/lib/bkp"));
    }
}
