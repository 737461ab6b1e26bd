//! What kept something from being looked at, in words that decisions can be made from.

use serde::{Deserialize, Serialize};

/// Why a destination could not be looked at, where there is a word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It does not accept the credentials: they are wrong, over, or may not do what was asked.
    Refused,
    /// The bucket, container or account's folder is not there.
    PlaceMissing,
    /// The server does not prove that it is the declared one.
    Stranger,
    /// It refuses because its clock and this host's differ.
    Clock {
        /// The server's clock minus this host's, where the server said it.
        offset_seconds: Option<i64>,
    },
    /// A secret or a program is missing on this host.
    Unopened,
    /// What has to be read lies in a tier from which it must be brought back first.
    Archived,
}

impl Trouble {
    /// A diagnostic's summary.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Refused => "destination refuses the credentials",
            Self::PlaceMissing => "destination's place is not there",
            Self::Stranger => "destination is not the declared one",
            Self::Clock { .. } => "clocks differ",
            Self::Unopened => "destination could not be opened",
            Self::Archived => "object archived",
        }
    }

    /// What mends it; none where only what was seen can say.
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Refused => Some(
                "put credentials that are valid where the plan file says, and that may list and read there",
            ),
            Self::PlaceMissing => Some("make the bucket or container, or mend its name in the plan file"),
            Self::Stranger => Some(
                "find out whether the server's key or certificate was changed, and only then replace what the plan file pins",
            ),
            Self::Clock { .. } => Some("set the clock of this host right"),
            Self::Archived => {
                Some("bring the object back from its tier, and end the rule that archives so early")
            }
            Self::Unopened => None,
        }
    }
}
