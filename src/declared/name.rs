//! Names that people write in plan files, each kind a type of its own.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not `[a-z0-9][a-z0-9-]{0,62}`.
    #[error("`{0}` is not a name: use 1 to 63 of a-z, 0-9 and `-`, and begin with a letter or a digit")]
    Malformed(String),
    /// Not a name that a system gives its users (useradd(8)).
    #[error("`{0}` is not the name of a user: use 1 to 32 of A-Z, a-z, 0-9, `_`, `-` and `.`")]
    User(String),
    /// A name that bkp's own jobs use.
    #[error("`{0}` is reserved for bkp's own jobs (`audit`, `audit-...` and `try-...`)")]
    Reserved(String),
}

fn well_formed(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-')
}

macro_rules! name_type {
    ($(#[$meta:meta])* $name:ident, $check:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }
    };
}

fn plain(text: &str) -> Result<(), NameError> {
    if well_formed(text) { Ok(()) } else { Err(NameError::Malformed(text.to_owned())) }
}

name_type!(
    /// A plan's name; it owns the plan's jobs.
    PlanName,
    plain
);
name_type!(
    /// A set's name; unique on a host.
    SetName,
    |text| {
        plain(text)?;
        if text == "audit" || text.starts_with("audit-") || text.starts_with("try-") {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(())
    }
);
name_type!(
    /// A destination's name.
    DestinationName,
    plain
);
name_type!(
    /// The name of a host in keys; any text without control characters.
    NodeName,
    |text| {
        let good = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
        if good { Ok(()) } else { Err(NameError::Malformed(text.to_owned())) }
    }
);
name_type!(
    /// The name of a user of the system (useradd(8)).
    UserName,
    |text| {
        let first = |it: char| it.is_ascii_alphabetic() || it == '_';
        let rest = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'.');
        let good = (1..=32).contains(&text.len()) && text.starts_with(first) && text.bytes().all(rest);
        if good { Ok(()) } else { Err(NameError::User(text.to_owned())) }
    }
);
