//! Accounts, roles and what they may do, as statements: the member `_accounts`.
//!
//! Password hashes are in it as the server gives them, so the artifact is as secret as `mysql.user`. What the server
//! makes for itself is not in it. Never here: an account that could not be read and is left out.

use super::client::{Ask, Rows};
use super::version::{Family, Version};
use super::words::{identifier, literal};
use crate::format::Counts;
use crate::host::pulse;
use crate::sources::{Complete, SourceError, SourceStream};
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

/// The member's name.
pub(super) const MEMBER: &str = "_accounts";
/// The account of a drill's own server, which is no part of what is restored.
pub(super) const OF_THE_DRILL: &str = "bkp_drill";
/// The last line.
pub(super) const END_MARK: &str = "-- Accounts completed";
/// Accounts that servers make for themselves, which nobody logs in as.
const OF_THE_SERVER: [&str; 4] = ["mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema"];

/// Accounts as statements, and how many there are of what.
pub(super) struct Accounts {
    pub statements: String,
    pub counts: BTreeMap<String, u64>,
    /// What is in the table and not in force.
    pub warnings: Vec<String>,
}

/// What the server says of an account that stands in its table and that it does not know.
const UNKNOWN_ACCOUNT: [&str; 2] = ["ERROR 1133", "ERROR 1141"];

impl Accounts {
    /// Reads all of them. Each call of `ask` must be a login of its own: an account that the server does not know ends
    /// one.
    pub fn read(ask: &mut dyn Ask, server: Version) -> Result<Self, SourceError> {
        let (list, hexadecimal) = match server.family {
            Family::Mariadb => ("SELECT User, Host, is_role FROM mysql.user ORDER BY User, Host", "DO 0"),
            Family::Mysql => (
                "SELECT User, Host, 'N' FROM mysql.user ORDER BY User, Host",
                // Hashes of caching_sha2_password are bytes that no text survives.
                "/*!80017 SET SESSION print_identified_with_as_hex=1 */",
            ),
        };
        let numbers = "SELECT @@skip_name_resolve".to_owned();
        let [no_names, accounts]: [Rows; 2] =
            ask.ask(&[numbers, list.to_owned()])?.try_into().map_err(|_| odd("mysql.user"))?;
        let no_names = no_names.first().and_then(|row| row.first()).is_some_and(|it| it == "1");
        let mut warnings = Vec::new();
        let mut makes = String::new();
        let mut gives = String::new();
        let mut counts: BTreeMap<String, u64> =
            ["accounts", "roles", "grants"].map(|kind| (kind.to_owned(), 0)).into();
        let mut add = |kind: &str, count: u64| *counts.entry(kind.to_owned()).or_default() += count;
        for row in &accounts {
            let [user, host, role] = row.as_slice() else { return Err(odd("mysql.user")) };
            if OF_THE_SERVER.contains(&user.as_str()) || user == OF_THE_DRILL {
                continue;
            }
            let account = if role == "Y" {
                // Everybody's role is there without having been made (MariaDB 10.11).
                if user != "PUBLIC" {
                    makes.extend(["CREATE ROLE IF NOT EXISTS ", &identifier(user), ";\n"]);
                }
                add("roles", 1);
                if user == "PUBLIC" { "PUBLIC".to_owned() } else { identifier(user) }
            } else {
                let account = format!("{}@{}", literal(user), literal(host));
                let questions = [hexadecimal.to_owned(), format!("SHOW CREATE USER {account}")];
                match ask.ask(&questions) {
                    Ok(answers) => makes.push_str(&make(answers.last().unwrap_or(&Rows::new()), &account)?),
                    // Without name resolution the server passes over accounts whose host is a name: nobody can be one.
                    Err(error)
                        if no_names && UNKNOWN_ACCOUNT.iter().any(|it| error.to_string().contains(it)) =>
                    {
                        warnings.push(format!(
                            "account {account} is not in force, because of skip_name_resolve, and is not in the backup"
                        ));
                        continue;
                    }
                    Err(error) => return Err(error),
                }
                add("accounts", 1);
                account
            };
            let grants = ask.rows(&format!("SHOW GRANTS FOR {account}"))?;
            for grant in &grants {
                gives.push_str(grant.first().ok_or_else(|| odd(&account))?);
                gives.push_str(";\n");
            }
            add("grants", grants.len() as u64);
            pulse::beat();
        }
        let statements = format!("-- bkp: accounts of {server}\n{makes}{gives}{END_MARK}\n");
        Ok(Self { statements, counts, warnings })
    }
}

/// The statement that makes an account and leaves one that is there as it is: the account that restores must not lose
/// its own password half-way.
fn make(rows: &Rows, account: &str) -> Result<String, SourceError> {
    let mut out = String::new();
    for row in rows {
        let statement = row.last().and_then(|it| it.strip_prefix("CREATE USER ")).map(str::to_owned);
        match (statement, row.last()) {
            (Some(rest), _) => out.extend(["CREATE USER IF NOT EXISTS ", &rest, ";\n"]),
            // MariaDB adds an ALTER USER where a password has a limit of its own.
            (None, Some(other)) if other.starts_with("ALTER USER ") => out.extend([other.as_str(), ";\n"]),
            (None, _) => return Err(odd(account)),
        }
    }
    if out.is_empty() { Err(odd(account)) } else { Ok(out) }
}

fn odd(what: &str) -> SourceError {
    SourceError::Server {
        server: format!("accounts: {what}"),
        reason: "it is not written as this bkp knows it".into(),
    }
}

/// The statements as a stream.
pub(super) struct AccountStream {
    body: Cursor<Vec<u8>>,
    counts: BTreeMap<String, u64>,
    warnings: Vec<String>,
}

impl AccountStream {
    /// Of what was read.
    pub(super) fn new(accounts: Accounts) -> Self {
        let Accounts { statements, counts, warnings } = accounts;
        Self { body: Cursor::new(statements.into_bytes()), counts, warnings }
    }
}

impl Read for AccountStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}

impl SourceStream for AccountStream {
    fn finish(self: Box<Self>) -> Result<Complete, SourceError> {
        if self.body.position() < self.body.get_ref().len() as u64 {
            let reason = "it was not read to its end".to_owned();
            return Err(SourceError::Incomplete { producer: MEMBER.into(), reason });
        }
        Ok(Complete {
            counts: Counts(self.counts),
            bounds: BTreeMap::new(),
            warnings: self.warnings,
            index: None,
        })
    }
}
