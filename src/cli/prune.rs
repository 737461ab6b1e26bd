//! `bkp prune`: retention on demand, with the reason for every keep and remove.

use super::as_user;
use super::context::{Context, Failure};
use crate::declared::SetName;
use crate::destinations::Access;
use crate::exit_code::ExitCode;
use crate::workflow::prune::{self as workflow, Mode};
use crate::workflow::{lock_set, look};
use clap::Args;

/// Applies retention now, and says why each snapshot is kept or removed
///
/// Never removes the last verified snapshot. Exit status: 0 done, 1 could not.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Sets [default: all]
    #[arg(value_name = "SET")]
    sets: Vec<SetName>,
    /// Only says what would be done
    #[arg(long)]
    dry_run: bool,
    /// Does not ask
    #[arg(long, short = 'y')]
    yes: bool,
}

pub fn prune(context: &Context<'_>, args: &PruneArgs) -> Result<ExitCode, Failure> {
    let plans = context.plans()?;
    let sets: Vec<SetName> = if args.sets.is_empty() {
        plans.plans.iter().flat_map(|loaded| loaded.plan.sets.keys().cloned()).collect()
    } else {
        args.sets.clone()
    };
    if !args.dry_run && !context.confirm("Remove what retention does not keep?", args.yes)? {
        context.print("Nothing was removed.\n");
        return Ok(ExitCode::Failed);
    }
    let (mode, access) =
        if args.dry_run { (Mode::Say, Access::Look) } else { (Mode::Remove, Access::Change) };
    for set in &sets {
        let loaded = plans.plan_of(set)?;
        let Some(declaration) = loaded.plan.sets.get(set) else { continue };
        if mode == Mode::Remove
            && let Some(code) = as_user::hand_over(context, loaded, set, &["prune", set.as_str(), "--yes"])?
        {
            if code != ExitCode::Ok {
                return Ok(code);
            }
            continue;
        }
        let _lock = match mode {
            Mode::Remove => Some(lock_set(context.host, &loaded.places.state, set, &format!("prune {set}"))?),
            Mode::Say => None,
        };
        for site in look::sites(context.host, loaded, set, None, access)? {
            context.print(&format!("{set} at {}\n", site.name));
            let history = look::history(&site, loaded, set)?;
            let verdicts = workflow::one(
                context.host,
                &loaded.plan,
                &loaded.places,
                (set, declaration),
                (&site, &history),
                mode,
            )?;
            for pruned in verdicts {
                let word = match (pruned.verdict.keep, pruned.removed, mode) {
                    (true, _, _) => "keep  ",
                    (false, true, _) => "remove",
                    (false, false, Mode::Say) => "would remove",
                    (false, false, Mode::Remove) => "in use",
                };
                context.print(&format!(
                    "  {word} {}  {}\n",
                    pruned.verdict.id,
                    pruned.verdict.reasons.join(", ")
                ));
            }
        }
    }
    Ok(ExitCode::Ok)
}
