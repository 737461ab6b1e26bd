//! A server that says what a test wants it to, byte for byte: what no real one can be made to send.

use super::*;
use crate::declared::SecretRef;
use crate::host::RealHost;
use crate::sources::Complete;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use tempfile::TempDir;

/// A dump of one key in database 0, as Redis 7.0 makes it (`SET a 1`), without its sum.
const BODY: &[u8] = b"REDIS0010\xfe\x00\xfb\x01\x00\x00\x01a\xc0\x01\xff";
const MARK: &[u8] = b"0123456789012345678901234567890123456789";

/// What the server answers.
#[derive(Clone)]
struct Script {
    info: &'static str,
    sync: Vec<u8>,
    checksum: &'static str,
}

impl Script {
    fn sends(sync: &[&[u8]]) -> Self {
        Self { info: "role:master\r\nloading:0\r\n", sync: sync.concat(), checksum: "-NOPERM no\r\n" }
    }
}

/// Reads one command of words.
fn command(from: &mut BufReader<UnixStream>) -> Option<Vec<String>> {
    let line = |from: &mut BufReader<UnixStream>| {
        let mut line = String::new();
        (from.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    };
    let count: usize = line(from)?.strip_prefix('*')?.parse().ok()?;
    (0..count)
        .map(|_| {
            line(from)?;
            line(from)
        })
        .collect()
}

fn serve(stream: UnixStream, script: &Script) {
    let mut answers = stream.try_clone().expect("a connection");
    let mut from = BufReader::new(stream);
    while let Some(words) = command(&mut from) {
        let answer: Vec<u8> = match words[0].as_str() {
            "INFO" => format!("${}\r\n{}\r\n", script.info.len(), script.info).into_bytes(),
            "SYNC" => script.sync.clone(),
            "CONFIG" => script.checksum.as_bytes().to_vec(),
            "AUTH" => format!("-ERR unknown command 'AUTH', with args beginning with: '{}'\r\n", words[1])
                .into_bytes(),
            _ => b"+OK\r\n".to_vec(),
        };
        if answers.write_all(&answer).is_err() || words[0] == "SYNC" {
            return;
        }
    }
}

struct Fake {
    folder: TempDir,
    declaration: RedisDeclaration,
}

fn fake(script: &Script) -> Fake {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let script = script.clone();
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let script = script.clone();
            std::thread::spawn(move || serve(stream, &script));
        }
    });
    let declaration = RedisDeclaration { socket: Some(socket), ..RedisDeclaration::default() };
    Fake { folder, declaration }
}

impl Fake {
    fn open(&self) -> Result<Box<dyn SourceStream>, SourceError> {
        let set: SetName = "cache".parse().expect("a name");
        let source = RedisSource::new(&set, self.declaration.clone());
        let variables = BTreeMap::new();
        let desk = Desk { host: &RealHost, scratch: self.folder.path(), variables: &variables };
        let member = source.enumerate(&RealHost)?.remove(0);
        source.open(&desk, &member)
    }

    /// The bytes and the proof, or why there is none.
    fn backup(&self) -> Result<(Vec<u8>, Complete), String> {
        let mut stream = self.open().map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        stream.finish().map(|complete| (bytes, complete)).map_err(|error| error.to_string())
    }
}

fn backup(sync: &[&[u8]]) -> Result<(Vec<u8>, Complete), String> {
    fake(&Script::sends(sync)).backup()
}

fn whole() -> Vec<u8> {
    rdb::summed(BODY)
}

fn by_length() -> Vec<u8> {
    [format!("\n\n${}\r\n", whole().len()).as_bytes(), &whole()].concat()
}

fn by_mark() -> Vec<u8> {
    [b"\n$EOF:", MARK, b"\r\n", &whole(), MARK].concat()
}

#[test]
fn dump_is_the_same_by_length_and_by_mark() {
    for sent in [by_length(), by_mark()] {
        let (bytes, complete) = backup(&[&sent]).expect("complete");
        assert_eq!(bytes, whole());
        assert_eq!(complete.counts().0["keys db0"], 1);
        assert_eq!(complete.warnings(), [""; 0]);
    }
}

#[test]
fn writes_that_follow_a_dump_of_known_length_are_no_part_of_it() {
    let (bytes, _) = backup(&[&by_length(), b"*1\r\n$4\r\nPING\r\n"]).expect("complete");
    assert_eq!(bytes, whole());
}

#[test]
fn dump_that_is_cut_anywhere_is_not_complete() {
    for sent in [by_length(), by_mark()] {
        for length in 0..sent.len() {
            assert!(backup(&[&sent[..length]]).is_err(), "cut at {length} of {}", sent.len());
        }
    }
}

#[test]
fn end_without_the_announced_mark_is_no_end() {
    let other = [b"$EOF:", MARK, b"\r\n", &whole(), &[b'x'; 40][..]].concat();
    let error = backup(&[&other]).expect_err("another mark");
    assert!(error.contains("closed the connection"), "{error}");
}

#[test]
fn byte_that_is_flipped_anywhere_in_the_dump_is_found() {
    for at in 0..whole().len() {
        let mut sent = by_length();
        let start = sent.len() - whole().len();
        sent[start + at] ^= 4;
        assert!(backup(&[&sent]).is_err(), "flipped at {at}");
    }
}

#[test]
fn announced_length_that_leaves_out_the_end_is_not_believed() {
    let short = &whole()[..BODY.len() - 1];
    let error = backup(&[format!("${}\r\n", short.len()).as_bytes(), short]).expect_err("no end mark");
    assert!(error.contains("before its end mark"), "{error}");
    let longer = [&whole()[..], b"x"].concat();
    let error = backup(&[format!("${}\r\n", longer.len()).as_bytes(), &longer]).expect_err("too long");
    assert!(error.contains("follows its end mark"), "{error}");
}

#[test]
fn stream_that_was_not_read_to_its_end_is_not_complete() {
    let mut stream = fake(&Script::sends(&[&by_length()])).open().expect("a stream");
    let mut some = [0; 5];
    stream.read_exact(&mut some).expect("some bytes");
    assert!(stream.finish().is_err());
}

#[test]
fn sum_of_zero_is_excused_only_by_a_server_that_makes_none() {
    let zero = [format!("${}\r\n", BODY.len() + 8).as_bytes(), BODY, &[0; 8]].concat();
    let with = |checksum| fake(&Script { checksum, ..Script::sends(&[&zero]) }).backup();
    let answer = |value: &str| -> &'static str {
        match value {
            "no" => "*2\r\n$11\r\nrdbchecksum\r\n$2\r\nno\r\n",
            _ => "*2\r\n$11\r\nrdbchecksum\r\n$3\r\nyes\r\n",
        }
    };
    let (_, complete) = with(answer("no")).expect("it makes none");
    assert!(complete.warnings()[0].contains("rdbchecksum no"), "{:?}", complete.warnings());
    assert!(with(answer("yes")).expect_err("somebody zeroed it").contains("`rdbchecksum yes`"));
    assert!(with("-NOPERM no\r\n").expect_err("nobody knows").contains("may not ask"));
}

#[test]
fn server_that_has_not_its_data_is_not_asked_for_a_dump() {
    for (info, said) in [
        ("loading:1\r\n", "still loading"),
        ("role:slave\r\nmaster_link_status:down\r\n", "link to its master is down"),
    ] {
        let error = fake(&Script { info, ..Script::sends(&[&by_length()]) }).backup().expect_err("unfit");
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn dump_without_the_keys_that_the_server_counts_is_not_complete() {
    let script = Script {
        info: "role:master\r\ndb7:keys=1000,expires=0,avg_ttl=0\r\n",
        ..Script::sends(&[&by_length()])
    };
    let error = fake(&script).backup().expect_err("database 7 is not in it");
    assert!(error.contains("database 7 has no keys"), "{error}");
}

#[test]
fn refusal_of_a_dump_is_told_with_the_right_that_is_missing() {
    let error = backup(&[b"-NOPERM this user has no permissions to run the 'sync' command\r\n"])
        .expect_err("refused");
    assert!(error.contains("NOPERM") && error.contains("ACL SETUSER default +ping"), "{error}");
    let error =
        backup(&[b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n"]).expect_err("refused");
    assert!(error.contains("NOMASTERLINK"), "{error}");
    assert!(backup(&[b"HTTP/1.1 400 Bad Request\r\n"]).expect_err("not redis").contains("protocol"));
}

#[test]
fn secret_that_a_server_repeats_is_not_told() {
    let mut fake = fake(&Script::sends(&[&by_length()]));
    let file = fake.folder.path().join("secret");
    RealHost.write_atomic(&file, b"hunter22\n", 0o600).expect("a file");
    fake.declaration.password = Some(SecretRef::File(file));
    let error = fake.backup().expect_err("refused");
    assert!(error.contains("[redacted]") && !error.contains("hunter22"), "{error}");
}

#[test]
fn server_that_is_not_there_is_said_to_be_out_of_reach() {
    let mut fake = fake(&Script::sends(&[]));
    fake.declaration.socket = Some(fake.folder.path().join("nobody"));
    assert!(fake.backup().expect_err("nobody").contains("cannot be reached"));
}
