//! Snapshots recovered into scratch collections, counted, and removed again.
//!
//! Never here: a scratch collection inside a cluster, one that existed before, one that no trace speaks of, or one that
//! is left behind without a word.

use super::aliases;
use super::api::{Api, Membership};
use super::cluster::{self, api};
use super::left::{Left, remove_scratch, write_down};
use super::names::{DRILL_PREFIX, Part};
use super::spool::Spool;
use crate::declared::{QdrantDeclaration, SourceDeclaration};
use crate::format::Counts;
use crate::host::{Host, pulse};
use crate::secrets::{self, Secret};
use crate::sources::{Artifact, Bench, Drill, RestoreError, SourceError};
use std::collections::BTreeSet;
use std::path::Path;

/// The key of the server that drills restore to.
pub(super) fn key(host: &dyn Host, declaration: &QdrantDeclaration) -> Result<Option<Secret>, SourceError> {
    let key = declaration.drill_api_key.as_ref();
    Ok(key.map(|key| secrets::resolve(host, "drill_api_key", key)).transpose()?)
}

/// The server that drills restore to.
pub(super) fn server(host: &dyn Host, declaration: &QdrantDeclaration) -> Result<Api, SourceError> {
    let trust = cluster::trust(host, declaration)?;
    match &declaration.drill_url {
        Some(url) => api(url, key(host, declaration)?, &trust),
        None => api(&declaration.url, cluster::key(host, declaration)?, &trust),
    }
}

pub(super) fn bench_error(error: &dyn std::fmt::Display) -> RestoreError {
    RestoreError::Bench { tool: "qdrant".into(), reason: error.to_string() }
}

/// The declaration of a bench; a bare machine has none.
pub(super) fn declaration<'a>(bench: &Bench<'a>) -> Result<&'a QdrantDeclaration, RestoreError> {
    match bench.declaration {
        Some(SourceDeclaration::Qdrant(declaration)) => Ok(declaration),
        Some(_) | None => Err(bench_error(
            &"a snapshot is proven by a server, and no plan names one here; restore it into a folder with `--to`",
        )),
    }
}

/// Why a server cannot be recovered to; none where it can.
pub(super) fn unfit(server: &Api) -> Option<String> {
    match server.membership() {
        Ok(Membership::Alone) => {}
        Ok(Membership::Peer { peers, .. }) if peers.len() == 1 => {}
        Ok(Membership::Peer { peers, .. }) => {
            return Some(format!(
                "{} is one of {} peers of a cluster, and a snapshot of one node is not restored inside one",
                server.url(),
                peers.len()
            ));
        }
        Err(error) => return Some(format!("{}: {error}", server.url())),
    }
    match server.may_manage() {
        Ok(true) => None,
        Ok(false) => Some(format!("{}: the API key lacks the global manage right", server.url())),
        Err(error) => Some(format!("{}: {error}", server.url())),
    }
}

/// A drill on one server.
pub(super) struct QdrantDrill<'a> {
    bench: Bench<'a>,
    server: Api,
    made: u32,
    collections: BTreeSet<String>,
}

impl<'a> QdrantDrill<'a> {
    /// Asks the server whether it can be drilled on.
    pub(super) fn begin(bench: Bench<'a>) -> Result<Self, RestoreError> {
        let server = server(bench.host, declaration(&bench)?).map_err(|error| bench_error(&error))?;
        if let Some(reason) = unfit(&server) {
            let fix = "; name another server with `drill_url`";
            return Err(bench_error(&format!("{reason}{fix}")));
        }
        Ok(Self { bench, server, made: 0, collections: BTreeSet::new() })
    }

    /// A name that is this drill's alone: its folder's name is.
    fn scratch_name(&mut self) -> String {
        self.made += 1;
        let folder =
            self.bench.folder.file_name().map_or_else(String::new, |it| it.to_string_lossy().into_owned());
        let unique = folder.rsplit('.').next().unwrap_or_default();
        format!("{DRILL_PREFIX}{}-{unique}-{}", self.bench.set, self.made)
    }
}

impl Drill for QdrantDrill<'_> {
    fn member(&mut self, mut artifact: Artifact<'_>, scratch: &Path) -> Result<Counts, RestoreError> {
        let member = artifact.member.to_owned();
        let collection = match Part::of(&member, true) {
            Part::Aliases => return aliases::counted(&member, artifact.body, Some(&self.collections)),
            Part::Collection(name) | Part::OnPeer(name, _) => name,
        };
        let spool = Spool::fill(&mut artifact, scratch)?;
        let name = self.scratch_name();
        let recovered = recovered(&self.bench, &self.server, &name, &spool);
        let removed = remove_scratch(&self.server, &name);
        let counts = match (recovered, removed) {
            (Ok(counts), Ok(())) => counts,
            (Ok(_), Err(left)) => return Err(bench_error(&left)),
            (Err(error), Ok(())) => return Err(error),
            (Err(error), Err(left)) => return Err(bench_error(&format!("{error}; and {left}"))),
        };
        self.collections.extend([collection, member]);
        Ok(counts)
    }
}

/// Recovers a snapshot into a collection that does not exist yet, and counts it.
pub(super) fn recovered(
    bench: &Bench<'_>,
    server: &Api,
    name: &str,
    spool: &Spool,
) -> Result<Counts, RestoreError> {
    let told = |error: &dyn std::fmt::Display| bench_error(&format!("{}: {error}", server.url()));
    if server.collections().map_err(|error| told(&error))?.contains(name) {
        return Err(RestoreError::PlaceTaken { place: format!("{}/collections/{name}", server.url()) });
    }
    let left = Left::Scratch { server: server.url().to_owned(), collection: name.to_owned() };
    write_down(bench.host, bench.folder, &left).map_err(|error| told(&error))?;
    spool.upload(server, name)?;
    counted(server, name)
}

/// Counts a collection with the keys of backup time.
pub(super) fn counted(server: &Api, name: &str) -> Result<Counts, RestoreError> {
    let _gives_no_sign = pulse::Excuse::begin();
    let told = |error: &dyn std::fmt::Display| bench_error(&format!("{}: {error}", server.url()));
    let shape = server.shape(name).map_err(|error| told(&error))?;
    if shape.status == "red" {
        let reason = "the collection is red after its recovery".to_owned();
        return Err(RestoreError::Differs { member: name.to_owned(), reason });
    }
    let points = server.points(name).map_err(|error| told(&error))?;
    Ok(Counts(
        [
            ("points".to_owned(), points),
            ("vectors".to_owned(), shape.vectors),
            ("payload-indexes".to_owned(), shape.payload_indexes),
        ]
        .into(),
    ))
}
