//! Schedules in systemd's words (systemd.time(7)).

use super::TimeZoneName;
use super::schedule::{CronSchedule, MINUTES_A_DAY, Schedule};
use jiff::civil::Time;

impl Schedule {
    /// The schedule as systemd's `OnCalendar` expressions (systemd.time(7)). Where both day fields of a cron expression
    /// are set there are two, because systemd would demand both and cron is content with either.
    pub(super) fn on_calendar(&self, zone: &TimeZoneName) -> Vec<String> {
        match self {
            Self::Hourly => vec![format!("*-*-* *:00:00 {zone}")],
            Self::Every { minutes } => {
                every_calendar(*minutes).iter().map(|it| format!("*-*-* {it} {zone}")).collect()
            }
            Self::Daily { at } => vec![format!("*-*-* {} {zone}", clock(*at))],
            Self::Weekly { weekday, at } => {
                vec![format!("{} *-*-* {} {zone}", calendar_weekday(*weekday), clock(*at))]
            }
            Self::Monthly { day, at } => vec![format!("*-*-{day:02} {} {zone}", clock(*at))],
            Self::Cron(cron) => cron_calendar(cron, zone),
        }
    }
}

fn clock(at: Time) -> String {
    format!("{:02}:{:02}:00", at.hour(), at.minute())
}

pub(super) fn calendar_weekday(weekday: u8) -> &'static str {
    ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][usize::from(weekday) % 7]
}

fn every_calendar(minutes: u32) -> Vec<String> {
    if minutes == MINUTES_A_DAY {
        return vec!["00:00:00".to_owned()];
    }
    if 60_u32.is_multiple_of(minutes) {
        return vec![if minutes == 60 { "*:00:00".to_owned() } else { format!("*:00/{minutes:02}:00") }];
    }
    if minutes.is_multiple_of(60) {
        // With an end: systemd 252 cannot work out `00/4` where a change of clocks skips midnight ("Resource deadlock
        // avoided"), and a timer of it would be dead.
        return vec![format!("00..23/{}:00:00", minutes / 60)];
    }
    (0..MINUTES_A_DAY / minutes)
        .map(|it| it * minutes)
        .map(|it| format!("{:02}:{:02}:00", it / 60, it % 60))
        .collect()
}

fn cron_calendar(cron: &CronSchedule, zone: &TimeZoneName) -> Vec<String> {
    let list = |values: &[i8]| values.iter().map(|it| format!("{it:02}")).collect::<Vec<_>>().join(",");
    let all = |values: &[i8], count: usize| if values.len() == count { "*".to_owned() } else { list(values) };
    let months = cron.months.as_deref().map_or_else(|| "*".to_owned(), list);
    let time = format!("{}:{}:00", all(&cron.hours, 24), all(&cron.minutes, 60));
    let by_day = |days: &str| format!("*-{months}-{days} {time} {zone}");
    let by_weekday = |weekdays: &[u8]| {
        let names = weekdays.iter().map(|it| calendar_weekday(*it)).collect::<Vec<_>>().join(",");
        format!("{names} *-{months}-* {time} {zone}")
    };
    match (&cron.days, &cron.weekdays) {
        (None, None) => vec![by_day("*")],
        (Some(days), None) => vec![by_day(&list(days))],
        (None, Some(weekdays)) => vec![by_weekday(weekdays)],
        (Some(days), Some(weekdays)) => vec![by_day(&list(days)), by_weekday(weekdays)],
    }
}
