//! How text is written into unit files, and read back (systemd.syntax(7), "Quoting" in systemd.service(5)).
//!
//! Whatever a plan file says must arrive in the job unchanged; nothing here may let a value end its line.

use std::fmt::Write as _;

/// A word between double quotes: blanks, quotes, backslashes and control characters survive, `%` is no specifier.
/// `$` is left alone: command lines are rendered with the `:` prefix, which switches variables off.
pub(super) fn quoted(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    out.push('"');
    for character in word.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '%' => out.push_str("%%"),
            control if (control as u32) < 0x20 || control as u32 == 0x7f => {
                write!(out, "\\x{:02x}", control as u32).expect("a string takes all that is written");
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}

/// A command line as it stands in a unit: quoted words behind `:`.
pub(super) fn command_line(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
    format!(":{}", words.join(" "))
}

/// Reads a command line that [`command_line`] wrote; none for anything else, also where somebody edited it.
pub(super) fn read_command_line(line: &str) -> Option<Vec<String>> {
    let mut rest = line.trim().strip_prefix(':')?;
    let mut words = Vec::new();
    loop {
        let (word, tail) = read_word(rest.strip_prefix('"')?)?;
        words.push(word);
        if tail.is_empty() {
            return Some(words);
        }
        rest = tail.strip_prefix(' ')?;
    }
}

fn read_word(text: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((word, &text[index + 1..])),
            '%' => {
                characters.next().filter(|(_, next)| *next == '%')?;
                word.push('%');
            }
            '\\' => match characters.next()?.1 {
                'n' => word.push('\n'),
                't' => word.push('\t'),
                'r' => word.push('\r'),
                'x' => {
                    let digits: String = [characters.next()?.1, characters.next()?.1].iter().collect();
                    word.push(char::from(u8::from_str_radix(&digits, 16).ok().filter(u8::is_ascii)?));
                }
                same @ ('"' | '\\') => word.push(same),
                _ => return None,
            },
            plain => word.push(plain),
        }
    }
    None
}

/// A value that is taken to the end of its line, with only `%` special (the path of `LoadCredential=`); none where it
/// cannot be written so.
pub(super) fn bare(value: &str) -> Option<String> {
    let breaks = value.chars().any(char::is_control) || value.ends_with('\\') || value.trim() != value;
    (!breaks && !value.is_empty()).then(|| value.replace('%', "%%"))
}

/// A unit's object path on the bus: every byte but letters and digits as `_` and two hexadecimal digits
/// (`sd_bus_path_encode(3)`).
pub(super) fn object_path(unit: &str) -> String {
    let mut out = "/org/freedesktop/systemd1/unit/".to_owned();
    for (index, byte) in unit.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (byte.is_ascii_digit() && index > 0) {
            out.push(char::from(byte));
        } else {
            write!(out, "_{byte:02x}").expect("a string takes all that is written");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_keep_to_one_line_and_special_characters_are_escaped() {
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted("50% of $HOME\n\"x\\\u{1}"), r#""50%% of $HOME\n\"x\\\x01""#);
        assert_eq!(command_line(&["/bin/a".into(), ";".into(), String::new()]), r#":"/bin/a" ";" """#);
    }

    #[test]
    fn edited_command_line_is_not_taken_for_ours() {
        for line in
            ["/bin/true", ":/bin/true", ":\"/bin/true\"  \"x\"", ":\"/bin/%n\"", ":\"/bin/true", "-\"x\""]
        {
            assert_eq!(read_command_line(line), None, "{line}");
        }
    }

    #[test]
    fn value_that_would_end_its_line_cannot_be_written_bare() {
        assert_eq!(bare("/etc/bkp/50%").as_deref(), Some("/etc/bkp/50%%"));
        for value in ["/etc/x\nExecStart=/bin/sh", "/etc/x\\", " /etc/x", "/etc/x ", ""] {
            assert_eq!(bare(value), None, "{value:?}");
        }
    }

    #[test]
    fn object_path_is_the_one_that_systemd_uses() {
        assert_eq!(object_path("bkp-a.service"), "/org/freedesktop/systemd1/unit/bkp_2da_2eservice");
    }

    proptest! {
        #[test]
        fn command_line_that_is_written_is_read_again(argv in prop::collection::vec("[^\0]*", 1..6)) {
            let line = command_line(&argv);
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(read_command_line(&line), Some(argv));
        }
    }
}
