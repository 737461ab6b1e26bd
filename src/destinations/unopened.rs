//! A destination that could not be opened: it says so whatever is asked of it.

use super::{Capabilities, Destination, DestinationError, Object};
use crate::format::{Key, Prefix};
use crate::host::Space;
use std::io::Read;

/// Says why it could not be opened.
#[derive(Debug)]
pub(super) struct UnopenedDestination {
    root: String,
    reason: String,
    remedy: String,
}

impl UnopenedDestination {
    /// With the reason, and what mends it.
    pub fn new(root: String, reason: String, remedy: String) -> Self {
        Self { root, reason, remedy }
    }

    fn error<T>(&self) -> Result<T, DestinationError> {
        let Self { root, reason, remedy } = self;
        Err(DestinationError::Unopened { root: root.clone(), reason: reason.clone(), remedy: remedy.clone() })
    }
}

impl Destination for UnopenedDestination {
    fn capabilities(&self) -> Capabilities {
        Capabilities { put_without_replacing: false, space: false }
    }

    fn prepared(&self) -> Result<bool, DestinationError> {
        self.error()
    }

    fn prepare(&self) -> Result<(), DestinationError> {
        self.error()
    }

    fn put_new(&self, _key: &Key, _body: &mut dyn Read) -> Result<(), DestinationError> {
        self.error()
    }

    fn get(&self, _key: &Key) -> Result<Box<dyn Read + Send>, DestinationError> {
        self.error()
    }

    fn list(&self, _prefix: &Prefix) -> Result<Vec<Object>, DestinationError> {
        self.error()
    }

    fn folders(&self, _prefix: &Prefix) -> Result<Vec<String>, DestinationError> {
        self.error()
    }

    fn delete(&self, _key: &Key) -> Result<(), DestinationError> {
        self.error()
    }

    fn sweep(&self, _prefix: &Prefix) -> Result<(), DestinationError> {
        self.error()
    }

    fn space(&self) -> Result<Option<Space>, DestinationError> {
        self.error()
    }

    fn device(&self) -> Option<u64> {
        None
    }

    fn location(&self) -> String {
        self.root.clone()
    }
}
