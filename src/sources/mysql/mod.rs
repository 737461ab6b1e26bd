//! The schemas of a `MySQL` or `MariaDB` server, dumped by its own programs; and its accounts.
//!
//! Never here: a dump that is called complete by its exit status or its end mark alone, both of which the programs also
//! give to dumps that lack triggers, routines and whole schemas; or a shorter list of schemas, because the account may
//! not see more.

mod accounts;
mod addresses;
mod catalogue;
mod client;
mod doors;
mod emptied;
mod events;
mod facts;
mod feed;
mod grants;
mod hold;
mod live;
mod look;
mod own_server;
mod restorer;
mod scan;
mod session;
mod stream;
mod version;
mod words;

pub use restorer::MysqlRestorer;

use super::{Desk, Member, Source, SourceError, SourceStream};
use crate::declared::{MemberChoice, MysqlDeclaration, Span, Standing};
use crate::host::Host;
use crate::observed::SourceFacts;
use accounts::{AccountStream, Accounts};
use client::{Client, OneLogin};
use facts::ServerFacts;
use std::collections::BTreeSet;
use std::path::PathBuf;
use stream::DumpStream;

/// How long the read lock is waited for, and held, where the plan does not say.
const LOCK_WAIT_SECONDS: u64 = 5;

/// The schemas of one server.
#[derive(Debug, Clone)]
pub struct MysqlSource {
    declaration: MysqlDeclaration,
}

impl MysqlSource {
    /// The live side of a declaration.
    pub fn new(declaration: MysqlDeclaration) -> Self {
        Self { declaration }
    }

    fn choice(&self) -> &MemberChoice {
        &self.declaration.databases
    }

    fn asked(&self, host: &dyn Host) -> Result<(Client, ServerFacts), SourceError> {
        if let Some(reason) = look::ignored_defaults_file(host, &self.declaration) {
            return Err(SourceError::Server { server: client::server_name(&self.declaration), reason });
        }
        let client = Client::declared(host, &self.declaration)?;
        let facts = ServerFacts::read(&mut OneLogin { host, client: &client })?;
        Ok((client, facts))
    }

    fn partial(&self, facts: &ServerFacts) -> SourceError {
        SourceError::Partial {
            server: client::server_name(&self.declaration),
            reason: format!(
                "account {} is not shown every schema: {}",
                facts.account,
                facts.grants.for_everything()
            ),
        }
    }

    fn missing_right(&self, right: &str, object: &str, mends: &str) -> SourceError {
        SourceError::Server {
            server: client::server_name(&self.declaration),
            reason: format!(
                "the account lacks {right} for {object}, and a dump would be silently short: {mends}"
            ),
        }
    }
}

/// The members of a server, `_accounts` last: what exists and is taken, and what is listed and may not exist.
fn taken(choice: &MemberChoice, schemas: &[String]) -> Vec<String> {
    let existing = schemas.iter().map(String::as_str).chain([accounts::MEMBER]);
    let mut names: Vec<String> = existing
        .filter(|name| match choice.standing(name) {
            Standing::Taken => true,
            Standing::Ignored(_) | Standing::Uncovered => false,
        })
        .map(str::to_owned)
        .collect();
    let known: BTreeSet<String> = names.iter().cloned().collect();
    names.extend(choice.listed.iter().flatten().filter(|it| !known.contains(*it)).cloned());
    names
}

impl Source for MysqlSource {
    fn enumerate(&self, host: &dyn Host) -> Result<Vec<Member>, SourceError> {
        let (_, facts) = self.asked(host)?;
        // A list names its members itself; only `all` depends on seeing all.
        if self.choice().listed.is_none() && !facts.grants.sees_every_schema() {
            return Err(self.partial(&facts));
        }
        Ok(taken(self.choice(), &facts.schemas).into_iter().map(|name| Member { name }).collect())
    }

    fn look(&self, host: &dyn Host) -> SourceFacts {
        look::look(host, &self.declaration)
    }

    fn scratch_bytes(&self, _: &dyn Host) -> u64 {
        0
    }

    fn open(&self, desk: &Desk<'_>, member: &Member) -> Result<Box<dyn SourceStream>, SourceError> {
        let (client, facts) = self.asked(desk.host)?;
        if member.name == accounts::MEMBER {
            if !facts.grants.reads_accounts() {
                return Err(self.missing_right("SELECT", "`mysql`.*", &facts.grants.for_accounts()));
            }
            let accounts = Accounts::read(&mut OneLogin { host: desk.host, client: &client }, facts.version)?;
            return Ok(Box::new(AccountStream::new(accounts)));
        }
        if let Some((right, mends)) = facts.grants.missing(&member.name, facts.version).first() {
            return Err(self.missing_right(right, &format!("`{}`", member.name), mends));
        }
        let seconds = self.declaration.lock_wait.map_or(LOCK_WAIT_SECONDS, Span::seconds);
        let held = hold::begin(&client, &member.name, seconds)?;
        Ok(Box::new(DumpStream::new(client, &member.name, held)))
    }

    fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn writable_paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn reachable_paths(&self) -> Vec<PathBuf> {
        let it = &self.declaration;
        let socket = it.socket.as_ref().and_then(|socket| socket.parent().map(PathBuf::from));
        let files = [socket, it.defaults_file.clone(), it.ssl_ca.clone(), it.tools.clone()];
        files.into_iter().flatten().collect()
    }

    fn extension(&self, _: &Member) -> String {
        "sql".to_owned()
    }
}
