//! What goes into SQL and what comes out of the client's batch mode.
//!
//! Never here: a name that is put into SQL as it is.

use std::fmt::Write;

/// A name as an identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as a literal; sessions set `sql_mode` so that a backslash escapes.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::from("'");
    for character in text.chars() {
        match character {
            '\'' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '\0' => out.push_str("\\0"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{1a}' => out.push_str("\\Z"),
            other => out.push(other),
        }
    }
    out.push('\'');
    out
}

/// A value of an option file: quoted, because `#` begins a comment and blanks are cut off otherwise.
pub(super) fn option_value(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            other => out.push(*other),
        }
    }
    out.push(b'"');
    out
}

/// A line of batch mode as its fields (`mysql(1)`, `--batch`: tabs between, and a backslash escapes).
pub(super) fn fields(line: &str) -> Vec<String> {
    line.split('\t').map(unescape).collect()
}

fn unescape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('0') => out.push('\0'),
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}

/// Errors whose text speaks of names, rights and rooms, and of nobody's rows.
const NAMES_ONLY: [u32; 39] = [
    3, 28, 1005, 1007, 1008, 1021, 1028, 1030, 1040, 1044, 1045, 1049, 1050, 1051, 1102, 1114, 1115, 1133,
    1141, 1142, 1143, 1146, 1193, 1205, 1227, 1231, 1273, 1286, 1298, 1356, 1396, 1418, 1419, 1449, 1524,
    2002, 2003, 2006, 2013,
];
/// Longest message, in characters.
const SAID_MAX: usize = 300;

/// What a client said, cut down: it prints the statement that failed, rows and all, and quotes values of rows.
pub(super) fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().filter(|line| line.to_ascii_lowercase().contains("error")).collect();
    let line = lines.iter().find(|line| code(line).is_some()).or(lines.last()).copied();
    let Some(line) = line else { return "it said nothing".to_owned() };
    let kept = match code(line) {
        Some(code) if NAMES_ONLY.contains(&code) => line.to_owned(),
        Some(_) => without_quotations(line),
        None => line.to_owned(),
    };
    kept.chars().take(SAID_MAX).collect()
}

/// The server's error number in a client's line: `ERROR 1045 (28000): ...`, `Got error: 1045: ...`,
/// `Couldn't execute '...': Access denied ... (1227)`.
pub(super) fn code(line: &str) -> Option<u32> {
    let behind = |mark: &str| {
        let rest = line.split_once(mark)?.1;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    behind("ERROR ").or_else(|| behind("rror: ")).or_else(|| {
        let (_, rest) = line.rsplit_once('(')?;
        rest.trim_end().strip_suffix(')')?.parse().ok()
    })
}

fn without_quotations(line: &str) -> String {
    let mut out = String::new();
    // Not the one of `Can't`.
    let Some(first) = line.find(" '").map(|it| it + 1) else { return line.to_owned() };
    let _fits = write!(out, "{}'...'", &line[..first]);
    match line.rfind(" at line ") {
        Some(place) if place > first => out.push_str(&line[place..]),
        Some(_) | None => {}
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!(identifier("a`b"), "`a``b`");
        assert_eq!(literal("it's \\"), "'it\\'s \\\\'");
        assert_eq!(option_value(br#"a"b\c #"#), br#""a\"b\\c #""#);
    }

    #[test]
    fn fields_of_batch_mode_come_back_as_they_were() {
        assert_eq!(fields("a\\tb\tc\\\\n\t"), ["a\tb", "c\\n", ""]);
    }

    #[test]
    fn what_a_client_said_holds_no_row() {
        let stderr = b"--------------\nINSERT INTO `a` VALUES (1,'alice@example.org')\n--------------\n\n\
                       ERROR 1062 (23000) at line 45: Duplicate entry 'alice@example.org' for key 'PRIMARY'\n";
        assert_eq!(said(stderr), "ERROR 1062 (23000) at line 45: Duplicate entry '...'");
        let stderr = b"ERROR 1049 (42000): Unknown database 'shop'\n";
        assert_eq!(said(stderr), "ERROR 1049 (42000): Unknown database 'shop'");
        assert_eq!(code("mariadb-dump: Got error: 1045: \"Access denied\""), Some(1045));
        assert_eq!(code("mysqldump: Couldn't execute 'SHOW x': Access denied (1227)"), Some(1227));
    }
}
