//! Which family and version a program or a server is.

use crate::host::{Command, Host};
use crate::sources::SourceError;
use std::path::Path;

/// Two servers that share a protocol and drift apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `MariaDB`.
    Mariadb,
    /// Oracle's `MySQL`, and what calls itself so.
    Mysql,
}

/// A family and the first three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub family: Family,
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = match self.family {
            Family::Mariadb => "MariaDB",
            Family::Mysql => "MySQL",
        };
        write!(formatter, "{family} {}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    /// Reads `VERSION()` or what `--version` prints: the number before `-MariaDB`, or the one behind `Ver`, or the
    /// first.
    pub fn parse(text: &str) -> Option<Self> {
        let family = if text.contains("MariaDB") { Family::Mariadb } else { Family::Mysql };
        let number = match family {
            // `5.5.5-` stands before the version in the protocol's greeting.
            Family::Mariadb => text.split("-MariaDB").next()?.rsplit(['-', ' ']).next()?,
            Family::Mysql => {
                let behind = text.split_once("Ver ").map_or(text, |(_, behind)| behind);
                behind.split([' ', '-']).next()?
            }
        };
        let mut parts = number.split('.').map(|part| part.parse::<u32>().ok());
        let (major, minor) = (parts.next()??, parts.next()??);
        Some(Self { family, major, minor, patch: parts.next().flatten().unwrap_or(0) })
    }

    /// Asks a program.
    pub fn of_program(host: &dyn Host, program: &Path) -> Result<Self, SourceError> {
        let tool = || program.display().to_string();
        let output = host
            .run(&Command::look([program.as_os_str(), "--version".as_ref()]))
            .map_err(|error| SourceError::Tool { tool: tool(), error })?;
        Self::parse(output.text().trim()).filter(|_| output.succeeded()).ok_or_else(|| {
            let error = std::io::Error::other("it does not say which version it is");
            SourceError::Tool { tool: tool(), error }
        })
    }

    /// Whether a client of this version is known to be older than a server of its own family.
    pub fn older_than(self, server: Self) -> bool {
        self.family == server.family && (self.major, self.minor) < (server.major, server.minor)
    }

    /// Whether dumps and servers of it know the history of system-versioned tables
    /// (<https://mariadb.com/kb/en/mariadb-dump/>, `--dump-history`).
    pub fn keeps_history(self) -> bool {
        self.family == Family::Mariadb && (self.major, self.minor) >= (10, 11)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_programs_and_servers_print_them() {
        let read = |text: &str| Version::parse(text).expect("a version").to_string();
        assert_eq!(read("10.11.19-MariaDB-0+deb12u1"), "MariaDB 10.11.19");
        assert_eq!(read("5.5.5-10.6.1-MariaDB"), "MariaDB 10.6.1");
        assert_eq!(
            read("mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)"),
            "MariaDB 10.11.19"
        );
        assert_eq!(
            read("mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux (x86_64)"),
            "MariaDB 11.4.2"
        );
        assert_eq!(
            read("mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server)"),
            "MySQL 8.0.36"
        );
        assert_eq!(read("8.4.0"), "MySQL 8.4.0");
        assert_eq!(Version::parse("no number"), None);
    }

    #[test]
    fn older_client_is_told_within_a_family_alone() {
        let read = |text: &str| Version::parse(text).expect("a version");
        assert!(read("10.6.1-MariaDB").older_than(read("10.11.2-MariaDB")));
        assert!(!read("10.11.1-MariaDB").older_than(read("10.11.2-MariaDB")));
        assert!(!read("8.0.1").older_than(read("10.11.2-MariaDB")));
    }
}
