//! What is particular to rsync.

use super::{Place, RsyncPlace};
use crate::declared::Protocol;
use crate::destinations::conformance::{conformance_suite, network_suite, noise, snapshot};
use crate::destinations::servers::Sshd;
use crate::destinations::ssh::client::Client;
use crate::destinations::ssh::rsync::{RsyncStore, stage};
use crate::destinations::{Access, Destination, DestinationError};
use crate::format::{Key, Prefix};
use crate::host::RealHost;
use std::io::Read;

conformance_suite!(RsyncPlace);
network_suite!(RsyncPlace);

fn key(name: &str) -> Key {
    snapshot().key(name)
}

fn prepared(place: &Place) -> Box<dyn Destination> {
    let destination = place.open(Access::Change);
    destination.prepare().expect("a fresh place");
    destination
}

#[test]
fn deleting_an_object_touches_nothing_else() {
    let place = Place::new(Protocol::Rsync);
    let destination = prepared(&place);
    for name in ["a", "ab", "b"] {
        destination.put_new(&key(name), &mut name.as_bytes()).expect("room");
    }
    place.leave(&snapshot().folder("a-folder"), "foreign file", b"1");
    place.leave(&Prefix::root().folder("elsewhere"), "a", b"1");
    place.leave(&Prefix::root().folder(".hidden"), "a", b"1");
    let mut expected = place.names();
    destination.delete(&key("a")).expect("it is there");
    expected.retain(|name| name != key("a").as_str());
    assert_eq!(place.names(), expected);
}

#[test]
fn sweep_leaves_foreign_files_alone() {
    let place = Place::new(Protocol::Rsync);
    let destination = prepared(&place);
    destination.put_new(&key("a"), &mut &b"1"[..]).expect("room");
    place.leave(&snapshot(), ".profile.local", b"1");
    place.leave(&Prefix::root(), ".bashrc", b"1");
    let expected = place.names();
    place.leave(&snapshot(), ".a.Xy12Zz", b"half");
    destination.sweep(&Prefix::root()).expect("a sweep");
    assert_eq!(place.names(), expected);
}

#[test]
fn account_that_permits_rrsync_alone_is_enough() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = format!("command=\"/usr/bin/rrsync {}\",restrict", folder.path().display());
    let place = Place::behind(Sshd::permitting(&options, ""), Protocol::Rsync).named("box");
    let destination = prepared(&place);
    let bytes = noise(300_000);
    destination.put_new(&key("a"), &mut bytes.as_slice()).expect("room");
    assert!(folder.path().join("box").join(key("a").as_str()).exists());
    let again = destination.put_new(&key("a"), &mut &b"2"[..]);
    assert!(matches!(again, Err(DestinationError::Exists { .. })), "{again:?}");
    let mut back = Vec::new();
    destination.get(&key("a")).expect("it is there").read_to_end(&mut back).expect("it can be read");
    assert!(back == bytes);
    destination.delete(&key("a")).expect("it is there");
    assert_eq!(destination.list(&Prefix::root()).expect("a list"), []);
    assert_eq!(destination.folders(&Prefix::root()).expect("a list"), Vec::<String>::new());
}

#[test]
fn account_that_permits_rrsync_for_writing_alone_says_so_when_it_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = format!("command=\"/usr/bin/rrsync -wo {}\",restrict", folder.path().display());
    let place = Place::behind(Sshd::permitting(&options, ""), Protocol::Rsync).named("box");
    let error = place.open(Access::Change).prepared().expect_err("it may not be read");
    let text = crate::diagnostic::causes(&error);
    assert!(text.contains("write-only"), "{error:?}");
}

#[test]
fn host_without_rsync_says_so() {
    let options = "command=\"no-such-program\"";
    let place = Place::behind(Sshd::permitting(options, ""), Protocol::Rsync);
    let error = place.open(Access::Change).prepared().expect_err("nothing answers");
    let text = crate::diagnostic::causes(&error);
    assert!(text.contains("not found"), "{text}");
}

#[test]
fn folder_with_characters_that_shells_read_is_not_opened() {
    let place = Place::new(Protocol::Rsync).named("/srv/$(touch x)");
    let error = place.open(Access::Change).prepare().expect_err("not opened");
    let DestinationError::Unopened { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("$(touch x)"), "{reason}");
}

#[test]
fn lost_answer_is_a_success_where_the_same_bytes_are_there_and_no_others() {
    let place = Place::new(Protocol::Rsync);
    prepared(&place).put_new(&key("a"), &mut &b"first"[..]).expect("room");
    let remote = place.declared(&place.sshd.key(), &place.sshd.known_hosts(place.proxy.port()));
    let resolved = remote.secrets.iter().map(|(name, reference)| {
        (*name, crate::secrets::resolve(&RealHost, name, reference).expect("a file"))
    });
    let client = Client::new(&remote, &resolved.collect()).expect("a way");
    let store = RsyncStore::new(client, &remote).expect("a folder");
    let sent = |bytes: &[u8], tried| {
        let folder = tempfile::tempdir().expect("a folder");
        stage(folder.path(), key("a").as_str(), &mut &*bytes).expect("staged");
        store.send(folder.path(), key("a").as_str(), tried).expect("an answer")
    };
    assert!(!sent(b"first", 0), "whoever was first was first");
    assert!(sent(b"first", 1), "the try before put it there");
    assert!(!sent(b"other", 1), "a rival's, of the same size");
    let mut back = Vec::new();
    place.open(Access::Look).get(&key("a")).expect("it is there").read_to_end(&mut back).expect("read");
    assert_eq!(back, b"first");
}

#[test]
fn rivals_with_much_to_send_are_kept_apart() {
    let place = Place::new(Protocol::Rsync);
    let destination = prepared(&place);
    let won: Vec<bool> = std::thread::scope(|scope| {
        let rivals: Vec<_> = (0..3_u8)
            .map(|rival| {
                let destination = &*destination;
                scope.spawn(move || {
                    let put = destination.put_new(&key("a"), &mut vec![rival; 48 << 20].as_slice());
                    assert!(matches!(put, Ok(()) | Err(DestinationError::Exists { .. })), "{put:?}");
                    put.is_ok()
                })
            })
            .collect();
        rivals.into_iter().map(|rival| rival.join().expect("no panic")).collect()
    });
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
}
