//! What a server says of itself and of the account that asks.

use super::catalogue::{SCHEMATA, members};
use super::client::Ask;
use super::grants::Grants;
use super::version::Version;
use crate::sources::SourceError;

/// What is asked first, in one login.
#[derive(Debug, Clone)]
pub(super) struct ServerFacts {
    pub version: Version,
    /// The account that the server took us for.
    pub account: String,
    pub port: Option<u16>,
    pub socket: String,
    pub bind: String,
    pub networking: bool,
    pub grants: Grants,
    /// The schemas that the account is shown, without the server's own.
    pub schemas: Vec<String>,
}

impl ServerFacts {
    /// Asks.
    pub fn read(ask: &mut dyn Ask) -> Result<Self, SourceError> {
        let odd = || SourceError::Server {
            server: "the server".into(),
            reason: "it answers otherwise than MySQL and MariaDB do".into(),
        };
        let questions = [
            "SELECT VERSION(), CURRENT_USER(), @@port, @@socket, COALESCE(CURRENT_ROLE(), '')",
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('bind_address', 'skip_networking')",
            "SHOW GRANTS",
            SCHEMATA,
        ];
        let answers = ask.ask(&questions.map(str::to_owned))?;
        let [about, variables, grants, schemas] = answers.as_slice() else { return Err(odd()) };
        let Some([version, account, port, socket, role]) = about.first().map(Vec::as_slice) else {
            return Err(odd());
        };
        let version = Version::parse(version).ok_or_else(odd)?;
        let variable = |name: &str| {
            let row = variables.iter().find(|row| row.first().is_some_and(|it| it == name));
            row.and_then(|row| row.get(1)).cloned().unwrap_or_default()
        };
        let lines = |rows: &[Vec<String>]| -> Vec<String> {
            rows.iter().filter_map(|it| it.first().cloned()).collect()
        };
        let mut grants = lines(grants);
        // MySQL does not spell out what active roles give.
        if version.family == super::version::Family::Mysql && !["", "NONE"].contains(&role.as_str()) {
            grants.extend(lines(&ask.rows(&format!("SHOW GRANTS FOR CURRENT_USER() USING {role}"))?));
        }
        Ok(Self {
            version,
            account: account.clone(),
            port: port.parse().ok().filter(|it| *it != 0),
            socket: socket.clone(),
            bind: variable("bind_address"),
            networking: variable("skip_networking") != "ON",
            grants: Grants::parse(account, grants),
            schemas: members(schemas),
        })
    }
}

/// The server's version alone.
pub(super) fn server_version(ask: &mut dyn Ask) -> Result<Version, SourceError> {
    let rows = ask.rows("SELECT VERSION()")?;
    let version = rows.first().and_then(|row| row.first()).and_then(|text| Version::parse(text));
    version.ok_or_else(|| SourceError::Server {
        server: "the server".into(),
        reason: "it does not say which version it is".into(),
    })
}
