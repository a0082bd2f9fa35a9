//! From an account of a file to records of the book: `docs/metro2.md` gives the reasons.

use uuid::Builder;

use super::codes::{AccountStatus, Ecoa, Frequency, PaymentRating, Portfolio};
use super::coding::Coding;
use super::consumers::{Consumer, consumers};
use super::layout::Layout;
use super::meanings::{base_field, dispute, dollars, instalment_product, month_status, treatment};
use super::segments::{Account, Base};
use super::tables::SpecialComment;
use crate::crypto::sha256;
use crate::domain::{
    Body, Day, HISTORY_MONTHS, History, Loan, LoanRole, LoanState, MonthStatus, Product, Record,
    RecordError, RecordHead, RecordId, RecordKind, Retraction, RetractionReason, Signal,
    SignalKind, Timestamp, Version,
};
use crate::formats::reject::Problem;

type Mapped<T> = Result<T, Problem>;

/// What the ids of records from Metro 2 are computed under.
const ID_LABEL: &str = "creditmesh/metro2/record/v1";

/// Who filed a signal that follows from a file.
const FILED_BY: &str = "metro2 file";

/// Every record that the account tells of, or why a part of it tells of none.
pub(super) fn records_of(account: &Account, coding: Coding) -> Vec<Mapped<Record>> {
    let reading = Reading {
        base: &account.base,
        coding,
    };
    let head = match reading.head() {
        Ok(head) => head,
        Err(problem) => return vec![Err(problem)],
    };
    let mut records = Vec::new();
    for consumer in consumers(account) {
        match reading.role(&consumer) {
            Ok(Some(role)) => records.extend(reading.consumer(head, &consumer, role)),
            Ok(None) => {}
            Err(problem) => records.push(Err(problem)),
        }
    }
    told_once(records)
}

/// What is wrong with the account itself is wrong for each of its consumers, and told once.
fn told_once(records: Vec<Mapped<Record>>) -> Vec<Mapped<Record>> {
    let mut problems = Vec::new();
    let is_new = |record: &Mapped<Record>| match record {
        Ok(_) => true,
        Err(problem) if problems.contains(problem) => false,
        Err(problem) => {
            problems.push(problem.clone());
            true
        }
    };
    records.into_iter().filter(is_new).collect()
}

/// How one consumer stands to the account.
#[derive(Clone, Copy)]
enum Part {
    Owes(LoanRole),
    Gone(RetractionReason),
}

struct Reading<'a> {
    base: &'a Base,
    coding: Coding,
}

impl Reading<'_> {
    fn problem(&self, field: &'static str, reason: impl Into<String>) -> Problem {
        Base::fault(field, self.coding, reason).into()
    }

    fn needed(&self, day: Option<Day>, field: &'static str) -> Mapped<Day> {
        day.ok_or_else(|| self.problem(field, "is needed"))
    }

    /// The file's own words for what breaks a rule of the book.
    fn named(&self, error: RecordError, consumer: &Consumer<'_>) -> Problem {
        let reason = format!("{} {}", error.field, error.rule);
        base_field(error.field)
            .map(|field| self.problem(field, reason.as_str()))
            .unwrap_or_else(|| consumer.problem(error.field, self.coding, reason.as_str()))
    }

    /// Times and version; the id is each record's own.
    fn head(&self) -> Mapped<RecordHead> {
        let day = self.base.date_account_information;
        let as_of = self.needed(day, "date_account_information")?.start();
        let stamp = self.base.time_stamp.unwrap_or(as_of);
        let version = u32::try_from(stamp.unix_ms() / 1_000)
            .ok()
            .and_then(Version::of);
        let version = version
            .ok_or_else(|| self.problem("time_stamp", "must be in the years 1970 to 2105"))?;
        Ok(RecordHead {
            record_id: self.id("base 1"),
            version,
            reported_at: stamp.max(as_of),
            as_of,
            expires_on: None,
        })
    }

    /// The same id for the same part of the same account in every file.
    fn id(&self, part: &str) -> RecordId {
        let base = self.base;
        let parts = [
            ID_LABEL,
            &base.identification_number,
            &base.consumer_account_number,
            part,
        ];
        let digest = sha256(parts.join("\0").as_bytes());
        let mut bytes = [0; 16];
        bytes
            .iter_mut()
            .zip(digest)
            .for_each(|(byte, digest)| *byte = digest);
        RecordId(Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// What the consumer is to the account; nothing for one who only may use it.
    fn role(&self, consumer: &Consumer<'_>) -> Mapped<Option<Part>> {
        let status = self.base.account_status;
        if status == AccountStatus::Delete {
            return Ok(Some(Part::Gone(RetractionReason::FurnisherError)));
        }
        if status == AccountStatus::DeleteFraud {
            return Ok(Some(Part::Gone(RetractionReason::WrongPerson)));
        }
        match consumer.ecoa {
            Ecoa::Individual | Ecoa::Maker | Ecoa::Business | Ecoa::Deceased => {
                Ok(Some(Part::Owes(LoanRole::Sole)))
            }
            Ecoa::Joint => Ok(Some(Part::Owes(LoanRole::Joint))),
            Ecoa::CoMaker => Ok(Some(Part::Owes(LoanRole::Guarantor))),
            Ecoa::Delete => Ok(Some(Part::Gone(RetractionReason::WrongPerson))),
            Ecoa::AuthorisedUser => Ok(None),
            Ecoa::Terminated => {
                let reason = "T: how the consumer's part ended is not told; furnish it as a row";
                Err(consumer.problem("ecoa", self.coding, reason))
            }
        }
    }

    fn consumer(
        &self,
        head: RecordHead,
        consumer: &Consumer<'_>,
        part: Part,
    ) -> Vec<Mapped<Record>> {
        let head = RecordHead {
            record_id: self.id(&consumer.part),
            ..head
        };
        let bodies = match part {
            Part::Gone(reason) => Ok(vec![(
                head.record_id,
                Body::Retracted(Retraction {
                    kind: RecordKind::Loan,
                    reason,
                }),
            )]),
            Part::Owes(role) => self.loan(head.as_of, consumer, role).map(|loan| {
                let mut bodies = vec![(head.record_id, Body::Loan(loan))];
                bodies.extend(self.signals(head, &consumer.part));
                bodies
            }),
        };
        let (bodies, borrower) = match (bodies, consumer.borrower(self.coding)) {
            (Ok(bodies), Ok(borrower)) => (bodies, borrower),
            (Err(problem), _) | (_, Err(problem)) => return vec![Err(problem)],
        };
        let record = |(record_id, body)| {
            let record = Record {
                head: RecordHead { record_id, ..head },
                borrower: borrower.clone(),
                body,
            };
            let checked = record
                .check(None)
                .map_err(|error| self.named(error, consumer));
            checked.map(|()| record)
        };
        let records: Vec<Mapped<Record>> = bodies.into_iter().map(record).collect();
        // A signal about a loan that is refused would be refused too: one damage, one reject.
        let is_refused = records.first().is_some_and(Result::is_err);
        let kept = if is_refused { 1 } else { records.len() };
        records.into_iter().take(kept).collect()
    }

    fn loan(&self, as_of: Timestamp, consumer: &Consumer<'_>, role: LoanRole) -> Mapped<Loan> {
        let base = self.base;
        let opened_on = self.needed(base.date_opened, "date_opened")?;
        let (state, dpd) = self.standing(as_of.day())?;
        let is_late = dpd > 0 || state == LoanState::ChargedOff;
        let maturity_on = self.maturity(opened_on)?;
        let term_days = maturity_on.map_or(0, |day| day.unix_days() - opened_on.unix_days());
        let term_days =
            u16::try_from(term_days).map_err(|_| self.problem("terms_duration", "is too long"))?;
        let some = |amount: u64| (amount > 0).then(|| dollars(amount));
        Ok(Loan {
            role,
            state,
            opened_on,
            maturity_on,
            closed_on: state
                .is_closed()
                .then(|| base.date_closed.unwrap_or(as_of.day())),
            outstanding: dollars(base.current_balance),
            past_due: dollars(base.amount_past_due),
            instalment: some(base.scheduled_monthly_payment),
            credit_limit: some(base.credit_limit),
            term_days,
            dpd,
            first_delinquency_on: base.date_first_delinquency.filter(|_| is_late),
            history: self.history()?,
            treatment: treatment(base.special_comment, consumer),
            dispute: dispute(base.compliance_condition),
            ..Loan::new(
                base.consumer_account_number.clone(),
                self.product(),
                dollars(base.highest_credit),
                opened_on.start(),
            )
        })
    }

    /// Where the loan is in its life, and the days past due: the first of its band.
    fn standing(&self, today: Day) -> Mapped<(LoanState, u16)> {
        let settled = self.base.special_comment == Some(SpecialComment::SettledForLess);
        let paid = if settled {
            LoanState::SettledLess
        } else {
            LoanState::Paid
        };
        let active = |dpd| Ok((LoanState::Active, dpd));
        match self.base.account_status {
            AccountStatus::Current => active(0),
            AccountStatus::Late30 => active(30),
            AccountStatus::Late60 => active(60),
            AccountStatus::Late90 => active(90),
            AccountStatus::Late120 => active(120),
            AccountStatus::Late150 => active(150),
            AccountStatus::Late180 => active(180),
            AccountStatus::Collection | AccountStatus::Repossessed => {
                active(self.days_late(today)?.max(30))
            }
            AccountStatus::Claim | AccountStatus::Surrender => active(self.rated(today)?),
            AccountStatus::Deed | AccountStatus::Foreclosed => {
                if self.base.current_balance == 0 {
                    Ok((LoanState::SettledLess, 0))
                } else {
                    active(self.rated(today)?)
                }
            }
            AccountStatus::ChargedOff => {
                Ok((LoanState::ChargedOff, self.days_late(today)?.max(90)))
            }
            AccountStatus::Transferred => Ok((LoanState::Transferred, 0)),
            AccountStatus::Paid
            | AccountStatus::PaidSurrender
            | AccountStatus::PaidCollection
            | AccountStatus::PaidRepossession
            | AccountStatus::PaidChargeOff
            | AccountStatus::PaidForeclosure => Ok((paid, 0)),
            AccountStatus::Delete | AccountStatus::DeleteFraud => active(0),
        }
    }

    /// Days from the first delinquency, which is told 30 days after the payment fell due.
    fn days_late(&self, today: Day) -> Mapped<u16> {
        let first = self.base.date_first_delinquency;
        let first = self.needed(first, "date_first_delinquency")?;
        let days = (today.unix_days() - first.unix_days()).max(0) + 30;
        Ok(u16::try_from(days).unwrap_or(u16::MAX))
    }

    fn rated(&self, today: Day) -> Mapped<u16> {
        match self.base.payment_rating {
            Some(PaymentRating::Current) => Ok(0),
            Some(PaymentRating::Late30) => Ok(30),
            Some(PaymentRating::Late60) => Ok(60),
            Some(PaymentRating::Late90) => Ok(90),
            Some(PaymentRating::Late120) => Ok(120),
            Some(PaymentRating::Late150) => Ok(150),
            Some(PaymentRating::Late180) => Ok(180),
            Some(PaymentRating::Collection | PaymentRating::ChargeOff) => self.days_late(today),
            None => Err(self.problem("payment_rating", "is needed with this account_status")),
        }
    }

    fn maturity(&self, opened_on: Day) -> Mapped<Option<Day>> {
        let months = match self.base.portfolio_type {
            Portfolio::Instalment => 1,
            Portfolio::Mortgage => 12,
            Portfolio::Credit | Portfolio::Open | Portfolio::Revolving => return Ok(None),
        };
        match self.base.terms_duration.as_str() {
            "" | "000" | "LOC" | "REV" => Ok(None),
            text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                let count: u32 = text.parse().unwrap_or(0);
                Ok(Some(opened_on.plus_months(count * months)))
            }
            _ => Err(self.problem("terms_duration", "must be three digits, LOC or REV")),
        }
    }

    fn product(&self) -> Product {
        let base = self.base;
        match (base.portfolio_type, base.terms_frequency) {
            (Portfolio::Mortgage, _) => Product::Secured,
            (Portfolio::Credit | Portfolio::Revolving, _) => Product::Revolving,
            (Portfolio::Open, _) => Product::CashLoan,
            (Portfolio::Instalment, Some(Frequency::Single)) => Product::CashLoan,
            (Portfolio::Instalment, _) => instalment_product(base.account_type),
        }
    }

    fn history(&self) -> Mapped<History> {
        let text = &self.base.payment_history_profile;
        let wrong = || {
            let reason = "must be 24 characters of 0 1 2 3 4 5 6 B D E G H J K L Z";
            self.problem("payment_history_profile", reason)
        };
        let mut months = [MonthStatus::Unknown; HISTORY_MONTHS];
        for (month, character) in months.iter_mut().zip(text.chars()) {
            *month = month_status(character).ok_or_else(wrong)?;
        }
        Ok(History::of(months))
    }

    /// A charge-off, and its cure where it was paid since, where the file tells when.
    fn signals(&self, head: RecordHead, part: &str) -> Vec<(RecordId, Body)> {
        let is_paid = self.base.account_status == AccountStatus::PaidChargeOff;
        if !is_paid && self.base.account_status != AccountStatus::ChargedOff {
            return Vec::new();
        }
        let today = head.as_of.day();
        let Some(event_on) = self.charged_off_on(today, is_paid) else {
            return Vec::new();
        };
        let amount = dollars(self.base.original_charge_off);
        if amount.is_zero() {
            return Vec::new();
        }
        let charge_off = self.id(&format!("{part} charge-off"));
        let signal = signal(SignalKind::ChargeOff, head.record_id, event_on);
        let signal = Signal {
            amount: Some(amount),
            ..signal
        };
        let mut signals = vec![(charge_off, Body::Signal(signal))];
        if is_paid {
            let paid_on = self.base.date_closed.unwrap_or(today);
            let cured = signal_cured(charge_off, paid_on);
            signals.push((self.id(&format!("{part} cured")), Body::Signal(cured)));
        }
        signals
    }

    /// The last day of the first month that the history shows as charged off; the day of the
    /// account information where it is this month's; nothing where the history does not reach.
    fn charged_off_on(&self, today: Day, is_paid: bool) -> Option<Day> {
        let text = &self.base.payment_history_profile;
        let from = text.find('L').filter(|from| is_paid || *from == 0);
        let Some(from) = from else {
            return (!is_paid).then_some(today);
        };
        let months = text
            .bytes()
            .skip(from)
            .take_while(|byte| *byte == b'L')
            .count();
        let back = from + months;
        if back >= HISTORY_MONTHS {
            return None;
        }
        let mut first = today.first_of_month();
        for _ in 1..back {
            first = first.plus_days(-1).first_of_month();
        }
        Some(first.plus_days(-1))
    }
}

fn signal(kind: SignalKind, about: RecordId, event_on: Day) -> Signal {
    Signal {
        kind,
        fraud_type: None,
        about: Some(about),
        event_on,
        evidence: None,
        proof: None,
        filed_by: FILED_BY.to_owned(),
        reviewed_by: None,
        ends_on: None,
        amount: None,
        attempts: None,
    }
}

fn signal_cured(about: RecordId, paid_on: Day) -> Signal {
    signal(SignalKind::Cured, about, paid_on)
}
