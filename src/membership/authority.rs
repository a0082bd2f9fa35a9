//! The authorities that sign certificates: an offline root, and issuing authorities under it.

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::authority_key::{Attempt, AuthorityKey};
use super::certificate::{STATEMENT_DER_HEAD, STATEMENT_OID, dns_name_of, sha256, uri_of};
use super::key::{CertificateKey, KeyError, RequestedKey};
use super::profile::Profile;
use super::statement::CertificateStatement;
use super::text::hex_short;
use crate::domain::{MemberId, NetworkId, Role, Timestamp};
use crate::env::Entropy;

/// Why an authority cannot be opened, or does not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate cannot be read.
    #[error("the authority's certificate is not a certificate in PEM; give the right file")]
    Unreadable,
    /// The certificate does not belong to the key.
    #[error(
        "the authority's certificate and key do not belong together; give both of one ceremony"
    )]
    OtherKey,
    /// The certificate was signed by another root.
    #[error("the issuing authority's certificate is not signed by this root; give the right one")]
    OtherRoot,
    /// A member's certificate was given in place of an authority's, or the wrong kind of authority.
    #[error("this certificate may not sign {wanted}; give the certificate of the right authority")]
    WrongKind {
        /// What was to be signed.
        wanted: &'static str,
    },
    /// The authority's own certificate, or the applicant's statement of its key, is past its end.
    #[error(
        "the authority's certificate or the applicant's key statement expired at {since}; sign a \
         new certificate with the root, or ask for a new request"
    )]
    Expired {
        /// Its end.
        since: Timestamp,
    },
    /// The request's key is not stated by the applicant's identity key.
    #[error("the request's key is not stated by the identity key of {member}; refuse the request")]
    KeyNotStated {
        /// The applicant.
        member: MemberId,
    },
    /// No random bytes for a serial number.
    #[error("no serial number: the system gave no random bytes; check its random device")]
    NoEntropy,
    /// The certificate could not be built.
    #[error("the certificate could not be built: {reason}")]
    NotBuilt {
        /// What the library said.
        reason: String,
    },
}

/// When and with which life a certificate is signed.
#[derive(Debug, Clone, Copy)]
pub struct Issuance<'a> {
    /// How long it lives.
    pub profile: &'a Profile,
    /// The present moment.
    pub now: Timestamp,
    /// Source of the serial number.
    pub entropy: &'a dyn Entropy,
}

/// Whom a member's certificate names; taken from the invitation and the list, never from the
/// request.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The network.
    pub network: &'a NetworkId,
    /// The member's role.
    pub role: Role,
    /// The member.
    pub member: &'a MemberId,
    /// Its pinned identity key.
    pub identity_key: &'a [u8; 32],
}

/// A certificate that signs, with its key.
#[derive(Debug)]
pub(super) struct Signer {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) pem: String,
    pub(super) key: AuthorityKey,
    pub(super) not_after: Timestamp,
}

impl Signer {
    /// `path_length` is how many authorities may stand below this one.
    pub(super) fn open(
        pem: &str,
        key: AuthorityKey,
        path_length: u32,
        wanted: &'static str,
    ) -> Result<Self, AuthorityError> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| AuthorityError::Unreadable)?;
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|_| AuthorityError::Unreadable)?;
        if sha256(parsed.public_key().raw) != key.spki_sha256() {
            return Err(AuthorityError::OtherKey);
        }
        let is_of_kind = parsed
            .basic_constraints()
            .ok()
            .flatten()
            .is_some_and(|found| {
                found.value.ca && found.value.path_len_constraint == Some(path_length)
            });
        if !is_of_kind {
            return Err(AuthorityError::WrongKind { wanted });
        }
        let end_s = parsed.validity().not_after.timestamp();
        let not_after = Timestamp::from_unix_ms(end_s.saturating_mul(1_000));
        Ok(Self {
            certificate,
            pem: pem.to_owned(),
            key,
            not_after,
        })
    }

    pub(super) fn sign(
        &self,
        params: &CertificateParams,
        key: &RequestedKey,
    ) -> Result<Certificate, AuthorityError> {
        let attempt = Attempt::by(&self.key);
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &attempt);
        let issuer = issuer.map_err(|error| not_built(&error))?;
        params
            .signed_by(key.public_key(), &issuer)
            .map_err(|error| attempt.refused(&error))
    }
}

/// The network's root authority. Its key stays on an offline machine; it signs issuing authorities
/// only.
#[derive(Debug)]
pub struct RootAuthority(Signer);

impl RootAuthority {
    /// Makes a new root with a fresh key in memory.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn found(network: &NetworkId, issuance: &Issuance<'_>) -> Result<Self, AuthorityError> {
        Self::found_with(network, &CertificateKey::generate()?.into(), issuance)
    }

    /// Makes a new root with this key.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn found_with(
        network: &NetworkId,
        key: &AuthorityKey,
        issuance: &Issuance<'_>,
    ) -> Result<Self, AuthorityError> {
        // Chains are matched by name first, so no two authorities may have one.
        let name = format!("root {}", hex_short(&key.spki_sha256()));
        let mut params = params(&name, network.as_str(), issuance, None)?;
        make_authority(&mut params, 1);
        let attempt = Attempt::by(key);
        let certificate = params
            .self_signed(&attempt)
            .map_err(|error| attempt.refused(&error))?;
        Self::open(&certificate.pem(), key.clone())
    }

    /// Opens a root from its certificate (PEM) and key.
    ///
    /// # Errors
    /// [`AuthorityError::Unreadable`], [`AuthorityError::OtherKey`] or
    /// [`AuthorityError::WrongKind`].
    pub fn open(
        certificate_pem: &str,
        key: impl Into<AuthorityKey>,
    ) -> Result<Self, AuthorityError> {
        Signer::open(certificate_pem, key.into(), 1, "issuing authorities").map(Self)
    }

    /// Certifies the key of an issuing authority; gives its certificate in PEM.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn sign_issuing(
        &self,
        network: &NetworkId,
        key: &RequestedKey,
        issuance: &Issuance<'_>,
    ) -> Result<String, AuthorityError> {
        let name = format!("issuing {}", hex_short(key.spki_sha256()));
        let mut params = params(&name, network.as_str(), issuance, Some(self.0.not_after))?;
        make_authority(&mut params, 0);
        params.use_authority_key_identifier_extension = true;
        self.0
            .sign(&params, key)
            .map(|certificate| certificate.pem())
    }

    /// The root's certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.0.pem
    }

    /// The root's key, to be kept encrypted.
    #[must_use]
    pub const fn key(&self) -> &AuthorityKey {
        &self.0.key
    }
}

/// An issuing authority. It works online and signs members' certificates only; what it signs is
/// worth nothing without the member's own statement.
#[derive(Debug)]
pub struct Authority {
    signer: Signer,
    /// Certificates of the same key by other roots, in PEM.
    also: String,
}

impl Authority {
    /// Opens an issuing authority from its certificate (PEM) and key.
    ///
    /// # Errors
    /// [`AuthorityError::Unreadable`], [`AuthorityError::OtherKey`] or
    /// [`AuthorityError::WrongKind`].
    pub fn open(
        certificate_pem: &str,
        key: impl Into<AuthorityKey>,
    ) -> Result<Self, AuthorityError> {
        Signer::open(certificate_pem, key.into(), 0, "members' certificates").map(|signer| Self {
            signer,
            also: String::new(),
        })
    }

    /// The same authority, whose key another root has certified too: its chains carry both
    /// certificates, this one last.
    ///
    /// # Errors
    /// [`AuthorityError`] where `certificate_pem` is not an issuing authority's for the same key.
    pub fn certified_also(mut self, certificate_pem: &str) -> Result<Self, AuthorityError> {
        let key = self.signer.key.clone();
        Signer::open(certificate_pem, key, 0, "members' certificates")?;
        certificate_pem.clone_into(&mut self.also);
        Ok(self)
    }

    fn chain_of(&self, certificate: &Certificate) -> String {
        [certificate.pem().as_str(), &self.signer.pem, &self.also].concat()
    }

    /// Signs a member's certificate; gives the chain in PEM: the certificate, then this
    /// authority's.
    ///
    /// # Errors
    /// [`AuthorityError`]; in particular [`AuthorityError::KeyNotStated`] where the statement is
    /// not by the subject's identity key over the request's key.
    pub fn issue(
        &self,
        subject: &Subject<'_>,
        key: &RequestedKey,
        statement: &CertificateStatement,
        issuance: &Issuance<'_>,
    ) -> Result<String, AuthorityError> {
        let Subject {
            network,
            role,
            member,
            identity_key,
        } = *subject;
        if !statement.is_by(identity_key, network, member, key.spki_sha256()) {
            return Err(AuthorityError::KeyNotStated {
                member: member.clone(),
            });
        }
        let ends_by = self.signer.not_after.min(statement.until());
        let mut params = params(member.as_str(), network.as_str(), issuance, Some(ends_by))?;
        params.subject_alt_names = vec![
            SanType::URI(ia5(&uri_of(network, role, member))?),
            SanType::DnsName(ia5(&dns_name_of(network, member))?),
        ];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let content = [&STATEMENT_DER_HEAD[..], &statement.to_bytes()].concat();
        params.custom_extensions = vec![CustomExtension::from_oid_content(&STATEMENT_OID, content)];
        let certificate = self.signer.sign(&params, key)?;
        Ok(self.chain_of(&certificate))
    }

    pub(super) const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Signs a registrar's own certificate, for both ends of a connection: registrars follow each
    /// other. Gives the chain in PEM. It names no member, so no member's gate admits its holder.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(super) fn certify_registrar(
        &self,
        network: &NetworkId,
        dns_name: &str,
        key: &RequestedKey,
        issuance: &Issuance<'_>,
    ) -> Result<String, AuthorityError> {
        let ends_by = Some(self.signer.not_after);
        let mut params = params("registrar", network.as_str(), issuance, ends_by)?;
        params.subject_alt_names = vec![SanType::DnsName(ia5(dns_name)?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let certificate = self.signer.sign(&params, key)?;
        Ok(self.chain_of(&certificate))
    }

    /// The authority's certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.signer.pem
    }

    /// The authority's key, to be kept encrypted.
    #[must_use]
    pub const fn key(&self) -> &AuthorityKey {
        &self.signer.key
    }
}

pub(super) fn make_authority(params: &mut CertificateParams, path_length: u8) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
}

/// What all certificates have in common. The end is never later than `ends_by`.
pub(super) fn params(
    name: &str,
    organisation: &str,
    issuance: &Issuance<'_>,
    ends_by: Option<Timestamp>,
) -> Result<CertificateParams, AuthorityError> {
    let Issuance {
        profile,
        now,
        entropy,
    } = *issuance;
    if let Some(since) = ends_by.filter(|end| *end <= now) {
        return Err(AuthorityError::Expired { since });
    }
    let mut serial = [0; 16];
    entropy
        .fill(&mut serial)
        .map_err(|_| AuthorityError::NoEntropy)?;
    // RFC 5280 §4.1.2.2: positive and not zero; the first byte keeps the sign bit clear.
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::OrganizationName, organisation);
    distinguished_name.push(DnType::CommonName, name);
    let end = now.plus(profile.life());
    let mut params = CertificateParams::default();
    params.not_before = second_of(now.minus(profile.backdate()))?;
    params.not_after = second_of(ends_by.map_or(end, |by| by.min(end)))?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = distinguished_name;
    Ok(params)
}

/// X.509 times have whole seconds.
pub(super) fn second_of(at: Timestamp) -> Result<OffsetDateTime, AuthorityError> {
    let second = at.unix_ms().div_euclid(1_000);
    OffsetDateTime::from_unix_timestamp(second).map_err(|error| AuthorityError::NotBuilt {
        reason: error.to_string(),
    })
}

pub(super) fn ia5(text: &str) -> Result<Ia5String, AuthorityError> {
    text.try_into().map_err(|error| not_built(&error))
}

pub(super) fn not_built(error: &rcgen::Error) -> AuthorityError {
    AuthorityError::NotBuilt {
        reason: error.to_string(),
    }
}
