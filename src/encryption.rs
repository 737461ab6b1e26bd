//! Encryption of what a destination keeps, in the format of age (<https://age-encryption.org/v1>), so that the `age` tool
//! alone can open it.
//!
//! Never here: a format of our own, a key that was not proven to open what it is for, a secret in an error.

use age::secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why something was not encrypted, or not opened.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// No recipient at all, or one that is not understood.
    #[error("no recipient: {0}")]
    Recipient(String),
    /// What was kept as the identity is none.
    #[error(
        "the identity is neither a file of age identities nor an SSH private key without a passphrase: {0}"
    )]
    Identity(String),
    /// The identity is of somebody else.
    #[error("the identity opens nothing that is encrypted for these recipients")]
    OtherIdentity,
    /// What was stored cannot be opened.
    #[error("it cannot be opened: {0}")]
    Opening(String),
}

type BoxedRecipient = Box<dyn age::Recipient + Send + Sync>;
type BoxedIdentity = Box<dyn age::Identity + Send + Sync>;

/// Says why a text is no recipient.
pub fn check_recipient(text: &str) -> Result<(), String> {
    recipient(text).map(|_| ())
}

fn recipient(text: &str) -> Result<BoxedRecipient, String> {
    if text.starts_with("ssh-") {
        let parsed = text.parse::<age::ssh::Recipient>();
        return match parsed {
            Ok(it) => Ok(Box::new(it)),
            Err(_) => Err("it is no SSH public key of type ed25519 or RSA".to_owned()),
        };
    }
    match text.parse::<age::x25519::Recipient>() {
        Ok(it) => Ok(Box::new(it)),
        Err(why) => Err(why.to_owned()),
    }
}

/// For whom something is encrypted. Two are equal when the same can open what they make.
#[derive(Clone)]
pub struct Sealer(Arc<SealerKind>);

enum SealerKind {
    Recipients { texts: Vec<String>, parsed: Vec<BoxedRecipient> },
    Passphrase(SecretString),
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sealer(...)")
    }
}

impl PartialEq for Sealer {
    fn eq(&self, other: &Self) -> bool {
        match (&*self.0, &*other.0) {
            (SealerKind::Recipients { texts: one, .. }, SealerKind::Recipients { texts: two, .. }) => {
                one == two
            }
            (SealerKind::Passphrase(one), SealerKind::Passphrase(two)) => {
                one.expose_secret() == two.expose_secret()
            }
            (SealerKind::Recipients { .. }, SealerKind::Passphrase(_))
            | (SealerKind::Passphrase(_), SealerKind::Recipients { .. }) => false,
        }
    }
}

impl Eq for Sealer {}

impl Sealer {
    /// For everybody in a list of public keys.
    pub fn for_recipients(texts: &[String]) -> Result<Self, EncryptionError> {
        let parsed: Result<Vec<_>, _> = texts.iter().map(|text| recipient(text)).collect();
        let parsed = parsed.map_err(EncryptionError::Recipient)?;
        if parsed.is_empty() {
            return Err(EncryptionError::Recipient("the list is empty".to_owned()));
        }
        Ok(Self(Arc::new(SealerKind::Recipients { texts: texts.to_vec(), parsed })))
    }

    /// For who knows a passphrase.
    pub fn with_passphrase(passphrase: &[u8]) -> Result<Self, EncryptionError> {
        Ok(Self(Arc::new(SealerKind::Passphrase(passphrase_of(passphrase)?))))
    }

    /// The public keys that it is for; none where a passphrase opens it.
    pub fn recipients(&self) -> &[String] {
        match &*self.0 {
            SealerKind::Recipients { texts, .. } => texts,
            SealerKind::Passphrase(_) => &[],
        }
    }

    /// Encrypts everything written to it into `out`. What was not finished does not open.
    pub fn seal<W: Write>(&self, out: W) -> io::Result<Sealing<W>> {
        let encryptor = match &*self.0 {
            SealerKind::Passphrase(passphrase) => age::Encryptor::with_user_passphrase(passphrase.clone()),
            SealerKind::Recipients { parsed, .. } => {
                let all = parsed.iter().map(|it| &**it as &dyn age::Recipient);
                age::Encryptor::with_recipients(all).map_err(io::Error::other)?
            }
        };
        let _turn = matches!(&*self.0, SealerKind::Passphrase(_)).then(turn);
        Ok(Sealing(encryptor.wrap_output(out)?))
    }

    /// Encrypts bytes that are in memory.
    pub fn seal_bytes(&self, plain: &[u8]) -> io::Result<Vec<u8>> {
        let mut sealing = self.seal(Vec::new())?;
        sealing.write_all(plain)?;
        sealing.finish()
    }
}

/// A stream on its way into encryption.
pub struct Sealing<W: Write>(age::stream::StreamWriter<W>);

impl<W: Write> Sealing<W> {
    /// Writes the last chunk, without which nothing opens, and gives the output back.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn passphrase_of(bytes: &[u8]) -> Result<SecretString, EncryptionError> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| EncryptionError::Identity("it is not UTF-8".to_owned()))?;
    if text.is_empty() {
        return Err(EncryptionError::Identity("the passphrase is empty".to_owned()));
    }
    Ok(SecretString::from(text.to_owned()))
}

/// A turn to make a key of a passphrase, which takes 256 MiB of memory: one at a time in a process.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What opens what was encrypted.
#[derive(Clone)]
pub struct Opener {
    identities: Arc<Vec<BoxedIdentity>>,
    by_passphrase: bool,
}

impl fmt::Debug for Opener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Opener(...)")
    }
}

impl Opener {
    /// From the bytes of a file: age identities, or an SSH private key without a passphrase.
    pub fn from_identity(bytes: &[u8]) -> Result<Self, EncryptionError> {
        let unusable = |why: &str| Err(EncryptionError::Identity(why.to_owned()));
        let text = String::from_utf8_lossy(bytes);
        if text.contains("PRIVATE KEY-----") {
            return match age::ssh::Identity::from_buffer(bytes, None) {
                Ok(identity @ age::ssh::Identity::Unencrypted(_)) => {
                    Ok(Self { identities: Arc::new(vec![Box::new(identity)]), by_passphrase: false })
                }
                Ok(age::ssh::Identity::Encrypted(_)) => unusable("the SSH key has a passphrase"),
                Ok(age::ssh::Identity::Unsupported(_)) => {
                    unusable("an SSH key of a kind that age does not open")
                }
                Err(_) => unusable("it begins like an SSH key and is none"),
            };
        }
        let mut identities: Vec<BoxedIdentity> = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            // What is wrong with the line is not said: it may be most of a secret.
            match line.parse::<age::x25519::Identity>() {
                Ok(identity) => identities.push(Box::new(identity)),
                Err(_) => return unusable("a line of it is no `AGE-SECRET-KEY-1...`"),
            }
        }
        if identities.is_empty() {
            return unusable("it holds none");
        }
        Ok(Self { identities: Arc::new(identities), by_passphrase: false })
    }

    /// From a passphrase.
    pub fn from_passphrase(passphrase: &[u8]) -> Result<Self, EncryptionError> {
        let identity = age::scrypt::Identity::new(passphrase_of(passphrase)?);
        Ok(Self { identities: Arc::new(vec![Box::new(identity)]), by_passphrase: true })
    }

    /// Opens a stream. A cut or a changed byte anywhere is an error, at its place or at the end.
    pub fn open<R: Read>(&self, input: R) -> Result<impl Read + use<R>, EncryptionError> {
        let opening = |error: age::DecryptError| EncryptionError::Opening(error.to_string());
        let decryptor = age::Decryptor::new(input).map_err(opening)?;
        let identities = self.identities.iter().map(|it| &**it as &dyn age::Identity);
        let _turn = self.by_passphrase.then(turn);
        decryptor.decrypt(identities).map_err(opening)
    }

    /// Opens bytes that are in memory.
    pub fn open_bytes(&self, sealed: &[u8]) -> Result<Vec<u8>, EncryptionError> {
        let mut plain = Vec::new();
        let read = self.open(sealed)?.read_to_end(&mut plain);
        read.map_err(|error| EncryptionError::Opening(error.to_string()))?;
        Ok(plain)
    }

    /// Proves that it opens what `sealer` makes, by doing so.
    pub fn prove(&self, sealer: &Sealer) -> Result<(), EncryptionError> {
        let probe = b"bkp";
        let sealed =
            sealer.seal_bytes(probe).map_err(|error| EncryptionError::Recipient(error.to_string()))?;
        match self.open_bytes(&sealed) {
            Ok(opened) if opened == probe => Ok(()),
            Ok(_) | Err(_) => Err(EncryptionError::OtherIdentity),
        }
    }
}

/// A new key: the text of its identity file, which is secret, and its recipient, which is not.
pub fn new_key() -> (SecretText, String) {
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    let secret = identity.to_string();
    (SecretText(format!("# public key: {recipient}\n{}\n", secret.expose_secret())), recipient)
}

/// The recipients of the age identities in a file's bytes.
pub fn recipients_of(identity: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(identity);
    let identities = text.lines().filter_map(|line| line.trim().parse::<age::x25519::Identity>().ok());
    identities.map(|it| it.to_public().to_string()).collect()
}

/// A secret's text. There is no way to print it by accident.
pub struct SecretText(String);

impl SecretText {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (Opener, Sealer) {
        let (secret, recipient) = new_key();
        let opener = Opener::from_identity(secret.expose().as_bytes()).expect("an identity");
        (opener, Sealer::for_recipients(&[recipient]).expect("a recipient"))
    }

    #[test]
    fn what_was_sealed_opens_for_its_identity_and_for_no_other() {
        let ((opener, sealer), (stranger, _)) = (key(), key());
        opener.prove(&sealer).expect("its own");
        assert!(matches!(stranger.prove(&sealer), Err(EncryptionError::OtherIdentity)));
        let sealed = sealer.seal_bytes(&vec![7; 200_000]).expect("memory");
        assert_eq!(opener.open_bytes(&sealed).expect("its own"), vec![7; 200_000]);
    }

    #[test]
    fn cut_or_changed_bytes_do_not_open() {
        let (opener, sealer) = key();
        let sealed = sealer.seal_bytes(&vec![7; 200_000]).expect("memory");
        for length in [0, 10, 300, 65_800, 131_400, sealed.len() - 1] {
            assert!(opener.open_bytes(&sealed[..length]).is_err(), "{length}");
        }
        for at in [0, 100, 70_000, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(opener.open_bytes(&changed).is_err(), "{at}");
        }
    }

    #[test]
    fn passphrase_opens_what_it_sealed() {
        let sealer = Sealer::with_passphrase(b"correct horse").expect("a passphrase");
        Opener::from_passphrase(b"correct horse").expect("a passphrase").prove(&sealer).expect("the same");
        assert!(Opener::from_passphrase(b"other").expect("a passphrase").prove(&sealer).is_err());
        assert!(Sealer::with_passphrase(b"").is_err());
    }

    #[test]
    fn unusable_identities_are_refused_without_showing_them() {
        for text in ["", "# only a comment\n", "AGE-SECRET-KEY-1NONSENSE", "hunter2"] {
            let error = Opener::from_identity(text.as_bytes()).expect_err(text).to_string();
            assert!(!error.contains("NONSENSE") && !error.contains("hunter2"), "{error}");
        }
    }
}
