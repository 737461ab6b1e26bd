//! `bkp status`: the coverage table, and the last runs.

use super::context::{Context, Failure};
use super::run::ReportFormat;
use crate::decide;
use crate::exit_code::ExitCode;
use crate::observed::{JournalEntry, JournalEvent, RunOutcome};
use crate::render;
use crate::workflow::{self, survey};
use clap::Args;
use comfy_table::{Table, presets};
use jiff::Timestamp;
use std::time::Duration;

/// Shows each set at each destination, how well it is proven, and the last runs
///
/// Exit status: 0, 1.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Output
    #[arg(long, value_enum, env = "BKP_FORMAT", default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    /// How many of the last runs are shown
    #[arg(long, default_value_t = 10, env = "BKP_RUNS", value_name = "N")]
    runs: usize,
}

pub fn status(context: &Context<'_>, args: &StatusArgs) -> Result<ExitCode, Failure> {
    let plans = context.plans()?;
    let now = context.host.now();
    let (mut rows, mut copies) = (Vec::new(), Vec::new());
    let mut entries = Vec::new();
    for loaded in &plans.plans {
        let survey = survey::survey(context.host, loaded, workflow::observe::Scope::Everything)?;
        let of_plan = decide::coverage(&survey.world(now));
        copies.extend(decide::copies(&survey.world(now), &of_plan));
        rows.extend(of_plan);
        let journal = survey.facts.journal.as_ref().and_then(|fact| fact.observed.present());
        entries.extend(journal.map(|journal| journal.entries.clone()).unwrap_or_default());
    }
    entries.sort_by_key(|entry| entry.at);
    entries.dedup();
    let text = match args.format {
        ReportFormat::Text => {
            let runs = last_runs(&entries, args.runs, now);
            format!("{}{runs}", render::status::text(&rows, &copies, now, context.palette()))
        }
        ReportFormat::Json => render::status::json(&rows, &copies, now),
    };
    context.print(&text);
    Ok(ExitCode::Ok)
}

/// The last runs, newest first.
fn last_runs(entries: &[JournalEntry], count: usize, now: Timestamp) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "LAST RUNS",
        "SET",
        "OUTCOME",
        "READ",
        "STORED",
        "TOOK",
        "REASON",
    ]);
    let runs = entries.iter().rev().filter_map(|entry| match &entry.event {
        JournalEvent::Finished {
            outcome, read_bytes, stored_bytes, duration_milliseconds, reason, ..
        } => {
            let outcome = match outcome {
                RunOutcome::Complete => "complete",
                RunOutcome::Incomplete => "incomplete",
                RunOutcome::Failed => "failed",
            };
            Some([
                decide::ago(entry.at, now),
                entry.set.to_string(),
                outcome.to_owned(),
                render::status::bytes(*read_bytes),
                render::status::bytes(*stored_bytes),
                format!("{:.1} s", Duration::from_millis(*duration_milliseconds).as_secs_f64()),
                reason.clone().unwrap_or_default(),
            ])
        }
        JournalEvent::Skipped { holder } => Some([
            decide::ago(entry.at, now),
            entry.set.to_string(),
            "skipped".to_owned(),
            String::new(),
            String::new(),
            String::new(),
            format!("locked by {holder}"),
        ]),
        JournalEvent::Held { reason } => Some([
            decide::ago(entry.at, now),
            entry.set.to_string(),
            "held".to_owned(),
            String::new(),
            String::new(),
            String::new(),
            reason.clone(),
        ]),
        JournalEvent::Started { .. }
        | JournalEvent::Sealed { .. }
        | JournalEvent::Removing { .. }
        | JournalEvent::Proved { .. } => None,
    });
    for run in runs.take(count) {
        table.add_row(run);
    }
    render::status::fit(&mut table);
    if table.row_count() == 0 { String::new() } else { format!("\n{table}\n") }
}
