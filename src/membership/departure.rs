//! Departures: a member leaves by its own signature, at once and for good, whoever hands it on.
//!
//! A departure proves itself by the identity key that the member list pins, so it needs nobody's
//! leave, and whoever holds one can only make it known. It is kept until a list says that the
//! member is removed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document::{Document, DocumentError, Signed};
use super::list::MemberState;
use super::roster::Roster;
use super::text::{hex, moment, name};
use crate::crypto::IdentityKey;
use crate::domain::{MemberId, NetworkId, Timestamp};
use crate::limits::{CLOCK_SKEW_MAX, DEPARTURE_BYTES_MAX, DEPARTURES_MAX};

/// Why a departure is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DepartureError {
    /// It cannot be read, or is not signed by the key that it names.
    #[error("departure: {0}")]
    Document(#[from] DocumentError),
    /// It is for another network.
    #[error("departure: it is for network {found}, here is {own}; ask the registrar of that one")]
    OtherNetwork {
        /// Network that it names.
        found: NetworkId,
        /// The network here.
        own: NetworkId,
    },
    /// It is dated in the future.
    #[error("departure: made at {made_at}, after the time here, {now}; compare the clocks")]
    MadeInFuture {
        /// When it says it was made.
        made_at: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// It names nobody on the member list.
    #[error("departure: {member} is not on the member list here; take the newest list first")]
    NotAMember {
        /// Whom it names.
        member: MemberId,
    },
    /// It is signed by another key than the one that the member list pins.
    #[error(
        "departure: it is not signed by the identity key that the member list pins for {member}; \
         leave from the node that holds that key"
    )]
    OtherKey {
        /// Whom it names.
        member: MemberId,
    },
    /// As many wait for the administrators as are kept.
    #[error(
        "departure: {DEPARTURES_MAX} members that left wait for the next member list already; ask \
         the administrators to sign one"
    )]
    Full,
    /// It could not be noted first.
    #[error("departure: it cannot be noted: {reason}; nothing changed")]
    NotNoted {
        /// What failed.
        reason: String,
    },
}

/// A member's own word that it leaves, signed by its identity key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Departure {
    /// Always [`Departure::FORMAT`].
    pub format: String,
    /// The network's id.
    #[serde(with = "name")]
    pub network: NetworkId,
    /// Who leaves.
    #[serde(with = "name")]
    pub member: MemberId,
    /// The identity key that signs.
    #[serde(with = "hex")]
    pub identity_key: [u8; 32],
    /// Version of the member list that the member had.
    pub list_version: u32,
    /// When it was written.
    #[serde(with = "moment")]
    pub made_at: Timestamp,
}

impl Document for Departure {
    const FORMAT: &'static str = "creditmesh/departure/1";
    const BYTES_MAX: usize = DEPARTURE_BYTES_MAX;

    fn format(&self) -> &str {
        &self.format
    }
}

impl Departure {
    /// Whether a text is meant to be a departure; nothing of it is checked.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        Signed::<Self>::parse(text).is_ok()
    }

    /// Reads one that is signed by the key that it names, for this network.
    fn read(text: &str, network: &NetworkId) -> Result<Self, DepartureError> {
        let signed = Signed::<Self>::parse(text)?;
        let document = signed.document();
        if document.network != *network {
            return Err(DepartureError::OtherNetwork {
                found: document.network.clone(),
                own: network.clone(),
            });
        }
        signed.require(&[document.identity_key], 1)?;
        Ok(document.clone())
    }
}

/// Writes and signs a member's departure.
///
/// # Errors
/// [`DepartureError::Document`].
pub fn depart(
    identity: &IdentityKey,
    roster: &Roster,
    member: &MemberId,
    now: Timestamp,
) -> Result<String, DepartureError> {
    let mut departure = Signed::unsigned(Departure {
        format: Departure::FORMAT.to_owned(),
        network: roster.network().clone(),
        member: member.clone(),
        identity_key: identity.public(),
        list_version: roster.version(),
        made_at: now,
    });
    departure.sign(identity)?;
    Ok(departure.to_text()?)
}

/// The departures that are known and that no list says yet, at most [`DEPARTURES_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Departures(BTreeMap<MemberId, Departed>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Departed {
    at: Timestamp,
    text: String,
}

impl Departures {
    /// Those that this machine kept, each judged when it came: the key that the list pinned then
    /// may have been replaced since. What is none is left out.
    #[must_use]
    pub fn kept(network: &NetworkId, texts: &[String]) -> Self {
        let read = |text: &String| {
            let departure = Departure::read(text, network).ok()?;
            let at = departure.made_at;
            let text = text.clone();
            Some((departure.member, Departed { at, text }))
        };
        Self(texts.iter().filter_map(read).take(DEPARTURES_MAX).collect())
    }

    /// These and a new one; `None` where it is known already, or the list says so.
    ///
    /// # Errors
    /// [`DepartureError`].
    pub fn with(
        &self,
        roster: &Roster,
        text: &str,
        now: Timestamp,
    ) -> Result<Option<(Self, MemberId)>, DepartureError> {
        let departure = Departure::read(text, roster.network())?;
        let member = departure.member;
        let Some(entry) = roster.member(&member) else {
            return Err(DepartureError::NotAMember { member });
        };
        if entry.state == MemberState::Removed || self.0.contains_key(&member) {
            return Ok(None);
        }
        if entry.identity_key != departure.identity_key {
            return Err(DepartureError::OtherKey { member });
        }
        let made_at = departure.made_at;
        if made_at > now.plus(CLOCK_SKEW_MAX) {
            return Err(DepartureError::MadeInFuture { made_at, now });
        }
        if self.0.len() >= DEPARTURES_MAX {
            return Err(DepartureError::Full);
        }
        let mut next = self.clone();
        let text = text.to_owned();
        next.0
            .insert(member.clone(), Departed { at: made_at, text });
        Ok(Some((next, member)))
    }

    /// Those that a list does not say yet: of members that it does not name as removed.
    #[must_use]
    pub fn beyond(&self, roster: &Roster) -> Self {
        let open = |member: &MemberId| {
            let entry = roster.member(member);
            entry.is_none_or(|entry| entry.state != MemberState::Removed)
        };
        let left = self.0.iter().filter(|(member, _)| open(member));
        Self(left.map(|(id, left)| (id.clone(), left.clone())).collect())
    }

    /// When a member said that it leaves; `None` where it did not.
    #[must_use]
    pub fn left_at(&self, member: &MemberId) -> Option<Timestamp> {
        self.0.get(member).map(|left| left.at)
    }

    /// Who left.
    pub fn members(&self) -> impl Iterator<Item = &MemberId> {
        self.0.keys()
    }

    /// The documents, to be kept and handed on.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.0.values().map(|left| left.text.clone()).collect()
    }

    /// Whether nobody left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
