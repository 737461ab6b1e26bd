//! A session that stays open: a lock is held in one, and counts are taken in another's snapshot.
//!
//! A client without `--force` ends at the first error, so a session that has failed is over, and what it held is free.

use super::client::{Ask, Client, PREAMBLE, Rows};
use super::words::fields;
use crate::host::{Command, Dialogue};
use crate::sources::SourceError;

/// The end of an answer; a number follows it.
const MARK: &str = "-- bkp: end of answer ";

/// A client with one connection.
pub(super) struct Session {
    client: Client,
    dialogue: Option<Dialogue>,
    asked: u64,
}

impl Session {
    /// Logs in.
    pub(super) fn start(client: &Client, command: &Command) -> Result<Self, SourceError> {
        let dialogue = Dialogue::start(command).map_err(|error| client.not_started(error))?;
        let mut session = Self { client: client.clone(), dialogue: Some(dialogue), asked: 0 };
        session.exchange(PREAMBLE)?;
        Ok(session)
    }

    fn exchange(&mut self, statement: &str) -> Result<Rows, SourceError> {
        self.asked += 1;
        let mark = format!("{MARK}{}", self.asked);
        let Some(dialogue) = &mut self.dialogue else { return Err(self.over()) };
        let mut rows = Rows::new();
        // A client that has ended cannot be written to; how it ended says why.
        let mut alive = dialogue.send(&format!("{statement};\nSELECT '{mark}';\n")).is_ok();
        while alive {
            match dialogue.line() {
                Ok(Some(line)) if line == mark => return Ok(rows),
                Ok(Some(line)) => rows.push(fields(&line)),
                Ok(None) | Err(_) => alive = false,
            }
        }
        match self.dialogue.take().map(Dialogue::finish) {
            Some(Ok(output)) => {
                let asked = statement.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
                Err(self.client.error(&format!("`{asked} ...`"), &output))
            }
            Some(Err(error)) => Err(self.client.not_started(error)),
            None => Err(self.over()),
        }
    }

    fn over(&self) -> SourceError {
        let reason = "the session is over".to_owned();
        SourceError::Server { server: self.client.server().to_owned(), reason }
    }
}

impl Ask for Session {
    fn ask(&mut self, questions: &[String]) -> Result<Vec<Rows>, SourceError> {
        questions.iter().map(|question| self.exchange(question)).collect()
    }
}
