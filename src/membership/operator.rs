//! The member's own authority over whoever calls its node's operator service from other machines.
//!
//! It has nothing to do with the network: its certificate is its own root, each node has another
//! one, and it signs two things only: clients for the member's systems and staff, and the node's
//! own end.

use std::net::IpAddr;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::authority::{AuthorityError, Issuance, Signer, ia5, make_authority, not_built, params};
use super::certificate::moment;
use super::key::{CertificateKey, KeyError, RequestedKey};
use super::profile::Profile;
use super::text::hex_short;
use super::trust::TrustError;
use crate::domain::{MemberId, OperatorName, Timestamp};
use crate::env::Entropy;
use crate::limits::{CERTIFICATE_BYTES_MAX, OPERATOR_CERTIFICATE_DAYS_MAX};

/// The DNS name under which clients check the certificate of a node's operator service, wherever it
/// runs; it need not resolve. Which node it is, its authority tells.
pub const OPERATOR_SERVER_NAME: &str = "operator.creditmesh.internal";

/// How long the authority itself lives.
const AUTHORITY_DAYS: u32 = 3_650;

/// How long the node's own end lives; it is renewed in memory at half of that.
const SERVER_DAYS: u32 = 30;

/// For machines whose clocks run late.
const BACKDATE_MINUTES: u32 = 10;

/// Why there are no credentials for an operator, or why they are no good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// The authority does not sign.
    #[error("operator authority: {0}")]
    Authority(#[from] AuthorityError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// TLS could not be set up.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Not the certificate of an operator.
    #[error("this is no operator's certificate; give what `creditmesh cert operator` wrote")]
    Certificate,
    /// Not the certificate of an operator authority.
    #[error("this is no operator authority's certificate; give the authority.crt of the node")]
    OtherAuthority,
    /// The key is another one than the certificate's.
    #[error("certificate and key do not belong together; give both as they were written")]
    OtherKey,
    /// The life asked for is out of bounds.
    #[error("an operator's certificate lives 1 to {OPERATOR_CERTIFICATE_DAYS_MAX} days")]
    Life,
}

/// A node's operator authority, with its key.
#[derive(Debug)]
pub struct OperatorAuthority {
    signer: Signer,
    key: Arc<CertificateKey>,
    member: MemberId,
}

/// Whom an operator's certificate shall name, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct WantedOperator<'a> {
    /// The operator.
    pub name: &'a OperatorName,
    /// The operator's key.
    pub key: &'a RequestedKey,
    /// Days until the certificate ends.
    pub life_days: u32,
}

/// What goes back to an operator; nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedOperator {
    /// The operator's certificate, in PEM.
    pub certificate_pem: String,
    /// The certificate of the operator authority, against which the node is checked, in PEM.
    pub authority_pem: String,
}

/// The node's own end of operators' connections, as certified.
#[derive(Debug)]
pub(super) struct CertifiedServer {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: CertificateKey,
    pub(super) renew_at: Timestamp,
}

/// One end of operators' connections, to be certified for nothing but that.
struct End<'a> {
    name: &'a str,
    names: Vec<SanType>,
    purpose: ExtendedKeyUsagePurpose,
}

fn lasting(life_days: u32) -> Profile {
    Profile {
        life_days,
        backdate_minutes: BACKDATE_MINUTES,
    }
}

impl OperatorAuthority {
    /// Makes the authority of one node, with a fresh key.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn found(
        member: &MemberId,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, OperatorError> {
        let key = CertificateKey::generate()?;
        let profile = lasting(AUTHORITY_DAYS);
        let issuance = Issuance {
            profile: &profile,
            now,
            entropy,
        };
        // Chains are matched by name first, so no two authorities may have one.
        let name = format!("operator authority {}", hex_short(&key.spki_sha256()));
        let mut params = params(&name, member.as_str(), &issuance, None)?;
        make_authority(&mut params, 0);
        let certificate = params
            .self_signed(key.pair())
            .map_err(|error| not_built(&error))?;
        Self::open(&certificate.pem(), key)
    }

    /// Opens an authority from its certificate (PEM) and key.
    ///
    /// # Errors
    /// [`OperatorError::Authority`] where they do not belong together.
    pub fn open(certificate_pem: &str, key: CertificateKey) -> Result<Self, OperatorError> {
        let key = Arc::new(key);
        let shared = Arc::clone(&key).into();
        let signer = Signer::open(certificate_pem, shared, 0, "operators' certificates")?;
        let member = member_of(&signer.certificate).ok_or(OperatorError::OtherAuthority)?;
        Ok(Self {
            signer,
            key,
            member,
        })
    }

    /// Its certificate, in PEM: what clients check the node against.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.signer.pem
    }

    /// Its key, to be kept sealed.
    #[must_use]
    pub fn key(&self) -> &CertificateKey {
        &self.key
    }

    /// Certifies the key of an operator. The certificate never outlives the authority.
    ///
    /// # Errors
    /// [`OperatorError::Life`] or [`OperatorError::Authority`].
    pub fn issue(
        &self,
        wanted: &WantedOperator<'_>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<IssuedOperator, OperatorError> {
        let WantedOperator {
            name,
            key,
            life_days,
        } = *wanted;
        if !(1..=OPERATOR_CERTIFICATE_DAYS_MAX).contains(&life_days) {
            return Err(OperatorError::Life);
        }
        let end = End {
            name: name.as_str(),
            names: Vec::new(),
            purpose: ExtendedKeyUsagePurpose::ClientAuth,
        };
        let profile = lasting(life_days);
        let issuance = Issuance {
            profile: &profile,
            now,
            entropy,
        };
        let certificate = self.certify(end, key, &issuance)?;
        Ok(IssuedOperator {
            certificate_pem: certificate.pem(),
            authority_pem: self.signer.pem.clone(),
        })
    }

    /// Certifies a fresh key for the node's own end at `address`.
    pub(super) fn certify_server(
        &self,
        address: IpAddr,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<CertifiedServer, OperatorError> {
        let key = CertificateKey::generate()?;
        let requested = RequestedKey::from_pem(&key.request_pem()?)?;
        let mut names = vec![SanType::DnsName(ia5(OPERATOR_SERVER_NAME)?)];
        if !address.is_unspecified() {
            names.push(SanType::IpAddress(address));
        }
        if address.is_loopback() {
            names.push(SanType::DnsName(ia5("localhost")?));
        }
        let end = End {
            name: &format!("node of {}", self.member),
            names,
            purpose: ExtendedKeyUsagePurpose::ServerAuth,
        };
        let profile = lasting(SERVER_DAYS);
        let issuance = Issuance {
            profile: &profile,
            now,
            entropy,
        };
        let certificate = self.certify(end, &requested, &issuance)?;
        Ok(CertifiedServer {
            certificate: certificate.into(),
            key,
            renew_at: now.plus(profile.life() / 2),
        })
    }

    fn certify(
        &self,
        end: End<'_>,
        key: &RequestedKey,
        issuance: &Issuance<'_>,
    ) -> Result<rcgen::Certificate, OperatorError> {
        let End {
            name,
            names,
            purpose,
        } = end;
        let ends_by = Some(self.signer.not_after);
        let mut params = params(name, self.member.as_str(), issuance, ends_by)?;
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        Ok(self.signer.sign(&params, key)?)
    }

    pub(super) const fn certificate(&self) -> &CertificateDer<'static> {
        &self.signer.certificate
    }
}

/// The member that an authority's certificate names as its organisation.
fn member_of(certificate: &CertificateDer<'_>) -> Option<MemberId> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let organisation = parsed.subject().iter_organization().next()?;
    organisation.as_str().ok()?.parse().ok()
}

/// What the certificate of an operator says. Whether it is *true* is for TLS to decide (chain,
/// possession), and whether it still counts for the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorCertificate {
    name: OperatorName,
    serial: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl OperatorCertificate {
    /// Parses a certificate in PEM.
    ///
    /// # Errors
    /// [`OperatorError::Certificate`].
    pub fn from_pem(pem: &str) -> Result<Self, OperatorError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| OperatorError::Certificate)?;
        Self::parse(&der)
    }

    /// Parses a certificate in DER.
    ///
    /// # Errors
    /// [`OperatorError::Certificate`].
    pub fn parse(der: &[u8]) -> Result<Self, OperatorError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(OperatorError::Certificate);
        }
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| OperatorError::Certificate)?;
        let mut names = certificate.subject().iter_common_name();
        let (Some(name), None, []) = (names.next(), names.next(), rest) else {
            return Err(OperatorError::Certificate);
        };
        let name = name.as_str().ok().and_then(|name| name.parse().ok());
        let validity = certificate.validity();
        Ok(Self {
            name: name.ok_or(OperatorError::Certificate)?,
            serial: certificate.raw_serial().to_vec(),
            not_before: moment(validity.not_before.timestamp()),
            not_after: moment(validity.not_after.timestamp()),
        })
    }

    /// Whom it names.
    #[must_use]
    pub const fn name(&self) -> &OperatorName {
        &self.name
    }

    /// Its serial number in hexadecimal.
    #[must_use]
    pub fn serial_text(&self) -> String {
        HEXLOWER.encode(&self.serial)
    }

    /// Its first moment.
    #[must_use]
    pub const fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Its last moment.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }
}
