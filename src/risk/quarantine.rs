//! When a member files so much that a person should look: against its own past, and against others.

use std::fmt;

use crate::domain::MonthlyCounts;

/// Months that make a member's own base.
pub const BASE_MONTHS: usize = 6;

/// Fewer months than this are no base.
const BASE_MONTHS_MIN: usize = 3;

/// Fewer filings than this in a month are no jump, whatever they are compared with.
const FILINGS_MIN: u32 = 5;

/// Fewer peers than this with a similar book are nothing to compare with.
const PEERS_MIN: usize = 5;

/// A book is similar if it is at most so many times as large, or as small.
const SIMILAR: u64 = 4;

/// Filings above this many times the median of similar peers are a jump.
const PEERS_TIMES: u64 = 4;

/// Filings above the base by more than this many deviations are a jump.
const DEVIATIONS: u64 = 3;

/// Rates are filings for so many accounts.
const MILLION: u64 = 1_000_000;

/// How a member's filings jumped; rates are filings in a month for each million accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// Compared with what.
    pub against: Against,
    /// What it filed.
    pub rate: u64,
    /// What it would have had to exceed.
    pub limit: u64,
}

/// What a filing rate is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The member's own last six months.
    OwnBase,
    /// Members with a similar book in the same month.
    Peers,
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = match self.against {
            Against::OwnBase => "its own last months allow",
            Against::Peers => "four times its peers is",
        };
        write!(
            f,
            "filed {} defaults for each million accounts, where {limit} {}",
            self.rate, self.limit
        )
    }
}

/// Whether a member's filings jumped in a month. `before` are its own earlier months, of which the
/// last six count; `peers` are other members' counts of the same month.
#[must_use]
pub fn filing_jump(
    before: &[MonthlyCounts],
    month: &MonthlyCounts,
    peers: &[MonthlyCounts],
) -> Option<Jump> {
    let rate = rate(month);
    if month.default_filings < FILINGS_MIN {
        return None;
    }
    let above = |against, limit: u64| {
        (rate > limit).then_some(Jump {
            against,
            rate,
            limit,
        })
    };
    let own = own_limit(before, month).and_then(|limit| above(Against::OwnBase, limit));
    own.or_else(|| peer_limit(month, peers).and_then(|limit| above(Against::Peers, limit)))
}

fn rate(counts: &MonthlyCounts) -> u64 {
    u64::from(counts.default_filings) * MILLION / u64::from(counts.accounts.max(1))
}

/// The median of its own last months and three deviations. The deviation is 1.4826 times the
/// median of the absolute deviations, but no less than what chance alone makes of such a number.
fn own_limit(before: &[MonthlyCounts], month: &MonthlyCounts) -> Option<u64> {
    let last = before.get(before.len().saturating_sub(BASE_MONTHS)..)?;
    if last.len() < BASE_MONTHS_MIN {
        return None;
    }
    let rates: Vec<u64> = last.iter().map(rate).collect();
    let middle = median(&rates)?;
    let away: Vec<u64> = rates.iter().map(|rate| rate.abs_diff(middle)).collect();
    let robust = median(&away)?.saturating_mul(14_826) / 10_000;
    let chance = (middle.saturating_mul(MILLION) / u64::from(month.accounts.max(1))).isqrt();
    Some(middle.saturating_add(DEVIATIONS.saturating_mul(robust.max(chance))))
}

/// Four times the median of the peers whose books are similar, and three deviations of what chance
/// makes of such a number. Peers of whom half filed nothing give no measure.
fn peer_limit(month: &MonthlyCounts, peers: &[MonthlyCounts]) -> Option<u64> {
    let own = u64::from(month.accounts);
    let similar = peers.iter().filter(|peer| {
        let theirs = u64::from(peer.accounts);
        theirs <= own.saturating_mul(SIMILAR) && own <= theirs.saturating_mul(SIMILAR)
    });
    let rates: Vec<u64> = similar.map(rate).collect();
    if rates.len() < PEERS_MIN {
        return None;
    }
    let limit = median(&rates)?.saturating_mul(PEERS_TIMES);
    let chance = (limit.saturating_mul(MILLION) / own.max(1)).isqrt();
    (limit > 0).then(|| limit.saturating_add(DEVIATIONS.saturating_mul(chance)))
}

/// The middle of these numbers; of two middles their mean, rounded down.
fn median(numbers: &[u64]) -> Option<u64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let upper = sorted.get(sorted.len() / 2).copied()?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = sorted.get(sorted.len() / 2 - 1).copied()?;
    Some(lower.midpoint(upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(accounts: u32, default_filings: u32) -> MonthlyCounts {
        MonthlyCounts {
            accounts,
            default_filings,
            ..MonthlyCounts::default()
        }
    }

    fn base(filings: &[u32]) -> Vec<MonthlyCounts> {
        filings.iter().map(|n| month(10_000, *n)).collect()
    }

    #[test]
    fn a_liar_that_marks_5_percent_of_its_book_jumps() {
        let before = base(&[48, 55, 51, 47, 60, 52]);
        let jump = filing_jump(&before, &month(10_000, 550), &[]).unwrap();
        assert_eq!(jump.against, Against::OwnBase);
        assert_eq!((jump.rate, jump.limit), (55_000, 7_301));
        assert_eq!(filing_jump(&before, &month(10_000, 70), &[]), None);
    }

    #[test]
    fn chance_alone_is_no_jump_where_the_past_never_moved() {
        let before = base(&[50; 6]);
        assert_eq!(filing_jump(&before, &month(10_000, 71), &[]), None);
        assert!(filing_jump(&before, &month(10_000, 72), &[]).is_some());
        assert_eq!(filing_jump(&base(&[0; 6]), &month(10_000, 4), &[]), None);
    }

    #[test]
    fn a_new_member_is_compared_with_peers_of_its_size() {
        let alike = [month(10_000, 52), month(10_000, 56)];
        let peers = [month(9_000, 40), month(20_000, 110), month(4_000, 22)];
        let peers = [&peers[..], &alike].concat();
        let jump = filing_jump(&[], &month(10_000, 300), &peers).unwrap();
        assert_eq!(jump.against, Against::Peers);
        assert_eq!((jump.rate, jump.limit), (30_000, 26_449));
        assert_eq!(filing_jump(&[], &month(10_000, 200), &peers), None);
        // Two that collude with invented months are not the median of five.
        let lied = [&peers[..3], &[month(10_000, 1); 2]].concat();
        assert_eq!(filing_jump(&[], &month(10_000, 200), &lied), None);
        assert_eq!(filing_jump(&[], &month(10_000, 300), &peers[..4]), None);
        let others = [month(900_000, 40), month(900_000, 40), month(100, 0)];
        assert_eq!(filing_jump(&[], &month(10_000, 300), &others), None);
    }

    #[test]
    fn peers_that_filed_nothing_make_nobody_jump() {
        let idle = [month(16, 0); 5];
        assert_eq!(filing_jump(&[], &month(16, 6), &idle), None);
        let (one, none) = (month(16, 1), month(16, 0));
        let few = [one, one, one, none, none];
        assert_eq!(
            filing_jump(&[], &month(16, 6), &few),
            None,
            "chance in a small book"
        );
    }

    #[test]
    fn only_the_last_six_months_are_the_base() {
        let mut before = base(&[500; 6]);
        before.extend(base(&[50; 6]));
        assert!(filing_jump(&before, &month(10_000, 300), &[]).is_some());
        assert_eq!(filing_jump(&before[..8], &month(10_000, 300), &[]), None);
    }

    #[test]
    fn no_number_overflows() {
        let most = month(u32::MAX, u32::MAX);
        let none = month(0, u32::MAX);
        for one in [most, none] {
            assert!(filing_jump(&[one; 6], &none, &[one; 6]).is_none_or(|jump| jump.rate > 0));
            assert!(filing_jump(&[none; 6], &one, &[most; 6]).is_none_or(|jump| jump.rate > 0));
        }
    }
}
