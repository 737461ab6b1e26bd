//! `bkp verify`: stored bytes read back and compared.

use super::context::{Context, Failure};
use super::prove::{self, Which};
use crate::exit_code::ExitCode;
use crate::format::Level;
use crate::workflow::verify as workflow;
use clap::Args;

/// Reads stored snapshots back and compares every byte's digest
///
/// Writes the proof beside the manifest. Exit status: 0 proven, 2 disproven, 1 could not tell.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    which: Which,
}

pub fn verify(context: &Context<'_>, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    prove::each(context, &args.which, Level::Intact, |host, places, site, (set, _), copy| {
        workflow::one(host, places, site, set, copy)
    })
}
