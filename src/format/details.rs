//! `details.json.age`: what an encrypted snapshot says only to who can open it.

use super::{
    Bound, Counts, Digest, FailedMember, IndexObject, Manifest, ManifestMember, SourceIdentity, StoredSize,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why details do not belong to a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetailsError {
    /// Not JSON, or not that of details.
    #[error("they are not the details of a snapshot: {0}")]
    Malformed(String),
    /// Written by a later bkp.
    #[error("their format is {found}, and this bkp reads up to {}", Details::FORMAT)]
    TooNew {
        /// The format they name.
        found: u32,
    },
    /// They speak of other objects.
    #[error("they do not speak of the object `{object}`")]
    Other {
        /// An object of the manifest.
        object: String,
    },
}

/// How a snapshot is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEncryption {
    /// The format.
    #[serde(rename = "type")]
    pub kind: EncryptionKind,
    /// The public keys that it is for; none where a passphrase opens it.
    pub recipients: Vec<String>,
    /// Where the details lie.
    pub details: IndexObject,
}

/// Formats of encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncryptionKind {
    /// <https://age-encryption.org/v1>
    Age,
}

/// What only who can open it may know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// The format's version.
    pub format: u32,
    /// The members, by their objects.
    pub members: BTreeMap<String, MemberDetails>,
    /// The members that are not there.
    pub failed: Vec<FailedMember>,
    /// What the source's paths were mounted from.
    pub identity: Vec<SourceIdentity>,
}

/// One member's part of it. The fields are those of [`ManifestMember`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "they are explained at the manifest's own")]
pub struct MemberDetails {
    pub name: String,
    pub plain: StoredSize,
    pub counts: Counts,
    pub bounds: BTreeMap<String, Bound>,
    pub warnings: Vec<String>,
}

impl Details {
    /// The format that this bkp writes.
    pub const FORMAT: u32 = 1;
    /// The object's name in the snapshot.
    pub const OBJECT: &'static str = "details.json.age";

    /// The bytes that are encrypted.
    pub fn render(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("details have only string keys");
        bytes.push(b'\n');
        bytes
    }

    /// Reads them; later versions of the format are refused by number.
    pub fn parse(bytes: &[u8]) -> Result<Self, DetailsError> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let malformed = |error: serde_json::Error| DetailsError::Malformed(error.to_string());
        let versioned: Versioned = serde_json::from_slice(bytes).map_err(malformed)?;
        if versioned.format > Self::FORMAT {
            return Err(DetailsError::TooNew { found: versioned.format });
        }
        serde_json::from_slice(bytes).map_err(malformed)
    }

    /// Takes out of a manifest what only they may say: names, counts, plain digests, warnings, where the source lies.
    pub fn taken_from(manifest: &mut Manifest) -> Self {
        let take = |member: &mut ManifestMember| {
            let details = MemberDetails {
                name: std::mem::replace(&mut member.name, member.object.clone()),
                plain: member.plain.take().unwrap_or(StoredSize { bytes: 0, sha256: Digest::of(b"") }),
                counts: std::mem::take(&mut member.counts),
                bounds: std::mem::take(&mut member.bounds),
                warnings: std::mem::take(&mut member.warnings),
            };
            (member.object.clone(), details)
        };
        let members = manifest.members.iter_mut().map(take).collect();
        let failed = manifest.failed.clone();
        for (number, member) in manifest.failed.iter_mut().enumerate() {
            *member =
                FailedMember { name: format!("failed-{}", number + 1), reason: "see the details".to_owned() };
        }
        let identity = std::mem::take(&mut manifest.identity);
        Self { format: Self::FORMAT, members, failed, identity }
    }

    /// Puts them back into the manifest that they were taken from.
    pub fn put_into(mut self, manifest: &mut Manifest) -> Result<(), DetailsError> {
        for member in &mut manifest.members {
            let Some(details) = self.members.remove(&member.object) else {
                return Err(DetailsError::Other { object: member.object.clone() });
            };
            member.name = details.name;
            member.plain = Some(details.plain);
            member.counts = details.counts;
            member.bounds = details.bounds;
            member.warnings = details.warnings;
        }
        manifest.members.sort_by(|one, other| one.name.cmp(&other.name));
        manifest.failed = self.failed;
        manifest.identity = self.identity;
        Ok(())
    }
}
