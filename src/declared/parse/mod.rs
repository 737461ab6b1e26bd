//! How a plan file is read: text to nodes with places, nodes to declarations, declarations checked against each other.
//!
//! Every error of every file comes out in one report. No value is taken from the environment, and nothing outside the
//! plan's own file or folder is looked at.

mod copies;
mod decoder;
mod destination;
mod document;
mod job_policy;
mod node;
mod overlap;
mod policy;
mod problem;
mod reader;
mod server;
mod set;

pub use problem::{Fault, PlanErrors, PlanText};

use super::{DestinationDeclaration, Plan, PlanName};
use crate::diagnostic::Diagnostic;
use crate::format::Digest;
use crate::host::{FileKind, Host};
use decoder::Decoder;
use node::{Content, Entry, Node};
use problem::{Problem, Problems};
use std::path::{Path, PathBuf};

/// How large a plan file may be, in bytes.
pub const SIZE_MAX_BYTES: u64 = 1 << 20;

/// A plan, and what it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The plan.
    pub plan: Plan,
    /// What is probably not meant as it is written.
    pub warnings: Vec<Diagnostic>,
    /// The files, in the order read.
    pub sources: Vec<PlanText>,
    /// Over the files' names and texts.
    pub digest: Digest,
}

/// Reads a plan file, or a folder of `*.yaml` and `*.yml` files in the order of their names.
///
/// `home` is what `~` stands for: the home of the user whose jobs they are.
pub fn load(host: &dyn Host, path: &Path, home: &Path) -> Result<Loaded, PlanErrors> {
    let mut problems = Problems::default();
    let subject = path.display().to_string();
    let Some((base_dir, texts)) = gather(host, path, &mut problems) else {
        return Err(problems.into_errors(subject, &[]));
    };
    if !problems.is_empty() {
        return Err(problems.into_errors(subject, &texts));
    }
    let folder = texts.len() != 1 || texts[0].path != path;
    let named_after =
        if folder { base_dir.clone() } else { base_dir.join(path.file_name().unwrap_or_default()) };
    read_texts(&subject, texts, &base_dir, home, &default_name(&named_after))
}

/// Reads a text that is in memory already, such as an installed plan's or one that a destination keeps. `name` is what
/// the report calls it; its stem is the plan's name where the text has none.
pub fn parse_text(name: &str, text: &str, base_dir: &Path, home: &Path) -> Result<Loaded, PlanErrors> {
    let texts = vec![PlanText { path: PathBuf::from(name), text: text.to_owned() }];
    let file_name = Path::new(name).file_name().unwrap_or_default();
    if text.len() as u64 > SIZE_MAX_BYTES {
        let mut problems = Problems::default();
        problems.add(too_large(Path::new(name)));
        return Err(problems.into_errors(name.to_owned(), &[]));
    }
    read_texts(name, texts, base_dir, home, &default_name(&base_dir.join(file_name)))
}

/// Reads a file that holds one destination's map, as it stands under `destinations:` in a plan file: all that a bare
/// machine needs.
pub fn load_destination(
    host: &dyn Host,
    path: &Path,
    home: &Path,
) -> Result<DestinationDeclaration, PlanErrors> {
    let mut problems = Problems::default();
    let subject = path.display().to_string();
    let Some((base_dir, texts)) = gather(host, path, &mut problems) else {
        return Err(problems.into_errors(subject, &[]));
    };
    let root = texts.first().and_then(|source| node::read(0, &source.text, &mut problems));
    let declaration = root.and_then(|root| {
        let entry = Entry { key: "bare".to_owned(), key_place: root.place, node: root };
        Decoder { base_dir: &base_dir, home, problems: &mut problems }.destination(&entry)
    });
    match declaration {
        Some((_, declaration)) if problems.is_empty() => Ok(declaration),
        Some(_) | None => Err(problems.into_errors(subject, &texts)),
    }
}

/// The digest that [`load`] would give, of files that may not be a valid plan any more.
pub fn text_digest(host: &dyn Host, path: &Path) -> Option<Digest> {
    let (_, texts) = gather(host, path, &mut Problems::default())?;
    Some(digest_of(&texts))
}

/// The folder that relative paths start from, and the files' texts.
fn gather(host: &dyn Host, path: &Path, problems: &mut Problems) -> Option<(PathBuf, Vec<PlanText>)> {
    let status = match host.status(path) {
        Ok(status) => status,
        Err(error) => {
            problems.add(unreadable(path, &error));
            return None;
        }
    };
    let is_folder = status.kind == FileKind::Directory;
    let folder = match path.parent() {
        _ if is_folder => path,
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let files = if is_folder { files_of(host, path, problems)? } else { vec![path.to_path_buf()] };
    let base_dir = match host.canonical(folder) {
        Ok(base_dir) => base_dir,
        Err(error) => {
            problems.add(unreadable(folder, &error));
            return None;
        }
    };
    let mut texts = Vec::new();
    for file in files {
        match read_file(host, &file) {
            Ok(text) => texts.push(PlanText { path: file, text }),
            Err(problem) => problems.add(problem),
        }
    }
    Some((base_dir, texts))
}

fn files_of(host: &dyn Host, folder: &Path, problems: &mut Problems) -> Option<Vec<PathBuf>> {
    let names = match host.list_dir(folder) {
        Ok(names) => names,
        Err(error) => {
            problems.add(unreadable(folder, &error));
            return None;
        }
    };
    let wanted = |path: &PathBuf| {
        let hidden = path.file_name().and_then(|it| it.to_str()).is_none_or(|it| it.starts_with('.'));
        let extension = path.extension().and_then(|it| it.to_str());
        !hidden && matches!(extension, Some("yaml" | "yml"))
    };
    let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).filter(wanted).collect();
    if files.is_empty() {
        let what = format!("{} holds no `*.yaml` file", folder.display());
        problems.add(
            Problem::nowhere(Fault::Unreadable, what).fix("write one; the examples under `plans/` show how"),
        );
        return None;
    }
    Some(files)
}

fn read_file(host: &dyn Host, file: &Path) -> Result<String, Problem> {
    let status = host.status(file).map_err(|error| unreadable(file, &error))?;
    if status.kind != FileKind::File {
        let what = format!("{} is not a file", file.display());
        return Err(Problem::nowhere(Fault::Unreadable, what).fix("give bkp a file, or a folder of files"));
    }
    if status.size_bytes > SIZE_MAX_BYTES {
        return Err(too_large(file));
    }
    let bytes = host.read(file).map_err(|error| unreadable(file, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let what = format!("{}: byte {} is not UTF-8", file.display(), error.utf8_error().valid_up_to());
        Problem::nowhere(Fault::Syntax, what).fix("save it as UTF-8")
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    let problem = Problem::nowhere(Fault::Unreadable, format!("{}: {error}", path.display()));
    if error.kind() == std::io::ErrorKind::NotFound {
        return problem.fix("check the path; the examples under `plans/` show what to write");
    }
    problem
}

fn too_large(path: &Path) -> Problem {
    let what = format!("{} is larger than {SIZE_MAX_BYTES} bytes", path.display());
    Problem::nowhere(Fault::TooLarge, what).fix("split it into a folder of files")
}

/// The name of a plan that says none: its file's stem or its folder's name, made into a valid one. `bkp.yaml` and
/// `bkp/` take the name of the folder around them.
fn default_name(path: &Path) -> PlanName {
    let stem = |path: &Path| path.file_stem().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    let mut name = stem(path);
    if name == "bkp"
        && let Some(parent) = path.parent().filter(|it| it.file_name().is_some())
    {
        name = parent.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    }
    let allowed = |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_lowercase() } else { '-' };
    let valid: String = name.chars().map(allowed).skip_while(|it| *it == '-').take(63).collect();
    PlanName::try_from(valid.trim_end_matches('-').to_owned())
        .or_else(|_| PlanName::try_from("plan".to_owned()))
        .expect("`plan` is a name")
}

fn read_texts(
    subject: &str,
    texts: Vec<PlanText>,
    base_dir: &Path,
    home: &Path,
    default_name: &PlanName,
) -> Result<Loaded, PlanErrors> {
    let mut problems = Problems::default();
    let roots: Vec<Option<Node>> = texts
        .iter()
        .enumerate()
        .map(|(file, source)| node::read(file, &source.text, &mut problems))
        .collect();
    // With one file unread, names would seem to dangle that are declared there.
    let roots: Option<Vec<Node>> = roots.into_iter().collect();
    let mut plan = None;
    if let Some(roots) = roots {
        for root in &roots {
            warn_of_variables(root, &mut problems);
        }
        let mut decoder = Decoder { base_dir, home, problems: &mut problems };
        if let Some(root) = document::joined(roots, &mut decoder) {
            plan = decoder.plan(&root, default_name);
        }
    }
    match plan {
        Some(plan) if problems.is_empty() => {
            let warnings = problems.warnings(&texts);
            let digest = digest_of(&texts);
            Ok(Loaded { plan, warnings, sources: texts, digest })
        }
        _ => Err(problems.into_errors(subject.to_owned(), &texts)),
    }
}

fn digest_of(texts: &[PlanText]) -> Digest {
    let mut bytes = Vec::new();
    for source in texts {
        let name = source.path.file_name().unwrap_or_default().to_string_lossy();
        for part in [name.as_bytes(), source.text.as_bytes()] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        }
    }
    Digest::of(&bytes)
}

/// Warns of `${...}`: other tools put variables in, bkp keeps it as it is. Hooks may hand it to a shell.
fn warn_of_variables(node: &Node, problems: &mut Problems) {
    match &node.content {
        Content::Text(text) if text.contains("${") => {
            let what = "`${` is kept as it is written: bkp puts no variables into plan files".to_owned();
            let fix = "write the value; secrets are references such as `{ file: PATH }`";
            problems.warn(Problem::new(Fault::Suspicious, what, node.place).fix(fix));
        }
        Content::List(items) => items.iter().for_each(|it| warn_of_variables(it, problems)),
        Content::Map(entries) => entries
            .iter()
            .filter(|entry| !matches!(entry.key.as_str(), "before" | "after" | "command"))
            .for_each(|entry| warn_of_variables(&entry.node, problems)),
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => {}
    }
}
