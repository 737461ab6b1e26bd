//! Real servers for the tests: each a process of its own, on a loopback port of its own, over a folder of its own, and gone
//! with its value. `tests/servers/install` brings those that have no Debian package.
#![allow(dead_code, unused_imports, reason = "each test takes the servers that it needs")]
#![allow(clippy::disallowed_methods, reason = "servers are processes and files of the tests' own")]

mod azurite;
mod front;
pub mod ftpd;
mod proxy;
mod s3;
mod sshd;
pub mod webdav;

pub use azurite::Azurite;
pub use front::{Front, Request, answer};
pub use proxy::{Proxy, Rule};
pub use s3::S3;
pub use sshd::Sshd;

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest that a server may take to answer.
const READY_MAX: Duration = Duration::from_mins(1);

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound").port()
}

/// Where `tests/servers/install` put what has no Debian package.
pub fn installed() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let folder = target.join("servers");
    assert!(folder.is_dir(), "{} is not there: run tests/servers/install", folder.display());
    folder
}

/// One request; status and body, whatever the status.
fn ask(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = agent.run(request.body(body.to_owned()).expect("a request"));
    let mut answer = answer.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    let text = answer.body_mut().read_to_string().expect("text");
    (answer.status().as_u16(), text)
}

/// A server process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts a program that will listen on `port`, and waits until it does.
    pub fn start(command: &mut Command, port: u16, folder: tempfile::TempDir) -> Self {
        let log = std::fs::File::create(folder.path().join("server.log")).expect("a file");
        let errors = log.try_clone().expect("a second handle");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut server = Self { child, port, folder };
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&mut self) {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait().expect("it was started");
            assert!(ended.is_none(), "the server ended: {ended:?}\n{}", self.log());
            assert!(began.elapsed() < READY_MAX, "the server does not answer\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        let _it_may_have_ended = self.child.kill();
        let _it_may_have_ended = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
