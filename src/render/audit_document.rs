//! The JSON document of `bkp audit`. Its schema is `schemas/audit.schema.json`.

use crate::decide::Finding;
use schemars::JsonSchema;
use serde::Serialize;

/// What `bkp audit --format json` prints. Fields are only ever added while `format_version` stays.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditDocument {
    /// The document's version.
    pub format_version: u32,
    /// The clock when the findings were judged (RFC 3339).
    pub at: String,
    /// Whether there is none.
    pub ok: bool,
    /// The findings, the worst first.
    pub findings: Vec<FindingDocument>,
}

/// One finding.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FindingDocument {
    /// Its stable code; `bkp explain CODE` says more.
    pub code: String,
    /// `critical`, `warning` or `unknown`.
    pub severity: String,
    /// The set.
    pub set: Option<String>,
    /// The destination.
    pub destination: Option<String>,
    /// The object.
    pub object: String,
    /// What was seen.
    pub evidence: String,
    /// What mends it.
    pub remedy: String,
}

impl AuditDocument {
    /// The document's version.
    pub const FORMAT_VERSION: u32 = 1;

    /// Makes the document of an audit's findings.
    pub fn new(findings: &[Finding], now: jiff::Timestamp) -> Self {
        Self {
            format_version: Self::FORMAT_VERSION,
            at: now.to_string(),
            ok: findings.is_empty(),
            findings: findings.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Finding> for FindingDocument {
    fn from(it: &Finding) -> Self {
        Self {
            code: it.code.to_string(),
            severity: it.severity.word().to_owned(),
            set: it.set.as_ref().map(ToString::to_string),
            destination: it.destination.as_ref().map(ToString::to_string),
            object: it.object.clone(),
            evidence: it.evidence.clone(),
            remedy: it.remedy.clone(),
        }
    }
}
