//! Findings about what the sets read.

use super::{could_not_look, not_looked};
use crate::decide::finding::{Finding, FindingCode as Code};
use crate::decide::identity::{moved_away, place_is_known};
use crate::decide::world::{Seen, World, sealed};
use crate::declared::{SetName, SourceDeclaration};
use crate::diagnostic::Diagnostic;
use crate::observed::{Observed, SourceFacts};
use std::collections::BTreeSet;

pub(super) fn findings(world: &World<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (set, declaration) in &world.plan.sets {
        let object = format!("source of {set}");
        if let SourceDeclaration::Command(command) = &declaration.source
            && command.drill.is_none()
        {
            let evidence = "its backup is read back, and no program has tried to use it";
            findings.push(Finding::new(Code::DrillUnjudged, object.clone(), evidence).of(set));
        }
        match Seen::of(world.facts.sources.get(set)) {
            Seen::NotSupplied => findings.push(not_looked(object).of(set)),
            Seen::Unknown(diagnostic) => findings.push(could_not_look(object, diagnostic).of(set)),
            Seen::Absent => {
                findings.push(Finding::new(Code::SourceMissing, object, "nothing is there").of(set));
            }
            Seen::Present(facts) => {
                let mut found = of_source(set, &object, facts);
                let moved = moved_away(world, set, facts).filter(|_| place_is_known(facts));
                // What else is new about another file system's data follows from that.
                match moved {
                    Some(moved) => {
                        let evidence = moved.why.clone().unwrap_or_default();
                        let finding = Finding::new(Code::SourceMoved, object.clone(), evidence).of(set);
                        found.push(finding.remedy(moved.fix.unwrap_or_default()));
                    }
                    None => found.extend(members_and_snapshot(world, set, facts)),
                }
                findings.append(&mut found);
                findings.extend(facts.doors.iter().map(|door| {
                    Finding::new(Code::OpenDoor, door.object.clone(), door.evidence.clone()).of(set)
                }));
            }
        }
    }
    findings
}

fn of_source(set: &SetName, object: &str, facts: &SourceFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for requirement in &facts.requirements {
        let Some(diagnostic) = &requirement.unmet else { continue };
        let code = match requirement.kind.as_str() {
            "tool" => Code::ToolMissing,
            "readable" if says_missing(diagnostic) => Code::SourceMissing,
            "readable" => Code::SourceUnreadable,
            "link" => Code::SourceLinked,
            "version" => Code::ToolTooOld,
            "server" => Code::ServerUnreachable,
            "login" => Code::LoginRefused,
            "grant" => Code::GrantMissing,
            "catalogue" => Code::CatalogueLimited,
            // Secrets, hooks, writable folders, and what later sources will need.
            _ => Code::RequirementUnmet,
        };
        findings.push(with_diagnostic(code, requirement.object.clone(), diagnostic).of(set));
    }
    match &facts.members {
        Observed::Present(_) => {}
        Observed::Absent => {
            findings.push(Finding::new(Code::SourceMissing, object, "nothing is there").of(set));
        }
        // The requirement that is not met says it with the exact path; what only a run can ask, runs prove.
        Observed::Unknown(_) if !findings.is_empty() || facts.deferred.is_some() => {}
        Observed::Unknown(diagnostic) => {
            let code = if says_denied(diagnostic) {
                Code::SourceUnreadable
            } else if says_missing(diagnostic) {
                Code::SourceMissing
            } else {
                Code::CouldNotLook
            };
            findings.push(with_diagnostic(code, object.to_owned(), diagnostic).of(set));
        }
    }
    findings
}

/// Members that came or went since the newest snapshot of the same declaration.
fn members_and_snapshot(world: &World<'_>, set: &SetName, facts: &SourceFacts) -> Vec<Finding> {
    let Some(declaration) = world.plan.sets.get(set) else { return Vec::new() };
    let Observed::Present(members) = &facts.members else { return Vec::new() };
    let digest = world.wanted(set).map(|wanted| wanted.set_digest);
    let destinations = world.plan.destinations_of(declaration).iter();
    let snapshots = destinations.filter_map(|destination| world.snapshots(set, destination)).flatten();
    let sealed = snapshots.filter_map(|snapshot| Some((snapshot.id, sealed(snapshot)?)));
    let ours = sealed.filter(|(_, it)| it.manifest.complete && Some(it.manifest.set_digest) == digest);
    // Of two copies of one snapshot the one whose members can be read says more.
    let newest = ours.max_by_key(|(id, it)| (*id, !it.manifest.is_concealed()));
    let Some((id, newest)) = newest else { return Vec::new() };
    if newest.manifest.is_concealed() {
        let (stored, there) = (newest.manifest.members.len(), members.len());
        let evidence = format!("{there} exist, and snapshot {id}, whose names are encrypted, has {stored}");
        let code = if there > stored { Code::MemberNotStored } else { Code::MemberGone };
        return if there == stored {
            Vec::new()
        } else {
            vec![Finding::new(code, set.to_string(), evidence).of(set)]
        };
    }
    let stored: BTreeSet<&str> = newest.manifest.members.iter().map(|it| it.name.as_str()).collect();
    let there: BTreeSet<&str> = members.iter().map(|it| it.name.as_str()).collect();
    let gone = stored.difference(&there).map(|member| {
        let evidence = format!("snapshot {id} has it, and the source does not");
        Finding::new(Code::MemberGone, format!("{set}/{member}"), evidence).of(set)
    });
    let new = there.difference(&stored).map(|member| {
        let evidence = format!("it exists, and snapshot {id}, the newest, does not have it");
        Finding::new(Code::MemberNotStored, format!("{set}/{member}"), evidence).of(set)
    });
    gone.chain(new).collect()
}

fn with_diagnostic(code: Code, object: String, diagnostic: &Diagnostic) -> Finding {
    let finding = Finding::new(code, object, diagnostic.sentence());
    match &diagnostic.fix {
        Some(fix) => finding.remedy(fix.clone()),
        None => finding,
    }
}

fn says(diagnostic: &Diagnostic, words: &[&str]) -> bool {
    let text = format!("{} {}", diagnostic.summary, diagnostic.sentence()).to_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// The words of `SourceError::Missing` and of the operating system (errno(3), ENOENT).
fn says_missing(diagnostic: &Diagnostic) -> bool {
    says(diagnostic, &["does not exist", "no such file", "missing", "matches nothing", "not found"])
}

/// The words of `SourceError::Denied` and of the operating system (errno(3), EACCES and EPERM).
fn says_denied(diagnostic: &Diagnostic) -> bool {
    says(diagnostic, &["cannot be read by this user", "permission denied", "not permitted"])
}
