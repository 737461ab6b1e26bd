//! A user's crontab, which only the tool `crontab` may touch, and our blocks in it.
//!
//! Everything outside of our blocks is the user's and stays byte for byte; what cannot be understood is not written.

use crate::host::{Command, Host, Output};
use crate::observed::JobName;
use crate::schedulers::SchedulerError;
use std::ops::Range;

const BEGIN: &str = "# bkp-begin: ";
const END: &str = "# bkp-end: ";
/// A table of this size cannot be told from one that was cut off by the limit of a child's output.
const TABLE_MAX_BYTES: usize = 15 << 20;
/// Times that a table is read anew because somebody else changed it meanwhile.
const TRIES: usize = 5;
/// Settings above a block that change when its lines start, or what reads their commands.
const HARMFUL: &[&str] = &["SHELL", "CRON_TZ", "TZ"];

fn listing() -> Command {
    let mut command = Command::look(["crontab", "-l"]);
    command.env.insert("LC_ALL".to_owned(), "C".into());
    command
}

fn refused(command: &Command, output: &Output) -> SchedulerError {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().next().unwrap_or_default();
    let reason = if said.is_empty() { output.explain() } else { said.to_owned() };
    SchedulerError::Refused { command: command.display(), reason }
}

fn damaged(reason: String) -> SchedulerError {
    SchedulerError::Unreadable { command: "crontab -l".to_owned(), reason }
}

/// The user's table, empty where there is none.
pub(super) fn read(host: &dyn Host) -> Result<Vec<u8>, SchedulerError> {
    let command = listing();
    let output =
        host.run(&command).map_err(|error| SchedulerError::Tool { command: command.display(), error })?;
    if output.succeeded() {
        if output.stdout.len() > TABLE_MAX_BYTES {
            return Err(damaged("it is longer than any crontab".to_owned()));
        }
        return Ok(output.stdout);
    }
    // Busybox says it otherwise than everybody else.
    let said = String::from_utf8_lossy(&output.stderr);
    let none =
        said.contains("no crontab for") || (said.contains("can't open") && said.contains("No such file"));
    if none && output.stdout.is_empty() && !output.timed_out {
        return Ok(Vec::new());
    }
    Err(refused(&command, &output))
}

/// A table as Debian's `crontab -l` shows it: two control characters as escapes, whatever was there before.
fn shown(table: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(table.len());
    for byte in table {
        match byte {
            b'\r' => out.extend_from_slice(b"\\r"),
            0x08 => out.extend_from_slice(b"\\b"),
            plain => out.push(*plain),
        }
    }
    out
}

/// The table byte for byte. Where a listing may hold escapes that stand for what it does not show, the tool's own editing
/// does: with `cat` for an editor it prints the table and changes nothing.
fn read_exactly(host: &dyn Host) -> Result<Vec<u8>, SchedulerError> {
    let listed = read(host)?;
    if !listed.windows(2).any(|two| two == b"\\r" || two == b"\\b") {
        return Ok(listed);
    }
    let mut command = Command::change(["crontab", "-e"]);
    for (name, value) in [("LC_ALL", "C"), ("VISUAL", "cat"), ("EDITOR", "cat")] {
        command.env.insert(name.to_owned(), value.into());
    }
    let output =
        host.run(&command).map_err(|error| SchedulerError::Tool { command: command.display(), error })?;
    if !output.succeeded() {
        return Err(refused(&command, &output));
    }
    let table = output.stdout;
    if listed == table || listed == shown(&table) {
        return Ok(table);
    }
    let reason = "it shows the crontab otherwise than `crontab -l`, so what is in it cannot be told";
    Err(SchedulerError::Unreadable { command: command.display(), reason: reason.to_owned() })
}

/// A table made of another.
type Change<'a> = &'a dyn Fn(&[u8]) -> Result<Vec<u8>, SchedulerError>;

/// Changes the table: read again right before it is written, and read back after.
pub(super) fn edit(host: &dyn Host, change: Change<'_>) -> Result<(), SchedulerError> {
    let mut before = read_exactly(host)?;
    for _ in 0..TRIES {
        let wanted = change(&before)?;
        let now = read_exactly(host)?;
        if now != before {
            before = now;
            continue;
        }
        if wanted == before {
            return Ok(());
        }
        let mut command = Command::change(["crontab", "-"]);
        command.env.insert("LC_ALL".to_owned(), "C".into());
        command.stdin = Some(wanted.clone());
        let output =
            host.run(&command).map_err(|error| SchedulerError::Tool { command: command.display(), error })?;
        if !output.succeeded() {
            return Err(refused(&command, &output));
        }
        if read_exactly(host)? != wanted {
            let reason = "afterwards the crontab is not what was written: somebody else changed it";
            return Err(SchedulerError::Refused { command: command.display(), reason: reason.to_owned() });
        }
        return Ok(());
    }
    let reason = "somebody else keeps changing the crontab".to_owned();
    Err(SchedulerError::Refused { command: "crontab -".to_owned(), reason })
}

/// A block of ours: where it lies, with its first and last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) name: JobName,
    pub(super) range: Range<usize>,
}

/// Our blocks. One without an end, or twice the same, is an error: what belongs to it cannot be told.
pub(super) fn blocks(table: &[u8]) -> Result<Vec<Block>, SchedulerError> {
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<(JobName, usize)> = None;
    let mut at = 0;
    for line in table.split_inclusive(|byte| *byte == b'\n') {
        let text = std::str::from_utf8(line.strip_suffix(b"\n").unwrap_or(line)).unwrap_or_default();
        let begins = text.strip_prefix(BEGIN).and_then(JobName::parse);
        let ends = text.strip_prefix(END).and_then(JobName::parse);
        let after = at + line.len();
        match (begins, ends, open.take()) {
            (Some(name), _, None) => open = Some((name, at)),
            (Some(_), _, Some((name, _))) => {
                return Err(damaged(format!("the block of `{name}` has no end")));
            }
            (None, Some(name), Some((begun, from))) if name == begun => {
                if found.iter().any(|block| block.name == name) {
                    return Err(damaged(format!("there are two blocks of `{name}`")));
                }
                found.push(Block { name, range: from..after });
            }
            (None, Some(name), _) => {
                return Err(damaged(format!("the end of the block of `{name}` stands alone")));
            }
            (None, None, still) => open = still,
        }
        at = after;
    }
    match open {
        None => Ok(found),
        Some((name, _)) => Err(damaged(format!("the block of `{name}` has no end"))),
    }
}

/// Lines of a job as a block.
pub(super) fn block(job: &JobName, lines: &str) -> String {
    format!("{BEGIN}{job}\n{lines}{}", last_line(job))
}

/// The line that ends a job's block.
pub(super) fn last_line(job: &JobName) -> String {
    format!("{END}{job}\n")
}

/// The harmful settings above a place in the table.
pub(super) fn harmful_above(table: &[u8], at: usize) -> Vec<String> {
    let above = String::from_utf8_lossy(&table[..at]).into_owned();
    let mut names = super::table::settings(&above);
    names.retain(|name| HARMFUL.contains(&name.as_str()));
    names
}

/// The table with a job's block as given: in its place, or at the top, where no setting of the user's reaches it.
pub(super) fn with_block(table: &[u8], job: &JobName, text: &str) -> Result<Vec<u8>, SchedulerError> {
    let found = blocks(table)?.into_iter().find(|block| block.name == *job);
    let (kept, at) = match found {
        Some(block) if harmful_above(table, block.range.start).is_empty() => {
            let at = block.range.start;
            (without(table, &block), at)
        }
        Some(block) => (without(table, &block), 0),
        None => (table.to_vec(), 0),
    };
    Ok([&kept[..at], text.as_bytes(), &kept[at..]].concat())
}

/// The table without a job's block.
pub(super) fn without_block(table: &[u8], job: &JobName) -> Result<Vec<u8>, SchedulerError> {
    let found = blocks(table)?.into_iter().find(|block| block.name == *job);
    Ok(found.map_or_else(|| table.to_vec(), |block| without(table, &block)))
}

fn without(table: &[u8], block: &Block) -> Vec<u8> {
    [&table[..block.range.start], &table[block.range.end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> JobName {
        JobName::parse(text).expect("a name")
    }

    #[test]
    fn block_whose_bounds_cannot_be_told_is_an_error() {
        let (begin, end) = ("# bkp-begin: bkp-a\n", "# bkp-end: bkp-a\n");
        for table in [
            begin.to_owned(),
            end.to_owned(),
            format!("{begin}{begin}{end}"),
            format!("{begin}# bkp-end: bkp-b\n{end}"),
            format!("{begin}{end}{begin}{end}"),
        ] {
            assert!(blocks(table.as_bytes()).is_err(), "{table}");
            assert!(with_block(table.as_bytes(), &name("bkp-a"), "x\n").is_err(), "{table}");
        }
        assert_eq!(blocks(b"# bkp-begin: something else\n").expect("not ours"), []);
    }

    #[test]
    fn block_below_a_setting_that_changes_it_moves_to_the_top() {
        let ours = block(&name("bkp-a"), "0 3 * * * x\n");
        let below = format!("MAILTO=me\nSHELL=/bin/fish\n{ours}5 4 * * * y\n");
        let moved = with_block(below.as_bytes(), &name("bkp-a"), &ours).expect("moved");
        assert_eq!(
            String::from_utf8_lossy(&moved),
            format!("{ours}MAILTO=me\nSHELL=/bin/fish\n5 4 * * * y\n")
        );
        let harmless = format!("MAILTO=me\n{ours}SHELL=/bin/fish\n");
        let kept = with_block(harmless.as_bytes(), &name("bkp-a"), &ours).expect("kept");
        assert_eq!(String::from_utf8_lossy(&kept), harmless);
    }

    fn foreign() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            "[^\\n]{0,40}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>().prop_filter("a line", |byte| *byte != b'\n'), 0..20),
            Just(b"# a comment\r".to_vec()),
            Just(b"MAILTO = \"ada\"".to_vec()),
            Just(b"\t5 4\t* * *  /bin/true % stdin".to_vec()),
            Just(Vec::new()),
        ];
        (prop::collection::vec(line, 0..12), any::<bool>()).prop_map(|(lines, ends)| {
            let mut table = lines.join(&b'\n');
            if ends {
                table.push(b'\n');
            }
            table
        })
    }

    proptest! {
        #[test]
        fn everything_that_is_not_ours_stays_byte_for_byte(
            table in foreign(), order in prop::collection::vec((0_usize..3, "[a-z #*\\n]{0,20}"), 1..8)
        ) {
            let names = ["bkp-a", "bkp-try-a", "bkp-audit-home"].map(name);
            let mut now = table.clone();
            for (which, lines) in order {
                let job = &names[which];
                now = with_block(&now, job, &block(job, &format!("{lines}\n"))).expect("whole blocks");
                let mut others = Vec::new();
                let mut at = 0;
                for block in blocks(&now).expect("whole blocks") {
                    others.extend_from_slice(&now[at..block.range.start]);
                    at = block.range.end;
                }
                others.extend_from_slice(&now[at..]);
                prop_assert_eq!(&others, &table);
            }
            for job in &names {
                now = without_block(&now, job).expect("whole blocks");
            }
            prop_assert_eq!(now, table);
        }
    }
}
