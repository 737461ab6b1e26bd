//! What is particular to rclone, and the suite over a folder of this host that rclone reaches by an alias.

use super::*;
use crate::declared::{Protocol, SecretRef, Transport};
use crate::destinations::conformance::{Bed, conformance_suite, noise, snapshot};
use crate::destinations::remote::{RemoteDestination, Throttle};
use crate::destinations::{Access, Destination, DestinationError};
use crate::format::{Key, Prefix};
use crate::host::{FakeHost, RealHost};
use crate::secrets::resolve;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

struct Place {
    folder: tempfile::TempDir,
    mounted: bool,
}

impl Place {
    fn root(&self) -> PathBuf {
        self.folder.path().join("files/back ups")
    }

    fn declared() -> RemoteDeclaration {
        RemoteDeclaration {
            protocol: Protocol::Rclone,
            settings: BTreeMap::from([("remote", "box:back ups".to_owned())]),
            secrets: BTreeMap::new(),
            transport: Transport { retries: Some(1), ..Transport::default() },
        }
    }

    fn secrets(&self) -> Secrets {
        let file = self.folder.path().join("rclone.conf");
        let text = format!("[box]\ntype = alias\nremote = {}/files\n", self.folder.path().display());
        RealHost.write_atomic(&file, text.as_bytes(), 0o600).expect("room");
        let config = resolve(&RealHost, "config", &SecretRef::File(file)).expect("it is there");
        BTreeMap::from([("config", config)])
    }

    fn store(&self) -> Box<dyn Store> {
        let opened = open(&RealHost, &Self::declared(), &self.secrets());
        opened.map_err(|it| it.reason).expect("rclone is installed")
    }
}

impl Bed for Place {
    fn fresh() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), mounted: false }
    }

    fn small() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let files = folder.path().join("files");
        fs::DirBuilder::new().create(&files).expect("a folder");
        mount("tmpfs", &files, "tmpfs", MountFlags::empty(), c"size=512k")
            .expect("this test needs the right to mount a tmpfs: run it as root");
        Self { folder, mounted: true }
    }

    fn open(&self, access: Access) -> Box<dyn Destination> {
        Box::new(RemoteDestination::new(self.store(), access, false, Throttle::new(None)))
    }

    fn leave_killed_upload(&self, folder: &Prefix) {
        let folder = self.root().join(folder.as_str());
        fs::DirBuilder::new().recursive(true).create(&folder).expect("a folder");
        fs::File::create_new(folder.join(format!("{TEMPORARY}0123456789abcdef"))).expect("a file");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.mounted {
            unmount(self.folder.path().join("files"), UnmountFlags::DETACH).expect("it was mounted");
        }
    }
}

conformance_suite!(Place);

fn key(name: &str) -> Key {
    snapshot().key(name)
}

fn prepared(place: &Place) -> Box<dyn Destination> {
    let destination = place.open(Access::Change);
    destination.prepare().expect("a fresh place");
    destination
}

fn names(place: &Place) -> Vec<String> {
    let folder = place.root().join(snapshot().as_str());
    let listed = RealHost.list_dir(&folder).unwrap_or_default();
    listed.into_iter().map(|it| it.to_string_lossy().into_owned()).collect()
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

/// Kills the `rcat` that stores into a place, as the kernel does when there is no memory left.
fn kill_rcat(place: &Place) {
    let named = |pid: &u32| {
        let line = fs::OpenOptions::new().read(true).open(format!("/proc/{pid}/cmdline"));
        let mut text = String::new();
        line.is_ok_and(|mut it| it.read_to_string(&mut text).is_ok())
            && text.contains("\0rcat\0")
            && text.contains(TEMPORARY)
            && parent(*pid) == Some(std::process::id())
    };
    let pids = RealHost.list_dir(Path::new("/proc")).expect("proc(5)");
    let pids = pids.iter().filter_map(|it| it.to_str()?.parse::<u32>().ok());
    let found: Vec<u32> = pids.filter(named).collect();
    assert_eq!(found.len(), 1, "{}", place.folder.path().display());
    let pid = rustix::process::Pid::from_raw(found[0].cast_signed()).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
}

fn parent(pid: u32) -> Option<u32> {
    let mut text = String::new();
    fs::OpenOptions::new()
        .read(true)
        .open(format!("/proc/{pid}/status"))
        .ok()?
        .read_to_string(&mut text)
        .ok()?;
    text.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

#[test]
fn program_killed_while_storing_leaves_nothing_under_the_name() {
    let place = Place::fresh();
    let destination = prepared(&place);
    let mut body =
        Then { bytes: io::Cursor::new(noise(4 << 20)), at: 2 << 20, act: Some(|| kill_rcat(&place)) };
    let failed = destination.put_new(&key("a"), &mut body);
    let Err(DestinationError::Io { error, .. }) = &failed else { panic!("{failed:?}") };
    assert!(error.to_string().contains("ended by a signal"), "{error}");
    assert_eq!(names(&place), Vec::<String>::new());
    assert_eq!(destination.list(&Prefix::root()).expect("a list"), []);
}

#[test]
fn name_taken_by_another_process_meanwhile_is_not_replaced() {
    let place = Place::fresh();
    let destination = prepared(&place);
    let file = place.root().join(key("a").as_str());
    let rival = || {
        fs::DirBuilder::new().recursive(true).create(file.parent().expect("a folder")).expect("a folder");
        RealHost.write_atomic(&file, b"rival", 0o600).expect("room");
    };
    let mut body = Then { bytes: io::Cursor::new(noise(1 << 20)), at: 1 << 19, act: Some(rival) };
    let refused = destination.put_new(&key("a"), &mut body);
    assert!(matches!(refused, Err(DestinationError::Exists { .. })), "{refused:?}");
    assert_eq!(names(&place), ["a"]);
}

#[test]
fn rclone_itself_refuses_to_replace_and_is_seen_to_have() {
    let place = Place::fresh();
    let destination = prepared(&place);
    let store = RcloneStore {
        program: Arc::new(Program {
            path: RealHost.find_tool("rclone", "/usr/bin:/usr/local/bin").expect("rclone is installed"),
            config: place.secrets().get("config").map(|it| Config::new(it).expect("room")),
            timeout: Duration::from_mins(1),
            retries: 0,
        }),
        remote: "box:back ups".to_owned(),
    };
    // Of one size, which `--immutable` would replace.
    store.upload("x/new", &mut &b"new"[..]).expect("room");
    store.upload("x/old", &mut &b"old"[..]).expect("room");
    let (from, to) = (store.full("x/new"), store.full("x/old"));
    store.run("trying", true, ["moveto", "--ignore-existing", &from, &to]).expect("it says nothing");
    let mut text = String::new();
    destination
        .get(&Prefix::root().folder("x").key("old"))
        .expect("it is there")
        .read_to_string(&mut text)
        .expect("text");
    assert_eq!(text, "old");
    assert_eq!(store.size("x/new").expect("an answer"), Some(3));
}

#[test]
fn object_is_given_back_from_a_byte_on_and_never_short() {
    let place = Place::fresh();
    let destination = prepared(&place);
    let bytes = noise(1 << 20);
    destination.put_new(&key("a"), &mut bytes.as_slice()).expect("room");
    for from in [0, 1, 65_537, bytes.len() - 1, bytes.len(), bytes.len() + 1] {
        let mut rest = Vec::new();
        destination
            .get_from(&key("a"), from as u64)
            .expect("it is there")
            .read_to_end(&mut rest)
            .expect("bytes");
        assert!(rest == bytes[from.min(bytes.len())..], "from {from}: {} bytes", rest.len());
    }
    let program = Arc::new(Program {
        path: "/bin/sh".into(),
        config: None,
        timeout: Duration::from_mins(1),
        retries: 0,
    });
    let child = ChildReader::start(&crate::host::Command::look(["printf", "abc"])).expect("printf");
    let mut short = Body { program, child: Some(child), left: 4 };
    let read = short.read_to_end(&mut Vec::new());
    assert!(read.is_err_and(|it| it.kind() == io::ErrorKind::UnexpectedEof));
}

#[test]
fn missing_program_and_missing_section_are_named() {
    let host = FakeHost::at(jiff::Timestamp::UNIX_EPOCH);
    let Err(Unopenable { reason, remedy }) = open(&host, &Place::declared(), &BTreeMap::new()) else {
        panic!("there is none on that host")
    };
    assert!(reason.contains("`rclone`") && remedy == "install rclone", "{reason}: {remedy}");
    let place = Place::fresh();
    let mut declared = Place::declared();
    declared.settings.insert("remote", "elsewhere:x".to_owned());
    let store =
        open(&RealHost, &declared, &place.secrets()).map_err(|it| it.reason).expect("rclone is installed");
    let Err(Fault::Other { error, .. }) = store.size("a") else { panic!("there is no such section") };
    assert!(error.to_string().contains("didn't find section"), "{error}");
}

#[test]
fn empty_folders_are_swept_and_only_below_what_is_swept() {
    let place = Place::fresh();
    let destination = prepared(&place);
    for folder in ["host/set/one/deeper", "host/other"] {
        fs::DirBuilder::new().recursive(true).create(place.root().join(folder)).expect("a folder");
    }
    destination.sweep(&Prefix::root().folder("host").folder("set")).expect("a sweep");
    assert!(place.root().join("host/other").is_dir() && !place.root().join("host/set/one").exists());
    destination.sweep(&Prefix::root()).expect("a sweep");
    assert!(!place.root().join("host").exists());
}

#[test]
fn room_is_that_of_the_folder() {
    let place = Place::small();
    let space = place.store().space().expect("an answer").expect("a folder has room");
    assert!(space.total_bytes <= 512 << 10, "{space:?}");
}
