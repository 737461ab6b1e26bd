//! One thing that starts a command, and whether that looks like a backup. Files are read; nothing is run.

use super::programs::{How, Program, Surroundings, programs};
use super::tools;
use crate::diagnostic::Diagnostic;
use crate::host::{FileKind, Host};
use crate::observed::{CalledProgram, CalledState, ForeignBackup, ForeignKind, LastRun, Observed, Started};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Longest script that is read: what is longer was hardly written by hand.
const SCRIPT_BYTES_MAX: u64 = 256 * 1024;

/// Where programs lie that come with the distribution.
const OF_PACKAGES: [&str; 6] = ["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/bin", "/sbin"];

/// What a place holds, and what of it could not be looked at.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// How it was looked at.
    pub(super) how: String,
    /// Whether the place is there.
    pub(super) present: bool,
    /// Why nothing at all could be learned.
    pub(super) failed: Option<Diagnostic>,
    /// What looks like a backup there.
    pub(super) backups: Vec<ForeignBackup>,
    /// Parts that could not be looked at.
    pub(super) gaps: Vec<(PathBuf, Diagnostic)>,
    /// Every word of every command there, also of those that are no backups.
    pub(super) mentions: BTreeSet<String>,
}

impl Looked {
    pub(super) fn new(how: impl Into<String>) -> Self {
        Self { how: how.into(), ..Self::default() }
    }

    /// As a fact's value.
    pub(super) fn observed(&mut self) -> Observed<Vec<ForeignBackup>> {
        match (self.failed.take(), self.present) {
            (Some(diagnostic), _) => Observed::Unknown(diagnostic),
            (None, true) => Observed::Present(std::mem::take(&mut self.backups)),
            (None, false) => Observed::Absent,
        }
    }

    /// Notes a part that could not be looked at.
    pub(super) fn gap(&mut self, path: &Path, why: &dyn std::fmt::Display) {
        let what = Diagnostic::new("not looked at", path.display().to_string()).why(why.to_string());
        self.gaps.push((path.to_owned(), what));
    }

    /// The names in a folder; none where it is missing, and a gap where it cannot be read.
    pub(super) fn names(&mut self, host: &dyn Host, folder: &Path) -> Vec<String> {
        match host.list_dir(folder) {
            Ok(names) => {
                self.present = true;
                names.into_iter().filter_map(|name| name.into_string().ok()).collect()
            }
            Err(error) if is_absence(&error) => Vec::new(),
            Err(error) => {
                self.gap(folder, &error);
                Vec::new()
            }
        }
    }

    /// The text of a file; none where it is missing, and a gap where it cannot be read.
    pub(super) fn text(&mut self, host: &dyn Host, path: &Path) -> Option<String> {
        match host.read(path) {
            Ok(bytes) => {
                self.present = true;
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            Err(error) if is_absence(&error) => None,
            Err(error) => {
                self.gap(path, &error);
                None
            }
        }
    }

    /// Keeps an entry's words, and the entry where it looks like a backup.
    pub(super) fn add(&mut self, host: &dyn Host, home: &Path, entry: Entry) {
        let (backup, words) = entry.judge(host, home);
        self.mentions.extend(words);
        self.backups.extend(backup);
    }
}

/// Whether the error says that there is nothing.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// One thing that starts a command.
pub(super) struct Entry {
    pub(super) kind: ForeignKind,
    /// A unit's name, a label, or a path, of a crontab with its line.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) line: Option<u32>,
    pub(super) schedule: Option<String>,
    pub(super) programs: Vec<Program>,
    pub(super) started: Started,
    pub(super) last_run: LastRun,
    /// Whether the distribution brought it: programs of packages are not read then.
    pub(super) of_the_distribution: bool,
    /// Whether its name alone can make it a backup.
    pub(super) bears_a_name: bool,
}

/// What was read of an entry's programs.
#[derive(Default)]
struct Reading {
    tools: BTreeSet<&'static str>,
    calls: Vec<CalledProgram>,
    words: BTreeSet<String>,
}

impl Entry {
    /// The entry as a backup, where it looks like one, and every word of its commands and of the scripts they call.
    fn judge(self, host: &dyn Host, home: &Path) -> (Option<ForeignBackup>, BTreeSet<String>) {
        let mut reading = Reading::default();
        let own_name = tools::base(&self.name);
        let signed = self.bears_a_name && tools::says_backup(own_name);
        let mut named = self.bears_a_name && tools::is_named_backup(own_name);
        for program in &self.programs {
            named |= program.how != How::Elsewhere && tools::is_named_backup(tools::base(program.name()));
            reading.program(host, program, None, signed);
            let Some(path) = script_path(host, program) else { continue };
            if self.of_the_distribution && OF_PACKAGES.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            if let Ok(Some(text)) = script_text(host, &path) {
                reading.script(host, home, program, &path, &text);
            }
        }
        let backup = (named || !reading.tools.is_empty()).then(|| ForeignBackup {
            kind: self.kind,
            name: self.name,
            path: self.path,
            line: self.line,
            schedule: self.schedule,
            command: self.programs.iter().map(|it| it.name().to_owned()).collect(),
            calls: reading.calls,
            tools: reading.tools.into_iter().map(str::to_owned).collect(),
            started: self.started,
            last_run: self.last_run,
        });
        (backup, reading.words)
    }
}

impl Reading {
    /// A program that the entry itself, or a script that it calls, executes.
    fn program(&mut self, host: &dyn Host, program: &Program, via: Option<&Path>, signed: bool) {
        self.words.extend(mentions(program));
        let tool = tools::tool(&program.words, signed);
        self.tools.extend(tool);
        let is_tool = tool.is_some() || tools::is_known(program.name());
        let state = state(host, program);
        let shown = match &state {
            None => false,
            Some(CalledState::NotOnPath(_) | CalledState::Unknown(_)) => {
                is_tool || (via.is_none() && tools::is_named_backup(program.name()))
            }
            Some(CalledState::Found(_) | CalledState::NotExecutable(_) | CalledState::Missing) => {
                is_tool || via.is_none()
            }
        };
        if let (Some(state), true) = (state, shown) {
            let call =
                CalledProgram { program: program.name().to_owned(), state, via: via.map(Path::to_path_buf) };
            if !self.calls.contains(&call) {
                self.calls.push(call);
            }
        }
    }

    /// What a script executes that the entry calls.
    fn script(&mut self, host: &dyn Host, home: &Path, caller: &Program, path: &Path, text: &str) {
        let signed = tools::says_backup(tools::base(&path.display().to_string())) || tools::says_backup(text);
        if is_shell(path, text) {
            for program in programs(text, &Surroundings::new(caller.search_path.clone(), home)) {
                self.program(host, &program, Some(path), signed);
            }
        } else {
            self.tools.extend(tools::quoted(text, signed));
        }
    }
}

/// The words by which a program's command can lead to a script or a unit: what it executes, and those of its arguments
/// that look like a file or a unit. A plain word among the arguments, such as a tag, leads to nothing.
pub(super) fn mentions(program: &Program) -> BTreeSet<String> {
    let asks_systemd = tools::base(program.name()) == "systemctl";
    let parts = program.words.iter().flat_map(|word| word.split([' ', '\t', '\n', '=', ';', '&', '|']));
    let leads = |part: &&str| asks_systemd || *part == program.name() || part.contains(['/', '.']);
    parts.filter(leads).map(str::to_owned).collect()
}

/// Whether the job would find a program; none where it is not looked for here.
fn state(host: &dyn Host, program: &Program) -> Option<CalledState> {
    if let Some(path) = program.path() {
        return match (program.how, host.status(&path)) {
            (How::Elsewhere, _) => None,
            (How::Directly, Ok(status)) if status.mode & 0o111 == 0 => Some(CalledState::NotExecutable(path)),
            (How::Directly | How::Interpreted, Ok(_)) => Some(CalledState::Found(path)),
            (How::Directly | How::Interpreted, Err(error)) if is_absence(&error) => {
                Some(CalledState::Missing)
            }
            (How::Directly | How::Interpreted, Err(error)) => Some(CalledState::Unknown(
                Diagnostic::new("program not looked at", path.display().to_string()).why(error.to_string()),
            )),
        };
    }
    let name = program.name();
    if program.how != How::Directly || name.contains(['/', '$', '%']) {
        return None;
    }
    Some(match &program.search_path {
        None => CalledState::Unknown(Diagnostic::new("PATH not known", format!("program `{name}`"))),
        Some(search_path) => host
            .find_tool(name, search_path)
            .map_or_else(|| CalledState::NotOnPath(search_path.clone()), CalledState::Found),
    })
}

/// Where a program lies that could be a script.
fn script_path(host: &dyn Host, program: &Program) -> Option<PathBuf> {
    match program.how {
        How::Elsewhere => None,
        How::Directly | How::Interpreted => program.path().or_else(|| {
            let name = program.name();
            let bare =
                program.how == How::Directly && !name.contains(['/', '$', '%']) && !tools::is_known(name);
            program.search_path.as_ref().filter(|_| bare).and_then(|path| host.find_tool(name, path))
        }),
    }
}

/// The text of a script; none of what is no regular file, is too long or is no text.
pub(super) fn script_text(host: &dyn Host, path: &Path) -> io::Result<Option<String>> {
    let status = host.status(path)?;
    if status.kind != FileKind::File || status.size_bytes > SCRIPT_BYTES_MAX {
        return Ok(None);
    }
    let bytes = host.read(path)?;
    Ok((!bytes.contains(&0)).then(|| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Whether a shell reads the script.
pub(super) fn is_shell(path: &Path, text: &str) -> bool {
    match text.lines().next().and_then(|line| line.strip_prefix("#!")) {
        Some(interpreter) => interpreter.split(['/', ' ']).any(|it| it.ends_with("sh")),
        None => !path.extension().is_some_and(|it| it == "py" || it == "pl"),
    }
}
