//! Takes values out of nodes, and notes what does not fit, so that one reading finds every error.
//!
//! A method that returns `None` has noted why. Nothing here knows the plan file's keys.

use super::node::{Content, Entry, Node};
use super::problem::{Fault, Place, Problem, Problems};
use crate::declared::Span;
use std::path::{Component, Path, PathBuf};

/// Decodes nodes against the folder that relative paths start from.
pub(super) struct Decoder<'a> {
    /// Where relative paths start.
    pub base_dir: &'a Path,
    /// What `~` stands for.
    pub home: &'a Path,
    /// What was found wrong.
    pub problems: &'a mut Problems,
}

/// A map whose keys have been checked.
#[derive(Debug, Clone)]
pub(super) struct Fields<'n> {
    entries: &'n [Entry],
    unknown: Vec<&'n str>,
    /// What to mark when a key is missing.
    pub place: Place,
}

impl<'n> Fields<'n> {
    /// Whether the key was written at all, well or badly.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Whether the key was written, or one that was probably meant to be it.
    pub fn meant(&self, key: &str) -> bool {
        self.has(key) || self.unknown.iter().any(|it| nearest(it, [key]).is_some())
    }

    /// The value of a key; `None` too where it was written without one, which has been noted.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!matches!(entry.node.content, Content::Null)).then_some(&entry.node)
    }
}

/// The candidate that was probably meant.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let lower = word.to_lowercase();
    let most = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean ...?`, or what can be written.
pub(super) fn suggestion(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => match candidates {
            [] => "there is none to choose from".to_owned(),
            [only] => format!("write `{only}`"),
            _ => format!("write one of {}", listed(candidates, "or")),
        },
    }
}

/// `a`, `b` and `c`.
fn listed(words: &[&str], before_last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {before_last} {last}", rest.join(", ")),
        None => String::new(),
    }
}

impl Decoder<'_> {
    pub fn note(&mut self, fault: Fault, what: impl Into<String>, place: Place, fix: impl Into<String>) {
        self.problems.add(Problem::new(fault, what.into(), place).fix(fix));
    }

    fn wrong_kind(&mut self, node: &Node, subject: &str, wanted: &str, fix: &str) {
        let what = format!("{subject} is {wanted}, and this is {}", node.kind());
        self.note(Fault::WrongKind, what, node.place, fix);
    }

    /// A map with known keys. `later` are keys that the design has and this version does not.
    pub fn fields<'n>(
        &mut self,
        node: &'n Node,
        subject: &str,
        known: &[&str],
        later: &[&str],
    ) -> Option<Fields<'n>> {
        let entries = self.map(node, subject, "write `key: value` lines")?;
        let mut unknown = Vec::new();
        for entry in entries {
            let key = entry.key.as_str();
            if known.contains(&key) {
                if matches!(entry.node.content, Content::Null) {
                    let what = format!("`{key}` has no value");
                    self.note(Fault::Empty, what, entry.key_place, "write one, or remove the key");
                }
            } else if later.contains(&key) {
                let what = format!("`{key}` is not in this version of bkp");
                self.note(Fault::NotInThisVersion, what, entry.key_place, "remove it");
            } else {
                unknown.push(key);
                if holds_a_secret(key) {
                    self.problems.hide(entry.node.place);
                }
                let what = format!("`{key}` is not a key of {subject}");
                self.note(Fault::UnknownKey, what, entry.key_place, suggestion(key, known));
            }
        }
        Some(Fields { entries, unknown, place: node.place })
    }

    /// A map whose keys are names.
    pub fn map<'n>(&mut self, node: &'n Node, subject: &str, fix: &str) -> Option<&'n [Entry]> {
        let Content::Map(entries) = &node.content else {
            self.wrong_kind(node, subject, "a map", fix);
            return None;
        };
        Some(entries)
    }

    /// The value of a key that must be there.
    pub fn required<'n>(
        &mut self,
        fields: &Fields<'n>,
        key: &str,
        subject: &str,
        fix: &str,
    ) -> Option<&'n Node> {
        if !fields.meant(key) {
            self.note(Fault::Missing, format!("{subject} has no `{key}`"), fields.place, fix);
        }
        fields.get(key)
    }

    /// A list with something in it.
    pub fn list<'n>(&mut self, node: &'n Node, subject: &str, fix: &str) -> Option<&'n [Node]> {
        match &node.content {
            Content::List(items) if items.is_empty() => {
                self.note(Fault::Empty, format!("{subject} is empty"), node.place, fix);
                None
            }
            Content::List(items) => Some(items),
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) | Content::Map(_) => {
                self.wrong_kind(node, subject, "a list", fix);
                None
            }
        }
    }

    /// Text with something in it and without control characters.
    pub fn text<'n>(&mut self, node: &'n Node, subject: &str) -> Option<&'n str> {
        match &node.content {
            Content::Text(text) if blank(text) => {
                self.note(Fault::Empty, format!("{subject} is empty"), node.place, "write some text");
                None
            }
            Content::Text(text) if text.chars().any(char::is_control) => {
                let what = format!("{subject} holds a line break or another control character");
                self.note(Fault::BadValue, what, node.place, "write it on one line");
                None
            }
            Content::Text(text) => Some(text),
            Content::Bool(_) | Content::Number(_) => {
                self.wrong_kind(node, subject, "text", "put it in quotes");
                None
            }
            Content::Null | Content::List(_) | Content::Map(_) => {
                self.wrong_kind(node, subject, "text", "write one value");
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, node: &Node, subject: &str) -> Option<bool> {
        if let Content::Bool(bool) = node.content {
            return Some(bool);
        }
        self.wrong_kind(node, subject, "`true` or `false`", "write `true` or `false`, without quotes");
        None
    }

    /// A whole number, at least 0.
    pub fn count(&mut self, node: &Node, subject: &str) -> Option<u32> {
        let number = match &node.content {
            Content::Number(number) => number.as_u64().and_then(|it| u32::try_from(it).ok()),
            _ => None,
        };
        if number.is_none() {
            let what = match &node.content {
                Content::Number(number) => format!("{subject} is a whole number, and this is {number}"),
                _ => format!("{subject} is a whole number, and this is {}", node.kind()),
            };
            self.note(Fault::WrongKind, what, node.place, "write a number such as `7`, without quotes");
        }
        number
    }

    /// One of a few words. `later` are words that the design has and this version does not.
    pub fn word<T: Copy>(
        &mut self,
        node: &Node,
        subject: &str,
        words: &[(&'static str, T)],
        later: &[&str],
    ) -> Option<T> {
        let text = self.text(node, subject)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        if later.contains(&text) {
            let what = format!("`{text}` as {subject} is not in this version of bkp");
            self.note(
                Fault::NotInThisVersion,
                what,
                node.place,
                format!("this version has {}", listed(&known, "and")),
            );
        } else {
            let what = format!("`{text}` is not {subject}");
            self.note(Fault::UnknownWord, what, node.place, suggestion(text, &known));
        }
        None
    }

    /// Text of a form that a type of ours reads. The remedy is what the type's message has behind `: ` or `; `, or
    /// else `fix`.
    pub fn parsed<T, E: std::fmt::Display>(
        &mut self,
        node: &Node,
        subject: &str,
        fix: &str,
        read: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(node, subject)?;
        match read(text.to_owned()) {
            Ok(value) => Some(value),
            Err(error) => {
                let (what, remedy) = split_message(text, &error.to_string());
                self.note(Fault::BadValue, what, node.place, remedy.unwrap_or_else(|| fix.to_owned()));
                None
            }
        }
    }

    /// A length of time.
    pub fn span(&mut self, node: &Node, subject: &str) -> Option<Span> {
        if let Content::Number(number) = &node.content {
            let what = format!("{subject} is a length of time, and this is the number {number}");
            self.note(Fault::WrongKind, what, node.place, "add a unit, s, m, h, d or w, such as `30d`");
            return None;
        }
        self.parsed(node, subject, "write from `1s` to a thousand years", Span::try_from)
    }

    /// An absolute path without dots; `~/` is the home, anything relative starts at the plan file's folder.
    pub fn path(&mut self, node: &Node, subject: &str) -> Option<PathBuf> {
        let text = self.text(node, subject)?;
        self.absolute(text, subject, node.place)
    }

    /// As [`Self::path`], for text that has been taken out of its node.
    pub fn absolute(&mut self, text: &str, subject: &str, place: Place) -> Option<PathBuf> {
        let (folder, rest) = self.folder_of(text, subject, place)?;
        Some(normal(&folder.join(rest)))
    }

    /// An absolute glob without dots. The folder that it starts from is taken literally.
    pub fn pattern(&mut self, node: &Node, subject: &str) -> Option<String> {
        let text = self.text(node, subject)?;
        let (folder, rest) = self.folder_of(text, subject, node.place)?;
        let Some(folder) = folder.to_str() else {
            let what = format!("{subject} starts from a folder whose name is not UTF-8");
            self.note(Fault::BadValue, what, node.place, "write an absolute path");
            return None;
        };
        let pattern = normal(&Path::new(&escaped(folder)).join(rest));
        Some(pattern.to_str().expect("made of UTF-8").to_owned())
    }

    /// The folder that a path starts from, and the rest.
    fn folder_of<'t>(&mut self, text: &'t str, subject: &str, place: Place) -> Option<(PathBuf, &'t str)> {
        if text.starts_with('/') {
            return Some((PathBuf::from("/"), text));
        }
        let Some(tail) = text.strip_prefix('~') else {
            return Some((self.base_dir.to_path_buf(), text));
        };
        match tail.strip_prefix('/') {
            Some(rest) => Some((self.home.to_path_buf(), rest.trim_start_matches('/'))),
            None if tail.is_empty() => Some((self.home.to_path_buf(), "")),
            None => {
                let what = format!("{subject} begins with another user's home");
                self.note(
                    Fault::BadValue,
                    what,
                    place,
                    "write the absolute path; `~/` is the job's user's home",
                );
                None
            }
        }
    }
}

/// Whether a text shows nothing. The byte order mark counts as a space, as in JSON schema's patterns.
pub(super) fn blank(text: &str) -> bool {
    text.chars().all(|it| it.is_whitespace() || it == '\u{feff}')
}

/// Removes `.`, `..` and doubled slashes without looking at the file system.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::ParentDir => {
                result.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    result
}

/// A literal as a glob that matches only it.
fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, '*' | '?' | '[' | '{' | '\\') {
            result.extend(['[', char, ']']);
        } else {
            result.push(char);
        }
    }
    result
}

/// Whether people write secrets under such a key.
fn holds_a_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["pass", "secret", "token", "key", "credential", "value"].iter().any(|it| key.contains(it))
}

/// A type's message in two: what is wrong, and the remedy.
fn split_message(text: &str, message: &str) -> (String, Option<String>) {
    let quoted = format!("`{text}`");
    let start = if message.starts_with(&quoted) { quoted.len() } else { 0 };
    let cut = message[start..].find(": ").or_else(|| message[start..].find("; "));
    match cut {
        Some(cut) => (message[..start + cut].to_owned(), Some(message[start + cut + 2..].to_owned())),
        None => (message.to_owned(), None),
    }
}
