//! How a loan stands on a day: what is owed, what is late, and the history that shows it.

use crate::domain::{Day, HISTORY_MONTHS, History, Loan, Money, MonthStatus};

/// Days past due at which a loan is in default.
pub(super) const DEFAULT_DPD: i64 = 90;

/// How a loan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// This many days past due, less than 90.
    Running { dpd: i64 },
    /// In default for this many days.
    Default { days: i64 },
    /// Was in default, and was made good this many days ago.
    Cured { days: i64 },
}

impl Standing {
    /// Days past due.
    pub(super) const fn dpd(self) -> i64 {
        match self {
            Self::Running { dpd } => dpd,
            Self::Default { days } => DEFAULT_DPD + days,
            Self::Cured { .. } => 0,
        }
    }
}

/// Fills in what follows from the standing on `today`: amounts, counts, clock and history.
///
/// Principal is repaid in equal parts; instalments fall due every 30 days.
pub(super) fn settle(loan: &mut Loan, standing: Standing, today: Day) {
    let months = i64::from(loan.term_days / 30).max(1);
    let age_months = (today.unix_days() - loan.opened_on.unix_days()) / 30;
    let due = age_months.min(months);
    let dpd = standing.dpd();
    let missed = if dpd == 0 { 0 } else { (dpd / 30 + 1).min(due) };
    let left = months - (due - missed);
    let currency = loan.principal.currency;
    let outstanding = (loan.principal.minor * left / months).max(1);
    loan.outstanding = Money::of(outstanding, currency);
    let instalment = loan.instalment.map_or(outstanding, |amount| amount.minor);
    let past_due = if dpd == 0 {
        0
    } else {
        (instalment * missed.max(1)).min(outstanding)
    };
    loan.past_due = Money::of(past_due, currency);
    loan.dpd = u16::try_from(dpd).unwrap_or(u16::MAX);
    loan.first_delinquency_on = (dpd > 0).then(|| today.plus_days(-dpd));
    let late = if matches!(standing, Standing::Cured { .. }) {
        4
    } else {
        0
    };
    loan.n_missed = u16::try_from(missed).unwrap_or(u16::MAX);
    loan.n_late = late;
    loan.n_on_time = u16::try_from(due - missed)
        .unwrap_or(0)
        .saturating_sub(late);
    loan.history = history(standing, age_months);
}

/// The months before, newest first; a month counts as it stood at its end.
fn history(standing: Standing, age_months: i64) -> History {
    let mut months = [MonthStatus::Unknown; HISTORY_MONTHS];
    for (month, back) in months
        .iter_mut()
        .zip(1..)
        .take_while(|(_, back)| *back <= age_months)
    {
        let dpd_then = match standing {
            Standing::Running { .. } | Standing::Default { .. } => standing.dpd() - 30 * back,
            // Before the cure the loan had been in default for a month.
            Standing::Cured { days } if 30 * back >= days => DEFAULT_DPD + 30 - (30 * back - days),
            Standing::Cured { .. } => 0,
        };
        *month = match dpd_then {
            ..=0 => MonthStatus::Current,
            1..=29 => MonthStatus::D1To29,
            30..=59 => MonthStatus::D30To59,
            60..=89 => MonthStatus::D60To89,
            90..=119 => MonthStatus::D90To119,
            120..=149 => MonthStatus::D120To149,
            150..=179 => MonthStatus::D150To179,
            180.. => MonthStatus::D180Plus,
        };
    }
    History::of(months)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Currency, Product};

    fn loan(age_days: i64, today: Day) -> Loan {
        let principal = Money::of(360_000, Currency::USD);
        let signed_at = today.plus_days(-age_days).start();
        let mut loan = Loan::new(
            "L1".to_owned(),
            Product::InstalmentUnsecured,
            principal,
            signed_at,
        );
        loan.term_days = 36 * 30;
        loan.instalment = Some(Money::of(12_000, Currency::USD));
        loan
    }

    #[test]
    fn a_current_loan_owes_what_its_months_left() {
        let today: Day = "2026-03-02".parse().unwrap();
        let mut loan = loan(185, today);
        settle(&mut loan, Standing::Running { dpd: 0 }, today);
        assert_eq!(loan.outstanding.minor, 300_000);
        assert!(loan.past_due.is_zero() && loan.first_delinquency_on.is_none());
        assert_eq!(loan.n_on_time, 6);
        assert_eq!(loan.history.to_string(), "000000..................");
    }

    #[test]
    fn a_default_shows_in_amounts_clock_and_history() {
        let today: Day = "2026-03-02".parse().unwrap();
        let mut loan = loan(305, today);
        settle(&mut loan, Standing::Default { days: 10 }, today);
        assert_eq!((loan.dpd, loan.n_missed, loan.n_on_time), (100, 4, 6));
        assert_eq!(loan.past_due.minor, 48_000);
        assert_eq!(loan.first_delinquency_on, Some(today.plus_days(-100)));
        assert_eq!(loan.history.to_string(), "3210000000..............");
        settle(&mut loan, Standing::Cured { days: 20 }, today);
        assert_eq!((loan.dpd, loan.past_due.minor), (0, 0));
        assert_eq!(loan.history.to_string(), "4321000000..............");
    }
}
