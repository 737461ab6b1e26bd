//! Roles and tablespaces: what belongs to the whole server and to no database.
//!
//! `pg_dumpall` exits with 0 into a full disk (observed), so its status alone proves nothing: its end line must come.

use super::dump::tool_failed;
use super::login::Login;
use super::session::Session;
use super::tools::Toolbox;
use super::{Complete, SourceError, SourceStream};
use crate::declared::RolePolicy;
use crate::format::{Bound, Counts};
use crate::host::{ChildReader, Command};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Its last words. `\unrestrict` may follow.
const END_MARK: &str = "-- PostgreSQL database cluster dump complete";
/// As much of the end as is kept to look for them.
const TAIL_BYTES: usize = 4 << 10;
/// Longest that `pg_dumpall` may take to go once its output has ended.
const END_LIMIT: Duration = Duration::from_mins(1);

/// Roles and tablespaces that are not the system's own, and who is a member of what.
pub(super) fn counts_sql(but: &str) -> String {
    let but = super::login::literal(but);
    format!(
        "select json_build_array('roles', (select count(*) from pg_catalog.pg_roles where rolname !~ '^pg_' and \
         rolname <> {but}))\n\
         union all select json_build_array('tablespaces', (select count(*) from pg_catalog.pg_tablespace where \
         spcname !~ '^pg_'))\n\
         union all select json_build_array('memberships', (select count(distinct (m.roleid, m.member)) from \
         pg_catalog.pg_auth_members m join pg_catalog.pg_roles r on r.oid = m.member where r.rolname !~ '^pg_' and \
         r.rolname <> {but}))"
    )
}

/// Counts from the rows of [`counts_sql`].
pub(super) fn counts(rows: &[serde_json::Value]) -> Option<Counts> {
    let count = |row: &serde_json::Value| Some((row[0].as_str()?.to_owned(), row[1].as_u64()?));
    let counts: BTreeMap<_, _> = rows.iter().map(count).collect::<Option<_>>()?;
    (counts.len() == 3).then_some(Counts(counts))
}

fn server_counts(login: &Login, psql: &Path, database: &str) -> Result<Counts, SourceError> {
    let mut session = Session::open(login, psql, database)?;
    let rows = session.rows(&counts_sql(""))?;
    session.close()?;
    counts(&rows).ok_or_else(|| login.refused("the counts of roles did not come back"))
}

/// `pg_dumpall --globals-only`.
#[derive(Debug)]
pub(super) struct GlobalsStream {
    child: ChildReader,
    tail: Vec<u8>,
    ended: bool,
    before: Counts,
    login: Login,
    psql: PathBuf,
    database: String,
}

impl GlobalsStream {
    /// Counts, and begins to dump. Roles have no snapshot that could be exported, so they are counted before and after:
    /// where the two differ, the truth lies between them.
    pub fn begin(
        login: &Login,
        toolbox: &Toolbox,
        database: &str,
        roles: RolePolicy,
    ) -> Result<Self, SourceError> {
        let psql = toolbox.path("psql");
        let before = server_counts(login, &psql, database)?;
        let mut argv: Vec<OsString> = vec![toolbox.path("pg_dumpall").into_os_string()];
        argv.extend(["-w".into(), "--globals-only".into(), "-l".into(), database.into()]);
        match roles {
            RolePolicy::WithoutPasswords => argv.push("--no-role-passwords".into()),
            RolePolicy::WithPasswords | RolePolicy::None => {}
        }
        let mut command = login.equip(Command::look(argv));
        command.time_limit = END_LIMIT;
        let child = ChildReader::start(&command)
            .map_err(|error| SourceError::Tool { tool: "pg_dumpall".into(), error })?;
        let (login, database) = (login.clone(), database.to_owned());
        Ok(Self { child, tail: Vec::new(), ended: false, before, login, psql, database })
    }
}

impl Read for GlobalsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.child.read(buffer)?;
        self.ended |= count == 0 && !buffer.is_empty();
        self.tail.extend_from_slice(&buffer[..count]);
        let over = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..over);
        Ok(count)
    }
}

impl SourceStream for GlobalsStream {
    fn finish(self: Box<Self>) -> Result<Complete, SourceError> {
        let Self { child, tail, ended, before, login, psql, database } = *self;
        let output =
            child.finish().map_err(|error| SourceError::Tool { tool: "pg_dumpall".into(), error })?;
        if !output.succeeded() {
            return Err(tool_failed(&login, "pg_dumpall", &output));
        }
        if !ended || !has_end_mark(&tail) {
            let reason = format!("`{END_MARK}` is not among its last lines");
            return Err(SourceError::Incomplete { producer: "pg_dumpall".into(), reason });
        }
        let after = server_counts(&login, &psql, &database)?;
        let (mut counts, mut bounds) = (Counts::default(), BTreeMap::new());
        for (key, count) in before.0 {
            match after.0.get(&key) {
                Some(later) if *later != count => {
                    bounds.insert(key, Bound::between(count, *later));
                }
                Some(_) | None => {
                    counts.0.insert(key, count);
                }
            }
        }
        Ok(Complete { counts, bounds, warnings: Vec::new(), index: None })
    }
}

/// Whether the script ends as one that is whole: its end line, and after it nothing but `\unrestrict`, comments and empty
/// lines.
pub(super) fn has_end_mark(tail: &[u8]) -> bool {
    let text = String::from_utf8_lossy(tail);
    if !text.ends_with('\n') {
        return false;
    }
    let mut lines = text.lines().rev();
    let after = |line: &&str| line.is_empty() || *line == "--" || line.starts_with("\\unrestrict ");
    lines.find(|line| !after(line)) == Some(END_MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_line_is_found_before_unrestrict_and_missed_where_the_script_was_cut() {
        let whole = format!("CREATE ROLE a;\n--\n{END_MARK}\n--\n\n\\unrestrict abc\n\n");
        assert!(has_end_mark(whole.as_bytes()));
        for cut in [&whole[..20], &whole[..40], &whole[..whole.len() - 3]] {
            assert!(!has_end_mark(cut.as_bytes()), "{cut}");
        }
        assert!(!has_end_mark(format!("{END_MARK}\nCREATE ROLE b;\n").as_bytes()));
    }
}
