//! Starting a job and following it to its end, in its own environment.

use super::*;

#[test]
fn arguments_arrive_as_they_were_declared() {
    let world = world();
    let mut job = world.trial("arguments", "shift 0; printf '%s\\0' \"$@\" >\"$0/argv\"");
    let odd = [
        "a b",
        "100%",
        "%n",
        "$HOME",
        "${HOME}",
        "q\"uo'te",
        "back\\slash",
        "\\x41",
        ";",
        "semi;",
        "",
        "é",
        "tab\tend",
        "line\nend",
        "line\n\nend",
        "@-+!:",
        "#",
        "{ path=/x ; argv[]=y }",
        "trailing\\",
    ];
    job.argv.extend(odd.map(str::to_owned));
    world.install(&job);
    assert_eq!(world.seen(&job).service.command, job.argv);
    assert_eq!(world.start(&job), JobOutcome::Exited(0));
    let arrived = world.host.read(Path::new("/srv/shared/arguments/argv")).expect("the job wrote it");
    let arrived = String::from_utf8(arrived).expect("text");
    assert_eq!(arrived.split_terminator('\0').collect::<Vec<_>>(), odd);
    world.remove(&job);
}

#[test]
fn outcome_is_the_status_of_the_run() {
    let world = world();
    for (script, status) in [("exit 0", 0), ("exit 3", 3), ("exit 75", 75), ("sleep 0.7; exit 0", 0)] {
        let job = world.trial("status", script);
        world.install(&job);
        assert_eq!(world.start(&job), JobOutcome::Exited(status), "{script}");
        assert_eq!(world.start(&job), JobOutcome::Exited(status), "{script}, again");
        world.remove(&job);
        let job = world.job("status", script);
        world.install(&job);
        world.enable(&job);
        assert_eq!(world.start(&job), JobOutcome::Exited(status), "{script}, with a timer");
        world.remove(&job);
    }
}

#[test]
fn run_that_did_not_end_by_itself_is_told_in_words() {
    let world = world();
    let mut job = world.trial("ended", "sleep 60");
    job.time_limit = Span::from_seconds(1);
    world.install(&job);
    let mut ticks = 0;
    let limit = Duration::from_secs(30);
    let outcome = world.systemd.start_and_wait(&world.host, &job.name, limit, &mut || ticks += 1);
    assert!(said(&outcome.expect("an outcome")).contains("time limit"));
    assert!(ticks >= 2, "{ticks}");
    let job = world.trial("ended", "kill -9 $$");
    world.install(&job);
    assert!(said(&world.start(&job)).contains("signal 9"));
    world.remove(&job);
}

#[test]
fn environment_that_cannot_be_set_up_is_told_in_words() {
    let world = world();
    let mut job = world.trial("environment", "exit 0");
    job.writable.push("/srv/not/there".into());
    world.install(&job);
    assert!(said(&world.start(&job)).contains("ReadWritePaths"));
    job.writable.pop();
    job.credentials.insert("key".into(), SecretRef::File("/srv/no secret".into()));
    world.install(&job);
    assert!(said(&world.start(&job)).contains("credential"));
    job.credentials.clear();
    world.host.sh("cp /bin/sh /srv/shared/environment/program");
    job.argv[0] = "/srv/shared/environment/program".into();
    world.install(&job);
    world.host.sh("rm /srv/shared/environment/program");
    assert!(said(&world.start(&job)).contains("program"));
    world.remove(&job);
}

#[test]
fn condition_that_is_not_met_is_no_run() {
    let world = world();
    let script = "echo ran >>\"$0/runs\"";
    for job in [world.trial("condition", script), world.job("condition", script)] {
        world.install(&job);
        if job.calendar.is_some() {
            world.enable(&job);
        }
        assert_eq!(world.start(&job), JobOutcome::Exited(0));
        let folder = format!("/etc/systemd/system/{}.service.d", job.name);
        world.host.sh(&format!(
            "mkdir {folder}; printf '[Unit]\\nConditionPathExists=/nope\\n' >{folder}/c.conf; systemctl daemon-reload"
        ));
        assert!(matches!(world.start(&job), JobOutcome::NotStarted(_)), "{}", job.name);
        world.remove(&job);
    }
    assert_eq!(world.host.sh("cat /srv/shared/condition/runs"), "ran\nran\n");
}

#[test]
fn failure_that_a_setting_hides_is_not_taken_for_success() {
    let world = world();
    let script = "exit 3";
    for setting in ["SuccessExitStatus=3", "ExecStart=\\nExecStart=-/bin/sh -c \"exit 3\""] {
        for job in [world.trial("hidden", script), world.job("hidden", script)] {
            world.install(&job);
            let folder = format!("/etc/systemd/system/{}.service.d", job.name);
            world.host.sh(&format!(
                "mkdir {folder}; printf '[Service]\\n{setting}\\n' >{folder}/c.conf; systemctl daemon-reload"
            ));
            if job.calendar.is_some() {
                world.enable(&job);
            }
            assert_ne!(world.start(&job), JobOutcome::Exited(0), "{setting} {}", job.name);
            world.remove(&job);
        }
    }
}

#[test]
fn run_that_is_going_on_is_attached_to_also_after_an_apply_was_killed() {
    let world = world();
    let job = world.trial("attached", "echo ran >>\"$0/runs\"; sleep 3; exit 3");
    world.install(&job);
    // An apply that does not stay to the end.
    let short = Duration::from_millis(600);
    let left = world.systemd.start_and_wait(&world.host, &job.name, short, &mut || {}).expect("an outcome");
    assert!(said(&left).contains("still runs"));
    assert!(world.seen(&job).service.running);
    assert_eq!(world.start(&job), JobOutcome::Exited(3));
    assert_eq!(world.host.sh("cat /srv/shared/attached/runs"), "ran\n");
    world.remove(&job);
}

#[test]
fn unit_that_does_not_exist_was_not_started() {
    let world = world();
    let job = world.trial("nowhere", "exit 0");
    assert!(matches!(world.start(&job), JobOutcome::NotStarted(_)));
}

#[test]
fn sandbox_lets_a_run_do_its_work_and_nothing_else() {
    let world = world();
    world.host.sh(
        "mkdir -p /srv/data; useradd -M owner; \
         install -d -o owner -m 0700 /srv/shared/sandbox; install -o owner -m 0600 /dev/null /srv/shared/sandbox/wal; \
         install -o owner -m 0600 /dev/null /srv/data/theirs",
    );
    let script = "set -e; cd \"$0\"; cat /srv/data/theirs; echo x >>wal; mkfifo pipe; touch file; chown owner file; \
                  chmod 4755 file; test -u file; setcap cap_net_raw+ep file; getcap file | grep -q net_raw; \
                  test \"$PATH\" = /usr/bin:/bin; test \"$HOME\" = /root; test \"$(umask)\" = 0077; \
                  ! touch /srv/data/new; ! touch /etc/new; ! test -e /root/.profile; ! mount -t tmpfs x /mnt";
    let mut job = world.trial("sandbox", script);
    job.search_path = "/usr/bin:/bin".to_owned();
    job.argv[2] =
        format!("PATH=$PATH; {script}").replace("setcap", "/sbin/setcap").replace("getcap", "/sbin/getcap");
    world.install(&job);
    assert_eq!(
        world.start(&job),
        JobOutcome::Exited(0),
        "{}",
        world.host.sh("journalctl -n 20 -u bkp-try-sandbox")
    );
    world.remove(&job);
}

#[test]
fn secret_reaches_the_job_and_nobody_else() {
    let world = world();
    world
        .host
        .sh("mkdir -p /etc/bkp; install -m 0600 /dev/null '/etc/bkp/50% key'; echo hush >'/etc/bkp/50% key'");
    let mut job = world.trial("secret", "cat \"$CREDENTIALS_DIRECTORY/key\" >\"$0/seen\"");
    job.credentials.insert("key".into(), SecretRef::File("/etc/bkp/50% key".into()));
    world.install(&job);
    assert_eq!(world.start(&job), JobOutcome::Exited(0));
    assert_eq!(world.host.sh("cat /srv/shared/secret/seen"), "hush\n");
    assert!(
        !world
            .host
            .sh("systemctl show bkp-try-secret.service; cat /etc/systemd/system/bkp-try-secret.service")
            .contains("hush")
    );
    world.remove(&job);
}

#[test]
fn run_that_was_killed_is_noted_by_the_unit_beside_it() {
    let world = world();
    let program = "/srv/shared/noted/program";
    let mut job = world.job("noted", "");
    world.host.sh(&format!(
        "printf '#!/bin/sh\\ncase $1 in run) kill -9 $$ ;; *) echo $* $MONITOR_SERVICE_RESULT $MONITOR_UNIT \
         >/srv/shared/noted/note ;; esac\\n' >{program}; chmod +x {program}"
    ));
    job.argv = [program, "run", "noted", "--plan", "p"].map(str::to_owned).to_vec();
    world.install(&job);
    assert!(said(&world.start(&job)).contains("signal"));
    let note = "until test -s /srv/shared/noted/note; do sleep 0.1; done; cat /srv/shared/noted/note";
    assert_eq!(
        world.host.sh(&format!("timeout 20 sh -c '{note}'")),
        "note-failure noted --plan p signal bkp-noted.service\n"
    );
    let names: Vec<String> = world.facts().jobs.iter().map(|job| job.name.to_string()).collect();
    assert_eq!(names, ["bkp-noted"]);
    world.remove(&job);
    assert!(world.host.sh("ls /etc/systemd/system").lines().all(|name| !name.starts_with("bkp-noted")));
}
