//! A loan account: what was lent, what is owed, and how it has been repaid.

use std::fmt;

use super::ids::word_enum;
use super::{Day, LenderGroup, Money, Timestamp};

word_enum!(
    /// What kind of credit a loan or application is about.
    Product {
        /// Short cash loan (payday, cash loan).
        CashLoan = "cash-loan",
        /// Unsecured loan repaid in instalments.
        InstalmentUnsecured = "instalment-unsecured",
        /// Instalments tied to a purchase.
        ConsumerInstalment = "consumer-instalment",
        /// Buy now, pay later.
        Bnpl = "bnpl",
        /// Revolving line or card: the limit is reused.
        Revolving = "revolving",
        /// Loan to a micro or household business.
        MicroBusiness = "micro-business",
        /// Loan listed on a peer-to-peer platform.
        P2pListing = "p2p-listing",
        /// Loan with collateral.
        Secured = "secured",
    }
);

impl Product {
    /// Whether the loan has a fixed principal that only falls: everything but revolving credit.
    #[must_use]
    pub fn is_closed_end(self) -> bool {
        self != Self::Revolving
    }
}

word_enum!(
    /// What the borrower is to the loan.
    LoanRole {
        /// The only borrower.
        Sole = "sole",
        /// One of several borrowers, each liable.
        Joint = "joint",
        /// Guarantees another's loan.
        Guarantor = "guarantor",
    }
);

word_enum!(
    /// Where a loan is in its life. The step before, a signed contract not yet booked, is a hold.
    LoanState {
        /// Running: money is or may become owed.
        Active = "active",
        /// Repaid in full.
        Paid = "paid",
        /// Closed for less than was owed.
        SettledLess = "settled-less",
        /// Written off by the lender; still owed.
        ChargedOff = "charged-off",
        /// Sold or assigned; the new holder reports it.
        Transferred = "transferred",
        /// Signed, never paid out.
        Void = "void",
    }
);

impl LoanState {
    /// Whether nothing is owed to this lender any more.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        match self {
            Self::Paid | Self::SettledLess | Self::Transferred | Self::Void => true,
            Self::Active | Self::ChargedOff => false,
        }
    }
}

word_enum!(
    /// Special handling of a loan.
    Treatment {
        /// None.
        None = "none",
        /// Terms were changed because the borrower could not pay.
        Restructured = "restructured",
        /// Payments are paused by agreement.
        Forbearance = "forbearance",
        /// Relief after a disaster.
        Disaster = "disaster",
        /// In insolvency proceedings.
        Insolvency = "insolvency",
        /// The borrower died.
        Deceased = "deceased",
    }
);

word_enum!(
    /// Whether the borrower disputes a loan record.
    Dispute {
        /// No dispute.
        None = "none",
        /// Under investigation (Metro 2 `XB`).
        Open = "open",
        /// Investigated; the borrower still disagrees (Metro 2 `XC`).
        ResolvedDisagrees = "resolved-disagrees",
        /// Investigated and settled (Metro 2 `XH`).
        Resolved = "resolved",
    }
);

word_enum!(
    /// How late a loan is, in bands of days past due, with the Metro 2 account status of each.
    DpdBucket {
        /// Not late (Metro 2 `11`).
        Current = "current",
        /// 1 to 29 days (Metro 2 `11`).
        D1To29 = "d1-29",
        /// 30 to 59 days (Metro 2 `71`).
        D30To59 = "d30-59",
        /// 60 to 89 days (Metro 2 `78`).
        D60To89 = "d60-89",
        /// 90 to 119 days (Metro 2 `80`).
        D90To119 = "d90-119",
        /// 120 to 149 days (Metro 2 `82`).
        D120To149 = "d120-149",
        /// 150 to 179 days (Metro 2 `83`).
        D150To179 = "d150-179",
        /// 180 days and more (Metro 2 `84`).
        D180Plus = "d180p",
    }
);

impl DpdBucket {
    /// The band that `dpd` days past due lie in.
    #[must_use]
    pub const fn of_days(dpd: u16) -> Self {
        match dpd {
            0 => Self::Current,
            1..=29 => Self::D1To29,
            30..=59 => Self::D30To59,
            60..=89 => Self::D60To89,
            90..=119 => Self::D90To119,
            120..=149 => Self::D120To149,
            150..=179 => Self::D150To179,
            180.. => Self::D180Plus,
        }
    }

    /// The Metro 2 account status of the band.
    #[must_use]
    pub const fn metro2_status(self) -> &'static str {
        match self {
            Self::Current | Self::D1To29 => "11",
            Self::D30To59 => "71",
            Self::D60To89 => "78",
            Self::D90To119 => "80",
            Self::D120To149 => "82",
            Self::D150To179 => "83",
            Self::D180Plus => "84",
        }
    }
}

word_enum!(
    /// How one past month of a loan went; one character of the payment history.
    MonthStatus {
        /// Not open, or nothing known.
        Unknown = ".",
        /// Paid as agreed.
        Current = "0",
        /// 1 to 29 days past due.
        D1To29 = "1",
        /// 30 to 59 days past due.
        D30To59 = "2",
        /// 60 to 89 days past due.
        D60To89 = "3",
        /// 90 to 119 days past due.
        D90To119 = "4",
        /// 120 to 149 days past due.
        D120To149 = "5",
        /// 150 to 179 days past due.
        D150To179 = "6",
        /// 180 or more days past due.
        D180Plus = "7",
        /// With a debt collector.
        Collection = "G",
        /// Charged off.
        ChargedOff = "L",
        /// Open, nothing owed.
        ZeroBalance = "Z",
    }
);

impl MonthStatus {
    /// The Metro 2 payment-history character; it has none for 1 to 29 days past due.
    #[must_use]
    pub const fn metro2(self) -> char {
        match self {
            Self::Unknown => 'B',
            Self::Current | Self::D1To29 => '0',
            Self::D30To59 => '1',
            Self::D60To89 => '2',
            Self::D90To119 => '3',
            Self::D120To149 => '4',
            Self::D150To179 => '5',
            Self::D180Plus => '6',
            Self::Collection => 'G',
            Self::ChargedOff => 'L',
            Self::ZeroBalance => 'E',
        }
    }

    /// The monthly status of a report of the Chinese central bank's credit centre. Its bands are
    /// a day longer (1 to 30, 31 to 60, …), so the nearest band stands for ours.
    #[must_use]
    pub const fn pboc(self) -> char {
        match self {
            Self::Unknown => '/',
            Self::Current => 'N',
            Self::D1To29 => '1',
            Self::D30To59 => '2',
            Self::D60To89 => '3',
            Self::D90To119 => '4',
            Self::D120To149 => '5',
            Self::D150To179 => '6',
            Self::D180Plus => '7',
            Self::Collection | Self::ChargedOff => 'B',
            Self::ZeroBalance => '*',
        }
    }
}

/// Months in a payment history.
pub const HISTORY_MONTHS: usize = 24;

/// The last 24 months of a loan, newest first, up to the month before `as_of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct History([MonthStatus; HISTORY_MONTHS]);

impl Default for History {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

impl History {
    /// A history of which nothing is known.
    pub const UNKNOWN: Self = Self([MonthStatus::Unknown; HISTORY_MONTHS]);

    /// The history with these months, newest first.
    #[must_use]
    pub const fn of(months: [MonthStatus; HISTORY_MONTHS]) -> Self {
        Self(months)
    }

    /// The months, newest first.
    #[must_use]
    pub const fn months(&self) -> &[MonthStatus; HISTORY_MONTHS] {
        &self.0
    }

    /// The history written in exactly 24 characters of the [`MonthStatus`] alphabet.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut months = [MonthStatus::Unknown; HISTORY_MONTHS];
        let mut characters = text.chars();
        for month in &mut months {
            let mut buffer = [0; 4];
            *month = MonthStatus::from_word(characters.next()?.encode_utf8(&mut buffer))?;
        }
        characters.next().is_none().then_some(Self(months))
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|month| f.write_str(month.word()))
    }
}

/// A loan account as its lender reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loan {
    /// The member's own reference, stable for the loan's life, 1 to 64 characters. Private.
    pub account_ref: String,
    /// The economic lender; `None` means the furnishing member's own group.
    pub lender_group: Option<LenderGroup>,
    /// What kind of credit.
    pub product: Product,
    /// What the borrower is to it.
    pub role: LoanRole,
    /// Where it is in its life.
    pub state: LoanState,
    /// When the contract was signed.
    pub signed_at: Timestamp,
    /// When the money was paid out.
    pub funded_at: Option<Timestamp>,
    /// First day of the account.
    pub opened_on: Day,
    /// Day on which the last payment falls due; none for open-ended credit.
    pub maturity_on: Option<Day>,
    /// Day on which it was closed.
    pub closed_on: Option<Day>,
    /// What was lent (revolving: the highest balance so far).
    pub principal: Money,
    /// What is owed now, fees included.
    pub outstanding: Money,
    /// The part of `outstanding` that is overdue.
    pub past_due: Money,
    /// The regular payment.
    pub instalment: Option<Money>,
    /// The most that may be drawn.
    pub credit_limit: Option<Money>,
    /// Agreed length in days; 0 for open-ended credit.
    pub term_days: u16,
    /// Annual percentage rate in hundredths of a percent.
    pub apr_bps: Option<u32>,
    /// Days past due of the oldest unpaid instalment.
    pub dpd: u16,
    /// First day of the present delinquency: the retention clock.
    pub first_delinquency_on: Option<Day>,
    /// The last 24 months.
    pub history: History,
    /// Instalments paid on time.
    pub n_on_time: u16,
    /// Instalments paid late.
    pub n_late: u16,
    /// Instalments that fell due and are unpaid.
    pub n_missed: u16,
    /// Special handling.
    pub treatment: Treatment,
    /// Whether the borrower disputes the record.
    pub dispute: Dispute,
    /// Eight random bytes that both parties of a transfer report, so that it counts once.
    pub transfer_link: Option<[u8; 8]>,
    /// SHA-256 hash of the consent (purpose, time, expiry, text version).
    pub consent_ref: Option<[u8; 32]>,
}

impl Loan {
    /// A running, current loan of `principal` signed at `signed_at`, all of it outstanding.
    ///
    /// It is opened on the day of signing; every optional field is empty. Change fields as needed.
    #[must_use]
    pub fn new(
        account_ref: String,
        product: Product,
        principal: Money,
        signed_at: Timestamp,
    ) -> Self {
        Self {
            account_ref,
            lender_group: None,
            product,
            role: LoanRole::Sole,
            state: LoanState::Active,
            signed_at,
            funded_at: None,
            opened_on: signed_at.day(),
            maturity_on: None,
            closed_on: None,
            principal,
            outstanding: principal,
            past_due: Money::zero(principal.currency),
            instalment: None,
            credit_limit: None,
            term_days: 0,
            apr_bps: None,
            dpd: 0,
            first_delinquency_on: None,
            history: History::UNKNOWN,
            n_on_time: 0,
            n_late: 0,
            n_missed: 0,
            treatment: Treatment::None,
            dispute: Dispute::None,
            transfer_link: None,
            consent_ref: None,
        }
    }

    /// How late the loan is.
    #[must_use]
    pub const fn bucket(&self) -> DpdBucket {
        DpdBucket::of_days(self.dpd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_past_due_fall_into_their_band_and_status() {
        for (first, last, bucket, status) in [
            (0, 0, DpdBucket::Current, "11"),
            (1, 29, DpdBucket::D1To29, "11"),
            (30, 59, DpdBucket::D30To59, "71"),
            (60, 89, DpdBucket::D60To89, "78"),
            (90, 119, DpdBucket::D90To119, "80"),
            (120, 149, DpdBucket::D120To149, "82"),
            (150, 179, DpdBucket::D150To179, "83"),
            (180, u16::MAX, DpdBucket::D180Plus, "84"),
        ] {
            assert_eq!(DpdBucket::of_days(first), bucket);
            assert_eq!(DpdBucket::of_days(last), bucket);
            assert_eq!(bucket.metro2_status(), status);
        }
    }

    #[test]
    fn a_history_is_24_characters_of_its_alphabet() {
        let text = "01234567GLZ.............";
        let history = History::from_text(text).unwrap();
        assert_eq!(history.to_string(), text);
        let metro2: String = history
            .months()
            .iter()
            .map(|month| month.metro2())
            .collect();
        assert_eq!(metro2, "00123456GLEBBBBBBBBBBBBB");
        let pboc: String = history.months().iter().map(|month| month.pboc()).collect();
        assert_eq!(pboc, "N1234567BB*/////////////");
        for wrong in [
            "",
            &text[1..],
            &format!("{text}0"),
            "x.......................",
            "０",
        ] {
            assert_eq!(History::from_text(wrong), None, "{wrong}");
        }
    }
}
