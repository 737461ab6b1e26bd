//! Servers that run on this host, declared or not: found by their processes and sockets.
//!
//! Servers in other network namespaces (containers without a published port) are not seen here.

mod handshake;
mod listening;

use crate::diagnostic::Diagnostic;
use crate::host::{Host, addresses, command_line, read_text};
use crate::observed::{Found, Observed};
use crate::sources::TRACES;
use listening::{Listener, listeners};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Names of server programs as the kernel shows them (proc(5), `comm`), and their kinds.
const PROGRAMS: [(&str, &str); 9] = [
    ("postgres", "postgres"),
    ("postmaster", "postgres"),
    ("mysqld", "mysql"),
    ("mariadbd", "mysql"),
    ("mongod", "mongodb"),
    ("redis-server", "redis"),
    ("valkey-server", "redis"),
    ("keydb-server", "redis"),
    ("qdrant", "qdrant"),
];
/// The ports that servers have by default.
const PORTS: [(u16, &str); 5] =
    [(5432, "postgres"), (3306, "mysql"), (27_017, "mongodb"), (6379, "redis"), (6333, "qdrant")];

/// Servers that run on this host. `state` is where bkp's own drills work: their servers are not somebody's data. Only
/// looks.
pub fn discover_servers(host: &dyn Host, state: &Path) -> Observed<Vec<Found>> {
    // Tests have hosts with other servers than the machine's.
    let of_test = cfg!(debug_assertions).then(|| host.env("BKP_TEST_PROC")).flatten();
    let proc = of_test.map_or_else(|| PathBuf::from("/proc"), PathBuf::from);
    let own = addresses(host).unwrap_or_default();
    let found = match listeners(host, &proc) {
        Ok(all) => of_sockets(host, &proc, state, &own, &all),
        // Without the kernel's tables the usual ports are all that can be asked.
        Err(error) if error.kind() == io::ErrorKind::NotFound => of_ports(host, &own),
        Err(error) => {
            return Observed::Unknown(
                Diagnostic::new("servers not looked for", proc.join("net").display().to_string())
                    .why(error.to_string()),
            );
        }
    };
    Observed::Present(found)
}

fn of_sockets(
    host: &dyn Host,
    proc: &Path,
    state: &Path,
    own: &[IpAddr],
    all: &BTreeMap<u64, Listener>,
) -> Vec<Found> {
    let mut found = BTreeMap::new();
    let mut known: BTreeSet<u64> = BTreeSet::new();
    let mut hidden = Vec::new();
    for (pid, kind) in servers(host, proc) {
        let inodes: Vec<u64> =
            sockets(host, proc, pid).into_iter().filter(|it| all.contains_key(it)).collect();
        known.extend(&inodes);
        if of_a_drill(host, pid, state) {
            continue;
        }
        if inodes.is_empty() && !may_look_into(host, proc, pid) {
            hidden.push((pid, kind));
            continue;
        }
        let listeners: Vec<Listener> =
            inodes.iter().filter_map(|inode| absolute(host, proc, pid, all.get(inode)?)).collect();
        note(&mut found, kind, listeners.iter(), own);
    }
    // Processes of other users cannot be looked into, and those behind a container's proxy have other names.
    let mut guessed: BTreeMap<(&str, u16), Vec<&Listener>> = BTreeMap::new();
    for (_, listener) in all.iter().filter(|(inode, _)| !known.contains(*inode)) {
        if let Some((kind, port)) = guess(listener).filter(|(kind, _)| confirmed(host, kind, listener)) {
            guessed.entry((kind, port)).or_default().push(listener);
        }
    }
    for ((kind, _), sockets) in guessed {
        note(&mut found, kind, sockets.into_iter(), own);
    }
    // One that was found by its socket or port is most likely the process that cannot be looked into.
    hidden.retain(|(_, kind)| !found.values().any(|it| it.kind == *kind));
    found.extend(hidden.into_iter().map(|(pid, kind)| {
        let owner =
            host.status(&proc.join(pid.to_string())).map_or_else(|_| "?".into(), |it| it.uid.to_string());
        let object = format!("a server of user {owner}, whose sockets this user may not see");
        let key = format!("{kind}:{object}");
        (key, Found { kind: kind.to_owned(), object, size_bytes: None, path: None, addresses: Vec::new() })
    }));
    found.into_values().collect()
}

/// Whether a server is a drill's own, that is going on: it works in a scratch folder of bkp's.
fn of_a_drill(host: &dyn Host, pid: u32, state: &Path) -> bool {
    let line = command_line(host, pid).unwrap_or_default();
    let current = host.read_link(&PathBuf::from(format!("/proc/{pid}/cwd"))).unwrap_or_default();
    let in_scratch =
        |text: &str| text.contains(&format!("{}/", state.display())) && text.contains("/scratch/");
    // One of another user's, by what a drill writes down beside its folders.
    let traced = current.ancestors().any(|it| host.link_status(&it.join(TRACES)).is_ok());
    traced || in_scratch(&line) || in_scratch(&current.to_string_lossy())
}

/// Whether this user may see what a process has open.
fn may_look_into(host: &dyn Host, proc: &Path, pid: u32) -> bool {
    host.list_dir(&proc.join(pid.to_string()).join("fd")).is_ok()
}

/// Adds a server by its sockets; one that was found by another socket of its own stays one.
fn note<'a>(
    found: &mut BTreeMap<String, Found>,
    kind: &str,
    listeners: impl Iterator<Item = &'a Listener>,
    own: &[IpAddr],
) {
    let addresses: BTreeSet<String> = listeners.flat_map(|it| it.addresses(own)).collect();
    // A socket in the file system names a server better than a port does.
    let Some(object) = addresses.iter().find(|it| it.starts_with("unix:")).or(addresses.first()).cloned()
    else {
        return;
    };
    let server = Found {
        kind: kind.to_owned(),
        object: object.clone(),
        size_bytes: None,
        path: None,
        addresses: addresses.into_iter().collect(),
    };
    found.insert(format!("{kind}:{object}"), server);
}

/// Processes that are servers by their names.
fn servers(host: &dyn Host, proc: &Path) -> Vec<(u32, &'static str)> {
    let names = host.list_dir(proc).unwrap_or_default();
    let pids = names.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok());
    let named = |pid: u32| {
        let name = read_text(host, &proc.join(pid.to_string()).join("comm")).ok()?;
        let (_, kind) = PROGRAMS.iter().find(|(program, _)| *program == name.trim())?;
        Some((pid, *kind))
    };
    pids.filter_map(named).collect()
}

/// The inodes of a process's sockets; none where this user may not look.
fn sockets(host: &dyn Host, proc: &Path, pid: u32) -> Vec<u64> {
    let folder = proc.join(pid.to_string()).join("fd");
    let descriptors = host.list_dir(&folder).unwrap_or_default();
    let inode = |name: &std::ffi::OsString| {
        let link = host.read_link(&folder.join(name)).ok()?;
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    descriptors.iter().filter_map(inode).collect()
}

/// A socket by its whole path; none where this user cannot tell it.
fn absolute(host: &dyn Host, proc: &Path, pid: u32, listener: &Listener) -> Option<Listener> {
    match listener {
        Listener::Unix(path) if !path.starts_with('/') => {
            let folder = host.read_link(&proc.join(pid.to_string()).join("cwd")).ok()?;
            Some(Listener::Unix(folder.join(path).display().to_string()))
        }
        Listener::Unix(_) | Listener::Tcp(..) => Some(listener.clone()),
    }
}

/// What a socket may be by its name or port, and the port that goes with it.
fn guess(listener: &Listener) -> Option<(&'static str, u16)> {
    match listener {
        Listener::Tcp(_, port) => PORTS.iter().find(|(it, _)| it == port).map(|(_, kind)| (*kind, *port)),
        Listener::Unix(path) if !path.starts_with('/') => None,
        Listener::Unix(path) => {
            let name = path.rsplit('/').next().unwrap_or_default();
            if let Some(port) = name.strip_prefix(".s.PGSQL.") {
                return Some(("postgres", port.parse().ok()?));
            }
            if let Some(port) = name.strip_prefix("mongodb-") {
                return Some(("mongodb", port.strip_suffix(".sock")?.parse().ok()?));
            }
            match name {
                "mysqld.sock" | "mysql.sock" => Some(("mysql", 3306)),
                "redis.sock" | "redis-server.sock" | "valkey.sock" => Some(("redis", 6379)),
                _ => None,
            }
        }
    }
}

/// A port must answer as its server; a socket has its name from nobody else, and must lie where this user sees it: the
/// kernel's table has those of containers too.
fn confirmed(host: &dyn Host, kind: &str, listener: &Listener) -> bool {
    match listener {
        Listener::Unix(path) => host.link_status(Path::new(path)).is_ok(),
        Listener::Tcp(address, port) => {
            let address = if address.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { *address };
            handshake::answers_as(kind, SocketAddr::new(address, *port))
        }
    }
}

fn of_ports(host: &dyn Host, own: &[IpAddr]) -> Vec<Found> {
    let mut found = BTreeMap::new();
    for (port, kind) in PORTS {
        let listener = Listener::Tcp(Ipv4Addr::LOCALHOST.into(), port);
        if confirmed(host, kind, &listener) {
            note(&mut found, kind, [&listener].into_iter(), own);
        }
    }
    found.into_values().collect()
}
