//! `bkp diff`: what changed between two snapshots.

use super::context::{Context, Failure};
use super::run::ReportFormat;
use super::unlock::Unlock;
use crate::declared::{DestinationName, SetName};
use crate::destinations::Access;
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::format::SnapshotId;
use crate::render::escape;
use crate::workflow::{compare, look};
use clap::Args;

/// Shows what differs between two snapshots of a set
///
/// Exit status: 0, 1.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Set
    set: SetName,
    /// Older snapshot
    before: SnapshotId,
    /// Newer snapshot [default: the newest complete one]
    after: Option<SnapshotId>,
    /// At this destination [default: the set's first]
    #[arg(long, value_name = "NAME", env = "BKP_DESTINATION")]
    destination: Option<DestinationName>,
    #[command(flatten)]
    unlock: Unlock,
    /// Output
    #[arg(long, value_enum, env = "BKP_FORMAT", default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

pub fn diff(context: &Context<'_>, args: &DiffArgs) -> Result<ExitCode, Failure> {
    let plans = context.plans()?;
    let loaded = plans.plan_of(&args.set)?;
    let sites = look::sites(context.host, loaded, &args.set, args.destination.as_ref(), Access::Look)?;
    let sites = args.unlock.sites(context, sites)?;
    let site = sites.first().ok_or_else(|| Diagnostic::new("no destination", args.set.to_string()))?;
    let before = look::choose(site, &args.set, &loaded.plan.moved, Some(args.before))?;
    let after = look::choose(site, &args.set, &loaded.plan.moved, args.after)?;
    let differences = compare::diff(site, &before, &after)?;
    let text = match args.format {
        ReportFormat::Json => {
            format!("{:#}\n", serde_json::json!({"format_version": 1, "differences": differences}))
        }
        ReportFormat::Text if differences.is_empty() => "The snapshots hold the same data.\n".to_owned(),
        ReportFormat::Text => {
            let line = |it: &compare::Difference| {
                escape::terminal(&format!("{} {} {} ({})", it.symbol, it.member, it.object, it.detail))
            };
            let mut lines: Vec<String> = differences.iter().map(line).collect();
            lines.push(String::new());
            lines.join("\n")
        }
    };
    context.print(&text);
    Ok(ExitCode::Ok)
}
