//! What it means that a source may not be read: file permissions, or on a Mac its privacy protection.
//!
//! Denied is never absent: what exists and cannot be looked at is never told as missing.

use super::SourceError;
use std::io;

/// EPERM of errno(3), the same number on Linux and on a Mac.
const EPERM: i32 = 1;

/// macOS refused a program, not a user. launchd's jobs have no window in which somebody could be asked, so what works in
/// a terminal can fail in a job.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0}: not the file's permissions but macOS's privacy protection refused the program that asked; a grant can be lost \
     when the bkp binary is updated"
)]
struct PrivacyProtected(String);

/// Whether it is privacy protection that refused: a Mac says EPERM for that, and EACCES where permissions are missing.
pub(super) fn is_privacy_protection(raw_os_error: Option<i32>, is_macos: bool) -> bool {
    is_macos && raw_os_error == Some(EPERM)
}

fn explained(error: io::Error, is_macos: bool) -> io::Error {
    if is_privacy_protection(error.raw_os_error(), is_macos) {
        io::Error::new(io::ErrorKind::PermissionDenied, PrivacyProtected(error.to_string()))
    } else {
        error
    }
}

/// The error for an object that exists and may not be read.
pub(super) fn refused(object: String, error: io::Error) -> SourceError {
    SourceError::Denied { object, error: explained(error, cfg!(target_os = "macos")) }
}

/// What helps against an error of [`refused`], where it is not the file's permissions.
pub(super) fn privacy_remedy(error: &io::Error) -> Option<&'static str> {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<PrivacyProtected>());
    inner.map(|_| {
        "give the bkp binary Full Disk Access (System Settings, Privacy & Security), again after an update of it, and \
         run `bkp apply`: it tries the job where it really runs"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACCES: i32 = 13;

    #[test]
    fn privacy_protection_is_told_from_missing_permissions() {
        assert!(is_privacy_protection(Some(EPERM), true));
        for (raw, is_macos) in [(Some(EACCES), true), (Some(EPERM), false), (Some(2), true), (None, true)] {
            assert!(!is_privacy_protection(raw, is_macos), "{raw:?} {is_macos}");
        }
    }

    #[test]
    fn refusal_of_a_mac_names_what_refused_and_what_helps() {
        let error = explained(io::Error::from_raw_os_error(EPERM), true);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "denied stays denied");
        let words = error.to_string();
        assert!(words.contains("not permitted") && words.contains("privacy protection"), "{words}");
        assert!(words.contains("updated"), "{words}");
        assert!(privacy_remedy(&error).is_some_and(|fix| fix.contains("Full Disk Access")));
    }

    #[test]
    fn every_other_refusal_stays_as_the_system_said_it() {
        for (raw, is_macos) in [(EACCES, true), (EPERM, false)] {
            let error = explained(io::Error::from_raw_os_error(raw), is_macos);
            assert_eq!(error.raw_os_error(), Some(raw));
            assert_eq!(privacy_remedy(&error), None);
        }
    }
}
