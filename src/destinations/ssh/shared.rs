//! The one session of a store, made when it is needed and again when it was lost.

use super::client::{Client, rest};
use super::session::{Answer, Failure, Session};
use crate::destinations::remote::store::Fault;
use crate::destinations::runtime::wait;
use crate::host::pause;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// What the store and the bodies that it gave out share: one session, made when it is needed.
#[derive(Debug)]
pub(super) struct Shared {
    pub client: Client,
    session: Mutex<Option<Arc<Session>>>,
}

impl Shared {
    /// With nothing begun yet.
    pub fn new(client: Client) -> Self {
        Self { client, session: Mutex::new(None) }
    }

    /// The session that there is, if there is one.
    pub fn held(&self) -> Option<Arc<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The session that there is, or a new one.
    pub fn session(&self) -> Result<Arc<Session>, Fault> {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*held {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(self.client.persist(|_| Session::begin(&self.client))?);
        *held = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Gives up a session that is over, and says why it is.
    pub fn forget(&self, session: &Arc<Session>, seen: &str) -> String {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|it| Arc::ptr_eq(it, session)) {
            *held = None;
        }
        drop(held);
        session.last_words(seen)
    }

    /// Gives up a session that is over; what that means for what was asked.
    pub fn lost(&self, session: &Arc<Session>, during: &'static str, seen: &str) -> Fault {
        let why = self.forget(session, seen);
        Fault::Other { during, error: io::Error::new(io::ErrorKind::ConnectionAborted, why) }
    }

    /// Asks what may be asked twice: again on another session where the first is over, as one is that lay idle for long.
    pub fn ask<T>(
        &self,
        during: &'static str,
        work: &impl AsyncFn(&Session) -> Result<T, Failure>,
    ) -> Result<Result<(Arc<Session>, T), Answer>, Fault> {
        let mut tried = 0;
        loop {
            let session = self.session()?;
            match wait(work(&session)) {
                Ok(value) => return Ok(Ok((session, value))),
                Err(Failure::Answer(answer)) => return Ok(Err(answer)),
                Err(Failure::Broken(seen)) => {
                    let fault = self.lost(&session, during, &seen);
                    if tried >= self.client.retries() {
                        return Err(fault);
                    }
                    if tried > 0 {
                        pause(rest(tried - 1));
                    }
                    tried += 1;
                }
            }
        }
    }
}
