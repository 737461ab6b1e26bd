//! Small objects beside the artifacts: sidecars, proofs, plan copies, and the index of a member's entries.

use super::error::StoreError;
use super::packing::Packing;
use super::read_back::read_back;
use super::receipt::Receipt;
use super::relay::relay;
use super::store::{Flow, Lane, Track, flow};
use super::tally::Tally;
use crate::declared::Compression;
use crate::destinations::Destination;
use crate::encryption::Sealer;
use crate::format::{Digest, Key, ManifestMember, StoredSize};
use crate::host::Host;
use std::path::Path;

/// The content of a file that `sha256sum -c` reads, for a file beside it.
pub fn sidecar(file_name: &str, digest: &Digest) -> Vec<u8> {
    format!("{digest}  {file_name}\n").into_bytes()
}

/// Stores bytes that are in memory, and reads them back. What does not come back as it was is removed again, as far
/// as the destination lets us.
pub fn store_bytes(
    _host: &dyn Host,
    target: &dyn Destination,
    key: &Key,
    bytes: &[u8],
) -> Result<StoredSize, StoreError> {
    target.put_new(key, &mut &*bytes).map_err(StoreError::Destination)?;
    let stored = Tally::of(bytes);
    read_back(target, key, &stored).map_err(StoreError::ReadBack).inspect_err(|error| {
        remove_unproven(target, key, error);
    })?;
    Ok(stored)
}

/// Stores a file of the scratch folder, compressed with zstd and encrypted for whom the artifacts are, and reads it back;
/// gives the sum of the stored bytes.
pub fn store_index(
    host: &dyn Host,
    target: &dyn Destination,
    key: &Key,
    file: &Path,
    sealer: Option<&Sealer>,
) -> Result<StoredSize, StoreError> {
    let failed = |error| StoreError::File { path: file.to_owned(), error };
    #[expect(clippy::disallowed_methods, reason = "an index can be large and is streamed")]
    let stream = std::fs::File::open(file).map_err(failed)?;
    let packing = Packing { compression: Compression::Zstd, sealer: sealer.cloned() };
    let track = Track { packing: &packing, target, key };
    let Flow { outcome, mut receipts, .. } = flow(host, stream, |_| Ok(()), &[track], &|_| (), &|| false);
    let receipt = receipts.pop().unwrap_or(Err(StoreError::NoDestinationLeft));
    match (receipt, outcome) {
        (Ok(receipt), Ok(())) => Ok(*receipt.stored()),
        (_, Err(StoreError::SourceRead { error })) => Err(failed(error)),
        (Err(error), _) | (Ok(_), Err(error)) => {
            remove_unproven(target, key, &error);
            Err(error)
        }
    }
}

/// Copies an artifact from one destination to another as it is stored, and reads it back there.
pub fn copy_artifact(
    host: &dyn Host,
    (from, from_key): (&dyn Destination, &Key),
    to: &Lane<'_>,
    member: &ManifestMember,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Receipt, StoreError> {
    let plain = member.plain.ok_or_else(|| StoreError::Unproven {
        reason: format!("`{}` is encrypted, and what it was made of is not known here", member.object),
    })?;
    relay((from, from_key), (to.target, &to.key), &member.stored, cancelled)?;
    let track = Track { packing: &to.packing, target: to.target, key: &to.key };
    Receipt::prove(host, &track, plain, member.stored, cancelled).inspect_err(|error| {
        remove_unproven(to.target, &to.key, error);
    })
}

/// Copies any other object of a snapshot as it is stored, and reads it back there.
pub fn copy_object(
    from: (&dyn Destination, &Key),
    (to, to_key): (&dyn Destination, &Key),
    expected: &StoredSize,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), StoreError> {
    relay(from, (to, to_key), expected, cancelled)?;
    read_back(to, to_key, expected).map_err(StoreError::ReadBack).inspect_err(|error| {
        remove_unproven(to, to_key, error);
    })
}

/// Removes what was stored and did not come back as it was, or was not waited for, as far as the destination lets us.
fn remove_unproven(target: &dyn Destination, key: &Key, error: &StoreError) {
    if matches!(error, StoreError::ReadBack(_) | StoreError::Cancelled) {
        let _best_effort = target.delete(key);
    }
}
