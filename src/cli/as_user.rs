//! `bkp as-user`: root becomes the user of a set; and what root asks of a set is handed over to its user.
//!
//! What root does for such a set by itself would leave files that the next scheduled run cannot use, and would prove
//! nothing of what that run can.

use super::context::{Colour, Context, Failure, LogFormat};
use crate::declared::{SecretRef, SetName, UserName};
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::host::SEARCH_PATH;
use crate::host::{Command, become_another, follow, groups};
use crate::workflow::LoadedPlan;
use crate::workflow::runner::{self, HandedPlan};
use clap::Args;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Variables that tell how things look, and nothing else.
const LOOKS: [&str; 8] =
    ["LANG", "LC_ALL", "TERM", "NO_COLOR", "BKP_COLOR", "BKP_NO_PROGRESS", "BKP_LOG_FORMAT", "COLUMNS"];
/// What systemd says of a job that failed (systemd.exec(5)).
const MONITOR: [&str; 3] = ["MONITOR_SERVICE_RESULT", "MONITOR_EXIT_CODE", "MONITOR_EXIT_STATUS"];

/// Becomes another user and executes a program: called by bkp itself, not by people
///
/// For root alone. Exit status: the program's.
#[derive(Debug, Args)]
pub struct AsUserArgs {
    /// User
    user: UserName,
    /// A variable of this environment that the program is handed
    #[arg(long, value_name = "NAME")]
    keep: Vec<String>,
    /// Program and arguments
    #[arg(last = true, required = true, value_name = "ARGV")]
    argv: Vec<OsString>,
}

pub fn as_user(context: &Context<'_>, args: &AsUserArgs) -> Result<ExitCode, Failure> {
    let trouble =
        |why: String| Diagnostic::new("not done as the user", format!("user `{}`", args.user)).why(why);
    if !context.host.user().is_root() {
        return Err(trouble("only root can become another user".into()).fix("run it as root").into());
    }
    let account = runner::account_of(context.host, &args.user)?;
    let groups = groups(context.host, &account.name).map_err(|error| trouble(error.to_string()))?;
    let mut variables: BTreeMap<String, OsString> = BTreeMap::from([
        ("PATH".to_owned(), SEARCH_PATH.into()),
        ("HOME".to_owned(), account.home.clone().into_os_string()),
        ("USER".to_owned(), account.name.clone().into()),
        ("LOGNAME".to_owned(), account.name.clone().into()),
    ]);
    for name in args.keep.iter().map(String::as_str).chain(LOOKS) {
        variables.extend(context.host.env(name).map(|value| (name.to_owned(), value.into())));
    }
    // Tests set the clock and the host's name of the binary that they run, and of what it starts.
    #[cfg(debug_assertions)]
    for name in ["BKP_TEST_CLOCK_SHIFT_SECONDS", "BKP_TEST_HOST_NAME"] {
        variables.extend(context.host.env(name).map(|value| (name.to_owned(), value.into())));
    }
    let error = become_another(&account, &groups, &variables, &args.argv);
    let program = args.argv.first().map(|it| it.display().to_string()).unwrap_or_default();
    Err(trouble(format!("`{program}`: {error}"))
        .fix(format!("see that user `{}` may execute it, and every folder above it", args.user))
        .into())
}

/// Has a command for a set done by the set's user, where this process is root and the set runs as another; none where
/// this process does it itself.
pub fn hand_over<S: AsRef<str>>(
    context: &Context<'_>,
    loaded: &LoadedPlan,
    set: &SetName,
    words: &[S],
) -> Result<Option<ExitCode>, Failure> {
    let Some(user) = runner::of(&loaded.plan, set, loaded.places.scope) else { return Ok(None) };
    if !context.host.user().is_root() {
        return Ok(None);
    }
    let handed = HandedPlan::of(context.host, loaded, set, &user)?;
    let trouble =
        |why: String| Diagnostic::new("not done as the user", format!("set `{set}`, user `{user}`")).why(why);
    let binary = context.host.binary().map_err(|error| trouble(error.to_string()))?.into_os_string();
    let mut argv: Vec<OsString> = vec![binary.clone(), "as-user".into(), user.as_str().into()];
    let secrets = loaded.plan.sets.get(set).into_iter().flat_map(|it| loaded.plan.every_secret(it));
    let secrets = secrets.filter_map(|(_, secret)| match secret {
        SecretRef::Env(name) => Some(name.as_str()),
        SecretRef::File(_) | SecretRef::Credential(_) | SecretRef::Command(_) => None,
    });
    for name in secrets.chain(MONITOR).chain(["XDG_CACHE_HOME", "CREDENTIALS_DIRECTORY"]) {
        argv.extend(["--keep".into(), name.into()]);
    }
    argv.extend(["--".into(), binary]);
    argv.extend(words.iter().map(|word| word.as_ref().into()));
    argv.extend([
        "--plan".into(),
        handed.path.clone().into(),
        "--state-dir".into(),
        handed.state.clone().into(),
    ]);
    argv.extend(options(context).into_iter().map(OsString::from));
    let mut command = Command::change(argv);
    command.env.insert("XDG_CACHE_HOME".to_owned(), handed.state.join("cache").into());
    let credentials = handed.credentials.clone();
    command.env.extend(credentials.map(|it| ("CREDENTIALS_DIRECTORY".to_owned(), it.into_os_string())));
    let ended = follow(&command).map_err(|error| trouble(error.to_string()))?;
    Ok(Some(ended.and_then(ExitCode::of_child).unwrap_or(ExitCode::Failed)))
}

/// The global options of this process, for its child.
fn options(context: &Context<'_>) -> Vec<&'static str> {
    let global = &context.global;
    let mut options = Vec::new();
    options.extend(global.verbose.then_some("--verbose"));
    options.extend(global.quiet.then_some("--quiet"));
    options.extend(global.no_progress.then_some("--no-progress"));
    options.push(match global.log_format {
        LogFormat::Text => "--log-format=text",
        LogFormat::Json => "--log-format=json",
    });
    options.push(match global.color {
        Colour::Auto => "--color=auto",
        Colour::Always => "--color=always",
        Colour::Never => "--color=never",
    });
    options
}
