//! Findings about destinations: reachable, prepared, roomy, in time, and not on the device that they protect.

use super::{could_not_look, not_looked};
use crate::decide::CLOCK_SLACK;
use crate::decide::coverage::CoverageRow;
use crate::decide::finding::{Finding, FindingCode as Code};
use crate::decide::room::trend;
use crate::decide::world::{Seen, World};
use crate::declared::{DestinationName, SetName};
use crate::diagnostic::Diagnostic;
use crate::format::Level;
use crate::observed::{DestinationFacts, Trouble};
use std::collections::BTreeSet;

pub(super) fn findings(world: &World<'_>, rows: &[CoverageRow]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let used: BTreeSet<_> = rows.iter().map(|row| &row.destination).collect();
    for name in used {
        let object = format!("destination {name}");
        match world.destination(name) {
            Seen::NotSupplied => findings.push(not_looked(object).at(name)),
            Seen::Unknown(diagnostic) => {
                findings.push(troubled(object, world.trouble(name), diagnostic).at(name));
            }
            Seen::Absent => {
                let finding = Finding::new(Code::DestinationNotPrepared, object, "nothing is there");
                findings.push(finding.at(name));
            }
            Seen::Present(facts) => {
                if !facts.prepared {
                    let finding = Finding::new(
                        Code::DestinationNotPrepared,
                        object.clone(),
                        "bkp's marker is not there",
                    );
                    findings.push(finding.at(name));
                }
                findings.extend(clock(&object, facts).map(|it| it.at(name)));
                findings.extend(room(world, object, name, facts, rows));
            }
        }
    }
    findings.extend(rows.iter().filter_map(|row| same_device(world, rows, row)));
    findings
}

/// A destination that could not be looked at. Its levels are unknown all the same; that is no finding more.
fn troubled(object: String, trouble: Option<Trouble>, diagnostic: &Diagnostic) -> Finding {
    let sentence = diagnostic.sentence();
    match trouble {
        None => could_not_look(object, diagnostic),
        Some(Trouble::Refused) => Finding::new(Code::DestinationRefused, object, sentence),
        Some(Trouble::PlaceMissing) => Finding::new(Code::DestinationPlaceMissing, object, sentence),
        Some(Trouble::Stranger) => Finding::new(Code::DestinationStranger, object, sentence),
        Some(Trouble::Clock { offset_seconds }) => {
            let evidence = match offset_seconds {
                Some(offset) => format!("{}: {sentence}", offset_words(offset)),
                None => sentence,
            };
            Finding::new(Code::ClockSkew, object, evidence)
        }
        Some(Trouble::Unopened) => {
            let finding = Finding::new(Code::DestinationUnopened, object, sentence);
            match &diagnostic.fix {
                Some(fix) => finding.remedy(fix.clone()),
                None => finding,
            }
        }
        Some(Trouble::Archived) => {
            let evidence = format!("unverifiable: {sentence}");
            Finding::new(Code::ObjectArchived, object, evidence)
                .remedy("Bring it back at the service, and remove the rule that archives it.")
        }
    }
}

fn clock(object: &str, facts: &DestinationFacts) -> Option<Finding> {
    let offset = facts.clock_offset_seconds?;
    let far = offset.unsigned_abs() > CLOCK_SLACK.as_secs().unsigned_abs();
    far.then(|| Finding::new(Code::ClockSkew, object, offset_words(offset)))
}

fn offset_words(offset_seconds: i64) -> String {
    let side = if offset_seconds < 0 { "behind" } else { "ahead of" };
    format!("the server's clock is {} s {side} this host's", offset_seconds.unsigned_abs())
}

fn room(
    world: &World<'_>,
    object: String,
    name: &DestinationName,
    facts: &DestinationFacts,
    rows: &[CoverageRow],
) -> Option<Finding> {
    let space = facts.space?;
    let of_newest = rows.iter().filter(|row| row.destination == *name).filter_map(|row| row.size_bytes);
    let newest_bytes: u64 = of_newest.sum();
    let tenth = space.total_bytes / 10;
    let now = if space.free_bytes < newest_bytes.saturating_mul(2) {
        Some(format!(
            "{} bytes are free, and the newest snapshots of its sets take {newest_bytes}",
            space.free_bytes
        ))
    } else if space.free_bytes < tenth {
        Some(format!("{} of {} bytes are free, less than a tenth", space.free_bytes, space.total_bytes))
    } else {
        None
    };
    let soon = trend(world, name, facts).map(|trend| {
        let days = if trend.days == 1 { "1 day".to_owned() } else { format!("{} days", trend.days) };
        format!("{} bytes a day more than retention frees: full in about {days}", trend.growth_bytes)
    });
    let all: Vec<String> = now.into_iter().chain(soon).collect();
    if all.is_empty() {
        return None;
    }
    let evidence = all.join("; ");
    Some(Finding::new(Code::DestinationFullSoon, object, evidence).at(name))
}

/// Whether a destination lies on its source's device, while no other holds a fresh copy elsewhere.
fn same_device(world: &World<'_>, rows: &[CoverageRow], row: &CoverageRow) -> Option<Finding> {
    if !on_source_device(world, &row.set, &row.destination)? {
        return None;
    }
    let elsewhere = rows.iter().any(|other| {
        other.set == row.set
            && other.level(Level::Stored).is_proven()
            && on_source_device(world, &other.set, &other.destination) == Some(false)
    });
    if elsewhere {
        return None;
    }
    let evidence =
        format!("`{}` lies on a device of set `{}`: it protects nothing", row.destination, row.set);
    let object = format!("destination {}", row.destination);
    Some(Finding::new(Code::SameDevice, object, evidence).of(&row.set).at(&row.destination))
}

/// None when it cannot be told; that is a finding of the source's or the destination's own.
pub(super) fn on_source_device(
    world: &World<'_>,
    set: &SetName,
    destination: &DestinationName,
) -> Option<bool> {
    let source = world.facts.sources.get(set)?.observed.present()?;
    let facts = world.facts.destinations.get(destination)?.observed.present()?;
    Some(facts.device.is_some_and(|device| source.devices.contains(&device)))
}
