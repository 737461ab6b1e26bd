//! `bkp drill`: data brought back into a scratch place and compared.

use super::context::{Context, Failure};
use super::prove::{self, Which};
use crate::exit_code::ExitCode;
use crate::format::Level;
use crate::workflow::drill as workflow;
use clap::Args;

/// Restores snapshots into a scratch place and compares what came back
///
/// Never touches live data. Writes the proof beside the manifest. Exit status: 0 proven, 2 disproven, 1 could not
/// tell.
#[derive(Debug, Args)]
pub struct DrillArgs {
    #[command(flatten)]
    which: Which,
}

pub fn drill(context: &Context<'_>, args: &DrillArgs) -> Result<ExitCode, Failure> {
    prove::each(context, &args.which, Level::Restored, workflow::one)
}
