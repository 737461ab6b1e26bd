//! A destination as one host uses it, and what is seen of one snapshot there: its manifest, objects and proofs.

use super::keyring::Keyring;
use crate::declared::{DestinationDeclaration, DestinationName, LayoutTemplate, NodeName, Plan, SetName};
use crate::destinations::{self, Access, Destination, DestinationError, Object};
use crate::diagnostic::Diagnostic;
use crate::format::{
    Details, Digest, Key, Layout, Level, Manifest, ManifestError, Outcome, ProofRecord, SnapshotId,
};
use crate::host::Host;
use crate::observed::{ObjectsState, SealedFacts, SnapshotFacts, SnapshotState};
use crate::pipeline;
use jiff::Timestamp;
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
    /// When it was opened: a proof that bears a later time may be dated in the future.
    pub opened_at: Timestamp,
}

/// Small objects that were read ahead of their use.
#[derive(Debug, Default)]
pub struct Shelf(BTreeMap<Key, Vec<u8>>);

/// The levels of which proofs lie beside a manifest.
pub const PROOF_LEVELS: [Level; 2] = [Level::Intact, Level::Restored];

/// One snapshot at one destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Copy {
    /// Its name.
    pub id: SnapshotId,
    /// The set under whose name it lies.
    pub stored_as: SetName,
}

/// How far a snapshot is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Its manifest.
    Manifest,
    /// Its manifest, its objects' sizes, and the proofs that speak for or against it now.
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
            opened_at: host.now(),
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

    /// Objects of no more bytes than that read whole, as far as there is a quicker way for many.
    pub fn shelf(&self, keys: &[Key], bytes_max: u64) -> Shelf {
        Shelf(self.target.get_together(keys, bytes_max))
    }

    /// A small object, from the shelf where it is there.
    pub fn read(&self, key: &Key, shelf: &mut Shelf) -> Result<Vec<u8>, DestinationError> {
        shelf.0.remove(key).map_or_else(|| small(&*self.target, key), Ok)
    }

    /// Looks into one snapshot, and opens its details.
    pub fn look(&self, copy: &Copy, depth: Depth) -> Result<SnapshotFacts, DestinationError> {
        let mut facts = self.seen(copy, depth)?;
        self.reveal(&mut facts)?;
        Ok(facts)
    }

    /// What everybody sees of a snapshot: a passphrase takes a second for each that it opens.
    pub fn seen(&self, copy: &Copy, depth: Depth) -> Result<SnapshotFacts, DestinationError> {
        let shelf = &mut Shelf::default();
        let mut state = self.manifest_of(copy, shelf)?;
        if depth == Depth::Objects
            && let SnapshotState::Sealed(sealed) = &mut state
        {
            let listed = self.target.list(&self.layout.snapshot(&copy.stored_as, &copy.id))?;
            self.count(copy, sealed, &listed, shelf)?;
        }
        Ok(SnapshotFacts { id: copy.id, stored_as: copy.stored_as.clone(), state })
    }

    /// What a snapshot's manifest says.
    pub fn manifest_of(&self, copy: &Copy, shelf: &mut Shelf) -> Result<SnapshotState, DestinationError> {
        let key = self.layout.manifest(&copy.stored_as, &copy.id);
        let bytes = match self.read(&key, shelf) {
            Ok(bytes) => bytes,
            Err(DestinationError::NotFound { .. }) => return Ok(SnapshotState::Unsealed),
            Err(error) => return Err(error),
        };
        match Manifest::parse(&bytes) {
            // A later bkp understands it: nothing is wrong with it, and nothing can be told of it here.
            Err(error @ ManifestError::TooNew { .. }) => Err(DestinationError::Io {
                object: key.to_string(),
                during: "understanding its manifest",
                error: std::io::Error::new(std::io::ErrorKind::Unsupported, error),
            }),
            Err(error @ ManifestError::Malformed(_)) => Ok(SnapshotState::Damaged(
                Diagnostic::from_error("manifest damaged", &error).why(key.to_string()),
            )),
            Ok(manifest) => Ok(SnapshotState::Sealed(Box::new(SealedFacts {
                manifest_sha256: Digest::of(&bytes),
                manifest,
                objects: ObjectsState::NotListed,
                proofs: Vec::new(),
                archived: Vec::new(),
            }))),
        }
    }

    /// Puts the details of an encrypted snapshot into its manifest, where something here opens them. Details that are missing,
    /// damaged or another key's leave the manifest as everybody reads it: what is wrong with them shows when they are
    /// proven like any other object.
    pub fn reveal(&self, facts: &mut SnapshotFacts) -> Result<(), DestinationError> {
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

    /// Compares a snapshot's manifest with what is listed of it, and reads the proofs beside it.
    pub fn count(
        &self,
        copy: &Copy,
        sealed: &mut SealedFacts,
        listed: &[Object],
        shelf: &mut Shelf,
    ) -> Result<(), DestinationError> {
        sealed.objects = self.objects(copy, sealed, listed)?;
        sealed.proofs = self.proofs(copy, sealed.manifest_sha256, listed, shelf)?;
        Ok(())
    }

    fn objects(
        &self,
        copy: &Copy,
        sealed: &SealedFacts,
        listed: &[Object],
    ) -> Result<ObjectsState, DestinationError> {
        let manifest = &sealed.manifest;
        let sizes: BTreeMap<&str, u64> = listed.iter().map(|it| (it.key.as_str(), it.size_bytes)).collect();
        let sidecars =
            sidecars(manifest, sealed.manifest_sha256).map(|(name, text)| (name, text.len() as u64));
        let artifacts = manifest.objects().map(|(name, stored)| (name.to_owned(), stored.bytes));
        let (mut missing, mut resized) = (Vec::new(), Vec::new());
        for (object, expected) in sidecars.chain(artifacts) {
            let key = self.layout.artifact(&copy.stored_as, &copy.id, &object);
            // What lies elsewhere is in no listing of the snapshot's folder.
            let elsewhere = object.starts_with('/');
            let found = if elsewhere { self.target.size(&key)? } else { sizes.get(key.as_str()).copied() };
            match found {
                None => missing.push(object),
                Some(found) if found != expected => {
                    resized.push(format!("{object}: {expected} bytes expected, {found} found"));
                }
                Some(_) => {}
            }
        }
        Ok(if missing.is_empty() && resized.is_empty() {
            ObjectsState::AllPresent
        } else {
            ObjectsState::Wrong { missing, resized }
        })
    }

    /// The proofs of each level that speak now, oldest first: the newest ones, back to the last that held.
    fn proofs(
        &self,
        copy: &Copy,
        manifest_sha256: Digest,
        listed: &[Object],
        shelf: &mut Shelf,
    ) -> Result<Vec<ProofRecord>, DestinationError> {
        let mut proofs = Vec::new();
        for level in PROOF_LEVELS {
            for key in self.proof_keys(copy, level, listed) {
                // A proof that is gone, or that is not what its name says, proves nothing; the levels that rest on it
                // fall by themselves.
                let bytes = match self.read(key, shelf) {
                    Err(DestinationError::NotFound { .. }) => continue,
                    read => read?,
                };
                let Ok(proof) = serde_json::from_slice::<ProofRecord>(&bytes) else { continue };
                let name = self.layout.proof(&copy.stored_as, &copy.id, proof.at, proof.level);
                if proof.snapshot != copy.id || name != *key {
                    continue;
                }
                let held = proof.result == Outcome::Proven
                    && proof.manifest_sha256 == manifest_sha256
                    && proof.at <= self.opened_at;
                proofs.push(proof);
                if held {
                    break;
                }
            }
        }
        proofs.sort_by_key(|proof| proof.at);
        Ok(proofs)
    }

    /// The keys of a snapshot's proofs of a level by what is listed, the newest first.
    pub fn proof_keys<'a>(
        &self,
        copy: &Copy,
        level: Level,
        listed: &'a [Object],
    ) -> impl Iterator<Item = &'a Key> + use<'a> {
        let prefix = self.layout.proofs(&copy.stored_as, &copy.id);
        let ending = Layout::proof_ending(level);
        let of_level =
            move |key: &str| key.strip_prefix(prefix.as_str()).is_some_and(|name| name.ends_with(&ending));
        // They are sorted, and their names begin with their time.
        listed.iter().rev().map(|it| &it.key).filter(move |key| of_level(key.as_str()))
    }
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
pub fn small(target: &dyn Destination, key: &Key) -> Result<Vec<u8>, DestinationError> {
    let mut bytes = Vec::new();
    let read = target.get(key)?.take(SMALL_OBJECT_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|error| DestinationError::Io { object: key.to_string(), during: "reading", error })?;
    Ok(bytes)
}
