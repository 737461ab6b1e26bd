//! One at a time for each name: where a protocol's rename replaces what is there, the rivals of this process at least are
//! kept apart between looking whether a name is free and taking it.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};

static HELD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static FREED: Condvar = Condvar::new();

/// The only one that works on a name, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(in crate::destinations) struct Alone(String);

/// Waits until nobody of this process works on a name at a location.
pub(in crate::destinations) fn alone(location: &str, path: &str) -> Alone {
    let name = format!("{}/{path}", location.trim_end_matches('/'));
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = FREED.wait_while(held, |held| held.contains(&name));
    waited.unwrap_or_else(PoisonError::into_inner).insert(name.clone());
    Alone(name)
}

impl Drop for Alone {
    fn drop(&mut self) {
        HELD.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
        FREED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn two_are_never_at_one_name_and_other_names_do_not_wait() {
        let inside = AtomicU32::new(0);
        let elsewhere = alone("test://rivals", "other");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _alone = alone("test://rivals/", "name");
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        drop(elsewhere);
    }
}
