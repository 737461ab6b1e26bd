//! Calendars under schedulers that know only their own words: the host's clock, and systemd's expressions.
//!
//! Such a scheduler may start a job too often, and the job asks whether a run is due; so what runs must be exactly what the
//! calendar says, across every change of clocks.

use bkp::declared::{Calendar, ClockPattern, QuietHours, Schedule, TimeZoneName};
use bkp::host::{Command, Host, RealHost};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Changes of an hour at different times of day, of half an hour, in both halves of the year; none at all; odd offsets.
const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "America/Santiago",
];

fn instant(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect(name)
}

/// Stretches of 2026 that a schedule is followed through: a rare one through the year, any other around each change of
/// clocks of either zone.
fn stretches(calendar: &Calendar, host: &TimeZone) -> Vec<(Timestamp, Timestamp)> {
    let (begin, end) = (instant("2026-01-01T00:00:00Z"), instant("2027-01-01T00:00:00Z"));
    if calendar.period_min().seconds() >= 6 * 86_400 {
        return vec![(begin, end)];
    }
    let around = if calendar.period_min().seconds() >= 3600 { 60 } else { 14 };
    let changes = |zone: &TimeZone| {
        zone.following(begin).map(|it| it.timestamp()).take_while(|at| *at < end).collect::<Vec<_>>()
    };
    let around = SignedDuration::from_hours(around);
    let mut at: BTreeSet<Timestamp> = changes(&calendar.zone()).into_iter().chain(changes(host)).collect();
    at.insert(instant("2026-06-10T09:17:00Z"));
    at.into_iter().map(|at| (at - around, at + around)).collect()
}

/// What the calendar says, after the first instant and up to the last.
fn declared(calendar: &Calendar, (begin, end): (Timestamp, Timestamp)) -> Vec<Timestamp> {
    let next = |at: &Timestamp| calendar.next_after(*at).filter(|next| *next <= end);
    std::iter::successors(next(&begin), next).collect()
}

/// Of so many starts that do not run one asks the calendar itself, which is slow for rare schedules.
const ASKED: usize = 50;

/// What runs of what is started: a start runs when one was due since the last run.
fn due(
    calendar: &Calendar,
    (begin, end): (Timestamp, Timestamp),
    starts: impl IntoIterator<Item = Timestamp>,
) -> Vec<Timestamp> {
    let declared = declared(calendar, (begin, end));
    let mut runs: Vec<Timestamp> = Vec::new();
    for (index, start) in starts.into_iter().enumerate() {
        let last = runs.last().copied().unwrap_or(begin);
        let latest = declared.iter().copied().rfind(|at| *at <= start);
        let runs_now = latest.is_some_and(|due| due > last);
        if runs_now || index % ASKED == 0 {
            let previous = calendar.previous(start).filter(|at| *at > begin);
            assert_eq!(previous, latest, "the last instant before {start} is the same from both sides");
        }
        if runs_now {
            runs.push(start);
        }
    }
    runs
}

fn time() -> impl Strategy<Value = String> {
    // Most changes of clocks come between midnight and four.
    let hour = prop_oneof![3 => 0..4_u8, 1 => 4..24_u8];
    let minute = prop_oneof![2 => prop::sample::select(vec![0_u8, 1, 15, 30, 59]), 1 => 0..60_u8];
    (hour, minute).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"))
}

fn schedule() -> impl Strategy<Value = String> {
    let weekday = prop::sample::select(vec!["sun", "mon", "thu", "fri", "sat"]);
    let crons = [
        "30 2 * * *",
        "*/20 1-3 * * *",
        "0 0 28 2 *",
        "15 0 13 * 5",
        "5 */7 * 3,10,11 *",
        "59 23 * * 6",
        "0 1,2 * * 0",
    ];
    prop_oneof![
        Just("hourly".to_owned()),
        prop::sample::select(vec!["20m", "30m", "90m", "4h", "12h", "24h"])
            .prop_map(|it| format!("every {it}")),
        time().prop_map(|at| format!("daily {at}")),
        (weekday, time()).prop_map(|(day, at)| format!("weekly {day} {at}")),
        (1..=28_u8, time()).prop_map(|(day, at)| format!("monthly {day} {at}")),
        prop::sample::select(crons.to_vec()).prop_map(|it| format!("cron {it}")),
    ]
}

fn calendar() -> impl Strategy<Value = Calendar> {
    let quiet =
        prop::option::weighted(0.3, prop::sample::select(vec!["01:30-03:10", "22:00-02:30", "09:00-17:00"]));
    (schedule(), prop::sample::select(ZONES.to_vec()), quiet).prop_map(|(schedule, zone, quiet)| {
        let schedule: Schedule = schedule.parse().expect("a schedule");
        let zone: TimeZoneName = zone.to_owned().try_into().expect("a zone");
        let quiet_hours = quiet.into_iter().map(|it| it.parse::<QuietHours>().expect("hours")).collect();
        Calendar { quiet_hours, ..Calendar::plain(schedule, zone) }
    })
}

/// Every elapse of an expression, as systemd itself works it out.
fn elapses(expression: &str, (begin, end): (Timestamp, Timestamp), count: usize) -> Vec<Timestamp> {
    let base = begin.to_string().replace('T', " ").replace('Z', " UTC");
    let (base, iterations) = (format!("--base-time={base}"), format!("--iterations={count}"));
    let mut command = Command::look(["systemd-analyze", "calendar", &base, &iterations, expression]);
    for (name, value) in [("TZ", "UTC"), ("LC_ALL", "C")] {
        command.env.insert(name.to_owned(), value.into());
    }
    let output = RealHost.run(&command).expect("systemd-analyze runs");
    assert!(output.succeeded(), "{expression}: {}", output.explain());
    let at = |line: &str| {
        let line = line.trim();
        let is_elapse = line.starts_with("Next elapse: ") || line.starts_with("Iter. #");
        let (_, at) = line.split_once(": ").filter(|_| is_elapse)?;
        let words: Vec<&str> = at.split_whitespace().collect();
        let [_, date, time, "UTC"] = words.as_slice() else {
            assert_eq!(at, "never", "{expression}");
            return None;
        };
        Some(instant(&format!("{date}T{time}Z")))
    };
    let all: Vec<Timestamp> = output.text().lines().filter_map(at).collect();
    let reached = all.len() < count || all.last().is_some_and(|last| *last > end);
    assert!(reached, "{expression}: {count} elapses do not reach {end}");
    all.into_iter().filter(|at| *at <= end).collect()
}

fn starts(calendar: &Calendar, host: &TimeZone, (begin, end): (Timestamp, Timestamp)) -> Vec<Timestamp> {
    let patterns = calendar.clock_patterns(Some(host));
    let next = |at: &Timestamp| ClockPattern::next_of(&patterns, host, *at).filter(|next| *next <= end);
    std::iter::successors(next(&begin), next).collect()
}

#[test]
fn end_of_quiet_hours_that_a_change_of_clocks_skips_has_a_start_where_the_gap_ends() {
    let quiet_hours = vec!["22:00-02:30".parse().expect("hours")];
    let berlin: TimeZoneName = "Europe/Berlin".to_owned().try_into().expect("a zone");
    let calendar =
        Calendar { quiet_hours, ..Calendar::plain("daily 23:00".parse().expect("a schedule"), berlin) };
    let stretch = (instant("2026-03-28T12:00:00Z"), instant("2026-03-29T12:00:00Z"));
    assert_eq!(declared(&calendar, stretch), [instant("2026-03-29T01:00:00Z")]);
    for host in ["UTC", "Europe/Berlin", "Asia/Kathmandu"] {
        assert_eq!(
            due(&calendar, stretch, starts(&calendar, &zone(host), stretch)),
            declared(&calendar, stretch),
            "{host}"
        );
    }
    let lines = calendar.on_calendar();
    let starts: BTreeSet<Timestamp> = lines.iter().flat_map(|line| elapses(line, stretch, 9)).collect();
    assert_eq!(due(&calendar, stretch, starts), declared(&calendar, stretch), "{lines:?}");
}

#[test]
fn hours_of_a_day_whose_midnight_is_skipped_are_no_dead_timer() {
    for (zone, at) in [("America/Santiago", "2026-09-05T12:00:00Z"), ("Africa/Cairo", "2026-04-23T12:00:00Z")]
    {
        let zone: TimeZoneName = zone.to_owned().try_into().expect("a zone");
        for schedule in ["every 4h", "every 12h", "daily 00:00", "hourly"] {
            let calendar = Calendar::plain(schedule.parse().expect("a schedule"), zone.clone());
            let begin = instant(at);
            let stretch = (begin, begin + SignedDuration::from_hours(30));
            let lines = calendar.on_calendar();
            let starts: BTreeSet<Timestamp> =
                lines.iter().flat_map(|line| elapses(line, stretch, 40)).collect();
            assert_eq!(due(&calendar, stretch, starts), declared(&calendar, stretch), "{lines:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn starts_by_the_hosts_clock_run_exactly_what_is_declared(
        calendar in calendar(), host in prop::sample::select(ZONES.to_vec())
    ) {
        let host = zone(host);
        for stretch in stretches(&calendar, &host) {
            let starts = starts(&calendar, &host, stretch);
            prop_assert_eq!(due(&calendar, stretch, starts), declared(&calendar, stretch));
        }
    }
}

#[test]
fn rare_day_is_found_in_reasonable_time() {
    let calendar = Calendar::plain("cron 0 0 29 2 *".parse().expect("a schedule"), TimeZoneName::default());
    let began = std::time::Instant::now();
    assert_eq!(calendar.previous(instant("2026-06-01T00:00:00Z")), Some(instant("2024-02-29T00:00:00Z")));
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

proptest! {
    // Each case asks systemd for each line of each stretch.
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_systemd_starts_runs_exactly_what_is_declared(calendar in calendar()) {
        for stretch in stretches(&calendar, &TimeZone::UTC) {
            let seconds = usize::try_from(stretch.1.duration_since(stretch.0).as_secs()).expect("positive");
            let count = 8 + seconds / usize::try_from(calendar.period_min().seconds().min(3600)).expect("small");
            let lines = calendar.on_calendar();
            let starts: BTreeSet<Timestamp> =
                lines.iter().flat_map(|line| elapses(line, stretch, count.min(9000))).collect();
            prop_assert_eq!(due(&calendar, stretch, starts.iter().copied()), declared(&calendar, stretch), "{:?}", lines);
            if !calendar.needs_due_check() {
                prop_assert_eq!(starts.into_iter().collect::<Vec<_>>(), declared(&calendar, stretch), "{:?}", lines);
            }
        }
    }
}
