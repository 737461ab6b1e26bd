//! Scripts in `/etc/cron.daily` and its like, and whether a line of cron starts the folder at all.

use super::cron::{CRON_PATH, Cron, is_left_behind, last_run};
use super::crontab;
use super::entry::{Entry, Looked};
use super::programs::{How, Program};
use super::tools;
use crate::diagnostic::Diagnostic;
use crate::host::{FileKind, Host};
use crate::observed::{ForeignKind, Started};
use std::path::Path;

const FOLDERS: [(&str, &str); 4] = [
    ("/etc/cron.hourly", "hourly"),
    ("/etc/cron.daily", "daily"),
    ("/etc/cron.weekly", "weekly"),
    ("/etc/cron.monthly", "monthly"),
];

/// Looks into each of the folders.
pub(super) fn look(host: &dyn Host, cron: &Cron) -> Looked {
    let mut looked =
        Looked::new("read /etc/cron.hourly, /etc/cron.daily, /etc/cron.weekly and /etc/cron.monthly");
    for (folder, schedule) in FOLDERS {
        let path = Path::new(folder);
        let names = looked.names(host, path);
        if names.is_empty() {
            continue;
        }
        let (started, search_path) = starter(host, cron, folder);
        for name in names.iter().filter(|name| !is_left_behind(name) && !tools::is_of_the_distribution(name))
        {
            let path = path.join(name);
            let Ok(status) = host.status(&path) else { continue };
            if status.kind != FileKind::File {
                continue;
            }
            let left_out = cron.run_parts_leaves_out(name, &status);
            let shown = path.display().to_string();
            let program = Program {
                words: vec![shown.clone()],
                how: How::Directly,
                search_path: Some(search_path.clone()),
            };
            let entry = Entry {
                kind: ForeignKind::CronFolder,
                last_run: last_run(&shown),
                name: shown,
                path,
                line: None,
                schedule: Some(schedule.to_owned()),
                programs: vec![program],
                started: left_out.map_or_else(|| started.clone(), Started::ByNothing),
                of_the_distribution: false,
                bears_a_name: true,
            };
            looked.add(host, &host.user().home, entry);
        }
    }
    looked
}

/// Whether some line of cron or anacron names the folder, and the PATH of that line.
fn starter(host: &dyn Host, cron: &Cron, folder: &str) -> (Started, String) {
    let mut files = vec!["/etc/crontab".into(), "/etc/anacrontab".into()];
    for spool in ["/etc/cron.d", "/var/spool/cron/crontabs", "/var/spool/cron"].map(Path::new) {
        files.extend(host.list_dir(spool).unwrap_or_default().into_iter().map(|name| spool.join(name)));
    }
    for file in files {
        let text = host.read(&file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        if let Some(line) = crontab::lines(&text, true).into_iter().find(|line| line.command.contains(folder))
        {
            return (cron.started.clone(), line.search_path);
        }
        // A line of anacron's has other fields.
        let named = |line: &str| !line.trim_start().starts_with('#') && line.contains(folder);
        if text.lines().any(named) {
            return (cron.started.clone(), CRON_PATH.to_owned());
        }
    }
    let started = if host.user().is_root() {
        Started::ByNothing(format!("no line of cron's or anacron's starts {folder}"))
    } else {
        Started::Unknown(
            Diagnostic::new("start not known", folder)
                .why("no line that this user may read starts the folder"),
        )
    };
    (started, CRON_PATH.to_owned())
}
