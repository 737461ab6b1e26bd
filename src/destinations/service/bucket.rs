//! What S3 shows of a bucket that the storage library does not ask for: uploads that did not come to their end, rules and
//! locks.

use super::bucket_answers::{Lifecycle, Lock, Uploads, words};
use super::fault::fault;
use crate::declared::RemoteDeclaration;
use crate::destinations::remote::store::Fault;
use crate::destinations::runtime::wait;
use crate::host::pulse;
use crate::observed::{Shown, StorageRules};
use http::{Method, StatusCode, header};
use opendal::{Buffer, Error, ErrorKind, HttpTransporter};
use reqsign_aws_v4::{Credential, EMPTY_STRING_SHA256, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use std::fmt::Write;
use std::time::Duration;

/// Rest before the first repetition; each further one is twice as long.
const REST: Duration = Duration::from_secs(1);

/// A bucket of S3, asked directly.
pub(super) struct Bucket {
    transport: HttpTransporter,
    /// Of the bucket: `https://host/bucket`, as the storage library addresses it.
    address: String,
    /// How keys below the root begin: empty, or with a `/` at its end.
    root: String,
    signer: Signer<Credential>,
    retries: u32,
}

/// Where a bucket is, and who asks.
pub(super) struct BucketPlace<'a> {
    pub endpoint: &'a str,
    pub region: &'a str,
    pub access_key_id: &'a str,
    pub secret_access_key: &'a str,
    pub session_token: Option<&'a str>,
}

impl Bucket {
    pub fn new(remote: &RemoteDeclaration, place: &BucketPlace<'_>, transport: HttpTransporter) -> Self {
        let mut credential = StaticCredentialProvider::new(place.access_key_id, place.secret_access_key);
        if let Some(token) = place.session_token {
            credential = credential.with_session_token(token);
        }
        let root = remote.setting("path").trim_matches('/');
        Self {
            transport,
            address: format!("{}/{}", place.endpoint.trim_end_matches('/'), remote.setting("bucket")),
            root: if root.is_empty() { String::new() } else { format!("{root}/") },
            signer: Signer::new(Context::new(), credential, RequestSigner::new("s3", place.region)),
            retries: remote.transport.retries(),
        }
    }

    /// Removes uploads below a folder that did not come to their end: `ListMultipartUploads`, `AbortMultipartUpload`.
    pub fn abort_uploads(&self, folder: &str) -> Result<(), Fault> {
        let prefix = encoded(&format!("{}{folder}", self.root));
        let mut from = String::new();
        loop {
            let during = "looking for uploads that were killed";
            let query = format!("uploads&prefix={prefix}{from}");
            let (status, body) = self.ask(&Method::GET, "", &query, during)?;
            match status {
                StatusCode::OK => {}
                // A server that has no such list shows none.
                StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED => return Ok(()),
                _ => return Err(refusal(status, &body, during)),
            }
            let uploads = Uploads::parse(&body).map_err(|error| Fault::other(during, error))?;
            let below = format!("{}{folder}", self.root);
            // A server that does not know the filter lists everybody's.
            for upload in uploads.list.iter().filter(|it| it.key.starts_with(&below)) {
                self.abort(&upload.key, &upload.id)?;
            }
            if !uploads.more || uploads.list.is_empty() {
                return Ok(());
            }
            from = format!(
                "&key-marker={}&upload-id-marker={}",
                encoded(&uploads.next_key),
                encoded(&uploads.next_id)
            );
        }
    }

    fn abort(&self, key: &str, id: &str) -> Result<(), Fault> {
        let during = "removing an upload that was killed";
        let query = format!("uploadId={}", encoded(id));
        let (status, body) = self.ask(&Method::DELETE, key, &query, during)?;
        // It may have come to its end or been removed meanwhile.
        if status.is_success() || status == StatusCode::NOT_FOUND && words(&body).contains("NoSuchUpload") {
            return Ok(());
        }
        Err(refusal(status, &body, during))
    }

    /// `GetBucketLifecycleConfiguration` and `GetObjectLockConfiguration`.
    pub fn rules(&self) -> Result<StorageRules, Fault> {
        let lifecycle =
            self.shown("lifecycle", "asking for its lifecycle", "NoSuchLifecycleConfiguration")?;
        let lock = "asking for its object lock";
        let lock = self.shown("object-lock", lock, "ObjectLockConfigurationNotFoundError")?;
        Ok(StorageRules {
            lifecycle: read(lifecycle, |body| Lifecycle::parse(body).map(|it| it.rules_below(&self.root))),
            lock: match read(lock, Lock::parse) {
                Shown::Present(lock) => lock.shown(),
                Shown::Absent => Shown::Absent,
                Shown::NotShown(why) => Shown::NotShown(why),
            },
        })
    }

    /// The answer to a question on the bucket; a refusal of that question alone is "not shown".
    fn shown(&self, query: &str, during: &'static str, none: &str) -> Result<Shown<Vec<u8>>, Fault> {
        let (status, body) = self.ask(&Method::GET, "", query, during)?;
        if status == StatusCode::OK {
            return Ok(Shown::Present(body));
        }
        let words = words(&body);
        if words.contains(none) {
            return Ok(Shown::Absent);
        }
        let unknown = [StatusCode::BAD_REQUEST, StatusCode::NOT_IMPLEMENTED, StatusCode::METHOD_NOT_ALLOWED];
        match refusal(status, &body, during) {
            Fault::Refused(error) if words.contains("AccessDenied") => {
                Ok(Shown::NotShown(format!("{during}: {error}")))
            }
            Fault::Other { error, .. } if unknown.contains(&status) => {
                Ok(Shown::NotShown(format!("{during}: {error}")))
            }
            fault => Err(fault),
        }
    }

    /// One signed request, tried again where it failed for a passing reason.
    fn ask(
        &self,
        method: &Method,
        key: &str,
        query: &str,
        during: &'static str,
    ) -> Result<(StatusCode, Vec<u8>), Fault> {
        let path = if key.is_empty() { String::new() } else { format!("/{}", encoded_path(key)) };
        let uri = format!("{}{path}?{query}", self.address);
        let mut rest = REST;
        for left in (0..=self.retries).rev() {
            pulse::beat();
            let answer = wait(self.ask_once(method, &uri));
            let passing = match &answer {
                Ok((status, _)) => status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED,
                Err(error) => error.is_temporary(),
            };
            if !passing || left == 0 {
                return answer.map_err(fault(during));
            }
            crate::host::pause(rest);
            rest *= 2;
        }
        Err(Fault::other(during, "it was never tried"))
    }

    async fn ask_once(&self, method: &Method, uri: &str) -> opendal::Result<(StatusCode, Vec<u8>)> {
        let unusable = |error: &dyn std::fmt::Display| Error::new(ErrorKind::Unexpected, error.to_string());
        let request = http::Request::builder().method(method).uri(uri);
        let request = request.header("x-amz-content-sha256", EMPTY_STRING_SHA256).body(Buffer::new());
        let (mut parts, body) = request.map_err(|error| unusable(&error))?.into_parts();
        self.signer.sign(&mut parts, None).await.map_err(|error| unusable(&error))?;
        // The client writes its own, by the version of HTTP.
        parts.headers.remove(header::HOST);
        let answer = self.transport.send(http::Request::from_parts(parts, body)).await?;
        Ok((answer.status(), answer.into_body().to_vec()))
    }
}

/// What a body says, or why that cannot be read.
fn read<T>(shown: Shown<Vec<u8>>, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Shown<T> {
    match shown {
        Shown::Present(body) => match parse(&body) {
            Ok(value) => Shown::Present(value),
            Err(why) => Shown::NotShown(format!("its answer cannot be read: {why}")),
        },
        Shown::Absent => Shown::Absent,
        Shown::NotShown(why) => Shown::NotShown(why),
    }
}

fn refusal(status: StatusCode, body: &[u8], during: &'static str) -> Fault {
    let kind = match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => ErrorKind::PermissionDenied,
        _ => ErrorKind::Unexpected,
    };
    let words = words(body);
    let text = if words.is_empty() { format!("the answer was {status}") } else { words };
    fault(during)(Error::new(kind, text))
}

/// Percent-encoded as AWS signs it: only letters, digits and `-._~` stay (Signature Version 4, `UriEncode`).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a text takes all");
        }
    }
    encoded
}

fn encoded_path(path: &str) -> String {
    path.split('/').map(encoded).collect::<Vec<_>>().join("/")
}
