//! Why a peer is not admitted, and what to do about it.

use crate::domain::{MemberId, Role, Timestamp};

/// Why a peer is not admitted. The message says what is wrong; [`Refusal::next_step`] what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The certificate names a member that is not on the list.
    #[error("{member} is not on the member list")]
    NotAMember {
        /// Whom the certificate names.
        member: MemberId,
    },
    /// The member is suspended.
    #[error("{member} is suspended")]
    Suspended {
        /// Who.
        member: MemberId,
    },
    /// The member was removed.
    #[error("{member} was removed from the network")]
    Removed {
        /// Who.
        member: MemberId,
    },
    /// The member left by its own signed departure.
    #[error("{member} left the network at {at}")]
    Left {
        /// Who.
        member: MemberId,
        /// When it said so.
        at: Timestamp,
    },
    /// The certificate is past its end.
    #[error("the certificate of {member} expired at {since}")]
    CertificateExpired {
        /// Whose certificate.
        member: MemberId,
        /// Its end.
        since: Timestamp,
    },
    /// The certificate has not begun by the clock of whoever refuses.
    #[error("the certificate of {member} is valid from {from}, and the time here is {clock}")]
    NotYetValid {
        /// Whose certificate.
        member: MemberId,
        /// Its beginning.
        from: Timestamp,
        /// The time of the node that refuses.
        clock: Timestamp,
    },
    /// The certificate's key is not stated by the member's identity key.
    #[error(
        "the certificate's key is not stated by the identity key that the list pins for {member}"
    )]
    KeyNotStatedByIdentity {
        /// Whom the certificate names.
        member: MemberId,
    },
    /// The certificate is for another network, or not for the member that was called.
    #[error("the certificate names {found} where {wanted} was expected")]
    NameMismatch {
        /// What the certificate names.
        found: String,
        /// What was expected.
        wanted: String,
    },
    /// The member list in force is past its end: nobody is admitted.
    #[error("the member list in force here expired at {since}")]
    ListExpired {
        /// Its end.
        since: Timestamp,
    },
    /// Nobody has stated lately that the member list in force here is the newest: nobody is
    /// admitted.
    #[error("that the member list in force here is the newest was last known at {since}")]
    NotFresh {
        /// When the last freshness statement ended, or when the node began to wait for the first.
        since: Timestamp,
    },
    /// The certificate states another role than the list.
    #[error("the certificate says that {member} is a {certified}, the member list says {listed}")]
    RoleMismatch {
        /// Whom the certificate names.
        member: MemberId,
        /// Role in the certificate.
        certified: Role,
        /// Role on the list.
        listed: Role,
    },
}

impl Refusal {
    /// A word for programs, which stays.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAMember { .. } => "not-a-member",
            Self::Suspended { .. } => "suspended",
            Self::Removed { .. } => "removed",
            Self::Left { .. } => "left",
            Self::CertificateExpired { .. } => "certificate-expired",
            Self::NotYetValid { .. } => "certificate-not-yet-valid",
            Self::KeyNotStatedByIdentity { .. } => "key-not-stated",
            Self::NameMismatch { .. } => "name-mismatch",
            Self::ListExpired { .. } => "list-expired",
            Self::NotFresh { .. } => "not-fresh",
            Self::RoleMismatch { .. } => "role-mismatch",
        }
    }

    /// What whoever is refused, or its operator, does next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::NotAMember { .. } => {
                "ask the administrators whether the newest list names you, and this node's \
                 operator whether it has that list"
            }
            Self::Suspended { .. } => "ask the administrators why, and when you are restored",
            Self::Removed { .. } => "ask the administrators; a removed member joins under a new id",
            Self::Left { .. } => {
                "a departure is final: ask the administrators for an invitation under a new id"
            }
            Self::CertificateExpired { .. } => "renew the certificate, and check your clock",
            Self::NotYetValid { .. } => "compare both clocks with a time server",
            Self::KeyNotStatedByIdentity { .. } => {
                "renew the certificate from the node that holds the member's identity key"
            }
            Self::NameMismatch { .. } => "check that network and endpoint are the intended ones",
            Self::ListExpired { .. } => "this node's operator must install the newest member list",
            Self::NotFresh { .. } => {
                "this node's operator must let it reach the registrar, or a peer that does"
            }
            Self::RoleMismatch { .. } => {
                "renew the certificate, so that it carries the listed role"
            }
        }
    }
}
