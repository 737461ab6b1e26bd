//! One case for each finding: absent from a healthy world, present when its one thing is broken.

use super::super::testing::{Scene, at, finished, local, seen, set};
use super::*;
use crate::declared::{Pause, Require, Scope};
use crate::format::{Digest, FailedMember, Level, Outcome, ProofRecord, SnapshotId, SourceIdentity, Trigger};
use crate::host::Space;
use crate::observed::{
    DoorFacts, Enablement, Fact, Found, JobName, JournalEvent, MemberFacts, ObjectsState, Observed,
    RequirementFacts, RuleStart, RunOutcome, Shown, SnapshotState, StorageAction, StorageRule, StorageRules,
    Trouble,
};
use jiff::SignedDuration;
use std::path::PathBuf;

fn codes(scene: &Scene) -> Vec<Code> {
    audit(&scene.world()).iter().map(|finding| finding.code).collect()
}

fn unmet(scene: &mut Scene, kind: &str, what: &str) {
    let unmet = Some(Diagnostic::new("a requirement is not met", what));
    let requirement = RequirementFacts { kind: kind.to_owned(), object: "/srv/orders.db".to_owned(), unmet };
    scene.source().requirements.push(requirement);
}

fn mounted(point: &str, source: &str) -> Vec<SourceIdentity> {
    let path = PathBuf::from("/srv/orders.db");
    let (mount_point, mount_source) = (PathBuf::from(point), source.to_owned());
    let file_system = "ext4".to_owned();
    vec![SourceIdentity { path, mount_point, mount_source, file_system, file_system_uuid: None }]
}

fn disprove(scene: &mut Scene, level: Level) {
    let time = scene.now - SignedDuration::from_hours(1);
    let newest = scene.newest();
    let mut record: ProofRecord = newest.proofs[0].clone();
    record.level = level;
    record.at = time;
    record.result = Outcome::Disproven { reason: "orders differs".to_owned() };
    newest.proofs.push(record);
}

fn wrong(scene: &mut Scene, missing: &[&str], resized: &[&str]) {
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
    scene.newest().objects = ObjectsState::Wrong { missing: names(missing), resized: names(resized) };
}

fn pause(scene: &mut Scene, until: &str) {
    let until = until.parse().expect("a date");
    scene.declaration().pause = Some(Pause { until, reason: "moving house".to_owned() });
}

fn remember(scene: &mut Scene, id: SnapshotId) {
    let manifest_sha256 = Digest::of(b"other");
    let event = JournalEvent::Sealed { snapshot: id, destination: local(), manifest_sha256, complete: true };
    scene.note(scene.now, event);
}

/// The newest snapshot's run becomes one of this outcome.
fn last_outcome(scene: &mut Scene, outcome: RunOutcome) {
    let id = scene.snapshots().last().expect("a snapshot").id;
    let entries = &mut scene.journal().entries;
    entries.pop();
    scene.note(at("2026-11-20T03:02:00Z"), finished(id, outcome));
}

/// Drops the proofs of every snapshot, and its read-backs too where asked.
fn unprove(scene: &mut Scene, read_backs: bool) {
    for snapshot in scene.snapshots() {
        if let SnapshotState::Sealed(sealed) = &mut snapshot.state {
            sealed.proofs.clear();
            if read_backs {
                sealed.manifest.members.clear();
            }
        }
    }
}

fn unsealed(scene: &mut Scene, started_at: &str) {
    let id = scene.add_snapshot(at(started_at));
    scene.journal().entries.retain(|entry| match &entry.event {
        JournalEvent::Sealed { snapshot, .. } | JournalEvent::Finished { snapshot, .. } => *snapshot != id,
        _ => true,
    });
    scene.snapshots().last_mut().expect("a snapshot").state = SnapshotState::Unsealed;
}

/// Nothing could be seen of the destination, for this reason.
fn trouble(scene: &mut Scene, trouble: Trouble) {
    let fact = scene.facts.destinations.get_mut(&local()).expect("local");
    fact.observed = Observed::Unknown(Diagnostic::new(trouble.summary(), "`s3://b` said so"));
    fact.trouble = Some(trouble);
}

/// Adds a second destination that is as well proven as the first, on its device.
fn second(scene: &mut Scene, name: &str) -> crate::declared::DestinationName {
    let other: crate::declared::DestinationName = name.parse().expect("a name");
    scene.plan.destinations.insert(other.clone(), super::super::testing::destination_declaration("/mnt/b"));
    scene.plan.defaults.destinations = Some(vec![local(), other.clone()]);
    let facts = scene.facts.destinations[&local()].clone();
    scene.facts.destinations.insert(other.clone(), facts);
    other
}

type Break = fn(&mut Scene);

/// How each finding comes about.
#[expect(clippy::too_many_lines, reason = "one arm for each finding's code")]
fn breaking(code: Code) -> Break {
    match code {
        Code::TimerMissing => |it| it.scheduler().jobs.clear(),
        Code::TimerDisabled => |it| it.timer().enablement = Enablement::Disabled,
        Code::TimerInactive => |it| it.timer().active = false,
        Code::TimerDead => |it| it.timer().next_elapse = None,
        Code::TimerMasked => |it| it.timer().enablement = Enablement::Masked,
        Code::TimerStatic => |it| it.timer().enablement = Enablement::Static,
        Code::ServiceMasked => |it| it.job().service.masked = true,
        Code::JobDrifted => |it| it.job().service.drop_ins.push(PathBuf::from("/etc/x.conf")),
        Code::JobOrphaned => |it| {
            let mut job = it.job().clone();
            job.name = JobName::Set("gone".parse().expect("a name"));
            it.scheduler().jobs.push(job);
        },
        Code::JobWritable => |it| it.path("job", 0o666),
        Code::PauseExpired => |it| pause(it, "2026-11-20"),
        Code::SetNeverRun => |it| {
            it.snapshots().clear();
            it.journal().entries.clear();
        },
        Code::SetStale => |it| it.now = at("2026-11-21T15:00:01Z"),
        Code::SnapshotIncomplete => |it| {
            it.newest().manifest.complete = false;
            let failed = FailedMember { name: "orders".to_owned(), reason: "locked".to_owned() };
            it.newest().manifest.failed.push(failed);
        },
        Code::SnapshotDamaged => |it| {
            let damaged = SnapshotState::Damaged(Diagnostic::new("a manifest cannot be read", "not JSON"));
            it.snapshots()[0].state = damaged;
        },
        Code::SnapshotChanged => |it| it.newest().manifest_sha256 = Digest::of(b"rewritten"),
        Code::SnapshotGone => |it| {
            it.snapshots().remove(1);
        },
        Code::SnapshotShrunk => |it| {
            let SnapshotState::Sealed(older) = &mut it.snapshots()[0].state else { panic!("it is sealed") };
            older.manifest.members[0].stored.bytes = 1 << 20;
        },
        Code::ObjectMissing => |it| wrong(it, &["orders.db.zst"], &[]),
        Code::ObjectWrongSize => |it| wrong(it, &[], &["orders.db.zst"]),
        Code::DigestDiffers => |it| disprove(it, Level::Intact),
        Code::ProofMissing => |it| unprove(it, true),
        Code::ProofOld | Code::DrillOld => |it| {
            let prove =
                crate::declared::ProvePolicy { intact: "1h".parse().ok(), restored: "1h".parse().ok() };
            it.declaration().prove = Some(prove);
        },
        Code::DrillMissing => |it| unprove(it, false),
        Code::DrillDiffers => |it| disprove(it, Level::Restored),
        Code::SourceMissing => |it| unmet(it, "readable", "`/srv/orders.db` does not exist"),
        Code::SourceMoved => |it| {
            it.newest().manifest.identity = mounted("/srv", "/dev/sdb1");
            it.source().identity = mounted("/", "/dev/sda1");
        },
        Code::SourceLinked => |it| unmet(it, "link", "`/srv/orders` is a symbolic link"),
        Code::SourceUnreadable => |it| unmet(it, "readable", "`/srv/orders.db` cannot be read by this user"),
        Code::ToolMissing => |it| unmet(it, "tool", "`pg_dump` is not on the PATH of the job"),
        Code::ToolTooOld => |it| unmet(it, "version", "`pg_dump` is 14, and the server is 15"),
        Code::ServerUnreachable => |it| unmet(it, "server", "connection refused"),
        Code::LoginRefused => |it| unmet(it, "login", "password authentication failed"),
        Code::GrantMissing => |it| unmet(it, "grant", "no SELECT on `public.orders`"),
        Code::CatalogueLimited => |it| unmet(it, "catalogue", "the account sees its own schemas alone"),
        Code::MemberGone => |it| it.source().members = Observed::Present(Vec::new()),
        Code::MemberNotStored => |it| {
            let member = |name: &str| MemberFacts { name: name.to_owned(), size_bytes: None };
            it.source().members = Observed::Present(vec![member("orders"), member("invoices")]);
        },
        Code::OpenDoor => |it| {
            let object = "postgres at 10.8.0.2:5432 as role postgres".to_owned();
            let evidence = "a login without a password succeeded".to_owned();
            it.source().doors = vec![DoorFacts { object, evidence }];
        },
        Code::DrillUnjudged => |it| {
            let command = crate::declared::CommandDeclaration::default();
            it.declaration().source = crate::declared::SourceDeclaration::Command(command);
        },
        Code::RequirementUnmet => |it| unmet(it, "hook", "`/usr/local/bin/quiesce` cannot be executed"),
        Code::PlanMissing => |it| it.facts.plans.clear(),
        Code::PlanEdited => {
            |it| it.installed_plan().origin_sha256_now = Observed::Present(Digest::of(b"edited"))
        }
        Code::PlanWritable => |it| it.path("plan", 0o664),
        Code::HookWritable => |it| it.path("hook", 0o777),
        Code::BinaryWritable => |it| it.path("binary", 0o775),
        Code::BinaryMisplaced => |it| it.facts.host.binary.in_build_folder = true,
        Code::SecretReadable => |it| it.path("secret", 0o640),
        Code::SameDevice => |it| it.destination().device = Some(1),
        Code::DestinationFullSoon => |it| {
            it.destination().space = Some(Space { free_bytes: 9 << 30, total_bytes: 100 << 30 });
        },
        Code::DestinationNotPrepared => |it| it.destination().prepared = false,
        Code::StateDamaged => |it| it.journal().damaged_lines.push(17),
        Code::StateMissing => |it| it.facts.journal = Some(Fact::new(it.now, "read", Observed::Absent)),
        Code::RunSkipped => |it| {
            it.note(it.now, JournalEvent::Skipped { holder: "process 12".to_owned() });
        },
        Code::RunHeld => |it| {
            it.now = at("2026-11-21T15:00:01Z");
            it.note(it.now, JournalEvent::Held { reason: "these are quiet hours (08:00-18:00)".to_owned() });
        },
        Code::RunOverlaps => |it| {
            let id = it.add_snapshot(at("2026-11-20T02:30:00Z"));
            let last = it.journal().entries.last_mut().expect("its end");
            assert!(matches!(&last.event, JournalEvent::Finished { snapshot, .. } if *snapshot == id));
            last.at = at("2026-11-20T03:30:00Z");
        },
        Code::RunFailed => |it| last_outcome(it, RunOutcome::Failed),
        Code::RunIncomplete => |it| last_outcome(it, RunOutcome::Incomplete),
        Code::Leftover => |it| {
            unsealed(it, "2026-11-18T04:00:00Z");
        },
        Code::DaemonNotRunning => |it| {
            it.embed();
            it.daemon().holds_lock = false;
        },
        Code::DaemonStale => |it| {
            it.embed();
            it.daemon().beat_at = at("2026-11-20T11:58:00Z");
        },
        Code::NodeUnstable => |it| it.facts.host.name = "3f2a9c81d0be".to_owned(),
        Code::LingerOff => |it| {
            it.plan.scope = Some(Scope::User);
            for job in &mut it.jobs {
                job.scope = Scope::User;
            }
            it.install_all();
            it.scheduler().lingers = Some(false);
        },
        Code::Uncovered => |it| {
            let object = "/srv/stray.db".to_owned();
            let path = Some(PathBuf::from(&object));
            let found =
                Found { kind: "sqlite".to_owned(), object, size_bytes: Some(9), path, addresses: Vec::new() };
            it.facts.discovered.insert("sqlite:/srv".to_owned(), seen(it.now, vec![found]));
        },
        Code::DestinationRefused => |it| trouble(it, Trouble::Refused),
        Code::DestinationPlaceMissing => |it| trouble(it, Trouble::PlaceMissing),
        Code::DestinationStranger => |it| trouble(it, Trouble::Stranger),
        Code::DestinationUnopened => |it| trouble(it, Trouble::Unopened),
        Code::ClockSkew => |it| it.destination().clock_offset_seconds = Some(-301),
        Code::ObjectArchived => |it| it.newest().archived.push("orders.db.zst".to_owned()),
        Code::CopiesTooFew => {
            |it| it.declaration().require = Some(Require { copies: Some(2), off_host: None })
        }
        Code::OffHostTooFew => {
            |it| it.declaration().require = Some(Require { copies: None, off_host: Some(1) })
        }
        Code::SharedFate => |it| {
            second(it, "offbox");
        },
        Code::LifecycleTooEarly => |it| {
            let (prefix, action) = (String::new(), StorageAction::Expire);
            it.destination().rules = Some(StorageRules {
                lifecycle: Shown::Present(vec![StorageRule {
                    prefix,
                    action,
                    after: RuleStart::AfterDays(6),
                }]),
                lock: Shown::Absent,
            });
        },
        Code::CouldNotLook => |it| {
            let diagnostic = Diagnostic::new("could not look", "the bus did not answer");
            let fact = it.facts.schedulers.values_mut().next().expect("systemd");
            fact.observed = Observed::Unknown(diagnostic);
        },
    }
}

#[test]
fn healthy_world_has_no_findings() {
    let mut scene = Scene::healthy();
    assert_eq!(audit(&scene.world()), []);
    scene.embed();
    assert_eq!(audit(&scene.world()), []);
    for (role, mode) in
        [("secret", 0o600), ("plan", 0o644), ("hook", 0o755), ("binary", 0o755), ("job", 0o644)]
    {
        scene.path(role, mode);
    }
    assert_eq!(audit(&scene.world()), []);
}

#[test]
fn every_code_is_found_when_its_one_thing_is_broken() {
    for code in Code::ALL {
        let mut scene = Scene::healthy();
        breaking(code)(&mut scene);
        let found = audit(&scene.world());
        let finding = found.iter().find(|finding| finding.code == code);
        let finding = finding.unwrap_or_else(|| panic!("{code} is not among {found:?}"));
        assert!(!finding.evidence.is_empty() && !finding.remedy.is_empty(), "{finding:?}");
        assert!(!finding.remedy.contains("SET") || finding.set.is_none(), "{finding:?}");
    }
}

/// The findings that one broken thing causes, where more than one is right.
#[test]
fn one_broken_thing_is_told_once() {
    use Code as C;
    for code in Code::ALL {
        let mut scene = Scene::healthy();
        breaking(code)(&mut scene);
        let mut found = codes(&scene);
        found.sort();
        found.dedup();
        let expected = match code {
            C::ProofMissing => vec![C::ProofMissing, C::DrillMissing, C::MemberNotStored],
            C::ProofOld | C::DrillOld => vec![C::ProofOld, C::DrillOld],
            C::RunHeld => vec![C::SetStale, C::RunHeld],
            // Its run began and never ended.
            C::Leftover => vec![C::RunFailed, C::Leftover],
            other => vec![other],
        };
        assert_eq!(found, expected, "{code}");
    }
}

#[test]
fn paused_set_is_not_stale_and_is_again_when_the_pause_is_long_over() {
    let mut scene = Scene::healthy();
    pause(&mut scene, "2026-12-20");
    scene.now = at("2026-12-19T12:00:00Z");
    assert!(!codes(&scene).contains(&Code::SetStale));
    scene.now = at("2026-12-20T12:00:00Z");
    let found = codes(&scene);
    assert!(found.contains(&Code::PauseExpired) && !found.contains(&Code::SetStale), "{found:?}");
    scene.now = at("2026-12-20T15:00:01Z");
    assert!(codes(&scene).contains(&Code::SetStale));
}

#[test]
fn run_that_is_going_on_leaves_no_leftover_finding() {
    let mut scene = Scene::healthy();
    unsealed(&mut scene, "2026-11-20T11:59:00Z");
    assert_eq!(audit(&scene.world()), []);
    scene.now = at("2026-11-21T12:00:00Z");
    let found = codes(&scene);
    assert!(found.contains(&Code::Leftover) && found.contains(&Code::RunFailed), "{found:?}");
}

#[test]
fn size_is_compared_among_few_snapshots_of_one_declaration() {
    let older = |scene: &mut Scene, change: fn(&mut crate::format::Manifest)| {
        let SnapshotState::Sealed(older) = &mut scene.snapshots()[0].state else { panic!("it is sealed") };
        older.manifest.members[0].stored.bytes = 1 << 20;
        change(&mut older.manifest);
        codes(scene).contains(&Code::SnapshotShrunk)
    };
    assert!(older(&mut Scene::healthy(), |_| {}));
    assert!(!older(&mut Scene::healthy(), |it| it.set_digest = Digest::of(b"another")));
    assert!(!older(&mut Scene::healthy(), |it| it.complete = false));
    assert!(!older(&mut Scene::healthy(), |it| it.members[0].stored.bytes = 60 << 10));
    let mut scene = Scene::healthy();
    for day in 0..7 {
        scene.add_snapshot(scene.now + SignedDuration::from_hours(24 * day));
    }
    assert!(!older(&mut scene, |_| {}), "that was eight snapshots ago");
}

#[test]
fn snapshot_that_bkp_removed_is_not_gone() {
    let mut scene = Scene::healthy();
    let id = scene.snapshots().remove(0).id;
    let reason = "not kept by any rule".to_owned();
    scene.note(scene.now, JournalEvent::Removing { snapshot: id, destination: local(), reason });
    assert_eq!(audit(&scene.world()), []);
    let unknown = SnapshotId::new(scene.now, 99);
    remember(&mut scene, unknown);
    assert_eq!(codes(&scene), [Code::SnapshotGone]);
}

#[test]
fn what_a_provider_removes_when_it_is_old_is_its_business_and_sooner_it_is_not() {
    let mut scene = Scene::healthy();
    let policy = crate::declared::RetentionPolicy {
        by: Some(crate::declared::RetentionBy::Provider),
        ..crate::declared::RetentionPolicy::default()
    };
    scene.plan.defaults.retention = Some(policy);
    let gone = |scene: &mut Scene, days: i64| {
        let at = scene.now - jiff::SignedDuration::from_hours(24 * days);
        remember(scene, SnapshotId::new(at, 1_000 + days.unsigned_abs()));
        codes(scene).contains(&Code::SnapshotGone)
    };
    assert!(!gone(&mut scene, 31), "a proof may be 30 days old");
    assert!(gone(&mut scene, 29));
    scene.plan.defaults.retention = None;
    assert!(gone(&mut scene, 400), "nobody has it to remove");
}

#[test]
fn rewritten_manifest_is_noticed_by_its_successor_without_a_journal() {
    let mut scene = Scene::healthy();
    scene.facts.journal = Some(Fact::new(scene.now, "read", Observed::Absent));
    if let SnapshotState::Sealed(sealed) = &mut scene.snapshots()[1].state {
        sealed.manifest_sha256 = Digest::of(b"rewritten");
    }
    assert_eq!(codes(&scene), [Code::SnapshotChanged, Code::StateMissing]);
}

#[test]
fn proof_of_another_manifest_proves_nothing() {
    let mut scene = Scene::healthy();
    for snapshot in scene.snapshots() {
        if let SnapshotState::Sealed(sealed) = &mut snapshot.state {
            sealed.proofs[0].manifest_sha256 = Digest::of(b"another");
        }
    }
    assert_eq!(codes(&scene), [Code::DrillMissing]);
}

#[test]
fn copy_on_the_same_device_is_fine_while_a_fresh_one_lies_elsewhere() {
    let mut scene = Scene::healthy();
    second(&mut scene, "offbox");
    scene.destination().device = Some(1);
    assert_eq!(audit(&scene.world()), []);
    // Both on the source's device: both are told.
    scene.source().devices.push(2);
    assert_eq!(codes(&scene), [Code::SameDevice, Code::SameDevice]);
}

#[test]
fn what_was_not_observed_is_told_as_such() {
    let mut scene = Scene::healthy();
    scene.facts.sources.clear();
    scene.facts.destinations.clear();
    scene.facts.schedulers.clear();
    scene.facts.discovered.clear();
    scene.facts.journal = None;
    let found = audit(&scene.world());
    assert!(!found.is_empty() && found.iter().all(|it| it.code == Code::CouldNotLook), "{found:?}");
    let about = |text: &str| found.iter().any(|it| it.object.contains(text));
    assert!(["source", "destination", "bkp-orders", "discovery", "journal"].iter().all(|it| about(it)));
}

#[test]
fn findings_name_their_set_and_come_worst_first() {
    let mut scene = Scene::healthy();
    scene.timer().enablement = Enablement::Disabled;
    scene.destination().device = Some(1);
    let found = audit(&scene.world());
    assert_eq!(found.iter().map(|it| it.code).collect::<Vec<_>>(), [Code::TimerDisabled, Code::SameDevice]);
    assert!(found.iter().all(|it| it.set == Some(set())));
}

#[test]
fn condition_that_keeps_a_job_is_told_only_when_the_set_is_stale_by_it() {
    let mut scene = Scene::healthy();
    scene.job().service.condition_failed_at = Some(scene.now);
    scene.note(scene.now, JournalEvent::Held { reason: "the machine works on its battery".to_owned() });
    assert_eq!(audit(&scene.world()), []);
    scene.now = at("2026-11-21T15:00:01Z");
    assert_eq!(codes(&scene), [Code::SetStale, Code::RunHeld, Code::RunHeld]);
    let id = SnapshotId::new(scene.now, 99);
    scene.note(
        scene.now,
        JournalEvent::Started { snapshot: id, trigger: Trigger::Schedule, identity: Vec::new() },
    );
    assert_eq!(codes(&scene), [Code::SetStale, Code::RunHeld], "the unit's own condition is still there");
}

#[test]
fn run_that_outlasts_its_interval_is_told_while_it_goes_on() {
    let mut scene = Scene::healthy();
    let id = SnapshotId::new(scene.now, 99);
    scene.note(
        scene.now,
        JournalEvent::Started { snapshot: id, trigger: Trigger::Schedule, identity: Vec::new() },
    );
    scene.now = at("2026-11-21T02:59:00Z");
    assert!(!codes(&scene).contains(&Code::RunOverlaps));
    scene.now = at("2026-11-21T03:01:00Z");
    assert!(codes(&scene).contains(&Code::RunOverlaps));
}

#[test]
fn job_of_another_version_of_bkp_is_told_in_one_line() {
    let mut scene = Scene::healthy();
    scene.job().marker.as_mut().expect("a marker").bkp_version = "0.0.9".to_owned();
    for file in &mut scene.job().files {
        file.text = file.text.as_ref().map(|text| format!("{text}# as bkp 0.0.9 wrote it\n"));
    }
    let found = audit(&scene.world());
    assert_eq!(found.iter().map(|it| it.code).collect::<Vec<_>>(), [Code::JobDrifted]);
    assert_eq!(found[0].evidence, format!("it was made by bkp 0.0.9; this is {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_keeps_a_destination_from_being_looked_at_is_named_and_its_levels_stay_unknown() {
    for (trouble_seen, code) in [
        (Trouble::Refused, Code::DestinationRefused),
        (Trouble::PlaceMissing, Code::DestinationPlaceMissing),
        (Trouble::Stranger, Code::DestinationStranger),
        (Trouble::Clock { offset_seconds: Some(1200) }, Code::ClockSkew),
        (Trouble::Clock { offset_seconds: None }, Code::ClockSkew),
        (Trouble::Unopened, Code::DestinationUnopened),
        (Trouble::Archived, Code::ObjectArchived),
    ] {
        let mut scene = Scene::healthy();
        trouble(&mut scene, trouble_seen);
        let found = audit(&scene.world());
        assert_eq!(found.iter().map(|it| it.code).collect::<Vec<_>>(), [code]);
        assert!(found[0].evidence.contains("`s3://b` said so"), "{found:?}");
        assert_eq!(crate::decide::audit_exit(&found).status(), 2, "findings win");
        let rows = coverage(&scene.world());
        assert!(
            [Level::Stored, Level::Intact, Level::Restored].iter().all(|it| rows[0].level(*it).is_unknown())
        );
        let review = crate::decide::review(&scene.world());
        assert_eq!(crate::decide::plan_exit(&review, true).status(), 1, "plan could not tell");
    }
}

#[test]
fn trouble_without_a_word_stays_what_could_not_be_told() {
    let mut scene = Scene::healthy();
    trouble(&mut scene, Trouble::Refused);
    scene.facts.destinations.get_mut(&local()).expect("local").trouble = None;
    assert_eq!(codes(&scene), [Code::CouldNotLook]);
    assert_eq!(crate::decide::audit_exit(&audit(&scene.world())).status(), 1);
}

#[test]
fn clocks_may_differ_by_five_minutes_and_no_more() {
    let mut scene = Scene::healthy();
    for (offset, words) in [
        (1200, "the server's clock is 1200 s ahead of this host's"),
        (-301, "the server's clock is 301 s behind this host's"),
    ] {
        scene.destination().clock_offset_seconds = Some(offset);
        let found = audit(&scene.world());
        assert_eq!(found.iter().map(|it| it.evidence.as_str()).collect::<Vec<_>>(), [words]);
    }
    for offset in [-300, 0, 300] {
        scene.destination().clock_offset_seconds = Some(offset);
        assert_eq!(audit(&scene.world()), [], "{offset}");
    }
    trouble(&mut scene, Trouble::Clock { offset_seconds: Some(-1200) });
    let found = audit(&scene.world());
    assert_eq!(found[0].evidence, "the server's clock is 1200 s behind this host's: `s3://b` said so");
}

#[test]
fn archived_snapshot_is_unverifiable_and_proves_no_level_that_needs_its_bytes() {
    let mut scene = Scene::healthy();
    scene.newest().archived.push("orders.db.zst".to_owned());
    let found = audit(&scene.world());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].evidence.starts_with("unverifiable") && found[0].object.ends_with("/orders.db.zst"));
    let rows = coverage(&scene.world());
    assert!(rows[0].level(Level::Stored).is_proven());
    for level in [Level::Intact, Level::Restored] {
        assert!(rows[0].level(level).is_unknown() && rows[0].level(level).text().contains("unverifiable"));
    }
    let review = crate::decide::review(&scene.world());
    assert!(review.unknown.iter().any(|it| it.summary == "object archived"), "{:?}", review.unknown);
    // What was disproven before stays disproven.
    disprove(&mut scene, Level::Intact);
    assert_eq!(coverage(&scene.world())[0].level(Level::Intact).word(), "disproven");
}
