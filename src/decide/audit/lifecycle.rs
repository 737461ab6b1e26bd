//! Findings about what a service does by itself: rules that delete or archive what the plan still needs.

use crate::decide::age::human_span;
use crate::decide::coverage::CoverageRow;
use crate::decide::finding::{Finding, FindingCode as Code};
use crate::decide::world::{Seen, World};
use crate::declared::{Calendar, RetentionPolicy};
use crate::format::Layout;
use crate::observed::{Shown, StorageAction, StorageRule, StorageRules};
use jiff::{SignedDuration, Timestamp};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Runs that are looked at for the longest time between two: more than a week of hourly ones.
const RUNS: usize = 200;

pub(super) fn findings(world: &World<'_>, rows: &[CoverageRow]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for row in rows {
        let Seen::Present(facts) = world.destination(&row.destination) else { continue };
        // What nobody was shown is no finding: most services have no such rules.
        let Some(StorageRules { lifecycle: Shown::Present(rules), .. }) = &facts.rules else { continue };
        let of_set = rules.iter().filter(|rule| concerns(world, row, rule));
        findings.extend(of_set.filter_map(|rule| judge(world, row, rule)));
    }
    findings
}

/// Whether a rule may touch what a set has at a destination.
fn concerns(world: &World<'_>, row: &CoverageRow, rule: &StorageRule) -> bool {
    let Some(declared) = world.plan.destinations.get(&row.destination) else { return false };
    // Prefixes are told from the destination's root. With a layout of its own, artifacts lie anywhere below it.
    let below = match &declared.layout {
        Some(_) => String::new(),
        None => Layout::new(world.node()).set(&row.set).as_str().to_owned(),
    };
    let prefix = rule.prefix.trim_start_matches('/');
    below.starts_with(prefix) || prefix.starts_with(&below)
}

fn judge(world: &World<'_>, row: &CoverageRow, rule: &StorageRule) -> Option<Finding> {
    let set = world.plan.sets.get(&row.set)?;
    let calendar = world.plan.calendar(set);
    let prove = world.plan.prove(set, &row.destination);
    let (intact, restored) = (prove.intact_age_max().signed(), prove.restored_age_max().signed());
    let after_days = rule.after.days();
    let after = DAY * i32::try_from(after_days).unwrap_or(i32::MAX);
    let what = match rule.prefix.as_str() {
        "" => "everything".to_owned(),
        prefix => format!("what begins with `{prefix}`"),
    };
    let evidence = match &rule.action {
        // What was replaced or not finished is nobody's snapshot, and what moved to such a tier can be read.
        StorageAction::ExpireOldVersions | StorageAction::Move { .. } | StorageAction::AbortUploads => {
            return None;
        }
        StorageAction::Archive { tier } => {
            let (level, age) = if restored > intact { ("restored", restored) } else { ("intact", intact) };
            if after >= age {
                return None;
            }
            format!(
                "a rule moves {what} to `{tier}` after {} d; a proof that it is {level} may be {} old",
                after_days,
                human_span(age)
            )
        }
        StorageAction::Expire => {
            let policy = world.plan.retention(set, &row.destination).filter(|policy| !policy.is_empty());
            let needed = match policy {
                None => Needed::ForEver,
                Some(policy) if policy.by.is_some() => {
                    // The service's rule is the retention; what it must leave is a proven snapshot.
                    let next =
                        longest_gap(&calendar, world.now).unwrap_or(DAY) + world.plan.grace(set).signed();
                    Needed::For(restored.max(next), "a proof or the next snapshot may be so far off")
                }
                Some(policy) => Needed::For(
                    kept_age_max(policy, &calendar, world.now),
                    "the plan keeps snapshots for as long",
                ),
            };
            match needed {
                Needed::For(age, _) if after >= age => return None,
                Needed::For(age, why) => {
                    format!(
                        "a rule deletes {what} after {} d, and not after {}: {why}",
                        after_days,
                        human_span(age)
                    )
                }
                Needed::ForEver => format!(
                    "a rule deletes {what} after {after_days} d, and the plan has no retention: it keeps everything"
                ),
            }
        }
    };
    let object = format!("destination {}", row.destination);
    Some(Finding::new(Code::LifecycleTooEarly, object, evidence).of(&row.set).at(&row.destination))
}

/// How long a rule must leave a snapshot, and why.
enum Needed {
    For(SignedDuration, &'static str),
    ForEver,
}

/// How old the oldest snapshot may get that a policy keeps, where runs come as the calendar has them.
fn kept_age_max(policy: &RetentionPolicy, calendar: &Calendar, now: Timestamp) -> SignedDuration {
    let period = longest_gap(calendar, now).unwrap_or(DAY);
    let hours = |hours: i64| SignedDuration::from_hours(hours);
    let rules = [
        (policy.last, SignedDuration::ZERO),
        (policy.hourly, hours(1)),
        (policy.daily, hours(24)),
        (policy.weekly, hours(7 * 24)),
        (policy.monthly, hours(31 * 24)),
        (policy.yearly, hours(366 * 24)),
    ];
    // A bucket without a snapshot does not count, so that each is as long as the time between two runs at least.
    let of_rules = rules.into_iter().filter_map(|(count, bucket)| {
        let seconds = bucket.max(period).as_secs().saturating_mul(i64::from(count?));
        Some(SignedDuration::from_secs(seconds))
    });
    let of_within = policy.within.map(|within| within.signed().saturating_add(period));
    // The last verified one stays until the next.
    of_rules.chain(of_within).max().unwrap_or(period).max(period)
}

/// The longest time between two of the next runs.
fn longest_gap(calendar: &Calendar, now: Timestamp) -> Option<SignedDuration> {
    let mut at = calendar.next_after(now)?;
    let mut longest = None;
    for _ in 0..RUNS {
        let Some(next) = calendar.next_after(at) else { break };
        longest = longest.max(Some(next.duration_since(at)));
        at = next;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::audit::audit;
    use crate::decide::testing::{Scene, local, remote_declaration};
    use crate::declared::{Protocol, ProvePolicy, RetentionBy};

    fn scene(action: StorageAction, after_days: u32, prefix: &str) -> Scene {
        let mut scene = Scene::healthy();
        let bucket = [("bucket", "b"), ("path", "bkp")];
        scene.plan.destinations.insert(local(), remote_declaration(Protocol::S3, &bucket, &[]));
        let after = crate::observed::RuleStart::AfterDays(after_days);
        let rule = StorageRule { prefix: prefix.to_owned(), action, after };
        let mut rules = StorageRules::not_shown("not asked");
        rules.lifecycle = Shown::Present(vec![rule]);
        scene.destination().rules = Some(rules);
        scene
    }

    fn found(scene: &Scene) -> Vec<String> {
        let all = audit(&scene.world());
        assert!(all.iter().all(|it| it.code == Code::LifecycleTooEarly), "{all:?}");
        all.into_iter().map(|it| it.evidence).collect()
    }

    fn archive() -> StorageAction {
        StorageAction::Archive { tier: "DEEP_ARCHIVE".to_owned() }
    }

    #[test]
    fn rule_that_deletes_before_retention_does_is_found() {
        assert_eq!(found(&scene(StorageAction::Expire, 7, "observatory/")), Vec::<String>::new());
        let evidence = "a rule deletes what begins with `observatory/` after 6 d, and not after 7 d: the plan keeps snapshots for as long";
        assert_eq!(found(&scene(StorageAction::Expire, 6, "observatory/")), [evidence]);
        let mut for_ever = scene(StorageAction::Expire, 3650, "");
        for_ever.plan.defaults.retention = None;
        assert!(found(&for_ever)[0].contains("everything after 3650 d, and the plan has no retention"));
    }

    #[test]
    fn rule_that_is_the_retention_must_leave_what_is_proven() {
        let mut scene = scene(StorageAction::Expire, 7, "");
        let policy = RetentionPolicy { by: Some(RetentionBy::Provider), ..RetentionPolicy::default() };
        scene.plan.defaults.retention = Some(policy);
        assert_eq!(found(&scene).len(), 1, "a drill may be 30 days old");
        let prove = ProvePolicy { intact: None, restored: "7d".parse().ok() };
        scene.plan.defaults.prove = Some(prove);
        assert_eq!(found(&scene), Vec::<String>::new());
    }

    #[test]
    fn rule_that_archives_before_a_proof_may_be_due_is_found() {
        assert_eq!(found(&scene(archive(), 30, "")), Vec::<String>::new());
        let evidence =
            "a rule moves everything to `DEEP_ARCHIVE` after 29 d; a proof that it is intact may be 30 d old";
        assert_eq!(found(&scene(archive(), 29, "")), [evidence]);
        let mut drilled = scene(archive(), 30, "");
        drilled.plan.defaults.prove =
            Some(ProvePolicy { intact: "7d".parse().ok(), restored: "60d".parse().ok() });
        assert!(found(&drilled)[0].contains("restored may be 60 d old"));
    }

    #[test]
    fn rule_about_other_things_is_no_finding() {
        let none = Vec::<String>::new();
        for prefix in ["photos/", "another-host/", "observatory/invoices/"] {
            assert_eq!(found(&scene(StorageAction::Expire, 1, prefix)), none, "{prefix}");
        }
        for prefix in ["obs", "/observatory/", "observatory/orders/2026"] {
            assert_eq!(found(&scene(StorageAction::Expire, 1, prefix)).len(), 1, "{prefix}");
        }
        for action in [StorageAction::ExpireOldVersions, StorageAction::AbortUploads] {
            assert_eq!(found(&scene(action, 1, "")), none);
        }
        let mut not_shown = scene(StorageAction::Expire, 1, "");
        not_shown.destination().rules = Some(StorageRules::not_shown("no right to ask"));
        assert_eq!(found(&not_shown), none);
    }

    #[test]
    fn oldest_kept_snapshot_follows_from_policy_and_schedule() {
        let calendar = |schedule: &str| {
            Calendar::plain(schedule.parse().expect("a schedule"), crate::declared::TimeZoneName::default())
        };
        let now = crate::decide::testing::at("2026-11-20T12:00:00Z");
        let days = |policy: &RetentionPolicy, schedule: &str| {
            kept_age_max(policy, &calendar(schedule), now).as_hours() / 24
        };
        let policy = RetentionPolicy::default();
        assert_eq!(days(&RetentionPolicy { last: Some(7), ..policy.clone() }, "daily 03:00"), 7);
        assert_eq!(days(&RetentionPolicy { last: Some(7), ..policy.clone() }, "weekly sun 03:00"), 49);
        assert_eq!(days(&RetentionPolicy { daily: Some(30), ..policy.clone() }, "every 4h"), 30);
        assert_eq!(
            days(&RetentionPolicy { last: Some(2), monthly: Some(12), ..policy.clone() }, "daily 03:00"),
            372
        );
        assert_eq!(days(&RetentionPolicy { within: "30d".parse().ok(), ..policy }, "daily 03:00"), 31);
    }
}
