//! Everything that destinations behind a network have in common: the marker, what may be a key, what is temporary, and
//! that looking changes nothing.

pub(in crate::destinations) mod rivals;
pub(in crate::destinations) mod store;
mod throttle;
pub(in crate::destinations) mod tries;

use super::marker::{MARKER, Marker};
use super::{Access, Capabilities, Destination, DestinationError, Object, key_parts, prefix_parts};
use crate::format::{Key, Prefix};
use crate::host::Space;
use crate::observed::StorageRules;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::OnceLock;
use store::{Fault, Found, Store};
pub(in crate::destinations) use throttle::Throttle;

/// How temporary names begin.
pub(in crate::destinations) const TEMPORARY: &str = ".bkp-tmp-";

/// A destination that is reached by a protocol.
pub(in crate::destinations) struct RemoteDestination {
    store: Box<dyn Store>,
    access: Access,
    /// Other things may lie there too.
    shared: bool,
    throttle: Throttle,
    /// What the marker said, once it was read.
    marker: OnceLock<Marker>,
}

/// A fault with the object that it concerns.
fn at(object: &str) -> impl Fn(Fault) -> DestinationError + '_ {
    move |fault| {
        let object = object.to_owned();
        match fault {
            Fault::Missing => DestinationError::NotFound { key: Prefix::root().listed_key(&object) },
            Fault::Taken => DestinationError::Exists { key: Prefix::root().listed_key(&object) },
            Fault::Body(error) => {
                DestinationError::BodyAborted { key: Prefix::root().listed_key(&object), error }
            }
            Fault::Refused(error) => DestinationError::Denied { object, error },
            Fault::Full(error) => DestinationError::Full { object, error },
            Fault::NoPlace(error) => DestinationError::NoPlace { object, error },
            Fault::Archived(error) => DestinationError::Archived { object, error },
            Fault::Clock(error) => DestinationError::Clock { object, error },
            Fault::Stranger(error) => DestinationError::Stranger { object, error },
            Fault::Other { during, error } => DestinationError::Io { object, during, error },
        }
    }
}

/// Whether a path is neither the marker nor on its way to its name.
fn is_object(path: &str) -> bool {
    !path.split('/').any(|part| part.starts_with('.'))
}

impl RemoteDestination {
    pub fn new(store: Box<dyn Store>, access: Access, shared: bool, throttle: Throttle) -> Self {
        Self { store, access, shared, throttle, marker: OnceLock::new() }
    }

    fn changeable(&self, object: &str) -> Result<(), DestinationError> {
        match self.access {
            Access::Look => Err(DestinationError::ReadOnly { object: object.to_owned() }),
            Access::Change => Ok(()),
        }
    }

    /// The marker, read once for each opening; none where there is none.
    fn marker(&self) -> Result<Option<&Marker>, DestinationError> {
        if let Some(marker) = self.marker.get() {
            return Ok(Some(marker));
        }
        let location = self.location();
        let mut bytes = Vec::new();
        match self.store.get(MARKER, 0) {
            Ok(body) => {
                body.take(Marker::BYTES_MAX).read_to_end(&mut bytes).map_err(|error| {
                    DestinationError::Io { object: location.clone(), during: "reading its marker", error }
                })?;
            }
            Err(Fault::Missing) => return Ok(None),
            Err(fault) => return Err(at(&location)(fault)),
        }
        let marker = Marker::parse(&bytes).map_err(|error| DestinationError::Io {
            object: location,
            during: "reading its marker",
            error,
        })?;
        Ok(Some(self.marker.get_or_init(|| marker)))
    }

    fn ready(&self) -> Result<&Marker, DestinationError> {
        self.marker()?.ok_or_else(|| DestinationError::NotPrepared { root: self.location() })
    }

    fn ready_to_change(&self, object: &str) -> Result<&Marker, DestinationError> {
        self.changeable(object)?;
        self.ready()
    }

    fn below(&self, prefix: &Prefix) -> String {
        format!("{}/{}", self.location().trim_end_matches('/'), prefix.as_str())
    }
}

impl Destination for RemoteDestination {
    fn capabilities(&self) -> Capabilities {
        // What could not be asked is not promised.
        let honoured = self.marker().is_ok_and(|marker| marker.is_none_or(|it| !it.replaces()));
        Capabilities { put_without_replacing: self.store.puts_without_replacing() && honoured, space: false }
    }

    fn prepared(&self) -> Result<bool, DestinationError> {
        Ok(self.marker()?.is_some())
    }

    fn prepare(&self) -> Result<(), DestinationError> {
        let location = self.location();
        self.changeable(&location)?;
        if self.prepared()? {
            return Ok(());
        }
        self.store.make_root().map_err(at(&location))?;
        let (folders, objects) = self.store.names("").map_err(at(&location))?;
        let foreign = folders.iter().chain(&objects).find(|name| !name.starts_with(TEMPORARY));
        if let Some(name) = foreign.filter(|_| !self.shared) {
            let text = format!("it holds `{name}` and was not made by bkp");
            let error = io::Error::new(io::ErrorKind::DirectoryNotEmpty, text);
            return Err(DestinationError::Io { object: location, during: "preparing it", error });
        }
        let mut marker = Marker::new();
        match self.store.put(MARKER, &mut marker.render().as_slice()) {
            Ok(()) => {}
            // Another process prepared it at the same time.
            Err(Fault::Taken) => return Ok(()),
            Err(fault) => return Err(at(&location)(fault)),
        }
        if !self.store.puts_without_replacing() {
            return Ok(());
        }
        // Some servers take the condition and do not honour it. Where this put succeeds, what it says is true.
        marker.note_that_it_was_replaced();
        match self.store.put(MARKER, &mut marker.render().as_slice()) {
            Ok(()) | Err(Fault::Taken) => Ok(()),
            Err(fault) => Err(at(&location)(fault)),
        }
    }

    fn put_new(&self, key: &Key, body: &mut dyn Read) -> Result<(), DestinationError> {
        let path = key.as_str();
        key_parts(path)?;
        self.ready_to_change(path)?;
        if self.store.size(path).map_err(at(path))?.is_some() {
            return Err(DestinationError::Exists { key: key.clone() });
        }
        self.store.put(path, &mut self.throttle.reader(body)).map_err(at(path))
    }

    fn get(&self, key: &Key) -> Result<Box<dyn Read + Send>, DestinationError> {
        self.get_from(key, 0)
    }

    fn get_from(&self, key: &Key, from: u64) -> Result<Box<dyn Read + Send>, DestinationError> {
        let path = key.as_str();
        key_parts(path)?;
        self.ready()?;
        let body = self.store.get(path, from).map_err(at(path))?;
        Ok(Box::new(self.throttle.clone().reader(body)))
    }

    fn get_together(&self, keys: &[Key], bytes_max: u64) -> BTreeMap<Key, Vec<u8>> {
        let paths: Vec<&str> = keys.iter().map(Key::as_str).filter(|path| key_parts(path).is_ok()).collect();
        if paths.len() < 2 || self.ready().is_err() {
            return BTreeMap::new();
        }
        let mut objects = BTreeMap::new();
        for (path, bytes) in self.store.get_together(&paths, bytes_max) {
            let mut body = Vec::with_capacity(bytes.len());
            if self.throttle.reader(&mut bytes.as_slice()).read_to_end(&mut body).is_ok() {
                objects.insert(Prefix::root().listed_key(&path), body);
            }
        }
        objects
    }

    fn size(&self, key: &Key) -> Result<Option<u64>, DestinationError> {
        let path = key.as_str();
        key_parts(path)?;
        self.ready()?;
        self.store.size(path).map_err(at(path))
    }

    fn list(&self, prefix: &Prefix) -> Result<Vec<Object>, DestinationError> {
        prefix_parts(prefix)?;
        self.ready()?;
        let found = self.store.list(prefix.as_str()).map_err(at(&self.below(prefix)))?;
        let object =
            |it: Found| Object { key: Prefix::root().listed_key(&it.path), size_bytes: it.size_bytes };
        let mut objects: Vec<Object> =
            found.into_iter().filter(|it| is_object(&it.path)).map(object).collect();
        objects.sort_unstable();
        Ok(objects)
    }

    fn lists_deep(&self) -> bool {
        true
    }

    fn folders(&self, prefix: &Prefix) -> Result<Vec<String>, DestinationError> {
        prefix_parts(prefix)?;
        self.ready()?;
        let (mut folders, _) = self.store.names(prefix.as_str()).map_err(at(&self.below(prefix)))?;
        folders.retain(|name| is_object(name));
        folders.sort_unstable();
        Ok(folders)
    }

    fn delete(&self, key: &Key) -> Result<(), DestinationError> {
        let path = key.as_str();
        key_parts(path)?;
        self.ready_to_change(path)?;
        // Object stores remove what is not there with success.
        if self.store.size(path).map_err(at(path))?.is_none() {
            return Err(DestinationError::NotFound { key: key.clone() });
        }
        self.store.delete(path).map_err(at(path))
    }

    fn sweep(&self, prefix: &Prefix) -> Result<(), DestinationError> {
        let object = self.below(prefix);
        prefix_parts(prefix)?;
        self.ready_to_change(&object)?;
        let leftovers = self.store.list(prefix.as_str()).map_err(at(&object))?;
        let temporary = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with(TEMPORARY));
        for leftover in leftovers.iter().filter(|it| temporary(&it.path)) {
            match self.store.delete(&leftover.path) {
                Ok(()) | Err(Fault::Missing) => {}
                Err(fault) => return Err(at(&object)(fault)),
            }
        }
        self.store.sweep(prefix.as_str()).map_err(at(&object))
    }

    fn space(&self) -> Result<Option<Space>, DestinationError> {
        self.store.space().map_err(at(&self.location()))
    }

    fn id(&self) -> Result<Option<String>, DestinationError> {
        Ok(self.marker()?.map(|marker| marker.id().to_owned()))
    }

    fn has_tiers(&self) -> bool {
        self.store.has_tiers()
    }

    fn clock(&self) -> Result<Option<jiff::Timestamp>, DestinationError> {
        self.store.clock().map_err(at(&self.location()))
    }

    fn rules(&self) -> Result<StorageRules, DestinationError> {
        self.store.rules().map_err(at(&self.location()))
    }

    fn device(&self) -> Option<u64> {
        None
    }

    fn location(&self) -> String {
        self.store.location()
    }
}
