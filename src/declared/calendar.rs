//! When scheduled runs of a set begin: its schedule, its zone, and what holds a run back.
//!
//! A schedule alone says when a run is due. Quiet hours move what is due in them to their end, and nothing is due before
//! `not_before`. Every scheduler starts jobs at least at these instants; where it cannot express them exactly it starts
//! more often, and the job itself asks whether a run is due.

use super::clock_pattern::gap_ends_of;
use super::{JobPolicy, QuietHours, Schedule, Span, TimeZoneName};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// When scheduled runs begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// When runs are due.
    pub schedule: Schedule,
    /// The zone of every local time here.
    pub timezone: TimeZoneName,
    /// Hours in which no run begins.
    pub quiet_hours: Vec<QuietHours>,
    /// Nothing is due before.
    pub not_before: Option<DateTime>,
    /// A condition may keep a run from beginning, so that it is tried again each hour.
    pub conditional: bool,
}

impl Calendar {
    /// A schedule that nothing holds back.
    pub fn plain(schedule: Schedule, timezone: TimeZoneName) -> Self {
        Self { schedule, timezone, quiet_hours: Vec::new(), not_before: None, conditional: false }
    }

    /// A schedule with what a job's policy holds back.
    pub fn new(schedule: Schedule, timezone: TimeZoneName, policy: &JobPolicy) -> Self {
        Self {
            quiet_hours: policy.quiet_hours.clone().unwrap_or_default(),
            not_before: policy.not_before,
            conditional: policy.requires_ac_power(),
            ..Self::plain(schedule, timezone)
        }
    }

    /// The rules of its zone.
    pub fn zone(&self) -> TimeZone {
        self.timezone.zone()
    }

    /// The first instant after `after` at which a run is due; none only at the end of the calendar.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let zone = self.zone();
        let basis =
            self.first(&zone).map_or(after, |first| after.max(first - jiff::SignedDuration::from_nanos(1)));
        // What was due in quiet hours before `after` may begin only now.
        let mut due = if self.quiet_hours.is_empty() {
            basis
        } else {
            basis.checked_sub(jiff::SignedDuration::from_hours(26)).ok()?
        };
        loop {
            due = self.schedule.next_after(&zone, due)?;
            if self.first(&zone).is_some_and(|first| due < first) {
                continue;
            }
            let begins = self.released(due);
            if begins > after {
                return Some(begins);
            }
        }
    }

    /// The first instant after `after` at which a job is started: where a run is due, and where one that was held back
    /// may begin. The job itself asks whether a run is due.
    pub fn next_start(&self, after: Timestamp) -> Option<Timestamp> {
        let zone = self.zone();
        let hour = 3600;
        let next_hour = || Timestamp::from_second((after.as_second().div_euclid(hour) + 1) * hour).ok();
        let local = zone.to_datetime(after);
        let ends = self.quiet_hours.iter().filter_map(|hours| {
            let end = hours.end_after(local)?;
            super::schedule::instant_of(&zone, end).filter(|end| *end > after)
        });
        let hourly = self.conditional.then(next_hour).flatten();
        self.next_after(after).into_iter().chain(ends).chain(hourly).min()
    }

    /// The last instant at or before `at` at which a run was due; none where the first one is still to come.
    pub fn previous(&self, at: Timestamp) -> Option<Timestamp> {
        let zone = self.zone();
        let first = self.first(&zone);
        let mut due = self.schedule.previous(&zone, at)?;
        loop {
            if first.is_some_and(|first| due < first) {
                return None;
            }
            let begins = self.released(due);
            if begins <= at {
                return Some(begins);
            }
            due =
                self.schedule.previous(&zone, due.checked_sub(jiff::SignedDuration::from_nanos(1)).ok()?)?;
        }
    }

    /// The quiet hours that an instant lies in.
    pub fn quiet(&self, at: Timestamp) -> Option<QuietHours> {
        let time = self.zone().to_datetime(at).time();
        self.quiet_hours.iter().copied().find(|hours| hours.contains(time))
    }

    /// When a run that is due at an instant may begin: at once, or where quiet hours end.
    pub fn released(&self, at: Timestamp) -> Timestamp {
        let zone = self.zone();
        let mut begins = at;
        // Hours that touch each other are passed one after the other; those that fill the day hold nothing back.
        for _ in 0..=self.quiet_hours.len() {
            let Some(hours) = self.quiet(begins) else { return begins };
            let Some(end) = hours
                .end_after(zone.to_datetime(begins))
                .and_then(|end| super::schedule::instant_of(&zone, end))
            else {
                return begins;
            };
            begins = end;
        }
        at
    }

    /// The shortest time between two due instants, changes of clocks apart.
    pub fn period_min(&self) -> Span {
        self.schedule.period_min()
    }

    /// The calendar as systemd's `OnCalendar` expressions (systemd.time(7)). systemd skips a local time that a change of
    /// clocks skips, so the end of each such gap has one of its own; so has the end of quiet hours.
    pub fn on_calendar(&self) -> Vec<String> {
        let zone = &self.timezone;
        let mut lines = self.schedule.on_calendar(zone);
        let clock =
            |time: jiff::civil::Time| format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
        let gaps: std::collections::BTreeSet<_> = gap_ends_of(self).into_iter().map(|(gap, _)| gap).collect();
        for gap in gaps {
            let day = super::on_calendar::calendar_weekday(gap.weekday);
            lines.push(format!("{day} *-{:02}-* {} {zone}", gap.month, clock(gap.time)));
        }
        lines.extend(self.quiet_hours.iter().map(|hours| format!("*-*-* {} {zone}", clock(hours.until()))));
        if self.conditional {
            lines.push(format!("*-*-* *:00:00 {zone}"));
        }
        let mut seen = std::collections::BTreeSet::new();
        lines.retain(|line| seen.insert(line.clone()));
        lines
    }

    fn first(&self, zone: &TimeZone) -> Option<Timestamp> {
        super::schedule::instant_of(zone, self.not_before?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(schedule: &str, zone: &str, quiet: &[&str], not_before: Option<&str>) -> Calendar {
        Calendar {
            quiet_hours: quiet.iter().map(|it| it.parse().expect("hours")).collect(),
            not_before: not_before.map(|it| it.parse().expect("a time")),
            ..Calendar::plain(
                schedule.parse().expect("a schedule"),
                zone.to_owned().try_into().expect("a zone"),
            )
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    fn run_of(calendar: &Calendar, from: &str, count: usize) -> Vec<String> {
        let mut now = at(from);
        let mut found = Vec::new();
        for _ in 0..count {
            now = calendar.next_after(now).expect("a next run");
            found.push(now.to_string());
        }
        found
    }

    #[test]
    fn what_is_due_in_quiet_hours_begins_once_at_their_end() {
        let calendar = calendar("every 4h", "UTC", &["09:00-18:00"], None);
        let found = run_of(&calendar, "2026-11-20T04:00:00Z", 5);
        let wanted = [
            "2026-11-20T08:00:00Z",
            "2026-11-20T18:00:00Z",
            "2026-11-20T20:00:00Z",
            "2026-11-21T00:00:00Z",
            "2026-11-21T04:00:00Z",
        ];
        assert_eq!(found, wanted);
        assert_eq!(calendar.previous(at("2026-11-20T17:59:00Z")), Some(at("2026-11-20T08:00:00Z")));
        assert_eq!(calendar.previous(at("2026-11-20T19:00:00Z")), Some(at("2026-11-20T18:00:00Z")));
    }

    #[test]
    fn quiet_hours_over_midnight_end_in_the_morning() {
        let calendar = calendar("daily 23:30", "Europe/Berlin", &["22:00-06:00"], None);
        assert_eq!(
            run_of(&calendar, "2026-11-20T12:00:00Z", 2),
            ["2026-11-21T05:00:00Z", "2026-11-22T05:00:00Z"]
        );
    }

    #[test]
    fn hours_that_touch_are_passed_together() {
        let calendar = calendar("daily 08:00", "UTC", &["07:00-12:00", "12:00-14:00"], None);
        assert_eq!(run_of(&calendar, "2026-11-20T00:00:00Z", 1), ["2026-11-20T14:00:00Z"]);
    }

    #[test]
    fn hours_that_fill_the_day_hold_nothing_back() {
        let calendar = calendar("daily 08:00", "UTC", &["00:00-12:00", "12:00-00:00"], None);
        assert_eq!(run_of(&calendar, "2026-11-20T00:00:00Z", 1), ["2026-11-20T08:00:00Z"]);
    }

    #[test]
    fn nothing_is_due_before_its_first_day() {
        let calendar = calendar("daily 03:00", "UTC", &[], Some("2026-12-01T00:00"));
        assert_eq!(run_of(&calendar, "2026-11-20T00:00:00Z", 1), ["2026-12-01T03:00:00Z"]);
        assert_eq!(calendar.previous(at("2026-11-30T00:00:00Z")), None);
        assert_eq!(calendar.previous(at("2026-12-01T03:00:00Z")), Some(at("2026-12-01T03:00:00Z")));
    }

    #[test]
    fn what_was_held_back_is_started_again() {
        let quiet = calendar("daily 03:00", "Europe/Berlin", &["08:00-18:00"], None);
        assert_eq!(quiet.next_start(at("2026-11-20T09:00:00Z")), Some(at("2026-11-20T17:00:00Z")));
        assert_eq!(quiet.next_start(at("2026-11-20T17:00:00Z")), Some(at("2026-11-21T02:00:00Z")));
        let conditional = Calendar { conditional: true, ..calendar("daily 03:00", "UTC", &[], None) };
        assert_eq!(conditional.next_start(at("2026-11-20T09:00:00Z")), Some(at("2026-11-20T10:00:00Z")));
        assert_eq!(conditional.next_start(at("2026-11-20T09:59:59.5Z")), Some(at("2026-11-20T10:00:00Z")));
        let plain = calendar("daily 03:00", "UTC", &[], None);
        assert_eq!(
            plain.next_start(at("2026-11-20T09:00:00Z")),
            plain.next_after(at("2026-11-20T09:00:00Z"))
        );
    }

    #[test]
    fn first_instant_itself_counts() {
        let calendar = calendar("daily 03:00", "UTC", &[], Some("2026-12-01T03:00"));
        assert_eq!(run_of(&calendar, "2026-11-20T00:00:00Z", 1), ["2026-12-01T03:00:00Z"]);
    }
}
