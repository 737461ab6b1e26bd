//! Services behind HTTP, by the storage library: object stores, `WebDAV` and drives.
//!
//! What they differ in is asked of the library's own table of capabilities: whether a put may be conditional, whether an
//! object can be written in pieces, whether there are renames.

mod bucket;
mod bucket_answers;
mod download;
mod fault;
mod folders;
mod operator;
mod parts;
mod pieces;
mod store;
#[cfg(test)]
mod tests;
mod transport;
#[cfg(test)]
mod webdav_tests;

use super::remote::store::Store;
use super::{Secrets, Unopenable};
use crate::declared::RemoteDeclaration;
use store::ServiceStore;

/// Opens a service. Nothing is asked of it yet.
pub(super) fn open(remote: &RemoteDeclaration, secrets: &Secrets) -> Result<Box<dyn Store>, Unopenable> {
    let unopenable = |reason: String| Unopenable { reason, remedy: "mend the destination's keys".to_owned() };
    let (transport, answers) = transport::transport(&remote.transport).map_err(unopenable)?;
    let operator = operator::operator(remote, secrets, transport.clone()).map_err(unopenable)?;
    let store = ServiceStore::new(operator, operator::location(remote), answers);
    Ok(Box::new(store.with_bucket(operator::bucket(remote, secrets, transport))))
}
