//! Whether the newest snapshot is as new as the schedule promises.

use crate::declared::{Calendar, Span};
use jiff::Timestamp;

/// How fresh a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// No run that should have followed it is missing.
    Fresh,
    /// The run that should have followed it did not, and the grace is over.
    Overdue {
        /// When the next run was due.
        expected: Timestamp,
        /// When the grace ended.
        since: Timestamp,
    },
}

/// Tells whether the first run that is due after `newest` lies more than `grace` in the past.
pub fn freshness(calendar: &Calendar, grace: Span, newest: Timestamp, now: Timestamp) -> Freshness {
    // At the end of the calendar nothing is due any more.
    let Some(expected) = calendar.next_after(newest) else { return Freshness::Fresh };
    match expected.checked_add(grace.signed()) {
        Ok(since) if since < now => Freshness::Overdue { expected, since },
        Ok(_) | Err(_) => Freshness::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::TimeZoneName;

    #[test]
    fn overdue_begins_when_the_grace_after_the_next_due_run_is_over() {
        let at = |text: &str| text.parse::<Timestamp>().expect(text);
        let calendar = Calendar::plain("daily 03:00".parse().expect("a schedule"), TimeZoneName::default());
        let judge =
            |now: &str| freshness(&calendar, Span::from_seconds(3600), at("2026-11-20T03:00:10Z"), at(now));
        assert_eq!(judge("2026-11-20T03:01:00Z"), Freshness::Fresh);
        assert_eq!(judge("2026-11-21T04:00:00Z"), Freshness::Fresh);
        let (expected, since) = (at("2026-11-21T03:00:00Z"), at("2026-11-21T04:00:00Z"));
        assert_eq!(judge("2026-11-21T04:00:01Z"), Freshness::Overdue { expected, since });
    }
}
