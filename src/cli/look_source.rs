//! `bkp look-source`: a set's source as this user sees it, for root, who sees more.

use super::context::{Context, Failure};
use crate::declared::SetName;
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::host::ReadOnlyHost;
use crate::workflow::observe::{LookRequest, Secrets, of_this_user};
use crate::workflow::plan_of_text;
use clap::Args;
use std::path::Path;

/// Prints what this user sees of a set's source as JSON: called by bkp itself, not by people
///
/// Reads the plan, and secrets that are handed on, from standard input as JSON. Changes nothing. Exit status: 0, 1.
#[derive(Debug, Args)]
pub struct LookSourceArgs {
    /// Set
    set: SetName,
    /// The scheduler reads the files of secrets, and not the job
    #[arg(long)]
    secrets_handed_on: bool,
}

pub fn look_source(context: &Context<'_>, args: &LookSourceArgs) -> Result<ExitCode, Failure> {
    let request: LookRequest = serde_json::from_reader(std::io::stdin().lock())
        .map_err(|error| Diagnostic::new("plan not readable", "standard input").why(error.to_string()))?;
    let host = ReadOnlyHost::with_credentials(context.host, request.credentials);
    let plan = plan_of_text(&host, Path::new("/dev/stdin"), &request.plan)?;
    let secrets = if args.secrets_handed_on { Secrets::HandedOn } else { Secrets::ReadByJob };
    let facts = of_this_user(&host, &plan, &args.set, secrets)
        .ok_or_else(|| Diagnostic::new("unknown set", args.set.to_string()))?;
    let text = serde_json::to_string(&facts).expect("facts have only string keys");
    context.print(&format!("{text}\n"));
    Ok(ExitCode::Ok)
}
