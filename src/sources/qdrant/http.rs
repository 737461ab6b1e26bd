//! HTTP for servers that have no other interface: JSON questions, and bodies that stream.
//!
//! Never here: a key in a URL, a redirect that is followed (it could carry the key elsewhere), a proxy out of the
//! environment, an answer without a bound, or an error that shows a key.

use crate::secrets::Secret;
use serde_json::Value;
use std::io::{self, Read};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, SendBody, http};

/// Longest that a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Longest that a question may take.
const QUESTION_LIMIT: Duration = Duration::from_secs(30);
/// Longest that a stream may stand still.
const STILL_LIMIT: Duration = Duration::from_mins(2);
/// Longest that a server may work on one request.
const WORK_LIMIT: Duration = Duration::from_hours(24);
/// Most bytes of an answer that is no stream.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Most characters of a server's own words in an error.
const WORDS_MAX: usize = 300;

/// Why an answer did not come, or was not one.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// Nothing could be asked.
    #[error("{method} {path}: {reason}")]
    Unreachable {
        /// The method.
        method: &'static str,
        /// The path, without server and question.
        path: String,
        /// What the system or the protocol said.
        reason: String,
        /// Whether nobody listens there.
        refused: bool,
    },
    /// The server said no.
    #[error("{method} {path}: HTTP {status}: {words}")]
    Refused {
        /// The method.
        method: &'static str,
        /// The path.
        path: String,
        /// The status.
        status: u16,
        /// Its own words, shortened; the key has been taken out.
        words: String,
    },
    /// It answered, and not with what was asked for.
    #[error("{method} {path}: {reason}")]
    Malformed {
        /// The method.
        method: &'static str,
        /// The path.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl HttpError {
    /// The HTTP status of a refusal.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Unreachable { .. } | Self::Malformed { .. } => None,
        }
    }

    /// Whether the server lacks trust in who asks.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }
}

/// How a server's certificate is judged.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// By the system's authorities.
    System,
    /// By these authorities alone, in PEM.
    Authorities(Vec<u8>),
    /// Not at all: for questions that carry no key and whose answers are believed by nobody.
    Nobody,
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// A question.
    Question,
    /// Work that the server does before it answers.
    Work,
}

/// One server.
#[derive(Clone)]
pub(super) struct HttpServer {
    base: String,
    key: Option<(&'static str, Secret)>,
    quick: Agent,
    patient: Agent,
}

impl std::fmt::Debug for HttpServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HttpServer").field("base", &self.base).finish_non_exhaustive()
    }
}

/// What is sent.
pub(super) enum Sent<'a> {
    /// Nothing.
    Nothing,
    /// JSON.
    Json(&'a Value),
    /// A stream of a known length.
    Stream {
        /// Its media type.
        kind: String,
        /// Its length in bytes.
        bytes: u64,
        /// The bytes.
        body: &'a mut dyn Read,
    },
}

impl HttpServer {
    /// A server by its URL, with the header and the secret that it knows us by.
    pub(super) fn new(
        base: &str,
        key: Option<(&'static str, Secret)>,
        trust: &Trust,
    ) -> Result<Self, String> {
        let tls = tls(trust)?;
        let agent = |patience: Patience| {
            let mut config = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .proxy(None)
                .user_agent(concat!("bkp/", env!("CARGO_PKG_VERSION")))
                .tls_config(tls.clone())
                .timeout_connect(Some(CONNECT_LIMIT));
            config = match patience {
                Patience::Question => config.timeout_global(Some(QUESTION_LIMIT)),
                Patience::Work => config
                    .timeout_recv_response(Some(WORK_LIMIT))
                    .timeout_per_write(Some(STILL_LIMIT))
                    .timeout_global(Some(WORK_LIMIT)),
            };
            Agent::new_with_config(config.build())
        };
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { base, key, quick: agent(Patience::Question), patient: agent(Patience::Work) })
    }

    /// Its URL.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Asks, and gives the JSON of a good answer.
    pub(super) fn json(
        &self,
        method: http::Method,
        path: &str,
        sent: Sent<'_>,
        patience: Patience,
    ) -> Result<Value, HttpError> {
        let word = word(&method);
        let answer = self.ask(method, path, sent, patience)?;
        let text = self.text(answer, word, path)?;
        serde_json::from_str(&text).map_err(|error| HttpError::Malformed {
            method: word,
            path: bare(path),
            reason: format!("its answer is no JSON: {error}"),
        })
    }

    /// Asks for a body that streams; gives its announced length too. A stream that stands still is an error.
    pub(super) fn stream(&self, path: &str) -> Result<(impl Read + Send + use<>, Option<u64>), HttpError> {
        let config = self.patient.get(self.url(path)).config().timeout_per_read(Some(STILL_LIMIT)).build();
        let answer = self.keyed(config).call();
        let answer = answer.map_err(|error| self.unreachable("GET", path, &error))?;
        let answer = self.judged(answer, "GET", path)?;
        let body = answer.into_body();
        let bytes = body.content_length();
        Ok((body.into_with_config().limit(u64::MAX).reader(), bytes))
    }

    /// Asks, and gives any good answer.
    fn ask(
        &self,
        method: http::Method,
        path: &str,
        sent: Sent<'_>,
        patience: Patience,
    ) -> Result<http::Response<Body>, HttpError> {
        let word = word(&method);
        let agent = match patience {
            Patience::Question => &self.quick,
            Patience::Work => &self.patient,
        };
        let mut request = http::Request::builder().method(method).uri(self.url(path));
        if let Some((name, secret)) = &self.key {
            request = request.header(*name, secret.line());
        }
        let built = |error: http::Error| self.malformed(word, path, &format!("it cannot be asked: {error}"));
        let outcome = match sent {
            // Without a length the client would announce chunks, which a server that expects nothing may never read.
            Sent::Nothing if matches!(word, "POST" | "PUT") => agent.run(request.body("").map_err(built)?),
            Sent::Nothing => agent.run(request.body(()).map_err(built)?),
            Sent::Json(value) => {
                let request = request.header("content-type", "application/json");
                agent.run(request.body(value.to_string()).map_err(built)?)
            }
            Sent::Stream { kind, bytes, body } => {
                let request = request.header("content-type", kind).header("content-length", bytes);
                agent.run(request.body(SendBody::from_reader(body)).map_err(built)?)
            }
        };
        let answer = outcome.map_err(|error| self.unreachable(word, path, &error))?;
        self.judged(answer, word, path)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn keyed<T>(&self, request: ureq::RequestBuilder<T>) -> ureq::RequestBuilder<T> {
        match &self.key {
            Some((name, secret)) => request.header(*name, secret.line()),
            None => request,
        }
    }

    fn judged(
        &self,
        answer: http::Response<Body>,
        method: &'static str,
        path: &str,
    ) -> Result<http::Response<Body>, HttpError> {
        let status = answer.status();
        // 202 says that the work was taken on, not that it was done.
        if status.is_success() && status != http::StatusCode::ACCEPTED {
            return Ok(answer);
        }
        let words = self.text(answer, method, path).unwrap_or_else(|error| error.to_string());
        Err(HttpError::Refused { method, path: bare(path), status: status.as_u16(), words: said(&words) })
    }

    fn text(
        &self,
        answer: http::Response<Body>,
        method: &'static str,
        path: &str,
    ) -> Result<String, HttpError> {
        let mut body = answer.into_body();
        let text = body.with_config().limit(ANSWER_BYTES_MAX).lossy_utf8(true).read_to_string();
        text.map(|text| self.redacted(&text)).map_err(|error| self.unreachable(method, path, &error))
    }

    fn redacted(&self, text: &str) -> String {
        self.key.as_ref().map_or_else(|| text.to_owned(), |(_, secret)| secret.redact(text))
    }

    fn unreachable(&self, method: &'static str, path: &str, error: &ureq::Error) -> HttpError {
        let refused = matches!(error, ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
            || matches!(error, ureq::Error::ConnectionFailed);
        HttpError::Unreachable {
            method,
            path: bare(path),
            reason: self.redacted(&error.to_string()),
            refused,
        }
    }

    /// An answer that is not what was asked for.
    pub(super) fn malformed(&self, method: &'static str, path: &str, reason: &str) -> HttpError {
        HttpError::Malformed { method, path: bare(path), reason: self.redacted(reason) }
    }
}

/// The TLS settings of a kind of trust.
fn tls(trust: &Trust) -> Result<TlsConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    Ok(match trust {
        Trust::System => builder.root_certs(RootCerts::PlatformVerifier),
        Trust::Nobody => builder.disable_verification(true),
        Trust::Authorities(pem) => {
            let mut authorities = Vec::new();
            for item in parse_pem(pem) {
                if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
                    authorities.push(certificate);
                }
            }
            if authorities.is_empty() {
                return Err("it holds no certificate in PEM".into());
            }
            builder.root_certs(RootCerts::Specific(Arc::new(authorities)))
        }
    }
    .build())
}

fn word(method: &http::Method) -> &'static str {
    match method.as_str() {
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "GET",
    }
}

/// The path without its question.
fn bare(path: &str) -> String {
    path.split('?').next().unwrap_or(path).to_owned()
}

/// A server's words on one line, shortened. JSON errors of the form `{"status":{"error":TEXT}}` give their text.
fn said(words: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(words).ok();
    let inner = parsed.as_ref().and_then(|it| it.pointer("/status/error")).and_then(Value::as_str);
    let line = inner.unwrap_or(words).split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(WORDS_MAX).collect()
}

/// Percent-encodes one segment of a path or one value of a question (RFC 3986, section 2.3).
pub(super) fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    // A segment of dots alone would be taken for a step up.
    match text {
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        _ => text.bytes().map(byte).collect(),
    }
}

/// The host and the port of an `http://` or `https://` URL, the scheme's own port where none is written.
pub(super) fn authority(url: &str) -> Option<(String, u16)> {
    let uri: http::Uri = url.parse().ok()?;
    let port = uri.port_u16().or_else(|| match uri.scheme_str() {
        Some("https") => Some(443),
        Some(_) | None => Some(80),
    })?;
    let host = uri.host()?.trim_matches(['[', ']']).to_owned();
    Some((host, port))
}

/// The addresses that a URL leads to now.
pub(super) fn resolved(url: &str) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = authority(url)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no URL of a server"))?;
    (host.as_str(), port).to_socket_addrs().map(Iterator::collect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::SecretRef;
    use crate::host::FakeHost;

    fn kept(secret: &str) -> Secret {
        let host = FakeHost::at(jiff::Timestamp::UNIX_EPOCH).answer("show key", 0, secret);
        let reference = SecretRef::Command(vec!["show".into(), "key".into()]);
        crate::secrets::resolve(&host, "api_key", &reference).expect("a secret")
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        assert_eq!(encoded("a/b?c#d e%\u{e9}"), "a%2Fb%3Fc%23d%20e%25%C3%A9");
        assert_eq!(encoded(".."), "%2E%2E");
        assert_eq!(bare("/collections/a/snapshots/upload?checksum=x"), "/collections/a/snapshots/upload");
    }

    #[test]
    fn port_is_the_schemes_where_none_is_written() {
        assert_eq!(authority("http://127.0.0.1:6333"), Some(("127.0.0.1".into(), 6333)));
        assert_eq!(authority("https://q.internal"), Some(("q.internal".into(), 443)));
        assert_eq!(authority("http://[::1]:6333/"), Some(("::1".into(), 6333)));
    }

    #[test]
    fn server_that_repeats_a_key_does_not_get_it_into_an_error() {
        let secret = ["k3y", "-of-", "qdrant"].concat();
        let server = HttpServer::new("http://127.0.0.1:1", Some(("api-key", kept(&secret))), &Trust::System)
            .expect("a server");
        assert_eq!(server.redacted(&format!("no such key: {secret}")), "no such key: [redacted]");
        assert!(!format!("{server:?}").contains(&secret));
        let error = server.json(http::Method::GET, "/collections", Sent::Nothing, Patience::Question);
        let error = error.expect_err("nobody listens on port 1");
        assert!(matches!(error, HttpError::Unreachable { refused: true, .. }), "{error}");
    }

    #[test]
    fn file_without_a_certificate_is_no_authority() {
        let trust = Trust::Authorities(b"nothing\n".to_vec());
        assert!(HttpServer::new("https://q", None, &trust).is_err());
    }
}
