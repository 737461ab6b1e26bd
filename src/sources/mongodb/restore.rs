//! An archive back into a database.
//!
//! mongorestore may end with 0 though documents failed. So never here: a restore believed for its exit status. What it
//! says it restored must be every document of the archive, and what the server then has is counted.

mod drill;
mod place;
mod replace;

use super::connection::{Access, ConnectionError, server_of};
use super::{EXTENSION, RESTORE};
use crate::declared::SourceDeclaration;
use crate::format::{Counts, encode_name};
use crate::sources::{Artifact, Bench, Drill, LivePlace, RestoreError, Restorer, Target};
use drill::ServerDrill;
use place::Place;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The source type.
const KIND: &str = "mongodb";

/// The artifact side of `mongodb`.
#[derive(Debug, Clone, Copy, Default)]
pub struct MongodbRestorer;

/// A server or a program that is in the way; says nothing about the artifact.
fn bench(tool: &str, reason: impl Into<String>) -> RestoreError {
    RestoreError::Bench { tool: tool.to_owned(), reason: reason.into() }
}

fn refused(server: &str, error: &ConnectionError) -> RestoreError {
    let rights = "; a drill on the server needs the role `restore` too";
    match error {
        ConnectionError::Unauthorized { .. } => bench(server, format!("{error}{rights}")),
        ConnectionError::Url { .. }
        | ConnectionError::Unreachable { .. }
        | ConnectionError::Login { .. }
        | ConnectionError::Failed { .. }
        | ConnectionError::Silent { .. } => bench(server, error.to_string()),
    }
}

/// The declared server.
fn declared(it: Bench<'_>) -> Result<Access, RestoreError> {
    let Some(SourceDeclaration::Mongodb(declaration)) = it.declaration else {
        let reason = "the plan does not say which server to restore to; `bkp restore --to FOLDER` needs none";
        return Err(bench(RESTORE, reason));
    };
    Access::of(it.host, declaration).map_err(|error| bench(KIND, error.to_string()))
}

impl Restorer for MongodbRestorer {
    fn begin<'a>(&self, bench: Bench<'a>) -> Result<Box<dyn Drill + 'a>, RestoreError> {
        Ok(Box::new(ServerDrill::begin(bench)?))
    }

    fn restore(&self, artifact: Artifact<'_>, target: &Target) -> Result<Option<Counts>, RestoreError> {
        let path = target.folder.join(format!("{}.{EXTENSION}", encode_name(artifact.member)));
        let trouble = |path: &Path| {
            let path = path.to_path_buf();
            move |error: io::Error| RestoreError::Target { path, error }
        };
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&target.folder);
        made.map_err(trouble(&target.folder))?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(trouble(&path))?;
        copy(artifact.member, artifact.body, &mut file, &path)?;
        file.sync_all().map_err(trouble(&path))?;
        Ok(None)
    }

    fn restore_live(
        &self,
        bench: Bench<'_>,
        artifact: Artifact<'_>,
        place: &LivePlace,
    ) -> Result<Counts, RestoreError> {
        match place {
            LivePlace::New(name) => {
                let place = Place::at(bench, declared(bench)?, name)?;
                place.prove_new()?;
                let counts = place.fill(artifact).inspect_err(|_| {
                    // The error that is already on its way says more than a second one would.
                    let _removed = place.remove();
                })?;
                Ok(counts)
            }
            LivePlace::Over(name) => replace::replace(bench, artifact, name),
        }
    }

    fn live_name(&self, declaration: &SourceDeclaration, name: &str) -> Option<String> {
        match declaration {
            SourceDeclaration::Mongodb(it) => Some(format!("{}/{name}", server_of(&it.url))),
            SourceDeclaration::Files(_)
            | SourceDeclaration::Sqlite(_)
            | SourceDeclaration::Postgres(_)
            | SourceDeclaration::Mysql(_)
            | SourceDeclaration::Redis(_)
            | SourceDeclaration::Qdrant(_)
            | SourceDeclaration::Command(_) => None,
        }
    }

    fn sweep(&self, bench: Bench<'_>, name: &str) -> Result<(), RestoreError> {
        drill::sweep(bench, name)
    }
}

/// Bytes moved at a time.
const BUFFER_BYTES: usize = 256 << 10;

fn copy(member: &str, body: &mut dyn Read, out: &mut File, path: &Path) -> Result<(), RestoreError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(RestoreError::Fetch { member: member.to_owned(), error }),
        };
        out.write_all(&buffer[..count])
            .map_err(|error| RestoreError::Target { path: path.to_path_buf(), error })?;
    }
}
