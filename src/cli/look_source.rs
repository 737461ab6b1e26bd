//! `bkp look-source`: a set's source as this user sees it, for root, who sees more.

use super::context::{Context, Failure};
use crate::declared::SetName;
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::host::ReadOnlyHost;
use crate::workflow::observe::{Secrets, of_this_user};
use crate::workflow::plan_of_text;
use clap::Args;
use std::io::Read;
use std::path::Path;

/// Prints what this user sees of a set's source as JSON: called by bkp itself, not by people
///
/// Reads the plan from standard input. Changes nothing. Exit status: 0, 1.
#[derive(Debug, Args)]
pub struct LookSourceArgs {
    /// Set
    set: SetName,
    /// The scheduler reads the files of secrets, and not the job
    #[arg(long)]
    secrets_handed_on: bool,
}

pub fn look_source(context: &Context<'_>, args: &LookSourceArgs) -> Result<ExitCode, Failure> {
    let host = ReadOnlyHost::new(context.host);
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .read_to_string(&mut text)
        .map_err(|error| Diagnostic::new("plan not readable", "standard input").why(error.to_string()))?;
    let plan = plan_of_text(&host, Path::new("/dev/stdin"), &text)?;
    let secrets = if args.secrets_handed_on { Secrets::HandedOn } else { Secrets::ReadByJob };
    let facts = of_this_user(&host, &plan, &args.set, secrets)
        .ok_or_else(|| Diagnostic::new("unknown set", args.set.to_string()))?;
    let text = serde_json::to_string(&facts).expect("facts have only string keys");
    context.print(&format!("{text}\n"));
    Ok(ExitCode::Ok)
}
