//! Installing, enabling and removing.

use super::*;

#[test]
fn installed_timer_is_disabled_and_enabled_one_waits_with_a_next_elapse() {
    let world = world();
    assert!(systemd_runs(&world.host, Scope::System));
    let job = world.job("healthy", "exit 0");
    world.install(&job);
    let timer = world.timer(&job);
    assert!(timer.loaded && !timer.active && timer.enablement == Enablement::Disabled);
    world.enable(&job);
    let found = world.seen(&job);
    let timer = found.timer.clone().expect("a timer");
    assert!(timer.loaded && timer.active && timer.enablement == Enablement::Enabled);
    let next = timer.next_elapse.expect("a next elapse");
    let calendar = job.calendar.clone().expect("a calendar");
    let due = calendar.next_after(world.host.now()).expect("a next run");
    let delay = next.duration_since(due).as_secs();
    assert!((0..=600).contains(&delay), "{next} is due at {due}");
    assert!(found.service.loaded && !found.service.masked && !found.service.running);
    assert!(!found.service.needs_reload && found.service.drop_ins.is_empty());
    assert_eq!(found.service.command, job.argv);
    assert_eq!(found.marker.as_ref().map(|marker| marker.set_digest), Some(job.set_digest));
    assert!(differences(&found, &world.systemd.render(&job)).is_empty());
    world.enable(&job);
    world.remove(&job);
}

#[test]
fn changed_schedule_reaches_a_timer_that_is_active() {
    let world = world();
    let mut job = world.healthy("moved");
    let before = world.timer(&job).next_elapse;
    job.calendar =
        Some(Calendar::plain("weekly sun 04:00".parse().expect("a schedule"), TimeZoneName::default()));
    world.install(&job);
    let timer = world.timer(&job);
    assert!(timer.active && timer.next_elapse.is_some() && timer.next_elapse != before);
    assert!(!world.seen(&job).service.needs_reload);
    world.remove(&job);
}

#[test]
fn file_that_the_checker_dislikes_is_not_left_behind() {
    let world = world();
    let mut job = world.job("disliked", "exit 0");
    job.argv[0] = "/srv/no/such/program".into();
    let refused = world.systemd.install(&world.host, &job);
    assert!(matches!(refused, Err(SchedulerError::Check { .. })), "{refused:?}");
    assert!(world.found(&job).is_none());
    let good = world.healthy("disliked");
    assert!(world.systemd.install(&world.host, &job).is_err());
    let found = world.seen(&good);
    assert!(differences(&found, &world.systemd.render(&good)).is_empty());
    assert!(found.timer.is_some_and(|timer| timer.active));
    world.remove(&good);
}

#[test]
fn removing_leaves_nothing_of_the_job_and_everything_of_others() {
    let world = world();
    world.host.sh(
        "printf '[Service]\\nType=oneshot\\nExecStart=/bin/true\\n' >/etc/systemd/system/bkp-foreign.service; \
         printf '[Timer]\\nOnCalendar=daily\\n[Install]\\nWantedBy=timers.target\\n' \
         >/etc/systemd/system/bkp-foreign.timer; systemctl daemon-reload; systemctl enable --now bkp-foreign.timer",
    );
    let other = world.healthy("gone-other");
    let before = world.host.sh("ls -lR --time-style=+ /etc/systemd/system; ls /var/lib/systemd/timers");
    let job = world.healthy("gone");
    world.host.sh("mkdir /etc/systemd/system/bkp-gone.timer.d; systemctl start bkp-gone.service");
    world.remove(&job);
    let after = world.host.sh("ls -lR --time-style=+ /etc/systemd/system; ls /var/lib/systemd/timers");
    assert_eq!(before, after);
    assert!(world.found(&job).is_none());
    assert!(world.timer(&other).active);
    assert_eq!(world.host.sh("systemctl is-active bkp-foreign.timer"), "active\n");
    world.remove(&job);
    world.remove(&other);
    world.host.sh("systemctl disable --now bkp-foreign.timer; rm /etc/systemd/system/bkp-foreign.*");
}

#[test]
fn removing_does_not_end_a_run() {
    let world = world();
    let job = world.job("left", "sleep 2; echo done >\"$0/done\"");
    world.install(&job);
    world.enable(&job);
    world.host.sh("systemctl start --no-block bkp-left.service");
    world.remove(&job);
    let deadline = Instant::now() + Duration::from_secs(20);
    while world.host.status(Path::new("/srv/shared/left/done")).is_err() {
        assert!(Instant::now() < deadline, "the run was ended");
        pause(Duration::from_millis(100));
    }
}

#[test]
fn exposure_of_a_database_job_is_low() {
    let world = world();
    let job = world.job("exposure", "exit 0");
    world.install(&job);
    let said = world.host.sh("systemd-analyze security --no-pager bkp-exposure.service");
    let line = said.lines().last().expect("a verdict").to_owned();
    let score = line.split_whitespace().find_map(|word| word.parse::<f32>().ok()).expect("a number");
    assert!(score <= 3.0, "{said}");
    world.remove(&job);
}
