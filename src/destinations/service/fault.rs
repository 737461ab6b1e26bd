//! What a service said, in our words.
//!
//! The library keeps the service's own code only in its message, so it is looked for there: each word below is one that
//! the service documents.

use super::super::remote::store::Fault;
use opendal::{Error, ErrorKind};
use std::io;

/// S3: `InvalidObjectState` (`GetObject`). Azure: `BlobArchived` (Blob service error codes).
const ARCHIVED: [&str; 3] = ["InvalidObjectState", "BlobArchived", "BlobBeingRehydrated"];
/// S3: `RequestTimeTooSkewed`. Azure answers `AuthenticationFailed` and says why in its detail.
const CLOCK: [&str; 4] = [
    "RequestTimeTooSkewed",
    "RequestExpired",
    "Request date header too old",
    "is not within the allowed range",
];
/// S3: `NoSuchBucket`. Azure: `ContainerNotFound`. GCS: "The specified bucket does not exist".
const NO_PLACE: [&str; 5] = [
    "NoSuchBucket",
    "ContainerNotFound",
    "ContainerBeingDeleted",
    "specified bucket does not exist",
    "AllAccessDisabled",
];
/// S3 clones: `QuotaExceeded`, `XMinioAdminBucketQuotaExceeded`. HTTP 507: Insufficient Storage (RFC 4918).
const FULL: [&str; 6] = [
    "QuotaExceeded",
    "InsufficientStorage",
    "Insufficient Storage",
    "status: 507",
    "insufficient_space",
    "quotaLimitReached",
];
/// S3 and Azure: credentials that are wrong or over.
const REFUSED: [&str; 9] = [
    "ExpiredToken",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "AuthenticationFailed",
    "AuthorizationFailure",
    "expired_access_token",
    "invalid_grant",
    "status: 401",
];
/// What TLS says of a certificate that it does not trust.
const STRANGER: [&str; 2] = ["invalid peer certificate", "certificate verify failed"];

/// What an error means.
pub(super) fn fault(during: &'static str) -> impl Fn(Error) -> Fault {
    move |error| {
        let said = said(&error);
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let text = || io::Error::other(brief(&error));
        if has(&ARCHIVED) {
            return Fault::Archived(text());
        }
        if has(&CLOCK) {
            return Fault::Clock(text());
        }
        if has(&NO_PLACE) {
            return Fault::NoPlace(text());
        }
        if has(&FULL) {
            return Fault::Full(text());
        }
        if has(&STRANGER) {
            return Fault::Stranger(text());
        }
        if has(&REFUSED) {
            return Fault::Refused(text());
        }
        match error.kind() {
            ErrorKind::NotFound => Fault::Missing,
            ErrorKind::PermissionDenied => Fault::Refused(text()),
            ErrorKind::ConditionNotMatch | ErrorKind::AlreadyExists => Fault::Taken,
            // The library's kinds may grow; whatever is new has no word of ours.
            _ => Fault::Other { during, error: text() },
        }
    }
}

/// Whether a refusal came without a word, as answers to HEAD do.
pub(super) fn is_wordless(error: &Error) -> bool {
    error.kind() != ErrorKind::NotFound && error.message().trim().is_empty()
}

/// What the service said and what the causes are: without addresses, headers and the object's own name, in which any word
/// may stand.
fn said(error: &Error) -> String {
    let message = error.message();
    let mut said = match (field(message, "code"), field(message, "message")) {
        (Some(code), text) => format!("{code}: {}", text.unwrap_or_default()),
        (None, _) => message.to_owned(),
    };
    if let Some(status) = status(error) {
        said.push_str("; status: ");
        said.push_str(&status);
    }
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        said.push_str(": ");
        said.push_str(&source.to_string());
        cause = source.source();
    }
    said
}

/// A field of the service's error as the library shows it: `Error { code: "NoSuchBucket", message: "...", ...`.
fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(&format!(" {name}: \""))?;
    let mut escaped = false;
    let end = rest.char_indices().find(|(_, it)| {
        let ends = *it == '"' && !escaped;
        escaped = *it == '\\' && !escaped;
        ends
    });
    end.map(|(end, _)| &rest[..end])
}

/// The answer's status, which the library keeps in its context only.
fn status(error: &Error) -> Option<String> {
    let text = error.to_string();
    let (_, rest) = text.split_once("response: Parts { status: ")?;
    Some(rest.chars().take_while(char::is_ascii_digit).collect())
}

/// One line for people: what the service said with the innermost cause, without addresses and headers.
pub(super) fn brief(error: &Error) -> String {
    let message = error.message();
    let mut text = match (field(message, "code"), field(message, "message")) {
        (Some(code), None | Some("")) => code.to_owned(),
        (Some(code), Some(why)) => format!("{code}: {}", why.split("\\n").next().unwrap_or_default()),
        (None, _) => message.replace('\n', " "),
    };
    if text.trim().is_empty() {
        text = format!("the answer was {}", status(error).unwrap_or_else(|| "empty".to_owned()));
    }
    if text.len() > 300 {
        let end = (0..=300).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    let mut innermost = std::error::Error::source(error);
    while let Some(next) = innermost.and_then(std::error::Error::source) {
        innermost = Some(next);
    }
    match innermost {
        Some(cause) => format!("{text}: {cause}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_in_a_name_is_no_word_of_the_services() {
        let message =
            r#"S3Error { code: "SlowDown", message: "Say \"please\"", resource: "/box/QuotaExceeded" }"#;
        let error = Error::new(ErrorKind::Unexpected, message).with_context("path", "BlobArchived");
        assert_eq!(brief(&error), r#"SlowDown: Say \"please\""#);
        let fault = fault("storing it")(error);
        assert!(matches!(fault, Fault::Other { .. }), "{fault:?}");
    }
}
