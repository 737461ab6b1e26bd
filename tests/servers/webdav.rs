//! WebDAV servers over a folder, with one user: rclone's, which is Go's, and Apache's.

use super::{Server, free_port, installed};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// `rclone serve webdav`. It has no word for a full disk: it answers 405.
    Rclone,
    /// Apache's `mod_dav`.
    Apache,
}

/// The only user.
pub const USER: &str = "keeper";
/// The user's password.
pub const PASSWORD: &str = "hunter2 and more";

/// A server and its folder of files.
#[derive(Debug)]
pub struct Webdav {
    /// The process.
    pub server: Server,
    /// What it serves.
    pub root: PathBuf,
}

impl Webdav {
    /// Starts one over a folder of its own.
    pub fn start(maker: Maker) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        std::fs::create_dir(&root).expect("a folder");
        Self::over(maker, folder, root)
    }

    /// Starts one over a folder.
    pub fn over(maker: Maker, folder: tempfile::TempDir, root: PathBuf) -> Self {
        let port = free_port();
        let mut command = match maker {
            Maker::Rclone => rclone(port, &root),
            Maker::Apache => apache(port, folder.path(), &root),
        };
        Self { server: Server::start(&mut command, port, folder), root }
    }
}

fn rclone(port: u16, root: &Path) -> Command {
    let mut command = Command::new("rclone");
    command.args(["--config", "/dev/null", "serve", "webdav", "--addr", &format!("127.0.0.1:{port}")]);
    // Tests look at and change what is in the folder behind its back.
    command.args(["--user", USER, "--pass", PASSWORD, "--dir-cache-time", "0s"]).arg(root);
    command
}

/// Its own process stays the only one (`-X`), so that it ends with it.
fn apache(port: u16, folder: &Path, root: &Path) -> Command {
    let apache = installed().join("apache/usr");
    let hash = Command::new("openssl").args(["passwd", "-apr1", PASSWORD]).output().expect("openssl");
    let hash = String::from_utf8(hash.stdout).expect("text");
    std::fs::write(folder.join("users"), format!("{USER}:{}\n", hash.trim())).expect("room");
    // It serves as nobody, whoever starts it.
    for open in [folder, root] {
        std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o777)).expect("its owner may");
    }
    let modules =
        ["mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "dav", "dav_fs"];
    let load = |name: &str| {
        format!("LoadModule {name}_module {}/lib/apache2/modules/mod_{name}.so\n", apache.display())
    };
    let text = format!(
        "{modules}ServerRoot {folder}\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {folder}/pid\nUser nobody\n\
         Group nogroup\nErrorLog {folder}/error.log\nDavLockDB {folder}/locks\nDocumentRoot {root}\n<Directory {root}>\n\
         Dav On\nAuthType Basic\nAuthName tests\nAuthUserFile {folder}/users\nRequire valid-user\n</Directory>\n",
        modules = modules.map(load).concat(),
        folder = folder.display(),
        root = root.display(),
    );
    std::fs::write(folder.join("apache.conf"), text).expect("room");
    let mut command = Command::new(apache.join("sbin/apache2"));
    let libraries = format!("{0}/lib/x86_64-linux-gnu:{0}/lib/aarch64-linux-gnu", apache.display());
    command.env("LD_LIBRARY_PATH", libraries).arg("-X").arg("-f").arg(folder.join("apache.conf"));
    command
}
