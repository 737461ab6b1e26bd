//! A limit to how many bytes pass in a second.

use crate::declared::ByteSize;
use crate::host::pulse;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest nap, so that a run that is told to end is not held up by one.
const NAP_MAX: Duration = Duration::from_millis(200);

/// A limit that all streams of one destination share.
#[derive(Debug, Clone)]
pub(in crate::destinations) struct Throttle(Option<Arc<Bucket>>);

#[derive(Debug)]
struct Bucket {
    bytes_per_second: u64,
    /// Until when what has passed takes, at that rate.
    paid_until: Mutex<Instant>,
}

impl Throttle {
    /// A limit, or none.
    pub fn new(rate: Option<ByteSize>) -> Self {
        Self(rate.map(|rate| {
            Arc::new(Bucket { bytes_per_second: rate.bytes(), paid_until: Mutex::new(Instant::now()) })
        }))
    }

    /// A reader that passes no faster.
    pub fn reader<R: Read>(&self, body: R) -> Throttled<R> {
        Throttled { body, throttle: self.clone() }
    }

    fn pay(&self, bytes: usize) {
        let Some(bucket) = &self.0 else { return };
        let nanoseconds = bytes as u128 * 1_000_000_000 / u128::from(bucket.bytes_per_second.max(1));
        let cost = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let until = {
            let mut paid = bucket.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
            // What was not used in the past is not saved up.
            *paid = (*paid).max(Instant::now()) + cost;
            *paid
        };
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|it| !it.is_zero()) {
            // To wait for one's turn is no stall.
            pulse::beat();
            crate::host::pause(left.min(NAP_MAX));
        }
    }
}

/// A reader with a limit.
pub(in crate::destinations) struct Throttled<R> {
    body: R,
    throttle: Throttle,
}

impl<R: Read> Read for Throttled<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.body.read(buffer)?;
        self.throttle.pay(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_streams_share_one_limit() {
        let throttle = Throttle::new("1MiB".parse().ok());
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let throttle = &throttle;
                scope.spawn(move || {
                    let body = vec![0_u8; 300 << 10];
                    io::copy(&mut throttle.reader(body.as_slice()), &mut io::sink()).expect("memory")
                });
            }
        });
        let took = began.elapsed();
        assert!((400..2000).contains(&took.as_millis()), "{took:?} for 600 KiB at 1 MiB/s");
    }
}
