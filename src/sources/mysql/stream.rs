//! A dump on its way, looked through as it passes.
//!
//! Never here: a `Complete` on the exit status alone, or on the end mark alone. Both, and every object and row that the
//! catalogue has, must have passed.

use super::catalogue::{Table, count_rows, history_key, rows_key};
use super::client::Client;
use super::hold::{Counted, Held};
use super::scan::Scan;
use crate::format::{Bound, Counts};
use crate::host::{ChildReader, pulse};
use crate::sources::{Complete, SourceError, SourceStream};
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

/// How many differences are named.
const NAMED_MAX: usize = 5;

/// The stream of one schema.
pub(super) struct DumpStream {
    client: Client,
    schema: String,
    /// The line of ours and what was read while the dump began.
    first: Cursor<Vec<u8>>,
    dump: ChildReader,
    scan: Scan,
    ended: bool,
    rest: Rest,
}

/// What the dump is compared with at its end.
struct Rest {
    catalogue: super::catalogue::Catalogue,
    counting: super::hold::Counting,
    loose: BTreeMap<String, u64>,
    unlocked: Option<String>,
    history: bool,
}

impl DumpStream {
    /// Of a dump that has begun. The schema's own character set stands in no dump without `--databases`: a first line
    /// of ours gives it to whatever schema the dump is played into.
    pub(super) fn new(client: Client, schema: &str, held: Held) -> Self {
        let Held { dump, first, catalogue, counting, loose, unlocked, history } = held;
        let line = format!(
            "ALTER DATABASE CHARACTER SET = {} COLLATE = {};\n",
            catalogue.charset, catalogue.collation
        );
        let mut all = line.into_bytes();
        all.extend(first);
        Self {
            client,
            schema: schema.to_owned(),
            first: Cursor::new(all),
            dump,
            scan: Scan::default(),
            ended: false,
            rest: Rest { catalogue, counting, loose, unlocked, history },
        }
    }
}

impl Read for DumpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = self.first.read(buffer)?;
        if count == 0 {
            count = self.dump.read(buffer)?;
        }
        self.ended |= count == 0 && !buffer.is_empty();
        self.scan.feed(&buffer[..count]);
        Ok(count)
    }
}

impl SourceStream for DumpStream {
    fn finish(self: Box<Self>) -> Result<Complete, SourceError> {
        let Self { client, schema, dump, scan, ended, rest, .. } = *self;
        let incomplete = |reason: String| SourceError::Incomplete { producer: client.dump_name(), reason };
        if !ended {
            return Err(incomplete("it was not read to its end".into()));
        }
        let output = dump.finish().map_err(|error| client.not_started(error))?;
        if !output.succeeded() {
            return Err(client.error(&format!("dump of `{schema}`"), &output));
        }
        if !scan.has_end_mark() {
            return Err(incomplete("`-- Dump completed` is not its last line".into()));
        }
        let missing = differences(&rest.catalogue.objects, &scan.objects);
        if !missing.is_empty() {
            return Err(incomplete(format!("schema `{schema}`: {missing}")));
        }
        let excuse = pulse::Excuse::begin();
        let Counted { before, after, mut session } = rest.counting.finish()?;
        let loose: Vec<Table> =
            rest.catalogue.tables.iter().filter(|it| it.has_rows() && !it.in_snapshot()).cloned().collect();
        let history = rest.history;
        let loose_after = count_rows(&mut session, &schema, loose.iter(), history)?;
        drop(excuse);
        let mut judge = Judge::new(rest.catalogue.counts(history));
        judge.still(&before, after.as_ref());
        judge.loose(&rest.loose, &loose_after);
        let unlocked =
            rest.unlocked.map(|why| format!("rows were counted before and after, not exactly: {why}"));
        judge.warnings.extend(unlocked);
        if !loose.is_empty() {
            let names: Vec<String> =
                loose.iter().map(|it| format!("`{}` ({})", it.name, it.engine)).collect();
            judge.warnings.push(format!(
                "schema `{schema}`: no snapshot holds these tables still while they are dumped: {}",
                names.join(", ")
            ));
        }
        let elsewhere: Vec<&Table> =
            rest.catalogue.tables.iter().filter(|it| it.is_table() && !it.has_rows()).collect();
        if !elsewhere.is_empty() {
            let names: Vec<String> =
                elsewhere.iter().map(|it| format!("`{}` ({})", it.name, it.engine)).collect();
            judge.warnings.push(format!(
                "schema `{schema}`: the rows of these tables lie elsewhere and are in no dump: {}",
                names.join(", ")
            ));
        }
        if rest.catalogue.has_history() && !history {
            judge.warnings.push(format!(
                "schema `{schema}`: the history of system-versioned tables is not in the dump: it takes MariaDB 10.11 \
                 and its client"
            ));
        }
        judge.compare(&rest.catalogue.tables, &scan.rows, history).map_err(incomplete)?;
        Ok(Complete {
            counts: Counts(judge.exact),
            bounds: judge.bounds,
            warnings: judge.warnings,
            index: None,
        })
    }
}

/// What differs between two sets of counts, the first few of them.
fn differences(catalogue: &BTreeMap<String, u64>, dump: &BTreeMap<String, u64>) -> String {
    let all: Vec<String> = catalogue
        .iter()
        .filter(|(kind, count)| dump.get(*kind).copied().unwrap_or(0) != **count)
        .map(|(kind, count)| {
            let dumped = dump.get(kind).copied().unwrap_or(0);
            format!("{kind}: {count} in the catalogue, {dumped} in the dump")
        })
        .collect();
    named(&all)
}

fn named(all: &[String]) -> String {
    let mut text = all.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
    if all.len() > NAMED_MAX {
        text.extend(["; and ", &(all.len() - NAMED_MAX).to_string(), " more"]);
    }
    text
}

/// What was counted at the source, held against what the dump holds.
struct Judge {
    exact: BTreeMap<String, u64>,
    bounds: BTreeMap<String, Bound>,
    warnings: Vec<String>,
}

impl Judge {
    fn new(exact: BTreeMap<String, u64>) -> Self {
        Self { exact, bounds: BTreeMap::new(), warnings: Vec::new() }
    }

    fn still(&mut self, before: &BTreeMap<String, u64>, after: Option<&BTreeMap<String, u64>>) {
        match after {
            None => self.exact.extend(before.clone()),
            Some(after) => self.loose(before, after),
        }
    }

    fn loose(&mut self, before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) {
        for (key, one) in before {
            let other = after.get(key).unwrap_or(one);
            self.bounds.insert(key.clone(), Bound::between(*one, *other));
        }
    }

    /// Holds every table's rows in the dump against what was counted. What was counted exactly must be equal; what was
    /// counted before and after must lie between the two, and so be equal where they are. Then what the dump holds is
    /// known exactly, and a restore must bring it back exactly: the bound has only judged it.
    fn compare(
        &mut self,
        tables: &[Table],
        dumped: &BTreeMap<String, u64>,
        history: bool,
    ) -> Result<(), String> {
        let mut wrong = Vec::new();
        for table in tables.iter().filter(|table| table.has_rows()) {
            let with_history = history_key(&table.name);
            let has_history = history
                && (self.exact.contains_key(&with_history) || self.bounds.contains_key(&with_history));
            let key = if has_history { with_history } else { rows_key(&table.name) };
            let rows = dumped.get(&table.name).copied().unwrap_or(0);
            if let Some(bound) = self.bounds.remove(&key) {
                if !(bound.min..=bound.max).contains(&rows) {
                    wrong.push(outside(&key, bound, rows));
                }
                self.exact.insert(key, rows);
            } else {
                let counted = self.exact.get(&key).copied();
                if counted != Some(rows) {
                    let counted = counted.map_or("not".to_owned(), |it| it.to_string());
                    wrong.push(format!("{key}: {counted} counted in the snapshot, {rows} in the dump"));
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(named(&wrong)) }
    }
}

/// A dump that holds what was counted neither before nor after it. Rows that came and went in between could explain it,
/// and so could rows that were lost: what cannot be told from a loss is one.
fn outside(key: &str, bound: Bound, rows: u64) -> String {
    let Bound { min, max } = bound;
    if min == max {
        return format!("{key}: {min} counted before and after, {rows} in the dump");
    }
    format!("{key}: {min} and {max} counted before and after, {rows} in the dump, which is not between them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::mysql::catalogue::TableKind;

    #[test]
    fn dump_outside_of_what_was_counted_is_never_explained_away() {
        let table = Table { name: "t".into(), kind: TableKind::Base, engine: "Aria".into() };
        let rows = |count| BTreeMap::from([("table:t".to_owned(), count)]);
        let judged = |before, after, dumped: Option<u64>| {
            let mut judge = Judge::new(BTreeMap::new());
            judge.loose(&rows(before), &rows(after));
            let dumped = dumped.map(|count| ("t".to_owned(), count)).into_iter().collect();
            judge.compare(std::slice::from_ref(&table), &dumped, false).map(|()| judge.exact)
        };
        assert_eq!(judged(5, 5, Some(5)), Ok(rows(5)));
        assert_eq!(judged(5, 9, Some(7)), Ok(rows(7)), "the dump's own count is exact");
        assert_eq!(judged(9, 5, Some(5)), Ok(rows(5)));
        for (before, after, dumped) in [(5, 5, Some(4)), (5, 5, None), (5, 9, Some(4)), (5, 9, Some(10))] {
            assert!(judged(before, after, dumped).is_err(), "{before} {after} {dumped:?}");
        }
    }
}
