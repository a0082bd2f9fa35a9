//! What the asking node sees in its own sealed history: whom it asked about, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::numbers::{crowded, followed, followed_by_chance, steps};
use super::{FishingCode, FishingThresholds, Number, Suspicion, per_mille};
use crate::domain::{Purpose, Timestamp};

/// Age from which something must have come of a query, if anything ever does.
const RIPE: Duration = Duration::from_secs(3 * 86_400);

/// Age below which a query is held against those before it.
const RECENT: Duration = Duration::from_secs(10 * 86_400);

/// One query of this node.
#[derive(Debug, Clone, Copy)]
pub struct OwnAsk {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub purpose: Purpose,
    /// Which person, by a number that means nothing elsewhere.
    pub person: u32,
    /// Its national identity.
    pub national: Option<Number>,
    /// Its telephone number.
    pub phone: Option<Number>,
    /// Whether the person got something: an approval, a contract or a loan, then or since.
    pub came_of_it: bool,
}

/// What of this history looks like fishing, at `now`. `asks` may be in any order.
#[must_use]
pub fn own(asks: &[OwnAsk], limits: &FishingThresholds, now: Timestamp) -> Vec<Suspicion> {
    let mut asks = asks.to_vec();
    asks.sort_by_key(|ask| (ask.at, ask.person));
    let firsts = first_asks(&asks);
    let mut suspicions = Vec::new();
    suspicions.extend(sequential(&firsts, limits));
    suspicions.extend(equal_steps(&firsts, limits));
    suspicions.extend(strangers(&asks, limits, now));
    suspicions.extend(low_yield(&asks, limits, now));
    suspicions
}

/// The first query on each person: asking again makes no number near to another.
fn first_asks(asks: &[OwnAsk]) -> Vec<OwnAsk> {
    let mut met = BTreeSet::new();
    let first = |ask: &&OwnAsk| met.insert(ask.person);
    asks.iter().filter(first).copied().collect()
}

/// A class of identifiers, and the number of that class.
type Class = (&'static str, fn(&OwnAsk) -> Option<Number>);

/// Numbers of one class with the moments at which they were asked about.
fn numbered(asks: &[OwnAsk], of: fn(&OwnAsk) -> Option<Number>) -> (Vec<Number>, Vec<Timestamp>) {
    let with = asks.iter().filter_map(|ask| Some((of(ask)?, ask.at)));
    with.unzip()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

const CLASSES: [Class; 2] = [
    ("national identities", |ask| ask.national),
    ("telephone numbers", |ask| ask.phone),
];

/// Whether so many are more than chance makes, by far and by the threshold.
fn beyond_chance(seen: usize, by_chance: f64, limits: &FishingThresholds) -> bool {
    let seen = f64::from(count(seen));
    seen >= by_chance + f64::from(limits.near_people) && seen > by_chance + 6.0 * by_chance.sqrt()
}

fn sequential(firsts: &[OwnAsk], limits: &FishingThresholds) -> Option<Suspicion> {
    CLASSES.into_iter().find_map(|class| {
        in_order(firsts, class, limits).or_else(|| in_a_day(firsts, class, limits))
    })
}

/// An enumeration in order, at any speed.
fn in_order(
    firsts: &[OwnAsk],
    (class, of): Class,
    limits: &FishingThresholds,
) -> Option<Suspicion> {
    let (numbers, moments) = numbered(firsts, of);
    let places = followed(&numbers, limits);
    let by_chance = followed_by_chance(&numbers, limits);
    if !beyond_chance(places.len(), by_chance, limits) {
        return None;
    }
    Some(Suspicion {
        code: FishingCode::Sequential,
        seen: format!(
            "{} of {} people were asked about soon after somebody whose number is at most {} away, \
             by their {class}; chance explains {by_chance:.0}, and from {} more on it is a \
             suspicion",
            places.len(),
            numbers.len(),
            limits.near_numbers,
            limits.near_people
        ),
        since: *places.first().and_then(|place| moments.get(*place))?,
    })
}

/// An enumeration in any order, within a day.
fn in_a_day(
    firsts: &[OwnAsk],
    (class, of): Class,
    limits: &FishingThresholds,
) -> Option<Suspicion> {
    for day in firsts.chunk_by(|a, b| a.at.day() == b.at.day()) {
        let (numbers, moments) = numbered(day, of);
        let (near, by_chance) = crowded(&numbers, limits);
        if beyond_chance(near, by_chance, limits) {
            return Some(Suspicion {
                code: FishingCode::Sequential,
                seen: format!(
                    "{near} of {} people of one day have a neighbour among them by their {class}, \
                     at most {} away; chance explains {by_chance:.0}, and from {} more on it is a \
                     suspicion",
                    numbers.len(),
                    limits.near_numbers,
                    limits.near_people
                ),
                since: *moments.first()?,
            });
        }
    }
    None
}

fn equal_steps(firsts: &[OwnAsk], limits: &FishingThresholds) -> Option<Suspicion> {
    for (class, of) in CLASSES {
        let (numbers, moments) = numbered(firsts, of);
        let (_, places) = steps(&numbers, limits);
        if count(places.len()) >= limits.near_people {
            return Some(Suspicion {
                code: FishingCode::EqualSteps,
                seen: format!(
                    "{} of {} people were asked about in one and the same step from somebody \
                     before them, by their {class}; from {} on it is a suspicion",
                    places.len(),
                    numbers.len(),
                    limits.near_people
                ),
                since: *places.first().and_then(|place| moments.get(*place))?,
            });
        }
    }
    None
}

/// Queries that rest on an application, and have had time to lead somewhere.
fn ripe(asks: &[OwnAsk], now: Timestamp) -> impl Iterator<Item = &OwnAsk> {
    asks.iter()
        .filter(move |ask| ask.purpose.needs_consent() && ask.purpose != Purpose::SelfAccess)
        .filter(move |ask| now.since(ask.at) >= RIPE)
}

fn strangers(asks: &[OwnAsk], limits: &FishingThresholds, now: Timestamp) -> Option<Suspicion> {
    let mut people: BTreeMap<u32, (u32, bool, Timestamp)> = BTreeMap::new();
    for ask in ripe(asks, now) {
        let entry = people.entry(ask.person).or_insert((0, false, ask.at));
        entry.0 += 1;
        entry.1 |= ask.came_of_it;
    }
    let again =
        |(queries, came, _): &&(u32, bool, Timestamp)| !came && *queries >= limits.stranger_queries;
    let strangers: Vec<_> = people.values().filter(again).collect();
    if count(strangers.len()) < limits.strangers {
        return None;
    }
    Some(Suspicion {
        code: FishingCode::RepeatedStrangers,
        seen: format!(
            "{} people were asked about {} times or more, and none of them ever got anything; from \
             {} on it is a suspicion",
            strangers.len(),
            limits.stranger_queries,
            limits.strangers
        ),
        since: strangers.iter().map(|(_, _, since)| *since).min()?,
    })
}

/// People asked about, how many of them got something, and the first moment.
fn yielded<'a>(asks: impl Iterator<Item = &'a OwnAsk>) -> (u64, u64, Option<Timestamp>) {
    let mut people: BTreeMap<u32, bool> = BTreeMap::new();
    let mut since = None;
    for ask in asks {
        *people.entry(ask.person).or_insert(false) |= ask.came_of_it;
        since = since.or(Some(ask.at));
    }
    let asked = u64::try_from(people.len()).unwrap_or(u64::MAX);
    let got = people.values().filter(|came| **came).count();
    (asked, u64::try_from(got).unwrap_or(u64::MAX), since)
}

fn low_yield(asks: &[OwnAsk], limits: &FishingThresholds, now: Timestamp) -> Vec<Suspicion> {
    let mut suspicions = Vec::new();
    let least = u64::from(limits.yield_people);
    let (asked, got, since) = yielded(ripe(asks, now));
    let share = per_mille(got, asked);
    if let Some(since) = since
        && asked >= least
        && share < u64::from(limits.yield_per_mille)
    {
        suspicions.push(Suspicion {
            code: FishingCode::LowYield,
            seen: format!(
                "{got} of {asked} people who were asked about got anything, {share} in a thousand; \
                 below {} it is a suspicion",
                limits.yield_per_mille
            ),
            since,
        });
    }
    let is_recent = |ask: &&OwnAsk| now.since(ask.at) < RECENT;
    let (asked_now, got_now, since) = yielded(ripe(asks, now).filter(is_recent));
    let (asked_then, got_then, _) = yielded(ripe(asks, now).filter(|ask| !is_recent(ask)));
    let (share_now, share_then) = (
        per_mille(got_now, asked_now),
        per_mille(got_then, asked_then),
    );
    if let Some(since) = since
        && asked_now >= least
        && asked_then >= least
        && share_now * u64::from(limits.yield_fall) < share_then
    {
        suspicions.push(Suspicion {
            code: FishingCode::YieldFell,
            seen: format!(
                "{got_now} of {asked_now} people got anything, {share_now} in a thousand; before \
                 it was {share_then}, and below one part in {} of that it is a suspicion",
                limits.yield_fall
            ),
            since,
        });
    }
    suspicions
}
