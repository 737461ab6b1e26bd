//! Whether a cron runs, as the kernel tells it (proc(5)). Only looks.
//!
//! A process that cannot be looked at is not "none": where others' processes are hidden the answer is an error.

use crate::declared::Scope;
use crate::host::Host;
use crate::schedulers::SchedulerError;
use std::io;
use std::path::{Path, PathBuf};

/// The process namespace of this process; a link that only Linux has, as the rest of what is asked here.
#[cfg(target_os = "linux")]
const OUR_NAMESPACE: &str = "/proc/self/ns/pid";
#[cfg(not(target_os = "linux"))]
const OUR_NAMESPACE: &str = "";

/// What may be told apart of a cron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Daemon {
    /// Its process.
    pub(super) pid: u32,
    /// Busybox's reads users' tables and no `/etc/cron.d`.
    pub(super) busybox: bool,
}

fn unreadable(reason: impl Into<String>) -> SchedulerError {
    SchedulerError::Unreadable { command: "/proc".to_owned(), reason: reason.into() }
}

/// A cron that starts jobs of a scope.
pub(super) fn living(host: &dyn Host, scope: Scope) -> Result<Option<Daemon>, SchedulerError> {
    if !cfg!(target_os = "linux") {
        return Err(unreadable("whether a cron runs is told on Linux alone"));
    }
    let names = host.list_dir(Path::new("/proc")).map_err(|error| unreadable(error.to_string()))?;
    let pids: Vec<u32> = names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
    if !pids.contains(&1) {
        return Err(unreadable("other users' processes are hidden from this user (mount option `hidepid`)"));
    }
    let crons = pids.into_iter().filter_map(|pid| examine(host, pid));
    let reads = |daemon: &Daemon| match scope {
        Scope::System => !daemon.busybox,
        Scope::User => true,
    };
    Ok(crons.into_iter().find(reads))
}

/// The cron that a process is; none for every other. A process that ended meanwhile is none.
fn examine(host: &dyn Host, pid: u32) -> Option<Daemon> {
    let of = |name: &str| PathBuf::from(format!("/proc/{pid}/{name}"));
    let name = String::from_utf8(host.read(&of("comm")).ok()?).ok()?;
    let busybox = match name.trim_end() {
        "cron" | "crond" => host
            .read_link(&of("exe"))
            .is_ok_and(|program| program.file_name().is_some_and(|it| it == "busybox")),
        "busybox" => {
            let words = host.read(&of("cmdline")).ok()?;
            words.split(|byte| *byte == 0).nth(1).filter(|word| *word == b"crond")?;
            true
        }
        _ => return None,
    };
    // A container's cron is seen from its host, and serves nobody there.
    let namespace = |of: &Path| host.read_link(of).ok();
    if let (Some(its), Some(ours)) = (namespace(&of("ns/pid")), namespace(Path::new(OUR_NAMESPACE)))
        && its != ours
    {
        return None;
    }
    // Crons start a child of the same name for each job, in the daemon's process group: one that is left over from a
    // daemon that was stopped starts nothing. A zombie does neither.
    let stat = Stat::of(host, pid)?;
    // Anybody may call a program so; only root's starts other users' jobs.
    let roots = host.status(&PathBuf::from(format!("/proc/{pid}"))).ok()?.uid == 0;
    let job_of_a_daemon = pid != 1 && stat.group != pid && Stat::of(host, stat.group).is_none();
    (roots && !matches!(stat.state, 'Z' | 'X') && !job_of_a_daemon).then_some(Daemon { pid, busybox })
}

/// What proc(5) says of a process.
struct Stat {
    state: char,
    /// The leader of its process group.
    group: u32,
}

impl Stat {
    fn of(host: &dyn Host, pid: u32) -> Option<Self> {
        let bytes = host.read(&PathBuf::from(format!("/proc/{pid}/stat"))).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        Some(Self { state: fields.next()?.chars().next()?, group: fields.nth(1)?.parse().ok()? })
    }
}

/// Whether a folder is there.
pub(super) fn is_there(host: &dyn Host, folder: &Path) -> Result<bool, SchedulerError> {
    match host.status(folder) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(SchedulerError::File { path: folder.to_owned(), error }),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::host::FakeHost;

    fn process(host: FakeHost, pid: u32, comm: &str, state: char, cmdline: &str) -> FakeHost {
        host.file(&format!("/proc/{pid}/comm"), &format!("{comm}\n"), 0o444)
            .file(&format!("/proc/{pid}/stat"), &format!("{pid} ({comm}) {state} 1 {pid} {pid}"), 0o444)
            .file(&format!("/proc/{pid}/cmdline"), cmdline, 0o444)
    }

    fn found(host: &FakeHost, scope: Scope) -> Option<u32> {
        living(host, scope).expect("/proc is readable").map(|daemon| daemon.pid)
    }

    #[test]
    fn cron_is_known_by_its_name_and_must_live() {
        let machine = || process(FakeHost::default(), 1, "init", 'S', "init");
        assert_eq!(found(&machine(), Scope::System), None);
        for name in ["cron", "crond"] {
            assert_eq!(found(&process(machine(), 70, name, 'S', name), Scope::System), Some(70));
        }
        for (name, state) in [("cron", 'Z'), ("cronolog", 'S'), ("fcron", 'S'), ("anacron", 'S')] {
            assert_eq!(found(&process(machine(), 70, name, state, name), Scope::System), None, "{name}");
        }
    }

    #[test]
    fn job_that_outlives_its_daemon_is_no_daemon() {
        let machine = process(FakeHost::default(), 1, "init", 'S', "init");
        let job = machine
            .file("/proc/71/comm", "cron\n", 0o444)
            .file("/proc/71/stat", "71 (cron) S 1 70 70", 0o444)
            .file("/proc/71/cmdline", "CRON", 0o444);
        assert_eq!(found(&job, Scope::System), None);
        assert_eq!(found(&process(job, 70, "cron", 'S', "cron"), Scope::System), Some(70));
    }

    #[test]
    fn busyboxs_cron_serves_users_and_not_the_systems_folder() {
        let machine = process(FakeHost::default(), 1, "init", 'S', "init");
        let machine = process(machine, 70, "busybox", 'S', "busybox\0crond\0-f\0");
        assert_eq!(found(&machine, Scope::User), Some(70));
        assert_eq!(found(&machine, Scope::System), None);
        let other = process(FakeHost::default(), 1, "busybox", 'S', "busybox\0httpd\0");
        assert_eq!(found(&other, Scope::User), None);
    }

    #[test]
    fn hidden_processes_are_not_taken_for_none() {
        let hidden = process(FakeHost::default(), 4711, "bash", 'S', "bash");
        assert!(living(&hidden, Scope::User).is_err());
    }
}
