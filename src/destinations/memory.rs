//! A destination in memory for tests: it keeps state, passes the suite like any other kind, and can be told to lie.
//!
//! Nothing here is a way to keep a backup.

use super::{Access, Capabilities, Destination, DestinationError, Object};
use crate::format::{Key, Prefix};
use crate::host::Space;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard};

/// Faults that a test can ask for.
#[derive(Debug, Default, Clone)]
pub(crate) struct Faults {
    /// Stores the objects whose key has this ending with one bit flipped, and says that all is well.
    pub flips: Option<&'static str>,
    /// Says that an object is stored after this many bytes, without having read the rest.
    pub stops_reading_after: Option<usize>,
    /// Cannot be reached when an object is fetched.
    pub unreachable: bool,
    /// Room in bytes.
    pub room_bytes: Option<usize>,
    /// Its credentials may not delete.
    pub refuses_deletes: bool,
    /// What is said whatever is asked.
    pub says: Option<fn() -> DestinationError>,
    /// The objects whose key has this ending lie in an archive tier.
    pub archived: Option<&'static str>,
    /// Has a way to read many small objects together.
    pub reads_together: bool,
    /// What its clock says; none where asking for it fails.
    pub clock: Option<jiff::Timestamp>,
}

#[derive(Debug, Default)]
struct World {
    prepared: bool,
    objects: BTreeMap<Key, Vec<u8>>,
    /// Folders with the leftovers of killed uploads.
    leftovers: BTreeSet<String>,
    order: Vec<Key>,
    /// What was asked, such as `get host/set/manifest.json`.
    questions: Vec<String>,
    faults: Faults,
}

/// A place in memory; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct MemoryDestination {
    world: Arc<Mutex<World>>,
    access: Access,
    location: &'static str,
}

impl MemoryDestination {
    /// An empty place that is prepared.
    pub(crate) fn prepared(location: &'static str) -> Self {
        let new = Self::new(location);
        new.world().prepared = true;
        new
    }

    fn new(location: &'static str) -> Self {
        Self { world: Arc::default(), access: Access::Change, location }
    }

    /// The same place with faults.
    pub(crate) fn with(self, faults: Faults) -> Self {
        self.world().faults = faults;
        self
    }

    /// The keys in the order in which they were stored.
    pub(crate) fn order(&self) -> Vec<Key> {
        self.world().order.clone()
    }

    /// The bytes under a key.
    pub(crate) fn bytes(&self, key: &Key) -> Option<Vec<u8>> {
        self.world().objects.get(key).cloned()
    }

    /// What was asked since the last [`Self::forget_questions`].
    pub(crate) fn questions(&self) -> Vec<String> {
        self.world().questions.clone()
    }

    /// Begins to note anew what is asked.
    pub(crate) fn forget_questions(&self) {
        self.world().questions.clear();
    }

    /// Changes an object behind everybody's back.
    pub(crate) fn replace(&self, key: &Key, bytes: Vec<u8>) {
        self.world().objects.insert(key.clone(), bytes);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no test panics while it holds the place")
    }

    fn ready(&self) -> Result<MutexGuard<'_, World>, DestinationError> {
        let world = self.world();
        if let Some(says) = world.faults.says {
            return Err(says());
        }
        if world.prepared { Ok(world) } else { Err(DestinationError::NotPrepared { root: self.location() }) }
    }

    fn change(&self, object: &str) -> Result<MutexGuard<'_, World>, DestinationError> {
        match self.access {
            Access::Look => Err(DestinationError::ReadOnly { object: object.to_owned() }),
            Access::Change => self.ready(),
        }
    }
}

fn check(key: &Key) -> Result<(), DestinationError> {
    let bad = |part: &str| part.is_empty() || part.starts_with('.') || part.contains('\0');
    if key.as_str().split('/').any(bad) {
        let error = io::ErrorKind::InvalidInput.into();
        return Err(DestinationError::Io { object: key.to_string(), during: "using it as a key", error });
    }
    Ok(())
}

impl World {
    /// Stores what a body gives, as far as the faults let it.
    fn accept(&self, key: &Key, bytes: &mut Vec<u8>, body: &mut dyn Read) -> Result<(), DestinationError> {
        let taken: usize = self.objects.values().map(Vec::len).sum();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = body.read(&mut buffer);
            let length = read.map_err(|error| DestinationError::BodyAborted { key: key.clone(), error })?;
            bytes.extend_from_slice(&buffer[..length]);
            if self.faults.room_bytes.is_some_and(|room| taken + bytes.len() > room) {
                let error = io::ErrorKind::StorageFull.into();
                return Err(DestinationError::Full { object: key.to_string(), error });
            }
            if length == 0 || self.faults.stops_reading_after.is_some_and(|after| bytes.len() >= after) {
                break;
            }
        }
        let flips = self.faults.flips.is_some_and(|ending| key.as_str().ends_with(ending));
        if let Some(byte) = bytes.last_mut().filter(|_| flips) {
            *byte ^= 1;
        }
        Ok(())
    }
}

impl Destination for MemoryDestination {
    fn capabilities(&self) -> Capabilities {
        Capabilities { put_without_replacing: true, space: false }
    }

    fn prepared(&self) -> Result<bool, DestinationError> {
        let world = self.world();
        world.faults.says.map_or(Ok(world.prepared), |says| Err(says()))
    }

    fn prepare(&self) -> Result<(), DestinationError> {
        match self.access {
            Access::Look => Err(DestinationError::ReadOnly { object: self.location() }),
            Access::Change => {
                self.world().prepared = true;
                Ok(())
            }
        }
    }

    fn put_new(&self, key: &Key, body: &mut dyn Read) -> Result<(), DestinationError> {
        check(key)?;
        // The body is read without the lock: other destinations wait for nobody.
        let view = {
            let world = self.change(key.as_str())?;
            if world.objects.contains_key(key) {
                return Err(DestinationError::Exists { key: key.clone() });
            }
            World { objects: world.objects.clone(), faults: world.faults.clone(), ..World::default() }
        };
        let mut bytes = Vec::new();
        view.accept(key, &mut bytes, body)?;
        let mut world = self.ready()?;
        if world.objects.contains_key(key) {
            return Err(DestinationError::Exists { key: key.clone() });
        }
        world.objects.insert(key.clone(), bytes);
        world.order.push(key.clone());
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<Box<dyn Read + Send>, DestinationError> {
        check(key)?;
        let mut world = self.ready()?;
        world.questions.push(format!("get {key}"));
        if world.faults.unreachable {
            let error = io::ErrorKind::HostUnreachable.into();
            return Err(DestinationError::Io { object: key.to_string(), during: "opening it", error });
        }
        if world.faults.archived.is_some_and(|ending| key.as_str().ends_with(ending)) {
            let error = io::Error::other("InvalidObjectState");
            return Err(DestinationError::Archived { object: key.to_string(), error });
        }
        match world.objects.get(key) {
            Some(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            None => Err(DestinationError::NotFound { key: key.clone() }),
        }
    }

    fn get_together(&self, keys: &[Key], bytes_max: u64) -> BTreeMap<Key, Vec<u8>> {
        let mut world = self.world();
        if !world.faults.reads_together {
            return BTreeMap::new();
        }
        world.questions.push(format!("get {} together", keys.len()));
        let small = |key: &Key| world.objects.get(key).filter(|it| it.len() as u64 <= bytes_max).cloned();
        keys.iter().filter_map(|key| Some((key.clone(), small(key)?))).collect()
    }

    fn lists_deep(&self) -> bool {
        true
    }

    fn list(&self, prefix: &Prefix) -> Result<Vec<Object>, DestinationError> {
        let mut world = self.ready()?;
        world.questions.push(format!("list {}", prefix.as_str()));
        let below = world.objects.iter().filter(|(key, _)| key.as_str().starts_with(prefix.as_str()));
        Ok(below.map(|(key, bytes)| Object { key: key.clone(), size_bytes: bytes.len() as u64 }).collect())
    }

    fn folders(&self, prefix: &Prefix) -> Result<Vec<String>, DestinationError> {
        let mut world = self.ready()?;
        world.questions.push(format!("folders {}", prefix.as_str()));
        let texts = world.objects.keys().map(Key::as_str).chain(world.leftovers.iter().map(String::as_str));
        let below = texts.filter_map(|text| text.strip_prefix(prefix.as_str())?.split_once('/'));
        let names: BTreeSet<String> = below.map(|(name, _)| name.to_owned()).collect();
        Ok(names.into_iter().collect())
    }

    fn delete(&self, key: &Key) -> Result<(), DestinationError> {
        check(key)?;
        let mut world = self.change(key.as_str())?;
        if world.faults.refuses_deletes {
            let error = io::Error::other("AccessDenied");
            return Err(DestinationError::Denied { object: key.to_string(), error });
        }
        world.objects.remove(key).map(drop).ok_or_else(|| DestinationError::NotFound { key: key.clone() })
    }

    fn sweep(&self, prefix: &Prefix) -> Result<(), DestinationError> {
        self.change(prefix.as_str())?.leftovers.retain(|folder| !folder.starts_with(prefix.as_str()));
        Ok(())
    }

    fn space(&self) -> Result<Option<Space>, DestinationError> {
        Ok(None)
    }

    fn clock(&self) -> Result<Option<jiff::Timestamp>, DestinationError> {
        let error = || DestinationError::Io {
            object: self.location(),
            during: "asking for the time",
            error: io::ErrorKind::TimedOut.into(),
        };
        self.world().faults.clock.map(Some).ok_or_else(error)
    }

    fn has_tiers(&self) -> bool {
        true
    }

    fn device(&self) -> Option<u64> {
        None
    }

    fn location(&self) -> String {
        format!("memory:{}", self.location)
    }
}

struct Place(MemoryDestination);

impl super::conformance::Bed for Place {
    fn fresh() -> Self {
        Self(MemoryDestination::new("fresh"))
    }

    fn small() -> Self {
        let room_bytes = Some(512 << 10);
        Self(MemoryDestination::new("small").with(Faults { room_bytes, ..Faults::default() }))
    }

    fn open(&self, access: Access) -> Box<dyn Destination> {
        Box::new(MemoryDestination { access, ..self.0.clone() })
    }

    fn leave_killed_upload(&self, folder: &Prefix) {
        self.0.world().leftovers.insert(folder.as_str().to_owned());
    }
}

super::conformance::conformance_suite!(Place);
