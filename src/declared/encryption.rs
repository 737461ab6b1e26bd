//! Who can read what a destination keeps.

use super::SecretRef;

/// Encryption in the format of age (<https://age-encryption.org/v1>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// For whom it is.
    pub lock: Lock,
    /// What opens it again.
    pub identity: Identity,
}

/// For whom something is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// Each of these can open it: `age1...`, `ssh-ed25519 ...` or `ssh-rsa ...`. Sorted, each once, at least one.
    Recipients(Vec<String>),
    /// Who knows the passphrase can.
    Passphrase(SecretRef),
}

/// What opens what was encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The passphrase itself.
    Passphrase,
    /// A file of age identities, or an SSH private key without a passphrase.
    Here(SecretRef),
    /// Kept off this host, for a reason: nothing is proven `restored` from here.
    Elsewhere(String),
}

impl Encryption {
    /// The secret that this host has of it, and the key that holds it.
    pub fn secret(&self) -> Option<(&'static str, &SecretRef)> {
        match (&self.lock, &self.identity) {
            (Lock::Passphrase(secret), _) => Some(("passphrase", secret)),
            (Lock::Recipients(_), Identity::Here(secret)) => Some(("identity", secret)),
            (Lock::Recipients(_), Identity::Elsewhere(_) | Identity::Passphrase) => None,
        }
    }

    /// What follows the compression's extension.
    pub const EXTENSION: &'static str = ".age";
}
