//! One Qdrant server, asked by its REST interface (`docs/redoc/v1.19.x/openapi.json` of qdrant/qdrant).
//!
//! Never here: an answer that is believed without the field that was asked for, or a count that is an estimate.

use super::http::{HttpError, HttpServer, Patience, Sent, Trust, encoded};
use super::names::PROBE;
use crate::secrets::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use ureq::http::Method;

/// The header of the key. A key never stands in a URL.
const KEY_HEADER: &str = "api-key";
/// A multipart boundary: as long as RFC 2046 (section 5.1.1) lets it be useful, and in no snapshot by chance.
const BOUNDARY: &str = "----bkp-7f0c5e2ad94b4f0f8e3c61b09a52d7e4";

/// A server.
#[derive(Debug, Clone)]
pub(super) struct Api {
    http: HttpServer,
}

/// A snapshot on the server's disk (`SnapshotDescription`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct ServerSnapshot {
    /// Its name.
    pub(super) name: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Its SHA-256 in hexadecimal, where the server keeps one.
    #[serde(default)]
    pub(super) checksum: Option<String>,
}

/// An alias (`AliasDescription`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
pub(super) struct Alias {
    /// Its name.
    pub(super) alias_name: String,
    /// The collection that it stands for.
    pub(super) collection_name: String,
}

/// Whether a server is part of a cluster (`ClusterStatus`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Membership {
    /// It stands alone.
    Alone,
    /// It is one of these peers.
    Peer {
        /// Its own id.
        id: u64,
        /// Every peer's id, with the address by which the peers know each other.
        peers: BTreeMap<u64, String>,
    },
}

/// What a collection is made of, apart from its points (`CollectionInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// Its status, such as `green`.
    pub(super) status: String,
    /// Number of its vectors, dense and sparse, each counted once for all points.
    pub(super) vectors: u64,
    /// Number of its payload indexes.
    pub(super) payload_indexes: u64,
}

/// Where the shards of a collection are (`CollectionClusterInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shards {
    /// Those on the server that was asked.
    pub(super) local: BTreeSet<u64>,
    /// Every shard of the collection.
    pub(super) all: BTreeSet<u64>,
    /// Shards none of whose copies is active.
    pub(super) inactive: BTreeSet<u64>,
    /// Whether shards are on their way from one server to another.
    pub(super) moving: bool,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Api {
    /// A server by its URL.
    pub(super) fn new(url: &str, key: Option<Secret>, trust: &Trust) -> Result<Self, String> {
        HttpServer::new(url, key.map(|key| (KEY_HEADER, key)), trust).map(|http| Self { http })
    }

    /// Its URL.
    pub(super) fn url(&self) -> &str {
        self.http.base()
    }

    /// Its version; answered without a key.
    pub(super) fn version(&self) -> Result<String, HttpError> {
        let answer = self.http.json(Method::GET, "/", Sent::Nothing, Patience::Question)?;
        self.field(&answer, "/version", "/")
    }

    /// Every collection that the key may see.
    pub(super) fn collections(&self) -> Result<BTreeSet<String>, HttpError> {
        let answer = self.question(Method::GET, "/collections", Sent::Nothing)?;
        let named: Vec<Named> = self.field(&answer, "/result/collections", "/collections")?;
        Ok(named.into_iter().map(|it| it.name).collect())
    }

    /// Every alias that the key may see, sorted.
    pub(super) fn aliases(&self) -> Result<Vec<Alias>, HttpError> {
        let answer = self.question(Method::GET, "/aliases", Sent::Nothing)?;
        let mut aliases: Vec<Alias> = self.field(&answer, "/result/aliases", "/aliases")?;
        aliases.sort();
        Ok(aliases)
    }

    /// Whether it is part of a cluster. A key that is limited to some collections is refused here (rbac, `Global access
    /// is required`), which tells that its list of collections is not the whole.
    pub(super) fn membership(&self) -> Result<Membership, HttpError> {
        #[derive(Deserialize)]
        struct Peer {
            uri: String,
        }
        let path = "/cluster";
        let answer = self.question(Method::GET, path, Sent::Nothing)?;
        let status: String = self.field(&answer, "/result/status", path)?;
        match status.as_str() {
            "disabled" => Ok(Membership::Alone),
            "enabled" => {
                let id = self.field(&answer, "/result/peer_id", path)?;
                let peers: BTreeMap<u64, Peer> = self.field(&answer, "/result/peers", path)?;
                Ok(Membership::Peer { id, peers: peers.into_iter().map(|(id, it)| (id, it.uri)).collect() })
            }
            other => Err(self.http.malformed("GET", path, &format!("its status is `{other}`"))),
        }
    }

    /// The exact number of a collection's points, on all of its shards.
    pub(super) fn points(&self, collection: &str) -> Result<u64, HttpError> {
        let path = format!("/collections/{}/points/count", encoded(collection));
        let answer =
            self.http.json(Method::POST, &path, Sent::Json(&json!({ "exact": true })), Patience::Work)?;
        self.field(&answer, "/result/count", &path)
    }

    /// What a collection is made of.
    pub(super) fn shape(&self, collection: &str) -> Result<Shape, HttpError> {
        let path = format!("/collections/{}", encoded(collection));
        let answer = self.question(Method::GET, &path, Sent::Nothing)?;
        let params = answer.pointer("/result/config/params");
        let vectors = params.and_then(|it| it.get("vectors")).map_or(0, dense_vectors);
        let sparse = params.and_then(|it| it.get("sparse_vectors")).and_then(Value::as_object);
        let indexes: BTreeMap<String, Value> = self.field(&answer, "/result/payload_schema", &path)?;
        Ok(Shape {
            status: self.field(&answer, "/result/status", &path)?,
            vectors: vectors + sparse.map_or(0, |it| it.len() as u64),
            payload_indexes: indexes.len() as u64,
        })
    }

    /// Where a collection's shards are.
    pub(super) fn shards(&self, collection: &str) -> Result<Shards, HttpError> {
        #[derive(Deserialize)]
        struct Shard {
            shard_id: u64,
            state: String,
        }
        let path = format!("/collections/{}/cluster", encoded(collection));
        let answer = self.question(Method::GET, &path, Sent::Nothing)?;
        let local: Vec<Shard> = self.field(&answer, "/result/local_shards", &path)?;
        let remote: Vec<Shard> = self.field(&answer, "/result/remote_shards", &path)?;
        let transfers: Vec<Value> = self.field(&answer, "/result/shard_transfers", &path)?;
        let resharding = answer.pointer("/result/resharding_operations").and_then(Value::as_array);
        let copies = || local.iter().chain(&remote);
        let all: BTreeSet<u64> = copies().map(|it| it.shard_id).collect();
        let active: BTreeSet<u64> =
            copies().filter(|it| it.state == "Active").map(|it| it.shard_id).collect();
        Ok(Shards {
            local: local.iter().map(|it| it.shard_id).collect(),
            inactive: all.difference(&active).copied().collect(),
            all,
            moving: !transfers.is_empty() || resharding.is_some_and(|it| !it.is_empty()),
        })
    }

    /// The snapshots of a collection that lie on the server.
    pub(super) fn snapshots(&self, collection: &str) -> Result<Vec<ServerSnapshot>, HttpError> {
        let path = format!("/collections/{}/snapshots", encoded(collection));
        let answer = self.question(Method::GET, &path, Sent::Nothing)?;
        self.field(&answer, "/result", &path)
    }

    /// Makes a snapshot, and waits until it is made.
    pub(super) fn create_snapshot(&self, collection: &str) -> Result<ServerSnapshot, HttpError> {
        let path = format!("/collections/{}/snapshots?wait=true", encoded(collection));
        let answer = self.http.json(Method::POST, &path, Sent::Nothing, Patience::Work)?;
        self.field(&answer, "/result", &path)
    }

    /// Begins to read a snapshot; gives its announced length too.
    pub(super) fn download(
        &self,
        collection: &str,
        snapshot: &str,
    ) -> Result<(Box<dyn Read + Send>, Option<u64>), HttpError> {
        let path = format!("/collections/{}/snapshots/{}", encoded(collection), encoded(snapshot));
        let (body, bytes) = self.http.stream(&path)?;
        Ok((Box::new(body), bytes))
    }

    /// Removes a snapshot from the server. One that is not there is removed.
    pub(super) fn delete_snapshot(&self, collection: &str, snapshot: &str) -> Result<(), HttpError> {
        let path = format!("/collections/{}/snapshots/{}?wait=true", encoded(collection), encoded(snapshot));
        match self.question(Method::DELETE, &path, Sent::Nothing) {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Uploads a snapshot into a collection, which is created where it is missing, and waits until it is recovered.
    pub(super) fn upload(
        &self,
        collection: &str,
        (file_name, sha256): (&str, Option<&str>),
        bytes: u64,
        body: &mut dyn Read,
    ) -> Result<(), HttpError> {
        let checksum = sha256.map(|it| format!("&checksum={}", encoded(it))).unwrap_or_default();
        let path = format!(
            "/collections/{}/snapshots/upload?wait=true&priority=snapshot{checksum}",
            encoded(collection)
        );
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"snapshot\"; filename=\"{file_name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{BOUNDARY}--\r\n");
        let whole = head.len() as u64 + bytes + tail.len() as u64;
        let mut form = head.as_bytes().chain(body.take(bytes)).chain(tail.as_bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let sent = Sent::Stream { kind, bytes: whole, body: &mut form };
        let answer = self.http.json(Method::POST, &path, sent, Patience::Work)?;
        self.yes(&answer, "POST", &path)
    }

    /// Removes a collection. One that is not there is removed.
    pub(super) fn delete_collection(&self, collection: &str) -> Result<(), HttpError> {
        let path = format!("/collections/{}?timeout=60", encoded(collection));
        match self.http.json(Method::DELETE, &path, Sent::Nothing, Patience::Work) {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether the key may make snapshots and recover from them, which is one right (rbac, `Global manage access is
    /// required`). Asked for a collection that does not exist: rights are judged before names, so that nothing changes.
    pub(super) fn may_manage(&self) -> Result<bool, HttpError> {
        let path = format!("/collections/{}/snapshots?wait=true", encoded(PROBE));
        if self.collections()?.contains(PROBE) {
            return Err(self.http.malformed(
                "POST",
                &path,
                "there is a collection of this name, which bkp keeps for itself",
            ));
        }
        match self.http.json(Method::POST, &path, Sent::Nothing, Patience::Question) {
            Err(error) if error.status() == Some(404) => Ok(true),
            Err(error) if error.status() == Some(403) => Ok(false),
            Err(error) => Err(error),
            Ok(_) => Err(self.http.malformed("POST", &path, "it made a snapshot of what does not exist")),
        }
    }

    fn question(&self, method: Method, path: &str, sent: Sent<'_>) -> Result<Value, HttpError> {
        self.http.json(method, path, sent, Patience::Question)
    }

    fn field<T: DeserializeOwned>(&self, answer: &Value, field: &str, path: &str) -> Result<T, HttpError> {
        let value = answer.pointer(field).cloned();
        let value = value.ok_or_else(|| {
            let reason = format!("its answer has no `{}`", field.trim_start_matches('/'));
            self.http.malformed("answer to", path, &reason)
        })?;
        serde_json::from_value(value).map_err(|error| {
            let reason = format!("`{}` of its answer: {error}", field.trim_start_matches('/'));
            self.http.malformed("answer to", path, &reason)
        })
    }

    /// Demands `"result": true`.
    fn yes(&self, answer: &Value, method: &'static str, path: &str) -> Result<(), HttpError> {
        match answer.get("result") {
            Some(Value::Bool(true)) => Ok(()),
            Some(other) => Err(self.http.malformed(method, path, &format!("its result is {other}"))),
            None => Err(self.http.malformed(method, path, "its answer has no result")),
        }
    }
}

/// `VectorsConfig` is one unnamed vector (it has a `size` that is a number) or a map of named ones.
fn dense_vectors(vectors: &Value) -> u64 {
    match vectors.get("size") {
        Some(Value::Number(_)) => 1,
        Some(_) | None => vectors.as_object().map_or(0, |it| it.len() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unnamed_vector_is_one_and_a_vector_named_size_is_a_name() {
        assert_eq!(dense_vectors(&json!({ "size": 4, "distance": "Dot" })), 1);
        let named =
            json!({ "size": { "size": 4, "distance": "Dot" }, "b": { "size": 2, "distance": "Dot" } });
        assert_eq!(dense_vectors(&named), 2);
        assert_eq!(dense_vectors(&json!({})), 0);
    }
}
