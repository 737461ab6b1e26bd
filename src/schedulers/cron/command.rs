//! A job's command as one line for `/bin/sh`, and read back.
//!
//! Whatever a plan says must arrive in the job unchanged. Crons take `%` for a line's end and disagree about two
//! backslashes in a row, so neither may ever stand in a line bare; nothing here may let a value end its line.

use crate::schedulers::Job;
use std::path::Path;

/// Longest command that every cron takes, in bytes: Debian's refuses 999 ("command too long").
pub(super) const COMMAND_MAX_BYTES: usize = 998;
/// What every command begins with: files of others' eyes only, and an environment of the job's own.
const PREFIX: &str = "umask 077; exec /usr/bin/env -i ";
/// Where the report of a run goes: cron mails whatever is said, and only a failure is worth a mail.
const SILENT: &str = " >/dev/null";
/// Time that a job which is told to end gets to leave everything in order, in seconds.
const STOP_SECONDS: &str = "90";
/// Says only what went wrong.
const QUIET: &str = "--quiet";
/// Words of the wrapper: PATH, HOME, LANG, `timeout -k 90 LIMIT`, `nice -n N`.
const WRAPPER_WORDS: usize = 10;

/// A word between single quotes where it needs them. A backslash is never followed by another or by `%`, and `%` is
/// written as cron wants it, with a backslash (crontab(5)).
fn quoted(word: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_@+=:,./-".contains(&byte);
    if !word.is_empty() && word.bytes().all(safe) {
        return word.to_owned();
    }
    let mut out = String::with_capacity(word.len() + 2);
    out.push('\'');
    let mut after_backslash = false;
    for character in word.chars() {
        if after_backslash && matches!(character, '\\' | '%') {
            out.push_str("''");
        }
        match character {
            '\'' => out.push_str("'\"'\"'"),
            '%' => out.push_str("\\%"),
            plain => out.push(plain),
        }
        after_backslash = character == '\\';
    }
    out.push('\'');
    out
}

/// Reads words that [`quoted`] wrote; none for anything else.
fn words(text: &str) -> Option<Vec<String>> {
    let text = text.replace("\\%", "%");
    let mut words = Vec::new();
    for piece in split(&text)? {
        let mut word = String::new();
        let mut rest = piece;
        while let Some(first) = rest.chars().next() {
            rest = match first {
                '\'' | '"' => {
                    let (inside, after) = rest[1..].split_once(first)?;
                    word.push_str(inside);
                    after
                }
                plain => {
                    word.push(plain);
                    &rest[plain.len_utf8()..]
                }
            };
        }
        words.push(word);
    }
    Some(words)
}

/// Cuts at the blanks outside of quotes; none where the shell would see more than words.
fn split(text: &str) -> Option<Vec<&str>> {
    let mut pieces = Vec::new();
    let (mut begin, mut quote) = (0, None);
    for (index, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, ' ') => {
                pieces.push(&text[begin..index]);
                begin = index + 1;
            }
            (None, plain) if plain.is_ascii_alphanumeric() || "_@+=:,./-".contains(plain) => {}
            (None, _) => return None,
        }
    }
    pieces.push(&text[begin..]);
    (quote.is_none() && pieces.iter().all(|piece| !piece.is_empty())).then_some(pieces)
}

/// A job's command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandLine {
    wrapper: Vec<String>,
    /// What is executed, without the word that makes it quiet.
    pub(super) argv: Vec<String>,
    silent: bool,
}

impl CommandLine {
    /// The command of a job. `silent` drops what it says when nothing went wrong.
    pub(super) fn of(job: &Job, silent: bool) -> Self {
        let wrapper = [
            format!("PATH={}", job.search_path),
            format!("HOME={}", job.home.display()),
            "LANG=C.UTF-8".to_owned(),
            "timeout".to_owned(),
            "-k".to_owned(),
            STOP_SECONDS.to_owned(),
            job.time_limit.seconds().to_string(),
            "nice".to_owned(),
            "-n".to_owned(),
            job.nice.to_string(),
        ];
        Self { wrapper: wrapper.to_vec(), argv: job.argv.clone(), silent }
    }

    /// Reads a command that [`CommandLine::text`] wrote; none for anything else, also where somebody edited it.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.strip_prefix(PREFIX)?;
        let (text, silent) = text.strip_suffix(SILENT).map_or((text, false), |text| (text, true));
        let mut words = words(text)?;
        if words.len() < WRAPPER_WORDS + 2 || words.pop()? != QUIET {
            return None;
        }
        let argv = words.split_off(WRAPPER_WORDS);
        let form = ["PATH=", "HOME=", "LANG=", "timeout", "-k", "", "", "nice", "-n", ""];
        let fits = words.iter().zip(form).all(|(word, begin)| word.starts_with(begin));
        fits.then_some(Self { wrapper: words, argv, silent })
    }

    /// The command as it stands in a table.
    pub(super) fn text(&self) -> String {
        let quiet = std::iter::once(QUIET.to_owned());
        let words: Vec<String> =
            self.wrapper.iter().chain(&self.argv).map(|word| quoted(word)).chain(quiet).collect();
        format!("{PREFIX}{}{}", words.join(" "), if self.silent { SILENT } else { "" })
    }

    /// The same command, in the same environment, started through `bkp once` with this record.
    pub(super) fn once(&self, record: &Path) -> Option<Self> {
        let program = self.argv.first()?.clone();
        let once = [program, "once".to_owned(), "--record".to_owned(), record.to_str()?.to_owned()];
        let argv = once.into_iter().chain(["--".to_owned()]).chain(self.argv.clone()).collect();
        Some(Self { argv, ..self.clone() })
    }

    /// The value of an option, as `--state-dir /var/lib/bkp`.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let at = self.argv.iter().position(|word| word == name)?;
        self.argv.get(at + 1).map(String::as_str)
    }

    /// What of the command no table can hold, in words.
    pub(super) fn inexpressible(&self) -> Option<String> {
        let words = self.wrapper.iter().chain(&self.argv);
        for word in words {
            if word.chars().any(char::is_control) {
                return Some(format!(
                    "{word:?} has a control character, which a line of a table cannot hold"
                ));
            }
        }
        let length = self.text().len();
        (length > COMMAND_MAX_BYTES).then(|| {
            format!("the command has {length} bytes, and cron takes {COMMAND_MAX_BYTES}: use shorter paths")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Command, Host, RealHost};
    use proptest::prelude::*;

    fn line(argv: &[String]) -> CommandLine {
        let wrapper = [
            "PATH=/usr/bin:/bin",
            "HOME=/tmp/a b",
            "LANG=C.UTF-8",
            "timeout",
            "-k",
            "90",
            "60",
            "nice",
            "-n",
            "0",
        ];
        CommandLine { wrapper: wrapper.map(str::to_owned).to_vec(), argv: argv.to_vec(), silent: false }
    }

    /// What cron hands to the shell. Vixie's own, as in the BSDs, makes one backslash of two; Debian's and cronie do not.
    fn as_cron_reads(text: &str, halves_backslashes: bool) -> Option<String> {
        let mut out = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '%' => return None,
                '\\' => match characters.next() {
                    Some('%') => out.push('%'),
                    Some('\\') if halves_backslashes => out.push('\\'),
                    Some(next) => out.extend(['\\', next]),
                    None => out.push('\\'),
                },
                plain => out.push(plain),
            }
        }
        Some(out)
    }

    #[test]
    fn command_reads_as_people_write_it() {
        let argv = ["/usr/local/bin/bkp", "run", "it's 5%"].map(str::to_owned);
        assert_eq!(
            line(&argv).text(),
            "umask 077; exec /usr/bin/env -i PATH=/usr/bin:/bin 'HOME=/tmp/a b' LANG=C.UTF-8 timeout -k 90 60 nice -n 0 \
             /usr/local/bin/bkp run 'it'\"'\"'s 5\\%' --quiet"
        );
    }

    #[test]
    fn edited_command_is_not_taken_for_ours() {
        let text = line(&["/bin/true".to_owned(), "x".to_owned()]).text();
        assert!(CommandLine::read(&text).is_some());
        for edited in [
            text.replace(" --quiet", ""),
            text.replace("umask 077", "umask 022"),
            format!("{text}; reboot"),
            format!("{text} | mail"),
            text.replace("/bin/true", "$(reboot)"),
            text.replace("/bin/true", "/bin/true  y"),
            format!("{text} '"),
        ] {
            assert_eq!(CommandLine::read(&edited), None, "{edited}");
        }
    }

    #[test]
    fn what_no_table_can_hold_is_named() {
        assert_eq!(line(&["/bin/true".to_owned()]).inexpressible(), None);
        assert!(line(&["a\nb".to_owned()]).inexpressible().is_some_and(|words| words.contains("control")));
        let rest = COMMAND_MAX_BYTES - line(&[String::new()]).text().len() + 2;
        assert_eq!(line(&["x".repeat(rest)]).inexpressible(), None);
        assert!(
            line(&["x".repeat(rest + 1)]).inexpressible().is_some_and(|words| words.contains("999 bytes"))
        );
    }

    proptest! {
        #[test]
        fn command_that_is_written_is_read_again(argv in prop::collection::vec("[^\\p{Cc}]*", 1..6), silent: bool) {
            let line = CommandLine { silent, ..line(&argv) };
            prop_assert_eq!(CommandLine::read(&line.text()), Some(line));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn shell_hands_on_every_word_unchanged_whatever_cron_does_with_backslashes(
            argv in prop::collection::vec("([^\\p{Cc}]|[\\\\%'\"$` ;])*", 1..6)
        ) {
            let printed: Vec<String> = ["printf", "%s\\0"].map(str::to_owned).into_iter().chain(argv.clone()).collect();
            let mut wanted: Vec<u8> = Vec::new();
            for word in argv.iter().map(String::as_str).chain([QUIET]) {
                wanted.extend(word.bytes().chain([0]));
            }
            for halves in [true, false] {
                let text = as_cron_reads(&line(&printed).text(), halves).expect("no bare %");
                let output = RealHost.run(&Command::look(["/bin/sh", "-c", &text])).expect("sh runs");
                prop_assert!(output.succeeded(), "{}", output.explain());
                prop_assert_eq!(&output.stdout, &wanted);
            }
        }
    }
}
