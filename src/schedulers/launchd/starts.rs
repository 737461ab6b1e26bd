//! `StartCalendarInterval` (launchd.plist(5)): the clock patterns of a calendar as dictionaries, and back. Pure.
//!
//! A key that is missing stands for any value, so no pattern may lose one on the way. launchd goes by the host's clock.

use crate::declared::ClockPattern;
use plist::{Dictionary, Value};

/// One number, or any.
fn each(values: Option<&Vec<u8>>) -> Vec<Option<u8>> {
    values.map_or_else(|| vec![None], |values| values.iter().copied().map(Some).collect())
}

/// The dictionaries of the patterns: launchd takes one number for each key, so every combination has its own.
pub(super) fn intervals(patterns: &[ClockPattern]) -> Vec<Value> {
    let mut all = Vec::new();
    for pattern in patterns {
        for month in each(pattern.months.as_ref()) {
            for day in each(pattern.days.as_ref()) {
                for weekday in each(pattern.weekdays.as_ref()) {
                    for hour in each(pattern.hours.as_ref()) {
                        for minute in &pattern.minutes {
                            let keys = [
                                ("Month", month),
                                ("Day", day),
                                ("Weekday", weekday),
                                ("Hour", hour),
                                ("Minute", Some(*minute)),
                            ];
                            let given = keys.into_iter().filter_map(|(key, value)| Some((key, value?)));
                            let interval: Dictionary =
                                given.map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
                            all.push(Value::Dictionary(interval));
                        }
                    }
                }
            }
        }
    }
    all
}

/// The patterns of a `StartCalendarInterval`: one for each dictionary; a single one may stand without an array. None
/// where it holds what launchd does not know.
pub(super) fn patterns(value: &Value) -> Option<Vec<ClockPattern>> {
    match value {
        Value::Array(intervals) => {
            intervals.iter().map(|interval| pattern(interval.as_dictionary()?)).collect()
        }
        single => Some(vec![pattern(single.as_dictionary()?)?]),
    }
}

fn pattern(interval: &Dictionary) -> Option<ClockPattern> {
    let known = |key: &String| ["Month", "Day", "Weekday", "Hour", "Minute"].contains(&key.as_str());
    if !interval.keys().all(known) {
        return None;
    }
    let number = |key: &str, most: u8| match interval.get(key) {
        None => Some(None),
        Some(value) => {
            let value = value.as_unsigned_integer().and_then(|value| u8::try_from(value).ok())?;
            (value <= most).then_some(Some(value))
        }
    };
    let minute = number("Minute", 59)?;
    Some(ClockPattern {
        minutes: minute.map_or_else(|| (0..60).collect(), |minute| vec![minute]),
        hours: number("Hour", 23)?.map(|it| vec![it]),
        days: number("Day", 31)?.map(|it| vec![it]),
        months: number("Month", 12)?.map(|it| vec![it]),
        // 0 and 7 are both Sunday.
        weekdays: number("Weekday", 7)?.map(|it| vec![it % 7]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::Calendar;
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    fn of(schedule: &str) -> Vec<ClockPattern> {
        let zone = "Europe/Berlin".to_owned().try_into().expect("a zone");
        let calendar = Calendar::plain(schedule.parse().expect(schedule), zone);
        calendar.clock_patterns(Some(&TimeZone::get("Europe/Berlin").expect("a zone")))
    }

    #[test]
    fn every_combination_has_its_own_dictionary() {
        assert_eq!(intervals(&of("every 6h")).len(), 4);
        assert_eq!(intervals(&of("hourly")).len(), 1, "an hour that is not named is every hour");
        assert_eq!(intervals(&of("weekly sun 04:00")).len(), 1);
    }

    #[test]
    fn patterns_start_the_same_moments_before_and_after() {
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        for schedule in ["daily 02:30", "every 15m", "weekly sun 03:00", "monthly 5 04:30", "cron 5 3 13 * 5"]
        {
            let before = of(schedule);
            let after = patterns(&Value::Array(intervals(&before))).expect(schedule);
            let mut at: Timestamp = "2026-03-27T22:11:00Z".parse().expect("an instant");
            for _ in 0..40 {
                let next = ClockPattern::next_of(&before, &berlin, at);
                assert_eq!(ClockPattern::next_of(&after, &berlin, at), next, "{schedule}");
                at = next.expect("a start");
            }
        }
    }

    #[test]
    fn what_launchd_does_not_know_is_not_guessed() {
        let interval =
            |key: &str, value: Value| Value::Dictionary([(key.to_owned(), value)].into_iter().collect());
        assert!(patterns(&interval("Hour", 3_u8.into())).is_some());
        for (key, value) in [("Hour", 24_u8.into()), ("Minute", Value::from("0")), ("Second", 0_u8.into())] {
            assert_eq!(patterns(&interval(key, value)), None, "{key}");
        }
        assert_eq!(patterns(&Value::from("daily")), None);
    }
}
