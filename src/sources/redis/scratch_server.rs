//! A server of a drill's own: it listens on a socket in the drill's folder alone, writes nothing, and ends with its
//! value.
//!
//! Never here: a port, a default path, a server that is counted before it has loaded everything, or an empty start that
//! is taken for a restore (with a misplaced file, or with `appendonly yes`, Redis starts empty and says nothing).

use super::address::Address;
use super::rdb::{Census, Dialect};
use super::session::Session;
use super::vitals::Vitals;
use crate::host::{Command, Host, SEARCH_PATH, ServerChild, pause, pulse, read_text};
use crate::sources::{Bench, RestoreError, Trace, leave_trace};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The programs that can serve a dump.
pub(super) const TOOLS: [&str; 2] = ["redis-server", "valkey-server"];
/// What brings them.
pub(super) const PACKAGE: &str = "redis-server (or valkey-server)";
/// The dump, in the server's folder.
pub(super) const FILE: &str = "dump.rdb";
const SOCKET: &str = "s";
const LOG: &str = "log";
/// Databases that a server has unless told otherwise.
const DATABASES: u64 = 16;
/// Between two questions to a server that loads.
const POLL: Duration = Duration::from_millis(20);
/// Longest that a server that loads may not move.
const STALL_MAX: Duration = Duration::from_mins(2);
/// Longest path of a socket on any system that bkp runs on, in bytes (unix(7): 107; on a Mac 103).
const SOCKET_PATH_BYTES_MAX: usize = 103;
/// Lines of a server's log that are looked at.
const LOG_LINES: usize = 40;

/// A server that has loaded its dump.
#[derive(Debug)]
pub(super) struct ScratchServer {
    _child: ServerChild,
    /// What it said of itself when everything was loaded.
    pub info: Vitals,
}

/// The program that suits a dump, and its version.
pub(super) struct Program {
    path: PathBuf,
    /// What it calls itself, for messages.
    name: String,
    /// Whether it can check every value deeply as it loads (redis.conf, `sanitize-dump-payload`, since 6.2).
    sanitizes: bool,
}

fn bench_error(tool: &str, reason: impl Into<String>) -> RestoreError {
    RestoreError::Bench { tool: tool.to_owned(), reason: reason.into() }
}

impl Program {
    /// Looks for one; Valkey's own dumps are read by Valkey alone.
    pub(super) fn find(bench: Bench<'_>, dialect: Dialect) -> Result<Self, RestoreError> {
        let search_path = search_path(bench);
        let names = match dialect {
            Dialect::Redis => TOOLS.to_vec(),
            Dialect::Valkey => vec![TOOLS[1]],
        };
        let path = names.iter().find_map(|name| bench.host.find_tool(name, &search_path));
        let path = path.ok_or_else(|| {
            let names = names.join("` or `");
            bench_error(
                &names,
                format!("it is not in {search_path}; install {PACKAGE}, or name its folder with `tools:`"),
            )
        })?;
        let tool = path.display().to_string();
        let mut command = Command::look([path.as_os_str(), "--version".as_ref()]);
        command.clear_env = true;
        let output = bench.host.run(&command).map_err(|error| bench_error(&tool, error.to_string()))?;
        let name = output.text().lines().next().unwrap_or_default().trim().to_owned();
        let version = version(&name).filter(|_| output.succeeded());
        let version =
            version.ok_or_else(|| bench_error(&tool, format!("`--version`: {}", output.explain())))?;
        Ok(Self { path, name, sanitizes: version >= (6, 2) })
    }
}

/// Where the programs are looked for.
pub(super) fn search_path(bench: Bench<'_>) -> String {
    let declared = match bench.declaration {
        Some(crate::declared::SourceDeclaration::Redis(declaration)) => declaration.tools.as_deref(),
        // On a bare machine, and for a set that is something else by now.
        Some(_) | None => None,
    };
    declared.map_or_else(|| SEARCH_PATH.to_owned(), |folder| folder.display().to_string())
}

/// `Redis server v=7.0.15 sha=...`: its major and minor version.
fn version(line: &str) -> Option<(u32, u32)> {
    let word = line.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    let mut numbers = word.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

impl ScratchServer {
    /// Starts one on the dump that lies in `folder`, and waits until everything is loaded.
    pub(super) fn load(
        bench: Bench<'_>,
        program: &Program,
        folder: &Path,
        member: &str,
        census: &Census,
    ) -> Result<Self, RestoreError> {
        let last = census.databases.keys().max().copied().unwrap_or(0);
        let databases = DATABASES.max(last.saturating_add(1)).to_string();
        let folder_text = folder.display().to_string();
        let mut argv: Vec<std::ffi::OsString> = vec![program.path.clone().into_os_string()];
        // The socket is made in `--dir`, by a short name: the path of a socket has narrow limits.
        for (option, value) in [
            ("--port", "0"),
            ("--dir", folder_text.as_str()),
            ("--unixsocket", SOCKET),
            ("--unixsocketperm", "700"),
            ("--save", ""),
            ("--appendonly", "no"),
            ("--dbfilename", FILE),
            ("--databases", databases.as_str()),
            ("--logfile", LOG),
            ("--daemonize", "no"),
        ] {
            argv.extend([option.into(), value.into()]);
        }
        if program.sanitizes {
            argv.extend(["--sanitize-dump-payload".into(), "yes".into()]);
        }
        let mut command = Command::change(argv);
        command.clear_env = true;
        command.directory = Some(folder.to_path_buf());
        let tool = &program.name;
        let child = ServerChild::start(&command).map_err(|error| bench_error(tool, error.to_string()))?;
        leave_trace(bench.host, bench.folder, &Trace::Process { pid: child.pid() })
            .map_err(|error| bench_error("trace of the drill", error.to_string()))?;
        wait(bench.host, child, tool, folder, member)
    }
}

/// A way to the socket that is short enough whatever the folder is called.
struct Door {
    path: PathBuf,
    #[cfg(target_os = "linux")]
    _folder: std::fs::File,
}

impl Door {
    /// The folder's own descriptor is a short name of it (proc(5), `/proc/self/fd`).
    #[cfg(target_os = "linux")]
    fn to(folder: &Path) -> std::io::Result<Self> {
        use std::os::fd::AsRawFd;
        let opened = std::fs::OpenOptions::new().read(true).open(folder)?;
        let long = folder.join(SOCKET);
        let short = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())).join(SOCKET);
        let path = if long.as_os_str().len() > SOCKET_PATH_BYTES_MAX { short } else { long };
        Ok(Self { path, _folder: opened })
    }

    #[cfg(not(target_os = "linux"))]
    fn to(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join(SOCKET);
        if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let text =
                format!("{}: no socket can have so long a path; set a shorter `--state-dir`", path.display());
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidFilename, text));
        }
        Ok(Self { path })
    }
}

fn wait(
    host: &dyn Host,
    mut child: ServerChild,
    tool: &str,
    folder: &Path,
    member: &str,
) -> Result<ScratchServer, RestoreError> {
    let door = Door::to(folder).map_err(|error| bench_error(tool, error.to_string()))?;
    let session = Session::open(Address::Socket(door.path.clone()));
    let (mut moved_at, mut seen) = (Instant::now(), None);
    loop {
        // Looked at first: a server that dies afterwards is found by the next look.
        let lives = child.alive();
        if let Ok(info) = session.info() {
            if info.get("loading") == Some("0") && info.unfit().is_none() {
                return Ok(ScratchServer { _child: child, info });
            }
            let loaded = info.number("loading_loaded_bytes");
            if loaded != seen {
                (seen, moved_at) = (loaded, Instant::now());
                pulse::beat();
            }
        }
        if !lives {
            return Err(ended(host, tool, folder, member));
        }
        if moved_at.elapsed() > STALL_MAX || crate::host::told_to_end() {
            return Err(bench_error(
                tool,
                format!("it has not loaded the dump: {}", last_words(host, folder)),
            ));
        }
        pause(POLL);
    }
}

/// A server that could not load says in its log whose fault it is.
fn ended(host: &dyn Host, tool: &str, folder: &Path, member: &str) -> RestoreError {
    let reason = last_words(host, folder);
    // Its own words for a value that is not what its type says (`rdb.c`, `rdbReportCorruptRDB`).
    if reason.contains("Internal error in RDB") || reason.contains("integrity check failed") {
        return RestoreError::Damaged { member: member.to_owned(), reason: format!("{tool}: {reason}") };
    }
    bench_error(tool, format!("it ended while it loaded the dump: {reason}"))
}

/// The lines of its log that are warnings, without their times.
fn last_words(host: &dyn Host, folder: &Path) -> String {
    let log = read_text(host, &folder.join(LOG)).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let recent = &lines[lines.len().saturating_sub(LOG_LINES)..];
    // `12345:M 21 Nov 2026 04:04:57.411 # words`: a warning is marked by `#`.
    let warnings = recent.iter().filter_map(|line| Some(line.split_once(" # ")?.1.trim()));
    let warnings: Vec<&str> = warnings
        .filter(|it| {
            !it.starts_with("WARNING") && !it.starts_with("Warning") && !it.starts_with("Server initialized")
        })
        .collect();
    if warnings.is_empty() { "it said nothing in its log".to_owned() } else { warnings.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        assert_eq!(version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0"), Some((7, 0)));
        assert_eq!(version("Valkey server v=8.1.1 sha=00000000:1"), Some((8, 1)));
        assert_eq!(version("something else"), None);
    }
}
