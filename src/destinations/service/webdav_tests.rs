//! WebDAV through the storage library: the suite against two servers, and what is particular to objects in parts.

use super::*;
use crate::declared::{Protocol, SecretRef, Transport};
use crate::destinations::conformance::{Bed, Broken, conformance_suite, noise, snapshot};
use crate::destinations::remote::{RemoteDestination, TEMPORARY, Throttle};
use crate::destinations::servers::webdav::{Maker, PASSWORD, USER, Webdav};
use crate::destinations::servers::{Front, Proxy, Rule};
use crate::destinations::{Access, Destination, DestinationError};
use crate::format::{Key, Prefix};
use crate::host::{Host, RealHost};
use crate::secrets::resolve;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Bytes of a part, as in `store`.
const PART: usize = 8 << 20;

struct Place {
    webdav: Webdav,
    proxy: Option<Proxy>,
    mounted: bool,
    password: &'static str,
    retries: u32,
}

impl Place {
    fn made_by(maker: Maker) -> Self {
        Self::over(Webdav::start(maker), false)
    }

    /// Apache's, whoever's else is tried: rclone's answers 405 when there is no room, as it does to anything that it could not
    /// write, and no client can know.
    fn small() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("small");
        fs::DirBuilder::new().create(&root).expect("a folder");
        mount("tmpfs", &root, "tmpfs", MountFlags::empty(), c"size=512k")
            .expect("this test needs the right to mount a tmpfs: run it as root");
        Self::over(Webdav::over(Maker::Apache, folder, root), true)
    }

    fn over(webdav: Webdav, mounted: bool) -> Self {
        Self { webdav, proxy: None, mounted, password: PASSWORD, retries: 2 }
    }

    fn behind_a_proxy() -> Self {
        let mut place = Self::made_by(Maker::Rclone);
        place.proxy = Some(Proxy::before(place.webdav.server.port()));
        place
    }

    fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("this place has one")
    }

    fn destination(&self, access: Access) -> RemoteDestination {
        self.destination_at(self.proxy.as_ref().map_or(self.webdav.server.port(), Proxy::port), access)
    }

    fn destination_at(&self, port: u16, access: Access) -> RemoteDestination {
        let settings = [
            ("url", format!("http://127.0.0.1:{port}")),
            ("path", "back ups/bkp".to_owned()),
            ("user", USER.to_owned()),
        ];
        let declared = RemoteDeclaration {
            protocol: Protocol::Webdav,
            settings: BTreeMap::from(settings),
            secrets: BTreeMap::new(),
            transport: Transport { retries: Some(self.retries), ..Transport::default() },
        };
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        RealHost.write_atomic(&file, self.password.as_bytes(), 0o600).expect("room");
        let password = resolve(&RealHost, "password", &SecretRef::File(file)).expect("it is there");
        let store = open(&declared, &BTreeMap::from([("password", password)]));
        let store = store.map_err(|it| it.reason).expect("it can be opened");
        RemoteDestination::new(store, access, false, Throttle::new(None))
    }

    fn root(&self) -> PathBuf {
        self.webdav.root.join("back ups/bkp")
    }

    fn file(&self, key: &Key, ending: &str) -> PathBuf {
        self.root().join(format!("{}{ending}", key.as_str()))
    }

    fn leave(&self, folder: &Prefix) {
        let folder = self.root().join(folder.as_str());
        fs::DirBuilder::new().recursive(true).create(&folder).expect("a folder");
        fs::File::create_new(folder.join(format!("{TEMPORARY}0123456789abcdef"))).expect("a file");
        fs::File::create_new(folder.join("large~0001")).expect("a file");
        // Apache's belong to nobody.
        for folder in folder.ancestors().take_while(|it| it.starts_with(&self.webdav.root)) {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("its owner may");
        }
    }

    /// Names in the snapshot's folder.
    fn lying(&self) -> Vec<String> {
        let names = RealHost.list_dir(&self.root().join(snapshot().as_str())).unwrap_or_default();
        names.into_iter().map(|it| it.to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.webdav.server.kill();
        if self.mounted {
            unmount(&self.webdav.root, UnmountFlags::DETACH).expect("it was mounted");
        }
    }
}

macro_rules! suite_against {
    ($($module:ident: $maker:ident),+) => {
        $(mod $module {
            use super::*;

            struct Served(Place);

            impl Bed for Served {
                fn fresh() -> Self {
                    Self(Place::made_by(Maker::$maker))
                }

                fn small() -> Self {
                    Self(Place::small())
                }

                fn open(&self, access: Access) -> Box<dyn Destination> {
                    Box::new(self.0.destination(access))
                }

                fn leave_killed_upload(&self, folder: &Prefix) {
                    self.0.leave(folder);
                }

                fn reads_together(&self) -> bool {
                    true
                }
            }

            conformance_suite!(Served);
        })+
    };
}

suite_against!(by_rclone: Rclone, by_apache: Apache);

fn key(name: &str) -> Key {
    snapshot().key(name)
}

fn prepared(place: &Place) -> RemoteDestination {
    let destination = place.destination(Access::Change);
    destination.prepare().expect("a fresh place");
    destination
}

fn read(mut body: Box<dyn Read + Send>) -> Vec<u8> {
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes).expect("it can be read");
    bytes
}

/// Does something once so many bytes were given.
struct Then<F: FnMut()> {
    bytes: io::Cursor<Vec<u8>>,
    at: u64,
    act: Option<F>,
}

impl<F: FnMut()> Read for Then<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.position() >= self.at
            && let Some(mut act) = self.act.take()
        {
            act();
        }
        self.bytes.read(buffer)
    }
}

fn then<F: FnMut()>(length: usize, at: usize, act: F) -> Then<F> {
    Then { bytes: io::Cursor::new(noise(length)), at: at as u64, act: Some(act) }
}

#[test]
fn wrong_credentials_are_refused_and_named() {
    for maker in [Maker::Rclone, Maker::Apache] {
        let mut place = Place::made_by(maker);
        prepared(&place);
        place.password = "wrong";
        let destination = place.destination(Access::Change);
        let refusals = [
            destination.prepared().err(),
            destination.put_new(&key("a"), &mut &b"1"[..]).err(),
            destination.list(&Prefix::root()).err(),
        ];
        for refusal in refusals {
            assert!(matches!(refusal, Some(DestinationError::Denied { .. })), "{maker:?}: {refusal:?}");
        }
    }
}

#[test]
fn connection_cut_while_storing_leaves_nothing() {
    let mut place = Place::behind_a_proxy();
    place.retries = 1;
    let destination = prepared(&place);
    // In the middle of a request, and between two parts.
    place.proxy().cut_after(4 << 20);
    let failed = destination.put_new(&key("a"), &mut noise(8 << 20).as_slice());
    assert!(matches!(failed, Err(DestinationError::Io { .. })), "{failed:?}");
    place.proxy().mend();
    let cut = || place.proxy().cut();
    let failed = destination.put_new(&key("b"), &mut then(3 * PART, 2 * PART + 1, cut));
    assert!(matches!(failed, Err(DestinationError::Io { .. })), "{failed:?}");
    place.proxy().mend();
    for name in ["a", "b"] {
        let absent = destination.get(&key(name)).err();
        assert!(matches!(absent, Some(DestinationError::NotFound { .. })), "{absent:?}");
    }
    assert_eq!(destination.list(&Prefix::root()).expect("a list"), []);
    assert_ne!(place.lying(), Vec::<String>::new(), "nothing was under way");
    destination.sweep(&Prefix::root()).expect("a sweep");
    let left = RealHost.list_dir(&place.root()).expect("a folder");
    assert_eq!(left, [".bkp-destination"], "folders that stay empty go too");
    destination.put_new(&key("a"), &mut &b"later"[..]).expect("room");
    assert_eq!(read(destination.get(&key("a")).expect("it is there")), b"later");
}

#[test]
fn object_is_given_back_from_a_byte_on() {
    let place = Place::made_by(Maker::Rclone);
    let destination = prepared(&place);
    for length in [1 << 20, 2 * PART + 5] {
        let (key, bytes) = (key(&length.to_string()), noise(length));
        destination.put_new(&key, &mut bytes.as_slice()).expect("room");
        for from in [0, 1, length / 2, length - 1, length, length + 1] {
            let rest = read(destination.get_from(&key, from as u64).expect("it is there"));
            assert!(rest == bytes[from.min(length)..], "from {from}: {} bytes", rest.len());
        }
    }
}

#[test]
fn large_object_lies_in_parts_and_is_one_to_everybody() {
    let place = Place::made_by(Maker::Rclone);
    let destination = prepared(&place);
    let bytes = noise(2 * PART + 5);
    destination.put_new(&key("large"), &mut bytes.as_slice()).expect("room");
    assert_eq!(place.lying(), ["large~0001", "large~0002", "large~0003", "large~parts"]);
    let listed = destination.list(&Prefix::root()).expect("a list");
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].key.clone(), listed[0].size_bytes), (key("large"), bytes.len() as u64));
    assert!(read(destination.get(&key("large")).expect("it is there")) == bytes);
    let again = destination.put_new(&key("large"), &mut &b"small"[..]);
    assert!(matches!(again, Err(DestinationError::Exists { .. })), "{again:?}");
    destination.delete(&key("large")).expect("it is there");
    assert_eq!(place.lying(), Vec::<String>::new());
}

#[test]
fn missing_or_short_part_is_an_error_and_never_a_short_success() {
    let place = Place::made_by(Maker::Rclone);
    let destination = prepared(&place);
    for (name, damage) in [("gone", None), ("short", Some(5_u64)), ("last", None)] {
        destination.put_new(&key(name), &mut noise(2 * PART + 5).as_slice()).expect("room");
        let part = place.file(&key(name), if name == "last" { "~0003" } else { "~0002" });
        match damage {
            None => RealHost.remove_file(&part).expect("it is there"),
            Some(length) => {
                let file = fs::OpenOptions::new().write(true).open(&part).expect("it is there");
                file.set_len(length).expect("a file");
            }
        }
        let read = destination.get(&key(name)).and_then(|mut body| {
            let mut bytes = Vec::new();
            let read = body.read_to_end(&mut bytes);
            read.map_err(|error| DestinationError::Io { object: name.to_owned(), during: "reading", error })
        });
        assert!(matches!(read, Err(DestinationError::Io { .. })), "{name}: {read:?}");
    }
}

#[test]
fn parts_are_fetched_one_after_another() {
    let place = Place::made_by(Maker::Rclone);
    let destination = prepared(&place);
    destination.put_new(&key("large"), &mut noise(2 * PART + 5).as_slice()).expect("room");
    let mut body = destination.get(&key("large")).expect("it is there");
    let mut first = vec![0; PART];
    body.read_exact(&mut first).expect("the first part");
    RealHost.remove_file(&place.file(&key("large"), "~0003")).expect("it is there");
    let error = body.read_to_end(&mut Vec::new()).expect_err("the last part was not fetched yet");
    assert!(error.to_string().contains("large~0003: it is not there"), "{error}");
}

#[test]
fn one_listing_tells_of_all_parts() {
    let place = Place::made_by(Maker::Rclone);
    prepared(&place).put_new(&key("large"), &mut noise(2 * PART + 5).as_slice()).expect("room");
    let front = Front::before(place.webdav.server.port(), |_| None);
    let destination = place.destination_at(front.port(), Access::Look);
    drop(destination.get(&key("large")).expect("it is there"));
    let lines = front.lines();
    let of_parts: Vec<&String> = lines.iter().filter(|it| it.contains("large~0")).collect();
    assert!(of_parts.iter().all(|it| it.starts_with("GET ")), "no part is asked for by name: {lines:?}");
    let listings = lines.iter().filter(|it| it.starts_with("PROPFIND ") && it.ends_with('/')).count();
    assert_eq!(listings, 1, "{lines:?}");
}

#[test]
fn lost_answer_to_publishing_is_looked_up_and_makes_no_duplicate() {
    let place = Place::behind_a_proxy();
    let destination = prepared(&place);
    for length in [10_000, 2 * PART + 5] {
        let name = length.to_string();
        place.proxy().rule(Rule::LoseAnswer { line: "MOVE ".to_owned(), times: 1 });
        destination.put_new(&key(&name), &mut noise(length).as_slice()).expect("it was stored");
        assert!(read(destination.get(&key(&name)).expect("it is there")) == noise(length));
        destination.delete(&key(&name)).expect("it is there");
        assert_eq!(place.lying(), Vec::<String>::new());
    }
}

#[test]
fn name_taken_by_another_process_meanwhile_is_not_replaced() {
    for maker in [Maker::Rclone, Maker::Apache] {
        let place = Place::made_by(maker);
        let rival = place.destination(Access::Change);
        let destination = prepared(&place);
        let take = || rival.put_new(&key("a"), &mut &b"rival"[..]).expect("it is free");
        let refused = destination.put_new(&key("a"), &mut then(1 << 20, 1 << 19, take));
        assert!(matches!(refused, Err(DestinationError::Exists { .. })), "{maker:?}: {refused:?}");
        assert_eq!(read(destination.get(&key("a")).expect("it is there")), b"rival");
        assert_eq!(place.lying(), ["a"], "{maker:?}");
    }
}

#[test]
fn rivals_for_a_large_object_do_not_mix_their_parts() {
    let place = Place::made_by(Maker::Rclone);
    let destination = prepared(&place);
    let start = std::sync::Barrier::new(2);
    let won: Vec<u8> = std::thread::scope(|scope| {
        let rivals = [1_u8, 2].map(|rival| {
            let (destination, start) = (&destination, &start);
            scope.spawn(move || {
                start.wait();
                (rival, destination.put_new(&key("a"), &mut vec![rival; 2 * PART + 5].as_slice()))
            })
        });
        let ended = rivals.map(|it| it.join().expect("no panic"));
        ended
            .into_iter()
            .filter_map(|(rival, result)| match result {
                Ok(()) => Some(rival),
                Err(DestinationError::Exists { .. }) => None,
                Err(error) => panic!("{error}"),
            })
            .collect()
    });
    assert_eq!(won.len(), 1);
    assert!(read(destination.get(&key("a")).expect("it is there")) == vec![won[0]; 2 * PART + 5]);
}

#[test]
fn aborted_large_body_takes_its_parts_away_and_leaves_those_of_others() {
    let place = Place::made_by(Maker::Rclone);
    let destination = prepared(&place);
    destination.put_new(&key("whole"), &mut noise(2 * PART).as_slice()).expect("room");
    let refused = destination.put_new(&key("broken"), &mut Broken::after(2 * PART + 5));
    assert!(matches!(refused, Err(DestinationError::BodyAborted { .. })), "{refused:?}");
    assert_eq!(place.lying(), ["whole~0001", "whole~0002", "whole~parts"]);
}
