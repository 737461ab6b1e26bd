//! What went wrong, in the words a person can act on: summary, what, why, fix, and the place in the plan file.
//!
//! Layers return narrow error enums; only `cli/` and the code that records facts turn them into diagnostics.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in a plan file, as byte offsets into its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Path of the file as the user named it.
    pub file: String,
    /// First byte of the marked scalar.
    pub start: usize,
    /// Length in bytes.
    pub length: usize,
}

/// One message: a fixed summary, then what, why, and the command that mends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Fixed wording, without names.
    pub summary: String,
    /// The object this is about, with names.
    pub what: String,
    /// The cause, from the lower layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The command or the edit that mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Where in the plan file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

impl Diagnostic {
    /// Starts a diagnostic from its fixed summary and the object it concerns.
    pub fn new(summary: impl Into<String>, what: impl Into<String>) -> Self {
        Self { summary: summary.into(), what: what.into(), why: None, fix: None, place: None }
    }

    /// Builds one from an error: its own text as `what`, its sources as `why`.
    pub fn from_error(summary: impl Into<String>, error: &dyn std::error::Error) -> Self {
        let mut diagnostic = Self::new(summary, error.to_string());
        let causes = causes(error);
        if !causes.is_empty() {
            diagnostic.why = Some(causes);
        }
        diagnostic
    }

    /// Adds the cause.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds the remedy.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Adds the place in the plan file.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// `what`, and behind a colon `why`, on one line.
    pub fn sentence(&self) -> String {
        match &self.why {
            Some(why) => format!("{}: {why}", self.what),
            None => self.what.clone(),
        }
    }
}

/// The chain of `source()`s below an error, joined by colons; empty when there is none.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut parts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        parts.push(cause.to_string());
        next = cause.source();
    }
    parts.join(": ")
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n  {}", self.summary, self.sentence())?;
        if let Some(fix) = &self.fix {
            write!(formatter, "\nhelp: {fix}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}
