//! A run's report as text and as JSON.

use crate::format::{Bound, Counts};
use crate::observed::RunOutcome;
use crate::render::status::bytes as human_bytes;
use crate::workflow::run::RunReport;
use std::collections::BTreeMap;

/// For people.
pub fn text(report: &RunReport) -> String {
    let word = match report.outcome() {
        RunOutcome::Complete => "complete",
        RunOutcome::Incomplete => "incomplete",
        RunOutcome::Failed => "failed",
    };
    let seconds = report.duration_milliseconds() / 1000;
    let mut lines = vec![format!(
        "{}: {word}: snapshot {}, {} read, {} stored, {seconds} s",
        report.set,
        report.snapshot,
        human_bytes(report.read_bytes),
        human_bytes(report.stored_bytes()),
    )];
    for member in &report.members {
        match &member.failed {
            None => {
                lines.push(format!("  member {}: {}", member.name, counted(&member.counts, &member.bounds)));
            }
            Some(_) => lines.push(format!("  member {}: FAILED", member.name)),
        }
        for warning in &member.warnings {
            lines.push(format!("    warning: {warning}"));
        }
    }
    for (name, destination) in &report.destinations {
        let mut words = vec![match destination.sealed {
            Some(_) => "stored and read back".to_owned(),
            None => "NOT STORED".to_owned(),
        }];
        if destination.drilled {
            words.push("drilled".to_owned());
        }
        if !destination.read_again.is_empty() {
            words.push(format!("{} older read back", destination.read_again.len()));
        }
        if !destination.removed.is_empty() {
            words.push(format!("{} removed by retention", destination.removed.len()));
        }
        lines.push(format!("  destination {name}: {}", words.join(", ")));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What is counted for each table or collection, before its name.
const EACH: [(&str, &str); 7] = [
    ("rows ", "rows"),
    ("table:", "rows"),
    ("history:", "history"),
    ("documents ", "documents"),
    ("buckets ", "buckets"),
    ("indexes ", "indexes"),
    ("keys ", "keys"),
];

/// What was counted, in one line: of the tables or collections of a server the sum, and no zeros.
fn counted(counts: &Counts, bounds: &BTreeMap<String, Bound>) -> String {
    // What is counted table by table is the data, and comes first.
    let mut sums: BTreeMap<(bool, &str), Bound> = BTreeMap::new();
    let exact = counts.0.iter().map(|(name, count)| (name, Bound { min: *count, max: *count }));
    let bounded = bounds.iter().map(|(name, bound)| (name, *bound));
    for (name, count) in exact.filter(|(name, _)| !bounds.contains_key(*name)).chain(bounded) {
        let each = EACH.iter().find(|(begins, _)| name.starts_with(begins));
        let key = each.map_or((true, name.as_str()), |(_, kind)| (false, *kind));
        let sum = sums.entry(key).or_insert(Bound { min: 0, max: 0 });
        sum.min = sum.min.saturating_add(count.min);
        sum.max = sum.max.saturating_add(count.max);
    }
    let words: Vec<String> = sums
        .iter()
        .filter(|(_, sum)| sum.max > 0)
        .map(
            |((_, name), Bound { min, max })| {
                if min == max { format!("{name} {max}") } else { format!("{name} {min} to {max}") }
            },
        )
        .collect();
    if words.is_empty() { "all counts are 0".to_owned() } else { words.join(", ") }
}

/// For programs.
pub fn json(report: &RunReport) -> String {
    let mut value = serde_json::to_value(report).expect("a report has only string keys");
    if let Some(map) = value.as_object_mut() {
        map.insert("format_version".into(), 1.into());
        map.insert("outcome".into(), serde_json::to_value(report.outcome()).expect("an outcome is a word"));
    }
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_one_line_with_the_data_first_and_without_zeros() {
        let exact = |all: &[(&str, u64)]| {
            let counts = Counts(all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect());
            counted(&counts, &BTreeMap::new())
        };
        let database =
            [("column defaults", 1), ("rows public.a", 3), ("rows public.b", 4), ("tables", 2), ("views", 0)];
        assert_eq!(exact(&database), "rows 7, column defaults 1, tables 2");
        assert_eq!(
            exact(&[("foreign keys", 1), ("rows a", 2), ("foreign tables", 3)]),
            "rows 2, foreign keys 1, foreign tables 3"
        );
        assert_eq!(exact(&[("indexes", 0), ("table:a", 2), ("tables", 1)]), "rows 2, tables 1");
        assert_eq!(exact(&[("bytes", 2), ("files", 1), ("links", 0)]), "bytes 2, files 1");
        assert_eq!(exact(&[("rows public.a", 0), ("tables", 0)]), "all counts are 0");
        let bounds = BTreeMap::from([("keys db0".to_owned(), Bound { min: 0, max: 100 })]);
        let keys = Counts(BTreeMap::from([("keys db0".to_owned(), 0), ("keys db1".to_owned(), 5)]));
        assert_eq!(counted(&keys, &bounds), "keys 5 to 105");
    }
}
