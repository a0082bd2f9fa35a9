//! What `conclude` is given: who asks, and what each member answered.

use crate::domain::{
    Bands, Day, GroupCode, LenderGroup, Level, MemberId, NetworkId, Role, SilentReason, Summary,
    Timestamp,
};

/// Who asks, and under which terms.
#[derive(Debug, Clone)]
pub struct AskerContext {
    /// The network, which enters the codes of lender groups.
    pub network: NetworkId,
    /// The asker's lender group; nothing of it is counted.
    pub lender_group: LenderGroup,
    /// The level at which the asker is answered.
    pub level: Level,
    /// The network's bands.
    pub bands: Bands,
    /// Whether the query carried a national identifier. Without one no member can say anything
    /// that counts, and all are silent.
    pub asked_national: bool,
    /// The borrower's stated income in a month, in minor units of the bands' currency.
    pub income_month_minor: Option<u64>,
    /// What the asker itself publishes of the borrower, to tell its own signals in a bureau's book
    /// from those of others.
    pub own: Option<Summary>,
    /// Whether an earlier answer about the borrower changed since the last one was given.
    pub revised: bool,
}

impl AskerContext {
    /// A lender that asks at full level by a national identifier, and says nothing about income.
    #[must_use]
    pub const fn new(network: NetworkId, lender_group: LenderGroup, bands: Bands) -> Self {
        Self {
            network,
            lender_group,
            level: Level::Full,
            bands,
            asked_national: true,
            income_month_minor: None,
            own: None,
            revised: false,
        }
    }

    /// The code of the asker's lender group.
    #[must_use]
    pub fn group_code(&self) -> GroupCode {
        GroupCode::of(&self.network, &self.lender_group)
    }
}

/// What the asker saw of one other member.
#[derive(Debug, Clone)]
pub struct PeerView {
    /// The member.
    pub member: MemberId,
    /// Its lender group.
    pub lender_group: LenderGroup,
    /// Its role; regulators are left out of everything.
    pub role: Role,
    /// The level at which it contributes.
    pub level: Level,
    /// Its weight in the member list.
    pub weight: u32,
    /// How far what it says is believed.
    pub standing: PeerStanding,
    /// What it answered.
    pub seen: Seen,
}

/// What is known of a member that decides how far its word is believed. The default is that of a
/// member of whom nothing is known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerStanding {
    /// Adverse reports that proved right.
    pub upheld: u32,
    /// Adverse reports that proved wrong.
    pub overturned: u32,
    /// It is in quarantine; what it published since then says nothing adverse on its own.
    pub quarantined_since: Option<Timestamp>,
    /// Somebody here called it troubled; what it published since then weighs half where it is
    /// adverse.
    pub troubled_since: Option<Timestamp>,
}

/// What a member answered.
#[derive(Debug, Clone)]
pub enum Seen {
    /// It answered, and its mirror is current up to `as_of`.
    Answered {
        /// What it publishes of the national identifier, if anything.
        national: Option<Box<Summary>>,
        /// What it publishes of the telephone number, if anything.
        phone: Option<Box<Summary>>,
        /// The moment of its checkpoint up to which its feed was read.
        as_of: Timestamp,
        /// The day on which this node took the newer of the two; `None` where it does not know.
        taken_on: Option<Day>,
    },
    /// It did not answer in a way that can be used.
    Silent {
        /// Why.
        reason: SilentReason,
    },
}
