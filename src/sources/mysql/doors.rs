//! Ways in without a password, tried: a login that must fail.
//!
//! Nothing is concluded from a setting. What can be tried is tried; accounts without a password that the server itself
//! lists are told as such.

use super::addresses::{is_local, listening};
use super::client::{Ask, Client};
use super::facts::ServerFacts;
use super::version::Family;
use crate::declared::MysqlDeclaration;
use crate::host::{Command, Host, Output};
use crate::observed::DoorFacts;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// Longest that one try may take.
const TRY_LIMIT: Duration = Duration::from_secs(10);
/// A name that no server has: who is let in under it is let in under any.
const NOBODY: &str = "bkp_nobody";

/// Tries every address of this host on which the server listens, and the declared one.
pub(super) fn look(
    host: &dyn Host,
    declaration: &MysqlDeclaration,
    client: &Client,
    facts: &ServerFacts,
    ask: &mut dyn Ask,
) -> Vec<DoorFacts> {
    let mut doors = BTreeSet::new();
    let ours = facts.account.rsplit_once('@').map_or(facts.account.as_str(), |(user, _)| user);
    let users: BTreeSet<&str> = ["root", NOBODY, ours].into();
    let ways: Vec<(String, u16)> = match (&declaration.host, is_local(declaration)) {
        (Some(name), false) => vec![(name.clone(), declaration.port.or(facts.port).unwrap_or(0))],
        (Some(_), true) | (None, _) => {
            listening(host, facts).into_iter().map(|(address, port)| (address.to_string(), port)).collect()
        }
    };
    for (address, port) in &ways {
        for user in &users {
            doors.extend(tried(host, client, (address, *port), user));
        }
    }
    // Accounts of other hosts are of no use to anybody where the server listens on the loopback address alone.
    let for_others = ways.iter().any(|(it, _)| !it.parse::<IpAddr>().is_ok_and(|it| it.is_loopback()));
    if for_others {
        doors.extend(without_password(facts, ask));
    }
    doors.into_iter().collect()
}

fn tried(host: &dyn Host, client: &Client, (address, port): (&str, u16), user: &str) -> Option<DoorFacts> {
    let mut argv = vec![client.program().as_os_str().to_owned(), "--no-defaults".into()];
    argv.extend(["--protocol=tcp".into(), "--skip-password".into(), "--connect-timeout=5".into()]);
    argv.extend(
        [format!("--host={address}"), format!("--port={port}"), format!("--user={user}")].map(Into::into),
    );
    // Newer clients refuse certificates of servers that do not know them by a password; that would hide a door.
    argv.extend(
        (client.version().family == Family::Mariadb).then(|| "--disable-ssl-verify-server-cert".into()),
    );
    argv.extend(["--batch".into(), "--skip-column-names".into(), "--execute=SELECT CURRENT_USER()".into()]);
    let mut command = Command::look(argv);
    command.time_limit = TRY_LIMIT;
    command.clear_env = true;
    let object = format!("mysql at {} as {user}", shown(address, port));
    match host.run(&command) {
        Ok(output) if output.succeeded() => {
            let evidence = format!(
                "a login from this host as `{user}` without a password was let in as {}",
                output.text().trim()
            );
            Some(DoorFacts { object, evidence })
        }
        // Refused, or nobody there: this way is shut.
        Ok(Output { timed_out: false, .. }) => None,
        Ok(_) => Some(DoorFacts { object, evidence: "it could not be tried: no answer in time".into() }),
        Err(error) => Some(DoorFacts { object, evidence: format!("it could not be tried: {error}") }),
    }
}

fn shown(address: &str, port: u16) -> String {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        Ok(IpAddr::V4(_)) | Err(_) => format!("{address}:{port}"),
    }
}

/// Accounts that other hosts can log in as and that have no password, as far as we may read it.
fn without_password(facts: &ServerFacts, ask: &mut dyn Ask) -> Vec<DoorFacts> {
    if !facts.grants.reads_accounts() || !facts.networking {
        return Vec::new();
    }
    let question = match facts.version.family {
        Family::Mariadb => {
            "SELECT User, Host FROM mysql.user WHERE is_role = 'N' AND plugin IN ('', 'mysql_native_password') \
             AND authentication_string = '' AND Password = '' AND password_expired = 'N'"
        }
        Family::Mysql => {
            "SELECT User, Host FROM mysql.user WHERE authentication_string = '' AND account_locked = 'N' \
             AND plugin IN ('mysql_native_password', 'caching_sha2_password', 'sha256_password')"
        }
    };
    let from_here = ["localhost", "127.0.0.1", "::1"];
    match ask.rows(question) {
        Ok(rows) => rows
            .iter()
            .filter_map(|row| Some((row.first()?, row.get(1)?)))
            .filter(|(_, from)| !from_here.contains(&from.as_str()))
            .map(|(user, from)| DoorFacts {
                object: format!("mysql account '{user}'@'{from}'"),
                evidence: "mysql.user has no password for it, and the server listens on the network".into(),
            })
            .collect(),
        Err(error) => vec![DoorFacts {
            object: "mysql accounts without a password".into(),
            evidence: format!("it could not be tried: {error}"),
        }],
    }
}
