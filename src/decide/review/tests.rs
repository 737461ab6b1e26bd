//! What a review says of hand-built worlds.

use super::*;
use crate::decide::testing::{Scene, at, local, set};
use crate::decide::{plan_exit, steps};
use crate::declared::Pause;
use crate::observed::{Enablement, Fact, Found, Observed, RequirementFacts};
use std::path::PathBuf;

fn changes(scene: &Scene) -> Vec<(Action, ChangeObject)> {
    review(&scene.world()).changes.into_iter().map(|it| (it.action, it.object)).collect()
}

fn job() -> JobName {
    JobName::Set(set())
}

fn status(scene: &Scene, detailed: bool) -> u8 {
    plan_exit(&review(&scene.world()), detailed).status()
}

#[test]
fn healthy_world_needs_nothing() {
    let scene = Scene::healthy();
    let review = review(&scene.world());
    assert_eq!(review.changes, []);
    assert!(review.complete && review.blocked.is_empty() && review.unknown.is_empty());
    assert_eq!((status(&scene, false), status(&scene, true)), (0, 0));
}

#[test]
fn fresh_world_needs_everything_and_exits_2_only_in_detail() {
    let scene = Scene::fresh();
    let audit = JobName::Audit(scene.plan.name.clone());
    assert_eq!(
        changes(&scene),
        [
            (Action::Prepare, ChangeObject::Destination(local())),
            (Action::Create, ChangeObject::Plan),
            (Action::Create, ChangeObject::Job(job())),
            (Action::Prove, ChangeObject::Set(set())),
            (Action::Create, ChangeObject::Job(audit)),
        ]
    );
    assert_eq!((status(&scene, false), status(&scene, true)), (0, 2));
}

#[test]
fn every_kind_of_drift_is_an_update() {
    let breaks: [fn(&mut Scene); 7] = [
        |it| it.job().files[0].text = Some("[Service]\n".to_owned()),
        |it| it.job().marker = None,
        |it| it.job().marker.as_mut().expect("a marker").set_digest = crate::format::Digest::of(b"older"),
        |it| it.job().service.drop_ins.push(PathBuf::from("/etc/systemd/system/bkp-orders.service.d/x.conf")),
        |it| it.job().service.needs_reload = true,
        |it| it.job().service.masked = true,
        |it| it.job().service.command = vec!["/tmp/bkp".to_owned()],
    ];
    for (index, break_it) in breaks.iter().enumerate() {
        let mut scene = Scene::healthy();
        break_it(&mut scene);
        let prove = (Action::Prove, ChangeObject::Set(set()));
        assert_eq!(changes(&scene), [(Action::Update, ChangeObject::Job(job())), prove], "{index}");
    }
}

#[test]
fn timer_that_is_off_is_enabled_without_touching_the_job() {
    let breaks: [fn(&mut Scene); 4] = [
        |it| it.timer().enablement = Enablement::Disabled,
        |it| it.timer().enablement = Enablement::Masked,
        |it| it.timer().active = false,
        |it| it.timer().next_elapse = None,
    ];
    for break_it in breaks {
        let mut scene = Scene::healthy();
        break_it(&mut scene);
        assert_eq!(changes(&scene), [(Action::Enable, ChangeObject::Timer(job()))]);
    }
}

#[test]
fn timer_whose_file_gave_way_to_a_mask_is_installed_anew() {
    let mut scene = Scene::healthy();
    scene.timer().enablement = Enablement::Masked;
    scene.job().files.last_mut().expect("a file").text = None;
    let job = job();
    let all = [
        (Action::Update, ChangeObject::Job(job.clone())),
        (Action::Enable, ChangeObject::Timer(job)),
        (Action::Prove, ChangeObject::Set(set())),
    ];
    assert_eq!(changes(&scene), all);
}

/// Plan and apply say the same: what is tried stands among the changes.
#[test]
fn every_step_that_tries_a_set_was_announced() {
    let breaks: [fn(&mut Scene); 5] = [
        |_| {},
        |it| *it = Scene::fresh(),
        |it| it.job().marker.as_mut().expect("a marker").set_digest = crate::format::Digest::of(b"older"),
        |it| it.timer().active = false,
        |it| {
            *it = Scene::fresh();
            let until = "2027-01-01".parse().expect("a date");
            it.declaration().pause = Some(Pause { until, reason: "moving".to_owned() });
        },
    ];
    let announced = breaks.map(|break_it| {
        let mut scene = Scene::healthy();
        break_it(&mut scene);
        let review = review(&scene.world());
        let steps = steps::steps(&scene.world(), &review);
        let tries = steps.order().into_iter().any(|id| matches!(steps.step(id), steps::Step::Try(_)));
        let said = review.changes.iter().any(|change| change.action == Action::Prove);
        assert_eq!(tries, said, "{:?}", review.changes);
        said
    });
    assert_eq!(announced, [false, true, true, false, false]);
}

#[test]
fn secret_that_others_can_read_is_noted_before_anything_is_applied() {
    for (mode, noted) in [(0o600, false), (0o644, true)] {
        let mut scene = Scene::fresh();
        scene.path("secret", mode);
        let notes = review(&scene.world()).notes;
        let fix = "run `chmod 0600 /etc/bkp/secret`";
        assert_eq!(notes.iter().any(|note| note.fix.as_deref() == Some(fix)), noted, "{notes:?}");
    }
}

#[test]
fn orphan_is_removed_and_its_snapshots_are_not() {
    let mut scene = Scene::healthy();
    let declared = scene.plan.sets.remove(&set()).expect("orders");
    scene.jobs.retain(|it| it.name != job());
    let review_of = |scene: &Scene| review(&scene.world()).changes;
    let found = review_of(&scene);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].action, &found[0].object), (Action::Remove, &ChangeObject::Job(job())));
    assert_eq!(found[0].remark.as_deref(), Some("3 snapshots are kept"));
    // Another plan's job is none of ours.
    scene.job().marker.as_mut().expect("a marker").plan = "other".parse().expect("a name");
    assert_eq!(review_of(&scene), []);
    drop(declared);
}

#[test]
fn job_that_moved_to_another_scheduler_is_removed_from_the_old_one() {
    let mut scene = Scene::healthy();
    let old = scene.facts.schedulers.clone();
    scene.embed();
    scene.facts.schedulers.extend(old);
    let found = changes(&scene);
    assert_eq!(found.iter().filter(|(action, _)| *action == Action::Remove).count(), 2, "{found:?}");
    assert_eq!(found.len(), 2);
}

#[test]
fn set_of_another_plan_is_blocked_and_gets_no_steps() {
    let mut scene = Scene::fresh();
    let mut other = scene.plan.clone();
    other.name = "other".parse().expect("a name");
    scene.others.push(other);
    let review = review(&scene.world());
    assert!(review.blocked.iter().any(|it| it.diagnostic.what.contains("owned by plan `other`")));
    let graph = steps(&scene.world(), &review);
    let about_set =
        graph.order().into_iter().filter(|id| format!("{:?}", graph.step(*id)).contains("orders"));
    assert_eq!(about_set.count(), 0);
    assert_eq!(status(&scene, false), 1);
}

#[test]
fn absent_tool_and_absent_timer_are_both_shown_and_nothing_is_enabled() {
    let mut scene = Scene::fresh();
    let unmet = Some(Diagnostic::new("a tool is missing", "`sqlite3` is not on the PATH of the job"));
    let requirement = RequirementFacts { kind: "tool".to_owned(), object: "sqlite3".to_owned(), unmet };
    scene.source().requirements.push(requirement);
    let review = review(&scene.world());
    let create = review.changes.iter().find(|it| it.object == ChangeObject::Job(job())).expect("the job");
    assert!(create.blocked.is_some() && create.action == Action::Create);
    assert!(review.blocked.iter().any(|it| it.diagnostic.what.contains("sqlite3")));
    let graph = steps(&scene.world(), &review);
    assert_eq!(graph.find(&crate::decide::Step::EnableJob(job())), None);
    assert_eq!(status(&scene, true), 1);
}

#[test]
fn one_unreachable_destination_does_not_hold_the_set_back() {
    let mut scene = Scene::fresh();
    let offbox: DestinationName = "offbox".parse().expect("a name");
    let declaration = crate::decide::testing::destination_declaration("/mnt/offbox");
    scene.plan.destinations.insert(offbox.clone(), declaration);
    scene.plan.defaults.destinations = Some(vec![local(), offbox.clone()]);
    let lost = Observed::Unknown(Diagnostic::new("a destination cannot be reached", "`offbox`"));
    scene.facts.destinations.insert(offbox, Fact::new(scene.now, "list", lost.clone()));
    let found = review(&scene.world());
    assert!(found.blocked.is_empty() && found.unknown.len() == 1, "{found:?}");
    assert!(steps(&scene.world(), &found).find(&crate::decide::Step::Try(set())).is_some());
    // Without any destination the set is blocked.
    let fact = scene.facts.destinations.get_mut(&local()).expect("local");
    fact.observed = match lost {
        Observed::Unknown(diagnostic) => Observed::Unknown(diagnostic),
        Observed::Present(_) | Observed::Absent => Observed::Absent,
    };
    let found = review(&scene.world());
    assert!(found.blocked.iter().any(|it| it.set == Some(set())));
    assert!(steps(&scene.world(), &found).find(&crate::decide::Step::Try(set())).is_none());
}

#[test]
fn destination_whose_marker_vanished_is_not_prepared_over_a_missing_mount() {
    let mut scene = Scene::healthy();
    scene.destination().prepared = false;
    scene.snapshots().clear();
    let review = review(&scene.world());
    assert!(review.blocked.iter().any(|it| it.destination == Some(local())));
    assert!(steps(&scene.world(), &review).is_empty());
}

#[test]
fn facts_that_were_not_supplied_make_the_review_incomplete_and_change_no_status() {
    let drops: [fn(&mut Scene); 4] = [
        |it| it.facts.sources.clear(),
        |it| it.facts.destinations.clear(),
        |it| it.facts.schedulers.clear(),
        |it| it.facts.discovered.clear(),
    ];
    for (index, drop_it) in drops.iter().enumerate() {
        let mut scene = Scene::healthy();
        drop_it(&mut scene);
        let review = review(&scene.world());
        assert!(!review.complete, "{index}");
        assert_eq!((review.changes, status(&scene, true)), (Vec::new(), 0), "{index}");
    }
}

#[test]
fn paused_set_is_noted_and_not_proven_again() {
    let mut scene = Scene::healthy();
    let until = "2027-01-01".parse().expect("a date");
    scene.declaration().pause = Some(Pause { until, reason: "moving house".to_owned() });
    scene.now = at("2026-12-30T00:00:00Z");
    let review = review(&scene.world());
    assert_eq!(review.changes, []);
    assert!(review.notes.iter().any(|it| it.summary == "a set is paused"));
}

#[test]
fn database_that_is_only_copied_as_a_file_is_uncovered() {
    let mut scene = Scene::healthy();
    let found = |object: &str| Found {
        kind: "sqlite".to_owned(),
        object: object.to_owned(),
        size_bytes: None,
        path: Some(PathBuf::from(object)),
        addresses: Vec::new(),
    };
    let all = ["/srv/orders.db", "/srv/app/data.db", "/srv/cache.db", "/var/backups/bkp/x.db", "/srv/new.db"];
    let fact = scene.facts.discovered.get_mut("sqlite:/srv").expect("srv");
    fact.observed = Observed::Present(all.map(found).into());
    let mut files = crate::decide::testing::declaration("/unused");
    files.source = crate::declared::SourceDeclaration::Files(crate::declared::FilesDeclaration {
        paths: vec!["/srv/a*".to_owned()],
        exclude: Vec::new(),
        one_file_system: false,
        exclude_caches: false,
        changed: crate::declared::ChangedPolicy::Warn,
    });
    let name: SetName = "app".parse().expect("a name");
    scene.plan.sets.insert(name, files);
    scene.plan.discover.ignore.insert("sqlite:/srv/cache.db".to_owned(), "rebuilt".to_owned());
    let uncovered = review(&scene.world()).uncovered;
    let told: Vec<_> = uncovered.iter().map(|it| (it.object.as_str(), it.reason.contains("`app`"))).collect();
    assert_eq!(told, [("/srv/app/data.db", true), ("/srv/new.db", false)]);
}

#[test]
fn other_host_is_a_note() {
    let mut scene = Scene::healthy();
    for (declared, name, same) in [
        ("observatory", "observatory.lan", true),
        ("observatory.lan", "observatory", true),
        ("observatory.lan", "observatory.wan", false),
        ("*", "anything", true),
        ("mini", "observatory", false),
    ] {
        scene.plan.hosts = Some(vec![declared.to_owned()]);
        name.clone_into(&mut scene.facts.host.name);
        assert_eq!(review(&scene.world()).notes.is_empty(), same, "{declared} {name}");
    }
}

#[test]
fn what_a_scheduler_cannot_give_is_noted() {
    let mut scene = Scene::healthy();
    scene.declaration().job.memory_limit = "512MiB".parse().ok();
    let noted = |scene: &Scene, summary: &str| {
        review(&scene.world()).notes.iter().any(|note| note.summary == summary)
    };
    assert!(!noted(&scene, "a limit is not enforced"));
    for job in &mut scene.jobs {
        job.scheduler = SchedulerKind::Cron;
    }
    assert!(noted(&scene, "a limit is not enforced"));
    for job in &mut scene.jobs {
        (job.scheduler, job.scope) = (SchedulerKind::Launchd, Scope::User);
    }
    assert!(noted(&scene, "jobs run only while their user is logged in"));
}
