//! From loans of the book to a Metro 2 file: `docs/metro2.md` gives the reasons.

use std::io::{self, Write};

use super::codes::{AccountStatus, Compliance, Ecoa, Frequency, PaymentRating, Portfolio};
use super::coding::Coding;
use super::layout::{Fault, Layout};
use super::marks::WORD;
use super::segments::{Account, Base, Header};
use super::tables::{AccountType, Indicator, SpecialComment};
use super::trailer::Trailer;
use crate::domain::{
    Body, Borrower, Currency, Day, Dispute, DpdBucket, IdentifierKind, Loan, LoanRole, LoanState,
    Money, MonthStatus, Product, Record, Treatment,
};
use crate::formats::reject::{Problem, Reject};

/// How the records of a file are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metro2Form {
    /// Characters, records of 426 bytes one after the other.
    Fixed,
    /// Characters, each record in a block of its own.
    Variable,
    /// Packed decimals, each record in a block of its own.
    Packed,
}

impl Metro2Form {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Fixed, Self::Variable, Self::Packed];

    /// How numbers and dates stand in it.
    #[must_use]
    pub const fn coding(self) -> Coding {
        match self {
            Self::Fixed | Self::Variable => Coding::Character,
            Self::Packed => Coding::Packed,
        }
    }

    /// Whether a block's descriptor word stands before each record.
    #[must_use]
    pub const fn in_blocks(self) -> bool {
        match self {
            Self::Fixed => false,
            Self::Variable | Self::Packed => true,
        }
    }
}

/// Who furnishes a file, and when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Furnisher {
    /// The number under which the bureaus know the furnisher, at most 20 characters.
    pub identification_number: String,
    /// Its name, at most 40 characters.
    pub reporter_name: String,
    /// The day on which the file is made.
    pub created_on: Day,
}

impl Furnisher {
    /// Checks the words against their fields.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn check(&self) -> Result<(), &'static str> {
        let number = &self.identification_number;
        let fits = |text: &str, most: usize| {
            text.len() <= most && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        };
        if number.len() < 5 || !fits(number, 20) || number.contains(' ') {
            return Err("the identification number has 5 to 20 characters without spaces");
        }
        if self.reporter_name.trim().is_empty() || !fits(&self.reporter_name, 40) {
            return Err("the reporter's name has 1 to 40 characters of ASCII");
        }
        Ok(())
    }
}

/// Writes loans as a Metro 2 file.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    form: Metro2Form,
    furnisher: Furnisher,
    totals: Trailer,
    records: u64,
    seen: u64,
}

impl<W: Write> Writer<W> {
    /// A writer to `out`, which should be buffered; the header is written at once.
    ///
    /// # Errors
    /// Where `out` cannot be written, or a word about the furnisher does not fit its field.
    pub fn new(out: W, form: Metro2Form, furnisher: Furnisher) -> io::Result<Self> {
        let mut header = b"HEADER".to_vec();
        let fields = Header {
            activity_date: Some(furnisher.created_on),
            date_created: Some(furnisher.created_on),
            reporter_name: furnisher.reporter_name.clone(),
            software_vendor: "creditmesh".to_owned(),
            ..Header::default()
        };
        fields.write(form.coding(), &mut header).map_err(unfit)?;
        let mut writer = Self {
            out,
            form,
            furnisher,
            totals: Trailer::default(),
            records: 0,
            seen: 0,
        };
        writer.framed(&header)?;
        Ok(writer)
    }

    /// Appends a loan. What Metro 2 cannot carry comes back as a reject, whose line is the number
    /// of the record among those given to this writer; nothing is written of it.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, record: &Record) -> io::Result<Option<Reject>> {
        self.seen += 1;
        let account = match account_of(record, &self.furnisher) {
            Ok(account) => account,
            Err(problem) => return Ok(Some(problem.at(self.seen))),
        };
        let mut bytes = Vec::new();
        if let Err(fault) = account.write(self.form.coding(), &mut bytes) {
            return Ok(Some(Problem::from(fault).at(self.seen)));
        }
        self.totals.count(&account);
        self.framed(&bytes)?;
        Ok(None)
    }

    /// Writes the trailer and what is still in memory.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.totals.block_count = self.records + 1;
        let mut trailer = b"TRAILER".to_vec();
        self.totals
            .write(self.form.coding(), &mut trailer)
            .map_err(unfit)?;
        self.framed(&trailer)?;
        self.out.flush()
    }

    /// A record behind its descriptor words.
    fn framed(&mut self, body: &[u8]) -> io::Result<()> {
        let length = body.len() + WORD;
        if self.form.in_blocks() {
            self.word(length + WORD)?;
        }
        self.word(length)?;
        self.records += 1;
        self.out.write_all(body)
    }

    fn word(&mut self, length: usize) -> io::Result<()> {
        match self.form.coding() {
            Coding::Character => write!(self.out, "{length:04}"),
            Coding::Packed => {
                let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
                self.out.write_all(&[high, low, 0, 0])
            }
        }
    }
}

fn unfit(fault: Fault) -> io::Error {
    let problem = Problem::from(fault);
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{}: {}", problem.field, problem.reason),
    )
}

/// The account that a record becomes.
fn account_of(record: &Record, furnisher: &Furnisher) -> Result<Account, Problem> {
    let loan = match &record.body {
        Body::Loan(loan) => loan,
        Body::Retracted(_) => {
            let reason = "is no account any more: have it deleted (status DA) by its number";
            return Err(Problem::of("retraction", reason));
        }
        Body::Application(_) | Body::Hold(_) | Body::Signal(_) => {
            return Err(Problem::of("kind", "only loans can be told in Metro 2"));
        }
    };
    if loan.principal.currency != Currency::USD {
        let reason = "must be in USD: Metro 2 has no other currency";
        return Err(Problem::of("principal", reason));
    }
    let as_of = record.head.as_of.day();
    let mut base = Base {
        processing_indicator: 1,
        time_stamp: Some(record.head.reported_at),
        identification_number: furnisher.identification_number.clone(),
        consumer_account_number: loan.account_ref.clone(),
        date_opened: Some(loan.opened_on),
        credit_limit: loan.credit_limit.map_or(0, dollars),
        highest_credit: dollars(loan.principal),
        payment_history_profile: history(loan),
        special_comment: comment(loan),
        compliance_condition: compliance(loan.dispute),
        current_balance: dollars(loan.outstanding),
        date_account_information: Some(as_of),
        date_closed: loan.closed_on,
        country: "US".to_owned(),
        ..Base::default()
    };
    describe_terms(&mut base, loan)?;
    describe_standing(&mut base, loan)?;
    describe_consumer(&mut base, loan, &record.borrower)?;
    Ok(Account {
        base,
        segments: Vec::new(),
    })
}

fn describe_terms(base: &mut Base, loan: &Loan) -> Result<(), Problem> {
    base.account_type = match loan.product {
        Product::CashLoan | Product::InstalmentUnsecured | Product::P2pListing => {
            AccountType::Unsecured
        }
        Product::ConsumerInstalment | Product::Bnpl => AccountType::SalesContract,
        Product::Revolving => AccountType::CreditLine,
        Product::MicroBusiness => AccountType::Business,
        Product::Secured => AccountType::Secured,
    };
    let days = loan
        .maturity_on
        .map(|day| day.unix_days() - loan.opened_on.unix_days());
    let days = days.unwrap_or_else(|| loan.term_days.into());
    if loan.product == Product::Revolving {
        base.portfolio_type = Portfolio::Credit;
        base.terms_duration = "LOC".to_owned();
    } else if days == 0 {
        base.portfolio_type = Portfolio::Open;
        base.terms_duration = "001".to_owned();
    } else {
        base.portfolio_type = Portfolio::Instalment;
        base.terms_frequency = Some(if loan.product == Product::CashLoan {
            Frequency::Single
        } else {
            Frequency::Monthly
        });
        // The number of whole months that are no shorter than the term.
        let mut months = u32::try_from(days / 31).unwrap_or(0);
        while (loan.opened_on.plus_months(months).unix_days() - loan.opened_on.unix_days()) < days {
            months += 1;
        }
        if months > 999 {
            return Err(Problem::of("maturity_on", "must be within 999 months"));
        }
        base.terms_duration = format!("{months:03}");
    }
    if !loan.state.is_closed() && base.portfolio_type != Portfolio::Open {
        base.scheduled_monthly_payment = loan.instalment.map_or(0, dollars);
    }
    Ok(())
}

fn describe_standing(base: &mut Base, loan: &Loan) -> Result<(), Problem> {
    let closed = |base: &mut Base, status| {
        base.account_status = status;
        base.payment_rating = Some(PaymentRating::Current);
    };
    match loan.state {
        LoanState::Active => {
            base.account_status = status_of(loan.bucket());
            if loan.dpd >= 30 {
                base.amount_past_due = dollars(loan.past_due);
                base.date_first_delinquency = loan.first_delinquency_on;
            }
        }
        LoanState::ChargedOff => {
            base.account_status = AccountStatus::ChargedOff;
            base.amount_past_due = dollars(loan.past_due);
            base.original_charge_off = dollars(loan.outstanding);
            base.date_first_delinquency = loan.first_delinquency_on;
        }
        LoanState::Paid | LoanState::SettledLess => closed(base, AccountStatus::Paid),
        LoanState::Transferred => closed(base, AccountStatus::Transferred),
        LoanState::Void => {
            let reason = "must not be void: Metro 2 has nothing for a loan never paid out";
            return Err(Problem::of("state", reason));
        }
    }
    Ok(())
}

const fn status_of(bucket: DpdBucket) -> AccountStatus {
    match bucket {
        DpdBucket::Current | DpdBucket::D1To29 => AccountStatus::Current,
        DpdBucket::D30To59 => AccountStatus::Late30,
        DpdBucket::D60To89 => AccountStatus::Late60,
        DpdBucket::D90To119 => AccountStatus::Late90,
        DpdBucket::D120To149 => AccountStatus::Late120,
        DpdBucket::D150To179 => AccountStatus::Late150,
        DpdBucket::D180Plus => AccountStatus::Late180,
    }
}

fn describe_consumer(base: &mut Base, loan: &Loan, borrower: &Borrower) -> Result<(), Problem> {
    let ssn = borrower
        .national
        .as_ref()
        .filter(|id| id.kind() == IdentifierKind::UsSsn);
    base.social_security_number = ssn.and_then(|id| id.value().parse().ok()).unwrap_or(0);
    let phone = borrower
        .phone
        .as_ref()
        .and_then(|id| id.value().strip_prefix("+1"));
    base.telephone_number = phone.and_then(|digits| digits.parse().ok()).unwrap_or(0);
    if base.social_security_number == 0 && base.telephone_number == 0 {
        let reason = "must be a us-ssn, or the phone of the country code 1: nothing else fits";
        return Err(Problem::of("national_id", reason));
    }
    if let Some(name_dob) = &borrower.name_dob {
        base.date_of_birth = Some(name_dob.born());
        let mut fields = [
            (&mut base.surname, 25),
            (&mut base.first_name, 20),
            (&mut base.middle_name, 20),
        ]
        .into_iter();
        let mut field = fields.next();
        for word in name_dob.name().split(' ') {
            while let Some((text, most)) = &mut field {
                let space = usize::from(!text.is_empty());
                if text.len() + space + word.len() <= *most {
                    text.push_str(if space == 1 { " " } else { "" });
                    text.push_str(&word.to_ascii_uppercase());
                    break;
                }
                field = fields.next();
            }
            if field.is_none() {
                return Err(Problem::of("name", "must fit 25, 20 and 20 characters"));
            }
        }
    }
    base.ecoa = match loan.role {
        LoanRole::Sole => Ecoa::Individual,
        LoanRole::Joint => Ecoa::Joint,
        LoanRole::Guarantor => Ecoa::CoMaker,
    };
    match loan.treatment {
        Treatment::Deceased => base.ecoa = Ecoa::Deceased,
        Treatment::Insolvency => base.consumer_information = Some(Indicator::Undesignated),
        Treatment::None
        | Treatment::Restructured
        | Treatment::Forbearance
        | Treatment::Disaster => {}
    }
    Ok(())
}

const fn comment(loan: &Loan) -> Option<SpecialComment> {
    match (loan.state, loan.treatment) {
        (LoanState::SettledLess, _) => Some(SpecialComment::SettledForLess),
        (_, Treatment::Forbearance) => Some(SpecialComment::Forbearance),
        (_, Treatment::Restructured) => Some(SpecialComment::Modified),
        (_, Treatment::Disaster) => Some(SpecialComment::Disaster),
        (_, Treatment::None | Treatment::Insolvency | Treatment::Deceased) => None,
    }
}

const fn compliance(dispute: Dispute) -> Option<Compliance> {
    match dispute {
        Dispute::None => None,
        Dispute::Open => Some(Compliance::Disputed),
        Dispute::ResolvedDisagrees => Some(Compliance::Disagrees),
        Dispute::Resolved => Some(Compliance::Resolved),
    }
}

/// The payment history: what is not known is `B` at the end, and `D` between months that are.
fn history(loan: &Loan) -> String {
    let months = loan.history.months();
    let known = months
        .iter()
        .rposition(|month| *month != MonthStatus::Unknown);
    let known = known.map_or(0, |last| last + 1);
    let profile = months.iter().enumerate().map(|(at, month)| {
        let is_gap = *month == MonthStatus::Unknown && at < known;
        if is_gap { 'D' } else { month.metro2() }
    });
    profile.collect()
}

/// Whole dollars, rounded to the nearest; what is more than nothing stays so.
fn dollars(amount: Money) -> u64 {
    let cents = u64::try_from(amount.minor).unwrap_or(0);
    let rounded = (cents + 50) / 100;
    rounded.max(u64::from(cents > 0))
}
