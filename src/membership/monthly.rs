//! A member's signed counts of one month: what it says of itself to all its peers.

use super::statement::named;
use crate::crypto::{IdentityKey, labels, verify};
use crate::domain::{MemberId, Month, MonthlyCounts, NetworkId};

/// Counts of one month, signed by the identity key. They prove nothing until
/// [`MonthlyStatement::is_by`] says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthlyStatement {
    /// The month.
    pub month: Month,
    /// What is stated.
    pub counts: MonthlyCounts,
    /// The identity key's signature.
    pub signature: [u8; 64],
}

impl MonthlyStatement {
    /// Signs the counts of a month.
    #[must_use]
    pub fn make(
        identity: &IdentityKey,
        network: &NetworkId,
        member: &MemberId,
        (month, counts): (Month, MonthlyCounts),
    ) -> Self {
        Self {
            month,
            counts,
            signature: identity.sign(&message(network, member, month, &counts)),
        }
    }

    /// Whether `identity_key` made this statement, for this member.
    #[must_use]
    pub fn is_by(&self, identity_key: &[u8; 32], network: &NetworkId, member: &MemberId) -> bool {
        let message = message(network, member, self.month, &self.counts);
        verify(identity_key, &message, &self.signature).is_ok()
    }
}

/// Label, network, zero, member, zero, month, then the ten counts; numbers of 4 bytes in network
/// byte order.
fn message(
    network: &NetworkId,
    member: &MemberId,
    month: Month,
    counts: &MonthlyCounts,
) -> Vec<u8> {
    let mut message = named(labels::MONTHLY_COUNTS, network, member);
    message.extend_from_slice(&month.number().to_be_bytes());
    for number in counts.to_numbers() {
        message.extend_from_slice(&number.to_be_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;

    #[test]
    fn a_statement_holds_for_its_key_member_network_month_and_counts_only() {
        let identity = |seed| IdentityKey::from_seed(&Secret::from_bytes([seed; 32]));
        let (network, member) = ("net".parse().unwrap(), "bank-a".parse().unwrap());
        let counts = MonthlyCounts::from_numbers([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        let month = Month::parse("2026-02").unwrap();
        let made = MonthlyStatement::make(&identity(1), &network, &member, (month, counts));
        let key = identity(1).public();
        assert!(made.is_by(&key, &network, &member));
        assert!(!made.is_by(&identity(2).public(), &network, &member));
        assert!(!made.is_by(&key, &"other".parse().unwrap(), &member));
        assert!(!made.is_by(&key, &network, &"bank-b".parse().unwrap()));
        let later = MonthlyStatement {
            month: month.next(),
            ..made.clone()
        };
        assert!(!later.is_by(&key, &network, &member));
        for at in 0..MonthlyCounts::NUMBERS {
            let mut numbers = counts.to_numbers();
            numbers[at] += 1;
            let altered = MonthlyStatement {
                counts: MonthlyCounts::from_numbers(numbers),
                ..made.clone()
            };
            assert!(!altered.is_by(&key, &network, &member), "count {at}");
        }
    }
}
