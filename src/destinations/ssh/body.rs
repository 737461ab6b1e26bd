//! An object on its way here: asked for ahead, and asked for again from where it stopped when the connection is lost.

use super::client::rest;
use super::session::{Failure, Session};
use super::shared::Shared;
use super::upload::{PIECE_BYTES, PIECES_AT_ONCE, moved_to};
use crate::destinations::remote::store::Fault;
use crate::destinations::runtime::{runtime, wait};
use crate::host::{pause, pulse};
use bytes::{Buf, Bytes, BytesMut};
use openssh_sftp_client::error::Error;
use openssh_sftp_client::file::File;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::task::JoinHandle;

type Piece = JoinHandle<Result<Bytes, Error>>;

/// An open object.
pub(super) struct Body {
    shared: Arc<Shared>,
    path: String,
    size_bytes: u64,
    /// The place of the next byte that will be given.
    given: u64,
    /// The place of the next byte that will be asked for.
    asked: u64,
    source: Option<(Arc<Session>, File)>,
    under_way: VecDeque<Piece>,
    current: Bytes,
    /// Connections lost since the last byte.
    lost: u32,
}

impl Body {
    /// Opens the object under a path of the server's.
    pub fn open(shared: Arc<Shared>, path: String, from: u64) -> Result<Self, Fault> {
        let mut body = Self {
            shared,
            path,
            size_bytes: 0,
            given: from,
            asked: from,
            source: None,
            under_way: VecDeque::new(),
            current: Bytes::new(),
            lost: 0,
        };
        body.size_bytes = body.reopen()?;
        Ok(body)
    }

    /// Opens it on the session that there is, and gives its size.
    fn reopen(&mut self) -> Result<u64, Fault> {
        let path = self.path.clone();
        let opened = self.shared.ask("opening it", &async |session| {
            let mut file = session.open(&path).await?;
            let metadata = session.within(file.metadata()).await?;
            Ok((file, metadata))
        })?;
        let (session, (file, metadata)) = opened.map_err(|it| it.fault("opening it"))?;
        // OpenSSH opens folders too.
        if metadata.file_type().is_some_and(|it| it.is_dir()) {
            return Err(Fault::Missing);
        }
        self.source = Some((session, file));
        self.under_way.clear();
        self.asked = self.given;
        Ok(metadata.len().unwrap_or(0))
    }

    fn ask_ahead(&mut self) -> Result<(), Error> {
        let Some((_, file)) = &self.source else { return Ok(()) };
        while self.under_way.len() < PIECES_AT_ONCE && self.asked < self.size_bytes {
            let left = self.size_bytes - self.asked;
            let length = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let file = moved_to(file.clone(), self.asked)?;
            self.under_way.push_back(runtime().spawn(read(file, self.asked, length)));
            self.asked += length as u64;
        }
        Ok(())
    }

    fn next_piece(&mut self) -> Result<Bytes, Failure> {
        self.ask_ahead()?;
        let (Some(first), Some((session, _))) = (self.under_way.pop_front(), &self.source) else {
            return Ok(Bytes::new());
        };
        wait(session.within(async { first.await? }))
    }
}

/// One piece, whole: a server may give fewer bytes than it was asked for.
async fn read(mut file: File, offset: u64, length: usize) -> Result<Bytes, Error> {
    let mut whole = BytesMut::with_capacity(length);
    while whole.len() < length {
        file = moved_to(file, offset + whole.len() as u64)?;
        let left = length - whole.len();
        let asked = u32::try_from(left).unwrap_or(u32::MAX);
        match file.read(asked, BytesMut::with_capacity(left)).await? {
            Some(part) if whole.is_empty() => whole = part,
            Some(part) => whole.extend_from_slice(&part),
            None => {
                let text = "it is shorter than the server said";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text).into());
            }
        }
    }
    Ok(whole.freeze())
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && self.given < self.size_bytes && !buffer.is_empty() {
            pulse::beat();
            match self.next_piece() {
                Ok(piece) => self.current = piece,
                Err(Failure::Answer(answer)) => {
                    return Err(io::Error::other(format!("the server says: {}", answer.text)));
                }
                Err(Failure::Broken(why)) => {
                    let source = self.source.take();
                    let why = source.map_or(why.clone(), |(session, _)| self.shared.forget(&session, &why));
                    if self.lost >= self.shared.client.retries() {
                        return Err(io::Error::new(io::ErrorKind::ConnectionAborted, why));
                    }
                    pause(rest(self.lost));
                    self.lost += 1;
                    self.reopen().map_err(|fault| io::Error::other(format!("{why}; then: {fault:?}")))?;
                    continue;
                }
            }
            self.lost = 0;
        }
        let length = self.current.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.current[..length]);
        self.current.advance(length);
        self.given += length as u64;
        Ok(length)
    }
}
