//! When schedules are due.

use super::*;
use crate::declared::TimeZoneName;

fn zone(name: &str) -> TimeZone {
    TimeZoneName::try_from(name.to_owned()).expect(name).zone()
}

fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn next(schedule: &str, zone_name: &str, after: &str) -> String {
    let schedule: Schedule = schedule.parse().expect(schedule);
    schedule.next_after(&zone(zone_name), at(after)).expect("a next run").to_string()
}

#[test]
fn what_is_written_is_read_again() {
    for text in [
        "hourly",
        "every 4h",
        "every 90m",
        "daily 03:00",
        "weekly sun 03:00",
        "monthly 1 03:00",
        "cron 0 3 * * 1-5",
    ] {
        assert_eq!(text.parse::<Schedule>().expect(text).to_string(), text);
    }
}

#[test]
fn nonsense_is_refused() {
    for text in [
        "",
        "daily",
        "daily 3:00",
        "daily 24:00",
        "every 5h",
        "every 0m",
        "every 30s",
        "weekly 03:00",
        "monthly 31 03:00",
        "cron * * * *",
        "cron 0 3 * * * *",
        "cron 0 0 30 2 *",
        "cron 0 0 L * *",
        "cron 0 0 */2 * 1",
        "sometimes",
    ] {
        assert!(text.parse::<Schedule>().is_err(), "{text}");
    }
}

#[test]
fn next_run_is_strictly_later() {
    assert_eq!(next("daily 03:00", "UTC", "2026-11-20T03:00:00Z"), "2026-11-21T03:00:00Z");
    assert_eq!(next("daily 03:00", "UTC", "2026-11-20T02:59:59.5Z"), "2026-11-20T03:00:00Z");
    assert_eq!(next("every 90m", "UTC", "2026-11-20T23:00:00Z"), "2026-11-21T00:00:00Z");
    assert_eq!(next("weekly sun 03:00", "UTC", "2026-11-20T00:00:00Z"), "2026-11-22T03:00:00Z");
    assert_eq!(next("cron 0 0 29 2 *", "UTC", "2026-11-20T00:00:00Z"), "2028-02-29T00:00:00Z");
}

#[test]
fn skipped_hour_counts_at_the_end_of_the_gap_and_doubled_hour_once() {
    assert_eq!(next("cron 30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z"), "2026-03-29T01:00:00Z");
    assert_eq!(next("cron 30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z"), "2026-03-30T00:30:00Z");
    assert_eq!(next("cron 30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z");
    assert_eq!(next("cron 30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z"), "2026-10-26T01:30:00Z");
}

#[test]
fn previous_run_is_at_or_before() {
    let schedule: Schedule = "monthly 1 03:00".parse().expect("monthly");
    let previous =
        |text: &str| schedule.previous(&TimeZone::UTC, at(text)).expect("a previous run").to_string();
    assert_eq!(previous("2026-11-20T00:00:00Z"), "2026-11-01T03:00:00Z");
    assert_eq!(previous("2026-11-01T03:00:00Z"), "2026-11-01T03:00:00Z");
    assert_eq!(previous("2026-11-01T02:59:59Z"), "2026-10-01T03:00:00Z");
}

#[test]
fn either_day_field_of_cron_is_enough() {
    let schedule: Schedule = "cron 0 3 13 * 5".parse().expect("cron");
    let lines = schedule.on_calendar(&TimeZoneName::default());
    assert_eq!(lines, ["*-*-13 03:00:00 UTC", "Fri *-*-* 03:00:00 UTC"]);
    assert_eq!(next("cron 0 3 13 * 5", "UTC", "2026-11-20T04:00:00Z"), "2026-11-27T03:00:00Z");
    assert_eq!(next("cron 0 3 13 * 5", "UTC", "2026-12-12T04:00:00Z"), "2026-12-13T03:00:00Z");
}
