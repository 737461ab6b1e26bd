//! What is particular to a folder on this host.

use super::*;
use crate::destinations::conformance::{Bed, Broken, conformance_suite, noise, snapshot};
use rustix::io::ReadWriteFlags;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::fs;
use std::io::IoSliceMut;
use std::os::unix::fs::PermissionsExt;

struct Place {
    folder: tempfile::TempDir,
    mounted: bool,
}

impl Place {
    fn root(&self) -> PathBuf {
        self.folder.path().join(if self.mounted { "." } else { "root" })
    }

    fn path(&self, prefix: &Prefix) -> PathBuf {
        self.root().join(prefix.as_str())
    }
}

impl Bed for Place {
    fn fresh() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), mounted: false }
    }

    fn small() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), c"size=512k")
            .expect("this test needs the right to mount a tmpfs: run it as root");
        Self { folder, mounted: true }
    }

    fn open(&self, access: Access) -> Box<dyn Destination> {
        Box::new(LocalDestination::new(self.root(), access))
    }

    fn leave_killed_upload(&self, folder: &Prefix) {
        fs::DirBuilder::new().recursive(true).create(self.path(folder)).expect("a folder");
        let upload = Upload::begin(Folder::open(&self.path(folder)).expect("a folder")).expect("a file");
        // A process that is killed runs no destructors.
        std::mem::forget(upload);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.mounted {
            unmount(self.folder.path(), UnmountFlags::DETACH).expect("it was mounted");
        }
    }
}

conformance_suite!(Place);

fn prepared(place: &Place) -> LocalDestination {
    let destination = LocalDestination::new(place.root(), Access::Change);
    destination.prepare().expect("a fresh place");
    destination
}

fn names(folder: &Path) -> Vec<String> {
    let open = Folder::open(folder).expect("a folder");
    let mut names: Vec<_> = open
        .entries()
        .expect("a list")
        .into_iter()
        .filter_map(|entry| entry.name.into_string().ok())
        .collect();
    names.sort();
    names
}

#[test]
fn root_that_holds_other_things_is_refused_and_left_alone() {
    let place = Place::fresh();
    fs::DirBuilder::new().create(place.root()).expect("a folder");
    fs::File::create_new(place.root().join("thesis.txt")).expect("a file");
    let refused = LocalDestination::new(place.root(), Access::Change).prepare();
    let Err(DestinationError::Io { error, .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    assert_eq!(names(&place.root()), ["thesis.txt"]);
}

#[test]
fn new_file_system_and_killed_prepare_count_as_empty() {
    let place = Place::fresh();
    fs::DirBuilder::new().recursive(true).create(place.root().join(LOST_AND_FOUND)).expect("a folder");
    place.leave_killed_upload(&Prefix::root());
    let destination = prepared(&place);
    assert_eq!(destination.folders(&Prefix::root()).expect("a list"), Vec::<String>::new());
    destination.sweep(&Prefix::root()).expect("a sweep");
    assert_eq!(names(&place.root()), [MARKER, LOST_AND_FOUND]);
}

#[test]
fn folders_and_files_are_for_their_owner_only_and_no_temporary_name_stays() {
    let place = Place::fresh();
    let destination = prepared(&place);
    destination.put_new(&snapshot().key("a"), &mut &b"1"[..]).expect("room");
    let mode = |path: &Path| fs::symlink_metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(&place.root()), 0o700);
    assert_eq!(mode(&place.path(&snapshot())), 0o700);
    assert_eq!(mode(&place.path(&snapshot()).join("a")), 0o600);
    assert_eq!(mode(&place.root().join(MARKER)), 0o600);
    assert_eq!(names(&place.path(&snapshot())), ["a"]);
}

#[test]
fn damaged_or_later_marker_is_an_error_and_not_an_unprepared_place() {
    for text in ["", "{}", r#"{"format":2,"id":"x"}"#] {
        let place = Place::fresh();
        let destination = prepared(&place);
        let mut marker =
            fs::OpenOptions::new().write(true).truncate(true).open(place.root().join(MARKER)).expect("it");
        io::Write::write_all(&mut marker, text.as_bytes()).expect("room");
        assert!(destination.prepared().is_err(), "{text}");
        assert!(destination.prepare().is_err(), "{text}");
    }
}

#[test]
fn mount_that_is_missing_is_not_an_empty_destination() {
    let place = Place::small();
    let destination = prepared(&place);
    let key = snapshot().key("a");
    destination.put_new(&key, &mut &b"1"[..]).expect("room");
    let below = tempfile::tempdir().expect("a folder");
    rustix::mount::mount_move(place.folder.path(), below.path()).expect("this test needs the right to mount");
    let (listed, read) = (destination.list(&Prefix::root()), destination.get(&key).err());
    let put = destination.put_new(&snapshot().key("b"), &mut &b"2"[..]);
    rustix::mount::mount_move(below.path(), place.folder.path()).expect("it was moved");
    assert!(matches!(listed, Err(DestinationError::NotPrepared { .. })), "{listed:?}");
    assert!(matches!(read, Some(DestinationError::NotPrepared { .. })), "{read:?}");
    assert!(matches!(put, Err(DestinationError::NotPrepared { .. })), "{put:?}");
    assert_eq!(destination.list(&Prefix::root()).expect("a list").len(), 1);
}

#[test]
fn linked_folder_is_part_of_the_destination_and_a_loop_of_links_is_an_error() {
    let place = Place::fresh();
    let destination = prepared(&place);
    let other = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(other.path(), place.root().join("linked")).expect("a link");
    destination.put_new(&Prefix::root().folder("linked").key("a"), &mut &b"1"[..]).expect("room");
    assert_eq!(names(other.path()), ["a"]);
    assert_eq!(destination.folders(&Prefix::root()).expect("a list"), ["linked"]);
    assert_eq!(destination.list(&Prefix::root()).expect("a list").len(), 1);
    std::os::unix::fs::symlink(other.path(), other.path().join("loop")).expect("a link");
    let refused = destination.list(&Prefix::root());
    assert!(matches!(refused, Err(DestinationError::Io { .. })), "{refused:?}");
}

#[test]
fn special_files_are_no_objects_and_nobody_waits_for_them() {
    let place = Place::fresh();
    let destination = prepared(&place);
    let root = Folder::open(&place.root()).expect("a folder");
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(&root, "fifo", FileType::Fifo, mode, 0).expect("a FIFO");
    assert_eq!(destination.list(&Prefix::root()).expect("a list"), []);
    let read = destination.get(&Prefix::root().key("fifo")).err();
    assert!(matches!(read, Some(DestinationError::NotFound { .. })), "{read:?}");
}

#[test]
fn root_that_is_not_there_yet_has_the_room_and_device_of_where_it_would_be() {
    let place = Place::fresh();
    let destination = LocalDestination::new(place.root().join("deep/er"), Access::Look);
    assert!(!destination.prepared().expect("an answer"));
    assert!(destination.space().expect("an answer").expect("room").total_bytes > 0);
    let parent = rustix::fs::stat(place.folder.path()).expect("a folder");
    assert_eq!(destination.device(), Some(parent.st_dev));
    assert!(!place.root().exists());
}

#[test]
fn folder_emptied_by_another_process_during_an_upload_is_made_again() {
    let place = Place::fresh();
    let destination = prepared(&place);
    let keys: Vec<Key> =
        (0..2).map(|set| Prefix::root().folder("host").folder(&format!("set-{set}")).key("a")).collect();
    std::thread::scope(|scope| {
        for key in &keys {
            let destination = &destination;
            scope.spawn(move || {
                for _ in 0..300 {
                    destination.put_new(key, &mut &b"1"[..]).expect("no rival has this key");
                    destination.delete(key).expect("it is there");
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..300 {
                destination.list(&Prefix::root()).expect("what goes away meanwhile is not there");
                let aborted =
                    destination.put_new(&Prefix::root().folder("host").key("b"), &mut Broken::after(1));
                assert!(matches!(aborted, Err(DestinationError::BodyAborted { .. })), "{aborted:?}");
            }
        });
    });
    assert_eq!(names(&place.root()), [MARKER]);
}

/// Whether the byte at a position is in the page cache (preadv2(2) with `RWF_NOWAIT`).
fn is_cached(file: &fs::File, position: u64) -> bool {
    let mut byte = [0];
    let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut byte)], position, ReadWriteFlags::NOWAIT);
    match read {
        Ok(length) => length == 1,
        Err(Errno::AGAIN) => false,
        Err(errno) => panic!("{errno}"),
    }
}

#[test]
fn object_is_read_from_the_medium_where_there_is_one() {
    // The temporary folder is often in memory; the build's folder rarely is.
    let build = std::env::current_exe().expect("a test is a program");
    let folder = tempfile::tempdir_in(build.parent().expect("it lies in a folder")).expect("a folder");
    let destination = LocalDestination::new(folder.path().join("root"), Access::Change);
    destination.prepare().expect("a fresh place");
    let key = Prefix::root().key("large");
    destination.put_new(&key, &mut noise(20 << 20).as_slice()).expect("room");
    let path = folder.path().join("root/large");
    let open = || fs::OpenOptions::new().read(true).open(&path).expect("it is there");
    let file = open();
    let in_memory = rustix::fs::fstatfs(&file).expect("a file system").f_type == 0x0102_1994;
    let dropped = |_| {
        io::copy(&mut open(), &mut io::sink()).expect("it can be read");
        assert!(is_cached(&file, 0) && is_cached(&file, 19 << 20));
        let reader = destination.get(&key).expect("it is there");
        (0..20).all(|mebibyte| !is_cached(&file, mebibyte << 20)).then_some(reader)
    };
    // It is advice: a page that the kernel has in hand at that moment stays, so it may take more than one try.
    let reader = (0..5).find_map(dropped);
    assert_eq!(reader.is_none(), in_memory, "only tmpfs(5) may keep it");
    let Some(reader) = reader else { return };
    let mut reader = reader.take(18 << 20);
    io::copy(&mut reader, &mut io::sink()).expect("it can be read");
    assert!(
        (0..8).any(|mebibyte| !is_cached(&file, mebibyte << 20)),
        "a large read-back does not flood the cache"
    );
    io::copy(&mut open(), &mut io::sink()).expect("it can be read");
    let _looked_at = LocalDestination::new(folder.path().join("root"), Access::Look).get(&key);
    assert!(is_cached(&file, 1 << 20), "whoever only looks may have what is in memory");
}
