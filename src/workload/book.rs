//! What stands in the members' books about one borrower when the simulated days begin.
//!
//! Loans of one borrower are signed at least 20 days apart, the last one 20 days or more before the
//! start (a cycler's: less than 20), so that whoever stacks does it in the simulated days. Of the
//! loans that are no defaults, 3 % are 30 to 59 days past due, 1 % 60 to 89 and 4 % less than 30.

use std::time::Duration;

use super::WorkloadError;
use super::draw::Draw;
use super::lendingclub::Terms;
use super::population::{Behaviour, Filed, Person, Platform, Population};
use super::standing::{DEFAULT_DPD, Standing, settle};
use crate::domain::{
    Application, ApplicationKind, ApplicationOutcome, Attempts, Body, Channel, Day, FraudType,
    Loan, LoanState, Money, Proof, Record, RecordHead, RecordId, Signal, SignalKind, Timestamp,
    Treatment, Version,
};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);

/// Everything that the books say about `person`.
pub(super) fn of(
    population: &Population,
    person: &Person,
    draw: &mut Draw,
    index: usize,
) -> Result<Vec<Filed>, WorkloadError> {
    let mut author = Author {
        population,
        person,
        draw,
        index,
        filed: Vec::new(),
    };
    author.loans()?;
    author.declined_application()?;
    author.rare_signals();
    author.changing_phones()?;
    Ok(author.filed)
}

struct Author<'a> {
    population: &'a Population,
    person: &'a Person,
    draw: &'a mut Draw,
    index: usize,
    filed: Vec<Filed>,
}

impl<'a> Author<'a> {
    fn loans(&mut self) -> Result<(), WorkloadError> {
        let ages = self.ages();
        let person = self.person;
        for (number, (&place, age_days)) in person.platforms.iter().zip(ages).enumerate() {
            let platforms = &self.population.platforms;
            let platform = platforms.get(place).ok_or(WorkloadError::NoLenders)?;
            let standing = if person.defaulted && number == 0 {
                self.default_standing(age_days)
            } else {
                self.running_standing(age_days)
            };
            let signed_at = self.signed_at(age_days);
            let loan = self.loan(platform, signed_at, standing, number)?;
            self.loan_application(platform, &loan);
            let loan_id = self.file(platform, Body::Loan(loan));
            self.loan_signals(platform, standing, loan_id);
        }
        if self.draw.chance(0.30) {
            self.repaid_loan()?;
        }
        Ok(())
    }

    /// Days since each running loan was signed, the oldest first.
    fn ages(&mut self) -> Vec<i64> {
        let count = i64::try_from(self.person.platforms.len()).unwrap_or(1);
        let cycler = self.person.behaviour == Behaviour::Cycler;
        let mut age = if cycler {
            self.draw.between(1, 19)
        } else {
            self.draw.between(20, 60)
        };
        let widest = if cycler {
            40
        } else {
            (680 / count).clamp(21, 200)
        };
        let mut ages = vec![age];
        for _ in 1..count {
            age += self.draw.between(20, widest);
            ages.push(age);
        }
        ages.reverse();
        if self.person.defaulted {
            // A default is 90 days past due, after at least one payment.
            let old = DEFAULT_DPD + 45 + self.draw.between(0, 365);
            if let Some(oldest) = ages.first_mut() {
                *oldest = old.max(*oldest);
            }
        }
        ages
    }

    /// A moment between 8 and 22 o'clock.
    fn signed_at(&mut self, age_days: i64) -> Timestamp {
        let day = self.population.spec.start.day().plus_days(-age_days);
        day.start().plus(self.draw.span(8 * HOUR, 22 * HOUR))
    }

    fn default_standing(&mut self, age_days: i64) -> Standing {
        let longest = (age_days - DEFAULT_DPD - 40).clamp(1, 365);
        let days = self.draw.between(1, longest);
        // A quarter of the defaults is cured within a year.
        let cured_by_now = 0.25 * f64::from(u32::try_from(days).unwrap_or(0)) / 365.0;
        if self.draw.chance(cured_by_now) {
            Standing::Cured {
                days: self.draw.between(1, days),
            }
        } else {
            Standing::Default { days }
        }
    }

    fn running_standing(&mut self, age_days: i64) -> Standing {
        let (least, most) = match self.draw.weighted(&[0.92, 0.04, 0.03, 0.01]) {
            0 => (0, 0),
            1 => (1, 29),
            2 => (30, 59),
            _ => (60, 89),
        };
        // The first payment falls due after 30 days.
        let most = most.min(age_days - 31).max(0);
        Standing::Running {
            dpd: self.draw.between(least.min(most), most),
        }
    }

    fn loan(
        &mut self,
        platform: &Platform,
        signed_at: Timestamp,
        standing: Standing,
        number: usize,
    ) -> Result<Loan, WorkloadError> {
        let start = self.population.spec.start;
        let terms = self.terms()?;
        let account = format!("L{:06}-{number}", self.index);
        let mut loan = Loan::new(account, terms.product, terms.principal, signed_at);
        loan.lender_group = (!platform.is_member).then(|| platform.group.clone());
        let lag = self.draw.log_normal(6 * HOUR, 0.77).min(36 * HOUR);
        loan.funded_at = Some(signed_at.plus(lag).min(start));
        loan.maturity_on = Some(loan.opened_on.plus_months(u32::from(terms.months)));
        loan.term_days = terms.months.saturating_mul(30);
        loan.apr_bps = Some(terms.apr_bps);
        loan.instalment = Some(terms.instalment);
        if self.draw.chance(0.005) {
            loan.treatment = Treatment::Restructured;
        }
        settle(&mut loan, standing, start.day());
        if matches!(standing, Standing::Default { days } if days > 60) && self.draw.chance(0.6) {
            loan.state = LoanState::ChargedOff;
            loan.past_due = loan.outstanding;
        }
        Ok(loan)
    }

    fn terms(&mut self) -> Result<Terms, WorkloadError> {
        let drawn = self.draw.one_of(&self.population.terms);
        drawn.copied().ok_or(WorkloadError::Extract { line: 2 })
    }

    /// A loan at a further lender that was paid back, 30 to 300 days ago.
    fn repaid_loan(&mut self) -> Result<(), WorkloadError> {
        let platform = self.platform()?;
        let closed_days_ago = self.draw.between(30, 300);
        let age_days = closed_days_ago + self.draw.between(90, 360);
        let signed_at = self.signed_at(age_days);
        let current = Standing::Running { dpd: 0 };
        let mut loan = self.loan(platform, signed_at, current, 99)?;
        loan.state = LoanState::Paid;
        loan.outstanding = Money::zero(loan.principal.currency);
        loan.closed_on = Some(self.population.spec.start.day().plus_days(-closed_days_ago));
        self.file(platform, Body::Loan(loan));
        Ok(())
    }

    /// A platform, drawn by size.
    fn platform(&mut self) -> Result<&'a Platform, WorkloadError> {
        let place = self.draw.weighted(&self.population.weights);
        self.population
            .platforms
            .get(place)
            .ok_or(WorkloadError::NoLenders)
    }

    /// The application that a loan of the last 180 days came from.
    fn loan_application(&mut self, platform: &Platform, loan: &Loan) {
        let start = self.population.spec.start;
        let at = loan.signed_at.minus(self.draw.span(HOUR, 20 * HOUR));
        if start.since(at) > 180 * DAY {
            return;
        }
        let mut application = Application::new(ApplicationKind::Application, loan.product, at);
        application.lender_group.clone_from(&loan.lender_group);
        application.amount = Some(loan.principal);
        application.term_days = Some(loan.term_days);
        application.channel = Channel::Web;
        application.outcome = ApplicationOutcome::Funded;
        application.outcome_at = loan.funded_at;
        self.file(platform, Body::Application(application));
    }

    /// 15 % were declined somewhere in the last half year, but not in the last five days.
    fn declined_application(&mut self) -> Result<(), WorkloadError> {
        if !self.draw.chance(0.15) {
            return Ok(());
        }
        let platform = self.platform()?;
        let terms = self.terms()?;
        let age_days = self.draw.between(5, 170);
        let at = self.signed_at(age_days);
        let mut application = Application::new(ApplicationKind::Application, terms.product, at);
        application.lender_group = (!platform.is_member).then(|| platform.group.clone());
        application.amount = Some(terms.principal);
        application.channel = Channel::App;
        application.outcome = ApplicationOutcome::Declined;
        application.outcome_at = Some(at.plus(self.draw.span(HOUR, 30 * HOUR)));
        self.file(platform, Body::Application(application));
        Ok(())
    }

    /// Declined at one platform under a new telephone number each time, in the last 60 days.
    fn changing_phones(&mut self) -> Result<(), WorkloadError> {
        if self.person.further_phones.is_empty() {
            return Ok(());
        }
        let platform = self.platform()?;
        for phone in &self.person.further_phones {
            let age_days = self.draw.between(6, 60);
            let at = self.signed_at(age_days);
            let product = self.terms()?.product;
            let mut application = Application::new(ApplicationKind::Application, product, at);
            application.lender_group = (!platform.is_member).then(|| platform.group.clone());
            application.channel = Channel::App;
            application.outcome = ApplicationOutcome::Declined;
            application.outcome_at = Some(at.plus(self.draw.span(HOUR, 30 * HOUR)));
            self.file(platform, Body::Application(application));
            if let Some(filed) = self.filed.last_mut() {
                filed.record.borrower.phone = Some(phone.clone());
            }
        }
        Ok(())
    }

    fn loan_signals(&mut self, platform: &Platform, standing: Standing, loan: RecordId) {
        let today = self.population.spec.start.day();
        match standing {
            Standing::Running { .. } => {}
            Standing::Default { days } => {
                if self.draw.chance(0.30) {
                    self.signal(
                        platform,
                        SignalKind::Default,
                        today.plus_days(-days),
                        |signal| {
                            signal.about = Some(loan);
                        },
                    );
                }
                if self.draw.chance(0.10) {
                    let since = today.plus_days(-days.min(20));
                    self.signal(platform, SignalKind::LostContact, since, |signal| {
                        signal.attempts = Some(Attempts {
                            count: 4,
                            over_days: 45,
                        });
                    });
                }
            }
            Standing::Cured { days } => {
                let default_on = today.plus_days(-days - 30);
                let about_loan = |signal: &mut Signal| signal.about = Some(loan);
                let default = self.signal(platform, SignalKind::Default, default_on, about_loan);
                let cured_on = today.plus_days(-days);
                self.signal(platform, SignalKind::Cured, cured_on, |signal| {
                    signal.about = Some(default);
                });
            }
        }
    }

    /// 0.15 % of the people have a confirmed fraud, 0.2 % are protected.
    fn rare_signals(&mut self) {
        let Some(platform) = self
            .person
            .platforms
            .first()
            .and_then(|place| self.population.platforms.get(*place))
        else {
            return;
        };
        let today = self.population.spec.start.day();
        let on = today.plus_days(-self.draw.between(10, 300));
        let evidence = self.draw.bytes::<32>();
        if self.draw.chance(0.001_5) {
            self.signal(platform, SignalKind::FraudConfirmed, on, |signal| {
                signal.fraud_type = Some(FraudType::FalseApplication);
                signal.evidence = Some(evidence);
                signal.proof = Some(Proof::Rejected);
                signal.reviewed_by = Some("desk-2".to_owned());
            });
        }
        if self.draw.chance(0.001) {
            self.signal(platform, SignalKind::FraudVictim, on, |signal| {
                signal.evidence = Some(evidence);
                signal.proof = Some(Proof::Rejected);
                signal.reviewed_by = Some("desk-2".to_owned());
            });
        }
        if self.draw.chance(0.001) {
            self.signal(platform, SignalKind::ProtectiveRegistration, on, |signal| {
                signal.evidence = Some(evidence);
            });
        }
    }

    fn signal(
        &mut self,
        platform: &Platform,
        kind: SignalKind,
        event_on: Day,
        fill: impl FnOnce(&mut Signal),
    ) -> RecordId {
        let mut signal = Signal::new(kind, event_on, "desk-1".to_owned());
        fill(&mut signal);
        self.file(platform, Body::Signal(signal))
    }

    /// Puts the first version of a record into the book of the platform's member.
    fn file(&mut self, platform: &Platform, body: Body) -> RecordId {
        let start = self.population.spec.start;
        let record_id = RecordId::fresh(start, self.draw.bytes());
        self.filed.push(Filed {
            member: platform.member,
            record: Record {
                head: RecordHead {
                    record_id,
                    version: Version::FIRST,
                    reported_at: start,
                    as_of: start,
                    expires_on: None,
                },
                borrower: self.person.borrower.clone(),
                body,
            },
        });
        record_id
    }
}
