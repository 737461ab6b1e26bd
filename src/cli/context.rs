//! What every command shares: the host, the global options, and how people are told things.

use crate::declared::{self, Loaded, PlanErrors};
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::host::Host;
use crate::render::Palette;
use crate::workflow::{InstalledSets, WorkflowError};
use clap::{Args, ValueEnum};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Works on this plan file instead of the installed plans
    #[arg(long, global = true, env = "BKP_PLAN", value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Keeps local state here instead of /var/lib/bkp or ~/.local/state/bkp
    #[arg(long, global = true, env = "BKP_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How progress is written when there is no terminal
    #[arg(long, global = true, env = "BKP_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Says more
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Says only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Colours
    #[arg(long, global = true, env = "BKP_COLOR", value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// Draws no progress bars
    #[arg(long, global = true, env = "BKP_NO_PROGRESS", value_parser = clap::builder::FalseyValueParser::new())]
    pub no_progress: bool,
}

/// How progress is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Plain lines.
    Text,
    /// One JSON object a line.
    Json,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, and not when `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// The plan file has errors.
    Plan(PlanErrors),
    /// A workflow stopped.
    Workflow(WorkflowError),
    /// Anything else that a person has to mend.
    Stopped(Box<Diagnostic>),
}

impl From<WorkflowError> for Failure {
    fn from(error: WorkflowError) -> Self {
        Self::Workflow(error)
    }
}

impl From<PlanErrors> for Failure {
    fn from(errors: PlanErrors) -> Self {
        Self::Plan(errors)
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Stopped(Box::new(diagnostic))
    }
}

/// Writes to standard error. A log that is full or gone is no reason to give up a backup.
pub fn say(text: &str) {
    let _unsaid = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The host and the global options.
pub struct Context<'a> {
    /// The host.
    pub host: &'a dyn Host,
    /// The options.
    pub global: Global,
}

impl<'a> Context<'a> {
    /// A context on a host.
    pub fn new(host: &'a dyn Host, global: Global) -> Self {
        Self { host, global }
    }

    /// The colours of standard output.
    pub fn palette(&self) -> Palette {
        Palette { coloured: self.colour_on(std::io::stdout().is_terminal()) }
    }

    fn colour_on(&self, terminal: bool) -> bool {
        match self.global.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && self.host.env("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    /// Writes to standard output. A reader that went away is not an error of ours.
    pub fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Writes a diagnostic to standard error.
    pub fn warn(&self, word: &str, diagnostic: &Diagnostic) {
        let bold = self.colour_on(std::io::stderr().is_terminal());
        let colour = if word == "error" { "31" } else { "33" };
        let (on, off) = if bold { (format!("\x1b[1;{colour}m"), "\x1b[0m") } else { (String::new(), "") };
        let mut text = format!("{on}{word}{off}: {}\n", diagnostic.summary);
        for line in diagnostic.sentence().lines() {
            text.extend(["  ", line, "\n"]);
        }
        if let Some(fix) = &diagnostic.fix {
            text.extend(["help: ", fix, "\n"]);
        }
        say(&text);
    }

    /// Tells why a command ended early, and with which status.
    pub fn explain(&self, failure: &Failure) -> ExitCode {
        match failure {
            Failure::Plan(errors) => {
                let colour = self.colour_on(std::io::stderr().is_terminal());
                say(&errors.report(colour));
                ExitCode::Failed
            }
            Failure::Workflow(error) => {
                self.warn("error", &error.diagnostic());
                match error {
                    WorkflowError::Locked { .. } => ExitCode::Locked,
                    WorkflowError::Stopped(_) => ExitCode::Failed,
                }
            }
            Failure::Stopped(diagnostic) => {
                self.warn("error", diagnostic);
                ExitCode::Failed
            }
        }
    }

    /// Reads the plan file that `validate`, `plan` and `apply` work on: the one named, else `./bkp.yaml`, else
    /// `./bkp/`. Its warnings are written to standard error.
    pub fn plan_file(&self, path: Option<&Path>) -> Result<(Loaded, PathBuf), Failure> {
        let named = path.or(self.global.plan.as_deref()).map(Path::to_path_buf);
        let path = match named {
            Some(path) => path,
            None => [PathBuf::from("bkp.yaml"), PathBuf::from("bkp")]
                .into_iter()
                .find(|path| self.host.status(path).is_ok())
                .ok_or_else(|| {
                    Diagnostic::new("no plan file", "neither ./bkp.yaml nor ./bkp/ exists")
                        .fix("name one: `bkp plan FILE.yaml`")
                })?,
        };
        let loaded = declared::load(self.host, &path, &self.host.user().home)?;
        for warning in &loaded.warnings {
            self.warn("warning", warning);
        }
        Ok((loaded, path))
    }

    /// The installed plans, or the file that `--plan` names; at least one.
    pub fn plans(&self) -> Result<InstalledSets, Failure> {
        let plans =
            InstalledSets::load(self.host, self.global.plan.as_deref(), self.global.state_dir.as_deref())?;
        plans.demand_some()?;
        Ok(plans)
    }

    /// Asks on the terminal. Without one the answer is no, and `--yes` is named.
    pub fn confirm(&self, question: &str, yes: bool) -> Result<bool, Failure> {
        if yes {
            return Ok(true);
        }
        if !std::io::stdin().is_terminal() {
            return Err(Diagnostic::new("not confirmed", "there is no terminal to ask on")
                .fix("give `--yes` to confirm in scripts")
                .into());
        }
        say(&format!("{question} Only `yes` will be accepted: "));
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        Ok(read.is_ok() && answer.trim() == "yes")
    }
}
