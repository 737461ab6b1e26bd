//! `bkp audit`: findings as text, JSON, Markdown, and for Nagios, Prometheus and `JUnit`.

use super::Palette;
use super::audit_document::AuditDocument;
use super::escape::{markdown as cell, nagios as plain, prometheus as label, terminal, xml};
use crate::decide::{Finding, FindingCode, Severity, catalogue, explain};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write as _;

fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

fn title(code: FindingCode) -> &'static str {
    explain(code.code()).map_or("", |explanation| explanation.title)
}

fn summary(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "No findings.".to_owned();
    }
    let counts = [Severity::Critical, Severity::Warning, Severity::Unknown]
        .map(|severity| format!("{} {}", count(findings, severity), severity.word()));
    format!("Findings: {}.", counts.join(", "))
}

/// What a finding is about: its set and its destination, where it has them, and its object where that is something else.
fn subject(finding: &Finding, quote: &str) -> String {
    let set = finding.set.as_ref().map(|it| (format!("set `{it}`"), format!("source of {it}")));
    let destination =
        finding.destination.as_ref().map(|it| (format!("destination `{it}`"), format!("destination {it}")));
    let places = [set, destination].into_iter().flatten();
    let (mut words, known): (Vec<String>, Vec<String>) = places.unzip();
    if !known.contains(&finding.object) {
        words.push(format!("{quote}{}{quote}", finding.object));
    }
    words.join(", ")
}

/// What was seen, without the words of [`subject`] once more.
fn evidence(finding: &Finding) -> &str {
    let set = finding.set.as_ref().map(|it| format!("set `{it}`: "));
    let destination = finding.destination.as_ref().map(|it| format!("destination `{it}`: "));
    let object = [format!("`{}`: ", finding.object), format!("`{}` ", finding.object)];
    let said = [set, destination].into_iter().flatten().chain(object);
    said.fold(finding.evidence.as_str(), |text, words| text.strip_prefix(words.as_str()).unwrap_or(text))
}

/// For people at a terminal.
pub fn text(findings: &[Finding], palette: Palette) -> String {
    let mut out = String::new();
    for finding in findings {
        let word = finding.severity.word();
        let painted = match finding.severity {
            Severity::Critical => palette.bad(word),
            Severity::Warning | Severity::Unknown => palette.warn(word),
        };
        let _ = writeln!(out, "{painted}: {} [{}]", palette.strong(title(finding.code)), finding.code);
        let (subject, evidence) = (subject(finding, "`"), evidence(finding));
        let _ = writeln!(out, "  {}: {}", terminal(&subject), terminal(evidence));
        let _ = writeln!(out, "help: {}\n", terminal(&finding.remedy));
    }
    let _ = writeln!(out, "{}", palette.strong(&summary(findings)));
    out
}

/// For programs; `schemas/audit.schema.json` describes it.
pub fn json(findings: &[Finding], now: Timestamp) -> String {
    let document = AuditDocument::new(findings, now);
    let mut text = serde_json::to_string_pretty(&document).expect("the document has only string keys");
    text.push('\n');
    text
}

/// The JSON schema of [`json`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(AuditDocument).to_value()
}

/// For an issue or a chat.
pub fn markdown(findings: &[Finding]) -> String {
    let mut out = format!("### bkp audit\n\n{}\n", summary(findings));
    if findings.is_empty() {
        return out;
    }
    out.push_str("\n| severity | code | object | evidence | remedy |\n|---|---|---|---|---|\n");
    for it in findings {
        let object = cell(&subject(it, ""));
        let (evidence, remedy) = (cell(evidence(it)), cell(&it.remedy));
        let _ =
            writeln!(out, "| {} | `{}` | {object} | {evidence} | {remedy} |", it.severity.word(), it.code);
    }
    out
}

/// One line of status with performance data, and a line for each finding
/// (<https://nagios-plugins.org/doc/guidelines.html>).
pub fn nagios(findings: &[Finding]) -> String {
    let status = match findings.iter().map(|finding| finding.severity).min() {
        None => "OK",
        Some(Severity::Critical) => "CRITICAL",
        Some(Severity::Warning) => "WARNING",
        Some(Severity::Unknown) => "UNKNOWN",
    };
    let [critical, warning, unknown] =
        [Severity::Critical, Severity::Warning, Severity::Unknown].map(|it| count(findings, it));
    let mut out = format!(
        "BKP {status} - {} | critical={critical};;0 warning={warning};0 unknown={unknown};0\n",
        plain(&summary(findings))
    );
    for it in findings {
        let line = format!("{}: {}: {}", it.code, subject(it, ""), evidence(it));
        let _ = writeln!(out, "{}", plain(&line));
    }
    out
}

/// The text exposition format. Every code has its line, so that an alert can tell none from not asked.
pub fn prometheus(findings: &[Finding], now: Timestamp) -> String {
    let mut out = String::from(
        "# HELP bkp_audit_findings Findings of the last audit, by code.\n# TYPE bkp_audit_findings gauge\n",
    );
    let mut counts: BTreeMap<(FindingCode, String, String), usize> = BTreeMap::new();
    for it in findings {
        let set = it.set.as_ref().map(ToString::to_string).unwrap_or_default();
        let destination = it.destination.as_ref().map(ToString::to_string).unwrap_or_default();
        *counts.entry((it.code, set, destination)).or_default() += 1;
    }
    for it in catalogue() {
        if !counts.keys().any(|(code, _, _)| *code == it.code) {
            counts.insert((it.code, String::new(), String::new()), 0);
        }
    }
    for ((code, set, destination), count) in &counts {
        let severity = explain(code.code()).map_or("", |explanation| explanation.severity.word());
        let _ = writeln!(
            out,
            "bkp_audit_findings{{code=\"{code}\",severity=\"{severity}\",set=\"{}\",destination=\"{}\"}} {count}",
            label(set),
            label(destination)
        );
    }
    let _ = write!(
        out,
        "# HELP bkp_audit_timestamp_seconds When the last audit ended.\n\
         # TYPE bkp_audit_timestamp_seconds gauge\nbkp_audit_timestamp_seconds {}\n",
        now.as_second()
    );
    out
}

/// `JUnit` XML: each code of the catalogue is a test case, so that what was asked is seen too. What could not be told
/// is an error, a finding is a failure.
pub fn junit(findings: &[Finding]) -> String {
    let errors = count(findings, Severity::Unknown);
    let cases = catalogue().map(|it| findings.iter().filter(|found| found.code == it.code).count().max(1));
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"bkp audit\" tests=\"{}\" \
         failures=\"{}\" errors=\"{errors}\">\n",
        cases.sum::<usize>(),
        findings.len() - errors,
    );
    for explanation in catalogue() {
        let code = explanation.code;
        let mut found = findings.iter().filter(|it| it.code == code).peekable();
        if found.peek().is_none() {
            let _ = writeln!(out, "    <testcase classname=\"bkp.audit\" name=\"{code}\"/>");
        }
        for it in found {
            let name = xml(&format!("{code}: {}", subject(it, "")));
            let element = if it.severity == Severity::Unknown { "error" } else { "failure" };
            let _ = writeln!(
                out,
                "    <testcase classname=\"bkp.audit\" name=\"{name}\">\n      <{element} type=\"{code}\" \
                 message=\"{}\">{}</{element}>\n    </testcase>",
                xml(&it.evidence),
                xml(&format!("help: {}", it.remedy))
            );
        }
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::audit;
    use crate::decide::testing::{Scene, compare_with_file};
    use crate::observed::Enablement;

    fn findings() -> Vec<Finding> {
        let mut scene = Scene::healthy();
        scene.timer().enablement = Enablement::Disabled;
        scene.destination().device = Some(1);
        audit(&scene.world())
    }

    #[test]
    fn schema_in_the_repository_is_the_types_schema() {
        let mut schema = serde_json::to_string_pretty(&schema()).expect("JSON");
        schema.push('\n');
        compare_with_file("schemas/audit.schema.json", &schema);
    }

    #[test]
    fn json_is_what_its_schema_says() {
        for findings in [Vec::new(), findings()] {
            let text = json(&findings, Scene::healthy().now);
            let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert!(jsonschema::is_valid(&schema(), &document), "{document}");
        }
    }

    #[test]
    fn text_has_code_evidence_and_remedy() {
        let shown = text(&findings(), Palette::PLAIN);
        for part in [
            "critical: The timer is disabled [timer-disabled]",
            "set `orders`, `bkp-orders`: the timer of `bkp-orders` is disabled",
            "help: ",
            "Findings: 1 critical, 1 warning, 0 unknown.",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert_eq!(text(&[], Palette::PLAIN), "No findings.\n");
    }

    #[test]
    fn nothing_is_named_twice() {
        let made = |set: bool, destination: bool, object: &str, evidence: &str| {
            let mut finding = findings().remove(0);
            finding.set = set.then(crate::decide::testing::set);
            finding.destination = destination.then(crate::decide::testing::local);
            (finding.object, finding.evidence) = (object.to_owned(), evidence.to_owned());
            finding
        };
        let findings = [
            made(false, true, "destination local", "destination `local`: no login"),
            made(true, false, "source of orders", "set `orders`: `/srv` does not exist"),
            made(true, true, "orders/one", "it has no manifest"),
            made(true, false, "/srv/docs", "set `orders`: `/srv/docs` is a symbolic link"),
        ];
        let shown = text(&findings, Palette::PLAIN);
        for line in [
            "  destination `local`: no login",
            "  set `orders`: `/srv` does not exist",
            "  set `orders`, destination `local`, `orders/one`: it has no manifest",
            "  set `orders`, `/srv/docs`: is a symbolic link",
        ] {
            assert!(shown.lines().any(|it| it == line), "{shown}");
        }
        let all = json(&findings, Scene::healthy().now);
        assert!(all.contains("destination `local`: no login"), "programs get what was seen: {all}");
    }

    #[test]
    fn nagios_line_names_the_worst_and_has_one_bar() {
        let shown = nagios(&findings());
        assert!(shown.starts_with("BKP CRITICAL - Findings: 1 critical"), "{shown}");
        assert_eq!(shown.matches('|').count(), 1);
        assert!(nagios(&[]).starts_with("BKP OK - No findings."));
    }

    #[test]
    fn monitors_see_every_code_also_without_findings() {
        for findings in [Vec::new(), findings()] {
            let (metrics, xml) = (prometheus(&findings, Scene::healthy().now), junit(&findings));
            for code in FindingCode::ALL {
                assert!(metrics.contains(&format!("{{code=\"{code}\",")), "{code}");
                assert!(xml.contains(&format!("name=\"{code}")), "{code}");
            }
            assert_eq!(xml.matches("<failure ").count(), findings.len());
        }
    }

    #[test]
    fn markdown_has_a_row_for_each_finding() {
        let shown = markdown(&findings());
        assert_eq!(
            shown
                .lines()
                .filter(|line| line.starts_with("| critical") || line.starts_with("| warning"))
                .count(),
            2
        );
    }
}
