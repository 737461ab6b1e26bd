//! The archive format of `mongodump --archive`, read through as it passes.
//!
//! The format has no end mark of its own: an archive is whole when every namespace of its prelude has come to its own
//! end with the right check sum, and nothing is open (`common/archive/spec.md` of mongo-tools). So never here: an
//! archive that ends between two blocks taken for whole because it ends cleanly.
//!
//! Documents are not kept: memory is that of one header, however large the archive.

mod block;
mod prelude;

pub(super) use prelude::CollectionKind;

use block::{Block, Event};
use prelude::{Header, Metadata, NamespaceHeader};
use std::collections::BTreeMap;

/// What a collection's buckets are called, where the server keeps a time series in them.
pub(super) const BUCKETS: &str = "system.buckets.";

/// Why bytes are not an archive of one database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ArchiveError {
    /// The first four bytes.
    #[error("it does not begin as an archive of mongodump does")]
    Magic,
    /// A length that no document has.
    #[error("at byte {at}: {length} is neither the length of a document nor the end of a block")]
    Length {
        /// Where.
        at: u64,
        /// The length found.
        length: u32,
    },
    /// A document that does not end as one.
    #[error("at byte {at}: a document does not end with a zero byte")]
    NoEnd {
        /// Where it ends.
        at: u64,
    },
    /// A header that cannot be read, or says what it must not.
    #[error("at byte {at}: {what}")]
    Header {
        /// Where it ends.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// The documents of a collection are not those that were written.
    #[error("the check sum of `{namespace}` is {found:016x}, and {written:016x} was written")]
    CheckSum {
        /// The collection.
        namespace: String,
        /// Of the documents that came.
        found: u64,
        /// What the producer wrote.
        written: u64,
    },
    /// The bytes end in the middle.
    #[error("it ends in the middle, at byte {at}")]
    Truncated {
        /// Where.
        at: u64,
    },
    /// Collections that were announced, and did not come to their end.
    #[error("it ends before these collections do: {}", names.join(", "))]
    Unfinished {
        /// Their names.
        names: Vec<String>,
    },
}

/// One collection, as an archive has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArchivedCollection {
    /// What it is.
    pub kind: CollectionKind,
    /// Its documents; the buckets of a time series; none of a view.
    pub documents: u64,
    /// Its indexes, that of `_id` included.
    pub indexes: u64,
    /// Whether it checks its documents.
    pub validator: bool,
    /// Whether its options and indexes are there. They are not where it was dropped while it was read.
    pub described: bool,
}

/// What a whole archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archive {
    /// The version of the server that it was made of.
    pub server_version: String,
    /// The version of mongodump.
    pub tool_version: String,
    /// Its collections.
    pub collections: BTreeMap<String, ArchivedCollection>,
}

impl Archive {
    /// Every document, as mongorestore counts them.
    pub fn documents(&self) -> u64 {
        self.collections.values().map(|it| it.documents).sum()
    }
}

#[derive(Default)]
struct Running {
    digest: crc64fast::Digest,
    documents: u64,
    ended: bool,
}

/// Reads an archive of one database as it comes, in pieces of any size.
pub(super) struct ArchiveParser {
    database: String,
    block: Block,
    header: Option<Header>,
    metadata: BTreeMap<String, Metadata>,
    running: BTreeMap<String, Running>,
    current: Option<String>,
}

impl std::fmt::Debug for ArchiveParser {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ArchiveParser").field("database", &self.database).finish_non_exhaustive()
    }
}

impl ArchiveParser {
    /// Begins an archive of this database.
    pub fn new(database: &str) -> Self {
        Self {
            database: database.to_owned(),
            block: Block::new(),
            header: None,
            metadata: BTreeMap::new(),
            running: BTreeMap::new(),
            current: None,
        }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        while !bytes.is_empty() {
            let (used, event) = self.block.take(bytes)?;
            match event {
                Event::More => {}
                Event::Header(document) => self.header(&document)?,
                Event::Metadata(document) => self.announce(&document)?,
                Event::Namespace(document) => self.namespace(&document)?,
                Event::Begun(length) => self.body(&length, false)?,
                Event::Passed { ended } => self.body(&bytes[..used], ended)?,
            }
            bytes = &bytes[used..];
        }
        Ok(())
    }

    fn wrong(&self, what: impl Into<String>) -> ArchiveError {
        ArchiveError::Header { at: self.block.at(), what: what.into() }
    }

    fn header(&mut self, document: &[u8]) -> Result<(), ArchiveError> {
        self.header = Some(Header::read(document).map_err(|what| self.wrong(what))?);
        Ok(())
    }

    fn announce(&mut self, document: &[u8]) -> Result<(), ArchiveError> {
        let metadata = Metadata::read(document).map_err(|what| self.wrong(what))?;
        if metadata.database != self.database {
            let what = format!("a collection of another database, `{}`", metadata.database);
            return Err(self.wrong(what));
        }
        let name = metadata.collection.clone();
        if self.metadata.insert(name.clone(), metadata).is_some() {
            return Err(self.wrong(format!("`{name}` is announced twice")));
        }
        Ok(())
    }

    /// The collection that a namespace's documents belong to.
    fn owner(&self, namespace: &str) -> Option<&str> {
        let metadata = self.metadata.get(namespace).or_else(|| {
            let series = self.metadata.get(namespace.strip_prefix(BUCKETS)?)?;
            (series.kind == CollectionKind::TimeSeries).then_some(series)
        })?;
        Some(&metadata.collection)
    }

    fn namespace(&mut self, document: &[u8]) -> Result<(), ArchiveError> {
        let header = NamespaceHeader::read(document).map_err(|what| self.wrong(what))?;
        if header.database != self.database {
            return Err(self.wrong(format!("documents of another database, `{}`", header.database)));
        }
        let Some(owner) = self.owner(&header.collection).map(ToOwned::to_owned) else {
            return Err(self.wrong(format!("documents of `{}`, which was not announced", header.collection)));
        };
        let running = self.running.entry(owner.clone()).or_default();
        if running.ended {
            return Err(self.wrong(format!("more of `{owner}` after its end")));
        }
        if !header.ended {
            self.current = Some(owner);
            return Ok(());
        }
        running.ended = true;
        self.current = None;
        let found = running.digest.sum64();
        if found == header.check_sum {
            return Ok(());
        }
        Err(ArchiveError::CheckSum { namespace: header.collection, found, written: header.check_sum })
    }

    fn body(&mut self, bytes: &[u8], document_ended: bool) -> Result<(), ArchiveError> {
        let running = self.current.as_ref().and_then(|name| self.running.get_mut(name));
        let Some(running) = running else {
            return Err(self.wrong("documents after the end of their collection"));
        };
        running.digest.write(bytes);
        running.documents += u64::from(document_ended);
        Ok(())
    }

    /// What it held; an error where it did not come to its end.
    pub fn finish(self) -> Result<Archive, ArchiveError> {
        let truncated = ArchiveError::Truncated { at: self.block.at() };
        let Some(header) = self.header else { return Err(truncated) };
        if !self.block.between_blocks() {
            return Err(truncated);
        }
        let ended = |name: &String| self.running.get(name).is_some_and(|it| it.ended);
        let names: Vec<String> = self.metadata.keys().filter(|name| !ended(name)).cloned().collect();
        if !names.is_empty() {
            return Err(ArchiveError::Unfinished { names });
        }
        let collections = self.metadata.into_iter().map(|(name, metadata)| {
            let documents = self.running.get(&name).map_or(0, |it| it.documents);
            let Metadata { kind, indexes, validator, described, .. } = metadata;
            (name, ArchivedCollection { kind, documents, indexes, validator, described })
        });
        Ok(Archive {
            collections: collections.collect(),
            server_version: header.server_version,
            tool_version: header.tool_version,
        })
    }
}
