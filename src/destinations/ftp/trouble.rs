//! What a server said or did not say, in our words, and whether it may be tried again.

use crate::destinations::remote::store::Fault;
use std::io;
use suppaftp::FtpError;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) struct Trouble {
    pub fault: Fault,
    /// The code of the server's refusal; none when there was no reply.
    pub code: Option<u32>,
    /// It may go well the next time.
    pub passing: bool,
    /// The connection is of no use any more.
    pub dead: bool,
}

impl Trouble {
    /// A fault that stays.
    pub fn lasting(fault: Fault) -> Self {
        Self { fault, code: None, passing: false, dead: false }
    }

    /// As it is, but not to be tried again.
    pub fn at_last(self) -> Self {
        Self { passing: false, ..self }
    }

    /// Whether the server said that something is not there, is no file or is no folder, which all have one code, and did
    /// not say that it is not allowed.
    pub fn says_absent(&self) -> bool {
        match &self.fault {
            Fault::Refused(_) | Fault::Full(_) => false,
            _ => matches!(self.code, Some(550 | 501 | 450)),
        }
    }

    /// Whether the server does not know the command (RFC 959: 500, 502, 504; 202: superfluous).
    pub fn says_unknown(&self) -> bool {
        matches!(self.code, Some(202 | 500 | 502 | 504))
    }
}

/// What servers write behind codes that mean several things.
const FULL: [&str; 4] = ["no space left", "disk full", "quota", "insufficient storage"];
const REFUSED: [&str; 6] = [
    "permission denied",
    "access denied",
    "access is denied",
    "not enough privileges",
    "not permitted",
    "read-only file system",
];

/// What an error of the client library means.
pub(super) fn trouble(during: &'static str) -> impl Fn(FtpError) -> Trouble {
    move |error| match error {
        FtpError::UnexpectedResponse(response) => {
            refusal(during, response.status.code(), &String::from_utf8_lossy(&response.body))
        }
        FtpError::ConnectionError(error) => broken(during, error),
        FtpError::SecureError(text) => broken(during, io::Error::new(io::ErrorKind::InvalidData, text)),
        // The library says so too when a listing's connection breaks.
        FtpError::BadResponse => {
            let fault = Fault::other(during, "the server's answer is cut short or is none");
            Trouble { fault, code: None, passing: true, dead: true }
        }
        error @ (FtpError::InvalidAddress(_) | FtpError::DataConnectionAlreadyOpen) => {
            Trouble { fault: Fault::other(during, error.to_string()), code: None, passing: false, dead: true }
        }
    }
}

/// A reply that says no.
fn refusal(during: &'static str, status: u32, body: &str) -> Trouble {
    let text = body.trim().replace(['\r', '\n'], " ");
    // A code that the library has no word for is in the text alone.
    let code = if status == 0 { text.get(..3).and_then(|it| it.parse().ok()).unwrap_or(0) } else { status };
    let lower = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let error = io::Error::other(format!("the server answered: {text}"));
    let (fault, passing) = match code {
        _ if says(&FULL) => (Fault::Full(error), false),
        452 | 552 => (Fault::Full(error), false),
        430 | 530 | 532 | 534 => (Fault::Refused(error), false),
        _ if says(&REFUSED) => (Fault::Refused(error), false),
        553 => (Fault::Refused(error), false),
        421 | 425 | 426 | 434 | 450 | 451 => (Fault::Other { during, error }, true),
        _ => (Fault::Other { during, error }, false),
    };
    Trouble { fault, code: Some(code), passing, dead: code == 421 }
}

/// A connection that failed.
pub(super) fn broken(during: &'static str, error: io::Error) -> Trouble {
    // The TLS library's own words: the only way to learn of them is through the error of a read.
    let text = error.to_string();
    if text.contains("invalid peer certificate") {
        return Trouble { fault: Fault::Stranger(error), code: None, passing: false, dead: true };
    }
    let passing = error.kind() != io::ErrorKind::InvalidInput;
    let error = match error.kind() {
        // What a socket says when its time is over (socket(7), SO_RCVTIMEO).
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time")
        }
        _ => error,
    };
    Trouble { fault: Fault::Other { during, error }, code: None, passing, dead: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_are_told_apart() {
        let of = |status, text: &str| refusal("trying", status, text);
        assert!(matches!(of(552, "552 Exceeded storage allocation").fault, Fault::Full(_)));
        assert!(matches!(of(452, "452 Error").fault, Fault::Full(_)));
        assert!(matches!(of(426, "426 No space left on device; transfer aborted.").fault, Fault::Full(_)));
        assert!(matches!(of(530, "530 Login incorrect.").fault, Fault::Refused(_)));
        assert!(matches!(of(550, "550 Permission denied.").fault, Fault::Refused(_)));
        assert!(!of(550, "550 Permission denied.").says_absent());
        assert!(of(550, "550 No such file or directory.").says_absent());
        assert!(of(0, "522 Network protocol not supported").code == Some(522));
        for passing in [421, 425, 426, 450, 451] {
            assert!(of(passing, "try later").passing, "{passing}");
        }
        for lasting in [500, 501, 530, 550, 552, 553] {
            assert!(!of(lasting, "no").passing, "{lasting}");
        }
        assert!(of(421, "421 Timeout.").dead && !of(550, "550 No.").dead);
    }
}
