//! The member list: who belongs to the network, and with which rights.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::document::{Document, DocumentError};
use super::rights::Grant;
use super::text::{hex, hex_option, is_deceptive, moment, moment_option, name, word, words};
use crate::domain::{LenderGroup, Level, MemberId, NetworkId, Purpose, Role, Timestamp};
use crate::limits::{
    ENDPOINT_BYTES_MAX, ENDPOINTS_MAX, FORMER_KEYS_MAX, GRANTS_MAX, LIST_BYTES_MAX, LIST_LIFE_MAX,
    MEMBER_CONTACT_BYTES_MAX, MEMBER_WEIGHT_MAX, MEMBERS_MAX,
};

/// Whether a member takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberState {
    /// It asks and answers.
    Active,
    /// It is refused until the administrators restore it.
    Suspended,
    /// It is refused for good; its entry stays, so that its id and key are never given to another.
    Removed,
}

/// An identity key that a member has replaced. What it signed stays verifiable by it; it signs
/// nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormerKey {
    /// The key.
    #[serde(with = "hex")]
    pub key: [u8; 32],
    /// Version of the list with which another key took its place.
    pub until_version: u32,
}

/// One member's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its id, unique in the network for ever.
    #[serde(with = "name")]
    pub id: MemberId,
    /// What it is.
    #[serde(with = "word")]
    pub role: Role,
    /// Whether it takes part.
    pub state: MemberState,
    /// The economic lender it belongs to; loans of one group count once.
    #[serde(with = "name")]
    pub lender_group: LenderGroup,
    /// `host:port` of its replicas, at most [`ENDPOINTS_MAX`]; IPv6 as `[::1]:7420`.
    pub endpoints: Vec<String>,
    /// Its pinned identity key (Ed25519), unique in the network for ever.
    #[serde(with = "hex")]
    pub identity_key: [u8; 32],
    /// Identity keys that it had before, the oldest first; at most [`FORMER_KEYS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_identity_keys: Vec<FormerKey>,
    /// What it furnishes, and so what it is evaluated under.
    #[serde(with = "word")]
    pub level: Level,
    /// Its share of the coverage: a power of two, or 0 for a regulator.
    pub weight: u32,
    /// Elements that each peer evaluates for it in one key epoch.
    pub quota_elements_per_epoch: u64,
    /// For which purposes it may ask, without an end; empty where `grants` say it.
    #[serde(with = "words")]
    pub purposes: Vec<Purpose>,
    /// What it may ask for, where that has ends or quotas of its own, at most [`GRANTS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// Until when it is new: it has a tenth of its quota, and no weight in the coverage.
    #[serde(
        default,
        with = "moment_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub probation_until: Option<Timestamp>,
    /// When it was warned that its furnishing is late: it loses its level
    /// [`FURNISHING_GRACE`](crate::limits::FURNISHING_GRACE) later, unless the warning is taken
    /// back.
    #[serde(
        default,
        with = "moment_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub late_warned_at: Option<Timestamp>,
    /// Where a borrower disputes what this member reported: an address for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute: Option<String>,
}

/// The member list as it stands in its file. It proves nothing until [`Roster::verify`] took it.
///
/// [`Roster::verify`]: super::Roster::verify
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberList {
    /// Always [`MemberList::FORMAT`].
    pub format: String,
    /// The network's id.
    #[serde(with = "name")]
    pub network: NetworkId,
    /// From 1 upwards; the highest wins.
    pub version: u32,
    /// Version of the root document under which the administrators signed; 1 where it is left out.
    #[serde(default = "first_root", skip_serializing_if = "is_first_root")]
    pub root_version: u32,
    /// When it was written.
    #[serde(with = "moment")]
    pub issued_at: Timestamp,
    /// From when nobody is admitted by it any more.
    #[serde(with = "moment")]
    pub expires_at: Timestamp,
    /// Digest of the version before; absent in version 1.
    #[serde(default, with = "hex_option", skip_serializing_if = "Option::is_none")]
    pub previous: Option<[u8; 32]>,
    /// Every member that ever was, at most [`MEMBERS_MAX`].
    pub members: Vec<Member>,
}

const fn first_root() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde's `skip_serializing_if` calls"
)]
const fn is_first_root(version: &u32) -> bool {
    *version == first_root()
}

impl Document for MemberList {
    const FORMAT: &'static str = "creditmesh/member-list/1";
    const BYTES_MAX: usize = LIST_BYTES_MAX;

    fn format(&self) -> &str {
        &self.format
    }
}

/// Why a member list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// It cannot be read, or too few administrators signed it.
    #[error("member list: {0}")]
    Document(#[from] DocumentError),
    /// It belongs to another network.
    #[error("member list: it is for network {found}, this node belongs to {own}; fetch your own")]
    OtherNetwork {
        /// Network that the list names.
        found: NetworkId,
        /// This node's network.
        own: NetworkId,
    },
    /// It was made under a newer root than the one in force.
    #[error("member list: made under root {stated}, in force is {held}; take that root first")]
    NewerRoot {
        /// Root version that it names.
        stated: u32,
        /// Root version in force.
        held: u32,
    },
    /// It was made under an older root than the list in force was.
    #[error(
        "member list: made under root {stated}, the list in force under root {held}; ask for one \
         that is made under the newest root"
    )]
    OlderRoot {
        /// Root version that it names.
        stated: u32,
        /// Root version of the list in force.
        held: u32,
    },
    /// A field of the list breaks a rule.
    #[error("member list: {rule}; a list that breaks this is not taken")]
    Invalid {
        /// The rule.
        rule: &'static str,
    },
    /// A field of a member's entry breaks a rule.
    #[error("member list, entry {member}: {rule}")]
    InvalidMember {
        /// Whose entry.
        member: MemberId,
        /// The rule.
        rule: &'static str,
    },
    /// It says it was written in the future.
    #[error("member list: issued at {issued_at}, after this machine's time {now}; check the clock")]
    IssuedInFuture {
        /// When it says it was written.
        issued_at: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
    /// It no longer counts.
    #[error("member list: version {version} expired at {since}; fetch a newer one")]
    Expired {
        /// Its version.
        version: u32,
        /// When it expired.
        since: Timestamp,
    },
    /// An older version than the one in force.
    #[error("member list: version {offered} is older than version {held} in force; keep that one")]
    RolledBack {
        /// Version in force.
        held: u32,
        /// Version offered.
        offered: u32,
    },
    /// Another list with the number of the one in force.
    #[error(
        "member list: there are two different lists with version {version}; tell the \
         administrators, who must publish a higher one"
    )]
    Forked {
        /// The version that both have.
        version: u32,
    },
    /// It names another predecessor than the list in force.
    #[error(
        "member list: version {version} does not follow the list in force; tell the \
         administrators, who may have signed two lists with one number"
    )]
    WrongPrevious {
        /// Its version.
        version: u32,
    },
    /// A newer version that was written before the one in force.
    #[error("member list: version {version} was issued before the one in force; ask for a new one")]
    IssuedBackwards {
        /// Its version.
        version: u32,
    },
}

impl MemberList {
    /// The member with this id, whatever its state.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    /// Checks every rule that does not depend on the time or on other documents.
    ///
    /// # Errors
    /// [`ListError::Invalid`] or [`ListError::InvalidMember`] with the first rule that is broken.
    pub fn check(&self) -> Result<(), ListError> {
        let rules = [
            (self.version >= 1, "its version must be 1 or more"),
            (self.root_version >= 1, "its root version must be 1 or more"),
            (
                self.issued_at < self.expires_at,
                "it must expire after it was issued",
            ),
            (
                self.expires_at.since(self.issued_at) <= LIST_LIFE_MAX,
                "it must expire within 400 days",
            ),
            (
                self.version == 1 || self.previous.is_some(),
                "from version 2 on it must name the digest of the version before",
            ),
            (
                self.version > 1 || self.previous.is_none(),
                "version 1 has no version before it",
            ),
            (
                self.members.len() <= MEMBERS_MAX,
                "it has more than 2,048 members",
            ),
        ];
        if let Some((_, rule)) = rules.into_iter().find(|(holds, _)| !holds) {
            return Err(ListError::Invalid { rule });
        }
        let mut ids = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for member in &self.members {
            let broken = if !ids.insert(&member.id) {
                Some("this id stands twice")
            } else if !member.identity_keys().all(|key| keys.insert(*key)) {
                Some("another member has the same identity key")
            } else {
                member.broken_rule()
            };
            if let Some(rule) = broken {
                return Err(ListError::InvalidMember {
                    member: member.id.clone(),
                    rule,
                });
            }
        }
        Ok(())
    }
}

/// The rule that a member's weight breaks.
pub(super) fn weight_rule(role: Role, weight: u32) -> Option<&'static str> {
    let fits = match role {
        Role::Regulator => weight == 0,
        Role::Lender | Role::Bureau => weight.is_power_of_two() && weight <= MEMBER_WEIGHT_MAX,
    };
    (!fits).then_some("its weight must be a power of two up to 1,048,576, and 0 for a regulator")
}

impl Member {
    /// Every identity key that it has or had, the present one first.
    pub fn identity_keys(&self) -> impl Iterator<Item = &[u8; 32]> {
        let former = self.former_identity_keys.iter().map(|former| &former.key);
        std::iter::once(&self.identity_key).chain(former)
    }

    /// The entry with another identity key from list `version` on.
    #[must_use]
    pub fn with_identity_key(&self, key: [u8; 32], version: u32) -> Self {
        let mut entry = self.clone();
        let before = std::mem::replace(&mut entry.identity_key, key);
        entry.former_identity_keys.push(FormerKey {
            key: before,
            until_version: version,
        });
        entry
    }

    /// The first rule of an entry that this one breaks.
    fn broken_rule(&self) -> Option<&'static str> {
        let answers = self.state == MemberState::Active && self.role != Role::Regulator;
        let purposes: BTreeSet<_> = self.purposes.iter().collect();
        let contact_fits = |text: &String| {
            (1..=MEMBER_CONTACT_BYTES_MAX).contains(&text.len()) && !text.chars().any(is_deceptive)
        };
        let rules = [
            (
                !answers || !self.endpoints.is_empty(),
                "an active lender or bureau needs an endpoint",
            ),
            (
                self.endpoints.len() <= ENDPOINTS_MAX,
                "it has more than 8 endpoints",
            ),
            (
                self.endpoints.iter().all(|text| is_endpoint(text)),
                "an endpoint must be host:port",
            ),
            (
                self.former_identity_keys.len() <= FORMER_KEYS_MAX,
                "it has replaced its identity key more than 32 times; it joins under a new id",
            ),
            (
                purposes.len() == self.purposes.len(),
                "a purpose stands twice",
            ),
            (
                self.grants.len() <= GRANTS_MAX,
                "it has more than 32 grants",
            ),
            (
                self.grants.is_empty() || self.purposes.is_empty(),
                "it has purposes and grants; where there are grants they name the purposes",
            ),
            (
                self.dispute.as_ref().is_none_or(contact_fits),
                "its dispute contact must be 1 to 200 printable bytes",
            ),
        ];
        rules
            .into_iter()
            .find(|(holds, _)| !holds)
            .map(|(_, rule)| rule)
            .or_else(|| weight_rule(self.role, self.weight))
            .or_else(|| self.grants.iter().find_map(Grant::broken_rule))
    }
}

/// Whether `text` is `host:port`, with a DNS name, an IPv4 address or a bracketed IPv6 address.
#[must_use]
pub fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host_fits = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            !host.is_empty() && host.chars().all(allowed)
        }
    };
    let port_fits = !port.starts_with('+') && port.parse::<u16>().is_ok_and(|port| port > 0);
    text.len() <= ENDPOINT_BYTES_MAX && host_fits && port_fits
}

#[cfg(test)]
mod tests {
    use super::is_endpoint;

    #[test]
    fn endpoints_are_host_and_port() {
        for good in [
            "node.bank-a.example:7420",
            "127.0.0.1:1",
            "[::1]:7420",
            "localhost:65535",
        ] {
            assert!(is_endpoint(good), "{good}");
        }
        for bad in [
            "bank-a.example",
            ":7420",
            "bank-a.example:0",
            "bank-a.example:70000",
            "bank-a.example:+1",
            "https://bank-a.example:1",
            "::1:7420",
            "bank a:1",
            "[127.0.0.1]:1",
        ] {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }
}
