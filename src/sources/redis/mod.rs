//! Redis and Valkey: one member, all of a server's databases, as a replica would get them.
//!
//! Never here: a file of the server's own, a write to it, or a dump that its own tools would have to be trusted for.
//! The dump comes by SYNC and is read by its grammar as it passes; `redis-cli` is not needed.

mod address;
mod client;
mod doors;
mod look;
mod rdb;
mod restore;
mod scratch_server;
mod session;
mod stream;
mod transfer;
mod vitals;

#[cfg(test)]
mod tests;

pub(super) use restore::RedisRestorer;

use super::{Desk, Member, Source, SourceError, SourceStream};
use crate::declared::{RedisDeclaration, SetName};
use crate::host::Host;
use crate::observed::SourceFacts;
use client::Client;
use session::Session;
use std::path::PathBuf;
use std::time::Duration;
use stream::DumpStream;
use transfer::Transfer;
use vitals::Vitals;

/// The artifact's extension.
const EXTENSION: &str = "rdb";
/// Longest that a server may say nothing while a dump is made or comes; it sends a newline each second until it does.
const SILENCE_MAX: Duration = Duration::from_mins(2);

/// One server.
#[derive(Debug, Clone)]
pub(super) struct RedisSource {
    set: SetName,
    declaration: RedisDeclaration,
}

impl RedisSource {
    /// The live side of a declaration.
    pub(super) fn new(set: &SetName, declaration: RedisDeclaration) -> Self {
        Self { set: set.clone(), declaration }
    }

    fn member(&self) -> Member {
        Member { name: self.set.to_string() }
    }

    /// Logs in to a server that has its data.
    fn ready(&self, host: &dyn Host) -> Result<(Session, Client, Vitals), SourceError> {
        let session = Session::of(host, &self.declaration)?;
        let mut client = session.connect().map_err(|error| session.error("connecting", &error))?;
        session.log_in(&mut client).map_err(|error| session.error("logging in", &error))?;
        let before = session::info(&mut client).map_err(|error| session.error("INFO", &error))?;
        if let Some(reason) = before.unfit() {
            return Err(SourceError::Server { server: session.server(), reason: reason.to_owned() });
        }
        Ok((session, client, before))
    }
}

impl Source for RedisSource {
    /// There is one member whatever the server holds, once it lets us in and has its data.
    fn enumerate(&self, host: &dyn Host) -> Result<Vec<Member>, SourceError> {
        self.ready(host).map(|_| vec![self.member()])
    }

    fn look(&self, host: &dyn Host) -> SourceFacts {
        look::look(host, &self.set, &self.declaration)
    }

    fn scratch_bytes(&self, _: &dyn Host) -> u64 {
        0
    }

    fn open(&self, desk: &Desk<'_>, member: &Member) -> Result<Box<dyn SourceStream>, SourceError> {
        if *member != self.member() {
            return Err(SourceError::Missing { object: member.name.clone() });
        }
        let (session, mut client, before) = self.ready(desk.host)?;
        client.set_silence(SILENCE_MAX);
        let transfer = Transfer::begin(client).map_err(|error| session.error("SYNC", &error))?;
        Ok(Box::new(DumpStream::new(session, before, transfer)))
    }

    fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn writable_paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn reachable_paths(&self) -> Vec<PathBuf> {
        self.declaration.socket.iter().chain(&self.declaration.tools).cloned().collect()
    }

    fn extension(&self, _: &Member) -> String {
        EXTENSION.to_owned()
    }
}
