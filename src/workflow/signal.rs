//! SIGINT and SIGTERM: work in progress is given up in order, children end, and the exit status says which it was.

use crate::exit_code::ExitCode;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

static RECEIVED: AtomicI32 = AtomicI32::new(0);
/// Time for children to end in order before they are killed.
const CHILD_PATIENCE: Duration = Duration::from_secs(3);
/// Time for giving up in order before the process ends anyway.
const PATIENCE: Duration = Duration::from_secs(10);

/// What stands in `RECEIVED` where the run's own watchdog gave it up.
const GIVEN_UP: i32 = -1;
static WHY_GIVEN_UP: Mutex<Option<String>> = Mutex::new(None);

/// Tells the run that is going on to end, because it was given up for this reason, and its children with it.
pub fn give_up(reason: &str) {
    *WHY_GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    // Whoever was told to end by a signal already does so.
    let _earlier = RECEIVED.compare_exchange(0, GIVEN_UP, Ordering::SeqCst, Ordering::SeqCst);
    let told = crate::host::tell_children_to_end();
    // Not those that begin from now on: `after` hooks undo what was done before.
    std::thread::spawn(move || {
        crate::host::pause(CHILD_PATIENCE);
        crate::host::kill_groups(&told);
    });
}

/// Why the run was given up; none when it was not.
pub fn given_up() -> Option<String> {
    WHY_GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Whether we were told to end.
pub fn told_to_end() -> bool {
    RECEIVED.load(Ordering::SeqCst) != 0
}

/// The exit status of a process that was told to end; none when it was not.
pub fn exit_code() -> Option<ExitCode> {
    match RECEIVED.load(Ordering::SeqCst) {
        0 | GIVEN_UP => None,
        signal_hook::consts::SIGINT => Some(ExitCode::Interrupted),
        _ => Some(ExitCode::Terminated),
    }
}

/// Begins to listen.
pub fn listen() -> std::io::Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let again = RECEIVED.swap(signal, Ordering::SeqCst) != 0;
            let _told = crate::host::tell_children_to_end();
            if again {
                crate::host::kill_children();
                std::process::exit(i32::from(exit_code().unwrap_or(ExitCode::Terminated).status()));
            }
            std::thread::spawn(|| {
                crate::host::pause(CHILD_PATIENCE);
                crate::host::kill_children();
                crate::host::pause(PATIENCE);
                std::process::exit(i32::from(exit_code().unwrap_or(ExitCode::Terminated).status()));
            });
        }
    });
    Ok(())
}
