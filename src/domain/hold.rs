//! A hold: a signed contract, visible within seconds, until it is a loan, is released, or expires.

use std::time::Duration;

use super::{LenderGroup, Money, RecordId, Timestamp};
use crate::limits::HOLD_LIFE_DEFAULT_H;

const HOUR: Duration = Duration::from_secs(3_600);

/// Where a hold is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// The contract is signed; the loan is not booked yet.
    Live,
    /// It became a loan.
    Converted {
        /// The loan's record.
        loan: RecordId,
    },
    /// Given up before the money was paid out.
    Released,
    /// Its time ran out.
    Expired,
}

impl HoldState {
    /// The word for it in files and in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Converted { .. } => "converted",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}

/// A signed contract that is not yet a booked loan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The application that it came from.
    pub application: Option<RecordId>,
    /// The economic lender; `None` means the furnishing member's own group.
    pub lender_group: Option<LenderGroup>,
    /// The amount that is about to be paid out.
    pub amount: Money,
    /// When the contract was signed.
    pub signed_at: Timestamp,
    /// When it lapses by itself: after 72 hours by default, 7 days at most.
    pub expires_at: Timestamp,
    /// Where it is in its life.
    pub state: HoldState,
}

impl Hold {
    /// A live hold with the default life.
    #[must_use]
    pub fn new(amount: Money, signed_at: Timestamp) -> Self {
        Self {
            application: None,
            lender_group: None,
            amount,
            signed_at,
            expires_at: signed_at.plus(HOUR.saturating_mul(HOLD_LIFE_DEFAULT_H)),
            state: HoldState::Live,
        }
    }

    /// Whether it stands at `now`: not past its time, and neither converted nor given up.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.state == HoldState::Live && now < self.expires_at
    }
}
