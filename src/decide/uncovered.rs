//! Data that exists and that no set gives back.

use super::world::{Seen, World};
use crate::declared::{
    DestinationKind, Plan, SetDeclaration, SetName, SourceDeclaration, Standing, is_scratch,
};
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
    /// What covers it, or says that it needs nothing.
    pub remedy: String,
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
    let judged: BTreeSet<Uncovered> =
        found.filter_map(|found| judge(world, found)).chain(members(world)).collect();
    judged.into_iter().collect()
}

/// Members of the plan's servers that no set takes. Several sets may share one server.
fn members(world: &World<'_>) -> Vec<Uncovered> {
    let mut uncovered = Vec::new();
    for (name, set) in &world.plan.sets {
        let Seen::Present(facts) = Seen::of(world.facts.sources.get(name)) else { continue };
        for member in &facts.uncovered {
            let server = addresses(world, name, set);
            let plans = std::iter::once(world.plan).chain(world.installed_others);
            let mut others = plans.flat_map(|plan| &plan.sets).filter(|(other, _)| *other != name);
            let taken = others.any(|(other, declared)| {
                let same = declared.source.word() == set.source.word()
                    && addresses(world, other, declared).iter().any(|it| server.contains(it));
                let standing = declared.source.choice().map(|it| it.standing(&member.name));
                same && standing.is_some_and(|it| it != Standing::Uncovered)
            });
            let key = format!("{}:{name}/{}", set.source.word(), member.name);
            if !taken && !world.plan.discover.ignore.contains_key(&key) {
                let key = set.source.choice_key();
                uncovered.push(Uncovered {
                    kind: set.source.word().to_owned(),
                    object: format!("{name}/{}", member.name),
                    size_bytes: member.size_bytes,
                    reason: if is_scratch(&member.name) {
                        "it is a drill's scratch place: the drill is going on, or it was killed, and the next run of its \
                         set removes it"
                            .to_owned()
                    } else {
                        format!("set `{name}` reads its server, and does not take it")
                    },
                    remedy: format!(
                        "add `{0}` to `{key}` of set `{name}`, write `{key}: all`, or give the reason under its `ignore`",
                        member.name
                    ),
                });
            }
        }
    }
    uncovered
}

/// Where a set's server is reached, by its declaration and by what was seen.
fn addresses(world: &World<'_>, name: &SetName, set: &SetDeclaration) -> Vec<String> {
    let mut addresses = set.source.addresses();
    if let Seen::Present(facts) = Seen::of(world.facts.sources.get(name)) {
        addresses.extend(facts.addresses.iter().cloned());
    }
    addresses
}

/// Whether a set reads the server that was found.
fn reads(world: &World<'_>, plan: &Plan, found: &Found) -> bool {
    plan.sets.iter().any(|(name, set)| {
        set.source.word() == found.kind
            && addresses(world, name, set).iter().any(|it| found.addresses.contains(it))
    })
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
    let covered =
        |plan: &Plan| declares(plan, path) || keeps_snapshots_in(plan, path) || reads(world, plan, found);
    if ignored || plans().any(covered) {
        return None;
    }
    let taken_by = plans().find_map(|plan| takes_as_file(plan, path));
    let reason = match taken_by {
        Some(set) => format!(
            "set `{set}` takes it as a plain file at most, and a copy of a database that is written to may not open"
        ),
        None if found.path.is_none() => "no set reads this server".to_owned(),
        None => "it is in no set".to_owned(),
    };
    let remedy = format!("add a set for it, or `{key}` with a reason under `discover.ignore`");
    Some(Uncovered {
        kind: found.kind.clone(),
        object: found.object.clone(),
        size_bytes: found.size_bytes,
        reason,
        remedy,
    })
}

/// Whether a set backs the database up as what it is.
fn declares(plan: &Plan, path: &Path) -> bool {
    plan.sets.values().any(|set| match &set.source {
        SourceDeclaration::Sqlite(sqlite) => sqlite.files.values().any(|file| file == path),
        SourceDeclaration::Files(_)
        | SourceDeclaration::Postgres(_)
        | SourceDeclaration::Mysql(_)
        | SourceDeclaration::Mongodb(_)
        | SourceDeclaration::Redis(_)
        | SourceDeclaration::Qdrant(_)
        | SourceDeclaration::Command(_) => false,
    })
}

/// Whether it lies among a destination's own snapshots.
fn keeps_snapshots_in(plan: &Plan, path: &Path) -> bool {
    plan.destinations.values().any(|destination| match &destination.kind {
        DestinationKind::Local(local) => path.starts_with(&local.path),
        DestinationKind::Remote(_) => false,
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
        SourceDeclaration::Sqlite(_)
        | SourceDeclaration::Postgres(_)
        | SourceDeclaration::Mysql(_)
        | SourceDeclaration::Mongodb(_)
        | SourceDeclaration::Redis(_)
        | SourceDeclaration::Qdrant(_)
        | SourceDeclaration::Command(_) => None,
    })
}

#[cfg(test)]
mod tests;
