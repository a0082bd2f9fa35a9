//! What members and administrators ask of the registrar, each in a document that its author signed.

use serde::{Deserialize, Serialize};

use super::document::{Document, DocumentError, Signed};
use super::key::{CertificateKey, KeyError, RequestedKey};
use super::list::{Member, is_endpoint};
use super::network::NetworkRoot;
use super::refusal::Refusal;
use super::roster::Roster;
use super::statement::CertificateStatement;
use super::text::{hex, moment, name};
use crate::crypto::{IdentityKey, Signs};
use crate::domain::{MemberId, NetworkId, Timestamp};
use crate::limits::{
    CERTIFICATE_REQUEST_BYTES_MAX, CERTIFICATE_STATEMENT_LIFE, CHANGE_BYTES_MAX, CLOCK_SKEW_MAX,
    ENDPOINTS_MAX,
};

/// Why a request to the registrar is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It cannot be read, or is not signed by whom it names.
    #[error("request: {0}")]
    Document(#[from] DocumentError),
    /// It is for another network.
    #[error("request: it is for another network; ask the registrar of your own")]
    OtherNetwork,
    /// It was made too long ago, or in the future.
    #[error("request: made at {made_at}, and the time here is {now}; compare the clocks")]
    NotNow {
        /// When it says it was made.
        made_at: Timestamp,
        /// The time of whoever refuses.
        now: Timestamp,
    },
    /// The member is not active.
    #[error("request: {0}; {next}", next = .0.next_step())]
    Refused(#[from] Refusal),
    /// The certificate request cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The member does not state the certificate's key as its own.
    #[error("request: the certificate's key is not stated by the identity key on the list")]
    KeyNotStated,
    /// What it wants to have changed breaks a rule.
    #[error("request: {rule}")]
    Invalid {
        /// The rule.
        rule: &'static str,
    },
}

/// Whether a document made at `made_at` is fresh: a copy of it is worthless minutes later.
fn made_now(made_at: Timestamp, now: Timestamp) -> Result<(), RequestError> {
    let apart = now.since(made_at).max(made_at.since(now));
    if apart > CLOCK_SKEW_MAX {
        return Err(RequestError::NotNow { made_at, now });
    }
    Ok(())
}

/// A member asks for a certificate for a new TLS key. Its identity key signs, so no certificate is
/// needed: also a member whose certificate has ended renews.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewalRequest {
    /// Always [`RenewalRequest::FORMAT`].
    pub format: String,
    /// The network's id.
    #[serde(with = "name")]
    pub network: NetworkId,
    /// Who asks.
    #[serde(with = "name")]
    pub member: MemberId,
    /// A certificate request (PKCS#10, PEM), of which only the key is taken.
    pub certificate_request: String,
    /// The identity key's statement about that key.
    #[serde(with = "hex")]
    pub certificate_statement: [u8; CertificateStatement::BYTES],
    /// When it was written.
    #[serde(with = "moment")]
    pub made_at: Timestamp,
}

impl Document for RenewalRequest {
    const FORMAT: &'static str = "creditmesh/renewal-request/1";
    const BYTES_MAX: usize = 2 * CERTIFICATE_REQUEST_BYTES_MAX;

    fn format(&self) -> &str {
        &self.format
    }
}

/// A checked request for a certificate.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// The member's entry on the list in force.
    pub member: Member,
    /// The key to certify.
    pub key: RequestedKey,
    /// The identity key's statement about it.
    pub statement: CertificateStatement,
}

/// Writes and signs a request for a certificate for `key`.
///
/// # Errors
/// [`RequestError`].
pub fn request_renewal(
    identity: &IdentityKey,
    network: &NetworkId,
    member: &MemberId,
    key: &CertificateKey,
    now: Timestamp,
) -> Result<String, RequestError> {
    let until = now.plus(CERTIFICATE_STATEMENT_LIFE);
    let statement =
        CertificateStatement::make(identity, network, member, &key.spki_sha256(), until);
    let mut request = Signed::unsigned(RenewalRequest {
        format: RenewalRequest::FORMAT.to_owned(),
        network: network.clone(),
        member: member.clone(),
        certificate_request: key.request_pem()?,
        certificate_statement: statement.to_bytes(),
        made_at: now,
    });
    request.sign(identity)?;
    Ok(request.to_text()?)
}

/// Checks a request for a certificate against the list in force.
///
/// # Errors
/// [`RequestError`]; in particular where the member is not active.
pub fn check_renewal(roster: &Roster, text: &str, now: Timestamp) -> Result<Renewal, RequestError> {
    let signed = Signed::<RenewalRequest>::parse(text)?;
    let document = signed.document();
    if document.network != *roster.network() {
        return Err(RequestError::OtherNetwork);
    }
    let member = roster.listed(&document.member)?;
    signed.require(&[member.identity_key], 1)?;
    made_now(document.made_at, now)?;
    let key = RequestedKey::from_pem(&document.certificate_request)?;
    let statement = CertificateStatement::from_bytes(&document.certificate_statement);
    let network = roster.network();
    if !statement.is_by(&member.identity_key, network, &member.id, key.spki_sha256()) {
        return Err(RequestError::KeyNotStated);
    }
    Ok(Renewal {
        member: member.clone(),
        key,
        statement,
    })
}

/// What a member wants to have changed in its own entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum OwnChange {
    /// Its replicas listen elsewhere.
    Endpoints(Vec<String>),
    /// It signs with another identity key from now on, which signs the request too.
    IdentityKey(NewIdentity),
}

/// The identity key that a member wants to have instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewIdentity {
    /// The key.
    #[serde(with = "hex")]
    pub key: [u8; 32],
}

/// A member's own request for a change of its entry, signed by its identity key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRequest {
    /// Always [`ChangeRequest::FORMAT`].
    pub format: String,
    /// The network's id.
    #[serde(with = "name")]
    pub network: NetworkId,
    /// Who asks.
    #[serde(with = "name")]
    pub member: MemberId,
    /// What it wants.
    pub change: OwnChange,
    /// When it was written.
    #[serde(with = "moment")]
    pub made_at: Timestamp,
}

impl Document for ChangeRequest {
    const FORMAT: &'static str = "creditmesh/change-request/1";
    const BYTES_MAX: usize = CHANGE_BYTES_MAX;

    fn format(&self) -> &str {
        &self.format
    }
}

/// Writes and signs a member's request for a change of its own entry. `signers` are its identity
/// key and, where that is to change, the new one.
///
/// # Errors
/// [`RequestError::Document`].
pub fn request_change(
    signers: &[&IdentityKey],
    network: &NetworkId,
    member: &MemberId,
    change: OwnChange,
    now: Timestamp,
) -> Result<String, RequestError> {
    let mut request = Signed::unsigned(ChangeRequest {
        format: ChangeRequest::FORMAT.to_owned(),
        network: network.clone(),
        member: member.clone(),
        change,
        made_at: now,
    });
    for signer in signers {
        request.sign(*signer)?;
    }
    Ok(request.to_text()?)
}

/// Checks who asks for a change and that the entry could be so; at the registrar when it arrives,
/// and at each administrator before it signs.
///
/// # Errors
/// [`RequestError`].
pub fn check_change(roster: &Roster, text: &str) -> Result<ChangeRequest, RequestError> {
    let signed = Signed::<ChangeRequest>::parse(text)?;
    let document = signed.document();
    if document.network != *roster.network() {
        return Err(RequestError::OtherNetwork);
    }
    let member = roster.listed(&document.member)?;
    signed.require(&[member.identity_key], 1)?;
    match &document.change {
        OwnChange::Endpoints(endpoints) => {
            let sound = (1..=ENDPOINTS_MAX).contains(&endpoints.len())
                && endpoints.iter().all(|one| is_endpoint(one));
            if !sound {
                let rule = "a member needs 1 to 8 endpoints, each host:port";
                return Err(RequestError::Invalid { rule });
            }
        }
        OwnChange::IdentityKey(NewIdentity { key }) => {
            signed.require(&[member.identity_key, *key], 2)?;
            let mut members = roster.list().members.iter();
            if members.any(|one| one.identity_keys().any(|known| known == key)) {
                let rule = "this identity key is or was a member's: make another one";
                return Err(RequestError::Invalid { rule });
            }
        }
    }
    Ok(document.clone())
}

impl ChangeRequest {
    /// Whether it was made just now, as the registrar asks of one that arrives.
    ///
    /// # Errors
    /// [`RequestError::NotNow`].
    pub fn check_fresh(&self, now: Timestamp) -> Result<(), RequestError> {
        made_now(self.made_at, now)
    }
}

/// An administrator asks what waits for the administrators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskRequest {
    /// Always [`DeskRequest::FORMAT`].
    pub format: String,
    /// The network's id.
    #[serde(with = "name")]
    pub network: NetworkId,
    /// When it was written.
    #[serde(with = "moment")]
    pub made_at: Timestamp,
}

impl Document for DeskRequest {
    const FORMAT: &'static str = "creditmesh/desk-request/1";
    const BYTES_MAX: usize = 4 * 1024;

    fn format(&self) -> &str {
        &self.format
    }
}

/// Writes and signs an administrator's look at the desk.
///
/// # Errors
/// [`RequestError::Document`].
pub fn request_desk(
    administrator: &dyn Signs,
    network: &NetworkId,
    now: Timestamp,
) -> Result<String, RequestError> {
    let mut request = Signed::unsigned(DeskRequest {
        format: DeskRequest::FORMAT.to_owned(),
        network: network.clone(),
        made_at: now,
    });
    request.sign(administrator)?;
    Ok(request.to_text()?)
}

/// Checks that one of the network's administrators asks, now.
///
/// # Errors
/// [`RequestError`].
pub fn check_desk(root: &NetworkRoot, text: &str, now: Timestamp) -> Result<(), RequestError> {
    let signed = Signed::<DeskRequest>::parse(text)?;
    if signed.document().network != *root.network() {
        return Err(RequestError::OtherNetwork);
    }
    signed.require(&root.administrator_keys(), 1)?;
    made_now(signed.document().made_at, now)
}
