//! Lengths of time as people write them: `30d`, `12h`, `90m`, `5s`, `2w`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a length of time was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Not a number and a unit.
    #[error("`{0}` is not a length of time: write a number and s, m, h, d or w, such as `30d`")]
    Malformed(String),
    /// Nothing, or more than a thousand years.
    #[error("`{0}` is out of range")]
    OutOfRange(String),
}

/// A length of time in whole seconds, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span {
    seconds: u64,
}

/// A thousand years, the most that a span may be.
const MOST_SECONDS: u64 = 1000 * 366 * 86_400;
const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

impl Span {
    /// Thirty days.
    pub const DAYS_30: Self = Self { seconds: 30 * 86_400 };

    /// A span of so many seconds, at least 1 and at most a thousand years.
    pub fn from_seconds(seconds: u64) -> Self {
        Self { seconds: seconds.clamp(1, MOST_SECONDS) }
    }

    /// So many days, at least one.
    pub const fn from_days(days: u32) -> Self {
        let days = if days == 0 { 1 } else { days };
        Self { seconds: days as u64 * 86_400 }
    }

    /// Its length in seconds.
    pub fn seconds(self) -> u64 {
        self.seconds
    }

    /// As a duration of the time library.
    pub fn signed(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_secs(i64::try_from(self.seconds).unwrap_or(i64::MAX))
    }

    /// As a duration of the standard library.
    pub fn duration(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.seconds)
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let malformed = || SpanError::Malformed(text.to_owned());
        let unit = text.chars().last().ok_or_else(malformed)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed());
        }
        let number: u64 = digits.parse().map_err(|_| SpanError::OutOfRange(text.to_owned()))?;
        match number.checked_mul(*factor) {
            Some(seconds @ 1..=MOST_SECONDS) => Ok(Self { seconds }),
            _ => Err(SpanError::OutOfRange(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;
    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Weeks are read but not written: `14d` says more to most people than `2w`.
        let (unit, factor) = UNITS
            .iter()
            .skip(1)
            .find(|(_, factor)| self.seconds.is_multiple_of(*factor))
            .unwrap_or(&('s', 1));
        formatter.pad(&format!("{}{unit}", self.seconds / factor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["1s", "90m", "4h", "30d", "365d"] {
            assert_eq!(text.parse::<Span>().expect(text).to_string(), text);
        }
        assert_eq!("2w".parse::<Span>().expect("weeks").to_string(), "14d");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "d", "0d", "-1d", "1.5h", "30", "30 d", "99999999999999999999s", "9999999w", "1é"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
