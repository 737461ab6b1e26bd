//! The way to HTTP: a proxy and an authority of the plan's, and what servers say of the time on their way back.

use crate::declared::Transport;
use futures::Stream;
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, HttpTransporter};
use opendal_http_transport_reqwest::ReqwestTransport;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Longest that a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// An upload may be as slow as this, in bytes per second, before it counts as making no progress.
const SLOWEST_UPLOAD: u64 = 64 << 10;
/// Clocks that differ by more than this are why a request was refused: S3 and Azure take up to 15 minutes.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(14);

/// What the answers of a server said besides what was asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(Arc<Mutex<Option<Timestamp>>>);

impl Answers {
    /// The server's clock as of its last answer that had one.
    pub fn clock(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was said before counts no more.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn note(&self, headers: &HeaderMap) -> Option<Timestamp> {
        let date = headers.get(http::header::DATE).and_then(|it| it.to_str().ok());
        let date = date.and_then(|it| jiff::fmt::rfc2822::parse(it).ok())?.timestamp();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(date);
        Some(date)
    }
}

/// When a request was signed, as it says itself.
fn signed_at(headers: &HeaderMap) -> Option<Timestamp> {
    let of = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    if let Some(date) = of("x-amz-date") {
        let date = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
        return date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|it| it.timestamp());
    }
    let date = of("x-ms-date").or_else(|| of("date"))?;
    jiff::fmt::rfc2822::parse(date).ok().map(|it| it.timestamp())
}

struct Listening {
    inner: ReqwestTransport,
    answers: Answers,
    /// Longest that may pass without any progress.
    patience: Duration,
}

impl HttpTransport for Listening {
    async fn fetch(&self, mut request: http::Request<Buffer>) -> opendal::Result<http::Response<HttpBody>> {
        never_replacing(&mut request);
        let sending = Duration::from_secs(request.body().len() as u64 / SLOWEST_UPLOAD);
        let signed_at = signed_at(request.headers());
        let answer = tokio::time::timeout(self.patience + sending, self.inner.fetch(request)).await;
        let answer = answer.map_err(|_| stalled("no answer came in time"))??;
        let clock = self.answers.note(answer.headers());
        // Not every service says so, and none does where an answer has no body.
        if let (400 | 401 | 403, Some(ours), Some(theirs)) = (answer.status().as_u16(), signed_at, clock)
            && ours.duration_since(theirs).abs() > SKEW_MAX
        {
            let text = format!("{CLOCK_WORD}: it is {theirs} there, and {ours} here");
            return Err(Error::new(ErrorKind::PermissionDenied, text));
        }
        let patience = self.patience;
        Ok(answer.map(|body| {
            body.map_inner(|inner| Box::new(Patient { inner, patience, until: Box::pin(sleep(patience)) }))
        }))
    }
}

/// What the library's errors begin with where the clocks differ.
pub(super) const CLOCK_WORD: &str = "RequestTimeTooSkewed";

fn stalled(what: &'static str) -> Error {
    Error::new(ErrorKind::Unexpected, what).set_temporary()
}

/// The body of an answer, which ends in an error where it makes no progress.
struct Patient {
    inner: Box<dyn Stream<Item = opendal::Result<Buffer>> + Send + Sync + Unpin>,
    patience: Duration,
    until: Pin<Box<Sleep>>,
}

impl Stream for Patient {
    type Item = opendal::Result<Buffer>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.inner).poll_next(context) {
            Poll::Ready(next) => {
                let until = Instant::now() + self.patience;
                self.until.as_mut().reset(until);
                Poll::Ready(next)
            }
            Poll::Pending => {
                let over = self.until.as_mut().poll(context);
                over.map(|()| Some(Err(stalled("the answer stopped before its end"))))
            }
        }
    }
}

/// WebDAV's `MOVE` replaces what has the name unless it is told not to, and the library always says that it may (RFC 4918,
/// section 10.6). A server that finds the name taken answers 412.
fn never_replacing(request: &mut http::Request<Buffer>) {
    if request.method().as_str() == "MOVE" {
        request.headers_mut().insert("overwrite", http::HeaderValue::from_static("F"));
    }
}

/// The transport of one destination, and what it hears. Errors are texts for people.
pub(super) fn transport(declared: &Transport) -> Result<(HttpTransporter, Answers), String> {
    // The client is built within the runtime that it will be used in.
    let _entered = super::super::runtime::runtime().enter();
    let patience = Duration::from_secs(declared.timeout().seconds());
    let mut client = reqwest::Client::builder().connect_timeout(CONNECT_LIMIT.min(patience)).no_proxy();
    if let Some(proxy) = &declared.proxy {
        client = client.proxy(reqwest::Proxy::all(proxy).map_err(|error| format!("proxy: {error}"))?);
    }
    if let Some(ca) = &declared.ca {
        let unusable = |error: String| format!("authority {}: {error}", ca.display());
        #[expect(clippy::disallowed_methods, reason = "the client wants the bytes, and no host is at hand")]
        let bytes = std::fs::read(ca).map_err(|error| unusable(error.to_string()))?;
        let certificates =
            reqwest::Certificate::from_pem_bundle(&bytes).map_err(|it| unusable(it.to_string()))?;
        if certificates.is_empty() {
            return Err(unusable("it holds no certificate".to_owned()));
        }
        client = client.tls_certs_only(certificates);
    }
    let client = client.build().map_err(|error| format!("HTTP client: {error}"))?;
    let answers = Answers::default();
    let listening = Listening { inner: ReqwestTransport::new(client), answers: answers.clone(), patience };
    Ok((HttpTransporter::new(listening), answers))
}
