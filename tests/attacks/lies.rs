//! Members that say what is not so, or say nothing: liars, a free rider, replays, retractions.

use std::collections::BTreeSet;

use creditmesh::domain::{Body, MonthlyCounts, Outcome, RetractionReason, Signal, SignalKind};
use creditmesh::risk::{Against, PeerStanding, filing_jump, weight_per_mille};

use super::dice::Dice;
use super::world::{Books, DAY, Network, World, good_loan, mark_default, now};
use super::{borrowers, percent, seed};

/// Share of its book that a liar marks.
const LIE_PERCENT: u64 = 5;

/// How outcomes moved between two worlds; to REVIEW only from something milder.
#[derive(Default)]
struct Moves {
    asked: usize,
    to_restrict: usize,
    to_review: usize,
    /// To something milder: what the doubted member says in truth counts less, too.
    milder: usize,
}

/// How grave an outcome is.
fn gravity(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Allow | Outcome::Inconclusive => 0,
        Outcome::Review => 1,
        Outcome::Restrict => 2,
    }
}

impl Moves {
    fn count(&mut self, before: Outcome, after: Outcome) {
        self.asked += 1;
        if gravity(before) < gravity(after) {
            self.to_restrict += usize::from(after == Outcome::Restrict);
            self.to_review += usize::from(after == Outcome::Review);
        }
        self.milder += usize::from(gravity(before) > gravity(after));
    }

    fn text(&self, what: &str) -> String {
        format!(
            "{what}: of {} outcomes {:.2} % went up to RESTRICT, {:.2} % up to REVIEW, \
             {:.2} % down",
            self.asked,
            percent(self.to_restrict, self.asked),
            percent(self.to_review, self.asked),
            percent(self.milder, self.asked)
        )
    }
}

/// The books with the lies of these members: 5 % of the borrowers whose loan they hold, and where
/// two collude the same ones first.
struct Lies {
    books: Vec<Books>,
    marked: BTreeSet<usize>,
    /// Borrowers of the liars that some other member knows too.
    shared: usize,
    book_of_first: usize,
    filed_by_first: usize,
}

fn lies(world: &World, liars: &[usize], dice: &Dice) -> Lies {
    let mut books = world.books.clone();
    let holds = |books: &Books, liar: &usize| {
        books
            .get(liar)
            .is_some_and(|records| good_loan(records).is_some())
    };
    let of_all = |book: &Books| liars.iter().all(|liar| holds(book, liar));
    let mut marked = BTreeSet::new();
    let mut filed_by_first = 0;
    for liar in liars {
        let mut mine: Vec<usize> = (0..books.len())
            .filter(|person| holds(&world.books[*person], liar))
            .collect();
        let lie_to = mine.len() * usize::try_from(LIE_PERCENT).unwrap() / 100;
        // Those whom all the liars know come first; chance orders the others.
        let mut drawn: Vec<(bool, u64, usize)> = mine
            .drain(..)
            .map(|person| (!of_all(&world.books[person]), dice.below(1 << 40), person))
            .collect();
        if liars.len() > 1 {
            drawn.sort_by_key(|(apart, _, person)| (*apart, *person));
        } else {
            drawn.sort_by_key(|(_, chance, _)| *chance);
        }
        for (_, _, person) in drawn.into_iter().take(lie_to) {
            let records = books[person].get_mut(liar).unwrap();
            let at = good_loan(records).unwrap();
            mark_default(&mut records[at], now());
            marked.insert(person);
            filed_by_first += usize::from(*liar == liars[0]);
        }
    }
    let known = |book: &&Books| book.contains_key(&liars[0]);
    let elsewhere = |book: &&Books| book.keys().any(|member| !liars.contains(member));
    let held = world.books.iter().filter(known);
    Lies {
        shared: held.clone().filter(elsewhere).count(),
        book_of_first: held.count(),
        books,
        marked,
        filed_by_first,
    }
}

fn moves(world: &World, books: &[Books], network: &Network, liars: &[usize]) -> Moves {
    let dice = Dice::of(seed(), 77);
    let mut moves = Moves::default();
    for (person, after) in books.iter().enumerate() {
        let asker = world.asker(person, liars, &dice);
        let before = &world.books[person];
        let first = world.assess(asker, before, &Network::default(), now());
        let second = if before == after && network.standings == Network::default().standings {
            first.outcome
        } else {
            world.assess(asker, after, network, now()).outcome
        };
        moves.count(first.outcome, second);
    }
    moves
}

fn quarantined(liars: &[usize]) -> Network {
    let mut network = Network::default();
    for liar in liars {
        network.standings[*liar].quarantined_since = Some(now().minus(DAY));
    }
    network
}

#[test]
fn one_liar_restricts_nobody_and_moves_no_more_than_its_shared_borrowers_to_review() {
    let world = World::of(seed(), borrowers());
    let liar = 0;
    let lies = lies(&world, &[liar], &Dice::of(seed(), 1));
    let free = moves(&world, &lies.books, &Network::default(), &[liar]);
    let caught = moves(&world, &lies.books, &quarantined(&[liar]), &[liar]);
    let shared = percent(lies.shared, world.books.len());
    println!(
        "one liar: book {} of {} borrowers, {} marked; shared borrowers {shared:.2} %",
        lies.book_of_first,
        world.books.len(),
        lies.marked.len()
    );
    println!("  {}", free.text("before anybody notices"));
    println!("  {}", caught.text("in quarantine"));
    assert!(percent(free.to_restrict, free.asked) <= 0.5);
    assert!(percent(free.to_review, free.asked) <= shared);
    assert!(
        caught.to_restrict == 0 && caught.to_review == 0,
        "quarantine undoes it"
    );

    // The month in which it lied stands out from its own and from its peers' months.
    let honest = |accounts: usize, defaults: usize| MonthlyCounts {
        accounts: u32::try_from(accounts).unwrap(),
        default_filings: u32::try_from(defaults).unwrap(),
        ..MonthlyCounts::default()
    };
    let book = lies.book_of_first;
    let usual = honest(book, book * 6 / 1_000);
    let jump = filing_jump(&[usual; 6], &honest(book, lies.filed_by_first), &[]).unwrap();
    println!("  its monthly counts: {jump}");
    assert_eq!(jump.against, Against::OwnBase);
    assert_eq!(filing_jump(&[usual; 6], &usual, &[usual; 5]), None);
}

#[test]
fn two_colluding_liars_are_stopped_by_quarantine_and_two_honest_members_are_not() {
    let world = World::of(seed(), borrowers());
    let liars = [0, 1];
    let lies = lies(&world, &liars, &Dice::of(seed(), 2));
    let free = moves(&world, &lies.books, &Network::default(), &liars);
    let one_caught = moves(&world, &lies.books, &quarantined(&[0]), &liars);
    let caught = moves(&world, &lies.books, &quarantined(&liars), &liars);
    println!(
        "two colluding liars: {} borrowers marked",
        lies.marked.len()
    );
    println!("  {}", free.text("before anybody notices"));
    println!("  {}", one_caught.text("one of them in quarantine"));
    println!("  {}", caught.text("both in quarantine"));
    assert!(
        free.to_restrict > 0,
        "two sources are believed: that is what the rule costs"
    );
    assert!(
        percent(one_caught.to_restrict, one_caught.asked) <= 0.5,
        "as with one liar"
    );
    // Two doubtful critical reports count one step less: a person looks.
    assert_eq!(caught.to_restrict, 0);
    assert!(caught.to_review <= free.to_restrict + free.to_review);

    // Two honest members, with both liars about.
    let dice = Dice::of(seed(), 3);
    let mut restricted = 0;
    for _ in 0..50 {
        let person = usize::try_from(dice.below(world.books.len() as u64)).unwrap();
        let mut books = Books::new();
        let mut template = world.books[person].values().flatten();
        let mut loan = template
            .find(|record| matches!(record.body, Body::Loan(_)))
            .cloned()
            .unwrap();
        if let Body::Loan(loan) = &mut loan.body {
            loan.state = creditmesh::domain::LoanState::Active;
            loan.outstanding = loan.principal;
        }
        mark_default(&mut loan, now());
        books.insert(7, vec![loan.clone()]);
        books.insert(12, vec![loan]);
        let outcome = world
            .assess(15, &books, &quarantined(&liars), now())
            .outcome;
        restricted += usize::from(outcome == Outcome::Restrict);
    }
    println!("  two honest members report a default: {restricted} of 50 are RESTRICT");
    assert_eq!(restricted, 50);
}

#[test]
fn a_member_that_never_furnishes_hides_no_more_than_its_own_book() {
    let world = World::of(seed(), borrowers());
    let rider = 0;
    let dice = Dice::of(seed(), 4);
    let (mut asked, mut softer, mut harder, mut fewer) = (0, 0, 0, 0);
    let (mut records, mut hidden) = (0, 0);
    for (person, books) in world.books.iter().enumerate() {
        let asker = world.asker(person, &[rider], &dice);
        let mut told = books.clone();
        hidden += told.remove(&rider).map_or(0, |book| book.len());
        records += books.values().map(Vec::len).sum::<usize>();
        let whole = world.assess(asker, books, &Network::default(), now());
        let part = world.assess(asker, &told, &Network::default(), now());
        asked += 1;
        softer += usize::from(gravity(part.outcome) < gravity(whole.outcome));
        harder += usize::from(gravity(part.outcome) > gravity(whole.outcome));
        fewer += usize::from(part.counts != whole.counts);
    }
    println!(
        "a member that never furnishes, with {:.2} % of all records: {:.2} % of answers count \
         less, {:.2} % of outcomes are milder, {harder} graver",
        percent(hidden, records),
        percent(fewer, asked),
        percent(softer, asked)
    );
    assert_eq!(harder, 0);
    assert!(percent(softer, asked) <= percent(hidden, records));
}

#[test]
fn a_replayed_default_after_its_cure_changes_nothing() {
    let world = World::of(seed(), borrowers());
    let dice = Dice::of(seed(), 5);
    let mut replayed = 0;
    for (person, books) in world.books.iter().enumerate() {
        let mut cured = books.clone();
        let mut replay = books.clone();
        for (member, records) in books {
            let Some(at) = good_loan(records) else {
                continue;
            };
            // Version 2 says default, version 3 that it was made good; then version 2 comes again.
            let mut late = records[at].clone();
            mark_default(&mut late, now().minus(DAY));
            let mut good = records[at].clone();
            good.head.version = late.head.version.next();
            cured.get_mut(member).unwrap()[at] = good.clone();
            let book = replay.get_mut(member).unwrap();
            book[at] = good;
            book.extend([late.clone(), late]);
            replayed += 1;
        }
        let asker = world.asker(person, &[], &dice);
        let network = Network::default();
        assert_eq!(
            world.assess(asker, &cured, &network, now()),
            world.assess(asker, &replay, &network, now())
        );
    }
    println!("replayed defaults: {replayed} old versions came twice after the cure, 0 differences");
    assert!(replayed > 500);
}

#[test]
fn after_a_retraction_storm_every_answer_is_as_if_nothing_had_been_filed() {
    let world = World::of(seed(), borrowers());
    let liar = 0;
    let lies = lies(&world, &[liar], &Dice::of(seed(), 6));
    let dice = Dice::of(seed(), 7);
    let mut compared = 0;
    for person in &lies.marked {
        // It filed a signal beside the loan, and takes it back.
        let mut filed = world.books[*person].clone();
        let book = filed.get_mut(&liar).unwrap();
        let loan = book[good_loan(book).unwrap()].clone();
        let mut signal = loan.clone();
        signal.head.record_id = creditmesh::domain::RecordId::fresh(now(), [9; 10]);
        signal.body = Body::Signal(Signal::new(
            SignalKind::Default,
            now().day(),
            "desk-1".to_owned(),
        ));
        let gone = signal.retracted(RetractionReason::FurnisherError, now());
        book.extend([signal, gone]);
        let asker = world.asker(*person, &[liar], &dice);
        let network = Network::default();
        let after = world.assess(asker, &filed, &network, now());
        let never = world.assess(asker, &world.books[*person], &network, now());
        assert_eq!(after, never);
        compared += 1;
    }
    let overturned = u32::try_from(compared).unwrap();
    let weight = weight_per_mille(0, overturned);
    println!(
        "retraction storm: {compared} defaults filed and taken back, 0 answers differ; the \
         member's word then weighs {weight} of 1,000"
    );
    assert!(weight < 750);
    // What it files next restricts nobody and moves nobody to REVIEW by itself.
    let mut network = Network::default();
    network.standings[liar] = PeerStanding {
        overturned,
        ..PeerStanding::default()
    };
    let next = moves(&world, &lies.books, &network, &[liar]);
    println!("  {}", next.text("when it marks them again"));
    assert_eq!((next.to_restrict, next.to_review), (0, 0));
}
