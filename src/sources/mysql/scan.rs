//! A dump looked through as it passes: the end mark, the objects of each kind, the rows of each table.
//!
//! The dump programs end with status 0 on dumps that lack triggers and routines, and the end mark stands in dumps that
//! lack tables; so what the dump holds is counted here and compared with the catalogue. Nothing is kept of a row.

use super::words::identifier;
use std::collections::BTreeMap;

/// Longest beginning of a line that is looked at, in bytes.
const HEAD_MAX: usize = 64 << 10;
/// The last line that both programs write before they have asked for a row.
const HEADER_END: &[u8] = b"SET @OLD_SQL_NOTES=@@SQL_NOTES";

/// Where the scanner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In a line whose beginning is kept.
    Line,
    /// In an INSERT statement, outside of a text, at this depth of brackets.
    Insert(u32),
    /// In a text that this quote ends.
    Text(u8, u32),
    /// Behind a backslash in such a text.
    Escaped(u8, u32),
}

/// What has been seen.
#[derive(Debug)]
pub(super) struct Scan {
    at: At,
    head: Vec<u8>,
    delimited: bool,
    seen_object: bool,
    table: Option<String>,
    values: bool,
    mark: bool,
    header: bool,
    beyond: bool,
    itself: Option<(Vec<u8>, Vec<u8>)>,
    names_itself: bool,
    /// How many of each kind, in the words of the catalogue.
    pub objects: BTreeMap<String, u64>,
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
}

impl Default for Scan {
    fn default() -> Self {
        let kinds =
            ["tables", "views", "sequences", "columns", "indexes", "foreign keys", "triggers", "events"];
        let routines = ["procedures", "functions", "packages", "package bodies"];
        let objects = kinds.iter().chain(&routines).map(|kind| ((*kind).to_owned(), 0)).collect();
        Self {
            at: At::Line,
            head: Vec::new(),
            delimited: false,
            seen_object: false,
            table: None,
            values: false,
            mark: false,
            header: false,
            beyond: false,
            itself: None,
            names_itself: false,
            objects,
            rows: BTreeMap::new(),
        }
    }
}

impl Scan {
    /// One that also looks for objects that name the schema itself, and so cannot be restored under another name.
    pub fn of_schema(schema: &str) -> Self {
        let itself = Some((identifier(schema).into_bytes(), schema.as_bytes().to_vec()));
        Self { itself, ..Self::default() }
    }

    /// Whether anything has come behind the header: both programs write it before they begin their transaction, and
    /// everything else after (mysqldump's `main()`: `write_header()`, `start_transaction()`, `dump_databases()`).
    pub fn past_header(&self) -> bool {
        self.beyond
    }

    /// Whether the end mark is the last line that says anything.
    pub fn has_end_mark(&self) -> bool {
        self.mark && self.at == At::Line && self.head.is_empty()
    }

    /// How many events have been seen.
    pub fn events(&self) -> u64 {
        self.objects.get("events").copied().unwrap_or(0)
    }

    /// Whether an object names the schema itself.
    pub fn names_itself(&self) -> bool {
        self.names_itself
    }

    /// Looks at the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.beyond |= self.header;
            rest = match self.at {
                At::Line => self.line(rest),
                At::Insert(depth) => self.insert(rest, depth),
                At::Text(quote, depth) => self.text(rest, quote, depth),
                At::Escaped(quote, depth) => {
                    self.at = At::Text(quote, depth);
                    &rest[1..]
                }
            };
        }
    }

    fn line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = HEAD_MAX.saturating_sub(self.head.len());
        if !self.delimited && self.head.len() < HEAD_MAX && self.may_insert(part) {
            return self.begin_insert(bytes);
        }
        self.head.extend_from_slice(&part[..part.len().min(room)]);
        match end {
            None => &[],
            Some(end) => {
                let head = std::mem::take(&mut self.head);
                self.whole_line(&head);
                &bytes[end + 1..]
            }
        }
    }

    /// Whether the line is an INSERT, or may become one with more bytes: then it is taken byte by byte.
    fn may_insert(&self, part: &[u8]) -> bool {
        const INSERT: &[u8] = b"INSERT INTO `";
        let head = self.head.iter().chain(part).take(INSERT.len());
        let mut length = 0;
        for (byte, wanted) in head.zip(INSERT) {
            if byte != wanted {
                return false;
            }
            length += 1;
        }
        length == INSERT.len()
    }

    /// Takes the table's name and goes to the rows; a name that is cut off at the end of the bytes waits for more.
    fn begin_insert<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let before = self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(HEAD_MAX)]);
        let name_at = b"INSERT INTO `".len();
        let Some((name, length)) = quoted(&self.head[name_at..]) else {
            return if self.head.len() >= HEAD_MAX { self.give_up_line(bytes) } else { &[] };
        };
        self.head.clear();
        self.table = Some(name);
        self.values = false;
        self.mark = false;
        self.at = At::Insert(0);
        // What of the name stood in earlier bytes is not in these.
        &bytes[(name_at + length).saturating_sub(before)..]
    }

    fn give_up_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.head.clear();
        bytes.iter().position(|byte| *byte == b'\n').map_or(&[], |end| &bytes[end + 1..])
    }

    fn insert<'a>(&mut self, bytes: &'a [u8], depth: u32) -> &'a [u8] {
        let stops = |byte: &u8| matches!(byte, b'\'' | b'"' | b'`' | b'(' | b')' | b';' | b'V');
        let Some(at) = bytes.iter().position(stops) else { return &[] };
        match bytes[at] {
            b'(' => {
                if depth == 0 && self.values {
                    let table = self.table.clone().unwrap_or_default();
                    *self.rows.entry(table).or_default() += 1;
                }
                self.at = At::Insert(depth + 1);
            }
            b')' => self.at = At::Insert(depth.saturating_sub(1)),
            b';' if depth == 0 => self.at = At::Line,
            // The word VALUES is the only one with that letter between a column list and the rows.
            b'V' if depth == 0 => self.values = true,
            b';' | b'V' => {}
            quote => self.at = At::Text(quote, depth),
        }
        &bytes[at + 1..]
    }

    fn text<'a>(&mut self, bytes: &'a [u8], quote: u8, depth: u32) -> &'a [u8] {
        // In a name a backslash is a letter like any other.
        let escapes = quote != b'`';
        let stops = |byte: &u8| *byte == quote || escapes && *byte == b'\\';
        let Some(at) = bytes.iter().position(stops) else { return &[] };
        // A doubled quote ends one text and begins another, which comes to the same.
        self.at = if bytes[at] == quote { At::Insert(depth) } else { At::Escaped(quote, depth) };
        &bytes[at + 1..]
    }

    fn whole_line(&mut self, line: &[u8]) {
        if !line.is_empty() {
            self.mark = !self.delimited && line.starts_with(b"-- Dump completed");
        }
        self.header |= line.windows(HEADER_END.len()).any(|it| it == HEADER_END);
        if let Some(rest) = line.strip_prefix(b"DELIMITER ") {
            self.delimited = rest != b";";
            self.seen_object = false;
            return;
        }
        let text = String::from_utf8_lossy(line);
        let kind = if self.delimited { self.object_of(&text) } else { object(&text) };
        if let Some(kind) = kind {
            *self.objects.entry(kind.to_owned()).or_default() += 1;
        }
        let defines = self.delimited || text.starts_with("/*!50001 VIEW ") || text.contains(" REFERENCES ");
        if let (Some((quoted, plain)), true) = (&self.itself, defines && !text.starts_with("ALTER DATABASE"))
        {
            self.names_itself |= has_word(line, quoted) || has_word(line, plain);
        }
    }

    /// A trigger, an event or a routine: the first line of its text that says so.
    fn object_of(&mut self, line: &str) -> Option<&'static str> {
        let versioned = |head: &str, kind: &str| {
            // `/*!50003 CREATE*/ /*!50017 DEFINER=...*/ /*!50003 trigger ...`
            let behind = line.strip_prefix(head).and_then(|rest| rest.split_once("*/ /*!"));
            behind.is_some_and(|(_, behind)| {
                let behind = behind.trim_start_matches(|it: char| it.is_ascii_digit()).trim_start();
                behind.get(..kind.len()).is_some_and(|it| it.eq_ignore_ascii_case(kind))
            })
        };
        // Events stand one after the other between two delimiters.
        if versioned("/*!50106 CREATE*/", "EVENT") {
            self.seen_object = true;
            return Some("events");
        }
        if self.seen_object {
            return None;
        }
        let found = if versioned("/*!50003 CREATE*/", "TRIGGER") { Some("triggers") } else { routine(line) };
        self.seen_object |= found.is_some();
        found
    }
}

/// Whether a schema's name stands in a line before a dot, and is not the end of a longer one.
fn has_word(line: &[u8], word: &[u8]) -> bool {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'$';
    let mut places = line.windows(word.len()).enumerate().filter(|(_, it)| it.eq_ignore_ascii_case(word));
    places.any(|(at, _)| {
        let begins = at == 0 || word[0] == b'`' || !part(&line[at - 1]);
        begins && line[at + word.len()..].trim_ascii_start().starts_with(b".")
    })
}

/// `CREATE DEFINER=... PROCEDURE` and its kin.
fn routine(line: &str) -> Option<&'static str> {
    let rest = line.strip_prefix("CREATE ")?;
    let words = [
        (" PACKAGE BODY ", "package bodies"),
        (" PACKAGE ", "packages"),
        (" PROCEDURE ", "procedures"),
        (" FUNCTION ", "functions"),
    ];
    let padded = format!(" {rest}");
    let found = words.iter().filter_map(|(word, kind)| Some((padded.find(word)?, kind)));
    found.min_by_key(|(at, _)| *at).map(|(_, kind)| *kind)
}

/// An object or a part of a table, by the beginning of its line.
fn object(line: &str) -> Option<&'static str> {
    let heads = [
        ("CREATE TABLE `", "tables"),
        ("CREATE SEQUENCE `", "sequences"),
        ("/*!50001 VIEW `", "views"),
        ("  `", "columns"),
        ("  PRIMARY KEY ", "indexes"),
        ("  UNIQUE KEY ", "indexes"),
        ("  KEY ", "indexes"),
        ("  FULLTEXT KEY ", "indexes"),
        ("  SPATIAL KEY ", "indexes"),
        ("  VECTOR KEY ", "indexes"),
    ];
    if line.starts_with("  CONSTRAINT `") && line.contains(" FOREIGN KEY (") {
        return Some("foreign keys");
    }
    heads.iter().find(|(head, _)| line.starts_with(head)).map(|(_, kind)| *kind)
}

/// The name before the closing backtick, and how many bytes it takes with it; none where it is cut off.
fn quoted(bytes: &[u8]) -> Option<(String, usize)> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == b'`')?;
        match bytes.get(at + 1)? {
            b'`' => at += 2,
            _ => break,
        }
    }
    let name = String::from_utf8_lossy(&bytes[..at]).replace("``", "`");
    Some((name, at + 1))
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
