//! What apply does, as a graph: what does not depend on a failed step goes on.

use super::review::{Action, ChangeObject, Review};
use super::world::World;
use crate::declared::{DestinationName, SetName};
use crate::observed::{JobName, SchedulerKind};
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;

/// One thing that apply does. The order of the variants is the order in which steps that wait for nothing are taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Makes a destination ready to be written to.
    PrepareDestination(DestinationName),
    /// Installs the plan, and the copy that each new or changed job runs.
    InstallPlan,
    /// Removes a trial's job that an interrupted apply left; a set that is tried removes its own.
    RemoveTrial(SetName),
    /// Runs the set under its trial name through the scheduler, reads it back, drills it, removes the trial's job.
    Try(SetName),
    /// Installs a job.
    InstallJob(JobName),
    /// Enables and starts a job's timer.
    EnableJob(JobName),
    /// Removes a job from a scheduler; never a snapshot.
    RemoveJob(JobName, SchedulerKind),
    /// Puts a copy of the plan at a destination.
    KeepPlanCopy(DestinationName),
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrepareDestination(name) => write!(formatter, "prepare destination {name}"),
            Self::InstallPlan => formatter.write_str("install the plan"),
            Self::RemoveTrial(set) => write!(formatter, "remove the interrupted trial of set {set}"),
            Self::Try(set) => write!(formatter, "back up, read back and restore set {set} through its job"),
            Self::InstallJob(job) => write!(formatter, "install job {job}"),
            Self::EnableJob(job) => write!(formatter, "enable the timer of job {job}"),
            Self::RemoveJob(job, kind) => write!(formatter, "remove job {job} from {}", kind.word()),
            Self::KeepPlanCopy(name) => write!(formatter, "keep a copy of the plan at destination {name}"),
        }
    }
}

/// A step's place in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(NodeIndex);

/// How a step waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// It is impossible when the other failed.
    Needs,
    /// It comes later, and goes on when the other failed.
    After,
}

/// Steps and what they wait for.
#[derive(Debug, Clone, Default)]
pub struct StepGraph {
    graph: DiGraph<Step, Wait>,
    ids: BTreeMap<Step, NodeIndex>,
}

impl StepGraph {
    /// How many steps there are; none means that everything is as declared.
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A step.
    pub fn step(&self, id: StepId) -> &Step {
        &self.graph[id.0]
    }

    /// The id of a step that is in the graph.
    pub fn find(&self, step: &Step) -> Option<StepId> {
        self.ids.get(step).map(|id| StepId(*id))
    }

    /// Every step after all that it waits for; equal graphs give equal orders.
    pub fn order(&self) -> Vec<StepId> {
        let incoming = |id| self.graph.edges_directed(id, Direction::Incoming).count();
        let mut waits: BTreeMap<NodeIndex, usize> =
            self.graph.node_indices().map(|id| (id, incoming(id))).collect();
        let ready = |id: NodeIndex| Reverse((self.graph[id].clone(), id));
        let free = waits.iter().filter(|(_, count)| **count == 0);
        let mut heap: BinaryHeap<_> = free.map(|(id, _)| ready(*id)).collect();
        let mut order = Vec::with_capacity(self.len());
        while let Some(Reverse((_, id))) = heap.pop() {
            order.push(StepId(id));
            for edge in self.graph.edges(id) {
                let count = waits.get_mut(&edge.target()).expect("every step was counted");
                *count -= 1;
                if *count == 0 {
                    heap.push(ready(edge.target()));
                }
            }
        }
        assert_eq!(order.len(), self.len(), "steps wait for each other in a circle");
        order
    }

    /// Every step that is impossible when this one failed, directly or through others, in order.
    pub fn dependents(&self, failed: StepId) -> Vec<StepId> {
        let mut reached = BTreeSet::new();
        let mut open = vec![failed.0];
        while let Some(id) = open.pop() {
            for edge in self.graph.edges(id).filter(|edge| *edge.weight() == Wait::Needs) {
                if reached.insert(edge.target()) {
                    open.push(edge.target());
                }
            }
        }
        self.order().into_iter().filter(|id| reached.contains(&id.0)).collect()
    }

    fn add(&mut self, step: Step) -> NodeIndex {
        let Self { graph, ids } = self;
        *ids.entry(step.clone()).or_insert_with(|| graph.add_node(step))
    }

    /// Makes `later` wait for `earlier`, where both are steps to be taken.
    fn wait(&mut self, earlier: &Step, later: &Step, wait: Wait) {
        if let (Some(earlier), Some(later)) = (self.ids.get(earlier), self.ids.get(later)) {
            self.graph.update_edge(*earlier, *later, wait);
        }
    }
}

/// Derives the steps of a review; what is blocked has none.
pub fn steps(world: &World<'_>, review: &Review) -> StepGraph {
    let mut steps = StepGraph::default();
    let blocked: BTreeSet<_> = review.blocked.iter().filter_map(|it| it.set.as_ref()).collect();
    let open = |set: &SetName| !blocked.contains(set);
    for change in review.applicable() {
        match (&change.object, change.action) {
            (ChangeObject::Destination(name), _) => {
                steps.add(Step::PrepareDestination(name.clone()));
            }
            (ChangeObject::Plan, _) => {
                steps.add(Step::InstallPlan);
            }
            // Below, when it is known which sets are tried.
            (ChangeObject::Job(JobName::Trial(_)), _) => {}
            (ChangeObject::Job(job), Action::Remove) => {
                let scheduler = change.scheduler.expect("a job that was found has a scheduler");
                steps.add(Step::RemoveJob(job.clone(), scheduler));
            }
            (ChangeObject::Job(JobName::Set(set)), _) if open(set) => {
                steps.add(Step::InstallPlan);
                // A paused set's job is installed as it is: its runs would refuse, so it is tried after the pause.
                if world.plan.sets.get(set).is_none_or(|it| world.paused(it).is_none()) {
                    steps.add(Step::Try(set.clone()));
                }
                steps.add(Step::InstallJob(JobName::Set(set.clone())));
                steps.add(Step::EnableJob(JobName::Set(set.clone())));
            }
            (ChangeObject::Job(job @ JobName::Audit(_)), _) => {
                steps.add(Step::InstallPlan);
                steps.add(Step::InstallJob(job.clone()));
                steps.add(Step::EnableJob(job.clone()));
            }
            (ChangeObject::Timer(job), _) if change.set().is_none_or(open) => {
                steps.add(Step::EnableJob(job.clone()));
            }
            (ChangeObject::Set(set), _) if open(set) => {
                steps.add(Step::Try(set.clone()));
            }
            (ChangeObject::Job(_) | ChangeObject::Timer(_) | ChangeObject::Set(_), _) => {}
        }
    }
    for change in review.applicable() {
        // A trial that still runs is attached to by the set's own step.
        if let ChangeObject::Job(JobName::Trial(set)) = &change.object
            && !steps.ids.contains_key(&Step::Try(set.clone()))
        {
            steps.add(Step::RemoveTrial(set.clone()));
        }
    }
    keep_plan_copies(world, review, &mut steps);
    connect(world, &mut steps);
    steps
}

/// Each destination in use gets a copy of a plan that is installed now, and a new destination of any.
fn keep_plan_copies(world: &World<'_>, review: &Review, steps: &mut StepGraph) {
    let unusable: BTreeSet<_> = review.blocked.iter().filter_map(|it| it.destination.as_ref()).collect();
    let installs = steps.ids.contains_key(&Step::InstallPlan);
    for row in &review.coverage {
        let name = &row.destination;
        let known = world.facts.destinations.get(name).is_none_or(|fact| fact.observed.unknown().is_none());
        let prepares = steps.ids.contains_key(&Step::PrepareDestination(name.clone()));
        if known && !unusable.contains(name) && (installs || prepares) {
            steps.add(Step::KeepPlanCopy(name.clone()));
        }
    }
}

fn connect(world: &World<'_>, steps: &mut StepGraph) {
    let all: Vec<Step> = steps.ids.keys().cloned().collect();
    for step in &all {
        match step {
            Step::PrepareDestination(_) | Step::RemoveTrial(_) => {}
            Step::InstallPlan => {
                for earlier in all.iter().filter(|it| matches!(it, Step::PrepareDestination(_))) {
                    steps.wait(earlier, step, Wait::After);
                }
            }
            Step::KeepPlanCopy(name) => {
                steps.wait(&Step::PrepareDestination(name.clone()), step, Wait::Needs);
                steps.wait(&Step::InstallPlan, step, Wait::Needs);
            }
            Step::Try(set) => {
                steps.wait(&Step::InstallPlan, step, Wait::Needs);
                let Some(declared) = world.plan.sets.get(set) else { continue };
                let destinations = world.plan.destinations_of(declared);
                // With a second destination the set goes on where one could not be prepared.
                let wait = if destinations.len() == 1 { Wait::Needs } else { Wait::After };
                for name in destinations {
                    steps.wait(&Step::PrepareDestination(name.clone()), step, wait);
                }
            }
            Step::InstallJob(job) => {
                steps.wait(&Step::InstallPlan, step, Wait::Needs);
                if let JobName::Set(set) = job {
                    steps.wait(&Step::Try(set.clone()), step, Wait::Needs);
                }
            }
            Step::EnableJob(job) => {
                steps.wait(&Step::InstallJob(job.clone()), step, Wait::Needs);
                if let JobName::Set(set) = job {
                    steps.wait(&Step::Try(set.clone()), step, Wait::Needs);
                }
            }
            // A job that moved to another scheduler works there until the new one does.
            Step::RemoveJob(job, _) => {
                steps.wait(&Step::InstallPlan, step, Wait::Needs);
                steps.wait(&Step::EnableJob(job.clone()), step, Wait::Needs);
            }
        }
    }
}

#[cfg(test)]
mod tests;
