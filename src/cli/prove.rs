//! What `verify` and `drill` share: which snapshots at which destinations, and the exit status.

use super::as_user;
use super::context::{Context, Failure};
use super::progress::Progress;
use super::unlock::Unlock;
use crate::declared::{DestinationName, NodeName, Scope, SetName, SourceDeclaration};
use crate::destinations::Access;
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::format::{Level, SnapshotId};
use crate::host::Host;
use crate::observed::{SnapshotFacts, SnapshotState};
use crate::schedulers::Places;
use crate::workflow::event::Event;
use crate::workflow::restore::Bare;
use crate::workflow::verify::DISPROVEN;
use crate::workflow::{Copy, History, Site, look, places, remembers};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;

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
    #[arg(long, conflicts_with_all = ["snapshot", "share"], env = "BKP_ALL", value_parser = clap::builder::FalseyValueParser::new())]
    all: bool,
    /// The Nth of T shares of all snapshots, told apart by their numbers: whoever takes each N in turn has read all
    #[arg(long, value_name = "N/T", conflicts_with = "snapshot", env = "BKP_SHARE")]
    share: Option<Share>,
    /// Only at this destination
    #[arg(long, value_name = "NAME", env = "BKP_DESTINATION")]
    destination: Option<DestinationName>,
    /// A file with one destination, instead of an installed plan: where the key is kept and the host is not
    #[arg(
        long,
        value_name = "DESTINATION-FILE",
        requires = "host",
        conflicts_with = "destination",
        env = "BKP_FROM"
    )]
    from: Option<PathBuf>,
    /// The host whose snapshots are meant
    #[arg(long, value_name = "NAME", requires = "from", env = "BKP_HOST")]
    host: Option<NodeName>,
    #[command(flatten)]
    unlock: Unlock,
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

/// One of so many shares of all snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    number: u64,
    of: u64,
}

impl Share {
    fn has(self, snapshot: &SnapshotId) -> bool {
        snapshot.sequence() % self.of == self.number % self.of
    }
}

impl std::str::FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text
            .split_once('/')
            .and_then(|(number, of)| Some(Self { number: number.parse().ok()?, of: of.parse().ok()? }));
        let fine = parsed.filter(|it| it.of > 0 && (1..=it.of).contains(&it.number));
        fine.ok_or_else(|| "write two numbers such as `2/7`: the second of seven shares".to_owned())
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.number, self.of)
    }
}

/// What came of the proofs.
#[derive(Default)]
struct Tally {
    proven: usize,
    disproven: Vec<Diagnostic>,
    unknown: Vec<Diagnostic>,
    by_users: Vec<ExitCode>,
}

/// The sets of one plan at their destinations, and how they are proven.
struct Round<'a> {
    context: &'a Context<'a>,
    which: &'a Which,
    level: Level,
    prove: Prove,
    progress: &'a Progress,
    places: &'a Places,
    moved: &'a BTreeMap<SetName, SetName>,
}

pub fn each(context: &Context<'_>, which: &Which, level: Level, prove: Prove) -> Result<ExitCode, Failure> {
    let progress = Progress::new(context);
    let mut tally = Tally::default();
    match (&which.from, &which.host) {
        (Some(from), Some(node)) => {
            let scope = if context.host.user().is_root() { Scope::System } else { Scope::User };
            let places = places(context.host, scope, context.global.state_dir.as_deref());
            let site = Bare::open(context.host, from, node.clone(), Access::Change)?.site;
            let site = which.unlock.site(context, site)?;
            let sets = if which.sets.is_empty() { Bare::sets(&site)? } else { which.sets.clone() };
            if sets.is_empty() {
                let what = format!("host `{node}` at {}", site.target.location());
                let fix = "`bkp restore --from FILE` lists the hosts that have something there";
                return Err(Diagnostic::new("nothing is stored there", what).fix(fix).into());
            }
            let moved = BTreeMap::new();
            let round =
                Round { context, which, level, prove, progress: &progress, places: &places, moved: &moved };
            for set in &sets {
                round.at(&site, (set, None), &mut tally);
            }
        }
        _ => installed(context, which, (level, prove), &progress, &mut tally)?,
    }
    drop(progress);
    for diagnostic in tally.disproven.iter().chain(&tally.unknown) {
        context.warn("error", diagnostic);
    }
    let Tally { proven, disproven, unknown, by_users } = tally;
    // A set that was handed over says itself what came of it; a share may hold no snapshot.
    let none = proven == 0 && !which.dry_run && which.share.is_none() && by_users.is_empty();
    let nothing_disproven = disproven.is_empty() && !by_users.contains(&ExitCode::Findings);
    let told = unknown.is_empty() && !none;
    let told = told && by_users.iter().all(|code| [ExitCode::Ok, ExitCode::Findings].contains(code));
    Ok(match (nothing_disproven, told) {
        (false, _) => ExitCode::Findings,
        (true, false) => ExitCode::Failed,
        (true, true) => ExitCode::Ok,
    })
}

fn installed(
    context: &Context<'_>,
    which: &Which,
    (level, prove): (Level, Prove),
    progress: &Progress,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let plans = context.plans()?;
    let sets: Vec<SetName> = if which.sets.is_empty() {
        plans.plans.iter().flat_map(|loaded| loaded.plan.sets.keys().cloned()).collect()
    } else {
        which.sets.clone()
    };
    for set in &sets {
        let loaded = plans.plan_of(set)?;
        if let Some(code) = as_user::hand_over(context, loaded, set, &words(which, level, set))? {
            tally.by_users.push(code);
            continue;
        }
        let (places, moved) = (&loaded.places, &loaded.plan.moved);
        let round = Round { context, which, level, prove, progress, places, moved };
        let sites = look::sites(context.host, loaded, set, which.destination.as_ref(), Access::Change)?;
        for site in which.unlock.sites(context, sites)? {
            let declaration = loaded.plan.sets.get(set).map(|it| &it.source);
            round.at(&site, (set, declaration), tally);
        }
    }
    Ok(())
}

impl Round<'_> {
    /// Proves one set at one destination.
    fn at(&self, site: &Site, (set, declaration): (&SetName, Option<&SourceDeclaration>), tally: &mut Tally) {
        let Self { context, which, level, .. } = self;
        let copies = match self.chosen(site, set) {
            Ok(copies) => copies,
            Err(failure) => return tally.unknown.push(failure),
        };
        for copy in copies {
            if which.dry_run {
                context.print(&format!("would prove {level}: {set} at {}: {}\n", site.name, copy.id));
                continue;
            }
            self.progress.event(Event::Phase(format!("{set} at {}: {}", site.name, copy.id)));
            match (self.prove)(context.host, self.places, site, (set, declaration), &copy) {
                Ok(()) => {
                    tally.proven += 1;
                    context.print(&format!("{level}: {set} at {}: {}\n", site.name, copy.id));
                }
                Err(diagnostic) if diagnostic.summary == DISPROVEN => tally.disproven.push(*diagnostic),
                Err(diagnostic) => tally.unknown.push(*diagnostic),
            }
        }
    }

    /// The snapshots to prove: with the newest complete one go the newer ones whose manifest is damaged or gone.
    fn chosen(&self, site: &Site, set: &SetName) -> Result<Vec<Copy>, Diagnostic> {
        let no_snapshot = |seen: &SnapshotFacts| {
            // What a run is making, or what a killed one left, is no snapshot yet.
            matches!(seen.state, SnapshotState::Unsealed)
                && !remembers(self.context.host, &self.places.state, set, &site.name, seen.id)
        };
        let copy = |seen: SnapshotFacts| Copy { id: seen.id, stored_as: seen.stored_as };
        if self.which.all || self.which.share.is_some() {
            let seen = History::begin(site, set, self.moved);
            let seen = seen.map_err(|error| Diagnostic::from_error("destination not readable", &error))?;
            let mine = |seen: &SnapshotFacts| self.which.share.is_none_or(|share| share.has(&seen.id));
            return Ok(seen
                .into_snapshots()
                .into_iter()
                .filter(|seen| mine(seen) && !no_snapshot(seen))
                .map(copy)
                .collect());
        }
        let chosen = look::choose(site, set, self.moved, self.which.snapshot);
        let chosen = chosen.map_err(|error| error.diagnostic())?;
        let newer = chosen.passed_over.into_iter().filter(|seen| !no_snapshot(seen)).map(copy);
        Ok(std::iter::once(chosen.copy).chain(newer).collect())
    }
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
    words.extend(which.share.map(|share| format!("--share={share}")));
    words.extend(which.unlock.word());
    words.extend(which.dry_run.then(|| "--dry-run".to_owned()));
    words
}
