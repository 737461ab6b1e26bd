//! Facts: what was seen, when and how. Data only: nothing here looks at anything.
//!
//! A fact is present, absent, or unknown with the reason. "Could not look" is never "absent" and never "fine".

mod destination;
mod fact;
mod facts;
mod foreign;
mod job;
mod journal;
mod source;
mod storage_rules;
mod trouble;

pub use destination::{DestinationFacts, ObjectsState, SealedFacts, SnapshotFacts, SnapshotState};
pub use fact::{Fact, Observed};
pub use facts::{
    BinaryFacts, DaemonFacts, Facts, HostFacts, InstalledPlan, PathFacts, PlanOrigin, SchedulerFacts,
    UserFacts,
};
pub use foreign::{CalledProgram, CalledState, ForeignBackup, ForeignKind, LastRun, Started};
pub use job::{
    Enablement, InstalledFile, InstalledJob, JobMarker, JobName, SchedulerKind, ServiceState, TimerState,
};
pub use journal::{JournalEntry, JournalEvent, JournalFacts, RunOutcome};
pub use source::{DoorFacts, Found, MemberFacts, RequirementFacts, SourceFacts};
pub use storage_rules::{LockMode, ObjectLock, RuleStart, Shown, StorageAction, StorageRule, StorageRules};
pub use trouble::Trouble;
