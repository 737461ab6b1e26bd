//! A client of the servers' own protocol (RESP2, <https://redis.io/docs/latest/develop/reference/protocol-spec/>).
//!
//! Never here: a wait without an end, or a secret in an error.

use super::address::{Address, Wire};
use crate::host::told_to_end;
use crate::secrets::Secret;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Between two looks at whether bkp was told to end.
const STEP: Duration = Duration::from_millis(250);
/// The longest answer that is taken: INFO has a few KiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Bytes read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// Why a server was not understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// It was not reached.
    #[error("it cannot be reached: {0}")]
    Connect(io::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// It closed the connection.
    #[error("it closed the connection")]
    Closed,
    /// It said nothing.
    #[error("it said nothing for {} s", .0.as_secs())]
    Silent(Duration),
    /// It refused, in these words. The secret has been taken out.
    #[error("it answered `{0}`")]
    Refused(String),
    /// What it said is not the protocol.
    #[error("it does not speak the protocol of Redis")]
    Foreign,
    /// bkp itself was told to end.
    #[error("the run was told to end")]
    ToldToEnd,
}

impl ClientError {
    /// Whether the server refused because of rights (ACL) or because nobody has logged in.
    pub(super) fn denied(&self) -> bool {
        match self {
            Self::Refused(answer) => answer.starts_with("NOPERM"),
            Self::Connect(_)
            | Self::Broken(_)
            | Self::Closed
            | Self::Silent(_)
            | Self::Foreign
            | Self::ToldToEnd => false,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// A word, a number or a text.
    Text(String),
    /// Nothing.
    Nil,
    /// Several.
    Many(Vec<Reply>),
}

impl Reply {
    /// As one text; empty where it is none.
    pub(super) fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Nil | Self::Many(_) => String::new(),
        }
    }
}

/// A connection with what came and was not taken yet.
#[derive(Debug)]
pub(super) struct Client {
    wire: Wire,
    buffer: Vec<u8>,
    at: usize,
    silence_max: Duration,
    secret: Option<Secret>,
}

impl Client {
    /// Connects. Each answer may take `silence_max`.
    pub(super) fn connect(address: &Address, silence_max: Duration) -> Result<Self, ClientError> {
        Self::over(address.connect().map_err(ClientError::Connect)?, silence_max)
    }

    /// Speaks over a connection that is there.
    pub(super) fn over(wire: Wire, silence_max: Duration) -> Result<Self, ClientError> {
        wire.set_step(STEP).map_err(ClientError::Broken)?;
        Ok(Self { wire, buffer: Vec::new(), at: 0, silence_max, secret: None })
    }

    /// Logs in, where there is something to log in with.
    pub(super) fn log_in(&mut self, user: Option<&str>, secret: Option<Secret>) -> Result<(), ClientError> {
        let Some(secret) = secret else { return Ok(()) };
        let password = secret.line().to_vec();
        self.secret = Some(secret);
        let user = user.map(str::as_bytes);
        let words: Vec<&[u8]> =
            [Some(b"AUTH".as_slice()), user, Some(&password)].into_iter().flatten().collect();
        self.ask(&words).map(drop)
    }

    /// How long an answer may take from here on.
    pub(super) fn set_silence(&mut self, silence_max: Duration) {
        self.silence_max = silence_max;
    }

    /// The address at the other end, where it has one.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.wire.peer()
    }

    /// Asks, and gives the answer.
    pub(super) fn ask(&mut self, words: &[&[u8]]) -> Result<Reply, ClientError> {
        self.send(&[words])?;
        self.reply()
    }

    /// Asks in words of text.
    pub(super) fn command(&mut self, words: &[&str]) -> Result<Reply, ClientError> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.ask(&words)
    }

    /// Sends commands in one piece.
    pub(super) fn send(&mut self, commands: &[&[&[u8]]]) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        for words in commands {
            bytes.extend(format!("*{}\r\n", words.len()).into_bytes());
            for word in *words {
                bytes.extend(format!("${}\r\n", word.len()).into_bytes());
                bytes.extend_from_slice(word);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        self.wire.write_all(&bytes).map_err(ClientError::Broken)
    }

    /// The next answer.
    pub(super) fn reply(&mut self) -> Result<Reply, ClientError> {
        let line = self.line()?;
        let (Some(kind), rest) = (line.first(), line.get(1..).unwrap_or_default()) else {
            return Err(ClientError::Foreign);
        };
        let text = String::from_utf8_lossy(rest).into_owned();
        match kind {
            b'+' | b':' => Ok(Reply::Text(text)),
            b'-' => Err(ClientError::Refused(self.redacted(&text))),
            b'$' => match self.size(&text)? {
                None => Ok(Reply::Nil),
                Some(size) => {
                    let bytes = self.exactly(size + 2)?;
                    Ok(Reply::Text(String::from_utf8_lossy(&bytes[..size]).into_owned()))
                }
            },
            b'*' => match self.size(&text)? {
                None => Ok(Reply::Nil),
                Some(count) => (0..count).map(|_| self.reply()).collect::<Result<_, _>>().map(Reply::Many),
            },
            _ => Err(ClientError::Foreign),
        }
    }

    /// Takes the secret out of a text.
    pub(super) fn redacted(&self, text: &str) -> String {
        self.secret.as_ref().map_or_else(|| text.to_owned(), |secret| secret.redact(text))
    }

    fn size(&self, text: &str) -> Result<Option<usize>, ClientError> {
        match text.parse::<i64>() {
            Ok(-1) => Ok(None),
            Ok(size) => usize::try_from(size)
                .ok()
                .filter(|size| *size <= ANSWER_BYTES_MAX)
                .map(Some)
                .ok_or(ClientError::Foreign),
            Err(_) => Err(ClientError::Foreign),
        }
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut from = self.at;
        let end = loop {
            if let Some(end) = self.buffer[from..].iter().position(|byte| *byte == b'\n') {
                break from + end;
            }
            if self.buffer.len() - self.at > ANSWER_BYTES_MAX {
                return Err(ClientError::Foreign);
            }
            from = self.buffer.len();
            self.read_on()?;
        };
        let line = &self.buffer[self.at..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        self.at = end + 1;
        self.forget_taken();
        Ok(line)
    }

    fn exactly(&mut self, size: usize) -> Result<Vec<u8>, ClientError> {
        while self.buffer.len() - self.at < size {
            self.read_on()?;
        }
        let bytes = self.buffer[self.at..self.at + size].to_vec();
        self.at += size;
        self.forget_taken();
        Ok(bytes)
    }

    fn forget_taken(&mut self) {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
    }

    fn read_on(&mut self) -> Result<(), ClientError> {
        let mut piece = vec![0; BUFFER_BYTES];
        let count = self.wait(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(())
    }

    /// Bytes as they come, those first that came with an answer.
    pub(super) fn bytes(&mut self, buffer: &mut [u8]) -> Result<usize, ClientError> {
        let kept = &self.buffer[self.at..];
        if kept.is_empty() {
            return self.wait(buffer);
        }
        let count = kept.len().min(buffer.len());
        buffer[..count].copy_from_slice(&kept[..count]);
        self.at += count;
        self.forget_taken();
        Ok(count)
    }

    fn wait(&mut self, buffer: &mut [u8]) -> Result<usize, ClientError> {
        let since = Instant::now();
        loop {
            match self.wire.read(buffer) {
                Ok(0) => return Err(ClientError::Closed),
                Ok(count) => return Ok(count),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        if told_to_end() {
                            return Err(ClientError::ToldToEnd);
                        }
                        if since.elapsed() >= self.silence_max {
                            return Err(ClientError::Silent(self.silence_max));
                        }
                    }
                    _ => return Err(ClientError::Broken(error)),
                },
            }
        }
    }
}
