//! What a server says it has, and how many of it.
//!
//! Never here: a list that rights may have shortened taken for the whole one, or a count that the server keeps beside
//! the data (`count` without a filter is wrong after an unclean end) taken for one that was made.

use super::archive::{BUCKETS, CollectionKind};
use super::connection::{ANSWER, Connection, ConnectionError, NAMESPACE_NOT_FOUND, WORK};
use mongodb::bson::{Bson, Document, doc};
use std::collections::BTreeMap;

/// Databases of the server's own: of its replication, and of its sharding and sessions.
const INTERNAL: [&str; 2] = ["local", "config"];
/// What mongodump takes for the server's own too (`MongoDBInternalDBPrefix`).
const INTERNAL_PREFIX: &str = "__mdb_internal_";

/// One database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Database {
    pub name: String,
    pub size_bytes: Option<u64>,
}

/// One collection.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Collection {
    pub kind: CollectionKind,
    pub validator: bool,
    /// Tells it from a later one of the same name; none where the server gives none.
    pub id: Option<Bson>,
    /// What it was made with.
    pub options: Document,
}

fn number(document: &Document, key: &str) -> Option<u64> {
    match document.get(key)? {
        Bson::Int32(number) => u64::try_from(*number).ok(),
        Bson::Int64(number) => u64::try_from(*number).ok(),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a server's size")]
        Bson::Double(number) if *number >= 0.0 => Some(*number as u64),
        _ => None,
    }
}

fn unclear(command: &str, reason: impl Into<String>) -> ConnectionError {
    ConnectionError::Failed { command: command.into(), code: None, reason: reason.into() }
}

impl Connection {
    /// Every database that is not the server's own. `authorizedDatabases: false` makes a login that may not see all of
    /// them an error, where the server would else list those that it may see.
    pub fn databases(&self) -> Result<Vec<Database>, ConnectionError> {
        let command = doc! { "listDatabases": 1, "authorizedDatabases": false };
        let answer = self.command("admin", command, ANSWER)?;
        let listed = answer.get_array("databases").map_err(|_| unclear("listDatabases", "no list came"))?;
        let mut databases = Vec::new();
        for entry in listed {
            let Bson::Document(entry) = entry else {
                return Err(unclear("listDatabases", "an entry that is no document"));
            };
            let name = entry.get_str("name").map_err(|_| unclear("listDatabases", "an entry has no name"))?;
            if !INTERNAL.contains(&name) && !name.starts_with(INTERNAL_PREFIX) {
                databases.push(Database { name: name.to_owned(), size_bytes: number(entry, "sizeOnDisk") });
            }
        }
        databases.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(databases)
    }

    /// The collections of a database that mongodump takes; empty where there is no such database.
    pub fn collections(&self, database: &str) -> Result<BTreeMap<String, Collection>, ConnectionError> {
        let command = doc! { "listCollections": 1, "cursor": {} };
        let mut collections = BTreeMap::new();
        for entry in self.list(database, command, ANSWER)? {
            let name =
                entry.get_str("name").map_err(|_| unclear("listCollections", "an entry has no name"))?;
            if is_servers_own(database, name) {
                continue;
            }
            let word = entry.get_str("type").unwrap_or_default();
            let kind = CollectionKind::of(word).ok_or_else(|| {
                unclear("listCollections", format!("`{name}` is a `{word}`, which this bkp does not know"))
            })?;
            let options = entry.get_document("options").cloned().unwrap_or_default();
            let id = entry.get_document("info").ok().and_then(|info| info.get("uuid").cloned());
            let validator = options.contains_key("validator");
            collections.insert(name.to_owned(), Collection { kind, validator, id, options });
        }
        Ok(collections)
    }

    /// How many documents a collection has, counted now; the buckets of a time series. Zero where there is none.
    pub fn documents(
        &self,
        database: &str,
        name: &str,
        kind: CollectionKind,
    ) -> Result<u64, ConnectionError> {
        let place = match kind {
            CollectionKind::View => return Ok(0),
            CollectionKind::Plain => name.to_owned(),
            CollectionKind::TimeSeries => format!("{BUCKETS}{name}"),
        };
        let limit = i64::try_from(WORK.as_millis()).unwrap_or(i64::MAX);
        let command = doc! {
            "aggregate": place,
            "pipeline": [{ "$group": { "_id": null, "n": { "$sum": 1 } } }],
            "cursor": {},
            "maxTimeMS": limit,
        };
        let answer = self.list(database, command, WORK)?;
        match answer.as_slice() {
            [] => Ok(0),
            [one] => number(one, "n").ok_or_else(|| unclear("aggregate", "no count came")),
            _ => Err(unclear("aggregate", "more than one count came")),
        }
    }

    /// How many indexes a collection has, that of `_id` included.
    pub fn indexes(&self, database: &str, name: &str, kind: CollectionKind) -> Result<u64, ConnectionError> {
        if kind == CollectionKind::View {
            return Ok(0);
        }
        match self.list(database, doc! { "listIndexes": name, "cursor": {} }, ANSWER) {
            Ok(indexes) => Ok(indexes.len() as u64),
            Err(ConnectionError::Failed { code: Some(NAMESPACE_NOT_FOUND), .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// Whether mongodump leaves a collection out because the server makes it (`shouldSkipSystemNamespace` in
/// `mongodump/prepare.go`).
pub(super) fn is_servers_own(database: &str, collection: &str) -> bool {
    let system = collection.starts_with("system.");
    let taken = if database == "admin" {
        // mongorestore leaves out what a profiler wrote.
        !matches!(collection, "system.keys" | "system.profile")
    } else {
        !system || collection == "system.js"
    };
    !taken || (collection.contains('$') && !collection.contains(".oplog.$"))
}
