//! Decides: data and a clock reading in, changes, findings, retention and steps out.
//!
//! PURE: nothing here looks at the host, at a destination or at a clock. What was not observed is unknown, and what
//! is unknown is never taken for fine and never for absent.

mod age;
mod audit;
mod catalogue;
mod copies;
mod coverage;
mod exit;
mod finding;
mod foreign;
mod freshness;
mod history;
mod identity;
mod retention;
mod review;
mod room;
mod scheduled;
mod steps;
#[cfg(test)]
pub(crate) mod testing;
mod uncovered;
mod world;

pub use age::{ago, human_span};
pub use audit::audit;
pub use catalogue::{Explanation, catalogue, explain, findings_page};
pub use copies::{Count, SetCopies, Shared, Tie, copies};
pub use coverage::{CoverageRow, LevelState, coverage};
pub use exit::{audit_exit, nagios_exit, plan_exit};
pub use finding::{Finding, FindingCode, Severity};
pub use foreign::ForeignNote;
pub use freshness::{Freshness, freshness};
pub use identity::{newest_identity, not_what_it_was};
pub use retention::{Candidate, Verdict, candidates, retention};
pub use review::{Action, Blocked, Change, ChangeObject, Review, review};
pub use steps::{Step, StepGraph, StepId, steps};
pub use uncovered::Uncovered;
pub use world::{WantedJob, World, host_matches};

/// How far a time may lie ahead of the clock before it is not trusted: 5 minutes.
pub const CLOCK_SLACK: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
