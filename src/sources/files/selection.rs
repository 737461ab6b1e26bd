//! What a plan selects: literal paths, globs and excludes, as questions about one path at a time.
//!
//! Pure: nothing here looks at a file system. Paths are absolute bytes without a trailing `/`.

use super::super::SourceError;
use crate::declared::FilesDeclaration;
use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A declared path without globs.
#[derive(Debug)]
pub struct Literal {
    pub declared: String,
    pub path: Vec<u8>,
}

/// A declared glob.
#[derive(Debug)]
pub struct RootGlob {
    pub declared: String,
    /// The folder below which it can match.
    pub prefix: PathBuf,
    /// Names in `prefix`.
    pub prefix_depth: usize,
    /// It can match at any depth (`**`).
    pub recursive: bool,
    matcher: GlobMatcher,
    /// Matchers of its first names, by depth; beyond them it is not known whether something below can match.
    steps: Vec<GlobMatcher>,
    /// Names in the whole pattern.
    depth: usize,
}

/// The roots that lie at or below some path, by their number.
#[derive(Debug, Clone, Default)]
pub struct Position {
    pub literals: Vec<usize>,
    pub globs: Vec<usize>,
}

/// What is declared of a path: the roots that are it, and those that may lie below.
#[derive(Debug, Default)]
pub struct Step {
    pub here: Position,
    pub below: Position,
}

impl Position {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.globs.is_empty()
    }
}

#[derive(Debug, Default)]
struct Excludes {
    paths: GlobSet,
    names: GlobSet,
    folder_paths: GlobSet,
    folder_names: GlobSet,
}

/// A set's selection.
#[derive(Debug)]
pub struct Selection {
    pub literals: Vec<Literal>,
    pub globs: Vec<RootGlob>,
    excludes: Excludes,
    pub one_file_system: bool,
    pub exclude_caches: bool,
}

fn has_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn glob(pattern: &str, declared: &str) -> Result<Glob, SourceError> {
    GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build().map_err(|error| {
        SourceError::Pattern { pattern: declared.to_owned(), reason: error.kind().to_string() }
    })
}

/// The names of an absolute path; a path that climbs is refused.
fn names(declared: &str) -> Result<Vec<&str>, SourceError> {
    let refused =
        |reason: &str| SourceError::Pattern { pattern: declared.to_owned(), reason: reason.to_owned() };
    if !declared.starts_with('/') {
        return Err(refused("it is not absolute"));
    }
    let names: Vec<&str> = declared.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if names.contains(&"..") {
        return Err(refused("`..` is not allowed in it"));
    }
    Ok(names)
}

fn joined(names: &[&str]) -> String {
    format!("/{}", names.join("/"))
}

/// The folder below which a declared path can match: the path itself, or a glob's fixed prefix.
pub fn fixed_prefix(declared: &str) -> PathBuf {
    let names = declared.split('/').filter(|name| !matches!(*name, "" | "."));
    let fixed: Vec<&str> = names.take_while(|name| !has_glob(name)).collect();
    PathBuf::from(joined(&fixed))
}

fn root_glob(declared: &str) -> Result<RootGlob, SourceError> {
    let names = names(declared)?;
    let matcher = glob(&joined(&names), declared)?.compile_matcher();
    // A brace that is closed only behind a `/` cannot be cut into names.
    let balanced = |name: &&str| name.matches('{').count() == name.matches('}').count();
    let plain = names.iter().take_while(|name| **name != "**" && balanced(name)).count();
    let mut steps = Vec::new();
    for length in 1..=plain {
        match glob(&joined(&names[..length]), declared) {
            Ok(step) => steps.push(step.compile_matcher()),
            Err(_) => break,
        }
    }
    let prefix = fixed_prefix(declared);
    let prefix_depth = names.iter().take_while(|name| !has_glob(name)).count();
    Ok(RootGlob {
        declared: declared.to_owned(),
        prefix,
        prefix_depth,
        recursive: steps.len() < names.len(),
        matcher,
        steps,
        depth: names.len(),
    })
}

impl RootGlob {
    /// Whether it matches this path.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.matcher.is_match(OsStr::from_bytes(path))
    }

    /// Whether something below a path with this many names can match.
    pub fn may_match_below(&self, path: &[u8], depth: usize) -> bool {
        if depth == 0 {
            return true;
        }
        match self.steps.get(depth - 1) {
            Some(step) => depth < self.depth && step.is_match(OsStr::from_bytes(path)),
            // Only a path whose first names matched is ever asked about at this depth.
            None => self.recursive,
        }
    }
}

fn excludes(patterns: &[String]) -> Result<Excludes, SourceError> {
    let mut builders: [GlobSetBuilder; 4] = std::array::from_fn(|_| GlobSetBuilder::new());
    for declared in patterns {
        let trimmed = declared.trim_end_matches('/');
        let only_folders = trimmed.len() < declared.len();
        let whole = trimmed.contains('/');
        // A pattern that is not anchored could never match a whole path: it means any depth.
        let anchored = !whole || trimmed.starts_with('/') || trimmed.starts_with("**/");
        let pattern = if anchored { trimmed.to_owned() } else { format!("**/{trimmed}") };
        builders[usize::from(only_folders) * 2 + usize::from(whole)].add(glob(&pattern, declared)?);
    }
    let build = |builder: &GlobSetBuilder| {
        builder.build().map_err(|error| SourceError::Pattern {
            pattern: patterns.join(", "),
            reason: error.kind().to_string(),
        })
    };
    Ok(Excludes {
        names: build(&builders[0])?,
        paths: build(&builders[1])?,
        folder_names: build(&builders[2])?,
        folder_paths: build(&builders[3])?,
    })
}

impl Selection {
    /// Reads a declaration.
    pub fn new(declaration: &FilesDeclaration) -> Result<Self, SourceError> {
        let (mut literals, mut globs) = (Vec::new(), Vec::new());
        for declared in &declaration.paths {
            if has_glob(declared) {
                globs.push(root_glob(declared)?);
            } else {
                let path = joined(&names(declared)?).into_bytes();
                literals.push(Literal { declared: declared.clone(), path });
            }
        }
        Ok(Self {
            literals,
            globs,
            excludes: excludes(&declaration.exclude)?,
            one_file_system: declaration.one_file_system,
            exclude_caches: declaration.exclude_caches,
        })
    }

    /// Every root.
    pub fn everywhere(&self) -> Position {
        Position { literals: (0..self.literals.len()).collect(), globs: (0..self.globs.len()).collect() }
    }

    /// Which of the roots at or below the folder above are this path, and which may lie below it.
    pub fn step(&self, above: &Position, path: &[u8], depth: usize) -> Step {
        let mut step = Step::default();
        for number in &above.literals {
            let literal = self.literals[*number].path.as_slice();
            if literal == path {
                step.here.literals.push(*number);
            } else if is_below(literal, path) {
                step.below.literals.push(*number);
            }
        }
        for number in &above.globs {
            let glob = &self.globs[*number];
            if glob.matches(path) {
                step.here.globs.push(*number);
            }
            if glob.may_match_below(path, depth) {
                step.below.globs.push(*number);
            }
        }
        step
    }

    /// Whether a path is left out.
    pub fn excluded(&self, path: &[u8], is_folder: bool) -> bool {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        let (path, name) = (Path::new(OsStr::from_bytes(path)), Path::new(OsStr::from_bytes(name)));
        let excludes = &self.excludes;
        excludes.names.is_match(name)
            || excludes.paths.is_match(path)
            || (is_folder && (excludes.folder_names.is_match(name) || excludes.folder_paths.is_match(path)))
    }

    /// The names in a folder that lead to its literals.
    pub fn next_names(&self, position: &Position, folder: &[u8]) -> Vec<&[u8]> {
        let from = if folder == b"/" { 1 } else { folder.len() + 1 };
        let next = |number: &usize| {
            let rest = self.literals[*number].path.get(from..).unwrap_or_default();
            rest.split(|byte| *byte == b'/').next().unwrap_or_default()
        };
        position.literals.iter().map(next).filter(|name| !name.is_empty()).collect()
    }
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    folder == b"/" && path != b"/"
        || path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::ChangedPolicy;

    fn selection(paths: &[&str], exclude: &[&str]) -> Result<Selection, SourceError> {
        Selection::new(&FilesDeclaration {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            exclude: exclude.iter().map(|path| (*path).to_owned()).collect(),
            one_file_system: false,
            exclude_caches: false,
            changed: ChangedPolicy::Warn,
        })
    }

    fn depth(path: &str) -> usize {
        path.split('/').filter(|name| !name.is_empty()).count()
    }

    #[test]
    fn star_stays_in_one_folder_and_two_stars_do_not() {
        let selection = selection(&["/srv/*.json", "/data/**/*.db"], &[]).expect("globs");
        let here =
            |path: &str| selection.step(&selection.everywhere(), path.as_bytes(), depth(path)).here.globs;
        assert_eq!(here("/srv/a.json"), [0]);
        assert!(here("/srv/sub/a.json").is_empty());
        assert_eq!(here("/data/a.db"), [1]);
        assert_eq!(here("/data/x/y/a.db"), [1]);
    }

    #[test]
    fn only_the_way_to_a_match_is_walked() {
        let selection = selection(&["/srv/*/data/{a,b}.json", "/opt/**"], &[]).expect("globs");
        let below = |path: &str| {
            let mut position = selection.step(&selection.everywhere(), b"/", 0).below;
            let ends = (1..=path.len()).filter(|end| *end == path.len() || path.as_bytes()[*end] == b'/');
            for end in ends.filter(|_| path != "/") {
                position = selection.step(&position, &path.as_bytes()[..end], depth(&path[..end])).below;
            }
            position.globs
        };
        assert_eq!(below("/"), [0, 1]);
        assert_eq!(below("/srv"), [0]);
        assert_eq!(below("/srv/x"), [0]);
        assert!(below("/srv/x/other").is_empty());
        assert_eq!(below("/srv/x/data"), [0]);
        assert!(below("/srv/x/data/a.json").is_empty());
        assert_eq!(below("/opt/x"), [1]);
        assert!(below("/etc").is_empty());
        assert_eq!(selection.globs[0].prefix, Path::new("/srv"));
    }

    #[test]
    fn excludes_match_names_or_whole_paths() {
        let selection =
            selection(&["/srv"], &["*.tmp", "/srv/cache", "node_modules/", "build/*.o"]).expect("globs");
        assert!(selection.excluded(b"/srv/deep/x.tmp", false));
        assert!(selection.excluded(b"/srv/cache", true));
        assert!(!selection.excluded(b"/srv/other/cache", true));
        assert!(selection.excluded(b"/srv/node_modules", true));
        assert!(!selection.excluded(b"/srv/node_modules", false));
        assert!(selection.excluded(b"/srv/p/build/x.o", false));
    }

    #[test]
    fn paths_that_climb_or_are_relative_are_refused() {
        for path in ["/srv/../etc", "srv", "/srv/[", "/srv/*/../x"] {
            assert!(matches!(selection(&[path], &[]), Err(SourceError::Pattern { .. })), "{path}");
        }
    }
}
