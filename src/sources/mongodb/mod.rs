//! `MongoDB`: each database an archive of mongodump (<https://www.mongodb.com/docs/database-tools/mongodump/>).
//!
//! Users and roles, of every database, lie in `admin`, which is a member as others are. Databases of the server's own
//! (`local`, `config`) are none.
//!
//! Never here: a catalogue that rights have shortened, or a dump that is good because mongodump ended with 0.

mod archive;
mod catalogue;
mod connection;
mod counts;
mod doors;
mod grants;
mod look;
mod programs;
mod restore;
mod stream;
#[cfg(test)]
mod tests;

pub use restore::MongodbRestorer;

use super::{Desk, Member, Source, SourceError, SourceStream, tool};
use crate::declared::{MongodbDeclaration, SecretRef, Standing};
use crate::host::Host;
use crate::observed::SourceFacts;
use connection::{Access, Connection, ConnectionError};
use std::path::PathBuf;
use stream::DumpStream;

/// The artifact's extension.
const EXTENSION: &str = "archive";
/// The program that dumps.
const DUMP: &str = "mongodump";
/// The program that restores.
const RESTORE: &str = "mongorestore";
/// What brings the programs.
const PACKAGE: &str = "mongodb-database-tools";

/// The databases of one set.
#[derive(Debug, Clone)]
pub struct MongodbSource {
    declaration: MongodbDeclaration,
}

impl MongodbSource {
    /// The live side of a declaration.
    pub fn new(declaration: MongodbDeclaration) -> Self {
        Self { declaration }
    }

    fn connect(&self, host: &dyn Host) -> Result<Connection, SourceError> {
        let access = Access::of(host, &self.declaration)?;
        let server = access.server();
        Connection::new(access).map_err(|error| SourceError::Server { server, reason: error.to_string() })
    }

    /// The databases that the set takes, of those that exist, and the listed ones that do not exist.
    fn taken(&self, existing: impl Iterator<Item = String>) -> Vec<Member> {
        let choice = &self.declaration.databases;
        let existing = existing.filter(|name| matches!(choice.standing(name), Standing::Taken));
        let mut members: Vec<Member> = existing.map(|name| Member { name }).collect();
        for name in choice.listed.iter().flatten() {
            if choice.standing(name) == Standing::Taken && !members.iter().any(|it| it.name == *name) {
                members.push(Member { name: name.clone() });
            }
        }
        members
    }
}

/// The error of an enumeration: without the right to see all databases it is partial.
fn enumeration(server: String, error: &ConnectionError) -> SourceError {
    match error {
        ConnectionError::Unauthorized { reason, .. } => SourceError::Partial {
            server,
            reason: format!("this login may not list all databases ({reason}); grant it the role `backup`"),
        },
        ConnectionError::Url { .. }
        | ConnectionError::Unreachable { .. }
        | ConnectionError::Login { .. }
        | ConnectionError::Failed { .. }
        | ConnectionError::Silent { .. } => SourceError::Server { server, reason: error.to_string() },
    }
}

impl Source for MongodbSource {
    fn enumerate(&self, host: &dyn Host) -> Result<Vec<Member>, SourceError> {
        let connection = self.connect(host)?;
        let databases = connection.databases().map_err(|error| enumeration(connection.server(), &error))?;
        Ok(self.taken(databases.into_iter().map(|it| it.name)))
    }

    fn look(&self, host: &dyn Host) -> SourceFacts {
        look::look(self, host)
    }

    fn scratch_bytes(&self, _: &dyn Host) -> u64 {
        0
    }

    fn open(&self, desk: &Desk<'_>, member: &Member) -> Result<Box<dyn SourceStream>, SourceError> {
        let program = tool::find(desk.host, &[DUMP], &self.search_path())?;
        let connection = self.connect(desk.host)?;
        Ok(Box::new(DumpStream::open(connection, &program, &member.name)?))
    }

    fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn writable_paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn reachable_paths(&self) -> Vec<PathBuf> {
        let secret = match &self.declaration.password {
            Some(SecretRef::File(path)) => Some(path.clone()),
            Some(SecretRef::Credential(_) | SecretRef::Command(_) | SecretRef::Env(_)) | None => None,
        };
        self.declaration.tools.clone().into_iter().chain(secret).collect()
    }

    fn extension(&self, _: &Member) -> String {
        EXTENSION.to_owned()
    }
}

impl MongodbSource {
    fn search_path(&self) -> String {
        tool::search_path(self.declaration.tools.as_deref(), &[])
    }
}
