//! Findings about how many copies there are, and which of them would be lost together.

use crate::decide::copies::{SetCopies, Shared, Tie, copies, together};
use crate::decide::coverage::CoverageRow;
use crate::decide::finding::{Finding, FindingCode as Code};
use crate::decide::world::World;
use crate::declared::DestinationName;
use crate::format::Level;

pub(super) fn findings(world: &World<'_>, rows: &[CoverageRow]) -> Vec<Finding> {
    copies(world, rows).iter().flat_map(|it| of_set(world, rows, it)).collect()
}

fn of_set(world: &World<'_>, rows: &[CoverageRow], copies: &SetCopies) -> Vec<Finding> {
    let mut findings = Vec::new();
    let object = copies.set.to_string();
    // Where what is unknown could be enough, nothing is held against the set.
    let (places, off_host) = copies.lacking(copies.at_most);
    let reasons = reasons(rows, copies);
    let because = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
    let verified = copies.verified;
    if let Some(asked) = places {
        let evidence = format!("{}; `require` asks for {asked}{because}", verified.words());
        findings.push(Finding::new(Code::CopiesTooFew, object.clone(), evidence).of(&copies.set));
    }
    if let Some(asked) = off_host {
        let evidence = format!(
            "{} of {} copies are off this host; `require` asks for {asked}{because}",
            verified.off_host, verified.copies
        );
        findings.push(Finding::new(Code::OffHostTooFew, object.clone(), evidence).of(&copies.set));
    }
    if copies.require.is_some() {
        return findings;
    }
    // What the plan file itself says is no news: two folders of one host, and a declared failure domain.
    let news: Vec<&Shared> = copies
        .shared
        .iter()
        .filter(|shared| match &shared.tie {
            Tie::Device => ![&shared.one, &shared.other].into_iter().all(|it| on_source(world, copies, it)),
            Tie::Server(_) | Tie::Account(_) | Tie::Credentials(_) => true,
            Tie::Host | Tie::Domain(_) => false,
        })
        .collect();
    if !news.is_empty() {
        let evidence = format!("{}: {}", verified.words(), together(news));
        findings.push(Finding::new(Code::SharedFate, object, evidence).of(&copies.set));
    }
    findings
}

/// A destination on its source's device is a finding already.
fn on_source(world: &World<'_>, copies: &SetCopies, name: &DestinationName) -> bool {
    super::destinations::on_source_device(world, &copies.set, name) == Some(true)
}

/// Why there are not more: what is not proven, and what is one place.
fn reasons(rows: &[CoverageRow], copies: &SetCopies) -> Vec<String> {
    let lacking = |row: &&CoverageRow| {
        [Level::Stored, Level::Intact].iter().any(|level| {
            let state = row.level(*level);
            !state.is_proven() && !state.is_unknown()
        })
    };
    let of_set = rows.iter().filter(|row| row.set == copies.set).filter(lacking);
    let mut all: Vec<String> =
        of_set.map(|row| format!("`{}` is not fresh and verified", row.destination)).collect();
    all.extend(copies.why());
    all
}
