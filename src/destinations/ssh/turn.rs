//! Turns: of those in this process that would put something under one name, one at a time.
//!
//! For protocols that cannot refuse a name that is taken in the same instant: rivals of this process are kept apart here,
//! those of other processes by the set's lock.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};

static TAKEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static GIVEN_BACK: Condvar = Condvar::new();

/// The turn for one name, given back when dropped.
#[derive(Debug)]
pub(super) struct Turn(String);

impl Turn {
    /// Waits for it.
    pub fn take(location: &str, path: &str) -> Self {
        let name = format!("{location}\0{path}");
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        while taken.contains(&name) {
            taken = GIVEN_BACK.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        taken.insert(name.clone());
        Self(name)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
        GIVEN_BACK.notify_all();
    }
}
