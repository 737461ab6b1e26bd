//! `bkp delete`: one snapshot removed by hand.

use super::as_user;
use super::context::{Context, Failure};
use crate::declared::{DestinationName, SetName};
use crate::destinations::Access;
use crate::exit_code::ExitCode;
use crate::format::SnapshotId;
use crate::workflow::{delete as workflow, look};
use clap::Args;

/// Removes one snapshot; asks first, and never takes the last verified one
///
/// Exit status: 0 removed, 1 not.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Set
    set: SetName,
    /// Snapshot
    snapshot: SnapshotId,
    /// Only at this destination
    #[arg(long, value_name = "NAME", env = "BKP_DESTINATION")]
    destination: Option<DestinationName>,
    /// Does not ask
    #[arg(long, short = 'y')]
    yes: bool,
    /// Only says what would be done
    #[arg(long)]
    dry_run: bool,
}

/// The command line as the set's user is handed it.
fn words(args: &DeleteArgs) -> Vec<String> {
    let mut words =
        vec!["delete".to_owned(), args.set.to_string(), args.snapshot.to_string(), "--yes".to_owned()];
    words.extend(args.destination.as_ref().map(|name| format!("--destination={name}")));
    words
}

pub fn delete(context: &Context<'_>, args: &DeleteArgs) -> Result<ExitCode, Failure> {
    let plans = context.plans()?;
    let loaded = plans.plan_of(&args.set)?;
    let access = if args.dry_run { Access::Look } else { Access::Change };
    let sites = look::sites(context.host, loaded, &args.set, args.destination.as_ref(), access)?;
    if args.dry_run {
        for site in workflow::allowed(context.host, loaded, &args.set, args.snapshot, &sites)? {
            context.print(&format!("would remove {} at {}\n", args.snapshot, site));
        }
        return Ok(ExitCode::Ok);
    }
    let question = format!("Remove snapshot {} of set `{}`?", args.snapshot, args.set);
    if !context.confirm(&question, args.yes)? {
        context.print("Nothing was removed.\n");
        return Ok(ExitCode::Failed);
    }
    if let Some(code) = as_user::hand_over(context, loaded, &args.set, &words(args))? {
        return Ok(code);
    }
    for destination in workflow::delete(context.host, loaded, &args.set, args.snapshot, &sites)? {
        context.print(&format!("removed {} at {destination}\n", args.snapshot));
    }
    Ok(ExitCode::Ok)
}
