//! `bkp schema`: the JSON schemas.

use super::context::{Context, Failure};
use crate::exit_code::ExitCode;
use crate::{declared, render};
use clap::{Args, ValueEnum};

/// Prints a JSON schema, for editors and for programs that read bkp's JSON
///
/// Exit status: 0.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which
    #[arg(value_enum, default_value_t = Which::Plan)]
    which: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The plan file.
    Plan,
    /// What `bkp plan --format json` prints.
    PlanOutput,
    /// What `bkp audit --format json` prints.
    Audit,
}

pub fn schema(context: &Context<'_>, args: &SchemaArgs) -> Result<ExitCode, Failure> {
    let schema = match args.which {
        Which::Plan => declared::json_schema(),
        Which::PlanOutput => render::plan::schema(),
        Which::Audit => render::audit::schema(),
    };
    context.print(&format!("{schema:#}\n"));
    Ok(ExitCode::Ok)
}
