//! One database on a server, filled from an archive and counted.
//!
//! Never here: anything restored into a database that holds something already.

use super::{RESTORE, bench as in_the_way, refused};
use crate::declared::SourceDeclaration;
use crate::format::Counts;
use crate::host::{ChildWriter, FeedError, Host, PrivateFile};
use crate::sources::mongodb::archive::{Archive, ArchiveError, ArchiveParser};
use crate::sources::mongodb::connection::{ANSWER, Access, Connection, ConnectionError};
use crate::sources::mongodb::{counts, programs};
use crate::sources::{Artifact, Bench, RestoreError, tool};
use mongodb::bson::doc;
use std::io::{self, Read};
use std::path::PathBuf;

/// A database that is to be filled.
#[derive(Debug)]
pub(super) struct Place {
    pub connection: Connection,
    pub database: String,
    program: PathBuf,
}

/// mongorestore, where the plan says or a job would find it.
fn program(host: &dyn Host, declaration: Option<&SourceDeclaration>) -> Result<PathBuf, RestoreError> {
    let tools = match declaration {
        Some(SourceDeclaration::Mongodb(it)) => it.tools.as_deref(),
        Some(_) | None => None,
    };
    let search_path = tool::search_path(tools, &[]);
    tool::find(host, &[RESTORE], &search_path).map_err(|error| in_the_way(RESTORE, error.to_string()))
}

/// Reads an archive through on its way to mongorestore, which says less well than this what is wrong with it.
struct Through<'a> {
    body: &'a mut dyn Read,
    parser: ArchiveParser,
    damage: Option<ArchiveError>,
}

impl Read for Through<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        match self.parser.feed(&buffer[..count]) {
            Ok(()) => Ok(count),
            Err(error) => {
                self.damage = Some(error.clone());
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }
}

impl Place {
    /// A database at a server; nothing is done to it.
    pub fn at(bench: Bench<'_>, access: Access, database: &str) -> Result<Self, RestoreError> {
        let program = program(bench.host, bench.declaration)?;
        Self::with(program, access, database)
    }

    /// The same, to remove it: mongorestore is not needed for that.
    pub fn to_remove(access: Access, database: &str) -> Result<Self, RestoreError> {
        Self::with(PathBuf::new(), access, database)
    }

    fn with(program: PathBuf, access: Access, database: &str) -> Result<Self, RestoreError> {
        let server = access.server();
        let connection = Connection::new(access).map_err(|error| refused(&server, &error))?;
        Ok(Self { connection, database: database.to_owned(), program })
    }

    pub fn refused(&self, error: &ConnectionError) -> RestoreError {
        refused(&self.connection.server(), error)
    }

    fn name(&self) -> String {
        format!("{}/{}", self.connection.server(), self.database)
    }

    /// Demands that nothing is there.
    pub fn prove_new(&self) -> Result<(), RestoreError> {
        if self.database == "admin" {
            return Err(RestoreError::PlaceTaken { place: self.name() });
        }
        let listed = self.connection.list(
            &self.database,
            doc! { "listCollections": 1, "nameOnly": true, "cursor": {} },
            ANSWER,
        );
        match listed.map_err(|error| self.refused(&error))?.as_slice() {
            [] => Ok(()),
            [_, ..] => Err(RestoreError::PlaceTaken { place: self.name() }),
        }
    }

    /// Restores an archive, and counts what the database then has.
    pub fn fill(&self, artifact: Artifact<'_>) -> Result<Counts, RestoreError> {
        let member = artifact.member;
        let access = self.connection.access();
        let config = programs::config(access).map_err(|error| in_the_way(RESTORE, error.to_string()))?;
        let archive = self.feed(artifact, &config)?;
        let counts =
            counts::of_server(&self.connection, &self.database, |name| programs::name_before(member, name));
        let counts = counts.map_err(|error| self.refused(&error))?;
        let differences = counts::of_archive(&archive).differences(&counts);
        if differences.is_empty() {
            return Ok(counts);
        }
        Err(RestoreError::Differs { member: member.to_owned(), reason: differences.join("; ") })
    }

    fn feed(&self, artifact: Artifact<'_>, config: &PrivateFile) -> Result<Archive, RestoreError> {
        let Artifact { member, body, .. } = artifact;
        let access = self.connection.access();
        let command = programs::restore(&self.program, access, config, (member, &self.database));
        let mut child =
            ChildWriter::start(&command).map_err(|error| in_the_way(RESTORE, error.to_string()))?;
        let mut through = Through { body, parser: ArchiveParser::new(member), damage: None };
        let fed = child.feed(&mut through);
        let damaged = |error: &ArchiveError| RestoreError::Damaged {
            member: member.to_owned(),
            reason: error.to_string(),
        };
        if let Some(damage) = &through.damage {
            return Err(damaged(damage));
        }
        match fed {
            Ok(_) => {}
            Err(FeedError::Body(error)) => {
                return Err(RestoreError::Fetch { member: member.to_owned(), error });
            }
            Err(FeedError::Pipe(error)) => return Err(in_the_way(RESTORE, error.to_string())),
        }
        let output = child.finish().map_err(|error| in_the_way(RESTORE, error.to_string()))?;
        if !output.succeeded() {
            return Err(in_the_way(RESTORE, programs::explain(access, &output)));
        }
        // What mongorestore did not take it did not restore.
        let archive = through.parser.finish().map_err(|error| damaged(&error))?;
        let documents = archive.documents();
        match programs::restored(&output) {
            Some((restored, 0)) if restored == documents => Ok(archive),
            Some((restored, failed)) => Err(RestoreError::Differs {
                member: member.to_owned(),
                reason: format!(
                    "mongorestore restored {restored} documents and {failed} failed, of {documents} in the archive"
                ),
            }),
            None => Err(in_the_way(RESTORE, "it did not say how many documents it restored")),
        }
    }

    /// Removes the database, and proves that it is gone. The role `restore` may drop collections and no database.
    pub fn remove(&self) -> Result<(), RestoreError> {
        let said = |error: ConnectionError| self.refused(&error);
        let dropped = self.connection.command(&self.database, doc! { "dropDatabase": 1 }, ANSWER);
        if let Err(ConnectionError::Unauthorized { .. }) = &dropped {
            for name in self.connection.collections(&self.database).map_err(said)?.into_keys() {
                self.connection.command(&self.database, doc! { "drop": name }, ANSWER).map_err(said)?;
            }
        } else {
            dropped.map_err(said)?;
        }
        if self.connection.collections(&self.database).map_err(said)?.is_empty() {
            return Ok(());
        }
        Err(in_the_way(&self.connection.server(), format!("`{}` could not be removed", self.database)))
    }
}
