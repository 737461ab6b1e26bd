//! The commit: the manifest, written last.
//!
//! A manifest must never say more than was proven. So it is built here, from receipts alone, for the destination that
//! gave them, and only while every object lies there with its size.

use super::error::StoreError;
use super::object::{sidecar, store_bytes};
use super::receipt::Receipt;
use crate::declared::{PlanName, SetName};
use crate::destinations::Destination;
use crate::encryption::Sealer;
use crate::format::{
    Details, Digest, EncryptionKind, FailedMember, IndexObject, Layout, Manifest, ManifestEncryption,
    ManifestMember, SnapshotId, SourceIdentity, Trigger,
};
use crate::host::Host;
use crate::sources::Complete;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What a manifest says besides what is proven here. The fields are the manifest's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestDraft {
    /// The plan that owns the set.
    pub plan: PlanName,
    /// The set.
    pub set: SetName,
    /// Digest of the set as declared.
    pub set_digest: Digest,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// When the run began.
    pub started_at: Timestamp,
    /// Why the run was made.
    pub trigger: Trigger,
    /// The source's type.
    pub source: String,
    /// What the source's paths were mounted from.
    pub identity: Vec<SourceIdentity>,
    /// The members that are not here; any makes the snapshot incomplete.
    pub failed: Vec<FailedMember>,
    /// Digest of the manifest before it at this destination.
    pub previous: Option<Digest>,
}

/// A member whose artifact is proven at one destination.
#[derive(Debug)]
pub struct ProvenMember {
    receipt: Receipt,
    member: ManifestMember,
}

impl ProvenMember {
    /// Joins the source's proof and the destination's. `object` is the artifact's name in the manifest, `index` what
    /// [`super::store_index`] stored beside the artifact.
    pub fn new(
        complete: &Complete,
        receipt: Receipt,
        (name, object): (String, String),
        read_at: Timestamp,
        index: Option<IndexObject>,
    ) -> Self {
        let member = ManifestMember {
            name,
            object,
            plain: Some(*receipt.plain()),
            stored: *receipt.stored(),
            compression: receipt.packing().compression,
            read_at,
            read_back_at: receipt.read_back_at(),
            counts: complete.counts().clone(),
            bounds: complete.bounds().clone(),
            warnings: complete.warnings().to_vec(),
            index,
        };
        Self { receipt, member }
    }

    /// Joins the receipt of a copy with what the manifest that it was copied under says of the source.
    pub fn copied(
        receipt: Receipt,
        original: &ManifestMember,
        object: String,
        index: Option<IndexObject>,
    ) -> Self {
        let member = ManifestMember {
            object,
            plain: Some(*receipt.plain()),
            stored: *receipt.stored(),
            compression: receipt.packing().compression,
            read_back_at: receipt.read_back_at(),
            index,
            ..original.clone()
        };
        Self { receipt, member }
    }
}

/// Proof that a snapshot was committed: its manifest was written last, and came back as it was. Only [`seal`] makes
/// one:
///
/// ```
/// fn look(sealed: &bkp::pipeline::Sealed) -> (&bkp::format::Manifest, bkp::format::Digest) {
///     (sealed.manifest(), sealed.digest())
/// }
/// ```
///
/// ```compile_fail
/// fn forge(manifest: bkp::format::Manifest, digest: bkp::format::Digest) -> bkp::pipeline::Sealed {
///     bkp::pipeline::Sealed { manifest, digest }
/// }
/// ```
#[derive(Debug)]
pub struct Sealed {
    manifest: Manifest,
    digest: Digest,
}

impl Sealed {
    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest's bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// Makes the artifacts at a destination a snapshot: writes the manifest's sidecar, then the manifest, and reads both
/// back. What must not be read by everybody goes into details that are encrypted as the artifacts are. Refuses what is not
/// proven for this destination and this snapshot.
pub fn seal(
    host: &dyn Host,
    target: &dyn Destination,
    layout: &Layout,
    draft: ManifestDraft,
    proven: Vec<ProvenMember>,
) -> Result<Sealed, StoreError> {
    let sealer = proven.first().and_then(|it| it.receipt.packing().sealer.clone());
    for member in &proven {
        check_receipt(target, layout, &draft, member)?;
        if member.receipt.packing().sealer != sealer {
            return unproven("its members are not encrypted for the same recipients".to_owned());
        }
    }
    let manifest = manifest(host, layout, draft, proven);
    check_names(&manifest)?;
    check_objects(target, layout, &manifest)?;
    let written = match &sealer {
        None => manifest.clone(),
        Some(sealer) => concealed(host, target, layout, sealer, manifest.clone())?,
    };
    let bytes = written.render();
    let digest = Digest::of(&bytes);
    let key = layout.manifest(&manifest.set, &manifest.snapshot);
    store_bytes(host, target, &key.with_suffix(Layout::SIDECAR), &sidecar(key.file_name(), &digest))?;
    store_bytes(host, target, &key, &bytes)?;
    let manifest = Manifest { encryption: written.encryption, ..manifest };
    Ok(Sealed { manifest, digest })
}

/// Stores what only who can open it may know, and gives what everybody may.
fn concealed(
    host: &dyn Host,
    target: &dyn Destination,
    layout: &Layout,
    sealer: &Sealer,
    mut manifest: Manifest,
) -> Result<Manifest, StoreError> {
    let object = Details::OBJECT;
    let key = layout.artifact(&manifest.set, &manifest.snapshot, object);
    let details = Details::taken_from(&mut manifest);
    let bytes = sealer.seal_bytes(&details.render());
    let bytes = bytes.map_err(|error| StoreError::Encrypt { key: key.clone(), error })?;
    let stored = store_bytes(host, target, &key, &bytes)?;
    store_bytes(host, target, &key.with_suffix(Layout::SIDECAR), &sidecar(object, &stored.sha256))?;
    manifest.encryption = Some(ManifestEncryption {
        kind: EncryptionKind::Age,
        recipients: sealer.recipients().to_vec(),
        details: IndexObject { object: object.to_owned(), stored },
    });
    Ok(manifest)
}

fn unproven<T>(reason: String) -> Result<T, StoreError> {
    Err(StoreError::Unproven { reason })
}

/// The receipt must be of this destination and of an artifact of this snapshot.
fn check_receipt(
    target: &dyn Destination,
    layout: &Layout,
    draft: &ManifestDraft,
    ProvenMember { receipt, member }: &ProvenMember,
) -> Result<(), StoreError> {
    let name = &member.name;
    if receipt.location() != target.location() {
        return unproven(format!("the receipt of `{name}` is of `{}`", receipt.location()));
    }
    if layout.artifact(&draft.set, &draft.snapshot, &member.object) != *receipt.key() {
        return unproven(format!("the receipt of `{name}` is of another snapshot, `{}`", receipt.key()));
    }
    Ok(())
}

fn manifest(host: &dyn Host, layout: &Layout, draft: ManifestDraft, proven: Vec<ProvenMember>) -> Manifest {
    let mut members: Vec<ManifestMember> = proven.into_iter().map(|proven| proven.member).collect();
    members.sort_by(|one, other| one.name.cmp(&other.name));
    Manifest {
        format: Manifest::FORMAT,
        bkp_version: env!("CARGO_PKG_VERSION").to_owned(),
        node: layout.node().clone(),
        plan: draft.plan,
        set: draft.set,
        set_digest: draft.set_digest,
        snapshot: draft.snapshot,
        started_at: draft.started_at,
        finished_at: host.now(),
        trigger: draft.trigger,
        source: draft.source,
        identity: draft.identity,
        encryption: None,
        complete: draft.failed.is_empty(),
        members,
        failed: draft.failed,
        previous: draft.previous,
    }
}

/// A snapshot has members, and no member or object twice.
fn check_names(manifest: &Manifest) -> Result<(), StoreError> {
    if manifest.members.is_empty() {
        return unproven("no member is proven".to_owned());
    }
    let mut seen = BTreeSet::new();
    let present = manifest.members.iter().map(|member| &member.name);
    if let Some(twice) =
        present.chain(manifest.failed.iter().map(|failed| &failed.name)).find(|name| !seen.insert(*name))
    {
        return unproven(format!("the member `{twice}` is there twice"));
    }
    let mut seen = BTreeSet::new();
    if let Some((twice, _)) = manifest.objects().find(|(object, _)| !seen.insert(*object)) {
        return unproven(format!("the object `{twice}` is there twice"));
    }
    Ok(())
}

/// Every object that the manifest names, indexes too, lies at the destination with its size.
fn check_objects(target: &dyn Destination, layout: &Layout, manifest: &Manifest) -> Result<(), StoreError> {
    let prefix = layout.snapshot(&manifest.set, &manifest.snapshot);
    let listed = target.list(&prefix).map_err(StoreError::Destination)?;
    let sizes: BTreeMap<_, _> = listed.iter().map(|object| (&object.key, object.size_bytes)).collect();
    for (object, stored) in manifest.objects() {
        let key = layout.artifact(&manifest.set, &manifest.snapshot, object);
        // What lies elsewhere is in no listing of the snapshot's folder.
        let found = if object.starts_with('/') {
            target.size(&key).map_err(StoreError::Destination)?
        } else {
            sizes.get(&key).copied()
        };
        match found {
            Some(found) if found == stored.bytes => {}
            Some(found) => {
                return unproven(format!(
                    "`{object}` has {found} bytes at the destination, not {}",
                    stored.bytes
                ));
            }
            None => return unproven(format!("`{object}` is not at the destination")),
        }
    }
    Ok(())
}
