//! Where a server is, and the bytes to and from it.

use crate::declared::RedisDeclaration;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

/// Where Redis listens unless told otherwise (redis.conf, `port`).
const PORT: u16 = 6379;
/// Longest that reaching a server may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// A server's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// Its socket.
    Socket(PathBuf),
    /// Its host and port.
    Tcp(String, u16),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(formatter, "redis at {}", path.display()),
            Self::Tcp(host, port) => write!(formatter, "redis at {host}:{port}"),
        }
    }
}

impl Address {
    /// As declared.
    pub(super) fn of(declaration: &RedisDeclaration) -> Self {
        match &declaration.socket {
            Some(socket) => Self::Socket(socket.clone()),
            None => Self::Tcp(
                declaration.host.clone().unwrap_or_else(|| "127.0.0.1".to_owned()),
                declaration.port.unwrap_or(PORT),
            ),
        }
    }

    /// The arguments by which `redis-cli` reaches it, for remedies.
    pub(super) fn arguments(&self) -> String {
        match self {
            Self::Socket(path) => format!("-s {}", path.display()),
            Self::Tcp(host, port) => format!("-h {host} -p {port}"),
        }
    }

    /// Connects, or gives up after `limit`.
    pub(super) fn connect(&self) -> io::Result<Wire> {
        self.connect_within(CONNECT_PATIENCE)
    }

    /// Connects, or gives up after a time of one's own.
    pub(super) fn connect_within(&self, limit: Duration) -> io::Result<Wire> {
        match self {
            Self::Socket(path) => {
                let path = path.clone();
                let (sender, answer) = mpsc::channel();
                // A server that is stopped, and whose queue is full, makes connect(2) wait without an end.
                std::thread::spawn(move || sender.send(UnixStream::connect(path)));
                let stream = answer
                    .recv_timeout(limit)
                    .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it does not take connections"))?;
                stream.map(Wire::Unix)
            }
            Self::Tcp(host, port) => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, limit) {
                        Ok(stream) => return Ok(Wire::Tcp(stream)),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) enum Wire {
    /// By a socket in the file system.
    Unix(UnixStream),
    /// By the network.
    Tcp(TcpStream),
}

impl Wire {
    /// How long a read or a write waits before it says so.
    pub(super) fn set_step(&self, step: Duration) -> io::Result<()> {
        match self {
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(step))?;
                stream.set_write_timeout(Some(step))
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(step))?;
                stream.set_write_timeout(Some(step))
            }
        }
    }

    /// The address at the other end, where it has one.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(stream) => stream.peer_addr().ok().map(|it| it.ip().to_canonical()),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(buffer),
            Self::Tcp(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.flush(),
            Self::Tcp(stream) => stream.flush(),
        }
    }
}
