//! A run's report as text and as JSON.

use crate::format::Counts;
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
            None => lines.push(format!("  member {}: {}", member.name, counted(&member.counts))),
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

/// What was counted, in one line: of the tables or collections of a server the sum, and no zeros.
fn counted(counts: &Counts) -> String {
    // What is counted table by table is the data, and comes first.
    let mut sums: BTreeMap<(bool, &str), u64> = BTreeMap::new();
    for (name, count) in &counts.0 {
        let key = match name.split_once([' ', ':']) {
            Some(("table", _)) => (false, "rows"),
            Some((kind, _)) => (false, kind),
            None => (true, name.as_str()),
        };
        let sum = sums.entry(key).or_default();
        *sum = sum.saturating_add(*count);
    }
    let words: Vec<String> =
        sums.iter().filter(|(_, sum)| **sum > 0).map(|((_, name), sum)| format!("{name} {sum}")).collect();
    if words.is_empty() { "it is empty".to_owned() } else { words.join(", ") }
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
        let counts = |all: &[(&str, u64)]| {
            Counts(all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
        };
        let database =
            [("functions", 0), ("rows public.a", 3), ("rows public.b", 4), ("tables", 2), ("views", 0)];
        assert_eq!(counted(&counts(&database)), "rows 7, tables 2");
        assert_eq!(counted(&counts(&[("indexes", 0), ("table:a", 2), ("tables", 1)])), "rows 2, tables 1");
        assert_eq!(counted(&counts(&[("bytes", 2), ("files", 1), ("links", 0)])), "bytes 2, files 1");
        assert_eq!(counted(&counts(&[("rows public.a", 0), ("tables", 0)])), "it is empty");
    }
}
