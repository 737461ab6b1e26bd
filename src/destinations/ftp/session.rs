//! One connection to a server, logged in, in binary mode, with passive data connections.

use super::address::{Address, Security};
use super::listing::{Entry, Kind, machine_line, people_line};
use super::trouble::{Trouble, broken, trouble};
use crate::destinations::remote::store::Fault;
use crate::secrets::Secret;
use rustls::ClientConfig;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use suppaftp::types::FileType;
use suppaftp::{
    FtpError, FtpResult, Mode, RustlsConnector, RustlsFtpStream, Status, TlsConnector, TransferStream,
};

/// How often a folder that another process removes meanwhile is made again.
const ATTEMPTS_MAX: u32 = 8;

type Tls = <RustlsConnector as TlsConnector>::Stream;
/// A data connection.
pub(super) type Transfer = TransferStream<Tls>;

/// Who logs in where.
pub(super) struct Account {
    pub address: Address,
    pub user: String,
    pub password: Option<Secret>,
    pub tls: Option<Arc<ClientConfig>>,
    pub timeout: Duration,
    /// The declared folder.
    pub path: String,
}

/// The library's TLS, with limits to how long a socket may be silent.
#[derive(Debug)]
struct Bounded {
    inner: RustlsConnector,
    timeout: Duration,
}

impl TlsConnector for Bounded {
    type Stream = Tls;

    fn connect(&self, domain: &str, stream: TcpStream) -> FtpResult<Tls> {
        bound(&stream, self.timeout).map_err(FtpError::ConnectionError)?;
        self.inner.connect(domain, stream)
    }
}

fn bound(stream: &TcpStream, timeout: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))
}

fn connected(address: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(address, timeout)?;
    bound(&stream, timeout)?;
    Ok(stream)
}

/// The first of some addresses that takes a connection.
fn reached(address: &Address, timeout: Duration) -> io::Result<(SocketAddr, TcpStream)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host's name has no address");
    for candidate in (address.host.as_str(), address.port).to_socket_addrs()? {
        match connected(&candidate, timeout) {
            Ok(stream) => return Ok((candidate, stream)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What a server said that it can.
#[derive(Debug, Clone, Copy, Default)]
struct Features {
    machine_listing: bool,
    extended_passive: bool,
    utf8: bool,
}

/// A connection that is logged in.
pub(super) struct Session {
    stream: RustlsFtpStream,
    can: Features,
    /// The declared folder from the server's root on, so that the working folder means nothing; empty for that root.
    root: String,
}

impl Account {
    /// Connects and logs in.
    pub fn open(&self) -> Result<Session, Trouble> {
        let connecting = "connecting";
        let (address, tcp) = reached(&self.address, self.timeout).map_err(|it| broken(connecting, it))?;
        let connector = self.tls.as_ref().map(|config| Bounded {
            inner: RustlsConnector::from(Arc::clone(config)),
            timeout: self.timeout,
        });
        let host = self.address.host.as_str();
        let stream = match (self.address.security, connector) {
            (Security::Implicit, Some(connector)) => {
                drop(tcp);
                let stream = RustlsFtpStream::connect_secure_implicit(address, connector, host);
                let mut stream = stream.map_err(trouble(connecting))?;
                // RFC 4217 wants them before each protected data connection; servers that need none may refuse them.
                for command in ["PBSZ 0", "PROT P"] {
                    let said = stream.custom_command(command, &[Status::CommandOk]);
                    said.map(drop).or_else(unless_refused).map_err(trouble(connecting))?;
                }
                stream
            }
            (Security::Explicit, Some(connector)) => {
                let stream = RustlsFtpStream::connect_with_stream(tcp).map_err(trouble(connecting))?;
                stream
                    .into_secure(connector, host)
                    .map_err(|error| no_tls(trouble("securing the way")(error)))?
            }
            (Security::Plain, _) => RustlsFtpStream::connect_with_stream(tcp).map_err(trouble(connecting))?,
            (Security::Explicit | Security::Implicit, None) => {
                return Err(Trouble::lasting(Fault::other(connecting, "TLS was not set up")));
            }
        };
        let timeout = self.timeout;
        let stream = stream.passive_stream_builder(move |address| {
            connected(&address, timeout).map_err(FtpError::ConnectionError)
        });
        self.log_in(stream, address.is_ipv6())
    }

    fn log_in(&self, mut stream: RustlsFtpStream, is_ipv6: bool) -> Result<Session, Trouble> {
        let password = self.password.as_ref().map(|it| String::from_utf8_lossy(it.line()).into_owned());
        // RFC 1635: whoever is anonymous gives something like an address.
        let password = password.unwrap_or_else(|| "bkp@".to_owned());
        stream
            .login(self.user.as_str(), &password)
            .map_err(|error| self.unseen(trouble("logging in")(error)))?;
        stream.transfer_type(FileType::Binary).map_err(trouble("choosing binary transfers"))?;
        let can = match stream.feat() {
            Ok(features) => {
                let has = |name: &str| features.keys().any(|it| it.trim().eq_ignore_ascii_case(name));
                Features {
                    machine_listing: has("MLST") || has("MLSD"),
                    extended_passive: has("EPSV"),
                    utf8: has("UTF8"),
                }
            }
            // A server without the command has none of what it would list; lines that are no list say nothing.
            Err(FtpError::BadResponse) => Features::default(),
            Err(error) => {
                unless_refused(error).map_err(trouble("asking what the server can"))?;
                Features::default()
            }
        };
        if can.utf8 {
            stream.opts("UTF8", Some("ON")).or_else(unless_refused).map_err(trouble("choosing UTF-8"))?;
        }
        // Data connections go to the host that was declared, whatever the server says of itself.
        stream.set_passive_nat_workaround(true);
        stream.set_mode(if can.extended_passive || is_ipv6 { Mode::ExtendedPassive } else { Mode::Passive });
        let root = if self.path.starts_with('/') {
            self.path.clone()
        } else {
            let home = stream.pwd().map_err(trouble("asking for the account's folder"))?;
            format!("{}/{}", home.trim_end_matches('/'), self.path)
        };
        Ok(Session { stream, can, root: root.trim_end_matches('/').to_owned() })
    }

    /// A trouble in which the password is not to be read, should the server have repeated it.
    fn unseen(&self, trouble: Trouble) -> Trouble {
        let Some(password) = &self.password else { return trouble };
        let hide = |error: io::Error| io::Error::new(error.kind(), password.redact(&error.to_string()));
        let fault = match trouble.fault {
            Fault::Refused(error) => Fault::Refused(hide(error)),
            Fault::Other { during, error } => Fault::Other { during, error: hide(error) },
            fault => fault,
        };
        Trouble { fault, ..trouble }
    }
}

/// A server that does not secure the way when asked to is not the declared one: nothing is said to it in the clear.
fn no_tls(trouble: Trouble) -> Trouble {
    match (trouble.code, trouble.fault) {
        (Some(_), Fault::Other { error, .. } | Fault::Refused(error)) => {
            let text = format!("it does not offer TLS, and `ftps://` was declared: {error}");
            Trouble { fault: Fault::Stranger(io::Error::other(text)), dead: true, ..trouble }
        }
        (_, fault) => Trouble { fault, ..trouble },
    }
}

/// A refusal of what is not needed is none.
fn unless_refused(error: FtpError) -> FtpResult<()> {
    match error {
        FtpError::UnexpectedResponse(_) => Ok(()),
        error => Err(error),
    }
}

impl Session {
    /// A path below the declared folder, from the server's root on. None for that root where nothing else was declared.
    fn full(&self, path: &str) -> String {
        let path = path.trim_end_matches('/');
        let full = if path.is_empty() { self.root.clone() } else { format!("{}/{path}", self.root) };
        if full.is_empty() { "/".to_owned() } else { full }
    }

    /// A file's size; none when there is no such file.
    pub fn size(&mut self, path: &str) -> Result<Option<u64>, Trouble> {
        match self.stream.size(self.full(path)).map_err(trouble("asking for its size")) {
            Ok(size) => Ok(Some(size as u64)),
            Err(trouble) if trouble.says_unknown() => self.listed_size(path),
            Err(trouble) if trouble.says_absent() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// The same, where a server has no `SIZE` (RFC 3659).
    fn listed_size(&mut self, path: &str) -> Result<Option<u64>, Trouble> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(entries) = self.entries(folder)? else { return Ok(None) };
        Ok(entries.into_iter().find(|it| it.name == name).and_then(|it| match it.kind {
            Kind::File(size) => size,
            Kind::Folder | Kind::Link => None,
        }))
    }

    /// What lies directly in a folder; none when there is no such folder.
    pub fn entries(&mut self, folder: &str) -> Result<Option<Vec<Entry>>, Trouble> {
        let full = self.full(folder);
        let listed = if self.can.machine_listing {
            self.stream.mlsd(Some(&full)).map_err(trouble("listing it"))
        } else {
            // Where `LIST` takes options, a path behind them may be taken for one of them, or for none.
            match self.stream.cwd(&full).map_err(trouble("opening the folder")) {
                Ok(()) => {}
                Err(trouble) if trouble.says_absent() => return Ok(None),
                Err(trouble) => return Err(trouble),
            }
            match self.stream.list(Some("-a")).map_err(trouble("listing it")) {
                Err(trouble) if trouble.code.is_some() && !trouble.dead => {
                    self.stream.list(None).map_err(super::trouble::trouble("listing it"))
                }
                listed => listed,
            }
        };
        let lines = match listed {
            Ok(lines) => lines,
            // One code says that it is not there, that it is a file and that nobody may look.
            Err(refused) if refused.says_absent() => {
                return match self.stream.cwd(&full).map_err(trouble("opening the folder")) {
                    Ok(()) => Err(refused),
                    Err(trouble) if trouble.says_absent() => Ok(None),
                    Err(trouble) => Err(trouble),
                };
            }
            Err(trouble) => return Err(trouble),
        };
        let read = if self.can.machine_listing { machine_line } else { people_line };
        let entries = lines.iter().filter_map(|line| read(line).transpose()).collect::<Result<Vec<_>, _>>();
        entries.map(Some).map_err(|text| Trouble::lasting(Fault::other("reading its listing", text)))
    }

    /// Begins to store a file under a name that nobody has, in a folder that is made where it is missing.
    pub fn begin_upload(&mut self, path: &str) -> Result<Transfer, Trouble> {
        let full = self.full(path);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut attempts = 1;
        loop {
            match self.stream.put_with_stream(&full).map_err(trouble("beginning an upload")) {
                Err(trouble) if matches!(trouble.code, Some(450 | 550 | 553)) && attempts < ATTEMPTS_MAX => {
                    self.make_folders(folder)?;
                    attempts += 1;
                }
                other => return other,
            }
        }
    }

    /// Makes a folder and those above it, the declared one's too. One that is there is refused, and why a server refuses
    /// is in no code: whether they are there is seen by what is done next.
    pub fn make_folders(&mut self, folder: &str) -> Result<(), Trouble> {
        let full = self.full(folder);
        let ends = full.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).chain([full.len()]);
        for end in ends.collect::<Vec<_>>() {
            match self.stream.mkdir(&full[..end]).map_err(trouble("making a folder")) {
                Ok(()) => {}
                Err(trouble)
                    if trouble.code.is_some()
                        && !trouble.dead
                        && !matches!(trouble.fault, Fault::Full(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(())
    }

    /// Whether a folder is there.
    pub fn has_folder(&mut self, folder: &str) -> Result<bool, Trouble> {
        match self.stream.cwd(self.full(folder)).map_err(trouble("opening the folder")) {
            Ok(()) => Ok(true),
            Err(trouble) if trouble.says_absent() => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    /// Begins to give a file back, from a byte on.
    pub fn begin_download(&mut self, path: &str, from: u64) -> Result<Transfer, Trouble> {
        let offset = usize::try_from(from).map_err(|it| Trouble::lasting(Fault::other("opening it", it)))?;
        self.stream.resume_transfer(offset).map_err(trouble("opening it"))?;
        self.stream.retr_as_stream(self.full(path)).map_err(trouble("opening it"))
    }

    /// Gives a file another name. On most servers this replaces what has that name.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), Trouble> {
        self.stream.rename(self.full(from), self.full(to)).map_err(trouble("giving it its name"))
    }

    /// Removes a file.
    pub fn remove(&mut self, path: &str) -> Result<(), Trouble> {
        self.stream.rm(self.full(path)).map_err(trouble("removing it"))
    }

    /// Removes a folder that was seen to be empty, and says whether it is gone.
    pub fn remove_empty(&mut self, folder: &str) -> Result<bool, Trouble> {
        match self.entries(folder)? {
            Some(entries) if entries.is_empty() => {}
            Some(_) => return Ok(false),
            None => return Ok(true),
        }
        match self.stream.rmdir(self.full(folder)).map_err(trouble("removing an empty folder")) {
            Ok(()) => Ok(true),
            Err(trouble) if trouble.code.is_some() && !trouble.dead => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }
}
