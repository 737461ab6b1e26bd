//! Lines of crontabs (crontab(5)): the system's, those in `/etc/cron.d`, and users' own.

use super::cron::{CRON_PATH, Cron, is_left_behind, last_run};
use super::entry::{Entry, Looked};
use super::programs::{Surroundings, programs};
use super::words::assignment;
use crate::diagnostic::Diagnostic;
use crate::host::{Command, Host};
use crate::observed::{ForeignKind, Started};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What a block of ours in a crontab begins with.
const OUR_MARKER: &str = "# bkp-job:";

/// Where cron daemons keep users' crontabs: Debian's and others'.
const SPOOLS: [&str; 2] = ["/var/spool/cron/crontabs", "/var/spool/cron"];

/// One line that starts a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'t> {
    pub(super) number: u32,
    pub(super) schedule: String,
    pub(super) command: &'t str,
    /// PATH as the lines before it set it.
    pub(super) search_path: String,
}

/// A crontab's lines; in a system's one each names a user behind the schedule. Lines of ours are left out.
pub(super) fn lines(text: &str, names_users: bool) -> Vec<Line<'_>> {
    let mut search_path = CRON_PATH.to_owned();
    let mut found = Vec::new();
    let mut after_marker = false;
    for (number, line) in (1_u32..).zip(text.lines()) {
        let line = line.trim();
        let marked = std::mem::take(&mut after_marker);
        if line.starts_with('#') {
            after_marker = line.starts_with(OUR_MARKER) || marked;
            continue;
        }
        let variable = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        if let Some((name, value)) = variable
            && assignment(&format!("{name}=")).is_some()
        {
            if name == "PATH" {
                value.trim_matches(['"', '\'']).clone_into(&mut search_path);
            }
            after_marker = marked;
            continue;
        }
        let fields = if line.starts_with('@') { 1 } else { 5 };
        let Some((schedule, rest)) = split_fields(line, fields) else { continue };
        let command =
            if names_users { split_fields(rest, 1).map(|(_, command)| command) } else { Some(rest) };
        let Some(command) = command.filter(|it| !it.is_empty()) else { continue };
        let ours = marked || (command.contains("--plan") && command.contains("bkp"));
        if !ours {
            found.push(Line { number, schedule, command, search_path: search_path.clone() });
        }
    }
    found
}

/// The first fields, with one blank between, and what is behind them.
fn split_fields(line: &str, count: usize) -> Option<(String, &str)> {
    let mut rest = line.trim_start();
    let mut fields = Vec::with_capacity(count);
    for _ in 0..count {
        let end = rest.find(char::is_whitespace)?;
        fields.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    Some((fields.join(" "), rest))
}

/// Adds the lines of one crontab.
fn add(host: &dyn Host, looked: &mut Looked, path: &Path, text: &str, names_users: bool, started: &Started) {
    let home = host.user().home;
    for line in lines(text, names_users) {
        let name = format!("{}:{}", path.display(), line.number);
        // What is behind a `%` is the command's standard input.
        let command = line.command.split_once('%').filter(|(before, _)| !before.ends_with('\\'));
        let command = command.map_or(line.command, |(before, _)| before);
        let command = command.replace("\\%", "%");
        let surroundings = Surroundings::new(Some(line.search_path), &home);
        let entry = Entry {
            kind: ForeignKind::Crontab,
            last_run: last_run(&name),
            name,
            path: path.to_owned(),
            line: Some(line.number),
            schedule: Some(line.schedule),
            programs: programs(&command, &surroundings),
            started: started.clone(),
            of_the_distribution: false,
            bears_a_name: false,
        };
        looked.add(host, &home, entry);
    }
}

/// Looks at `/etc/crontab` and `/etc/cron.d`.
pub(super) fn look_system(host: &dyn Host, cron: &Cron) -> Looked {
    let mut looked = Looked::new("read /etc/crontab and /etc/cron.d");
    let path = Path::new("/etc/crontab");
    if let Some(text) = looked.text(host, path) {
        let started = cron.cut_off(&text).map_or_else(|| cron.started.clone(), Started::ByNothing);
        add(host, &mut looked, path, &text, true, &started);
    }
    let folder = Path::new("/etc/cron.d");
    for name in looked.names(host, folder).into_iter().filter(|name| !is_left_behind(name)) {
        let path = folder.join(&name);
        let Some(text) = looked.text(host, &path) else { continue };
        let left_out = cron.leaves_out(&name, host.status(&path).ok().as_ref(), &text);
        let started = left_out.map_or_else(|| cron.started.clone(), Started::ByNothing);
        add(host, &mut looked, &path, &text, true, &started);
    }
    looked
}

/// Looks at this user's crontab, and as root at everybody's.
pub(super) fn look_users(host: &dyn Host, cron: &Cron) -> Looked {
    if host.user().is_root() { look_spools(host, cron) } else { look_own(host, cron) }
}

fn look_spools(host: &dyn Host, cron: &Cron) -> Looked {
    let mut looked = Looked::new("read the crontabs in /var/spool/cron");
    for folder in SPOOLS.map(Path::new) {
        for user in looked.names(host, folder).into_iter().filter(|name| !is_left_behind(name)) {
            let path: PathBuf = folder.join(&user);
            if host.status(&path).is_ok_and(|status| status.kind != crate::host::FileKind::File) {
                continue;
            }
            if let Some(text) = looked.text(host, &path) {
                add(host, &mut looked, &path, &text, false, &cron.started);
            }
        }
    }
    looked
}

fn look_own(host: &dyn Host, cron: &Cron) -> Looked {
    let mut looked = Looked::new("crontab -l");
    let mut command = Command::look(["crontab", "-l"]);
    command.env.insert("LC_ALL".to_owned(), OsString::from("C"));
    match host.run(&command) {
        // Without the program there is no crontab of this user's that a cron would read.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => looked.failed = Some(failed(&error.to_string())),
        Ok(output) if output.succeeded() => {
            looked.present = true;
            let path = PathBuf::from(format!("crontab of {}", host.user().name));
            add(host, &mut looked, &path, &output.text(), false, &cron.started);
        }
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("no crontab") => {}
        // The system's own list of who may have one says nothing about a crontab that is there already.
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("not allowed") => {
            looked.gap(Path::new("crontab -l"), &output.explain());
        }
        Ok(output) => looked.failed = Some(failed(&output.explain())),
    }
    looked
}

fn failed(why: &str) -> Diagnostic {
    Diagnostic::new("crontab not readable", "`crontab -l`")
        .why(why)
        .fix("run `crontab -l` as this user, or give a reason under `discover.ignore` as `backup:crontab`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_numbers_and_the_path_that_was_set_before_them() {
        let text = "# a\nSHELL=/bin/sh\n0 3 * * * root /a b\nPATH=/opt/bin\n@daily root c\n\n";
        let found = lines(text, true);
        let shown: Vec<_> = found
            .iter()
            .map(|it| (it.number, it.schedule.as_str(), it.command, it.search_path.as_str()))
            .collect();
        assert_eq!(shown, [(3, "0 3 * * *", "/a b", "/usr/bin:/bin"), (5, "@daily", "c", "/opt/bin")]);
    }

    #[test]
    fn lines_of_ours_are_left_out() {
        let text = "# bkp-job: {}\n# Made by bkp.\n0 3 * * * /usr/bin/bkp run x\n\
                    0 4 * * * /usr/bin/bkp --plan /etc/bkp/plans/a.yaml run y\n0 5 * * * restic backup\n";
        let found: Vec<u32> = lines(text, false).iter().map(|it| it.number).collect();
        assert_eq!(found, [5]);
    }

    #[test]
    fn command_with_an_equals_sign_is_no_variable() {
        assert_eq!(lines("0 3 * * * A=b restic backup\n", false).len(), 1);
    }
}
