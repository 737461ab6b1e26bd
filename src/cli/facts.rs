//! `bkp facts`: what was seen, as JSON, for plan elsewhere.

use super::context::{Context, Failure};
use crate::exit_code::ExitCode;
use crate::host::ReadOnlyHost;
use crate::workflow::observe::{self, observe};
use crate::workflow::{places, scheduler_kind, scope_of};
use clap::Args;
use std::path::PathBuf;

/// Prints the observed facts as JSON, for `bkp plan --facts` elsewhere
///
/// Changes nothing. Exit status: 0, 1.
#[derive(Debug, Args)]
pub struct FactsArgs {
    /// Plan file whose sources and destinations are looked at [default: ./bkp.yaml, then ./bkp/]
    path: Option<PathBuf>,
    /// Looks into every snapshot, not only into the newest
    #[arg(long, env = "BKP_EVERYTHING", value_parser = clap::builder::FalseyValueParser::new())]
    everything: bool,
}

pub fn facts(context: &Context<'_>, args: &FactsArgs) -> Result<ExitCode, Failure> {
    let host = ReadOnlyHost::new(context.host);
    let (loaded, _path) = context.plan_file(args.path.as_deref())?;
    let scope = scope_of(&host, &loaded.plan)?;
    let places = places(&host, scope, context.global.state_dir.as_deref());
    let kind = scheduler_kind(&host, &loaded.plan, scope);
    let depth = if args.everything { observe::Scope::Everything } else { observe::Scope::Newest };
    let facts = observe(&host, &loaded.plan, &places, kind, depth)?;
    let text = serde_json::to_string_pretty(&facts).expect("facts have only string keys");
    context.print(&format!("{text}\n"));
    Ok(ExitCode::Ok)
}
