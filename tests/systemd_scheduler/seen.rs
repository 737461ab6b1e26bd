//! What was done to a job behind our back, and thousands of jobs.

use super::*;

#[test]
fn disabled_timer_is_seen() {
    let world = world();
    let job = world.healthy("disabled");
    world.host.sh("systemctl disable bkp-disabled.timer");
    let timer = world.timer(&job);
    assert!(timer.active && timer.enablement == Enablement::Disabled);
    world.host.sh("systemctl stop bkp-disabled.timer");
    let timer = world.timer(&job);
    assert!(!timer.active && timer.next_elapse.is_none());
    world.enable(&job);
    assert!(world.timer(&job).active);
    world.remove(&job);
}

#[test]
fn masked_timer_is_seen_and_mended() {
    let world = world();
    let job = world.healthy("masked");
    let path = world.unit(&job, "timer");
    world.host.sh(&format!("ln -sf /dev/null {}; systemctl daemon-reload", path.display()));
    let found = world.seen(&job);
    assert_eq!(found.timer.as_ref().map(|timer| timer.enablement.clone()), Some(Enablement::Masked));
    assert!(found.files.iter().any(|file| file.path == path && file.text.is_none()));
    world.install(&job);
    world.enable(&job);
    let timer = world.timer(&job);
    assert!(timer.active && timer.enablement == Enablement::Enabled);
    world.host.sh(&format!("ln -sf /dev/null {}; systemctl daemon-reload", path.display()));
    world.remove(&job);
    assert!(world.found(&job).is_none());
}

#[test]
fn masked_service_is_seen_and_does_not_count_as_started() {
    let world = world();
    let job = world.healthy("masked-service");
    let path = world.unit(&job, "service");
    world.host.sh(&format!("ln -sf /dev/null {}; systemctl daemon-reload", path.display()));
    assert!(world.seen(&job).service.masked);
    assert!(said(&world.start(&job)).contains("masked"));
    world.install(&job);
    world.enable(&job);
    assert!(!world.seen(&job).service.masked);
    assert_eq!(world.start(&job), JobOutcome::Exited(0));
    world.remove(&job);
}

#[test]
fn timer_that_a_reboot_would_lose_is_static() {
    let world = world();
    let job = world.healthy("static");
    let path = world.unit(&job, "timer");
    world.host.sh(&format!(
        "systemctl disable bkp-static.timer; sed -i '/Install/,$d' {}; systemctl daemon-reload",
        path.display()
    ));
    assert_eq!(world.timer(&job).enablement, Enablement::Static);
    assert!(matches!(world.systemd.enable(&world.host, &job.name), Err(SchedulerError::Refused { .. })));
    world.remove(&job);
}

#[test]
fn dead_timer_is_not_active_and_enabling_it_is_refused() {
    let world = world();
    let job = world.healthy("dead");
    let path = world.unit(&job, "timer");
    world.host.sh(&format!(
        "sed -i 's/^OnCalendar=.*/OnCalendar=2020-01-01/; /Persistent/d' {}; systemctl daemon-reload; \
         systemctl restart bkp-dead.timer; test $(systemctl is-active bkp-dead.timer) = active",
        path.display()
    ));
    let timer = world.timer(&job);
    assert!(!timer.active && timer.next_elapse.is_none() && timer.enablement == Enablement::Enabled);
    assert!(matches!(world.systemd.enable(&world.host, &job.name), Err(SchedulerError::Refused { .. })));
    world.install(&job);
    world.enable(&job);
    assert!(world.timer(&job).active);
    world.remove(&job);
}

#[test]
fn drop_in_is_seen_before_and_after_the_manager_reads_it() {
    let world = world();
    let job = world.healthy("dropped");
    let folder = world.places.units.join("bkp-dropped.service.d");
    let file = folder.join("other.conf");
    world.host.sh(&format!(
        "mkdir {0}; printf '[Service]\\nExecStart=\\nExecStart=/bin/echo \"a b\" c\\n' >{1}",
        folder.display(),
        file.display()
    ));
    let found = world.seen(&job);
    assert!(found.service.needs_reload);
    assert_eq!(found.service.drop_ins, [file.as_path()]);
    world.host.sh("systemctl daemon-reload");
    let found = world.seen(&job);
    assert!(!found.service.needs_reload);
    assert_eq!(found.service.drop_ins, [file.as_path()]);
    assert_eq!(found.service.command, ["/bin/echo", "a b", "c"]);
    assert!(
        differences(&found, &world.systemd.render(&job)).is_empty(),
        "the files themselves are untouched"
    );
    world.remove(&job);
    assert!(world.host.status(&folder).is_err());
}

#[test]
fn drop_in_for_all_of_our_units_and_one_in_run_are_seen() {
    let world = world();
    let job = world.healthy("prefix");
    let files =
        ["/etc/systemd/system/bkp-.service.d/p.conf", "/run/systemd/system/bkp-prefix.timer.d/q.conf"];
    for file in files {
        world.host.sh(&format!("mkdir -p $(dirname {file}); echo '[Unit]' >{file}"));
    }
    let seen = world.seen(&job);
    assert!(seen.service.needs_reload);
    assert_eq!(seen.service.drop_ins, files.map(PathBuf::from));
    for file in files {
        world.host.sh(&format!("rm -r $(dirname {file})"));
    }
    world.remove(&job);
}

#[test]
fn edited_file_needs_a_reload_and_is_a_difference() {
    let world = world();
    let job = world.healthy("edited");
    let path = world.unit(&job, "service");
    // A file system's clock is coarser than this test.
    world.host.sh(&format!("echo 'Nice=5' >>{0}; touch -d '+2 seconds' {0}", path.display()));
    let found = world.seen(&job);
    assert!(found.service.needs_reload);
    let differences = differences(&found, &world.systemd.render(&job));
    assert_eq!(differences.iter().map(|it| it.0.clone()).collect::<Vec<_>>(), [path]);
    world.remove(&job);
}

#[test]
fn deleted_files_do_not_hide_a_job_that_is_loaded() {
    let world = world();
    let job = world.healthy("deleted");
    world.host.sh("rm /etc/systemd/system/bkp-deleted.*");
    let found = world.seen(&job);
    assert!(found.files.is_empty() && found.marker.is_none());
    assert!(found.timer.is_some_and(|timer| timer.active), "it still fires");
    world.remove(&job);
    assert!(world.found(&job).is_none());
}

/// A manager works out where a unit is enabled when it is first asked after a reload, and the time for that grows with
/// the square of the units; afterwards it remembers.
#[test]
fn thousand_jobs_are_observed_in_time() {
    let world = world();
    let job = world.healthy("many-0");
    world.host.sh("cd /etc/systemd/system; for i in $(seq 999); do for kind in service timer; do \
         sed s/many-0/many-$i/g bkp-many-0.$kind >bkp-many-$i.$kind; done; \
         ln -s ../bkp-many-$i.timer timers.target.wants; done; systemctl daemon-reload; \
         seq -f bkp-many-%g.timer 999 | xargs systemctl start");
    let took = [(); 2].map(|()| {
        let started = Instant::now();
        let facts = world.facts();
        let sound = |job: &&InstalledJob| {
            let timer = job.timer.as_ref().is_some_and(|timer| timer.active && timer.next_elapse.is_some());
            timer && job.service.loaded && job.marker.is_some() && !job.service.command.is_empty()
        };
        assert_eq!(facts.jobs.iter().filter(sound).count(), 1000);
        started.elapsed()
    });
    println!("1000 jobs observed in {took:?}: first after a reload, and again");
    assert!(took[1] < Duration::from_secs(10), "{took:?}");
    world.host.sh("cd /etc/systemd/system; seq -f bkp-many-%g.timer 999 | xargs systemctl stop; \
         rm bkp-many-[1-9]* timers.target.wants/bkp-many-[1-9]*; systemctl daemon-reload");
    world.remove(&job);
}

#[test]
fn timer_that_has_fired_is_active_and_has_no_next_elapse_while_its_job_runs() {
    let world = world();
    let job = world.job("fired", "echo ran >>\"$0/runs\"; sleep 2");
    world.install(&job);
    world.host.sh(
        "cd /etc/systemd/system; sed -i 's/^OnCalendar=.*/OnCalendar=*:*:*/; /^Random/d; /^Fixed/d' bkp-fired.timer; \
         systemctl daemon-reload; systemctl enable --now bkp-fired.timer; \
         timeout 20 sh -c 'until test -s /srv/shared/fired/runs; do sleep 0.1; done'",
    );
    let found = world.seen(&job);
    let timer = found.timer.expect("a timer");
    assert!(found.service.running && timer.active && timer.next_elapse.is_none());
    let twice = "until test $(wc -l </srv/shared/fired/runs) -ge 2; do sleep 0.1; done";
    world.host.sh(&format!("timeout 20 sh -c '{twice}'"));
    world.remove(&job);
}
