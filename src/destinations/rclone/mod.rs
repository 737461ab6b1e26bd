//! `rclone`: whatever the host's `rclone` reaches.
//!
//! An object is stored under a temporary name by `rcat`, and gets its final one by `moveto --ignore-existing`, which leaves
//! both where they are when the name is taken, and says nothing of it: what is there afterwards is looked at. (`--immutable`
//! replaces a file of the same size, and is of no use here: seen with 1.60.) rclone looks first and moves then, so
//! that rivals of other processes can come between; those of one process never do.
//!
//! A declared configuration is copied, because rclone rewrites it where tokens are refreshed: the copy is gone with
//! the destination, and refreshed tokens are not kept. A service whose refresh tokens are good for one use needs the
//! job's user's own configuration.

mod program;
#[cfg(test)]
mod tests;

use super::marker::random;
use super::remote::TEMPORARY;
use super::remote::rivals::alone;
use super::remote::store::{Fault, Found, Store};
use super::{Secrets, Unopenable};
use crate::declared::RemoteDeclaration;
use crate::host::{ChildReader, ChildWriter, FeedError, Host, Output, Space, pulse};
use program::{Config, Program};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a program is waited for at once, so that it is seen that somebody waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens it. Nothing is asked of rclone yet.
pub(super) fn open(
    host: &dyn Host,
    remote: &RemoteDeclaration,
    secrets: &Secrets,
) -> Result<Box<dyn Store>, Unopenable> {
    let search_path = host.env("PATH").unwrap_or_default();
    let path = host.find_tool("rclone", &search_path).ok_or_else(|| Unopenable {
        reason: program::missing(Path::new(&search_path)),
        remedy: "install rclone".to_owned(),
    })?;
    let name = remote.setting("remote");
    if !name.contains(':') || name.starts_with('-') {
        // Without a colon rclone takes it for a folder of this host.
        let reason = format!("`remote: {name}` is no name of rclone's: it has no `:`, or begins with `-`");
        return Err(Unopenable { reason, remedy: "write it as in `box:backups`".to_owned() });
    }
    let config = secrets.get("config").map(Config::new).transpose().map_err(|error| Unopenable {
        reason: format!("its configuration could not be copied: {error}"),
        remedy: "make room in the folder for temporary files".to_owned(),
    })?;
    let program = Program {
        path,
        config,
        timeout: Duration::from_secs(remote.transport.timeout().seconds()),
        retries: remote.transport.retries(),
    };
    Ok(Box::new(RcloneStore { program: Arc::new(program), remote: name.trim_end_matches('/').to_owned() }))
}

/// A place of rclone's.
struct RcloneStore {
    program: Arc<Program>,
    /// Such as `box:backups`.
    remote: String,
}

/// What `lsjson` says of one thing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    path: String,
    /// -1 where it is not known.
    size: i64,
    is_dir: bool,
}

/// What `about --json` says.
#[derive(Debug, Deserialize)]
struct About {
    total: Option<u64>,
    free: Option<u64>,
}

fn started(during: &'static str) -> impl Fn(io::Error) -> Fault {
    move |error| Fault::Other { during, error }
}

/// The folder that a path lies in, without a `/` at its end.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl RcloneStore {
    /// A path as rclone names it.
    fn full(&self, path: &str) -> String {
        let path = path.trim_end_matches('/');
        match self.remote.strip_suffix(':') {
            _ if path.is_empty() => self.remote.clone(),
            Some(_) => format!("{}{path}", self.remote),
            None => format!("{}/{path}", self.remote),
        }
    }

    /// Runs it to its end.
    fn run<const N: usize>(
        &self,
        during: &'static str,
        is_change: bool,
        own: [&str; N],
    ) -> Result<Output, Fault> {
        let mut child = ChildReader::start(&self.program.command(is_change, own)).map_err(started(during))?;
        let mut stdout = Vec::new();
        let mut buffer = [0; 8 << 10];
        loop {
            pulse::beat();
            match child.read_within(&mut buffer, PATIENCE).map_err(started(during))? {
                None => {}
                Some(0) => break,
                Some(length) => stdout.extend_from_slice(&buffer[..length]),
            }
        }
        let output = child.finish().map_err(started(during))?;
        if output.succeeded() {
            Ok(Output { stdout, ..output })
        } else {
            Err(self.program.fault(during, &output))
        }
    }

    /// The files below a folder.
    fn files(&self, folder: &str, is_deep: bool) -> Result<Vec<Item>, Fault> {
        let during = "listing it";
        let full = self.full(folder);
        let depth = if is_deep { "--recursive" } else { "--max-depth=1" };
        let own = ["lsjson", "--files-only", "--no-modtime", "--no-mimetype", depth, &full];
        let child = ChildReader::start(&self.program.command(false, own)).map_err(started(during))?;
        let mut output = BufReader::new(child);
        let read: Result<Vec<Item>, _> = serde_json::from_reader(&mut output);
        let ended = output.into_inner().finish().map_err(started(during))?;
        if !ended.succeeded() {
            return match self.program.fault(during, &ended) {
                Fault::Missing => Ok(Vec::new()),
                fault => Err(fault),
            };
        }
        let items = read.map_err(|error| Fault::other(during, error))?;
        // Asked for a file, it lists that file as if its folder had been asked for.
        let name = folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let may_be_itself = !folder.is_empty() && items.len() == 1 && items[0].path == name;
        if may_be_itself && self.size(folder.trim_end_matches('/'))?.is_some() {
            return Ok(Vec::new());
        }
        Ok(items)
    }

    fn size_of(&self, item: &Item) -> Result<u64, Fault> {
        let unknown =
            |_| Fault::other("listing it", format!("the size of `{}` is not known there", item.path));
        u64::try_from(item.size).map_err(unknown)
    }

    fn upload(&self, temporary: &str, body: &mut dyn Read) -> Result<u64, Fault> {
        let during = "storing it";
        // The first bytes are read before anything is started: a body that is none leaves no trace.
        let mut begun = Vec::new();
        (&mut *body).take(64 << 10).read_to_end(&mut begun).map_err(Fault::Body)?;
        let mut body = begun.as_slice().chain(body);
        let full = self.full(temporary);
        let command = self.program.command(true, ["rcat", &full]);
        let mut child = ChildWriter::start(&command).map_err(started(during))?;
        let fed = match child.feed(&mut body) {
            Ok(fed) => fed,
            // Dropped, it is killed; what it makes of a sudden end stays under the temporary name.
            Err(FeedError::Body(error)) => return Err(Fault::Body(error)),
            Err(FeedError::Pipe(error)) => return Err(Fault::Other { during, error }),
        };
        let output = child.finish().map_err(started(during))?;
        if output.succeeded() { Ok(fed) } else { Err(self.program.fault(during, &output)) }
    }

    /// Gives what was stored its name, if that is still free.
    fn publish(&self, temporary: &str, path: &str, sent: u64) -> Result<(), Fault> {
        let _alone = alone(&self.remote, path);
        let folder = folder_of(path);
        let below = |path: &str| path[folder.len()..].trim_start_matches('/').to_owned();
        let look = || -> Result<(Option<u64>, Option<u64>), Fault> {
            let items = self.files(folder, false)?;
            let size = |name: String| items.iter().find(|it| it.path == name).map(|it| self.size_of(it));
            Ok((size(below(temporary)).transpose()?, size(below(path)).transpose()?))
        };
        match look()? {
            (_, Some(_)) => return Err(Fault::Taken),
            (Some(stored), None) if stored == sent => {}
            (stored, None) => {
                let text = format!("{sent} bytes were sent, and {} are there", stored.unwrap_or(0));
                return Err(Fault::other("storing it", text));
            }
        }
        let (from, to) = (self.full(temporary), self.full(path));
        let moved = self.run("giving it its name", true, ["moveto", "--ignore-existing", &from, &to]);
        // Whatever it said: what is there now is what counts.
        match (moved, look()?) {
            (_, (None, Some(size))) if size == sent => Ok(()),
            (_, (Some(_), Some(_))) => Err(Fault::Taken),
            (Err(fault), _) => Err(fault),
            (Ok(_), (temporary, found)) => {
                let text =
                    format!("rclone said nothing, and there are {found:?} bytes, {temporary:?} beside it");
                Err(Fault::other("giving it its name", text))
            }
        }
    }

    /// Removes the folder of a path and those above it, as far as they are empty; the root stays.
    fn remove_empty_above(&self, path: &str) {
        let mut folder = folder_of(path);
        // It refuses to remove what is not empty, and a folder that stays holds no object.
        while !folder.is_empty()
            && self
                .run("removing an empty folder", true, ["rmdir", "--retries=1", &self.full(folder)])
                .is_ok()
        {
            folder = folder_of(folder);
        }
    }
}

/// A download: as many bytes as the object has, or an error.
struct Body {
    program: Arc<Program>,
    /// None once it has ended.
    child: Option<ChildReader>,
    left: u64,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(child) = &mut self.child else { return Ok(0) };
        let length = child.read(buffer)?;
        pulse::beat();
        if length > 0 || buffer.is_empty() {
            let more = || io::Error::other("rclone gave more than the object had when it was opened");
            self.left = self.left.checked_sub(length as u64).ok_or_else(more)?;
            return Ok(length);
        }
        let output = self.child.take().map(ChildReader::finish).transpose()?;
        match output {
            Some(output) if !output.succeeded() => {
                let fault = self.program.fault("reading it", &output);
                let text = format!("{fault:?}");
                Err(match fault {
                    Fault::Refused(error) | Fault::Other { error, .. } => error,
                    _ => io::Error::other(text),
                })
            }
            Some(_) if self.left > 0 => {
                let text = format!("rclone gave {} bytes less than the object has", self.left);
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
            }
            Some(_) | None => Ok(0),
        }
    }
}

impl Store for RcloneStore {
    fn location(&self) -> String {
        format!("rclone:{}", self.remote)
    }

    fn puts_without_replacing(&self) -> bool {
        false
    }

    fn make_root(&self) -> Result<(), Fault> {
        self.run("creating it", true, ["mkdir", &self.remote]).map(drop)
    }

    fn put(&self, path: &str, body: &mut dyn Read) -> Result<(), Fault> {
        let folder = folder_of(path);
        let separator = if folder.is_empty() { "" } else { "/" };
        let temporary = format!("{folder}{separator}{TEMPORARY}{:016x}", random());
        let stored = self.upload(&temporary, body).and_then(|sent| self.publish(&temporary, path, sent));
        if stored.is_err() {
            // What cannot be removed now is swept later.
            let _best_effort =
                self.run("removing it", true, ["deletefile", "--retries=1", &self.full(&temporary)]);
            self.remove_empty_above(path);
        }
        stored
    }

    fn get(&self, path: &str, from: u64) -> Result<Box<dyn Read + Send>, Fault> {
        let size = self.size(path)?.ok_or(Fault::Missing)?;
        if from >= size {
            return Ok(Box::new(io::empty()));
        }
        let (offset, full) = (format!("--offset={from}"), self.full(path));
        let command = self.program.command(false, ["cat", &offset, &full]);
        let child = ChildReader::start(&command).map_err(started("opening it"))?;
        Ok(Box::new(Body { program: Arc::clone(&self.program), child: Some(child), left: size - from }))
    }

    fn size(&self, path: &str) -> Result<Option<u64>, Fault> {
        let full = self.full(path);
        let own = ["lsjson", "--stat", "--no-modtime", "--no-mimetype", &full];
        let output = match self.run("asking for its size", false, own) {
            Ok(output) => output,
            Err(Fault::Missing) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let item: Option<Item> = serde_json::from_slice(&output.stdout)
            .map_err(|error| Fault::other("asking for its size", error))?;
        // Where folders are no things, what is not there is an empty folder.
        item.filter(|it| !it.is_dir).map(|it| self.size_of(&it)).transpose()
    }

    fn list(&self, folder: &str) -> Result<Vec<Found>, Fault> {
        let prefix = folder.trim_end_matches('/');
        let separator = if prefix.is_empty() { "" } else { "/" };
        let items = self.files(folder, true)?;
        let found = items.into_iter().filter(|it| !it.is_dir).map(|it| {
            let size_bytes = self.size_of(&it)?;
            Ok(Found { path: format!("{prefix}{separator}{}", it.path), size_bytes })
        });
        found.collect()
    }

    fn names(&self, folder: &str) -> Result<(Vec<String>, Vec<String>), Fault> {
        let (mut folders, mut objects) = (BTreeSet::new(), BTreeSet::new());
        for item in self.files(folder, true)? {
            match item.path.split_once('/') {
                Some((name, _)) => folders.insert(name.to_owned()),
                None => objects.insert(item.path),
            };
        }
        Ok((folders.into_iter().collect(), objects.into_iter().collect()))
    }

    fn delete(&self, path: &str) -> Result<(), Fault> {
        self.run("removing it", true, ["deletefile", &self.full(path)])?;
        self.remove_empty_above(path);
        Ok(())
    }

    fn sweep(&self, folder: &str) -> Result<(), Fault> {
        let swept = self.run("removing empty folders", true, ["rmdirs", "--leave-root", &self.full(folder)]);
        match swept {
            Ok(_) | Err(Fault::Missing) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    fn space(&self) -> Result<Option<Space>, Fault> {
        let about = |place: &str| self.run("asking for its room", false, ["about", "--json", place]);
        let asked = match about(&self.remote) {
            // A folder that is not made yet has the room of its place.
            Err(Fault::Missing) => about(&self.remote[..=self.remote.find(':').unwrap_or(0)]),
            asked => asked,
        };
        let output = match asked {
            Ok(output) => output,
            // Not every service shows it; rclone then says so.
            Err(Fault::Other { error, .. }) if error.to_string().contains("doesn't support about") => {
                return Ok(None);
            }
            Err(fault) => return Err(fault),
        };
        let about: About = serde_json::from_slice(&output.stdout)
            .map_err(|error| Fault::other("asking for its room", error))?;
        let space = |(total_bytes, free_bytes)| Space { free_bytes, total_bytes };
        Ok(about.total.zip(about.free).map(space))
    }

    fn clock(&self) -> Result<Option<jiff::Timestamp>, Fault> {
        Ok(None)
    }
}
