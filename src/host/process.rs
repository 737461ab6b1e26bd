//! Processes that are not children of this one: what a killed run left behind.

use super::{Command, Host, read_text};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between two looks at whether it has ended.
const POLL: Duration = Duration::from_millis(20);
/// The longest that a process may take to end after it was told to.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process's arguments in one line; none where it does not run (proc(5), ps(1)).
pub fn command_line(host: &dyn Host, pid: u32) -> Option<String> {
    let line = match host.read(&PathBuf::from(format!("/proc/{pid}/cmdline"))) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).replace('\0', " "),
        Err(_) if cfg!(target_os = "linux") => return None,
        Err(_) => {
            let output =
                host.run(&Command::look(["ps", "-ww", "-o", "args=", "-p", &pid.to_string()])).ok()?;
            output.text()
        }
    };
    (!line.trim().is_empty()).then(|| line.trim().to_owned())
}

/// Programs that drills start, as the kernel shows them (proc(5), `comm`: at most 15 bytes).
const OF_DRILLS: [&str; 11] = [
    "postgres",
    "initdb",
    "mariadbd",
    "mysqld",
    "mariadb-install",
    "mysql_install_d",
    "redis-server",
    "valkey-server",
    "keydb-server",
    "mongod",
    "qdrant",
];

/// Whether a process works in a folder: it is its working directory, also when that is gone, or its arguments name it. A
/// server may write its arguments anew (setproctitle), so that they alone would not tell.
pub fn works_in(host: &dyn Host, pid: u32, folder: &Path) -> bool {
    let current = host.read_link(&PathBuf::from(format!("/proc/{pid}/cwd")));
    current.is_ok_and(|current| current.starts_with(folder))
        || command_line(host, pid).is_some_and(|line| line.contains(&folder.display().to_string()))
}

/// The servers, and the programs that make their folders, that work in a folder: a killed drill may have had no time to
/// write them down. None where the system shows no processes (proc(5)).
pub fn servers_in(host: &dyn Host, folder: &Path) -> Vec<u32> {
    let pids = host.list_dir(Path::new("/proc")).unwrap_or_default();
    let pids = pids.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok());
    let of_a_drill = |pid: &u32| {
        let name = read_text(host, &PathBuf::from(format!("/proc/{pid}/comm"))).unwrap_or_default();
        OF_DRILLS.contains(&name.trim()) && works_in(host, *pid, folder)
    };
    pids.filter(of_a_drill).collect()
}

/// Whether a process has ended with all its threads: it is gone, or waits for its parent to ask for its status. One that
/// is ending has no arguments any more, and its files still open (proc(5), `stat`: fields 3 and 20).
fn has_ended(host: &dyn Host, pid: u32) -> bool {
    if !cfg!(target_os = "linux") {
        return command_line(host, pid).is_none();
    }
    let stat = match host.read(&PathBuf::from(format!("/proc/{pid}/stat"))) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            let gone = Some(rustix::io::Errno::SRCH.raw_os_error());
            return error.kind() == std::io::ErrorKind::NotFound || error.raw_os_error() == gone;
        }
    };
    // The program's name, in brackets, may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let (state, threads) = (fields.clone().next(), fields.clone().nth(17));
    matches!(state, Some("Z" | "X")) && matches!(threads, Some("0" | "1"))
}

/// Ends a process: in order by SIGQUIT, and by SIGKILL, with its group, where it has not ended after ten seconds.
/// Whether it is gone.
pub fn end_process(host: &dyn Host, pid: u32) -> bool {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group};
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return true };
    let gone = |deadline: Instant| {
        while !has_ended(host, pid) {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    };
    let _told = kill_process(id, Signal::QUIT);
    if gone(Instant::now() + PATIENCE) {
        return true;
    }
    let _killed = kill_process_group(id, Signal::KILL);
    let _killed = kill_process(id, Signal::KILL);
    gone(Instant::now() + PATIENCE)
}
