//! The servers of a declaration: one that stands alone, or every peer of a cluster.
//!
//! Never here: a cluster some of whose peers are not asked. A snapshot holds the shards of the node that made it, so a
//! peer left out is data left out.

use super::api::{Api, Membership};
use super::http::{HttpError, Trust};
use super::names::Part;
use crate::declared::QdrantDeclaration;
use crate::host::Host;
use crate::secrets::{self, Secret};
use crate::sources::SourceError;
use std::collections::BTreeMap;

/// The servers that were asked.
#[derive(Debug, Clone)]
pub(super) enum Servers {
    /// One.
    Alone(Api),
    /// Every peer of a cluster, by its id.
    Cluster(BTreeMap<u64, Api>),
}

impl Servers {
    /// Asks the declared servers which cluster they are of.
    pub(super) fn of(declaration: &QdrantDeclaration, host: &dyn Host) -> Result<Self, SourceError> {
        let key = key(host, declaration)?;
        let trust = trust(host, declaration)?;
        let api = |url: &str| api(url, key.clone(), &trust);
        let first = api(&declaration.url)?;
        let membership = first.membership().map_err(|error| membership_refused(first.url(), &error))?;
        let (own, peers) = match membership {
            Membership::Alone if declaration.nodes.is_empty() => return Ok(Self::Alone(first)),
            Membership::Alone => {
                let reason = "it is not part of a cluster, and `nodes:` names others; remove `nodes:`";
                return Err(server_error(first.url(), reason.into()));
            }
            Membership::Peer { id, peers } => (id, peers),
        };
        let url = first.url().to_owned();
        let mut asked = BTreeMap::from([(own, first)]);
        for node in &declaration.nodes {
            let node = api(node)?;
            match node.membership().map_err(|error| membership_refused(node.url(), &error))? {
                Membership::Peer { id, .. } if peers.contains_key(&id) => {
                    asked.insert(id, node);
                }
                Membership::Peer { .. } | Membership::Alone => {
                    let reason = format!("it is not of the cluster of {url}; correct `nodes:`");
                    return Err(server_error(node.url(), reason));
                }
            }
        }
        let missing: Vec<String> = peers
            .iter()
            .filter(|(id, _)| !asked.contains_key(id))
            .map(|(id, uri)| format!("{id} ({uri})"))
            .collect();
        if missing.is_empty() {
            return Ok(Self::Cluster(asked));
        }
        let reason = format!(
            "it is a cluster of {}, and no URL is declared for peer {}; each node has snapshots of its own shards alone: \
             add each one's URL to `nodes:`",
            peers.len(),
            missing.join(", ")
        );
        Err(SourceError::Partial { server: format!("qdrant at {url}"), reason })
    }

    /// The server that answers for the whole.
    pub(super) fn first(&self) -> &Api {
        match self {
            Self::Alone(api) => api,
            Self::Cluster(peers) => peers.values().next().expect("a cluster has the peer that was asked"),
        }
    }

    /// The server of a part.
    pub(super) fn server_of(&self, part: &Part) -> Result<&Api, SourceError> {
        let gone = || SourceError::Missing { object: format!("qdrant member {}", part.member()) };
        match (part, self) {
            (Part::Aliases, servers) => Ok(servers.first()),
            (Part::Collection(_), Self::Alone(api)) => Ok(api),
            (Part::OnPeer(_, peer), Self::Cluster(peers)) => peers.get(peer).ok_or_else(gone),
            (Part::Collection(_), Self::Cluster(_)) | (Part::OnPeer(..), Self::Alone(_)) => Err(gone()),
        }
    }

    /// Whether members name their peer.
    pub(super) fn is_cluster(&self) -> bool {
        match self {
            Self::Alone(_) => false,
            Self::Cluster(_) => true,
        }
    }

    /// The parts of a collection.
    pub(super) fn parts_of(&self, collection: &str) -> Vec<Part> {
        match self {
            Self::Alone(_) => vec![Part::Collection(collection.to_owned())],
            Self::Cluster(peers) => {
                peers.keys().map(|peer| Part::OnPeer(collection.to_owned(), *peer)).collect()
            }
        }
    }
}

/// The declared key.
pub(super) fn key(host: &dyn Host, declaration: &QdrantDeclaration) -> Result<Option<Secret>, SourceError> {
    let key = declaration.api_key.as_ref();
    Ok(key.map(|key| secrets::resolve(host, "api_key", key)).transpose()?)
}

/// How the declared servers' certificates are judged.
pub(super) fn trust(host: &dyn Host, declaration: &QdrantDeclaration) -> Result<Trust, SourceError> {
    let Some(path) = &declaration.ca else { return Ok(Trust::System) };
    let object = || path.display().to_string();
    host.read(path).map(Trust::Authorities).map_err(|error| SourceError::Read { object: object(), error })
}

/// A server by its URL.
pub(super) fn api(url: &str, key: Option<Secret>, trust: &Trust) -> Result<Api, SourceError> {
    Api::new(url, key, trust).map_err(|reason| server_error(url, format!("its `ca`: {reason}")))
}

/// A server's refusal or silence.
pub(super) fn refused(url: &str, error: &HttpError) -> SourceError {
    server_error(url, error.to_string())
}

fn server_error(url: &str, reason: String) -> SourceError {
    SourceError::Server { server: format!("qdrant at {url}"), reason }
}

/// Only a key of global rights may ask for the cluster; to another one collections are hidden without a word.
fn membership_refused(url: &str, error: &HttpError) -> SourceError {
    if error.status() == Some(403) {
        let reason = format!(
            "the API key is limited to some collections, and others are hidden from it ({error}); declare the server's own \
             `api_key`, or a token with `access: m`"
        );
        return SourceError::Partial { server: format!("qdrant at {url}"), reason };
    }
    refused(url, error)
}
