//! Findings about what the sets read.

use super::{could_not_look, not_looked};
use crate::decide::finding::{Finding, FindingCode as Code};
use crate::decide::world::{Seen, World};
use crate::declared::SetName;
use crate::diagnostic::Diagnostic;
use crate::observed::{Observed, SourceFacts};

pub(super) fn findings(world: &World<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for set in world.plan.sets.keys() {
        let object = format!("source of {set}");
        match Seen::of(world.facts.sources.get(set)) {
            Seen::NotSupplied => findings.push(not_looked(object).of(set)),
            Seen::Unknown(diagnostic) => findings.push(could_not_look(object, diagnostic).of(set)),
            Seen::Absent => {
                findings.push(Finding::new(Code::SourceMissing, object, "nothing is there").of(set));
            }
            Seen::Present(facts) => findings.extend(of_source(set, &object, facts)),
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
        // The requirement that is not met says it with the exact path.
        Observed::Unknown(_) if !findings.is_empty() => {}
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
