//! Shell text cut into commands and their words. Nothing here is run, and nothing is looked at.
//!
//! It is a scan, not a shell: it does not follow functions, loops, `eval` of variables or the bodies of here-documents,
//! and a command whose name is put together at run time has a `$` left in it.

use std::collections::BTreeMap;
use std::mem::take;

/// What opened a part of a text that its own end closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    Text,
    Substitution,
    Subshell,
    Backtick,
}

/// A command that is being read.
#[derive(Debug)]
struct Frame {
    opened: Opened,
    /// A double quote is open.
    quoted: bool,
    words: Vec<String>,
    word: Option<String>,
    /// The next word is a file that is read or written.
    redirected: bool,
    emitted: bool,
}

impl Frame {
    fn new(opened: Opened) -> Self {
        Self { opened, quoted: false, words: Vec::new(), word: None, redirected: false, emitted: false }
    }

    fn push(&mut self, character: char) {
        self.word.get_or_insert_default().push(character);
    }
}

struct Scanner<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    frames: Vec<Frame>,
    here_documents: Vec<String>,
    commands: Vec<Vec<String>>,
}

/// The commands of a shell text, in order, each as its words without quotes.
pub(super) fn commands(text: &str) -> Vec<Vec<String>> {
    let mut scanner = Scanner {
        rest: text.chars().peekable(),
        frames: vec![Frame::new(Opened::Text)],
        here_documents: Vec::new(),
        commands: Vec::new(),
    };
    while let Some(character) = scanner.rest.next() {
        scanner.take(character);
    }
    while !scanner.frames.is_empty() {
        scanner.end_command();
        scanner.frames.pop();
    }
    scanner.commands
}

impl Scanner<'_> {
    fn frame(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::new(Opened::Text));
        }
        self.frames.last_mut().expect("one was put there just now")
    }

    fn take(&mut self, character: char) {
        let quoted = self.frame().quoted;
        match character {
            '\\' => self.escaped(quoted),
            '"' => {
                self.frame().word.get_or_insert_default();
                self.frame().quoted = !quoted;
            }
            '$' if self.rest.peek() == Some(&'(') => {
                self.rest.next();
                self.frame().word.get_or_insert_default().push_str("$()");
                self.frames.push(Frame::new(Opened::Substitution));
            }
            '`' if self.frame().opened == Opened::Backtick => self.close(),
            '`' => {
                self.frame().word.get_or_insert_default().push_str("$()");
                self.frames.push(Frame::new(Opened::Backtick));
            }
            _ if quoted => self.frame().push(character),
            '\'' => {
                self.frame().word.get_or_insert_default();
                while let Some(inside) = self.rest.next_if(|it| *it != '\'') {
                    self.frame().push(inside);
                }
                self.rest.next();
            }
            '#' if self.frame().word.is_none() => while self.rest.next_if(|it| *it != '\n').is_some() {},
            _ => self.plain(character),
        }
    }

    fn escaped(&mut self, quoted: bool) {
        match self.rest.next() {
            Some('\n') | None => {}
            Some(next) => {
                if quoted && !matches!(next, '"' | '\\' | '$' | '`') {
                    self.frame().push('\\');
                }
                self.frame().push(next);
            }
        }
    }

    fn plain(&mut self, character: char) {
        match character {
            '\n' => {
                self.end_command();
                self.skip_here_documents();
            }
            ';' | '|' => self.end_command(),
            '&' if self.rest.peek() == Some(&'>') => {}
            '&' => self.end_command(),
            '>' | '<' => self.redirection(character),
            '(' => {
                self.end_word();
                self.frames.push(Frame::new(Opened::Subshell));
            }
            ')' => self.close(),
            blank if blank.is_whitespace() => self.end_word(),
            other => self.frame().push(other),
        }
    }

    fn redirection(&mut self, character: char) {
        // A number before it is a descriptor, no word.
        let frame = self.frame();
        if frame.word.as_ref().is_some_and(|word| word.chars().all(|it| it.is_ascii_digit())) {
            frame.word = None;
        }
        self.end_word();
        let mut count = 1;
        while self.rest.next_if_eq(&character).is_some() {
            count += 1;
        }
        if character == '<' && count == 2 {
            self.rest.next_if_eq(&'-');
            while self.rest.next_if_eq(&' ').is_some() {}
            let mut end = String::new();
            while let Some(next) = self.rest.next_if(|it| !it.is_whitespace() && *it != ';') {
                if !matches!(next, '\'' | '"' | '\\') {
                    end.push(next);
                }
            }
            self.here_documents.push(end);
            return;
        }
        self.rest.next_if_eq(&'&');
        if self.rest.peek() == Some(&'(') {
            // `<(command)` is a command whose output is read.
            self.rest.next();
            self.frames.push(Frame::new(Opened::Substitution));
            return;
        }
        self.frame().redirected = true;
    }

    fn skip_here_documents(&mut self) {
        for end in take(&mut self.here_documents) {
            loop {
                let mut line = String::new();
                while let Some(next) = self.rest.next_if(|it| *it != '\n') {
                    line.push(next);
                }
                if self.rest.next().is_none() || line.trim() == end {
                    break;
                }
            }
        }
    }

    fn end_word(&mut self) {
        let frame = self.frame();
        if let Some(word) = frame.word.take()
            && !take(&mut frame.redirected)
        {
            frame.words.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        let frame = self.frame();
        frame.redirected = false;
        let words = take(&mut frame.words);
        if !words.is_empty() {
            frame.emitted = true;
            self.commands.push(words);
        }
    }

    fn close(&mut self) {
        self.end_word();
        if self.frames.len() == 1 {
            // The pattern of a `case`.
            self.frame().words.clear();
            return;
        }
        self.end_command();
        let closed = self.frames.pop();
        let empty = closed.is_some_and(|frame| frame.opened == Opened::Subshell && !frame.emitted);
        if empty {
            // `name()` defines a function.
            self.frame().words.clear();
        }
    }
}

/// A word with the variables that are known put in; what is not known keeps its `$`.
pub(super) fn expanded(word: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after.strip_prefix('{').and_then(|it| it.split_once('}'));
        let (name, behind) = braced.unwrap_or_else(|| {
            let end = after.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').unwrap_or(after.len());
            after.split_at(end)
        });
        if let Some(value) = variables.get(name) {
            out.push_str(value);
            rest = behind;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    match (out.strip_prefix("~/"), variables.get("HOME")) {
        (Some(below), Some(home)) => format!("{home}/{below}"),
        (Some(_) | None, _) => out,
    }
}

/// `NAME=VALUE` as its two parts.
pub(super) fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let plain = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let named = name.chars().next().is_some_and(|it| !it.is_ascii_digit()) && name.chars().all(plain);
    named.then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(text: &str, expected: &[&[&str]]) {
        assert_eq!(commands(text), expected, "{text}");
    }

    #[test]
    fn commands_end_at_separators_and_comments_are_none() {
        read("a b; c | d && e &\n# restic\nf # restic\n", &[&["a", "b"], &["c"], &["d"], &["e"], &["f"]]);
    }

    #[test]
    fn redirections_are_no_words() {
        read("pg_dump db > /x/y 2>&1 | gzip >>z &>/dev/null", &[&["pg_dump", "db"], &["gzip"]]);
    }

    #[test]
    fn quotes_hold_words_together() {
        read("a 'b; c' \"d | e\" f\\ g \"\"", &[&["a", "b; c", "d | e", "f g", ""]]);
    }

    #[test]
    fn command_inside_a_substitution_is_a_command() {
        read("X=\"$(pg_dump a | wc -c)\" b", &[&["pg_dump", "a"], &["wc", "-c"], &["X=$()", "b"]]);
        read(
            "for f in `ls x`; do y; done",
            &[&["ls", "x"], &["for", "f", "in", "$()"], &["do", "y"], &["done"]],
        );
    }

    #[test]
    fn here_document_is_no_command() {
        read("cat <<'EOF'\nrestic backup\nEOF\nnext\n", &[&["cat"], &["next"]]);
    }

    #[test]
    fn name_of_a_function_and_pattern_of_a_case_are_no_commands() {
        read("restic() {\n true\n}\n", &[&["{"], &["true"], &["}"]]);
        read("case $1 in\nrestic) x;;\nesac", &[&["case", "$1", "in"], &["x"], &["esac"]]);
    }

    #[test]
    fn what_is_cut_off_is_still_read() {
        for text in ["a \"b", "a 'b", "a $(b", "a `b", "a \\", "a <<X", "a )"] {
            let _ = commands(text);
        }
    }

    #[test]
    fn known_variables_are_put_in_and_others_stay() {
        let known = BTreeMap::from([("A".to_owned(), "/x".to_owned()), ("HOME".to_owned(), "/h".to_owned())]);
        let cases =
            [("$A/b", "/x/b"), ("${A}b", "/xb"), ("$B/$A", "$B//x"), ("~/c", "/h/c"), ("${B:-x}", "${B:-x}")];
        for (word, expected) in cases {
            assert_eq!(expanded(word, &known), expected);
        }
    }
}
