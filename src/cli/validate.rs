//! `bkp validate`: the plan file checked, and nothing else looked at.

use super::context::{Context, Failure};
use crate::exit_code::ExitCode;
use clap::Args;
use std::path::PathBuf;

/// Checks a plan file and says everything that is wrong with it at once
///
/// Looks at no host and at no destination. Exit status: 0 valid, 1 not.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Plan file or folder of them [default: ./bkp.yaml, then ./bkp/]
    path: Option<PathBuf>,
}

pub fn validate(context: &Context<'_>, args: &ValidateArgs) -> Result<ExitCode, Failure> {
    let (loaded, path) = context.plan_file(args.path.as_deref())?;
    let (sets, destinations) = (loaded.plan.sets.len(), loaded.plan.destinations.len());
    context.print(&format!(
        "{} is valid: plan `{}`, {sets} set{}, {destinations} destination{}.\n",
        path.display(),
        loaded.plan.name,
        if sets == 1 { "" } else { "s" },
        if destinations == 1 { "" } else { "s" },
    ));
    Ok(ExitCode::Ok)
}
