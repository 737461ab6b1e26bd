//! What listens on this host, from the kernel's own tables (proc(5): `net/unix`, `net/tcp`, `net/tcp6`).

use crate::declared::socket_address;
use crate::host::{Host, read_text};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// State of a TCP socket that listens (`TCP_LISTEN` of the kernel's `net/tcp_states.h`).
const LISTEN: &str = "0A";
/// Flag of a socket that accepts connections (`__SO_ACCEPTCON` of the kernel's `linux/net.h`).
const ACCEPTS: u64 = 1 << 16;

/// One socket that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listener {
    /// A path.
    Unix(String),
    /// An address and a port.
    Tcp(IpAddr, u16),
}

impl Listener {
    /// The addresses by which people name it: a wildcard stands for every address of the host.
    pub(super) fn addresses(&self, own: &[IpAddr]) -> Vec<String> {
        match self {
            Self::Unix(path) => vec![socket_address(path)],
            Self::Tcp(address, port) => {
                let mut all = vec![*address];
                if address.is_unspecified() {
                    all = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                    all.extend(own);
                }
                all.into_iter().map(|it| format!("tcp:{}", std::net::SocketAddr::new(it, *port))).collect()
            }
        }
    }
}

/// Every socket that listens, by inode. An error where the tables cannot be read.
pub(super) fn listeners(host: &dyn Host, proc: &Path) -> io::Result<BTreeMap<u64, Listener>> {
    let mut all: BTreeMap<u64, Listener> =
        read_text(host, &proc.join("net/unix"))?.lines().filter_map(unix).collect();
    all.extend(read_text(host, &proc.join("net/tcp"))?.lines().filter_map(tcp));
    match read_text(host, &proc.join("net/tcp6")) {
        Ok(text) => all.extend(text.lines().filter_map(tcp)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(all)
}

/// `Num: RefCount Protocol Flags Type St Inode Path`; a path that begins with `@` is abstract and is no file. It is
/// shown as it was bound, and may be relative to its process's folder.
fn unix(line: &str) -> Option<(u64, Listener)> {
    let mut words = line.split_whitespace();
    let flags = u64::from_str_radix(words.nth(3)?, 16).ok()?;
    let inode = words.nth(2)?.parse().ok()?;
    let path = words.next().filter(|path| !path.starts_with('@'))?;
    (flags & ACCEPTS != 0).then(|| (inode, Listener::Unix(path.to_owned())))
}

/// `sl local_address rem_address st ... uid timeout inode`.
fn tcp(line: &str) -> Option<(u64, Listener)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (address, port) = words.get(1)?.split_once(':')?;
    if *words.get(3)? != LISTEN {
        return None;
    }
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((words.get(9)?.parse().ok()?, Listener::Tcp(ip(address)?, port)))
}

/// Words of 32 bits, each in the machine's own order of bytes.
fn ip(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::new();
    for at in (0..hex.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_kernel_are_understood() {
        let tcp4 = "   0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 999 0 4711 1";
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(tcp(tcp4), Some((4711, Listener::Tcp(local, 6379))));
        let established = tcp4.replace(" 0A ", " 01 ");
        assert_eq!(tcp(&established), None);
        let tcp6 = "   1: 00000000000000000000000000000000:1538 00000000000000000000000000000000:0000 0A \
                    00000000:00000000 00:00000000 00000000 111 0 12 1";
        let Some((12, listener)) = tcp(tcp6) else { panic!("it listens") };
        assert_eq!(listener.addresses(&[]), ["tcp:127.0.0.1:5432", "tcp:[::1]:5432"]);
        let socket = "ffff: 00000002 00000000 00010000 0001 01 99 /var/run/postgresql/.s.PGSQL.5432";
        let Some((99, listener)) = unix(socket) else { panic!("it listens") };
        assert_eq!(listener.addresses(&[]), ["unix:/run/postgresql/.s.PGSQL.5432"]);
        assert_eq!(unix(&socket.replace("00010000", "00000000")), None);
    }
}
