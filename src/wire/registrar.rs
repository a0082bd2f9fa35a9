//! The registrar's messages: who was invited, what became of a request, the trust documents, and
//! what waits for the administrators.

use super::Malformed;
use super::pb;
use crate::crypto::Secret;
use crate::domain::{MemberId, Timestamp};
use crate::limits::{ADMINISTRATORS_MAX, AUTHORITIES_MAX, MEMBERS_MAX};

/// What a token's holder proves its invitation with.
#[derive(Debug)]
pub struct InvitationKey {
    /// The invitation's number.
    pub id: [u8; 16],
    /// The token's secret.
    pub secret: Secret<32>,
}

impl InvitationKey {
    /// Reads the two fields of a message.
    ///
    /// # Errors
    /// [`Malformed`], which names the field.
    pub fn read(id: &[u8], secret: &[u8]) -> Result<Self, Malformed> {
        let id = id.try_into();
        let secret: Result<[u8; 32], _> = secret.try_into();
        Ok(Self {
            id: id.map_err(|_| Malformed::new("invitation_id", "must be 16 bytes"))?,
            secret: Secret::from_bytes(
                secret.map_err(|_| Malformed::new("secret", "must be 32 bytes"))?,
            ),
        })
    }
}

/// What became of a request to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolment {
    /// The administrators have not signed yet.
    Waiting {
        /// How many signed the list that names the applicant.
        signed: u32,
        /// How many must.
        needed: u32,
    },
    /// The applicant is a member.
    Welcome {
        /// Certificate and list.
        welcome: String,
        /// The newest freshness statement, where the network has one.
        freshness: Option<String>,
    },
}

impl From<Enrolment> for pb::EnrolResponse {
    fn from(enrolment: Enrolment) -> Self {
        match enrolment {
            Enrolment::Waiting { signed, needed } => Self {
                signed,
                needed,
                ..Self::default()
            },
            Enrolment::Welcome { welcome, freshness } => Self {
                welcome,
                freshness: freshness.unwrap_or_default(),
                ..Self::default()
            },
        }
    }
}

impl TryFrom<pb::EnrolResponse> for Enrolment {
    type Error = Malformed;

    fn try_from(message: pb::EnrolResponse) -> Result<Self, Malformed> {
        if !message.welcome.is_empty() {
            return Ok(Self::Welcome {
                welcome: message.welcome,
                freshness: some(message.freshness),
            });
        }
        let most = u32::try_from(ADMINISTRATORS_MAX).unwrap_or(u32::MAX);
        if message.needed > most {
            return Err(Malformed::new("needed", "is more than a network can have"));
        }
        Ok(Self::Waiting {
            signed: message.signed.min(most),
            needed: message.needed,
        })
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The trust documents as texts; each proves itself by its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustTexts {
    /// Root documents that follow the one the reader has, in the order of their versions.
    pub roots: Vec<String>,
    /// The member list; `None` where it is the one sent before on the same stream.
    pub list: Option<String>,
    /// The newest freshness statement, where the network has one.
    pub freshness: Option<String>,
    /// Departures that the list does not say yet.
    pub departures: Vec<String>,
    /// The newest checkpoint of the registrar's membership log, where it keeps one.
    pub log_checkpoint: Option<String>,
}

impl From<TrustTexts> for pb::TrustDocuments {
    fn from(texts: TrustTexts) -> Self {
        Self {
            roots: texts.roots,
            list: texts.list.unwrap_or_default(),
            freshness: texts.freshness.unwrap_or_default(),
            departures: texts.departures,
            log_checkpoint: texts.log_checkpoint.unwrap_or_default(),
        }
    }
}

impl From<pb::TrustDocuments> for TrustTexts {
    fn from(message: pb::TrustDocuments) -> Self {
        Self {
            roots: message.roots,
            list: some(message.list),
            freshness: some(message.freshness),
            departures: message.departures,
            log_checkpoint: some(message.log_checkpoint),
        }
    }
}

impl From<pb::RelayTrustResponse> for TrustTexts {
    fn from(message: pb::RelayTrustResponse) -> Self {
        Self {
            roots: message.roots,
            list: some(message.list),
            freshness: some(message.freshness),
            departures: message.departures,
            log_checkpoint: None,
        }
    }
}

/// What became of a member list that an administrator put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// How many administrators signed it.
    pub signed: u32,
    /// How many must.
    pub needed: u32,
    /// Whether it is in force now.
    pub published: bool,
}

/// What became of a root document that an administrator put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootCount {
    /// How many administrators of the root in force signed it.
    pub signed: u32,
    /// How many must.
    pub needed: u32,
    /// How many of its own administrators signed it.
    pub signed_by_own: u32,
    /// How many must.
    pub needed_by_own: u32,
    /// Whether it is in force now.
    pub published: bool,
}

/// What a node says of itself to the registrar that it follows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acknowledgement {
    /// Version of the member list in force.
    pub list_version: u32,
    /// Connections cut because of that list.
    pub cut: u32,
    /// Version of the root in force.
    pub root_version: u32,
    /// SHA-256 of each X.509 root certificate of that root to which the node's certificate leads.
    pub leads_to: Vec<[u8; 32]>,
    /// End of the node's certificate.
    pub certificate_not_after: Option<Timestamp>,
}

fn digests(field: &'static str, digests: &[bytes::Bytes]) -> Result<Vec<[u8; 32]>, Malformed> {
    if digests.len() > AUTHORITIES_MAX {
        return Err(Malformed::new(field, "names more than a root can have"));
    }
    let read = |one: &bytes::Bytes| {
        let digest = one.as_ref().try_into();
        digest.map_err(|_| Malformed::new(field, "must be 32 bytes each"))
    };
    digests.iter().map(read).collect()
}

fn flat(digests: &[[u8; 32]]) -> Vec<bytes::Bytes> {
    let all = digests.iter().take(AUTHORITIES_MAX);
    all.map(|one| bytes::Bytes::copy_from_slice(one)).collect()
}

fn moment(unix_ms: i64) -> Option<Timestamp> {
    (unix_ms > 0).then(|| Timestamp::from_unix_ms(unix_ms))
}

impl From<Acknowledgement> for pb::InstalledRequest {
    fn from(said: Acknowledgement) -> Self {
        Self {
            list_version: said.list_version,
            cut: said.cut,
            root_version: said.root_version,
            leads_to: flat(&said.leads_to),
            certificate_not_after_unix_ms: said.certificate_not_after.map_or(0, Timestamp::unix_ms),
        }
    }
}

impl TryFrom<pb::InstalledRequest> for Acknowledgement {
    type Error = Malformed;

    fn try_from(message: pb::InstalledRequest) -> Result<Self, Malformed> {
        Ok(Self {
            list_version: message.list_version,
            cut: message.cut,
            root_version: message.root_version,
            leads_to: digests("leads_to", &message.leads_to)?,
            certificate_not_after: moment(message.certificate_not_after_unix_ms),
        })
    }
}

/// How far a member's node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whose node.
    pub member: MemberId,
    /// Highest version of a member list that it acknowledged; 0 for none.
    pub list_version: u32,
    /// Connections that it cut because of that list.
    pub cut: u32,
    /// Milliseconds from the publication of that list to the acknowledgement.
    pub took_ms: u64,
    /// Whether it follows the registrar.
    pub follows: bool,
    /// Highest version of a root that it acknowledged; 0 for none.
    pub root_version: u32,
    /// SHA-256 of each X.509 root certificate to which its certificate leads, as it said last.
    pub leads_to: Vec<[u8; 32]>,
    /// End of its certificate, as it said last.
    pub certificate_not_after: Option<Timestamp>,
}

/// What waits for the administrators, and how far the nodes are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeskView {
    /// The member list in force.
    pub list: String,
    /// Next lists with too few signatures.
    pub proposals: Vec<String>,
    /// Requests to join that wait.
    pub requests: Vec<String>,
    /// Members' own requests for changes that wait.
    pub changes: Vec<String>,
    /// Every active member's node.
    pub nodes: Vec<Standing>,
    /// Next root documents with too few signatures.
    pub root_proposals: Vec<String>,
    /// Departures that the list does not say yet.
    pub departures: Vec<String>,
}

impl From<DeskView> for pb::DeskResponse {
    fn from(view: DeskView) -> Self {
        let nodes = view.nodes.into_iter().map(|node| pb::NodeStanding {
            member: node.member.to_string(),
            list_version: node.list_version,
            cut: node.cut,
            took_ms: node.took_ms,
            follows: node.follows,
            root_version: node.root_version,
            leads_to: flat(&node.leads_to),
            certificate_not_after_unix_ms: node.certificate_not_after.map_or(0, Timestamp::unix_ms),
        });
        Self {
            list: view.list,
            proposals: view.proposals,
            requests: view.requests,
            changes: view.changes,
            nodes: nodes.collect(),
            root_proposals: view.root_proposals,
            departures: view.departures,
        }
    }
}

impl TryFrom<pb::DeskResponse> for DeskView {
    type Error = Malformed;

    fn try_from(message: pb::DeskResponse) -> Result<Self, Malformed> {
        if message.nodes.len() > MEMBERS_MAX {
            return Err(Malformed::new("nodes", "are more than a network can have"));
        }
        let nodes = message.nodes.into_iter().map(|node| {
            let member = node.member.parse();
            Ok(Standing {
                member: member.map_err(|error| Malformed::new("member", format!("{error}")))?,
                list_version: node.list_version,
                cut: node.cut,
                took_ms: node.took_ms,
                follows: node.follows,
                root_version: node.root_version,
                leads_to: digests("leads_to", &node.leads_to)?,
                certificate_not_after: moment(node.certificate_not_after_unix_ms),
            })
        });
        Ok(Self {
            list: message.list,
            proposals: message.proposals,
            requests: message.requests,
            changes: message.changes,
            nodes: nodes.collect::<Result<_, Malformed>>()?,
            root_proposals: message.root_proposals,
            departures: message.departures,
        })
    }
}
