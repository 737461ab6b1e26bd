//! Two local folders, a bucket, a server: what is one place and what is two.

use super::*;
use crate::decide::coverage::coverage;
use crate::decide::finding::{Finding, FindingCode as Code};
use crate::decide::testing::{Scene, at, destination_declaration, local, remote_declaration, set};
use crate::decide::{audit, review};
use crate::declared::{DestinationDeclaration, Protocol};
use crate::diagnostic::Diagnostic;
use crate::observed::Observed;

fn name(text: &str) -> DestinationName {
    text.parse().expect("a name")
}

/// The healthy scene with a second destination, as well proven as the first and on another device.
fn with(other: DestinationDeclaration) -> Scene {
    let mut scene = Scene::healthy();
    let mut facts = scene.facts.destinations[&local()].clone();
    if let Observed::Present(facts) = &mut facts.observed {
        facts.device = matches!(other.kind, DestinationKind::Local(_)).then_some(3);
    }
    scene.plan.destinations.insert(name("other"), other);
    scene.plan.defaults.destinations = Some(vec![local(), name("other")]);
    scene.facts.destinations.insert(name("other"), facts);
    scene
}

fn sftp(host: &str) -> DestinationDeclaration {
    remote_declaration(Protocol::Sftp, &[("host", host), ("path", "/srv/bkp")], &[])
}

fn counted(scene: &Scene) -> SetCopies {
    let world = scene.world();
    copies(&world, &coverage(&world)).remove(0)
}

fn require(scene: &mut Scene, copies: Option<u32>, off_host: Option<u32>) {
    scene.declaration().require = Some(Require { copies, off_host });
}

fn found(scene: &Scene, code: Code) -> Option<Finding> {
    audit(&scene.world()).into_iter().find(|it| it.code == code)
}

fn ties(one: DestinationDeclaration, other: DestinationDeclaration) -> Option<Tie> {
    let mut scene = with(other);
    scene.plan.destinations.insert(local(), one);
    scene.destination().device = None;
    let shared = counted(&scene).shared;
    shared.first().map(|it| it.tie.clone())
}

#[test]
fn two_disks_of_one_host_are_one_place() {
    let scene = with(destination_declaration("/mnt/b"));
    let counted = counted(&scene);
    assert_eq!(counted.verified, Count { copies: 2, places: 1, off_host: 0 });
    assert_eq!(counted.words(), "2 copies in 1 place");
    assert_eq!(counted.why().as_deref(), Some("`local` and `other` are on this host"));
}

#[test]
fn destinations_of_one_place_are_named_together() {
    let pair = |one: &str, other: &str, tie: Tie| Shared {
        one: one.parse().expect("a name"),
        other: other.parse().expect("a name"),
        tie,
    };
    let server = || Tie::Server("nas".to_owned());
    let pairs = [
        pair("a", "b", Tie::Device),
        pair("a", "c", Tie::Host),
        pair("b", "c", Tie::Host),
        pair("x", "y", server()),
        pair("x", "z", server()),
        pair("y", "z", server()),
    ];
    assert_eq!(
        together(&pairs),
        "`a` and `b` lie on one device; `a`, `b` and `c` are on this host; `x`, `y` and `z` are at server `nas`"
    );
}

#[test]
fn another_machine_is_a_second_place_and_off_the_host() {
    let counted = counted(&with(sftp("nas.internal")));
    assert_eq!(counted.verified, Count { copies: 2, places: 2, off_host: 1 });
    assert_eq!(counted.shared, []);
}

#[test]
fn server_that_is_this_host_is_no_second_place() {
    for host in ["localhost", "127.0.0.1", "::1", "Observatory"] {
        assert_eq!(
            counted(&with(sftp(host))).verified,
            Count { copies: 2, places: 1, off_host: 0 },
            "{host}"
        );
    }
}

#[test]
fn one_server_account_bucket_secret_or_domain_is_one_place() {
    let s3 = |bucket: &str, secret: &str| {
        remote_declaration(
            Protocol::S3,
            &[("bucket", bucket), ("region", "eu-west-1")],
            &[("access_key_id", secret), ("secret_access_key", &format!("{secret}.secret"))],
        )
    };
    assert_eq!(ties(sftp("nas"), sftp("NAS")), Some(Tie::Server("nas".to_owned())));
    assert_eq!(ties(sftp("nas"), sftp("cellar")), None);
    assert_eq!(ties(s3("a", "/k/one"), s3("a", "/k/two")), Some(Tie::Account("bucket `a`".to_owned())));
    assert_eq!(ties(s3("a", "/k/one"), s3("b", "/k/one")), Some(Tie::Credentials("access_key_id")));
    assert_eq!(ties(s3("a", "/k/one"), s3("b", "/k/two")), None);
    let domain =
        |host: &str| DestinationDeclaration { failure_domain: Some("garage".to_owned()), ..sftp(host) };
    assert_eq!(ties(domain("nas"), domain("cellar")), Some(Tie::Domain("garage".to_owned())));
    let known = |host: &str| {
        remote_declaration(Protocol::Sftp, &[("host", host), ("path", "/b")], &[("known_hosts", "/k/known")])
    };
    assert_eq!(ties(known("nas"), known("cellar")), None, "a list of hosts opens nothing");
}

#[test]
fn what_is_one_with_one_of_a_place_is_one_with_all_of_it() {
    let mut scene = with(DestinationDeclaration { failure_domain: Some("garage".to_owned()), ..sftp("nas") });
    let domain = Some("garage".to_owned());
    scene.plan.destinations.get_mut(&local()).expect("local").failure_domain = domain;
    scene.plan.destinations.insert(name("third"), sftp("nas"));
    scene.plan.defaults.destinations = Some(vec![local(), name("other"), name("third")]);
    assert_eq!(counted(&scene).declared, Count { copies: 3, places: 1, off_host: 1 });
    assert_eq!(counted(&scene).verified.copies, 2, "what was not looked at is no copy");
}

#[test]
fn too_few_places_are_a_finding_that_names_why() {
    let mut scene = with(destination_declaration("/mnt/b"));
    require(&mut scene, Some(2), Some(1));
    let few = found(&scene, Code::CopiesTooFew).expect("too few");
    assert_eq!(
        few.evidence,
        "2 copies in 1 place; `require` asks for 2: `local` and `other` are on this host"
    );
    let off = found(&scene, Code::OffHostTooFew).expect("none off the host");
    assert!(
        off.evidence.contains("0 of 2 copies are off this host; `require` asks for 1"),
        "{}",
        off.evidence
    );
    assert_eq!(audit(&scene.world()).len(), 2);
    let notes = review(&scene.world()).notes;
    let never = notes.iter().find(|it| it.summary == "`require` can never be met").expect("plan says it");
    assert!(never.what.contains("2 destinations in 1 place"), "{never}");
    let mut met = with(sftp("nas"));
    require(&mut met, Some(2), Some(1));
    assert_eq!(audit(&met.world()), []);
    assert_eq!(review(&met.world()).notes, []);
}

#[test]
fn stale_or_unread_copy_does_not_count() {
    let mut scene = with(sftp("nas"));
    require(&mut scene, Some(2), Some(1));
    if let Observed::Present(facts) =
        &mut scene.facts.destinations.get_mut(&name("other")).expect("it").observed
    {
        facts.sets.get_mut(&set()).expect("its snapshots").truncate(1);
    }
    let few = found(&scene, Code::CopiesTooFew).expect("too few");
    assert_eq!(few.evidence, "1 copy in 1 place; `require` asks for 2: `other` is not fresh and verified");
    assert!(found(&scene, Code::OffHostTooFew).is_some());
}

#[test]
fn copy_that_could_not_be_looked_at_is_not_told_to_be_missing() {
    let mut scene = with(sftp("nas"));
    require(&mut scene, Some(2), Some(1));
    let diagnostic = Diagnostic::new("destination not readable", "no route to host");
    scene.facts.destinations.get_mut(&name("other")).expect("it").observed = Observed::Unknown(diagnostic);
    let codes: Vec<Code> = audit(&scene.world()).iter().map(|it| it.code).collect();
    assert_eq!(codes, [Code::CouldNotLook]);
    assert_eq!(counted(&scene).verified, Count { copies: 1, places: 1, off_host: 0 });
    // With three asked for, no answer could make it enough.
    require(&mut scene, Some(3), None);
    assert!(found(&scene, Code::CopiesTooFew).is_some());
}

#[test]
fn shared_fate_is_told_where_nobody_declared_it() {
    let same_device = |scene: &mut Scene| scene.destination().device = Some(3);
    let mut scene = with(destination_declaration("/mnt/b"));
    assert_eq!(audit(&scene.world()), [], "two folders of one host are declared as such");
    assert!(review(&scene.world()).notes.iter().any(|it| it.summary == "copies share a place"));
    same_device(&mut scene);
    let shared = found(&scene, Code::SharedFate).expect("it is found");
    assert_eq!(shared.evidence, "2 copies in 1 place: `local` and `other` lie on one device");
    require(&mut scene, Some(1), None);
    assert_eq!(audit(&scene.world()), [], "the plan says how many it wants");
    scene.declaration().require = None;
    scene.source().devices = vec![3];
    let codes: Vec<Code> = audit(&scene.world()).iter().map(|it| it.code).collect();
    assert_eq!(codes, [Code::SameDevice, Code::SameDevice], "one thing is told once");
}

#[test]
fn set_with_one_destination_and_no_requirement_is_not_counted() {
    let mut scene = Scene::healthy();
    assert_eq!(copies(&scene.world(), &coverage(&scene.world())), []);
    require(&mut scene, Some(1), None);
    assert_eq!(counted(&scene).words(), "1 copy in 1 place");
    scene.now = at("2026-11-21T15:00:01Z");
    assert_eq!(counted(&scene).words(), "no fresh verified copy; `require` asks for 1");
}
