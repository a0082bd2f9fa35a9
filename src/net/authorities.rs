//! Root certificates of servers that are no members: a webhook's receiver, a database.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Reads root certificates from a PEM text; without one, those of the system.
///
/// # Errors
/// What is wrong with the text, or that there are none.
pub(super) fn authorities(pem: Option<&str>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let why = match pem {
        Some(pem) => {
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            roots.add_parsable_certificates(read.map_err(|error| error.to_string())?);
            "the file has none".to_owned()
        }
        None => {
            let held = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(held.certs);
            let errors = held.errors.first().map(ToString::to_string);
            errors.unwrap_or_else(|| "the system has none".to_owned())
        }
    };
    if roots.is_empty() {
        return Err(why);
    }
    Ok(roots)
}

/// TLS to a database whose certificate rests on these root certificates (PEM); without them, on
/// those of the system. The server's name is checked.
///
/// # Errors
/// What is wrong with the root certificates.
pub fn database_tls(pem: Option<&str>) -> Result<MakeRustlsConnect, String> {
    let roots = authorities(pem)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
