//! S3, by moto.

use super::bed::{Declared, bytes, told};
use crate::destinations::conformance::{Bed, conformance_suite, noise, snapshot};
use crate::destinations::servers::{Front, Request, S3, answer};
use crate::destinations::{Access, Destination, DestinationError};
use crate::format::Prefix;
use crate::observed::{LockMode, ObjectLock, RuleStart, Shown, StorageAction, StorageRule};

/// More than this is no room.
const ROOM: usize = 512 << 10;

struct Place {
    server: S3,
    front: Option<Front>,
}

impl Place {
    fn declared(&self) -> Declared {
        Declared::s3(self.front.as_ref().map_or(self.server.port(), Front::port))
    }
}

impl Bed for Place {
    /// moto's threads look whether a key is free and put it then, which S3 does at once: a front before it lets one request
    /// through at a time.
    fn fresh() -> Self {
        let server = S3::start();
        let front = Front::before(server.port(), |_| None);
        Self { server, front: Some(front) }
    }

    /// moto has no quota: what is too large is refused by a front before it, in the words of S3's clones.
    fn small() -> Self {
        let server = S3::start();
        let front = Front::before(server.port(), |request| {
            let refused = refusal("QuotaExceeded", "The bucket has reached its quota");
            (request.body.len() > ROOM).then(|| answer("403 Forbidden", &[], &refused))
        });
        Self { server, front: Some(front) }
    }

    fn open(&self, access: Access) -> Box<dyn Destination> {
        self.declared().open(access)
    }

    fn leave_killed_upload(&self, folder: &Prefix) {
        self.server.leave_upload(&format!("deep/root/{}half", folder.as_str()).replace('%', "%25"));
    }

    fn reads_together(&self) -> bool {
        true
    }

    fn killed_upload_shows(&self) -> bool {
        false
    }
}

conformance_suite!(Place);

/// S3's own form of an error.
pub fn refusal(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message>\
         <Resource>/box/x</Resource><RequestId>4442587FB7D0A2F9</RequestId></Error>"
    )
}

#[test]
fn unfinished_uploads_are_swept_below_the_folder_only() {
    let place = Place::fresh();
    let destination = place.declared().prepared();
    for folder in ["a/", "a/b/", "ab/"] {
        place.server.leave_upload(&format!("deep/root/{folder}half"));
    }
    place.server.leave_upload("elsewhere/half");
    destination.sweep(&Prefix::root().folder("a")).expect("a sweep");
    assert_eq!(place.server.uploads(), ["deep/root/ab/half", "elsewhere/half"]);
    destination.sweep(&Prefix::root()).expect("a sweep");
    assert_eq!(place.server.uploads(), ["elsewhere/half"], "what lies outside of the root is not ours");
}

#[test]
fn aborted_upload_in_pieces_leaves_no_pieces() {
    let place = Place::fresh();
    let destination = place.declared().prepared();
    let mut body = crate::destinations::conformance::Broken::after(20 << 20);
    let aborted = destination.put_new(&snapshot().key("a"), &mut body);
    assert!(matches!(aborted, Err(DestinationError::BodyAborted { .. })), "{aborted:?}");
    assert_eq!(place.server.uploads(), Vec::<String>::new());
}

#[test]
fn lists_of_unfinished_uploads_are_read_to_their_end() {
    // moto gives all uploads at once: the front gives S3's answer in two pages (API_ListMultipartUploads).
    let place = Place::fresh();
    let front = Front::before(place.server.port(), |request: &mut Request| {
        let page = |key: &str, rest: &str| {
            let upload = format!("<Upload><Key>{key}</Key><UploadId>id/{key}</UploadId></Upload>");
            answer(
                "200 OK",
                &[],
                &format!("<ListMultipartUploadsResult>{rest}{upload}</ListMultipartUploadsResult>"),
            )
        };
        match (request.method.as_str(), request.target.split_once('?').map_or("", |(_, query)| query)) {
            ("GET", query) if query.contains("key-marker=deep%2Froot%2Fa&upload-id-marker=id%2F1") => {
                Some(page("deep/root/b", "<IsTruncated>false</IsTruncated>"))
            }
            ("GET", query) if query.starts_with("uploads") => Some(page(
                "deep/root/a",
                "<IsTruncated>true</IsTruncated><NextKeyMarker>deep/root/a</NextKeyMarker>\
                 <NextUploadIdMarker>id/1</NextUploadIdMarker>",
            )),
            ("DELETE", _) => Some(answer("204 No Content", &[], "")),
            _ => None,
        }
    });
    Declared::s3(front.port()).prepared().sweep(&Prefix::root()).expect("a sweep");
    let removed: Vec<String> = front.lines().into_iter().filter(|it| it.starts_with("DELETE")).collect();
    assert_eq!(
        removed,
        [
            "DELETE /box/deep/root/a?uploadId=id%2Fdeep%2Froot%2Fa",
            "DELETE /box/deep/root/b?uploadId=id%2Fdeep%2Froot%2Fb"
        ]
    );
}

#[test]
fn server_that_ignores_the_condition_is_found_out_when_it_is_prepared() {
    let honest = Place::fresh();
    assert!(honest.declared().prepared().capabilities().put_without_replacing);
    assert!(
        !honest.server.ask("GET", "/box/deep/root/.bkp-destination", &[], "").1.contains("conditional_put")
    );
    let place = Place::fresh();
    let front = Front::before(place.server.port(), |request: &mut Request| {
        request.remove("if-none-match");
        None
    });
    let declared = Declared::s3(front.port());
    assert!(!declared.prepared().capabilities().put_without_replacing);
    let later = declared.open(Access::Look);
    assert!(!later.capabilities().put_without_replacing, "the marker remembers it");
    let key = snapshot().key("a");
    let destination = declared.open(Access::Change);
    destination.put_new(&key, &mut &b"1"[..]).expect("room");
    assert!(matches!(destination.put_new(&key, &mut &b"2"[..]), Err(DestinationError::Exists { .. })));
    assert_eq!(bytes(&*destination, &key), b"1");
}

#[test]
fn both_ways_of_putting_carry_the_condition() {
    let place = Place::fresh();
    let front = Front::before(place.server.port(), |_| None);
    let destination = Declared::s3(front.port()).prepared();
    for (name, length) in [("small", 1), ("large", 9 << 20)] {
        destination.put_new(&snapshot().key(name), &mut noise(length).as_slice()).expect("room");
    }
    let conditional = front.requests();
    let conditional = conditional.iter().filter(|it| it.header("if-none-match") == "*");
    let conditional: Vec<_> =
        conditional.map(|it| (it.method.clone(), it.target.contains("uploadId"))).collect();
    let put = ("PUT".to_owned(), false);
    // Twice for the marker.
    assert_eq!(conditional, [put.clone(), put.clone(), put, ("POST".to_owned(), true)]);
}

/// A body at whose end something happens.
struct Rival<'a>(&'a [u8], &'a dyn Fn());
impl std::io::Read for Rival<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = std::io::Read::read(&mut self.0, buffer)?;
        if length == 0 {
            (self.1)();
        }
        Ok(length)
    }
}

#[test]
fn rival_of_an_upload_in_pieces_wins_where_it_is_first() {
    let place = Place::fresh();
    let destination = place.declared().prepared();
    let key = snapshot().key("a");
    let target = format!("/box/deep/root/{}", key.as_str().replace('%', "%25"));
    let large = noise(9 << 20);
    let rival = || assert_eq!(place.server.ask("PUT", &target, &[], "rival").0, 200);
    let refused = destination.put_new(&key, &mut Rival(&large, &rival));
    assert!(matches!(refused, Err(DestinationError::Exists { .. })), "{refused:?}");
    assert_eq!(bytes(&*destination, &key), b"rival");
}

#[test]
fn rules_and_lock_of_a_bucket_are_shown() {
    let server = S3::start();
    let rules = Declared::s3(server.port()).open(Access::Look).rules().expect("an answer");
    assert_eq!(rules.lifecycle, Shown::Absent);
    assert_eq!(rules.lock, Shown::Absent);
    let lifecycle = "<LifecycleConfiguration><Rule><ID>a</ID><Filter><Prefix>deep/</Prefix></Filter>\
        <Status>Enabled</Status><Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition>\
        <Expiration><Days>400</Days></Expiration></Rule></LifecycleConfiguration>";
    assert_eq!(server.ask("PUT", "/box?lifecycle", &[], lifecycle).0, 200);
    let rules = Declared::s3(server.port()).open(Access::Look).rules().expect("an answer");
    let rule =
        |action, days| StorageRule { prefix: String::new(), action, after: RuleStart::AfterDays(days) };
    let archive = StorageAction::Archive { tier: "GLACIER".to_owned() };
    assert_eq!(rules.lifecycle, Shown::Present(vec![rule(StorageAction::Expire, 400), rule(archive, 30)]));

    let locked = [("x-amz-bucket-object-lock-enabled", "true")];
    assert_eq!(server.ask("PUT", "/locked", &locked, "").0, 200);
    let declared = Declared::s3(server.port()).set("bucket", "locked");
    let lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
        <Mode>GOVERNANCE</Mode><Days>14</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    assert_eq!(server.ask("PUT", "/locked?object-lock", &[], lock).0, 200);
    let rules = declared.open(Access::Look).rules().expect("an answer");
    let expected = ObjectLock::EveryObject { mode: LockMode::Governance, days: 14 };
    assert_eq!(rules.lock, Shown::Present(expected));

    let error = declared.set("bucket", "nowhere").open(Access::Look).rules().expect_err("no bucket");
    assert!(matches!(error, DestinationError::NoPlace { .. }), "{}", told(&error));
}

#[test]
fn rules_that_may_not_be_seen_are_not_absent() {
    // The answers are a front's: AccessDenied as S3 documents it, and a clone's 501.
    let server = S3::start();
    let front = Front::before(server.port(), |request: &mut Request| {
        let denied = answer("403 Forbidden", &[], &refusal("AccessDenied", "Access Denied"));
        let unknown = answer("501 Not Implemented", &[], &refusal("NotImplemented", "no such header"));
        match request.target.as_str() {
            "/box?lifecycle" => Some(denied),
            "/box?object-lock" => Some(unknown),
            _ => None,
        }
    });
    let rules = Declared::s3(front.port()).open(Access::Look).rules().expect("an answer");
    let Shown::NotShown(why) = rules.lifecycle else { panic!("{rules:?}") };
    assert!(why.contains("AccessDenied"), "{why}");
    let Shown::NotShown(why) = rules.lock else { panic!("{why}") };
    assert!(why.contains("NotImplemented"), "{why}");
}

#[test]
fn archived_object_says_so() {
    let server = S3::start();
    let destination = Declared::s3(server.port()).prepared();
    let cold = [("x-amz-storage-class", "GLACIER")];
    assert_eq!(server.ask("PUT", "/box/deep/root/h/a", &cold, "cold").0, 200);
    let error = destination.get(&Prefix::root().folder("h").key("a")).err().expect("it cannot be read");
    assert!(matches!(error, DestinationError::Archived { .. }), "{}", told(&error));
    assert_eq!(destination.list(&Prefix::root()).expect("a list").len(), 1, "it is there");
}

/// moto checks the signature of a query as it was sent; S3 first brings it into its canonical form (Signature Version 4,
/// "canonical query string"), and the storage library relies on that. This does it in moto's place.
fn canonical(request: &mut Request) {
    let Some((path, query)) = request.target.split_once('?') else { return };
    let mut pairs: Vec<&str> = query.split('&').collect();
    pairs.sort_unstable();
    request.target = format!("{path}?{}", pairs.join("&").replace('/', "%2F"));
}

#[test]
fn wrong_key_and_wrong_secret_are_refused_by_the_server_itself() {
    let (server, name, secret) = S3::start_with_keys();
    let front = Front::before(server.port(), |request: &mut Request| {
        canonical(request);
        None
    });
    let declared = |name: &str, secret: &str| {
        Declared::s3(front.port()).secret("access_key_id", name).secret("secret_access_key", secret)
    };
    let good = declared(&name, &secret);
    good.prepared().put_new(&snapshot().key("a"), &mut &b"1"[..]).expect("the key is right");
    good.open(Access::Change).sweep(&Prefix::root()).expect("our own requests are signed rightly too");
    good.open(Access::Look).rules().expect("an answer");
    let wrong = [
        (declared(&name, super::bed::SECRET), "SignatureDoesNotMatch"),
        (declared("AKIAIOSFODNN7EXAMPLE", &secret), "InvalidAccessKeyId"),
    ];
    for (declared, word) in wrong {
        let destination = declared.open(Access::Change);
        let errors = [
            destination.prepared().err(),
            destination.prepare().err(),
            destination.list(&Prefix::root()).err(),
            destination.rules().err(),
        ];
        for error in errors {
            let error = error.expect("it is refused");
            let text = told(&error);
            assert!(matches!(error, DestinationError::Denied { .. }) && text.contains(word), "{text}");
            assert!(!text.contains(&secret), "{text}");
        }
    }
}
