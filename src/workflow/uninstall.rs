//! A plan's jobs taken away. Artifacts, manifests and proofs are never touched.

use super::places::{installed_plan, scheduler_kind};
use super::{LoadedPlan, WorkflowError, pause};
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::{JobName, Observed};
use crate::schedulers;
use std::path::PathBuf;

/// What would be, or was, taken away.
#[derive(Debug, Clone)]
pub struct Uninstalled {
    /// Jobs.
    pub jobs: Vec<JobName>,
    /// Installed copies of the plan, and pauses of its sets.
    pub files: Vec<PathBuf>,
}

/// What uninstalling a plan takes away.
pub fn preview(host: &dyn Host, loaded: &LoadedPlan) -> Result<Uninstalled, WorkflowError> {
    let (plan, places) = (&loaded.plan, &loaded.places);
    let scheduler = schedulers::scheduler(scheduler_kind(host, plan, places.scope), places);
    let jobs = match scheduler.observe(host) {
        Observed::Present(facts) => facts
            .jobs
            .into_iter()
            .filter(|job| job.marker.as_ref().is_some_and(|marker| marker.plan == plan.name))
            .map(|job| job.name)
            .collect(),
        Observed::Absent => Vec::new(),
        Observed::Unknown(diagnostic) => return Err(diagnostic.into()),
    };
    let copies = places.config.join("plans").join(format!("{}.d", plan.name));
    // A pause that stayed would stop the set's runs when it is applied again.
    let pauses = plan.sets.keys().map(|set| pause::path(places, set));
    let files = [installed_plan(places, &plan.name), copies].into_iter().chain(pauses);
    Ok(Uninstalled { jobs, files: files.filter(|path| host.status(path).is_ok()).collect() })
}

/// Takes it away.
pub fn uninstall(host: &dyn Host, loaded: &LoadedPlan, wanted: &Uninstalled) -> Result<(), WorkflowError> {
    let (plan, places) = (&loaded.plan, &loaded.places);
    let scheduler = schedulers::scheduler(scheduler_kind(host, plan, places.scope), places);
    for job in &wanted.jobs {
        scheduler.remove(host, job).map_err(|error| Diagnostic::from_error("job not removed", &error))?;
    }
    for path in &wanted.files {
        let folder = host.status(path).is_ok_and(|status| status.kind == crate::host::FileKind::Directory);
        let removed = if folder { host.remove_dir_all(path) } else { host.remove_file(path) };
        removed.map_err(|error| {
            Diagnostic::new("installed plan not removed", path.display().to_string()).why(error.to_string())
        })?;
    }
    Ok(())
}
