//! TLS between a node and its operators on other machines: both ends, from one operator authority.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ServerConfig;

use super::certificate::sha256;
use super::key::CertificateKey;
use super::operator::{OperatorAuthority, OperatorCertificate, OperatorError};
use super::trust::{Shown, client_config, roots, server_config};
use crate::domain::Timestamp;
use crate::env::{Clock, Entropy};

/// The node's end: admits whoever shows a certificate of the operator authority.
#[derive(Debug, Clone)]
pub struct OperatorServer {
    /// For connections that operators open.
    pub config: Arc<ServerConfig>,
    /// When the certificate in it is to be replaced.
    pub renew_at: Timestamp,
}

impl OperatorServer {
    /// Certifies a fresh key for `address`; key and certificate are nowhere but in memory.
    ///
    /// # Errors
    /// [`OperatorError`], in particular where the authority has ended.
    pub fn new(
        authority: &OperatorAuthority,
        address: IpAddr,
        clock: &Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, OperatorError> {
        let certified = authority.certify_server(address, clock.now(), entropy)?;
        let shown = Shown {
            chain: std::slice::from_ref(&certified.certificate),
            key: &certified.key,
        };
        let roots = roots([authority.certificate()])?;
        Ok(Self {
            config: Arc::new(server_config(&roots, shown, clock)?),
            renew_at: certified.renew_at,
        })
    }
}

/// What an operator's machine holds: its certificate and key, and the node's operator authority.
#[derive(Debug)]
pub struct OperatorCredentials {
    chain: Vec<CertificateDer<'static>>,
    key: CertificateKey,
    leaf: OperatorCertificate,
    authority: CertificateDer<'static>,
}

impl OperatorCredentials {
    /// Reads certificate, key and the authority's certificate, each in PEM, and checks that
    /// certificate and key belong together.
    ///
    /// # Errors
    /// [`OperatorError`], which says which of the three is wrong.
    pub fn new(
        certificate_pem: &str,
        key_pem: &str,
        authority_pem: &str,
    ) -> Result<Self, OperatorError> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| OperatorError::Certificate)?;
        let leaf = OperatorCertificate::parse(&certificate)?;
        let key = CertificateKey::from_pem(key_pem)?;
        if key_of(&certificate) != Some(key.spki_sha256()) {
            return Err(OperatorError::OtherKey);
        }
        let authority = CertificateDer::from_pem_slice(authority_pem.as_bytes())
            .map_err(|_| OperatorError::OtherAuthority)?;
        roots([&authority]).map_err(|_| OperatorError::OtherAuthority)?;
        Ok(Self {
            chain: vec![certificate],
            key,
            leaf,
            authority,
        })
    }

    /// What the certificate says.
    #[must_use]
    pub const fn leaf(&self) -> &OperatorCertificate {
        &self.leaf
    }

    /// For connections to the node.
    ///
    /// # Errors
    /// [`OperatorError::Trust`].
    pub fn client(&self, clock: &Arc<dyn Clock>) -> Result<Arc<ClientConfig>, OperatorError> {
        let shown = Shown {
            chain: &self.chain,
            key: &self.key,
        };
        let roots = roots([&self.authority])?;
        Ok(Arc::new(client_config(&roots, shown, clock)?))
    }
}

fn key_of(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    use x509_parser::prelude::FromDer;
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
    Some(sha256(parsed.public_key().raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::OperatorName;
    use crate::env::SeededEntropy;
    use crate::membership::{RequestedKey, WantedOperator};

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(1_772_000_000_000)
    }

    fn authority() -> OperatorAuthority {
        let entropy = SeededEntropy::from_seed(3);
        OperatorAuthority::found(&"alpha".parse().unwrap(), now(), &entropy).unwrap()
    }

    fn issue(
        authority: &OperatorAuthority,
        key: &CertificateKey,
        days: u32,
    ) -> Result<String, OperatorError> {
        let name: OperatorName = "loans-1".parse().unwrap();
        let requested = RequestedKey::from_pem(&key.request_pem().unwrap()).unwrap();
        let entropy = SeededEntropy::from_seed(4);
        let wanted = WantedOperator {
            name: &name,
            key: &requested,
            life_days: days,
        };
        let issued = authority.issue(&wanted, now(), &entropy)?;
        assert_eq!(issued.authority_pem, authority.certificate_pem());
        Ok(issued.certificate_pem)
    }

    #[test]
    fn a_certificate_names_its_operator_and_ends_when_it_should() {
        let key = CertificateKey::generate().unwrap();
        let leaf = OperatorCertificate::from_pem(&issue(&authority(), &key, 90).unwrap()).unwrap();
        assert_eq!(leaf.name().as_str(), "loans-1");
        assert_eq!(leaf.not_after().since(now()).as_secs(), 90 * 86_400);
        assert_eq!(leaf.serial_text().len(), 32);
    }

    #[test]
    fn a_life_out_of_bounds_is_refused() {
        let key = CertificateKey::generate().unwrap();
        for days in [0, 4_000] {
            assert_eq!(issue(&authority(), &key, days), Err(OperatorError::Life));
        }
    }

    #[test]
    fn credentials_that_do_not_belong_together_are_refused() {
        let (key, other) = (
            CertificateKey::generate().unwrap(),
            CertificateKey::generate().unwrap(),
        );
        let authority = authority();
        let (pem, root) = (
            issue(&authority, &key, 1).unwrap(),
            authority.certificate_pem(),
        );
        assert!(OperatorCredentials::new(&pem, &key.to_pem(), root).is_ok());
        let refused = |certificate: &str, key: &str, root: &str| {
            OperatorCredentials::new(certificate, key, root).unwrap_err()
        };
        let own = key.to_pem();
        assert_eq!(
            refused(&pem, &other.to_pem(), root),
            OperatorError::OtherKey
        );
        assert_eq!(refused(root, &own, root), OperatorError::Certificate);
        assert_eq!(refused(&pem, &own, "no pem"), OperatorError::OtherAuthority);
        assert!(matches!(refused(&pem, &pem, root), OperatorError::Key(_)));
    }

    #[test]
    fn an_authority_opens_with_its_own_key_only() {
        let authority = authority();
        let key = CertificateKey::from_pkcs8(authority.key().pkcs8().expose()).unwrap();
        let pem = authority.certificate_pem().to_owned();
        assert!(OperatorAuthority::open(&pem, key).is_ok());
        let other = CertificateKey::generate().unwrap();
        assert!(OperatorAuthority::open(&pem, other).is_err());
    }
}
