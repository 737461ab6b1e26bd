//! What a service does by itself with what lies in it: lifecycle rules and object locks.

use serde::{Deserialize, Serialize};

/// The rules of a service, as far as it shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageRules {
    /// All that are in force; none is an empty list.
    Shown(Vec<StorageRule>),
    /// The service or its credentials do not show them.
    NotShown,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageRule {
    /// What an object's key begins with, from the bucket's root; empty for every object.
    pub prefix: String,
    /// What is done.
    pub action: StorageAction,
    /// So many days after the object was stored; for a lock, how long it holds.
    pub after_days: u32,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageAction {
    /// Deletes it.
    Expire,
    /// Moves it to a tier from which it must be brought back before it can be read.
    Archive {
        /// The service's name of the tier.
        tier: String,
    },
    /// Keeps everybody from deleting it.
    Lock {
        /// The service's name of the mode.
        mode: String,
    },
}
