//! A run's report as text and as JSON.

use crate::observed::RunOutcome;
use crate::render::status::bytes as human_bytes;
use crate::workflow::run::RunReport;

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
        let counts: Vec<String> =
            member.counts.0.iter().take(6).map(|(name, count)| format!("{name} {count}")).collect();
        let more = member.counts.0.len().saturating_sub(6);
        let more = if more > 0 { format!(", and {more} more counts") } else { String::new() };
        match &member.failed {
            None => lines.push(format!("  member {}: {}{more}", member.name, counts.join(", "))),
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

/// For programs.
pub fn json(report: &RunReport) -> String {
    let mut value = serde_json::to_value(report).expect("a report has only string keys");
    if let Some(map) = value.as_object_mut() {
        map.insert("format_version".into(), 1.into());
        map.insert("outcome".into(), serde_json::to_value(report.outcome()).expect("an outcome is a word"));
    }
    format!("{value:#}\n")
}
