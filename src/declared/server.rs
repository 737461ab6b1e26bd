//! Sources that are servers, or programs: how to reach them, and which of their members a set takes.
//!
//! No declaration holds a secret: a password is a [`SecretRef`], or lies in a file that the server's own tools read.

use super::{SecretRef, Span};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Which members of a server a set takes. What is neither taken nor ignored is uncovered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberChoice {
    /// The members named, in the order written; `None` takes every one that exists when a run begins.
    pub listed: Option<Vec<String>>,
    /// Members that are left out, each with the reason.
    pub ignore: BTreeMap<String, String>,
}

/// Whether a member's name is one that drills give their scratch places.
pub fn is_scratch(member: &str) -> bool {
    ["bkp_drill_", "bkp-drill-"].iter().any(|prefix| member.starts_with(prefix))
}

/// What a [`MemberChoice`] says of a member that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// It is backed up.
    Taken,
    /// It is left out, for this reason.
    Ignored(&'a str),
    /// Nobody said anything about it.
    Uncovered,
}

impl MemberChoice {
    /// How a member that exists stands. The scratch place of a drill is nobody's data, and gone before it could be read.
    pub fn standing(&self, member: &str) -> Standing<'_> {
        if let Some(reason) = self.ignore.get(member) {
            return Standing::Ignored(reason);
        }
        match &self.listed {
            None if is_scratch(member) => Standing::Uncovered,
            None => Standing::Taken,
            Some(listed) if listed.iter().any(|it| it == member) => Standing::Taken,
            Some(_) => Standing::Uncovered,
        }
    }
}

/// Where a drill of a database restores to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DrillPlace {
    /// A server of its own where its programs are installed, else a scratch database of the declared server.
    #[default]
    Auto,
    /// A server of its own, started for the drill and gone with it.
    Own,
    /// A scratch database of the declared server.
    Server,
}

impl DrillPlace {
    /// The word in the plan file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Own => "own",
            Self::Server => "server",
        }
    }
}

/// Whether a dump of roles holds their password hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RolePolicy {
    /// Roles and tablespaces, without password hashes.
    #[default]
    WithoutPasswords,
    /// With password hashes: for destinations that nobody else reads.
    WithPasswords,
    /// Not dumped at all.
    None,
}

impl RolePolicy {
    /// The word in the plan file.
    pub fn word(self) -> &'static str {
        match self {
            Self::WithoutPasswords => "without-passwords",
            Self::WithPasswords => "with-passwords",
            Self::None => "none",
        }
    }
}

/// A `PostgreSQL` server. Its members are its databases, and its roles and tablespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostgresDeclaration {
    /// A host name, an address, or the folder of its socket; `None` is libpq's default.
    pub host: Option<String>,
    /// Its port; `None` is libpq's default.
    pub port: Option<u16>,
    /// The role to log in as; `None` is the job's user.
    pub user: Option<String>,
    /// The database to ask for the others; `None` is `postgres`.
    pub database: Option<String>,
    /// A service of libpq's service file.
    pub service: Option<String>,
    /// The service file; `None` is libpq's default.
    pub service_file: Option<PathBuf>,
    /// libpq's password file; `None` is its default.
    pub pass_file: Option<PathBuf>,
    /// The role's password.
    pub password: Option<SecretRef>,
    /// libpq's `sslmode`.
    pub ssl_mode: Option<String>,
    /// The authority that the server's certificate is checked against.
    pub ssl_root_cert: Option<PathBuf>,
    /// Which databases.
    pub databases: MemberChoice,
    /// Whether and how roles are dumped.
    pub roles: RolePolicy,
    /// Workers of a parallel dump in directory format; `None` dumps one stream in custom format.
    pub parallel: Option<u32>,
    /// How long a dump waits for a table's lock.
    pub lock_wait: Option<Span>,
    /// Where drills restore to.
    pub drill: DrillPlace,
    /// The folder of `pg_dump` and its kin; `None` looks on the job's PATH.
    pub tools: Option<PathBuf>,
}

/// A `MySQL` or `MariaDB` server. Its members are its schemas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MysqlDeclaration {
    /// A host name or an address.
    pub host: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// Its socket.
    pub socket: Option<PathBuf>,
    /// The account to log in as; `None` is what the client's own files say, else the job's user.
    pub user: Option<String>,
    /// The account's password.
    pub password: Option<SecretRef>,
    /// An option file of the client's, read before anything else.
    pub defaults_file: Option<PathBuf>,
    /// The authority that the server's certificate is checked against.
    pub ssl_ca: Option<PathBuf>,
    /// Which schemas.
    pub databases: MemberChoice,
    /// How long a run waits for the read lock that makes counts exact, and the longest that it holds it.
    pub lock_wait: Option<Span>,
    /// Where drills restore to.
    pub drill: DrillPlace,
    /// The folder of the client programs; `None` looks on the job's PATH.
    pub tools: Option<PathBuf>,
}

/// A `MongoDB` server or replica set. Its members are its databases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MongodbDeclaration {
    /// `mongodb://HOST:PORT,...` with options and without credentials.
    pub url: String,
    /// The user to log in as.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretRef>,
    /// The database that knows the user; `None` is `admin`.
    pub auth_source: Option<String>,
    /// Which databases.
    pub databases: MemberChoice,
    /// Another server, without credentials, that drills restore to; `None` is a scratch database of the same.
    pub drill_url: Option<String>,
    /// The folder of `mongodump` and `mongorestore`; `None` looks on the job's PATH.
    pub tools: Option<PathBuf>,
}

/// A Redis or Valkey server: one member, all of its numbered databases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisDeclaration {
    /// A host name or an address; `None` with no socket is `127.0.0.1`.
    pub host: Option<String>,
    /// Its port; `None` is 6379.
    pub port: Option<u16>,
    /// Its socket.
    pub socket: Option<PathBuf>,
    /// The ACL user; `None` is `default`.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretRef>,
    /// The folder of `redis-server`, for drills; `None` looks on the job's PATH.
    pub tools: Option<PathBuf>,
}

/// A Qdrant server or cluster. Its members are its collections, and its aliases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QdrantDeclaration {
    /// `http://HOST:PORT` or `https://...`.
    pub url: String,
    /// Every other node of its cluster.
    pub nodes: Vec<String>,
    /// The API key.
    pub api_key: Option<SecretRef>,
    /// The authority that the server's certificate is checked against; `None` is the system's.
    pub ca: Option<PathBuf>,
    /// Which collections.
    pub collections: MemberChoice,
    /// Another server that drills restore to; `None` is a scratch collection of the same, never of a cluster.
    pub drill_url: Option<String>,
    /// The API key of that server.
    pub drill_api_key: Option<SecretRef>,
}

/// A program whose standard output is the backup: one member, named after the set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandDeclaration {
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// The artifact's extension, such as `ldif`.
    pub extension: String,
    /// What must stand in the last lines of a complete output.
    pub end_mark: Option<String>,
    /// The fewest bytes of a complete output.
    pub bytes_min: u64,
    /// A program that is given the artifact on its standard input in a drill, and must end with status 0.
    pub drill: Option<Vec<String>>,
}

/// A TCP address in the form that facts and declarations are compared in: `tcp:ADDRESS:PORT`. The name of this host for
/// itself stands for both of its loopback addresses.
fn tcp(host: &str, port: u16) -> Vec<String> {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if host == "localhost" {
        return vec![format!("tcp:127.0.0.1:{port}"), format!("tcp:[::1]:{port}")];
    }
    let v6 = host.contains(':');
    vec![if v6 { format!("tcp:[{host}]:{port}") } else { format!("tcp:{host}:{port}") }]
}

/// A socket in the form that facts and declarations are compared in: `unix:PATH`. `/var/run` is `/run`.
pub fn socket_address(path: &str) -> String {
    format!("unix:{}", path.strip_prefix("/var").filter(|it| it.starts_with("/run/")).unwrap_or(path))
}

/// The hosts and ports of a URL's authority.
fn of_url(url: &str, port: u16) -> Vec<String> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let one = |part: &str| match part.rsplit_once(':') {
        _ if part.contains('%') => vec![socket_address(&part.replace("%2F", "/").replace("%2f", "/"))],
        Some((host, own)) if !host.is_empty() && !own.ends_with(']') => {
            tcp(host, own.parse().unwrap_or(port))
        }
        _ => tcp(part, port),
    };
    authority.split(',').flat_map(one).collect()
}

impl PostgresDeclaration {
    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(5432)
    }

    fn addresses(&self) -> Vec<String> {
        let socket = |folder: &str| socket_address(&format!("{folder}/.s.PGSQL.{}", self.port()));
        match self.host.as_deref() {
            // Only libpq knows what a service is.
            _ if self.service.is_some() => Vec::new(),
            // The two places that its builds have for the socket.
            None => vec![socket("/run/postgresql"), socket("/tmp")],
            Some(folder) if folder.starts_with('/') => vec![socket(folder.trim_end_matches('/'))],
            Some(host) => tcp(host, self.port()),
        }
    }
}

impl MysqlDeclaration {
    fn addresses(&self) -> Vec<String> {
        match (&self.socket, &self.host) {
            (Some(socket), _) => vec![socket_address(&socket.display().to_string())],
            (None, Some(host)) if host != "localhost" => tcp(host, self.port.unwrap_or(3306)),
            // The places that distributions have for the socket; `localhost` means the socket too.
            (None, _) => ["/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"]
                .map(socket_address)
                .into(),
        }
    }
}

impl RedisDeclaration {
    fn addresses(&self) -> Vec<String> {
        match &self.socket {
            Some(socket) => vec![socket_address(&socket.display().to_string())],
            None => tcp(self.host.as_deref().unwrap_or("127.0.0.1"), self.port.unwrap_or(6379)),
        }
    }
}

impl super::SourceDeclaration {
    /// Where its server is reached, as far as the declaration says.
    pub fn addresses(&self) -> Vec<String> {
        match self {
            Self::Postgres(it) => it.addresses(),
            Self::Mysql(it) => it.addresses(),
            Self::Redis(it) => it.addresses(),
            Self::Mongodb(it) => of_url(&it.url, 27_017),
            Self::Qdrant(it) => {
                let port = if it.url.starts_with("https") { 443 } else { 80 };
                std::iter::once(&it.url).chain(&it.nodes).flat_map(|url| of_url(url, port)).collect()
            }
            Self::Files(_) | Self::Sqlite(_) | Self::Command(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_urls_are_those_of_their_hosts() {
        assert_eq!(of_url("http://localhost:6333/x", 80), ["tcp:127.0.0.1:6333", "tcp:[::1]:6333"]);
        assert_eq!(of_url("https://[::1]", 443), ["tcp:[::1]:443"]);
        assert_eq!(of_url("mongodb://a:1,b/?replicaSet=r", 27_017), ["tcp:a:1", "tcp:b:27017"]);
        assert_eq!(of_url("mongodb://%2Fvar%2Frun%2Fm.sock", 27_017), ["unix:/run/m.sock"]);
    }

    #[test]
    fn listed_choice_leaves_the_rest_uncovered_and_all_takes_it() {
        let ignore = BTreeMap::from([("cache".to_owned(), "rebuilt".to_owned())]);
        let all = MemberChoice { listed: None, ignore: ignore.clone() };
        assert_eq!(all.standing("new"), Standing::Taken);
        assert_eq!(all.standing("bkp_drill_x_1"), Standing::Uncovered, "another set's drill is going on");
        assert_eq!(all.standing("cache"), Standing::Ignored("rebuilt"));
        let four = MemberChoice { listed: Some(vec!["a".into()]), ignore };
        assert_eq!(four.standing("a"), Standing::Taken);
        assert_eq!(four.standing("fifth"), Standing::Uncovered);
    }
}
