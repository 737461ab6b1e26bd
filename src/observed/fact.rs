//! Present, absent or unknown; when and how.

use super::Trouble;
use crate::diagnostic::Diagnostic;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What was seen of a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "value", rename_all = "snake_case")]
pub enum Observed<T> {
    /// It is there.
    Present(T),
    /// We looked, and it is not there.
    Absent,
    /// We could not look, and this is why.
    Unknown(Diagnostic),
}

impl<T> Observed<T> {
    /// The value, where it is present.
    pub fn present(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// The reason, where it is unknown.
    pub fn unknown(&self) -> Option<&Diagnostic> {
        match self {
            Self::Unknown(diagnostic) => Some(diagnostic),
            Self::Present(_) | Self::Absent => None,
        }
    }

    /// Converts a present value.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Observed<U> {
        match self {
            Self::Present(value) => Observed::Present(convert(value)),
            Self::Absent => Observed::Absent,
            Self::Unknown(diagnostic) => Observed::Unknown(diagnostic),
        }
    }
}

/// An observation with its time and its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact<T> {
    /// When it was made.
    pub at: Timestamp,
    /// How: the call or the command.
    pub how: String,
    /// What was seen.
    pub observed: Observed<T>,
    /// Why it is unknown, where there is a word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

impl<T> Fact<T> {
    /// A new observation.
    pub fn new(at: Timestamp, how: impl Into<String>, observed: Observed<T>) -> Self {
        Self { at, how: how.into(), observed, trouble: None }
    }

    /// Adds the word for why it is unknown.
    #[must_use]
    pub fn because(mut self, trouble: Option<Trouble>) -> Self {
        self.trouble = trouble;
        self
    }
}
