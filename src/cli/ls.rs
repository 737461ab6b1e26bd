//! `bkp ls`: what is in a snapshot.

use super::context::{Context, Failure};
use super::unlock::Unlock;
use crate::declared::{DestinationName, SetName};
use crate::destinations::Access;
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::format::SnapshotId;
use crate::render::escape;
use crate::render::status::bytes as human_bytes;
use crate::workflow::look;
use clap::Args;

/// Shows what a snapshot holds: its members, and their files or counts
///
/// Exit status: 0, 1.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Set
    set: SetName,
    /// Snapshot [default: the newest complete one]
    #[arg(value_name = "SNAPSHOT")]
    snapshot: Option<SnapshotId>,
    /// Only this member
    #[arg(long, value_name = "NAME", env = "BKP_MEMBER")]
    member: Option<String>,
    /// At this destination [default: the set's first]
    #[arg(long, value_name = "NAME", env = "BKP_DESTINATION")]
    destination: Option<DestinationName>,
    #[command(flatten)]
    unlock: Unlock,
}

pub fn ls(context: &Context<'_>, args: &LsArgs) -> Result<ExitCode, Failure> {
    let plans = context.plans()?;
    let loaded = plans.plan_of(&args.set)?;
    let sites = look::sites(context.host, loaded, &args.set, args.destination.as_ref(), Access::Look)?;
    let sites = args.unlock.sites(context, sites)?;
    let site = sites.first().ok_or_else(|| Diagnostic::new("no destination", args.set.to_string()))?;
    let chosen = look::choose(site, &args.set, &loaded.plan.moved, args.snapshot)?;
    context.print(&format!("snapshot {} at {}\n", chosen.copy.id, site.name));
    if chosen.sealed.manifest.is_concealed() {
        context.print(&format!("encrypted, and not opened here: {}\n", site.keys.closed()));
    }
    let members = chosen.sealed.manifest.members.iter();
    for member in members.filter(|member| args.member.as_ref().is_none_or(|wanted| *wanted == member.name)) {
        context.print(&format!(
            "{} ({}, {} stored)\n",
            escape::terminal(&member.name),
            member.plain.map_or_else(|| "encrypted".to_owned(), |it| human_bytes(it.bytes)),
            human_bytes(member.stored.bytes)
        ));
        let listed = look::entries(site, (&chosen.copy, &chosen.sealed.manifest), member, &mut |entry| {
            context.print(&format!(
                "  {} {:>12} {}\n",
                entry.kind.word(),
                entry.size_bytes,
                escape::path(&entry.path)
            ));
            Ok(())
        })?;
        if !listed {
            for (name, count) in &member.counts.0 {
                context.print(&format!("  {} {count}\n", escape::terminal(name)));
            }
        }
    }
    Ok(ExitCode::Ok)
}
