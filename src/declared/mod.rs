//! What the user wants: the plan file's types, and how they are read, checked and written again.
//!
//! Nothing here looks at the host or at a destination. A plan that leaves this module is valid: every name resolves,
//! every set has a schedule and at least one destination, and no path is relative.

mod destination;
mod name;
mod plan;
mod policy;
mod retention;
mod schedule;
mod secret;
mod set;
mod span;

pub use destination::{DestinationDeclaration, DestinationKind, LocalDeclaration};
pub use name::{DestinationName, NameError, NodeName, PlanName, SetName};
pub use plan::{AuditDeclaration, Defaults, DiscoverDeclaration, Plan, SchedulerChoice, Scope};
pub use policy::{Compression, ProvePolicy};
pub use retention::RetentionPolicy;
pub use schedule::{Schedule, ScheduleError, TimeZoneName};
pub use secret::SecretRef;
pub use set::{
    ChangedPolicy, FilesDeclaration, Hook, Pause, SetDeclaration, SetRetention, SourceDeclaration,
    SqliteDeclaration,
};
pub use span::{Span, SpanError};
