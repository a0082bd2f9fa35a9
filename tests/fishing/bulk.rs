//! Ordinary lenders and bureaus of many sizes raise nothing; each planted fisher is found.

use std::time::Duration;

use creditmesh::domain::{Epoch, Identifier, MemberId, Purpose, Timestamp};
use creditmesh::risk::fishing::{
    AskerDay, Asking, Canaries, CountedQuestion, DayCounter, EpochSpent, FishingCode,
    FishingThresholds, Number, Opened, OwnAsk, own, peers, touched,
};
use creditmesh::workload::{Activity, EventSpec, Population, PopulationSpec, Step, events};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

const DAY: Duration = Duration::from_secs(86_400);

fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-02T00:00:00Z").unwrap()
}

fn dice(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// One member's two weeks of the simulated network: its own asks.
fn ordinary_asks(population: &Population) -> Vec<Vec<OwnAsk>> {
    let spec = EventSpec {
        days: 14,
        active: Activity {
            steady: 0.3,
            rate_shopper: 0.5,
            keen_shopper: 0.5,
            cycler: 0.8,
            stacker: 0.5,
        },
    };
    let all = events(population, &spec).unwrap();
    let got = |person: usize, who: usize| {
        let funded = all
            .iter()
            .filter(|one| matches!(one.step, Step::Fund(_) | Step::Sign(_)));
        funded
            .filter(|one| one.person == person && one.member == who)
            .map(|one| one.at)
            .max()
    };
    let mut asks = vec![Vec::new(); population.members()];
    for event in &all {
        let purpose = match event.step {
            Step::Apply(_) => Purpose::CreditApplication,
            Step::Recheck => Purpose::PreFundingRecheck,
            Step::Decline
            | Step::Withdraw
            | Step::Sign(_)
            | Step::Fund(_)
            | Step::Release
            | Step::Report(..) => continue,
        };
        let borrower = &population.people[event.person].borrower;
        asks[event.member].push(OwnAsk {
            at: event.at,
            purpose,
            person: event.person as u32,
            national: borrower.national.as_ref().map(Number::of),
            phone: borrower.phone.as_ref().map(Number::of),
            came_of_it: got(event.person, event.member) >= Some(event.at),
        });
    }
    asks
}

/// A month of a lender of `daily` applications a day: people by day, few at night, half as many on
/// Sundays, `growth` times as many more at its end, and two and a half times as many at the end of
/// the month.
fn ordinary_days(daily: f64, growth: f64, seed: u64) -> Vec<AskerDay> {
    let mut dice = dice(seed);
    let mut days = Vec::new();
    for number in 0..28_u32 {
        let weekly = if number % 7 == 6 { 0.5 } else { 1.0 };
        let month_end = if number >= 26 { 2.5 } else { 1.0 };
        let grown = 1.0 + growth * f64::from(number) / 28.0;
        let noise = 0.8 + 0.4 * dice.random::<f64>();
        let mut moments: Vec<u64> = Vec::new();
        for _ in 0..(daily * grown * weekly * month_end * noise) as u64 {
            let second = if dice.random::<f64>() < 0.06 {
                dice.random_range(0..8 * 3_600)
            } else {
                dice.random_range(8 * 3_600..23 * 3_600)
            };
            moments.push(second * 1_000 + dice.random_range(0..1_000_u64));
        }
        days.push(counted(number, moments, &mut dice));
    }
    days
}

/// A day of applications at these milliseconds, each with a recheck now and then.
fn counted(number: u32, mut moments: Vec<u64>, dice: &mut impl Rng) -> AskerDay {
    moments.sort_unstable();
    let midnight = start().plus(DAY * number);
    let mut counter = DayCounter::new(midnight.day());
    for ms in moments {
        let mut commitment = [0; 32];
        dice.fill_bytes(&mut commitment);
        let purpose = match dice.random_range(0..100) {
            0..70 => Purpose::CreditApplication,
            70..95 => Purpose::PreFundingRecheck,
            _ => Purpose::Collection,
        };
        counter.count(&CountedQuestion {
            at: midnight.plus(Duration::from_millis(ms)),
            purpose,
            elements: 2,
            commitment,
        });
    }
    counter.day
}

fn asking(days: Vec<AskerDay>) -> Asking {
    let epoch = |number, spent| EpochSpent {
        epoch: Epoch(number),
        began: start(),
        spent,
        quota: 1_000,
    };
    Asking {
        days,
        epochs: vec![epoch(3, 700), epoch(4, 990), epoch(5, 120)],
        feed_leaves: Some(200_000),
    }
}

fn now() -> Timestamp {
    start().plus(DAY * 27 + Duration::from_secs(86_000))
}

fn codes_of(asking: &Asking) -> Vec<FishingCode> {
    let limits = FishingThresholds::default();
    let found = peers(asking, &limits, now());
    found.iter().map(|one| one.code).collect()
}

/// Counts of what was planted and found, and of what was found in ordinary business.
#[derive(Debug, Default)]
struct Tally {
    planted: u32,
    found: u32,
    ordinary: u32,
    false_alarms: u32,
}

impl Tally {
    fn ordinary(&mut self, what: &str, found: &[FishingCode]) {
        self.ordinary += 1;
        if !found.is_empty() {
            self.false_alarms += 1;
            println!("false alarm: {what}: {found:?}");
        }
    }

    fn planted(&mut self, what: &str, found: &[FishingCode], code: FishingCode) {
        self.planted += 1;
        if found.contains(&code) {
            self.found += 1;
        } else {
            println!("not found: {what}: {code:?} in {found:?}");
        }
    }

    fn print(&self, side: &str) {
        let precision = f64::from(self.found) / f64::from((self.found + self.false_alarms).max(1));
        let recall = f64::from(self.found) / f64::from(self.planted.max(1));
        println!(
            "{side}: {} ordinary, {} false alarms; {} planted, {} found; precision {precision:.3}, \
             recall {recall:.3}",
            self.ordinary, self.false_alarms, self.planted, self.found
        );
        assert_eq!((self.false_alarms, self.found), (0, self.planted));
    }
}

fn planted_ask(at: Timestamp, person: u32, number: u64) -> OwnAsk {
    let text = format!("us-ssn:{:09}", 500_000_000 + number);
    let identifier = Identifier::parse(&text, None);
    OwnAsk {
        at,
        purpose: Purpose::CreditApplication,
        person,
        national: identifier.ok().as_ref().map(Number::of),
        phone: None,
        came_of_it: false,
    }
}

/// Fishers hidden among an ordinary lender's asks.
fn plant(tally: &mut Tally, ordinary: &[OwnAsk], seed: u64) {
    let (limits, now) = (FishingThresholds::default(), start().plus(DAY * 15));
    let mut dice = dice(seed);
    let mut judged = |what: &str, code, planted: Vec<OwnAsk>| {
        let mixed = [ordinary, &planted].concat();
        let found: Vec<_> = own(&mixed, &limits, now)
            .iter()
            .map(|one| one.code)
            .collect();
        tally.planted(what, &found, code);
    };
    let person = |number: u32| 1_000_000 + number;
    let base = 1_000_000 * dice.random_range(1..100_u64) + 100_001;
    let at =
        |number: u32, gap: u64| start().plus(DAY + Duration::from_secs(u64::from(number) * gap));
    let in_order = (0..60_u32)
        .map(|n| planted_ask(at(n, 20), person(n), base + u64::from(n) * 3))
        .collect();
    judged("in order", FishingCode::Sequential, in_order);
    let slow = (0..40_u32)
        .map(|n| planted_ask(at(n, 7_000), person(n), base + u64::from(n)))
        .collect();
    let rare: Vec<OwnAsk> = slow;
    if ordinary.len() < 500 {
        judged("slow", FishingCode::Sequential, rare);
    }
    let shuffled = (0..60_u32)
        .map(|n| planted_ask(at(n, 700), person(n), base + u64::from(n * 37 % 60) * 19))
        .collect();
    judged("shuffled", FishingCode::Sequential, shuffled);
    let steps = (0..60_u32)
        .map(|n| planted_ask(at(n, 5), person(n), base + u64::from(n) * 1_013))
        .collect();
    judged("steps", FishingCode::EqualSteps, steps);
    let again = (0..240_u32)
        .map(|n| {
            planted_ask(
                at(n, 400),
                person(n % 30),
                u64::from(n % 30 + 1).pow(4) * 613,
            )
        })
        .collect();
    judged("strangers", FishingCode::RepeatedStrangers, again);
}

#[test]
fn ordinary_lenders_find_nothing_in_their_own_queries_and_fishers_are_found() {
    let mut tally = Tally::default();
    let (limits, now) = (FishingThresholds::default(), start().plus(DAY * 15));
    for (seed, borrowers) in [(1, 500), (2, 3_000), (3, 6_000)] {
        let population = Population::draw(PopulationSpec {
            seed,
            borrowers,
            lenders: 4,
            outside_lenders: 3,
            start: start(),
        });
        for (member, asks) in ordinary_asks(&population.unwrap()).iter().enumerate() {
            let found = own(asks, &limits, now);
            let codes: Vec<_> = found.iter().map(|one| one.code).collect();
            let what = format!(
                "seed {seed}, member {member}, {} asks: {found:?}",
                asks.len()
            );
            tally.ordinary(&what, &codes);
            if !asks.is_empty() {
                plant(&mut tally, asks, seed * 100 + member as u64);
            }
        }
    }
    tally.print("own queries");
}

#[test]
fn a_lender_that_asks_about_people_who_get_nothing_is_found() {
    let limits = FishingThresholds::default();
    let now = start().plus(DAY * 28);
    let ask = |n: u32, came_of_it: bool| OwnAsk {
        came_of_it,
        ..planted_ask(
            start().plus(Duration::from_secs(u64::from(n) * 2_400)),
            n,
            u64::from(n).pow(3) * 7_919 % 90_000_000,
        )
    };
    let codes = |asks: &[OwnAsk]| -> Vec<FishingCode> {
        own(asks, &limits, now).iter().map(|one| one.code).collect()
    };
    let strict: Vec<OwnAsk> = (0..900).map(|n| ask(n, n % 20 == 0)).collect();
    assert!(
        codes(&strict).is_empty(),
        "a strict lender: {:?}",
        codes(&strict)
    );
    let none: Vec<OwnAsk> = (0..900).map(|n| ask(n, n % 100 == 0)).collect();
    assert_eq!(codes(&none), [FishingCode::LowYield]);
    let mut fell: Vec<OwnAsk> = (0..500).map(|n| ask(n, n % 3 == 0)).collect();
    fell.extend((660..980).map(|n| {
        OwnAsk {
            at: now
                .minus(DAY * 8)
                .plus(Duration::from_secs(u64::from(n) * 30)),
            ..ask(n, n % 30 == 0)
        }
    }));
    assert_eq!(codes(&fell), [FishingCode::YieldFell]);
}

/// Each way of fishing that an answering node can see, planted into ordinary days.
fn planted_days(daily: f64, seed: u64) -> Vec<(FishingCode, Asking)> {
    let mut dice = dice(seed ^ 0xf15);
    let days = ordinary_days(daily, 0.0, seed);
    let with = |change: &mut dyn FnMut(&mut AskerDay)| {
        let mut changed = asking(days.clone());
        change(changed.days.last_mut().unwrap());
        changed
    };
    let burst = with(&mut |day| day.elements[0] = (daily * 2.0) as u64 * 12 + 600);
    let drip = (0..400).map(|n| n * 200_000).collect();
    let mut rhythm = asking(days.clone());
    *rhythm.days.last_mut().unwrap() = counted(27, drip, &mut dice);
    let mut awake = asking(days.clone());
    for day in awake.days.iter_mut().rev().take(7) {
        day.hours = [40 + (daily as u32) / 20; 24];
    }
    let mut purposes = asking(days.clone());
    for day in &mut purposes.days {
        day.elements[0] += 60;
    }
    for day in purposes.days.iter_mut().rev().take(7) {
        day.elements[4] = day.elements[0] + day.elements[1] + 400;
    }
    let mut beyond = asking(days.clone());
    beyond.days[5].elements[2] = 700_000;
    let mut spent = asking(days.clone());
    spent.epochs[0].spent = 1_000;
    let reused = with(&mut |day| day.reused = 12);
    vec![
        (FishingCode::Volume, burst),
        (FishingCode::Rhythm, rhythm),
        (FishingCode::RoundTheClock, awake),
        (FishingCode::Purposes, purposes),
        (FishingCode::BeyondItsBook, beyond),
        (FishingCode::QuotaSpent, spent),
        (FishingCode::CommitmentReused, reused),
    ]
}

#[test]
fn ordinary_askers_raise_nothing_at_their_peers_and_fishers_are_found() {
    let mut tally = Tally::default();
    for seed in 0..6 {
        for daily in [0.5, 5.0, 60.0, 900.0] {
            let days = ordinary_days(daily, 0.0, seed);
            let what = format!("{daily} a day, seed {seed}");
            tally.ordinary(&what, &codes_of(&asking(days.clone())));
            let mut bureau = asking(days.clone());
            for day in bureau.days.iter_mut().step_by(14) {
                day.elements[2] = 190_000;
            }
            tally.ordinary(&format!("bureau, {what}"), &codes_of(&bureau));
            let growing = ordinary_days(daily, 1.0, seed);
            tally.ordinary(&format!("growing, {what}"), &codes_of(&asking(growing)));
            for (code, planted) in planted_days(daily, seed) {
                tally.planted(&what, &codes_of(&planted), code);
            }
        }
    }
    tally.print("at peers");
}

#[test]
fn the_order_of_what_is_judged_changes_nothing() {
    let limits = FishingThresholds::default();
    let mut planted = planted_days(60.0, 3);
    for (_, asking) in &mut planted {
        let found = peers(asking, &limits, now());
        asking.days.reverse();
        asking.epochs.reverse();
        assert_eq!(peers(asking, &limits, now()), found);
    }
    let asks: Vec<OwnAsk> = (0..60_u32)
        .map(|n| planted_ask(start().plus(Duration::from_secs(n.into())), n, n.into()))
        .collect();
    let backwards: Vec<OwnAsk> = asks.iter().rev().copied().collect();
    assert_eq!(own(&asks, &limits, now()), own(&backwards, &limits, now()));
    assert!(own(&[], &limits, now()).is_empty());
    assert!(peers(&asking(Vec::new()), &limits, now()).is_empty());
}

#[test]
fn a_member_that_asked_about_a_canary_is_named_and_no_other() {
    let identifier = |text: &str| Identifier::parse(text, None).unwrap();
    let canaries = Canaries::of([
        identifier("us-ssn:536-90-4001"),
        identifier("us-ssn:536-90-4002"),
    ]);
    let opened = |member: &str, position, text: &str| Opened {
        member: member.parse::<MemberId>().unwrap(),
        position,
        at: start().plus(Duration::from_secs(position)),
        identifier: identifier(text),
    };
    let openings = [
        opened("alpha", 9, "us-ssn:536-90-4002"),
        opened("alpha", 4, "us-ssn:536-90-4001"),
        opened("alpha", 5, "us-ssn:536-90-4400"),
        opened("beta", 1, "us-ssn:536-90-4400"),
    ];
    let found = touched(&openings, &canaries);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].member.as_str(), "alpha");
    assert_eq!((found[0].opened, found[0].canaries), (3, 2));
    assert_eq!(found[0].positions, [4, 9]);
    assert_eq!(found[0].since, start().plus(Duration::from_secs(4)));
    assert!(!found[0].says().contains("4001"), "{}", found[0].says());
    assert!(touched(&openings[3..], &canaries).is_empty());
}
