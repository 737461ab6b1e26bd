//! `bkp apply`: the host made to agree with the plan file, and proven to.

use super::context::{Context, Failure};
use super::plan::keep_only;
use super::progress::Progress;
use crate::decide;
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::host::read_text;
use crate::observed::SchedulerKind;
use crate::render;
use crate::workflow::apply::{self, Applied, Outlook};
use crate::workflow::saved::SavedPlan;
use clap::Args;
use std::path::{Path, PathBuf};

/// Installs the plan and its jobs, and proves each set through its own job
///
/// Each new or changed set is backed up, read back and restored through its job before its timer is enabled. A second
/// apply converges. Exit status: 0 when everything is as declared and proven, 1 when not.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Plan file, folder of them, or a plan saved by `bkp plan --out` [default: ./bkp.yaml, then ./bkp/]
    path: Option<PathBuf>,
    /// Does not ask
    #[arg(long, short = 'y')]
    yes: bool,
    /// Only this set
    #[arg(long, value_name = "SET", env = "BKP_ONLY")]
    only: Option<crate::declared::SetName>,
}

pub fn apply(context: &Context<'_>, args: &ApplyArgs) -> Result<ExitCode, Failure> {
    let saved = args.path.as_deref().map(|path| saved_plan(context, path)).transpose()?.flatten();
    let named = saved.as_ref().map(|saved| saved.path.clone()).or_else(|| args.path.clone());
    let (mut loaded, path) = context.plan_file(named.as_deref())?;
    let only = saved.as_ref().and_then(|saved| saved.only.clone()).or_else(|| args.only.clone());
    keep_only(&mut loaded, only.as_ref())?;
    if !decide::host_matches(&loaded.plan, &context.host.host_name()) {
        return Err(Diagnostic::new(
            "not this host's plan",
            format!("plan `{}` is for other hosts", loaded.plan.name),
        )
        .why(format!("this host is `{}`", context.host.host_name()))
        .fix("apply it there, or change `host:` in the plan file")
        .into());
    }
    let look = || -> Result<Outlook, Failure> {
        let mut outlook = apply::outlook(context.host, &loaded, &path, context.global.state_dir.as_deref())?;
        if let Some(only) = &only {
            outlook.keep_only(only);
        }
        Ok(outlook)
    };
    let outlook = look()?;
    if let Some(saved) = &saved {
        saved.demand_current(&outlook)?;
    }
    let nothing = outlook.steps().is_empty();
    if !context.global.quiet {
        context.print(&render::plan::text(&outlook.review, outlook.plan.name.as_str(), context.palette()));
    }
    if nothing {
        return Ok(finish(context, &outlook, &Applied::default()));
    }
    if !context.confirm("Apply this plan?", args.yes || saved.is_some())? {
        context.print("Nothing was changed.\n");
        return Ok(ExitCode::Failed);
    }
    let progress = Progress::new(context);
    let applied = apply::apply(context.host, &outlook, &|event| progress.event(event));
    drop(progress);
    let after = look()?;
    Ok(finish(context, &after, &applied))
}

fn saved_plan(context: &Context<'_>, path: &Path) -> Result<Option<SavedPlan>, Failure> {
    if path.extension().is_none_or(|it| it == "yaml" || it == "yml") {
        return Ok(None);
    }
    let text = read_text(context.host, path).map_err(|error| {
        Diagnostic::new("saved plan not readable", path.display().to_string()).why(error.to_string())
    })?;
    Ok(Some(SavedPlan::parse(&text).map_err(|error| {
        Diagnostic::new("not a saved plan", path.display().to_string())
            .why(error.to_string())
            .fix("save one with `bkp plan --out FILE`; plan files end in .yaml")
    })?))
}

fn finish(context: &Context<'_>, after: &Outlook, applied: &Applied) -> ExitCode {
    for diagnostic in &applied.failed {
        context.warn("error", diagnostic);
    }
    for step in &applied.left_out {
        context.warn("error", &Diagnostic::new("step not tried", step.clone()).why("one before it failed"));
    }
    for blocked in &after.review.blocked {
        context.warn("error", &blocked.diagnostic);
    }
    let (rows, copies) = (&after.review.coverage, &after.review.copies);
    let now = context.host.now();
    context.print(&render::status::text(rows, copies, now, context.palette()));
    let left = after.steps();
    for id in left.order() {
        context.print(&format!("left to do: {}\n", left.step(id)));
    }
    if after.kind == SchedulerKind::Embedded && !after.daemon_lives() {
        context.print("not scheduled: start bkp daemon\n");
    }
    // What the plan file asks for and no destination of it can give is not as declared.
    let enough = copies.iter().all(|it| it.lacking(it.verified) == (None, None));
    let converged = enough
        && left.is_empty()
        && applied.failed.is_empty()
        && applied.left_out.is_empty()
        && after.review.blocked.is_empty()
        && after.review.unknown.is_empty();
    if converged { ExitCode::Ok } else { ExitCode::Failed }
}
