//! The server's own programs, of a version that fits.
//!
//! `pg_dump` refuses a server that is newer than itself, and what a much newer one writes an older server may not
//! take: so the lowest version is taken that is not below the server's. Debian's `pg_wrapper` is passed over, because
//! it chooses by files of its own.

use super::SourceError;
use crate::host::{Command, Host, SEARCH_PATH};
use std::path::{Path, PathBuf};

/// Where distributions keep several versions side by side: a folder, and how the names in it begin.
const HOMES: &[(&str, &str)] = &[
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
];

/// A folder of programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Toolbox {
    folder: PathBuf,
    /// The major version of `pg_dump`, or of `postgres` where servers are looked for.
    pub major: u32,
}

impl Toolbox {
    /// A program of it.
    pub fn path(&self, tool: &str) -> PathBuf {
        self.folder.join(tool)
    }

    /// A program of it, where it is there.
    pub fn find(&self, host: &dyn Host, tool: &str) -> Result<PathBuf, SourceError> {
        let folder = self.folder.display().to_string();
        host.find_tool(tool, &folder)
            .ok_or_else(|| SourceError::ToolMissing { tool: tool.to_owned(), search_path: folder })
    }
}

/// The version that a program says it is of, such as `pg_dump (PostgreSQL) 15.18 (Debian 15.18-1)`.
fn major(said: &str) -> Option<u32> {
    let version = said.split("(PostgreSQL) ").nth(1)?;
    version.split(|it: char| !it.is_ascii_digit()).next()?.parse().ok()
}

fn folders(host: &dyn Host, declared: Option<&Path>, tool: &str) -> Vec<PathBuf> {
    if let Some(folder) = declared {
        return vec![folder.to_path_buf()];
    }
    let mut folders = Vec::new();
    for (home, prefix) in HOMES {
        let names = host.list_dir(Path::new(home)).unwrap_or_default();
        let fits = names.iter().filter(|name| name.to_string_lossy().starts_with(prefix));
        folders.extend(fits.map(|name| Path::new(home).join(name).join("bin")));
    }
    // A link on the PATH leads to the folder that has the rest of them; Debian's leads to its wrapper.
    let real = host.find_tool(tool, SEARCH_PATH).map(|path| host.canonical(&path).unwrap_or(path));
    let on_path = real.filter(|path| path.file_name().is_some_and(|name| name == tool));
    folders.extend(on_path.and_then(|path| path.parent().map(Path::to_path_buf)));
    folders.sort();
    folders.dedup();
    folders
}

/// Where programs are looked for, for messages.
fn search_path(declared: Option<&Path>) -> String {
    declared.map_or_else(
        || format!("{SEARCH_PATH}:/usr/lib/postgresql/*/bin"),
        |folder| folder.display().to_string(),
    )
}

/// Every folder that has a program, lowest version first.
fn having(host: &dyn Host, declared: Option<&Path>, tool: &str) -> Vec<Toolbox> {
    let version = |folder: PathBuf| {
        let path = host.find_tool(tool, &folder.display().to_string())?;
        let output = host.run(&Command::look([path.into_os_string(), "--version".into()])).ok()?;
        let major = output.succeeded().then(|| major(&output.text())).flatten()?;
        Some(Toolbox { folder, major })
    };
    let mut found: Vec<Toolbox> = folders(host, declared, tool).into_iter().filter_map(version).collect();
    found.sort_by_key(|toolbox| toolbox.major);
    found
}

/// The folders that have the programs, lowest version first, and at least one. Each program that tells its version is
/// started once, however often is chosen among them.
#[derive(Debug)]
pub(super) struct Toolboxes(Vec<Toolbox>);

impl Toolboxes {
    /// Looks for them. The version is that of the first tool; folders that lack another of them count only where none
    /// has all.
    pub fn look(host: &dyn Host, declared: Option<&Path>, tools: &[&str]) -> Result<Self, SourceError> {
        let tool = tools.first().copied().unwrap_or_default();
        let mut found = having(host, declared, tool);
        let whole = |toolbox: &Toolbox| tools.iter().all(|tool| toolbox.find(host, tool).is_ok());
        if found.iter().any(whole) {
            found.retain(whole);
        }
        if found.is_empty() {
            let search_path = search_path(declared);
            return Err(SourceError::ToolMissing { tool: tool.to_owned(), search_path });
        }
        Ok(Self(found))
    }

    /// Those of the highest version.
    pub fn highest(&self) -> &Toolbox {
        self.0.last().expect("looking found at least one")
    }

    /// Those for a server of a major version: the lowest that is not below it, else the highest there is.
    pub fn fitting(&self, server_major: u32) -> &Toolbox {
        let fits = self.0.iter().find(|toolbox| toolbox.major >= server_major);
        fits.unwrap_or_else(|| self.highest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FakeHost;
    use jiff::Timestamp;

    #[test]
    fn version_is_read_from_what_programs_say() {
        assert_eq!(major("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("pg_dump (EnterpriseDB) 11\n"), None);
    }

    #[test]
    fn folder_without_programs_is_told_with_its_name() {
        let host = FakeHost::at(Timestamp::UNIX_EPOCH);
        let error =
            Toolboxes::look(&host, Some(Path::new("/opt/none")), &["pg_dump"]).expect_err("nothing there");
        assert_eq!(error.to_string(), "`pg_dump` is not in /opt/none");
    }

    #[test]
    fn lowest_version_that_is_not_below_the_server_is_taken() {
        let of = |major| Toolbox { folder: format!("/opt/{major}/bin").into(), major };
        let toolboxes = Toolboxes(vec![of(13), of(15), of(17)]);
        assert_eq!([13, 14, 16, 18].map(|server| toolboxes.fitting(server).major), [13, 15, 17, 17]);
        assert_eq!(toolboxes.highest().major, 17);
    }
}
