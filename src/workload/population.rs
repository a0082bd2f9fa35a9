//! Who there is: lending platforms of uneven size, borrowers of five kinds, and their books.

use std::collections::BTreeMap;
use std::fmt;

use super::WorkloadError;
use super::book;
use super::draw::{Draw, Stream};
use super::identity::Identities;
use super::lendingclub::{Terms, terms};
use crate::domain::{Borrower, Identifier, LenderGroup, Record, Timestamp};

/// Share of the people who applied at one lender under a new telephone number each time.
const PHONE_CHANGERS: f64 = 0.006;

/// How many further numbers they used.
const FURTHER_PHONES: usize = 3;

/// What to draw.
#[derive(Debug, Clone)]
pub struct PopulationSpec {
    /// The same seed and spec give the same population.
    pub seed: u64,
    /// How many borrowers.
    pub borrowers: usize,
    /// How many lenders are members of the network; they are members 0, 1, …
    pub lenders: usize,
    /// How many lenders are not members, but report to the bureau, which is the last member. With 0
    /// there is no bureau.
    pub outside_lenders: usize,
    /// The moment at which the simulated days begin; the books tell the state at this moment.
    pub start: Timestamp,
}

/// A lending platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// Its economic lender group.
    pub group: LenderGroup,
    /// The member that reports for it: itself, or the bureau.
    pub member: usize,
    /// Whether it is a member itself.
    pub is_member: bool,
}

/// How a borrower behaves in the simulated days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Behaviour {
    /// Applies at one lender, once.
    Steady,
    /// Asks three to five lenders for an offer within a week, then applies at one.
    RateShopper,
    /// Asks for offers too, applies at two or three lenders within a week, and takes one loan.
    KeenShopper,
    /// Takes a new loan every 20 to 40 days.
    Cycler,
    /// Applies at many lenders within hours and takes every loan it gets.
    Stacker,
}

impl Behaviour {
    /// Every kind with its share of the borrowers. The shares are those of credit-market studies;
    /// a third of the shoppers are keen ones.
    pub const SHARES: [(Self, f64); 5] = [
        (Self::Steady, 0.72),
        (Self::RateShopper, 0.10),
        (Self::KeenShopper, 0.05),
        (Self::Cycler, 0.115),
        (Self::Stacker, 0.015),
    ];

    /// The word for it in tables and JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::RateShopper => "rate-shopper",
            Self::KeenShopper => "keen-shopper",
            Self::Cycler => "cycler",
            Self::Stacker => "stacker",
        }
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A record and the member that reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    /// The member.
    pub member: usize,
    /// The record.
    pub record: Record,
}

/// One borrower.
#[derive(Debug, Clone)]
pub struct Person {
    /// Its identifiers.
    pub borrower: Borrower,
    /// What it does.
    pub behaviour: Behaviour,
    /// The platforms where it has a running loan at the start, the oldest loan first.
    pub platforms: Vec<usize>,
    /// Whether one of these loans was 90 days past due in the last twelve months.
    pub defaulted: bool,
    /// Further telephone numbers under which it applied; nearly everybody has none.
    pub further_phones: Vec<Identifier>,
    /// What the members' books say about it at the start.
    pub book: Vec<Filed>,
}

/// Platforms and borrowers at the start.
#[derive(Debug, Clone)]
pub struct Population {
    /// What it was drawn from.
    pub spec: PopulationSpec,
    /// The members' own platforms first, in the order of the members, then the others.
    pub platforms: Vec<Platform>,
    /// The borrowers.
    pub people: Vec<Person>,
    pub(super) weights: Vec<f64>,
    pub(super) terms: Vec<Terms>,
}

impl Population {
    /// Draws it.
    ///
    /// # Errors
    /// [`WorkloadError`] where the spec has no lender, or what the draw rests on is damaged.
    pub fn draw(spec: PopulationSpec) -> Result<Self, WorkloadError> {
        if spec.lenders == 0 {
            return Err(WorkloadError::NoLenders);
        }
        let platforms = platforms(&spec)?;
        let weights = platform_weights(platforms.len());
        let mut population = Self {
            terms: terms()?,
            people: Vec::with_capacity(spec.borrowers),
            spec,
            platforms,
            weights,
        };
        let mut identities = Identities::at(population.spec.start);
        for index in 0..population.spec.borrowers {
            let seed = population.spec.seed;
            let mut identity = Draw::stream(seed, Stream::Identity, index);
            let borrower = identities.next(&mut identity)?;
            let further_phones = if identity.chance(PHONE_CHANGERS) {
                identities.further_phones(FURTHER_PHONES)?
            } else {
                Vec::new()
            };
            let mut draw = Draw::stream(seed, Stream::Person, index);
            let person = population.person(&mut draw, (borrower, further_phones), index)?;
            population.people.push(person);
        }
        Ok(population)
    }

    /// How many members there are: the lenders, and the bureau where there is one.
    #[must_use]
    pub fn members(&self) -> usize {
        self.spec.lenders + usize::from(self.spec.outside_lenders > 0)
    }

    /// The member number of the bureau.
    #[must_use]
    pub fn bureau(&self) -> Option<usize> {
        (self.spec.outside_lenders > 0).then_some(self.spec.lenders)
    }

    /// What stands in one member's book at the start.
    pub fn book(&self, member: usize) -> impl Iterator<Item = &Record> {
        self.people
            .iter()
            .flat_map(|person| &person.book)
            .filter(move |filed| filed.member == member)
            .map(|filed| &filed.record)
    }

    /// How many borrowers there are of each kind.
    #[must_use]
    pub fn census(&self) -> BTreeMap<Behaviour, usize> {
        let mut census = BTreeMap::new();
        for person in &self.people {
            *census.entry(person.behaviour).or_default() += 1;
        }
        census
    }

    fn person(
        &self,
        draw: &mut Draw,
        (borrower, further_phones): (Borrower, Vec<Identifier>),
        index: usize,
    ) -> Result<Person, WorkloadError> {
        let behaviour = behaviour(draw);
        let active = active_lenders(draw, behaviour);
        let platforms = draw.places(&self.weights, active);
        let chance = default_probability(platforms.len());
        let mut person = Person {
            borrower,
            behaviour,
            platforms,
            defaulted: draw.chance(chance),
            further_phones,
            book: Vec::new(),
        };
        person.book = book::of(self, &person, draw, index)?;
        Ok(person)
    }
}

fn platforms(spec: &PopulationSpec) -> Result<Vec<Platform>, WorkloadError> {
    let member = |number: usize| (format!("lender-{}", number + 1), number, true);
    let outside = |number: usize| (format!("outside-{}", number + 1), spec.lenders, false);
    let all = (0..spec.lenders)
        .map(member)
        .chain((0..spec.outside_lenders).map(outside));
    all.map(|(name, member, is_member)| {
        Ok(Platform {
            group: name.parse().map_err(|_| WorkloadError::NoLenders)?,
            member,
            is_member,
        })
    })
    .collect()
}

/// Sizes of platforms by Zipf's law, the largest first, with the exponent of 1.1 that the credit
/// market studies give.
fn platform_weights(count: usize) -> Vec<f64> {
    let mut rank = 0.0_f64;
    let mut weights = Vec::with_capacity(count);
    for _ in 0..count {
        rank += 1.0;
        weights.push(rank.powf(-1.1));
    }
    weights
}

fn behaviour(draw: &mut Draw) -> Behaviour {
    let shares = Behaviour::SHARES.map(|(_, share)| share);
    Behaviour::SHARES
        .get(draw.weighted(&shares))
        .map_or(Behaviour::Steady, |(behaviour, _)| *behaviour)
}

/// Platforms with a running loan: 72 % of those who are no stackers have one, the others two and,
/// with a probability of 0.40 each, one more. A stacker has one; the burst brings the rest.
fn active_lenders(draw: &mut Draw, behaviour: Behaviour) -> usize {
    if behaviour == Behaviour::Stacker || draw.chance(0.72) {
        1
    } else {
        2 + draw.goes_on(0.40)
    }
}

/// Probability of a default within twelve months at `active` lenders: its logit is that of 5 % at
/// one lender and rises by 0.45 for each further one, up to six.
fn default_probability(active: usize) -> f64 {
    let further = u32::try_from(active.clamp(1, 6) - 1).map_or(5.0, f64::from);
    let logit = (0.05_f64 / 0.95).ln() + 0.45 * further;
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::{Body, LoanState};

    fn spec(borrowers: usize) -> PopulationSpec {
        PopulationSpec {
            seed: 11,
            borrowers,
            lenders: 4,
            outside_lenders: 16,
            start: Timestamp::parse_rfc3339("2026-03-02T00:00:00Z").unwrap(),
        }
    }

    #[test]
    fn a_population_replays_from_its_seed() {
        let first = Population::draw(spec(300)).unwrap();
        let again = Population::draw(spec(300)).unwrap();
        let books = |population: &Population| -> Vec<Filed> {
            let people = population.people.iter();
            people.flat_map(|person| person.book.clone()).collect()
        };
        assert_eq!(books(&first), books(&again));
        let other = PopulationSpec {
            seed: 12,
            ..spec(300)
        };
        assert_ne!(books(&first), books(&Population::draw(other).unwrap()));
    }

    #[test]
    fn every_record_of_the_books_is_sound_and_has_its_own_id() {
        let population = Population::draw(spec(2_000)).unwrap();
        let mut ids = BTreeSet::new();
        for member in 0..population.members() {
            for record in population.book(member) {
                record.check(None).unwrap();
                assert!(ids.insert(record.head.record_id));
            }
        }
        assert!(ids.len() > 4_000, "{}", ids.len());
    }

    #[test]
    fn lenders_and_defaults_are_as_frequent_as_published() {
        let population = Population::draw(spec(20_000)).unwrap();
        let people = &population.people;
        let share = |count: usize| {
            f64::from(u32::try_from(count).unwrap())
                / f64::from(u32::try_from(people.len()).unwrap())
        };
        let at_least = |lenders: usize| {
            share(
                people
                    .iter()
                    .filter(|p| p.platforms.len() >= lenders)
                    .count(),
            )
        };
        assert!((0.26..0.29).contains(&at_least(2)), "{}", at_least(2));
        assert!((0.10..0.12).contains(&at_least(3)), "{}", at_least(3));
        assert!((0.035..0.055).contains(&at_least(4)), "{}", at_least(4));
        let defaulted = share(people.iter().filter(|p| p.defaulted).count());
        assert!((0.055..0.075).contains(&defaulted), "{defaulted}");
        let census = population.census();
        assert!((250..350).contains(&census[&Behaviour::Stacker]));
    }

    #[test]
    fn the_book_shows_as_many_running_loans_as_there_are_lenders() {
        let population = Population::draw(spec(500)).unwrap();
        for person in &population.people {
            let running = person.book.iter().filter(|filed| match &filed.record.body {
                Body::Loan(loan) => {
                    matches!(loan.state, LoanState::Active | LoanState::ChargedOff)
                }
                Body::Application(_) | Body::Hold(_) | Body::Signal(_) | Body::Retracted(_) => {
                    false
                }
            });
            assert_eq!(running.count(), person.platforms.len());
        }
    }

    #[test]
    fn without_lenders_there_is_nothing_to_draw() {
        let none = PopulationSpec {
            lenders: 0,
            ..spec(1)
        };
        assert_eq!(Population::draw(none).err(), Some(WorkloadError::NoLenders));
    }
}
