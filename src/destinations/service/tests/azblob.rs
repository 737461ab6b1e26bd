//! Azure's Blob Storage, by Azurite.

use super::bed::{Declared, bytes, told};
use crate::destinations::conformance::{Bed, conformance_suite, noise, snapshot};
use crate::destinations::servers::{Azurite, Front, Proxy, answer};
use crate::destinations::{Access, Destination, DestinationError};
use crate::format::Prefix;
use crate::observed::Shown;

/// More than this is no room.
const ROOM: usize = 512 << 10;

struct Place {
    server: Azurite,
    front: Option<Front>,
}

impl Place {
    fn declared(&self) -> Declared {
        Declared::azblob(&self.server, self.front.as_ref().map_or(self.server.port(), Front::port))
    }
}

impl Bed for Place {
    fn fresh() -> Self {
        Self { server: Azurite::start(), front: None }
    }

    /// Azurite has no quota: what is too large is refused by a front before it, with HTTP 507 (RFC 4918).
    fn small() -> Self {
        let server = Azurite::start();
        let front = Front::before(server.port(), |request| {
            (request.body.len() > ROOM).then(|| answer("507 Insufficient Storage", &[], ""))
        });
        Self { server, front: Some(front) }
    }

    fn open(&self, access: Access) -> Box<dyn Destination> {
        self.declared().open(access)
    }

    /// Azure discards blocks that nobody committed after a week (Microsoft, "Put Block"); nothing lists them.
    fn leave_killed_upload(&self, folder: &Prefix) {
        self.server.leave_upload(&format!("deep/root/{}half", folder.as_str()).replace('%', "%25"));
    }

    fn reads_together(&self) -> bool {
        true
    }

    fn killed_upload_shows(&self) -> bool {
        false
    }
}

conformance_suite!(Place);

#[test]
fn blocks_of_a_killed_upload_do_not_stand_in_the_way_of_the_next() {
    let place = Place::fresh();
    let destination = place.declared().prepared();
    place.leave_killed_upload(&snapshot());
    let key = snapshot().key("half");
    let large = noise(9 << 20);
    destination.put_new(&key, &mut large.as_slice()).expect("nothing is there");
    assert!(bytes(&*destination, &key) == large);
}

#[test]
fn archived_blob_says_so() {
    let place = Place::fresh();
    let destination = place.declared().prepared();
    let key = snapshot().key("a");
    destination.put_new(&key, &mut &b"cold"[..]).expect("room");
    place.server.set_tier(&format!("deep/root/{}", key.as_str().replace('%', "%25")), "Archive");
    let error = destination.get(&key).err().expect("it cannot be read");
    assert!(matches!(error, DestinationError::Archived { .. }), "{}", told(&error));
    assert_eq!(destination.list(&Prefix::root()).expect("a list").len(), 1, "it is there");
}

#[test]
fn signature_in_the_keys_place_works_until_it_ends() {
    let place = Place::fresh();
    let with = |until: &str| {
        let mut declared = place.declared();
        declared.secrets.clear();
        declared.secret("sas_token", format!("?{}", place.server.sas(until)))
    };
    let good = with("2099-01-01T00:00:00Z").prepared();
    good.put_new(&snapshot().key("a"), &mut &b"1"[..]).expect("it is valid");
    // A signature stands in every address: no error may tell one.
    let cut = Proxy::before(place.server.port());
    cut.cut();
    let declared = with("2099-01-01T00:00:00Z");
    let endpoint = format!("http://127.0.0.1:{}/{}", cut.port(), place.server.account());
    let unreached = declared.set("endpoint", endpoint).open(Access::Change);
    for error in [unreached.prepared().err(), unreached.list(&Prefix::root()).err()] {
        told(&error.expect("it is not reached"));
    }
    let over = with("2020-01-01T00:00:00Z").open(Access::Change);
    let errors = [
        over.prepared().err(),
        over.prepare().err(),
        over.list(&Prefix::root()).err(),
        over.put_new(&snapshot().key("b"), &mut &b"1"[..]).err(),
    ];
    for error in errors {
        let error = error.expect("it is over");
        assert!(matches!(error, DestinationError::Denied { .. }), "{}", told(&error));
    }
}

#[test]
fn wrong_key_is_refused_by_the_server_itself() {
    let place = Place::fresh();
    let wrong = place.declared().secret("account_key", "c2VjcmV0IHRoYXQgaXMgd3Jvbmc=").open(Access::Change);
    for error in [wrong.prepared().err(), wrong.prepare().err()] {
        let error = error.expect("it is refused");
        let text = told(&error);
        assert!(matches!(error, DestinationError::Denied { .. }) && text.contains("Auth"), "{text}");
        assert!(!text.contains("c2VjcmV0"), "{text}");
    }
}

#[test]
fn rules_are_not_shown() {
    let place = Place::fresh();
    let rules = place.declared().open(Access::Look).rules().expect("an answer");
    assert!(matches!((&rules.lifecycle, &rules.lock), (Shown::NotShown(_), Shown::NotShown(_))), "{rules:?}");
}
