//! `bkp snapshots`: what lies at the destinations.

use super::context::{Context, Failure};
use super::run::ReportFormat;
use crate::declared::{DestinationName, SetName};
use crate::destinations::Access;
use crate::exit_code::ExitCode;
use crate::format::Level;
use crate::observed::{SnapshotFacts, SnapshotState};
use crate::render::status::bytes as human_bytes;
use crate::workflow::{look, verify};
use clap::Args;
use comfy_table::{Table, presets};

/// Lists snapshots with their sizes and proofs
///
/// Exit status: 0; 1 when a destination could not be read, and what the others hold is listed all the same.
#[derive(Debug, Args)]
pub struct SnapshotsArgs {
    /// Sets [default: all]
    #[arg(value_name = "SET")]
    sets: Vec<SetName>,
    /// Only at this destination
    #[arg(long, value_name = "NAME", env = "BKP_DESTINATION")]
    destination: Option<DestinationName>,
    /// Output
    #[arg(long, value_enum, env = "BKP_FORMAT", default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

pub fn snapshots(context: &Context<'_>, args: &SnapshotsArgs) -> Result<ExitCode, Failure> {
    let plans = context.plans()?;
    let sets: Vec<SetName> = if args.sets.is_empty() {
        plans.plans.iter().flat_map(|loaded| loaded.plan.sets.keys().cloned()).collect()
    } else {
        args.sets.clone()
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "SET",
        "DESTINATION",
        "SNAPSHOT",
        "STATE",
        "MEMBERS",
        "STORED",
        "INTACT",
        "RESTORED",
    ]);
    let mut list = Vec::new();
    let mut unread = false;
    for set in &sets {
        let loaded = plans.plan_of(set)?;
        for site in look::sites(context.host, loaded, set, args.destination.as_ref(), Access::Look)? {
            let history = match look::history(&site, loaded, set) {
                Ok(history) => history,
                Err(error) => {
                    // One destination's trouble hides nothing of the others.
                    context.explain(&error.into());
                    unread = true;
                    continue;
                }
            };
            for snapshot in history {
                table.add_row(row(set, &site.name, &snapshot));
                list.push(serde_json::json!({"set": set, "destination": site.name, "snapshot": snapshot}));
            }
        }
    }
    let text = match args.format {
        ReportFormat::Text if list.is_empty() && unread => String::new(),
        ReportFormat::Text if list.is_empty() => "There are no snapshots.\n".to_owned(),
        ReportFormat::Text => format!("{table}\n"),
        ReportFormat::Json => format!("{:#}\n", serde_json::json!({"format_version": 1, "snapshots": list})),
    };
    context.print(&text);
    Ok(if unread { ExitCode::Failed } else { ExitCode::Ok })
}

fn row(set: &SetName, destination: &DestinationName, snapshot: &SnapshotFacts) -> Vec<String> {
    let mut row = vec![set.to_string(), destination.to_string(), snapshot.id.to_string()];
    let rest = match &snapshot.state {
        SnapshotState::Sealed(sealed) => {
            let state = if sealed.manifest.complete { "complete" } else { "incomplete" };
            let time = |level| match verify::disproven_at(sealed, level) {
                Some((at, _)) => format!("DISPROVEN {}", at.strftime("%F %TZ")),
                None => verify::proven_at(sealed, level)
                    .map_or("never".to_owned(), |at| at.strftime("%F %TZ").to_string()),
            };
            vec![
                state.to_owned(),
                sealed.manifest.members.len().to_string(),
                human_bytes(sealed.manifest.stored_bytes()),
                time(Level::Intact),
                time(Level::Restored),
            ]
        }
        SnapshotState::Unsealed => vec!["no manifest".to_owned()],
        SnapshotState::Damaged(_) => vec!["manifest damaged".to_owned()],
        SnapshotState::NotRead | SnapshotState::NeverRestored => vec!["not read".to_owned()],
    };
    row.extend(rest);
    row.resize(8, String::new());
    row
}
