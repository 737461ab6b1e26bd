//! A database made from an archive: created as it was, filled by `pg_restore`, and counted.
//!
//! Never here: a database that exists is written to, or an error passed over (`--exit-on-error` always).

use super::RestoreError;
use super::contents::{Contents, whole};
use super::counts::{count, holds_anything};
use super::login::{Login, conninfo, identifier, literal};
use super::session::Session;
use super::statement::create;
use super::tools::Toolbox;
use crate::format::Counts;
use crate::host::{ChildWriter, Command, FeedError, Output, pulse};
use std::ffi::OsString;
use std::io::Read;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Longest that `pg_restore` may take once it has been given everything: it makes the indexes then. The run's own limit
/// is shorter.
const END_LIMIT: Duration = Duration::from_hours(24 * 7);
/// Workers that restore a folder.
const JOBS: &str = "2";
const POLL: Duration = Duration::from_millis(20);
/// Looks at what is still going on in a database that is to be dropped: ten seconds of them.
const ENDINGS_MAX: u32 = 500;
/// A look at what has been done each second.
const POLLS_A_LOOK: u32 = 50;

/// A server that databases can be made on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Workshop<'a> {
    pub login: &'a Login,
    pub toolbox: &'a Toolbox,
    /// The database that is asked for the others.
    pub maintenance: &'a str,
    /// Whether roles that a dump names may be made.
    pub makes_roles: bool,
    /// Whether owners and rights are those of the archive. A drill beside live databases has no need of them, and often no
    /// right over those roles.
    pub owners: bool,
    /// Whether tablespaces are those of the archive.
    pub tablespaces: bool,
}

/// What is said when a server, or a tool, is in the way.
pub(super) fn bench(error: &super::SourceError) -> RestoreError {
    RestoreError::Bench { tool: "postgres".into(), reason: crate::sources::postgres::chain(error) }
}

impl Workshop<'_> {
    fn session(&self, database: &str) -> Result<Session, RestoreError> {
        Session::open(self.login, &self.toolbox.path("psql"), database).map_err(|error| bench(&error))
    }

    /// Does one thing on the server.
    pub fn command(&self, sql: &str) -> Result<(), RestoreError> {
        let mut session = self.session(self.maintenance)?;
        session.rows(sql).map_err(|error| bench(&error))?;
        session.close().map_err(|error| bench(&error))
    }

    /// Gives a database its settings and rights.
    pub fn give(&self, properties: &[String]) -> Result<(), RestoreError> {
        properties.iter().try_for_each(|it| self.command(it))
    }

    /// Whether a database exists.
    pub fn has(&self, name: &str) -> Result<bool, RestoreError> {
        let sql = format!(
            "select json_build_array(1) from pg_catalog.pg_database where datname = {}",
            literal(name)
        );
        let mut session = self.session(self.maintenance)?;
        Ok(!session.rows(&sql).map_err(|error| bench(&error))?.is_empty())
    }

    /// What the archive needs and the server does not have, before anything is made.
    fn demand_fit(&self, contents: &Contents) -> Result<(), RestoreError> {
        let mut session = self.session(self.maintenance)?;
        let sql = "select json_build_array(current_setting('server_version_num')::int / 10000)";
        let rows = session.rows(sql).map_err(|error| bench(&error))?;
        let major = rows.first().and_then(|row| row[0].as_u64()).unwrap_or(0);
        let unfit = |reason: String| RestoreError::Bench { tool: "postgres".into(), reason };
        if contents.server_major.is_some_and(|wanted| u64::from(wanted) > major) {
            let wanted = contents.server_major.unwrap_or_default();
            return Err(unfit(format!(
                "the dump is of a server of version {wanted}, and this one is {major}; install postgresql-{wanted}"
            )));
        }
        let rows = session.rows("select json_build_array(name) from pg_catalog.pg_available_extensions");
        let rows = rows.map_err(|error| bench(&error))?;
        let there: Vec<&str> = rows.iter().filter_map(|row| row[0].as_str()).collect();
        let missing: Vec<String> = contents
            .extensions
            .iter()
            .filter(|name| !there.contains(&name.as_str()))
            .map(|name| format!("`{name}`"))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(unfit(format!(
            "the dump needs the extension {}, which is not installed for version {major} here; install its package, such \
             as postgresql-{major}-NAME",
            missing.join(", ")
        )))
    }

    /// Makes the roles that a dump names and the server does not have. They cannot log in.
    fn make_roles(&self, contents: &Contents) -> Result<(), RestoreError> {
        let mut session = self.session(self.maintenance)?;
        for role in self.missing_roles(contents.roles.iter())? {
            session.rows(&format!("create role {role}")).map_err(|error| bench(&error))?;
        }
        session.close().map_err(|error| bench(&error))
    }

    /// Makes a new database from an archive and counts it. What was made is removed where that fails.
    pub fn refill(
        &self,
        member: &str,
        contents: &Contents,
        body: &mut dyn Read,
        name: &str,
    ) -> Result<Counts, RestoreError> {
        let made = create(contents.create.as_deref(), name)
            .map_err(|error| RestoreError::Bench { tool: "postgres".into(), reason: error.to_string() })?;
        self.demand_fit(contents)?;
        if self.makes_roles {
            self.make_roles(contents)?;
        } else if !self.bare(contents) {
            self.demand_roles(contents)?;
        }
        self.command(&made)?;
        let filled = self
            .demand_empty(name)
            .and_then(|()| self.fill(member, contents, body, name))
            .and_then(|()| self.count(name));
        let filled = filled.map(|mut counts| {
            if self.bare(contents) {
                // Rights were not given back; what the archive holds of these is all that can be told.
                counts.0.insert("default privileges".into(), contents.default_privileges);
            }
            counts
        });
        if filled.is_err() {
            // Why it failed says more than why its remains could not be removed; a drill's are swept by their trace.
            let _gone = self.drop(name);
        }
        filled
    }

    /// Roles that lack here say nothing of the archive.
    fn demand_roles(&self, contents: &Contents) -> Result<(), RestoreError> {
        let missing = self.missing_roles(contents.roles.iter())?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(RestoreError::Bench {
            tool: "postgres".into(),
            reason: format!(
                "the dump needs the roles {}, which this server does not have; make them, as the snapshot's `_globals` does",
                missing.join(", ")
            ),
        })
    }

    /// Which of some roles the server does not have, as identifiers.
    pub fn missing_roles<'r>(
        &self,
        roles: impl Iterator<Item = &'r String>,
    ) -> Result<Vec<String>, RestoreError> {
        let mut session = self.session(self.maintenance)?;
        let rows = session.rows("select json_build_array(rolname) from pg_catalog.pg_roles");
        let rows = rows.map_err(|error| bench(&error))?;
        session.close().map_err(|error| bench(&error))?;
        let there: Vec<&str> = rows.iter().filter_map(|row| row[0].as_str()).collect();
        Ok(roles.filter(|it| !there.contains(&it.as_str())).map(|it| identifier(it)).collect())
    }

    /// What is restored into something that is not empty would be counted with it.
    fn demand_empty(&self, name: &str) -> Result<(), RestoreError> {
        let mut session = self.session(name)?;
        let sql = "select json_build_array(current_setting('server_version_num')::int)";
        let rows = session.rows(sql).map_err(|error| bench(&error))?;
        let version = rows.first().and_then(|row| u32::try_from(row[0].as_u64()?).ok()).unwrap_or(0);
        let rows = session.rows(&holds_anything(version)).map_err(|error| bench(&error))?;
        session.close().map_err(|error| bench(&error))?;
        if rows.first().and_then(|row| row[0].as_u64()) == Some(0) {
            return Ok(());
        }
        Err(RestoreError::Bench {
            tool: "postgres".into(),
            reason: format!("the new database {} is not empty", identifier(name)),
        })
    }

    /// Whether owners and rights are left out; not where it is not known what the archive holds of them.
    fn bare(&self, contents: &Contents) -> bool {
        !self.owners && contents.server_major.is_some()
    }

    fn fill(
        &self,
        member: &str,
        contents: &Contents,
        body: &mut dyn Read,
        name: &str,
    ) -> Result<(), RestoreError> {
        let tool = || "pg_restore".to_owned();
        let mut argv = vec![self.toolbox.path("pg_restore").into_os_string()];
        let words = ["-w", "--exit-on-error", "--no-subscriptions"];
        argv.extend(words.map(OsString::from));
        argv.extend((!self.tablespaces).then(|| "--no-tablespaces".into()));
        argv.extend(
            self.bare(contents).then_some(["--no-owner".into(), "--no-acl".into()]).into_iter().flatten(),
        );
        argv.push(format!("--dbname={}", conninfo(name)).into());
        let mut command = self.login.equip(Command::change(argv));
        command.time_limit = END_LIMIT;
        if let Some(folder) = &contents.folder {
            command.argv.extend(["-j".into(), JOBS.into(), "-Fd".into(), folder.into()]);
        }
        let mut child = ChildWriter::start(&command)
            .map_err(|error| RestoreError::Bench { tool: tool(), reason: error.to_string() })?;
        // A folder was unpacked from all of it.
        let fed = match &contents.folder {
            Some(_) => Ok(0),
            None => child.feed(&mut whole(&contents.bytes, body)),
        };
        match fed {
            Ok(_) => {}
            Err(FeedError::Body(error)) => {
                return Err(RestoreError::Fetch { member: member.to_owned(), error });
            }
            Err(FeedError::Pipe(error)) => {
                return Err(RestoreError::Bench { tool: tool(), reason: error.to_string() });
            }
        }
        let mut watcher = self.session(self.maintenance).ok();
        let output = beating(|| progress(watcher.as_mut()?, name), || child.finish())
            .map_err(|error| RestoreError::Bench { tool: tool(), reason: error.to_string() })?;
        if output.succeeded() { Ok(()) } else { Err(self.not_filled(member, &output)) }
    }

    /// Whose fault it is: what the place lacks says nothing of the archive.
    fn not_filled(&self, member: &str, output: &Output) -> RestoreError {
        let reason = self.login.reason(output);
        let of_the_place = [
            "No space left on device",
            "could not extend file",
            "server closed the connection",
            "connection to server",
            "terminating connection",
            "permission denied",
            "must be superuser",
            "must be owner",
            "must be member of role",
            "must be able to SET ROLE",
            "must have",
            "could not open extension control file",
            "is not available",
            "could not access file",
            "could not load library",
            "must be loaded via shared_preload_libraries",
            "unsupported version",
            "out of memory",
        ];
        let signalled = output.status.is_none() || output.timed_out;
        let role_missing = reason.contains("role \"") && reason.contains("\" does not exist");
        if signalled || role_missing || of_the_place.iter().any(|word| reason.contains(word)) {
            return RestoreError::Bench { tool: "pg_restore".into(), reason };
        }
        RestoreError::Damaged { member: member.to_owned(), reason: format!("pg_restore: {reason}") }
    }

    fn count(&self, name: &str) -> Result<Counts, RestoreError> {
        let mut session = self.session(name)?;
        let counted = count(&mut session, self.login, &AtomicBool::new(false));
        let counts = counted.map_err(|error| bench(&error))?;
        session.close().map_err(|error| bench(&error))?;
        Ok(counts)
    }

    /// Removes a database that this made, and ends what is still going on there: the server goes on with a statement
    /// whose client was killed, and a database that somebody uses is not dropped.
    pub fn drop(&self, name: &str) -> Result<(), RestoreError> {
        let text = literal(name);
        let end = format!(
            "select json_build_array(pg_terminate_backend(pid)) from pg_catalog.pg_stat_activity where \
             pid <> pg_backend_pid() and (datname = {text} or (application_name = 'bkp' and \
             position({text} in query) > 0 and state <> 'idle'))"
        );
        let mut session = self.session(self.maintenance)?;
        for _ in 0..ENDINGS_MAX {
            if session.rows(&end).map_err(|error| bench(&error))?.is_empty() {
                break;
            }
            std::thread::sleep(POLL);
        }
        session
            .rows(&format!("drop database if exists {}", identifier(name)))
            .map_err(|error| bench(&error))?;
        session.close().map_err(|error| bench(&error))
    }
}

/// What a server has done for a database that is being filled: its bytes, the blocks of the index that is made, the
/// statements that have come.
fn progress(session: &mut Session, name: &str) -> Option<String> {
    let name = literal(name);
    let sql = format!(
        "set statement_timeout = '20s';\nselect json_build_array((select pg_database_size(oid) from \
         pg_catalog.pg_database where datname = {name}), (select sum(blocks_done + tuples_done + partitions_done) from \
         pg_catalog.pg_stat_progress_create_index where datname = {name}), (select max(query_start) from \
         pg_catalog.pg_stat_activity where datname = {name}))"
    );
    // Before version 12 there is no such view; then nothing is told but the first sign.
    session.rows(&sql).ok().map(|rows| format!("{rows:?}"))
}

/// Works without a word; it is a sign of life when what `sign` tells is new, and nothing else is.
pub(super) fn beating<T: Send>(
    mut sign: impl FnMut() -> Option<String>,
    work: impl FnOnce() -> T + Send,
) -> T {
    std::thread::scope(|scope| {
        let worker = scope.spawn(work);
        let (mut seen, mut polls) = (None, 0_u32);
        while !worker.is_finished() {
            std::thread::sleep(POLL);
            polls += 1;
            if polls.is_multiple_of(POLLS_A_LOOK) {
                let now = sign();
                if now.is_some() && now != seen {
                    pulse::beat();
                    seen = now;
                }
            }
        }
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
