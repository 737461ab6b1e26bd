//! `sftp`: objects as files of another host.
//!
//! An upload has a temporary name in its folder, is brought to the medium where the server can (`fsync@openssh.com`), and gets
//! its name by a hard link, which fails where the name is taken. The folder itself cannot be brought to the medium by
//! this protocol. Where a server or its file system makes no hard links, a rename has to do; where that one replaces
//! (`posix-rename@openssh.com`), only rivals of this process are kept apart, and the destination says so.

use super::body::Body;
use super::client::Client;
use super::session::{Answer, AnswerKind, Failure, Named, Session};
use super::shared::Shared;
use super::tree::{FOLDERS_AT_ONCE, Tree};
use super::turn::Turn;
use super::upload::{PIECE_BYTES, Sent, Stop, piece, send};
use crate::destinations::marker::random;
use crate::destinations::remote::TEMPORARY;
use crate::destinations::remote::store::{Fault, Found, Store};
use crate::destinations::runtime::wait;
use crate::host::Space;
use bytes::Bytes;
use futures::future::try_join_all;
use openssh_sftp_client::file::File;
use std::cell::Cell;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often a folder that another process removes meanwhile is made again.
const ATTEMPTS_MAX: u32 = 8;

/// A folder of another host.
pub(super) struct SftpStore {
    shared: Arc<Shared>,
    root: String,
    /// The file system makes no hard links, although the server would.
    linkless: AtomicBool,
}

impl SftpStore {
    pub fn new(client: Client, root: &str) -> Self {
        let trimmed = root.trim_end_matches('/');
        let root = if trimmed.is_empty() && root.starts_with('/') { "/" } else { trimmed };
        Self {
            shared: Arc::new(Shared::new(client)),
            root: root.to_owned(),
            linkless: AtomicBool::new(false),
        }
    }

    /// The server's path of what is under a path below the root.
    pub(super) fn at(&self, path: &str) -> String {
        let path = path.trim_end_matches('/');
        match (self.root.as_str(), path) {
            ("", "") => ".".to_owned(),
            ("", path) => path.to_owned(),
            (root, "") => root.to_owned(),
            (root, path) => format!("{}/{path}", root.trim_end_matches('/')),
        }
    }

    /// As [`Shared::ask`], the server's refusal as the fault that it is.
    fn ask<T>(
        &self,
        during: &'static str,
        work: &impl AsyncFn(&Session) -> Result<T, Failure>,
    ) -> Result<T, Fault> {
        let answered = self.shared.ask(during, work)?;
        answered.map(|(_, value)| value).map_err(|answer| answer.fault(during))
    }

    /// Makes the folders of a path below the root.
    fn make_folders(&self, folder: &str) -> Result<(), Fault> {
        self.ask("making its folder", &async |session| {
            for (end, _) in folder.match_indices('/') {
                match session.make_folder(&self.at(&folder[..end])).await {
                    // One that exists is refused, and one that cannot be made shows when it is used.
                    Ok(()) | Err(Failure::Answer(_)) => {}
                    Err(broken) => return Err(broken),
                }
            }
            Ok(())
        })
    }

    /// A new file under a temporary name in a folder, which is made where it is missing.
    fn begin(&self, folder: &str) -> Result<(Arc<Session>, File, String), Fault> {
        const DURING: &str = "creating a file for it";
        let mut attempt = 0;
        loop {
            attempt += 1;
            let temporary = format!("{folder}{TEMPORARY}{:016x}", random());
            let path = self.at(&temporary);
            match self.shared.ask(DURING, &async |session| session.create(&path).await)? {
                Ok((session, file)) => return Ok((session, file, temporary)),
                Err(answer) if answer.is(AnswerKind::NoSuchFile) && attempt < ATTEMPTS_MAX => {
                    self.make_folders(folder)?;
                }
                Err(answer) if answer.is(AnswerKind::NoSuchFile) => {
                    return Err(Fault::NoPlace(io::Error::other(format!(
                        "the server says: {}",
                        answer.text
                    ))));
                }
                Err(answer) => {
                    let session = self.shared.session()?;
                    return Err(self.refused(&session, answer, DURING));
                }
            }
        }
    }

    /// What a refusal to write means: the protocol has no word for a full disk, so the room is asked for.
    fn refused(&self, session: &Session, answer: Answer, during: &'static str) -> Fault {
        if answer.is(AnswerKind::Failure)
            && let Ok(Some(room)) = wait(session.room(&self.at("")))
        {
            let free = room.bavail.saturating_mul(room.frsize);
            let none_left = room.files > 0 && room.favail == 0;
            if free < PIECE_BYTES as u64 + room.frsize || none_left {
                let text = format!("the server says: {}; {free} bytes are free", answer.text);
                return Fault::Full(io::Error::new(io::ErrorKind::StorageFull, text));
            }
        }
        answer.fault(during)
    }

    fn upload(
        &self,
        session: &Arc<Session>,
        file: File,
        begun: Bytes,
        body: &mut dyn Read,
    ) -> Result<Sent, Fault> {
        let failed = |failure: Failure, during| match failure {
            Failure::Answer(answer) => self.refused(session, answer, during),
            Failure::Broken(seen) => self.shared.lost(session, during, &seen),
        };
        let sent = send(session, &file, begun, body).map_err(|stop| match stop {
            Stop::Body(error) => Fault::Body(error),
            Stop::Failure(failure) => failed(failure, "storing it"),
        })?;
        wait(session.settle(file)).map_err(|it| failed(it, "bringing it to the medium"))?;
        Ok(sent)
    }

    /// Gives an upload its name. An answer that was lost on its way may have been a yes.
    fn publish(&self, temporary: &str, path: &str, sent: Sent) -> Result<(), Fault> {
        const DURING: &str = "giving it its name";
        let (from, to) = (self.at(temporary), self.at(path));
        let unanswered = Cell::new(false);
        let named = self.shared.ask(DURING, &async |session| {
            if unanswered.replace(true) && session.stat(&to).await.is_ok() {
                // Whose it is is asked below.
                return Ok(false);
            }
            if session.links() && !self.linkless.load(Ordering::SeqCst) {
                session.link(&from, &to).await?;
                // What cannot be removed now is swept later.
                let _best_effort = session.remove(&from).await;
            } else {
                self.rename(session, &from, &to).await?;
            }
            Ok(true)
        })?;
        match named {
            Ok((_, true)) => Ok(()),
            Ok((session, false)) => {
                if self.sums(path)? != Some(sent) {
                    return Err(Fault::Taken);
                }
                let _best_effort = wait(session.remove(&from));
                Ok(())
            }
            Err(answer) => {
                if self.size(path)?.is_some() {
                    return Err(Fault::Taken);
                }
                let session = self.shared.session()?;
                let fault = self.refused(&session, answer, DURING);
                let first = !self.linkless.swap(session.links(), Ordering::SeqCst);
                // A file system without hard links refuses them with any of the protocol's words.
                let again = first && session.links() && !matches!(fault, Fault::Full(_) | Fault::Missing);
                if again { self.publish(temporary, path, sent) } else { Err(fault) }
            }
        }
    }

    /// A rename onto a name that is free.
    async fn rename(&self, session: &Session, from: &str, to: &str) -> Result<(), Failure> {
        match session.stat(to).await {
            Err(Failure::Answer(answer)) if answer.is(AnswerKind::NoSuchFile) => {
                session.rename(from, to).await
            }
            Ok(_) => {
                let text = "the name is taken".to_owned();
                Err(Failure::Answer(Answer { kind: AnswerKind::Failure, text }))
            }
            Err(failure) => Err(failure),
        }
    }

    fn sums(&self, path: &str) -> Result<Option<Sent>, Fault> {
        let mut body = match self.get(path, 0) {
            Ok(body) => body,
            Err(Fault::Missing) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let mut hasher = crc32fast::Hasher::new();
        let mut buffer = vec![0; PIECE_BYTES];
        let mut bytes = 0;
        loop {
            match body.read(&mut buffer) {
                Ok(0) => return Ok(Some(Sent { bytes, crc32: hasher.finalize() })),
                Ok(length) => {
                    bytes += length as u64;
                    hasher.update(&buffer[..length]);
                }
                Err(error) => return Err(Fault::Other { during: "reading it", error }),
            }
        }
    }

    /// Removes the folders of a path, from the innermost outwards, as far as they are empty.
    async fn remove_empty(&self, session: &Session, folder: &str) -> Result<(), Failure> {
        for (end, _) in folder.rmatch_indices('/') {
            match session.remove_folder(&self.at(&folder[..end])).await {
                Ok(()) => {}
                // It is not empty.
                Err(Failure::Answer(_)) => return Ok(()),
                Err(broken) => return Err(broken),
            }
        }
        Ok(())
    }
}

/// The folder of a path, with a `/` at its end where it is not the root.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| &path[..=folder.len()])
}

impl Store for SftpStore {
    fn location(&self) -> String {
        let slash = if self.root.starts_with('/') { "" } else { "/~/" };
        format!("sftp://{}{slash}{}", self.shared.client.place(), self.root)
    }

    fn puts_without_replacing(&self) -> bool {
        // Nobody can say of a server that does not answer.
        !self.linkless.load(Ordering::SeqCst)
            && self.shared.session().is_ok_and(|session| session.refuses_taken_names())
    }

    fn make_root(&self) -> Result<(), Fault> {
        const DURING: &str = "creating it";
        let root = self.at("");
        let refused = self.shared.ask(DURING, &async |session| {
            let inner = root.match_indices('/').map(|(end, _)| &root[..end]).filter(|it| !it.is_empty());
            let mut refused = None;
            for path in inner.chain([root.as_str()]) {
                match session.make_folder(path).await {
                    Ok(()) => refused = None,
                    Err(Failure::Answer(answer)) => refused = Some(answer),
                    Err(broken) => return Err(broken),
                }
            }
            match session.stat(&root).await {
                Ok(it) if it.file_type().is_none_or(|it| it.is_dir()) => Ok(None),
                Ok(_) | Err(Failure::Answer(_)) => Ok(refused),
                Err(broken) => Err(broken),
            }
        })?;
        match refused {
            Ok((_, None)) => Ok(()),
            Ok((_, Some(answer))) | Err(answer) => Err(match answer.fault(DURING) {
                Fault::Missing => Fault::NoPlace(io::Error::other("a folder above it is not there")),
                fault => fault,
            }),
        }
    }

    fn put(&self, path: &str, body: &mut dyn Read) -> Result<(), Fault> {
        let folder = folder_of(path);
        // A body that is none leaves no trace.
        let begun = piece(body).map_err(Fault::Body)?;
        let (session, file, temporary) = self.begin(folder)?;
        let stored = self.upload(&session, file, begun, body).and_then(|sent| {
            // Needed where a rename replaces; elsewhere it costs nothing.
            let _turn = Turn::take(&self.location(), path);
            self.publish(&temporary, path, sent)
        });
        if stored.is_err() {
            // What cannot be removed now is swept later.
            if let Some(session) = self.shared.held() {
                let _best_effort = wait(async {
                    session.remove(&self.at(&temporary)).await?;
                    self.remove_empty(&session, folder).await
                });
            }
        }
        stored
    }

    fn get(&self, path: &str, from: u64) -> Result<Box<dyn Read + Send>, Fault> {
        Ok(Box::new(Body::open(Arc::clone(&self.shared), self.at(path), from)?))
    }

    fn size(&self, path: &str) -> Result<Option<u64>, Fault> {
        match self.ask("asking for its size", &async |session| session.stat(&self.at(path)).await) {
            Ok(it) if it.file_type().is_some_and(|it| !it.is_file()) => Ok(None),
            Ok(it) => Ok(Some(it.len().unwrap_or(0))),
            Err(Fault::Missing) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<Found>, Fault> {
        self.ask("listing it", &async |session| self.tree(session, folder).await).map(|tree| tree.files)
    }

    fn names(&self, folder: &str) -> Result<(Vec<String>, Vec<String>), Fault> {
        self.ask("listing it", &async |session| {
            let (mut folders, mut objects) = (Vec::new(), Vec::new());
            for Named { name, metadata } in self.entries(session, folder).await? {
                match metadata.file_type() {
                    Some(it) if it.is_dir() => folders.push(name),
                    Some(_) | None => objects.push(name),
                }
            }
            let mut held = Vec::new();
            for some in folders.chunks(FOLDERS_AT_ONCE) {
                let paths: Vec<String> = some.iter().map(|name| format!("{folder}{name}/")).collect();
                held.extend(try_join_all(paths.iter().map(|path| self.holds(session, path))).await?);
            }
            let mut held = held.into_iter();
            folders.retain(|_| held.next().unwrap_or(true));
            Ok((folders, objects))
        })
    }

    fn delete(&self, path: &str) -> Result<(), Fault> {
        let asked = Cell::new(false);
        self.ask("removing it", &async |session| {
            let again = asked.replace(true);
            match session.remove(&self.at(path)).await {
                // The answer to the first time was lost.
                Err(Failure::Answer(answer)) if again && answer.is(AnswerKind::NoSuchFile) => {}
                other => other?,
            }
            self.remove_empty(session, folder_of(path)).await
        })
    }

    fn sweep(&self, folder: &str) -> Result<(), Fault> {
        self.ask("sweeping it", &async |session| {
            let Tree { files, mut folders } = self.tree(session, folder).await?;
            folders.retain(|it| {
                let below = format!("{it}/");
                // Folders of others, in a place that is shared, begin with a dot if they are anybody's at all.
                !it.split('/').any(|part| part.starts_with('.'))
                    && !files.iter().any(|file| file.path.starts_with(&below))
            });
            // The innermost first.
            folders.sort_unstable_by(|one, other| other.cmp(one));
            for empty in folders {
                match session.remove_folder(&self.at(&empty)).await {
                    // Somebody puts something there at this moment.
                    Ok(()) | Err(Failure::Answer(_)) => {}
                    Err(broken) => return Err(broken),
                }
            }
            Ok(())
        })
    }

    fn space(&self) -> Result<Option<Space>, Fault> {
        let mut path = self.at("");
        loop {
            match self.ask("asking for its room", &async |session| session.room(&path).await) {
                Ok(room) => {
                    return Ok(room.map(|it| Space {
                        free_bytes: it.bavail.saturating_mul(it.frsize),
                        total_bytes: it.blocks.saturating_mul(it.frsize),
                    }));
                }
                // It is not made yet: where it would be.
                Err(Fault::Missing) if path.contains('/') && path != "/" => {
                    let above = path.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
                    path = if above.is_empty() { "/".to_owned() } else { above };
                }
                Err(Fault::Missing) if path != "." => ".".clone_into(&mut path),
                Err(fault) => return Err(fault),
            }
        }
    }

    fn clock(&self) -> Result<Option<jiff::Timestamp>, Fault> {
        Ok(None)
    }
}
