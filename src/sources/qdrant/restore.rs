//! An artifact back onto a server, or into a file that Qdrant's own commands take.
//!
//! Never here: a live collection is overwritten before the snapshot has come back beside it and was counted, or while
//! nothing holds what it was.

use super::aliases;
use super::api::Api;
use super::cluster::{self, api};
use super::drill::{QdrantDrill, bench_error, counted, declaration, recovered, unfit};
use super::http::authority;
use super::left::{remove_scratch, sweep};
use super::names::{ALIASES, DRILL_PREFIX};
use super::spool::{FILE_NAME, Spool, pour};
use crate::declared::SourceDeclaration;
use crate::format::{Counts, encode_name};
use crate::sources::{Artifact, Bench, Drill, LivePlace, RestoreError, Restorer, Target};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The artifact side of `qdrant`.
#[derive(Debug, Clone, Copy, Default)]
pub struct QdrantRestorer;

impl Restorer for QdrantRestorer {
    /// Aliases lead to collections, which come first.
    fn rank(&self, member: &str) -> u8 {
        u8::from(member == ALIASES)
    }

    fn begin<'a>(&self, bench: Bench<'a>) -> Result<Box<dyn Drill + 'a>, RestoreError> {
        Ok(Box::new(QdrantDrill::begin(bench)?))
    }

    fn restore(&self, artifact: Artifact<'_>, target: &Target) -> Result<Option<Counts>, RestoreError> {
        let is_aliases = artifact.member == ALIASES;
        let name = if is_aliases {
            "aliases.json".into()
        } else {
            format!("{}.snapshot", encode_name(artifact.member))
        };
        let path = target.folder.join(name);
        let folder = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&target.folder);
        folder.map_err(target_error(&target.folder))?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(target_error(&path))?;
        let outcome = if is_aliases {
            let read = aliases::read(artifact.member, artifact.body, None);
            read.and_then(|(bytes, counts)| {
                file.write_all(&bytes).map_err(target_error(&path)).map(|()| Some(counts))
            })
        } else {
            let mut write = |chunk: &[u8]| file.write_all(chunk).map_err(target_error(&path));
            pour(artifact.member, artifact.body, &mut write).map(|_| None)
        };
        let outcome = outcome.and_then(|counts| {
            file.sync_all().map_err(target_error(&path))?;
            sync_folder(&target.folder).map(|()| counts)
        });
        if outcome.is_err() {
            remove_partial(&path);
        }
        outcome
    }

    fn restore_live(
        &self,
        bench: Bench<'_>,
        mut artifact: Artifact<'_>,
        place: &LivePlace,
    ) -> Result<Counts, RestoreError> {
        let declaration = declaration(&bench)?;
        if artifact.member == ALIASES {
            let reason = "an alias may lead elsewhere by now: restore the list with `--to`, and give those that are wanted to \
                          `POST /collections/aliases`";
            return Err(RestoreError::NotByName { kind: "qdrant".into(), reason: reason.into() });
        }
        let trust = cluster::trust(bench.host, declaration).map_err(|error| bench_error(&error))?;
        let key = cluster::key(bench.host, declaration).map_err(|error| bench_error(&error))?;
        let server = api(&declaration.url, key, &trust).map_err(|error| bench_error(&error))?;
        if let Some(reason) = unfit(&server) {
            let fix =
                "restore it with `--to`, and upload each node's file to its node with `priority=snapshot`";
            return Err(bench_error(&format!("{reason}; {fix}")));
        }
        let told = |error: &dyn std::fmt::Display| bench_error(&format!("{}: {error}", server.url()));
        let expected = artifact.counts.clone();
        let spool = Spool::fill(&mut artifact, bench.folder)?;
        let there = server.collections().map_err(|error| told(&error))?;
        let known = server.aliases().map_err(|error| told(&error))?;
        match place {
            LivePlace::New(name) | LivePlace::Over(name) if known.iter().any(|it| it.alias_name == *name) => {
                Err(RestoreError::PlaceTaken { place: format!("alias {}/{name}", server.url()) })
            }
            LivePlace::New(name) if there.contains(name) => {
                Err(RestoreError::PlaceTaken { place: full_name(&declaration.url, name) })
            }
            LivePlace::New(name) => under_new_name(&server, name, &spool),
            LivePlace::Over(name) if !there.contains(name) => under_new_name(&server, name, &spool),
            LivePlace::Over(name) => {
                proven_beside(&bench, &server, (name, &expected), &spool)?;
                over(&server, name, &expected, &spool)
            }
        }
    }

    fn live_name(&self, declaration: &SourceDeclaration, name: &str) -> Option<String> {
        match declaration {
            SourceDeclaration::Qdrant(declaration) => Some(full_name(&declaration.url, name)),
            SourceDeclaration::Files(_)
            | SourceDeclaration::Sqlite(_)
            | SourceDeclaration::Postgres(_)
            | SourceDeclaration::Mysql(_)
            | SourceDeclaration::Mongodb(_)
            | SourceDeclaration::Redis(_)
            | SourceDeclaration::Command(_) => None,
        }
    }

    fn sweep(&self, bench: Bench<'_>, name: &str) -> Result<(), RestoreError> {
        sweep(bench.host, bench.folder, declaration(&bench)?, name)
    }
}

/// Such as `qdrant:127.0.0.1:6333/articles`.
fn full_name(url: &str, name: &str) -> String {
    let server = authority(url).map_or_else(|| url.to_owned(), |(host, port)| format!("{host}:{port}"));
    format!("qdrant:{server}/{name}")
}

/// The uploaded file stays on the server beside the collection; what it is good for is over.
fn without_upload(server: &Api, name: &str) -> Result<(), RestoreError> {
    server.delete_snapshot(name, FILE_NAME).map_err(|error| {
        bench_error(&format!(
            "{}: the uploaded file `{FILE_NAME}` of `{name}` is still there: {error}",
            server.url()
        ))
    })
}

/// A collection that is not there yet: what comes of it is ours, and goes again when it is not whole.
fn under_new_name(server: &Api, name: &str, spool: &Spool) -> Result<Counts, RestoreError> {
    let outcome = spool.upload(server, name).and_then(|()| counted(server, name));
    match outcome {
        Ok(counts) => without_upload(server, name).map(|()| counts),
        Err(error) => match remove_scratch(server, name) {
            Ok(()) => Err(error),
            Err(left) => Err(bench_error(&format!("{error}; and {left}"))),
        },
    }
}

/// Recovers the snapshot beside the live collection, and compares.
fn proven_beside(
    bench: &Bench<'_>,
    server: &Api,
    (name, expected): (&str, &Counts),
    spool: &Spool,
) -> Result<(), RestoreError> {
    let folder = bench.folder.file_name().map_or_else(String::new, |it| it.to_string_lossy().into_owned());
    let unique = folder.rsplit('.').next().unwrap_or_default();
    let beside = format!("{DRILL_PREFIX}{}-{unique}-live", bench.set);
    let outcome = recovered(bench, server, &beside, spool).and_then(|counts| same(name, expected, &counts));
    match (outcome, remove_scratch(server, &beside)) {
        (Ok(()), Ok(())) => Ok(()),
        (Ok(()), Err(left)) => Err(bench_error(&left)),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(left)) => Err(bench_error(&format!("{error}; and {left}"))),
    }
}

/// Compares what was counted exactly at backup time.
fn same(name: &str, expected: &Counts, found: &Counts) -> Result<(), RestoreError> {
    let known = found.0.iter().filter(|(key, _)| expected.0.contains_key(*key));
    let known = Counts(known.map(|(key, count)| (key.clone(), *count)).collect());
    let differences = expected.differences(&known);
    if differences.is_empty() {
        return Ok(());
    }
    Err(RestoreError::Differs { member: name.to_owned(), reason: differences.join("; ") })
}

/// Recovers over a live collection. What it was stays on the server as a snapshot until the new one was counted, and is
/// brought back when it does not come out equal.
fn over(server: &Api, name: &str, expected: &Counts, spool: &Spool) -> Result<Counts, RestoreError> {
    let told = |error: &dyn std::fmt::Display| bench_error(&format!("{}: {error}", server.url()));
    let there = server.snapshots(name).map_err(|error| told(&error))?;
    if there.iter().any(|it| it.name == FILE_NAME) {
        return Err(told(&format!(
            "`{name}` has a snapshot `{FILE_NAME}`, which an upload would overwrite: delete it first"
        )));
    }
    let before = server.create_snapshot(name).map_err(|error| told(&error))?;
    let outcome = spool.upload(server, name).and_then(|()| {
        let counts = counted(server, name)?;
        same(name, expected, &counts).map(|()| counts)
    });
    let error = match outcome {
        Ok(counts) => {
            without_upload(server, name)?;
            let snapshot = &before.name;
            let removed = server.delete_snapshot(name, snapshot);
            return removed.map(|()| counts).map_err(|error| {
                told(&format!(
                    "`{name}` is restored; what it was is still there as snapshot `{snapshot}`: {error}"
                ))
            });
        }
        Err(error) => error,
    };
    let back = brought_back(server, name, &before.name, before.size);
    let (snapshot, url) = (&before.name, server.url());
    Err(bench_error(&match back {
        Ok(()) => format!(
            "{error}; `{name}` is as it was, and that is also kept as its snapshot `{snapshot}` at {url}"
        ),
        Err(worse) => format!(
            "{error}; `{name}` could not be brought back ({worse}): recover it from its snapshot `{snapshot}` at {url}, with \
             PUT /collections/{name}/snapshots/recover"
        ),
    }))
}

fn brought_back(server: &Api, name: &str, snapshot: &str, bytes: u64) -> Result<(), String> {
    let (mut body, _) = server.download(name, snapshot).map_err(|error| error.to_string())?;
    server.upload(name, (FILE_NAME, None), bytes, &mut body).map_err(|error| error.to_string())?;
    server.delete_snapshot(name, FILE_NAME).map_err(|error| error.to_string())
}

fn target_error(path: &Path) -> impl FnOnce(io::Error) -> RestoreError + use<> {
    let path: PathBuf = path.to_path_buf();
    move |error| RestoreError::Target { path, error }
}

#[expect(clippy::disallowed_methods, reason = "a folder is opened to be synced")]
fn sync_folder(folder: &Path) -> Result<(), RestoreError> {
    File::open(folder).and_then(|it| it.sync_all()).map_err(target_error(folder))
}

#[expect(clippy::disallowed_methods, reason = "the file is bulk data that this module made a moment ago")]
fn remove_partial(path: &Path) {
    // The error that is already on its way says more than a second one would.
    let _gone = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_name_has_the_server_and_no_scheme() {
        assert_eq!(full_name("http://127.0.0.1:6333/", "a/b"), "qdrant:127.0.0.1:6333/a/b");
        assert_eq!(full_name("https://q.internal", "a"), "qdrant:q.internal:443/a");
    }

    #[test]
    fn only_what_was_counted_exactly_is_compared() {
        let counts =
            |pairs: &[(&str, u64)]| Counts(pairs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect());
        let found = counts(&[("points", 3), ("vectors", 1)]);
        assert!(same("a", &counts(&[("vectors", 1)]), &found).is_ok());
        assert!(same("a", &counts(&[("points", 4)]), &found).is_err());
        assert!(same("a", &counts(&[("shards", 1)]), &found).is_err());
    }
}
