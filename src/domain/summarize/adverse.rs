//! What speaks against a borrower, or for its protection: signals, cures, past arrears.

use std::collections::BTreeSet;
use std::time::Duration;

use super::standing::Standing;
use super::{SummaryTerms, loans};
use crate::domain::{
    Body, Day, DayMark, GroupCode, LastArrears, Level, Loan, LoanStage, LoanState, MonthStatus,
    Record, Signal, SignalKind, SignalMark, SignalSet, Treatment,
};
use crate::limits::{FIRST_PAYMENT_DAYS, SIGNAL_CURED_MONTHS};

/// An account that is only signalled.
pub(super) struct Signalled {
    pub(super) group: GroupCode,
    pub(super) stage: LoanStage,
    pub(super) disputed: bool,
}

#[derive(Default)]
pub(super) struct Adverse {
    pub(super) signals: SignalSet,
    pub(super) last_arrears: LastArrears,
    pub(super) cured_on: Option<DayMark>,
    pub(super) disputed: bool,
    pub(super) signalled: Vec<Signalled>,
    groups: BTreeSet<GroupCode>,
}

impl Adverse {
    pub(super) fn of(standing: &mut Standing<'_>, terms: &SummaryTerms<'_>) -> Self {
        let mut this = Self::default();
        let signals: Vec<_> = standing.signals().collect();
        for (record, signal) in signals {
            this.add_signal(standing, record, signal, terms);
        }
        let loans: Vec<_> = standing.loans().collect();
        for (record, loan) in loans {
            if standing.is_disputed(record) {
                this.disputed = true;
            } else {
                this.add_loan(standing, record, loan, terms);
            }
        }
        this
    }

    /// Whose groups' all this is.
    pub(super) fn source(&self) -> GroupCode {
        let mut groups = self.groups.iter();
        match (groups.next(), groups.next()) {
            (None, _) => GroupCode::OWN,
            (Some(group), None) => *group,
            (Some(_), Some(_)) => GroupCode::SEVERAL,
        }
    }

    fn add_signal(
        &mut self,
        standing: &Standing<'_>,
        record: &Record,
        signal: &Signal,
        terms: &SummaryTerms<'_>,
    ) {
        if terms.level == Level::Defaults && !told_at_defaults(signal.kind) {
            return;
        }
        if told_by_loan(standing, signal) {
            return;
        }
        let group = standing.group(record, terms);
        let disputed = standing.is_disputed(record);
        match signal.kind {
            SignalKind::Disputed => self.disputed = true,
            SignalKind::Cured => {
                // Also of a loan that is not the borrower's own, and so is not told itself.
                self.disputed |= disputed;
                if cures_default(standing, signal) {
                    self.cured(signal.event_on, group, terms);
                }
            }
            SignalKind::Dpd30
            | SignalKind::Dpd60
            | SignalKind::Dpd90
            | SignalKind::Default
            | SignalKind::ChargeOff
            | SignalKind::FirstPaymentDefault
            | SignalKind::FraudConfirmed
            | SignalKind::FraudVictim
            | SignalKind::ProtectiveRegistration
            | SignalKind::Restructured
            | SignalKind::Forbearance
            | SignalKind::Insolvency
            | SignalKind::LostContact => {
                self.disputed |= disputed;
                if let Some(stage) = signalled_stage(signal.kind) {
                    self.signalled.push(Signalled {
                        group,
                        stage,
                        disputed,
                    });
                    if !disputed {
                        self.late(signal.event_on, stage, group, terms);
                    }
                }
                if let Some(mark) = mark_of(signal.kind)
                    && !disputed
                {
                    self.insert(mark, group);
                }
            }
        }
    }

    fn add_loan(
        &mut self,
        standing: &mut Standing<'_>,
        record: &Record,
        loan: &Loan,
        terms: &SummaryTerms<'_>,
    ) {
        let group = terms.code(loan.lender_group.as_ref());
        let stage = loans::stage(loan);
        self.late(record.head.as_of.day(), stage, group, terms);
        let mut month = record.head.as_of.day().first_of_month();
        for status in loan.history.months() {
            let last_day = month.plus_days(-1);
            let stage = month_stage(*status);
            self.late(last_day, stage, group, terms);
            month = last_day.first_of_month();
        }
        if let Some(day) = cured_on(record, loan) {
            self.cured(day, group, terms);
        }
        if loans::is_owed(loan) {
            self.add_treatment(loan, group, terms);
            if is_first_payment_default(standing, loan) {
                self.insert(SignalMark::FirstPaymentDefault, group);
            }
        }
    }

    fn add_treatment(&mut self, loan: &Loan, group: GroupCode, terms: &SummaryTerms<'_>) {
        let mark = match loan.treatment {
            Treatment::None => None,
            Treatment::Restructured => Some(SignalMark::Restructured),
            Treatment::Forbearance | Treatment::Disaster => Some(SignalMark::Forbearance),
            Treatment::Insolvency => Some(SignalMark::Insolvency),
            Treatment::Deceased => Some(SignalMark::Deceased),
        };
        if let Some(mark) = mark
            && terms.level == Level::Full
        {
            self.insert(mark, group);
        }
    }

    fn insert(&mut self, mark: SignalMark, group: GroupCode) {
        self.signals.insert(mark);
        self.groups.insert(group);
    }

    /// Notes that an account of `group` was this late on `day`, unless that is long ago.
    fn late(&mut self, day: Day, stage: LoanStage, group: GroupCode, terms: &SummaryTerms<'_>) {
        let told = stage.is_default() || stage.is_delinquent() && terms.level == Level::Full;
        if !told || is_long_ago(day, terms) {
            return;
        }
        let mark = Some(DayMark::of(day));
        self.groups.insert(group);
        if terms.level == Level::Full {
            self.last_arrears.d30 = self.last_arrears.d30.max(mark);
            if !matches!(stage, LoanStage::From30 | LoanStage::Signalled30) {
                self.last_arrears.d60 = self.last_arrears.d60.max(mark);
            }
        }
        if stage.is_default() {
            self.last_arrears.d90 = self.last_arrears.d90.max(mark);
        }
    }

    fn cured(&mut self, day: Day, group: GroupCode, terms: &SummaryTerms<'_>) {
        if !is_long_ago(day, terms) {
            self.cured_on = self.cured_on.max(Some(DayMark::of(day)));
            self.groups.insert(group);
        }
    }
}

/// The day on which a default of this loan was made good, as its history tells: the day it was
/// closed, or the first of the month after the last one in default.
pub(super) fn cured_on(record: &Record, loan: &Loan) -> Option<Day> {
    let mut month_after = record.head.as_of.day().first_of_month();
    for status in loan.history.months() {
        if month_stage(*status).is_default() {
            return match loan.state {
                LoanState::Paid | LoanState::SettledLess => {
                    Some(loan.closed_on.unwrap_or(month_after))
                }
                LoanState::Active if !loans::stage(loan).is_default() => Some(month_after),
                LoanState::Active
                | LoanState::ChargedOff
                | LoanState::Transferred
                | LoanState::Void => None,
            };
        }
        month_after = month_after.plus_days(-1).first_of_month();
    }
    None
}

fn is_long_ago(day: Day, terms: &SummaryTerms<'_>) -> bool {
    day.plus_months(SIGNAL_CURED_MONTHS) < terms.now.day()
}

/// Whether the loan that a signal is about is known and tells better: how late it is, and whether
/// it was paid.
pub(super) fn told_by_loan(standing: &Standing<'_>, signal: &Signal) -> bool {
    let about = signal.about.and_then(|id| standing.record(id));
    let loan = about.and_then(|record| match &record.body {
        Body::Loan(loan) => Some(loan),
        Body::Application(_) | Body::Hold(_) | Body::Signal(_) | Body::Retracted(_) => None,
    });
    match signal.kind {
        SignalKind::Dpd30 | SignalKind::Dpd60 | SignalKind::Dpd90 => loan.is_some(),
        SignalKind::Default | SignalKind::ChargeOff | SignalKind::FirstPaymentDefault => {
            loan.is_some_and(is_repaid)
        }
        SignalKind::FraudConfirmed
        | SignalKind::FraudVictim
        | SignalKind::ProtectiveRegistration
        | SignalKind::Restructured
        | SignalKind::Forbearance
        | SignalKind::Insolvency
        | SignalKind::LostContact
        | SignalKind::Cured
        | SignalKind::Disputed => false,
    }
}

pub(super) const fn is_repaid(loan: &Loan) -> bool {
    matches!(loan.state, LoanState::Paid | LoanState::SettledLess)
}

/// Whether what was made good was a default; unless the member says otherwise, it was.
pub(super) fn cures_default(standing: &Standing<'_>, cure: &Signal) -> bool {
    let Some(record) = cure.about.and_then(|id| standing.record(id)) else {
        return true;
    };
    match &record.body {
        Body::Signal(signal) => matches!(
            signal.kind,
            SignalKind::Default
                | SignalKind::ChargeOff
                | SignalKind::Dpd90
                | SignalKind::FirstPaymentDefault
        ),
        Body::Loan(_) | Body::Application(_) | Body::Hold(_) | Body::Retracted(_) => true,
    }
}

/// The first instalment is unpaid for 30 days, and the loan is young. Time alone ends the latter.
pub(super) fn is_first_payment_default(standing: &mut Standing<'_>, loan: &Loan) -> bool {
    let life = Duration::from_secs(86_400 * FIRST_PAYMENT_DAYS);
    let paid_out = loan.funded_at.unwrap_or(loan.signed_at);
    loan.n_on_time == 0
        && loan.n_late == 0
        && loan.n_missed > 0
        && loan.dpd >= 30
        && standing.ahead(paid_out.plus(life))
}

const fn told_at_defaults(kind: SignalKind) -> bool {
    match kind {
        SignalKind::Dpd90
        | SignalKind::Default
        | SignalKind::ChargeOff
        | SignalKind::FirstPaymentDefault
        | SignalKind::Cured
        | SignalKind::Disputed => true,
        SignalKind::Dpd30
        | SignalKind::Dpd60
        | SignalKind::FraudConfirmed
        | SignalKind::FraudVictim
        | SignalKind::ProtectiveRegistration
        | SignalKind::Restructured
        | SignalKind::Forbearance
        | SignalKind::Insolvency
        | SignalKind::LostContact => false,
    }
}

const fn signalled_stage(kind: SignalKind) -> Option<LoanStage> {
    match kind {
        SignalKind::Dpd30 => Some(LoanStage::Signalled30),
        SignalKind::Dpd60 => Some(LoanStage::Signalled60),
        SignalKind::Dpd90 | SignalKind::Default | SignalKind::ChargeOff => {
            Some(LoanStage::Signalled90)
        }
        SignalKind::FirstPaymentDefault
        | SignalKind::FraudConfirmed
        | SignalKind::FraudVictim
        | SignalKind::ProtectiveRegistration
        | SignalKind::Restructured
        | SignalKind::Forbearance
        | SignalKind::Insolvency
        | SignalKind::LostContact
        | SignalKind::Cured
        | SignalKind::Disputed => None,
    }
}

pub(super) const fn mark_of(kind: SignalKind) -> Option<SignalMark> {
    match kind {
        SignalKind::Default => Some(SignalMark::Default),
        SignalKind::ChargeOff => Some(SignalMark::ChargeOff),
        SignalKind::FirstPaymentDefault => Some(SignalMark::FirstPaymentDefault),
        SignalKind::FraudConfirmed => Some(SignalMark::FraudConfirmed),
        SignalKind::FraudVictim => Some(SignalMark::FraudVictim),
        SignalKind::ProtectiveRegistration => Some(SignalMark::Protective),
        SignalKind::Restructured => Some(SignalMark::Restructured),
        SignalKind::Forbearance => Some(SignalMark::Forbearance),
        SignalKind::Insolvency => Some(SignalMark::Insolvency),
        SignalKind::LostContact => Some(SignalMark::LostContact),
        SignalKind::Dpd30
        | SignalKind::Dpd60
        | SignalKind::Dpd90
        | SignalKind::Cured
        | SignalKind::Disputed => None,
    }
}

pub(super) const fn month_stage(status: MonthStatus) -> LoanStage {
    match status {
        MonthStatus::Unknown
        | MonthStatus::Current
        | MonthStatus::D1To29
        | MonthStatus::ZeroBalance => LoanStage::Below30,
        MonthStatus::D30To59 => LoanStage::From30,
        MonthStatus::D60To89 => LoanStage::From60,
        MonthStatus::D90To119
        | MonthStatus::D120To149
        | MonthStatus::D150To179
        | MonthStatus::D180Plus
        | MonthStatus::Collection => LoanStage::From90,
        MonthStatus::ChargedOff => LoanStage::ChargedOff,
    }
}
