//! How many snapshots are kept; which ones is decided in `decide::retention`.

use super::Span;
use serde::{Deserialize, Serialize};

/// A retention policy. At least one rule is set; whatever it says, the last verified snapshot stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionPolicy {
    /// The newest so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
    /// The newest of each of so many hours that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly: Option<u32>,
    /// The newest of each of so many days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<u32>,
    /// The newest of each of so many ISO weeks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<u32>,
    /// The newest of each of so many months.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<u32>,
    /// The newest of each of so many years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yearly: Option<u32>,
    /// All that are at most this much older than the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// Who removes what is old, where it is not bkp. Stands alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<RetentionBy>,
}

/// Who removes what is old, where it is not bkp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RetentionBy {
    /// The destination itself, by a rule of its own: bkp's credentials need not be able to delete.
    Provider,
    /// `bkp prune` with credentials that may delete, on another host.
    Pruner,
}

impl RetentionPolicy {
    /// Whether no rule would keep anything: `{}`, or nothing but zeros.
    pub fn is_empty(&self) -> bool {
        let counts = [self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly];
        self.by.is_none() && self.within.is_none() && counts.iter().all(|count| count.unwrap_or(0) == 0)
    }
}
