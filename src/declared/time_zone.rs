//! Time zones by their IANA names; a name that no database has never becomes a value.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The IANA name of a time zone; UTC where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeZoneName(String);

impl TimeZoneName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The rules of the zone, from the database that is compiled in or the system's.
    #[expect(clippy::missing_panics_doc, reason = "checked when the name was made")]
    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.0).expect("checked when the name was made")
    }
}

impl Default for TimeZoneName {
    fn default() -> Self {
        Self("UTC".to_owned())
    }
}

impl TryFrom<String> for TimeZoneName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match TimeZone::get(&text) {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(format!(
                "`{text}` is not a time zone: write an IANA name such as `Europe/Berlin` or `UTC`"
            )),
        }
    }
}

impl From<TimeZoneName> for String {
    fn from(name: TimeZoneName) -> Self {
        name.0
    }
}

impl fmt::Display for TimeZoneName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}
