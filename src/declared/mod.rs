//! What the user wants: the plan file's types, and how they are read, checked and written again.
//!
//! Nothing here looks at the host or at a destination. A plan that leaves this module is valid: every name resolves,
//! every set has a schedule and at least one destination, and no path is relative.

mod calendar;
mod clock_pattern;
mod destination;
mod encryption;
mod job_policy;
mod layout_template;
mod name;
mod on_calendar;
mod parse;
mod plan;
mod policy;
mod protocol;
mod remote_place;
mod render;
mod retention;
mod schedule;
mod schema;
mod secret;
mod server;
mod set;
mod span;
mod time_zone;

pub use calendar::Calendar;
pub use clock_pattern::ClockPattern;
pub use destination::{
    DestinationDeclaration, DestinationKind, LocalDeclaration, RemoteDeclaration, Transport,
    destination_secret_name,
};
pub use encryption::{Encryption, Identity, Lock};
pub use job_policy::{ByteSize, ByteSizeError, IoClass, JobPolicy, QuietHours, QuietHoursError};
pub use layout_template::{LayoutTemplate, LayoutTemplateError, Piece, Placeholder};
pub use name::{DestinationName, NameError, NodeName, PlanName, SetName, UserName};
pub use parse::{
    Fault, Loaded, PlanErrors, PlanText, SIZE_MAX_BYTES, load, load_destination, parse_text, text_digest,
};
pub use plan::{AuditDeclaration, Defaults, DiscoverDeclaration, Plan, SchedulerChoice, Scope};
pub use policy::{Compression, ProvePolicy, Require};
pub use protocol::{KeyForm, Protocol, ProtocolKey};
pub use render::{render, render_destination, set_digest};
pub use retention::{RetentionBy, RetentionPolicy};
pub use schedule::{Schedule, ScheduleError};
pub use schema::json_schema;
pub use secret::SecretRef;
pub use server::{
    CommandDeclaration, DrillPlace, MemberChoice, MongodbDeclaration, MysqlDeclaration, PostgresDeclaration,
    QdrantDeclaration, RedisDeclaration, RolePolicy, Standing, is_scratch, socket_address,
};
pub use set::{
    ChangedPolicy, FilesDeclaration, Hook, Pause, SetDeclaration, SetRetention, SourceDeclaration,
    SqliteDeclaration,
};
pub use span::{Span, SpanError};
pub use time_zone::TimeZoneName;
