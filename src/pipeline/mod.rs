//! A member's bytes on their way to the destinations and back: digest, compress, fan out, read back, seal.
//!
//! ```text
//! source --+--> plain digest
//!          +--> compressor (one for each compression) --+--> stored digest, queue --> destination
//!                                                       +--> encryptor (one for each set of recipients)
//!                                                                +--> stored digest, queue --> destination
//! ```
//!
//! The end of the stream is passed on only when the source's `finish` has given its proof; anything else ends every
//! body in an error, and nothing is published. What was stored is read back before anybody may say so: a [`Receipt`]
//! and a [`Sealed`] can be made here only, by the code that did the proving. Memory is bounded by the queues, never
//! by the data.

mod artifact;
mod chunk;
pub mod compress;
mod error;
mod fan_out;
mod gzip;
mod object;
mod packing;
mod read_back;
mod receipt;
mod relay;
mod seal;
mod store;
mod tally;
#[cfg(test)]
mod tests;

pub use artifact::{ArtifactReader, open_artifact};
pub use error::{ReadBackError, StoreError};
pub use object::{copy_artifact, copy_object, sidecar, store_bytes, store_index};
pub use packing::Packing;
pub use read_back::read_back;
pub use receipt::Receipt;
pub use seal::{ManifestDraft, ProvenMember, Sealed, seal};
pub use store::{Lane, Stored, store};
