//! A peer's certificate, parsed once per connection into what admission needs.

use std::sync::OnceLock;

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::statement::CertificateStatement;
use crate::domain::{MemberId, NetworkId, Role, Timestamp};
use crate::limits::CERTIFICATE_BYTES_MAX;

/// Object identifier of the extension that carries the [`CertificateStatement`], as a DER octet
/// string of 72 bytes. It lies under the arc that anyone may use with the parts of a random UUID;
/// it is not critical, so that tools that do not know it accept the certificate.
pub(crate) const STATEMENT_OID: [u64; 14] = [
    1, 2, 840, 113_556, 1, 8000, 2554, 20_418, 7_731, 50_263, 19_012, 36_455, 9_120_344, 14_201_977,
];

/// Tag and length of a DER octet string with a statement's bytes.
pub(crate) const STATEMENT_DER_HEAD: [u8; 2] = [0x04, 0x48];

/// Why bytes are not a certificate of a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not one X.509 certificate in DER, or too long.
    #[error("not an X.509 certificate of at most {CERTIFICATE_BYTES_MAX} bytes")]
    Unreadable,
    /// The names are not those of a member.
    #[error(
        "the certificate does not name a member: it needs exactly one URI \
         spiffe://<network>/<role>/<member> and one DNS name <member>.node.<network>"
    )]
    Names,
    /// The key statement is missing or has the wrong form.
    #[error("the certificate carries no statement by an identity key; enrol again by `node join`")]
    Statement,
}

/// What a certificate says. Whether it is *true* is for TLS (chain, possession) and the roster to
/// decide.
#[derive(Debug)]
pub struct PeerCertificate {
    member: MemberId,
    role: Role,
    network: NetworkId,
    serial: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
    spki_sha256: [u8; 32],
    statement: CertificateStatement,
    /// The identity key that was found to have made the statement: a signature check costs more
    /// than the rest of a call's admission together, and its outcome cannot change.
    stated_by: OnceLock<[u8; 32]>,
}

impl PeerCertificate {
    /// Parses the first certificate of a chain in PEM.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn first_of(chain_pem: &str) -> Result<Self, CertificateError> {
        let der = CertificateDer::from_pem_slice(chain_pem.as_bytes())
            .map_err(|_| CertificateError::Unreadable)?;
        Self::parse(&der)
    }

    /// Parses a certificate in DER.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::Unreadable);
        }
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::Unreadable)?;
        if !rest.is_empty() {
            return Err(CertificateError::Unreadable);
        }
        let (network, role, member) = names(&certificate)?;
        let statement = statement(&certificate)?;
        let validity = certificate.validity();
        Ok(Self {
            member,
            role,
            network,
            serial: certificate.raw_serial().to_vec(),
            not_before: moment(validity.not_before.timestamp()),
            not_after: moment(validity.not_after.timestamp()).min(statement.until()),
            spki_sha256: sha256(certificate.public_key().raw),
            statement,
            stated_by: OnceLock::new(),
        })
    }

    /// The member that it names.
    #[must_use]
    pub const fn member(&self) -> &MemberId {
        &self.member
    }

    /// The role that it names; the member list decides.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The network that it names.
    #[must_use]
    pub const fn network(&self) -> &NetworkId {
        &self.network
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

    /// Its last moment, or the end of its key's use as the member stated it, if that is earlier.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// SHA-256 of its `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub const fn spki_sha256(&self) -> &[u8; 32] {
        &self.spki_sha256
    }

    /// Whether `identity_key` stated that the certificate's key is the member's.
    #[must_use]
    pub fn is_stated_by(&self, identity_key: &[u8; 32]) -> bool {
        if self.stated_by.get() == Some(identity_key) {
            return true;
        }
        let (network, member) = (&self.network, &self.member);
        let stated = self
            .statement
            .is_by(identity_key, network, member, &self.spki_sha256);
        if stated {
            self.stated_by.get_or_init(|| *identity_key);
        }
        stated
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

pub(super) fn moment(unix_s: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_s.saturating_mul(1_000))
}

/// The certificate's URI for a member.
pub(crate) fn uri_of(network: &NetworkId, role: Role, member: &MemberId) -> String {
    format!("spiffe://{network}/{role}/{member}")
}

/// The DNS name under which a member's certificate is checked; it need not resolve.
#[must_use]
pub fn dns_name_of(network: &NetworkId, member: &MemberId) -> String {
    format!("{member}.node.{network}")
}

fn names(
    certificate: &X509Certificate<'_>,
) -> Result<(NetworkId, Role, MemberId), CertificateError> {
    let alternatives = certificate
        .subject_alternative_name()
        .ok()
        .flatten()
        .ok_or(CertificateError::Names)?;
    let [first, second] = alternatives.value.general_names.as_slice() else {
        return Err(CertificateError::Names);
    };
    let ((GeneralName::URI(uri), GeneralName::DNSName(dns))
    | (GeneralName::DNSName(dns), GeneralName::URI(uri))) = (first, second)
    else {
        return Err(CertificateError::Names);
    };
    let (network, role, member) = read_uri(uri).ok_or(CertificateError::Names)?;
    if *dns != dns_name_of(&network, &member) {
        return Err(CertificateError::Names);
    }
    Ok((network, role, member))
}

fn read_uri(uri: &str) -> Option<(NetworkId, Role, MemberId)> {
    let mut parts = uri.strip_prefix("spiffe://")?.split('/');
    let network = parts.next()?.parse().ok()?;
    let role = Role::from_word(parts.next()?)?;
    let member = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((network, role, member))
}

fn statement(certificate: &X509Certificate<'_>) -> Result<CertificateStatement, CertificateError> {
    let mut carriers = certificate.extensions().iter().filter(|extension| {
        extension
            .oid
            .iter()
            .is_some_and(|parts| parts.eq(STATEMENT_OID))
    });
    let (Some(carrier), None) = (carriers.next(), carriers.next()) else {
        return Err(CertificateError::Statement);
    };
    carrier
        .value
        .strip_prefix(&STATEMENT_DER_HEAD)
        .and_then(|bytes| bytes.try_into().ok())
        .map(CertificateStatement::from_bytes)
        .ok_or(CertificateError::Statement)
}
