//! `bkp completions` and `bkp man`: made from the command line's own definition.

use super::context::{Context, Failure};
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use clap::Args;
use clap_complete::Shell;
use std::path::PathBuf;

/// Prints a shell's completion script
///
/// Exit status: 0.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the manual page, or writes all of them to a folder
///
/// Exit status: 0, 1.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder for one page a command
    #[arg(long, value_name = "DIR", env = "BKP_OUT_DIR")]
    out: Option<PathBuf>,
}

pub fn completions(
    context: &Context<'_>,
    args: &CompletionsArgs,
    mut command: clap::Command,
) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "bkp", &mut script);
    context.print(&String::from_utf8_lossy(&script));
    Ok(ExitCode::Ok)
}

pub fn man(context: &Context<'_>, args: &ManArgs, command: clap::Command) -> Result<ExitCode, Failure> {
    let page = |command: clap::Command| {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map(|()| page)
    };
    let trouble =
        |error: std::io::Error| Diagnostic::new("manual page not written", "bkp man").why(error.to_string());
    let Some(folder) = &args.out else {
        let page = page(command).map_err(trouble)?;
        context.print(&String::from_utf8_lossy(&page));
        return Ok(ExitCode::Ok);
    };
    context.host.create_dir_all(folder, 0o755).map_err(trouble)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("bkp-{}", sub.get_name());
        let bytes = page(sub.clone().display_name(name.clone())).map_err(trouble)?;
        context.host.write_atomic(&folder.join(format!("{name}.1")), &bytes, 0o644).map_err(trouble)?;
    }
    let bytes = page(command).map_err(trouble)?;
    context.host.write_atomic(&folder.join("bkp.1"), &bytes, 0o644).map_err(trouble)?;
    Ok(ExitCode::Ok)
}
