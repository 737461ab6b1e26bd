//! Which server and which place a remote destination is: what tells whether two of them are one.

use super::{Protocol, RemoteDeclaration, SecretRef};

/// Keys of secrets that open nothing by themselves, or that several accounts share by design.
const NOT_CREDENTIALS: [&str; 4] = ["known_hosts", "config", "client_id", "client_secret"];

impl RemoteDeclaration {
    /// The host that the plan file names, in small letters and without a port; none where the service's own is meant.
    pub fn server(&self) -> Option<String> {
        let named = ["host", "endpoint", "url"].map(|key| self.setting(key));
        let text = named.into_iter().find(|text| !text.is_empty())?;
        Some(without_port(&authority(text)).to_owned())
    }

    /// The account, bucket or container at the service, in words; none where there is no such thing.
    pub fn account(&self) -> Option<String> {
        let of = |key: &str| Some(self.setting(key)).filter(|it| !it.is_empty());
        let named = |word: &str, key: &str| of(key).map(|it| format!("{word} `{it}`"));
        if self.protocol == Protocol::Rclone {
            let remote = self.setting("remote").split(':').next().unwrap_or_default();
            return Some(format!("rclone's remote `{remote}`"));
        }
        named("account", "account")
            .or_else(|| named("bucket", "bucket"))
            .or_else(|| named("container", "container"))
    }

    /// What logs in, by the key that holds it.
    pub fn credentials(&self) -> impl Iterator<Item = (&'static str, &SecretRef)> {
        self.secrets.iter().map(|(key, it)| (*key, it)).filter(|(key, _)| !NOT_CREDENTIALS.contains(key))
    }

    /// The very place: two declarations with equal ones keep their snapshots in one folder. For comparison only.
    pub fn place(&self) -> Vec<String> {
        let own = |key: &str| self.setting(key).to_owned();
        let folder = self.setting("path").trim_matches('/').to_owned();
        let mut parts = vec![self.protocol.word().to_owned()];
        match self.protocol {
            Protocol::Sftp | Protocol::Rsync | Protocol::Ftp => {
                let port = if self.protocol == Protocol::Ftp { String::new() } else { own("port") };
                parts.push(authority(&format!("{}{}", self.setting("host"), self.setting("url"))));
                parts.push(if port == "22" { String::new() } else { port });
                let absolute = self.setting("path").starts_with('/');
                // A relative path begins in the home of who logs in.
                parts.push(if absolute { "/".to_owned() } else { own("user") });
                parts.push(folder);
            }
            Protocol::Webdav => {
                let url = self.setting("url");
                let below = url.split_once("://").map_or(url, |(_, rest)| rest);
                let path = below.split_once('/').map_or("", |(_, path)| path).trim_matches('/');
                parts.push(authority(url));
                let path = [path, &folder].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>();
                parts.push(path.join("/"));
            }
            Protocol::Rclone => {
                parts.push(self.setting("remote").trim_end_matches('/').to_owned());
                parts.push(format!("{:?}", self.secrets.get("config")));
            }
            Protocol::Dropbox | Protocol::Gdrive | Protocol::Onedrive => {
                // Only the credentials say whose drive it is.
                parts.extend(self.credentials().map(|(key, it)| format!("{key}: {it:?}")));
                parts.push(folder);
            }
            Protocol::S3 => {
                let (provider, endpoint) = (self.setting("provider"), self.setting("endpoint"));
                parts.push(if endpoint.is_empty() {
                    // Amazon's names of buckets are unique in all regions.
                    match provider {
                        "" | "aws" => "aws".to_owned(),
                        other => format!("{other} {} {}", self.setting("account"), self.setting("region")),
                    }
                } else {
                    authority(endpoint)
                });
                parts.extend([own("bucket"), folder]);
            }
            Protocol::Gcs
            | Protocol::Azblob
            | Protocol::B2
            | Protocol::Swift
            | Protocol::Oss
            | Protocol::Cos
            | Protocol::Obs => {
                parts.extend([authority(self.setting("endpoint")), own("account"), own("bucket")]);
                parts.extend([own("container"), folder]);
            }
        }
        parts
    }
}

/// Host and port of a URL, or of a host alone, in small letters; a scheme's own port is left out.
fn authority(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = rest.rsplit('@').next().unwrap_or_default().to_lowercase();
    let own_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        "ftp" => ":21",
        "ftps" => ":990",
        _ => return host,
    };
    host.strip_suffix(own_port).map_or(host.clone(), str::to_owned)
}

fn without_port(authority: &str) -> &str {
    if let Some(bracketed) = authority.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or_default();
    }
    match authority.split_once(':') {
        // An IPv6 address without brackets has more than one colon.
        Some((host, port)) if !port.contains(':') => host,
        Some(_) | None => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::Transport;

    fn remote(protocol: Protocol, settings: &[(&'static str, &str)]) -> RemoteDeclaration {
        let settings = settings.iter().map(|(key, it)| (*key, (*it).to_owned())).collect();
        let secrets = std::collections::BTreeMap::new();
        RemoteDeclaration { protocol, settings, secrets, transport: Transport::default() }
    }

    #[test]
    fn server_is_the_host_without_its_port_in_small_letters() {
        for (key, text, host) in [
            ("host", "NAS.internal", "nas.internal"),
            ("endpoint", "https://minio.internal:9000/x", "minio.internal"),
            ("url", "http://[::1]:8080/dav", "::1"),
            ("host", "fd00::2", "fd00::2"),
        ] {
            assert_eq!(remote(Protocol::Sftp, &[(key, text)]).server().as_deref(), Some(host));
        }
        assert_eq!(remote(Protocol::S3, &[("bucket", "b")]).server(), None);
    }

    #[test]
    fn one_place_is_known_however_it_is_written() {
        let same = |protocol, one: &[(&'static str, &str)], other: &[(&'static str, &str)]| {
            remote(protocol, one).place() == remote(protocol, other).place()
        };
        let sftp = [("host", "nas"), ("path", "/srv/bkp")];
        assert!(same(Protocol::Sftp, &sftp, &[("host", "NAS"), ("port", "22"), ("path", "/srv/bkp/")]));
        assert!(same(Protocol::Sftp, &sftp, &[("host", "nas"), ("user", "x"), ("path", "/srv/bkp")]));
        assert!(!same(Protocol::Sftp, &sftp, &[("host", "nas"), ("port", "2222"), ("path", "/srv/bkp")]));
        assert!(!same(Protocol::Sftp, &sftp, &[("host", "nas"), ("path", "srv/bkp")]));
        let s3 = [("bucket", "b"), ("region", "eu-west-1")];
        assert!(same(Protocol::S3, &s3, &[("bucket", "b"), ("provider", "aws"), ("path", "/")]));
        assert!(!same(
            Protocol::S3,
            &s3,
            &[("bucket", "b"), ("provider", "wasabi"), ("region", "eu-west-1")]
        ));
        assert!(!same(Protocol::S3, &s3, &[("bucket", "b"), ("path", "x")]));
        let dav = [("url", "https://cloud/dav/"), ("path", "a")];
        assert!(same(Protocol::Webdav, &dav, &[("url", "https://cloud:443/dav/a")]));
    }
}
