//! TLS of the registrar: its own end, and the ends of joiners, members and administrators.

use std::sync::Arc;

use rustls::client::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ServerConfig;
use rustls::{DigitallySignedStruct, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::authority::{Authority, AuthorityError, Issuance};
use super::key::{CertificateKey, RequestedKey};
use super::network::NetworkRoot;
use super::profile::Profile;
use super::trust::{
    Shown, TrustError, client_config, client_config_of, optional_verifier, provider, roots,
    server_config_of, server_verifier,
};
use crate::domain::{NetworkId, Timestamp};
use crate::env::{Clock, Entropy};

/// The DNS name under which a network's registrar is checked; it need not resolve. No member can
/// have it: members' names end in `.node.<network>`.
#[must_use]
pub fn registrar_name_of(network: &NetworkId) -> String {
    format!("registrar.{network}")
}

/// Whether a certificate, which TLS has accepted, is a registrar's: it bears that one name.
#[must_use]
pub fn is_registrar(der: &[u8], network: &NetworkId) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return false;
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    names.is_some_and(|names| {
        let wanted = registrar_name_of(network);
        let [GeneralName::DNSName(found)] = names.value.general_names.as_slice() else {
            return false;
        };
        *found == wanted
    })
}

/// The registrar's end: shows a certificate of the network, and accepts callers that show one of
/// the network or none.
#[derive(Debug, Clone)]
pub struct RegistrarServer {
    /// For connections that callers open.
    pub config: Arc<ServerConfig>,
    /// For connections to the network's other registrars.
    pub client: Arc<ClientConfig>,
    /// When the certificate in it is to be replaced: at half its life.
    pub renew_at: Timestamp,
}

/// Why the registrar has no certificate to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrarTlsError {
    /// The issuing authority does not sign.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl RegistrarServer {
    /// Certifies a fresh key; key and certificate are nowhere but in memory.
    ///
    /// # Errors
    /// [`RegistrarTlsError`], in particular where the authority has ended.
    pub fn new(
        root: &NetworkRoot,
        authority: &Authority,
        profile: &Profile,
        clock: &Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, RegistrarTlsError> {
        let now = clock.now();
        let issuance = Issuance {
            profile,
            now,
            entropy,
        };
        let key = CertificateKey::generate().map_err(AuthorityError::from)?;
        let request = key.request_pem().map_err(AuthorityError::from)?;
        let requested = RequestedKey::from_pem(&request).map_err(AuthorityError::from)?;
        let name = registrar_name_of(root.network());
        let chain_pem =
            authority.certify_registrar(root.network(), &name, &requested, &issuance)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| TrustError::Chain)?;
        let shown = Shown {
            chain: &chain,
            key: &key,
        };
        let anchors = roots(root.authorities())?;
        let verifier = optional_verifier(&anchors)?;
        Ok(Self {
            config: Arc::new(server_config_of(verifier, shown, clock)?),
            client: Arc::new(client_config(&anchors, shown, clock)?),
            renew_at: now.plus(profile.life() / 2),
        })
    }
}

/// The end of a caller that shows no certificate and trusts the network's roots.
///
/// # Errors
/// [`TrustError`].
pub fn registrar_client(
    root: &NetworkRoot,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<ClientConfig>, TrustError> {
    let verifier = server_verifier(&roots(root.authorities())?)?;
    Ok(Arc::new(client_config_of(verifier, None, clock)?))
}

/// The end of a joiner that does not know the network's root yet: it accepts any certificate. Only
/// the root documents may be asked for over it, and what comes is believed for its fingerprint
/// alone; then the joiner connects anew with [`registrar_client`].
///
/// # Errors
/// [`TrustError`].
pub fn stranger_client(clock: &Arc<dyn Clock>) -> Result<Arc<ClientConfig>, TrustError> {
    let verifier = Arc::new(AnyCertificate(provider().signature_verification_algorithms));
    Ok(Arc::new(client_config_of(verifier, None, clock)?))
}

/// Accepts every certificate whose key the other end holds.
#[derive(Debug)]
struct AnyCertificate(rustls::crypto::WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
