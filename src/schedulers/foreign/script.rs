//! Scripts that look like backups and that nothing starts: the ones that were never attached, and the ones whose line
//! was lost.

use super::entry::{Entry, Looked, is_absence, is_shell, mentions as mentions_of, script_text};
use super::programs::{How, Program, Surroundings, programs};
use super::systemd::SYSTEM_PATH;
use super::tools;
use crate::diagnostic::Diagnostic;
use crate::host::{FileKind, Host};
use crate::observed::{ForeignKind, LastRun, Started};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Most files that are opened.
const FILES_MAX: usize = 2000;

/// Endings of scripts that may lack the executable bit.
const ENDINGS: [&str; 4] = ["sh", "bash", "py", "pl"];

/// A script that looks like a backup.
struct Script {
    path: PathBuf,
    programs: Vec<Program>,
    text: String,
}

/// Where scripts are looked for when nothing else is said: the folders in which people put their own. A folder of
/// another user's home is never looked into.
pub fn default_script_folders(host: &dyn Host) -> Vec<PathBuf> {
    let user = host.user();
    let mut folders: Vec<PathBuf> =
        ["/usr/local/bin", "/usr/local/sbin", "/opt", "/srv"].map(PathBuf::from).into();
    for parent in ["/opt", "/srv"].map(Path::new) {
        // A parent that cannot be read is told when its own files are looked at.
        for name in host.list_dir(parent).unwrap_or_default() {
            folders.extend([parent.join(&name), parent.join(&name).join("bin")]);
        }
    }
    if user.is_root() {
        folders.extend(["/root", "/root/bin"].map(PathBuf::from));
    }
    folders.push(user.home.clone());
    folders.extend(["bin", ".local/bin", "scripts"].map(|below| user.home.join(below)));
    let mut seen = BTreeSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}

/// Looks for scripts that no word in `mentions` leads to. A folder that is missing is absent, and no gap.
pub(super) fn look(host: &dyn Host, folders: &[PathBuf], mut mentions: BTreeSet<String>) -> Looked {
    let mut looked = Looked::new(format!("{} folders searched for scripts", folders.len()));
    let mut scripts = gather(host, folders, &mut looked);
    // What an attached script calls is attached too.
    loop {
        let attached: Vec<PathBuf> = scripts
            .values()
            .filter(|it| is_mentioned(host, it, &mentions))
            .map(|it| it.path.clone())
            .collect();
        if attached.is_empty() {
            break;
        }
        for script in attached.iter().filter_map(|path| scripts.remove(path)) {
            mentions.extend(script.programs.iter().flat_map(mentions_of));
        }
    }
    let home = host.user().home;
    for script in scripts.into_values().filter(|it| !is_alone_another(&it.path)) {
        let signed =
            tools::says_backup(&script.path.display().to_string()) || tools::says_backup(&script.text);
        let found = tools::quoted(&script.text, signed);
        let shell = is_shell(&script.path, &script.text);
        let is_backup = signed
            && if shell {
                script.programs.iter().any(|it| tools::tool(&it.words, signed).is_some())
            } else {
                !found.is_empty()
            };
        if is_backup {
            looked.add(host, &home, entry(host, script, shell));
        }
    }
    looked
}

fn entry(host: &dyn Host, script: Script, shell: bool) -> Entry {
    let name = script.path.display().to_string();
    let how = if shell { How::Interpreted } else { How::Directly };
    let program = Program { words: vec![name.clone()], how, search_path: Some(SYSTEM_PATH.to_owned()) };
    let user = host.user();
    let why = if user.is_root() {
        "no timer, service, cron line or agent calls it".to_owned()
    } else {
        format!("no timer, service, cron line or agent that `{}` may read calls it", user.name)
    };
    let unknown =
        Diagnostic::new("last run not known", name.clone()).why("nothing that keeps a record starts it");
    Entry {
        kind: ForeignKind::Script,
        name,
        path: script.path,
        line: None,
        schedule: None,
        programs: vec![program],
        started: Started::ByNothing(why),
        last_run: LastRun::Unknown(unknown),
        of_the_distribution: false,
        bears_a_name: true,
    }
}

/// A tool that is itself a script, as some are.
fn is_alone_another(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(tools::is_known)
}

/// Every script in the folders, by its path without links.
fn gather(host: &dyn Host, folders: &[PathBuf], looked: &mut Looked) -> BTreeMap<PathBuf, Script> {
    let home = host.user().home;
    let mut scripts = BTreeMap::new();
    let mut opened = 0_usize;
    for folder in folders {
        let mut unreadable: Option<String> = None;
        for name in looked.names(host, folder) {
            let path = folder.join(&name);
            let Ok(status) = host.status(&path) else { continue };
            let ending = path.extension().and_then(|it| it.to_str()).is_some_and(|it| ENDINGS.contains(&it));
            if status.kind != FileKind::File || (status.mode & 0o111 == 0 && !ending) {
                continue;
            }
            let path = host.canonical(&path).unwrap_or(path);
            if scripts.contains_key(&path) {
                continue;
            }
            opened += 1;
            if opened > FILES_MAX {
                looked.gap(folder, &format!("{FILES_MAX} files were read, and there are more"));
                return scripts;
            }
            match script_text(host, &path) {
                Ok(Some(text)) => {
                    let surroundings = Surroundings::new(Some(SYSTEM_PATH.to_owned()), &home);
                    let shell = is_shell(&path, &text);
                    let programs = if shell { programs(&text, &surroundings) } else { Vec::new() };
                    scripts.insert(path.clone(), Script { path, programs, text });
                }
                Ok(None) => {}
                Err(error) if is_absence(&error) => {}
                Err(error) => {
                    unreadable = unreadable.or_else(|| Some(format!("{}: {error}", path.display())));
                }
            }
        }
        if let Some(why) = unreadable {
            looked.gap(folder, &format!("some of its files could not be read, such as {why}"));
        }
    }
    scripts
}

/// Whether a command names the script: by its path, by a path that leads to it, or by its name alone.
fn is_mentioned(host: &dyn Host, script: &Script, mentions: &BTreeSet<String>) -> bool {
    let shown = script.path.display().to_string();
    let Some(name) = script.path.file_name().and_then(|it| it.to_str()) else { return false };
    mentions.iter().any(|word| {
        *word == shown
            || (tools::base(word) == name
                && (!word.starts_with('/')
                    || host.canonical(Path::new(word)).is_ok_and(|it| it == script.path)))
    })
}
