//! Labels: the names under which launchd knows our jobs. Pure.
//!
//! A label never names a job of somebody else: only what begins with our prefix and is a job's name is ours.

use crate::observed::JobName;
use std::path::{Path, PathBuf};

/// What every label of ours begins with.
const PREFIX: &str = "io.bkp.";

/// The label of a job: `io.bkp.SET`, `io.bkp.try-SET`, `io.bkp.audit-PLAN`; also its file's stem.
pub(super) fn label(job: &JobName) -> String {
    let name = job.to_string();
    format!("{PREFIX}{}", name.strip_prefix("bkp-").unwrap_or(&name))
}

/// The job that a label belongs to; none for every other label.
pub(super) fn job_of(label: &str) -> Option<JobName> {
    JobName::parse(&format!("bkp-{}", label.strip_prefix(PREFIX)?))
}

/// The job that a file belongs to, by its name.
pub(super) fn job_of_file(name: &str) -> Option<JobName> {
    job_of(name.strip_suffix(".plist")?)
}

/// A job's property list.
pub(super) fn path(agents: &Path, job: &JobName) -> PathBuf {
    agents.join(format!("{}.plist", label(job)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_and_job_name_lead_to_each_other() {
        for name in ["bkp-shop", "bkp-try-shop", "bkp-audit-plan"] {
            let job = JobName::parse(name).expect(name);
            assert_eq!(job_of(&label(&job)), Some(job.clone()));
            assert_eq!(job_of_file(&format!("{}.plist", label(&job))), Some(job));
        }
        assert_eq!(label(&JobName::parse("bkp-try-shop").expect("a name")), "io.bkp.try-shop");
    }

    #[test]
    fn what_others_call_their_jobs_is_not_ours() {
        for other in ["com.apple.shop", "io.bkp.", "io.bkp.Shop", "io.bkp.a.b", "io.bkpshop"] {
            assert_eq!(job_of(other), None, "{other}");
        }
        assert_eq!(job_of_file("io.bkp.shop.plist.bak"), None);
    }
}
