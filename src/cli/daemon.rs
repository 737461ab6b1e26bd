//! `bkp daemon`: the embedded scheduler.

use super::context::{Context, Failure};
use super::progress::Progress;
use crate::declared::Scope;
use crate::exit_code::ExitCode;
use crate::workflow::daemon::{self as workflow, Until};
use crate::workflow::places;
use clap::{Args, ValueEnum};

/// Starts the jobs of plans with `scheduler: embedded`, one at a time, missed ones first
///
/// Runs until it is told to end. Exit status: 0; 1 when it could not start; 130 or 143 when told to end.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// Whose jobs [default: system for root with such jobs, else user]
    #[arg(long, value_enum, env = "BKP_SCOPE")]
    scope: Option<ScopeArg>,
    /// Runs what is due now, then ends
    #[arg(long, env = "BKP_ONCE", value_parser = clap::builder::FalseyValueParser::new())]
    once: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScopeArg {
    System,
    User,
}

pub fn daemon(context: &Context<'_>, args: &DaemonArgs) -> Result<ExitCode, Failure> {
    let state_dir = context.global.state_dir.as_deref();
    let system_jobs = || {
        let jobs = places(context.host, Scope::System, state_dir).config.join("jobs");
        context.host.user().is_root() && context.host.status(&jobs).is_ok()
    };
    let scope = match args.scope {
        Some(ScopeArg::System) => Scope::System,
        Some(ScopeArg::User) => Scope::User,
        None if system_jobs() => Scope::System,
        None => Scope::User,
    };
    let places = places(context.host, scope, state_dir);
    let until = if args.once { Until::NothingDue } else { Until::Told };
    let progress = Progress::new(context);
    workflow::daemon(context.host, &places, until, &|event| progress.event(event))?;
    Ok(ExitCode::Ok)
}
