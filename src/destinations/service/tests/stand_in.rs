//! A stand-in for object stores that have no server here: it keeps objects, and answers as the services document it.

use crate::destinations::servers::{Front, Request, answer};
use crate::format::Key;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Which service's answers are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Alibaba Cloud OSS: `PutObject`, `HeadObject`, `GetObject`, `ListObjectsV2`, `DeleteObject`.
    Oss,
    /// Tencent Cloud COS: the same, `GET Bucket` for lists.
    Cos,
    /// Huawei Cloud OBS: the same.
    Obs,
    /// `OpenStack` Swift: object-store API v1.
    Swift,
    /// Google Cloud Storage: JSON API v1.
    Gcs,
}

impl Dialect {
    pub fn has_condition(self) -> bool {
        matches!(self, Self::Oss | Self::Cos | Self::Gcs)
    }
}

#[derive(Default)]
struct Kept {
    objects: BTreeMap<String, Vec<u8>>,
    /// Those that HEAD and GET do not see.
    hidden: BTreeSet<String>,
}

pub struct StandIn {
    front: Front,
    kept: Arc<Mutex<Kept>>,
}

impl StandIn {
    pub fn new(dialect: Dialect) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let shared = Arc::clone(&kept);
        let front =
            Front::alone(move |request| respond(dialect, request, &mut shared.lock().expect("no panic")));
        Self { front, kept }
    }

    pub fn refusing(status: &'static str, body: &str) -> Self {
        let body = body.to_owned();
        let front = Front::alone(move |request| {
            if let Some(token) = token(request) {
                return token;
            }
            let length = body.len().to_string();
            let shown = if request.method == "HEAD" { "" } else { &body };
            answer(status, &[("Content-Length", &length)], shown)
        });
        Self { front, kept: Arc::default() }
    }

    pub fn port(&self) -> u16 {
        self.front.port()
    }

    /// As if a rival put it there after the question whether it is there.
    pub fn hide_from_questions(&self, key: &Key) {
        self.kept.lock().expect("no panic").hidden.insert(format!("deep/root/{}", key.as_str()));
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|it| std::str::from_utf8(it).ok());
        if let Some(byte) = hex.and_then(|it| u8::from_str_radix(it, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// Host, path and query of a request as a proxy gets it.
fn target(request: &Request) -> (String, String, BTreeMap<String, String>) {
    let rest = request.target.strip_prefix("http://").expect("an absolute URL, for a proxy");
    let (host, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let pairs = query.split('&').filter(|it| !it.is_empty()).map(|it| {
        let (name, value) = it.split_once('=').unwrap_or((it, ""));
        (name.to_owned(), decoded(value))
    });
    (host.to_owned(), path.to_owned(), pairs.collect())
}

/// Google's tokens for an external account (RFC 8693).
fn token(request: &Request) -> Option<String> {
    if request.target.starts_with("http://identity.example/") {
        return Some(answer("200 OK", &[], "subject"));
    }
    let granted = r#"{"access_token":"granted","issued_token_type":"urn:ietf:params:oauth:token-type:access_token",
        "token_type":"Bearer","expires_in":3600}"#;
    request.target.starts_with("http://sts.example/").then(|| answer("200 OK", &[], granted))
}

fn respond(dialect: Dialect, request: &Request, kept: &mut Kept) -> String {
    if let Some(token) = token(request) {
        return token;
    }
    let (host, path, query) = target(request);
    let signed = match dialect {
        Dialect::Swift => request.header("x-auth-token"),
        // The address of a begun upload is what allows it.
        Dialect::Gcs if path == "upload/session" => "yes",
        Dialect::Gcs => request.header("authorization").strip_prefix("Bearer granted").map_or("", |_| "yes"),
        Dialect::Oss | Dialect::Cos | Dialect::Obs => request.header("authorization"),
    };
    assert!(!signed.is_empty(), "it is not signed: {request:?}");
    let below = |prefix: &str| path.strip_prefix(prefix).unwrap_or_else(|| panic!("{host}/{path}"));
    let key = match dialect {
        Dialect::Oss | Dialect::Cos => {
            assert_eq!(host, "box.storage.example");
            decoded(&path)
        }
        Dialect::Obs => decoded(&path),
        Dialect::Swift => decoded(below("v1/AUTH_a/box/")),
        Dialect::Gcs if request.method == "POST" || request.method == "PUT" => query["name"].clone(),
        Dialect::Gcs => decoded(below("storage/v1/b/box/o").trim_start_matches('/')),
    };
    let missing = answer("404 Not Found", &[], &missing(dialect, request));
    match request.method.as_str() {
        "GET" if key.is_empty() => answer("200 OK", &[], &list(dialect, &query, kept)),
        "PUT" | "POST" => put(dialect, request, &query, &key, kept),
        "HEAD" | "GET" => match kept.objects.get(&key).filter(|_| !kept.hidden.contains(&key)) {
            Some(bytes) => read(dialect, request, &query, &key, bytes),
            None => missing,
        },
        "DELETE" => match (kept.objects.remove(&key), dialect) {
            (None, Dialect::Swift | Dialect::Gcs) => missing,
            _ => answer("204 No Content", &[], ""),
        },
        other => panic!("{other} {path}"),
    }
}

fn missing(dialect: Dialect, request: &Request) -> String {
    match dialect {
        _ if request.method == "HEAD" => String::new(),
        Dialect::Gcs => {
            r#"{"error":{"code":404,"message":"No such object","errors":[{"reason":"notFound"}]}}"#.to_owned()
        }
        Dialect::Swift => "<html><h1>Not Found</h1></html>".to_owned(),
        Dialect::Oss | Dialect::Cos | Dialect::Obs => {
            super::s3::refusal("NoSuchKey", "The key does not exist.")
        }
    }
}

fn put(
    dialect: Dialect,
    request: &Request,
    query: &BTreeMap<String, String>,
    key: &str,
    kept: &mut Kept,
) -> String {
    let only_new = match dialect {
        Dialect::Oss => request.header("x-oss-forbid-overwrite") == "true",
        Dialect::Cos => request.header("x-cos-forbid-overwrite") == "true",
        Dialect::Gcs => query.get("ifGenerationMatch").is_some_and(|it| it == "0"),
        Dialect::Obs | Dialect::Swift => false,
    };
    if only_new && kept.objects.contains_key(key) {
        return match dialect {
            Dialect::Gcs => answer(
                "412 Precondition Failed",
                &[],
                r#"{"error":{"code":412,"message":"At least one of the pre-conditions you specified did not hold.","errors":[{"reason":"conditionNotMet"}]}}"#,
            ),
            Dialect::Oss | Dialect::Cos | Dialect::Obs | Dialect::Swift => answer(
                "409 Conflict",
                &[],
                &super::s3::refusal("FileAlreadyExists", "The object you specified already exists."),
            ),
        };
    }
    if query.get("uploadType").is_some_and(|it| it == "resumable") {
        // An upload of Google's begins with a question for its address ("Resumable uploads").
        let session = format!("http://storage.example/upload/session?ifGenerationMatch=0&name={key}");
        return answer("200 OK", &[("Location", &session.replace('%', "%25"))], "");
    }
    let length = request.body.len();
    kept.objects.insert(key.to_owned(), request.body.clone());
    match dialect {
        Dialect::Gcs => {
            answer("200 OK", &[], &format!(r#"{{"name":"{key}","size":"{length}","generation":"1"}}"#))
        }
        Dialect::Swift => answer("201 Created", &[("Etag", "0")], ""),
        Dialect::Oss | Dialect::Cos | Dialect::Obs => answer("200 OK", &[("ETag", "\"0\"")], ""),
    }
}

fn read(
    dialect: Dialect,
    request: &Request,
    query: &BTreeMap<String, String>,
    key: &str,
    bytes: &[u8],
) -> String {
    let length = bytes.len().to_string();
    if dialect == Dialect::Gcs && !query.contains_key("alt") {
        let time = "2026-11-20T03:00:00.000Z";
        let body = format!(
            r#"{{"name":"{key}","size":"{length}","generation":"1","updated":"{time}","etag":"0","md5Hash":"","contentType":"application/octet-stream"}}"#
        );
        return answer("200 OK", &[], &body);
    }
    let modified = ("Last-Modified", "Fri, 20 Nov 2026 03:00:00 GMT");
    if request.method == "HEAD" {
        return answer("200 OK", &[("Content-Length", &length), ("ETag", "\"0\""), modified], "");
    }
    let range = request.header("range");
    let (from, to) = range.strip_prefix("bytes=").and_then(|it| it.split_once('-')).unwrap_or(("0", ""));
    let from: usize = from.parse().expect("a number");
    let to = to.parse::<usize>().map_or(bytes.len(), |it| (it + 1).min(bytes.len()));
    let part = String::from_utf8(bytes[from..to].to_vec()).expect("text");
    let span = format!("bytes {from}-{}/{length}", to.saturating_sub(1));
    let status = if range.is_empty() { "200 OK" } else { "206 Partial Content" };
    answer(status, &[("Content-Range", &span), modified], &part)
}

fn list(dialect: Dialect, query: &BTreeMap<String, String>, kept: &Kept) -> String {
    let prefix = query.get("prefix").map_or("", String::as_str);
    let delimiter = query.get("delimiter").map_or("", String::as_str);
    let (mut objects, mut folders) = (Vec::new(), BTreeSet::new());
    for (key, bytes) in kept.objects.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix))
    {
        let rest = &key[prefix.len()..];
        match (delimiter, rest.find('/')) {
            ("/", Some(end)) => {
                folders.insert(format!("{prefix}{}", &rest[..=end]));
            }
            _ => objects.push((key, bytes.len())),
        }
    }
    let time = "2026-11-20T03:00:00.000Z";
    match dialect {
        Dialect::Swift => {
            let objects = objects.iter().map(|(key, bytes)| {
                format!(r#"{{"hash":"0","last_modified":"2026-11-20T03:00:00.000000","bytes":{bytes},"name":"{key}","content_type":"a/b"}}"#)
            });
            let folders = folders.iter().map(|it| format!(r#"{{"subdir":"{it}"}}"#));
            // One page: what comes after its last name is nothing.
            match query.get("marker") {
                Some(_) => "[]".to_owned(),
                None => format!("[{}]", objects.chain(folders).collect::<Vec<_>>().join(",")),
            }
        }
        Dialect::Gcs => {
            let objects = objects.iter().map(|(key, bytes)| {
                format!(r#"{{"name":"{key}","size":"{bytes}","updated":"{time}","etag":"0","generation":"1","md5Hash":"","contentType":"a/b"}}"#)
            });
            let folders = folders.iter().map(|it| format!(r#""{it}""#));
            format!(
                r#"{{"kind":"storage#objects","items":[{}],"prefixes":[{}]}}"#,
                objects.collect::<Vec<_>>().join(","),
                folders.collect::<Vec<_>>().join(",")
            )
        }
        Dialect::Oss | Dialect::Cos | Dialect::Obs => {
            let mut xml =
                format!("<ListBucketResult><Name>box</Name><Prefix>{prefix}</Prefix><MaxKeys>1000</MaxKeys>");
            for (key, bytes) in objects {
                let object =
                    format!("<Key>{key}</Key><LastModified>{time}</LastModified><Size>{bytes}</Size>");
                xml.extend(["<Contents>", object.as_str(), "<ETag>\"0\"</ETag></Contents>"]);
            }
            for folder in &folders {
                xml.extend(["<CommonPrefixes><Prefix>", folder.as_str(), "</Prefix></CommonPrefixes>"]);
            }
            xml + "<IsTruncated>false</IsTruncated></ListBucketResult>"
        }
    }
}
