//! An FTP server: pyftpdlib over a folder, with one user.

use super::{Server, free_port, installed};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// In the clear, with all that RFC 3659 has.
    Plain,
    /// In the clear, and of a time before `MLSD`, `SIZE`, `EPSV` and `FEAT`; names that begin with a dot are shown to those
    /// who ask for all.
    Old,
    /// In the clear; takes every byte of an upload, and then says that it was not stored.
    Forgetful,
    /// By TLS after `AUTH TLS`, which it insists on for both connections.
    ExplicitTls,
    /// By TLS from the first byte on.
    ImplicitTls,
}

/// The only user.
pub const USER: &str = "keeper";
/// The user's password.
pub const PASSWORD: &str = "hunter2 and more";

/// A server, its folder of files and the authority of its certificate.
#[derive(Debug)]
pub struct Ftpd {
    /// The process.
    pub server: Server,
    /// What it serves.
    pub root: PathBuf,
    /// The authority's certificate; there is one with TLS only.
    pub authority: PathBuf,
}

/// `FOLDER PORT ROOT DIALECT USER PASSWORD`; the certificate is made before the port is opened.
const PROGRAM: &str = r#"
import os
import sys
import pyftpdlib.handlers.ftp.data
folder, port, root, dialect, user, password = sys.argv[1:]
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.exceptions import _FileReadWriteError
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.servers import FTPServer

# Version 2.2 forgets why a file could not be written, and answers "426 None; transfer aborted".
_FileReadWriteError.errno = property(lambda self: self.args[0].errno)
pyftpdlib.handlers.ftp.data.strerror = os.strerror

class Unbuffered(AbstractedFS):
    # What is left in a buffer fails again when the file is closed, and then there is no answer at all.
    def open(self, filename, mode):
        return open(filename, mode, buffering=0)

    def listdir(self, path):
        names = super().listdir(path)
        return [it for it in names if not it.startswith(".")] if self.cmd_channel.hides else names

def certificate():
    import datetime, ipaddress
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
    now = datetime.datetime.now(datetime.timezone.utc)
    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    def build(subject, issuer, key, signer, ca):
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(names, critical=False).sign(signer, hashes.SHA256()))
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    pem = serialization.Encoding.PEM
    with open(folder + "/authority.pem", "wb") as file:
        file.write(build("tests", "tests", root_key, root_key, True).public_bytes(pem))
    with open(folder + "/server.pem", "wb") as file:
        file.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        file.write(build("localhost", "tests", key, root_key, False).public_bytes(pem))

if dialect in ("ExplicitTls", "ImplicitTls"):
    from pyftpdlib.handlers import DTPHandler, TLS_DTPHandler, TLS_FTPHandler
    certificate()
    class Data(TLS_DTPHandler):
        # With TLS it does not answer at all.
        handle_error = DTPHandler.handle_error
    class Handler(TLS_FTPHandler):
        dtp_handler = Data
        certfile = folder + "/server.pem"
        tls_control_required = True
        tls_data_required = True
        if dialect == "ImplicitTls":
            def handle(self):
                self.secure_connection(self.ssl_context)
            def handle_ssl_established(self):
                super().handle()
else:
    from pyftpdlib.handlers import DTPHandler, FTPHandler
    class Data(DTPHandler):
        def close(self):
            if dialect == "Forgetful" and self.receive and self._resp and self._resp[0].startswith("226"):
                self._resp = ("451 The disk did not take it.", self._resp[1])
            super().close()
    class Handler(FTPHandler):
        dtp_handler = Data
        def pre_process_command(self, line, cmd, arg):
            type(self).hides = dialect == "Old" and cmd == "LIST" and arg != "-a"
            super().pre_process_command(line, cmd, arg)
Handler.hides = False
if dialect == "Old":
    Handler.proto_cmds = {k: v for k, v in Handler.proto_cmds.items() if k not in ("MLSD", "MLST", "SIZE", "EPSV", "FEAT")}
Handler.authorizer = DummyAuthorizer()
Handler.authorizer.add_user(user, password, root, perm="elradfmwMT")
Handler.abstracted_fs = Unbuffered
Handler.auth_failed_timeout = 0
Handler.use_sendfile = False
FTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"#;

impl Ftpd {
    /// Starts one over a folder of its own.
    pub fn start(dialect: Dialect) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        std::fs::create_dir(&root).expect("a folder");
        Self::over(dialect, folder, root)
    }

    /// Starts one over a folder.
    pub fn over(dialect: Dialect, folder: tempfile::TempDir, root: PathBuf) -> Self {
        let port = free_port();
        let program = folder.path().join("ftpd.py");
        std::fs::write(&program, PROGRAM).expect("room");
        let authority = folder.path().join("authority.pem");
        let mut command = Command::new(installed().join("venv/bin/python"));
        command.arg(&program).arg(folder.path()).arg(port.to_string()).arg(&root);
        command.args([&format!("{dialect:?}"), USER, PASSWORD]);
        Self { server: Server::start(&mut command, port, folder), root, authority }
    }

    /// A path that it serves.
    pub fn path(&self, below: &str) -> PathBuf {
        Path::new(&self.root).join(below)
    }
}
