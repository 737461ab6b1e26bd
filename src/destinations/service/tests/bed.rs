//! A service as the tests declare it.

use crate::declared::{Protocol, RemoteDeclaration, SecretRef, Span, Transport};
use crate::destinations::remote::{RemoteDestination, Throttle};
use crate::destinations::servers::Azurite;
use crate::destinations::{Access, Destination, DestinationError, Secrets, Unopenable};
use crate::diagnostic::causes;
use crate::format::Key;
use crate::host::FakeHost;
use crate::secrets::{Secret, resolve};
use std::io::Read;

/// What no error may ever say.
pub const SECRET: &str = "wJalrXUtnFEMI0K7MDENG0bPxRfiCYEXAMPLEKEY";

/// A declaration, with the secrets that it refers to.
#[derive(Debug, Clone)]
pub struct Declared {
    pub remote: RemoteDeclaration,
    pub secrets: Vec<(&'static str, String)>,
}

impl Declared {
    pub fn new(protocol: Protocol) -> Self {
        let transport = Transport {
            // Tests wait for what is given up.
            retries: Some(1),
            timeout: Some(Span::from_seconds(10)),
            ..Transport::default()
        };
        let remote = RemoteDeclaration {
            protocol,
            settings: [("path", "/deep/root".to_owned())].into(),
            secrets: std::collections::BTreeMap::new(),
            transport,
        };
        Self { remote, secrets: Vec::new() }
    }

    pub fn set(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.remote.settings.insert(key, value.into());
        self
    }

    pub fn secret(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.secrets.retain(|(it, _)| *it != key);
        self.secrets.push((key, value.into()));
        self
    }

    pub fn s3(port: u16) -> Self {
        Self::new(Protocol::S3)
            .set("provider", "other")
            .set("endpoint", format!("http://127.0.0.1:{port}"))
            .set("bucket", "box")
            .secret("access_key_id", "AKIAIOSFODNN7EXAMPLE")
            .secret("secret_access_key", SECRET)
    }

    pub fn azblob(azurite: &Azurite, port: u16) -> Self {
        Self::new(Protocol::Azblob)
            .set("endpoint", format!("http://127.0.0.1:{port}/{}", azurite.account()))
            .set("account", azurite.account())
            .set("container", azurite.container())
            .secret("account_key", azurite.key())
    }

    pub fn secrets(&self) -> Secrets {
        self.secrets.iter().map(|(key, text)| (*key, literal(text))).collect()
    }

    pub fn try_open(&self, access: Access) -> Result<Box<dyn Destination>, Unopenable> {
        let store = crate::destinations::service::open(&self.remote, &self.secrets())?;
        Ok(Box::new(RemoteDestination::new(store, access, false, Throttle::new(None))))
    }

    pub fn open(&self, access: Access) -> Box<dyn Destination> {
        self.try_open(access).map_err(|it| it.reason).expect("a complete declaration")
    }

    pub fn prepared(&self) -> Box<dyn Destination> {
        let destination = self.open(Access::Change);
        destination.prepare().expect("a fresh place");
        destination
    }
}

fn literal(text: &str) -> Secret {
    let host = FakeHost::at(jiff::Timestamp::UNIX_EPOCH).answer("say", 0, text);
    resolve(&host, "it", &SecretRef::Command(vec!["say".to_owned()])).expect("it is not empty")
}

/// What an error says, with all its causes; the secret is not in it.
pub fn told(error: &DestinationError) -> String {
    let text = format!("{error}: {}\n{error:?}", causes(error));
    for secret in [SECRET, "Eby8vdM02xNOcqFlqUwJ", "sig="] {
        assert!(!text.contains(secret), "a secret is told: {text}");
    }
    text
}

pub fn bytes(destination: &dyn Destination, key: &Key) -> Vec<u8> {
    let mut bytes = Vec::new();
    destination.get(key).expect("it is there").read_to_end(&mut bytes).expect("it can be read");
    bytes
}
