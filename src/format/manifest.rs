//! The manifest: the JSON that makes artifacts a snapshot. It is written last.

use super::{Digest, ManifestEncryption, SnapshotId};
use crate::declared::{Compression, NodeName, PlanName, SetName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Why a manifest could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not a manifest's JSON.
    #[error("it is not a manifest")]
    Malformed(#[source] serde_json::Error),
    /// Written by a later bkp.
    #[error("its format is {found}, and this bkp reads up to {}", Manifest::FORMAT)]
    TooNew {
        /// The format it names.
        found: u32,
    },
}

/// What was counted in a member: rows of each table, files, bytes. The keys are the source's own words, such as
/// `table:orders`, `files`, `bytes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts(pub BTreeMap<String, u64>);

impl Counts {
    /// What differs, as `name: 3 here, 4 there`; empty when equal.
    pub fn differences(&self, restored: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(restored.0.keys()).collect();
        let value = |counts: &Self, name: &str| counts.0.get(name).map_or("none".to_owned(), u64::to_string);
        names
            .into_iter()
            .filter(|name| self.0.get(*name) != restored.0.get(*name))
            .map(|name| {
                format!("{name}: {} at backup, {} restored", value(self, name), value(restored, name))
            })
            .collect()
    }
}

/// A count that was taken before and after the data was read, because nothing could be held still meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// The fewest.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl Bound {
    /// Between two counts, whichever is larger.
    pub fn between(one: u64, other: u64) -> Self {
        Self { min: one.min(other), max: one.max(other) }
    }
}

/// What differs between what was counted at backup time and what came back; empty when nothing does.
pub fn count_differences(
    counts: &Counts,
    bounds: &BTreeMap<String, Bound>,
    restored: &Counts,
) -> Vec<String> {
    let exact = Counts(
        restored
            .0
            .iter()
            .filter(|(name, _)| !bounds.contains_key(*name))
            .map(|(k, v)| (k.clone(), *v))
            .collect(),
    );
    let mut differences = counts.differences(&exact);
    for (name, Bound { min, max }) in bounds {
        match restored.0.get(name) {
            Some(count) if (min..=max).contains(&count) => {}
            Some(count) => differences.push(format!("{name}: {min} to {max} at backup, {count} restored")),
            None => differences.push(format!("{name}: {min} to {max} at backup, none restored")),
        }
    }
    differences
}

/// Why a run was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// By hand.
    Manual,
    /// By the scheduler.
    Schedule,
    /// By `apply`, through the job that is about to be installed.
    Trial,
}

/// A size and the digest of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredSize {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: Digest,
}

/// The list of a `files` member's entries, stored beside the artifact as zstd-compressed JSON lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexObject {
    /// Its object's name in the snapshot.
    pub object: String,
    /// Its stored bytes.
    pub stored: StoredSize,
}

/// One member's artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestMember {
    /// The member, as the source names it; its object where only the details of an encrypted snapshot say it.
    pub name: String,
    /// Its object's name in the snapshot, encoded; with a `/` before it the path below the destination's root.
    pub object: String,
    /// The bytes that the source made; none where only the details of an encrypted snapshot say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain: Option<StoredSize>,
    /// The bytes that were stored.
    pub stored: StoredSize,
    /// How plain became stored.
    pub compression: Compression,
    /// When the source began to be read: the data's age.
    pub read_at: Timestamp,
    /// When the stored bytes had been read back from the destination and matched.
    pub read_back_at: Timestamp,
    /// What was counted at backup time.
    pub counts: Counts,
    /// What could not be counted exactly: the restored count lies between the two.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bounds: BTreeMap<String, Bound>,
    /// What the source wants people to know, such as a file that kept changing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The list of entries, where the source makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexObject>,
}

/// A member that could not be backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedMember {
    /// The member.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What a source's path was mounted from; a run compares it with the snapshot before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceIdentity {
    /// A declared path.
    pub path: PathBuf,
    /// The mount point that holds it.
    pub mount_point: PathBuf,
    /// What is mounted there.
    pub mount_source: String,
    /// The file system's type.
    pub file_system: String,
    /// The file system's own identifier, where it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system_uuid: Option<String>,
}

/// A snapshot's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format's version.
    pub format: u32,
    /// The bkp that made it.
    pub bkp_version: String,
    /// The host's name in keys.
    pub node: NodeName,
    /// The plan that owns the set.
    pub plan: PlanName,
    /// The set.
    pub set: SetName,
    /// Digest of the set as declared (its job's plan copy).
    pub set_digest: Digest,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// When the run began.
    pub started_at: Timestamp,
    /// When the manifest was made.
    pub finished_at: Timestamp,
    /// Why the run was made.
    pub trigger: Trigger,
    /// The source's type, such as `sqlite`.
    pub source: String,
    /// What the source's paths were mounted from.
    #[serde(default)]
    pub identity: Vec<SourceIdentity>,
    /// How it is encrypted, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<ManifestEncryption>,
    /// Whether every member that was enumerated is here.
    pub complete: bool,
    /// The members, by name.
    pub members: Vec<ManifestMember>,
    /// The members that are not here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedMember>,
    /// Digest of the manifest before it at this destination; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
}

impl ManifestMember {
    /// What differs between what was counted at backup time and what came back; empty when nothing does.
    pub fn differences(&self, restored: &Counts) -> Vec<String> {
        count_differences(&self.counts, &self.bounds, restored)
    }
}

impl Manifest {
    /// The format that this bkp writes.
    pub const FORMAT: u32 = 2;

    /// Reads a manifest; later versions of the format are refused by number.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let versioned: Versioned = serde_json::from_slice(bytes).map_err(ManifestError::Malformed)?;
        if versioned.format > Self::FORMAT {
            return Err(ManifestError::TooNew { found: versioned.format });
        }
        serde_json::from_slice(bytes).map_err(ManifestError::Malformed)
    }

    /// The bytes that are stored: indented JSON with a newline at its end.
    pub fn render(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a manifest has only string keys");
        bytes.push(b'\n');
        bytes
    }

    /// Bytes that the snapshot takes at the destination, manifest and sidecars apart.
    pub fn stored_bytes(&self) -> u64 {
        let index = |member: &ManifestMember| member.index.as_ref().map_or(0, |index| index.stored.bytes);
        let details = self.encryption.as_ref().map_or(0, |it| it.details.stored.bytes);
        self.members.iter().map(|member| member.stored.bytes + index(member)).sum::<u64>() + details
    }

    /// Whether names and counts lie in details that were not opened.
    pub fn is_concealed(&self) -> bool {
        self.members.iter().any(|member| member.plain.is_none())
    }

    /// Bytes that the source made, as far as the manifest says it.
    pub fn plain_bytes(&self) -> impl Iterator<Item = u64> {
        self.members.iter().filter_map(|member| member.plain.map(|it| it.bytes))
    }

    /// Every object that the manifest names, sidecars apart.
    pub fn objects(&self) -> impl Iterator<Item = (&str, &StoredSize)> {
        let of_members = self.members.iter().flat_map(|member| {
            let index = member.index.as_ref().map(|index| (index.object.as_str(), &index.stored));
            std::iter::once((member.object.as_str(), &member.stored)).chain(index)
        });
        let details = self.encryption.iter().map(|it| (it.details.object.as_str(), &it.details.stored));
        of_members.chain(details)
    }
}
