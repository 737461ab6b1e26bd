//! Signs of progress of this process, for whoever watches that a run does not hang.
//!
//! A sign says only that bytes or entries moved, never that they moved rightly.

use std::sync::atomic::{AtomicU64, Ordering};

static BEATS: AtomicU64 = AtomicU64::new(0);
static EXCUSED: AtomicU64 = AtomicU64::new(0);

/// Says that something moved: a buffer was read, written or compared, an entry was looked at.
pub fn beat() {
    BEATS.fetch_add(1, Ordering::Relaxed);
}

/// How often something has moved; none while something goes on that gives no sign and has a limit of its own.
pub fn beats() -> Option<u64> {
    (EXCUSED.load(Ordering::Relaxed) == 0).then(|| BEATS.load(Ordering::Relaxed))
}

/// As long as it lives, no sign is expected: a hook runs, or a database checks itself.
#[derive(Debug)]
pub struct Excuse(());

impl Excuse {
    /// Begins.
    pub fn begin() -> Self {
        EXCUSED.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Excuse {
    fn drop(&mut self) {
        EXCUSED.fetch_sub(1, Ordering::Relaxed);
        beat();
    }
}
