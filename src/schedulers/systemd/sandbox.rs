//! What a job of the system may do (systemd.exec(5)): read everything it was told to read, write where it was told to
//! write, and little else.
//!
//! A sandbox that hides data would make a backup smaller without a word, so every restriction that can hide or refuse
//! something a job was told to read, restore or run is left away for that job.

use super::quote::quoted;
use crate::observed::JobName;
use crate::schedulers::Job;
use std::path::{Path, PathBuf};

/// Always: none of these can come between a backup and its data, or a hook and its work.
const ALWAYS: &[&str] = &[
    "ProtectClock=true",
    "ProtectControlGroups=true",
    "ProtectHostname=true",
    "ProtectKernelTunables=true",
    "LockPersonality=true",
    "RestrictRealtime=true",
    "KeyringMode=private",
];

/// Where only bkp itself runs. Hooks and secret commands are other people's programs: they mount snapshots, write
/// dumps, use `sudo`, change users, translate code at run time.
const ALONE: &[&str] = &[
    "ProtectSystem=strict",
    "ProtectProc=invisible",
    "NoNewPrivileges=true",
    "MemoryDenyWriteExecute=true",
    "RestrictNamespaces=true",
    // AF_NETLINK: the resolver asks the kernel for addresses by it.
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    // A call outside the list fails as one that the kernel does not have; the run reports it instead of dying.
    "SystemCallErrorNumber=EPERM",
];

/// Reads what belongs to others (`DAC_READ_SEARCH`), writes WAL files and destinations that belong to others
/// (`DAC_OVERRIDE`); a drill gives restored files their owners, modes, set-id bits and file capabilities back.
/// `RestrictSUIDSGID` stays off for the same reason. It sees the processes of others in spite of `ProtectProc`, as every
/// member of root's group does (proc(5), `hidepid`).
const OF_ROOT: &str = "CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER CAP_FSETID CAP_SETFCAP";
/// An audit becomes the users that sets run as, to see what they see.
const OF_AUDIT: &str = " CAP_SETUID CAP_SETGID";

/// A drill starts a server as a user who owns it, ends it, and removes its files. It restores no file with rights of its
/// own, as a drill of files does.
const OF_OTHER_USERS: &str =
    "CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER CAP_SETUID CAP_SETGID CAP_KILL";

/// What is left of root's power to a job in which only bkp itself runs: to a user's, nothing.
fn capabilities(job: &Job) -> String {
    let of_audit = match &job.name {
        JobName::Audit(_) => OF_AUDIT,
        JobName::Set(_) | JobName::Trial(_) => "",
    };
    match &job.run_as {
        Some(_) => "CapabilityBoundingSet=".to_owned(),
        None if job.other_users => format!("CapabilityBoundingSet={OF_OTHER_USERS}"),
        None => format!("CapabilityBoundingSet={OF_ROOT}{of_audit}"),
    }
}

/// The sandbox's lines for a job of the system.
pub(super) fn lines(job: &Job) -> Vec<String> {
    let paths = paths(job);
    let touches = |folders: &[&str]| {
        paths.iter().any(|path| {
            folders.iter().map(Path::new).any(|folder| path.starts_with(folder) || folder.starts_with(path))
        })
    };
    let mut lines: Vec<String> = ALWAYS.iter().map(|line| (*line).to_owned()).collect();
    if job.runs_programs {
        // /usr, /boot and /etc stay read-only even then.
        lines.push("ProtectSystem=full".to_owned());
    } else {
        lines.extend(ALONE.iter().map(|line| (*line).to_owned()));
        lines.push(capabilities(job));
        lines.extend(job.other_users.then(|| "RestrictSUIDSGID=true".to_owned()));
        let home = if touches(&["/home", "/root", "/run/user"]) { "read-only" } else { "true" };
        lines.push(format!("ProtectHome={home}"));
        // Each of these hides what lies there, so a job that reads there, or reads `/`, goes without.
        let hiding: [(&str, &[&str]); 4] = [
            ("PrivateTmp=true", &["/tmp", "/var/tmp"]),
            ("PrivateDevices=true", &["/dev"]),
            ("ProtectKernelLogs=true", &["/dev", "/proc"]),
            ("ProtectKernelModules=true", &["/usr/lib/modules", "/lib/modules"]),
        ];
        lines.extend(
            hiding.iter().filter(|(_, folders)| !touches(folders)).map(|(line, _)| (*line).to_owned()),
        );
    }
    for path in &job.writable {
        lines.push(format!("ReadWritePaths={}", quoted(&path.to_string_lossy())));
    }
    lines
}

/// The line for a path that may be written to where it exists.
pub(super) fn writable_if_there(path: &Path) -> String {
    format!("ReadWritePaths={}", quoted(&format!("-{}", path.to_string_lossy())))
}

/// Every path that a job touches: what it reads and writes, its binary and the files that its arguments name.
fn paths(job: &Job) -> Vec<PathBuf> {
    let named = job.argv.iter().filter(|word| word.starts_with('/')).map(PathBuf::from);
    job.readable.iter().chain(&job.writable).cloned().chain(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedulers::systemd::unit::tests::job;

    fn has(job: &Job, line: &str) -> bool {
        lines(job).iter().any(|it| it == line)
    }

    #[test]
    fn job_that_reads_below_home_is_not_shut_out() {
        let mut job = job();
        assert!(has(&job, "ProtectHome=true"));
        job.readable.push("/home/ada/notes.db".into());
        assert!(has(&job, "ProtectHome=read-only"));
    }

    #[test]
    fn job_that_reads_the_whole_machine_sees_all_of_it() {
        let mut job = job();
        job.readable = vec!["/".into()];
        for line in
            ["PrivateTmp=true", "PrivateDevices=true", "ProtectKernelModules=true", "ProtectHome=true"]
        {
            assert!(!has(&job, line), "{line}");
        }
    }

    #[test]
    fn tmp_is_private_only_where_nothing_lies_there() {
        let mut job = job();
        assert!(has(&job, "PrivateTmp=true"));
        job.writable.push("/var/tmp/bkp".into());
        assert!(!has(&job, "PrivateTmp=true"));
    }

    #[test]
    fn users_job_keeps_nothing_of_roots_power_and_an_audit_can_become_users() {
        let mut job = job();
        let kept = |job: &Job| {
            let lines = lines(job);
            lines
                .iter()
                .find_map(|line| line.strip_prefix("CapabilityBoundingSet="))
                .expect("a line")
                .to_owned()
        };
        assert_eq!(kept(&job), OF_ROOT);
        job.run_as = "app".parse().ok();
        assert_eq!(kept(&job), "");
        job.run_as = None;
        job.name = JobName::Audit("home".parse().expect("a name"));
        assert_eq!(kept(&job), format!("{OF_ROOT}{OF_AUDIT}"));
    }

    #[test]
    fn job_that_starts_servers_as_another_user_restores_no_files_with_rights_of_their_own() {
        let mut job = job();
        assert!(!has(&job, "RestrictSUIDSGID=true"));
        job.other_users = true;
        assert!(has(&job, "RestrictSUIDSGID=true"));
        assert!(has(&job, &format!("CapabilityBoundingSet={OF_OTHER_USERS}")));
        job.run_as = "app".parse().ok();
        assert!(has(&job, "CapabilityBoundingSet="));
    }

    #[test]
    fn hooks_are_left_room() {
        let mut job = job();
        job.runs_programs = true;
        let text = lines(&job).join("\n");
        for word in
            ["SystemCallFilter", "CapabilityBoundingSet", "MemoryDeny", "NoNewPrivileges", "PrivateTmp"]
        {
            assert!(!text.contains(word), "{word}");
        }
        assert!(text.contains("ProtectSystem=full"));
    }

    #[test]
    fn writable_path_with_a_blank_is_one_path() {
        let mut job = job();
        job.writable = vec!["/srv/my data".into()];
        assert!(has(&job, "ReadWritePaths=\"/srv/my data\""));
    }
}
