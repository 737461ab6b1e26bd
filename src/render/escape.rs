//! Escapes for the formats that texts are put into.

use std::fmt::Write as _;
use std::path::Path;

/// A Markdown table cell: no pipe, no line break, no markup of its own.
pub(super) fn markdown(text: &str) -> String {
    let flat = text.replace('|', "\\|").replace(['\n', '\r'], " ");
    flat.replace('<', "&lt;").replace('>', "&gt;")
}

/// XML text and attributes (XML 1.0, section 2.2: most control characters cannot be written at all).
pub(super) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\r' | '\t' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// A Prometheus label's value (the text exposition format).
pub(super) fn prometheus(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A GitHub workflow command's message (actions/toolkit, command.ts `escapeData`).
pub(super) fn github(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A GitHub workflow command's property (actions/toolkit, command.ts `escapeProperty`).
pub(super) fn github_property(text: &str) -> String {
    github(text).replace(':', "%3A").replace(',', "%2C")
}

/// One line of a plugin's output: `|` would begin performance data.
pub(super) fn nagios(text: &str) -> String {
    text.replace('|', "/").replace(['\n', '\r'], " ")
}

/// Text for a terminal: nothing in it can move the cursor or change colours.
pub fn terminal(text: &str) -> String {
    let shown = |character: char| if character.is_control() { '\u{fffd}' } else { character };
    text.chars().map(shown).collect()
}

/// A path for a terminal, on one line: as it is, or in quotes with what is no plain text escaped.
#[expect(clippy::unnecessary_debug_formatting, reason = "its escapes are what is wanted")]
pub fn path(path: &Path) -> String {
    match path.to_str().filter(|text| !text.chars().any(char::is_control)) {
        Some(text) => text.to_owned(),
        None => format!("{:?}", path.as_os_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_they_are_unless_they_are_no_plain_text() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(path(Path::new("a b/ü")), "a b/ü");
        assert_eq!(path(Path::new("red\u{1b}[31m")), r#""red\u{1b}[31m""#);
        assert_eq!(path(Path::new("two\nlines")), r#""two\nlines""#);
        assert_eq!(path(Path::new(std::ffi::OsStr::from_bytes(b"\xff"))), r#""\xFF""#);
    }

    #[test]
    fn nothing_breaks_out_of_its_format() {
        let hostile = "a|b\n<c> \"d\" \u{1b}[2J & %0A :,\\";
        assert!(!markdown(hostile).contains('\n') && !markdown(hostile).contains("<c>"));
        let escaped = xml(hostile);
        assert!(!escaped.contains('<') && !escaped.contains('\u{1b}') && !escaped.contains("\"d"));
        assert!(!prometheus(hostile).contains('\n') && prometheus("\"").starts_with('\\'));
        assert!(!github(hostile).contains('\n') && github("%").starts_with("%25"));
        assert!(!github_property(hostile).contains([':', ',']));
        assert!(!nagios(hostile).contains(['|', '\n']));
        assert!(!terminal(hostile).contains(['\u{1b}', '\n']));
    }
}
