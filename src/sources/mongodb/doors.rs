//! Ways in without a password, found by trying them.
//!
//! Never here: a setting believed. A way in is shut when a stranger's question was refused, and open when it was answered.

use super::connection::{Access, Connection, ConnectionError, PORT};
use crate::host::{Host, addresses};
use crate::observed::DoorFacts;
use mongodb::options::ServerAddress;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;

/// The ways in that let a stranger list databases.
pub(super) fn open_doors(host: &dyn Host, connection: &Connection) -> Vec<DoorFacts> {
    let mut tried = BTreeSet::new();
    for address in connection.addresses() {
        let ServerAddress::Tcp { host: name, port } = address else { continue };
        let port = port.unwrap_or(PORT);
        let local = name == "localhost" || IpAddr::from_str(name).is_ok_and(|it| it.is_loopback());
        if local {
            // Where the system lists no addresses (a Mac), none but the declared ones can be tried.
            let own = addresses(host).unwrap_or_default();
            tried.extend(own.into_iter().map(|it| (it.to_string(), port)));
        } else {
            tried.insert((name.clone(), port));
        }
    }
    tried.iter().filter_map(|(name, port)| door(connection.access(), name, *port)).collect()
}

fn door(access: &Access, name: &str, port: u16) -> Option<DoorFacts> {
    let written = if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") };
    let stranger = Access::open(&format!("mongodb://{written}/?{}", options(&access.url)));
    let object = format!("mongodb at {written} without a login");
    match Connection::new(stranger).and_then(|it| it.databases()) {
        Ok(databases) => Some(DoorFacts {
            object,
            evidence: format!(
                "`listDatabases` without a login, from this host, was answered: {} databases",
                databases.len()
            ),
        }),
        Err(
            ConnectionError::Unauthorized { .. }
            | ConnectionError::Unreachable { .. }
            | ConnectionError::Login { .. }
            | ConnectionError::Url { .. }
            | ConnectionError::Failed { .. }
            | ConnectionError::Silent { .. },
        ) => None,
    }
}

/// The options of a URL that say how to speak to one server: those of its encryption.
fn options(url: &str) -> String {
    let declared = url.split_once('?').map_or("", |(_, options)| options);
    let kept = declared.split('&').filter(|option| option.starts_with("tls") || option.starts_with("ssl="));
    kept.chain(["directConnection=true"]).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stranger_speaks_as_the_url_says_and_to_one_server() {
        let url = "mongodb://a,b/?replicaSet=rs&tls=true&tlsCAFile=/etc/ca.pem&readPreference=secondary";
        assert_eq!(options(url), "tls=true&tlsCAFile=/etc/ca.pem&directConnection=true");
    }
}
