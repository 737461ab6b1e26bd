//! A service as a store: puts that are whole or nothing, under a name that was free.

use super::bucket::Bucket;
use super::download::Download;
use super::fault::{fault, is_wordless};
use super::parts::{self, PartList, part_bytes};
use super::pieces::Pieces;
use super::transport::Answers;
use crate::destinations::marker::random;
use crate::destinations::remote::TEMPORARY;
use crate::destinations::remote::rivals::alone;
use crate::destinations::remote::store::{Fault, Found, Store};
use crate::destinations::runtime::wait;
use crate::host::{Space, pulse, told_to_end};
use crate::observed::StorageRules;
use futures::StreamExt;
use jiff::Timestamp;
use opendal::options::WriteOptions;
use opendal::{Capability, Entry, EntryMode, ErrorKind, Operator};
use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of the first requests of an upload in pieces. S3 takes no fewer than 5 MiB.
const PIECE_BYTES: usize = 5 << 20;
/// After so many pieces the next are twice as large: S3 takes 10,000 of them, and objects of 5 TiB.
const PIECES_OF_A_SIZE: usize = 1000;
/// Small objects that are read at a time.
const READS_AT_ONCE: usize = 8;
/// Requests of one upload at a time.
const PIECES_AT_ONCE: usize = 2;

/// A service behind the storage library.
pub(super) struct ServiceStore {
    pub(super) operator: Operator,
    pub(super) location: String,
    answers: Answers,
    can: Capability,
    bucket: Option<Bucket>,
}

impl ServiceStore {
    pub fn new(operator: Operator, location: String, answers: Answers) -> Self {
        let can = operator.info().capability();
        Self { operator, location, answers, can, bucket: None }
    }

    pub fn with_bucket(self, bucket: Option<Bucket>) -> Self {
        Self { bucket, ..self }
    }

    /// Whether folders are things that stay when they are empty.
    pub(super) fn has_folders(&self) -> bool {
        self.can.create_dir && self.can.rename
    }

    pub(super) fn stat(&self, path: &str) -> Result<Option<u64>, Fault> {
        let answer = wait(self.operator.stat(path));
        // An object may have as many parts as take an hour to ask for.
        pulse::beat();
        match answer {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.content_length())),
            Ok(_) => Ok(None),
            Err(error) => match fault("asking for its size")(self.with_words(path, error)) {
                Fault::Missing => Ok(None),
                Fault::Other { .. } if self.is_below_a_file(path) => Ok(None),
                fault => Err(fault),
            },
        }
    }

    /// Answers to HEAD have no body: why one was refused is said to a GET.
    fn with_words(&self, path: &str, error: opendal::Error) -> opendal::Error {
        if !is_wordless(&error) {
            return error;
        }
        wait(self.operator.read_with(path).range(0..1).into_future()).err().unwrap_or(error)
    }

    /// Whether there is any object below a folder: no more is asked for than shows one.
    fn has_object(&self, folder: &str) -> Result<bool, Fault> {
        let look = async {
            let mut lister = self.operator.lister_with(folder).recursive(true).await?;
            while let Some(entry) = lister.next().await {
                pulse::beat();
                if entry?.metadata().mode() != EntryMode::DIR {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        match wait(look).map_err(fault("listing it")) {
            Err(Fault::Missing) => Ok(false),
            found => found,
        }
    }

    /// A whole object; none where it is longer.
    async fn read_up_to(&self, path: &str, bytes_max: u64) -> opendal::Result<Option<Vec<u8>>> {
        let mut stream = self.operator.reader(path).await?.into_stream(..).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?.to_bytes());
            if bytes.len() as u64 > bytes_max {
                return Ok(None);
            }
        }
        Ok(Some(bytes))
    }

    pub(super) fn list_below(&self, folder: &str, recursive: bool) -> Result<Vec<Entry>, Fault> {
        let path = if folder.is_empty() { "/" } else { folder };
        let list = async {
            let mut entries = Vec::new();
            let mut lister = self.operator.lister_with(path).recursive(recursive).await?;
            while let Some(entry) = lister.next().await {
                pulse::beat();
                entries.push(entry?);
            }
            Ok(entries)
        };
        let entries: Vec<Entry> = match wait(list) {
            Ok(entries) => entries,
            Err(error) => match fault("listing it")(error) {
                Fault::Missing if self.has_folders() => return Ok(Vec::new()),
                // Without folders a list of nothing is empty: what is not there is the place.
                Fault::Missing => return Err(Fault::NoPlace(io::Error::other("there is nothing to list"))),
                Fault::Other { .. } if self.is_below_a_file(path) => return Ok(Vec::new()),
                fault => return Err(fault),
            },
        };
        // Some services answer with the folder itself, and object stores with every name that begins alike.
        Ok(entries.into_iter().filter(|it| it.path() != path && it.path().starts_with(folder)).collect())
    }

    /// One object, in one request or in pieces.
    pub(super) fn write(&self, path: &str, body: &mut Pieces) -> Result<Written, Fault> {
        if !self.can.rename || self.can.write_with_if_not_exists {
            return self.settled(path, self.stream(path, body));
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| &path[..=folder.len()]);
        let temporary = format!("{folder}{TEMPORARY}{:016x}", random());
        let published = self.stream(&temporary, body).and_then(|sent| {
            // Some services replace what has the name: rivals of this process do not look at once.
            let _alone = alone(&self.location, &format!("{path} by rename"));
            let there = if parts::of_object(path).is_some() { self.stat(path) } else { self.size(path) };
            match there {
                Ok(None) => {}
                Ok(Some(_)) => return Err(Interrupted { fault: Fault::Taken, sent: None }),
                Err(fault) => return Err(Interrupted { fault, sent: None }),
            }
            let renamed = wait(self.operator.rename(&temporary, path));
            renamed
                .map(|()| sent)
                .map_err(|error| Interrupted { fault: fault("giving it its name")(error), sent: Some(sent) })
        });
        if published.is_err() {
            // What cannot be removed now is swept later.
            let _best_effort = wait(self.operator.delete(&temporary));
        }
        self.settled(path, published)
    }

    /// An answer that was lost on its way may have been a yes: when what is there now has the sums of what was sent, it was.
    fn settled(&self, path: &str, written: Result<Written, Interrupted>) -> Result<Written, Fault> {
        match written {
            Ok(written) => Ok(written),
            Err(Interrupted { fault, sent: Some(sent) }) => match self.sums(path, sent) {
                Ok(Some(found)) if found == sent => Ok(sent),
                Ok(_) | Err(_) => Err(fault),
            },
            Err(Interrupted { fault, sent: None }) => Err(fault),
        }
    }

    /// The sums of what is there, where it is as long as what was sent.
    fn sums(&self, path: &str, sent: Written) -> Result<Option<Written>, Fault> {
        let Some(bytes) = self.stat(path)?.filter(|it| *it == sent.bytes) else { return Ok(None) };
        let mut hasher = crc32fast::Hasher::new();
        let mut body = Download::open(&self.operator, path, 0..bytes)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match body.read(&mut buffer) {
                Ok(0) => return Ok(Some(Written { bytes, crc32: hasher.finalize() })),
                Ok(length) => hasher.update(&buffer[..length]),
                Err(error) => return Err(Fault::Other { during: "reading it", error }),
            }
        }
    }

    /// Writes a body under a path, whole or not at all.
    fn stream(&self, path: &str, body: &mut Pieces) -> Result<Written, Interrupted> {
        let failed = |fault: Fault| Interrupted { fault, sent: None };
        let mut hasher = crc32fast::Hasher::new();
        let mut bytes = 0;
        // The first piece is read before anything is asked for: a body that is none leaves no trace.
        let mut piece = body.next(piece_bytes(0)).map_err(|it| failed(Fault::Body(it)))?;
        let options = WriteOptions {
            if_not_exists: self.can.write_with_if_not_exists,
            concurrent: if self.can.write_can_multi { PIECES_AT_ONCE } else { 0 },
            ..WriteOptions::default()
        };
        let writer = wait(self.operator.writer_options(path, options));
        let mut writer = writer.map_err(|it| failed(fault("beginning an upload")(it)))?;
        let mut pieces = 0;
        let outcome = loop {
            hasher.update(&piece);
            bytes += piece.len() as u64;
            pieces += 1;
            pulse::beat();
            if let Err(error) = wait(writer.write(piece)) {
                break Err(failed(fault("storing it")(error)));
            }
            piece = match body.next(piece_bytes(pieces)) {
                Ok(piece) => piece,
                Err(error) => break Err(failed(Fault::Body(error))),
            };
            if piece.is_empty() {
                break Ok(());
            }
        };
        let sent = Written { bytes, crc32: hasher.finalize() };
        let outcome = outcome.and_then(|()| match wait(writer.close()) {
            Ok(_) => Ok(sent),
            Err(error) => Err(Interrupted { fault: fault("committing it")(error), sent: Some(sent) }),
        });
        if outcome.is_err() {
            // Pieces that stay behind are swept later, where the service shows them.
            let _best_effort = wait(writer.abort());
        }
        outcome
    }

    /// Where there are no parts this tells an object that is missing from a place that is: answers to HEAD have no words.
    fn part_list(&self, path: &str) -> Result<Option<PartList>, Fault> {
        let bytes = match wait(self.operator.read(&parts::list(path))) {
            Ok(bytes) => bytes.to_vec(),
            Err(error) => match fault("reading the list of its parts")(error) {
                Fault::Missing => return Ok(None),
                fault => return Err(fault),
            },
        };
        let during = "reading the list of its parts";
        PartList::parse(&bytes).map(Some).map_err(|why| Fault::other(during, why))
    }
}

/// What was written, or is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    bytes: u64,
    /// Tells our own object from a rival's; it proves nothing, the read-back does.
    crc32: u32,
}

/// A write that did not come to its end; with what was sent, where only the last answer is missing.
struct Interrupted {
    fault: Fault,
    sent: Option<Written>,
}

/// How large the next piece is, by how many came before it.
fn piece_bytes(before: usize) -> usize {
    PIECE_BYTES << (before / PIECES_OF_A_SIZE).min(9)
}

impl Store for ServiceStore {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn puts_without_replacing(&self) -> bool {
        self.can.write_with_if_not_exists
    }

    fn make_root(&self) -> Result<(), Fault> {
        if !self.has_folders() {
            return Ok(());
        }
        wait(self.operator.create_dir("/")).map_err(fault("creating it"))
    }

    fn put(&self, path: &str, body: &mut dyn Read) -> Result<(), Fault> {
        let mut body = Pieces::of(body);
        if self.can.write_can_multi {
            return self.write(path, &mut body).map(|_| ());
        }
        // Whether there is more than one part is all that must be known now: one at a time is held.
        let first = body.next(part_bytes(0)).map_err(Fault::Body)?;
        if body.ended().map_err(Fault::Body)? {
            return self.write(path, &mut Pieces::only(first)).map(|_| ());
        }
        self.put_parts(path, first, &mut body)
    }

    fn get(&self, path: &str, from: u64) -> Result<Box<dyn Read + Send>, Fault> {
        if let Some(bytes) = self.stat(path)? {
            return Ok(Box::new(Download::open(&self.operator, path, from..bytes)?));
        }
        let Some(list) = self.part_list(path)? else { return Err(Fault::Missing) };
        self.get_parts(path, &list, from)
    }

    fn get_together(&self, paths: &[&str], bytes_max: u64) -> Vec<(String, Vec<u8>)> {
        // The first one that fails is asked for by itself soon, and says why: the others need not wait for as long.
        let failing = AtomicBool::new(false);
        let failing = &failing;
        let read = |path: String| async move {
            if failing.load(Ordering::Relaxed) || told_to_end() {
                return None;
            }
            match self.read_up_to(&path, bytes_max).await {
                Ok(bytes) => {
                    pulse::beat();
                    Some((path, bytes?))
                }
                Err(error) => {
                    failing.fetch_or(error.kind() != ErrorKind::NotFound, Ordering::Relaxed);
                    None
                }
            }
        };
        let reads = futures::stream::iter(paths.iter().map(|path| (*path).to_owned())).map(read);
        wait(reads.buffer_unordered(READS_AT_ONCE).filter_map(std::future::ready).collect())
    }

    fn size(&self, path: &str) -> Result<Option<u64>, Fault> {
        match self.stat(path)? {
            Some(bytes) => Ok(Some(bytes)),
            None => Ok(self.part_list(path)?.map(|list| list.bytes)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<Found>, Fault> {
        let entries = self.list_below(folder, true)?;
        let files = entries.into_iter().filter(|it| it.metadata().mode() == EntryMode::FILE);
        let found =
            files.map(|it| Found { path: it.path().to_owned(), size_bytes: it.metadata().content_length() });
        Ok(parts::joined(found.collect()))
    }

    fn names(&self, folder: &str) -> Result<(Vec<String>, Vec<String>), Fault> {
        let (mut folders, mut objects) = (Vec::new(), BTreeSet::new());
        for entry in self.list_below(folder, false)? {
            let name = entry.path()[folder.len()..].trim_end_matches('/').to_owned();
            match entry.metadata().mode() {
                EntryMode::DIR if self.has_folders() && !self.has_object(entry.path())? => {}
                EntryMode::DIR => folders.push(name),
                EntryMode::FILE | EntryMode::Unknown => {
                    objects.insert(parts::of_object(&name).map_or(name.clone(), ToOwned::to_owned));
                }
            }
        }
        Ok((folders, objects.into_iter().collect()))
    }

    fn delete(&self, path: &str) -> Result<(), Fault> {
        let removed = |path: &str| {
            pulse::beat();
            wait(self.operator.delete(path)).map_err(fault("removing it"))
        };
        if self.stat(path)?.is_some() {
            return removed(path);
        }
        let Some(list) = self.part_list(path)? else { return Err(Fault::Missing) };
        // Without its list it is no object any more; what is left then is swept.
        removed(&parts::list(path))?;
        (1..=list.parts).try_for_each(|number| removed(&parts::part(path, number)))
    }

    fn sweep(&self, folder: &str) -> Result<(), Fault> {
        let entries = self.list_below(folder, true)?;
        let paths: BTreeSet<&str> = entries.iter().map(Entry::path).collect();
        for path in &paths {
            let orphan =
                parts::of_object(path).is_some_and(|object| !paths.contains(parts::list(object).as_str()));
            if orphan {
                wait(self.operator.delete(path)).map_err(fault("removing a part that belongs to nothing"))?;
            }
        }
        if self.has_folders() {
            self.sweep_folders(folder)?;
        }
        self.bucket.as_ref().map_or(Ok(()), |bucket| bucket.abort_uploads(folder))
    }

    fn rules(&self) -> Result<StorageRules, Fault> {
        match &self.bucket {
            Some(bucket) => bucket.rules(),
            None => Ok(StorageRules::not_shown("this protocol has no question for it")),
        }
    }

    fn has_tiers(&self) -> bool {
        !self.has_folders()
    }

    fn space(&self) -> Result<Option<Space>, Fault> {
        Ok(None)
    }

    fn clock(&self) -> Result<Option<Timestamp>, Fault> {
        self.answers.forget();
        // Any answer has the server's time, a refusal too.
        let _answer = wait(self.operator.stat(super::super::marker::MARKER));
        Ok(self.answers.clock())
    }
}
