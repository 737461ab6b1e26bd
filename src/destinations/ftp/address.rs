//! Where an FTP server is, and how the way to it is kept secret.

/// How the way to a server is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// Not at all.
    Plain,
    /// By `AUTH TLS` before anything is said (RFC 4217).
    Explicit,
    /// By TLS from the first byte on, as is the custom on port 990.
    Implicit,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub host: String,
    pub port: u16,
    pub security: Security,
}

const PORT: u16 = 21;
const PORT_IMPLICIT: u16 = 990;

impl Address {
    /// Reads `ftp://HOST[:PORT]` or `ftps://HOST[:PORT]`. Errors are texts for people.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (secure, rest) = match (url.strip_prefix("ftps://"), url.strip_prefix("ftp://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(format!("`url: {url}` begins with neither ftp:// nor ftps://")),
        };
        let rest = rest.trim_end_matches('/');
        if rest.contains(['/', '?', '#']) {
            return Err(format!("`url: {url}` holds more than a server; the folder belongs into `path`"));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(six) => {
                let (host, after) = six.split_once(']').ok_or("`url` has a `[` without its `]`")?;
                (host, after.strip_prefix(':'))
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None => PORT,
            Some(port) => port.parse().map_err(|_| format!("`url: {url}`: `{port}` is no port"))?,
        };
        let security = match (secure, port) {
            (false, _) => Security::Plain,
            (true, PORT_IMPLICIT) => Security::Implicit,
            (true, _) => Security::Explicit,
        };
        Ok(Self { host: host.to_owned(), port, security })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_port_say_how_the_way_is_kept_secret() {
        let parsed = |url| Address::parse(url).map(|it| (it.host, it.port, it.security));
        assert_eq!(parsed("ftp://nas"), Ok(("nas".to_owned(), 21, Security::Plain)));
        assert_eq!(parsed("ftps://nas/"), Ok(("nas".to_owned(), 21, Security::Explicit)));
        assert_eq!(parsed("ftps://nas:2121"), Ok(("nas".to_owned(), 2121, Security::Explicit)));
        assert_eq!(parsed("ftps://nas:990"), Ok(("nas".to_owned(), 990, Security::Implicit)));
        assert_eq!(parsed("ftp://[::1]:990"), Ok(("::1".to_owned(), 990, Security::Plain)));
        for url in ["http://nas", "ftp://nas/folder", "ftp://nas:port", "ftp://[::1"] {
            assert!(parsed(url).is_err(), "{url}");
        }
    }
}
