//! What audit reports: findings, each with a stable code.
//!
//! A code never changes its meaning and is never used again for another.

use crate::declared::{DestinationName, SetName};
use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A backup is not made, not there or cannot be trusted.
    Critical,
    /// It will become critical, or a proof is missing.
    Warning,
    /// It could not be told.
    Unknown,
}

impl Severity {
    /// The word in every format.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
        }
    }
}

/// What kind of finding it is. The catalogue explains each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingCode {
    /// No timer starts the set.
    TimerMissing,
    /// The timer is disabled.
    TimerDisabled,
    /// The timer is not active.
    TimerInactive,
    /// The timer is active and never elapses.
    TimerDead,
    /// The timer is masked.
    TimerMasked,
    /// The timer is lost at reboot.
    TimerStatic,
    /// The service is masked.
    ServiceMasked,
    /// The installed job differs from the declared one.
    JobDrifted,
    /// A job of this plan is no longer declared.
    JobOrphaned,
    /// Others can change a job's file.
    JobWritable,
    /// A pause is over and still declared.
    PauseExpired,
    /// No complete snapshot exists.
    SetNeverRun,
    /// The newest snapshot is older than the schedule promises.
    SetStale,
    /// The newest snapshot is incomplete.
    SnapshotIncomplete,
    /// A manifest cannot be read.
    SnapshotDamaged,
    /// A snapshot was changed behind bkp's back.
    SnapshotChanged,
    /// A snapshot vanished behind bkp's back.
    SnapshotGone,
    /// The newest snapshot has less than half of what those before it have.
    SnapshotShrunk,
    /// An object of a snapshot is missing.
    ObjectMissing,
    /// An object of a snapshot has the wrong size.
    ObjectWrongSize,
    /// Stored bytes are not the bytes that were made.
    DigestDiffers,
    /// The stored bytes were never read back.
    ProofMissing,
    /// The last read-back is older than the plan allows.
    ProofOld,
    /// The data was never restored.
    DrillMissing,
    /// The last drill is older than the plan allows.
    DrillOld,
    /// The restored data differs.
    DrillDiffers,
    /// The source does not exist.
    SourceMissing,
    /// The source lies on another file system than at its newest snapshot.
    SourceMoved,
    /// A declared path is a symbolic link to a folder that is not in its set.
    SourceLinked,
    /// The source cannot be read.
    SourceUnreadable,
    /// A tool is missing.
    ToolMissing,
    /// Something that the set needs is not there.
    RequirementUnmet,
    /// A tool is older than the server that it reads.
    ToolTooOld,
    /// The server does not answer.
    ServerUnreachable,
    /// The server refuses the login.
    LoginRefused,
    /// The login may not read everything.
    GrantMissing,
    /// The list of members may not be complete.
    CatalogueLimited,
    /// The newest snapshot has a member that no longer exists.
    MemberGone,
    /// A member exists and is in no snapshot yet.
    MemberNotStored,
    /// A server lets people in without a password.
    OpenDoor,
    /// Nothing judges what a command's backup means.
    DrillUnjudged,
    /// The plan is not installed.
    PlanMissing,
    /// The plan file was edited since it was applied.
    PlanEdited,
    /// Others can change the installed plan.
    PlanWritable,
    /// Others can change a hook.
    HookWritable,
    /// Others can change the bkp binary.
    BinaryWritable,
    /// The binary lies where it will not stay.
    BinaryMisplaced,
    /// Others can read or replace a secret.
    SecretReadable,
    /// The destination lies on the device that it protects.
    SameDevice,
    /// The destination is nearly full.
    DestinationFullSoon,
    /// The destination is not prepared.
    DestinationNotPrepared,
    /// The journal is damaged.
    StateDamaged,
    /// The journal is missing though snapshots exist.
    StateMissing,
    /// A run was skipped.
    RunSkipped,
    /// A condition kept a stale set's runs from beginning.
    RunHeld,
    /// A run was still going on when the next was due.
    RunOverlaps,
    /// The last run failed.
    RunFailed,
    /// The last run was incomplete.
    RunIncomplete,
    /// A snapshot was begun and never sealed.
    Leftover,
    /// Not scheduled: the daemon does not run.
    DaemonNotRunning,
    /// The daemon gives no sign of life.
    DaemonStale,
    /// The host's name will change.
    NodeUnstable,
    /// Timers run only while the user is logged in.
    LingerOff,
    /// Data exists that no set covers.
    Uncovered,
    /// The destination does not accept the credentials.
    DestinationRefused,
    /// The bucket, container or folder is not there.
    DestinationPlaceMissing,
    /// The server is not the declared one.
    DestinationStranger,
    /// The clocks of server and host differ.
    ClockSkew,
    /// A secret or a program that opens the destination is missing.
    DestinationUnopened,
    /// An object must be brought back from its tier before it can be read.
    ObjectArchived,
    /// Fewer fresh verified copies than the plan asks for.
    CopiesTooFew,
    /// Fewer of them off this host than the plan asks for.
    OffHostTooFew,
    /// Two destinations of a set fail together.
    SharedFate,
    /// A rule of the service deletes or archives too early.
    LifecycleTooEarly,
    /// It could not be told.
    CouldNotLook,
}

impl FindingCode {
    /// All codes, in the catalogue's order.
    pub const ALL: [Self; 75] = [
        Self::TimerMissing,
        Self::TimerDisabled,
        Self::TimerInactive,
        Self::TimerDead,
        Self::TimerMasked,
        Self::TimerStatic,
        Self::ServiceMasked,
        Self::JobDrifted,
        Self::JobOrphaned,
        Self::JobWritable,
        Self::PauseExpired,
        Self::SetNeverRun,
        Self::SetStale,
        Self::SnapshotIncomplete,
        Self::SnapshotDamaged,
        Self::SnapshotChanged,
        Self::SnapshotGone,
        Self::SnapshotShrunk,
        Self::ObjectMissing,
        Self::ObjectWrongSize,
        Self::DigestDiffers,
        Self::ProofMissing,
        Self::ProofOld,
        Self::DrillMissing,
        Self::DrillOld,
        Self::DrillDiffers,
        Self::SourceMissing,
        Self::SourceMoved,
        Self::SourceLinked,
        Self::SourceUnreadable,
        Self::ToolMissing,
        Self::RequirementUnmet,
        Self::ToolTooOld,
        Self::ServerUnreachable,
        Self::LoginRefused,
        Self::GrantMissing,
        Self::CatalogueLimited,
        Self::MemberGone,
        Self::MemberNotStored,
        Self::OpenDoor,
        Self::DrillUnjudged,
        Self::PlanMissing,
        Self::PlanEdited,
        Self::PlanWritable,
        Self::HookWritable,
        Self::BinaryWritable,
        Self::BinaryMisplaced,
        Self::SecretReadable,
        Self::SameDevice,
        Self::DestinationFullSoon,
        Self::DestinationNotPrepared,
        Self::StateDamaged,
        Self::StateMissing,
        Self::RunSkipped,
        Self::RunHeld,
        Self::RunOverlaps,
        Self::RunFailed,
        Self::RunIncomplete,
        Self::Leftover,
        Self::DaemonNotRunning,
        Self::DaemonStale,
        Self::NodeUnstable,
        Self::LingerOff,
        Self::Uncovered,
        Self::DestinationRefused,
        Self::DestinationPlaceMissing,
        Self::DestinationStranger,
        Self::ClockSkew,
        Self::DestinationUnopened,
        Self::ObjectArchived,
        Self::CopiesTooFew,
        Self::OffHostTooFew,
        Self::SharedFate,
        Self::LifecycleTooEarly,
        Self::CouldNotLook,
    ];

    /// The stable code, such as `timer-missing`.
    pub fn code(self) -> &'static str {
        match self {
            Self::TimerMissing => "timer-missing",
            Self::TimerDisabled => "timer-disabled",
            Self::TimerInactive => "timer-inactive",
            Self::TimerDead => "timer-dead",
            Self::TimerMasked => "timer-masked",
            Self::TimerStatic => "timer-static",
            Self::ServiceMasked => "service-masked",
            Self::JobDrifted => "job-drifted",
            Self::JobOrphaned => "job-orphaned",
            Self::JobWritable => "job-writable",
            Self::PauseExpired => "pause-expired",
            Self::SetNeverRun => "set-never-run",
            Self::SetStale => "set-stale",
            Self::SnapshotIncomplete => "snapshot-incomplete",
            Self::SnapshotDamaged => "snapshot-damaged",
            Self::SnapshotChanged => "snapshot-changed",
            Self::SnapshotGone => "snapshot-gone",
            Self::SnapshotShrunk => "snapshot-shrunk",
            Self::ObjectMissing => "object-missing",
            Self::ObjectWrongSize => "object-wrong-size",
            Self::DigestDiffers => "digest-differs",
            Self::ProofMissing => "proof-missing",
            Self::ProofOld => "proof-old",
            Self::DrillMissing => "drill-missing",
            Self::DrillOld => "drill-old",
            Self::DrillDiffers => "drill-differs",
            Self::SourceMissing => "source-missing",
            Self::SourceMoved => "source-moved",
            Self::SourceLinked => "source-linked",
            Self::SourceUnreadable => "source-unreadable",
            Self::ToolMissing => "tool-missing",
            Self::RequirementUnmet => "requirement-unmet",
            Self::ToolTooOld => "tool-too-old",
            Self::ServerUnreachable => "server-unreachable",
            Self::LoginRefused => "login-refused",
            Self::GrantMissing => "grant-missing",
            Self::CatalogueLimited => "catalogue-limited",
            Self::MemberGone => "member-gone",
            Self::MemberNotStored => "member-not-stored",
            Self::OpenDoor => "open-door",
            Self::DrillUnjudged => "drill-unjudged",
            Self::PlanMissing => "plan-missing",
            Self::PlanEdited => "plan-edited",
            Self::PlanWritable => "plan-writable",
            Self::HookWritable => "hook-writable",
            Self::BinaryWritable => "binary-writable",
            Self::BinaryMisplaced => "binary-misplaced",
            Self::SecretReadable => "secret-readable",
            Self::SameDevice => "same-device",
            Self::DestinationFullSoon => "destination-full-soon",
            Self::DestinationNotPrepared => "destination-not-prepared",
            Self::StateDamaged => "state-damaged",
            Self::StateMissing => "state-missing",
            Self::RunSkipped => "run-skipped",
            Self::RunHeld => "run-held",
            Self::RunOverlaps => "run-overlaps",
            Self::RunFailed => "run-failed",
            Self::RunIncomplete => "run-incomplete",
            Self::Leftover => "leftover",
            Self::DaemonNotRunning => "daemon-not-running",
            Self::DaemonStale => "daemon-stale",
            Self::NodeUnstable => "node-unstable",
            Self::LingerOff => "linger-off",
            Self::Uncovered => "uncovered",
            Self::DestinationRefused => "destination-refused",
            Self::DestinationPlaceMissing => "destination-place-missing",
            Self::DestinationStranger => "destination-stranger",
            Self::ClockSkew => "clock-skew",
            Self::DestinationUnopened => "destination-unopened",
            Self::ObjectArchived => "object-archived",
            Self::CopiesTooFew => "copies-too-few",
            Self::OffHostTooFew => "off-host-too-few",
            Self::SharedFate => "shared-fate",
            Self::LifecycleTooEarly => "lifecycle-too-early",
            Self::CouldNotLook => "could-not-look",
        }
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.code())
    }
}

/// One thing that is wrong, or that could not be told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is; first, so that sorting puts the worst on top.
    pub severity: Severity,
    /// The set that it concerns.
    pub set: Option<SetName>,
    /// The destination that it concerns.
    pub destination: Option<DestinationName>,
    /// What kind it is.
    pub code: FindingCode,
    /// The object: a job, a snapshot, a path.
    pub object: String,
    /// What was seen.
    pub evidence: String,
    /// What mends it.
    pub remedy: String,
}

impl Finding {
    /// Starts a finding of the severity and with the remedy that the catalogue has for its code.
    pub(super) fn new(code: FindingCode, object: impl Into<String>, evidence: impl Into<String>) -> Self {
        let explanation = super::catalogue::explanation(code);
        Self {
            severity: explanation.severity,
            set: None,
            destination: None,
            code,
            object: object.into(),
            evidence: evidence.into(),
            remedy: explanation.remedy.to_owned(),
        }
    }

    /// Names the set; the remedy's `SET` becomes its name.
    pub(super) fn of(mut self, set: &SetName) -> Self {
        // Only the catalogue's words mean the set by it; an exact remedy may hold SQL, or `ACL SETUSER`.
        if self.remedy == super::catalogue::explanation(self.code).remedy {
            self.remedy = self.remedy.replace("SET", set.as_str());
        }
        self.set = Some(set.clone());
        self
    }

    /// Names the destination.
    pub(super) fn at(mut self, destination: &DestinationName) -> Self {
        self.destination = Some(destination.clone());
        self
    }

    /// Replaces the catalogue's remedy by a more exact one.
    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}
