//! Certificate revocation lists for tools outside the network. Nodes do not read them: the member
//! list decides there, on every call.

use data_encoding::HEXLOWER;
use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, RevocationReason, RevokedCertParams,
    SerialNumber,
};

use super::authority::{Authority, AuthorityError, not_built, second_of};
use super::authority_key::Attempt;
use super::certificate::PeerCertificate;
use crate::domain::Timestamp;

/// A certificate that is to be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Its serial number in hexadecimal, as [`PeerCertificate::serial_text`] gives it.
    pub serial: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether it may come back, because its member is suspended and not removed.
    pub on_hold: bool,
}

impl Authority {
    /// Signs a revocation list, in PEM.
    ///
    /// # Errors
    /// [`AuthorityError::NotBuilt`], also where a serial number is not one.
    pub fn revocation_list(
        &self,
        revoked: &[RevokedCertificate],
        number: u64,
        now: Timestamp,
        next: Timestamp,
    ) -> Result<String, AuthorityError> {
        let revoked_certs = revoked.iter().map(entry).collect::<Result<_, _>>()?;
        let params = CertificateRevocationListParams {
            this_update: second_of(now)?,
            next_update: second_of(next)?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let signer = self.signer();
        let attempt = Attempt::by(&signer.key);
        let issuer = Issuer::from_ca_cert_der(&signer.certificate, &attempt)
            .map_err(|error| not_built(&error))?;
        let list = params.signed_by(&issuer);
        let list = list.map_err(|error| attempt.refused(&error))?;
        list.pem().map_err(|error| not_built(&error))
    }
}

fn entry(revoked: &RevokedCertificate) -> Result<RevokedCertParams, AuthorityError> {
    let serial = HEXLOWER.decode(revoked.serial.as_bytes());
    let serial = serial.map_err(|_| AuthorityError::NotBuilt {
        reason: format!("{:?} is no serial number", revoked.serial),
    })?;
    let reason = if revoked.on_hold {
        RevocationReason::CertificateHold
    } else {
        RevocationReason::CessationOfOperation
    };
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: second_of(revoked.since)?,
        reason_code: Some(reason),
        invalidity_date: None,
    })
}

/// The serial number of the first certificate of a chain in PEM, and its end.
///
/// # Errors
/// [`AuthorityError::NotBuilt`] where it is no member's.
pub fn issued_by_chain(chain_pem: &str) -> Result<(String, Timestamp), AuthorityError> {
    let leaf = PeerCertificate::first_of(chain_pem);
    let leaf = leaf.map_err(|error| AuthorityError::NotBuilt {
        reason: error.to_string(),
    })?;
    Ok((leaf.serial_text(), leaf.not_after()))
}
