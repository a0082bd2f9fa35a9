//! How many elements a member may still have evaluated, and the proof that it paid for some.

use crate::domain::{Epoch, Level, MemberId, Timestamp};
use crate::membership::{Calendar, Granted};

use super::fields::Fields;

/// First byte of an encoded row.
const FORMAT: u8 = 1;

/// What one member has spent in one epoch: kept per member and epoch, shared by a node's replicas.
/// The absent row is the default: nothing spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaRow {
    /// Elements evaluated or about to be.
    pub used: u64,
    /// The limit when the last of them was spent.
    pub limit: u64,
}

/// A stored row of the quota ledger is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row of the quota ledger is damaged; run `creditmesh node verify`")]
pub struct QuotaRowDamaged;

/// Whose quota is spent: a peer's, for evaluations under one epoch's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaAccount {
    member: MemberId,
    level: Level,
    epoch: Epoch,
    limit: u64,
    resets_at: Timestamp,
}

/// The request would go over the member's quota. Nothing was spent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the quota of epoch {epoch} has {left} of {limit} elements left and {asked} were asked for; \
     ask for fewer, wait for the next epoch at {resets_at}, or have an administrator raise it"
)]
pub struct OverBudget {
    /// The epoch whose quota it is.
    pub epoch: Epoch,
    /// Elements that the member may have evaluated in the epoch.
    pub limit: u64,
    /// Elements spent so far.
    pub used: u64,
    /// Elements left.
    pub left: u64,
    /// Elements asked for.
    pub asked: u32,
    /// When the next epoch begins with a fresh quota.
    pub resets_at: Timestamp,
}

/// The right to have so many elements evaluated, once, under one level's key of one epoch. Comes
/// only from [`spend`], is not cloned, and is consumed by the evaluation, so that no evaluation is
/// unmetered. It counts only once the row that came with it is durable.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct QueryPermit {
    member: MemberId,
    level: Level,
    epoch: Epoch,
    elements: u32,
}

impl QuotaAccount {
    /// The account of a member that was granted evaluation under the keys of `epoch`.
    #[must_use]
    pub fn of(granted: &Granted, epoch: Epoch, calendar: &Calendar) -> Self {
        Self {
            member: granted.member().clone(),
            level: granted.level(),
            epoch,
            limit: granted.quota_elements_per_epoch(),
            resets_at: calendar.begins_at(epoch.next()),
        }
    }

    /// The member.
    #[must_use]
    pub const fn member(&self) -> &MemberId {
        &self.member
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The level under whose key is evaluated.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }
}

/// Spends `elements` of an account: the row to write durably, then the permit to evaluate with.
///
/// # Errors
/// [`OverBudget`] where fewer are left under the limit that the member list gives now.
pub fn spend(
    row: QuotaRow,
    account: &QuotaAccount,
    elements: u32,
) -> Result<(QuotaRow, QueryPermit), OverBudget> {
    let used = row.used.checked_add(u64::from(elements));
    let Some(used) = used.filter(|used| *used <= account.limit) else {
        return Err(OverBudget {
            epoch: account.epoch,
            limit: account.limit,
            used: row.used,
            left: account.limit.saturating_sub(row.used),
            asked: elements,
            resets_at: account.resets_at,
        });
    };
    let permit = QueryPermit {
        member: account.member.clone(),
        level: account.level,
        epoch: account.epoch,
        elements,
    };
    Ok((
        QuotaRow {
            used,
            limit: account.limit,
        },
        permit,
    ))
}

impl QueryPermit {
    /// The right to have the same elements evaluated again: for a request whose debit is durable
    /// already, found under its request id and the root of its batch.
    pub fn repeated(account: &QuotaAccount, elements: u32) -> Self {
        Self {
            member: account.member.clone(),
            level: account.level,
            epoch: account.epoch,
            elements,
        }
    }

    /// Who paid.
    #[must_use]
    pub const fn member(&self) -> &MemberId {
        &self.member
    }

    /// Under which level's key.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Under which epoch's keys.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// For how many elements.
    #[must_use]
    pub const fn elements(&self) -> u32 {
        self.elements
    }
}

impl QuotaRow {
    /// For storage: format byte 1, used, limit (8 bytes each, big-endian).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT];
        row.extend(self.used.to_be_bytes());
        row.extend(self.limit.to_be_bytes());
        row
    }

    /// The row that [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`QuotaRowDamaged`] where it did not.
    pub fn decode(row: &[u8]) -> Result<Self, QuotaRowDamaged> {
        Self::read(Fields::of(row)).ok_or(QuotaRowDamaged)
    }

    fn read(mut row: Fields<'_>) -> Option<Self> {
        (row.byte()? == FORMAT).then_some(())?;
        let (used, limit) = (row.number()?, row.number()?);
        row.end()?;
        Some(Self { used, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(limit: u64) -> QuotaAccount {
        QuotaAccount {
            member: "lender-a".parse().unwrap(),
            level: Level::Full,
            epoch: Epoch(3),
            limit,
            resets_at: Timestamp::parse_rfc3339("2026-04-01T00:00:00Z").unwrap(),
        }
    }

    #[test]
    fn elements_are_spent_up_to_the_limit_and_not_one_beyond() {
        let (row, permit) = spend(QuotaRow::default(), &account(10), 4).unwrap();
        assert_eq!(row, QuotaRow { used: 4, limit: 10 });
        assert_eq!((permit.elements(), permit.level()), (4, Level::Full));
        assert_eq!(
            (permit.epoch(), permit.member().as_str()),
            (Epoch(3), "lender-a")
        );
        let (row, _) = spend(row, &account(10), 6).unwrap();
        let over = spend(row, &account(10), 1).unwrap_err();
        assert_eq!((over.used, over.left, over.asked), (10, 0, 1));
        assert!(over.to_string().contains("2026-04-01"), "{over}");
    }

    #[test]
    fn a_lowered_limit_counts_what_was_spent_before() {
        let row = QuotaRow { used: 8, limit: 10 };
        let over = spend(row, &account(5), 1).unwrap_err();
        assert_eq!((over.left, over.limit), (0, 5));
        assert!(spend(row, &account(9), 1).is_ok());
    }

    #[test]
    fn counters_never_wrap() {
        let row = QuotaRow {
            used: u64::MAX,
            limit: u64::MAX,
        };
        assert!(spend(row, &account(u64::MAX), 1).is_err());
        assert!(spend(row, &account(u64::MAX), 0).is_ok());
    }

    #[test]
    fn rows_round_trip_and_damaged_ones_are_refused() {
        let row = QuotaRow { used: 7, limit: 9 };
        let bytes = row.encode();
        assert_eq!(QuotaRow::decode(&bytes), Ok(row));
        for length in 0..bytes.len() {
            assert_eq!(QuotaRow::decode(&bytes[..length]), Err(QuotaRowDamaged));
        }
        assert!(QuotaRow::decode(&[&bytes[..], &[0]].concat()).is_err());
        assert!(QuotaRow::decode(&[&[2], &bytes[1..]].concat()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_order_of_requests_spends_more_than_the_limit(
            limit in 0..5_000_u64,
            requests in proptest::collection::vec(0..900_u32, 0..40),
        ) {
            let (mut row, mut granted) = (QuotaRow::default(), 0);
            for elements in requests {
                match spend(row, &account(limit), elements) {
                    Ok((next, permit)) => {
                        row = next;
                        granted += u64::from(permit.elements());
                    }
                    Err(over) => proptest::prop_assert!(over.left < u64::from(elements)),
                }
            }
            proptest::prop_assert!(granted <= limit);
            proptest::prop_assert_eq!(granted, row.used);
        }
    }
}
