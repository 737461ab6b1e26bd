//! `bkp status`: the coverage table.

use super::Palette;
use super::escape::terminal;
use super::plan_document::{CopiesDocument, CoverageDocument};
use crate::decide::{CoverageRow, LevelState, SetCopies, ago};
use crate::declared::SetName;
use crate::format::Level;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt::Write as _;

/// The table, for people; times are relative to `now`.
pub fn text(rows: &[CoverageRow], copies: &[SetCopies], now: Timestamp, palette: Palette) -> String {
    if rows.is_empty() {
        return "No sets are declared.\n".to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    if palette.coloured {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let words = Level::ALL.iter().skip(1).map(|level| level.word());
    let header = ["set", "destination"].into_iter().chain(words).chain(["next run", "size", "kept"]);
    table.set_header(header);
    for row in rows {
        let mut cells = vec![Cell::new(&row.set), Cell::new(&row.destination)];
        cells.extend(Level::ALL.iter().skip(1).map(|level| level_cell(row.level(*level), now)));
        cells.push(Cell::new(match (&row.paused, row.next_run) {
            (Some(paused), _) => terminal(paused),
            (None, Some(next)) => ago(next, now),
            (None, None) => "-".to_owned(),
        }));
        cells.push(Cell::new(size_cell(row)));
        cells.push(Cell::new(row.snapshots.map_or_else(|| "?".to_owned(), |count| count.to_string())));
        table.add_row(cells);
    }
    fit(&mut table);
    format!("{table}\n{}{}", counts(copies), reasons(rows))
}

/// How many copies there are, below the table.
fn counts(copies: &[SetCopies]) -> String {
    let mut out = String::new();
    for it in copies {
        let shared = it.why().filter(|_| it.verified.places < it.verified.copies);
        let because = shared.map_or_else(String::new, |why| format!(" ({why})"));
        let _ = writeln!(out, "{}: {}{}", it.set, terminal(&it.words()), terminal(&because));
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}

/// Longest word that a column is kept wide enough for, in characters.
const WHOLE_WORD: usize = 24;

/// Wraps what is too wide for the terminal, once all rows are there. A file or a pipe has no width.
pub fn fit(table: &mut Table) {
    let Some(width) = Table::new().width() else { return };
    let mut longest = vec![0; table.column_count()];
    for row in table.header().into_iter().chain(table.row_iter()) {
        for (longest, cell) in longest.iter_mut().zip(row.cell_iter()) {
            let content = cell.content();
            let words = content.split(' ').map(|word| word.chars().count());
            *longest = words.max().unwrap_or_default().min(WHOLE_WORD).max(*longest);
        }
    }
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    for (column, longest) in table.column_iter_mut().zip(longest) {
        let least = Width::Fixed(u16::try_from(longest + 1).expect("a short word"));
        column.set_padding((0, 1)).set_constraint(ColumnConstraint::LowerBoundary(least));
    }
}

/// Why levels are not proven, below the table: of one set each reason once.
fn reasons(rows: &[CoverageRow]) -> String {
    let mut all: Vec<Reason<'_>> = Vec::new();
    for row in rows {
        let of_row = Reason::all(row);
        for reason in of_row {
            let same = |it: &&mut Reason<'_>| {
                it.set == reason.set && it.levels == reason.levels && it.state == reason.state
            };
            match all.iter_mut().find(same) {
                Some(known) => known.destinations.extend(reason.destinations),
                None => all.push(reason),
            }
        }
    }
    let lines: String = all.iter().map(Reason::line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// Why some levels of a set are not proven at some destinations.
struct Reason<'a> {
    set: &'a SetName,
    destinations: Vec<String>,
    levels: Vec<String>,
    /// The word for it, and what was seen.
    state: (&'static str, String),
}

impl<'a> Reason<'a> {
    fn all(row: &'a CoverageRow) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for (level, state) in row.levels.iter().filter(|(_, state)| !state.is_proven()) {
            let state = (state.word(), terminal(state.text()));
            match found.iter_mut().find(|it| it.state == state) {
                Some(known) => known.levels.push(level.to_string()),
                None => found.push(Self {
                    set: &row.set,
                    destinations: vec![row.destination.to_string()],
                    levels: vec![level.to_string()],
                    state,
                }),
            }
        }
        found
    }

    fn line(&self) -> String {
        let (word, text) = &self.state;
        let is = if self.levels.len() == 1 { "is" } else { "are" };
        let (places, levels) = (listed(&self.destinations), listed(&self.levels));
        format!("{} at {places}: {levels} {is} {word}: {text}\n", self.set)
    }
}

/// Such as `a`, `a and b`, or `a, b and c`.
fn listed(words: &[String]) -> String {
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

fn level_cell(state: &LevelState, now: Timestamp) -> Cell {
    let (text, colour) = match state {
        LevelState::Proven { at, .. } => (format!("yes, {}", ago(*at, now)), Color::Green),
        LevelState::Expired { at, .. } => (format!("expired, {}", ago(*at, now)), Color::Yellow),
        LevelState::Unproven { .. } => ("no".to_owned(), Color::Yellow),
        LevelState::Disproven { at, .. } => (format!("DISPROVEN, {}", ago(*at, now)), Color::Red),
        LevelState::Unknown { .. } => ("unknown".to_owned(), Color::Yellow),
    };
    Cell::new(text).fg(colour)
}

/// The newest snapshot's size, with the trend against the one before.
fn size_cell(row: &CoverageRow) -> String {
    let Some(size) = row.size_bytes else { return "-".to_owned() };
    let shown = bytes(size);
    match row.previous_size_bytes {
        Some(previous) if previous > 0 && previous != size => {
            let sign = if size > previous { '+' } else { '-' };
            let permille = u128::from(size.abs_diff(previous)) * 1000 / u128::from(previous);
            format!("{shown} ({sign}{}.{} %)", permille / 10, permille % 10)
        }
        Some(previous) if previous == size => format!("{shown} (=)"),
        Some(_) | None => shown,
    }
}

/// A size in the largest fitting binary unit, such as `12.3 MiB`.
pub fn bytes(size: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    let power = size.ilog2() / 10;
    let tenths = u128::from(size) * 10 / (1_u128 << (10 * power));
    let unit = units[usize::try_from(power).unwrap_or(1) - 1];
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// What `bkp status --format json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StatusDocument {
    /// The document's version.
    pub format_version: u32,
    /// The clock when the levels were judged (RFC 3339).
    pub at: String,
    /// Each set at each destination.
    pub coverage: Vec<CoverageDocument>,
    /// How many copies there are, of sets with several destinations or a `require`; left out where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub copies: Vec<CopiesDocument>,
}

/// For programs.
pub fn json(rows: &[CoverageRow], copies: &[SetCopies], now: Timestamp) -> String {
    let document = StatusDocument {
        format_version: 1,
        at: now.to_string(),
        coverage: rows.iter().map(Into::into).collect(),
        copies: copies.iter().map(Into::into).collect(),
    };
    let mut text = serde_json::to_string_pretty(&document).expect("the document has only string keys");
    text.push('\n');
    text
}

/// The JSON schema of [`json`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(StatusDocument).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::{Scene, destination_declaration, local};
    use crate::decide::{copies, coverage};
    use crate::declared::Require;

    #[test]
    fn sizes_are_in_the_largest_fitting_unit() {
        for (size, words) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB")] {
            assert_eq!(bytes(size), words);
        }
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(bytes(u64::MAX), "15.9 EiB");
    }

    #[test]
    fn table_says_what_is_proven_and_why_the_rest_is_not() {
        let mut scene = Scene::healthy();
        let rows = coverage(&scene.world());
        let shown = text(&rows, &[], scene.now, Palette::PLAIN);
        assert!(shown.contains("yes, 9 h ago") && shown.contains("in 15 h"), "{shown}");
        assert!(!shown.contains(" is "), "{shown}");
        scene.timer().active = false;
        let shown = text(&coverage(&scene.world()), &[], scene.now, Palette::PLAIN);
        assert!(shown.contains("scheduled is unproven: the timer of `bkp-orders` is not active"), "{shown}");
    }

    #[test]
    fn reason_that_several_levels_or_destinations_share_is_told_once() {
        let mut scene = Scene::healthy();
        let other: crate::declared::DestinationName = "disk".parse().expect("a name");
        scene.plan.destinations.insert(other.clone(), destination_declaration("/mnt/b"));
        scene.plan.defaults.destinations = Some(vec![local(), other.clone()]);
        let gone = crate::diagnostic::Diagnostic::new("destination not readable", "connecting failed");
        let unknown = crate::observed::Observed::Unknown(gone);
        scene.facts.destinations.insert(other, crate::observed::Fact::new(scene.now, "listed", unknown));
        scene.timer().active = false;
        let shown = text(&coverage(&scene.world()), &[], scene.now, Palette::PLAIN);
        let reasons: Vec<&str> = shown.lines().filter(|it| it.starts_with("orders at ")).collect();
        assert_eq!(reasons.len(), 2, "{shown}");
        assert!(
            reasons[0].starts_with("orders at local and disk: scheduled is unproven: the timer"),
            "{shown}"
        );
        let unknown = "orders at disk: stored, intact and restored are unknown: connecting failed";
        assert_eq!(reasons[1], unknown, "{shown}");
    }

    #[test]
    fn copies_in_one_place_are_told_below_the_table() {
        let mut scene = Scene::healthy();
        let other: crate::declared::DestinationName = "disk".parse().expect("a name");
        scene.plan.destinations.insert(other.clone(), destination_declaration("/mnt/b"));
        scene.plan.defaults.destinations = Some(vec![local(), other.clone()]);
        let facts = scene.facts.destinations[&local()].clone();
        scene.facts.destinations.insert(other, facts);
        scene.declaration().require = Some(Require { copies: Some(2), off_host: Some(1) });
        let rows = coverage(&scene.world());
        let shown = text(&rows, &copies(&scene.world(), &rows), scene.now, Palette::PLAIN);
        let line = "orders: 2 copies in 1 place; `require` asks for 2; 0 off this host, and `require` asks for 1 \
                    (`local` and `disk` lie on one device)";
        assert!(shown.lines().any(|it| it == line), "{shown}");
    }

    #[test]
    fn json_is_what_its_schema_says() {
        let mut scene = Scene::fresh();
        scene.declaration().require = Some(Require { copies: Some(2), off_host: None });
        let rows = coverage(&scene.world());
        let copies = copies(&scene.world(), &rows);
        let document: serde_json::Value =
            serde_json::from_str(&json(&rows, &copies, scene.now)).expect("JSON");
        assert_eq!(document["copies"][0]["required_copies"], 2, "{document}");
        assert!(jsonschema::is_valid(&schema(), &document), "{document}");
    }
}
