//! `bkp plan`: what apply would do. Works on a host that refuses to change anything.

use super::context::{Context, Failure};
use crate::decide::{self, Review};
use crate::declared::Loaded;
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::host::ReadOnlyHost;
use crate::observed::Facts;
use crate::render;
use crate::workflow::apply::{self, Outlook};
use crate::workflow::saved::SavedPlan;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// Shows what apply would do; changes nothing
///
/// Looks at the host and the destinations, or reads recorded facts. Exit status: 0; with --detailed-exitcode 2 when
/// there are changes or uncovered data; 1 for an error, a blocked set, or an observation that was tried and failed.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Plan file or folder of them [default: ./bkp.yaml, then ./bkp/]
    path: Option<PathBuf>,
    /// Output
    #[arg(long, value_enum, env = "BKP_FORMAT", default_value_t = Format::Text)]
    format: Format,
    /// Works on facts recorded by `bkp facts`, perhaps on another host
    #[arg(long, env = "BKP_FACTS", value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Saves the plan for `bkp apply FILE`
    #[arg(long, env = "BKP_OUT", value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only this set
    #[arg(long, value_name = "SET", env = "BKP_ONLY")]
    only: Option<crate::declared::SetName>,
    /// Exits with 2 when there are changes or uncovered data
    #[arg(long, env = "BKP_DETAILED_EXITCODE", value_parser = clap::builder::FalseyValueParser::new())]
    detailed_exitcode: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Markdown,
    Github,
}

/// Cuts a plan down to one set, for `--only`.
pub fn keep_only(loaded: &mut Loaded, only: Option<&crate::declared::SetName>) -> Result<(), Failure> {
    let Some(only) = only else { return Ok(()) };
    if !loaded.plan.sets.contains_key(only) {
        let known = loaded.plan.sets.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(Diagnostic::new("unknown set", format!("the plan has no set `{only}`"))
            .fix(format!("its sets are: {known}"))
            .into());
    }
    Ok(())
}

pub fn plan(context: &Context<'_>, args: &PlanArgs) -> Result<ExitCode, Failure> {
    let host = ReadOnlyHost::new(context.host);
    let (mut loaded, path) = context.plan_file(args.path.as_deref())?;
    keep_only(&mut loaded, args.only.as_ref())?;
    let state_dir = context.global.state_dir.as_deref();
    let mut outlook = match &args.facts {
        None => apply::outlook(&host, &loaded, &path, state_dir)?,
        Some(file) => apply::outlook_recorded(&host, &loaded, &path, read_facts(context, file)?, state_dir)?,
    };
    if let Some(only) = &args.only {
        outlook.keep_only(only);
    }
    context.print(&text(context, &outlook, args.format));
    if let Some(out) = &args.out {
        // The one file that plan writes is the one it was asked for.
        let saved = SavedPlan::of(&outlook, args.only.as_ref()).render();
        context.host.write_atomic(out, saved.as_bytes(), 0o600).map_err(|error| {
            Diagnostic::new("plan not saved", out.display().to_string()).why(error.to_string())
        })?;
    }
    Ok(decide::plan_exit(&outlook.review, args.detailed_exitcode))
}

fn text(context: &Context<'_>, outlook: &Outlook, format: Format) -> String {
    let review: &Review = &outlook.review;
    let plan = outlook.plan.name.as_str();
    match format {
        Format::Text => render::plan::text(review, plan, context.palette()),
        Format::Json => render::plan::json(review, plan, outlook.facts.observed_at),
        Format::Markdown => render::plan::markdown(review, plan),
        Format::Github => render::plan::github(review, plan),
    }
}

fn read_facts(context: &Context<'_>, file: &Path) -> Result<Facts, Failure> {
    let trouble = |why: String| {
        Diagnostic::new("facts not readable", file.display().to_string())
            .why(why)
            .fix("record them with `bkp facts >FILE`")
    };
    let bytes = context.host.read(file).map_err(|error| trouble(error.to_string()))?;
    let facts: Facts = serde_json::from_slice(&bytes).map_err(|error| trouble(error.to_string()))?;
    if facts.format > Facts::FORMAT {
        return Err(
            trouble(format!("format {} is later than this bkp's {}", facts.format, Facts::FORMAT)).into()
        );
    }
    Ok(facts)
}
