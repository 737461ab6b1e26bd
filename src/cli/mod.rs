//! The command line: arguments in, a workflow called, its answer rendered. One file per command.
//!
//! The mapping from errors to messages and exit statuses happens here and nowhere else.

mod apply;
mod as_user;
mod audit;
mod context;
mod daemon;
mod delete;
mod diff;
mod drill;
mod explain;
mod facts;
mod keys;
mod look_source;
mod ls;
mod meta;
mod once;
mod pause;
mod plan;
mod progress;
mod prove;
mod prune;
mod report;
mod restore;
mod run;
mod schema;
mod snapshots;
mod status;
mod uninstall;
mod unlock;
mod validate;
mod verify;

use crate::exit_code::ExitCode;
use crate::host::RealHost;
use crate::workflow::signal;
use clap::{CommandFactory, Parser, Subcommand};
use context::{Context, Failure, Global, say};

/// Backups declared in YAML, compared with what really exists, and proven by restoring them.
#[derive(Debug, Parser)]
#[command(name = "bkp", version, propagate_version = true, max_term_width = 100, after_help = EXIT_STATUS)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "Exit status: 0 done and proven; 1 failed or could not tell; 2 changes, findings or a disproven \
snapshot; 3 an incomplete run; 64 usage; 70 a bug; 75 locked; 130 and 143 interrupted. Each command's help has its own.";

#[derive(Debug, Subcommand)]
enum Command {
    Validate(validate::ValidateArgs),
    Plan(plan::PlanArgs),
    Apply(apply::ApplyArgs),
    Run(run::RunArgs),
    Status(status::StatusArgs),
    Snapshots(snapshots::SnapshotsArgs),
    Ls(ls::LsArgs),
    Diff(diff::DiffArgs),
    Verify(verify::VerifyArgs),
    Drill(drill::DrillArgs),
    Restore(restore::RestoreArgs),
    Prune(prune::PruneArgs),
    Delete(delete::DeleteArgs),
    Audit(audit::AuditArgs),
    Facts(facts::FactsArgs),
    Pause(pause::PauseArgs),
    Keys(keys::KeysArgs),
    Uninstall(uninstall::UninstallArgs),
    Daemon(daemon::DaemonArgs),
    Schema(schema::SchemaArgs),
    Explain(explain::ExplainArgs),
    Completions(meta::CompletionsArgs),
    Man(meta::ManArgs),
    #[command(hide = true)]
    NoteFailure(run::NoteFailureArgs),
    #[command(hide = true)]
    AsUser(as_user::AsUserArgs),
    #[command(hide = true)]
    LookSource(look_source::LookSourceArgs),
    #[command(hide = true)]
    Once(once::OnceArgs),
}

/// The whole program.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(report_panic));
    if let Err(error) = signal::listen() {
        say(&format!("error: signals cannot be handled\n  {error}\n"));
        return ExitCode::Failed;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            // A closed standard error leaves nothing to be said.
            let _unsaid = error.print();
            return if usage { ExitCode::Usage } else { ExitCode::Ok };
        }
    };
    let host = RealHost::new();
    if let Err(error) = crate::schedulers::bound_job_log(&host) {
        say(&format!("warning: the log of this job was not moved aside\n  {error}\n"));
    }
    let context = Context::new(&host, cli.global);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| dispatch(&context, cli.command)));
    let code = match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => context.explain(&failure),
        Err(_) => ExitCode::Panic,
    };
    signal::exit_code().unwrap_or(code)
}

fn dispatch(context: &Context<'_>, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Validate(args) => validate::validate(context, &args),
        Command::Plan(args) => plan::plan(context, &args),
        Command::Apply(args) => apply::apply(context, &args),
        Command::Run(args) => run::run(context, &args),
        Command::Status(args) => status::status(context, &args),
        Command::Snapshots(args) => snapshots::snapshots(context, &args),
        Command::Ls(args) => ls::ls(context, &args),
        Command::Diff(args) => diff::diff(context, &args),
        Command::Verify(args) => verify::verify(context, &args),
        Command::Drill(args) => drill::drill(context, &args),
        Command::Restore(args) => restore::restore(context, &args),
        Command::Prune(args) => prune::prune(context, &args),
        Command::Delete(args) => delete::delete(context, &args),
        Command::Audit(args) => audit::audit(context, &args),
        Command::Facts(args) => facts::facts(context, &args),
        Command::Pause(args) => pause::pause(context, &args),
        Command::Keys(args) => keys::keys(context, &args),
        Command::Uninstall(args) => uninstall::uninstall(context, &args),
        Command::Daemon(args) => daemon::daemon(context, &args),
        Command::Schema(args) => schema::schema(context, &args),
        Command::Explain(args) => explain::explain(context, &args),
        Command::Completions(args) => meta::completions(context, &args, Cli::command()),
        Command::Man(args) => meta::man(context, &args, Cli::command()),
        Command::NoteFailure(args) => run::note_failure(context, &args),
        Command::AsUser(args) => as_user::as_user(context, &args),
        Command::LookSource(args) => look_source::look_source(context, &args),
        Command::Once(args) => once::once(context, &args),
    }
}

fn report_panic(info: &std::panic::PanicHookInfo<'_>) {
    // A panic while a panic is told would abort, and hide the exit status.
    say(&format!(
        "error: a bug in bkp {}\n  {info}\nhelp: nothing that was proven before is touched; please report this with \
         the command line you used\n",
        env!("CARGO_PKG_VERSION")
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
