//! Services of which no real server runs here.
//!
//! What is held here is that each can be opened from a declaration, what the storage library says that it can do, and one
//! exchange with a stand-in that keeps objects and gives the answers that the service DOCUMENTS. None of these answers was
//! recorded from the service itself. B2, Dropbox, Google Drive and `OneDrive` have fixed addresses behind TLS in the storage
//! library: they are opened, and nothing more.

use super::super::operator::operator;
use super::super::transport::transport;
use super::bed::{Declared, SECRET, bytes, told};
use super::stand_in::{Dialect, StandIn};
use crate::declared::Protocol;
use crate::destinations::conformance::snapshot;
use crate::destinations::{Access, DestinationError, Secrets};
use crate::format::Prefix;

/// How an object gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    /// In pieces, as one object, and only where nothing is.
    PiecesWhereFree,
    /// In pieces, as one object; a rival of the same moment is replaced.
    Pieces,
    /// In one request under a temporary name, then renamed.
    OneAndRename,
}

fn declared(protocol: Protocol) -> Declared {
    let new = Declared::new(protocol);
    let bucket = |it: Declared| it.set("bucket", "box").set("endpoint", "http://storage.example");
    let drive = |it: Declared| {
        it.secret("refresh_token", SECRET).secret("client_id", SECRET).secret("client_secret", SECRET)
    };
    match protocol {
        Protocol::Gcs => bucket(new).secret("credential", EXTERNAL_ACCOUNT),
        Protocol::B2 => new
            .set("bucket", "box")
            .set("bucket_id", "4a48fe8875c6214145260818")
            .secret("application_key_id", "004a48fe8875c620000000001")
            .secret("application_key", SECRET),
        Protocol::Swift => new
            .set("container", "box")
            .set("endpoint", "http://storage.example/v1/AUTH_a")
            .secret("token", SECRET),
        Protocol::Oss => bucket(new).secret("access_key_id", "LTAI0000").secret("access_key_secret", SECRET),
        Protocol::Cos => bucket(new).secret("secret_id", "AKID0000").secret("secret_key", SECRET),
        Protocol::Obs => bucket(new).secret("access_key_id", "HPUA0000").secret("secret_access_key", SECRET),
        Protocol::Dropbox | Protocol::Gdrive | Protocol::Onedrive => drive(new),
        Protocol::S3
        | Protocol::Azblob
        | Protocol::Webdav
        | Protocol::Sftp
        | Protocol::Rsync
        | Protocol::Ftp
        | Protocol::Rclone => panic!("{protocol:?} has a server"),
    }
}

/// A credential for which tokens are fetched by plain HTTP, so that the stand-in can give them (Google, "Workload identity
/// federation": `external_account`).
const EXTERNAL_ACCOUNT: &str = r#"{
    "type": "external_account", "audience": "//iam.googleapis.com/a",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "http://sts.example/v1/token",
    "credential_source": { "url": "http://identity.example/token", "format": { "type": "text" } }
}"#;

#[test]
fn each_is_opened_from_a_plain_declaration_and_can_what_is_written_here() {
    let table = [
        (Protocol::Gcs, Put::PiecesWhereFree, "gcs://box/deep/root"),
        (Protocol::B2, Put::Pieces, "b2://box/deep/root"),
        (Protocol::Swift, Put::Pieces, "swift://box/deep/root"),
        (Protocol::Oss, Put::PiecesWhereFree, "oss://box/deep/root"),
        (Protocol::Cos, Put::PiecesWhereFree, "cos://box/deep/root"),
        (Protocol::Obs, Put::Pieces, "obs://box/deep/root"),
        (Protocol::Dropbox, Put::OneAndRename, "dropbox:/deep/root"),
        (Protocol::Gdrive, Put::OneAndRename, "gdrive:/deep/root"),
        (Protocol::Onedrive, Put::OneAndRename, "onedrive:/deep/root"),
    ];
    for (protocol, put, location) in table {
        let declared = declared(protocol);
        let store = declared.try_open(Access::Look).map_err(|it| it.reason).expect("a plain declaration");
        assert_eq!(store.location(), location);
        let (http, _) = transport(&declared.remote.transport).expect("a client");
        let secrets: Secrets = declared.secrets();
        let can = operator(&declared.remote, &secrets, http).expect("an operator").info().capability();
        let found = match (can.write_with_if_not_exists, can.write_can_multi, can.rename) {
            (true, true, _) => Put::PiecesWhereFree,
            (false, true, false) => Put::Pieces,
            (false, false, true) => Put::OneAndRename,
            other => panic!("{protocol:?}: {other:?}"),
        };
        assert_eq!(found, put, "{protocol:?}");
        assert!(can.stat && can.read && can.list && can.delete, "{protocol:?}");
    }
}

/// Prepares, puts, lists, gives back and removes one small object, by a stand-in that is reached as an HTTP proxy.
fn exchange(protocol: Protocol, dialect: Dialect) {
    let stand_in = StandIn::new(dialect);
    let mut declared = declared(protocol);
    declared.remote.transport.proxy = Some(format!("http://127.0.0.1:{}", stand_in.port()));
    let destination = declared.open(Access::Change);
    assert!(!destination.prepared().map_err(|error| told(&error)).expect("an answer"));
    destination.prepare().map_err(|error| told(&error)).expect("a fresh place");
    let key = snapshot().key("a");
    destination.put_new(&key, &mut &b"small"[..]).map_err(|error| told(&error)).expect("room");
    let rival = destination.put_new(&key, &mut &b"later"[..]);
    assert!(matches!(rival, Err(DestinationError::Exists { .. })), "{rival:?}");
    let listed = destination.list(&Prefix::root()).map_err(|error| told(&error)).expect("a list");
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0].key, listed[0].size_bytes), (&key, 5));
    assert_eq!(destination.folders(&Prefix::root()).expect("a list"), ["%48ost.example"]);
    assert_eq!(bytes(&*destination, &key), b"small");
    destination.delete(&key).map_err(|error| told(&error)).expect("it is there");
    assert_eq!(destination.list(&Prefix::root()).expect("a list"), []);
    let honoured = declared.open(Access::Look).capabilities().put_without_replacing;
    assert_eq!(honoured, dialect.has_condition());
    // A race after the question whether something is there: the condition holds where there is one.
    if dialect.has_condition() {
        stand_in.hide_from_questions(&key);
        destination.put_new(&key, &mut &b"first"[..]).map_err(|error| told(&error)).expect("room");
        let rival = destination.put_new(&key, &mut &b"later"[..]);
        assert!(matches!(rival, Err(DestinationError::Exists { .. })), "{rival:?}");
    }
}

#[test]
fn documented_answers_of_oss_are_understood() {
    exchange(Protocol::Oss, Dialect::Oss);
}

#[test]
fn documented_answers_of_cos_are_understood() {
    exchange(Protocol::Cos, Dialect::Cos);
}

#[test]
fn documented_answers_of_obs_are_understood() {
    exchange(Protocol::Obs, Dialect::Obs);
}

#[test]
fn documented_answers_of_swift_are_understood() {
    exchange(Protocol::Swift, Dialect::Swift);
}

#[test]
fn documented_answers_of_gcs_are_understood() {
    exchange(Protocol::Gcs, Dialect::Gcs);
}

#[test]
fn documented_refusals_are_understood() {
    // Names of missing buckets and wrong credentials as each service documents them.
    let cases = [
        (Protocol::Oss, "404 Not Found", xml("NoSuchBucket", "The specified bucket does not exist.")),
        (Protocol::Cos, "404 Not Found", xml("NoSuchBucket", "The specified bucket does not exist.")),
        (Protocol::Obs, "404 Not Found", xml("NoSuchBucket", "The specified bucket does not exist")),
        (
            Protocol::Gcs,
            "404 Not Found",
            r#"{"error":{"code":404,"message":"The specified bucket does not exist.","errors":[{"message":"The specified bucket does not exist.","domain":"global","reason":"notFound"}]}}"#.to_owned(),
        ),
        (Protocol::Swift, "404 Not Found", "<html><h1>Not Found</h1></html>".to_owned()),
    ];
    for (protocol, status, body) in cases {
        let error = refused(protocol, status, &body).prepare().expect_err("no bucket");
        assert!(matches!(error, DestinationError::NoPlace { .. }), "{protocol:?}: {}", told(&error));
    }
    let cases = [
        (Protocol::Oss, "403 Forbidden", xml("SignatureDoesNotMatch", "The request signature we calculated")),
        (Protocol::Cos, "403 Forbidden", xml("InvalidAccessKeyId", "The access key does not exist")),
        (Protocol::Obs, "403 Forbidden", xml("SignatureDoesNotMatch", "The request signature")),
        (
            Protocol::Gcs,
            "401 Unauthorized",
            r#"{"error":{"code":401,"message":"Invalid Credentials","errors":[{"reason":"authError"}]}}"#
                .to_owned(),
        ),
        (Protocol::Swift, "401 Unauthorized", "<html><h1>Unauthorized</h1></html>".to_owned()),
    ];
    for (protocol, status, body) in cases {
        let destination = refused(protocol, status, &body);
        for error in [destination.prepared().err(), destination.prepare().err()] {
            let error = error.expect("it is refused");
            assert!(matches!(error, DestinationError::Denied { .. }), "{protocol:?}: {}", told(&error));
        }
    }
}

fn xml(code: &str, message: &str) -> String {
    super::s3::refusal(code, message)
}

/// A service that refuses everything.
fn refused(
    protocol: Protocol,
    status: &'static str,
    body: &str,
) -> Box<dyn crate::destinations::Destination> {
    let stand_in = StandIn::refusing(status, body);
    let mut declared = declared(protocol);
    declared.remote.transport.proxy = Some(format!("http://127.0.0.1:{}", stand_in.port()));
    declared.open(Access::Change)
}
