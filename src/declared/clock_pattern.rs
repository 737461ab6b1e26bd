//! A calendar in the words of a scheduler that knows only its host's clock: cron, launchd.
//!
//! Such a scheduler gets every local time at which a run can be due, under every offset that the two zones have had or
//! will have in the years looked at, and the job itself asks whether a run is due. So the patterns may hold too many
//! times, and must never miss one. What they say depends on the declaration and on the two zones' rules alone, never on
//! today's date: the same job is always rendered alike.

use super::schedule::{DayPattern, instant_of};
use super::{Calendar, Schedule};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};

const MINUTES_A_DAY: u16 = 1440;
/// The years whose changes of clocks are looked at. A change of the rules reaches us by a new time zone database.
const YEARS: (i16, i16) = (2025, 2045);
/// More patterns of days than this are left to the due-check.
const DAY_PATTERNS_MAX: usize = 400;

/// Local times at which a scheduler starts a job; `None` is any. At most one of `days` and `weekdays` is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockPattern {
    /// Minutes of the hour.
    pub minutes: Vec<u8>,
    /// Hours of the day.
    pub hours: Option<Vec<u8>>,
    /// Days of the month.
    pub days: Option<Vec<u8>>,
    /// Months, from 1.
    pub months: Option<Vec<u8>>,
    /// Days of the week; 0 is Sunday.
    pub weekdays: Option<Vec<u8>>,
}

/// A moment of a local day at which a change of clocks ends a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GapEnd {
    pub month: i8,
    /// 0 is Sunday.
    pub weekday: u8,
    pub time: Time,
}

fn minute_of(time: Time) -> u16 {
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
}

fn begin(year: i16) -> Timestamp {
    Date::new(year, 1, 1)
        .ok()
        .and_then(|date| date.to_zoned(TimeZone::UTC).ok())
        .map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp())
}

/// The instants at which a zone's clocks change in the years looked at.
fn changes(zone: &TimeZone) -> Vec<Timestamp> {
    let end = begin(YEARS.1);
    zone.following(begin(YEARS.0)).map(|change| change.timestamp()).take_while(|at| *at < end).collect()
}

/// The minutes of the day at which a schedule is due.
fn due_minutes(schedule: &Schedule) -> BTreeSet<u16> {
    schedule.times().into_iter().map(minute_of).collect()
}

/// The gaps of its zone that a calendar's times fall into, ends of quiet hours among them, but for those whose end is
/// one of the times anyway.
pub(super) fn gap_ends_of(calendar: &Calendar) -> BTreeSet<(GapEnd, Timestamp)> {
    let mut times = due_minutes(&calendar.schedule);
    times.extend(quiet_ends(calendar));
    gap_ends(&times, &calendar.zone())
}

fn quiet_ends(calendar: &Calendar) -> BTreeSet<u16> {
    calendar.quiet_hours.iter().map(|hours| minute_of(hours.until())).collect()
}

fn gap_ends(times: &BTreeSet<u16>, zone: &TimeZone) -> BTreeSet<(GapEnd, Timestamp)> {
    let mut found = BTreeSet::new();
    for at in changes(zone) {
        let Ok(before) = at.checked_sub(jiff::SignedDuration::from_secs(1)) else { continue };
        let (last, first) = (zone.to_datetime(before), zone.to_datetime(at));
        let skipped = first.duration_since(last).as_secs() / 60;
        let begins = minute_of(last.time()) + 1;
        let hit = (0..skipped).any(|it| {
            let minute = (i64::from(begins) + it) % i64::from(MINUTES_A_DAY);
            u16::try_from(minute).is_ok_and(|minute| times.contains(&minute))
        });
        if skipped > 0 && hit && !times.contains(&minute_of(first.time())) {
            let weekday = u8::try_from(first.weekday().to_sunday_zero_offset()).unwrap_or(0);
            found.insert((GapEnd { month: first.month(), weekday, time: first.time() }, at));
        }
    }
    found
}

/// How far, in minutes, a host's clock is ahead of a zone's, at any time in the years looked at.
fn leads(zone: &TimeZone, host: &TimeZone) -> BTreeSet<i32> {
    let mut instants = vec![begin(YEARS.0)];
    instants.extend(changes(zone));
    instants.extend(changes(host));
    let lead = |at: Timestamp| (host.to_offset(at).seconds() - zone.to_offset(at).seconds()).div_euclid(60);
    instants.into_iter().map(lead).collect()
}

fn shifted(minute: u16, lead: i32) -> u16 {
    let day = i32::from(MINUTES_A_DAY);
    u16::try_from((i32::from(minute) + lead).rem_euclid(day)).unwrap_or(0)
}

/// Minutes of the day as patterns: hours with the same minutes together.
fn patterns(minutes: &BTreeSet<u16>) -> Vec<ClockPattern> {
    let mut by_hour: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for minute in minutes {
        let (hour, minute) = (u8::try_from(minute / 60).unwrap_or(0), u8::try_from(minute % 60).unwrap_or(0));
        by_hour.entry(hour).or_default().push(minute);
    }
    let mut by_minutes: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for (hour, minutes) in by_hour {
        by_minutes.entry(minutes).or_default().push(hour);
    }
    let pattern = |(minutes, hours): (Vec<u8>, Vec<u8>)| ClockPattern {
        minutes,
        hours: (hours.len() < 24).then_some(hours),
        days: None,
        months: None,
        weekdays: None,
    };
    by_minutes.into_iter().map(pattern).collect()
}

impl Calendar {
    /// The times at which a scheduler that reads the host's clock has to start a job, so that none at which a run is due
    /// is missed. Where the host's zone is not known, every quarter of an hour stands for it.
    pub fn clock_patterns(&self, host: Option<&TimeZone>) -> Vec<ClockPattern> {
        let zone = self.zone();
        let due = due_minutes(&self.schedule);
        let leads = match host {
            Some(host) => leads(&zone, host),
            None => (0..96).map(|quarter| quarter * 15).collect(),
        };
        let same = leads.iter().all(|lead| *lead == 0);
        let mut times: BTreeSet<u16> =
            due.iter().flat_map(|minute| leads.iter().map(|lead| shifted(*minute, *lead))).collect();
        let shown = |(_, at): (GapEnd, Timestamp)| host.map(|host| minute_of(host.to_datetime(at).time()));
        times.extend(gap_ends(&due, &zone).into_iter().filter_map(shown));
        let quiet = quiet_ends(self);
        let mut released: BTreeSet<u16> =
            quiet.iter().flat_map(|end| leads.iter().map(|lead| shifted(*end, *lead))).collect();
        released.extend(gap_ends(&quiet, &zone).into_iter().filter_map(shown));
        if self.conditional {
            let minute = due.first().copied().unwrap_or(0) % 60;
            released.extend((0..24).map(|hour| hour * 60 + minute));
        }
        let days = if same { self.schedule.day_patterns() } else { Vec::new() };
        if days.is_empty() || days.len() > DAY_PATTERNS_MAX {
            times.extend(released);
            return patterns(&times);
        }
        let on = |pattern: &ClockPattern, day: &DayPattern| ClockPattern {
            days: day.days.clone(),
            months: day.months.clone(),
            weekdays: day.weekdays.clone(),
            ..pattern.clone()
        };
        let on_days = patterns(&times);
        let mut all: Vec<ClockPattern> =
            days.iter().flat_map(|day| on_days.iter().map(move |pattern| on(pattern, day))).collect();
        all.extend(patterns(&released));
        all
    }

    /// Whether a scheduler starts the job at times when no run may be due, so that the job has to ask.
    pub fn needs_due_check(&self) -> bool {
        self.conditional
            || self.not_before.is_some()
            || !self.quiet_hours.is_empty()
            || !gap_ends_of(self).is_empty()
    }
}

impl ClockPattern {
    /// Whether a local time, in whole minutes, is one of the pattern's.
    pub fn matches(&self, at: DateTime) -> bool {
        let holds = |list: &Option<Vec<u8>>, value: i8| {
            list.as_ref().is_none_or(|list| list.contains(&value.unsigned_abs()))
        };
        self.minutes.contains(&at.minute().unsigned_abs())
            && holds(&self.hours, at.hour())
            && holds(&self.days, at.day())
            && holds(&self.months, at.month())
            && holds(&self.weekdays, at.weekday().to_sunday_zero_offset())
    }

    /// The first instant after `after` at which the host's clock shows a time of one of the patterns: what such a
    /// scheduler will start next. A time that comes twice counts twice; one that is skipped does not come.
    pub fn next_of(patterns: &[Self], host: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut candidates: BTreeSet<Timestamp> = BTreeSet::new();
        let mut date = host.to_datetime(after).date();
        // A yearly pattern may be eight years away.
        for _ in 0..366 * 9 {
            for pattern in patterns {
                if !pattern.matches_day(date) {
                    continue;
                }
                let every: Vec<u8> = (0..24).collect();
                for hour in pattern.hours.as_ref().unwrap_or(&every) {
                    for minute in &pattern.minutes {
                        let time = date.at(hour.cast_signed(), minute.cast_signed(), 0, 0);
                        candidates.extend(shown(host, time).into_iter().filter(|at| *at > after));
                    }
                }
            }
            if let Some(first) = candidates.first() {
                return Some(*first);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn matches_day(&self, date: Date) -> bool {
        let holds = |list: &Option<Vec<u8>>, value: i8| {
            list.as_ref().is_none_or(|list| list.contains(&value.unsigned_abs()))
        };
        holds(&self.days, date.day())
            && holds(&self.months, date.month())
            && holds(&self.weekdays, date.weekday().to_sunday_zero_offset())
    }
}

/// The instants at which a clock shows a local time: none in a gap, two in a fold.
fn shown(zone: &TimeZone, time: DateTime) -> Vec<Timestamp> {
    use jiff::tz::AmbiguousOffset;
    match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Gap { .. } => Vec::new(),
        AmbiguousOffset::Fold { before, after } => {
            [before, after].into_iter().filter_map(|offset| offset.to_timestamp(time).ok()).collect()
        }
        AmbiguousOffset::Unambiguous { .. } => instant_of(zone, time).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(schedule: &str, zone: &str) -> Calendar {
        let zone = zone.to_owned().try_into().expect("a zone");
        Calendar::plain(schedule.parse().expect("a schedule"), zone)
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect(name)
    }

    fn times(calendar: &Calendar, host: &str) -> Vec<String> {
        let text = |it: &ClockPattern| {
            format!("{:?} {:?} {:?} {:?} {:?}", it.minutes, it.hours, it.days, it.months, it.weekdays)
                .replace("None", "*")
                .replace("Some(", "")
                .replace(')', "")
        };
        calendar.clock_patterns(Some(&zone(host))).iter().map(text).collect()
    }

    #[test]
    fn schedule_in_the_hosts_own_zone_keeps_its_days() {
        assert_eq!(
            times(&calendar("weekly sun 03:00", "Europe/Berlin"), "Europe/Berlin"),
            ["[0] [3] * * [0]"]
        );
        assert_eq!(times(&calendar("monthly 5 04:30", "UTC"), "UTC"), ["[30] [4] [5] * *"]);
        assert_eq!(
            times(&calendar("cron 0 3 13 * 5", "UTC"), "UTC"),
            ["[0] [3] [13] * *", "[0] [3] * * [5]"]
        );
        assert_eq!(times(&calendar("every 15m", "UTC"), "UTC"), ["[0, 15, 30, 45] * * * *"]);
    }

    #[test]
    fn skipped_time_has_a_start_at_the_end_of_its_gap() {
        let found = times(&calendar("daily 02:30", "Europe/Berlin"), "Europe/Berlin");
        assert_eq!(found, ["[0] [3] * * *", "[30] [2] * * *"]);
    }

    #[test]
    fn schedule_in_another_zone_starts_at_every_time_that_it_can_be_there() {
        assert_eq!(times(&calendar("daily 03:00", "UTC"), "Europe/Berlin"), ["[0] [4, 5] * * *"]);
        assert_eq!(times(&calendar("weekly sun 03:00", "Europe/Berlin"), "UTC"), ["[0] [1, 2] * * *"]);
        assert_eq!(times(&calendar("daily 00:10", "UTC"), "Asia/Kathmandu"), ["[55] [5] * * *"]);
    }

    #[test]
    fn unknown_host_zone_is_met_by_every_quarter() {
        let found = calendar("daily 03:05", "Asia/Kathmandu").clock_patterns(None);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].minutes.as_slice(), &found[0].hours), (&[5, 20, 35, 50][..], &None));
    }

    #[test]
    fn only_what_can_be_exact_goes_without_asking() {
        assert!(!calendar("daily 03:00", "UTC").needs_due_check());
        assert!(!calendar("daily 03:30", "Europe/Berlin").needs_due_check());
        assert!(!calendar("hourly", "Europe/Berlin").needs_due_check());
        assert!(calendar("daily 02:30", "Europe/Berlin").needs_due_check());
    }

    #[test]
    fn next_start_is_what_the_hosts_clock_shows() {
        let berlin = zone("Europe/Berlin");
        let patterns = calendar("daily 02:30", "Europe/Berlin").clock_patterns(Some(&berlin));
        let next = |after: &str| {
            let after: Timestamp = after.parse().expect("an instant");
            ClockPattern::next_of(&patterns, &berlin, after).expect("a next start").to_string()
        };
        assert_eq!(next("2026-03-29T00:00:00Z"), "2026-03-29T01:00:00Z");
        assert_eq!(next("2026-10-25T00:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(next("2026-10-25T00:30:00Z"), "2026-10-25T01:30:00Z");
    }
}
