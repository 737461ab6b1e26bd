//! When a destination will be full: what the sizes and times of the kept snapshots say, with retention played on.
//!
//! An estimate, and told as one. It is never made from few snapshots or from a short time.

use super::retention::{Candidate, candidates, retention};
use super::world::{World, sealed};
use crate::declared::{DestinationName, RetentionPolicy};
use crate::format::{Level, SnapshotId};
use crate::observed::{DestinationFacts, SnapshotFacts};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Fewest snapshots that say anything.
const SNAPSHOTS_MIN: usize = 5;
/// Shortest time between the first and the last of them.
const SPAN_MIN: SignedDuration = SignedDuration::from_hours(3 * 24);
/// Days that are looked ahead.
pub(super) const DAYS_MAX: u32 = 30;
const DAY_SECONDS: i64 = 86_400;

/// What comes of it when things go on as they did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trend {
    /// Days until it is full.
    pub days: u32,
    /// Growth in bytes a day, beyond what retention frees.
    pub growth_bytes: u64,
}

/// Tells in how many days a destination will be full; none where that is not known, or not within 30 days.
pub(super) fn trend(world: &World<'_>, name: &DestinationName, facts: &DestinationFacts) -> Option<Trend> {
    let free_bytes = i128::from(facts.space?.free_bytes);
    let mut growing: Vec<Series<'_>> = world
        .plan
        .sets
        .iter()
        .filter(|(_, set)| world.plan.destinations_of(set).contains(name))
        .filter_map(|(set_name, set)| {
            let zone = world.plan.timezone(set).zone();
            let policy = world.plan.retention(set, name);
            Series::new(
                facts.sets.get(set_name)?,
                world.plan.level_provable_here(name),
                policy,
                zone,
                world.now,
            )
        })
        .collect();
    for day in 1..=DAYS_MAX {
        let until = world.now + SignedDuration::from_secs(DAY_SECONDS * i64::from(day));
        let grown: i128 = growing.iter_mut().map(|series| series.grown_until(until)).sum();
        if grown >= free_bytes && grown > 0 {
            let growth_bytes = u64::try_from(grown / i128::from(day)).unwrap_or(u64::MAX);
            return (day < DAYS_MAX).then_some(Trend { days: day, growth_bytes });
        }
    }
    None
}

/// A set's snapshots, those that were made and those that will be.
struct Series<'a> {
    policy: Option<std::borrow::Cow<'a, RetentionPolicy>>,
    zone: jiff::tz::TimeZone,
    kept: Vec<Candidate>,
    sizes: BTreeMap<SnapshotId, u64>,
    period: SignedDuration,
    line: Line,
    stored_bytes: i128,
}

impl<'a> Series<'a> {
    fn new(
        snapshots: &[SnapshotFacts],
        provable_here: Level,
        policy: Option<&'a RetentionPolicy>,
        zone: jiff::tz::TimeZone,
        now: Timestamp,
    ) -> Option<Self> {
        let sizes: BTreeMap<SnapshotId, u64> = snapshots
            .iter()
            .filter_map(|it| Some((it.id, sealed(it)?)))
            .filter(|(id, it)| it.manifest.complete && id.started_at() <= now)
            .map(|(id, it)| (id, it.manifest.stored_bytes()))
            .collect();
        let (first, last) = (sizes.keys().next()?, sizes.keys().next_back()?);
        let span = last.started_at().duration_since(first.started_at());
        if sizes.len() < SNAPSHOTS_MIN || span < SPAN_MIN {
            return None;
        }
        let gaps = i32::try_from(sizes.len() - 1).ok()?;
        let mut kept = candidates(snapshots, provable_here);
        kept.retain(|it| sizes.contains_key(&it.id));
        // Who removes what is old elsewhere is taken to keep as many as there are: nothing is foretold of that.
        let policy = policy.map(|policy| {
            if policy.by.is_some() {
                let last = u32::try_from(kept.len()).ok();
                std::borrow::Cow::Owned(RetentionPolicy { last, ..RetentionPolicy::default() })
            } else {
                std::borrow::Cow::Borrowed(policy)
            }
        });
        let stored_bytes = sizes.values().map(|it| i128::from(*it)).sum();
        let line = Line::through(&sizes)?;
        Some(Self { policy, zone, kept, period: span / gaps, line, stored_bytes, sizes })
    }

    /// Plays runs and retention on, and gives the bytes that are there more than now.
    fn grown_until(&mut self, until: Timestamp) -> i128 {
        while let Some(newest) = self.kept.last().map(|it| it.id) {
            let next = newest.started_at() + self.period;
            if next > until {
                break;
            }
            let id = SnapshotId::new(next, newest.sequence() + 1);
            self.kept.push(Candidate { id, complete: true, verified: true, restored_elsewhere: None });
            self.sizes.insert(id, self.line.at(next));
        }
        let verdicts = retention(self.policy.as_deref(), &self.zone, &self.kept, until);
        self.kept.retain(|it| verdicts.iter().any(|verdict| verdict.id == it.id && verdict.keep));
        let of_kept = self.kept.iter().filter_map(|it| self.sizes.get(&it.id));
        of_kept.map(|it| i128::from(*it)).sum::<i128>() - self.stored_bytes
    }
}

/// Sizes over time as a straight line, by least squares.
struct Line {
    origin: Timestamp,
    base_bytes: f64,
    bytes_a_second: f64,
}

impl Line {
    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 52 bits")]
    fn through(sizes: &BTreeMap<SnapshotId, u64>) -> Option<Self> {
        let origin = sizes.keys().next()?.started_at();
        let points: Vec<(f64, f64)> = sizes
            .iter()
            .map(|(id, bytes)| (id.started_at().duration_since(origin).as_secs_f64(), *bytes as f64))
            .collect();
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (mean_time, mean_bytes) = (mean(|it| it.0), mean(|it| it.1));
        let spread: f64 = points.iter().map(|(time, _)| (time - mean_time).powi(2)).sum();
        let product: f64 = points.iter().map(|(time, bytes)| (time - mean_time) * (bytes - mean_bytes)).sum();
        let bytes_a_second = if spread > 0.0 { product / spread } else { 0.0 };
        Some(Self { origin, base_bytes: mean_bytes - bytes_a_second * mean_time, bytes_a_second })
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is held between none and what can be counted"
    )]
    fn at(&self, time: Timestamp) -> u64 {
        let bytes = self.base_bytes + self.bytes_a_second * time.duration_since(self.origin).as_secs_f64();
        bytes.max(0.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::audit;
    use crate::decide::testing::{Scene, at, local};
    use crate::declared::RetentionBy;
    use crate::host::Space;
    use crate::observed::SnapshotState;

    const MIB: u64 = 1 << 20;

    /// Daily snapshots until this night with `size(n)` MiB, and `free` MiB of a large disk.
    fn scene(days: u32, retention: Option<RetentionPolicy>, free: u64, size: impl Fn(u64) -> u64) -> Scene {
        let mut scene = Scene::healthy();
        scene.snapshots().clear();
        scene.journal().entries.clear();
        for day in (0..days).rev() {
            let back = SignedDuration::from_hours(24 * i64::from(day));
            scene.add_snapshot(at("2026-11-20T03:00:00Z") - back);
        }
        for (number, snapshot) in scene.snapshots().iter_mut().enumerate() {
            let SnapshotState::Sealed(sealed) = &mut snapshot.state else { continue };
            sealed.manifest.members[0].stored.bytes = size(number as u64) * MIB;
        }
        scene.plan.defaults.retention = retention;
        scene.destination().space = Some(Space { free_bytes: free * MIB, total_bytes: 2 * free * MIB });
        scene
    }

    fn found(scene: &Scene) -> Option<Trend> {
        let facts = scene.facts.destinations[&local()].observed.present()?;
        trend(&scene.world(), &local(), facts)
    }

    fn last(count: u32) -> Option<RetentionPolicy> {
        Some(RetentionPolicy { last: Some(count), ..RetentionPolicy::default() })
    }

    #[test]
    fn what_keeps_everything_is_full_when_the_room_is_used_up() {
        let scene = scene(10, None, 1000, |_| 100);
        assert_eq!(found(&scene), Some(Trend { days: 10, growth_bytes: 100 * MIB }));
        let findings = audit(&scene.world());
        let evidence =
            &findings.iter().find(|it| it.code.code() == "destination-full-soon").expect("told").evidence;
        assert_eq!(evidence, "104857600 bytes a day more than retention frees: full in about 10 days");
    }

    #[test]
    fn retention_that_has_filled_up_frees_what_comes() {
        assert_eq!(found(&scene(7, last(7), 1000, |_| 100)), None);
        // Two days are left until it begins to remove, and then nothing grows any more.
        assert_eq!(found(&scene(5, last(7), 300, |_| 100)), None);
        assert_eq!(found(&scene(5, last(7), 200, |_| 100)).map(|it| it.days), Some(2));
    }

    #[test]
    fn growing_data_fills_a_place_though_retention_keeps_as_many() {
        // Seven snapshots, each 10 MiB larger than the one before: 70 MiB a day.
        let found = found(&scene(7, last(7), 700, |number| 100 + 10 * number)).expect("full");
        assert!((9..=11).contains(&found.days), "{found:?}");
        assert!((68 * MIB..=72 * MIB).contains(&found.growth_bytes), "{found:?}");
    }

    #[test]
    fn few_snapshots_or_a_short_time_say_nothing() {
        assert_eq!(found(&scene(4, None, 300, |_| 100)), None);
        assert!(found(&scene(5, None, 300, |_| 100)).is_some());
        let mut hourly = scene(5, None, 300, |_| 100);
        let start = at("2026-11-20T03:00:00Z");
        let hour = |number: usize| start + SignedDuration::from_hours(i64::try_from(number).expect("few"));
        for (number, snapshot) in hourly.snapshots().iter_mut().enumerate() {
            snapshot.id = SnapshotId::new(hour(number), number as u64 + 1);
        }
        assert_eq!(found(&hourly), None);
    }

    #[test]
    fn nothing_is_foretold_of_what_others_remove_or_beyond_thirty_days() {
        let by = RetentionPolicy { by: Some(RetentionBy::Provider), ..RetentionPolicy::default() };
        assert_eq!(found(&scene(10, Some(by), 300, |_| 100)), None);
        assert_eq!(found(&scene(10, None, 2950, |_| 100)), None);
        assert_eq!(found(&scene(10, None, 2900, |_| 100)).map(|it| it.days), Some(29));
        let mut unknown = scene(10, None, 300, |_| 100);
        unknown.destination().space = None;
        assert_eq!(found(&unknown), None);
    }
}
