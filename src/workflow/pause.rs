//! Runs suspended by hand, with an end and a reason.

use super::{LoadedPlan, WorkflowError};
use crate::declared::{Pause, SetName};
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::schedulers::Places;
use std::path::PathBuf;

/// Where a set's pause is written.
pub(super) fn path(places: &Places, set: &SetName) -> PathBuf {
    places.config.join("pauses").join(format!("{set}.json"))
}

/// The pause that was set by hand, whether or not its end has come.
pub fn read(host: &dyn Host, places: &Places, set: &SetName) -> Option<Pause> {
    serde_json::from_slice(&host.read(&path(places, set)).ok()?).ok()
}

/// Suspends a set's scheduled runs until a day.
pub fn set(host: &dyn Host, loaded: &LoadedPlan, set: &SetName, pause: &Pause) -> Result<(), WorkflowError> {
    let path = path(&loaded.places, set);
    let bytes = serde_json::to_vec_pretty(pause).expect("a pause has only string keys");
    let folder = path.parent().unwrap_or(&loaded.places.config).to_path_buf();
    let written = host.create_dir_all(&folder, 0o755).and_then(|()| host.write_atomic(&path, &bytes, 0o644));
    written.map_err(|error| {
        Diagnostic::new("pause not written", path.display().to_string()).why(error.to_string()).into()
    })
}

/// Takes a pause back. Says whether there was one.
pub fn end(host: &dyn Host, loaded: &LoadedPlan, set: &SetName) -> Result<bool, WorkflowError> {
    let path = path(&loaded.places, set);
    match host.remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Diagnostic::new("pause not removed", path.display().to_string())
            .why(error.to_string())
            .into()),
    }
}

/// A plan with the pauses that were set by hand put in, so that whoever decides sees them.
pub fn put_in(host: &dyn Host, loaded: &LoadedPlan) -> crate::declared::Plan {
    let mut plan = loaded.plan.clone();
    for (name, set) in &mut plan.sets {
        if let Some(pause) = read(host, &loaded.places, name) {
            set.pause = Some(pause);
        }
    }
    plan
}
