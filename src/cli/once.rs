//! `bkp once`: one start of a job by a scheduler that cannot be told to start it now.

use super::context::{Context, Failure};
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::schedulers;
use clap::Args;
use std::path::PathBuf;

/// For lines that cron starts for one start of a job, not for people: runs the command and records how it ended
///
/// Does nothing where the record is there already. Exit status: 0 recorded, or nothing to do; 1 not recorded.
#[derive(Debug, Args)]
pub struct OnceArgs {
    /// The record
    #[arg(long, value_name = "FILE")]
    record: PathBuf,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    argv: Vec<String>,
}

pub fn once(context: &Context<'_>, args: &OnceArgs) -> Result<ExitCode, Failure> {
    schedulers::run_once(context.host, &args.record, &args.argv)
        .map_err(|error| Diagnostic::from_error("job not recorded", &error))?;
    Ok(ExitCode::Ok)
}
