//! Sets that run as users of their own: what passes for root and fails for them is found by apply.

use super::machine::{PLAN, PROGRAM, bkp, plan, snapshots, trigger};
use super::*;

/// Two service users with a database and a folder each, beside root's own folder.
fn with_users(purpose: &str) -> Machine {
    let machine = Machine::boot(purpose).with_data();
    machine.sh(
        "useradd --system -m -d /srv/blog blog; install -d -o blog -g blog -m 0700 /srv/blog/posts; \
         echo hello >/srv/blog/posts/one; chown -R blog:blog /srv/blog; groupadd readers; usermod -aG readers blog; \
         chown root:readers /srv/blog/posts; chmod 0750 /srv/blog/posts; mkdir /srv/root; echo mine >/srv/root/one; chmod 0700 /srv/root",
    );
    machine.write_plan(&plan("home", "daily 03:00", SETS));
    machine
}

const SETS: &str = "  orders: { type: sqlite, path: /srv/app/app.db, run_as: app }\n  \
     posts: { type: files, paths: [/srv/blog/posts], run_as: blog }\n  roots: { type: files, paths: [/srv/root] }\n";

/// The owners of everything below some paths, each once.
fn owners(machine: &Machine, paths: &str) -> String {
    machine.sh(&format!("find {paths} -printf '%u:%g\\n' | sort -u")).trim().replace('\n', " ")
}

#[test]
fn sets_of_root_of_services_and_of_a_lingering_user_converge() {
    let machine = with_users("users");
    machine.converge();
    machine.audit().is_clean();
    for (set, user) in [("orders", "app"), ("posts", "blog"), ("roots", "root")] {
        assert_eq!(owners(&machine, &format!("/mnt/backup/home/*/{set}")), format!("{user}:{user}"), "{set}");
    }
    for user in ["app", "blog"] {
        let state = format!("/var/lib/bkp/users/{user}");
        assert_eq!(owners(&machine, &state), format!("{user}:{user}"));
        assert_eq!(machine.sh(&format!("stat -c %a {state}")).trim(), "700");
    }
    assert_eq!(machine.property("bkp-orders.service", "User"), "app");
    // Neither reads the other's snapshots, nor their names.
    machine.sh("! runuser -u app -- ls /mnt/backup/home/*/posts; ! runuser -u blog -- sh -c 'cat /mnt/backup/home/*/orders/*/*'; \
                node=$(ls /mnt/backup/home); ! runuser -u app -- ls /mnt/backup/home/$node/posts; ! runuser -u app -- ls /mnt/backup/home/$node/roots");
    // A user with jobs of their own goes on as before.
    let ada = machine.user("ada", true);
    ada.sh("mkdir ~/notes; echo note >~/notes/one");
    machine.write("/home/ada/own.yaml", "version: 1\nname: own\nscope: user\nscheduler: systemd\ndefaults: { schedule: daily 03:00, destinations: [disk], retention: { last: 3 } }\n\
        destinations:\n  disk: { type: local, path: /home/ada/backup }\nsets:\n  notes: { type: files, paths: [/home/ada/notes], run_as: ada }\n");
    bkp(&ada, &["apply", "/home/ada/own.yaml", "--yes"]).ended(0);
    bkp(&ada, &["plan", "/home/ada/own.yaml", "--detailed-exitcode"]).ended(0);
    assert_eq!(snapshots(&ada, "notes").len(), 1);
    let jobs =
        "systemctl start bkp-orders.service bkp-posts.service bkp-roots.service bkp-audit-home.service";
    machine.sh(&jobs.replace(" bkp-audit-home.service", ""));
    for set in ["orders", "posts", "roots"] {
        assert_eq!(machine.snapshots(set).len(), 2, "{set}");
    }
    machine.audit().is_clean();
}

#[test]
fn what_root_does_by_hand_is_done_as_the_user_and_the_next_scheduled_run_succeeds() {
    let machine = with_users("byhand");
    machine.converge();
    let own = || {
        assert_eq!(owners(&machine, "/mnt/backup/home/*/orders /var/lib/bkp/users/app"), "app:app");
    };
    let scheduled = || {
        own();
        // Six starts in ten seconds are more than systemd allows.
        machine.sh(
            "systemctl reset-failed bkp-orders.service; systemctl start bkp-orders.service || { journalctl --no-pager \
             -u bkp-orders.service | tail -20 >&2; exit 1; }",
        );
        let last = machine.snapshots("orders");
        assert_eq!(trigger(last.last().expect("a snapshot")), "schedule");
        machine.audit().is_clean();
    };
    machine.bkp(&["run", "orders", "roots", "posts"]).ended(0);
    assert_eq!(trigger(machine.snapshots("orders").last().expect("a snapshot")), "manual");
    scheduled();
    machine.bkp(&["run", "orders", "--plan", PLAN]).ended(0);
    scheduled();
    machine.bkp(&["verify", "--all"]).ended(0).says("intact: orders").says("intact: roots");
    machine.bkp(&["drill", "orders"]).ended(0).says("restored: orders");
    scheduled();
    machine.bkp(&["restore", "orders", "--to", "/root/back"]).ended(0);
    scheduled();
    let first = machine.snapshots("orders");
    machine.bkp(&["delete", "orders", super::machine::id(&first[0]), "--yes"]).ended(0);
    assert_eq!(machine.snapshots("orders").len(), first.len() - 1);
    machine.bkp(&["prune", "--yes"]).ended(0);
    scheduled();
    // The user itself needs nobody.
    machine.sh(&format!("runuser -u app -- {PROGRAM} run orders"));
    scheduled();
    // A snapshot that is disproven is disproven through the user too.
    machine.sh("f=$(ls /mnt/backup/home/*/orders/*/*.db.zst | tail -1); runuser -u app -- sh -c \"printf x | dd of=$f bs=1 seek=20 conv=notrunc\"");
    assert_eq!(machine.bkp(&["verify", "orders"]).status, 2);
    assert_eq!(machine.sh("ls -A /var/lib/bkp/by-hand"), "");
    // What a user writes into a journal about others is not believed, and one that is gone is missed.
    machine.sh("sed 's/\"orders\"/\"roots\"/; s/\"complete\"/\"failed\"/' /var/lib/bkp/users/app/journal.jsonl >/tmp/lies; \
                grep -q failed /tmp/lies; runuser -u app -- tee -a /var/lib/bkp/users/app/journal.jsonl </tmp/lies");
    machine.audit().is_clean_of("run-failed");
    machine.sh("rm /var/lib/bkp/users/app/journal.jsonl");
    machine.audit().names("state-missing", "orders");
    machine.sh("mkfifo /var/lib/bkp/users/app/journal.jsonl");
    assert!(machine.audit().findings.iter().any(|it| it.code == "could-not-look" && it.object == "journal"));
}

#[test]
fn what_root_reads_and_the_services_user_does_not_is_named_by_plan_apply_and_audit() {
    let machine = with_users("denied");
    machine.converge();
    let older = machine.fingerprint("/etc/systemd/system/bkp-posts.* /etc/bkp/plans/home.d/posts.yaml");
    let moved = SETS.replace("[/srv/blog/posts]", "[/srv/root]");
    machine.write_plan(&plan("home", "daily 03:00", &moved));
    let shown = machine.bkp(&["plan", PLAN, "--detailed-exitcode"]).ended(1);
    shown.says("/srv/root").says("ermission denied");
    machine.apply().ended(1).says("/srv/root").says("ermission denied");
    assert_eq!(
        machine.fingerprint("/etc/systemd/system/bkp-posts.* /etc/bkp/plans/home.d/posts.yaml"),
        older
    );
    machine.sh("systemctl start bkp-posts.service");
    assert_eq!(machine.snapshots("posts").len(), 2);
    machine.write_plan(&plan("home", "daily 03:00", SETS));
    machine.converge();
    machine.audit().is_clean();
    // It is taken away later: audit says so before the next run fails, also inside its own sandbox.
    machine.sh("chown root:root /srv/blog/posts");
    machine.audit().names("source-unreadable", "posts");
    machine.sh("! systemctl start bkp-audit-home.service; journalctl --no-pager -u bkp-audit-home.service >/tmp/said; grep source-unreadable /tmp/said; ! grep could-not-look /tmp/said");
    machine.sh("chown root:readers /srv/blog/posts");
    // A user who does not exist, and one who cannot come to the destination.
    machine.write_plan(&plan("home", "daily 03:00", &SETS.replace("run_as: blog", "run_as: nobody-here")));
    machine.bkp(&["plan", PLAN]).ended(1).says("this host has no user `nobody-here`");
    machine.apply().ended(1).says("this host has no user `nobody-here`");
    machine.write_plan(&plan("home", "daily 03:00", SETS));
    machine.sh("chmod 0700 /mnt/backup");
    machine.bkp(&["plan", PLAN]).ended(1).says("destination out of reach");
    machine.sh("chmod 0755 /mnt/backup; userdel blog");
    machine.audit().names("requirement-unmet", "posts");
}

#[test]
fn root_set_that_becomes_a_users_takes_its_snapshots_along_and_back() {
    let machine = with_users("changed");
    let of_root = SETS.replace(", run_as: app", "");
    machine.write_plan(&plan("home", "daily 03:00", &of_root));
    machine.converge();
    assert_eq!(owners(&machine, "/mnt/backup/home/*/orders"), "root:root");
    machine.write_plan(&plan("home", "daily 03:00", SETS));
    machine.converge();
    assert_eq!(owners(&machine, "/mnt/backup/home/*/orders"), "app:app");
    machine.bkp(&["verify", "orders", "--all"]).ended(0);
    machine.audit().is_clean();
    machine.write_plan(&plan("home", "daily 03:00", &of_root));
    machine.converge();
    assert_eq!(owners(&machine, "/mnt/backup/home/*/orders"), "root:root");
    machine.sh("systemctl start bkp-orders.service");
    assert_eq!(machine.snapshots("orders").len(), 4);
    machine.audit().is_clean();
}

#[test]
fn secret_of_root_is_handed_to_the_users_hook_and_tools_are_those_of_the_job() {
    let machine = with_users("handed");
    machine.sh("mkdir -p /etc/app /opt/x/bin; umask 077; echo hush-hush >/etc/app/token");
    machine.write("/usr/local/bin/app-hook", "#!/bin/sh\nset -e\ntest \"$(id -un)\" = app\ntest \"$(cat \"$BKP_SECRET_TOKEN_FILE\")\" = hush-hush\n\
        test \"$XDG_CACHE_HOME\" = /var/lib/bkp/users/app/cache\ntest \"$HOME\" = \"$(getent passwd app | cut -d: -f6)\"\n");
    machine.write("/opt/x/bin/elsewhere", "#!/bin/sh\n");
    machine.sh("chmod 0755 /usr/local/bin/app-hook /opt/x/bin/elsewhere");
    let hooked = |hook: &str| {
        let set = format!(
            "orders: {{ type: sqlite, path: /srv/app/app.db, before: [[{hook}]], secrets: {{ TOKEN: {{ file: /etc/app/token }} }}, "
        );
        plan("home", "daily 03:00", &SETS.replace("orders: { type: sqlite, path: /srv/app/app.db, ", &set))
    };
    machine.write_plan(&hooked("app-hook"));
    machine.converge();
    machine.bkp(&["run", "orders", "--job"]).ended(0);
    machine.bkp(&["run", "orders"]).ended(0);
    machine.audit().is_clean();
    // What root's own shell finds is not what the job finds.
    machine.write_plan(&hooked("elsewhere"));
    machine.sh(&format!("export PATH=$PATH:/opt/x/bin; ! {PROGRAM} apply {PLAN} --yes 2>/tmp/said; grep -F '`elsewhere` is not on the job' /tmp/said"));
    machine.write_plan(&hooked("app-hook"));
    machine.converge();
}

#[test]
fn exposure_of_a_users_database_job_is_low() {
    let machine = with_users("exposed");
    machine.converge();
    for unit in ["bkp-orders.service", "bkp-roots.service"] {
        let said = machine.sh(&format!("systemd-analyze security --no-pager {unit}"));
        let line = said.lines().last().expect("a verdict").to_owned();
        let score = line.split_whitespace().find_map(|word| word.parse::<f32>().ok()).expect("a number");
        assert!(score <= 3.0, "{unit}: {said}");
    }
}

#[test]
fn embedded_scheduler_becomes_the_sets_user_and_nobody_elses() {
    let machine = with_users("daemon");
    machine.sh("install -m 0600 -o app -g app /dev/null /srv/app/token; echo hush >/srv/app/token");
    machine.write(
        "/usr/local/bin/app-hook",
        "#!/bin/sh\nset -e\ntest \"$(id -un)\" = app\ntest \"$(cat \"$BKP_SECRET_TOKEN_FILE\")\" = hush\n\
        test \"$XDG_CACHE_HOME\" = /var/lib/bkp/users/app/cache\n",
    );
    machine.sh("chmod 0755 /usr/local/bin/app-hook");
    let set = "orders: { type: sqlite, path: /srv/app/app.db, before: [[app-hook]], secrets: { TOKEN: { file: /srv/app/token } }, ";
    let sets = SETS.replace("orders: { type: sqlite, path: /srv/app/app.db, ", set);
    let embedded = plan("home", "daily 03:00", &sets).replace("scheduler: systemd", "scheduler: embedded");
    machine.write_plan(&embedded);
    machine.apply().ended(0);
    machine.bkp_later(Duration::from_hours(48), &["daemon", "--once", "--scope", "system"]).ended(0);
    for (set, user) in [("orders", "app"), ("posts", "blog"), ("roots", "root")] {
        let triggers: Vec<String> = machine.snapshots(set).iter().map(|it| trigger(it).to_owned()).collect();
        assert_eq!(triggers, ["trial", "schedule"], "{set}");
        assert_eq!(owners(&machine, &format!("/mnt/backup/home/*/{set}")), format!("{user}:{user}"), "{set}");
    }
    // There is nobody to hand root's secrets on.
    machine.sh("chown root:root /srv/app/token");
    machine.bkp(&["plan", PLAN]).ended(1).says("secret not readable");
}

#[test]
fn only_root_becomes_another_user_and_takes_nothing_along() {
    let machine = with_users("become");
    let run = |line: &str| machine.sh(&format!("export SECRET=hush WORD=kept; {PROGRAM} as-user {line}"));
    let id = run("blog -- /usr/bin/id -nG");
    assert_eq!(id.trim(), "blog readers");
    let seen = run("blog --keep WORD -- /usr/bin/env");
    let mut names: Vec<&str> = seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !["LANG", "TERM"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["HOME", "LOGNAME", "PATH", "USER", "WORD"]);
    assert!(seen.contains("HOME=/srv/blog\n"));
    assert_eq!(
        run("blog -- /bin/sh -c 'pwd; grep -h ^Cap[EP] /proc/self/status'"),
        "/\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
    );
    machine.sh(&format!("{PROGRAM} as-user blog -- /bin/sh -c 'exit 7'; test $? = 7"));
    let refused = machine.sh(&format!("! runuser -u app -- {PROGRAM} as-user blog -- /usr/bin/id 2>&1"));
    assert!(refused.contains("only root can become another user"), "{refused}");
    let unknown = machine.sh(&format!("! {PROGRAM} as-user nobody-here -- /usr/bin/id 2>&1"));
    assert!(unknown.contains("no user `nobody-here`"), "{unknown}");
}
