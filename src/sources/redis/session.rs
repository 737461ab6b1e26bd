//! A declared server, and logging in to it.

use super::address::Address;
use super::client::{Client, ClientError};
use super::vitals::Vitals;
use crate::declared::RedisDeclaration;
use crate::host::Host;
use crate::secrets::{self, Secret, SecretError};
use crate::sources::SourceError;
use std::time::Duration;

/// Longest that an answer to a question may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// How to get in.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Where.
    pub address: Address,
    /// As whom; none is `default`.
    pub user: Option<String>,
    secret: Option<Secret>,
}

impl Session {
    /// Resolves the password.
    pub(super) fn of(host: &dyn Host, declaration: &RedisDeclaration) -> Result<Self, SecretError> {
        let reference = declaration.password.as_ref();
        let secret = reference.map(|reference| secrets::resolve(host, "password", reference)).transpose()?;
        Ok(Self { address: Address::of(declaration), user: declaration.user.clone(), secret })
    }

    /// One without a password, as a drill's own server takes it.
    pub(super) fn open(address: Address) -> Self {
        Self { address, user: None, secret: None }
    }

    /// The server, for people.
    pub(super) fn server(&self) -> String {
        self.address.to_string()
    }

    /// The user, by name.
    pub(super) fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("default")
    }

    /// Connects only.
    pub(super) fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(&self.address, ANSWER_PATIENCE)
    }

    /// Logs a connection in.
    pub(super) fn log_in(&self, client: &mut Client) -> Result<(), ClientError> {
        client.log_in(self.user.as_deref(), self.secret.clone())
    }

    /// Connects and logs in.
    pub(super) fn client(&self) -> Result<Client, ClientError> {
        let mut client = self.connect()?;
        self.log_in(&mut client)?;
        Ok(client)
    }

    /// What the server says of itself now, by a connection of its own.
    pub(super) fn info(&self) -> Result<Vitals, ClientError> {
        info(&mut self.client()?)
    }

    /// An error of the server as a source's.
    pub(super) fn error(&self, during: &str, error: &ClientError) -> SourceError {
        let mut reason = format!("{during}: {error}");
        if error.denied() {
            reason = format!("{reason}; `{}` gives the right", self.grant());
        }
        SourceError::Server { server: self.server(), reason }
    }

    /// The command that gives the user what a backup needs.
    pub(super) fn grant(&self) -> String {
        format!(
            "redis-cli {} ACL SETUSER {} +ping +info +replconf +sync",
            self.address.arguments(),
            self.user()
        )
    }

    /// Why a dump without a check sum is one all the same: its server says that it makes none.
    pub(super) fn excused_checksum(&self) -> Result<String, String> {
        let asked = self.client().and_then(|mut client| client.command(&["CONFIG", "GET", "rdbchecksum"]));
        let value = match &asked {
            Ok(super::client::Reply::Many(pair)) => pair.get(1).cloned().map(super::client::Reply::text),
            Ok(super::client::Reply::Text(_) | super::client::Reply::Nil) | Err(_) => None,
        };
        match value.as_deref() {
            Some("no") => {
                Ok("the server makes no check sums (`rdbchecksum no`): from reading its memory to bkp's own \
                              SHA-256, nothing guards the bytes"
                    .to_owned())
            }
            Some(other) => Err(format!("its check sum is zero, and the server says `rdbchecksum {other}`")),
            None => Err(format!(
                "its check sum is zero, and user `{}` may not ask whether the server makes any (`+config|get`)",
                self.user()
            )),
        }
    }
}

/// What the server says of itself now.
pub(super) fn info(client: &mut Client) -> Result<Vitals, ClientError> {
    Ok(Vitals::parse(&client.command(&["INFO"])?.text()))
}
