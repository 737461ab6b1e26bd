//! What is worth knowing about destinations: places that are one, who removes what is old, what cannot be read.

use super::Review;
use crate::decide::copies::SetCopies;
use crate::decide::world::{World, sealed};
use crate::declared::{DestinationName, RetentionBy, SetName};
use crate::diagnostic::Diagnostic;
use crate::observed::Trouble;
use std::collections::BTreeMap;

pub(super) fn notes(world: &World<'_>, review: &mut Review) {
    let mut told: BTreeMap<(&'static str, String, Option<String>), Vec<&SetName>> = BTreeMap::new();
    for copies in &review.copies {
        if let Some((summary, what)) = of_copies(copies) {
            told.entry((summary, what, copies.why())).or_default().push(&copies.set);
        }
    }
    for ((summary, what, why), sets) in told {
        let mut note = Diagnostic::new(summary, format!("{}: {what}", set_words(&sets)));
        note.why = why;
        if summary == NEVER {
            note = note.fix("add a destination that fails on its own, or ask for less");
        }
        review.notes.push(note);
    }
    retention(world, review);
    archived(world, review);
}

const NEVER: &str = "`require` can never be met";
const SHARED: &str = "copies share a place";

/// What the declarations themselves say, would every destination be well.
fn of_copies(copies: &SetCopies) -> Option<(&'static str, String)> {
    let count = copies.declared;
    let of =
        |count: usize, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let there = format!("{} in {}", of(count.copies, "destination"), of(count.places, "place"));
    let (places, off_host) = copies.lacking(count);
    let asked: Vec<String> = [
        places.map(|asked| format!("`require` asks for copies in {asked}")),
        off_host.map(|asked| format!("{} off this host, and `require` asks for {asked}", count.off_host)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !asked.is_empty() {
        return Some((NEVER, format!("{there}; {}", asked.join("; "))));
    }
    (count.places < count.copies).then_some((SHARED, there))
}

fn set_words(sets: &[&SetName]) -> String {
    let names: Vec<String> = sets.iter().map(|set| format!("`{set}`")).collect();
    format!("set{} {}", if sets.len() == 1 { "" } else { "s" }, names.join(", "))
}

/// Where bkp removes nothing because others do.
fn retention(world: &World<'_>, review: &mut Review) {
    let mut by: BTreeMap<(&DestinationName, &'static str), Vec<&SetName>> = BTreeMap::new();
    for (name, set) in &world.plan.sets {
        for destination in world.plan.destinations_of(set) {
            let who = match world.plan.retention(set, destination).and_then(|policy| policy.by) {
                None => continue,
                Some(RetentionBy::Provider) => "its provider removes what is old, by a rule of its own",
                Some(RetentionBy::Pruner) => "`bkp prune` on another host removes what is old",
            };
            by.entry((destination, who)).or_default().push(name);
        }
    }
    for ((destination, who), sets) in by {
        let what = format!("destination `{destination}`, {}: {who}", set_words(&sets));
        review.notes.push(Diagnostic::new("bkp removes nothing", what));
    }
}

/// Snapshots that would have to be brought back before anything could be proven of them.
fn archived(world: &World<'_>, review: &mut Review) {
    let mut unknown = Vec::new();
    for row in &review.coverage {
        let snapshots = world.snapshots(&row.set, &row.destination).unwrap_or_default();
        let Some(newest) = snapshots.iter().find(|it| Some(it.id) == row.newest).and_then(sealed) else {
            continue;
        };
        if !newest.archived.is_empty() {
            let what = format!("set `{}`, destination `{}`", row.set, row.destination);
            let why = format!("unverifiable: {} must be brought back first", newest.archived.join(", "));
            unknown.push(Diagnostic::new(Trouble::Archived.summary(), what).why(why));
        }
    }
    review.unknown.extend(unknown);
}
