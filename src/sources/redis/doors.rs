//! Ways into a server without a password, shown by trying: a PING that nobody logged in for must be refused.
//!
//! Never here: a door that is called shut because it was not tried. Loopback is Redis' own default and open to this
//! machine's users alone; it is no door.

use super::address::Address;
use super::client::{Client, ClientError};
use super::vitals::Vitals;
use crate::host::{Host, addresses};
use crate::observed::DoorFacts;
use std::net::IpAddr;
use std::time::Duration;

/// Longest that trying one way in may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the server runs on this machine, as far as its address tells.
pub(super) fn is_here(address: &Address, peer: Option<IpAddr>) -> bool {
    matches!(address, Address::Socket(_)) || peer.is_some_and(|peer| peer.is_loopback())
}

/// The ways in from other machines that need no password, or that could not be tried.
pub(super) fn open(
    host: &dyn Host,
    address: &Address,
    peer: Option<IpAddr>,
    info: &Vitals,
) -> Vec<DoorFacts> {
    let declared = match address {
        Address::Socket(_) => None,
        Address::Tcp(_, port) => Some(*port),
    };
    let own = info.number("tcp_port").and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    if !is_here(address, peer) {
        return peer.zip(declared).and_then(|(ip, port)| door(ip, port)).into_iter().collect();
    }
    // A server that was reached by loopback says its own port; one behind a forwarded port may say another.
    let ports: std::collections::BTreeSet<u16> = own.into_iter().chain(declared).collect();
    if ports.is_empty() {
        return Vec::new();
    }
    match addresses(host) {
        Ok(ips) => ips.iter().flat_map(|ip| ports.iter().filter_map(|port| door(*ip, *port))).collect(),
        Err(error) => vec![DoorFacts {
            object: format!("{address} from other machines"),
            evidence: format!("it could not be tried: this machine's addresses are not known ({error})"),
        }],
    }
}

/// Tries one way in.
fn door(ip: IpAddr, port: u16) -> Option<DoorFacts> {
    let address = Address::Tcp(ip.to_string(), port);
    let object = format!("redis at {}", std::net::SocketAddr::new(ip, port));
    // Nothing takes connections there: refused, or swallowed by a packet filter.
    let Ok(wire) = address.connect_within(PATIENCE) else { return None };
    let answer = Client::over(wire, PATIENCE).and_then(|mut client| client.command(&["PING"]));
    let evidence = match answer {
        Ok(_) => format!(
            "a PING that nobody logged in for was answered at {ip}, and that address is not loopback alone's: whoever \
             reaches it can read everything, and remove it"
        ),
        // NOAUTH: it wants a password. DENIED: protected mode. NOPERM: the default user may do nothing.
        Err(ClientError::Refused(answer)) if is_refusal(&answer) => return None,
        // What is there is not Redis, or is behind something that closes connections.
        Err(ClientError::Closed | ClientError::Foreign | ClientError::Broken(_)) => return None,
        Err(error @ (ClientError::Refused(_) | ClientError::Connect(_) | ClientError::Silent(_))) => {
            format!("it could not be tried: {error}")
        }
        Err(ClientError::ToldToEnd) => return None,
    };
    Some(DoorFacts { object, evidence })
}

fn is_refusal(answer: &str) -> bool {
    ["NOAUTH", "DENIED", "NOPERM"].iter().any(|word| answer.starts_with(word))
}
