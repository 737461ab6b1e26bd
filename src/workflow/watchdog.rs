//! Ends a run that takes too long or that no longer moves, with everything it has started.
//!
//! First it is told to end, so that uploads are given up and `after` hooks run. Where it cannot even do that, because a
//! call into the system never comes back, the end is noted in the journal and the process ends.

use super::event::{Event, Listener};
use super::{journal, signal};
use crate::declared::{SetName, Span};
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::host::{Host, kill_children, pause, pulse};
use crate::observed::JournalEvent;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two looks.
const STEP: Duration = Duration::from_millis(500);
/// Most time that a run gets to end in order; no more than it may go without moving.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest that the journal's last line may take.
const LAST_LINE_PATIENCE: Duration = Duration::from_secs(5);

/// What a run is held to.
pub struct Watch<'a> {
    /// The host.
    pub host: &'a dyn Host,
    /// The state folder of the set's journal.
    pub state: &'a Path,
    /// The set.
    pub set: &'a SetName,
    /// It is ended after this long.
    pub time_limit: Span,
    /// It is ended when nothing has moved for this long.
    pub stall_limit: Span,
    /// Is told why it is ended.
    pub listener: Listener<'a>,
}

/// Says that the run has ended.
struct Bell {
    ended: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rung.notify_all();
    }

    /// Waits; true as soon as the run has ended.
    fn wait(&self, limit: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let (ended, _) = self
            .rung
            .wait_timeout_while(ended, limit, |ended| !*ended)
            .unwrap_or_else(PoisonError::into_inner);
        *ended
    }
}

/// Rings also when the run panics, so that nobody waits for ever.
struct Ringer<'a>(&'a Bell);

impl Drop for Ringer<'_> {
    fn drop(&mut self) {
        self.0.ring();
    }
}

impl Watch<'_> {
    /// Does a run's work under watch. `last_event` is what the journal gets when the work cannot even be told to end.
    pub fn over<T>(&self, last_event: &(dyn Fn(&str) -> JournalEvent + Sync), work: impl FnOnce() -> T) -> T {
        let bell = Bell { ended: Mutex::new(false), rung: Condvar::new() };
        std::thread::scope(|scope| {
            scope.spawn(|| self.look(&bell, last_event));
            let _ringer = Ringer(&bell);
            work()
        })
    }

    fn look(&self, bell: &Bell, last_event: &(dyn Fn(&str) -> JournalEvent + Sync)) {
        let begun = Instant::now();
        let (mut moved_at, mut seen) = (begun, pulse::beats());
        while !bell.wait(STEP) {
            let beats = pulse::beats();
            if beats.is_none() || beats != seen {
                (moved_at, seen) = (Instant::now(), beats);
            }
            let reason = if begun.elapsed() > self.time_limit.duration() {
                format!("it was ended at its time limit of {}", self.time_limit)
            } else if moved_at.elapsed() > self.stall_limit.duration() {
                format!("it was ended because nothing moved for {} (`stall_limit`)", self.stall_limit)
            } else {
                continue;
            };
            let what = format!("set `{}`: {reason}", self.set);
            (self.listener)(Event::Trouble(Diagnostic::new("run given up", what)));
            signal::give_up(&reason);
            if !self.ends_in_order(bell) {
                kill_children();
                self.end_now(&reason, last_event);
            }
            return;
        }
    }

    /// Waits for the run to give up; `after` hooks have their own limit, and are waited for.
    fn ends_in_order(&self, bell: &Bell) -> bool {
        let patience = PATIENCE.min(self.stall_limit.duration());
        let mut since = Instant::now();
        while since.elapsed() < patience {
            if bell.wait(STEP) {
                return true;
            }
            if pulse::beats().is_none() {
                since = Instant::now();
            }
        }
        false
    }

    /// Ends the process. The journal may be what hangs, so its last line is waited for only so long.
    fn end_now(&self, reason: &str, last_event: &(dyn Fn(&str) -> JournalEvent + Sync)) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Where it cannot be written, the exit status says it.
                let _noted = journal::write(self.host, self.state, self.set, last_event(reason));
                std::process::exit(i32::from(ExitCode::Failed.status()));
            });
            pause(LAST_LINE_PATIENCE);
            std::process::exit(i32::from(ExitCode::Failed.status()));
        });
    }
}
