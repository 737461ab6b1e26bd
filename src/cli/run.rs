//! `bkp run`: one backup now.

use super::as_user;
use super::context::{Context, Failure};
use super::progress::Progress;
use super::report;
use crate::declared::SetName;
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::format::Trigger;
use crate::workflow::condition::Due;
use crate::workflow::run::{self, RunRequest, RunResult};
use crate::workflow::{InstalledSets, LoadedPlan, apply, signal};
use clap::{Args, ValueEnum};

/// Backs sets up now, in this process: what jobs call
///
/// Each snapshot is read back before it counts. Exit status: 0 complete; 3 incomplete (a member or a destination is
/// missing); 1 failed; 75 another run holds the lock. Of several sets 1 comes before 3 before 75.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Sets
    #[arg(required = true, value_name = "SET")]
    sets: Vec<SetName>,
    /// Starts the installed job instead, and follows it
    #[arg(long, conflicts_with_all = ["if_due", "accept_source", "trigger"])]
    job: bool,
    /// Does nothing where no run was due since the newest complete snapshot; schedulers ask so
    #[arg(long, env = "BKP_IF_DUE", value_parser = clap::builder::FalseyValueParser::new())]
    if_due: bool,
    /// Takes a source whose mount changed, or another plan's snapshots of this set, for this plan's from now on
    #[arg(long)]
    accept_source: bool,
    /// Why it runs; jobs say so
    #[arg(long, value_enum, default_value_t = TriggerArg::Manual, hide = true)]
    trigger: TriggerArg,
    /// Output
    #[arg(long, value_enum, env = "BKP_FORMAT", default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TriggerArg {
    Manual,
    Schedule,
    Trial,
}

/// Text or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// For jobs that ended without a word: called by the scheduler, not by people
#[derive(Debug, Args)]
pub struct NoteFailureArgs {
    /// The set
    set: SetName,
    /// Ignored; the job's own command line is passed on
    #[arg(long, hide = true)]
    trigger: Option<String>,
}

pub fn note_failure(context: &Context<'_>, args: &NoteFailureArgs) -> Result<ExitCode, Failure> {
    let plans = context.plans()?;
    let loaded = plans.plan_of(&args.set)?;
    if let Some(code) = as_user::hand_over(context, loaded, &args.set, &["note-failure", args.set.as_str()])?
    {
        return Ok(code);
    }
    run::note_failure(context.host, loaded, &args.set)?;
    Ok(ExitCode::Ok)
}

pub fn run(context: &Context<'_>, args: &RunArgs) -> Result<ExitCode, Failure> {
    let plans = context.plans()?;
    let mut codes = Vec::new();
    for set in &args.sets {
        if let Some(reason) = signal::given_up() {
            // What hung may still be going on in this process.
            let what = format!("set `{set}`: a set before it was given up: {reason}");
            context
                .warn("error", &Diagnostic::new("set not begun", what).fix(format!("run `bkp run {set}`")));
            codes.push(ExitCode::Failed);
            continue;
        }
        // One set's trouble does not keep the others from being backed up.
        let code = one(context, args, &plans, set).unwrap_or_else(|failure| context.explain(&failure));
        codes.push(code);
    }
    let worst = [ExitCode::Failed, ExitCode::Incomplete, ExitCode::Locked];
    Ok(worst.into_iter().find(|code| codes.contains(code)).unwrap_or(ExitCode::Ok))
}

/// The command line for one set, as its user is handed it.
fn words<'a>(args: &RunArgs, set: &'a SetName) -> Vec<&'a str> {
    let mut words = vec!["run", set.as_str()];
    words.extend(args.if_due.then_some("--if-due"));
    words.extend(args.accept_source.then_some("--accept-source"));
    words.push(match args.trigger {
        TriggerArg::Manual => "--trigger=manual",
        TriggerArg::Schedule => "--trigger=schedule",
        TriggerArg::Trial => "--trigger=trial",
    });
    words.push(match args.format {
        ReportFormat::Text => "--format=text",
        ReportFormat::Json => "--format=json",
    });
    words
}

fn one(
    context: &Context<'_>,
    args: &RunArgs,
    plans: &InstalledSets,
    set: &SetName,
) -> Result<ExitCode, Failure> {
    let loaded = plans.plan_of(set)?;
    if args.job {
        return start_job(context, loaded, set);
    }
    if let Some(code) = as_user::hand_over(context, loaded, set, &words(args, set))? {
        return Ok(code);
    }
    let trigger = match args.trigger {
        TriggerArg::Manual => Trigger::Manual,
        TriggerArg::Schedule => Trigger::Schedule,
        TriggerArg::Trial => Trigger::Trial,
    };
    if args.if_due
        && let Due::No(reason) = run::due_under_watch(context.host, loaded, set, trigger)?
    {
        if !context.global.quiet {
            context.print(&format!("{set}: no run is due: {reason}\n"));
        }
        return Ok(ExitCode::Ok);
    }
    let request = RunRequest { trigger, accept_source: args.accept_source };
    let progress = Progress::new(context);
    let result = run::run(context.host, loaded, set, request, &|event| progress.event(event));
    drop(progress);
    match result? {
        RunResult::Ran(report) => {
            let text = match args.format {
                ReportFormat::Text => report::text(&report),
                ReportFormat::Json => report::json(&report),
            };
            if !context.global.quiet || args.format == ReportFormat::Json {
                context.print(&text);
            }
            for failure in report.all_failures() {
                context.warn("error", &failure);
            }
            Ok(report.exit_code())
        }
        RunResult::Paused(pause) => {
            context.print(&format!("{set}: paused until {}: {}\n", pause.until, pause.reason));
            Ok(ExitCode::Ok)
        }
        RunResult::Held(reason) => {
            context.print(&format!("{set}: not now: {reason}\n"));
            Ok(ExitCode::Ok)
        }
        RunResult::Locked { holder } => {
            context.warn(
                "error",
                &Diagnostic::new("another run holds the lock", format!("set `{set}` is locked by {holder}"))
                    .fix("wait for it to end; the kernel releases the lock with the process"),
            );
            Ok(ExitCode::Locked)
        }
    }
}

fn start_job(context: &Context<'_>, loaded: &LoadedPlan, set: &SetName) -> Result<ExitCode, Failure> {
    let progress = Progress::new(context);
    let outcome = apply::start_job(context.host, loaded, set, &|event| progress.event(event));
    drop(progress);
    match outcome? {
        Ok(()) => {
            context.print(&format!("{set}: the job ended with exit status 0\n"));
            Ok(ExitCode::Ok)
        }
        Err(diagnostic) => {
            context.warn("error", &diagnostic);
            Ok(ExitCode::Failed)
        }
    }
}
