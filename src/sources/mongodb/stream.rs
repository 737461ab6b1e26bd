//! A database's dump as it comes from mongodump, and the proof that it is whole.
//!
//! mongodump ends with 0 where a collection vanished, and reads collection after collection. So never here: an archive
//! believed because its producer ended well. It must hold every collection that the server named before and still
//! names after, and of each as many documents as the server can have had meanwhile.

use super::archive::{Archive, ArchiveParser, CollectionKind};
use super::catalogue::Collection;
use super::connection::{Connection, ConnectionError};
use super::counts;
use super::programs;
use crate::format::Bound;
use crate::host::{ChildReader, PrivateFile};
use crate::sources::{Complete, SourceError, SourceStream};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

/// The producer, for people.
const PRODUCER: &str = "mongodump";

/// What a server had at one moment.
#[derive(Debug)]
struct Moment {
    collections: BTreeMap<String, Collection>,
    documents: BTreeMap<String, u64>,
}

impl Moment {
    fn of(connection: &Connection, database: &str) -> Result<Self, ConnectionError> {
        let collections = connection.collections(database)?;
        let mut documents = BTreeMap::new();
        for (name, collection) in &collections {
            documents.insert(name.clone(), connection.documents(database, name, collection.kind)?);
        }
        Ok(Self { collections, documents })
    }
}

/// The archive of one database.
#[derive(Debug)]
pub(super) struct DumpStream {
    connection: Connection,
    database: String,
    child: ChildReader,
    parser: ArchiveParser,
    before: Moment,
    ended: bool,
    /// Read by the child for as long as it lives.
    _config: PrivateFile,
}

impl DumpStream {
    /// Counts, then starts mongodump.
    pub fn open(connection: Connection, program: &Path, database: &str) -> Result<Self, SourceError> {
        let before = Moment::of(&connection, database).map_err(|error| refused(&connection, &error))?;
        if before.collections.is_empty() {
            let object = format!("{}/{database}", connection.server());
            return Err(SourceError::Missing { object });
        }
        let tool = |error| SourceError::Tool { tool: PRODUCER.into(), error };
        let config = programs::config(connection.access()).map_err(tool)?;
        let command = programs::dump(program, connection.access(), &config, database);
        let child = ChildReader::start(&command).map_err(tool)?;
        let parser = ArchiveParser::new(database);
        let database = database.to_owned();
        Ok(Self { connection, database, child, parser, before, ended: false, _config: config })
    }
}

fn refused(connection: &Connection, error: &ConnectionError) -> SourceError {
    SourceError::Server { server: connection.server(), reason: error.to_string() }
}

fn incomplete(reason: impl Into<String>) -> SourceError {
    SourceError::Incomplete { producer: PRODUCER.into(), reason: reason.into() }
}

impl Read for DumpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.child.read(buffer)?;
        self.ended |= count == 0 && !buffer.is_empty();
        self.parser
            .feed(&buffer[..count])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(count)
    }
}

impl SourceStream for DumpStream {
    fn finish(self: Box<Self>) -> Result<Complete, SourceError> {
        let Self { connection, database, child, parser, before, ended, _config } = *self;
        if !ended {
            return Err(incomplete("it was not read to its end"));
        }
        let tool = |error| SourceError::Tool { tool: PRODUCER.into(), error };
        let output = child.finish().map_err(tool)?;
        if !output.succeeded() {
            let reason = format!("{PRODUCER}: {}", programs::explain(connection.access(), &output));
            return Err(SourceError::Server { server: connection.server(), reason });
        }
        let archive = parser.finish().map_err(|error| incomplete(error.to_string()))?;
        let after = Moment::of(&connection, &database).map_err(|error| refused(&connection, &error))?;
        let warnings = compare(&before, &archive, &after).map_err(incomplete)?;
        let counts = counts::of_archive(&archive);
        Ok(Complete { counts, bounds: BTreeMap::new(), warnings, index: None })
    }
}

/// What people should know of an archive; the reason where it cannot be what the server had.
fn compare(before: &Moment, archive: &Archive, after: &Moment) -> Result<Vec<String>, String> {
    if archive.collections.is_empty() {
        return Err("it holds no collection".into());
    }
    let mut warnings = Vec::new();
    let mut moving = false;
    for (name, was) in &before.collections {
        let is = after.collections.get(name);
        let same = is.is_some_and(|is| is.id == was.id);
        let Some(archived) = archive.collections.get(name) else {
            if is.is_some() {
                return Err(format!("collection `{name}` is not in it"));
            }
            warnings
                .push(format!("collection `{name}` was dropped while the dump was made, and is not in it"));
            continue;
        };
        if !archived.described && same {
            return Err(format!("the options and indexes of `{name}` are not in it"));
        }
        if !same {
            warnings.push(format!("collection `{name}` was dropped or made anew while the dump was made"));
            continue;
        }
        if archived.kind == CollectionKind::View {
            continue;
        }
        let counted = |moment: &Moment| moment.documents.get(name).copied().unwrap_or_default();
        let (first, last) = (counted(before), counted(after));
        moving |= first != last;
        judge(name, archived.documents, Bound::between(first, last))?;
    }
    if moving {
        warnings.push(
            "documents were written while the dump was made; its collections were read one after the other, so it is \
             no single moment of the database"
                .into(),
        );
    }
    Ok(warnings)
}

/// Demands that an archive has as many documents of a collection as were counted before it and after it, or a number
/// between the two where they differ. Documents that came and went in between could explain any other number, and so
/// could documents that were lost; the server counts what comes and goes over all its databases, which tells neither.
fn judge(name: &str, archived: u64, counted: Bound) -> Result<(), String> {
    let Bound { min, max } = counted;
    if (min..=max).contains(&archived) {
        return Ok(());
    }
    Err(format!(
        "`{name}`: {archived} documents came, and the server counted {min} before or after and {max}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_outside_of_what_was_counted_is_never_explained_away() {
        for (one, other, archived, fits) in
            [(5, 5, 5, true), (5, 9, 7, true), (5, 5, 4, false), (5, 5, 0, false), (5, 9, 10, false)]
        {
            assert_eq!(
                judge("it", archived, Bound::between(one, other)).is_ok(),
                fits,
                "{one} {other} {archived}"
            );
        }
    }
}
