//! A dump back: into a server of a drill's own, or as the file that a server starts from.
//!
//! Never here: a server that is up is never written to, and a file is never called restored before it was read to its
//! end mark.

use super::EXTENSION;
use super::rdb::{self, Census};
use super::scratch_server::{FILE, PACKAGE, Program, ScratchServer, TOOLS, search_path};
use super::stream::chain;
use crate::declared::SourceDeclaration;
use crate::format::{Counts, encode_name};
use crate::host::pulse;
use crate::sources::{Artifact, Bench, Drill, LivePlace, RestoreError, Restorer, Target};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The artifact side of `redis`.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::sources) struct RedisRestorer;

impl Restorer for RedisRestorer {
    fn begin<'a>(&self, bench: Bench<'a>) -> Result<Box<dyn Drill + 'a>, RestoreError> {
        let search_path = search_path(bench);
        if TOOLS.iter().any(|tool| bench.host.find_tool(tool, &search_path).is_some()) {
            return Ok(Box::new(RedisDrill { bench }));
        }
        let reason =
            format!("it is not in {search_path}; install {PACKAGE}, or name its folder with `tools:`");
        Err(RestoreError::Bench { tool: TOOLS.join("` or `"), reason })
    }

    fn restore(&self, artifact: Artifact<'_>, target: &Target) -> Result<Option<Counts>, RestoreError> {
        let folder = &target.folder;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(target_error(folder))?;
        let path = folder.join(format!("{}.{EXTENSION}", encode_name(artifact.member)));
        let written = write(artifact.member, artifact.body, &path);
        if written.is_err() {
            remove_partial(&path);
        }
        written.map(|census| Some(census.everything()))
    }

    fn restore_live(
        &self,
        _: Bench<'_>,
        artifact: Artifact<'_>,
        _: &LivePlace,
    ) -> Result<Counts, RestoreError> {
        let file = format!("{}.{EXTENSION}", encode_name(artifact.member));
        let reason = format!(
            "a server takes a dump only when it starts. Restore it with `--to FOLDER`; stop the server; put {file} in its \
             `dir` under its `dbfilename`, owned by its user; start it once with `appendonly no` (with `appendonly yes` \
             it would start EMPTY), and only then `CONFIG SET appendonly yes`"
        );
        Err(RestoreError::NotByName { kind: "redis".into(), reason })
    }

    fn live_name(&self, _: &SourceDeclaration, _: &str) -> Option<String> {
        None
    }
}

struct RedisDrill<'a> {
    bench: Bench<'a>,
}

impl Drill for RedisDrill<'_> {
    fn member(&mut self, artifact: Artifact<'_>, scratch: &Path) -> Result<Counts, RestoreError> {
        let member = artifact.member;
        let census = write(member, artifact.body, &scratch.join(FILE))?;
        let program = Program::find(self.bench, census.dialect)?;
        let server = ScratchServer::load(self.bench, &program, scratch, member, &census)?;
        let mut counts = server.info.counts();
        // A database whose every key has expired is not listed any more.
        for name in census.everything().0.into_keys() {
            counts.0.entry(name).or_insert(0);
        }
        Ok(counts)
    }
}

fn target_error(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_path_buf();
    move |error| RestoreError::Target { path, error }
}

/// The artifact on its way to a file.
struct Tee<'a> {
    body: &'a mut dyn Read,
    file: File,
    /// What went wrong with the file, which is not the artifact's fault.
    file_error: Option<io::Error>,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        pulse::beat();
        if let Err(error) = self.file.write_all(&buffer[..count]) {
            self.file_error = Some(error);
            return Err(io::Error::other("the file could not be written"));
        }
        Ok(count)
    }
}

/// Writes the artifact to a file that is not there yet, and reads it by its grammar.
fn write(member: &str, body: &mut dyn Read, path: &Path) -> Result<Census, RestoreError> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(target_error(path))?;
    let mut tee = Tee { body, file, file_error: None };
    let census = rdb::read(&mut tee);
    if let Some(error) = tee.file_error {
        return Err(target_error(path)(error));
    }
    let census = census.map_err(|error| match error {
        rdb::RdbError::Read(error) => RestoreError::Fetch { member: member.to_owned(), error },
        error => RestoreError::Damaged { member: member.to_owned(), reason: chain(&error) },
    })?;
    tee.file.sync_all().map_err(target_error(path))?;
    Ok(census)
}

#[expect(clippy::disallowed_methods, reason = "the file is bulk data that this module made a moment ago")]
fn remove_partial(path: &Path) {
    // The error that is already on its way says more than a second one would.
    let _gone = std::fs::remove_file(path);
}
