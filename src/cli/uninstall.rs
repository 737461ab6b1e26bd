//! `bkp uninstall`: a plan's jobs taken away.

use super::context::{Context, Failure};
use crate::declared::PlanName;
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::workflow::uninstall as workflow;
use clap::Args;

/// Removes a plan's jobs and its installed copy; never an artifact
///
/// Exit status: 0, 1.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Plan [default: the only one]
    #[arg(value_name = "PLAN")]
    name: Option<PlanName>,
    /// Does not ask
    #[arg(long, short = 'y')]
    yes: bool,
    /// Only says what would be done
    #[arg(long)]
    dry_run: bool,
}

pub fn uninstall(context: &Context<'_>, args: &UninstallArgs) -> Result<ExitCode, Failure> {
    let plans = context.plans()?;
    let names = plans.plans.iter().map(|loaded| loaded.plan.name.to_string()).collect::<Vec<_>>().join(", ");
    let loaded = match (&args.name, plans.plans.as_slice()) {
        (Some(name), all) => all.iter().find(|loaded| loaded.plan.name == *name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let loaded = loaded
        .ok_or_else(|| Diagnostic::new("which plan?", format!("installed are: {names}")).fix("name one"))?;
    let wanted = workflow::preview(context.host, loaded)?;
    for job in &wanted.jobs {
        context.print(&format!("- job {job}\n"));
    }
    for file in &wanted.files {
        context.print(&format!("- {}\n", file.display()));
    }
    context.print("Snapshots, manifests and proofs at the destinations are kept.\n");
    if args.dry_run {
        return Ok(ExitCode::Ok);
    }
    if !context.confirm(&format!("Uninstall plan `{}`?", loaded.plan.name), args.yes)? {
        context.print("Nothing was removed.\n");
        return Ok(ExitCode::Failed);
    }
    workflow::uninstall(context.host, loaded, &wanted)?;
    context.print(&format!("plan `{}` is uninstalled\n", loaded.plan.name));
    Ok(ExitCode::Ok)
}
