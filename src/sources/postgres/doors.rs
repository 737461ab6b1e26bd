//! Ways into a server that need no password: what its rules say, and a login that must fail.
//!
//! Only looks. A rule that could not be read, or a login that could not be tried, is told; it is never "closed".

use super::Reached;
use super::catalogue::Server;
use super::login::identifier;
use super::session::ask;
use crate::declared::PostgresDeclaration;
use crate::host::{Host, addresses as addresses_of};
use crate::observed::DoorFacts;
use crate::sources::SourceError;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Rules that let somebody in without a proof of who it is, wider than the local socket, and lines with errors. A rule
/// that asks for a certificate asks for a proof.
const RULES: &str = "select json_build_array(line_number, error, auth_method, database, user_name, address, netmask) from \
    pg_catalog.pg_hba_file_rules where error is not null or (auth_method in ('trust', 'ident') and type <> 'local' and \
    not exists (select from unnest(options) it where it ~ '^clientcert=(1|verify-)')) order by line_number";

/// Where the server can be reached, as far as it and the declaration say.
pub(super) fn addresses(declaration: &PostgresDeclaration, server: &Server) -> Vec<String> {
    let mut found = BTreeSet::new();
    let port = server.port;
    match declaration.host.as_deref() {
        Some(folder) if folder.starts_with('/') => {
            let port = declaration.port.unwrap_or(port);
            found.insert(format!("unix:{folder}/.s.PGSQL.{port}"));
        }
        Some(host) => {
            found.insert(tcp(host, declaration.port.unwrap_or(port)));
        }
        None => {}
    }
    if is_here(server) {
        let folders = server.socket_folders.as_deref().unwrap_or_default();
        let folders = folders.split(',').map(str::trim).filter(|it| it.starts_with('/'));
        found.extend(folders.map(|folder| format!("unix:{folder}/.s.PGSQL.{port}")));
        found.extend(
            listens_on(&server.listen)
                .iter()
                .map(|address| SocketAddr::new(*address, port))
                .map(|it| format!("tcp:{it}")),
        );
    }
    found.into_iter().collect()
}

fn tcp(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => format!("tcp:{}", SocketAddr::new(address, port)),
        Err(_a_name) => format!("tcp:{host}:{port}"),
    }
}

/// Whether the server is this host's own: asked through a socket or a loopback address.
fn is_here(server: &Server) -> bool {
    match server.came_to.as_deref().map(str::parse::<IpAddr>) {
        None => true,
        Some(Ok(address)) => address.is_loopback(),
        Some(Err(_)) => false,
    }
}

/// `listen_addresses` (`PostgreSQL` manual, "Connections and Authentication").
fn listens_on(setting: &str) -> Vec<IpAddr> {
    let every: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let mut found = Vec::new();
    for word in setting.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        match word {
            "*" => found.extend(every),
            "localhost" => found.extend([IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]),
            other => found.extend(other.parse::<IpAddr>().ok()),
        }
    }
    found
}

/// What was found, and what could not be looked at.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub doors: Vec<DoorFacts>,
    pub unseen: Vec<String>,
}

/// Whether others than this host's own sockets can come to the server.
fn has_addresses(server: &Server) -> bool {
    !listens_on(&server.listen).is_empty() || server.came_to.is_some()
}

/// Addresses at which a stranger would knock: those that the server listens on, as far as they are this host's.
fn to_try(host: &dyn Host, server: &Server, seen: &mut Seen) -> BTreeSet<IpAddr> {
    if let Some(Ok(address)) = server.came_to.as_deref().map(str::parse::<IpAddr>)
        && !address.is_loopback()
    {
        return BTreeSet::from([address]);
    }
    let listens = listens_on(&server.listen);
    let mut own = Vec::new();
    if listens.iter().any(IpAddr::is_unspecified) {
        match addresses_of(host) {
            Ok(found) => own = found,
            Err(error) => {
                seen.unseen.push(format!("logins without a password at this host's own addresses: {error}"));
            }
        }
    }
    let mut found = BTreeSet::new();
    for address in listens {
        if address.is_unspecified() {
            found.extend(own.iter().copied().filter(|it| it.is_ipv4() == address.is_ipv4()));
            found.insert(loopback(address.is_ipv4()));
        } else {
            found.insert(address);
        }
    }
    found
}

fn loopback(of_version_4: bool) -> IpAddr {
    if of_version_4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

/// The open doors that were found, by a login that went through or by a rule.
pub(super) fn doors(host: &dyn Host, reached: &Reached, database: &str) -> Seen {
    let mut seen = Seen::default();
    if !has_addresses(&reached.server) {
        return seen;
    }
    let visit = Visit { host, reached };
    let addresses = to_try(host, &reached.server, &mut seen);
    for address in &addresses {
        visit.knock(*address, database, &reached.server.owner, &mut seen);
    }
    visit.rules(database, &addresses, &mut seen);
    seen.doors.sort();
    seen.doors.dedup();
    seen
}

/// What a server that lets somebody in says when it then has no use for them: it asked for no password.
const LET_IN: [&str; 6] = [
    "\" does not exist",
    "is not permitted to log in",
    "permission denied for database",
    "too many connections for",
    "is not currently accepting connections",
    "remaining connection slots are reserved",
];
/// What says nothing about whether a password is asked for.
const NOT_TRIED: [&str; 5] =
    ["timeout expired", "time limit", "too many clients", "the database system is", "could not translate"];

/// One look at the doors of a server.
struct Visit<'a> {
    host: &'a dyn Host,
    reached: &'a Reached,
}

impl Visit<'_> {
    /// Tries to log in without any password.
    fn knock(&self, address: IpAddr, database: &str, role: &str, seen: &mut Seen) {
        let Reached { login, toolbox, server } = self.reached;
        let stranger = login.stranger(&address.to_string(), server.port, role);
        let sql = "select json_build_array(current_user)";
        let answer = match ask(self.host, &stranger, &toolbox.path("psql"), database, sql) {
            Ok(rows) => {
                let whom = rows.first().and_then(|row| row[0].as_str()).unwrap_or_default().to_owned();
                format!("was let in as `{whom}`")
            }
            Err(SourceError::Server { reason, .. }) if LET_IN.iter().any(|it| reason.contains(it)) => {
                format!("was asked for none ({reason})")
            }
            Err(SourceError::Server { reason, .. }) if !NOT_TRIED.iter().any(|it| reason.contains(it)) => {
                return;
            }
            Err(error) => {
                let at = SocketAddr::new(address, server.port);
                let why = super::chain(&error);
                seen.unseen.push(format!("a login without a password at {at} as role {role}: {why}"));
                return;
            }
        };
        let whose = if address.is_loopback() {
            "every user and every process of this host can do the same"
        } else {
            "whoever reaches this address can do the same"
        };
        seen.doors.push(DoorFacts {
            object: format!("postgres at {} as role {role}", SocketAddr::new(address, server.port)),
            evidence: format!(
                "`psql -w -h {address} -p {} -U {} -d {database}` without any password {answer}: {whose}",
                server.port,
                identifier(role)
            ),
        });
    }

    /// Reads the server's rules, where the role may.
    fn rules(&self, database: &str, addresses: &BTreeSet<IpAddr>, seen: &mut Seen) {
        let Reached { login, toolbox, server } = self.reached;
        let what = format!("the rules of {}'s pg_hba.conf", login.server());
        if !server.reads_rules {
            let role = identifier(&server.role);
            seen.unseen.push(format!(
                "{what}: role `{}` may not read them; to show them, run in database `{database}`: GRANT SELECT ON \
                 pg_catalog.pg_hba_file_rules TO {role}; GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO \
                 {role}",
                server.role
            ));
            return;
        }
        let rows = match ask(self.host, login, &toolbox.path("psql"), database, RULES) {
            Ok(rows) => rows,
            Err(error) => {
                seen.unseen.push(format!("{what}: {}", super::chain(&error)));
                return;
            }
        };
        for row in &rows {
            match Rule::of(row) {
                None => seen.unseen.push(format!("{what}: a line that is not understood")),
                Some(Rule { line, error: Some(error), .. }) => seen.unseen.push(format!(
                    "{what} that are in force: line {line} of the file has an error ({error}), so the server has kept \
                     older ones"
                )),
                Some(rule) => self.judge(&rule, addresses, database, seen),
            }
        }
    }

    /// What a rule lets in: tried where that can be done from here, else told as it stands.
    fn judge(&self, rule: &Rule, addresses: &BTreeSet<IpAddr>, database: &str, seen: &mut Seen) {
        match (rule.of_loopback(), rule.trusts) {
            // This host's own name service says who asks, and root alone can change that.
            (Some(_), false) => {}
            (Some(of_version_4), true) => {
                let address = loopback(of_version_4);
                if !addresses.contains(&address) {
                    return;
                }
                let database = rule.databases.iter().find(|it| is_name(it)).map_or(database, String::as_str);
                let owner = [self.reached.server.owner.clone()];
                let named = rule.roles.iter().any(|it| it != "all");
                let roles: &[String] = if named { &rule.roles } else { &owner };
                for role in roles.iter().filter(|it| is_name(it)).take(ROLES_TRIED_MAX) {
                    self.knock(address, database, role, seen);
                }
            }
            (None, _) => seen.doors.push(rule.door(&self.reached.server)),
        }
    }
}

/// Of one rule so many roles are tried.
const ROLES_TRIED_MAX: usize = 3;

/// Whether a word of a rule is somebody's name: no keyword, no group, no pattern.
fn is_name(word: &str) -> bool {
    !["all", "sameuser", "samerole", "samegroup", "replication"].contains(&word)
        && !word.starts_with(['+', '/', '@'])
}

/// A rule that asks for no password, or one that the server did not understand.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rule {
    line: u64,
    error: Option<String>,
    /// Else it believes what the other machine says (`ident`).
    trusts: bool,
    databases: Vec<String>,
    roles: Vec<String>,
    address: String,
    mask: String,
}

impl Rule {
    fn of(row: &Value) -> Option<Self> {
        let words = |at: usize| {
            let words = row[at].as_array().into_iter().flatten();
            words.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        let text = |at: usize| row[at].as_str().unwrap_or_default().to_owned();
        Some(Self {
            line: row[0].as_u64()?,
            error: row[1].as_str().map(str::to_owned),
            trusts: row[2].as_str() == Some("trust"),
            databases: words(3),
            roles: words(4),
            address: text(5),
            mask: text(6),
        })
    }

    /// Whether it speaks of this host's loopback alone, and of which version.
    fn of_loopback(&self) -> Option<bool> {
        match self.address.parse::<IpAddr>() {
            Ok(IpAddr::V4(it)) => (it.is_loopback() && self.mask.starts_with("255.")).then_some(true),
            Ok(IpAddr::V6(it)) => (it.is_loopback() && self.mask == WHOLE_V6).then_some(false),
            Err(_) => None,
        }
    }

    fn door(&self, server: &Server) -> DoorFacts {
        let from = if self.mask.is_empty() {
            self.address.clone()
        } else {
            format!("{} ({})", self.address, self.mask)
        };
        let (roles, databases) = (self.roles.join(","), self.databases.join(","));
        let evidence = if self.trusts {
            format!(
                "its rule trusts role {roles} for database {databases} from {from} without any password; not tried from \
                 there"
            )
        } else {
            format!(
                "its rule believes what machines at {from} say of who they are (`ident`), for role {roles} and database \
                 {databases}: whoever rules such a machine is anybody; not tried from there"
            )
        };
        DoorFacts {
            object: format!("postgres port {}, pg_hba.conf line {}", server.port, self.line),
            evidence,
        }
    }
}

/// The mask of a single address of version 6.
const WHOLE_V6: &str = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(method: &str, address: &str, mask: &str) -> Rule {
        Rule::of(&json!([7, null, method, ["all"], ["app"], address, mask])).expect("a rule")
    }

    #[test]
    fn loopback_is_this_hosts_own_only_with_a_mask_that_keeps_it_so() {
        assert_eq!(rule("trust", "127.0.0.1", "255.255.255.255").of_loopback(), Some(true));
        assert_eq!(rule("trust", "127.0.0.1", "0.0.0.0").of_loopback(), None);
        assert_eq!(rule("trust", "::1", WHOLE_V6).of_loopback(), Some(false));
        assert_eq!(rule("trust", "::1", "::").of_loopback(), None);
        assert_eq!(rule("trust", "samenet", "").of_loopback(), None);
    }

    #[test]
    fn line_with_an_error_is_read_as_one() {
        let row = json!([3, "invalid authentication method \"trsut\"", null, null, null, null, null]);
        let rule = Rule::of(&row).expect("a rule");
        assert_eq!(rule.error.as_deref(), Some("invalid authentication method \"trsut\""));
    }
}
