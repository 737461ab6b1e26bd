//! The order of steps, and that applying them leaves none, also when interrupted.

use super::*;
use crate::decide::review;
use crate::decide::testing::{
    PLAN_TEXT, Scene, at, declaration, destination_declaration, installed, local, set, wanted,
};
use crate::format::Digest;
use crate::observed::{Enablement, InstalledPlan, Observed};

fn graph(scene: &Scene) -> StepGraph {
    let world = scene.world();
    steps(&world, &review(&world))
}

fn ordered(graph: &StepGraph) -> Vec<Step> {
    graph.order().into_iter().map(|id| graph.step(id).clone()).collect()
}

/// Does to the scene what a step does to a machine.
fn perform(scene: &mut Scene, step: &Step) {
    match step {
        Step::PrepareDestination(_) => scene.destination().prepared = true,
        Step::InstallPlan => {
            let plan = InstalledPlan {
                path: "/etc/bkp/plans/shop.yaml".into(),
                sha256: Digest::of(PLAN_TEXT.as_bytes()),
                text: PLAN_TEXT.to_owned(),
                origin: None,
                origin_sha256_now: Observed::Absent,
                sets: BTreeMap::new(),
                damaged: None,
            };
            let fact = crate::decide::testing::seen(scene.now, plan);
            scene.facts.plans.insert(scene.plan.name.clone(), fact);
            let journal = scene.facts.journal.as_mut().expect("a journal");
            if journal.observed.present().is_none() {
                journal.observed = Observed::Present(crate::observed::JournalFacts::default());
            }
        }
        Step::Try(_) => {
            scene.add_snapshot(scene.now);
        }
        Step::InstallJob(name) => {
            let job = scene.jobs.iter().find(|job| job.name == *name).expect("it is wanted").clone();
            let mut fresh = installed(&job, at("2026-11-21T03:00:00Z"));
            fresh.timer.as_mut().expect("a timer").enablement = Enablement::Disabled;
            scene.scheduler().jobs.retain(|job| job.name != *name);
            scene.scheduler().jobs.push(fresh);
        }
        Step::EnableJob(name) => {
            let mut jobs = scene.scheduler().jobs.iter_mut();
            let job = jobs.find(|job| job.name == *name).expect("it is installed");
            let timer = job.timer.as_mut().expect("a timer");
            timer.enablement = Enablement::Enabled;
            timer.active = true;
        }
        Step::RemoveJob(name, _) => scene.scheduler().jobs.retain(|job| job.name != *name),
        Step::RemoveTrial(set) => {
            let name = JobName::Trial(set.clone());
            scene.scheduler().jobs.retain(|job| job.name != name);
        }
        Step::KeepPlanCopy(_) => {}
    }
}

/// A fresh machine, and one on which everything drifted and an orphan is left.
fn scenes() -> Vec<Scene> {
    let mut drifted = Scene::healthy();
    drifted.job().service.needs_reload = true;
    let mut orphan = drifted.job().clone();
    orphan.name = JobName::Set("gone".parse().expect("a name"));
    let mut trial = orphan.clone();
    trial.name = JobName::Trial("gone".parse().expect("a name"));
    drifted.scheduler().jobs.extend([orphan, trial]);
    let mut disabled = Scene::healthy();
    disabled.timer().enablement = Enablement::Disabled;
    vec![Scene::fresh(), drifted, disabled]
}

#[test]
fn applied_steps_leave_none_also_when_interrupted_after_any() {
    for scene in scenes() {
        let total = graph(&scene).len();
        assert!(total > 0);
        for interrupted_after in 0..=total {
            let mut scene = scene.clone();
            for step in ordered(&graph(&scene)).iter().take(interrupted_after) {
                perform(&mut scene, step);
            }
            for step in &ordered(&graph(&scene)) {
                perform(&mut scene, step);
            }
            assert_eq!(ordered(&graph(&scene)), [], "interrupted after {interrupted_after}");
        }
    }
}

#[test]
fn job_is_tried_before_it_is_installed_and_enabled_last() {
    let scene = Scene::fresh();
    let audit = JobName::Audit(scene.plan.name.clone());
    let job = JobName::Set(set());
    assert_eq!(
        ordered(&graph(&scene)),
        [
            Step::PrepareDestination(local()),
            Step::InstallPlan,
            Step::Try(set()),
            Step::InstallJob(job.clone()),
            Step::InstallJob(audit.clone()),
            Step::EnableJob(job),
            Step::EnableJob(audit),
            Step::KeepPlanCopy(local()),
        ]
    );
}

#[test]
fn failed_trial_takes_only_its_own_set_with_it() {
    let mut scene = Scene::fresh();
    let other: SetName = "vault".parse().expect("a name");
    scene.plan.sets.insert(other.clone(), declaration("/srv/vault.db"));
    scene.jobs.push(wanted(JobName::Set(other.clone())));
    let source = scene.facts.sources[&set()].clone();
    scene.facts.sources.insert(other.clone(), source);
    let graph = graph(&scene);
    let failed = graph.find(&Step::Try(set())).expect("it is tried");
    let lost: Vec<_> = graph.dependents(failed).into_iter().map(|id| graph.step(id).clone()).collect();
    let job = JobName::Set(set());
    assert_eq!(lost, [Step::InstallJob(job.clone()), Step::EnableJob(job)]);
    assert!(graph.find(&Step::Try(other)).is_some());
}

#[test]
fn second_destination_saves_the_trial_from_a_preparation_that_fails() {
    let mut scene = Scene::fresh();
    let tries = |scene: &Scene| {
        let graph = graph(scene);
        let failed = graph.find(&Step::PrepareDestination(local())).expect("it is prepared");
        graph.dependents(failed).into_iter().any(|id| *graph.step(id) == Step::Try(set()))
    };
    assert!(tries(&scene));
    let offbox: DestinationName = "offbox".parse().expect("a name");
    scene.plan.destinations.insert(offbox.clone(), destination_declaration("/mnt/offbox"));
    scene.plan.defaults.destinations = Some(vec![local(), offbox.clone()]);
    let facts = scene.facts.destinations[&local()].clone();
    scene.facts.destinations.insert(offbox, facts);
    assert!(!tries(&scene));
}

#[test]
fn timer_that_is_off_is_enabled_without_a_trial() {
    let mut scene = Scene::healthy();
    scene.timer().enablement = Enablement::Disabled;
    assert_eq!(ordered(&graph(&scene)), [Step::EnableJob(JobName::Set(set()))]);
}

#[test]
fn steps_have_one_order() {
    let scene = Scene::fresh();
    assert_eq!(ordered(&graph(&scene)), ordered(&graph(&scene)));
}
