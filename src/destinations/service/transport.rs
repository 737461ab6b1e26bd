//! The way to HTTP: a proxy and an authority of the plan's, and what servers say of the time on their way back.

use crate::declared::Transport;
use jiff::Timestamp;
use opendal::{Buffer, HttpBody, HttpTransport, HttpTransporter};
use opendal_http_transport_reqwest::ReqwestTransport;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest that a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// What the answers of a server said besides what was asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(Arc<Mutex<Option<Timestamp>>>);

impl Answers {
    /// The server's clock as of its last answer that had one.
    pub fn clock(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, headers: &http::HeaderMap) {
        let date = headers.get(http::header::DATE).and_then(|it| it.to_str().ok());
        let date = date.and_then(|it| jiff::fmt::rfc2822::parse(it).ok());
        if let Some(date) = date {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(date.timestamp());
        }
    }
}

struct Listening {
    inner: ReqwestTransport,
    answers: Answers,
}

impl HttpTransport for Listening {
    async fn fetch(&self, mut request: http::Request<Buffer>) -> opendal::Result<http::Response<HttpBody>> {
        never_replacing(&mut request);
        let answer = self.inner.fetch(request).await?;
        self.answers.note(answer.headers());
        Ok(answer)
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
    let mut client = reqwest::Client::builder().connect_timeout(CONNECT_LIMIT).no_proxy();
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
    let listening = Listening { inner: ReqwestTransport::new(client), answers: answers.clone() };
    Ok((HttpTransporter::new(listening), answers))
}
