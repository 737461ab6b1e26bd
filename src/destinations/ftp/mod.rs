//! `ftp`: a folder of an FTP server, with TLS or without.
//!
//! An object is stored under a temporary name in its folder, and has its final one only when the server has said that all of
//! it is there and shows the size that was sent. FTP's rename replaces what has the name: that it is free is looked for just
//! before, and rivals of one process never do so at once. FTP cannot be told to write to the medium (RFC 959 has no such
//! command): what the server says is all that is known until it is read back.

mod address;
mod body;
mod listing;
mod pool;
mod session;
#[cfg(test)]
mod tests;
mod tls;
mod trouble;

use super::marker::random;
use super::remote::TEMPORARY;
use super::remote::rivals::alone;
use super::remote::store::{Fault, Found, Store};
use super::{Secrets, Unopenable};
use crate::declared::RemoteDeclaration;
use crate::host::{Host, Space, pulse};
use address::{Address, Security};
use body::Body;
use listing::Kind;
use pool::Pool;
use session::{Account, Session, Transfer};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;
use trouble::{Trouble, broken, trouble};

/// Bytes moved at once; as long as no more than so many were taken from a body, its upload can be tried again.
const PIECE_BYTES: usize = 256 << 10;
/// Folders within folders; more is a loop of links, and systems follow no more than 40 of them (see `path_resolution(7)`).
const DEPTH_MAX: usize = 32;

/// Opens it. Nothing is asked of the server yet.
pub(super) fn open(
    host: &dyn Host,
    remote: &RemoteDeclaration,
    secrets: &Secrets,
) -> Result<Box<dyn Store>, Unopenable> {
    let unopenable = |reason: String| Unopenable { reason, remedy: "mend the destination's keys".to_owned() };
    let address = Address::parse(remote.setting("url")).map_err(unopenable)?;
    Ok(Box::new(FtpStore::new(host, remote, secrets, address).map_err(unopenable)?))
}

/// A folder of an FTP server.
struct FtpStore {
    pool: Arc<Pool>,
    location: String,
}

/// The folder that a path lies in, as the trait names folders.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl FtpStore {
    fn new(
        host: &dyn Host,
        remote: &RemoteDeclaration,
        secrets: &Secrets,
        address: Address,
    ) -> Result<Self, String> {
        let tls = match address.security {
            Security::Plain => None,
            Security::Explicit | Security::Implicit => {
                Some(tls::config(host, remote.transport.ca.as_deref())?)
            }
        };
        let user = remote.setting("user");
        let account = Account {
            address,
            user: if user.is_empty() { "anonymous" } else { user }.to_owned(),
            password: secrets.get("password").cloned(),
            tls,
            timeout: Duration::from_secs(remote.transport.timeout().seconds()),
            path: remote.setting("path").to_owned(),
        };
        let (url, path) = (remote.setting("url").trim_end_matches('/'), remote.setting("path"));
        let location = format!("{url}/{}", path.trim_start_matches('/'));
        Ok(Self { pool: Arc::new(Pool::new(account, remote.transport.retries())), location })
    }

    /// Stores a body under a temporary name, and says how many bytes it had. What was read of it is tried again.
    fn upload(&self, temporary: &str, body: &mut dyn Read) -> Result<u64, Fault> {
        let mut begun = vec![0; PIECE_BYTES];
        let length = fill(body, &mut begun).map_err(Fault::Body)?;
        begun.truncate(length);
        let is_whole = length < PIECE_BYTES;
        let mut taken_further = false;
        self.pool.with(|session| {
            let mut transfer = session.begin_upload(temporary)?;
            let mut sent = begun.len() as u64;
            let mut moved = transfer.write_all(&begun).map_err(Stop::Connection);
            if moved.is_ok() && !is_whole {
                taken_further = true;
                moved = hand_on(body, &mut transfer).map(|length| sent += length);
            }
            let moved = moved.and_then(|()| transfer.flush().map_err(Stop::Connection));
            let ended = ended(moved, transfer).map(|()| sent);
            if taken_further { ended.map_err(Trouble::at_last) } else { ended }
        })
    }

    /// Gives what was stored its name, if that is still free.
    fn publish(&self, temporary: &str, path: &str, sent: u64) -> Result<(), Fault> {
        let _alone = alone(&self.location, path);
        if self.size(path)?.is_some() {
            return Err(Fault::Taken);
        }
        let mut is_first = true;
        self.pool.with(|session| {
            // An answer that was lost on its way may have been a yes: then what was stored is there no more, and nobody
            // else gives it another name.
            let may_be_done = !std::mem::replace(&mut is_first, false);
            if may_be_done && session.size(temporary)?.is_none() && session.size(path)? == Some(sent) {
                return Ok(());
            }
            match session.rename(temporary, path) {
                Err(trouble) if trouble.code.is_some() && !trouble.dead && session.size(path)?.is_some() => {
                    Err(Trouble::lasting(Fault::Taken))
                }
                renamed => renamed,
            }
        })
    }

    /// Removes the folder of a path and those above it, as far as they are empty; the root stays.
    fn remove_empty_above(session: &mut Session, path: &str) -> Result<(), Trouble> {
        let mut folder = folder_of(path);
        while !folder.is_empty() && session.remove_empty(folder)? {
            folder = folder_of(folder);
        }
        Ok(())
    }

    /// Calls `each` with every file below a folder, links' targets too; a folder that is gone has none.
    fn walk(
        session: &mut Session,
        folder: &str,
        depth: usize,
        each: &mut dyn FnMut(Found),
    ) -> Result<(), Trouble> {
        if depth > DEPTH_MAX {
            let text = format!("more than {DEPTH_MAX} folders in one another: a link leads back");
            return Err(Trouble::lasting(Fault::other("listing it", text)));
        }
        pulse::beat();
        for entry in session.entries(folder)?.unwrap_or_default() {
            let path = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
            let size = match entry.kind {
                Kind::File(Some(size)) => Some(size),
                Kind::File(None) | Kind::Link => session.size(&path)?,
                Kind::Folder => None,
            };
            match size {
                Some(size_bytes) => each(Found { path, size_bytes }),
                None => Self::walk(session, &path, depth + 1, each)?,
            }
        }
        Ok(())
    }

    /// Removes the empty folders below a folder, and says whether it is empty itself then.
    fn sweep_below(session: &mut Session, folder: &str, depth: usize) -> Result<bool, Trouble> {
        if depth > DEPTH_MAX {
            return Ok(false);
        }
        let Some(entries) = session.entries(folder)? else { return Ok(true) };
        let mut is_empty = true;
        for entry in entries {
            let path = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
            let is_gone = entry.kind == Kind::Folder
                && Self::sweep_below(session, &path, depth + 1)?
                && session.remove_empty(&path)?;
            is_empty &= is_gone;
        }
        Ok(is_empty)
    }
}

/// Why an upload stopped before its end.
enum Stop {
    Body(io::Error),
    Connection(io::Error),
}

/// Reads until a buffer is full or the body has ended.
fn fill(body: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match body.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn hand_on(body: &mut dyn Read, transfer: &mut Transfer) -> Result<u64, Stop> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut sent = 0;
    loop {
        let length = fill(body, &mut buffer).map_err(Stop::Body)?;
        if length == 0 {
            return Ok(sent);
        }
        transfer.write_all(&buffer[..length]).map_err(Stop::Connection)?;
        pulse::beat();
        sent += length as u64;
    }
}

/// Ends an upload. Only the server's last word makes it one that is there (RFC 959: 226 or 250).
fn ended(moved: Result<(), Stop>, transfer: Transfer) -> Result<(), Trouble> {
    let said = transfer.finish().map_err(trouble("storing it"));
    match (moved, said) {
        (Ok(()), said) => said,
        // To the server this is a whole file: it stays under its temporary name, and is removed.
        (Err(Stop::Body(error)), said) => {
            Err(Trouble { dead: said.is_err_and(|it| it.dead), ..Trouble::lasting(Fault::Body(error)) })
        }
        // Why it took no more is in its reply, if there is one.
        (Err(Stop::Connection(_)), Err(trouble)) if trouble.code.is_some() => Err(trouble),
        (Err(Stop::Connection(error)), Ok(()) | Err(_)) => Err(broken("storing it", error)),
    }
}

impl Store for FtpStore {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn puts_without_replacing(&self) -> bool {
        false
    }

    fn make_root(&self) -> Result<(), Fault> {
        self.pool.with(|session| {
            session.make_folders("")?;
            if session.has_folder("")? {
                return Ok(());
            }
            let error = io::Error::other("the server lets nobody make it");
            Err(Trouble::lasting(Fault::Refused(error)))
        })
    }

    fn put(&self, path: &str, body: &mut dyn Read) -> Result<(), Fault> {
        let folder = folder_of(path);
        let separator = if folder.is_empty() { "" } else { "/" };
        let temporary = format!("{folder}{separator}{TEMPORARY}{:016x}", random());
        let stored = self.upload(&temporary, body).and_then(|sent| match self.size(&temporary)? {
            Some(size) if size == sent => self.publish(&temporary, path, sent),
            size => {
                let text = format!("{sent} bytes were sent, and the server has {}", size.unwrap_or(0));
                Err(Fault::other("storing it", text))
            }
        });
        if stored.is_err() {
            // What cannot be removed now is swept later; nothing was begun where the body gave nothing.
            let _best_effort = self.pool.once(|session| {
                match session.remove(&temporary) {
                    Err(trouble) if !trouble.says_absent() => return Err(trouble),
                    Ok(()) | Err(_) => {}
                }
                Self::remove_empty_above(session, path)
            });
        }
        stored
    }

    fn get(&self, path: &str, from: u64) -> Result<Box<dyn Read + Send>, Fault> {
        let size = self.size(path)?.ok_or(Fault::Missing)?;
        Ok(Box::new(Body::open(Arc::clone(&self.pool), path, from, size)?))
    }

    fn size(&self, path: &str) -> Result<Option<u64>, Fault> {
        self.pool.with(|session| session.size(path))
    }

    fn list(&self, folder: &str) -> Result<Vec<Found>, Fault> {
        self.pool.with(|session| {
            let mut found = Vec::new();
            Self::walk(session, folder.trim_end_matches('/'), 0, &mut |it| found.push(it))?;
            Ok(found)
        })
    }

    fn names(&self, folder: &str) -> Result<(Vec<String>, Vec<String>), Fault> {
        let folder = folder.trim_end_matches('/');
        self.pool.with(|session| {
            let (mut folders, mut objects) = (Vec::new(), Vec::new());
            for entry in session.entries(folder)?.unwrap_or_default() {
                let path =
                    if folder.is_empty() { entry.name.clone() } else { format!("{folder}/{}", entry.name) };
                let is_file = match entry.kind {
                    Kind::File(_) => true,
                    Kind::Folder => false,
                    Kind::Link => session.size(&path)?.is_some(),
                };
                if is_file {
                    objects.push(entry.name);
                    continue;
                }
                let mut has_object = false;
                Self::walk(session, &path, 1, &mut |_| has_object = true)?;
                if has_object {
                    folders.push(entry.name);
                }
            }
            Ok((folders, objects))
        })
    }

    fn delete(&self, path: &str) -> Result<(), Fault> {
        let mut is_first = true;
        self.pool.with(|session| {
            let may_be_done = !std::mem::replace(&mut is_first, false);
            match session.remove(path) {
                Err(trouble) if trouble.says_absent() && session.size(path)?.is_none() => {
                    if !may_be_done {
                        return Err(Trouble::lasting(Fault::Missing));
                    }
                }
                Err(trouble) => return Err(trouble),
                Ok(()) => {}
            }
            Self::remove_empty_above(session, path)
        })
    }

    fn sweep(&self, folder: &str) -> Result<(), Fault> {
        self.pool.with(|session| Self::sweep_below(session, folder.trim_end_matches('/'), 0).map(drop))
    }

    fn space(&self) -> Result<Option<Space>, Fault> {
        Ok(None)
    }

    fn clock(&self) -> Result<Option<jiff::Timestamp>, Fault> {
        Ok(None)
    }
}
