//! A download: as many bytes as the file has, or an error.

use super::pool::Pool;
use super::session::{Session, Transfer};
use super::trouble::{Trouble, broken, trouble};
use crate::destinations::remote::store::Fault;
use crate::destinations::remote::tries::Tries;
use crate::host::pulse;
use std::io::{self, Read};
use std::sync::Arc;

/// A file on its way here. A connection that breaks is made again where it broke off.
pub(super) struct Body {
    pool: Arc<Pool>,
    path: String,
    at: u64,
    end: u64,
    /// None between two connections, and after the end.
    under_way: Option<(Transfer, Session)>,
    tries: Tries,
}

fn spoken(fault: Fault) -> io::Error {
    match fault {
        Fault::Missing => io::Error::new(io::ErrorKind::NotFound, "it is gone"),
        Fault::Taken => io::ErrorKind::AlreadyExists.into(),
        Fault::Body(error)
        | Fault::Refused(error)
        | Fault::Full(error)
        | Fault::NoPlace(error)
        | Fault::Archived(error)
        | Fault::Clock(error)
        | Fault::Stranger(error)
        | Fault::Other { error, .. } => error,
    }
}

impl Body {
    /// Opens a file of a known size.
    pub fn open(pool: Arc<Pool>, path: &str, from: u64, end: u64) -> Result<Self, Fault> {
        let tries = pool.tries();
        let mut body = Self { pool, path: path.to_owned(), at: from, end, under_way: None, tries };
        if from < end {
            body.begin()?;
        }
        Ok(body)
    }

    fn begin(&mut self) -> Result<(), Fault> {
        loop {
            match self.pool.once_with(|session| session.begin_download(&self.path, self.at)) {
                Ok(under_way) => {
                    self.under_way = Some(under_way);
                    return Ok(());
                }
                Err(trouble) if trouble.passing && self.tries.again() => {}
                Err(trouble) if trouble.says_absent() => return Err(Fault::Missing),
                Err(trouble) => return Err(trouble.fault),
            }
        }
    }

    /// What the server says of a download that gave no more bytes.
    fn ended(&mut self) -> Result<(), Trouble> {
        let Some((transfer, session)) = self.under_way.take() else { return Ok(()) };
        let said = transfer.finish().map_err(trouble("reading it"));
        if said.as_ref().is_err_and(|it| it.dead) {
            // Every byte is here; a control connection that was quiet for hours may be gone by then.
            return if self.at == self.end { Ok(()) } else { said };
        }
        self.pool.keep(session);
        said
    }

    fn step(&mut self, buffer: &mut [u8]) -> Result<usize, Trouble> {
        let Some((transfer, _)) = &mut self.under_way else { return Ok(0) };
        let read = match transfer.read(buffer) {
            // Servers that end TLS without saying so; how many bytes there must be is known.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        };
        match read {
            Ok(0) => {
                self.ended()?;
                if self.at < self.end {
                    let error = io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server sent less than the file has",
                    );
                    return Err(broken("reading it", error));
                }
                Ok(0)
            }
            Ok(length) if self.at + length as u64 > self.end => {
                self.under_way = None;
                let text = "the server sent more than the file had when it was opened";
                Err(Trouble::lasting(Fault::other("reading it", text)))
            }
            Ok(length) => {
                pulse::beat();
                self.at += length as u64;
                Ok(length)
            }
            Err(error) => {
                self.under_way = None;
                Err(broken("reading it", error))
            }
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.step(buffer) {
                Ok(length) => return Ok(length),
                Err(trouble) if trouble.passing && self.tries.again() => self.begin().map_err(spoken)?,
                Err(trouble) => return Err(spoken(trouble.fault)),
            }
        }
    }
}
