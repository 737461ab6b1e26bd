//! Under which conditions a set's job runs: as whom, when not, and with how much of the machine.

use super::{Span, UserName};
use jiff::civil::{DateTime, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How a job runs. Fields that are `None` come from `defaults`, and then from the docstrings' defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobPolicy {
    /// The user that the job runs as; root where nothing is said. Jobs of the system only.
    pub run_as: Option<UserName>,
    /// A run that makes no progress for this long is ended; 1 h where nothing is said.
    pub stall_limit: Option<Span>,
    /// The most memory that a run may have; no limit where nothing is said. Enforced by systemd.
    pub memory_limit: Option<ByteSize>,
    /// Niceness (`setpriority(2)`), 0 to 19; 10 where nothing is said.
    pub nice: Option<u8>,
    /// Which share of the disks a run gets; `best-effort` where nothing is said. Enforced by systemd and launchd.
    pub io_class: Option<IoClass>,
    /// Scheduled runs wait while the machine works on its battery.
    pub require_ac_power: Option<bool>,
    /// Times of day at which no scheduled run begins; what was due then begins at their end.
    pub quiet_hours: Option<Vec<QuietHours>>,
    /// No scheduled run is due before this local time.
    pub not_before: Option<DateTime>,
}

impl JobPolicy {
    /// Longest time without progress where the plan file says nothing, in seconds.
    pub const STALL_LIMIT_DEFAULT_SECONDS: u64 = 3600;
    /// Niceness where the plan file says nothing.
    pub const NICE_DEFAULT: u8 = 10;

    /// This policy, with another's word where it says nothing.
    #[must_use]
    pub fn or(&self, fallback: &Self) -> Self {
        Self {
            run_as: self.run_as.clone().or_else(|| fallback.run_as.clone()),
            stall_limit: self.stall_limit.or(fallback.stall_limit),
            memory_limit: self.memory_limit.or(fallback.memory_limit),
            nice: self.nice.or(fallback.nice),
            io_class: self.io_class.or(fallback.io_class),
            require_ac_power: self.require_ac_power.or(fallback.require_ac_power),
            quiet_hours: self.quiet_hours.clone().or_else(|| fallback.quiet_hours.clone()),
            not_before: self.not_before.or(fallback.not_before),
        }
    }

    /// How long a run may go without progress.
    pub fn stall_limit(&self) -> Span {
        self.stall_limit.unwrap_or(Span::from_seconds(Self::STALL_LIMIT_DEFAULT_SECONDS))
    }

    /// The niceness of a run.
    pub fn nice(&self) -> u8 {
        self.nice.unwrap_or(Self::NICE_DEFAULT)
    }

    /// The share of the disks that a run gets.
    pub fn io_class(&self) -> IoClass {
        self.io_class.unwrap_or_default()
    }

    /// Whether scheduled runs wait for mains power.
    pub fn requires_ac_power(&self) -> bool {
        self.require_ac_power.unwrap_or(false)
    }
}

/// Which share of the disks a job gets (`ioprio_set(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IoClass {
    /// Behind everybody else, and never starved.
    #[default]
    BestEffort,
    /// Only what nobody else wants.
    Idle,
}

impl IoClass {
    /// The word in plan files, which is systemd's too.
    pub fn word(self) -> &'static str {
        match self {
            Self::BestEffort => "best-effort",
            Self::Idle => "idle",
        }
    }
}

/// Why a size in bytes was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size: write a whole number and MiB or GiB, such as `512MiB`")]
pub struct ByteSizeError(String);

/// A size in bytes, a multiple of a mebibyte, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize {
    mebibytes: u32,
}

impl ByteSize {
    /// Its size in bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.mebibytes) << 20
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let bad = || ByteSizeError(text.to_owned());
        let (digits, factor) = match (text.strip_suffix("MiB"), text.strip_suffix("GiB")) {
            (Some(digits), _) => (digits, 1_u32),
            (None, Some(digits)) => (digits, 1024),
            (None, None) => return Err(bad()),
        };
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u32 = plain.then(|| digits.parse().ok()).flatten().ok_or_else(bad)?;
        let mebibytes = number.checked_mul(factor).filter(|it| *it > 0).ok_or_else(bad)?;
        Ok(Self { mebibytes })
    }
}

impl TryFrom<String> for ByteSize {
    type Error = ByteSizeError;
    fn try_from(text: String) -> Result<Self, ByteSizeError> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mebibytes {
            whole if whole.is_multiple_of(1024) => write!(formatter, "{}GiB", whole / 1024),
            part => write!(formatter, "{part}MiB"),
        }
    }
}

/// Why quiet hours were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuietHoursError {
    /// Not two times of day.
    #[error("`{0}` are not hours of a day: write two times, such as `08:00-18:00`")]
    Malformed(String),
    /// From a time to the same time.
    #[error("`{0}` begin and end at one time: write the hours in which no run begins")]
    Empty(String),
}

/// Hours of every day, from a local time up to another, over midnight where the second is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QuietHours {
    from: Time,
    until: Time,
}

impl QuietHours {
    /// Whether a local time lies in them.
    pub fn contains(self, time: Time) -> bool {
        if self.from < self.until {
            self.from <= time && time < self.until
        } else {
            self.from <= time || time < self.until
        }
    }

    /// The local time at which they end.
    pub fn until(self) -> Time {
        self.until
    }

    /// When those that a local time lies in end.
    pub fn end_after(self, at: DateTime) -> Option<DateTime> {
        let date = if at.time() < self.until { at.date() } else { at.date().tomorrow().ok()? };
        Some(date.to_datetime(self.until))
    }
}

impl FromStr for QuietHours {
    type Err = QuietHoursError;

    fn from_str(text: &str) -> Result<Self, QuietHoursError> {
        let bad = || QuietHoursError::Malformed(text.to_owned());
        let (from, until) = text.split_once('-').ok_or_else(bad)?;
        let time = |part: &str| super::schedule::parse_time(part.trim()).map_err(|_| bad());
        let (from, until) = (time(from)?, time(until)?);
        if from == until {
            return Err(QuietHoursError::Empty(text.to_owned()));
        }
        Ok(Self { from, until })
    }
}

impl TryFrom<String> for QuietHours {
    type Error = QuietHoursError;
    fn try_from(text: String) -> Result<Self, QuietHoursError> {
        text.parse()
    }
}

impl From<QuietHours> for String {
    fn from(hours: QuietHours) -> Self {
        hours.to_string()
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let QuietHours { from, until } = self;
        write!(formatter, "{:02}:{:02}-{:02}:{:02}", from.hour(), from.minute(), until.hour(), until.minute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{date, time};

    #[test]
    fn quiet_hours_may_cross_midnight() {
        let night: QuietHours = "22:00-06:30".parse().expect("hours");
        assert!(night.contains(time(22, 0, 0, 0)) && night.contains(time(6, 29, 59, 0)));
        assert!(!night.contains(time(6, 30, 0, 0)) && !night.contains(time(21, 59, 0, 0)));
        assert_eq!(
            night.end_after(date(2026, 11, 20).at(23, 0, 0, 0)),
            Some(date(2026, 11, 21).at(6, 30, 0, 0))
        );
        assert_eq!(
            night.end_after(date(2026, 11, 20).at(1, 0, 0, 0)),
            Some(date(2026, 11, 20).at(6, 30, 0, 0))
        );
        assert_eq!(night.to_string(), "22:00-06:30");
    }

    #[test]
    fn hours_that_are_none_are_refused() {
        for text in ["", "8-18", "08:00", "08:00-08:00", "08:00-24:00", "08:00-18:00-20:00"] {
            assert!(text.parse::<QuietHours>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for text in ["1MiB", "512MiB", "2GiB", "1025MiB"] {
            assert_eq!(text.parse::<ByteSize>().expect(text).to_string(), text);
        }
        assert_eq!("1024MiB".parse::<ByteSize>().expect("a size").to_string(), "1GiB");
        for text in ["", "0MiB", "1", "1GB", "-1MiB", "1.5GiB", "4194304GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
