//! What a server says of itself and of its databases. Only looks.
//!
//! Never here: a database left out because it cannot be dumped. That it refuses connections makes it a member that fails.

use super::SourceError;
use super::counts::holds_anything;
use super::login::{Login, MAINTENANCE};
use super::session::ask;
use crate::host::Host;
use serde_json::Value;
use std::path::Path;

/// The member that roles and tablespaces are.
pub(super) const GLOBALS: &str = "_globals";

/// The server and the role that asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Such as 150018 (`server_version_num`).
    pub version: u32,
    pub role: String,
    pub superuser: bool,
    /// Whether row security does not hold for the role.
    pub bypass_rls: bool,
    pub create_db: bool,
    /// Whether the role may read password hashes.
    pub reads_hashes: bool,
    /// Whether it may look at the rules of `pg_hba.conf`.
    pub reads_rules: bool,
    pub port: u16,
    pub listen: String,
    /// Folders of its sockets; none where the role may not know.
    pub socket_folders: Option<String>,
    /// The address that this session came to; none through a socket.
    pub came_to: Option<String>,
    /// The role that owns the server.
    pub owner: String,
}

impl Server {
    /// Its major version, such as 15.
    pub fn major(&self) -> u32 {
        self.version / 10_000
    }
}

const SERVER: &str = "select json_build_array(current_setting('server_version_num')::int, current_user, r.rolsuper, \
    r.rolsuper or r.rolbypassrls, r.rolsuper or r.rolcreatedb, has_table_privilege('pg_catalog.pg_authid', 'select'), \
    has_function_privilege('pg_catalog.pg_hba_file_rules()', 'execute') and \
    has_table_privilege('pg_catalog.pg_hba_file_rules', 'select'), current_setting('port')::int, \
    current_setting('listen_addresses'), \
    (select setting from pg_catalog.pg_settings where name = 'unix_socket_directories'), host(inet_server_addr()), \
    (select rolname from pg_catalog.pg_roles where oid = 10)) \
    from pg_catalog.pg_roles r where r.rolname = current_user";

/// Asks a server who it is.
pub(super) fn server(
    host: &dyn Host,
    login: &Login,
    psql: &Path,
    database: &str,
) -> Result<Server, SourceError> {
    let rows = ask(host, login, psql, database, SERVER)?;
    let read = |row: &Value| {
        let text = |at: usize| row[at].as_str().map(str::to_owned);
        Some(Server {
            version: u32::try_from(row[0].as_u64()?).ok()?,
            role: text(1)?,
            superuser: row[2].as_bool()?,
            bypass_rls: row[3].as_bool()?,
            create_db: row[4].as_bool()?,
            reads_hashes: row[5].as_bool()?,
            reads_rules: row[6].as_bool()?,
            port: u16::try_from(row[7].as_u64()?).ok()?,
            listen: text(8)?,
            socket_folders: text(9),
            came_to: text(10),
            owner: text(11)?,
        })
    };
    rows.first().and_then(read).ok_or_else(|| login.refused("it did not say who it is"))
}

/// One database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Database {
    pub name: String,
    /// Made to copy others from.
    pub template: bool,
    /// `ALTER DATABASE ... ALLOW_CONNECTIONS`.
    pub connects: bool,
    /// What `DROP DATABASE` left half-done (`datconnlimit = -2`).
    pub invalid: bool,
    pub size_bytes: Option<u64>,
}

const DATABASES: &str = "select json_build_array(d.datname, d.datistemplate, d.datallowconn, d.datconnlimit, \
    case when d.datconnlimit <> -2 and (has_database_privilege(d.oid, 'connect') \
    or pg_has_role('pg_read_all_stats', 'usage')) then pg_database_size(d.oid) end) from pg_catalog.pg_database d";

/// Every database, sorted by name; `template0` and `template1`, which every server makes for itself, left out.
pub(super) fn databases(
    host: &dyn Host,
    login: &Login,
    psql: &Path,
    database: &str,
) -> Result<Vec<Database>, SourceError> {
    let read = |row: &Value| {
        Some(Database {
            name: row[0].as_str()?.to_owned(),
            template: row[1].as_bool()?,
            connects: row[2].as_bool()?,
            invalid: row[3].as_i64()? == -2,
            size_bytes: row[4].as_u64(),
        })
    };
    let rows = ask(host, login, psql, database, DATABASES)?;
    let all: Option<Vec<Database>> = rows.iter().map(read).collect();
    let mut all = all.ok_or_else(|| login.refused("its list of databases could not be read"))?;
    if all.is_empty() {
        return Err(SourceError::Partial {
            server: login.server().to_owned(),
            reason: "it lists no database, not even the one that was asked".into(),
        });
    }
    all.retain(|it| it.name != "template0" && it.name != "template1");
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

/// Whether the maintenance database `postgres` is a member: it is where it holds anything of a user's, and where that
/// cannot be told.
pub(super) fn maintenance_counts(
    host: &dyn Host,
    login: &Login,
    psql: &Path,
    server: &Server,
    database: &Database,
) -> bool {
    if database.name != MAINTENANCE || !database.connects {
        return true;
    }
    let rows = ask(host, login, psql, &database.name, &holds_anything(server.version));
    rows.map_or(true, |rows| rows.first().and_then(|row| row[0].as_u64()) != Some(0))
}
