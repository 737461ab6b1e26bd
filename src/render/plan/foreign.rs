//! The block of `bkp plan` about backups that are not bkp's. It never speaks of them as changes.

use super::{cell, indent, list, message, terminal};
use crate::decide::{ForeignNote, Review};
use crate::render::Palette;
use std::fmt::Write as _;

/// What it is, when, and what makes it a backup.
fn about(note: &ForeignNote) -> String {
    let mut parts = vec![note.kind.words().to_owned()];
    parts.extend(note.schedule.clone());
    parts.push(if note.tools.is_empty() { "by its name".to_owned() } else { note.tools.join(", ") });
    parts.join("; ")
}

/// For people at a terminal.
pub(super) fn text(out: &mut String, review: &Review, palette: Palette) {
    if review.foreign.is_empty() && review.foreign_gaps.is_empty() {
        return;
    }
    out.push_str("Backups that are not bkp's:\n\n");
    for note in &review.foreign {
        let _ = writeln!(out, "  {} ({})", palette.warn(&terminal(&note.key())), terminal(&about(note)));
        for verdict in &note.verdicts {
            out.push_str(&indent(verdict, 6));
        }
    }
    for gap in &review.foreign_gaps {
        let text = message(gap);
        let _ = write!(out, "  {} {}", palette.warn("?"), text.trim_start());
    }
    if !review.foreign.is_empty() {
        out.push_str(
            "\n  bkp changes none of them. Put their data in a set, or a reason under `discover.ignore`.\n",
        );
    }
    out.push('\n');
}

/// For a pull request.
pub(super) fn markdown(out: &mut String, review: &Review) {
    if !review.foreign.is_empty() {
        out.push_str("**Backups that are not bkp's**\n\n");
        for note in &review.foreign {
            let verdicts: Vec<String> = note.verdicts.iter().map(|it| cell(it)).collect();
            let key = cell(&note.key()).replace('`', "'");
            let _ = writeln!(out, "- `{key}` ({}): {}", cell(&about(note)), verdicts.join("; "));
        }
        out.push('\n');
    }
    list(
        out,
        "Not looked at for backups that are not bkp's",
        &review.foreign_gaps.iter().collect::<Vec<_>>(),
    );
}
