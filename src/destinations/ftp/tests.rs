//! What is particular to FTP, and the suite against servers of several kinds.

use super::*;
use crate::declared::{Protocol, Transport};
use crate::destinations::conformance::{Bed, Broken, conformance_suite, noise, snapshot};
use crate::destinations::remote::{RemoteDestination, Throttle};
use crate::destinations::servers::Proxy;
use crate::destinations::servers::ftpd::{Dialect, Ftpd, PASSWORD, USER};
use crate::destinations::{Access, Destination, DestinationError};
use crate::format::{Key, Prefix};
use crate::host::RealHost;
use crate::secrets::resolve;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

struct Place {
    ftpd: Ftpd,
    dialect: Dialect,
    /// Where it is reached, when not directly.
    proxy: Option<Proxy>,
    mounted: bool,
    password: &'static str,
    retries: u32,
    trusted: bool,
}

impl Place {
    fn speaking(dialect: Dialect) -> Self {
        Self::over(dialect, Ftpd::start(dialect), false)
    }

    fn small_speaking(dialect: Dialect) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("small");
        fs::DirBuilder::new().create(&root).expect("a folder");
        mount("tmpfs", &root, "tmpfs", MountFlags::empty(), c"size=512k")
            .expect("this test needs the right to mount a tmpfs: run it as root");
        Self::over(dialect, Ftpd::over(dialect, folder, root), true)
    }

    fn over(dialect: Dialect, ftpd: Ftpd, mounted: bool) -> Self {
        Self { ftpd, dialect, proxy: None, mounted, password: PASSWORD, retries: 2, trusted: true }
    }

    /// One whose control connection goes through a proxy.
    fn behind_a_proxy() -> Self {
        let mut place = Self::speaking(Dialect::Plain);
        place.proxy = Some(Proxy::before(place.ftpd.server.port()));
        place
    }

    fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("this place has one")
    }

    fn port(&self) -> u16 {
        self.proxy.as_ref().map_or(self.ftpd.server.port(), Proxy::port)
    }

    fn declared(&self) -> RemoteDeclaration {
        let scheme = if self.dialect == Dialect::ExplicitTls { "ftps" } else { "ftp" };
        let url = format!("{scheme}://127.0.0.1:{}", self.port());
        let settings = [("url", url), ("path", "back ups/bkp".to_owned()), ("user", USER.to_owned())];
        let secured = self.trusted && matches!(self.dialect, Dialect::ExplicitTls | Dialect::ImplicitTls);
        let transport = Transport {
            retries: Some(self.retries),
            timeout: "20s".parse().ok(),
            ca: secured.then(|| self.ftpd.authority.clone()),
            ..Transport::default()
        };
        RemoteDeclaration {
            protocol: Protocol::Ftp,
            settings: BTreeMap::from(settings),
            secrets: BTreeMap::new(),
            transport,
        }
    }

    fn store(&self) -> FtpStore {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        RealHost.write_atomic(&file, self.password.as_bytes(), 0o600).expect("room");
        let password =
            resolve(&RealHost, "password", &crate::declared::SecretRef::File(file)).expect("it is there");
        let declared = self.declared();
        let mut address = Address::parse(declared.setting("url")).expect("a good address");
        if self.dialect == Dialect::ImplicitTls {
            // Not on port 990, which only one test at a time could have.
            address.security = Security::Implicit;
        }
        FtpStore::new(&RealHost, &declared, &BTreeMap::from([("password", password)]), address)
            .expect("it can be opened")
    }

    fn destination(&self, access: Access) -> RemoteDestination {
        RemoteDestination::new(Box::new(self.store()), access, false, Throttle::new(None))
    }

    fn root(&self) -> PathBuf {
        self.ftpd.path("back ups/bkp")
    }

    fn leave(&self, folder: &Prefix) {
        let folder = self.root().join(folder.as_str());
        fs::DirBuilder::new().recursive(true).create(&folder).expect("a folder");
        fs::File::create_new(folder.join(format!("{TEMPORARY}0123456789abcdef"))).expect("a file");
    }

    /// Everything that lies below the root, folders with a `/`, sorted.
    fn lying(&self) -> Vec<String> {
        fn below(folder: &Path, prefix: &str, found: &mut Vec<String>) {
            for entry in RealHost.list_dir(folder).expect("a folder") {
                let name = format!("{prefix}{}", entry.to_string_lossy());
                let path = folder.join(&entry);
                if path.is_dir() {
                    found.push(format!("{name}/"));
                    below(&path, &format!("{name}/"), found);
                } else {
                    found.push(name);
                }
            }
        }
        let mut found = Vec::new();
        below(&self.root(), "", &mut found);
        found.sort();
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.ftpd.server.kill();
        if self.mounted {
            unmount(&self.ftpd.root, UnmountFlags::DETACH).expect("it was mounted");
        }
    }
}

macro_rules! suite_against {
    ($($module:ident: $dialect:ident),+) => {
        $(mod $module {
            use super::*;

            struct Server(Place);

            impl Bed for Server {
                fn fresh() -> Self {
                    Self(Place::speaking(Dialect::$dialect))
                }

                fn small() -> Self {
                    Self(Place::small_speaking(Dialect::$dialect))
                }

                fn open(&self, access: Access) -> Box<dyn Destination> {
                    Box::new(self.0.destination(access))
                }

                fn leave_killed_upload(&self, folder: &Prefix) {
                    self.0.leave(folder);
                }
            }

            conformance_suite!(Server);
        })+
    };
}

suite_against!(plain: Plain, old: Old, explicit_tls: ExplicitTls);

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

/// Calls something once so many bytes were given.
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

fn then<F: FnMut()>(length: usize, at: u64, act: F) -> Then<F> {
    Then { bytes: io::Cursor::new(noise(length)), at, act: Some(act) }
}

#[test]
fn tls_from_the_first_byte_on_stores_and_gives_back() {
    let place = Place::speaking(Dialect::ImplicitTls);
    let destination = prepared(&place);
    destination.put_new(&key("a"), &mut noise(700_000).as_slice()).expect("room");
    assert!(read(destination.get(&key("a")).expect("it is there")) == noise(700_000));
}

#[test]
fn certificate_of_nobody_is_a_stranger_and_hears_no_password() {
    let mut place = Place::speaking(Dialect::ExplicitTls);
    place.trusted = false;
    let refused = place.destination(Access::Change).prepare();
    assert!(matches!(refused, Err(DestinationError::Stranger { .. })), "{refused:?}");
    assert!(!place.ftpd.server.log().contains("USER"), "{}", place.ftpd.server.log());
}

#[test]
fn server_without_tls_is_not_spoken_to_in_the_clear() {
    let mut place = Place::speaking(Dialect::Plain);
    place.dialect = Dialect::ExplicitTls;
    place.trusted = false;
    let refused = place.destination(Access::Change).prepare();
    let Err(DestinationError::Stranger { error, .. }) = &refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("does not offer TLS"), "{error}");
}

#[test]
fn wrong_credentials_are_refused_and_named() {
    let mut place = Place::speaking(Dialect::Plain);
    prepared(&place);
    place.password = "wrong";
    let destination = place.destination(Access::Change);
    let refusals = [
        destination.prepared().err(),
        destination.put_new(&key("a"), &mut &b"1"[..]).err(),
        destination.list(&Prefix::root()).err(),
    ];
    for refusal in refusals {
        let Some(DestinationError::Denied { error, .. }) = &refusal else { panic!("{refusal:?}") };
        assert!(error.to_string().contains("530"), "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}

#[test]
fn connection_cut_while_storing_leaves_nothing() {
    let mut place = Place::behind_a_proxy();
    place.retries = 1;
    let destination = prepared(&place);
    // In the middle, and where only the server's last word is missing.
    for (length, at) in [(3 << 20, 1 << 20), (1 << 20, 1 << 20)] {
        let failed = destination.put_new(&key("a"), &mut then(length, at, || place.proxy().cut()));
        assert!(matches!(failed, Err(DestinationError::Io { .. })), "{failed:?}");
        place.proxy().mend();
        let absent = destination.get(&key("a")).err();
        assert!(matches!(absent, Some(DestinationError::NotFound { .. })), "{absent:?}");
        assert_eq!(destination.list(&Prefix::root()).expect("a list"), []);
    }
    assert!(
        place.lying().iter().any(|it| it.contains(TEMPORARY)),
        "nothing was under way: {:?}",
        place.lying()
    );
    destination.sweep(&Prefix::root()).expect("a sweep");
    assert_eq!(place.lying(), [".bkp-destination"]);
    destination.put_new(&key("a"), &mut &b"later"[..]).expect("room");
    assert_eq!(read(destination.get(&key("a")).expect("it is there")), b"later");
}

#[test]
fn server_that_dies_while_storing_leaves_nothing_under_the_name() {
    let mut place = Place::speaking(Dialect::Plain);
    place.retries = 1;
    let destination = prepared(&place);
    let server = std::sync::Mutex::new(&mut place.ftpd.server);
    let kill = || server.lock().expect("no panic").kill();
    let failed = destination.put_new(&key("a"), &mut then(4 << 20, 1 << 20, kill));
    assert!(matches!(failed, Err(DestinationError::Io { .. })), "{failed:?}");
    let names: Vec<_> = place.lying().into_iter().filter(|it| !it.ends_with('/')).collect();
    assert!(names.iter().all(|it| it.contains("/.bkp-tmp-") || it == ".bkp-destination"), "{names:?}");
}

#[test]
fn upload_that_the_server_does_not_confirm_is_not_stored() {
    let mut place = Place::speaking(Dialect::Forgetful);
    place.retries = 0;
    let store = place.store();
    let failed = store.put("folder/a", &mut noise(1 << 20).as_slice());
    let Err(Fault::Other { error, .. }) = &failed else { panic!("{failed:?}") };
    assert!(error.to_string().contains("451 The disk did not take it"), "{error}");
    assert!(!place.ftpd.path("back ups/bkp/folder").exists(), "{}", place.ftpd.server.log());
}

#[test]
fn empty_folders_are_swept_and_only_below_what_is_swept() {
    let place = Place::speaking(Dialect::Plain);
    let destination = prepared(&place);
    for folder in ["host/set/one/deeper", "host/other"] {
        fs::DirBuilder::new().recursive(true).create(place.root().join(folder)).expect("a folder");
    }
    destination.sweep(&Prefix::root().folder("host").folder("set")).expect("a sweep");
    assert_eq!(place.lying(), [".bkp-destination", "host/", "host/other/", "host/set/"]);
    destination.sweep(&Prefix::root()).expect("a sweep");
    assert_eq!(place.lying(), [".bkp-destination"]);
}

#[test]
fn object_is_given_back_from_a_byte_on() {
    let place = Place::speaking(Dialect::Plain);
    let destination = prepared(&place);
    let bytes = noise(1 << 20);
    destination.put_new(&key("a"), &mut bytes.as_slice()).expect("room");
    for from in [0, 1, 65_537, bytes.len() - 1, bytes.len(), bytes.len() + 1] {
        let rest = read(destination.get_from(&key("a"), from as u64).expect("it is there"));
        assert!(rest == bytes[from.min(bytes.len())..], "from {from}: {} bytes", rest.len());
    }
}

#[test]
fn small_object_is_stored_again_after_a_passing_failure() {
    let place = Place::behind_a_proxy();
    let destination = prepared(&place);
    // The idle connection is gone, as after a long pause.
    place.proxy().cut();
    place.proxy().mend();
    destination.put_new(&key("a"), &mut noise(10_000).as_slice()).expect("another connection");
    assert!(read(destination.get(&key("a")).expect("it is there")) == noise(10_000));
    assert_eq!(place.lying().iter().filter(|it| it.contains(TEMPORARY)).count(), 0);
}

#[test]
fn download_whose_file_shrank_is_an_error_and_never_short() {
    let mut place = Place::speaking(Dialect::Plain);
    place.retries = 1;
    let destination = prepared(&place);
    destination.put_new(&key("a"), &mut noise(8 << 20).as_slice()).expect("room");
    let mut body = destination.get(&key("a")).expect("it is there");
    let file =
        fs::OpenOptions::new().write(true).open(place.root().join(key("a").as_str())).expect("it is there");
    file.set_len(7 << 20).expect("a file");
    let mut bytes = Vec::new();
    let read = body.read_to_end(&mut bytes);
    assert!(read.is_err(), "{} bytes and no error", bytes.len());
}

#[test]
fn aborted_upload_is_never_under_its_name_on_the_server() {
    let place = Place::speaking(Dialect::Plain);
    let destination = prepared(&place);
    let refused = destination.put_new(&key("a"), &mut Broken::after(3 << 20));
    assert!(matches!(refused, Err(DestinationError::BodyAborted { .. })), "{refused:?}");
    assert_eq!(place.lying(), [".bkp-destination"]);
    let log = place.ftpd.server.log();
    assert!(log.contains("STOR") && log.matches("RENAME").count() <= 1, "{log}");
}

#[test]
fn name_taken_by_another_process_meanwhile_is_not_replaced() {
    let place = Place::speaking(Dialect::Plain);
    let destination = prepared(&place);
    let file = place.root().join(key("a").as_str());
    let rival = || {
        fs::DirBuilder::new().recursive(true).create(file.parent().expect("a folder")).expect("a folder");
        RealHost.write_atomic(&file, b"rival", 0o600).expect("room");
    };
    let refused = destination.put_new(&key("a"), &mut then(1 << 20, 1 << 19, rival));
    assert!(matches!(refused, Err(DestinationError::Exists { .. })), "{refused:?}");
    assert_eq!(read(destination.get(&key("a")).expect("it is there")), b"rival");
    assert_eq!(place.lying().iter().filter(|it| it.contains(TEMPORARY)).count(), 0);
}

#[test]
fn linked_folder_is_listed_and_a_loop_of_links_is_an_error() {
    for dialect in [Dialect::Plain, Dialect::Old] {
        let place = Place::speaking(dialect);
        let destination = prepared(&place);
        fs::DirBuilder::new().create(place.ftpd.path("other")).expect("a folder");
        std::os::unix::fs::symlink(place.ftpd.path("other"), place.root().join("linked")).expect("a link");
        destination.put_new(&Prefix::root().folder("linked").key("a"), &mut &b"1"[..]).expect("room");
        assert_eq!(destination.list(&Prefix::root()).expect("a list").len(), 1, "{dialect:?}");
        assert_eq!(destination.folders(&Prefix::root()).expect("a list"), ["linked"], "{dialect:?}");
        std::os::unix::fs::symlink(place.ftpd.path("other"), place.ftpd.path("other/loop")).expect("a link");
        let refused = destination.list(&Prefix::root());
        assert!(matches!(refused, Err(DestinationError::Io { .. })), "{dialect:?}: {refused:?}");
    }
}
