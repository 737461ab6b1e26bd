//! What is particular to SFTP.

use super::{Place, SftpPlace};
use crate::declared::Protocol;
use crate::destinations::conformance::{Bed, conformance_suite, network_suite, noise, snapshot};
use crate::destinations::servers::Sshd;
use crate::destinations::{Access, Destination, DestinationError};
use crate::format::{Key, Prefix};
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

conformance_suite!(SftpPlace);
network_suite!(SftpPlace);

/// Beds whose server lacks some of OpenSSH's extensions.
macro_rules! lacking {
    ($name:ident, $denied:literal) => {
        struct $name(Place);

        impl $name {
            fn server() -> Sshd {
                Sshd::permitting("", concat!("Subsystem sftp internal-sftp -P ", $denied))
            }
        }

        impl Bed for $name {
            fn fresh() -> Self {
                Self(Place::behind(Self::server(), Protocol::Sftp))
            }

            fn small() -> Self {
                Self(Place::small_behind(Self::server(), Protocol::Sftp))
            }

            fn open(&self, access: Access) -> Box<dyn Destination> {
                self.0.open(access)
            }

            fn leave_killed_upload(&self, folder: &Prefix) {
                self.0.leave(folder, ".bkp-tmp-0123456789abcdef", b"half an obj");
            }
        }
    };
}

lacking!(Linkless, "hardlink");
lacking!(Plain, "hardlink,posix-rename,fsync,limits,expand-path");
lacking!(Roomless, "statvfs");

mod without_links {
    use super::*;
    conformance_suite!(Linkless);

    #[test]
    fn rename_that_replaces_is_not_called_exclusive() {
        assert!(!Linkless::fresh().open(Access::Look).capabilities().put_without_replacing);
        assert!(Plain::fresh().open(Access::Look).capabilities().put_without_replacing);
        assert!(SftpPlace::fresh().open(Access::Look).capabilities().put_without_replacing);
    }
}

mod with_nothing_but_the_protocol {
    use super::*;
    conformance_suite!(Plain);
}

fn key(name: &str) -> Key {
    snapshot().key(name)
}

fn prepared(place: &Place) -> Box<dyn Destination> {
    let destination = place.open(Access::Change);
    destination.prepare().expect("a fresh place");
    destination
}

fn get(destination: &dyn Destination, key: &Key) -> Vec<u8> {
    let mut bytes = Vec::new();
    destination.get(key).expect("it is there").read_to_end(&mut bytes).expect("it can be read");
    bytes
}

/// A place whose server fails once, at the hard link that would give the second object its name.
fn failing_once(mode: &str) -> (Place, Box<dyn Destination>, tempfile::TempDir) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/sftp_at_bad_moments.py");
    let folder = tempfile::tempdir().expect("a folder");
    let flag = folder.path().join("flag");
    let line = format!("Subsystem sftp /usr/bin/python3 {} {mode} {}", script.display(), flag.display());
    #[expect(clippy::disallowed_methods, reason = "the server's side of a test")]
    let (begin, end) = (
        || std::fs::write(&flag, b"").expect("written"),
        || {
            std::fs::remove_file(&flag).expect("it is there");
        },
    );
    begin();
    let mut place = Place::behind(Sshd::permitting("", &line), Protocol::Sftp);
    place.timeout_seconds = 5;
    let destination = prepared(&place);
    end();
    (place, destination, folder)
}

#[test]
fn lost_answer_to_the_link_that_was_made_is_a_success() {
    let (place, destination, _flag) = failing_once("forget");
    let bytes = noise(300_000);
    destination.put_new(&key("a"), &mut bytes.as_slice()).expect("it is there");
    assert!(get(&*destination, &key("a")) == bytes);
    assert!(!place.names().iter().any(|name| name.contains(".bkp-tmp-")), "{:?}", place.names());
}

#[test]
fn link_that_was_never_made_is_made_on_the_next_connection() {
    let (place, destination, _flag) = failing_once("drop");
    let bytes = noise(300_000);
    destination.put_new(&key("a"), &mut bytes.as_slice()).expect("made again");
    assert!(get(&*destination, &key("a")) == bytes);
    assert!(!place.names().iter().any(|name| name.contains(".bkp-tmp-")), "{:?}", place.names());
}

#[test]
fn rival_that_takes_the_name_while_the_connection_is_lost_keeps_it() {
    let (place, destination, _flag) = failing_once("rival");
    let taken = destination.put_new(&key("a"), &mut noise(300_000).as_slice());
    assert!(matches!(taken, Err(DestinationError::Exists { .. })), "{taken:?}");
    assert_eq!(get(&*destination, &key("a")), b"a rival's");
    assert!(!place.names().iter().any(|name| name.contains(".bkp-tmp-")), "{:?}", place.names());
}

#[test]
fn server_that_falls_silent_is_left_within_its_time() {
    let (_place, destination, _flag) = failing_once("hang");
    let began = Instant::now();
    // The link was made before it fell silent, which the next connection shows.
    destination.put_new(&key("a"), &mut noise(300_000).as_slice()).expect("it is there");
    let took = began.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(20)).contains(&took), "{took:?}");
}

#[test]
fn host_that_says_nothing_is_left_within_its_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut place = Place::new(Protocol::Sftp);
    place.timeout_seconds = 1;
    place.port = Some(silent.local_addr().expect("bound").port());
    let began = Instant::now();
    let error = place.open(Access::Look).prepared().expect_err("nobody answers");
    assert!(matches!(error, DestinationError::Io { .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn download_goes_on_where_it_stopped_when_the_connection_was_cut() {
    let place = Place::new(Protocol::Sftp);
    let destination = prepared(&place);
    let bytes = noise(24 << 20);
    destination.put_new(&key("a"), &mut bytes.as_slice()).expect("room");
    let mut body = destination.get(&key("a")).expect("it is there");
    let mut begun = vec![0; 1 << 20];
    body.read_exact(&mut begun).expect("the beginning");
    place.proxy.cut();
    place.proxy.mend();
    body.read_to_end(&mut begun).expect("the rest");
    assert!(begun == bytes);
}

#[test]
fn folder_that_is_not_absolute_is_the_accounts_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = format!("Subsystem sftp internal-sftp -d {}", folder.path().display());
    let place = Place::behind(Sshd::permitting("", &line), Protocol::Sftp).named("some/place/");
    let destination = prepared(&place);
    destination.put_new(&key("a"), &mut &b"1"[..]).expect("room");
    assert!(folder.path().join("some/place").join(key("a").as_str()).exists());
    assert_eq!(destination.location(), format!("sftp://127.0.0.1:{}/~/some/place", place.proxy.port()));
    assert!(destination.space().expect("an answer").is_some());
}

#[test]
fn full_disk_of_a_server_that_shows_no_room_is_an_error_all_the_same() {
    let bed = Roomless::small();
    let destination = prepared(&bed.0);
    let refused = destination.put_new(&key("large"), &mut noise(2 << 20).as_slice());
    assert!(matches!(refused, Err(DestinationError::Io { .. })), "{refused:?}");
    assert_eq!(destination.list(&Prefix::root()).expect("a list"), []);
    assert_eq!(destination.space().expect("an answer"), None);
}

#[test]
fn folders_and_files_are_nobodys_but_the_accounts() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new(Protocol::Sftp);
    prepared(&place).put_new(&key("a"), &mut &b"1"[..]).expect("room");
    let mut above = place.path(&snapshot());
    while above.starts_with(place.root()) {
        #[expect(clippy::disallowed_methods, reason = "the server's side of a test")]
        let mode = std::fs::metadata(&above).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", above.display());
        above.pop();
    }
}
