//! A plan saved for later: it is applied only where everything is still as it was.

use super::WorkflowError;
use super::apply::Outlook;
use crate::declared::SetName;
use crate::diagnostic::Diagnostic;
use crate::format::Digest;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What `bkp plan --out` writes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    format: u32,
    bkp_version: String,
    /// The plan file.
    pub path: PathBuf,
    /// The one set, where only one was planned.
    pub only: Option<SetName>,
    plan_sha256: Digest,
    declaration: String,
    steps: Vec<String>,
}

impl SavedPlan {
    const FORMAT: u32 = 1;

    /// Saves what an outlook would do.
    pub fn of(outlook: &Outlook, only: Option<&SetName>) -> Self {
        Self {
            format: Self::FORMAT,
            bkp_version: env!("CARGO_PKG_VERSION").to_owned(),
            path: outlook.origin.path.clone(),
            only: only.cloned(),
            plan_sha256: outlook.origin.sha256,
            declaration: crate::declared::render(&outlook.plan),
            steps: outlook.step_lines(),
        }
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a saved plan has only string keys");
        format!("{text}\n")
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Demands that declaration, steps and version are still the saved ones, and shows what differs.
    pub fn demand_current(&self, outlook: &Outlook) -> Result<(), WorkflowError> {
        let now = Self::of(outlook, self.only.as_ref());
        let mut differences = Vec::new();
        if self.bkp_version != now.bkp_version {
            differences.push(format!("bkp {} saved it, this is {}", self.bkp_version, now.bkp_version));
        }
        if self.plan_sha256 != now.plan_sha256 || self.declaration != now.declaration {
            differences.push(lines("the declaration changed", &self.declaration, &now.declaration));
        }
        if self.steps != now.steps {
            differences.push(lines("the steps changed", &self.steps.join("\n"), &now.steps.join("\n")));
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(Diagnostic::new("saved plan is stale", self.path.display().to_string())
            .why(differences.join("\n"))
            .fix("look at `bkp plan` again and save it anew")
            .into())
    }
}

fn lines(what: &str, before: &str, after: &str) -> String {
    let diff = similar::TextDiff::from_lines(before, after);
    let changed = diff.unified_diff().context_radius(1).header("saved", "now").to_string();
    if changed.is_empty() {
        format!("{what} (comments or layout only)")
    } else {
        format!("{what}:\n{changed}")
    }
}
