//! Which snapshots of a set a destination keeps, with a reason for each.
//!
//! Only complete and verified snapshots count, and the last of them is never removed, whatever the policy or the
//! clock says. Where this host cannot restore, neither is the last that was restored elsewhere. The order is the
//! sequence and never the time.

use super::CLOCK_SLACK;
use crate::declared::{RetentionBy, RetentionPolicy, Span};
use crate::format::{Level, Outcome, SnapshotId};
use crate::observed::{ObjectsState, SnapshotFacts, SnapshotState};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use std::collections::{BTreeMap, BTreeSet};

/// A snapshot that retention judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub id: SnapshotId,
    /// Every member that was enumerated is in it.
    pub complete: bool,
    /// Its bytes were read back, and nothing that was found since speaks against them.
    pub verified: bool,
    /// When it was last restored by somebody else than this host, which cannot do so again.
    pub restored_elsewhere: Option<Timestamp>,
}

/// What becomes of a snapshot, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its name.
    pub id: SnapshotId,
    /// Whether it stays.
    pub keep: bool,
    /// Every rule that keeps it, or why it goes.
    pub reasons: Vec<String>,
}

/// Makes candidates of what was seen at a destination, and of the highest level that this host can prove there.
/// Snapshots without a manifest that was read are left out, so they are neither counted nor removed.
pub fn candidates(snapshots: &[SnapshotFacts], provable_here: Level) -> Vec<Candidate> {
    let candidate = |snapshot: &SnapshotFacts| match &snapshot.state {
        SnapshotState::NotRead
        | SnapshotState::NeverRestored
        | SnapshotState::Unsealed
        | SnapshotState::Damaged(_) => None,
        SnapshotState::Sealed(sealed) => {
            let records = || sealed.proofs.iter().filter(|it| it.manifest_sha256 == sealed.manifest_sha256);
            // Each level's newest record speaks; a manifest is written only after everything was read back.
            let newest = |level| records().filter(|it| it.level == level).max_by_key(|it| it.at);
            let (intact, restored) = (newest(Level::Intact), newest(Level::Restored));
            let disproven = [intact, restored].into_iter().flatten().any(|it| it.result != Outcome::Proven);
            let wrong = matches!(sealed.objects, ObjectsState::Wrong { .. });
            Some(Candidate {
                id: snapshot.id,
                complete: sealed.manifest.complete,
                verified: !disproven && !wrong,
                restored_elsewhere: restored.map(|it| it.at).filter(|_| provable_here < Level::Restored),
            })
        }
    };
    snapshots.iter().filter_map(candidate).collect()
}

/// Decides which snapshots stay; the verdicts come in order of sequence. No policy keeps all.
///
/// - `last`, `hourly` ... `yearly` keep the newest snapshot of each of so many hours, days ... that have one.
/// - `within` is relative to the newest verified snapshot, and a gap between two neighbours counts as a quarter of
///   `within` at most: neither a clock that jumped nor a machine that was off for long makes everything old at once.
/// - A newest snapshot that lies ahead of the clock (the clock was set back) suspends every removal.
/// - Incomplete snapshots go once a complete and verified one has followed.
pub fn retention(
    policy: Option<&RetentionPolicy>,
    zone: &TimeZone,
    candidates: &[Candidate],
    now: Timestamp,
) -> Vec<Verdict> {
    let mut sorted = candidates.to_vec();
    sorted.sort_by_key(|candidate| candidate.id);
    let keep_all = |reason: &str| {
        let keep = |it: &Candidate| Verdict { id: it.id, keep: true, reasons: vec![reason.to_owned()] };
        sorted.iter().map(keep).collect()
    };
    let Some(policy) = policy.filter(|policy| !policy.is_empty()) else {
        return keep_all("no retention is declared: everything is kept");
    };
    match policy.by {
        None => {}
        Some(RetentionBy::Provider) => return keep_all("the provider removes what is old"),
        Some(RetentionBy::Pruner) => return keep_all("another host removes what is old"),
    }
    if sorted.last().is_some_and(|newest| newest.id.started_at() > now) {
        return keep_all("the newest snapshot lies ahead of the clock: nothing is removed");
    }
    let future = |candidate: &Candidate| candidate.id.started_at() > now + CLOCK_SLACK;
    let counted: Vec<SnapshotId> =
        sorted.iter().rev().filter(|it| it.complete && it.verified && !future(it)).map(|it| it.id).collect();
    let mut kept = kept_by_rules(policy, zone, &counted);
    // The newest proof, which need not be the newest snapshot's.
    let restored = sorted.iter().filter(|it| counted.contains(&it.id));
    let restored = restored.filter_map(|it| Some((it.restored_elsewhere?, it.id))).max();
    if let Some((_, id)) = restored {
        kept.entry(id).or_insert_with(|| vec!["the last one that was restored always stays".to_owned()]);
    }
    let verdict = |candidate: &Candidate| {
        let (keep, reasons) = if future(candidate) {
            (true, vec!["dated in the future: neither counted nor removed".to_owned()])
        } else if !candidate.complete {
            match counted.first() {
                Some(newest) if *newest > candidate.id => {
                    (false, vec![format!("incomplete, and {newest} is complete")])
                }
                Some(_) | None => (true, vec!["incomplete, and no complete one has followed".to_owned()]),
            }
        } else if !candidate.verified {
            (true, vec!["not verified: neither counted nor removed".to_owned()])
        } else {
            match kept.get(&candidate.id) {
                Some(reasons) => (true, reasons.clone()),
                None => (false, vec!["not kept by any rule".to_owned()]),
            }
        };
        Verdict { id: candidate.id, keep, reasons }
    };
    sorted.iter().map(verdict).collect()
}

type Reasons = BTreeMap<SnapshotId, Vec<String>>;

/// The snapshots that a rule keeps; `newest_first` has the complete and verified ones.
fn kept_by_rules(policy: &RetentionPolicy, zone: &TimeZone, newest_first: &[SnapshotId]) -> Reasons {
    let mut kept = Reasons::new();
    let mut keep = |id: SnapshotId, reason: String| kept.entry(id).or_default().push(reason);
    if let Some(last) = policy.last {
        for (index, id) in newest_first.iter().take(last as usize).enumerate() {
            keep(*id, format!("last {} of {last}", index + 1));
        }
    }
    for (word, count, bucket) in buckets(policy) {
        let mut seen = BTreeSet::new();
        for id in newest_first {
            if seen.len() >= count as usize {
                break;
            }
            if seen.insert(bucket(&id.started_at().to_zoned(zone.clone()))) {
                keep(*id, format!("{word} {} of {count}", seen.len()));
            }
        }
    }
    if let Some(within) = policy.within {
        for id in within_of(within, newest_first) {
            keep(id, format!("within {within}"));
        }
    }
    if let Some(newest) = newest_first.first()
        && !kept.contains_key(newest)
    {
        kept.insert(*newest, vec!["the last verified one always stays".to_owned()]);
    }
    kept
}

type Bucket = fn(&Zoned) -> (i32, i32);

fn buckets(policy: &RetentionPolicy) -> Vec<(&'static str, u32, Bucket)> {
    let rules: [(&'static str, Option<u32>, Bucket); 5] = [
        // Hours are told apart by the instant, so the doubled hour of autumn counts as two.
        ("hourly", policy.hourly, |time| {
            let hour = (time.timestamp().as_second() + i64::from(time.offset().seconds())).div_euclid(3600);
            (i32::try_from(hour).unwrap_or(i32::MAX), time.offset().seconds())
        }),
        ("daily", policy.daily, |time| (i32::from(time.year()), i32::from(time.day_of_year()))),
        ("weekly", policy.weekly, |time| {
            let week = time.date().iso_week_date();
            (i32::from(week.year()), i32::from(week.week()))
        }),
        ("monthly", policy.monthly, |time| (i32::from(time.year()), i32::from(time.month()))),
        ("yearly", policy.yearly, |time| (i32::from(time.year()), 0)),
    ];
    rules.into_iter().filter_map(|(word, count, bucket)| Some((word, count?, bucket))).collect()
}

/// The newest snapshots whose distance from the newest, with long gaps cut, is at most `within`.
fn within_of(within: Span, newest_first: &[SnapshotId]) -> Vec<SnapshotId> {
    let longest = within.signed();
    let gap_max = longest / 4;
    let mut distance = SignedDuration::ZERO;
    let mut kept = Vec::new();
    let mut newer: Option<SnapshotId> = None;
    for id in newest_first {
        if let Some(newer) = newer {
            let gap = newer.started_at().duration_since(id.started_at());
            distance = distance.saturating_add(gap.clamp(SignedDuration::ZERO, gap_max));
        }
        if distance > longest {
            break;
        }
        kept.push(*id);
        newer = Some(*id);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    fn daily(days: i64) -> Vec<Candidate> {
        let start = at("2026-01-01T03:00:00Z");
        let one = |day: i64| {
            let time = start + SignedDuration::from_hours(24 * day);
            let sequence = u64::try_from(day).expect("not negative") + 1;
            Candidate {
                id: SnapshotId::new(time, sequence),
                complete: true,
                verified: true,
                restored_elsewhere: None,
            }
        };
        (0..days).map(one).collect()
    }

    fn kept(verdicts: &[Verdict]) -> Vec<u64> {
        verdicts.iter().filter(|it| it.keep).map(|it| it.id.sequence()).collect()
    }

    #[test]
    fn rules_keep_the_newest_of_each_bucket_and_say_so() {
        let policy = RetentionPolicy { last: Some(2), weekly: Some(3), ..RetentionPolicy::default() };
        let verdicts = retention(Some(&policy), &TimeZone::UTC, &daily(30), at("2026-01-31T00:00:00Z"));
        // 2026-01-30 is a Friday; the Sundays before it are the 25th and the 18th.
        assert_eq!(kept(&verdicts), [18, 25, 29, 30]);
        assert_eq!(verdicts[29].reasons, ["last 1 of 2", "weekly 1 of 3"]);
        assert_eq!(verdicts[0].reasons, ["not kept by any rule"]);
    }

    #[test]
    fn within_is_relative_to_the_newest_and_not_to_the_clock() {
        let policy = RetentionPolicy { within: "7d".parse().ok(), ..RetentionPolicy::default() };
        let verdicts = retention(Some(&policy), &TimeZone::UTC, &daily(30), at("2027-01-01T00:00:00Z"));
        assert_eq!(kept(&verdicts), (23..=30).collect::<Vec<_>>());
    }

    #[test]
    fn clock_that_jumped_ahead_removes_at_most_a_quarter_of_within() {
        let policy = RetentionPolicy { within: "30d".parse().ok(), ..RetentionPolicy::default() };
        let mut all = daily(30);
        for (sequence, time) in [(31, "2036-01-01T03:00:00Z"), (32, "2036-01-02T03:00:00Z")] {
            all.push(Candidate {
                id: SnapshotId::new(at(time), sequence),
                complete: true,
                verified: true,
                restored_elsewhere: None,
            });
        }
        let verdicts = retention(Some(&policy), &TimeZone::UTC, &all, at("2036-01-02T04:00:00Z"));
        assert!(kept(&verdicts).len() >= 23, "{:?}", kept(&verdicts));
    }

    #[test]
    fn clock_that_was_set_back_removes_nothing() {
        let policy = RetentionPolicy { last: Some(1), ..RetentionPolicy::default() };
        let verdicts = retention(Some(&policy), &TimeZone::UTC, &daily(30), at("2026-01-10T00:00:00Z"));
        assert_eq!(kept(&verdicts).len(), 30);
    }

    #[test]
    fn incomplete_one_goes_when_a_complete_one_has_followed() {
        let policy = RetentionPolicy { last: Some(9), ..RetentionPolicy::default() };
        let mut all = daily(3);
        all[1].complete = false;
        all[2].complete = false;
        let verdicts = retention(Some(&policy), &TimeZone::UTC, &all, at("2026-02-01T00:00:00Z"));
        assert_eq!(kept(&verdicts), [1, 2, 3]);
        all[2].complete = true;
        let verdicts = retention(Some(&policy), &TimeZone::UTC, &all, at("2026-02-01T00:00:00Z"));
        assert_eq!(kept(&verdicts), [1, 3]);
        // A newer one that is not verified replaces nothing.
        all[2].verified = false;
        let verdicts = retention(Some(&policy), &TimeZone::UTC, &all, at("2026-02-01T00:00:00Z"));
        assert_eq!(kept(&verdicts), [1, 2, 3]);
    }

    #[test]
    fn last_one_that_was_restored_elsewhere_stays_beside_what_the_rules_keep() {
        let policy = RetentionPolicy { last: Some(1), ..RetentionPolicy::default() };
        let mut all = daily(5);
        all[0].restored_elsewhere = Some(at("2026-01-20T00:00:00Z"));
        all[2].restored_elsewhere = Some(at("2026-01-25T00:00:00Z"));
        all[3].restored_elsewhere = Some(at("2026-01-10T00:00:00Z"));
        let verdicts = retention(Some(&policy), &TimeZone::UTC, &all, at("2026-02-01T00:00:00Z"));
        assert_eq!(kept(&verdicts), [3, 5]);
        assert_eq!(verdicts[2].reasons, ["the last one that was restored always stays"]);
    }

    #[test]
    fn nothing_declared_keeps_everything() {
        assert_eq!(kept(&retention(None, &TimeZone::UTC, &daily(9), at("2030-01-01T00:00:00Z"))).len(), 9);
        let zeros = RetentionPolicy { last: Some(0), ..RetentionPolicy::default() };
        let verdicts = retention(Some(&zeros), &TimeZone::UTC, &daily(9), at("2030-01-01T00:00:00Z"));
        assert_eq!(kept(&verdicts).len(), 9);
    }

    fn any_policy() -> impl Strategy<Value = RetentionPolicy> {
        let count = || proptest::option::of(0_u32..6);
        let within = proptest::option::of((1_u64..2000).prop_map(|hours| Span::from_seconds(hours * 3600)));
        (count(), count(), count(), count(), count(), count(), within).prop_map(
            |(last, hourly, daily, weekly, monthly, yearly, within)| RetentionPolicy {
                last,
                hourly,
                daily,
                weekly,
                monthly,
                yearly,
                within,
                by: None,
            },
        )
    }

    /// Times that wander, back too, as they do on a machine with a bad clock.
    fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
        proptest::collection::vec((0_i64..40_000, any::<bool>(), 0_u8..8), 0..40).prop_map(|all| {
            let one = |(index, (hours, complete, chance)): (usize, (i64, bool, u8))| Candidate {
                id: SnapshotId::new(
                    at("2024-01-01T00:00:00Z") + SignedDuration::from_hours(hours),
                    index as u64 + 1,
                ),
                complete,
                verified: chance > 0,
                restored_elsewhere: (chance > 5)
                    .then(|| at("2029-01-01T00:00:00Z") - SignedDuration::from_hours(hours)),
            };
            all.into_iter().enumerate().map(one).collect()
        })
    }

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").expect("a zone")
    }

    proptest! {
        #[test]
        fn last_verified_and_last_restored_snapshot_are_never_removed(
            policy in any_policy(), all in any_candidates(), clock in 0_i64..50_000,
        ) {
            let now = at("2024-01-01T00:00:00Z") + SignedDuration::from_hours(clock);
            let verdicts = retention(Some(&policy), &berlin(), &all, now);
            prop_assert_eq!(verdicts.len(), all.len());
            let verified = |it: &&Candidate| it.complete && it.verified;
            if let Some(last) = all.iter().filter(verified).max_by_key(|it| it.id) {
                prop_assert!(verdicts.iter().any(|it| it.id == last.id && it.keep));
            }
            let restored = all.iter().filter(verified).filter(|it| it.id.started_at() <= now + CLOCK_SLACK);
            let restored = restored.filter_map(|it| Some((it.restored_elsewhere?, it.id))).max();
            if let Some((_, last)) = restored {
                prop_assert!(verdicts.iter().any(|it| it.id == last && it.keep));
            }
            prop_assert!(verdicts.iter().all(|it| !it.reasons.is_empty()));
        }

        #[test]
        fn second_pass_removes_nothing_more(
            policy in any_policy(), all in any_candidates(), clock in 0_i64..50_000,
        ) {
            let now = at("2024-01-01T00:00:00Z") + SignedDuration::from_hours(clock);
            let first = retention(Some(&policy), &berlin(), &all, now);
            let left: Vec<_> = all
                .iter()
                .filter(|it| first.iter().any(|verdict| verdict.id == it.id && verdict.keep))
                .copied()
                .collect();
            let second = retention(Some(&policy), &berlin(), &left, now);
            prop_assert!(second.iter().all(|it| it.keep), "{:?}", second);
        }

        #[test]
        fn policy_that_asks_for_more_keeps_at_least_as_much(
            policy in any_policy(), all in any_candidates(), more in any_policy(), clock in 0_i64..50_000,
        ) {
            let now = at("2024-01-01T00:00:00Z") + SignedDuration::from_hours(clock);
            let wider = RetentionPolicy {
                last: policy.last.max(more.last),
                hourly: policy.hourly.max(more.hourly),
                daily: policy.daily.max(more.daily),
                weekly: policy.weekly.max(more.weekly),
                monthly: policy.monthly.max(more.monthly),
                yearly: policy.yearly.max(more.yearly),
                within: policy.within.max(more.within),
                by: None,
            };
            // An empty policy keeps all, so it is no narrower one.
            prop_assume!(!policy.is_empty());
            let narrow = kept(&retention(Some(&policy), &berlin(), &all, now));
            let wide = kept(&retention(Some(&wider), &berlin(), &all, now));
            prop_assert!(narrow.iter().all(|it| wide.contains(it)), "{:?} {:?}", narrow, wide);
        }
    }
}
