//! A reference to a secret. Plan files hold no secrets, and this type never holds one either.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretRef {
    /// A file that only its owner may read; under systemd it is handed on by `LoadCredential`.
    File(PathBuf),
    /// A credential that systemd already has (systemd.exec(5), `$CREDENTIALS_DIRECTORY`).
    Credential(String),
    /// A command whose standard output is the secret.
    Command(Vec<String>),
    /// An environment variable; for runs by hand and embedded ones only.
    Env(String),
}
