//! What happens in the simulated days, in the order of time.
//!
//! Each application is a *case*: its steps carry the case's number, and follow from each other as
//! long as the lender lets them. A runner whose lender refuses drops the case's later steps.

use std::time::Duration;

use super::WorkloadError;
use super::conduct::Conduct;
use super::draw::{Draw, Stream};
use super::population::{Behaviour, Population};
use super::reports;
use crate::domain::{ApplicationKind, Money, Product, Record, Timestamp};

/// How long, and who becomes active.
#[derive(Debug, Clone, Copy)]
pub struct EventSpec {
    /// Simulated days from the population's start.
    pub days: u16,
    /// Shares of the borrowers of each kind that act in these days.
    pub active: Activity,
}

impl EventSpec {
    /// Two weeks in which half of the stackers act, and few of the others: one applicant in
    /// ten stacks, where of the borrowers it is one in seventy.
    pub const DEMO: Self = Self {
        days: 14,
        active: Activity {
            steady: 0.06,
            rate_shopper: 0.10,
            keen_shopper: 0.06,
            cycler: 0.15,
            stacker: 0.5,
        },
    };
}

/// Shares from 0 to 1 of the borrowers of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Activity {
    /// Of the steady borrowers.
    pub steady: f64,
    /// Of the rate shoppers.
    pub rate_shopper: f64,
    /// Of the shoppers with two or three hard applications.
    pub keen_shopper: f64,
    /// Of the cyclers whose next loan is due.
    pub cycler: f64,
    /// Of the stackers.
    pub stacker: f64,
}

impl Activity {
    /// The share of one kind.
    #[must_use]
    pub const fn of(&self, behaviour: Behaviour) -> f64 {
        match behaviour {
            Behaviour::Steady => self.steady,
            Behaviour::RateShopper => self.rate_shopper,
            Behaviour::KeenShopper => self.keen_shopper,
            Behaviour::Cycler => self.cycler,
            Behaviour::Stacker => self.stacker,
        }
    }
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// The member at which it happens.
    pub member: usize,
    /// The borrower: a place in [`Population::people`].
    pub person: usize,
    /// Steps with the same number belong to one application.
    pub case: u32,
    /// What.
    pub step: Step,
}

/// What the borrower asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// A soft offer or a hard application.
    pub kind: ApplicationKind,
    /// What kind of credit.
    pub product: Product,
    /// How much.
    pub amount: Money,
    /// For how many days.
    pub term_days: u16,
    /// The rate that the lender would give, in hundredths of a percent a year.
    pub apr_bps: u32,
    /// The monthly payment.
    pub instalment: Money,
}

/// A step of a case, or a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The borrower applies: the lender assesses.
    Apply(Ask),
    /// The lender says no.
    Decline,
    /// The borrower withdraws.
    Withdraw,
    /// Both sign: the lender places a hold of this amount.
    Sign(Money),
    /// The lender looks once more, a minute before it pays out.
    Recheck,
    /// The lender pays out: the hold becomes a loan on the terms that were asked for.
    Fund(Ask),
    /// The contract is given up before anything was paid out.
    Release,
    /// The member furnishes a record, or a newer version of one.
    Report(Report, Box<Record>),
}

/// What a member reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Report {
    /// A loan of a lender that is no member: the bureau learns of it late.
    Booked,
    /// A loan got later: it passed 30 or 60 days past due.
    Arrears,
    /// A loan is 90 days past due.
    Default,
    /// A loan that was late, or in default, is current again.
    Cure,
    /// A loan was repaid.
    Closed,
    /// A record should never have been.
    Retracted,
}

/// Everything that happens in the days of `spec`, sorted by time.
///
/// # Errors
/// [`WorkloadError::Extract`] where there are no terms to lend on.
pub fn events(population: &Population, spec: &EventSpec) -> Result<Vec<Event>, WorkloadError> {
    let start = population.spec.start;
    let end = start.plus(Duration::from_secs(86_400) * u32::from(spec.days));
    let mut all = Vec::new();
    for (index, person) in population.people.iter().enumerate() {
        let draw = Draw::stream(population.spec.seed, Stream::Conduct, index);
        let mut conduct = Conduct::new(population, draw, index, end);
        if conduct.draw().chance(spec.active.of(person.behaviour)) {
            conduct.act(person.behaviour)?;
        } else {
            reports::write(&mut conduct, person)?;
        }
        all.append(&mut conduct.events());
    }
    all.retain(|event| event.at < end);
    all.sort_by_key(|event| event.at);
    number_cases(&mut all);
    Ok(all)
}

/// Until here a case's number is its place among the cases of one person; now it is unique.
fn number_cases(events: &mut [Event]) {
    let mut numbers = std::collections::BTreeMap::new();
    for event in events {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        event.case = *numbers.entry((event.person, event.case)).or_insert(next);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::workload::PopulationSpec;

    fn population() -> Population {
        Population::draw(PopulationSpec {
            seed: 5,
            borrowers: 6_000,
            lenders: 4,
            outside_lenders: 16,
            start: Timestamp::parse_rfc3339("2026-03-02T00:00:00Z").unwrap(),
        })
        .unwrap()
    }

    fn hard_applications(events: &[Event], person: usize) -> Vec<&Event> {
        let hard = |event: &&Event| match event.step {
            Step::Apply(ask) => ask.kind == ApplicationKind::Application && event.person == person,
            Step::Decline
            | Step::Withdraw
            | Step::Sign(_)
            | Step::Recheck
            | Step::Fund(_)
            | Step::Release
            | Step::Report(..) => false,
        };
        events.iter().filter(hard).collect()
    }

    #[test]
    fn events_replay_in_order_within_the_days() {
        let population = population();
        let spec = EventSpec::DEMO;
        let all = events(&population, &spec).unwrap();
        assert_eq!(all, events(&population, &spec).unwrap());
        assert!(all.is_sorted_by_key(|event| event.at));
        let end = population.spec.start.day().plus_days(14).start();
        assert!(
            all.iter()
                .all(|event| population.spec.start <= event.at && event.at < end)
        );
        assert!(all.iter().all(|event| event.member < population.members()));
    }

    #[test]
    fn every_case_is_a_story_that_makes_sense() {
        let all = events(&population(), &EventSpec::DEMO).unwrap();
        let mut cases: BTreeMap<u32, Vec<&Event>> = BTreeMap::new();
        for event in &all {
            cases.entry(event.case).or_default().push(event);
        }
        for steps in cases.values() {
            let words: Vec<&str> = steps.iter().map(|event| word(&event.step)).collect();
            let whole = [
                "offer",
                "apply decline",
                "apply withdraw",
                "apply sign release",
                "apply sign recheck fund",
                "report",
            ];
            let story = words.join(" ");
            let told = whole.iter().any(|whole| whole.starts_with(&story));
            assert!(told, "{story}");
            let same = |event: &&Event| event.member == steps[0].member;
            assert!(steps.iter().all(same));
        }
    }

    fn word(step: &Step) -> &'static str {
        match step {
            Step::Apply(ask) if ask.kind == ApplicationKind::Offer => "offer",
            Step::Apply(_) => "apply",
            Step::Decline => "decline",
            Step::Withdraw => "withdraw",
            Step::Sign(_) => "sign",
            Step::Recheck => "recheck",
            Step::Fund(_) => "fund",
            Step::Release => "release",
            Step::Report(..) => "report",
        }
    }

    #[test]
    fn each_kind_of_borrower_applies_as_its_name_says() {
        let population = population();
        let spec = EventSpec {
            days: 60,
            active: Activity {
                steady: 1.0,
                rate_shopper: 1.0,
                keen_shopper: 1.0,
                cycler: 1.0,
                stacker: 1.0,
            },
        };
        let all = events(&population, &spec).unwrap();
        let mut by_person: BTreeMap<usize, Vec<Event>> = BTreeMap::new();
        for event in all {
            by_person.entry(event.person).or_default().push(event);
        }
        for (person, events) in by_person {
            let hard = hard_applications(&events, person);
            let lenders: BTreeSet<usize> = hard.iter().map(|event| event.member).collect();
            match population.people[person].behaviour {
                Behaviour::Steady | Behaviour::RateShopper => assert_eq!(hard.len(), 1),
                Behaviour::KeenShopper => assert!((2..=3).contains(&lenders.len())),
                Behaviour::Cycler => assert!(hard.len() <= 4),
                Behaviour::Stacker => assert_eq!(lenders.len(), 4, "cut to the lenders there are"),
            }
        }
    }

    #[test]
    fn reports_are_sound_versions_of_what_was_known() {
        let population = population();
        let all = events(&population, &EventSpec::DEMO).unwrap();
        let book = population.people.iter().flat_map(|person| &person.book);
        let mut known: BTreeMap<_, Record> = book
            .map(|filed| (filed.record.head.record_id, filed.record.clone()))
            .collect();
        let mut kinds = BTreeMap::new();
        for event in &all {
            if let Step::Report(report, record) = &event.step {
                let previous = known.insert(record.head.record_id, Record::clone(record));
                record.check(previous.as_ref()).unwrap();
                *kinds.entry(*report).or_insert(0) += 1;
            }
        }
        assert_eq!(kinds.len(), 6, "{kinds:?}");
    }
}
