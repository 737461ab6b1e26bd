//! `rsync` over ssh, for accounts that permit nothing else.
//!
//! rsync moves files, so an object is one here first: what is stored and what is given back lies whole in the temporary
//! folder (`TMPDIR`) meanwhile. The remote rsync writes under a temporary name and renames; it leaves alone what exists, but
//! cannot refuse a name that is taken in the same instant: only rivals of this process are kept apart. Never
//! `--inplace` or `--append`; `--delete` only from an empty folder, with everything that is not named protected and the
//! number of deletions bounded.

use super::client::{Client, Setback};
use super::ended::Ended;
use super::listing::{Entry, Kind};
use super::turn::Turn;
use crate::declared::RemoteDeclaration;
use crate::destinations::marker::MARKER;
use crate::destinations::remote::store::{Fault, Found, Store};
use crate::host::{ChildReader, Command, Space, pulse};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// How long rsync may take to end after its last line.
const LAST_WORDS: Duration = Duration::from_mins(5);
/// Filter rules in one command.
const RULES_MAX: usize = 500;
/// A folder of another host.
pub(super) struct RsyncStore {
    client: Client,
    root: String,
    limit_kib: Option<u64>,
    /// The other side's rsync is older than 3.2.4 and cannot bring files to the medium.
    no_fsync: AtomicBool,
}

fn here(error: io::Error) -> Fault {
    Fault::Other { during: "keeping it in the temporary folder", error }
}

fn scratch() -> Result<TempDir, Fault> {
    tempfile::Builder::new().prefix("bkp-rsync-").tempdir().map_err(here)
}

impl RsyncStore {
    /// Errors are texts for people.
    pub fn new(client: Client, remote: &RemoteDeclaration) -> Result<Self, String> {
        let root = remote.setting("path").trim_end_matches('/');
        let safe = |it: char| it.is_ascii_alphanumeric() || "._%+@=,:/~-".contains(it);
        if !root.chars().all(safe) || root.starts_with('-') {
            // The other side's shell, and an rsync of before 3.2.4 on this, would read them as something else.
            return Err(format!("path: `{root}` has characters that rsync does not carry safely; use sftp"));
        }
        let limit_kib = remote.transport.limit_rate.map(|it| (it.bytes() / 1024).max(1));
        Ok(Self { client, root: format!("{root}/"), limit_kib, no_fsync: AtomicBool::new(false) })
    }

    fn at(&self, path: &str) -> String {
        format!("{}:{}{path}", self.client.rsync_host(), self.root)
    }

    /// Runs rsync to its end.
    fn run(&self, during: &'static str, words: &[&str], folder: Option<&Path>) -> Result<Ended, Setback> {
        let seconds = self.client.timeout().as_secs();
        let mut argv = vec!["rsync".to_owned(), "-e".to_owned(), self.client.shell()];
        argv.extend([format!("--timeout={seconds}"), "--no-human-readable".to_owned(), "-8".to_owned()]);
        argv.extend(self.limit_kib.map(|it| format!("--bwlimit={it}")));
        argv.extend(words.iter().map(|it| (*it).to_owned()));
        let mut command = Command { time_limit: LAST_WORDS, ..Command::change(argv) };
        command.env.insert("LC_ALL".to_owned(), "C".into());
        command.directory = folder.map(Path::to_path_buf);
        // It gives no sign of life of its own, and has a time-out of its own.
        let _excuse = pulse::Excuse::begin();
        let started = |error: io::Error| {
            let error = io::Error::new(error.kind(), format!("rsync could not be started: {error}"));
            Setback::Lasting(Fault::Other { during, error })
        };
        let mut child = BufReader::new(ChildReader::start(&command).map_err(started)?);
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let read = child.read_until(b'\n', &mut line);
            if read.map_err(|error| Setback::Lasting(Fault::Other { during, error }))? == 0 {
                break;
            }
            line.pop_if(|last| *last == b'\n');
            lines.push(line);
        }
        let output = child.into_inner().finish();
        let output = output.map_err(|error| Setback::Lasting(Fault::Other { during, error }))?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(Ended { output, stderr, lines })
    }

    /// What lies below a folder, or what a path is; none where there is nothing.
    fn listed(&self, path: &str, recursive: bool) -> Result<Option<Vec<Entry>>, Fault> {
        const DURING: &str = "listing it";
        let place = self.at(path);
        self.client.persist(|_| {
            let mut words = vec!["--list-only", "--", &place];
            if recursive {
                words.insert(0, "-r");
            }
            let ended = self.run(DURING, &words, None)?;
            // What vanishes meanwhile is not there.
            if ended.output.succeeded() || ended.is_missing() && !ended.lines.is_empty() {
                return Ok(Some(ended.lines.iter().filter_map(|line| Entry::parse(line)).collect()));
            }
            if ended.is_missing() { Ok(None) } else { Err(ended.setback(DURING)) }
        })
    }

    /// All entries below a folder (`""`, or with a `/` at its end), by their paths below the root.
    fn tree(&self, folder: &str) -> Result<Vec<Entry>, Fault> {
        let mut entries = self.listed(folder, true)?.unwrap_or_default();
        entries.retain(|it| it.name != "." && it.kind != Kind::Other);
        for entry in &mut entries {
            entry.name = format!("{folder}{}", entry.name);
        }
        Ok(entries)
    }

    /// Sends a staged file; whether it went.
    pub(super) fn send(&self, stage: &Path, path: &str, tried: u32) -> Result<bool, Setback> {
        const DURING: &str = "storing it";
        let (from, to) = (format!("./{path}"), self.at(""));
        let mut words = vec!["--relative", "--whole-file", "--out-format=%i|%n"];
        if !self.no_fsync.load(Ordering::SeqCst) {
            words.push("--fsync");
        }
        let went = |ended: &Ended| {
            ended
                .lines
                .iter()
                .any(|line| line.starts_with(b"<f") && line.ends_with(format!("|{path}").as_bytes()))
        };
        let ended =
            self.run(DURING, &[&words[..], &["--ignore-existing", "--", &from, &to]].concat(), Some(stage))?;
        if !ended.output.succeeded() {
            if ended.says(&["--fsync: unknown option"]) {
                self.no_fsync.store(true, Ordering::SeqCst);
                return self.send(stage, path, tried);
            }
            if tried == 0 && ended.is_mute() {
                // Why is heard at once more often than not, a full disk above all; it may also have come to its end.
                return self.send(stage, path, 1);
            }
            return Err(ended.setback(DURING));
        }
        if went(&ended) || tried == 0 {
            return Ok(went(&ended));
        }
        // The answer to the try before was lost, and may have been a yes: then nothing differs.
        let words = ["--relative", "--out-format=%i|%n", "--checksum", "--dry-run", "--", &from, &to];
        let ended = self.run(DURING, &words, Some(stage))?;
        if ended.output.succeeded() { Ok(!went(&ended)) } else { Err(ended.setback(DURING)) }
    }

    /// Removes files and empty folders by their paths, folders with a `/` at the end, and says which went. Folders above
    /// them go too where they are empty then.
    fn remove(&self, paths: &BTreeSet<String>) -> Result<BTreeSet<String>, Fault> {
        const DURING: &str = "removing it";
        let empty = scratch()?;
        let (from, to) = (format!("{}/", empty.path().display()), self.at(""));
        let mut rules = BTreeSet::new();
        for path in paths {
            // rsync reads a pattern that has one of these as a glob, and any other as the name itself.
            if path.contains(['*', '?', '[', '\\', '\n']) {
                return Err(Fault::other(DURING, format!("`{path}` is no name of bkp's making")));
            }
            rules.extend(path.match_indices('/').map(|(end, _)| format!("--include=/{}", &path[..=end])));
            rules.insert(format!("--include=/{path}"));
        }
        let most = format!("--max-delete={}", rules.len());
        let mut words = vec!["-r", "--delete", &most, "--out-format=%i|%n"];
        words.extend(rules.iter().map(String::as_str));
        words.extend(["--exclude=*", "--", &from, &to]);
        let gone = std::cell::RefCell::new(BTreeSet::new());
        self.client.persist(|_| {
            let ended = self.run(DURING, &words, None)?;
            let deleted = ended.lines.iter().filter_map(|line| {
                let line = std::str::from_utf8(line).ok()?;
                line.strip_prefix("*deleting")?.split_once('|').map(|(_, name)| name.to_owned())
            });
            gone.borrow_mut().extend(deleted);
            if ended.output.succeeded() { Ok(()) } else { Err(ended.setback(DURING)) }
        })?;
        Ok(gone.into_inner())
    }
}

/// Writes a body to a file of this host, below a folder. The error is the body's or this host's.
pub(super) fn stage(folder: &Path, path: &str, body: &mut dyn Read) -> Result<(), Fault> {
    let place = folder.join(path);
    let above = place.parent().unwrap_or(folder);
    DirBuilder::new().recursive(true).mode(0o700).create(above).map_err(here)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place).map_err(here)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => file.write_all(&buffer[..length]).map_err(here)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Fault::Body(error)),
        }
        pulse::beat();
    }
}

/// What a file holds; none where it cannot be read or is longer, whatever its size was said to be.
fn up_to(file: File, bytes_max: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).ok()?;
    Some(bytes).filter(|it| it.len() as u64 <= bytes_max)
}

/// A file that lies here, gone with this value.
struct Fetched {
    file: File,
    _folder: TempDir,
}

impl Read for Fetched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

/// Whether a name is what an rsync that was killed leaves of a file: `.NAME.XXXXXX` (receiver.c, `get_tmpname`).
fn is_leftover(name: &str) -> bool {
    let of = name.strip_prefix('.').and_then(|it| it.rsplit_once('.'));
    of.is_some_and(|(of, end)| {
        !of.is_empty() && end.len() == 6 && end.bytes().all(|it| it.is_ascii_alphanumeric())
    })
}

fn last_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Store for RsyncStore {
    fn location(&self) -> String {
        let root = self.root.trim_end_matches('/');
        let slash = if root.starts_with('/') { "" } else { "/~/" };
        format!("rsync+ssh://{}{slash}{root}", self.client.place())
    }

    fn puts_without_replacing(&self) -> bool {
        false
    }

    fn make_root(&self) -> Result<(), Fault> {
        const DURING: &str = "creating it";
        let empty = scratch()?;
        let (from, to) = (format!("{}/", empty.path().display()), self.at(""));
        self.client.persist(|_| {
            let ended = self.run(DURING, &["-r", "--mkpath", "--", &from, &to], None)?;
            if ended.output.succeeded() { Ok(()) } else { Err(ended.setback(DURING)) }
        })
    }

    fn put(&self, path: &str, body: &mut dyn Read) -> Result<(), Fault> {
        let folder = scratch()?;
        stage(folder.path(), path, body)?;
        let _turn = Turn::take(&self.location(), path);
        let went = self.client.persist(|tried| self.send(folder.path(), path, tried));
        match went {
            Ok(true) => Ok(()),
            Ok(false) => Err(Fault::Taken),
            Err(fault) => {
                if let (Fault::Full(_), Some((above, _))) = (&fault, path.rsplit_once('/')) {
                    // Folders that were made for it; what cannot be removed now is swept later.
                    let _best_effort = self.remove(&BTreeSet::from([format!("{above}/")]));
                }
                Err(fault)
            }
        }
    }

    fn get(&self, path: &str, from: u64) -> Result<Box<dyn Read + Send>, Fault> {
        const DURING: &str = "fetching it";
        let folder = scratch()?;
        let here_path: PathBuf = folder.path().join("object");
        let (place, to) = (self.at(path), here_path.display().to_string());
        self.client.persist(|_| {
            let ended = self.run(DURING, &["--whole-file", "--", &place, &to], None)?;
            match ended.output.succeeded() {
                true => Ok(()),
                false if ended.is_missing() => Err(Setback::Lasting(Fault::Missing)),
                false => Err(ended.setback(DURING)),
            }
        })?;
        #[expect(clippy::disallowed_methods, reason = "an object's bytes, which may be many")]
        let opened = File::open(&here_path);
        let mut file = match opened {
            Ok(file) => file,
            // A folder has that name, which rsync leaves out.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Fault::Missing),
            Err(error) => return Err(here(error)),
        };
        file.seek(SeekFrom::Start(from)).map_err(here)?;
        Ok(Box::new(Fetched { file, _folder: folder }))
    }

    fn get_together(&self, paths: &[&str], bytes_max: u64) -> Vec<(String, Vec<u8>)> {
        let Ok(folder) = scratch() else { return Vec::new() };
        let (names, objects) = (folder.path().join("names"), folder.path().join("objects"));
        let list: Vec<u8> = paths.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
        if stage(folder.path(), "names", &mut list.as_slice()).is_err() {
            return Vec::new();
        }
        let (names, most) = (format!("--files-from={}", names.display()), format!("--max-size={bytes_max}"));
        let (from, to) = (self.at(""), format!("{}/", objects.display()));
        let words = ["--from0", &names, &most, "--whole-file", "--", &from, &to];
        // Whatever kept some of them from coming is heard where each is asked for.
        let _came = self.run("fetching them", &words, None);
        let read = |path: &&str| {
            #[expect(clippy::disallowed_methods, reason = "an object's bytes, and not a system's file")]
            let file = File::open(objects.join(path)).ok()?;
            Some(((*path).to_owned(), up_to(file, bytes_max)?))
        };
        paths.iter().filter_map(read).collect()
    }

    fn size(&self, path: &str) -> Result<Option<u64>, Fault> {
        let entries = self.listed(path, false)?.unwrap_or_default();
        Ok(entries.iter().find(|it| it.kind == Kind::File).map(|it| it.size_bytes))
    }

    fn list(&self, folder: &str) -> Result<Vec<Found>, Fault> {
        let files = self.tree(folder)?.into_iter().filter(|it| it.kind == Kind::File);
        Ok(files.map(|it| Found { path: it.name, size_bytes: it.size_bytes }).collect())
    }

    fn names(&self, folder: &str) -> Result<(Vec<String>, Vec<String>), Fault> {
        let (mut folders, mut objects) = (BTreeSet::new(), BTreeSet::new());
        for Found { path, .. } in self.list(folder)? {
            match path[folder.len()..].split_once('/') {
                Some((name, _)) => folders.insert(name.to_owned()),
                // A marker that was on its way to its name.
                None if is_leftover(&path) && path.starts_with(&format!(".{MARKER}.")) => false,
                None => objects.insert(path[folder.len()..].to_owned()),
            };
        }
        Ok((folders.into_iter().collect(), objects.into_iter().collect()))
    }

    fn delete(&self, path: &str) -> Result<(), Fault> {
        let gone = self.remove(&BTreeSet::from([path.to_owned()]))?;
        if gone.contains(path) { Ok(()) } else { Err(Fault::Missing) }
    }

    fn sweep(&self, folder: &str) -> Result<(), Fault> {
        let entries = self.tree(folder)?;
        let leftover = |it: &Entry| it.kind == Kind::File && is_leftover(last_name(&it.name));
        let files: Vec<&str> = entries
            .iter()
            .filter(|it| it.kind == Kind::File && !leftover(it))
            .map(|it| it.name.as_str())
            .collect();
        let mut doomed: Vec<String> =
            entries.iter().filter(|it| leftover(it)).map(|it| it.name.clone()).collect();
        for entry in entries.iter().filter(|it| it.kind == Kind::Folder) {
            let below = format!("{}/", entry.name);
            let foreign = entry.name.split('/').any(|part| part.starts_with('.'));
            if !foreign && !files.iter().any(|file| file.starts_with(&below)) {
                doomed.push(below);
            }
        }
        for some in doomed.chunks(RULES_MAX) {
            self.remove(&some.iter().cloned().collect())?;
        }
        Ok(())
    }

    fn space(&self) -> Result<Option<Space>, Fault> {
        Ok(None)
    }

    fn clock(&self) -> Result<Option<jiff::Timestamp>, Fault> {
        Ok(None)
    }
}
