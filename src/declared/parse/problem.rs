//! What is wrong with a plan file: all of it in one report, each problem marked where it was written.
//!
//! A problem names its own layer only, and never quotes a secret.

use crate::diagnostic;
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What kind of fault it is, in fixed words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file or folder could not be read.
    #[error("plan file not readable")]
    Unreadable,
    /// Not YAML, or YAML that a plan file may not use.
    #[error("not a plan file's YAML")]
    Syntax,
    /// Two YAML readers disagree about it.
    #[error("ambiguous YAML")]
    Ambiguous,
    /// Over a limit.
    #[error("too large")]
    TooLarge,
    /// A key that nothing reads.
    #[error("unknown key")]
    UnknownKey,
    /// A key that must be there.
    #[error("missing")]
    Missing,
    /// A map where text is wanted, and the like.
    #[error("wrong kind of value")]
    WrongKind,
    /// A value that is not of the form wanted.
    #[error("value not understood")]
    BadValue,
    /// Not one of the words allowed.
    #[error("unknown word")]
    UnknownWord,
    /// Designed, and not built yet.
    #[error("not in this version")]
    NotInThisVersion,
    /// Given twice.
    #[error("given twice")]
    Duplicate,
    /// A name that nothing declares.
    #[error("unknown name")]
    Dangling,
    /// Nothing where something is wanted.
    #[error("empty")]
    Empty,
    /// A secret itself instead of a reference.
    #[error("secret in a plan file")]
    LiteralSecret,
    /// Two parts of the plan that cannot both be meant.
    #[error("conflict")]
    Conflict,
    /// Read, and probably not what was meant.
    #[error("probably not what was meant")]
    Suspicious,
}

/// A plan file's text and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanText {
    /// Path of the file as the user named it.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

/// Where something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Index of the file.
    pub file: usize,
    /// First byte.
    pub start: usize,
    /// First byte behind it.
    pub end: usize,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    fault: Fault,
    what: String,
    fix: Option<String>,
    place: Option<Place>,
    also: Vec<(Place, &'static str)>,
}

impl Problem {
    pub fn new(fault: Fault, what: String, place: Place) -> Self {
        Self { fault, what, fix: None, place: Some(place), also: Vec::new() }
    }

    pub fn nowhere(fault: Fault, what: String) -> Self {
        Self { fault, what, fix: None, place: None, also: Vec::new() }
    }

    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    #[must_use]
    pub fn also(mut self, place: Place, label: &'static str) -> Self {
        self.also.push((place, label));
        self
    }

    fn diagnostic(&self, texts: &[PlanText]) -> diagnostic::Diagnostic {
        let mut diagnostic = diagnostic::Diagnostic::new(self.fault.to_string(), self.what.clone());
        diagnostic.fix.clone_from(&self.fix);
        if let Some(place) = self.place {
            diagnostic.place = texts.get(place.file).map(|text| diagnostic::Place {
                file: text.path.display().to_string(),
                start: place.start,
                length: place.end - place.start,
            });
        }
        diagnostic
    }
}

/// Problems as they are found.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<Problem>,
    warnings: Vec<Problem>,
    hidden: Vec<Place>,
}

impl Problems {
    pub fn add(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    pub fn warn(&mut self, problem: Problem) {
        self.warnings.push(problem);
    }

    /// Keeps what was written there out of the report.
    pub fn hide(&mut self, place: Place) {
        self.hidden.push(place);
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The warnings as diagnostics.
    pub fn warnings(&self, texts: &[PlanText]) -> Vec<diagnostic::Diagnostic> {
        self.warnings.iter().map(|problem| problem.diagnostic(texts)).collect()
    }

    /// The report, in the order of the places.
    pub fn into_errors(mut self, subject: String, texts: &[PlanText]) -> PlanErrors {
        self.list.sort_by_key(|problem| problem.place);
        // What is wrong behind an anchor is found again at each alias.
        self.list.dedup();
        let source = |(file, text): (usize, &PlanText)| {
            let shown = shown(&text.text, self.hidden.iter().filter(|it| it.file == file));
            Arc::new(NamedSource::new(text.path.display().to_string(), shown))
        };
        let sources: Vec<Arc<NamedSource<String>>> = texts.iter().enumerate().map(source).collect();
        let reports = self.list.iter().map(|problem| ProblemReport::new(problem, &sources)).collect();
        let diagnostics = self.list.iter().map(|problem| problem.diagnostic(texts)).collect();
        PlanErrors { subject, reports, diagnostics }
    }
}

/// The text with asterisks, byte for byte, over what must not be shown.
fn shown<'a>(text: &str, hidden: impl Iterator<Item = &'a Place>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for place in hidden {
        let range = bytes.get_mut(place.start..place.end).unwrap_or_default();
        range.iter_mut().filter(|it| !matches!(it, b'\n' | b'\r')).for_each(|it| *it = b'*');
    }
    String::from_utf8(bytes).expect("whole nodes are replaced, so no character is cut")
}

/// Everything that is wrong with a plan file, or with a folder of them.
#[derive(Debug)]
pub struct PlanErrors {
    subject: String,
    reports: Vec<ProblemReport>,
    diagnostics: Vec<diagnostic::Diagnostic>,
}

impl PlanErrors {
    /// Every problem, each with its place in the plan file.
    pub fn diagnostics(&self) -> &[diagnostic::Diagnostic] {
        &self.diagnostics
    }

    /// The whole report as text; `colour` for a terminal that shows it.
    #[expect(clippy::missing_panics_doc, reason = "writing into a String does not fail")]
    pub fn report(&self, colour: bool) -> String {
        let theme = if colour {
            miette::GraphicalTheme::unicode()
        } else {
            miette::GraphicalTheme::unicode_nocolor()
        };
        let handler = miette::GraphicalReportHandler::new_themed(theme).with_links(false).with_width(110);
        let mut text = String::new();
        handler.render_report(&mut text, self).expect("writing into a String does not fail");
        text
    }
}

impl From<PlanErrors> for Vec<diagnostic::Diagnostic> {
    fn from(errors: PlanErrors) -> Self {
        errors.diagnostics
    }
}

impl fmt::Display for PlanErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reports.len() {
            1 => write!(formatter, "1 error in {}", self.subject),
            count => write!(formatter, "{count} errors in {}", self.subject),
        }
    }
}

impl std::error::Error for PlanErrors {}

impl Diagnostic for PlanErrors {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.reports.iter().map(|it| it as &dyn Diagnostic)))
    }
}

/// One problem with the text that it marks.
#[derive(Debug)]
struct ProblemReport {
    what: String,
    fix: Option<String>,
    source: Option<Arc<NamedSource<String>>>,
    labels: Vec<LabeledSpan>,
    /// Places in other files.
    elsewhere: Vec<ProblemReport>,
    advice: bool,
}

fn label(text: String, place: Place) -> LabeledSpan {
    LabeledSpan::new(Some(text), place.start, place.end - place.start)
}

impl ProblemReport {
    fn new(problem: &Problem, sources: &[Arc<NamedSource<String>>]) -> Self {
        let source_of = |place: Place| sources.get(place.file).cloned();
        let mut report = Self {
            what: problem.what.clone(),
            fix: problem.fix.clone(),
            source: problem.place.and_then(source_of),
            labels: problem.place.map(|it| label(problem.fault.to_string(), it)).into_iter().collect(),
            elsewhere: Vec::new(),
            advice: false,
        };
        for (place, text) in &problem.also {
            if problem.place.is_some_and(|it| it.file == place.file) {
                report.labels.push(label((*text).to_owned(), *place));
            } else {
                report.elsewhere.push(Self {
                    what: (*text).to_owned(),
                    fix: None,
                    source: source_of(*place),
                    labels: vec![label((*text).to_owned(), *place)],
                    elsewhere: Vec::new(),
                    advice: true,
                });
            }
        }
        report
    }
}

impl fmt::Display for ProblemReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl std::error::Error for ProblemReport {}

impl Diagnostic for ProblemReport {
    fn severity(&self) -> Option<miette::Severity> {
        Some(if self.advice { miette::Severity::Advice } else { miette::Severity::Error })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.fix.as_ref().map(|fix| Box::new(fix) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|it| it as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty())
            .then(|| Box::new(self.labels.iter().cloned()) as Box<dyn Iterator<Item = _>>)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        let elsewhere =
            || Box::new(self.elsewhere.iter().map(|it| it as &dyn Diagnostic)) as Box<dyn Iterator<Item = _>>;
        (!self.elsewhere.is_empty()).then(elsewhere)
    }
}
