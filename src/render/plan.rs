//! `bkp plan`: what apply would do, as text, JSON, Markdown and GitHub annotations.

mod foreign;

use super::Palette;
use super::escape::{github as escaped, github_property, markdown as cell, terminal};
use super::plan_document::{PlanDocument, object_words};
use crate::decide::{Action, Change, Review};
use crate::diagnostic::Diagnostic;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A change's symbol and what the legend says of it, in the legend's order.
const LEGEND: [(char, &str); 6] = [
    ('+', "create"),
    ('~', "update"),
    ('-', "remove"),
    ('>', "prove: back up, read back, restore and compare"),
    ('!', "blocked"),
    ('?', "unknown"),
];

fn symbol(change: &Change) -> char {
    match (&change.blocked, change.action) {
        (Some(_), _) => '!',
        (None, Action::Prepare | Action::Create) => '+',
        (None, Action::Update | Action::Enable) => '~',
        (None, Action::Remove) => '-',
        (None, Action::Prove) => '>',
    }
}

fn painted(symbol: char, palette: Palette) -> String {
    let text = symbol.to_string();
    match symbol {
        '+' | '>' => palette.good(&text),
        '~' | '?' => palette.warn(&text),
        _ => palette.bad(&text),
    }
}

fn title(change: &Change, plan: &str) -> String {
    let (kind, name) = object_words(&change.object, plan);
    let verb = change.action.word();
    match change.scheduler {
        Some(scheduler) => format!("{verb} {kind} `{name}` ({})", scheduler.word()),
        None => format!("{verb} {kind} `{name}`"),
    }
}

/// `Plan: 2 to add, 1 to change, 0 to remove.`; blocked changes are counted apart.
fn summary(review: &Review) -> String {
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    for change in &review.changes {
        *counts.entry(symbol(change)).or_default() += 1;
    }
    let count = |symbol: char| counts.get(&symbol).copied().unwrap_or(0);
    let mut line = format!("Plan: {} to add, {} to change, {} to remove", count('+'), count('~'), count('-'));
    for (symbol, words) in [('>', "to prove"), ('!', "blocked")] {
        if count(symbol) > 0 {
            let _ = write!(line, ", {} {words}", count(symbol));
        }
    }
    line.push('.');
    line
}

/// What is said when there is nothing to change; none when there is.
fn no_changes(review: &Review) -> Option<&'static str> {
    if !review.changes.is_empty() {
        return None;
    }
    Some(if !review.blocked.is_empty() || !review.unknown.is_empty() {
        "No changes can be told. See what is blocked or unknown."
    } else if !review.complete {
        "No changes, as far as the facts go. They do not have everything that the plan speaks of."
    } else {
        "No changes. What exists is what the plan declares, and every set is proven."
    })
}

fn indent(text: &str, by: usize) -> String {
    let pad = " ".repeat(by);
    let mut out = String::new();
    for line in text.lines() {
        let _ = writeln!(out, "{pad}{}", terminal(line));
    }
    out
}

fn diff_lines(diff: &str, palette: Palette) -> String {
    let mut out = String::new();
    for line in diff.lines() {
        let shown = terminal(line);
        let painted = match line.bytes().next() {
            Some(b'+') => palette.good(&shown),
            Some(b'-') => palette.bad(&shown),
            _ => palette.faint(&shown),
        };
        let _ = writeln!(out, "      {painted}");
    }
    out
}

fn message(diagnostic: &Diagnostic) -> String {
    let mut out = format!("    {}\n", terminal(&diagnostic.summary));
    out.push_str(&indent(&diagnostic.sentence(), 6));
    if let Some(fix) = &diagnostic.fix {
        out.push_str(&indent(&format!("help: {fix}"), 6));
    }
    out
}

/// For people at a terminal.
pub fn text(review: &Review, plan: &str, palette: Palette) -> String {
    let mut out = String::new();
    if !review.changes.is_empty() {
        let _ = writeln!(out, "bkp would make these changes for plan `{plan}`:\n");
        out.push_str(&legend(review, palette));
    }
    for change in &review.changes {
        let _ = writeln!(
            out,
            "  {} {}",
            painted(symbol(change), palette),
            palette.strong(&terminal(&title(change, plan)))
        );
        out.push_str(&indent(&change.reason, 6));
        if let Some(remark) = &change.remark {
            out.push_str(&indent(&format!("({remark})"), 6));
        }
        if let Some(diff) = &change.diff {
            out.push_str(&diff_lines(diff, palette));
        }
    }
    if !review.changes.is_empty() {
        out.push('\n');
    }
    if !review.blocked.is_empty() {
        out.push_str("Blocked, and left out by apply:\n\n");
        for blocked in &review.blocked {
            let about = match (&blocked.set, &blocked.destination) {
                (Some(set), _) => format!("set `{set}`"),
                (None, Some(destination)) => format!("destination `{destination}`"),
                (None, None) => "the audit's job".to_owned(),
            };
            let _ = writeln!(out, "  {} {about}", painted('!', palette));
            out.push_str(&message(&blocked.diagnostic));
        }
        out.push('\n');
    }
    messages(&mut out, "Could not be told:", &painted('?', palette), &review.unknown);
    if !review.uncovered.is_empty() {
        out.push_str("Uncovered: data that exists and that no set gives back:\n\n");
        for it in &review.uncovered {
            let size =
                it.size_bytes.map_or(String::new(), |bytes| format!(" ({})", super::status::bytes(bytes)));
            let _ = writeln!(out, "  {}{size}", palette.warn(&terminal(&it.key())));
            out.push_str(&indent(&it.reason, 6));
        }
        out.push_str("\n  Add a set for each, or a reason under `discover.ignore`; a member of a set's server can stand under its `ignore`.\n\n");
    }
    foreign::text(&mut out, review, palette);
    messages(&mut out, "Notes:", "-", &review.notes);
    let last = no_changes(review).map_or_else(|| summary(review), ToOwned::to_owned);
    let _ = writeln!(out, "{}", palette.strong(&last));
    if !review.complete && !review.changes.is_empty() {
        out.push_str("The facts do not have everything that the plan speaks of: there may be more.\n");
    }
    out
}

fn legend(review: &Review, palette: Palette) -> String {
    let used: Vec<char> = review.changes.iter().map(symbol).collect();
    let unknown = !review.unknown.is_empty();
    let mut out = String::new();
    for (symbol, words) in LEGEND {
        let shown = if symbol == '?' { unknown } else { used.contains(&symbol) };
        if shown {
            let _ = writeln!(out, "  {} {words}", painted(symbol, palette));
        }
    }
    out.push('\n');
    out
}

fn messages(out: &mut String, heading: &str, mark: &str, all: &[Diagnostic]) {
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "{heading}\n");
    for diagnostic in all {
        let text = message(diagnostic);
        // The mark takes the first line's indent.
        let _ = write!(out, "  {mark} {}", text.trim_start());
    }
    out.push('\n');
}

/// For programs; `schemas/plan-output.schema.json` describes it.
pub fn json(review: &Review, plan: &str, observed_at: Timestamp) -> String {
    let document = PlanDocument::new(review, plan, observed_at);
    let mut text = serde_json::to_string_pretty(&document).expect("the document has only string keys");
    text.push('\n');
    text
}

/// The JSON schema of [`json`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(PlanDocument).to_value()
}

/// For a pull request.
pub fn markdown(review: &Review, plan: &str) -> String {
    let mut out = format!("### bkp plan: `{plan}`\n\n");
    let last = no_changes(review).map_or_else(|| summary(review), ToOwned::to_owned);
    let _ = writeln!(out, "{last}\n");
    if !review.complete {
        out.push_str("> The facts do not have everything that the plan speaks of.\n\n");
    }
    if !review.changes.is_empty() {
        out.push_str("| | change | reason |\n|---|---|---|\n");
        for change in &review.changes {
            let reason = cell(&change.reason);
            let _ = writeln!(out, "| `{}` | {} | {reason} |", symbol(change), cell(&title(change, plan)));
        }
        out.push('\n');
    }
    for change in review.changes.iter().filter(|change| change.diff.is_some()) {
        let diff = change.diff.as_deref().unwrap_or_default();
        // A fence longer than any run of backticks inside it cannot be closed from within.
        let fence = "`".repeat(longest_backticks(diff).max(2) + 1);
        let summary = cell(&title(change, plan));
        let _ = write!(
            out,
            "<details><summary>{summary}</summary>\n\n{fence}diff\n{diff}{fence}\n\n</details>\n\n"
        );
    }
    let blocked: Vec<_> = review.blocked.iter().map(|it| &it.diagnostic).collect();
    list(&mut out, "Blocked", &blocked);
    list(&mut out, "Could not be told", &review.unknown.iter().collect::<Vec<_>>());
    if !review.uncovered.is_empty() {
        out.push_str("**Uncovered**\n\n");
        for it in &review.uncovered {
            let _ = writeln!(out, "- `{}`: {}", cell(&it.key()).replace('`', "'"), cell(&it.reason));
        }
        out.push('\n');
    }
    foreign::markdown(&mut out, review);
    list(&mut out, "Notes", &review.notes.iter().collect::<Vec<_>>());
    out
}

fn longest_backticks(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or(0)
}

fn list(out: &mut String, heading: &str, all: &[&Diagnostic]) {
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "**{heading}**\n");
    for it in all {
        let fix = it.fix.as_deref().map_or(String::new(), |fix| format!(" — {}", cell(fix)));
        let _ = writeln!(out, "- {}: {}{fix}", cell(&it.summary), cell(&it.sentence()));
    }
    out.push('\n');
}

/// GitHub workflow commands: an annotation for each thing that is worth one.
pub fn github(review: &Review, plan: &str) -> String {
    let mut out = String::new();
    let mut annotate = |level: &str, title: &str, text: &str| {
        let _ = writeln!(out, "::{level} title={}::{}", github_property(title), escaped(text));
    };
    for it in &review.blocked {
        annotate("error", &it.diagnostic.summary, &with_fix(&it.diagnostic));
    }
    for it in &review.unknown {
        annotate("error", &it.summary, &with_fix(it));
    }
    for it in &review.uncovered {
        annotate("warning", "uncovered data", &format!("{}: {}", it.key(), it.reason));
    }
    for it in &review.foreign {
        annotate("notice", "backup that is not bkp's", &format!("{}: {}", it.key(), it.verdicts.join("; ")));
    }
    for it in &review.foreign_gaps {
        annotate("notice", &it.summary, &with_fix(it));
    }
    for it in &review.notes {
        annotate("notice", &it.summary, &with_fix(it));
    }
    for change in review.applicable() {
        annotate("notice", &title(change, plan), &change.reason);
    }
    let last = no_changes(review).map_or_else(|| summary(review), ToOwned::to_owned);
    let _ = writeln!(out, "{last}");
    out
}

fn with_fix(diagnostic: &Diagnostic) -> String {
    let fix = diagnostic.fix.as_deref().map_or(String::new(), |fix| format!("\nhelp: {fix}"));
    format!("{}{fix}", diagnostic.sentence())
}

#[cfg(test)]
mod tests;
