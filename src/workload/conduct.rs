//! What one borrower does: the cases of each kind of behaviour.

use std::time::Duration;

use super::WorkloadError;
use super::draw::Draw;
use super::events::{Ask, Event, Step};
use super::population::{Behaviour, Population};
use crate::domain::{ApplicationKind, Body, Timestamp};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// How a lender and the borrower proceed with an application.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Probability that the lender agrees.
    approved: f64,
    /// Median time to the decision.
    decision: Duration,
    /// Mean time from the decision to the signature.
    signature: Duration,
}

const USUAL: Pace = Pace {
    approved: 0.80,
    decision: HOUR,
    signature: Duration::from_secs(3 * 3_600),
};
/// Of a stacker's applications 60 % are approved; it signs as soon as it can.
const BURST: Pace = Pace {
    approved: 0.60,
    decision: Duration::from_secs(40 * 60),
    signature: Duration::from_secs(30 * 60),
};

/// Writes down the events of one borrower.
#[derive(Debug)]
pub(super) struct Conduct<'a> {
    population: &'a Population,
    draw: Draw,
    person: usize,
    end: Timestamp,
    cases: u32,
    events: Vec<Event>,
}

impl<'a> Conduct<'a> {
    pub(super) const fn new(
        population: &'a Population,
        draw: Draw,
        person: usize,
        end: Timestamp,
    ) -> Self {
        Self {
            population,
            draw,
            person,
            end,
            cases: 0,
            events: Vec::new(),
        }
    }

    pub(super) const fn population(&self) -> &'a Population {
        self.population
    }

    pub(super) const fn person(&self) -> usize {
        self.person
    }

    pub(super) const fn draw(&mut self) -> &mut Draw {
        &mut self.draw
    }

    pub(super) const fn end(&self) -> Timestamp {
        self.end
    }

    pub(super) fn events(self) -> Vec<Event> {
        self.events
    }

    /// Writes the cases of one kind of behaviour.
    pub(super) fn act(&mut self, behaviour: Behaviour) -> Result<(), WorkloadError> {
        match behaviour {
            Behaviour::Steady => {
                let (lender, at) = (self.lender(), self.daytime(0, 0));
                self.whole_case(lender, at)
            }
            Behaviour::RateShopper => self.shop(1),
            Behaviour::KeenShopper => {
                let hard = usize::from(self.draw.chance(0.4)) + 2;
                self.shop(hard)
            }
            Behaviour::Cycler => self.cycle(),
            Behaviour::Stacker => self.stack(),
        }
    }

    /// Three to five offers within six days, then `hard` applications within a day. The first
    /// approved one is signed, the others are withdrawn then.
    fn shop(&mut self, hard: usize) -> Result<(), WorkloadError> {
        let begins = self.daytime(0, 8);
        let asked = usize::try_from(self.draw.between(3, 5)).unwrap_or(3);
        let lenders = self.lenders(asked);
        for lender in &lenders {
            let at = begins.plus(self.draw.span(Duration::ZERO, 5 * DAY));
            let ask = self.ask(ApplicationKind::Offer)?;
            let case = self.new_case();
            self.write(case, *lender, at, Step::Apply(ask));
        }
        let mut at = begins.plus(5 * DAY + self.draw.span(HOUR, 12 * HOUR));
        if hard == 1 {
            let lender = lenders.first().copied().unwrap_or(0);
            return self.whole_case(lender, at);
        }
        let chosen = self.lenders(hard);
        let mut taken: Option<Timestamp> = None;
        for lender in chosen {
            let ask = self.ask(ApplicationKind::Application)?;
            let case = self.new_case();
            self.write(case, lender, at, Step::Apply(ask));
            let decided = at.plus(self.draw.log_normal(USUAL.decision, 0.8));
            match taken {
                Some(signed_at) => {
                    let withdrawn = signed_at.plus(10 * MINUTE).unix_ms().max(at.unix_ms() + 1);
                    let withdrawn = Timestamp::from_unix_ms(withdrawn);
                    self.write(case, lender, withdrawn, Step::Withdraw);
                }
                None if self.draw.chance(USUAL.approved) => {
                    let signed_at = decided.plus(self.draw.exponential(USUAL.signature));
                    taken = Some(signed_at);
                    self.sign_and_fund(case, lender, signed_at, ask);
                }
                None => self.write(case, lender, decided, Step::Decline),
            }
            at = at.plus(self.draw.span(HOUR, 12 * HOUR));
        }
        Ok(())
    }

    /// A new loan 20 to 40 days after the last one, and again.
    fn cycle(&mut self) -> Result<(), WorkloadError> {
        let book = self
            .population
            .people
            .get(self.person)
            .map(|person| &person.book);
        let signed = book.into_iter().flatten().filter_map(|filed| {
            let Body::Loan(loan) = &filed.record.body else {
                return None;
            };
            Some(loan.signed_at)
        });
        // Who has not borrowed for long starts again now.
        let recently = self.population.spec.start.minus(20 * DAY);
        let mut last = signed.max().unwrap_or(recently).max(recently);
        loop {
            let next_day = last.plus(self.draw.span(20 * DAY, 40 * DAY)).day();
            let hour = self.draw.span(8 * HOUR, 22 * HOUR);
            last = next_day.start().plus(hour);
            if last >= self.end {
                return Ok(());
            }
            let lender = self.lender();
            self.whole_case(lender, last)?;
        }
    }

    /// Four to twelve hard applications, as many as there are lenders, with exponential gaps of
    /// three hours (10 minutes to 24 hours), 40 % of the bursts beginning at night. Whatever is
    /// approved is signed, if that comes about within 72 hours.
    fn stack(&mut self) -> Result<(), WorkloadError> {
        let begins = if self.draw.chance(0.40) {
            let evening = self.daytime(0, 3).day().start().plus(22 * HOUR);
            evening.plus(self.draw.span(Duration::ZERO, 8 * HOUR))
        } else {
            self.daytime(0, 3)
        };
        let wanted = usize::try_from(self.draw.between(4, 12)).unwrap_or(4);
        let mut at = begins;
        for lender in self.lenders(wanted) {
            let ask = self.ask(ApplicationKind::Application)?;
            let case = self.new_case();
            self.write(case, lender, at, Step::Apply(ask));
            let decided = at.plus(self.draw.log_normal(BURST.decision, 0.8));
            let signed_at = decided.plus(self.draw.exponential(BURST.signature));
            if !self.draw.chance(BURST.approved) {
                self.write(case, lender, decided, Step::Decline);
            } else if signed_at.since(begins) > 72 * HOUR {
                self.write(case, lender, decided, Step::Withdraw);
            } else {
                self.sign_and_fund(case, lender, signed_at, ask);
            }
            let gap = self.draw.exponential(3 * HOUR);
            at = at.plus(gap.clamp(10 * MINUTE, 24 * HOUR));
        }
        Ok(())
    }

    /// One application and what comes of it, at the usual pace.
    fn whole_case(&mut self, lender: usize, at: Timestamp) -> Result<(), WorkloadError> {
        let ask = self.ask(ApplicationKind::Application)?;
        let case = self.new_case();
        self.write(case, lender, at, Step::Apply(ask));
        let decided = at.plus(self.draw.log_normal(USUAL.decision, 0.8));
        if self.draw.chance(USUAL.approved) {
            let signed_at = decided.plus(self.draw.exponential(USUAL.signature));
            self.sign_and_fund(case, lender, signed_at, ask);
        } else {
            self.write(case, lender, decided, Step::Decline);
        }
        Ok(())
    }

    /// A signature, and some hours later the payout (97 %) or its end. Half of the payouts come
    /// within 12 hours, 99 % within 36: lenders pay out by bank transfer.
    fn sign_and_fund(&mut self, case: u32, lender: usize, signed_at: Timestamp, ask: Ask) {
        self.write(case, lender, signed_at, Step::Sign(ask.amount));
        let lag = self.draw.log_normal(12 * HOUR, 0.47);
        let paid_at = signed_at.plus(lag.clamp(5 * MINUTE, 48 * HOUR));
        if self.draw.chance(0.97) {
            self.write(case, lender, paid_at.minus(MINUTE), Step::Recheck);
            self.write(case, lender, paid_at, Step::Fund(ask));
        } else {
            self.write(case, lender, paid_at, Step::Release);
        }
    }

    fn ask(&mut self, kind: ApplicationKind) -> Result<Ask, WorkloadError> {
        let drawn = self.draw.one_of(&self.population.terms);
        let terms = drawn.ok_or(WorkloadError::Extract { line: 2 })?;
        Ok(Ask {
            kind,
            product: terms.product,
            amount: terms.principal,
            term_days: terms.months.saturating_mul(30),
            apr_bps: terms.apr_bps,
            instalment: terms.instalment,
        })
    }

    pub(super) const fn new_case(&mut self) -> u32 {
        self.cases += 1;
        self.cases
    }

    pub(super) fn write(&mut self, case: u32, member: usize, at: Timestamp, step: Step) {
        self.events.push(Event {
            at,
            member,
            person: self.person,
            case,
            step,
        });
    }

    /// A member lender, drawn by size.
    fn lender(&mut self) -> usize {
        self.lenders(1).first().copied().unwrap_or(0)
    }

    /// Different member lenders, as many as there are up to `count`, drawn by size.
    fn lenders(&mut self, count: usize) -> Vec<usize> {
        let members = self
            .population
            .weights
            .iter()
            .take(self.population.spec.lenders);
        let weights: Vec<f64> = members.copied().collect();
        self.draw.places(&weights, count)
    }

    /// A moment between 8 and 22 o'clock on a day of the simulated ones, `before` days after the
    /// first and `after` days before the last, where there are so many.
    fn daytime(&mut self, before: i64, after: i64) -> Timestamp {
        let first = self.population.spec.start.day();
        let days = self.end.day().unix_days() - first.unix_days();
        let day = self.draw.between(before, (days - 1 - after).max(before));
        let day = first.plus_days(day).start();
        day.plus(self.draw.span(8 * HOUR, 22 * HOUR))
    }
}
