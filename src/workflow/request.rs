//! A run that somebody asked for through its job: `bkp run --job`. The job itself asks whether a run is due, and is
//! answered by the request.
//!
//! Root asks in root's own folder, never in that of the user that the set runs as; that user can see it there.

use super::{WorkflowError, runner};
use crate::declared::SetName;
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use jiff::SignedDuration;
use std::path::{Path, PathBuf};

/// How long a request holds: a scheduler such as cron needs minutes to start a job, and one that was left behind by a kill
/// must not make runs for ever.
const HOLDS: SignedDuration = SignedDuration::from_mins(10);
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

fn path(state: &Path, set: &SetName) -> PathBuf {
    runner::shared_state(state).join("requests").join(set.as_str())
}

/// Asks for a run.
pub fn make(host: &dyn Host, state: &Path, set: &SetName) -> Result<(), WorkflowError> {
    let path = path(state, set);
    let folder = path.parent().unwrap_or(state);
    let written = host
        .create_dir_all(folder, FOLDER_MODE)
        .and_then(|()| host.write_atomic(&path, host.now().to_string().as_bytes(), FILE_MODE));
    written.map_err(|error| {
        Diagnostic::new("run not requested", path.display().to_string()).why(error.to_string()).into()
    })
}

/// Whether somebody asked for one a short while ago.
pub fn is_there(host: &dyn Host, state: &Path, set: &SetName) -> bool {
    let text = host.read(&path(state, set)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let asked_at = text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    asked_at.is_some_and(|at| host.now().duration_since(at).abs() <= HOLDS)
}

/// Takes a request; says whether there was one that holds. Who may not remove it leaves that to who asked.
pub fn take(host: &dyn Host, state: &Path, set: &SetName) -> bool {
    let holds = is_there(host, state, set);
    let _who_asked_removes_it = host.remove_file(&path(state, set));
    holds
}
