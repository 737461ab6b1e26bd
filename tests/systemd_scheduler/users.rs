//! A user's manager, and one that cannot be asked.

use super::*;

#[test]
fn users_manager_does_the_same_and_linger_is_told() {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bed = Bed::shared();
    let host = bed.user("ada", true);
    bed.sh("install -d -m 1777 /srv/shared");
    let world = World::of(host, Scope::User, turn);
    assert!(systemd_runs(&world.host, Scope::User));
    world.host.sh("echo hush >~/key; chmod 600 ~/key");
    let mut job =
        world.job("users", "cat \"$CREDENTIALS_DIRECTORY/key\" >\"$0/seen\"; id -un >>\"$0/seen\"; exit 3");
    job.credentials.insert("key".into(), SecretRef::File("/home/ada/key".into()));
    world.install(&job);
    world.enable(&job);
    let timer = world.timer(&job);
    assert!(timer.active && timer.enablement == Enablement::Enabled && timer.next_elapse.is_some());
    assert_eq!(world.facts().lingers, Some(true));
    assert_eq!(world.seen(&job).service.command, job.argv);
    assert_eq!(world.start(&job), JobOutcome::Exited(3));
    assert_eq!(world.host.sh("cat /srv/shared/users/seen"), "hush\nada\n");
    let file = world.unit(&job, "timer");
    world.host.sh(&format!("echo >>{0}; touch -d '+2 seconds' {0}", file.display()));
    assert!(world.seen(&job).service.needs_reload);
    world.remove(&job);
    assert!(world.found(&job).is_none());
    bed.sh("rm /var/lib/systemd/linger/ada");
    assert_eq!(world.facts().lingers, Some(false));
}

#[test]
fn manager_that_cannot_be_asked_is_unknown_and_not_empty() {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let world = World::of(Bed::shared().user("loner", false), Scope::User, turn);
    assert!(!systemd_runs(&world.host, Scope::User));
    let observed = world.systemd.observe(&ReadOnlyHost::new(&world.host));
    let unknown = observed.unknown().expect("unknown");
    assert!(unknown.fix.as_deref().is_some_and(|fix| fix.contains("enable-linger")), "{unknown:?}");
}
