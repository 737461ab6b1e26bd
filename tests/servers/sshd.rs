//! An `sshd` of the tests' own: its host key, one account (whoever runs the tests), and who may log in.

use super::{Server, free_port};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server with one client's key, which it knows, and another that it does not.
#[derive(Debug)]
pub struct Sshd {
    server: Server,
}

fn make_key(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
    assert!(made.expect("ssh-keygen").success(), "no key was made");
}

impl Sshd {
    /// Starts it; it permits everything that sshd permits.
    pub fn start() -> Self {
        Self::permitting("", "")
    }

    /// Starts it with options before the client's key (sshd(8), `AUTHORIZED_KEYS FILE FORMAT`) and with lines of its
    /// configuration.
    pub fn permitting(key_options: &str, lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["host_key", "key", "wrong_key"] {
            make_key(&path(name));
        }
        let public = std::fs::read_to_string(path("key.pub")).expect("the key's public half");
        std::fs::write(path("authorized_keys"), format!("{key_options} {public}")).expect("written");
        // The server's unprivileged half wants it (sshd(8), FILES).
        std::fs::create_dir_all("/run/sshd").expect("these tests run as root");
        let port = free_port();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile {}\nStrictModes no\nUsePAM \
             no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxStartups \
             100:30:200\nUseDNS no\nPrintMotd no\n{lines}\n{}\n",
            path("host_key").display(),
            path("authorized_keys").display(),
            path("pid").display(),
            if lines.contains("Subsystem") { "" } else { "Subsystem sftp internal-sftp" },
        );
        std::fs::write(path("sshd_config"), config).expect("written");
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(path("sshd_config"));
        Self { server: Server::start(&mut command, port, folder) }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The private key of the client that it lets in.
    pub fn key(&self) -> PathBuf {
        self.server.folder().join("key")
    }

    /// A private key that it knows nothing of.
    pub fn wrong_key(&self) -> PathBuf {
        self.server.folder().join("wrong_key")
    }

    /// A `known_hosts` file with its key, as it is reached on `port`.
    pub fn known_hosts(&self, port: u16) -> PathBuf {
        self.known("host_key.pub", port)
    }

    /// A `known_hosts` file in which its port has another key: it is not the host that it was.
    pub fn changed_hosts(&self, port: u16) -> PathBuf {
        self.known("wrong_key.pub", port)
    }

    /// A `known_hosts` file that knows nobody.
    pub fn no_hosts(&self) -> PathBuf {
        let path = self.server.folder().join("known_hosts-none");
        std::fs::write(&path, "").expect("written");
        path
    }

    fn known(&self, key: &str, port: u16) -> PathBuf {
        let public = std::fs::read_to_string(self.server.folder().join(key)).expect("a public key");
        let public = public.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let path = self.server.folder().join(format!("known_hosts-{key}-{port}"));
        std::fs::write(&path, format!("[127.0.0.1]:{port} {public}\n")).expect("written");
        path
    }
}
