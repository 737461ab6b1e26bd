//! An output back: to a program that judges it, or as a file.
//!
//! Never here: a program that ended well is believed although it did not take everything. Without a program a drill
//! proves that the bytes come back, and not what they mean.

use super::mark::Tail;
use super::{BYTES, program};
use crate::declared::{CommandDeclaration, SourceDeclaration};
use crate::format::{Counts, encode_name};
use crate::host::{FeedError, feed_all, pulse};
use crate::sources::{Artifact, Bench, Drill, LivePlace, RestoreError, Restorer, Target};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// What a restored output is called behind its member's name: a bare machine does not know better.
const EXTENSION: &str = "out";
/// Longest that a drill's program may take nothing, and longest from its last byte to its end.
const DRILL_PATIENCE: Duration = Duration::from_hours(1);
/// What shells say of a program that they cannot run or find (POSIX, "Exit Status for Commands").
const NOT_RUN: [i32; 2] = [126, 127];

/// The artifact side of `command`.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::sources) struct CommandRestorer;

impl Restorer for CommandRestorer {
    fn begin<'a>(&self, bench: Bench<'a>) -> Result<Box<dyn Drill + 'a>, RestoreError> {
        Ok(Box::new(CommandDrill { bench }))
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
        written.map(Some)
    }

    fn restore_live(&self, bench: Bench<'_>, _: Artifact<'_>, _: &LivePlace) -> Result<Counts, RestoreError> {
        let reason = format!(
            "bkp knows no program that takes it back; feed it to yours: `bkp restore {} --stdout | PROGRAM`",
            bench.set
        );
        Err(RestoreError::NotByName { kind: "command".into(), reason })
    }
}

struct CommandDrill<'a> {
    bench: Bench<'a>,
}

impl CommandDrill<'_> {
    fn declaration(&self) -> Option<&CommandDeclaration> {
        match self.bench.declaration {
            Some(SourceDeclaration::Command(declaration)) => Some(declaration),
            // On a bare machine, and for a set that is something else by now.
            Some(_) | None => None,
        }
    }
}

impl Drill for CommandDrill<'_> {
    fn member(&mut self, artifact: Artifact<'_>, scratch: &Path) -> Result<Counts, RestoreError> {
        let declaration = self.declaration();
        let mut passing = Passing { body: artifact.body, tail: Tail::default() };
        match declaration.and_then(|it| it.drill.as_deref()) {
            Some(argv) => judge(self.bench, argv, artifact.member, &mut passing, scratch)?,
            None => drop(drain(artifact.member, &mut passing)?),
        }
        // The mark was seen when the backup was made; one that is declared since then is not the artifact's fault.
        if let Some(mark) =
            declaration.and_then(|it| it.end_mark.as_deref()).filter(|it| !passing.tail.has(it))
        {
            let reason = format!(
                "the end mark `{mark}` that the set declares now is not in this artifact's last lines"
            );
            return Err(RestoreError::Bench { tool: "end mark".into(), reason });
        }
        Ok(Counts([(BYTES.to_owned(), passing.tail.bytes)].into()))
    }
}

/// An artifact whose end is kept as it passes.
struct Passing<'a> {
    body: &'a mut dyn Read,
    tail: Tail,
}

impl Read for Passing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        self.tail.push(&buffer[..count]);
        Ok(count)
    }
}

/// Gives the artifact to the program that the set names, in an empty folder and with nothing else.
fn judge(
    bench: Bench<'_>,
    argv: &[String],
    member: &str,
    body: &mut Passing<'_>,
    scratch: &Path,
) -> Result<(), RestoreError> {
    let tool = argv.first().cloned().unwrap_or_default();
    let not_judged = |reason: String| RestoreError::Bench { tool: tool.clone(), reason };
    let disproven = |reason: String| RestoreError::Differs {
        member: member.to_owned(),
        reason: format!("`{tool}`: {reason}"),
    };
    let variables = BTreeMap::from([
        ("BKP_SET".to_owned(), bench.set.as_str().into()),
        ("BKP_MEMBER".to_owned(), member.into()),
        ("TMPDIR".to_owned(), scratch.into()),
    ]);
    let mut command =
        program(bench.host, argv, scratch, variables).map_err(|error| not_judged(error.to_string()))?;
    command.directory = Some(scratch.to_path_buf());
    command.time_limit = DRILL_PATIENCE;
    let fed = {
        let _it_has_its_own_limit = pulse::Excuse::begin();
        feed_all(&command, body).map_err(|error| match error {
            FeedError::Body(error) => RestoreError::Fetch { member: member.to_owned(), error },
            FeedError::Pipe(error) => not_judged(error.to_string()),
        })?
    };
    let output = &fed.output;
    match output.status {
        Some(0) if !fed.to_end || fed.left_bytes > 0 => Err(disproven(format!(
            "it ended with status 0 and did not take everything ({} bytes taken): it has not seen the whole",
            fed.given_bytes - fed.left_bytes
        ))),
        Some(0) => Ok(()),
        Some(status) if !NOT_RUN.contains(&status) => Err(disproven(output.explain())),
        Some(_) | None => Err(not_judged(output.explain())),
    }
}

fn drain(member: &str, body: &mut dyn Read) -> Result<u64, RestoreError> {
    let fetch = |error| RestoreError::Fetch { member: member.to_owned(), error };
    io::copy(body, &mut io::sink()).map_err(fetch)
}

fn target_error(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_path_buf();
    move |error| RestoreError::Target { path, error }
}

fn write(member: &str, body: &mut dyn Read, path: &Path) -> Result<Counts, RestoreError> {
    let out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut out = out.map_err(target_error(path))?;
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0_u64;
    loop {
        match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                out.write_all(&buffer[..count]).map_err(target_error(path))?;
                pulse::beat();
                bytes += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(RestoreError::Fetch { member: member.to_owned(), error }),
        }
    }
    out.sync_all().map_err(target_error(path))?;
    Ok(Counts([(BYTES.to_owned(), bytes)].into()))
}

#[expect(clippy::disallowed_methods, reason = "the file is bulk data that this module made a moment ago")]
fn remove_partial(path: &Path) {
    // The error that is already on its way says more than a second one would.
    let _gone = std::fs::remove_file(path);
}
