//! Which programs a command text executes, with the PATH that each would be looked up on. Nothing is looked at here.
//!
//! What it can miss: functions, aliases, names that are put together at run time, and whatever a program starts itself.

use super::tools;
use super::words::{assignment, commands, expanded};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How deep `sh -c "..."` inside of `sh -c "..."` is followed.
const DEPTH_MAX: u8 = 3;

/// Words that stand before a command and are none.
const KEYWORDS: [&str; 13] =
    ["if", "then", "else", "elif", "do", "while", "until", "!", "{", "}", "time", "builtin", "command"];

/// Words that a shell carries out itself.
const BUILTINS: [&str; 16] = [
    "[", "[[", "cd", "echo", "printf", "test", "true", "false", ":", "return", "exit", "shift", "for",
    "case", "set", "umask",
];

const SHELLS: [&str; 6] = ["sh", "bash", "dash", "zsh", "ksh", "ash"];
const LANGUAGES: [&str; 6] = ["python", "python3", "perl", "ruby", "php", "node"];

/// Programs that run another program on: their options that take a value, and the words of their own before it.
const WRAPPERS: [(&str, &[&str], usize); 17] = [
    ("nice", &["-n"], 0),
    ("ionice", &["-c", "-n", "-p"], 0),
    ("timeout", &["-s", "-k"], 1),
    ("flock", &["-w", "-E"], 1),
    ("env", &["-u", "-C"], 0),
    ("exec", &["-a"], 0),
    ("chronic", &[], 0),
    ("cronic", &[], 0),
    ("nohup", &[], 0),
    ("setsid", &[], 0),
    ("stdbuf", &["-i", "-o", "-e"], 0),
    ("unbuffer", &[], 0),
    ("caffeinate", &["-t", "-w"], 0),
    ("systemd-inhibit", &[], 0),
    ("systemd-cat", &["-t", "-p"], 0),
    ("chrt", &[], 1),
    ("xargs", &["-I", "-n", "-P", "-d", "-L"], 0),
];

/// Programs that run another one here as another user, whose PATH is not known.
const OTHER_USER: [(&str, &[&str]); 5] = [
    ("sudo", &["-u", "-g", "-h", "-p"]),
    ("doas", &["-u", "-C"]),
    ("runuser", &["-u", "-g"]),
    ("gosu", &[]),
    ("su-exec", &[]),
];

/// Programs that run another one on another host, in a container or under another manager.
const ELSEWHERE: [&str; 13] = [
    "ssh",
    "docker",
    "podman",
    "nerdctl",
    "kubectl",
    "lxc",
    "incus",
    "chroot",
    "nsenter",
    "machinectl",
    "systemd-run",
    "docker-compose",
    "oc",
];

/// Where a command runs.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    /// PATH; none where it is not known.
    pub(super) search_path: Option<String>,
    /// Variables whose values are known.
    pub(super) variables: BTreeMap<String, String>,
}

impl Surroundings {
    /// With a PATH and a home.
    pub(super) fn new(search_path: Option<String>, home: &Path) -> Self {
        let home = ("HOME".to_owned(), home.display().to_string());
        Self { search_path, variables: BTreeMap::from([home]) }
    }

    fn assign(&mut self, name: &str, value: &str) {
        if name == "PATH" {
            let mut known = self.variables.clone();
            known.extend(self.search_path.clone().map(|path| ("PATH".to_owned(), path)));
            let value = expanded(value, &known);
            self.search_path = (!value.contains('$')).then_some(value);
        } else {
            let value = expanded(value, &self.variables);
            if value.contains('$') {
                self.variables.remove(name);
            } else {
                self.variables.insert(name.to_owned(), value);
            }
        }
    }
}

/// How a program is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// It is what is executed.
    Directly,
    /// It is a script that an interpreter is given.
    Interpreted,
    /// On another host or in a container: it is not looked for here.
    Elsewhere,
}

/// A program that a command executes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    /// The program and its arguments. Arguments can hold passwords: they are read here and kept nowhere.
    pub(super) words: Vec<String>,
    /// How it is run.
    pub(super) how: How,
    /// The PATH that it is looked up on; none where it is not known.
    pub(super) search_path: Option<String>,
}

impl Program {
    /// As it is written.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Its absolute path, where it is written as one.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let path = PathBuf::from(self.name());
        (path.is_absolute() && !self.name().contains(['$', '%', '*', '?'])).then_some(path)
    }
}

/// The programs that a shell text executes, in order.
pub(super) fn programs(text: &str, surroundings: &Surroundings) -> Vec<Program> {
    let mut reader = Reader { surroundings: surroundings.clone(), found: Vec::new() };
    reader.text(text, How::Directly, 0);
    reader.found
}

/// The programs of an argument list.
pub(super) fn programs_of_argv(argv: &[String], surroundings: &Surroundings) -> Vec<Program> {
    let mut reader = Reader { surroundings: surroundings.clone(), found: Vec::new() };
    reader.command(argv, How::Directly, 0);
    reader.found
}

struct Reader {
    surroundings: Surroundings,
    found: Vec<Program>,
}

impl Reader {
    fn text(&mut self, text: &str, how: How, depth: u8) {
        for words in commands(text) {
            self.command(&words, how, depth);
        }
    }

    fn command(&mut self, words: &[String], how: How, depth: u8) {
        let words: Vec<String> =
            words.iter().map(|word| expanded(word, &self.surroundings.variables)).collect();
        if words.iter().all(|word| assignment(word).is_some()) {
            for (name, value) in words.iter().filter_map(|word| assignment(word)) {
                self.surroundings.assign(name, value);
            }
            return;
        }
        let mut local = self.surroundings.clone();
        let mut rest = words.as_slice();
        while let Some((first, tail)) = rest.split_first() {
            let name = tools::base(first);
            let wrapper = WRAPPERS.iter().find(|(wrapper, _, _)| *wrapper == name);
            let other_user = OTHER_USER.iter().find(|(wrapper, _)| *wrapper == name);
            if let Some((variable, value)) = assignment(first) {
                local.assign(variable, value);
                rest = tail;
            } else if first == "command" && tail.first().is_some_and(|it| it.starts_with('-')) {
                return;
            } else if KEYWORDS.contains(&first.as_str()) {
                rest = tail;
            } else if matches!(name, "export" | "declare" | "local" | "readonly" | "typeset") {
                tail.iter()
                    .filter_map(|it| assignment(it))
                    .for_each(|(it, value)| self.surroundings.assign(it, value));
                return;
            } else if let Some((_, valued, own)) = wrapper {
                rest = behind(tail, valued, *own);
                if name == "flock" && tail.iter().any(|it| it == "-c") {
                    return self.handed_on(tail, how, depth, local);
                }
            } else if let Some((_, valued)) = other_user {
                local.search_path = None;
                rest = behind(tail, valued, usize::from(matches!(name, "gosu" | "su-exec")));
            } else {
                break;
            }
        }
        self.program(rest, how, depth, local);
    }

    /// What stands where a program stands.
    fn program(&mut self, words: &[String], how: How, depth: u8, mut local: Surroundings) {
        let Some((first, tail)) = words.split_first() else { return };
        let name = tools::base(first);
        if BUILTINS.contains(&first.as_str()) {
        } else if ELSEWHERE.contains(&name) {
            self.elsewhere(tail, depth, local);
        } else if name == "su" {
            local.search_path = None;
            self.handed_on(tail, how, depth, local);
        } else if SHELLS.contains(&name) && tail.iter().any(|it| is_command_option(it)) {
            self.handed_on(tail, how, depth, local);
        } else if SHELLS.contains(&name)
            || LANGUAGES.contains(&name)
            || matches!(first.as_str(), "." | "source")
        {
            let script = tail.iter().position(|it| !it.starts_with('-'));
            let module = tail.first().is_some_and(|it| matches!(it.as_str(), "-m" | "-e"));
            if let (Some(script), false) = (script, module) {
                let how = if how == How::Elsewhere { how } else { How::Interpreted };
                self.keep(&tail[script..], how, local);
            }
        } else if name == "eval" {
            let text = tail.join(" ");
            self.nested(&text, how, depth, local);
        } else {
            self.keep(words, how, local);
        }
    }

    fn keep(&mut self, words: &[String], how: How, local: Surroundings) {
        self.found.push(Program { words: words.to_vec(), how, search_path: local.search_path });
    }

    /// The text behind `-c`.
    fn handed_on(&mut self, words: &[String], how: How, depth: u8, local: Surroundings) {
        let option = words.iter().position(|it| is_command_option(it));
        if let Some(text) = option.and_then(|at| words.get(at + 1)) {
            self.nested(text, how, depth, local);
        }
    }

    fn nested(&mut self, text: &str, how: How, depth: u8, local: Surroundings) {
        if depth < DEPTH_MAX {
            let outer = std::mem::replace(&mut self.surroundings, local);
            self.text(text, how, depth + 1);
            self.surroundings = outer;
        }
    }

    /// Of a command that is carried out elsewhere the tools are read, wherever they stand.
    fn elsewhere(&mut self, words: &[String], depth: u8, mut local: Surroundings) {
        local.search_path = None;
        for (at, word) in words.iter().enumerate() {
            if word.contains(char::is_whitespace) {
                self.nested(word, How::Elsewhere, depth, local.clone());
            } else if tools::is_known(word) {
                return self.keep(&words[at..], How::Elsewhere, local);
            }
        }
    }
}

/// `-c`, also among others as in `-lc`.
fn is_command_option(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|it| it.ends_with('c') && it.bytes().all(|it| it.is_ascii_lowercase()))
}

/// The words behind a wrapper's options and its own words.
fn behind<'w>(words: &'w [String], valued: &[&str], own: usize) -> &'w [String] {
    let mut rest = words;
    while let Some((first, tail)) = rest.split_first() {
        if first == "--" {
            rest = tail;
            break;
        }
        if !first.starts_with('-') {
            break;
        }
        rest = if valued.contains(&first.as_str()) { tail.get(1..).unwrap_or_default() } else { tail };
    }
    rest.get(own..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let surroundings = Surroundings::new(Some("/usr/bin:/bin".to_owned()), Path::new("/root"));
        let shown = |it: Program| {
            let path = it.search_path.unwrap_or_else(|| "?".to_owned());
            format!("{} {:?} {path}", it.words[0], it.how)
        };
        programs(text, &surroundings).into_iter().map(shown).collect()
    }

    #[test]
    fn wrappers_are_seen_through() {
        for line in [
            "nice -n 10 ionice -c 3 restic backup",
            "flock -n /run/lock restic backup",
            "timeout -k 5 1h restic backup",
            "env A=b C=d restic backup",
            "if ! restic backup",
            "RESTIC_PASSWORD=x restic backup",
            "exec restic backup",
            "flock /run/lock -c 'restic backup'",
            "bash -lc 'restic backup'",
            "R=restic; $R backup",
            "eval \"restic backup\"",
        ] {
            assert_eq!(read(line), ["restic Directly /usr/bin:/bin"], "{line}");
        }
    }

    #[test]
    fn path_of_another_user_is_not_known() {
        for line in ["sudo -u backup restic x", "su - backup -c 'restic x'", "PATH=$OTHER:/bin restic x"] {
            assert_eq!(read(line), ["restic Directly ?"], "{line}");
        }
    }

    #[test]
    fn path_that_a_script_sets_counts_from_there() {
        assert_eq!(
            read("a\nexport PATH=/opt/bin:$PATH\nb\n"),
            ["a Directly /usr/bin:/bin", "b Directly /opt/bin:/usr/bin:/bin"]
        );
    }

    #[test]
    fn tool_in_a_container_or_on_another_host_is_elsewhere() {
        for line in [
            "docker exec -i db pg_dump -U shop shop > x",
            "ssh db 'pg_dump shop' > x",
            "ssh db pg_dump shop",
            "kubectl exec db -- sh -c 'pg_dump shop'",
        ] {
            assert_eq!(read(line), ["pg_dump Elsewhere ?"], "{line}");
        }
    }

    #[test]
    fn script_of_an_interpreter_is_what_runs() {
        assert_eq!(read("bash -eu ~/x.sh a"), ["/root/x.sh Interpreted /usr/bin:/bin"]);
        assert_eq!(read("/usr/bin/python3 /x.py"), ["/x.py Interpreted /usr/bin:/bin"]);
    }

    #[test]
    fn mention_is_no_call() {
        for line in ["command -v restic", "echo restic", "[ -x /usr/bin/restic ]", "# restic", "x=restic"] {
            assert!(read(line).is_empty(), "{line}: {:?}", read(line));
        }
        assert_eq!(read("which restic"), ["which Directly /usr/bin:/bin"]);
    }
}
