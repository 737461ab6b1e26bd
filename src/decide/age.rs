//! Ages in the words of people. For display only: nothing is decided from these texts.

use jiff::{SignedDuration, Timestamp};

/// Says how long ago something was, such as `3 h ago`; a time ahead of the clock is `in 3 h`.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let age = now.duration_since(at);
    if age.is_negative() {
        return format!("in {}", human_span(age.abs()));
    }
    if age.as_secs() < 5 { "just now".to_owned() } else { format!("{} ago", human_span(age)) }
}

/// Says how long something is in its largest whole unit, such as `45 s`, `3 h` or `12 d`.
pub fn human_span(span: SignedDuration) -> String {
    let seconds = span.as_secs().unsigned_abs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_the_largest_whole_unit() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().expect("a time");
        let before = |seconds: i64| now - SignedDuration::from_secs(seconds);
        for (seconds, words) in [
            (0, "just now"),
            (90, "90 s ago"),
            (600, "10 min ago"),
            (3 * 3600, "3 h ago"),
            (50 * 3600, "2 d ago"),
            (-10_800, "in 3 h"),
        ] {
            assert_eq!(ago(before(seconds), now), words);
        }
    }
}
