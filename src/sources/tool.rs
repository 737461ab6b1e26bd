//! The programs that sources run: found in one place for plan and run alike.

use super::SourceError;
use crate::diagnostic::Diagnostic;
use crate::host::{Host, SEARCH_PATH};
use crate::observed::RequirementFacts;
use std::path::{Path, PathBuf};

/// Where a source's tools are looked for: the declared folder alone, or the job's PATH and then `more`, folders in
/// which distributions keep what they do not put on it.
pub(super) fn search_path(declared: Option<&Path>, more: &[PathBuf]) -> String {
    if let Some(folder) = declared {
        return folder.display().to_string();
    }
    let more = more.iter().map(|folder| folder.display().to_string());
    std::iter::once(SEARCH_PATH.to_owned()).chain(more).collect::<Vec<_>>().join(":")
}

/// The first of several names for one tool that is there, such as `mariadb-dump` and `mysqldump`.
pub(super) fn find(host: &dyn Host, names: &[&str], search_path: &str) -> Result<PathBuf, SourceError> {
    names.iter().find_map(|name| host.find_tool(name, search_path)).ok_or_else(|| SourceError::ToolMissing {
        tool: names.join("` or `"),
        search_path: search_path.to_owned(),
    })
}

/// The same as a requirement of the plan; `package` is what brings it.
pub(super) fn requirement(
    host: &dyn Host,
    names: &[&str],
    search_path: &str,
    package: &str,
) -> RequirementFacts {
    let object = names.join("` or `");
    let unmet = find(host, names, search_path).err().map(|_missing| {
        Diagnostic::new("tool missing", format!("`{object}` is not on the job's PATH"))
            .why(format!("looked in {search_path}"))
            .fix(format!("install {package}, or name its folder with `tools:`"))
    });
    RequirementFacts { kind: "tool".into(), object, unmet }
}
