//! The catalogue: what each finding means, where it comes from and what mends it. `docs/FINDINGS.md` is made from it.

mod destinations;
mod entries;
mod jobs;
mod servers;

use super::finding::FindingCode as Code;
use super::finding::Severity;
use destinations::DESTINATIONS;
use entries::ENTRIES;
use jobs::JOBS;
use servers::SERVERS;
use std::fmt::Write as _;

/// What a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The finding.
    pub code: Code,
    /// A line that names it.
    pub title: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it says of the backups.
    pub meaning: &'static str,
    /// Where it usually comes from.
    pub cause: &'static str,
    /// What mends it.
    pub remedy: &'static str,
}

/// Every finding that audit can report.
pub fn catalogue() -> impl Iterator<Item = &'static Explanation> {
    JOBS.iter().chain(ENTRIES).chain(&SERVERS).chain(&DESTINATIONS)
}

/// Explains a code such as `timer-missing`; none when no finding has it.
pub fn explain(code: &str) -> Option<&'static Explanation> {
    catalogue().find(|explanation| explanation.code.code() == code)
}

pub(super) fn explanation(code: Code) -> &'static Explanation {
    catalogue().find(|explanation| explanation.code == code).expect("the catalogue has every code")
}

/// The page `docs/FINDINGS.md`.
pub fn findings_page() -> String {
    let mut page = String::from(
        "# Findings\n\nEvery finding that `bkp audit` can report. Made from the catalogue in `src/decide/catalogue.rs`; \
         `bkp explain CODE` says the same.\n\n| code | severity | |\n|---|---|---|\n",
    );
    for it in catalogue() {
        let _ = writeln!(page, "| [{0}](#{0}) | {1} | {2} |", it.code, it.severity.word(), it.title);
    }
    for it in catalogue() {
        let _ = write!(
            page,
            "\n## {}\n\n**{}** ({}). {}\n\nUsual cause: {}\n\nRemedy: {}\n",
            it.code,
            it.title,
            it.severity.word(),
            it.meaning,
            it.cause,
            it.remedy
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_once() {
        for code in Code::ALL {
            let found = catalogue().filter(|it| it.code == code).count();
            assert_eq!(found, 1, "{code}");
            assert_eq!(explain(code.code()).map(|it| it.code), Some(code));
        }
        assert_eq!(catalogue().count(), Code::ALL.len());
        assert_eq!(explain("no-such-code"), None);
    }

    #[test]
    fn page_in_docs_is_the_catalogue() {
        super::super::testing::compare_with_file("docs/FINDINGS.md", &findings_page());
    }
}
