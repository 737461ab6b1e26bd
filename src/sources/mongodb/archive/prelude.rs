//! The headers of an archive, as `common/archive/archive.go` of mongo-tools writes them.
//!
//! Never here: a field that is missing taken for its default. What was not written is not known.

use mongodb::bson::raw::{RawBsonRef, RawDocument};
use serde::Deserialize;

/// The archive format that this reads.
const FORMAT: &str = "0.1";

/// What a collection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum CollectionKind {
    /// One with documents of its own.
    Plain,
    /// A query under a name.
    View,
    /// One whose documents lie in buckets.
    TimeSeries,
}

impl CollectionKind {
    /// What a server or an archive calls it; an empty word is a collection from before there were others.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "" | "collection" => Some(Self::Plain),
            "view" => Some(Self::View),
            "timeseries" => Some(Self::TimeSeries),
            _ => None,
        }
    }
}

fn document(bytes: &[u8]) -> Result<&RawDocument, String> {
    RawDocument::from_bytes(bytes).map_err(|error| format!("a header that is no document: {error}"))
}

fn text(document: &RawDocument, key: &str) -> Result<String, String> {
    match document.get(key) {
        Ok(Some(RawBsonRef::String(text))) => Ok(text.to_owned()),
        Ok(Some(_) | None) | Err(_) => Err(format!("a header without a text `{key}`")),
    }
}

/// The archive's own header.
#[derive(Debug)]
pub(super) struct Header {
    pub server_version: String,
    pub tool_version: String,
}

impl Header {
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let document = document(bytes)?;
        let version = text(document, "version")?;
        if version != FORMAT {
            return Err(format!("it has the format {version}, and this bkp reads {FORMAT}"));
        }
        let server_version = text(document, "server_version")?;
        Ok(Self { server_version, tool_version: text(document, "tool_version")? })
    }
}

/// A collection's announcement.
#[derive(Debug)]
pub(super) struct Metadata {
    pub database: String,
    pub collection: String,
    pub kind: CollectionKind,
    pub indexes: u64,
    pub validator: bool,
    pub described: bool,
}

#[derive(Deserialize)]
struct Description {
    #[serde(default)]
    options: Options,
    indexes: Vec<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Options {
    validator: Option<serde::de::IgnoredAny>,
}

impl Metadata {
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let document = document(bytes)?;
        let (database, collection) = (text(document, "db")?, text(document, "collection")?);
        let word = text(document, "type")?;
        let kind = CollectionKind::of(&word)
            .ok_or_else(|| format!("`{collection}` is a `{word}`, which this bkp does not know"))?;
        let written = text(document, "metadata")?;
        // What is dropped while it is read gets no description (`dumpMetadata` in `mongodump/metadata_dump.go`).
        let described = !written.is_empty();
        let description = if described {
            serde_json::from_str(&written)
                .map_err(|error| format!("the options and indexes of `{collection}`: {error}"))?
        } else {
            Description { options: Options::default(), indexes: Vec::new() }
        };
        Ok(Self {
            database,
            collection,
            kind,
            indexes: description.indexes.len() as u64,
            validator: description.options.validator.is_some(),
            described,
        })
    }
}

/// The header of a block of documents.
#[derive(Debug)]
pub(super) struct NamespaceHeader {
    pub database: String,
    pub collection: String,
    pub ended: bool,
    pub check_sum: u64,
}

impl NamespaceHeader {
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let document = document(bytes)?;
        let ended = document.get_bool("EOF").map_err(|_| "a header without `EOF`".to_owned())?;
        let check_sum = document.get_i64("CRC").map_err(|_| "a header without `CRC`".to_owned())?;
        Ok(Self {
            database: text(document, "db")?,
            collection: text(document, "collection")?,
            ended,
            check_sum: check_sum.cast_unsigned(),
        })
    }
}
