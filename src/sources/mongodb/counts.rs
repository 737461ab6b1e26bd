//! Counts by name: the same words for what an archive holds and for what a server has.

use super::archive::{Archive, CollectionKind};
use super::catalogue::Collection;
use super::connection::{Connection, ConnectionError};
use crate::format::Counts;
use std::collections::BTreeMap;

#[derive(Default)]
struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Every kind is counted, also where there is none of it.
    fn new() -> Self {
        let kinds = ["collections", "views", "time series", "validators"];
        Self(kinds.into_iter().map(|kind| (kind.to_owned(), 0)).collect())
    }

    fn one_more(&mut self, kind: &str) {
        *self.0.entry(kind.to_owned()).or_default() += 1;
    }

    fn add(&mut self, name: &str, kind: CollectionKind, validator: bool, documents: u64, indexes: u64) {
        match kind {
            CollectionKind::View => return self.one_more("views"),
            CollectionKind::Plain => {
                self.one_more("collections");
                self.0.insert(format!("documents {name}"), documents);
            }
            CollectionKind::TimeSeries => {
                self.one_more("time series");
                self.0.insert(format!("buckets {name}"), documents);
            }
        }
        self.0.insert(format!("indexes {name}"), indexes);
        if validator {
            self.one_more("validators");
        }
    }
}

/// What an archive holds.
pub(super) fn of_archive(archive: &Archive) -> Counts {
    let mut tally = Tally::new();
    for (name, it) in &archive.collections {
        tally.add(name, it.kind, it.validator, it.documents, it.indexes);
    }
    Counts(tally.0)
}

/// What a database on a server holds, counted now. `was` says what a collection is called in the archive.
pub(super) fn of_server(
    connection: &Connection,
    database: &str,
    was: impl Fn(&str) -> String,
) -> Result<Counts, ConnectionError> {
    let mut tally = Tally::new();
    for (name, Collection { kind, validator, .. }) in connection.collections(database)? {
        let documents = connection.documents(database, &name, kind)?;
        let indexes = connection.indexes(database, &name, kind)?;
        tally.add(&was(&name), kind, validator, documents, indexes);
    }
    Ok(Counts(tally.0))
}
