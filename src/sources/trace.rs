//! What a drill makes outside its scratch folder, written down before it is made.
//!
//! A killed drill cannot clean up; the next run of the set finds the trace in the folder that nobody holds, removes what
//! it names, and only then the folder.

use crate::host::Host;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// The file, beside the members' folders.
pub(super) const TRACES: &str = "outside.jsonl";

/// Something outside the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub enum Trace {
    /// A server of the drill's own. Its arguments name the folder, which tells it from a later process of the same
    /// number.
    Process {
        /// Its process id, which leads its group.
        pid: u32,
    },
    /// A scratch database or collection on a server.
    Place {
        /// The source type that can remove it.
        kind: String,
        /// Its name there.
        name: String,
    },
}

/// Writes a trace down, synced, before what it names is made. `folder` is the drill's own ([`super::Bench`]).
pub fn leave_trace(host: &dyn Host, folder: &Path, trace: &Trace) -> io::Result<()> {
    let line = serde_json::to_string(trace).map_err(io::Error::other)?;
    host.append_line(&folder.join(TRACES), &line)
}

/// What a folder's drill made outside it; empty where it made nothing. A line that was cut off names nothing that was
/// made: it was written before.
pub fn traces(host: &dyn Host, folder: &Path) -> io::Result<Vec<Trace>> {
    let mut found = Vec::new();
    let read = host.read_lines(&folder.join(TRACES), &mut |line| {
        found.extend(serde_json::from_slice::<Trace>(line).ok());
    });
    match read {
        Ok(()) => Ok(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::RealHost;

    #[test]
    fn traces_are_read_as_they_were_left_and_a_torn_line_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(traces(&RealHost, folder.path()).expect("nothing yet"), []);
        let process = Trace::Process { pid: 7 };
        let place = Trace::Place { kind: "qdrant".into(), name: "bkp-drill-x".into() };
        for trace in [&process, &place] {
            leave_trace(&RealHost, folder.path(), trace).expect("written");
        }
        RealHost.append_line(&folder.path().join(TRACES), "{\"what\":\"pro").expect("written");
        assert_eq!(traces(&RealHost, folder.path()).expect("read"), [process, place]);
    }
}
