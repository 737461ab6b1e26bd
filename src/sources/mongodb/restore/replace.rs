//! A database replaced by what an archive holds.
//!
//! The new data is restored beside the old and counted first; then each collection takes the place of its namesake in
//! one step of the server's (`renameCollection` with `dropTarget`). So never here: old data removed before the new is
//! complete and counted.

use super::place::Place;
use super::{KIND, declared};
use crate::format::Counts;
use crate::sources::mongodb::archive::CollectionKind;
use crate::sources::mongodb::catalogue::Collection;
use crate::sources::mongodb::connection::{ANSWER, ConnectionError, WORK};
use crate::sources::mongodb::counts;
use crate::sources::{Artifact, Bench, RestoreError};
use mongodb::bson::{Document, doc};

/// What the database beside is called, after the name of the old one.
const BESIDE: &str = "_bkp_new";

/// Replaces the database `name` of the declared server.
pub(super) fn replace(bench: Bench<'_>, artifact: Artifact<'_>, name: &str) -> Result<Counts, RestoreError> {
    let not_by_name = |reason: &str| RestoreError::NotByName { kind: KIND.into(), reason: reason.into() };
    if name == "admin" || artifact.member == "admin" {
        return Err(not_by_name(
            "users and roles are merged, not replaced: restore it into a folder with `--to`, then `mongorestore \
             --archive=admin.archive`",
        ));
    }
    if artifact.counts.0.get("time series").is_some_and(|count| *count > 0) {
        return Err(not_by_name(
            "the server cannot rename a time series: restore it beside with `--as`, and drop the old database",
        ));
    }
    let beside = Place::at(bench, declared(bench)?, &format!("{name}{BESIDE}"))?;
    beside.prove_new()?;
    let at_backup = artifact.counts.clone();
    let member = artifact.member.to_owned();
    let filled = beside.fill(artifact).and_then(|counts| {
        let differences = at_backup.differences(&counts);
        if differences.is_empty() {
            return Ok(counts);
        }
        Err(RestoreError::Differs { member, reason: differences.join("; ") })
    });
    if let Err(error) = filled {
        // The error that is already on its way says more than a second one would.
        let _removed = beside.remove();
        return Err(error);
    }
    // From here on what is beside is not removed on an error: it is all that the live database is still to get.
    swap(&beside, name).map_err(|error| beside.refused(&error))?;
    beside.remove()?;
    counts::of_server(&beside.connection, name, ToOwned::to_owned).map_err(|error| beside.refused(&error))
}

fn swap(beside: &Place, name: &str) -> Result<(), ConnectionError> {
    let connection = &beside.connection;
    let new = connection.collections(&beside.database)?;
    let old = connection.collections(name)?;
    let drop = |collection: &str| connection.command(name, doc! { "drop": collection }, ANSWER);
    for collection in old.iter().filter(|(_, it)| it.kind == CollectionKind::View).map(|(name, _)| name) {
        drop(collection)?;
    }
    for collection in new.iter().filter(|(_, it)| it.kind == CollectionKind::Plain).map(|(name, _)| name) {
        let rename = doc! {
            "renameCollection": format!("{}.{collection}", beside.database),
            "to": format!("{name}.{collection}"),
            "dropTarget": true,
        };
        connection.command("admin", rename, WORK)?;
    }
    for (collection, it) in new.iter().filter(|(_, it)| it.kind == CollectionKind::View) {
        connection.command(name, create_view(collection, it), ANSWER)?;
    }
    let gone = old
        .iter()
        .filter(|(collection, it)| it.kind != CollectionKind::View && !new.contains_key(*collection));
    for (collection, _) in gone {
        drop(collection)?;
    }
    Ok(())
}

fn create_view(name: &str, view: &Collection) -> Document {
    let mut command = doc! { "create": name };
    command.extend(view.options.clone());
    command
}
