//! Whose certificates are believed.

use crate::host::Host;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::path::Path;
use std::sync::Arc;

/// Settings that believe the declared authority alone, or the system's. Servers ask that a data connection resumes the
/// session of its control connection, which those that share these settings do. Errors are texts for people.
pub(super) fn config(host: &dyn Host, ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?;
    let Some(ca) = ca else {
        let builder = builder.with_platform_verifier();
        let builder = builder.map_err(|error| format!("the system's authorities: {error}"))?;
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let unusable = |error: String| format!("authority {}: {error}", ca.display());
    let bytes = host.read(ca).map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
