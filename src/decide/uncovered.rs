//! Data that exists and that no set gives back.

use super::world::World;
use crate::declared::{DestinationKind, Plan, SourceDeclaration};
use crate::observed::Found;
use globset::GlobBuilder;
use std::collections::BTreeSet;
use std::path::Path;

/// Data that discovery found and that the plan does not cover.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uncovered {
    /// The source kind that could back it up.
    pub kind: String,
    /// What it is: a path, a database.
    pub object: String,
    /// Its size in bytes, where it is known.
    pub size_bytes: Option<u64>,
    /// Why it does not count as covered.
    pub reason: String,
}

impl Uncovered {
    /// Its key under `discover.ignore`.
    pub fn key(&self) -> String {
        format!("{}:{}", self.kind, self.object)
    }
}

/// Everything found that is in no set of any installed plan and not ignored, sorted, each once.
pub(super) fn uncovered(world: &World<'_>) -> Vec<Uncovered> {
    let facts = world.facts.discovered.values();
    let found = facts.filter_map(|fact| fact.observed.present()).flatten();
    let judged: BTreeSet<Uncovered> = found.filter_map(|found| judge(world, found)).collect();
    judged.into_iter().collect()
}

/// Whether discovery has looked into a folder, with whatever result.
pub(super) fn looked_into(world: &World<'_>, folder: &Path) -> bool {
    let shown = folder.display().to_string();
    let keys = world.facts.discovered.keys();
    keys.into_iter().any(|key| key.strip_prefix("sqlite:").unwrap_or(key) == shown)
}

fn judge(world: &World<'_>, found: &Found) -> Option<Uncovered> {
    let plans = || std::iter::once(world.plan).chain(world.installed_others);
    let key = format!("{}:{}", found.kind, found.object);
    let ignored = plans().any(|plan| plan.discover.ignore.contains_key(&key));
    let path = found.path.as_deref().unwrap_or(Path::new(&found.object));
    if ignored || plans().any(|plan| declares(plan, path) || keeps_snapshots_in(plan, path)) {
        return None;
    }
    let taken_by = plans().find_map(|plan| takes_as_file(plan, path));
    let reason = match taken_by {
        Some(set) => format!(
            "set `{set}` takes it as a plain file at most, and a copy of a database that is written to may not open"
        ),
        None => "it is in no set".to_owned(),
    };
    Some(Uncovered {
        kind: found.kind.clone(),
        object: found.object.clone(),
        size_bytes: found.size_bytes,
        reason,
    })
}

/// Whether a set backs the database up as what it is.
fn declares(plan: &Plan, path: &Path) -> bool {
    plan.sets.values().any(|set| match &set.source {
        SourceDeclaration::Sqlite(sqlite) => sqlite.files.values().any(|file| file == path),
        SourceDeclaration::Files(_) => false,
    })
}

/// Whether it lies among a destination's own snapshots.
fn keeps_snapshots_in(plan: &Plan, path: &Path) -> bool {
    plan.destinations.values().any(|destination| match &destination.kind {
        DestinationKind::Local(local) => path.starts_with(&local.path),
    })
}

fn takes_as_file(plan: &Plan, path: &Path) -> Option<String> {
    let matches = |pattern: &String| {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build().map(|it| it.compile_matcher());
        let by_glob = glob.is_ok_and(|glob| path.ancestors().any(|folder| glob.is_match(folder)));
        path.starts_with(pattern) || by_glob
    };
    let mut sets = plan.sets.iter();
    sets.find_map(|(name, set)| match &set.source {
        SourceDeclaration::Files(files) => files.paths.iter().any(matches).then(|| name.to_string()),
        SourceDeclaration::Sqlite(_) => None,
    })
}
