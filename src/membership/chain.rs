//! A certificate chain as its holder shows it: what its parts say, and whether it leads to the
//! network's roots.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::certificate::PeerCertificate;
use super::network::NetworkRoot;
use super::trust::{TrustError, roots};
use crate::domain::Timestamp;
use crate::limits::CERTIFICATE_CHAIN_MAX;

/// One certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainPart {
    /// Whom it is for.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its end.
    pub not_after: Timestamp,
}

fn parts_der(chain_pem: &str) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .take(CERTIFICATE_CHAIN_MAX + 1)
        .collect::<Result<_, _>>()
        .map_err(|_| TrustError::Chain)?;
    if chain.is_empty() || chain.len() > CERTIFICATE_CHAIN_MAX {
        return Err(TrustError::Chain);
    }
    Ok(chain)
}

/// The certificates of a chain in PEM, the holder's own first.
///
/// # Errors
/// [`TrustError::Chain`].
pub fn chain_parts(chain_pem: &str) -> Result<Vec<ChainPart>, TrustError> {
    let part = |der: &CertificateDer<'_>| {
        let (_, found) = X509Certificate::from_der(der).map_err(|_| TrustError::Chain)?;
        let not_after = found.validity().not_after.timestamp();
        Ok(ChainPart {
            subject: found.subject().to_string(),
            issuer: found.issuer().to_string(),
            not_after: Timestamp::from_unix_ms(not_after.saturating_mul(1_000)),
        })
    };
    parts_der(chain_pem)?.iter().map(part).collect()
}

/// Checks a chain as a peer will: up to the network's roots, at `now`. That its holder has the key
/// is not looked at.
///
/// # Errors
/// [`TrustError`].
pub fn check_chain(chain_pem: &str, root: &NetworkRoot, now: Timestamp) -> Result<(), TrustError> {
    let chain = parts_der(chain_pem)?;
    let (first, rest) = chain.split_first().ok_or(TrustError::Chain)?;
    let leaf = PeerCertificate::parse(first)?;
    if leaf.not_after() <= now {
        return Err(TrustError::Expired {
            since: leaf.not_after(),
        });
    }
    if leaf.not_before() > now {
        return Err(TrustError::NotYetValid {
            from: leaf.not_before(),
            now,
        });
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(root.authorities())?, provider)
            .clear_root_hint_subjects()
            .build()
            .map_err(|error| TrustError::Tls {
                reason: error.to_string(),
            })?;
    let at = UnixTime::since_unix_epoch(now.since(Timestamp::from_unix_ms(0)));
    let checked = verifier.verify_client_cert(first, rest, at);
    checked.map(|_| ()).map_err(|error| TrustError::OtherRoot {
        reason: error.to_string(),
    })
}
