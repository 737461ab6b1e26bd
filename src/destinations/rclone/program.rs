//! rclone as a program: its arguments, its configuration, and what its exit statuses and words mean.

use crate::destinations::remote::store::Fault;
use crate::host::{Command, Output};
use crate::secrets::Secret;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest that it may take for anything: it watches over silent connections itself, by `--timeout`.
const TIME_LIMIT: Duration = Duration::from_hours(12);
/// Values of its configuration that are shorter are words rather than secrets.
const SECRET_BYTES_MIN: usize = 6;

/// A copy of a configuration in a folder that only this user can enter; gone with this value.
pub(super) struct Config {
    folder: tempfile::TempDir,
    /// What must not be repeated.
    secrets: Vec<String>,
}

impl Config {
    /// Writes the copy.
    pub fn new(config: &Secret) -> io::Result<Self> {
        let own = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("bkp-rclone-").permissions(own).tempdir()?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(folder.path().join("rclone.conf"))?.write_all(config.bytes())?;
        let text = String::from_utf8_lossy(config.bytes()).into_owned();
        let secret = |line: &str| {
            let (key, value) = line.split_once('=')?;
            let (key, value) = (key.trim().to_lowercase(), value.trim());
            let names = ["pass", "secret", "token", "key", "credential", "auth"];
            let is_secret = names.iter().any(|it| key.contains(it)) && value.len() >= SECRET_BYTES_MIN;
            is_secret.then(|| value.to_owned())
        };
        let secrets = text.lines().filter_map(secret).collect();
        Ok(Self { folder, secrets })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("rclone.conf")
    }
}

/// The program with what is said each time.
pub(super) struct Program {
    pub path: PathBuf,
    pub config: Option<Config>,
    pub timeout: Duration,
    pub retries: u32,
}

impl Program {
    /// A command that only looks, or one that changes something, with its own arguments.
    pub fn command<const N: usize>(&self, is_change: bool, own: [&str; N]) -> Command {
        let mut argv: Vec<OsString> = vec![self.path.clone().into()];
        if let Some(config) = &self.config {
            argv.extend(["--config".into(), config.path().into_os_string()]);
        }
        let tries = (self.retries + 1).to_string();
        let timeout = format!("{}s", self.timeout.as_secs().max(1));
        // Without a terminal it would wait for a password that nobody types.
        argv.extend(["--ask-password=false", "--log-level", "ERROR"].map(OsString::from));
        argv.extend(["--timeout", &timeout, "--contimeout", &timeout].map(OsString::from));
        argv.extend(["--retries", &tries, "--low-level-retries", &tries].map(OsString::from));
        argv.extend(own.map(OsString::from));
        let command = if is_change { Command::change(argv) } else { Command::look(argv) };
        Command { time_limit: TIME_LIMIT, ..command }
    }

    /// What it ended with, where that was no success.
    pub fn fault(&self, during: &'static str, output: &Output) -> Fault {
        let mut text = output.explain();
        for secret in self.config.iter().flat_map(|it| &it.secrets) {
            text = text.replace(secret.as_str(), "[redacted]");
        }
        let lower = format!("{} {text}", String::from_utf8_lossy(&output.stderr)).to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let error = io::Error::other(format!("rclone: {text}"));
        // 3 and 4: no such folder, no such file ("Exit code", rclone.org/docs).
        let is_absent = matches!(output.status, Some(3 | 4)) || says(&["is a directory or doesn't exist"]);
        if says(&FULL) {
            Fault::Full(error)
        } else if says(&STRANGER) {
            Fault::Stranger(error)
        } else if says(&NO_PLACE) {
            Fault::NoPlace(error)
        } else if says(&REFUSED) {
            Fault::Refused(error)
        } else if is_absent {
            Fault::Missing
        } else {
            Fault::Other { during, error }
        }
    }
}

/// What rclone hands on of systems and services.
const FULL: [&str; 6] = [
    "no space left",
    "quota exceeded",
    "quotaexceeded",
    "storagequotaexceeded",
    "insufficient storage",
    "insufficient_space",
];
const STRANGER: [&str; 3] = ["x509: certificate", "knownhosts:", "ssh: host key"];
const NO_PLACE: [&str; 3] = ["nosuchbucket", "bucket does not exist", "container not found"];
const REFUSED: [&str; 12] = [
    "permission denied",
    "401 unauthorized",
    "403 forbidden",
    "accessdenied",
    "access denied",
    "invalidaccesskeyid",
    "signaturedoesnotmatch",
    "invalid_grant",
    "unable to authenticate",
    "530 ",
    "token expired",
    "operation not permitted",
];

/// What is wrong with a program's path, for people.
pub(super) fn missing(search_path: &Path) -> String {
    format!("`rclone` is in none of {}", search_path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::RealHost;
    use crate::secrets::resolve;

    fn program(config: Option<&str>) -> Program {
        let config = config.map(|text| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            file.as_file().write_all(text.as_bytes()).expect("room");
            let reference = crate::declared::SecretRef::File(file.path().to_path_buf());
            Config::new(&resolve(&RealHost, "config", &reference).expect("it is there")).expect("room")
        });
        Program { path: "/usr/bin/rclone".into(), config, timeout: Duration::from_mins(1), retries: 4 }
    }

    fn ended(status: i32, stderr: &str) -> Output {
        Output { status: Some(status), timed_out: false, stdout: Vec::new(), stderr: stderr.into() }
    }

    #[test]
    fn secrets_of_the_configuration_are_in_no_argument_and_in_no_error() {
        let program = program(Some("[box]\ntype = s3\nsecret_access_key = hunter2hunter2\n"));
        let path = program.config.as_ref().expect("it was given").path();
        assert!(!program.command(true, ["rcat", "box:x"]).display().contains("hunter2"));
        let fault = program.fault("trying", &ended(1, "Failed: hunter2hunter2 is bad"));
        let Fault::Other { error, .. } = &fault else { panic!("{fault:?}") };
        assert_eq!(error.to_string(), "rclone: exit status 1: Failed: [redacted] is bad");
        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("a folder"))), (0o600, 0o700));
        drop(program);
        assert!(!path.exists());
    }

    #[test]
    fn statuses_and_words_are_told_apart() {
        let program = program(None);
        let of = |status, stderr| program.fault("trying", &ended(status, stderr));
        assert!(matches!(of(3, "Failed to lsjson: directory not found"), Fault::Missing));
        assert!(matches!(of(1, "Failed: box:x is a directory or doesn't exist"), Fault::Missing));
        assert!(matches!(of(1, "Failed to rcat: write /x: no space left on device"), Fault::Full(_)));
        assert!(matches!(of(1, "Failed: 401 Unauthorized"), Fault::Refused(_)));
        assert!(matches!(of(1, "Failed: didn't find section in config file"), Fault::Other { .. }));
    }
}
