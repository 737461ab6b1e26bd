//! `bkp restore`: data given back.

use super::as_user;
use super::context::{Context, Failure};
use super::unlock::Unlock;
use crate::declared::{DestinationName, NodeName, Plan, SetName};
use crate::destinations::Access;
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::format::{Counts, Level, SnapshotId};
use crate::observed::SnapshotState;
use crate::workflow::restore::{self, Bare, Wanted};
use crate::workflow::restore_live::{self, Wish};
use crate::workflow::{LoadedPlan, Site, look, places, runner, verify};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Gives data back: into an empty folder, or onto its server under a new name
///
/// What is there is replaced only where it is named in full, by --over.
/// With --from a destination's own file is enough: `{ type: local, path: /mnt/backup }` on a bare machine. Without a
/// set it lists what is there. Every byte is compared on the way. Exit status: 0, 1.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Set
    set: Option<SetName>,
    /// Folder that is empty or does not exist yet
    #[arg(long, value_name = "DIR", required_unless_present_any = ["stdout", "from", "name", "over"])]
    to: Option<PathBuf>,
    /// Restores one member onto its server under a name that nothing has yet
    #[arg(long = "as", value_name = "NAME", allow_hyphen_values = true, conflicts_with_all = ["to", "stdout", "include", "from"])]
    name: Option<String>,
    /// Replaces what is there on the server; named in full, as an error of --as gives it
    #[arg(long, value_name = "FULL-NAME", conflicts_with_all = ["to", "stdout", "include", "from", "name"])]
    over: Option<String>,
    /// Writes one member's bytes to standard output: a database file, a tar archive
    #[arg(long, conflicts_with_all = ["to", "include"])]
    stdout: bool,
    /// Snapshot [default: the newest complete one]
    #[arg(long, value_name = "SNAPSHOT", env = "BKP_SNAPSHOT")]
    snapshot: Option<SnapshotId>,
    /// Only this member
    #[arg(long, value_name = "NAME", env = "BKP_MEMBER", allow_hyphen_values = true)]
    member: Option<String>,
    /// Only entries that match this glob; can be given again
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// From this destination [default: the first that has the snapshot]
    #[arg(long, value_name = "NAME", env = "BKP_DESTINATION", conflicts_with = "from")]
    destination: Option<DestinationName>,
    /// A file with one destination, instead of an installed plan
    #[arg(long, value_name = "DESTINATION-FILE", env = "BKP_FROM")]
    from: Option<PathBuf>,
    /// The host whose data is wanted, as `restore --from` lists it
    #[arg(long, value_name = "NAME", env = "BKP_HOST", requires = "from")]
    host: Option<NodeName>,
    #[command(flatten)]
    unlock: Unlock,
}

pub fn restore(context: &Context<'_>, args: &RestoreArgs) -> Result<ExitCode, Failure> {
    if let Some(from) = &args.from {
        return bare(context, args, from);
    }
    let set = args.set.as_ref().ok_or_else(|| {
        Diagnostic::new("which set?", "no set is named").fix("`bkp snapshots` lists what there is")
    })?;
    let plans = context.plans()?;
    let loaded = plans.plan_of(set)?;
    let wish = args.name.clone().map(Wish::As).or_else(|| args.over.clone().map(Wish::Over));
    if wish.is_some()
        && let Some(code) = as_user::hand_over(context, loaded, set, &words(args, set))?
    {
        return Ok(code);
    }
    let sites = look::sites(context.host, loaded, set, args.destination.as_ref(), Access::Look)?;
    let sites = args.unlock.sites(context, sites)?;
    let mut last: Option<Failure> = None;
    for site in &sites {
        match look::choose(site, set, &loaded.plan.moved, args.snapshot) {
            Ok(chosen) => {
                warn_of_another_plan(context, site, &chosen, &loaded.plan);
                let state = runner::state_to_read_in(context.host, loaded, set)?;
                if let Some(wish) = &wish {
                    warn_of_newer(context, site, &chosen);
                    return onto_server(context, args, &state, site, (loaded, set), (&chosen, wish));
                }
                return give_back(context, args, &state, (site, site.name.as_str()), &chosen);
            }
            Err(error) => last = Some(error.into()),
        }
    }
    Err(last.unwrap_or_else(|| Diagnostic::new("no destination", set.to_string()).into()))
}

fn give_back(
    context: &Context<'_>,
    args: &RestoreArgs,
    state: &std::path::Path,
    (site, from): (&Site, &str),
    chosen: &look::Chosen,
) -> Result<ExitCode, Failure> {
    warn_of_newer(context, site, chosen);
    if args.stdout {
        let mut out = std::io::stdout().lock();
        restore::to_stream(context.host, state, site, chosen, args.member.as_deref(), &mut out)?;
        return Ok(ExitCode::Ok);
    }
    let Some(folder) = &args.to else {
        return Err(Diagnostic::new("where to?", "no folder is named")
            .fix("name one with `--to DIR`")
            .into());
    };
    let wanted = Wanted { member: args.member.clone(), include: args.include.clone() };
    let counts = restore::to_folder(context.host, state, site, chosen, &wanted, folder)?;
    context.print(&format!("restored snapshot {} from {} to {}\n", chosen.copy.id, from, folder.display()));
    for (member, counts) in counts {
        print_counts(context, &member, counts.as_ref());
    }
    Ok(ExitCode::Ok)
}

/// The command line, as the set's user is handed it.
fn words(args: &RestoreArgs, set: &SetName) -> Vec<String> {
    let mut words = vec!["restore".to_owned(), set.to_string()];
    let options = [
        ("--as", args.name.clone()),
        ("--over", args.over.clone()),
        ("--member", args.member.clone()),
        ("--snapshot", args.snapshot.map(|it| it.to_string())),
        ("--destination", args.destination.as_ref().map(ToString::to_string)),
    ];
    for (option, value) in options {
        // In one word: a name may begin with a dash.
        words.extend(value.map(|value| format!("{option}={value}")));
    }
    words.extend(args.unlock.word());
    words
}

fn onto_server(
    context: &Context<'_>,
    args: &RestoreArgs,
    state: &std::path::Path,
    site: &Site,
    (loaded, set): (&LoadedPlan, &SetName),
    (chosen, wish): (&look::Chosen, &Wish),
) -> Result<ExitCode, Failure> {
    let declaration =
        loaded.plan.sets.get(set).ok_or_else(|| Diagnostic::new("no such set", set.to_string()))?;
    let wanted = (args.member.as_deref(), wish);
    let restored = restore_live::to_server(context.host, state, site, chosen, (set, declaration), wanted)?;
    let (id, from, place) = (chosen.copy.id, &site.name, &restored.place);
    context.print(&format!("restored snapshot {id} from {from} to {place}\n"));
    let member = args.member.as_deref().unwrap_or(set.as_str());
    print_counts(context, member, Some(&restored.counts));
    for told in &restored.told {
        context.warn("warning", told);
    }
    Ok(ExitCode::Ok)
}

fn print_counts(context: &Context<'_>, member: &str, counts: Option<&Counts>) {
    let Some(counts) = counts else {
        context.print(&format!("  {member}: the dump as it was made; its SHA-256 matches\n"));
        return;
    };
    let counts: Vec<String> = counts.0.iter().map(|(name, count)| format!("{name} {count}")).collect();
    context.print(&format!("  {member}: {}\n", counts.join(", ")));
}

/// What another plan keeps under the same host's and set's name may be other data.
fn warn_of_another_plan(context: &Context<'_>, site: &Site, chosen: &look::Chosen, plan: &Plan) {
    let owner = &chosen.sealed.manifest.plan;
    if *owner != plan.name {
        let what = format!("snapshot {} at `{}` is plan `{owner}`'s", chosen.copy.id, site.name);
        let why = format!("and not plan `{}`'s: it may hold other data", plan.name);
        context.warn("warning", &Diagnostic::new("another plan's snapshot", what).why(why));
    }
}

fn warn_of_newer(context: &Context<'_>, site: &Site, chosen: &look::Chosen) {
    if let Some((at, reason)) = verify::disproven_at(&chosen.sealed, Level::Restored) {
        let what = format!("snapshot {} at `{}`, {}", chosen.copy.id, site.name, at.strftime("%F %TZ"));
        let diagnostic = Diagnostic::new("this snapshot was disproven", what).why(reason.to_owned());
        let fix = "`bkp snapshots` lists others; name one with `--snapshot`, or another `--destination`";
        context.warn("warning", &diagnostic.fix(fix));
    }
    for seen in &chosen.passed_over {
        let why = match &seen.state {
            SnapshotState::Damaged(diagnostic) => diagnostic.sentence(),
            SnapshotState::Unsealed
            | SnapshotState::Sealed(_)
            | SnapshotState::NotRead
            | SnapshotState::NeverRestored => {
                "it has no manifest: a run is making it, or was killed, or the manifest is gone".to_owned()
            }
        };
        let what = format!("snapshot {} at `{}` is newer than {}", seen.id, site.name, chosen.copy.id);
        context.warn("warning", &Diagnostic::new("a newer snapshot cannot be taken", what).why(why));
    }
}

fn bare(context: &Context<'_>, args: &RestoreArgs, from: &std::path::Path) -> Result<ExitCode, Failure> {
    let any: NodeName = "localhost".parse().expect("`localhost` is a node's name");
    let open = |node: NodeName| -> Result<Site, Failure> {
        args.unlock.site(context, Bare::open(context.host, from, node, Access::Look)?.site)
    };
    let site = open(args.host.clone().unwrap_or_else(|| any.clone()))?;
    if args.host.is_none() {
        let hosts = Bare::hosts(&site)?;
        if let ([only], Some(_)) = (hosts.as_slice(), &args.set)
            && let Ok(node) = only.parse()
        {
            return bare_host(context, args, &open(node)?);
        }
        for host in &hosts {
            context.print(&format!("host {host}\n"));
            if let Ok(node) = host.parse() {
                list(context, &open(node)?)?;
            }
        }
        if args.set.is_some() && !hosts.is_empty() {
            return Err(Diagnostic::new("which host?", "several have something there")
                .fix("name one with `--host`")
                .into());
        }
        if hosts.is_empty() {
            return Err(Diagnostic::new("nothing is stored there", site.target.location()).into());
        }
        return Ok(ExitCode::Ok);
    }
    bare_host(context, args, &site)
}

fn list(context: &Context<'_>, site: &Site) -> Result<(), Failure> {
    for set in Bare::sets(site)? {
        match look::choose(site, &set, &BTreeMap::new(), None) {
            Ok(chosen) => {
                let members: Vec<&str> =
                    chosen.sealed.manifest.members.iter().map(|it| it.name.as_str()).collect();
                context.print(&format!("  set {set}: newest {} ({})\n", chosen.copy.id, members.join(", ")));
            }
            Err(_) => context.print(&format!("  set {set}: no complete snapshot\n")),
        }
    }
    for (name, _) in Bare::plans(site)? {
        context.print(&format!("  plan {name}\n"));
    }
    Ok(())
}

fn bare_host(context: &Context<'_>, args: &RestoreArgs, site: &Site) -> Result<ExitCode, Failure> {
    let Some(set) = &args.set else {
        list(context, site)?;
        return Ok(ExitCode::Ok);
    };
    let scope = if context.host.user().is_root() {
        crate::declared::Scope::System
    } else {
        crate::declared::Scope::User
    };
    let places = places(context.host, scope, context.global.state_dir.as_deref());
    let chosen = look::choose(site, set, &BTreeMap::new(), args.snapshot)?;
    // A bare machine's destination has no name, only a place.
    give_back(context, args, &places.state, (site, &site.target.location()), &chosen)
}
