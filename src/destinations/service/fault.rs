//! What a service said, in our words.
//!
//! The library keeps the service's own code only in its message, so it is looked for there: each word below is one that
//! the service documents.

use super::super::remote::store::Fault;
use opendal::{Error, ErrorKind};
use std::io;

/// S3: `InvalidObjectState` (GetObject). Azure: `BlobArchived` (Blob service error codes).
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

/// Everything that an error and its causes say.
fn said(error: &Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        said.push_str(": ");
        said.push_str(&source.to_string());
        cause = source.source();
    }
    said
}

/// One line for people: the library's message with the innermost cause, without addresses and headers.
fn brief(error: &Error) -> String {
    let mut text = error.message().replace('\n', " ");
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
