//! `bkp explain`: a finding explained.

use super::context::{Context, Failure};
use crate::decide;
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use clap::Args;

/// Explains a finding's code: what it means, where it comes from, how to mend it
///
/// Without a code it lists them. Exit status: 0, 1.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Code, such as `timer-missing`
    code: Option<String>,
}

pub fn explain(context: &Context<'_>, args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let Some(code) = &args.code else {
        for it in decide::catalogue() {
            context.print(&format!("{:<24} {}\n", it.code.code(), it.title));
        }
        return Ok(ExitCode::Ok);
    };
    let Some(it) = decide::explain(code) else {
        let codes = decide::catalogue().map(|it| it.code.code());
        let near = codes.min_by_key(|known| strsim::levenshtein(known, code)).unwrap_or_default();
        return Err(Diagnostic::new("unknown code", code.clone())
            .fix(format!("did you mean `{near}`? `bkp explain` lists all"))
            .into());
    };
    context.print(&format!(
        "{} ({})\n{}\n\nMeaning: {}\nCause:   {}\nRemedy:  {}\n",
        it.code.code(),
        it.severity.word(),
        it.title,
        it.meaning,
        it.cause,
        it.remedy
    ));
    Ok(ExitCode::Ok)
}
