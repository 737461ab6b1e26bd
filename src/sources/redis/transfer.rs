//! A dump as a server sends it to a replica (Redis 7.0, `replication.c`): SYNC, newlines while it prepares, and then a
//! payload whose length is announced (`$201`) or which ends in a mark of 40 bytes (`$EOF:...`).
//!
//! Never here: an end that is not the announced one.

use super::client::{Client, ClientError};
use crate::host::pulse;

/// Bytes of the mark that ends a payload of unknown length.
const MARK_BYTES: usize = 40;
/// Bytes taken from the server at once.
const PIECE_BYTES: usize = 256 << 10;

/// How the end is known.
#[derive(Debug)]
enum Frame {
    /// So many bytes are to come.
    Length(u64),
    /// The mark ends it; what came last and may be the mark's beginning.
    Mark([u8; MARK_BYTES], Vec<u8>),
    /// It is over.
    Ended,
}

/// A dump that is coming.
#[derive(Debug)]
pub(super) struct Transfer {
    client: Client,
    frame: Frame,
}

/// Says to a server how it may send, which needs no right but REPLCONF's own. A server that does not know an option
/// refuses it, and sends in its older way; a user without the right is told so.
pub(super) fn announce(client: &mut Client) -> Result<(), ClientError> {
    // `eof` lets it send without a file of its own; `rdb-only` keeps it from sending writes afterwards.
    for option in [["capa", "eof"], ["rdb-only", "1"]] {
        match client.command(&["REPLCONF", option[0], option[1]]) {
            Ok(_) => {}
            Err(ClientError::Refused(answer)) if !answer.starts_with("NO") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Transfer {
    /// Asks for a dump and waits until it comes.
    pub(super) fn begin(mut client: Client) -> Result<Self, ClientError> {
        announce(&mut client)?;
        client.send(&[&[b"SYNC"]])?;
        let head = loop {
            let line = client.line()?;
            // It prepares, and says that it lives.
            pulse::beat();
            if !line.is_empty() {
                break String::from_utf8_lossy(&line).into_owned();
            }
        };
        if let Some(refusal) = head.strip_prefix('-') {
            return Err(ClientError::Refused(client.redacted(refusal)));
        }
        let announced = head.strip_prefix('$').ok_or(ClientError::Foreign)?;
        let frame = match announced.strip_prefix("EOF:") {
            Some(mark) => {
                let mark = mark.as_bytes().try_into().map_err(|_| ClientError::Foreign)?;
                Frame::Mark(mark, Vec::new())
            }
            None => Frame::Length(announced.parse().map_err(|_| ClientError::Foreign)?),
        };
        Ok(Self { client, frame })
    }

    /// The next bytes of the dump; none at its end, which is the announced one.
    pub(super) fn piece(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            match &mut self.frame {
                Frame::Ended | Frame::Length(0) => {
                    self.frame = Frame::Ended;
                    return Ok(None);
                }
                Frame::Length(left) => {
                    let most = usize::try_from(*left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                    let count = self.client.bytes(&mut piece[..most])?;
                    *left -= count as u64;
                    piece.truncate(count);
                    return Ok(Some(piece));
                }
                Frame::Mark(mark, held) => {
                    let count = self.client.bytes(&mut piece)?;
                    held.extend_from_slice(&piece[..count]);
                    let kept = held.len().saturating_sub(MARK_BYTES);
                    let ended = held.ends_with(mark);
                    let rest = held.split_off(kept);
                    let ready = std::mem::replace(held, rest);
                    if ended {
                        self.frame = Frame::Ended;
                    }
                    if !ready.is_empty() {
                        return Ok(Some(ready));
                    }
                }
            }
        }
    }

    /// Whether the announced end has come.
    pub(super) fn ended(&self) -> bool {
        matches!(self.frame, Frame::Ended | Frame::Length(0))
    }
}
