//! What `verify` and `drill` share: which snapshots at which destinations, and the exit status.

use super::as_user;
use super::context::{Context, Failure};
use super::progress::Progress;
use crate::declared::{DestinationName, SetName, SourceDeclaration};
use crate::destinations::Access;
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::format::{Level, SnapshotId};
use crate::host::Host;
use crate::observed::{SnapshotFacts, SnapshotState};
use crate::schedulers::Places;
use crate::workflow::event::Event;
use crate::workflow::verify::DISPROVEN;
use crate::workflow::{Copy, Depth, Site, look, remembers};
use clap::Args;

/// Which snapshots.
#[derive(Debug, Args)]
pub struct Which {
    /// Sets [default: all]
    #[arg(value_name = "SET")]
    sets: Vec<SetName>,
    /// This snapshot instead of the newest complete one
    #[arg(long, value_name = "SNAPSHOT", env = "BKP_SNAPSHOT")]
    snapshot: Option<SnapshotId>,
    /// Every snapshot
    #[arg(long, conflicts_with = "snapshot", env = "BKP_ALL", value_parser = clap::builder::FalseyValueParser::new())]
    all: bool,
    /// Only at this destination
    #[arg(long, value_name = "NAME", env = "BKP_DESTINATION")]
    destination: Option<DestinationName>,
    /// Only says what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Proves one snapshot.
pub type Prove = fn(
    &dyn Host,
    &Places,
    &Site,
    (&SetName, Option<&SourceDeclaration>),
    &Copy,
) -> Result<(), Box<Diagnostic>>;

pub fn each(context: &Context<'_>, which: &Which, level: Level, prove: Prove) -> Result<ExitCode, Failure> {
    let plans = context.plans()?;
    let sets: Vec<SetName> = if which.sets.is_empty() {
        plans.plans.iter().flat_map(|loaded| loaded.plan.sets.keys().cloned()).collect()
    } else {
        which.sets.clone()
    };
    let progress = Progress::new(context);
    let (mut proven, mut disproven, mut unknown) = (0, Vec::new(), Vec::new());
    let mut by_users = Vec::new();
    for set in &sets {
        let loaded = plans.plan_of(set)?;
        if let Some(code) = as_user::hand_over(context, loaded, set, &words(which, level, set))? {
            by_users.push(code);
            continue;
        }
        for site in look::sites(context.host, loaded, set, which.destination.as_ref(), Access::Change)? {
            let copies = match chosen(context.host, &site, loaded, set, which) {
                Ok(copies) => copies,
                Err(failure) => {
                    unknown.push(failure);
                    continue;
                }
            };
            for copy in copies {
                if which.dry_run {
                    context.print(&format!("would prove {level}: {set} at {}: {}\n", site.name, copy.id));
                    continue;
                }
                progress.event(Event::Phase(format!("{set} at {}: {}", site.name, copy.id)));
                let declaration = loaded.plan.sets.get(set).map(|it| &it.source);
                match prove(context.host, &loaded.places, &site, (set, declaration), &copy) {
                    Ok(()) => {
                        proven += 1;
                        context.print(&format!("{level}: {set} at {}: {}\n", site.name, copy.id));
                    }
                    Err(diagnostic) if diagnostic.summary == DISPROVEN => disproven.push(*diagnostic),
                    Err(diagnostic) => unknown.push(*diagnostic),
                }
            }
        }
    }
    drop(progress);
    for diagnostic in disproven.iter().chain(&unknown) {
        context.warn("error", diagnostic);
    }
    // A set that was handed over says itself what came of it.
    let none = proven == 0 && !which.dry_run && by_users.is_empty();
    let nothing_disproven = disproven.is_empty() && !by_users.contains(&ExitCode::Findings);
    let told = unknown.is_empty() && !none;
    let told = told && by_users.iter().all(|code| [ExitCode::Ok, ExitCode::Findings].contains(code));
    Ok(match (nothing_disproven, told) {
        (false, _) => ExitCode::Findings,
        (true, false) => ExitCode::Failed,
        (true, true) => ExitCode::Ok,
    })
}

/// The command line for one set, as its user is handed it.
fn words(which: &Which, level: Level, set: &SetName) -> Vec<String> {
    let command = match level {
        Level::Declared | Level::Scheduled | Level::Stored | Level::Intact => "verify",
        Level::Restored => "drill",
    };
    let mut words = vec![command.to_owned(), set.to_string()];
    words.extend(which.snapshot.map(|snapshot| format!("--snapshot={snapshot}")));
    words.extend(which.destination.as_ref().map(|name| format!("--destination={name}")));
    words.extend(which.all.then(|| "--all".to_owned()));
    words.extend(which.dry_run.then(|| "--dry-run".to_owned()));
    words
}

/// The snapshots to prove: with the newest complete one go the newer ones whose manifest is damaged or gone.
fn chosen(
    host: &dyn Host,
    site: &Site,
    loaded: &crate::workflow::LoadedPlan,
    set: &SetName,
    which: &Which,
) -> Result<Vec<Copy>, Diagnostic> {
    let no_snapshot = |seen: &SnapshotFacts| {
        // What a run is making, or what a killed one left, is no snapshot yet.
        matches!(seen.state, SnapshotState::Unsealed)
            && !remembers(host, &loaded.places.state, set, &site.name, seen.id)
    };
    let copy = |seen: SnapshotFacts| Copy { id: seen.id, stored_as: seen.stored_as };
    if which.all {
        let seen = site.all_looked_into(set, &loaded.plan.moved, Depth::Manifest);
        let seen = seen.map_err(|error| Diagnostic::from_error("destination not readable", &error))?;
        return Ok(seen.into_iter().filter(|seen| !no_snapshot(seen)).map(copy).collect());
    }
    let chosen = look::choose(site, set, &loaded.plan.moved, which.snapshot);
    let chosen = chosen.map_err(|error| error.diagnostic())?;
    let newer = chosen.passed_over.into_iter().filter(|seen| !no_snapshot(seen)).map(copy);
    Ok(std::iter::once(chosen.copy).chain(newer).collect())
}
