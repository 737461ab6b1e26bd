//! What a storage service does to objects by itself, as far as its interface shows.

use serde::{Deserialize, Serialize};

/// What a service says of a place's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageRules {
    /// What becomes of objects with time.
    pub lifecycle: Shown<Vec<StorageRule>>,
    /// Whether objects are kept from being removed.
    pub lock: Shown<ObjectLock>,
}

/// What an interface shows of a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "value", rename_all = "snake_case")]
pub enum Shown<T> {
    /// It is there.
    Present(T),
    /// It was asked for, and there is none.
    Absent,
    /// It could not be seen, and this is why.
    NotShown(String),
}

/// One thing that happens to objects with time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageRule {
    /// To which objects: how their paths below the destination's root begin.
    pub prefix: String,
    /// What happens.
    pub action: StorageAction,
    /// When.
    pub after: RuleStart,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageAction {
    /// They are removed.
    Expire,
    /// What was replaced or removed before is gone for good.
    ExpireOldVersions,
    /// They go to a tier from which they must be brought back before they can be read.
    Archive {
        /// The service's name of the tier.
        tier: String,
    },
    /// They go to a tier from which they can be read at once.
    Move {
        /// The service's name of the tier.
        tier: String,
    },
    /// Uploads that did not come to their end are removed.
    AbortUploads,
}

/// When it happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleStart {
    /// So many days after an object was stored.
    AfterDays(u32),
    /// From a day on, to all that is there.
    OnDate(String),
}

impl RuleStart {
    /// Days that an object is safe from it, whenever it was stored.
    pub fn days(&self) -> u32 {
        match self {
            Self::AfterDays(days) => *days,
            Self::OnDate(_) => 0,
        }
    }
}

/// How objects are kept from being removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectLock {
    /// Single objects can be locked; new ones are not.
    OnRequest,
    /// Every new object is locked.
    EveryObject {
        /// Who can undo it.
        mode: LockMode,
        /// For how many days.
        days: u32,
    },
}

/// Who can undo a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockMode {
    /// Whoever has the permission.
    Governance,
    /// Nobody.
    Compliance,
}

impl StorageRules {
    /// Of a place whose interface shows no rules.
    pub fn not_shown(why: &str) -> Self {
        Self { lifecycle: Shown::NotShown(why.to_owned()), lock: Shown::NotShown(why.to_owned()) }
    }
}
