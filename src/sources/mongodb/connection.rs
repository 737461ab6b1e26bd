//! A login at a server, and commands with a limit of time.
//!
//! Never here: a password in an error, or an answer waited for without end (the driver has no limit for one).

use crate::declared::{MongodbDeclaration, SecretRef};
use crate::host::{Host, pulse};
use crate::secrets::{Secret, SecretError, resolve};
use mongodb::bson::Document;
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{ClientOptions, Credential, ServerAddress};
use mongodb::sync::Client;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
// The driver starts its multi-threaded runtime and does not ask for the feature that has it.
use tokio as _;

/// The port where a URL names none.
pub(super) const PORT: u16 = 27017;
/// How long a server is looked for.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a catalogue is waited for.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// How long one collection is counted, or renamed.
pub(super) const WORK: Duration = Duration::from_hours(1);

/// Codes of the server's errors (`src/mongo/base/error_codes.yml`).
const UNAUTHORIZED: i32 = 13;
const AUTHENTICATION_FAILED: i32 = 18;
/// What is asked for is not there.
pub(super) const NAMESPACE_NOT_FOUND: i32 = 26;

/// Why a server did not answer, or answered no.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// Its URL.
    #[error("its url cannot be used: {reason}")]
    Url {
        /// Why.
        reason: String,
    },
    /// Nobody answers there.
    #[error("it cannot be reached: {reason}")]
    Unreachable {
        /// What was tried.
        reason: String,
    },
    /// It does not take the login.
    #[error("it refuses the login: {reason}")]
    Login {
        /// What it said.
        reason: String,
    },
    /// The login lacks a right.
    #[error("`{command}` is not allowed: {reason}")]
    Unauthorized {
        /// What was asked.
        command: String,
        /// What it said.
        reason: String,
    },
    /// It refused, or the connection broke.
    #[error("`{command}` failed: {reason}")]
    Failed {
        /// What was asked.
        command: String,
        /// The server's code, where it gave one.
        code: Option<i32>,
        /// What it said.
        reason: String,
    },
    /// It said nothing.
    #[error("`{command}` had no answer in {seconds} s")]
    Silent {
        /// What was asked.
        command: String,
        /// How long it was waited for.
        seconds: u64,
    },
}

/// How a server is logged in to, its secret resolved.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// Without credentials.
    pub url: String,
    /// User, password, and the database that knows the user.
    pub login: Option<Login>,
}

/// A user and a password.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub user: String,
    pub password: Secret,
    pub source: String,
}

impl Access {
    /// The declared server's.
    pub fn of(host: &dyn Host, declaration: &MongodbDeclaration) -> Result<Self, SecretError> {
        let login = match (&declaration.user, &declaration.password) {
            (Some(user), Some(password)) => Some(Login {
                user: user.clone(),
                password: secret(host, password)?,
                source: declaration.auth_source.clone().unwrap_or_else(|| "admin".into()),
            }),
            (Some(_) | None, _) => None,
        };
        Ok(Self { url: declaration.url.clone(), login })
    }

    /// One without a login.
    pub fn open(url: &str) -> Self {
        Self { url: url.to_owned(), login: None }
    }

    /// The server without the URL's options, for people.
    pub fn server(&self) -> String {
        server_of(&self.url)
    }

    /// A text with the password taken out.
    pub fn redact(&self, text: &str) -> String {
        self.login.as_ref().map_or_else(|| text.to_owned(), |login| login.password.redact(text))
    }
}

fn secret(host: &dyn Host, reference: &SecretRef) -> Result<Secret, SecretError> {
    resolve(host, "password", reference)
}

/// `mongodb:HOST:PORT` of a URL: its scheme and options say nothing about which server it is.
pub(super) fn server_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let hosts = rest.split(['/', '?']).next().unwrap_or(rest);
    format!("mongodb:{}", hosts.replace("%2F", "/").replace("%2f", "/"))
}

/// Demands that at least one address takes connections.
fn someone_listens(addresses: &[ServerAddress]) -> Result<(), ConnectionError> {
    let mut reasons = Vec::new();
    for address in addresses {
        match listens(address) {
            Ok(()) => return Ok(()),
            Err(error) => reasons.push(format!("{address}: {error}")),
        }
    }
    Err(ConnectionError::Unreachable { reason: reasons.join("; ") })
}

fn listens(address: &ServerAddress) -> io::Result<()> {
    match address {
        ServerAddress::Tcp { host, port } => {
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            for address in (host.trim_matches(['[', ']']), port.unwrap_or(PORT)).to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, CONNECT) {
                    Ok(_) => return Ok(()),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        ServerAddress::Unix { path } => UnixStream::connect(path).map(drop),
        _ => Ok(()),
    }
}

/// A server that answers.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    client: Client,
    access: Access,
    addresses: Vec<ServerAddress>,
}

impl Connection {
    /// Prepares a connection; the first command makes it. That somebody listens is tried here: the driver would look for
    /// a server that refuses connections until its time is over.
    pub fn new(access: Access) -> Result<Self, ConnectionError> {
        let url = |error: &Error| ConnectionError::Url { reason: access.redact(&error.to_string()) };
        let mut options = ClientOptions::parse(&access.url).run().map_err(|error| url(&error))?;
        options.server_selection_timeout = Some(CONNECT);
        options.connect_timeout = Some(CONNECT);
        options.app_name = Some("bkp".into());
        if let Some(login) = &access.login {
            let password = String::from_utf8_lossy(login.password.line()).into_owned();
            options.credential = Some(
                Credential::builder()
                    .username(login.user.clone())
                    .password(password)
                    .source(login.source.clone())
                    .build(),
            );
        }
        let addresses = options.hosts.clone();
        someone_listens(&addresses)?;
        let client = Client::with_options(options).map_err(|error| url(&error))?;
        Ok(Self { client, access, addresses })
    }

    /// The server, for people.
    pub fn server(&self) -> String {
        self.access.server()
    }

    /// How it is logged in to.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Where the URL leads.
    pub fn addresses(&self) -> &[ServerAddress] {
        &self.addresses
    }

    /// Runs a command that answers with one document.
    pub fn command(
        &self,
        database: &str,
        command: Document,
        limit: Duration,
    ) -> Result<Document, ConnectionError> {
        let place = self.client.database(database);
        self.within(&command.clone(), limit, move || place.run_command(command).run())
    }

    /// Runs a command that answers with a cursor, and reads it to its end.
    pub fn list(
        &self,
        database: &str,
        command: Document,
        limit: Duration,
    ) -> Result<Vec<Document>, ConnectionError> {
        let place = self.client.database(database);
        self.within(&command.clone(), limit, move || {
            place.run_cursor_command(command).run()?.collect::<Result<Vec<_>, _>>()
        })
    }

    /// Does something on a thread of its own, so that a server that says nothing holds nobody.
    fn within<T: Send + 'static>(
        &self,
        command: &Document,
        limit: Duration,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ConnectionError> {
        let name = command.keys().next().cloned().unwrap_or_default();
        let (answer, answers) = channel();
        let _excuse = pulse::Excuse::begin();
        std::thread::spawn(move || answer.send(work()));
        match answers.recv_timeout(limit) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.explain(name, &error)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(ConnectionError::Silent { command: name, seconds: limit.as_secs() })
            }
        }
    }

    fn explain(&self, command: String, error: &Error) -> ConnectionError {
        let said = |text: &str| self.access.redact(text);
        match error.kind.as_ref() {
            ErrorKind::Authentication { message, .. } => ConnectionError::Login { reason: said(message) },
            ErrorKind::ServerSelection { message, .. } => {
                ConnectionError::Unreachable { reason: said(message) }
            }
            ErrorKind::Command(failure) if failure.code == AUTHENTICATION_FAILED => {
                ConnectionError::Login { reason: said(&failure.message) }
            }
            ErrorKind::Command(failure) if failure.code == UNAUTHORIZED => {
                ConnectionError::Unauthorized { command, reason: said(&failure.message) }
            }
            ErrorKind::Command(failure) => {
                ConnectionError::Failed { command, code: Some(failure.code), reason: said(&failure.message) }
            }
            _ => ConnectionError::Failed { command, code: None, reason: said(&error.to_string()) },
        }
    }
}
