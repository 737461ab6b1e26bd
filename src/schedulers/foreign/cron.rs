//! What both kinds of cron's places share: whether a cron runs here, and which names it passes over in silence.

use crate::diagnostic::Diagnostic;
use crate::host::{FileStatus, Host};
use crate::observed::{LastRun, Started};
use std::path::Path;

/// PATH of a job whose crontab sets none (crontab(5)).
pub(super) const CRON_PATH: &str = "/usr/bin:/bin";

/// Names under which cron daemons run.
const DAEMONS: [&str; 4] = ["cron", "crond", "fcron", "busybox-cron"];

/// What is known of the cron on this host.
pub(super) struct Cron {
    /// What a line that cron reads comes to.
    pub(super) started: Started,
    /// Debian's cron and run-parts pass over more names than others do.
    pub(super) debian: bool,
}

impl Cron {
    /// Looks for a cron daemon among the processes.
    pub(super) fn look(host: &dyn Host) -> Self {
        let debian = host.status(Path::new("/etc/debian_version")).is_ok();
        Self { started: daemon(host), debian }
    }

    /// Why cron leaves a file of `/etc/cron.d` out; none where it does not, as far as is known.
    pub(super) fn leaves_out(&self, name: &str, status: Option<&FileStatus>, text: &str) -> Option<String> {
        if self.debian && has_other_characters(name) {
            return Some(format!(
                "cron reads no file in /etc/cron.d whose name is like `{name}`: only letters, digits, `_` and `-`"
            ));
        }
        if status.is_some_and(|it| it.uid != 0 || it.mode & 0o022 != 0) {
            return Some(
                "cron reads no file in /etc/cron.d that is not root's, or that others may write".to_owned(),
            );
        }
        self.cut_off(text)
    }

    /// Why Debian's cron does not read a crontab to its end (crontab(5), "missing newline before EOF").
    pub(super) fn cut_off(&self, text: &str) -> Option<String> {
        let cut = self.debian && !text.is_empty() && !text.ends_with('\n');
        cut.then(|| "its last line has no line end, and cron does not read such a file".to_owned())
    }

    /// Why run-parts leaves a file of `/etc/cron.daily` and its like out.
    pub(super) fn run_parts_leaves_out(&self, name: &str, status: &FileStatus) -> Option<String> {
        if status.mode & 0o111 == 0 {
            return Some("it is not executable, so run-parts leaves it out".to_owned());
        }
        (self.debian && has_other_characters(name))
            .then(|| format!("run-parts leaves out names like `{name}`: only letters, digits, `_` and `-`"))
    }
}

/// What `run-parts` of Debian, and its cron in `/etc/cron.d`, pass over (run-parts(8), cron(8)).
fn has_other_characters(name: &str) -> bool {
    !name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-')
}

/// Names that packages and editors leave behind.
pub(super) fn is_left_behind(name: &str) -> bool {
    let ends = [".dpkg-old", ".dpkg-dist", ".dpkg-new", ".rpmsave", ".rpmnew", ".rpmorig", "~", ".swp"];
    name.starts_with('.') || ends.iter().any(|end| name.ends_with(end))
}

fn daemon(host: &dyn Host) -> Started {
    let unknown =
        |why: String| Started::Unknown(Diagnostic::new("start not known", "cron's daemon").why(why));
    let processes = match host.list_dir(Path::new("/proc")) {
        Ok(processes) => processes,
        Err(error) => return unknown(format!("the processes were not listed: {error}")),
    };
    let numbers =
        processes.iter().filter_map(|name| name.to_str()).filter(|name| name.parse::<u32>().is_ok());
    let runs = numbers.into_iter().any(|number| {
        // A process that has ended since is none.
        let comm = host.read(&Path::new("/proc").join(number).join("comm")).unwrap_or_default();
        DAEMONS.contains(&String::from_utf8_lossy(&comm).trim())
    });
    if runs {
        Started::ByScheduler
    } else if host.user().is_root() {
        Started::ByNothing("no cron daemon runs".to_owned())
    } else {
        unknown("no cron daemon was seen; other users' processes can be hidden".to_owned())
    }
}

/// Cron keeps no record that could be asked.
pub(super) fn last_run(name: &str) -> LastRun {
    LastRun::Unknown(
        Diagnostic::new("last run not known", name.to_owned()).why("cron keeps no record of runs"),
    )
}
