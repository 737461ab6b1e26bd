//! Exit statuses that follow from what was decided.

use super::finding::{Finding, Severity};
use super::review::Review;
use crate::exit_code::ExitCode;

/// `plan`: 1 when something is blocked or an observation failed; with `detailed`, 2 when there are changes or
/// uncovered data; else 0. Facts that were not supplied change nothing.
pub fn plan_exit(review: &Review, detailed: bool) -> ExitCode {
    if !review.blocked.is_empty() || !review.unknown.is_empty() {
        ExitCode::Failed
    } else if detailed && !(review.changes.is_empty() && review.uncovered.is_empty()) {
        ExitCode::Findings
    } else {
        ExitCode::Ok
    }
}

/// `audit`: 2 when there are findings, 1 when all of them are "could not tell", else 0.
pub fn audit_exit(findings: &[Finding]) -> ExitCode {
    if findings.is_empty() {
        ExitCode::Ok
    } else if findings.iter().any(|finding| finding.severity != Severity::Unknown) {
        ExitCode::Findings
    } else {
        ExitCode::Failed
    }
}

/// Nagios: 2 critical, 1 warning, 3 unknown only, 0 none (<https://nagios-plugins.org/doc/guidelines.html>).
pub fn nagios_exit(findings: &[Finding]) -> ExitCode {
    match findings.iter().map(|finding| finding.severity).min() {
        Some(Severity::Critical) => ExitCode::Findings,
        Some(Severity::Warning) => ExitCode::Failed,
        Some(Severity::Unknown) => ExitCode::NagiosUnknown,
        None => ExitCode::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::FindingCode;
    use super::*;

    #[test]
    fn findings_win_over_what_could_not_be_told() {
        let finding = |code| Finding::new(code, "it", "seen");
        let (critical, warning) = (finding(FindingCode::TimerDead), finding(FindingCode::PlanEdited));
        let unknown = finding(FindingCode::CouldNotLook);
        let cases: [(&[Finding], u8, u8); 5] = [
            (&[], 0, 0),
            (std::slice::from_ref(&unknown), 1, 3),
            (&[warning.clone(), unknown.clone()], 2, 1),
            (&[unknown.clone(), critical.clone(), warning.clone()], 2, 2),
            (std::slice::from_ref(&warning), 2, 1),
        ];
        for (findings, audit, nagios) in cases {
            assert_eq!(audit_exit(findings).status(), audit);
            assert_eq!(nagios_exit(findings).status(), nagios);
        }
    }
}
