//! The name of a snapshot: `20261120T030000Z-000042`.
//!
//! The order of snapshots is their sequence and never their time, so a clock that was set back does no harm.

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is no snapshot's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a snapshot's name, such as 20261120T030000Z-000042")]
pub struct SnapshotIdError(String);

/// A snapshot's name; ordered by sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId {
    sequence: u64,
    /// Whole seconds since 1970.
    started_seconds: i64,
}

impl SnapshotId {
    /// Names the snapshot that a run started at `started_at` makes; the time is cut to whole seconds.
    pub fn new(started_at: Timestamp, sequence: u64) -> Self {
        Self { sequence, started_seconds: started_at.as_second() }
    }

    /// Its place in the set's history.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When its run started, by the host's clock, in whole seconds.
    pub fn started_at(&self) -> Timestamp {
        Timestamp::from_second(self.started_seconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.started_at().strftime("%Y%m%dT%H%M%SZ");
        formatter.pad(&format!("{time}-{:06}", self.sequence))
    }
}

impl FromStr for SnapshotId {
    type Err = SnapshotIdError;

    fn from_str(text: &str) -> Result<Self, SnapshotIdError> {
        let bad = || SnapshotIdError(text.to_owned());
        let (time, sequence) = text.split_once("Z-").ok_or_else(bad)?;
        let digits = sequence.len() >= 6 && sequence.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || time.len() != 15 {
            return Err(bad());
        }
        let civil = DateTime::strptime("%Y%m%dT%H%M%S", time).map_err(|_| bad())?;
        let started = jiff::tz::Offset::UTC.to_timestamp(civil).map_err(|_| bad())?;
        let id = Self::new(started, sequence.parse().map_err(|_| bad())?);
        if id.to_string() == text { Ok(id) } else { Err(bad()) }
    }
}

impl TryFrom<String> for SnapshotId {
    type Error = SnapshotIdError;
    fn try_from(text: String) -> Result<Self, SnapshotIdError> {
        text.parse()
    }
}

impl From<SnapshotId> for String {
    fn from(id: SnapshotId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_the_sequence_and_not_the_clock() {
        let early: SnapshotId = "20261120T030000Z-000007".parse().expect("an id");
        let late: SnapshotId = "20200101T000000Z-000008".parse().expect("an id");
        assert!(early < late);
        assert_eq!(early.to_string(), "20261120T030000Z-000007");
    }

    #[test]
    fn other_names_are_refused() {
        for text in [
            "",
            "plans",
            "20261120T030000Z-7",
            "20261320T030000Z-000007",
            "20261120T030000-000007",
            "20261120T030000Z-0000007",
        ] {
            assert!(text.parse::<SnapshotId>().is_err(), "{text}");
        }
    }
}
