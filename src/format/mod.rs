//! What lies at a destination: keys, manifests, proofs and digests, each with a format version.
//!
//! Nothing here touches a destination. docs/FORMAT.md describes every field for people who restore without bkp.

mod details;
mod digest;
mod index;
mod key;
mod manifest;
mod proof;
mod snapshot_id;

pub use details::{Details, DetailsError, EncryptionKind, ManifestEncryption, MemberDetails};
pub use digest::{Digest, DigestError};
pub use index::{
    DeviceNumber, EntryKind, EntryTime, EntryTimeError, IndexEntry, IndexError, IndexReader, IndexWriter,
};
pub use key::{Key, Layout, Prefix, decode_name, encode_name};
pub use manifest::{
    Bound, Counts, FailedMember, IndexObject, Manifest, ManifestError, ManifestMember, SourceIdentity,
    StoredSize, Trigger, count_differences,
};
pub use proof::{Level, Outcome, ProofRecord};
pub use snapshot_id::{SnapshotId, SnapshotIdError};
