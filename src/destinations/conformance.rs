//! The suite that every destination kind passes.
//!
//! A kind gives a [`Bed`]; `conformance_suite!` makes a test of each fact, each with a fresh instance. A kind that cannot
//! run a fact here must fail it: nothing is skipped.

use super::servers::Proxy;
use super::{Access, Destination, DestinationError, Object};
use crate::declared::{NodeName, SetName};
use crate::format::{Key, Layout, Prefix, SnapshotId};
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// A place in which a kind can be tried.
pub(crate) trait Bed: Sized {
    /// A place that is not prepared yet.
    fn fresh() -> Self;
    /// A place that is not prepared yet, with room for less than 1 MiB.
    fn small() -> Self;
    /// Opens it.
    fn open(&self, access: Access) -> Box<dyn Destination>;
    /// Leaves in a folder what an upload leaves that was killed half-way.
    fn leave_killed_upload(&self, folder: &Prefix);
    /// Whether a folder with nothing else in it is seen then. Object stores show neither; their own tests say what becomes
    /// of it.
    fn killed_upload_shows(&self) -> bool {
        true
    }
    /// Whether many small objects are read together.
    fn reads_together(&self) -> bool {
        false
    }
}

/// A place behind a network. Whatever it opens goes through its proxy, with a time-out of 20 s at most and one retry.
pub(crate) trait NetworkBed: Bed {
    /// Opens it as somebody whom the server does not know.
    fn with_wrong_credentials(&self) -> Box<dyn Destination>;
    /// The way to the server.
    fn proxy(&self) -> &Proxy;
}

/// Longest that a destination with those times may take to say that it cannot be reached.
const GIVES_UP_WITHIN: Duration = Duration::from_mins(1);

macro_rules! conformance_suite {
    ($bed:ty: $($fact:ident),+ $(,)?) => {
        $(#[test] fn $fact() { $crate::destinations::conformance::$fact::<$bed>(); })+
    };
    ($bed:ty) => {
        $crate::destinations::conformance::conformance_suite!($bed:
            existing_object_is_not_replaced_and_its_rival_is_not_read,
            aborted_body_leaves_nothing,
            written_objects_are_listed_sorted_with_their_sizes,
            empty_and_large_objects_come_back,
            odd_names_come_back,
            folders_are_those_directly_below,
            deleted_object_is_gone_and_deleting_again_is_an_error,
            sweep_removes_what_killed_uploads_left_and_nothing_else,
            killed_upload_is_no_object,
            without_prepare_nothing_is_done_or_said,
            prepare_twice_is_harmless,
            look_only_refuses_every_change,
            full_destination_says_so_and_keeps_nothing_of_the_object,
            one_of_many_rivals_wins_and_its_bytes_stay,
            object_that_is_not_there_is_not_found,
            keys_that_lead_out_are_refused,
            object_is_given_back_from_a_byte_on,
        );
    };
}
pub(crate) use conformance_suite;

/// What every kind behind a network passes besides.
macro_rules! network_suite {
    ($bed:ty) => {
        $crate::destinations::conformance::conformance_suite!($bed:
            wrong_credentials_are_refused_and_named,
            connection_cut_while_storing_leaves_nothing,
            cut_connection_is_an_error_and_mending_it_is_enough,
        );
    };
}
pub(crate) use network_suite;

/// A layout's folder of one snapshot.
pub(crate) fn snapshot() -> Prefix {
    let layout = Layout::new("Host.example".parse::<NodeName>().expect("a name"));
    let id: SnapshotId = "20261120T030000Z-000042".parse().expect("an id");
    layout.snapshot(&"mail".parse::<SetName>().expect("a name"), &id)
}

fn key(name: &str) -> Key {
    snapshot().key(name)
}

/// Bytes that do not repeat within a page.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn get(destination: &dyn Destination, key: &Key) -> Vec<u8> {
    let mut bytes = Vec::new();
    destination.get(key).expect("it is there").read_to_end(&mut bytes).expect("it can be read");
    bytes
}

fn put(destination: &dyn Destination, key: &Key, bytes: &[u8]) {
    destination.put_new(key, &mut &*bytes).expect("room and a free key");
}

fn keys(destination: &dyn Destination, prefix: &Prefix) -> Vec<String> {
    let objects = destination.list(prefix).expect("a list");
    objects.into_iter().map(|object| object.key.as_str().to_owned()).collect()
}

fn prepared<B: Bed>(bed: &B) -> Box<dyn Destination> {
    let destination = bed.open(Access::Change);
    destination.prepare().expect("a fresh place");
    destination
}

/// Gives some bytes and then fails.
pub(crate) struct Broken {
    good: io::Cursor<Vec<u8>>,
}

impl Broken {
    pub(crate) fn after(length: usize) -> Self {
        Self { good: io::Cursor::new(noise(length)) }
    }
}

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.good.read(buffer)? {
            0 => Err(io::Error::other("the producer was killed")),
            length => Ok(length),
        }
    }
}

/// A body that must not be read.
struct Unread;

impl Read for Unread {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        panic!("the body was read although the key is taken");
    }
}

pub(crate) fn existing_object_is_not_replaced_and_its_rival_is_not_read<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    put(&*destination, &key("a"), b"first");
    let refused = destination.put_new(&key("a"), &mut Unread);
    assert!(matches!(refused, Err(DestinationError::Exists { .. })), "{refused:?}");
    assert_eq!(get(&*destination, &key("a")), b"first");
}

pub(crate) fn aborted_body_leaves_nothing<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    for length in [0, 1, 3 << 20] {
        let refused = destination.put_new(&key("a"), &mut Broken::after(length));
        let Err(DestinationError::BodyAborted { error, .. }) = &refused else { panic!("{refused:?}") };
        assert_eq!(error.to_string(), "the producer was killed");
        assert!(matches!(destination.get(&key("a")), Err(DestinationError::NotFound { .. })));
        assert_eq!(destination.list(&Prefix::root()).expect("a list"), []);
    }
    assert_eq!(destination.folders(&Prefix::root()).expect("a list"), Vec::<String>::new());
    put(&*destination, &key("a"), b"later");
    assert_eq!(get(&*destination, &key("a")), b"later");
}

pub(crate) fn written_objects_are_listed_sorted_with_their_sizes<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    let proof = snapshot().folder("proofs").key("p.json");
    put(&*destination, &proof, b"1234");
    put(&*destination, &key("b"), b"12");
    put(&*destination, &key("a"), b"");
    let object = |key: &Key, size_bytes| Object { key: key.clone(), size_bytes };
    let all = vec![object(&key("a"), 0), object(&key("b"), 2), object(&proof, 4)];
    for prefix in [Prefix::root(), snapshot()] {
        assert_eq!(destination.list(&prefix).expect("a list"), all);
    }
    assert_eq!(keys(&*destination, &snapshot().folder("proofs")), [proof.as_str()]);
    assert_eq!(destination.list(&Prefix::root().folder("nobody")).expect("a list"), []);
    // A file is no folder, and a name that only begins alike is another one.
    assert_eq!(destination.list(&snapshot().folder("a")).expect("a list"), []);
    assert_eq!(destination.list(&snapshot().folder("proof")).expect("a list"), []);
}

pub(crate) fn empty_and_large_objects_come_back<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    let large = noise((8 << 20) + 1);
    put(&*destination, &key("empty"), b"");
    put(&*destination, &key("large"), &large);
    assert_eq!(get(&*destination, &key("empty")), b"");
    assert!(get(&*destination, &key("large")) == large);
    assert_eq!(destination.list(&snapshot()).expect("a list")[1].size_bytes, large.len() as u64);
}

pub(crate) fn odd_names_come_back<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    let long = "ü".repeat(300);
    let names = ["Capital", "capital", "a b\nc", "..", ".", "-rf", "100%", "a/b", "\u{202e}x", long.as_str()];
    for name in names {
        put(&*destination, &key(name), name.as_bytes());
    }
    for name in names {
        assert_eq!(get(&*destination, &key(name)), name.as_bytes(), "{name:?}");
    }
    let mut expected: Vec<String> = names.iter().map(|name| key(name).as_str().to_owned()).collect();
    expected.sort();
    assert_eq!(keys(&*destination, &snapshot()), expected);
    // Where they are read together all of them come, and nothing that is not there.
    let all: Vec<Key> = names.iter().copied().chain(["absent"]).map(key).collect();
    let together = destination.get_together(&all, 1 << 20);
    assert_eq!(!together.is_empty(), bed.reads_together());
    if bed.reads_together() {
        assert_eq!(together, names.iter().map(|name| (key(name), name.as_bytes().to_vec())).collect());
        // And nothing that is longer than was asked for.
        let short = names.iter().filter(|name| name.len() <= 4);
        let expected = short.map(|name| (key(name), name.as_bytes().to_vec())).collect();
        assert_eq!(destination.get_together(&all, 4), expected);
    }
}

pub(crate) fn folders_are_those_directly_below<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    put(&*destination, &key("a"), b"");
    put(&*destination, &snapshot().folder("proofs").key("p"), b"");
    put(&*destination, &Prefix::root().folder("other host").key("x"), b"");
    put(&*destination, &Prefix::root().key("top"), b"");
    let folders = |prefix: &Prefix| destination.folders(prefix).expect("a list");
    assert_eq!(folders(&Prefix::root()), ["%48ost.example", "other%20host"]);
    let set = Prefix::root().folder("Host.example").folder("mail");
    assert_eq!(folders(&set), ["20261120T030000Z-000042"]);
    assert_eq!(folders(&snapshot()), ["proofs"]);
    assert_eq!(folders(&Prefix::root().folder("nobody")), Vec::<String>::new());
}

pub(crate) fn deleted_object_is_gone_and_deleting_again_is_an_error<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    put(&*destination, &key("a"), b"1");
    put(&*destination, &snapshot().folder("proofs").key("p"), b"2");
    destination.delete(&snapshot().folder("proofs").key("p")).expect("it is there");
    assert_eq!(destination.folders(&snapshot()).expect("a list"), Vec::<String>::new());
    assert_eq!(get(&*destination, &key("a")), b"1");
    destination.delete(&key("a")).expect("it is there");
    for gone in [key("a"), Prefix::root().folder("never").key("was")] {
        let again = destination.delete(&gone);
        assert!(matches!(again, Err(DestinationError::NotFound { .. })), "{again:?}");
    }
    assert_eq!(destination.folders(&Prefix::root()).expect("a list"), Vec::<String>::new());
    assert!(destination.prepared().expect("an answer"), "emptying it does not undo prepare");
}

pub(crate) fn sweep_removes_what_killed_uploads_left_and_nothing_else<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    put(&*destination, &key("a"), b"1");
    let (elsewhere, below) = (Prefix::root().folder("elsewhere"), snapshot().folder("proofs"));
    bed.leave_killed_upload(&elsewhere);
    bed.leave_killed_upload(&below);
    destination.sweep(&snapshot()).expect("a sweep");
    assert_eq!(destination.folders(&snapshot()).expect("a list"), Vec::<String>::new());
    let mut folders = vec!["%48ost.example"];
    folders.extend(bed.killed_upload_shows().then_some("elsewhere"));
    assert_eq!(destination.folders(&Prefix::root()).expect("a list"), folders);
    destination.sweep(&Prefix::root()).expect("a sweep");
    assert_eq!(destination.folders(&Prefix::root()).expect("a list"), ["%48ost.example"]);
    assert_eq!(get(&*destination, &key("a")), b"1");
    destination.sweep(&Prefix::root().folder("nobody")).expect("nothing to do");
    assert!(destination.prepared().expect("an answer"));
}

pub(crate) fn killed_upload_is_no_object<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    put(&*destination, &key("a"), b"1");
    bed.leave_killed_upload(&snapshot());
    assert_eq!(keys(&*destination, &Prefix::root()), [key("a").as_str()]);
}

pub(crate) fn without_prepare_nothing_is_done_or_said<B: Bed>() {
    let bed = B::fresh();
    let destination = bed.open(Access::Change);
    assert!(!destination.prepared().expect("an answer"));
    let refusals = [
        destination.put_new(&key("a"), &mut Unread).err(),
        destination.get(&key("a")).err(),
        destination.list(&Prefix::root()).err(),
        destination.folders(&Prefix::root()).err(),
        destination.delete(&key("a")).err(),
        destination.sweep(&Prefix::root()).err(),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Some(DestinationError::NotPrepared { .. })), "{refusal:?}");
    }
    assert!(!destination.prepared().expect("an answer"));
}

pub(crate) fn prepare_twice_is_harmless<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    put(&*destination, &key("a"), b"1");
    destination.prepare().expect("no change");
    bed.open(Access::Change).prepare().expect("no change");
    assert_eq!(get(&*destination, &key("a")), b"1");
}

pub(crate) fn look_only_refuses_every_change<B: Bed>() {
    let bed = B::fresh();
    let refused = bed.open(Access::Look).prepare();
    assert!(matches!(refused, Err(DestinationError::ReadOnly { .. })), "{refused:?}");
    put(&*prepared(&bed), &key("a"), b"1");
    let look = bed.open(Access::Look);
    let refusals = [
        look.put_new(&key("b"), &mut Unread).err(),
        look.delete(&key("a")).err(),
        look.sweep(&Prefix::root()).err(),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Some(DestinationError::ReadOnly { .. })), "{refusal:?}");
    }
    assert_eq!(keys(&*look, &Prefix::root()), [key("a").as_str()]);
    assert_eq!(get(&*look, &key("a")), b"1");
    assert!(look.prepared().expect("an answer"));
}

pub(crate) fn full_destination_says_so_and_keeps_nothing_of_the_object<B: Bed>() {
    let bed = B::small();
    let destination = prepared(&bed);
    put(&*destination, &key("small"), b"1");
    let refused = destination.put_new(&key("large"), &mut noise(2 << 20).as_slice());
    assert!(matches!(refused, Err(DestinationError::Full { .. })), "{refused:?}");
    assert_eq!(keys(&*destination, &Prefix::root()), [key("small").as_str()]);
    // The room is free again.
    put(&*destination, &key("next"), &noise(100_000));
}

pub(crate) fn one_of_many_rivals_wins_and_its_bytes_stay<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    // A kind that cannot exclude rivals of other processes says so, and is held to those of one opening; any other to an
    // opening for each.
    let excludes_all = destination.capabilities().put_without_replacing;
    let rivals = if excludes_all { 4 } else { 0 };
    let openings: Vec<Box<dyn Destination>> = (0..rivals).map(|_| bed.open(Access::Change)).collect();
    let destination = &*destination;
    let start = std::sync::Barrier::new(4);
    // One that says so pays for each put with connections of its own.
    for round in 0..(if excludes_all { 20 } else { 5 }) {
        let key = key(&format!("round-{round}"));
        let winners: Vec<u8> = std::thread::scope(|scope| {
            let rivals: Vec<_> = (0..4_u8)
                .map(|rival| {
                    let (key, start) = (&key, &start);
                    let opening = openings.get(usize::from(rival)).map_or(destination, |it| &**it);
                    scope.spawn(move || {
                        start.wait();
                        (rival, opening.put_new(key, &mut vec![rival; 10_000].as_slice()))
                    })
                })
                .collect();
            let ended = rivals.into_iter().map(|rival| rival.join().expect("no panic"));
            ended
                .filter_map(|(rival, result)| match result {
                    Ok(()) => Some(rival),
                    Err(DestinationError::Exists { .. }) => None,
                    Err(error) => panic!("{error}"),
                })
                .collect()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(get(destination, &key), vec![winners[0]; 10_000]);
    }
}

pub(crate) fn object_that_is_not_there_is_not_found<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    put(&*destination, &key("a"), b"1");
    // Below an object, beside it, and a folder's own name.
    for absent in [snapshot().folder("a").key("b"), key("b"), Prefix::root().key("Host.example")] {
        let absent = destination.get(&absent).err();
        assert!(matches!(absent, Some(DestinationError::NotFound { .. })), "{absent:?}");
    }
}

pub(crate) fn keys_that_lead_out_are_refused<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    for text in ["../out", "a/../../out", "/out", "", "a//b", "a/", "./a", ".bkp-destination", "a\0b"] {
        let key = Prefix::root().listed_key(text);
        let refusals = [
            destination.put_new(&key, &mut &b""[..]).err(),
            destination.get(&key).err(),
            destination.delete(&key).err(),
        ];
        for refusal in refusals {
            assert!(matches!(refusal, Some(DestinationError::Io { .. })), "{text:?}: {refusal:?}");
        }
    }
    assert_eq!(keys(&*destination, &Prefix::root()), Vec::<String>::new());
    assert!(destination.prepared().expect("an answer"));
}

pub(crate) fn object_is_given_back_from_a_byte_on<B: Bed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    let bytes = noise((5 << 20) + 3);
    put(&*destination, &key("a"), &bytes);
    for from in [0, 1, 65_536, 4 << 20, bytes.len() - 1, bytes.len()] {
        let mut rest = Vec::new();
        let mut body = destination.get_from(&key("a"), from as u64).expect("it is there");
        body.read_to_end(&mut rest).expect("it can be read");
        assert!(rest == bytes[from..], "from {from}: {} bytes", rest.len());
    }
    let absent = destination.get_from(&key("b"), 1).err();
    assert!(matches!(absent, Some(DestinationError::NotFound { .. })), "{absent:?}");
}

pub(crate) fn wrong_credentials_are_refused_and_named<B: NetworkBed>() {
    let bed = B::fresh();
    put(&*prepared(&bed), &key("a"), b"1");
    let stranger = bed.with_wrong_credentials();
    let refusals = [
        stranger.prepared().err(),
        stranger.list(&Prefix::root()).err(),
        stranger.get(&key("a")).err(),
        stranger.put_new(&key("b"), &mut Unread).err(),
        stranger.delete(&key("a")).err(),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Some(DestinationError::Denied { .. })), "{refusal:?}");
    }
    assert_eq!(keys(&*bed.open(Access::Look), &Prefix::root()), [key("a").as_str()]);
}

pub(crate) fn connection_cut_while_storing_leaves_nothing<B: NetworkBed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    put(&*destination, &key("a"), b"1");
    for sent in [100_000, 3 << 20] {
        bed.proxy().cut_after(sent);
        let began = Instant::now();
        let lost = destination.put_new(&key("large"), &mut noise(8 << 20).as_slice());
        assert!(matches!(lost, Err(DestinationError::Io { .. })), "{lost:?}");
        assert!(began.elapsed() < GIVES_UP_WITHIN, "{:?}", began.elapsed());
        bed.proxy().mend();
        assert_eq!(keys(&*destination, &Prefix::root()), [key("a").as_str()]);
        let absent = destination.get(&key("large")).err();
        assert!(matches!(absent, Some(DestinationError::NotFound { .. })), "{absent:?}");
    }
    destination.sweep(&Prefix::root()).expect("a sweep");
    put(&*destination, &key("large"), &noise(8 << 20));
    assert!(get(&*destination, &key("large")) == noise(8 << 20));
    assert_eq!(keys(&*destination, &Prefix::root()), [key("a").as_str(), key("large").as_str()]);
}

pub(crate) fn cut_connection_is_an_error_and_mending_it_is_enough<B: NetworkBed>() {
    let bed = B::fresh();
    let destination = prepared(&bed);
    put(&*destination, &key("a"), b"1");
    bed.proxy().cut();
    let refusals = [
        destination.list(&Prefix::root()).err(),
        destination.get(&key("a")).err(),
        destination.put_new(&key("b"), &mut &b"2"[..]).err(),
    ];
    let began = Instant::now();
    let last = destination.delete(&key("a")).err();
    assert!(began.elapsed() < GIVES_UP_WITHIN, "{:?}", began.elapsed());
    for refusal in refusals.into_iter().chain([last]) {
        assert!(matches!(refusal, Some(DestinationError::Io { .. })), "{refusal:?}");
    }
    bed.proxy().mend();
    assert_eq!(keys(&*destination, &Prefix::root()), [key("a").as_str()]);
    put(&*destination, &key("b"), b"2");
    assert_eq!(get(&*destination, &key("b")), b"2");
}
