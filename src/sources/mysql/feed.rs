//! An artifact fed to the client, and looked through on the way.
//!
//! The client ends at the first statement that fails. A line of rows is held in pieces, any other whole. Never here: a dump that ends early and is called restored (cut
//! between two statements it ends with status 0), or the client's own words, which hold rows.

use super::accounts::END_MARK;
use super::client::Client;
use super::events::{Event, Off, switched_off};
use super::scan::Scan;
use super::words::{code, identifier, said};
use crate::host::{ChildWriter, FeedError, Host};
use crate::sources::{RestoreError, SourceError};
use std::io::{self, BufRead, BufReader, Cursor, Read};

/// The line that forbids shell commands to `MariaDB`'s client; others do not understand it.
const SANDBOX: &[u8] = b"/*M!999999\\- enable the sandbox mode */";
/// How a line begins that holds rows, and may be as long as the server takes.
const ROWS: &[u8] = b"INSERT INTO ";
/// Bytes of such a line that are held at a time.
const PIECE_BYTES: usize = 1 << 20;
/// The end of a dump.
const DUMP_MARK: &[u8] = b"-- Dump completed";

/// What is fed, and where to.
pub(super) struct Load<'a> {
    pub host: &'a dyn Host,
    pub client: &'a Client,
    /// The member, which is the name of the schema that was dumped.
    pub member: &'a str,
    /// The schema that it goes to; none for accounts.
    pub schema: Option<&'a str>,
    /// Whether people use the server: then events are played in disabled.
    pub live: bool,
}

impl Load<'_> {
    /// Feeds it to its end mark. Gives the events that were enabled, and are not where it was played in.
    pub fn feed(&self, body: &mut dyn Read) -> Result<Vec<Event>, RestoreError> {
        let keeps_sandbox = self.client.knows(self.host, "--sandbox");
        let mut fitted = Fitted::new(body, self.member, self.schema, keeps_sandbox);
        fitted.switches_off = self.live;
        let command = self.client.loading(self.schema, &[]);
        let mut child =
            ChildWriter::start(&command).map_err(|error| bench(&self.client.not_started(error)))?;
        let fed = child.feed(&mut fitted);
        let output = child.finish().map_err(|error| bench(&self.client.not_started(error)))?;
        match fed {
            Err(FeedError::Body(_)) if fitted.names_live() => {
                return Err(RestoreError::NotByName { kind: "mysql".into(), reason: self.named_live() });
            }
            Err(FeedError::Body(_)) if fitted.stubborn => {
                let reason = "an event's status was not found, and enabled it would run at once: restore it with `--to`";
                return Err(RestoreError::NotByName { kind: "mysql".into(), reason: reason.into() });
            }
            Err(FeedError::Body(error)) => {
                return Err(RestoreError::Fetch { member: self.member.to_owned(), error });
            }
            Err(FeedError::Pipe(error)) => return Err(bench(&self.client.not_started(error))),
            Ok(_) => {}
        }
        if !output.succeeded() {
            let error = self.client.error(&format!("playing in `{}`", self.member), &output);
            let number = code(&said(&output.stderr));
            return Err(match number {
                Some(number) if !OF_THE_BENCH.contains(&number) && !output.timed_out => {
                    RestoreError::Damaged { member: self.member.to_owned(), reason: error.to_string() }
                }
                Some(_) | None => bench(&error),
            });
        }
        if !fitted.ended_by_its_mark() {
            let reason = "its end mark is missing: it was cut off".to_owned();
            return Err(RestoreError::Damaged { member: self.member.to_owned(), reason });
        }
        Ok(fitted.off)
    }
}

impl Load<'_> {
    fn named_live(&self) -> String {
        format!(
            "`{0}` has objects that name `{0}` itself, so that under another name they would be made in the live schema, or \
             reach for it: drill it on a server of its own, or restore it with `--to`",
            self.member
        )
    }
}

/// Errors that say something of the server that a dump is played into, and nothing of the dump: connections, rights,
/// rooms, and what another version does not know.
const OF_THE_BENCH: [u32; 24] = [
    3, 28, 1007, 1021, 1030, 1040, 1044, 1045, 1049, 1050, 1114, 1115, 1142, 1153, 1193, 1227, 1231, 1273,
    1286, 1524, 2002, 2003, 2006, 2013,
];

/// What an error of the client's means for a restore.
pub(super) fn bench(error: &SourceError) -> RestoreError {
    let causes = crate::diagnostic::causes(error);
    let reason = if causes.is_empty() { error.to_string() } else { format!("{error}: {causes}") };
    RestoreError::Bench { tool: "mysql".into(), reason }
}

/// A dump line by line, made to fit where it goes.
struct Fitted<'a> {
    body: BufReader<&'a mut dyn Read>,
    line: Cursor<Vec<u8>>,
    /// Whether what follows belongs to a line of rows that has begun.
    in_rows: bool,
    drops_sandbox: bool,
    /// How lines begin that change the dumped schema by its name, and how they must begin.
    renames: Option<(Vec<u8>, Vec<u8>)>,
    last: Vec<u8>,
    scan: Scan,
    switches_off: bool,
    off: Vec<Event>,
    /// Whether an event came that could not be switched off.
    stubborn: bool,
}

impl<'a> Fitted<'a> {
    fn new(body: &'a mut dyn Read, member: &str, schema: Option<&str>, keeps_sandbox: bool) -> Self {
        // Around routines of another collation the dump changes the schema, and names it.
        let beginning = |name: &str| format!("ALTER DATABASE {} ", identifier(name)).into_bytes();
        let renames = schema.filter(|it| *it != member).map(|it| (beginning(member), beginning(it)));
        Self {
            body: BufReader::with_capacity(256 << 10, body),
            line: Cursor::new(Vec::new()),
            in_rows: false,
            drops_sandbox: !keeps_sandbox,
            renames,
            last: Vec::new(),
            scan: Scan::of_schema(member),
            switches_off: false,
            off: Vec::new(),
            stubborn: false,
        }
    }

    /// Whether the next line would reach for the schema that was dumped, from under another name.
    fn names_live(&self) -> bool {
        self.renames.is_some() && self.scan.names_itself()
    }

    fn ended_by_its_mark(&self) -> bool {
        self.last.starts_with(DUMP_MARK) || self.last.starts_with(END_MARK.as_bytes())
    }

    fn next_line(&mut self) -> io::Result<bool> {
        let mut line = std::mem::take(self.line.get_mut());
        line.clear();
        self.line.set_position(0);
        if (&mut self.body).take(PIECE_BYTES as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        let (goes_on, ends) = (self.in_rows, line.ends_with(b"\n"));
        self.in_rows = !ends && (goes_on || line.starts_with(ROWS));
        if goes_on {
            self.scan.feed(&line);
            *self.line.get_mut() = line;
            return Ok(true);
        }
        if !ends && !self.in_rows {
            self.body.read_until(b'\n', &mut line)?;
        }
        let events = self.scan.events();
        self.scan.feed(&line);
        if self.switches_off && self.scan.events() > events {
            match switched_off(&line) {
                Some(Off::Already) => {}
                Some(Off::Now(disabled, event)) => {
                    line = disabled;
                    self.off.push(event);
                }
                None => {
                    self.stubborn = true;
                    return Err(io::Error::other("the status of an event was not found"));
                }
            }
        }
        if self.names_live() {
            return Err(io::Error::other("it names the schema that was dumped"));
        }
        if !line.trim_ascii().is_empty() {
            self.last = line[..line.len().min(64)].to_vec();
        }
        if let Some((from, to)) = &self.renames
            && line.starts_with(from)
        {
            line.splice(..from.len(), to.iter().copied());
        }
        if self.drops_sandbox && line.starts_with(SANDBOX) {
            line = b"\n".to_vec();
        }
        *self.line.get_mut() = line;
        Ok(true)
    }
}

impl Read for Fitted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.line.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if !self.next_line()? {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(text: &str, schema: &str, keeps_sandbox: bool) -> (String, bool) {
        let mut body = text.as_bytes();
        let mut fitted = Fitted::new(&mut body, "shop", Some(schema), keeps_sandbox);
        let mut out = String::new();
        fitted.read_to_string(&mut out).expect("text");
        (out, fitted.ended_by_its_mark())
    }

    #[test]
    fn long_line_of_rows_passes_in_pieces_and_any_other_is_held_whole() {
        let row = format!("(1,'{}'),", "x;\\'ALTER DATABASE `shop` ".repeat(PIECE_BYTES / 40));
        let insert = format!("INSERT INTO `t` VALUES {}(2,'y');\n", row.repeat(5));
        let other = format!("/* {} */\n", "z".repeat(3 * PIECE_BYTES));
        let text = format!("{insert}{other}ALTER DATABASE `shop` X ;\n{insert}-- Dump completed\n");
        let mut body = text.as_bytes();
        let mut fitted = Fitted::new(&mut body, "shop", Some("other"), true);
        let (mut out, mut longest, mut buffer) = (Vec::new(), 0, vec![0; 64 << 10]);
        loop {
            let length = fitted.read(&mut buffer).expect("it is read");
            if length == 0 {
                break;
            }
            out.extend_from_slice(&buffer[..length]);
            if fitted.line.get_ref().starts_with(b"/*") {
                assert_eq!(fitted.line.get_ref().len(), other.len());
            } else {
                longest = longest.max(fitted.line.get_ref().len());
            }
        }
        let expected = text.replace("ALTER DATABASE `shop` X", "ALTER DATABASE `other` X");
        assert!(out == expected.as_bytes(), "{} bytes of {}", out.len(), expected.len());
        assert_eq!(longest, PIECE_BYTES);
        assert_eq!(fitted.scan.rows.get("t"), Some(&12));
        assert!(fitted.ended_by_its_mark());
    }

    #[test]
    fn dump_that_names_its_schema_changes_the_new_one_and_not_the_live_one() {
        let text = "/*M!999999\\- enable the sandbox mode */ \nALTER DATABASE `shop` CHARACTER SET latin1 ;\n\
                    -- Dump completed on 2026-01-01\n";
        let (out, ended) = fitted(text, "other", false);
        assert_eq!(out, "\nALTER DATABASE `other` CHARACTER SET latin1 ;\n-- Dump completed on 2026-01-01\n");
        assert!(ended);
        assert_eq!(fitted(text, "shop", true).0, text);
        assert!(!fitted("ALTER DATABASE `shop` CHARACTER SET latin1 ;\n", "shop", true).1);
    }
}
