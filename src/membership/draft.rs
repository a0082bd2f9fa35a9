//! Writing trust documents before they are signed: the first root, the first list, the next list.

use std::time::Duration;

use super::document::Document;
use super::list::{ListError, Member, MemberList, MemberState};
use super::network::{Administrator, RootDocument};
use super::roster::Roster;
use crate::domain::{Currency, IdentifierClass, MemberId, NetworkId, Timestamp};

const DAY: Duration = Duration::from_secs(86_400);

/// What its founders decide about a network; the rest of the root document has defaults.
#[derive(Debug, Clone)]
pub struct Founding {
    /// The network's id.
    pub network: NetworkId,
    /// Who may sign.
    pub administrators: Vec<Administrator>,
    /// How many of them must sign.
    pub threshold: u32,
    /// The X.509 root certificate in PEM.
    pub authority_pem: String,
    /// Online keys that may sign freshness statements; none where the network works by files alone.
    pub freshness_keys: Vec<[u8; 32]>,
    /// Currency of the exposure bands.
    pub currency: Currency,
    /// How many people the network's identifiers may belong to.
    pub population: u64,
}

impl RootDocument {
    /// Upper edges of the exposure bands that a new network gets, in minor units of two decimals.
    pub const EXPOSURE_BAND_EDGES_MINOR: &'static [i64] = &[
        100_000, 300_000, 450_000, 600_000, 800_000, 1_000_000, 1_300_000, 1_600_000, 2_000_000,
        2_500_000, 3_200_000, 4_000_000, 5_000_000, 7_500_000,
    ];

    /// The first root document of a network: five years, key epochs of 30 days that overlap for 7
    /// and are announced 7 days ahead, beginning with the UTC day of `now`.
    #[must_use]
    pub fn found(founding: Founding, now: Timestamp) -> Self {
        Self {
            format: Self::FORMAT.to_owned(),
            network: founding.network,
            version: 1,
            previous: None,
            issued_at: now,
            expires_at: now.plus(DAY.saturating_mul(5 * 365)),
            administrators: founding.administrators,
            threshold: founding.threshold,
            authorities: vec![founding.authority_pem],
            tainted: Vec::new(),
            freshness_keys: founding.freshness_keys,
            genesis_at: now.day().start(),
            epoch_days: 30,
            overlap_days: 7,
            announce_days: 7,
            identifier_classes: vec![IdentifierClass::National, IdentifierClass::Phone],
            currency: founding.currency,
            exposure_band_edges_minor: Self::EXPOSURE_BAND_EDGES_MINOR.to_vec(),
            population: founding.population,
        }
    }
}

impl MemberList {
    /// The first list of a network, with nobody on it.
    #[must_use]
    pub fn first(network: &NetworkId, now: Timestamp, life: Duration) -> Self {
        Self {
            format: Self::FORMAT.to_owned(),
            network: network.clone(),
            version: 1,
            root_version: 1,
            issued_at: now,
            expires_at: now.plus(life),
            previous: None,
            members: Vec::new(),
        }
    }

    /// The list that follows `held`, with the same members; those that left are removed.
    #[must_use]
    pub fn following(held: &Roster, now: Timestamp, life: Duration) -> Self {
        let mut next = Self {
            format: Self::FORMAT.to_owned(),
            network: held.network().clone(),
            version: held.version().saturating_add(1),
            root_version: held.list().root_version,
            issued_at: now.max(held.list().issued_at),
            expires_at: now.plus(life),
            previous: Some(*held.digest()),
            members: held.list().members.clone(),
        };
        for member in &mut next.members {
            if held.departures().left_at(&member.id).is_some() {
                member.state = MemberState::Removed;
            }
        }
        next
    }

    /// Adds a member.
    ///
    /// # Errors
    /// [`ListError::InvalidMember`] where its id or key was given before, or a rule is broken.
    pub fn enter(&mut self, member: Member) -> Result<(), ListError> {
        self.members.push(member);
        self.check().inspect_err(|_| {
            self.members.pop();
        })
    }

    /// Changes a member's state.
    ///
    /// # Errors
    /// [`ListError::InvalidMember`] where there is no such member, or it was removed before.
    pub fn set_state(&mut self, id: &MemberId, state: MemberState) -> Result<(), ListError> {
        let refuse = |rule| {
            Err(ListError::InvalidMember {
                member: id.clone(),
                rule,
            })
        };
        let Some(member) = self.members.iter_mut().find(|member| member.id == *id) else {
            return refuse("there is no such member");
        };
        if member.state == MemberState::Removed && state != MemberState::Removed {
            return refuse("a removed member stays removed; it joins under a new id");
        }
        member.state = state;
        Ok(())
    }
}
