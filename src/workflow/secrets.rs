//! Secrets on their way to hooks: from a reference to a private file, and gone with the run.
//!
//! A secret is never in argv, in a log, in an error or in the environment: hooks get the path of a file.

use super::WorkflowError;
use crate::declared::{SecretRef, SetDeclaration};
use crate::diagnostic::Diagnostic;
use crate::host::{Command, Host};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Writes each secret of a set to a file below `folder` that only this user can read, and names the files in
/// environment variables for the hooks.
pub fn hand_out(
    host: &dyn Host,
    set: &SetDeclaration,
    folder: &Path,
) -> Result<BTreeMap<String, OsString>, WorkflowError> {
    let mut variables = BTreeMap::new();
    for (name, reference) in &set.secrets {
        let bytes = resolve(host, name, reference)?;
        let path = folder.join(format!("secret-{name}"));
        host.write_atomic(&path, &bytes, 0o600).map_err(|error| {
            Diagnostic::new("secret not handed out", format!("secret `{name}`")).why(error.to_string())
        })?;
        variables.insert(format!("BKP_SECRET_{name}_FILE"), path.into_os_string());
    }
    Ok(variables)
}

/// The credential's name under which a job hands a secret on.
pub fn credential_name(name: &str) -> String {
    format!("bkp-{name}")
}

fn resolve(host: &dyn Host, name: &str, reference: &SecretRef) -> Result<Vec<u8>, WorkflowError> {
    let trouble = |why: String, fix: String| {
        Diagnostic::new("secret not available", format!("secret `{name}`")).why(why).fix(fix)
    };
    let handed_on = |credential: &str| {
        host.env("CREDENTIALS_DIRECTORY").map(|folder| PathBuf::from(folder).join(credential))
    };
    match reference {
        SecretRef::File(path) => {
            let handed = handed_on(&credential_name(name)).filter(|path| host.status(path).is_ok());
            let path = handed.unwrap_or_else(|| path.clone());
            Ok(host.read(&path).map_err(|error| {
                trouble(
                    format!("{}: {error}", path.display()),
                    format!("write it to {} with mode 0600", path.display()),
                )
            })?)
        }
        SecretRef::Credential(credential) => {
            let path = handed_on(credential).ok_or_else(|| {
                trouble("no credentials were handed on".into(), "run it through its systemd job".into())
            })?;
            Ok(host.read(&path).map_err(|error| {
                trouble(error.to_string(), format!("give systemd the credential `{credential}`"))
            })?)
        }
        SecretRef::Command(argv) => {
            let output = host
                .run(&Command::change(argv))
                .map_err(|error| trouble(error.to_string(), "check the program's path".into()))?;
            // What the command printed is the secret: only its status may be said.
            if output.succeeded() && !output.stdout.is_empty() {
                return Ok(output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout).to_vec());
            }
            let status =
                output.status.map_or("no exit status".into(), |status| format!("exit status {status}"));
            Err(trouble(format!("its command gave nothing ({status})"), "run the command by hand".into())
                .into())
        }
        SecretRef::Env(variable) => Ok(host
            .env(variable)
            .map(String::into_bytes)
            .ok_or_else(|| trouble(format!("`{variable}` is not set"), format!("set `{variable}`")))?),
    }
}
