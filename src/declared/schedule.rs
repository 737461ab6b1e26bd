//! When a set is due: one string in the plan file, and the instants it stands for.
//!
//! A schedule is a pattern of local date-times. A local time that a change of clocks skips counts at the end of the
//! gap; one that comes twice counts the first time.

use super::Span;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

pub(super) const MINUTES_A_DAY: u32 = 1440;
/// Longest that a search looks ahead, in days: a 29 February can be eight years away.
const SEARCH_DAYS: i32 = 366 * 9;
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Why a schedule was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not one of the forms.
    #[error(
        "`{0}` is not a schedule: write `hourly`, `every 4h`, `daily 03:00`, `weekly sun 03:00`, `monthly 1 03:00` \
         or `cron 0 3 * * *`"
    )]
    Malformed(String),
    /// An interval that would drift from day to day.
    #[error("`every {0}` does not divide a day into equal parts; try {1}")]
    Uneven(String, String),
    /// Not a time of day.
    #[error("`{0}` is not a time of day: write 00:00 to 23:59")]
    BadTime(String),
    /// Not a day that every month has, or not a day at all.
    #[error("`{0}` is not a day of the month that every month has: write 1 to 28, or use `cron`")]
    BadDay(String),
    /// Not a cron expression of five fields.
    #[error("`{0}` is not a cron expression of five fields: {1}")]
    BadCron(String, String),
    /// A cron expression that never comes true.
    #[error("`{0}` never comes true")]
    Never(String),
}

/// When something is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// At the start of every hour.
    Hourly,
    /// At equal parts of the day, counted from midnight.
    Every {
        /// Minutes between two runs; divides 1440.
        minutes: u32,
    },
    /// Once a day.
    Daily {
        /// Local time.
        at: Time,
    },
    /// Once a week.
    Weekly {
        /// 0 is Sunday.
        weekday: u8,
        /// Local time.
        at: Time,
    },
    /// Once a month.
    Monthly {
        /// 1 to 28.
        day: i8,
        /// Local time.
        at: Time,
    },
    /// A cron expression.
    Cron(CronSchedule),
}

/// A cron expression of five fields, with each field spelled out (crontab(5): where both day fields are set, either
/// is enough).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronSchedule {
    text: String,
    pub(super) minutes: Vec<i8>,
    pub(super) hours: Vec<i8>,
    pub(super) days: Option<Vec<i8>>,
    pub(super) months: Option<Vec<i8>>,
    /// 0 is Sunday.
    pub(super) weekdays: Option<Vec<u8>>,
}

/// Days on which a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DayPattern {
    pub days: Option<Vec<u8>>,
    pub months: Option<Vec<u8>>,
    pub weekdays: Option<Vec<u8>>,
}

fn small(values: &[u16]) -> Vec<i8> {
    values.iter().filter_map(|value| i8::try_from(*value).ok()).collect()
}

impl CronSchedule {
    fn parse(text: &str) -> Result<Self, ScheduleError> {
        let bad = |why: String| ScheduleError::BadCron(text.to_owned(), why);
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| bad(error.to_string()))?;
        let pattern = &cron.pattern;
        if pattern.days.has_modifiers() || pattern.days_of_week.has_modifiers() {
            return Err(bad("`L`, `W` and `#` are not supported".to_owned()));
        }
        let starred = |field: usize| text.split_whitespace().nth(field).is_some_and(|it| it.starts_with('*'));
        let whole =
            |field: usize| text.split_whitespace().nth(field).is_some_and(|it| it == "*" || it == "?");
        let mut weekdays: Vec<u8> =
            pattern.days_of_week.values().iter().filter_map(|day| u8::try_from(*day % 7).ok()).collect();
        weekdays.sort_unstable();
        weekdays.dedup();
        let schedule = Self {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            minutes: small(&pattern.minutes.values()),
            hours: small(&pattern.hours.values()),
            days: (!whole(2)).then(|| small(&pattern.days.values())),
            months: (!whole(3)).then(|| small(&pattern.months.values())),
            weekdays: (!whole(4)).then_some(weekdays),
        };
        // `*/2` in one day field and a value in the other means "and" to some crons and "or" to others.
        let mixed = schedule.days.is_some() && schedule.weekdays.is_some() && (starred(2) || starred(4));
        if mixed {
            return Err(bad(
                "`*/n` in one day field beside a value in the other is read differently by different crons"
                    .to_owned(),
            ));
        }
        Ok(schedule)
    }

    fn on(&self, date: Date) -> bool {
        let month = self.months.as_ref().is_none_or(|months| months.contains(&date.month()));
        let weekday = u8::try_from(date.weekday().to_sunday_zero_offset()).unwrap_or(0);
        let day = match (&self.days, &self.weekdays) {
            (None, None) => true,
            (Some(days), None) => days.contains(&date.day()),
            (None, Some(weekdays)) => weekdays.contains(&weekday),
            (Some(days), Some(weekdays)) => days.contains(&date.day()) || weekdays.contains(&weekday),
        };
        month && day
    }
}

pub(super) fn parse_time(text: &str) -> Result<Time, ScheduleError> {
    let bad = || ScheduleError::BadTime(text.to_owned());
    let (hour, minute) = text.split_once(':').ok_or_else(bad)?;
    let two_digits = |part: &str| (part.len() == 2).then(|| part.parse::<i8>().ok()).flatten();
    let (hour, minute) = (two_digits(hour).ok_or_else(bad)?, two_digits(minute).ok_or_else(bad)?);
    Time::new(hour, minute, 0, 0).map_err(|_| bad())
}

fn parse_every(text: &str) -> Result<Schedule, ScheduleError> {
    let span: Span = text.parse().map_err(|_| ScheduleError::Malformed(format!("every {text}")))?;
    let minutes = u32::try_from(span.seconds() / 60).unwrap_or(u32::MAX);
    let even = span.seconds().is_multiple_of(60)
        && (1..=MINUTES_A_DAY).contains(&minutes)
        && MINUTES_A_DAY.is_multiple_of(minutes);
    if even {
        return Ok(Schedule::Every { minutes });
    }
    let divisors = (1..=MINUTES_A_DAY).filter(|it| MINUTES_A_DAY.is_multiple_of(*it));
    // From an hour on, people think in hours.
    let whole = |it: &u32| minutes < 60 || it.is_multiple_of(60);
    let nearest = divisors.filter(whole).min_by_key(|it| it.abs_diff(minutes)).unwrap_or(60);
    let nearest = Span::from_seconds(u64::from(nearest) * 60);
    Err(ScheduleError::Uneven(text.to_owned(), format!("`every {nearest}`")))
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let malformed = || ScheduleError::Malformed(text.to_owned());
        match words.as_slice() {
            ["hourly"] => Ok(Self::Hourly),
            ["every", interval] => parse_every(interval),
            ["daily", at] => Ok(Self::Daily { at: parse_time(at)? }),
            ["weekly", day, at] => {
                let weekday = WEEKDAYS.iter().position(|name| name == day).ok_or_else(malformed)?;
                Ok(Self::Weekly { weekday: u8::try_from(weekday).unwrap_or(0), at: parse_time(at)? })
            }
            ["monthly", day, at] => {
                let bad = || ScheduleError::BadDay((*day).to_owned());
                let day: i8 = day.parse().ok().filter(|day| (1..=28).contains(day)).ok_or_else(bad)?;
                Ok(Self::Monthly { day, at: parse_time(at)? })
            }
            ["cron", fields @ ..] if !fields.is_empty() => {
                let schedule = Self::Cron(CronSchedule::parse(&fields.join(" "))?);
                let start = Date::constant(2024, 1, 1).at(0, 0, 0, 0);
                schedule.next_civil(start).ok_or_else(|| ScheduleError::Never(text.to_owned()))?;
                Ok(schedule)
            }
            _ => Err(malformed()),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hourly => formatter.write_str("hourly"),
            Self::Every { minutes } => {
                write!(formatter, "every {}", Span::from_seconds(u64::from(*minutes) * 60))
            }
            Self::Daily { at } => write!(formatter, "daily {:02}:{:02}", at.hour(), at.minute()),
            Self::Weekly { weekday, at } => {
                let day = WEEKDAYS[usize::from(*weekday) % 7];
                write!(formatter, "weekly {day} {:02}:{:02}", at.hour(), at.minute())
            }
            Self::Monthly { day, at } => {
                write!(formatter, "monthly {day} {:02}:{:02}", at.hour(), at.minute())
            }
            Self::Cron(cron) => write!(formatter, "cron {}", cron.text),
        }
    }
}

impl Schedule {
    fn on(&self, date: Date) -> bool {
        match self {
            Self::Hourly | Self::Every { .. } | Self::Daily { .. } => true,
            Self::Weekly { weekday, .. } => {
                date.weekday().to_sunday_zero_offset() == i8::try_from(*weekday).unwrap_or(0)
            }
            Self::Monthly { day, .. } => date.day() == *day,
            Self::Cron(cron) => cron.on(date),
        }
    }

    /// The first time of day in the pattern that is later than `after`, or the first of all.
    fn time_after(&self, after: Option<Time>) -> Option<Time> {
        let minute_of =
            |time: Time| u32::from(time.hour().unsigned_abs()) * 60 + u32::from(time.minute().unsigned_abs());
        let time_of = |minute: u32| {
            let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
            Time::new(hour, minute, 0, 0).ok()
        };
        let stepped = |step: u32| {
            let next = after.map_or(0, |time| (minute_of(time) / step + 1) * step);
            (next < MINUTES_A_DAY).then(|| time_of(next)).flatten()
        };
        match self {
            Self::Hourly => stepped(60),
            Self::Every { minutes } => stepped(*minutes),
            Self::Daily { at } | Self::Weekly { at, .. } | Self::Monthly { at, .. } => {
                after.is_none_or(|after| *at > after).then_some(*at)
            }
            Self::Cron(cron) => {
                let mut times = cron
                    .hours
                    .iter()
                    .flat_map(|hour| cron.minutes.iter().map(move |minute| (*hour, *minute)));
                let later = |(hour, minute): &(i8, i8)| {
                    after.is_none_or(|after| (*hour, *minute) > (after.hour(), after.minute()))
                };
                let (hour, minute) = times.find(later)?;
                Time::new(hour, minute, 0, 0).ok()
            }
        }
    }

    /// The first local date-time in the pattern after the given one.
    fn next_civil(&self, after: DateTime) -> Option<DateTime> {
        if self.on(after.date())
            && let Some(time) = self.time_after(Some(after.time()))
        {
            return Some(after.date().to_datetime(time));
        }
        let mut date = after.date();
        for _ in 0..SEARCH_DAYS {
            date = date.tomorrow().ok()?;
            if self.on(date) {
                return Some(date.to_datetime(self.time_after(None)?));
            }
        }
        None
    }

    /// The first due instant after `after`; none only at the end of the calendar.
    pub fn next_after(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut civil = zone.to_datetime(after);
        loop {
            civil = self.next_civil(civil)?;
            let instant = instant_of(zone, civil)?;
            if instant > after {
                return Some(instant);
            }
        }
    }

    /// The last due instant at or before `at`.
    pub fn previous(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        let mut window = self.period_min().signed();
        let longest = jiff::SignedDuration::from_hours(24 * i64::from(SEARCH_DAYS));
        while window <= longest {
            window = window.saturating_mul(2);
            let mut last = None;
            let mut next = self.next_after(zone, at.checked_sub(window).ok()?)?;
            while next <= at {
                last = Some(next);
                next = self.next_after(zone, next)?;
            }
            if last.is_some() {
                return last;
            }
        }
        None
    }

    /// The shortest time between two due instants, changes of clocks apart.
    pub fn period_min(&self) -> Span {
        match self {
            Self::Hourly => Span::from_seconds(3600),
            Self::Every { minutes } => Span::from_seconds(u64::from(*minutes) * 60),
            Self::Daily { .. } => Span::from_seconds(86_400),
            Self::Weekly { .. } => Span::from_seconds(7 * 86_400),
            Self::Monthly { .. } => Span::from_seconds(28 * 86_400),
            Self::Cron(_) => self.shortest_gap(),
        }
    }

    fn shortest_gap(&self) -> Span {
        let mut civil = Date::constant(2024, 1, 1).at(0, 0, 0, 0);
        let mut shortest = u64::MAX;
        for index in 0..200 {
            let Some(next) = self.next_civil(civil) else { break };
            if index > 0 {
                let gap = next.duration_since(civil).as_secs();
                shortest = shortest.min(u64::try_from(gap).unwrap_or(u64::MAX));
            }
            civil = next;
        }
        Span::from_seconds(shortest)
    }

    /// Every time of day in the pattern.
    pub(super) fn times(&self) -> Vec<Time> {
        let mut times = Vec::new();
        let mut next = self.time_after(None);
        while let Some(time) = next {
            times.push(time);
            next = self.time_after(Some(time));
        }
        times
    }

    /// The days in the pattern; none where it is every day, several where either is enough.
    pub(super) fn day_patterns(&self) -> Vec<DayPattern> {
        let every = DayPattern { days: None, months: None, weekdays: None };
        let unsigned = |values: &Vec<i8>| values.iter().map(|it| it.unsigned_abs()).collect::<Vec<_>>();
        match self {
            Self::Hourly | Self::Every { .. } | Self::Daily { .. } => Vec::new(),
            Self::Weekly { weekday, .. } => vec![DayPattern { weekdays: Some(vec![*weekday]), ..every }],
            Self::Monthly { day, .. } => vec![DayPattern { days: Some(vec![day.unsigned_abs()]), ..every }],
            Self::Cron(cron) => {
                let every = DayPattern { months: cron.months.as_ref().map(unsigned), ..every };
                let days =
                    cron.days.as_ref().map(|it| DayPattern { days: Some(unsigned(it)), ..every.clone() });
                let weekdays = cron
                    .weekdays
                    .as_ref()
                    .map(|it| DayPattern { weekdays: Some(it.clone()), ..every.clone() });
                let found: Vec<_> = days.into_iter().chain(weekdays).collect();
                if found.is_empty() && every.months.is_some() { vec![every] } else { found }
            }
        }
    }
}

/// The instant of a local date-time: in a gap its end, in a fold the first.
pub(super) fn instant_of(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Gap { before, after } => {
            // With the offset from before, the skipped time lies behind the change of clocks by what was skipped.
            let behind = before.to_timestamp(civil).ok()?;
            let ahead = after.to_timestamp(civil).ok()?;
            zone.following(ahead.checked_sub(1.second()).ok()?)
                .next()
                .map(|change| change.timestamp())
                .filter(|it| *it <= behind)
        }
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
    }
}

impl Serialize for Schedule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
