//! The addresses of this machine itself.

use super::{Command, Host, read_text};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The addresses at which others can reach this machine: no loopback, no link-local ones. From the kernel's own tables
/// (proc(5): `net/fib_trie`, `net/if_inet6`), or what ifconfig(8) lists where there are none; an error where neither can
/// be had.
pub fn addresses(host: &dyn Host) -> io::Result<Vec<IpAddr>> {
    let mut found: BTreeSet<IpAddr> = match read_text(host, Path::new("/proc/net/fib_trie")) {
        Ok(text) => local_v4(&text).into_iter().map(IpAddr::V4).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let output = host.run(&Command::look(["/sbin/ifconfig", "-a"]))?;
            return Ok(listed(&output.text()).into_iter().collect());
        }
        Err(error) => return Err(error),
    };
    match read_text(host, Path::new("/proc/net/if_inet6")) {
        Ok(text) => found.extend(text.lines().filter_map(of_interface).map(IpAddr::V6)),
        // The kernel has no IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(found.into_iter().collect())
}

/// What ifconfig(8) lists: `inet 10.8.0.2 netmask ...`, `inet6 fd00::a prefixlen 64`.
fn listed(text: &str) -> BTreeSet<IpAddr> {
    let words = text.lines().map(|line| line.split_whitespace());
    let found = words.filter_map(|mut words| match words.next()? {
        "inet" => words.next()?.parse::<Ipv4Addr>().ok().filter(|it| reached_v4(*it)).map(IpAddr::V4),
        "inet6" => words.next()?.parse::<Ipv6Addr>().ok().filter(reached_v6).map(IpAddr::V6),
        _ => None,
    });
    found.collect()
}

fn reached_v4(address: Ipv4Addr) -> bool {
    !address.is_loopback() && !address.is_link_local()
}

fn reached_v6(address: &Ipv6Addr) -> bool {
    !address.is_loopback() && !address.is_unicast_link_local()
}

/// The tree names an address in one line (`|-- 10.8.0.2`) and what it is in the next (`/32 host LOCAL`).
fn local_v4(text: &str) -> BTreeSet<Ipv4Addr> {
    let mut last = None;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if let Some((_, address)) = line.split_once("|-- ") {
            last = address.trim().parse::<Ipv4Addr>().ok();
        } else if line.trim() == "/32 host LOCAL" {
            found.extend(last.filter(|it| reached_v4(*it)));
        }
    }
    found
}

/// `fe80...01 02 40 20 80 eth0`: the address in hexadecimal digits first.
fn of_interface(line: &str) -> Option<Ipv6Addr> {
    let bits = u128::from_str_radix(line.split_whitespace().next()?, 16).ok()?;
    Some(Ipv6Addr::from(bits)).filter(reached_v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_those_that_the_kernel_calls_local() {
        let text = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.8.0.2\n        \
                    /32 host LOCAL\n     |-- 10.8.0.255\n        /32 link BROADCAST\n        |-- 127.0.0.1\n           \
                    /32 host LOCAL\n";
        assert_eq!(local_v4(text).into_iter().collect::<Vec<_>>(), [Ipv4Addr::new(10, 8, 0, 2)]);
        let line = "fd00000000000000000000000000000a 02 40 00 80     eth0";
        assert_eq!(of_interface(line), "fd00::a".parse().ok());
        assert_eq!(of_interface("00000000000000000000000000000001 01 80 10 80       lo"), None);
        let mac = "lo0: flags\n\tinet 127.0.0.1 netmask 0xff000000\n\tinet6 ::1 prefixlen 128\nen0: flags\n\tinet6 \
                   fe80::1%en0 prefixlen 64\n\tinet 192.168.1.7 netmask 0xffffff00 broadcast 192.168.1.255\n";
        assert_eq!(listed(mac).into_iter().collect::<Vec<_>>(), [IpAddr::from([192, 168, 1, 7])]);
    }
}
