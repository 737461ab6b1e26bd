//! What a killed run or drill leaves on a server, and how the next run removes it.
//!
//! Never here: a snapshot or a collection is removed that bkp has not made. A run leaves word of each snapshot as soon
//! as the server has named it, and a drill of each scratch collection before it is made.

use super::api::Api;
use super::cluster::{api, key, trust};
use super::names::DRILL_PREFIX;
use crate::declared::QdrantDeclaration;
use crate::host::Host;
use crate::sources::{RestoreError, SourceError, Trace, leave_trace, traces};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// The source type in traces.
const KIND: &str = "qdrant";

/// Something of ours on a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "left", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Left {
    /// A snapshot is being made; its name is not known yet.
    Making {
        /// The server's URL.
        server: String,
        /// The collection.
        collection: String,
        /// The snapshots that were there before.
        before: Vec<String>,
    },
    /// A snapshot that a run made.
    Made {
        /// The server's URL.
        server: String,
        /// The collection.
        collection: String,
        /// The snapshot.
        snapshot: String,
    },
    /// A scratch collection.
    Scratch {
        /// The server's URL.
        server: String,
        /// The collection.
        collection: String,
    },
}

/// Writes down what is about to be there.
pub(super) fn write_down(host: &dyn Host, folder: &Path, left: &Left) -> io::Result<()> {
    let name = serde_json::to_string(left).map_err(io::Error::other)?;
    leave_trace(host, folder, &Trace::Place { kind: KIND.into(), name })
}

/// A server of the declaration, by the URL in a trace.
fn server(host: &dyn Host, declaration: &QdrantDeclaration, url: &str) -> Result<Api, SourceError> {
    let same = |declared: &str| declared.trim_end_matches('/') == url;
    let trust = trust(host, declaration)?;
    if same(&declaration.url) || declaration.nodes.iter().any(|node| same(node)) {
        return api(url, key(host, declaration)?, &trust);
    }
    if declaration.drill_url.as_deref().is_some_and(same) {
        return api(url, super::drill::key(host, declaration)?, &trust);
    }
    let reason = "it is not declared any more, so bkp has no key for what it left there".into();
    Err(SourceError::Server { server: format!("qdrant at {url}"), reason })
}

/// Removes what a trace names.
pub(super) fn sweep(
    host: &dyn Host,
    folder: &Path,
    declaration: &QdrantDeclaration,
    name: &str,
) -> Result<(), RestoreError> {
    let bench = |reason: String| RestoreError::Bench { tool: "qdrant".into(), reason };
    let left: Left =
        serde_json::from_str(name).map_err(|_| bench(format!("`{name}` is of another version")))?;
    let server = |url: &str| server(host, declaration, url).map_err(|error| bench(error.to_string()));
    match left {
        Left::Scratch { server: url, collection } => {
            if !collection.starts_with(DRILL_PREFIX) {
                return Err(bench(format!("`{collection}` is no scratch collection")));
            }
            remove_scratch(&server(&url)?, &collection).map_err(bench)
        }
        Left::Made { server: url, collection, snapshot } => {
            let gone = server(&url)?.delete_snapshot(&collection, &snapshot);
            gone.map_err(|error| bench(error.to_string()))
        }
        Left::Making { server: url, collection, before } => {
            if was_named(host, folder, &url, &collection).map_err(|error| bench(error.to_string()))? {
                return Ok(());
            }
            let there = match server(&url)?.snapshots(&collection) {
                Err(error) if error.status() == Some(404) => return Ok(()),
                there => there.map_err(|error| bench(error.to_string()))?,
            };
            let new: Vec<_> = there.into_iter().map(|it| it.name).filter(|it| !before.contains(it)).collect();
            nameless(&new).map_or(Ok(()), |reason| Err(bench(format!("collection `{collection}`: {reason}"))))
        }
    }
}

/// Whether the server named the snapshot after all: another trace speaks of it then.
fn was_named(host: &dyn Host, folder: &Path, url: &str, name: &str) -> io::Result<bool> {
    let traces = traces(host, folder)?;
    let mut left = traces.iter().filter_map(|trace| match trace {
        Trace::Place { name, .. } => serde_json::from_str::<Left>(name).ok(),
        Trace::Process { .. } => None,
    });
    Ok(left.any(|it| match it {
        Left::Made { server, collection, .. } => server == url && collection == name,
        Left::Making { .. } | Left::Scratch { .. } => false,
    }))
}

/// A run was killed before the server had named its snapshot: whose a new one is cannot be told, so none is removed.
fn nameless(new: &[String]) -> Option<String> {
    (!new.is_empty()).then(|| {
        format!(
            "a run was killed while the server made a snapshot, and of `{}` nobody can tell whose it is: delete it there if \
             it is not yours",
            new.join("`, `")
        )
    })
}

/// Removes a scratch collection, and first the uploaded file that Qdrant keeps beside it (`do_save_uploaded_snapshot`;
/// removing a collection leaves its snapshots' folder).
pub(super) fn remove_scratch(server: &Api, collection: &str) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| format!("scratch collection `{collection}`: {error}");
    match server.snapshots(collection) {
        Ok(uploaded) => {
            for snapshot in uploaded {
                server.delete_snapshot(collection, &snapshot.name).map_err(|error| told(&error))?;
            }
        }
        Err(error) if error.status() == Some(404) => {}
        Err(error) => return Err(told(&error)),
    }
    server.delete_collection(collection).map_err(|error| told(&error))?;
    match server.collections() {
        Ok(there) if there.contains(collection) => Err(told(&"it is still there after its removal")),
        Ok(_) => Ok(()),
        Err(error) => Err(told(&error)),
    }
}
