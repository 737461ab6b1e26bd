//! Where the lines of jobs lie: a file for each in `/etc/cron.d`, or a block for each in the user's crontab.
//!
//! Another's file and another's line are never touched.

use super::crontab;
use crate::declared::Scope;
use crate::host::{FileKind, FileStatus, Host, pause};
use crate::observed::JobName;
use crate::schedulers::{Places, SchedulerError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILE_MODE: u32 = 0o644;
/// The seconds of a minute, the first and the last, around which cron reads its tables.
const TURN: (u64, u64) = (4, 58);
/// The tools' folders, for a user whose PATH is unknown.
const TOOLS: &str = "/usr/local/bin:/usr/bin:/bin";

/// A job's lines as they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) name: JobName,
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// Why cron would not read them, or read them otherwise.
    pub(super) trouble: Option<String>,
}

/// The tables of one scope.
pub(super) struct Store<'a> {
    host: &'a dyn Host,
    places: &'a Places,
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> SchedulerError {
    let path = path.to_owned();
    move |error| SchedulerError::File { path: path.clone(), error }
}

/// Where a job's lines lie. A block in a crontab has no path of its own; what stands for it cannot be a file's.
pub(super) fn path(places: &Places, job: &JobName) -> PathBuf {
    match places.scope {
        Scope::System => places.cron.join(job.to_string()),
        Scope::User => PathBuf::from(format!("crontab:{job}")),
    }
}

/// A job's lines as they lie there.
pub(super) fn framed(scope: Scope, job: &JobName, lines: &str) -> String {
    match scope {
        Scope::System => lines.to_owned(),
        Scope::User => crontab::block(job, lines),
    }
}

impl<'a> Store<'a> {
    pub(super) fn new(host: &'a dyn Host, places: &'a Places) -> Self {
        Self { host, places }
    }

    /// Whether there is a place for jobs at all: the folder, or the tool.
    pub(super) fn is_there(&self) -> Result<bool, SchedulerError> {
        match self.places.scope {
            Scope::System => super::daemon::is_there(self.host, &self.places.cron),
            Scope::User => Ok(has_tool(self.host)),
        }
    }

    /// Every job's lines.
    pub(super) fn all(&self) -> Result<Vec<Stored>, SchedulerError> {
        match self.places.scope {
            Scope::System => {
                let folder = &self.places.cron;
                let names = match self.host.list_dir(folder) {
                    Ok(names) => names,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                    Err(error) => return Err(file_error(folder)(error)),
                };
                let jobs = names.iter().filter_map(|name| JobName::parse(name.to_str()?));
                jobs.filter_map(|job| self.file(&job).transpose()).collect()
            }
            Scope::User => {
                let table = crontab::read(self.host)?;
                let blocks = crontab::blocks(&table)?.into_iter();
                Ok(blocks.map(|block| self.block(&table, block)).collect())
            }
        }
    }

    /// One job's lines.
    pub(super) fn read(&self, job: &JobName) -> Result<Option<Stored>, SchedulerError> {
        match self.places.scope {
            Scope::System => self.file(job),
            Scope::User => Ok(self.all()?.into_iter().find(|stored| stored.name == *job)),
        }
    }

    fn block(&self, table: &[u8], block: crontab::Block) -> Stored {
        let harmful = crontab::harmful_above(table, block.range.start);
        let trouble = (!harmful.is_empty()).then(|| format!("{} is set above it", harmful.join(", ")));
        let text = String::from_utf8_lossy(&table[block.range]).into_owned();
        Stored { path: path(self.places, &block.name), name: block.name, text, trouble }
    }

    fn file(&self, job: &JobName) -> Result<Option<Stored>, SchedulerError> {
        let path = path(self.places, job);
        let looked = self.host.link_status(&path).and_then(|status| Ok((status, self.host.read(&path)?)));
        let (status, bytes) = match looked {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file_error(&path)(error)),
        };
        let trouble = ignored(&status, &bytes).map(str::to_owned);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Some(Stored { name: job.clone(), path, text, trouble }))
    }

    /// Writes a job's lines.
    pub(super) fn write(&self, job: &JobName, text: &str) -> Result<(), SchedulerError> {
        self.away_from_the_turn();
        match self.places.scope {
            Scope::System => {
                let path = path(self.places, job);
                self.host.write_atomic(&path, text.as_bytes(), FILE_MODE).map_err(file_error(&path))
            }
            Scope::User => crontab::edit(self.host, &|table| crontab::with_block(table, job, text)),
        }
    }

    /// Takes a job's lines away.
    pub(super) fn remove(&self, job: &JobName) -> Result<(), SchedulerError> {
        match self.places.scope {
            Scope::System => {
                let path = path(self.places, job);
                match self.host.remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(&path)(error)),
                    Ok(()) | Err(_) => Ok(()),
                }
            }
            Scope::User => crontab::edit(self.host, &|table| crontab::without_block(table, job)),
        }
    }

    /// Cron reads a table anew when the second of its last change is another than before, at the turn of each minute. Of
    /// two changes in the second in which it reads it would never see the later one, so none is made around that.
    fn away_from_the_turn(&self) {
        let second = u64::try_from(self.host.now().as_second().rem_euclid(60)).unwrap_or(0);
        let (first, last) = TURN;
        if second < first {
            pause(Duration::from_secs(first - second));
        } else if second >= last {
            pause(Duration::from_secs(60 - second + first));
        }
    }
}

/// Whether the tool is there through which alone a user's table may be touched.
pub(super) fn has_tool(host: &dyn Host) -> bool {
    let search_path = host.env("PATH").unwrap_or_else(|| TOOLS.to_owned());
    host.find_tool("crontab", &search_path).is_some()
}

/// Why cron leaves a file of its folder alone: what Debian's says in its log, and what cronie demands of a mode.
fn ignored(status: &FileStatus, bytes: &[u8]) -> Option<&'static str> {
    if status.kind != FileKind::File {
        return Some("it is not a regular file");
    }
    if status.uid != 0 {
        return Some("it does not belong to root");
    }
    if status.mode & 0o7533 != 0o400 {
        return Some("others may write to it, or it is executable");
    }
    (bytes.last() != Some(&b'\n')).then_some("its last line has no end")
}
