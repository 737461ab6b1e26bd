//! An installed plan beside what exists: what `status` and `audit` judge.

use super::jobs::{JobMaker, wanted_jobs};
use super::observe::{self, observe};
use super::places::scheduler_kind;
use super::{LoadedPlan, WorkflowError, installed, pause};
use crate::decide::{WantedJob, World};
use crate::declared::Plan;
use crate::host::Host;
use crate::observed::Facts;
use jiff::Timestamp;

/// A plan, what was seen, and the jobs it asks for.
pub struct Survey {
    /// The plan, with the pauses that were set by hand.
    pub plan: Plan,
    /// What was seen.
    pub facts: Facts,
    jobs: Vec<WantedJob>,
    others: Vec<Plan>,
}

impl Survey {
    /// What decisions are made from.
    pub fn world(&self, now: Timestamp) -> World<'_> {
        World {
            plan: &self.plan,
            plan_text: None,
            facts: &self.facts,
            jobs: &self.jobs,
            installed_others: &self.others,
            now,
        }
    }
}

/// Looks at everything that concerns an installed plan.
pub fn survey(host: &dyn Host, loaded: &LoadedPlan, scope: observe::Scope) -> Result<Survey, WorkflowError> {
    let plan = pause::put_in(host, loaded);
    let kind = scheduler_kind(host, &plan, loaded.places.scope);
    let facts = observe(host, &plan, &loaded.places, kind, scope)?;
    let jobs = {
        let maker = JobMaker::new(&loaded.plan, &loaded.places, kind, &facts.host);
        wanted_jobs(&maker)
    };
    let others = installed::others(host, &facts, &plan.name);
    Ok(Survey { plan, facts, jobs, others })
}
