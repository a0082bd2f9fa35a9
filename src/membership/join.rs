//! The three files by which a member joins: invitation, request, welcome.
//!
//! An administrator signs the *invitation*: the network root, and whom it invites with which
//! rights. The joiner checks the root's fingerprint, makes its keys, and signs the *request* with
//! its identity key. The administrators put the applicant on the next member list, and the
//! *welcome* brings it that list and its certificate. None of the files holds a secret.

use serde::{Deserialize, Serialize};

use super::certificate::PeerCertificate;
use super::document::{Document, DocumentError, Signed};
use super::key::{CertificateKey, KeyError, RequestedKey};
use super::list::{ListError, Member, MemberList, MemberState, weight_rule};
use super::network::{NetworkRoot, RootDocument, RootError};
use super::refusal::Refusal;
use super::roster::Roster;
use super::statement::CertificateStatement;
use super::text::{hex, moment, name, word, words};
use super::trust::{OwnCertificate, TrustError};
use crate::crypto::IdentityKey;
use crate::domain::{LenderGroup, Level, MemberId, Purpose, Role, Timestamp};
use crate::limits::{
    CERTIFICATE_STATEMENT_LIFE, INVITATION_BYTES_MAX, REQUEST_BYTES_MAX, WELCOME_BYTES_MAX,
};

/// Why joining stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// A file cannot be read, or a signature is missing or wrong.
    #[error("{file}: {error}")]
    Document {
        /// Which of the files.
        file: &'static str,
        /// What is wrong with it.
        error: DocumentError,
    },
    /// The network root in a file is not sound.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The invitation is for another network.
    #[error("the invitation is for another network; give the one of this network")]
    OtherNetwork,
    /// The invitation is past its end.
    #[error("the invitation expired at {since}; ask for a new one")]
    Expired {
        /// Its end.
        since: Timestamp,
    },
    /// The certificate request cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The request's certificate key is not stated by its identity key.
    #[error("the request of {member} does not state its own certificate key; make a new request")]
    KeyNotStated {
        /// The applicant.
        member: MemberId,
    },
    /// The entry that would result is refused.
    #[error(transparent)]
    List(#[from] ListError),
    /// The certificate that arrived cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The list that arrived does not admit the joiner.
    #[error(
        "the member list that came with the welcome does not admit this node: {refusal}; {}",
        refusal.next_step()
    )]
    NotAdmitted {
        /// Why not.
        refusal: Refusal,
    },
}

fn in_file(file: &'static str) -> impl Fn(DocumentError) -> JoinError {
    move |error| JoinError::Document { file, error }
}

/// Whom an invitation invites, and with which rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The id that the member will have.
    #[serde(with = "name")]
    pub member: MemberId,
    /// What it will be.
    #[serde(with = "word")]
    pub role: Role,
    /// The economic lender it belongs to.
    #[serde(with = "name")]
    pub lender_group: LenderGroup,
    /// What it will furnish.
    #[serde(with = "word")]
    pub level: Level,
    /// Its weight in the coverage.
    pub weight: u32,
    /// Elements that each peer will evaluate for it in one key epoch.
    pub quota_elements_per_epoch: u64,
    /// For which purposes it may ask.
    #[serde(with = "words")]
    pub purposes: Vec<Purpose>,
}

impl Terms {
    /// The first rule of an entry that these terms would break.
    #[must_use]
    pub fn broken_rule(&self) -> Option<&'static str> {
        weight_rule(self.role, self.weight)
    }
}

/// An invitation, signed by an administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// Always [`Invitation::FORMAT`].
    pub format: String,
    /// The network's root document, with its signatures.
    pub root: Signed<RootDocument>,
    /// Its fingerprint, for people to compare with what they were told on another way.
    #[serde(with = "hex")]
    pub fingerprint: [u8; 32],
    /// A random number by which an invitation is used once.
    #[serde(with = "hex")]
    pub invitation_id: [u8; 16],
    /// Whom it invites.
    pub terms: Terms,
    /// Version of the member list when it was written.
    pub list_version: u32,
    /// From when it counts no more.
    #[serde(with = "moment")]
    pub expires_at: Timestamp,
}

impl Document for Invitation {
    const FORMAT: &'static str = "creditmesh/invitation/1";
    const BYTES_MAX: usize = INVITATION_BYTES_MAX;

    fn format(&self) -> &str {
        &self.format
    }
}

/// Checks an invitation: the root in it is sound and has the fingerprint that the invitation says,
/// and one of its administrators signed the invitation. Gives the root, whose fingerprint people
/// must compare.
///
/// # Errors
/// [`JoinError`].
pub fn check_invitation(
    invitation: &Signed<Invitation>,
    now: Timestamp,
) -> Result<NetworkRoot, JoinError> {
    let document = invitation.document();
    let root =
        NetworkRoot::from_signed(document.root.clone(), now)?.pinned(&document.fingerprint)?;
    invitation
        .require(&root.administrator_keys(), 1)
        .map_err(in_file("invitation"))?;
    if document.expires_at <= now {
        return Err(JoinError::Expired {
            since: document.expires_at,
        });
    }
    Ok(root)
}

/// A request to join, signed by the applicant's identity key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// Always [`JoinRequest::FORMAT`].
    pub format: String,
    /// The invitation that it answers.
    pub invitation: Signed<Invitation>,
    /// The applicant's identity key, which the member list will pin.
    #[serde(with = "hex")]
    pub identity_key: [u8; 32],
    /// A certificate request (PKCS#10, PEM), of which only the key is taken.
    pub certificate_request: String,
    /// The identity key's statement about that key.
    #[serde(with = "hex")]
    pub certificate_statement: [u8; CertificateStatement::BYTES],
    /// `host:port` of the node's replicas.
    pub endpoints: Vec<String>,
    /// Where a borrower disputes what the member reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute: Option<String>,
    /// When it was written.
    #[serde(with = "moment")]
    pub made_at: Timestamp,
}

impl Document for JoinRequest {
    const FORMAT: &'static str = "creditmesh/join-request/1";
    const BYTES_MAX: usize = REQUEST_BYTES_MAX;

    fn format(&self) -> &str {
        &self.format
    }
}

/// What the joiner brings to its request.
#[derive(Debug)]
pub struct Joiner<'a> {
    /// Its identity key.
    pub identity: &'a IdentityKey,
    /// Its TLS key.
    pub key: &'a CertificateKey,
    /// Where its replicas will listen.
    pub endpoints: Vec<String>,
    /// Where a borrower disputes what it reports.
    pub dispute: Option<String>,
}

/// Writes and signs the request that answers `invitation`.
///
/// # Errors
/// [`JoinError`] where the invitation is not sound, or the request could not be made.
pub fn request_to_join(
    invitation: Signed<Invitation>,
    joiner: Joiner<'_>,
    now: Timestamp,
) -> Result<Signed<JoinRequest>, JoinError> {
    let root = check_invitation(&invitation, now)?;
    let statement = CertificateStatement::make(
        joiner.identity,
        root.network(),
        &invitation.document().terms.member,
        &joiner.key.spki_sha256(),
        now.plus(CERTIFICATE_STATEMENT_LIFE),
    );
    let mut request = Signed::unsigned(JoinRequest {
        format: JoinRequest::FORMAT.to_owned(),
        invitation,
        identity_key: joiner.identity.public(),
        certificate_request: joiner.key.request_pem()?,
        certificate_statement: statement.to_bytes(),
        endpoints: joiner.endpoints,
        dispute: joiner.dispute,
        made_at: now,
    });
    request.sign(joiner.identity).map_err(in_file("request"))?;
    Ok(request)
}

/// A checked request: what the administrators need to enter the member and to issue its
/// certificate.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// The entry for the next member list.
    pub member: Member,
    /// The key to certify.
    pub key: RequestedKey,
    /// The identity key's statement about it.
    pub statement: CertificateStatement,
    /// The number by which the invitation is used once.
    pub invitation_id: [u8; 16],
}

/// Checks a request against the administrators' own root. Whether the invitation was used before is
/// for the caller to know, who keeps the used numbers.
///
/// # Errors
/// [`JoinError`].
pub fn check_request(
    root: &NetworkRoot,
    request: &Signed<JoinRequest>,
    now: Timestamp,
) -> Result<Applicant, JoinError> {
    let document = request.document();
    let invitation = &document.invitation;
    if check_invitation(invitation, now)?.fingerprint() != root.fingerprint() {
        return Err(JoinError::OtherNetwork);
    }
    request
        .require(&[document.identity_key], 1)
        .map_err(in_file("request"))?;
    let terms = &invitation.document().terms;
    let key = RequestedKey::from_pem(&document.certificate_request)?;
    let statement = CertificateStatement::from_bytes(&document.certificate_statement);
    let stated = statement.is_by(
        &document.identity_key,
        root.network(),
        &terms.member,
        key.spki_sha256(),
    );
    if !stated {
        return Err(JoinError::KeyNotStated {
            member: terms.member.clone(),
        });
    }
    let member = Member {
        id: terms.member.clone(),
        role: terms.role,
        state: MemberState::Active,
        lender_group: terms.lender_group.clone(),
        endpoints: document.endpoints.clone(),
        identity_key: document.identity_key,
        former_identity_keys: Vec::new(),
        level: terms.level,
        weight: terms.weight,
        quota_elements_per_epoch: terms.quota_elements_per_epoch,
        purposes: terms.purposes.clone(),
        grants: Vec::new(),
        probation_until: None,
        late_warned_at: None,
        dispute: document.dispute.clone(),
    };
    Ok(Applicant {
        member,
        key,
        statement,
        invitation_id: invitation.document().invitation_id,
    })
}

/// What the administrators send back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    /// Always [`Welcome::FORMAT`].
    pub format: String,
    /// The certificate chain in PEM, the member's own first.
    pub certificate_chain: String,
    /// The member list that names the new member.
    pub list: Signed<MemberList>,
}

impl Document for Welcome {
    const FORMAT: &'static str = "creditmesh/welcome/1";
    const BYTES_MAX: usize = WELCOME_BYTES_MAX;

    fn format(&self) -> &str {
        &self.format
    }
}

/// The joiner's side of a welcome: the certificate is for its key and of this network, and the list
/// admits it. The welcome itself carries no signature, because everything in it does.
///
/// # Errors
/// [`JoinError`].
pub fn accept_welcome(
    root: &NetworkRoot,
    welcome: &Signed<Welcome>,
    key: CertificateKey,
    now: Timestamp,
) -> Result<(OwnCertificate, Roster), JoinError> {
    let document = welcome.document();
    let list = document.list.to_text().map_err(in_file("welcome"))?;
    let roster = Roster::verify(root, &list, now)?;
    let own = OwnCertificate::new(&document.certificate_chain, key)?;
    own.check(root, now)?;
    let leaf: &PeerCertificate = own.leaf();
    roster
        .admit(leaf, now)
        .map_err(|refusal| JoinError::NotAdmitted { refusal })?;
    Ok((own, roster))
}
