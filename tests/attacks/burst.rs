//! Borrowers that stack: behind a silent member, under new telephone numbers, and among shoppers.

use std::time::Duration;

use creditmesh::domain::{
    Application, ApplicationKind, ApplicationOutcome, Body, Currency, FlagCode, FlagState, Hold,
    Identifier, Money, Outcome, Product, Record, RecordHead, RecordId, Timestamp, Version,
};

use super::dice::Dice;
use super::world::{Books, DAY, HOUR, LENDERS, Network, World, holds, now};
use super::{is_full, percent, seed};

/// Borrowers of each kind where shoppers meet stackers.
const SHOPPERS: usize = 50;

fn bursts() -> u64 {
    if is_full() { 2_000 } else { 200 }
}

fn record(number: u64, at: Timestamp, phone: Option<&Identifier>, body: Body) -> Record {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&number.to_be_bytes());
    let mut record = Record {
        head: RecordHead {
            record_id: RecordId::fresh(at, random),
            version: Version::FIRST,
            reported_at: at,
            as_of: at,
            expires_on: None,
        },
        borrower: creditmesh::domain::Borrower::default(),
        body,
    };
    record.borrower.national = Identifier::parse("us-ssn:536-90-4399", None).ok();
    record.borrower.phone = phone.cloned();
    record
}

fn applied(kind: ApplicationKind, outcome: ApplicationOutcome, at: Timestamp) -> Body {
    let mut one = Application::new(kind, Product::CashLoan, at);
    one.outcome = outcome;
    Body::Application(one)
}

fn held(at: Timestamp) -> Body {
    Body::Hold(Hold::new(Money::of(300_000, Currency::USD), at))
}

fn phone(number: u64) -> Identifier {
    let text = format!("phone:+447700900{:03}", number % 1_000);
    Identifier::parse(&text, None).unwrap()
}

/// Different lenders in a drawn order.
fn lenders(count: usize, dice: &Dice) -> Vec<usize> {
    let mut all: Vec<usize> = (0..LENDERS).collect();
    for at in (1..all.len()).rev() {
        let other = usize::try_from(dice.below(at as u64 + 1)).unwrap();
        all.swap(at, other);
    }
    all.truncate(count);
    all
}

#[test]
fn behind_a_silent_member_of_30_percent_no_stacker_is_allowed() {
    let world = World::of(seed(), 1);
    let silent = 4;
    let mut network = Network {
        silent: vec![silent],
        weights: vec![30; LENDERS],
        ..Network::default()
    };
    // The asker is not asked; 18 others of 35 and the silent one with 270 make 30 %.
    network.weights = vec![35; LENDERS];
    network.weights[silent] = 270;
    let dice = Dice::of(seed(), 11);
    let mut outcomes = [0_usize; 4];
    let mut seen = 0;
    for burst in 0..bursts() {
        // It signed at the silent member and perhaps at others within three days.
        let mut books = Books::new();
        let mut places = lenders(4, &dice);
        places.retain(|place| *place != silent && *place != 0);
        let others = usize::try_from(dice.below(3)).unwrap();
        for member in places.into_iter().take(others).chain([silent]) {
            let at = now().minus(dice.ms(70 * 3_600_000));
            let body = held(at);
            books.insert(member, vec![record(burst, at, None, body)]);
        }
        let conclusion = world.assess(0, &books, &network, now());
        let place = match conclusion.outcome {
            Outcome::Allow => 0,
            Outcome::Review => 1,
            Outcome::Restrict => 2,
            Outcome::Inconclusive => 3,
        };
        outcomes[place] += 1;
        let open = |code| {
            let flag = conclusion.flags.iter().find(|flag| flag.code == code);
            flag.is_some_and(|flag| flag.state != FlagState::False)
        };
        seen += usize::from(open(FlagCode::Ca));
    }
    let bursts = usize::try_from(bursts()).unwrap();
    println!(
        "a silent member with 30 % of the weight, {bursts} bursts: ALLOW {}, REVIEW {}, \
         RESTRICT {}, INCONCLUSIVE {}; CA TRUE or UNKNOWN in {:.1} %",
        outcomes[0],
        outcomes[1],
        outcomes[2],
        outcomes[3],
        percent(seen, bursts)
    );
    assert_eq!(outcomes[0], 0);
    assert!(outcomes[2] > 0, "what the others know still restricts");
    assert_eq!(seen, bursts);
}

#[test]
fn a_new_telephone_number_each_time_hides_nothing() {
    let world = World::of(seed(), 1);
    let dice = Dice::of(seed(), 12);
    let network = Network::default();
    let cases = usize::try_from(bursts()).unwrap();
    let (mut same, mut changing, mut inconsistent) = (0, 0, 0);
    for case in 0..bursts() {
        let mut books = Books::new();
        let mut steady = Books::new();
        for (step, member) in lenders(3, &dice)
            .into_iter()
            .filter(|m| *m != 0)
            .enumerate()
        {
            let at = now().minus(dice.ms(60 * 3_600_000));
            let number = phone(case * 7 + step as u64);
            books.insert(member, vec![record(case, at, Some(&number), held(at))]);
            steady.insert(member, vec![record(case, at, Some(&phone(case)), held(at))]);
        }
        // Before that it tried three numbers at one lender.
        let tried: Vec<Record> = (0..3)
            .map(|step| {
                let at = now().minus(DAY * u32::try_from(10 + step * 9).unwrap());
                let declined = applied(
                    ApplicationKind::Application,
                    ApplicationOutcome::Declined,
                    at,
                );
                record(100 + step, at, Some(&phone(case * 5 + step)), declined)
            })
            .collect();
        let tried_at = (1..LENDERS)
            .find(|member| !books.contains_key(member))
            .unwrap();
        books.insert(tried_at, tried);
        let changed = world.assess(0, &books, &network, now());
        changing += usize::from(holds(&changed, FlagCode::St));
        inconsistent += usize::from(holds(&changed, FlagCode::Id));
        let plain = world.assess(0, &steady, &network, now());
        same += usize::from(holds(&plain, FlagCode::St));
    }
    println!(
        "a new telephone number each time, {cases} stackers: ST for {changing}, with one number \
         {same}; ID for {inconsistent}"
    );
    assert_eq!((changing, same, inconsistent), (cases, cases, cases));
}

/// What one applicant did and was told before the second payout.
struct Watched {
    flagged: bool,
    lenders: usize,
}

/// Three to five offers in a week, then one application.
fn shopper(world: &World, number: u64, dice: &Dice) -> Watched {
    let mut books = Books::new();
    let places = lenders(5, dice);
    let offers = usize::try_from(3 + dice.below(3)).unwrap();
    for member in places.iter().take(offers) {
        let at = now().minus(dice.ms(7 * 86_400_000));
        let offer = applied(ApplicationKind::Offer, ApplicationOutcome::Withdrawn, at);
        books
            .entry(*member)
            .or_default()
            .push(record(number, at, None, offer));
    }
    let chosen = places[0];
    let conclusion = world.assess(chosen, &books, &Network::default(), now());
    Watched {
        flagged: holds(&conclusion, FlagCode::St) || holds(&conclusion, FlagCode::Ca),
        lenders: 1,
    }
}

/// Four to twelve applications, exponential gaps of three hours on average, 60 % approved and
/// signed within the hour; paid out after 12 hours, behind a recheck.
fn stacker(world: &World, number: u64, dice: &Dice) -> Watched {
    let mut books = Books::new();
    let places = lenders(usize::try_from(4 + dice.below(9)).unwrap(), dice);
    let mut at = now();
    let mut watched = Watched {
        flagged: false,
        lenders: 0,
    };
    let mut payouts: Vec<(Timestamp, usize)> = Vec::new();
    for (step, member) in (0_u64..).zip(places) {
        let second_paid = payouts.get(1).is_some_and(|(paid, _)| *paid < at);
        if !second_paid {
            watched.flagged |= alarmed(world, member, &books, at);
        }
        watched.lenders += 1;
        let approved = dice.chance(60);
        let outcome = if approved {
            ApplicationOutcome::Signed
        } else {
            ApplicationOutcome::Declined
        };
        let body = applied(ApplicationKind::Application, outcome, at);
        let book = books.entry(member).or_default();
        book.push(record(number * 100 + step, at, None, body));
        if approved {
            let signed = at.plus(HOUR);
            book.push(record(number * 100 + 50 + step, signed, None, held(signed)));
            payouts.push((signed.plus(HOUR * 12), member));
            payouts.sort();
        }
        at = at.plus(gap(dice));
    }
    if let Some((paid, member)) = payouts.get(1) {
        watched.flagged |= alarmed(world, *member, &books, *paid);
    }
    watched
}

fn alarmed(world: &World, asker: usize, books: &Books, at: Timestamp) -> bool {
    let mut others = books.clone();
    others.remove(&asker);
    // What is not signed yet is not published yet.
    for records in others.values_mut() {
        records.retain(|record| record.head.reported_at <= at);
    }
    let conclusion = world.assess(asker, &others, &Network::default(), at);
    holds(&conclusion, FlagCode::St) || holds(&conclusion, FlagCode::Ca)
}

/// Exponential with a mean of three hours, from ten minutes to a day.
fn gap(dice: &Dice) -> Duration {
    let uniform = f64::from(u32::try_from(dice.below(1 << 30)).unwrap() + 1) / f64::from(1 << 30);
    let hours = (-uniform.ln() * 3.0).clamp(1.0 / 6.0, 24.0);
    Duration::from_secs_f64(hours * 3_600.0)
}

#[test]
fn fifty_stackers_are_told_from_fifty_rate_shoppers() {
    let world = World::of(seed(), 1);
    let dice = Dice::of(seed(), 13);
    let rounds = if is_full() { 20 } else { 2 };
    let (mut caught, mut missed, mut false_alarms, mut calm) = (0, 0, 0, 0);
    for number in 0..SHOPPERS * rounds {
        let number = u64::try_from(number).unwrap();
        let stacker = stacker(&world, number, &dice);
        assert!(stacker.lenders >= 4);
        caught += usize::from(stacker.flagged);
        missed += usize::from(!stacker.flagged);
        let shopper = shopper(&world, number, &dice);
        false_alarms += usize::from(shopper.flagged);
        calm += usize::from(!shopper.flagged);
    }
    let (precision, recall) = (
        percent(caught, caught + false_alarms),
        percent(caught, caught + missed),
    );
    println!(
        "50 rate shoppers against 50 stackers, {rounds} rounds: precision {precision:.1} %, \
         recall {recall:.1} %; {false_alarms} of {} shoppers flagged",
        false_alarms + calm
    );
    assert!(precision >= 99.0 && recall >= 95.0);
}
