//! A set's snapshots at a destination: their names, manifests, objects and proofs.

use super::keyring::Keyring;
use crate::declared::{DestinationDeclaration, DestinationName, LayoutTemplate, NodeName, Plan, SetName};
use crate::destinations::{self, Access, Destination, DestinationError};
use crate::diagnostic::Diagnostic;
use crate::format::{Details, Digest, Layout, Level, Manifest, ManifestError, ProofRecord, SnapshotId};
use crate::host::Host;
use crate::observed::{ObjectsState, SealedFacts, SnapshotFacts, SnapshotState};
use crate::pipeline;
use std::collections::BTreeMap;
use std::io::Read;

/// The largest manifest or proof that is read, in bytes: a safeguard, not a format's limit.
const SMALL_OBJECT_BYTES_MAX: u64 = 64 << 20;

/// A destination, opened for one host's keys.
pub struct Site {
    /// Its name.
    pub name: DestinationName,
    /// The destination.
    pub target: Box<dyn Destination>,
    /// Where this host's objects lie.
    pub layout: Layout,
    /// What its artifacts are encrypted for, and what opens them.
    pub keys: Keyring,
    /// Whether what lies there must be encrypted.
    pub encrypted: bool,
    /// Where its artifacts lie, when not beside their manifest.
    pub template: Option<LayoutTemplate>,
}

/// One snapshot at one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Its name.
    pub id: SnapshotId,
    /// The set under whose name it lies.
    pub stored_as: SetName,
}

/// Snapshots before the newest complete one that are looked into, at most, for the last drill.
const LOOK_BACK_MAX: usize = 50;

/// How far a snapshot is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Its manifest.
    Manifest,
    /// Its manifest, its objects' sizes, and its proofs.
    Objects,
}

/// The host's name in keys: the plan's `node`, else the first label of the host's name.
pub fn node_of(host: &dyn Host, plan: &Plan) -> NodeName {
    let short = || {
        let name = host.host_name();
        let label = name.split('.').next().unwrap_or_default().to_lowercase();
        label.parse().or_else(|_| "localhost".parse()).expect("`localhost` is a node's name")
    };
    plan.node.clone().unwrap_or_else(short)
}

impl Site {
    /// Opens a destination of a plan.
    pub fn open(
        host: &dyn Host,
        name: &DestinationName,
        declaration: &DestinationDeclaration,
        node: NodeName,
        access: Access,
    ) -> Self {
        Self {
            name: name.clone(),
            target: destinations::open(host, name, declaration, access),
            layout: Layout::new(node),
            keys: Keyring::of(host, name, declaration.encryption.as_ref()),
            encrypted: declaration.encryption.is_some(),
            template: declaration.layout.clone(),
        }
    }

    /// A set's snapshots, oldest first, old names of the set included.
    pub fn copies(
        &self,
        set: &SetName,
        moved: &BTreeMap<SetName, SetName>,
    ) -> Result<Vec<Copy>, DestinationError> {
        let old = moved.iter().filter(|(_, new)| *new == set).map(|(old, _)| old);
        let mut copies = Vec::new();
        for stored_as in std::iter::once(set).chain(old) {
            for name in self.target.folders(&self.layout.set(stored_as))? {
                if let Ok(id) = name.parse() {
                    copies.push(Copy { id, stored_as: stored_as.clone() });
                }
            }
        }
        copies.sort_by_key(|copy| copy.id);
        Ok(copies)
    }

    /// Looks into one snapshot, and opens its details.
    pub fn look(&self, copy: &Copy, depth: Depth) -> Result<SnapshotFacts, DestinationError> {
        let mut facts = self.seen(copy, depth)?;
        self.reveal(&mut facts)?;
        Ok(facts)
    }

    /// What everybody sees of a snapshot: a passphrase takes a second for each that it opens.
    fn seen(&self, copy: &Copy, depth: Depth) -> Result<SnapshotFacts, DestinationError> {
        let key = self.layout.manifest(&copy.stored_as, &copy.id);
        let bytes = match small(&*self.target, &key) {
            Ok(bytes) => Some(bytes),
            Err(DestinationError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let state = match bytes.map(|bytes| (Digest::of(&bytes), Manifest::parse(&bytes))) {
            None => SnapshotState::Unsealed,
            // A later bkp understands it: nothing is wrong with it, and nothing can be told of it here.
            Some((_, Err(error @ ManifestError::TooNew { .. }))) => {
                let error = std::io::Error::new(std::io::ErrorKind::Unsupported, error);
                return Err(DestinationError::Io {
                    object: key.to_string(),
                    during: "understanding its manifest",
                    error,
                });
            }
            Some((_, Err(error @ ManifestError::Malformed(_)))) => SnapshotState::Damaged(
                Diagnostic::from_error("manifest damaged", &error).why(key.to_string()),
            ),
            Some((manifest_sha256, Ok(manifest))) => {
                let (objects, proofs) = match depth {
                    Depth::Manifest => (ObjectsState::NotListed, Vec::new()),
                    Depth::Objects => self.objects(copy, &manifest, manifest_sha256)?,
                };
                let archived = Vec::new();
                SnapshotState::Sealed(Box::new(SealedFacts {
                    manifest_sha256,
                    manifest,
                    objects,
                    proofs,
                    archived,
                }))
            }
        };
        Ok(SnapshotFacts { id: copy.id, stored_as: copy.stored_as.clone(), state })
    }

    /// Puts the details of an encrypted snapshot into its manifest, where something here opens them. Details that are missing,
    /// damaged or another key's leave the manifest as everybody reads it: what is wrong with them shows when they are
    /// proven like any other object.
    fn reveal(&self, facts: &mut SnapshotFacts) -> Result<(), DestinationError> {
        let SnapshotState::Sealed(sealed) = &mut facts.state else { return Ok(()) };
        let manifest = &mut sealed.manifest;
        let (Some(encryption), Some(opener)) = (&manifest.encryption, self.keys.opener()) else {
            return Ok(());
        };
        let key = self.layout.artifact(&facts.stored_as, &facts.id, &encryption.details.object);
        let bytes = match small(&*self.target, &key) {
            Ok(bytes) => bytes,
            Err(DestinationError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let whole = Digest::of(&bytes) == encryption.details.stored.sha256;
        let plain = whole.then(|| opener.open_bytes(&bytes).ok()).flatten();
        if let Some(details) = plain.and_then(|plain| Details::parse(&plain).ok()) {
            let mut revealed = manifest.clone();
            if details.put_into(&mut revealed).is_ok() {
                *manifest = revealed;
            }
        }
        Ok(())
    }

    fn objects(
        &self,
        copy: &Copy,
        manifest: &Manifest,
        manifest_sha256: Digest,
    ) -> Result<(ObjectsState, Vec<ProofRecord>), DestinationError> {
        let listed = self.target.list(&self.layout.snapshot(&copy.stored_as, &copy.id))?;
        let sizes: BTreeMap<&str, u64> = listed.iter().map(|it| (it.key.as_str(), it.size_bytes)).collect();
        // What lies elsewhere is in no listing of the snapshot's folder.
        let size = |object: &str, key: &crate::format::Key| {
            if object.starts_with('/') { self.target.size(key) } else { Ok(sizes.get(key.as_str()).copied()) }
        };
        let (mut missing, mut resized) = (Vec::new(), Vec::new());
        for (object, text) in sidecars(manifest, manifest_sha256) {
            let key = self.layout.artifact(&copy.stored_as, &copy.id, &object);
            match size(&object, &key)? {
                None => missing.push(object),
                Some(found) if found != text.len() as u64 => {
                    resized.push(format!("{object}: {} bytes expected, {found} found", text.len()));
                }
                Some(_) => {}
            }
        }
        for (object, stored) in manifest.objects() {
            let key = self.layout.artifact(&copy.stored_as, &copy.id, object);
            match size(object, &key)? {
                None => missing.push(object.to_owned()),
                Some(found) if found != stored.bytes => {
                    resized.push(format!("{object}: {} bytes expected, {found} found", stored.bytes));
                }
                Some(_) => {}
            }
        }
        let state = if missing.is_empty() && resized.is_empty() {
            ObjectsState::AllPresent
        } else {
            ObjectsState::Wrong { missing, resized }
        };
        let prefix = self.layout.proofs(&copy.stored_as, &copy.id);
        let mut proofs = Vec::new();
        for object in listed.iter().filter(|it| it.key.as_str().starts_with(prefix.as_str())) {
            // A proof that cannot be read, or that is not what its name says, proves nothing; the levels that rest on
            // it fall by themselves.
            let proof = serde_json::from_slice::<ProofRecord>(&small(&*self.target, &object.key)?);
            proofs.extend(proof.ok().filter(|proof| {
                proof.snapshot == copy.id
                    && self.layout.proof(&copy.stored_as, &copy.id, proof.at, proof.level) == object.key
            }));
        }
        proofs.sort_by_key(|proof| proof.at);
        Ok((state, proofs))
    }

    /// All of a set's snapshots by name, with the newest complete one looked into, and those before it as far as the
    /// newest that was drilled: what `plan` needs.
    pub fn newest_looked_into(
        &self,
        set: &SetName,
        moved: &BTreeMap<SetName, SetName>,
    ) -> Result<Vec<SnapshotFacts>, DestinationError> {
        let copies = self.copies(set, moved)?;
        let mut facts: Vec<SnapshotFacts> = Vec::with_capacity(copies.len());
        let (mut found, mut drilled, mut looked_back) = (false, false, 0);
        for copy in copies.iter().rev() {
            if found && (drilled || looked_back >= LOOK_BACK_MAX) {
                facts.push(SnapshotFacts {
                    id: copy.id,
                    stored_as: copy.stored_as.clone(),
                    state: SnapshotState::NotRead,
                });
                continue;
            }
            let mut seen = self.seen(copy, Depth::Objects)?;
            looked_back += usize::from(found);
            if !found {
                self.reveal(&mut seen)?;
                found = is_complete(&seen);
            }
            if let SnapshotState::Sealed(sealed) = &seen.state {
                drilled |= sealed.proofs.iter().any(|proof| proof.level == Level::Restored);
            }
            facts.push(seen);
        }
        facts.reverse();
        Ok(facts)
    }

    /// All of a set's snapshots, each looked into; details are opened from the newest complete one on.
    pub fn all_looked_into(
        &self,
        set: &SetName,
        moved: &BTreeMap<SetName, SetName>,
        depth: Depth,
    ) -> Result<Vec<SnapshotFacts>, DestinationError> {
        let copies = self.copies(set, moved)?;
        let seen: Result<Vec<_>, _> = copies.iter().map(|copy| self.seen(copy, depth)).collect();
        let mut seen = seen?;
        for facts in seen.iter_mut().rev() {
            self.reveal(facts)?;
            if is_complete(facts) {
                break;
            }
        }
        Ok(seen)
    }
}

fn is_complete(facts: &SnapshotFacts) -> bool {
    matches!(&facts.state, SnapshotState::Sealed(sealed) if sealed.manifest.complete)
}

/// The sidecars of a snapshot, by name, each with what it has to say: they follow from the manifest.
pub fn sidecars(
    manifest: &Manifest,
    manifest_sha256: Digest,
) -> impl Iterator<Item = (String, Vec<u8>)> + use<'_> {
    let of_manifest = std::iter::once((Layout::MANIFEST, manifest_sha256));
    let of_objects = manifest.objects().map(|(object, stored)| (object, stored.sha256));
    of_objects.chain(of_manifest).map(|(name, digest)| {
        let file_name = name.rsplit('/').next().unwrap_or(name);
        (format!("{name}{}", Layout::SIDECAR), pipeline::sidecar(file_name, &digest))
    })
}

/// Reads a small object whole.
pub fn small(target: &dyn Destination, key: &crate::format::Key) -> Result<Vec<u8>, DestinationError> {
    let mut bytes = Vec::new();
    let read = target.get(key)?.take(SMALL_OBJECT_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|error| DestinationError::Io { object: key.to_string(), during: "reading", error })?;
    Ok(bytes)
}

/// The newest complete snapshot of a history that was looked into.
pub fn newest_complete(history: &[SnapshotFacts]) -> Option<(&SnapshotFacts, &SealedFacts)> {
    history.iter().rev().find_map(|snapshot| match &snapshot.state {
        SnapshotState::Sealed(sealed) if sealed.manifest.complete => Some((snapshot, &**sealed)),
        SnapshotState::Sealed(_)
        | SnapshotState::NotRead
        | SnapshotState::Unsealed
        | SnapshotState::Damaged(_) => None,
    })
}
