//! What became of a member's adverse reports, as far as the states that it published one after the
//! other show it.

use crate::domain::{GroupCode, HourMark, LoanStage, SignalMark, Summary};

/// What became of an adverse report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proven {
    /// It ended as something true ends: made good, cured, paid.
    Upheld,
    /// It vanished, as if it had never been.
    Overturned,
}

/// What became of the defaults, frauds and first-payment defaults in the states that a member
/// published of one borrower, the oldest first; each with the place of the state that shows it.
///
/// A dispute suspends a report, and is no end of it. A report that ended because it had become too
/// old to tell looks like one that was taken back; it is counted as such.
#[must_use]
pub fn proven(states: &[Summary]) -> Vec<(usize, Proven)> {
    let mut found = Vec::new();
    let mut open: Option<Vec<(HourMark, GroupCode)>> = None;
    for (place, state) in states.iter().enumerate() {
        if is_adverse(state) {
            let known = open.get_or_insert_default();
            known.extend(defaulted(state));
            continue;
        }
        if state.disputed {
            continue;
        }
        if let Some(loans) = open.take() {
            let made_good = state.cured_on.is_some()
                || state.last_arrears.d90.is_some()
                || accounts(state).any(|account| loans.contains(&account));
            let proven = if made_good {
                Proven::Upheld
            } else {
                Proven::Overturned
            };
            found.push((place, proven));
        }
    }
    found
}

fn is_adverse(state: &Summary) -> bool {
    let signalled = [
        SignalMark::Default,
        SignalMark::ChargeOff,
        SignalMark::FirstPaymentDefault,
        SignalMark::FraudConfirmed,
    ];
    let told = state.loans.as_slice().iter();
    told.clone()
        .any(|loan| loan.stage.is_default() && !loan.disputed)
        || signalled.iter().any(|mark| state.signals.contains(*mark))
}

/// The accounts in default, by the hour of signature and the group.
fn defaulted(state: &Summary) -> impl Iterator<Item = (HourMark, GroupCode)> {
    let loans = state.loans.as_slice().iter();
    loans
        .filter(|loan| loan.stage.is_default() && loan.stage != LoanStage::Signalled90)
        .map(|loan| (loan.signed, loan.group))
}

fn accounts(state: &Summary) -> impl Iterator<Item = (HourMark, GroupCode)> {
    let loans = state.loans.as_slice().iter();
    loans
        .filter(|loan| loan.stage.is_account())
        .map(|loan| (loan.signed, loan.group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Band, DayMark, LoanLink, LoanMark, Marks, SignalSet, Summary, Timestamp};

    fn loan(stage: LoanStage) -> Summary {
        let signed = Timestamp::parse_rfc3339("2026-03-01T10:00:00Z").unwrap();
        Summary {
            loans: Marks::of([LoanMark {
                signed: HourMark::of(signed),
                stage,
                outstanding: Band::NOTHING,
                disputed: false,
                link: LoanLink::None,
                group: GroupCode::OWN,
            }]),
            ..Summary::default()
        }
    }

    fn fraud() -> Summary {
        let mut signals = SignalSet::default();
        signals.insert(SignalMark::FraudConfirmed);
        Summary {
            signals,
            ..Summary::default()
        }
    }

    #[test]
    fn what_vanishes_was_overturned_and_what_is_made_good_was_upheld() {
        let nothing = Summary::default();
        let taken_back = [loan(LoanStage::From90), nothing.clone()];
        assert_eq!(proven(&taken_back), [(1, Proven::Overturned)]);
        let paid = [loan(LoanStage::From90), loan(LoanStage::Closed)];
        assert_eq!(proven(&paid), [(1, Proven::Upheld)]);
        let cured = Summary {
            cured_on: Some(DayMark::of("2026-03-02".parse().unwrap())),
            ..Summary::default()
        };
        assert_eq!(proven(&[fraud(), cured]), [(1, Proven::Upheld)]);
        let again = [fraud(), nothing.clone(), fraud(), nothing];
        let both = [(1, Proven::Overturned), (3, Proven::Overturned)];
        assert_eq!(proven(&again), both);
    }

    #[test]
    fn what_stands_or_is_disputed_has_not_ended() {
        let disputed = Summary {
            disputed: true,
            ..Summary::default()
        };
        assert_eq!(proven(&[fraud(), fraud()]), []);
        assert_eq!(proven(&[fraud(), disputed.clone()]), []);
        let upheld = [fraud(), disputed.clone(), fraud()];
        assert_eq!(proven(&upheld), []);
        let lost = [fraud(), disputed, Summary::default()];
        assert_eq!(proven(&lost), [(2, Proven::Overturned)]);
        assert_eq!(proven(&[]), []);
    }
}
