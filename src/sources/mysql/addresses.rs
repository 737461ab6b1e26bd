//! Where a server can be reached.

use super::facts::ServerFacts;
use crate::declared::{MysqlDeclaration, socket_address};
use crate::host::{Host, addresses};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// The programs' port where none is written.
const PORT: u16 = 3306;

/// Whether the declaration leads to a server of this host.
pub(super) fn is_local(declaration: &MysqlDeclaration) -> bool {
    match declaration.host.as_deref() {
        None | Some("localhost") => true,
        Some(host) => host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback()),
    }
}

/// As [`crate::observed::SourceFacts::addresses`].
pub(super) fn of(host: &dyn Host, declaration: &MysqlDeclaration, facts: &ServerFacts) -> Vec<String> {
    let mut addresses = BTreeSet::new();
    if let Some(socket) = &declaration.socket {
        addresses.insert(socket_address(&socket.display().to_string()));
    }
    if let Some(name) = declaration.host.as_ref().filter(|_| !is_local(declaration)) {
        addresses.insert(format!("tcp:{name}:{}", declaration.port.unwrap_or(PORT)));
        return addresses.into_iter().collect();
    }
    if facts.socket.starts_with('/') {
        addresses.insert(socket_address(&facts.socket));
    }
    let listening = listening(host, facts);
    addresses
        .extend(listening.iter().map(|(address, port)| format!("tcp:{}", SocketAddr::new(*address, *port))));
    addresses.into_iter().collect()
}

/// The addresses of this host on which the server listens, as its settings say.
pub(super) fn listening(host: &dyn Host, facts: &ServerFacts) -> Vec<(IpAddr, u16)> {
    let Some(port) = facts.port.filter(|_| facts.networking) else { return Vec::new() };
    let mut addresses = BTreeSet::new();
    for bind in facts.bind.split(',').map(str::trim) {
        match bind.parse::<IpAddr>() {
            Ok(address) if !address.is_unspecified() => {
                addresses.insert(address);
            }
            Ok(_) | Err(_) => addresses.extend(of_host(host)),
        }
    }
    addresses.into_iter().map(|address| (address, port)).collect()
}

/// The addresses of this host, the loopback one among them.
fn of_host(host: &dyn Host) -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::from([IpAddr::from([127, 0, 0, 1])]);
    found.extend(addresses(host).unwrap_or_default());
    found
}
