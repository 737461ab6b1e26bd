//! Connections to one server: those that are idle, and what is tried again with another.

use super::session::{Account, Session};
use super::trouble::Trouble;
use crate::destinations::remote::store::Fault;
use crate::destinations::remote::tries::Tries;
use std::sync::{Mutex, PoisonError};

/// Most connections that are kept for later. Servers allow one user few of them.
const IDLE_MAX: usize = 4;

/// The connections of one destination.
pub(super) struct Pool {
    account: Account,
    idle: Mutex<Vec<Session>>,
    retries: u32,
}

impl Pool {
    pub fn new(account: Account, retries: u32) -> Self {
        Self { account, idle: Mutex::new(Vec::new()), retries }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection on which nothing is under way.
    pub fn keep(&self, session: Session) {
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(session);
        }
    }

    /// How often something may be tried again.
    pub fn tries(&self) -> Tries {
        Tries::new(self.retries)
    }

    /// A connection, with whether it was idle before.
    fn take(&self) -> Result<(Session, bool), Trouble> {
        let idle = self.idle().pop();
        match idle {
            Some(session) => Ok((session, true)),
            None => Ok((self.account.open()?, false)),
        }
    }

    /// Does something with a connection of its own, which is given back with what was done. Servers end idle connections:
    /// what fails on such a one is done once more on a new one.
    pub fn once_with<T>(
        &self,
        mut work: impl FnMut(&mut Session) -> Result<T, Trouble>,
    ) -> Result<(T, Session), Trouble> {
        loop {
            let (mut session, was_idle) = self.take()?;
            match work(&mut session) {
                Ok(done) => return Ok((done, session)),
                Err(trouble) if trouble.dead && trouble.passing && was_idle => self.idle().clear(),
                Err(trouble) => {
                    if !trouble.dead {
                        self.keep(session);
                    }
                    return Err(trouble);
                }
            }
        }
    }

    /// Does something once.
    pub fn once<T>(&self, work: impl FnMut(&mut Session) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let (done, session) = self.once_with(work)?;
        self.keep(session);
        Ok(done)
    }

    /// Does something, and again where it failed for a passing reason.
    pub fn with<T>(&self, mut work: impl FnMut(&mut Session) -> Result<T, Trouble>) -> Result<T, Fault> {
        let mut tries = self.tries();
        loop {
            match self.once(&mut work) {
                Ok(done) => return Ok(done),
                Err(trouble) if trouble.passing && tries.again() => {}
                Err(trouble) => return Err(trouble.fault),
            }
        }
    }
}
