//! `mongodump` and `mongorestore`: how they are called, and what their words mean.
//!
//! Never here: a password in argv, or an option that takes its value from the next word (a database may be called `-x`).

use super::connection::Access;
use crate::host::{Command, Output, PrivateFile};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long a tool may take to end once it has said everything.
const END: Duration = Duration::from_mins(10);
/// How long mongorestore may build indexes after it has read everything.
const RESTORE_END: Duration = Duration::from_hours(6);

/// The file that tells a tool its server and password (`ParseConfigFile` in `common/options/options.go`). JSON strings
/// are YAML strings too.
pub(super) fn config(access: &Access) -> io::Result<PrivateFile> {
    let mut text = format!("uri: {}\n", serde_json::Value::from(access.url.as_str()));
    if let Some(login) = &access.login {
        let password = String::from_utf8_lossy(login.password.line());
        text = format!("{text}password: {}\n", serde_json::Value::from(&*password));
    }
    PrivateFile::new("mongodb.yaml", text.as_bytes())
}

fn call(program: &Path, access: &Access, config: &PrivateFile) -> Vec<OsString> {
    let mut config_option = OsString::from("--config=");
    config_option.push(config.path());
    let mut argv = vec![program.into(), config_option];
    if let Some(login) = &access.login {
        argv.push(format!("--username={}", login.user).into());
        argv.push(format!("--authenticationDatabase={}", login.source).into());
    }
    argv
}

/// Dumps one database to standard output.
pub(super) fn dump(program: &Path, access: &Access, config: &PrivateFile, database: &str) -> Command {
    let mut argv = call(program, access, config);
    argv.push(format!("--db={database}").into());
    argv.push("--archive".into());
    Command { time_limit: END, ..Command::look(argv) }
}

/// Restores an archive of the database `from` from standard input, its collections into the database `to`.
pub(super) fn restore(
    program: &Path,
    access: &Access,
    config: &PrivateFile,
    (from, to): (&str, &str),
) -> Command {
    let mut argv = call(program, access, config);
    let mut renamed = |from: String, to: String| {
        argv.push(format!("--nsFrom={from}").into());
        argv.push(format!("--nsTo={to}").into());
    };
    let escaped = |name: &str| name.replace('\\', "\\\\").replace('*', "\\*");
    renamed(format!("{}.*", escaped(from)), format!("{}.*", escaped(to)));
    if from == "admin" {
        // The later pair goes first (`NewRenamer` in `mongorestore/ns/ns.go`). Users and roles become documents that
        // nobody can log in with.
        renamed("admin.system.*".into(), format!("{}.{SYSTEM_PREFIX}*", escaped(to)));
    }
    // A document that was there before its collection's validator is in the archive rightly.
    for option in ["--archive", "--stopOnError", "--objcheck", "--bypassDocumentValidation"] {
        argv.push(option.into());
    }
    Command { time_limit: RESTORE_END, ..Command::change(argv) }
}

/// What `system.` becomes where users and roles are restored as documents: no database but `admin` takes the names.
pub(super) const SYSTEM_PREFIX: &str = "system_";

/// What a collection of the database `from` was called before [`restore`] renamed it.
pub(super) fn name_before(from: &str, name: &str) -> String {
    match name.strip_prefix(SYSTEM_PREFIX) {
        Some(rest) if from == "admin" => format!("system.{rest}"),
        Some(_) | None => name.to_owned(),
    }
}

/// What mongorestore says at its end: documents restored, and documents that failed.
pub(super) fn restored(output: &Output) -> Option<(u64, u64)> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().rev().find_map(|line| {
        let (before, after) = line.split_once(" document(s) restored successfully. ")?;
        let restored = before.rsplit(['\t', ' ']).next()?.parse().ok()?;
        let failed = after.split_once(" document(s) failed to restore")?.0.parse().ok()?;
        Some((restored, failed))
    })
}

/// Why a tool failed: its `Failed:` line, or how it ended. mongo-tools put the time and a tab before each line.
pub(super) fn explain(access: &Access, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let message = |line: &str| line.split_once('\t').map_or(line, |(_, rest)| rest).trim().to_owned();
    let telling = ["Failed: ", "error parsing command line options: ", "error connecting to host: "];
    let line = text.lines().map(message).rfind(|line| telling.iter().any(|it| line.starts_with(it)));
    let reason = match (line, output.timed_out, output.status) {
        (Some(line), false, Some(status)) => format!("exit status {status}: {line}"),
        (Some(_) | None, _, _) => output.explain(),
    };
    access.redact(&reason)
}
