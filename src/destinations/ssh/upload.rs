//! The bytes of one object on their way to a file: many requests at a time, and so much memory and no more.

use super::session::{Failure, Session};
use crate::destinations::runtime::{runtime, wait};
use crate::host::pulse;
use bytes::Bytes;
use openssh_sftp_client::error::Error;
use openssh_sftp_client::file::File;
use std::collections::VecDeque;
use std::io::{self, Read, SeekFrom};
use std::pin::Pin;
use tokio::io::AsyncSeek;
use tokio::task::JoinHandle;

/// Bytes of one request; the library makes more of it where a server takes fewer.
pub(super) const PIECE_BYTES: usize = 64 << 10;
/// Requests at a time: 4 MiB on their way, twice the window of a channel of OpenSSH.
pub(super) const PIECES_AT_ONCE: usize = 64;

/// What was sent. It tells our own object from a rival's; it proves nothing, the read-back does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub bytes: u64,
    pub crc32: u32,
}

/// Why sending stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The body's `read` failed.
    Body(io::Error),
    /// The server or the connection.
    Failure(Failure),
}

/// Reads the next piece; an empty one is the body's end.
pub(super) fn piece(body: &mut dyn Read) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    body.take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}

/// Begins a request on the runtime; it goes on while nobody waits.
pub(super) fn moved_to(mut file: File, offset: u64) -> Result<File, Error> {
    Pin::new(&mut file).start_seek(SeekFrom::Start(offset))?;
    Ok(file)
}

/// Writes what was `begun` and the rest of a body.
pub(super) fn send(session: &Session, file: &File, begun: Bytes, body: &mut dyn Read) -> Result<Sent, Stop> {
    let mut under_way: VecDeque<JoinHandle<Result<(), Error>>> = VecDeque::new();
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = 0;
    let mut next = begun;
    while !next.is_empty() {
        hasher.update(&next);
        let file = moved_to(file.clone(), bytes).map_err(|it| Stop::Failure(it.into()))?;
        bytes += next.len() as u64;
        under_way.push_back(runtime().spawn(write(file, next)));
        while under_way.len() >= PIECES_AT_ONCE {
            first_ends(session, &mut under_way)?;
        }
        next = piece(body).map_err(Stop::Body)?;
    }
    while !under_way.is_empty() {
        first_ends(session, &mut under_way)?;
    }
    Ok(Sent { bytes, crc32: hasher.finalize() })
}

async fn write(mut file: File, piece: Bytes) -> Result<(), Error> {
    file.write_all_zero_copy(&mut [piece]).await
}

fn first_ends(
    session: &Session,
    under_way: &mut VecDeque<JoinHandle<Result<(), Error>>>,
) -> Result<(), Stop> {
    pulse::beat();
    let Some(first) = under_way.pop_front() else { return Ok(()) };
    let ended = wait(session.within(async { first.await? }));
    ended.map_err(Stop::Failure)
}
