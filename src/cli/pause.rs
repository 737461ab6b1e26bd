//! `bkp pause`: scheduled runs suspended, with an end and a reason.

use super::context::{Context, Failure};
use crate::declared::{Pause, SetName};
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::workflow::pause as workflow;
use clap::Args;
use jiff::civil::Date;

/// Suspends a set's scheduled runs until a day, for a reason
///
/// Runs by hand go on. Exit status: 0, 1.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Set
    set: SetName,
    /// First day on which runs start again
    #[arg(long, value_name = "DATE", required_unless_present = "end")]
    until: Option<Date>,
    /// Why
    #[arg(long, value_name = "TEXT", required_unless_present = "end")]
    reason: Option<String>,
    /// Ends the pause now
    #[arg(long, conflicts_with_all = ["until", "reason"])]
    end: bool,
}

pub fn pause(context: &Context<'_>, args: &PauseArgs) -> Result<ExitCode, Failure> {
    let plans = context.plans()?;
    let loaded = plans.plan_of(&args.set)?;
    let (Some(until), Some(reason)) = (args.until, args.reason.clone()) else {
        let was = workflow::end(context.host, loaded, &args.set)?;
        context.print(if was { "the pause is ended\n" } else { "there was no pause\n" });
        return Ok(ExitCode::Ok);
    };
    let today = context.host.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    if until <= today {
        return Err(Diagnostic::new("pause has no end ahead", until.to_string())
            .fix("name a later day with `--until`")
            .into());
    }
    if reason.trim().is_empty() {
        return Err(Diagnostic::new("pause has no reason", args.set.to_string())
            .fix("say why with `--reason`")
            .into());
    }
    workflow::set(context.host, loaded, &args.set, &Pause { until, reason: reason.clone() })?;
    context.print(&format!("{}: scheduled runs are paused until {until}: {reason}\n", args.set));
    Ok(ExitCode::Ok)
}
