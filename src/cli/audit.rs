//! `bkp audit`: what is true now.

use super::context::{Context, Failure};
use crate::decide::{self, Finding};
use crate::exit_code::ExitCode;
use crate::host::ReadOnlyHost;
use crate::render::audit as render;
use crate::workflow::{observe, survey};
use clap::{Args, ValueEnum};

/// Says what is not as it should be, each with evidence and remedy
///
/// Changes nothing. Exit status: 0 no findings, 2 findings, 1 something could not be looked at (findings win); with
/// --format nagios: 0 ok, 1 warning, 2 critical, 3 unknown.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Output
    #[arg(long, value_enum, env = "BKP_FORMAT", default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Markdown,
    Nagios,
    Prometheus,
    Junit,
}

pub fn audit(context: &Context<'_>, args: &AuditArgs) -> Result<ExitCode, Failure> {
    let host = ReadOnlyHost::new(context.host);
    let plans = context.plans()?;
    let now = context.host.now();
    let mut findings: Vec<Finding> = Vec::new();
    for loaded in &plans.plans {
        let survey = survey::survey(&host, loaded, observe::Scope::Everything)?;
        let world = survey.world(now);
        findings.extend(decide::audit(&world));
    }
    if context.global.quiet && findings.is_empty() && args.format == Format::Text {
        return Ok(decide::audit_exit(&findings));
    }
    let palette = context.palette();
    context.print(&match args.format {
        Format::Text => render::text(&findings, palette),
        Format::Json => render::json(&findings, now),
        Format::Markdown => render::markdown(&findings),
        Format::Nagios => render::nagios(&findings),
        Format::Prometheus => render::prometheus(&findings, now),
        Format::Junit => render::junit(&findings),
    });
    Ok(match args.format {
        Format::Nagios => decide::nagios_exit(&findings),
        Format::Text | Format::Json | Format::Markdown | Format::Prometheus | Format::Junit => {
            decide::audit_exit(&findings)
        }
    })
}
