//! Talks to a server through `psql`, whose login is exactly that of `pg_dump`.
//!
//! Every row is asked for as one JSON array: a name may hold any character, a newline too. Nothing here waits without
//! a limit, and no answer is taken for whole before its end was seen.

use super::SourceError;
use super::login::Login;
use crate::host::{Command, Dialogue, Ender, Host};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Longest that looking at a server may take for each question.
const LOOK_LIMIT: Duration = Duration::from_secs(30);
/// The same, told to the server, so that it gives up by itself.
const LOOK_STATEMENT: &str = "set statement_timeout = '20s';\nset lock_timeout = '5s';\n";
/// Longest that a client may take to go after it was told to.
const END_LIMIT: Duration = Duration::from_secs(30);
/// In every session: names come as UTF-8, nothing is hidden by row security, nothing but asked for is found.
const MANNERS: &str = "set client_encoding = 'UTF8';\nset row_security = off;\nset datestyle = 'ISO';\n";

fn row(line: &str, login: &Login) -> Result<Value, SourceError> {
    serde_json::from_str(line)
        .map_err(|_| login.refused(format!("psql answered `{line}`, which was not asked for")))
}

/// Asks once, in a session of its own, and only looks.
pub(super) fn ask(
    host: &dyn Host,
    login: &Login,
    psql: &Path,
    database: &str,
    sql: &str,
) -> Result<Vec<Value>, SourceError> {
    let mut command = login.equip(Command::look(login.psql(psql, database)));
    command.time_limit = LOOK_LIMIT;
    let script = format!("{MANNERS}set default_transaction_read_only = on;\n{LOOK_STATEMENT}{sql}\n;\n");
    command.stdin = Some(script.into_bytes());
    let output = host.run(&command).map_err(|error| SourceError::Tool { tool: "psql".into(), error })?;
    if !output.succeeded() {
        return Err(login.refused(login.reason(&output)));
    }
    output.text().lines().filter(|line| !line.is_empty()).map(|line| row(line, login)).collect()
}

/// A session that stays open.
#[derive(Debug)]
pub(super) struct Session {
    dialogue: Option<Dialogue>,
    login: Login,
    asked: u64,
}

impl Session {
    /// Logs in.
    pub fn open(login: &Login, psql: &Path, database: &str) -> Result<Self, SourceError> {
        let mut command = login.equip(Command::look(login.psql(psql, database)));
        command.time_limit = END_LIMIT;
        let dialogue =
            Dialogue::start(&command).map_err(|error| SourceError::Tool { tool: "psql".into(), error })?;
        let mut session = Self { dialogue: Some(dialogue), login: login.clone(), asked: 0 };
        session.rows(&format!(
            "{MANNERS}set statement_timeout = 0;\nset idle_in_transaction_session_timeout = 0"
        ))?;
        Ok(session)
    }

    /// The rows that SQL gives, all of them.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Value>, SourceError> {
        self.asked += 1;
        let mark = format!("bkp-end-{}", self.asked);
        let Some(dialogue) = &mut self.dialogue else {
            return Err(self.login.refused("the session has ended"));
        };
        // A client that is gone cannot be written to, and says why when it is asked how it ended.
        let sent = dialogue.send(&format!("{sql}\n;\nselect '{mark}';\n"));
        let mut rows = Vec::new();
        while sent.is_ok() {
            match dialogue.line() {
                Ok(Some(line)) if line == mark => return Ok(rows),
                Ok(Some(line)) if line.is_empty() => {}
                Ok(Some(line)) => rows.push(row(&line, &self.login)?),
                Ok(None) | Err(_) => break,
            }
        }
        Err(self.ended())
    }

    /// What ends it while another thread waits for its answer; none where it has ended.
    pub fn ender(&self) -> Option<Ender> {
        self.dialogue.as_ref().map(Dialogue::ender)
    }

    /// Says a last thing and goes, whatever comes of it; takes as long as a client may take to go, at most.
    pub fn leave(mut self, sql: &str) {
        if let Some(mut dialogue) = self.dialogue.take()
            && dialogue.send(&format!("{sql}\n;\n")).is_ok()
        {
            let _ended = dialogue.finish();
        }
    }

    /// The rows' single value.
    pub fn text(&mut self, sql: &str) -> Result<String, SourceError> {
        let rows = self.rows(sql)?;
        let value = rows.first().and_then(|row| row.get(0)).and_then(Value::as_str);
        value.map(str::to_owned).ok_or_else(|| self.login.refused("the server answered nothing"))
    }

    /// Ends in order: what was asked for is done.
    pub fn close(mut self) -> Result<(), SourceError> {
        let Some(dialogue) = self.dialogue.take() else { return Ok(()) };
        let output = dialogue.finish().map_err(|error| SourceError::Tool { tool: "psql".into(), error })?;
        if output.succeeded() { Ok(()) } else { Err(self.login.refused(self.login.reason(&output))) }
    }

    fn ended(&mut self) -> SourceError {
        match self.dialogue.take().map(Dialogue::finish) {
            Some(Ok(output)) => self.login.refused(self.login.reason(&output)),
            Some(Err(error)) => SourceError::Tool { tool: "psql".into(), error },
            None => self.login.refused("the session has ended"),
        }
    }
}
