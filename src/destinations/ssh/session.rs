//! One SFTP session over the pipes of an `ssh`. Every answer is waited for at most the destination's time-out.

use super::client::{Client, Setback, heard};
use crate::destinations::remote::store::Fault;
use crate::destinations::runtime::wait;
use crate::host::{Command, PipedChild, pulse};
use futures::StreamExt;
use openssh_sftp_client::error::{Error, SftpErrorKind};
use openssh_sftp_client::file::File;
use openssh_sftp_client::fs::Statvfs;
use openssh_sftp_client::metadata::{MetaData, Permissions};
use openssh_sftp_client::{Sftp, SftpOptions};
use std::future::Future;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;

/// How long an `ssh` that has lost its connection may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Mode of folders that are made.
const FOLDER_MODE: u16 = 0o700;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server answered with it; the session goes on.
    Answer(Answer),
    /// The session is over.
    Broken(String),
}

/// A refusal of the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub kind: AnswerKind,
    pub text: String,
}

/// The kinds of SFTP version 3 (draft-ietf-secsh-filexfer-02, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerKind {
    NoSuchFile,
    Denied,
    Unsupported,
    /// Everything else: a full disk, a name that is taken, a folder that is not empty.
    Failure,
}

impl Answer {
    pub fn is(&self, kind: AnswerKind) -> bool {
        self.kind == kind
    }

    /// What it means where nothing more is known.
    pub fn fault(self, during: &'static str) -> Fault {
        let text = self.text.to_lowercase();
        let error = io::Error::other(format!("the server says: {}", self.text));
        match self.kind {
            AnswerKind::NoSuchFile => Fault::Missing,
            AnswerKind::Denied => Fault::Refused(error),
            // Servers that say more than the protocol's word.
            AnswerKind::Failure if text.contains("quota") || text.contains("no space") => Fault::Full(error),
            AnswerKind::Failure | AnswerKind::Unsupported => Fault::Other { during, error },
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::SftpError(code, message) => {
                let kind = match code {
                    SftpErrorKind::NoSuchFile => AnswerKind::NoSuchFile,
                    SftpErrorKind::PermDenied => AnswerKind::Denied,
                    SftpErrorKind::OpUnsupported => AnswerKind::Unsupported,
                    // The library's kinds may grow; version 3 of the protocol has no others of interest.
                    _ => AnswerKind::Failure,
                };
                Self::Answer(Answer { kind, text: message.get().0.to_owned() })
            }
            Error::UnsupportedExtension(name) => {
                let text = format!("`{name}` is not among its extensions");
                Self::Answer(Answer { kind: AnswerKind::Unsupported, text })
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

/// An entry of a folder.
#[derive(Debug)]
pub(super) struct Named {
    pub name: String,
    pub metadata: MetaData,
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    sftp: Sftp,
    limit: Duration,
    /// Killed with the session.
    ssh: Mutex<Option<PipedChild>>,
}

/// The standard error of an `ssh` that ends, or is ended.
fn last_words(ssh: Option<PipedChild>) -> String {
    let output = ssh.and_then(|it| it.finish().ok());
    output.map(|it| String::from_utf8_lossy(&it.stderr).into_owned()).unwrap_or_default()
}

impl Session {
    /// Starts `ssh` and greets the server.
    pub fn begin(client: &Client) -> Result<Self, Setback> {
        const DURING: &str = "connecting";
        let command = Command { time_limit: LAST_WORDS, ..Command::change(client.subsystem("sftp")) };
        let (ssh, stdin, stdout) = PipedChild::start(&command).map_err(|error| {
            let error = io::Error::new(error.kind(), format!("ssh could not be started: {error}"));
            Setback::Lasting(Fault::Other { during: DURING, error })
        })?;
        let limit = client.timeout();
        let greeted = wait(async {
            let (stdin, stdout) = (ChildStdin::from_std(stdin)?, ChildStdout::from_std(stdout)?);
            timeout(limit, Sftp::new(stdin, stdout, SftpOptions::new())).await.map_err(|_| {
                io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()))
            })
        });
        let why = match greeted {
            Ok(Ok(sftp)) => return Ok(Self { sftp, limit, ssh: Mutex::new(Some(ssh)) }),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(Setback::Passing(Fault::Other { during: DURING, error }));
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let stderr = last_words(Some(ssh));
        Err(heard(DURING, &stderr).unwrap_or_else(|| {
            let last = stderr.trim().lines().last().map_or(why, |line| line.trim().to_owned());
            Setback::Lasting(Fault::other(DURING, last))
        }))
    }

    /// What `ssh` said at its end, or else what the library saw.
    pub fn last_words(&self, seen: &str) -> String {
        let ssh = self.ssh.lock().unwrap_or_else(PoisonError::into_inner).take();
        let last = last_words(ssh);
        let last = last.trim().lines().last().unwrap_or_default().trim().to_owned();
        if last.is_empty() { format!("the connection was lost: {seen}") } else { last }
    }

    /// Waits for an answer, or gives the session up.
    pub async fn within<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        pulse::beat();
        match timeout(self.limit, answer).await {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_) => Err(Failure::Broken(format!("no answer within {} s", self.limit.as_secs()))),
        }
    }

    pub async fn stat(&self, path: &str) -> Result<MetaData, Failure> {
        self.within(self.sftp.fs().metadata(path)).await
    }

    pub async fn make_folder(&self, path: &str) -> Result<(), Failure> {
        let mut fs = self.sftp.fs();
        let mut builder = fs.dir_builder();
        builder.permissions(Permissions::from(FOLDER_MODE));
        self.within(builder.create(path)).await
    }

    pub async fn remove_folder(&self, path: &str) -> Result<(), Failure> {
        self.within(self.sftp.fs().remove_dir(path)).await
    }

    pub async fn remove(&self, path: &str) -> Result<(), Failure> {
        self.within(self.sftp.fs().remove_file(path)).await
    }

    /// What is in a folder, links followed; what no text can name is not ours.
    pub async fn entries(&self, path: &str) -> Result<Vec<Named>, Failure> {
        let mut fs = self.sftp.fs();
        let folder = self.within(fs.open_dir(path)).await?;
        let mut entries = std::pin::pin!(folder.read_dir());
        let mut found = Vec::new();
        loop {
            let next = self.within(async { entries.next().await.transpose() }).await?;
            let Some(entry) = next else { return Ok(found) };
            let Some(name) = entry.filename().to_str().filter(|it| !matches!(*it, "." | "..")) else {
                continue;
            };
            let name = name.to_owned();
            let mut metadata = entry.metadata();
            if metadata.file_type().is_none_or(|it| it.is_symlink()) {
                match self.stat(&format!("{}/{name}", path.trim_end_matches('/'))).await {
                    Ok(followed) => metadata = followed,
                    Err(Failure::Answer(_)) => continue,
                    Err(broken @ Failure::Broken(_)) => return Err(broken),
                }
            }
            found.push(Named { name, metadata });
        }
    }

    /// Whether a name that is taken is refused by the server itself.
    pub fn refuses_taken_names(&self) -> bool {
        // Version 3 of the protocol: a rename onto a name that exists is an error. The library sends it only where the
        // server has no other, which replaces.
        self.links() || !self.sftp.support_posix_rename()
    }

    /// Whether the server makes hard links.
    pub fn links(&self) -> bool {
        self.sftp.support_hardlink()
    }

    pub async fn link(&self, from: &str, to: &str) -> Result<(), Failure> {
        self.within(self.sftp.fs().hard_link(from, to)).await
    }

    pub async fn rename(&self, from: &str, to: &str) -> Result<(), Failure> {
        self.within(self.sftp.fs().rename(from, to)).await
    }

    /// Makes a file that did not exist.
    pub async fn create(&self, path: &str) -> Result<File, Failure> {
        let mut options = self.sftp.options();
        options.write(true).create_new(true);
        self.within(options.open(path)).await
    }

    pub async fn open(&self, path: &str) -> Result<File, Failure> {
        self.within(self.sftp.open(path)).await
    }

    /// Brings a file to the medium where the server can, and closes it.
    pub async fn settle(&self, mut file: File) -> Result<(), Failure> {
        if self.sftp.support_fsync() {
            self.within(file.sync_all()).await?;
        }
        self.within(file.close()).await
    }

    /// Room; none where the server does not say.
    pub async fn room(&self, path: &str) -> Result<Option<Statvfs>, Failure> {
        if !self.sftp.support_statvfs() {
            return Ok(None);
        }
        self.within(self.sftp.fs().statvfs(path)).await.map(Some)
    }
}
