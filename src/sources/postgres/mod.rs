//! `PostgreSQL` servers: each database by `pg_dump`, and roles and tablespaces by `pg_dumpall`.
//!
//! Never here: a database left out in silence, a count that is not of the dump's own snapshot, a password in an argument
//! or an environment, or a success told by an exit status alone (`pg_dumpall` exits with 0 into a full disk).

mod archive;
mod catalogue;
mod cluster;
mod contents;
mod counts;
mod doors;
mod dump;
mod folder;
mod globals;
mod grants;
mod live;
mod login;
mod look;
mod refill;
mod restore;
mod script;
mod session;
mod statement;
#[cfg(test)]
mod tests;
mod toc;
mod tools;
mod unpack;

pub use restore::PostgresRestorer;

use super::{Complete, Desk, Member, Needs, RestoreError, Source, SourceError, SourceStream};
use crate::declared::{DrillPlace, PostgresDeclaration, RolePolicy, Standing};
use crate::format::encode_name;
use crate::host::Host;
use crate::observed::SourceFacts;
use catalogue::{Database, GLOBALS, Server};
use dump::DumpStream;
use folder::FolderStream;
use globals::GlobalsStream;
use login::{Login, MAINTENANCE};
use std::path::PathBuf;
use std::time::Duration;
use tools::{Toolbox, Toolboxes};

/// How long a dump waits for a table's lock where nothing is declared.
const LOCK_WAIT: Duration = Duration::from_mins(1);
/// What a run needs; the first tells the version.
const TOOLS: &[&str] = &["pg_dump", "pg_dumpall", "pg_restore", "psql"];
/// Where libpq looks for a socket where no host is named: as Debian and Red Hat build it, and as its makers do. A service
/// file may name either too.
const SOCKET_FOLDERS: [&str; 2] = ["/run/postgresql", "/tmp"];
/// Below this there is no exported snapshot on a standby, and none of the catalogue that is counted.
const VERSION_MIN: u32 = 100_000;

/// The databases of one server.
#[derive(Debug, Clone)]
pub struct PostgresSource {
    declaration: PostgresDeclaration,
}

/// A server that has answered, and the programs that fit it.
struct Reached {
    login: Login,
    toolbox: Toolbox,
    server: Server,
}

impl PostgresSource {
    /// The live side of a declaration.
    pub fn new(declaration: PostgresDeclaration) -> Self {
        Self { declaration }
    }

    fn maintenance(&self) -> &str {
        self.declaration.database.as_deref().unwrap_or(MAINTENANCE)
    }

    fn reach(&self, host: &dyn Host) -> Result<Reached, SourceError> {
        let declared = self.declaration.tools.as_deref();
        let toolboxes = Toolboxes::look(host, declared, TOOLS)?;
        let login = Login::new(host, &self.declaration)?;
        let psql = toolboxes.highest().find(host, "psql")?;
        let server = catalogue::server(host, &login, &psql, self.maintenance())?;
        let toolbox = toolboxes.fitting(server.major()).clone();
        if server.version < VERSION_MIN {
            return Err(login.refused(format!("its version {} is older than 10", server.version)));
        }
        Ok(Reached { login, toolbox, server })
    }

    /// Whether the set takes a database that exists.
    fn standing(&self, host: &dyn Host, reached: &Reached, database: &Database) -> Option<Standing<'_>> {
        let choice = &self.declaration.databases;
        let listed = choice.listed.as_ref().is_some_and(|it| it.contains(&database.name));
        let standing = choice.standing(&database.name);
        if listed || matches!(standing, Standing::Ignored(_)) {
            return Some(standing);
        }
        if database.template {
            // Made by somebody to copy others from: no member by itself, and nothing to be silent about.
            return Some(Standing::Uncovered);
        }
        let psql = reached.toolbox.path("psql");
        catalogue::maintenance_counts(host, &reached.login, &psql, &reached.server, database)
            .then_some(standing)
    }

    fn databases(&self, host: &dyn Host, reached: &Reached) -> Result<Vec<Database>, SourceError> {
        catalogue::databases(host, &reached.login, &reached.toolbox.path("psql"), self.maintenance())
    }

    fn takes_globals(&self) -> bool {
        match self.declaration.roles {
            RolePolicy::WithPasswords | RolePolicy::WithoutPasswords => true,
            RolePolicy::None => false,
        }
    }

    fn lock_wait(&self) -> Duration {
        self.declaration.lock_wait.map_or(LOCK_WAIT, crate::declared::Span::duration)
    }
}

/// What `databases: [...]` names and the server does not have.
fn missing<'a>(declaration: &'a PostgresDeclaration, databases: &[Database]) -> Vec<&'a String> {
    let listed = declaration.databases.listed.iter().flatten();
    listed.filter(|name| !databases.iter().any(|it| it.name == **name)).collect()
}

impl Source for PostgresSource {
    fn enumerate(&self, host: &dyn Host) -> Result<Vec<Member>, SourceError> {
        look::enumerate(self, host)
    }

    fn look(&self, host: &dyn Host) -> SourceFacts {
        look::look(self, host)
    }

    fn scratch_bytes(&self, host: &dyn Host) -> u64 {
        if self.declaration.parallel.is_none() {
            return 0;
        }
        // A server that cannot be asked fails the run by itself.
        let databases =
            self.reach(host).and_then(|reached| self.databases(host, &reached)).unwrap_or_default();
        databases.iter().filter_map(|it| it.size_bytes).max().unwrap_or(0)
    }

    fn open(&self, desk: &Desk<'_>, member: &Member) -> Result<Box<dyn SourceStream>, SourceError> {
        let Reached { login, toolbox, server } = self.reach(desk.host)?;
        if toolbox.major < server.major() {
            let reason = format!("pg_dump {} refuses a server of version {}", toolbox.major, server.major());
            return Err(login.refused(reason));
        }
        if self.takes_globals() && member.name == GLOBALS {
            let stream = GlobalsStream::begin(&login, &toolbox, self.maintenance(), self.declaration.roles)?;
            return Ok(Box::new(stream));
        }
        if let Some(workers) = self.declaration.parallel {
            let folder = desk.scratch.join(format!("{}.dir", encode_name(&member.name)));
            let how = (self.lock_wait(), workers);
            let stream = FolderStream::begin(desk.host, &login, &toolbox, &member.name, how, folder)?;
            return Ok(Box::new(stream));
        }
        let stream = DumpStream::begin(&login, &toolbox, &member.name, self.lock_wait())?;
        Ok(Box::new(stream))
    }

    fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn writable_paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn reachable_paths(&self) -> Vec<PathBuf> {
        let socket = match self.declaration.host.as_deref() {
            Some(host) if host.starts_with('/') => vec![PathBuf::from(host)],
            Some(_an_address) => Vec::new(),
            None => SOCKET_FOLDERS.map(PathBuf::from).to_vec(),
        };
        let files = [
            &self.declaration.service_file,
            &self.declaration.pass_file,
            &self.declaration.ssl_root_cert,
            &self.declaration.tools,
        ];
        socket.into_iter().chain(files.into_iter().flatten().cloned()).collect()
    }

    fn needs(&self) -> Needs {
        // A server of a drill's own refuses to run as root.
        let other_users = match self.declaration.drill {
            DrillPlace::Auto | DrillPlace::Own => true,
            DrillPlace::Server => false,
        };
        Needs { any_program: false, other_users }
    }

    fn extension(&self, member: &Member) -> String {
        match self.declaration.parallel {
            _ if self.takes_globals() && member.name == GLOBALS => "sql".to_owned(),
            Some(_) => "tar".to_owned(),
            None => "dump".to_owned(),
        }
    }
}

/// An error with what lies below it.
fn chain(error: &SourceError) -> String {
    let below = crate::diagnostic::causes(error);
    if below.is_empty() { error.to_string() } else { format!("{error}: {below}") }
}

/// A database named as the roles are.
fn collision() -> String {
    format!(
        "a database is named `{GLOBALS}`, which is the member that holds roles; rename it, put it under `ignore`, or say \
         `roles: none`"
    )
}
