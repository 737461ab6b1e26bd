//! A host that is not the declared one, for both kinds.

use super::Place;
use crate::declared::Protocol;
use crate::destinations::{Access, DestinationError};
use crate::format::Prefix;
use std::path::Path;

fn is_refused(place: &Place, known_hosts: &Path) {
    let destination = place.open_with(&place.sshd.key(), known_hosts, Access::Change);
    let key = Prefix::root().folder("host").key("a");
    let refusals = [
        destination.prepare().err(),
        destination.prepared().err(),
        destination.put_new(&key, &mut &b"secret"[..]).err(),
        destination.list(&Prefix::root()).err(),
    ];
    for refusal in refusals {
        let Some(DestinationError::Stranger { error, .. }) = &refusal else { panic!("{refusal:?}") };
        assert!(error.to_string().contains("host key") || error.to_string().contains("Host key"), "{error}");
    }
    let log = place.sshd.log();
    assert!(!log.contains("Accepted") && !log.contains("Failed publickey"), "nobody logged in:\n{log}");
    assert!(!place.root().exists(), "nothing was sent");
}

#[test]
fn changed_host_key_is_a_stranger_and_nothing_is_sent() {
    for protocol in [Protocol::Sftp, Protocol::Rsync] {
        let place = Place::new(protocol);
        is_refused(&place, &place.sshd.changed_hosts(place.proxy.port()));
        place.open(Access::Change).prepare().expect("the right key");
        assert!(place.root().exists());
    }
}

#[test]
fn unknown_host_key_is_a_stranger_and_nothing_is_sent() {
    for protocol in [Protocol::Sftp, Protocol::Rsync] {
        let place = Place::new(protocol);
        is_refused(&place, &place.sshd.no_hosts());
    }
}

#[test]
fn key_without_its_last_line_break_is_read() {
    let place = Place::new(Protocol::Sftp);
    #[expect(clippy::disallowed_methods, reason = "the plan's side of a test")]
    let key = {
        let text = std::fs::read_to_string(place.sshd.key()).expect("a key");
        let path = place.sshd.key().with_extension("stripped");
        std::fs::write(&path, text.trim_end()).expect("written");
        path
    };
    let known_hosts = place.sshd.known_hosts(place.proxy.port());
    place.open_with(&key, &known_hosts, Access::Change).prepare().expect("let in");
}
