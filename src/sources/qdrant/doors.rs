//! Ways into the server that need no key, found by going there without one.
//!
//! Never here: a key is sent, or a certificate that nobody judged is called the server's: what an anonymous question
//! gets shows only that somebody answers it.

use super::api::Api;
use super::http::{HttpError, Trust, authority, resolved};
use crate::declared::QdrantDeclaration;
use crate::host::{Host, addresses};
use crate::observed::{DoorFacts, SourceFacts};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// Adds what can be reached, and what answers without a key.
pub(super) fn look(declaration: &QdrantDeclaration, host: &dyn Host, facts: &mut SourceFacts) {
    for url in std::iter::once(&declaration.url).chain(&declaration.nodes) {
        let Ok(declared) = resolved(url) else { continue };
        let mut reached: BTreeSet<SocketAddr> = declared.iter().copied().collect();
        facts.doors.extend(door(url, url));
        let own: BTreeSet<IpAddr> = addresses(host).unwrap_or_default().into_iter().collect();
        let is_here = declared.iter().any(|it| it.ip().is_loopback() || own.contains(&it.ip()));
        for address in own.iter().filter(|_| is_here) {
            let Some(other) = at(url, *address) else { continue };
            if declared.iter().any(|it| it.ip() == *address) {
                continue;
            }
            if answers(&other) {
                reached.extend(resolved(&other).into_iter().flatten());
            }
            facts.doors.extend(door(url, &other));
        }
        facts.addresses.extend(reached.iter().map(|it| format!("tcp:{it}")));
    }
    facts.addresses.sort();
    facts.addresses.dedup();
}

fn anonymous(url: &str) -> Option<Api> {
    Api::new(url, None, &Trust::Nobody).ok()
}

/// Whether a Qdrant answers there: `GET /` needs no key.
fn answers(url: &str) -> bool {
    anonymous(url).is_some_and(|server| server.version().is_ok())
}

/// What an anonymous question for the collections gets; nothing where it is refused, or where nobody listens.
fn door(declared: &str, url: &str) -> Option<DoorFacts> {
    let object = format!("qdrant at {url}, without an API key");
    let server = anonymous(url)?;
    let evidence = match server.collections() {
        Ok(collections) => {
            format!(
                "GET {url}/collections without a key listed {} collections; it must be refused",
                collections.len()
            )
        }
        Err(HttpError::Refused { .. } | HttpError::Unreachable { refused: true, .. }) => return None,
        // The declared server's silence is told as such already; somebody else may listen on the other addresses.
        Err(HttpError::Unreachable { .. } | HttpError::Malformed { .. }) if declared == url => return None,
        Err(HttpError::Malformed { .. }) => return None,
        Err(error @ HttpError::Unreachable { .. }) => format!("it could not be tried: {error}"),
    };
    Some(DoorFacts { object, evidence })
}

/// The same URL at another address.
fn at(url: &str, address: IpAddr) -> Option<String> {
    let scheme = url.split_once("://")?.0;
    let (_, port) = authority(url)?;
    Some(format!("{scheme}://{}", SocketAddr::new(address, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_address_keeps_scheme_and_port() {
        let v6 = "fd00::2".parse().expect("v6");
        assert_eq!(at("https://q.internal:6333", v6).as_deref(), Some("https://[fd00::2]:6333"));
    }
}
