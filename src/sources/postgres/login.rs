//! How the server's own tools are told which server, and as whom.
//!
//! Everything goes by libpq's variables and files, so that service files, password files, TLS and peer login do for
//! `psql` what they do for `pg_dump`. Never here: a password in an argument, in the environment, or in an error.

use super::SourceError;
use crate::declared::PostgresDeclaration;
use crate::host::{Command, Host, Output, PrivateFile, SEARCH_PATH};
use crate::secrets::{Secret, resolve};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

/// Seconds that a connection may take (libpq, `connect_timeout`).
const CONNECT_SECONDS: &str = "10";
/// The database that is asked for the others, where none is declared.
pub(super) const MAINTENANCE: &str = "postgres";

/// One server and one role.
#[derive(Debug, Clone)]
pub(super) struct Login {
    env: BTreeMap<String, OsString>,
    secret: Option<Secret>,
    server: String,
    /// Kept as long as any tool may read it.
    pass: Option<Arc<PrivateFile>>,
}

/// The server as people know it, and as [`crate::sources::Restorer::live_name`] begins.
pub(super) fn server_name(declaration: &PostgresDeclaration) -> String {
    if let Some(service) = &declaration.service {
        return format!("postgres:service={service}");
    }
    let host = declaration.host.as_deref().unwrap_or("local");
    let port = declaration.port.unwrap_or(5432);
    format!("postgres:{host}:{port}")
}

/// A value in a line of libpq's password file (`PostgreSQL` manual, "The Password File").
fn escaped(password: &[u8]) -> Vec<u8> {
    let mut line = b"*:*:*:*:".to_vec();
    for byte in password {
        if matches!(byte, b':' | b'\\') {
            line.push(b'\\');
        }
        line.push(*byte);
    }
    line.push(b'\n');
    line
}

/// A database's name as a connection string: a bare name with a `=` in it would be taken for one.
pub(super) fn conninfo(database: &str) -> String {
    let quoted = database.replace('\\', "\\\\").replace('\'', "\\'");
    format!("dbname='{quoted}'")
}

/// An identifier in SQL.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string in SQL; `standard_conforming_strings` may be off, so backslashes are written in the form that does not
/// depend on it.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

impl Login {
    /// The declared server. Reads the password, where one is declared.
    pub fn new(host: &dyn Host, declaration: &PostgresDeclaration) -> Result<Self, SourceError> {
        let server = server_name(declaration);
        let mut login = Self { env: base(host), secret: None, server, pass: None };
        let port = declaration.port.map(|port| port.to_string());
        let words = [
            ("PGHOST", declaration.host.clone()),
            ("PGPORT", port),
            ("PGUSER", declaration.user.clone()),
            ("PGSERVICE", declaration.service.clone()),
            ("PGSSLMODE", declaration.ssl_mode.clone()),
        ];
        let paths = [
            ("PGSERVICEFILE", &declaration.service_file),
            ("PGPASSFILE", &declaration.pass_file),
            ("PGSSLROOTCERT", &declaration.ssl_root_cert),
        ];
        login
            .env
            .extend(words.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
        login.env.extend(
            paths.into_iter().filter_map(|(name, path)| Some((name.to_owned(), path.clone()?.into()))),
        );
        if let Some(reference) = &declaration.password {
            let secret = resolve(host, "password", reference)?;
            let pass = PrivateFile::new("pgpass", &escaped(secret.line())).map_err(|error| {
                SourceError::Scratch { folder: "memory".into(), during: "hold the password".into(), error }
            })?;
            login.secret = Some(secret);
            login.pass = Some(Arc::new(pass));
        }
        Ok(login)
    }

    /// A server of our own, by its socket.
    pub fn to_socket(host: &dyn Host, folder: &Path, port: u16, role: &str) -> Self {
        let mut env = base(host);
        env.insert("PGHOST".into(), folder.into());
        env.insert("PGPORT".into(), port.to_string().into());
        env.insert("PGUSER".into(), role.into());
        env.insert("PGPASSFILE".into(), "/nonexistent".into());
        Self { env, secret: None, server: "the drill's server".into(), pass: None }
    }

    /// The same server without any password, at an address, as a role: what a stranger would try.
    pub fn stranger(&self, address: &str, port: u16, role: &str) -> Self {
        let mut env = self.env.clone();
        for name in ["PGSERVICE", "PGSERVICEFILE", "PGSSLROOTCERT", "PGSSLMODE"] {
            env.remove(name);
        }
        env.insert("PGHOST".into(), address.into());
        env.insert("PGPORT".into(), port.to_string().into());
        env.insert("PGUSER".into(), role.into());
        env.insert("PGPASSFILE".into(), "/nonexistent".into());
        // A certificate or a ticket of this user's is no stranger's.
        env.insert("HOME".into(), "/nonexistent".into());
        env.insert("PGCONNECT_TIMEOUT".into(), "3".into());
        Self { env, secret: None, server: format!("postgres:{address}:{port}"), pass: None }
    }

    /// The server's name, for messages.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Lets a command log in.
    pub fn equip(&self, mut command: Command) -> Command {
        command.clear_env = true;
        command.env.extend(self.env.clone());
        if let Some(pass) = &self.pass {
            command.env.insert("PGPASSFILE".into(), pass.path().into());
        }
        command
    }

    /// `psql` for a script on its standard input, one JSON array a row.
    pub fn psql(&self, psql: &Path, database: &str) -> Vec<OsString> {
        let words =
            ["-X", "-w", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=terse", "-f", "-", "-d"];
        let mut argv = vec![psql.as_os_str().to_owned()];
        argv.extend(words.map(OsString::from));
        argv.push(conninfo(database).into());
        argv
    }

    /// Why a tool failed: its errors alone, without details (they quote rows), secrets taken out.
    pub fn reason(&self, output: &Output) -> String {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let told = |line: &&str| {
            ["ERROR:", "FATAL:", "PANIC:", "error:", "FEHLER:"].iter().any(|word| line.contains(word))
        };
        let mut said: Vec<&str> = stderr.lines().filter(told).map(str::trim).take(3).collect();
        if said.is_empty() {
            said.extend(stderr.trim().lines().last());
        }
        let how = match (output.timed_out, output.status) {
            (true, _) => "ended at its time limit".to_owned(),
            (false, Some(status)) => format!("exit status {status}"),
            (false, None) => "ended by a signal".to_owned(),
        };
        self.redact(&format!("{} ({how})", said.join("; ")))
    }

    /// Takes the password out of a text.
    pub fn redact(&self, text: &str) -> String {
        self.secret.as_ref().map_or_else(|| text.to_owned(), |secret| secret.redact(text))
    }

    /// An error of this server.
    pub fn refused(&self, reason: impl Into<String>) -> SourceError {
        SourceError::Server { server: self.server.clone(), reason: self.redact(&reason.into()) }
    }
}

/// What every tool gets: nothing of the caller's libpq variables, which a job would not have.
fn base(host: &dyn Host) -> BTreeMap<String, OsString> {
    let home = host.user().home.into_os_string();
    let words = [
        ("PATH", SEARCH_PATH),
        ("LC_ALL", "C"),
        ("PGCONNECT_TIMEOUT", CONNECT_SECONDS),
        ("PGAPPNAME", "bkp"),
    ];
    let mut env: BTreeMap<String, OsString> =
        words.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    env.insert("HOME".into(), home);
    env
}
