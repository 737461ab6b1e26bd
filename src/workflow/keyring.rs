//! What a destination's artifacts are encrypted for, and what opens them here.
//!
//! Never here: an identity that was not proven to open what its recipients are sent, or a secret in a message.

use crate::declared::{DestinationName, Encryption, Identity, Lock, SecretRef, destination_secret_name};
use crate::diagnostic::{Diagnostic, causes};
use crate::encryption::{EncryptionError, Opener, Sealer};
use crate::host::Host;
use crate::secrets::{Secret, SecretError, resolve};
use std::path::Path;

/// How a destination is locked, as this process has it.
#[derive(Debug, Clone)]
pub enum Keyring {
    /// Nothing is encrypted.
    Open,
    /// It is, and this process can do both.
    Both(Sealer, Opener),
    /// It is, and nothing here opens it, for a reason.
    SealOnly(Sealer, String),
    /// Nothing is known of for whom, and somebody brought what may open it.
    OpenOnly(Opener),
    /// What is needed is not there, or does not fit; with what seals, where that much is known.
    Unusable(Diagnostic, Option<Sealer>),
    /// Only a run may ask for it, and nothing is known of for whom.
    Deferred,
}

impl Keyring {
    /// Resolves the secrets, and proves that what opens fits what seals.
    pub fn of(host: &dyn Host, name: &DestinationName, encryption: Option<&Encryption>) -> Self {
        let Some(encryption) = encryption else { return Self::Open };
        let what = format!("destination `{name}`");
        // Whom it is for is in the plan file itself; what opens it is needed for proofs, and not to store.
        let sealer = match &encryption.lock {
            Lock::Recipients(recipients) => Sealer::for_recipients(recipients).ok(),
            Lock::Passphrase(_) => None,
        };
        match Self::made(host, name, encryption) {
            Ok(keyring) => keyring,
            Err(Trouble::Secret(error)) if error.only_in_a_run() => match sealer {
                Some(sealer) => Self::SealOnly(sealer, error.to_string()),
                None => Self::Deferred,
            },
            Err(Trouble::Secret(error)) => {
                let below = causes(&error);
                let why = if below.is_empty() { error.to_string() } else { format!("{error}: {below}") };
                Self::Unusable(Diagnostic::new(NOT_USABLE, what).why(why).fix(error.remedy()), sealer)
            }
            Err(Trouble::Key(error)) => {
                let fix = "name the identity whose recipient is declared, or `identity: { elsewhere: REASON }`; \
                     `bkp keys new` makes a new pair";
                Self::Unusable(Diagnostic::new(NOT_USABLE, what).why(error.to_string()).fix(fix), sealer)
            }
        }
    }

    fn made(host: &dyn Host, name: &DestinationName, encryption: &Encryption) -> Result<Self, Trouble> {
        let secret = |key: &str, reference: &SecretRef| -> Result<Secret, Trouble> {
            resolve(host, &destination_secret_name(name, key), reference).map_err(Trouble::Secret)
        };
        let (sealer, opener) = match (&encryption.lock, &encryption.identity) {
            (Lock::Passphrase(passphrase), _) => {
                let passphrase = secret("passphrase", passphrase)?;
                let opener = Opener::from_passphrase(passphrase.line())?;
                // It opens what it seals by being the same.
                return Ok(Self::Both(Sealer::with_passphrase(passphrase.line())?, opener));
            }
            (Lock::Recipients(recipients), Identity::Elsewhere(reason)) => {
                let why = format!("the identity is kept elsewhere: {reason}");
                return Ok(Self::SealOnly(Sealer::for_recipients(recipients)?, why));
            }
            (Lock::Recipients(recipients), Identity::Here(identity)) => {
                let opener = Opener::from_identity(secret("identity", identity)?.bytes())?;
                (Sealer::for_recipients(recipients)?, opener)
            }
            (Lock::Recipients(recipients), Identity::Passphrase) => {
                let why = "no identity is declared".to_owned();
                return Ok(Self::SealOnly(Sealer::for_recipients(recipients)?, why));
            }
        };
        opener.prove(&sealer)?;
        Ok(Self::Both(sealer, opener))
    }

    /// As it is, but opened with an identity that people brought.
    pub fn with_identity(self, host: &dyn Host, file: &Path) -> Result<Self, Diagnostic> {
        let unusable =
            |why: String| Diagnostic::new("identity not usable", file.display().to_string()).why(why);
        let bytes = host.read(file).map_err(|error| unusable(error.to_string()))?;
        let opener = Opener::from_identity(&bytes).map_err(|error| unusable(error.to_string()))?;
        // Older snapshots may be for another key than the one that is declared by now: whether it opens what lies there
        // shows at the first object.
        match self {
            Self::Both(sealer, _) | Self::SealOnly(sealer, _) | Self::Unusable(_, Some(sealer)) => {
                Ok(Self::Both(sealer, opener))
            }
            Self::Open | Self::OpenOnly(_) | Self::Unusable(_, None) | Self::Deferred => {
                Ok(Self::OpenOnly(opener))
            }
        }
    }

    /// What artifacts are encrypted with.
    pub fn sealer(&self) -> Option<&Sealer> {
        match self {
            Self::Both(sealer, _) | Self::SealOnly(sealer, _) => Some(sealer),
            Self::Unusable(_, sealer) => sealer.as_ref(),
            Self::Open | Self::OpenOnly(_) | Self::Deferred => None,
        }
    }

    /// What opens them.
    pub fn opener(&self) -> Option<&Opener> {
        match self {
            Self::Both(_, opener) | Self::OpenOnly(opener) => Some(opener),
            Self::Open | Self::SealOnly(..) | Self::Unusable(..) | Self::Deferred => None,
        }
    }

    /// Why nothing here opens what is encrypted.
    pub fn closed(&self) -> String {
        match self {
            Self::SealOnly(_, why) => why.clone(),
            Self::Unusable(diagnostic, _) => diagnostic.sentence(),
            Self::Deferred => "its key comes from a command, which only a run starts".to_owned(),
            Self::Open => "nothing that opens it is declared here".to_owned(),
            Self::Both(..) | Self::OpenOnly(_) => "the key here does not open it".to_owned(),
        }
    }

    /// What is wrong with it, where a run cannot prove what it stores, or cannot store at all.
    pub fn trouble(&self) -> Option<&Diagnostic> {
        match self {
            Self::Unusable(diagnostic, _) => Some(diagnostic),
            Self::Open | Self::Both(..) | Self::SealOnly(..) | Self::OpenOnly(_) | Self::Deferred => None,
        }
    }
}

/// The summary of a key that does not fit.
pub const NOT_USABLE: &str = "encryption not usable";

enum Trouble {
    Secret(SecretError),
    Key(EncryptionError),
}

impl From<EncryptionError> for Trouble {
    fn from(error: EncryptionError) -> Self {
        Self::Key(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encryption::new_key;
    use crate::host::RealHost;

    fn declared(recipient: String, identity: Identity) -> Encryption {
        Encryption { lock: Lock::Recipients(vec![recipient]), identity }
    }

    #[test]
    fn identity_that_is_absent_or_anothers_is_not_usable() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        let (host, name) = (RealHost::new(), "offbox".parse().expect("a name"));
        let (own, stranger) = (new_key(), new_key());
        let here =
            |recipient: &str| declared(recipient.to_owned(), Identity::Here(SecretRef::File(file.clone())));
        assert!(Keyring::of(&host, &name, Some(&here(&own.1))).trouble().is_some());
        host.write_atomic(&file, own.0.expose().as_bytes(), 0o600).expect("a file");
        assert!(matches!(Keyring::of(&host, &name, Some(&here(&own.1))), Keyring::Both(..)));
        let wrong = Keyring::of(&host, &name, Some(&here(&stranger.1)));
        assert!(wrong.trouble().is_some_and(|it| it.summary == NOT_USABLE), "{wrong:?}");
        // Kept elsewhere it seals, and opens only with what somebody brings.
        let elsewhere = declared(own.1.clone(), Identity::Elsewhere("in the safe".to_owned()));
        let elsewhere = Keyring::of(&host, &name, Some(&elsewhere));
        assert!(elsewhere.sealer().is_some() && elsewhere.opener().is_none());
        assert!(elsewhere.with_identity(&host, &file).expect("it fits").opener().is_some());
    }
}
