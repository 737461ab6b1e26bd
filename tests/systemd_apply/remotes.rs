//! Destinations behind a network, reached by the jobs themselves: keys handed on by the manager, `ssh`, `rsync` and `rclone`
//! inside the sandbox, as root and as another user.

use super::machine::trigger;
use super::*;

/// Three ways to one host, each with what it needs handed on; and a set whose job is another user's.
const PLAN: &str = "version: 1\nname: home\nhost: \"*\"\n\
    defaults: { schedule: daily 03:00, destinations: [near, sftp, rsync, rclone], retention: { last: 5 } }\n\
    destinations:\n  near: { type: local, path: /mnt/backup/home }\n  \
      sftp: { type: sftp, host: 127.0.0.1, port: 2222, user: keeper, path: /home/keeper/sftp, key: { file: /etc/app/key }, \
        known_hosts: { file: /etc/app/known_hosts }, encryption: { type: age, recipients: [RECIPIENT], identity: { file: \
        /etc/app/age } } }\n  \
      rsync: { type: rsync, host: 127.0.0.1, port: 2222, user: keeper, path: /home/keeper/rsync, key: { file: /etc/app/key }, \
        known_hosts: { file: /etc/app/known_hosts } }\n  \
      rclone: { type: rclone, remote: \"box:here\", config: { file: /etc/app/rclone.conf } }\n\
    sets:\n  app: { type: files, paths: [/srv/app] }\n  \
      theirs: { type: files, paths: [/home/ada/notes], run_as: ada, destinations: [sftp, rsync] }\n";

#[test]
fn jobs_reach_other_hosts_from_inside_their_sandbox_with_keys_that_the_manager_hands_on() {
    let machine = Machine::boot("remotes");
    machine.user("ada", false);
    machine.user("keeper", false);
    machine.sh(
        "set -e; mkdir -p /etc/app /srv/app /run/sshd /srv/box; echo one >/srv/app/a; umask 077; \
         runuser -u ada -- sh -c 'mkdir -p ~/notes; echo two >~/notes/b'; \
         for key in host key; do ssh-keygen -q -t ed25519 -N '' -f /etc/app/$key; done; \
         install -d -o keeper -m 0700 /home/keeper/.ssh; install -o keeper -m 0600 /etc/app/key.pub \
           /home/keeper/.ssh/authorized_keys; \
         echo \"[127.0.0.1]:2222 $(cut -d' ' -f1,2 /etc/app/host.pub)\" >/etc/app/known_hosts; \
         printf '[box]\\ntype = webdav\\nurl = http://127.0.0.1:2280\\n' >/etc/app/rclone.conf; \
         systemd-run --quiet --unit=dav /usr/bin/rclone --config /dev/null serve webdav --addr 127.0.0.1:2280 /srv/box; \
         printf 'Port 2222\\nListenAddress 127.0.0.1\\nHostKey /etc/app/host\\nUsePAM no\\nPidFile none\\nSubsystem sftp \
           internal-sftp\\n' >/etc/app/sshd_config; \
         passwd -q -d keeper; systemd-run --quiet --unit=far /usr/sbin/sshd -D -e -f /etc/app/sshd_config",
    );
    let recipient = machine.bkp(&["keys", "new", "--out", "/etc/app/age"]).ended(0).out.trim().to_owned();
    machine.write_plan(&PLAN.replace("RECIPIENT", &format!("\"{recipient}\"")));
    machine.converge();
    let found = machine.audit().findings;
    let far = |it: &machine::Found| it.code != "shared-fate" && it.code != "same-device";
    assert!(!found.iter().any(far), "{found:#?}");
    for (unit, files) in
        [("bkp-app", ["key", "known_hosts", "identity"]), ("bkp-theirs", ["key", "known_hosts", "identity"])]
    {
        let text = machine.sh(&format!("cat /etc/systemd/system/{unit}.service"));
        for file in files {
            let name = file.replace('_', "-");
            assert!(text.contains(&format!("LoadCredential=bkp-sftp.{name}:/etc/app/")), "{unit}: {text}");
        }
        let secret = machine.sh("tail -n 1 /etc/app/age");
        assert!(!text.contains(secret.trim()), "{text}");
        machine.sh(&format!("systemctl start {unit}.service"));
    }
    for set in ["app", "theirs"] {
        let newest = machine.snapshots(set);
        assert_eq!(trigger(newest.last().expect("a snapshot")), "schedule", "{set}");
    }
    machine.bkp(&["drill", "app"]).ended(0).says("app at sftp").says("app at rsync").says("app at rclone");
    machine.bkp(&["drill", "theirs"]).ended(0).says("theirs at sftp").says("theirs at rsync");
    // Nothing of a key stays behind.
    let left = machine.sh("grep -rlF -e 'OPENSSH PRIVATE KEY' -e AGE-SECRET-KEY /var/lib/bkp /tmp /run/bkp* /etc/bkp 2>/dev/null || true");
    assert_eq!(left, "");
    // Another host key stops the job, and the audit says whose fault it is.
    machine.sh("cut -d' ' -f1,2 /etc/app/key.pub | sed 's/^/[127.0.0.1]:2222 /' >/etc/app/known_hosts");
    machine.sh("systemctl start bkp-app.service || true");
    let audit = machine.audit();
    assert!(audit.findings.iter().any(|it| it.code == "destination-stranger"), "{audit:#?}");
}
