//! A collection's snapshot on its way from the server, and the server's copy removed behind it.
//!
//! Never here: a snapshot is called complete that is shorter than the server said, whose SHA-256 is not the server's,
//! or whose archive has no end; or a snapshot stays on the server because reading it failed.

use super::api::{Api, ServerSnapshot, Shape, Shards};
use super::cluster::refused;
use super::http::HttpError;
use super::left::{Left, write_down};
use super::names::Part;
use super::tar_walk::TarWalk;
use crate::format::{Bound, Counts};
use crate::host::{pulse, told_to_end};
use crate::sources::{Complete, Desk, SourceError, SourceStream};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Between two looks whether the run is told to end, while the server works.
const STEP: Duration = Duration::from_millis(100);
/// How long a run that is told to end waits for a snapshot that the server is making, so that it can be removed: less
/// than the run is given to end in order.
const FAREWELL: Duration = Duration::from_secs(20);

/// A snapshot on the server, removed with this value unless it was removed before.
struct ServerCopy {
    api: Api,
    collection: String,
    snapshot: String,
    /// It is ours: no snapshot of this name was there before.
    ours: bool,
}

impl ServerCopy {
    fn remove(&mut self) -> Result<(), HttpError> {
        if !std::mem::take(&mut self.ours) {
            return Ok(());
        }
        self.api.delete_snapshot(&self.collection, &self.snapshot)
    }
}

impl Drop for ServerCopy {
    fn drop(&mut self) {
        // What is wrong with the run is already on its way; the next run knows this one's folder by its trace.
        let _told_elsewhere = self.remove();
    }
}

/// What was counted around the snapshot.
struct Around {
    points: u64,
    shape: Shape,
    shards: Shards,
}

impl Around {
    fn of(api: &Api, collection: &str) -> Result<Self, HttpError> {
        Ok(Self {
            points: api.points(collection)?,
            shape: api.shape(collection)?,
            shards: api.shards(collection)?,
        })
    }
}

/// A snapshot that streams.
pub(super) struct SnapshotStream {
    body: Box<dyn Read + Send>,
    copy: ServerCopy,
    expected: ServerSnapshot,
    counted: (Around, Around),
    part: Part,
    read_bytes: u64,
    sum: Sha256,
    walk: TarWalk,
    ended: bool,
    warnings: Vec<String>,
}

/// Makes a snapshot of a part and begins to read it.
pub(super) fn open(
    desk: &Desk<'_>,
    api: &Api,
    part: &Part,
    name: &str,
) -> Result<SnapshotStream, SourceError> {
    let told = |error: HttpError| refused(api.url(), &error);
    let there = api.collections().map_err(told)?;
    if !there.contains(name) {
        // The server would take an alias for it, and hand out another collection's data under this name.
        return Err(SourceError::Missing { object: format!("{}/collections/{name}", api.url()) });
    }
    let before = Around::of(api, name).map_err(told)?;
    sound(api, name, &before)?;
    let names: Vec<String> = api.snapshots(name).map_err(told)?.into_iter().map(|it| it.name).collect();
    let server = api.url().to_owned();
    let making = Left::Making { server: server.clone(), collection: name.to_owned(), before: names.clone() };
    note(desk, &making)?;
    let expected = made(api, name)?;
    let ours = !names.contains(&expected.name);
    let copy =
        ServerCopy { api: api.clone(), collection: name.to_owned(), snapshot: expected.name.clone(), ours };
    let mut warnings = Vec::new();
    if ours {
        note(desk, &Left::Made { server, collection: name.to_owned(), snapshot: expected.name.clone() })?;
    } else {
        warnings.push(format!(
            "the server gave its snapshot the name of one that was there, `{}`: it was not removed from the server",
            expected.name
        ));
    }
    let after = Around::of(api, name).map_err(told)?;
    sound(api, name, &after)?;
    if before.shards.local != after.shards.local {
        let reason =
            format!("shards of collection `{name}` moved while it was copied; run again when they rest");
        return Err(SourceError::Server { server: format!("qdrant at {}", api.url()), reason });
    }
    let (body, announced) = api.download(name, &expected.name).map_err(told)?;
    if let Some(bytes) = announced
        && bytes != expected.size
    {
        return Err(cut(&copy, &format!("the server announces {bytes} bytes of {}", expected.size)));
    }
    Ok(SnapshotStream {
        body,
        copy,
        expected,
        counted: (before, after),
        part: part.clone(),
        read_bytes: 0,
        sum: Sha256::new(),
        walk: TarWalk::default(),
        ended: false,
        warnings,
    })
}

fn note(desk: &Desk<'_>, left: &Left) -> Result<(), SourceError> {
    write_down(desk.host, desk.scratch, left).map_err(|error| SourceError::Scratch {
        folder: desk.scratch.display().to_string(),
        during: "note what is left on the server".into(),
        error,
    })
}

/// A snapshot of a collection that has lost shards is whole in form alone.
fn sound(api: &Api, name: &str, around: &Around) -> Result<(), SourceError> {
    let inactive = &around.shards.inactive;
    let reason = if around.shape.status == "red" {
        "its status is red: some operations failed and were not recovered".to_owned()
    } else if !inactive.is_empty() {
        let ids: Vec<String> = inactive.iter().map(u64::to_string).collect();
        format!("no copy of shard {} is active", ids.join(", "))
    } else if around.shards.moving {
        "shards are being moved; run again when they rest".to_owned()
    } else {
        return Ok(());
    };
    Err(SourceError::Server {
        server: format!("qdrant at {}", api.url()),
        reason: format!("collection `{name}`: {reason}"),
    })
}

/// Waits for the server to make a snapshot. The server goes on when nobody waits any more, so a run that is told to end
/// stays for a while, to remove what it asked for.
fn made(api: &Api, name: &str) -> Result<ServerSnapshot, SourceError> {
    let _gives_no_sign = pulse::Excuse::begin();
    let (sender, receiver) = mpsc::channel();
    let (worker, collection) = (api.clone(), name.to_owned());
    let _goes_on = std::thread::spawn(move || {
        // Nobody may be waiting any more.
        let _waited_for = sender.send(worker.create_snapshot(&collection));
    });
    let mut told_at: Option<Instant> = None;
    loop {
        let reason = match receiver.recv_timeout(STEP) {
            Ok(outcome) if told_at.is_none() => return outcome.map_err(|error| refused(api.url(), &error)),
            Ok(Ok(snapshot)) => match api.delete_snapshot(name, &snapshot.name) {
                Ok(()) => "the run was told to end".to_owned(),
                Err(error) => format!(
                    "the run was told to end, and snapshot `{}` of collection `{name}` is still on the server: {error}",
                    snapshot.name
                ),
            },
            Ok(Err(error)) => error.to_string(),
            Err(RecvTimeoutError::Disconnected) => "the thread that waits for it has ended".to_owned(),
            Err(RecvTimeoutError::Timeout) => {
                if told_at.is_none() && told_to_end() {
                    told_at = Some(Instant::now());
                }
                if told_at.is_none_or(|at| at.elapsed() < FAREWELL) {
                    continue;
                }
                format!(
                    "the run was told to end, and the server is still making a snapshot of collection `{name}`; it will lie \
                     there until it is deleted by hand"
                )
            }
        };
        return Err(SourceError::Server { server: format!("qdrant at {}", api.url()), reason });
    }
}

fn cut(copy: &ServerCopy, reason: &str) -> SourceError {
    SourceError::Incomplete {
        producer: format!("qdrant at {}, snapshot `{}`", copy.api.url(), copy.snapshot),
        reason: reason.to_owned(),
    }
}

impl Read for SnapshotStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        let bytes = &buffer[..count];
        self.ended = count == 0 && !buffer.is_empty();
        self.read_bytes += count as u64;
        self.sum.update(bytes);
        self.walk.feed(bytes);
        pulse::beat();
        Ok(count)
    }
}

impl SourceStream for SnapshotStream {
    fn finish(self: Box<Self>) -> Result<Complete, SourceError> {
        let Self { mut copy, expected, counted, part, read_bytes, sum, walk, ended, mut warnings, .. } =
            *self;
        if !ended || read_bytes != expected.size {
            return Err(cut(&copy, &format!("{read_bytes} of {} bytes were read", expected.size)));
        }
        let found = crate::format::Digest::from_bytes(sum.finalize().into()).to_string();
        match &expected.checksum {
            Some(checksum) if !checksum.trim().eq_ignore_ascii_case(&found) => {
                let reason = format!("its SHA-256 is {found}, and the server says {checksum}");
                return Err(cut(&copy, &reason));
            }
            Some(_) => {}
            None => warnings.push("the server gave no checksum: size and archive alone were compared".into()),
        }
        walk.end().map_err(|reason| cut(&copy, &reason))?;
        if let Err(error) = copy.remove() {
            warnings.push(format!(
                "snapshot `{}` of collection `{}` is still on the server, and takes its room there: {error}",
                expected.name, copy.collection
            ));
        }
        let (counts, bounds) = counts(&part, &counted, &mut warnings);
        Ok(Complete { counts, bounds, warnings, index: None })
    }
}

/// What was counted before and after. The server gives no count that belongs to the snapshot itself: equal counts are
/// taken for exact, others are bounds.
fn counts(
    part: &Part,
    (before, after): &(Around, Around),
    warnings: &mut Vec<String>,
) -> (Counts, BTreeMap<String, Bound>) {
    let (mut counts, mut bounds) = (Counts::default(), BTreeMap::new());
    let mut put = |key: &str, one: u64, other: u64| {
        if one == other {
            counts.0.insert(key.to_owned(), one);
        } else {
            bounds.insert(key.to_owned(), Bound::between(one, other));
        }
    };
    put("vectors", before.shape.vectors, after.shape.vectors);
    put("payload-indexes", before.shape.payload_indexes, after.shape.payload_indexes);
    if after.shards.local == after.shards.all {
        put("points", before.points, after.points);
    } else {
        let most = before.points.max(after.points);
        bounds.insert("points".to_owned(), Bound { min: 0, max: most });
        warnings.push(format!(
            "`{}` has {} of {} shards; the server counts points of all shards together ({most}), so that the points of \
             this part are known by their bounds alone",
            part.member(),
            after.shards.local.len(),
            after.shards.all.len()
        ));
    }
    (counts, bounds)
}
