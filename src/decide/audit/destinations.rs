//! Findings about destinations: reachable, prepared, roomy, and not on the device that they protect.

use super::{could_not_look, not_looked};
use crate::decide::coverage::CoverageRow;
use crate::decide::finding::{Finding, FindingCode as Code};
use crate::decide::world::{Seen, World};
use crate::declared::{DestinationName, SetName};
use crate::format::Level;
use crate::observed::DestinationFacts;
use std::collections::BTreeSet;

pub(super) fn findings(world: &World<'_>, rows: &[CoverageRow]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let used: BTreeSet<_> = rows.iter().map(|row| &row.destination).collect();
    for name in used {
        let object = format!("destination {name}");
        match world.destination(name) {
            Seen::NotSupplied => findings.push(not_looked(object).at(name)),
            Seen::Unknown(diagnostic) => findings.push(could_not_look(object, diagnostic).at(name)),
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
                findings.extend(room(object, name, facts, rows));
            }
        }
    }
    findings.extend(rows.iter().filter_map(|row| same_device(world, rows, row)));
    findings
}

fn room(
    object: String,
    name: &DestinationName,
    facts: &DestinationFacts,
    rows: &[CoverageRow],
) -> Option<Finding> {
    let space = facts.space?;
    let of_newest = rows.iter().filter(|row| row.destination == *name).filter_map(|row| row.size_bytes);
    let newest_bytes: u64 = of_newest.sum();
    let tenth = space.total_bytes / 10;
    let evidence = if space.free_bytes < newest_bytes.saturating_mul(2) {
        format!(
            "{} bytes are free, and the newest snapshots of its sets take {newest_bytes}",
            space.free_bytes
        )
    } else if space.free_bytes < tenth {
        format!("{} of {} bytes are free, less than a tenth", space.free_bytes, space.total_bytes)
    } else {
        return None;
    };
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
fn on_source_device(world: &World<'_>, set: &SetName, destination: &DestinationName) -> Option<bool> {
    let source = world.facts.sources.get(set)?.observed.present()?;
    let facts = world.facts.destinations.get(destination)?.observed.present()?;
    Some(facts.device.is_some_and(|device| source.devices.contains(&device)))
}
