//! Secrets resolved: from a reference in the plan file to bytes in memory.
//!
//! What is resolved is never shown: not in argv, not in an environment, not in a log, not in an error.

use crate::declared::SecretRef;
use crate::host::{Command, Host};
use std::io;
use std::path::PathBuf;

/// A secret's bytes. There is no way to print them by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(...)")
    }
}

impl Secret {
    /// The bytes as they were kept.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes without one line break at their end: what a password file holds.
    pub fn line(&self) -> &[u8] {
        let line = self.0.strip_suffix(b"\n").unwrap_or(&self.0);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Takes the secret out of a text that somebody else wrote, such as a tool's standard error.
    pub fn redact(&self, text: &str) -> String {
        match std::str::from_utf8(self.line()) {
            Ok(secret) if !secret.is_empty() => text.replace(secret, "[redacted]"),
            Ok(_) | Err(_) => text.to_owned(),
        }
    }
}

/// Why a secret is not there. Nothing in it is the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Its file could not be read.
    #[error("secret `{name}`: {} could not be read", path.display())]
    File {
        /// Its name.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Nobody handed credentials on to this process.
    #[error("secret `{name}`: no credentials were handed on; only its systemd job has them")]
    NoCredentials {
        /// Its name.
        name: String,
    },
    /// Its command may not be run while nothing but looking is allowed.
    #[error("secret `{name}` comes from a command, which only a run starts")]
    NotWhileLooking {
        /// Its name.
        name: String,
    },
    /// Its command could not be started.
    #[error("secret `{name}`: its command could not be started")]
    Start {
        /// Its name.
        name: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Its command failed, or printed nothing; what it printed may be the secret.
    #[error("secret `{name}`: its command gave nothing ({status})")]
    Nothing {
        /// Its name.
        name: String,
        /// How it ended.
        status: String,
    },
    /// The variable is not set in this process.
    #[error("secret `{name}`: `{variable}` is not set")]
    Unset {
        /// Its name.
        name: String,
        /// The variable.
        variable: String,
    },
}

impl SecretError {
    /// Whether a run in the job's own environment may still find the secret.
    pub fn only_in_a_run(&self) -> bool {
        match self {
            Self::NoCredentials { .. } | Self::NotWhileLooking { .. } | Self::Unset { .. } => true,
            Self::File { .. } | Self::Start { .. } | Self::Nothing { .. } => false,
        }
    }

    /// What mends it.
    pub fn remedy(&self) -> String {
        match self {
            Self::File { path, .. } => format!("write it to {} with mode 0600", path.display()),
            Self::NoCredentials { .. } => "run it through its systemd job".into(),
            Self::NotWhileLooking { .. } => "`bkp apply` proves it, or `bkp run`".into(),
            Self::Start { .. } => "check the program's path".into(),
            Self::Nothing { .. } => "run the command by hand".into(),
            Self::Unset { variable, .. } => format!("set `{variable}`"),
        }
    }
}

/// The credential's name under which a job hands a secret on.
pub fn credential_name(name: &str) -> String {
    format!("bkp-{name}")
}

/// Resolves a reference; `name` is the secret's in the plan file. A file that was handed on as a credential is read
/// there (systemd.exec(5), `LoadCredential`).
pub fn resolve(host: &dyn Host, name: &str, reference: &SecretRef) -> Result<Secret, SecretError> {
    let name = || name.to_owned();
    let handed_on = |credential: &str| {
        host.env("CREDENTIALS_DIRECTORY").map(|folder| PathBuf::from(folder).join(credential))
    };
    let read = |path: PathBuf| {
        host.read(&path).map(Secret).map_err(|error| SecretError::File { name: name(), path, error })
    };
    match reference {
        SecretRef::File(path) => {
            let handed = handed_on(&credential_name(&name())).filter(|path| host.status(path).is_ok());
            read(handed.unwrap_or_else(|| path.clone()))
        }
        SecretRef::Credential(credential) => {
            read(handed_on(credential).ok_or_else(|| SecretError::NoCredentials { name: name() })?)
        }
        SecretRef::Command(argv) => {
            let output = host.run(&Command::change(argv)).map_err(|error| match error.kind() {
                io::ErrorKind::ReadOnlyFilesystem => SecretError::NotWhileLooking { name: name() },
                _ => SecretError::Start { name: name(), error },
            })?;
            if output.succeeded() && !output.stdout.is_empty() {
                return Ok(Secret(output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout).to_vec()));
            }
            let status =
                output.status.map_or("no exit status".into(), |status| format!("exit status {status}"));
            Err(SecretError::Nothing { name: name(), status })
        }
        SecretRef::Env(variable) => host
            .env(variable)
            .map(|value| Secret(value.into_bytes()))
            .ok_or_else(|| SecretError::Unset { name: name(), variable: variable.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{FakeHost, ReadOnlyHost};
    use jiff::Timestamp;

    #[test]
    fn secret_is_shown_nowhere() {
        let secret = Secret(b"hunter2\n".to_vec());
        assert_eq!(format!("{secret:?}"), "Secret(...)");
        assert_eq!(secret.line(), b"hunter2");
        assert_eq!(secret.redact("login as app/hunter2 failed"), "login as app/[redacted] failed");
    }

    #[test]
    fn command_of_a_secret_is_not_run_while_looking() {
        let host = FakeHost::at(Timestamp::UNIX_EPOCH).answer("pass show db", 0, "s3cret\n");
        let reference = SecretRef::Command(vec!["pass".into(), "show".into(), "db".into()]);
        let looking = ReadOnlyHost::new(&host);
        let error = resolve(&looking, "password", &reference).expect_err("only looks");
        assert!(error.only_in_a_run(), "{error}");
        assert_eq!(resolve(&host, "password", &reference).expect("runs").bytes(), b"s3cret");
    }

    #[test]
    fn secret_that_was_handed_on_is_read_where_its_file_cannot_be() {
        let nobodys = FakeHost::at(Timestamp::UNIX_EPOCH);
        let reference = SecretRef::File("/etc/bkp/password".into());
        assert!(resolve(&ReadOnlyHost::new(&nobodys), "password", &reference).is_err());
        let handed = std::collections::BTreeMap::from([("bkp-password".to_owned(), b"s3cret\n".to_vec())]);
        let looking = ReadOnlyHost::with_credentials(&nobodys, handed);
        assert_eq!(resolve(&looking, "password", &reference).expect("handed on").line(), b"s3cret");
    }
}
