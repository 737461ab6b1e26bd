//! What is true now: every finding, with its evidence and its remedy.
//!
//! An observation that failed or was not made is a finding of its own kind, never silence.

mod copies;
mod destinations;
mod jobs;
mod lifecycle;
mod runs;
mod security;
mod snapshots;
mod sources;

use super::coverage::coverage;
use super::finding::{Finding, FindingCode as Code};
use super::history::History;
use super::uncovered::uncovered;
use super::world::{Seen, World};
use crate::diagnostic::Diagnostic;

/// Finds everything that is wrong or that could not be told, the worst first, each once.
pub fn audit(world: &World<'_>) -> Vec<Finding> {
    let rows = coverage(world);
    let history = History::new(world);
    let mut findings = Vec::new();
    findings.extend(jobs::findings(world));
    findings.extend(jobs::plan_findings(world));
    findings.extend(sources::findings(world));
    findings.extend(destinations::findings(world, &rows));
    findings.extend(copies::findings(world, &rows));
    findings.extend(lifecycle::findings(world, &rows));
    findings.extend(snapshots::findings(world, &history, &rows));
    findings.extend(runs::findings(world, &history, &rows));
    findings.extend(security::findings(world));
    findings.extend(discovery(world));
    findings.sort();
    findings.dedup();
    findings
}

/// What others can read or change, of what a plan speaks of: known before anything is applied.
pub(super) fn open_to_others(world: &World<'_>) -> Vec<Finding> {
    security::findings(world).into_iter().filter(|finding| finding.code != Code::CouldNotLook).collect()
}

/// The finding for an observation that failed.
fn could_not_look(object: impl Into<String>, diagnostic: &Diagnostic) -> Finding {
    let finding = Finding::new(Code::CouldNotLook, object, diagnostic.sentence());
    match &diagnostic.fix {
        Some(fix) => finding.remedy(fix.clone()),
        None => finding,
    }
}

/// The finding for an observation that nobody made.
fn not_looked(object: impl Into<String>) -> Finding {
    Finding::new(Code::CouldNotLook, object, "it was not observed")
}

fn discovery(world: &World<'_>) -> Vec<Finding> {
    let mut findings: Vec<_> = uncovered(world)
        .into_iter()
        .map(|it| Finding::new(Code::Uncovered, it.key(), it.reason).remedy(it.remedy))
        .collect();
    for (place, fact) in &world.facts.discovered {
        if let Seen::Unknown(diagnostic) = Seen::of(Some(fact)) {
            findings.push(could_not_look(format!("discovery in {place}"), diagnostic));
        }
    }
    for folder in &world.plan.discover.sqlite {
        if !super::uncovered::looked_into(world, folder) {
            findings.push(not_looked(format!("discovery in {}", folder.display())));
        }
    }
    findings
}

#[cfg(test)]
mod tests;
