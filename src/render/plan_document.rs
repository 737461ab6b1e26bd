//! The JSON document of `bkp plan`. Its schema is `schemas/plan-output.schema.json`.

use crate::decide::{
    Blocked, Change, ChangeObject, CoverageRow, ForeignNote, LevelState, Review, SetCopies, Shared, Uncovered,
};
use crate::diagnostic::Diagnostic;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What `bkp plan --format json` prints. Fields are only ever added while `format_version` stays.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanDocument {
    /// The document's version.
    pub format_version: u32,
    /// The plan.
    pub plan: String,
    /// When the facts were observed (RFC 3339).
    pub observed_at: String,
    /// Whether `bkp apply` has something that it can do.
    pub applyable: bool,
    /// Whether the facts had everything that the plan speaks of.
    pub complete: bool,
    /// Whether something is blocked or an observation failed.
    pub errored: bool,
    /// What differs.
    pub changes: Vec<ChangeDocument>,
    /// Data that no set covers.
    pub uncovered: Vec<UncoveredDocument>,
    /// Backups that are not bkp's; left out where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub foreign: Vec<ForeignDocument>,
    /// Where backups that are not bkp's could not be looked for; left out where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub foreign_unknown: Vec<MessageDocument>,
    /// What apply refuses to go on with.
    pub blocked: Vec<BlockedDocument>,
    /// Observations that were tried and failed.
    pub unknown: Vec<MessageDocument>,
    /// What is worth knowing and changes nothing.
    pub notes: Vec<MessageDocument>,
    /// The coverage as it is now.
    pub coverage: Vec<CoverageDocument>,
    /// How many copies there are now, of sets with several destinations or a `require`; left out where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub copies: Vec<CopiesDocument>,
}

/// One difference.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangeDocument {
    /// `prepare`, `create`, `update`, `enable`, `prove` or `remove`.
    pub actions: Vec<String>,
    /// `destination`, `plan`, `job`, `timer` or `set`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The scheduler, for jobs and timers.
    pub scheduler: Option<String>,
    /// Why.
    pub reason: String,
    /// What will happen beside it.
    pub remark: Option<String>,
    /// Unified diff of the files.
    pub diff: Option<String>,
    /// Why it cannot be done now.
    pub blocked: Option<MessageDocument>,
}

/// Data that no set covers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UncoveredDocument {
    /// Its key under `discover.ignore`.
    pub key: String,
    /// The source kind that could back it up.
    pub kind: String,
    /// What it is.
    pub object: String,
    /// Its size, where it is known.
    pub size_bytes: Option<u64>,
    /// Why it does not count as covered.
    pub reason: String,
    /// What covers it, or says that it needs nothing.
    pub remedy: String,
}

/// A backup that is not bkp's.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ForeignDocument {
    /// Its key under `discover.ignore`.
    pub key: String,
    /// `systemd_timer`, `systemd_service`, `crontab`, `cron_folder`, `launch_agent` or `script`.
    pub kind: String,
    /// A unit, a label or a path; of a crontab with the line.
    pub name: String,
    /// The file that it was read from.
    pub path: String,
    /// When, as its scheduler writes it.
    pub schedule: Option<String>,
    /// The tools that make it look like a backup; none where only its name says so.
    pub tools: Vec<String>,
    /// What is to be said of it.
    pub verdicts: Vec<String>,
}

/// What apply refuses to go on with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BlockedDocument {
    /// The set.
    pub set: Option<String>,
    /// The destination.
    pub destination: Option<String>,
    /// Why.
    pub message: MessageDocument,
}

/// A message.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MessageDocument {
    /// Fixed wording.
    pub summary: String,
    /// The object it is about.
    pub what: String,
    /// The cause.
    pub why: Option<String>,
    /// What mends it.
    pub fix: Option<String>,
}

/// One set at one destination.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CoverageDocument {
    /// The set.
    pub set: String,
    /// The destination.
    pub destination: String,
    /// `declared`, `scheduled`, `stored`, `intact` and `restored`.
    pub levels: BTreeMap<String, LevelDocument>,
    /// The newest complete snapshot.
    pub newest: Option<String>,
    /// When the set runs next (RFC 3339).
    pub next_run: Option<String>,
    /// Stored bytes of the newest complete snapshot.
    pub size_bytes: Option<u64>,
    /// Stored bytes of the complete snapshot before it.
    pub previous_size_bytes: Option<u64>,
    /// Snapshots at the destination; null when that is not known.
    pub snapshots: Option<usize>,
    /// Until when and why the set is paused.
    pub paused: Option<String>,
}

/// The copies of one set. Destinations that would be lost together are one place.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CopiesDocument {
    /// The set.
    pub set: String,
    /// Copies that are fresh and were read back.
    pub copies: usize,
    /// Places that they are in.
    pub places: usize,
    /// Places of them that are on no disk of this host.
    pub off_host: usize,
    /// The fewest places that the plan asks for.
    pub required_copies: Option<u32>,
    /// The fewest places off this host that the plan asks for.
    pub required_off_host: Option<u32>,
    /// The pairs of destinations that are one place, each in words.
    pub shared: Vec<String>,
}

/// How far a level is proven.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LevelDocument {
    /// `proven`, `expired`, `unproven`, `disproven` or `unknown`.
    pub state: String,
    /// When it was proven or disproven (RFC 3339).
    pub at: Option<String>,
    /// The evidence or the reason.
    pub evidence: String,
}

impl From<&Diagnostic> for MessageDocument {
    fn from(it: &Diagnostic) -> Self {
        Self { summary: it.summary.clone(), what: it.what.clone(), why: it.why.clone(), fix: it.fix.clone() }
    }
}

impl From<&LevelState> for LevelDocument {
    fn from(it: &LevelState) -> Self {
        let at = it.at().map(|at| at.to_string());
        Self { state: it.word().to_owned(), at, evidence: it.text().to_owned() }
    }
}

impl From<&CoverageRow> for CoverageDocument {
    fn from(row: &CoverageRow) -> Self {
        let levels =
            row.levels.iter().map(|(level, state)| (level.word().to_owned(), state.into())).collect();
        Self {
            set: row.set.to_string(),
            destination: row.destination.to_string(),
            levels,
            newest: row.newest.map(|id| id.to_string()),
            next_run: row.next_run.map(|at| at.to_string()),
            size_bytes: row.size_bytes,
            previous_size_bytes: row.previous_size_bytes,
            snapshots: row.snapshots,
            paused: row.paused.clone(),
        }
    }
}

impl From<&SetCopies> for CopiesDocument {
    fn from(it: &SetCopies) -> Self {
        Self {
            set: it.set.to_string(),
            copies: it.verified.copies,
            places: it.verified.places,
            off_host: it.verified.off_host,
            required_copies: it.require.and_then(|require| require.copies),
            required_off_host: it.require.and_then(|require| require.off_host),
            shared: it.shared.iter().map(Shared::words).collect(),
        }
    }
}

/// The kind and the name of what is changed.
pub(super) fn object_words(object: &ChangeObject, plan: &str) -> (&'static str, String) {
    match object {
        ChangeObject::Destination(name) => ("destination", name.to_string()),
        ChangeObject::Plan => ("plan", plan.to_owned()),
        ChangeObject::Job(name) => ("job", name.to_string()),
        ChangeObject::Timer(name) => ("timer", name.to_string()),
        ChangeObject::Set(name) => ("set", name.to_string()),
    }
}

impl PlanDocument {
    /// The document's version.
    pub const FORMAT_VERSION: u32 = 1;

    /// Makes the document of a review.
    pub fn new(review: &Review, plan: &str, observed_at: jiff::Timestamp) -> Self {
        Self {
            format_version: Self::FORMAT_VERSION,
            plan: plan.to_owned(),
            observed_at: observed_at.to_string(),
            applyable: review.applicable().next().is_some(),
            complete: review.complete,
            errored: !review.blocked.is_empty() || !review.unknown.is_empty(),
            changes: review.changes.iter().map(|change| change_document(change, plan)).collect(),
            uncovered: review.uncovered.iter().map(uncovered_document).collect(),
            foreign: review.foreign.iter().map(foreign_document).collect(),
            foreign_unknown: review.foreign_gaps.iter().map(Into::into).collect(),
            blocked: review.blocked.iter().map(blocked_document).collect(),
            unknown: review.unknown.iter().map(Into::into).collect(),
            notes: review.notes.iter().map(Into::into).collect(),
            coverage: review.coverage.iter().map(Into::into).collect(),
            copies: review.copies.iter().map(Into::into).collect(),
        }
    }
}

fn change_document(change: &Change, plan: &str) -> ChangeDocument {
    let (kind, name) = object_words(&change.object, plan);
    ChangeDocument {
        actions: vec![change.action.word().to_owned()],
        kind: kind.to_owned(),
        name,
        scheduler: change.scheduler.map(|kind| kind.word().to_owned()),
        reason: change.reason.clone(),
        remark: change.remark.clone(),
        diff: change.diff.clone(),
        blocked: change.blocked.as_ref().map(Into::into),
    }
}

fn uncovered_document(it: &Uncovered) -> UncoveredDocument {
    UncoveredDocument {
        key: it.key(),
        kind: it.kind.clone(),
        object: it.object.clone(),
        size_bytes: it.size_bytes,
        reason: it.reason.clone(),
        remedy: it.remedy.clone(),
    }
}

fn foreign_document(it: &ForeignNote) -> ForeignDocument {
    ForeignDocument {
        key: it.key(),
        kind: it.kind.word().to_owned(),
        name: it.name.clone(),
        path: it.path.display().to_string(),
        schedule: it.schedule.clone(),
        tools: it.tools.clone(),
        verdicts: it.verdicts.clone(),
    }
}

fn blocked_document(it: &Blocked) -> BlockedDocument {
    BlockedDocument {
        set: it.set.as_ref().map(ToString::to_string),
        destination: it.destination.as_ref().map(ToString::to_string),
        message: (&it.diagnostic).into(),
    }
}
