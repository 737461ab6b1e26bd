//! Both kinds against a real `sshd`: the suites, and what is particular to `ssh`.

mod rsync;
mod sftp;
mod strangers;

use crate::declared::{
    DestinationDeclaration, DestinationKind, Protocol, RemoteDeclaration, SecretRef, Span, Transport,
};
use crate::destinations::conformance::{Bed, NetworkBed};
use crate::destinations::servers::{Proxy, Sshd};
use crate::destinations::{Access, Destination};
use crate::format::Prefix;
use crate::host::RealHost;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A folder behind an `sshd` behind a proxy.
pub(super) struct Place {
    pub sshd: Sshd,
    pub proxy: Proxy,
    folder: tempfile::TempDir,
    mounted: bool,
    protocol: Protocol,
    /// The folder as the plan names it, where it is not the absolute one.
    named: Option<String>,
    pub timeout_seconds: u64,
    /// Where it is said to be, where that is not its proxy.
    pub port: Option<u16>,
}

impl Place {
    pub fn new(protocol: Protocol) -> Self {
        Self::behind(Sshd::start(), protocol)
    }

    pub fn behind(sshd: Sshd, protocol: Protocol) -> Self {
        let proxy = Proxy::before(sshd.port());
        let folder = tempfile::tempdir().expect("a folder");
        Self { sshd, proxy, folder, mounted: false, protocol, named: None, timeout_seconds: 20, port: None }
    }

    /// With room for less than 1 MiB.
    pub fn small(protocol: Protocol) -> Self {
        Self::small_behind(Sshd::start(), protocol)
    }

    pub fn small_behind(sshd: Sshd, protocol: Protocol) -> Self {
        let mut place = Self::behind(sshd, protocol);
        mount("tmpfs", place.folder.path(), "tmpfs", MountFlags::empty(), c"size=512k")
            .expect("this test needs the right to mount a tmpfs: run it as root");
        place.mounted = true;
        place
    }

    /// As the plan names it.
    pub fn named(mut self, named: &str) -> Self {
        self.named = Some(named.to_owned());
        self
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("deep/root")
    }

    pub fn path(&self, prefix: &Prefix) -> PathBuf {
        self.root().join(prefix.as_str())
    }

    /// As the plan declares it, with a key and a `known_hosts` file.
    pub fn declared(&self, key: &Path, known_hosts: &Path) -> RemoteDeclaration {
        let path = self.named.clone().unwrap_or_else(|| self.root().display().to_string());
        let port = self.port.unwrap_or(self.proxy.port()).to_string();
        let settings = [("host", "127.0.0.1".to_owned()), ("port", port), ("path", path)];
        let secrets = [("key", key), ("known_hosts", known_hosts)];
        RemoteDeclaration {
            protocol: self.protocol,
            settings: BTreeMap::from(settings),
            secrets: secrets
                .into_iter()
                .map(|(name, path)| (name, SecretRef::File(path.to_owned())))
                .collect(),
            transport: Transport {
                timeout: Some(Span::from_seconds(self.timeout_seconds)),
                retries: Some(1),
                ..Transport::default()
            },
        }
    }

    /// Opens it with a key and a `known_hosts` file.
    pub fn open_with(&self, key: &Path, known_hosts: &Path, access: Access) -> Box<dyn Destination> {
        let remote = self.declared(key, known_hosts);
        let name = "away".parse().expect("a name");
        let declaration = DestinationDeclaration::new(DestinationKind::Remote(Box::new(remote)));
        crate::destinations::open(&RealHost, &name, &declaration, access)
    }

    pub fn open(&self, access: Access) -> Box<dyn Destination> {
        self.open_with(&self.sshd.key(), &self.sshd.known_hosts(self.proxy.port()), access)
    }

    pub fn with_wrong_key(&self) -> Box<dyn Destination> {
        let known_hosts = self.sshd.known_hosts(self.proxy.port());
        self.open_with(&self.sshd.wrong_key(), &known_hosts, Access::Change)
    }

    /// Puts a file there that no destination made.
    pub fn leave(&self, folder: &Prefix, name: &str, bytes: &[u8]) {
        std::fs::DirBuilder::new().recursive(true).create(self.path(folder)).expect("a folder");
        #[expect(clippy::disallowed_methods, reason = "the server's side of a test")]
        std::fs::write(self.path(folder).join(name), bytes).expect("written");
    }

    /// Every name below the root, files and folders.
    pub fn names(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![self.root()];
        while let Some(folder) = open.pop() {
            #[expect(clippy::disallowed_methods, reason = "the server's side of a test")]
            let entries = std::fs::read_dir(&folder).expect("a folder");
            for entry in entries {
                let path = entry.expect("an entry").path();
                let below = path.strip_prefix(self.root()).expect("below the root");
                found.push(below.display().to_string());
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.mounted {
            unmount(self.folder.path(), UnmountFlags::DETACH).expect("it was mounted");
        }
    }
}

/// A bed of a protocol.
macro_rules! bed {
    ($name:ident, $protocol:expr, $leftover:expr) => {
        pub(super) struct $name(Place);

        impl Bed for $name {
            fn fresh() -> Self {
                Self(Place::new($protocol))
            }

            fn small() -> Self {
                Self(Place::small($protocol))
            }

            fn open(&self, access: Access) -> Box<dyn Destination> {
                self.0.open(access)
            }

            fn leave_killed_upload(&self, folder: &Prefix) {
                self.0.leave(folder, $leftover, b"half an obj");
            }

            fn reads_together(&self) -> bool {
                $protocol == Protocol::Rsync
            }
        }

        impl NetworkBed for $name {
            fn with_wrong_credentials(&self) -> Box<dyn Destination> {
                self.0.with_wrong_key()
            }

            fn proxy(&self) -> &Proxy {
                &self.0.proxy
            }
        }
    };
}

bed!(SftpPlace, Protocol::Sftp, ".bkp-tmp-0123456789abcdef");
bed!(RsyncPlace, Protocol::Rsync, ".data.tar.Ab12Cd");
