//! Paths that must not meet: two destinations at one place, and a destination inside what a set takes.

use super::decoder::Decoder;
use super::node::{Content, Node};
use super::problem::{Fault, Place, Problem};
use crate::declared::{DestinationKind, DestinationName, FilesDeclaration, Plan, SourceDeclaration};
use globset::{GlobBuilder, GlobMatcher};
use std::collections::BTreeMap;
use std::path::Path;

impl Decoder<'_> {
    pub fn check_destination_paths(&mut self, plan: &Plan, root: &Node) {
        let place_of = |keys: &[&str]| {
            keys.iter().try_fold(root, |node, key| node.get(key)).map_or(root.place, |node| node.place)
        };
        let mut folders: BTreeMap<&Path, Place> = BTreeMap::new();
        for (name, destination) in &plan.destinations {
            let DestinationKind::Local(local) = &destination.kind else { continue };
            let place = place_of(&["destinations", name.as_str(), "path"]);
            if let Some(earlier) = folders.insert(&local.path, place) {
                let what = format!("two destinations share the folder {}", local.path.display());
                // The report goes from top to bottom, the map by name.
                let (first, second) = if earlier < place { (earlier, place) } else { (place, earlier) };
                let problem = Problem::new(Fault::Conflict, what, second).also(first, "and here");
                self.problems.add(problem.fix("give each destination a folder of its own"));
            }
        }
        self.check_remote_places(plan, root);
        for (name, set) in &plan.sets {
            let SourceDeclaration::Files(files) = &set.source else { continue };
            for destination in plan.destinations_of(set) {
                let Some(declared) = plan.destinations.get(destination) else { continue };
                let DestinationKind::Local(local) = &declared.kind else { continue };
                let Some(index) = taking(files, &local.path) else { continue };
                let list =
                    root.get("sets").and_then(|it| it.get(name.as_str())).and_then(|it| it.get("paths"));
                let place = match list.map(|it| &it.content) {
                    Some(Content::List(items)) => items.get(index).map(|it| it.place),
                    _ => None,
                };
                let folder = local.path.display();
                let what = format!(
                    "set `{name}` would back up its own snapshots: destination `{destination}` is {folder}"
                );
                let fix = format!("add `exclude: [\"{folder}\"]` to the set, or move the destination");
                let problem = Problem::new(Fault::Conflict, what, place.unwrap_or(root.place));
                self.problems.add(problem.fix(fix));
            }
        }
    }
}

impl Decoder<'_> {
    fn check_remote_places(&mut self, plan: &Plan, root: &Node) {
        let mut places: BTreeMap<Vec<String>, (&DestinationName, Place)> = BTreeMap::new();
        for (name, destination) in &plan.destinations {
            let DestinationKind::Remote(remote) = &destination.kind else { continue };
            let written = root.get("destinations").and_then(|it| it.get(name.as_str()));
            let place = written.and_then(|it| it.get("path")).or(written).map_or(root.place, |it| it.place);
            let Some((earlier, earlier_place)) = places.insert(remote.place(), (name, place)) else {
                continue;
            };
            let what = format!(
                "destinations `{earlier}` and `{name}` are one place: each would find the other's snapshots"
            );
            // The report goes from top to bottom, the map by name.
            let (first, second) =
                if earlier_place < place { (earlier_place, place) } else { (place, earlier_place) };
            let problem = Problem::new(Fault::Conflict, what, second).also(first, "and here");
            self.problems.add(problem.fix("give each destination a `path` of its own, or keep one of them"));
        }
    }
}

/// A matcher in which `*` stays within a name and `**` does not.
fn matcher(pattern: &str) -> Option<GlobMatcher> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(false).build();
    glob.ok().map(|it| it.compile_matcher())
}

/// The index of the path that takes a folder in, unless something excludes the folder.
fn taking(files: &FilesDeclaration, folder: &Path) -> Option<usize> {
    let index = files.paths.iter().position(|pattern| {
        // A glob costs a thousand times what a comparison does, and most paths are none.
        let matcher = pattern.contains(['*', '?', '[', '{']).then(|| matcher(pattern)).flatten();
        folder.starts_with(pattern)
            || matcher.is_some_and(|glob| folder.ancestors().any(|it| glob.is_match(it)))
    })?;
    let excluded =
        files.exclude.iter().filter_map(|it| Some((it.contains('/'), matcher(it)?))).any(|(whole, glob)| {
            folder.ancestors().any(|it| {
                if whole { glob.is_match(it) } else { it.file_name().is_some_and(|name| glob.is_match(name)) }
            })
        });
    (!excluded).then_some(index)
}
