//! Secrets on their way to hooks: from a reference to a private file, and gone with the run.
//!
//! A secret is never in argv, in a log, in an error or in the environment: hooks get the path of a file.

use super::WorkflowError;
use crate::declared::SetDeclaration;
use crate::diagnostic::{Diagnostic, causes};
use crate::host::Host;
use crate::secrets::{SecretError, resolve};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// Writes each secret of a set to a file below `folder` that only this user can read, and names the files in
/// environment variables for the hooks.
pub fn hand_out(
    host: &dyn Host,
    set: &SetDeclaration,
    folder: &Path,
) -> Result<BTreeMap<String, OsString>, WorkflowError> {
    let mut variables = BTreeMap::new();
    for (name, reference) in &set.secrets {
        let secret = resolve(host, name, reference).map_err(|error| not_available(&error))?;
        let path = folder.join(format!("secret-{name}"));
        host.write_atomic(&path, secret.bytes(), 0o600).map_err(|error| {
            Diagnostic::new("secret not handed out", format!("secret `{name}`")).why(error.to_string())
        })?;
        variables.insert(format!("BKP_SECRET_{name}_FILE"), path.into_os_string());
    }
    Ok(variables)
}

fn not_available(error: &SecretError) -> Diagnostic {
    let mut diagnostic = Diagnostic::new("secret not available", error.to_string()).fix(error.remedy());
    let causes = causes(error);
    if !causes.is_empty() {
        diagnostic = diagnostic.why(causes);
    }
    diagnostic
}
