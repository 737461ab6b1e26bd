//! Programs that this process becomes, or follows, as another user.
//!
//! Nothing of root's environment is handed on but what is named, and a program that cannot be started as the user is
//! never started as root.

use super::Command;
use super::account::Account;
use super::children::{LIVE_GROUPS, expression};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;

/// Becomes a program of another user: their groups, their ids, `/` as its folder, and no environment but the given
/// one. Comes back only with the reason why that could not be done.
#[expect(clippy::disallowed_methods, reason = "the process becomes the program, and starts no other")]
pub fn become_another(
    account: &Account,
    groups: &[u32],
    variables: &BTreeMap<String, OsString>,
    argv: &[OsString],
) -> io::Error {
    let Some((program, arguments)) = argv.split_first() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "empty argv");
    };
    leave_terminal();
    if let Err(error) = rustix::process::chdir("/") {
        return error.into();
    }
    #[cfg(target_os = "linux")]
    let mut command = {
        if let Err(error) = take_ids(account, groups) {
            return error;
        }
        let mut command = std::process::Command::new(program);
        command.args(arguments).env_clear().envs(variables);
        command
    };
    // Elsewhere ids belong to the process and not to a thread; sudo(8) sets them, with the user's groups.
    #[cfg(not(target_os = "linux"))]
    let mut command = {
        let _by_sudo = groups;
        let mut command = std::process::Command::new("/usr/bin/sudo");
        command.args(["-n", "-u", &account.name, "--", "/usr/bin/env", "-i"]);
        for (name, value) in variables {
            let mut word = OsString::from(format!("{name}="));
            word.push(value);
            command.arg(word);
        }
        command.arg(program).args(arguments);
        command
    };
    command.exec()
}

/// Gives up what root may do, for good: group ids first, because nobody else may change them. They are this thread's
/// (credentials(7)), and the program that it becomes has no other.
#[cfg(target_os = "linux")]
fn take_ids(account: &Account, groups: &[u32]) -> io::Result<()> {
    use rustix::process::{Gid, Uid};
    let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Leaves the terminal that root may sit at: who becomes another user must not be able to type there. A process that leads
/// a group cannot leave, and need not: it was started by a scheduler, which has no terminal.
fn leave_terminal() {
    let _a_leader_stays = rustix::process::setsid();
}

/// Runs a program to its end with this process's standard output and error; its exit status, or none when a signal
/// ended it. Its time limit is its own affair; a signal to bkp is passed on.
pub fn follow(command: &Command) -> io::Result<Option<i32>> {
    let handle = expression(command)?.start()?;
    let groups = handle.pids();
    if let Ok(mut live) = LIVE_GROUPS.lock() {
        live.extend(&groups);
    }
    let ended = handle.wait().map(|output| output.status.code());
    if let Ok(mut live) = LIVE_GROUPS.lock() {
        live.retain(|group| !groups.contains(group));
    }
    ended
}
