//! The whole stream of events with ideal nodes: what the oracle sees of stackers and shoppers, and
//! whether what nodes would publish and conclude agrees with the oracle.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::Ledger;
use crate::domain::{
    Bands, Borrower, CountName, Currency, FlagCode, FlagState, Identifier, LenderGroup, Level,
    NetworkId, Record, RecordId, Role, Summary, SummaryTerms, Timestamp, summarize,
};
use crate::risk::{AskerContext, PeerStanding, PeerView, Policy, Seen, conclude};
use crate::workload::{
    Behaviour, EventSpec, Population, PopulationSpec, Reporter, Step, Truth, events,
};

fn population(borrowers: usize, seed: u64) -> Population {
    Population::draw(PopulationSpec {
        seed,
        borrowers,
        lenders: 4,
        outside_lenders: 16,
        start: Timestamp::parse_rfc3339("2026-03-02T00:00:00Z").unwrap(),
    })
    .unwrap()
}

fn members(population: &Population) -> Vec<Reporter> {
    let lenders = population.platforms.iter().filter(|one| one.is_member);
    let lenders = lenders.map(|platform| Reporter {
        group: platform.group.clone(),
        role: Role::Lender,
    });
    let bureau = Reporter {
        group: "bureau".parse().unwrap(),
        role: Role::Bureau,
    };
    lenders.chain([bureau]).collect()
}

/// Every assess and recheck of the stream, answered by the oracle: whoever stacks is seen before
/// its second payout, and of the others hardly anybody looks like it.
#[test]
fn with_ideal_nodes_stackers_are_caught_and_shoppers_are_not() {
    let population = population(20_000, 3);
    let mut truth = Truth::of(members(&population));
    for member in 0..population.members() {
        for record in population.book(member) {
            truth.recorded(member, population.spec.start, record.clone());
        }
    }
    let mut ledger = Ledger::default();
    let mut payouts: BTreeMap<usize, usize> = BTreeMap::new();
    let mut caught: BTreeMap<usize, bool> = BTreeMap::new();
    for event in events(&population, &EventSpec::DEMO).unwrap() {
        let borrower = &population.people[event.person].borrower;
        let paid = payouts.entry(event.person).or_default();
        if matches!(event.step, Step::Apply(_) | Step::Recheck) && *paid < 2 {
            let counts = truth.answer(event.member, borrower, event.at).counts;
            let concurrent = counts[&CountName::ConcurrentGroups72h] >= 1;
            let stacked = counts[&CountName::SignedGroups15d] >= 2;
            *caught.entry(event.person).or_default() |= concurrent || stacked;
        }
        *paid += usize::from(matches!(event.step, Step::Fund(_)));
        for record in ledger.told(&event, borrower) {
            truth.recorded(event.member, event.at, record);
        }
    }
    let mut seen: BTreeMap<Behaviour, (u32, u32)> = BTreeMap::new();
    for (person, caught) in caught {
        let behaviour = population.people[person].behaviour;
        let stacked = behaviour != Behaviour::Stacker || payouts[&person] >= 2;
        let (people, flagged) = seen.entry(behaviour).or_default();
        *people += u32::from(stacked);
        *flagged += u32::from(stacked && caught);
    }
    let share = |behaviour| {
        let (people, flagged) = seen[&behaviour];
        assert!(people > 40, "{behaviour}: {people}");
        f64::from(flagged) / f64::from(people)
    };
    assert!(share(Behaviour::Stacker) >= 0.97, "{seen:?}");
    for honest in [Behaviour::Steady, Behaviour::RateShopper, Behaviour::Cycler] {
        assert!(share(honest) <= 0.005, "{seen:?}");
    }
    assert!(
        share(Behaviour::KeenShopper) > 0.5,
        "CA is expected there: {seen:?}"
    );
}

/// What one member publishes of one identifier.
#[derive(Default)]
struct Published {
    records: BTreeMap<RecordId, Record>,
    summary: Summary,
    next_change: Option<Timestamp>,
}

/// Members that publish a summary whenever a record or time changes it.
struct Publishers {
    network: NetworkId,
    bands: Bands,
    members: Vec<Reporter>,
    books: BTreeMap<(usize, Identifier), Published>,
}

impl Publishers {
    fn of(members: Vec<Reporter>) -> Self {
        let edges: Vec<i64> = [1, 2, 3, 5, 8, 10, 15, 20, 30, 40, 50, 75, 100, 150]
            .map(|thousands| thousands * 100_000)
            .into();
        Self {
            network: "demo".parse().unwrap(),
            bands: Bands::of(Currency::USD, &edges).unwrap(),
            members,
            books: BTreeMap::new(),
        }
    }

    fn recorded(&mut self, member: usize, at: Timestamp, record: &Record) {
        for identifier in record.borrower.identifiers() {
            let key = (member, identifier.clone());
            let book = self.books.entry(key.clone()).or_default();
            book.records.insert(record.head.record_id, record.clone());
            self.publish(&key, at);
        }
    }

    fn publish(&mut self, key: &(usize, Identifier), at: Timestamp) {
        let terms = SummaryTerms {
            level: Level::Full,
            network: &self.network,
            own_group: &self.members[key.0].group,
            bands: &self.bands,
            now: at,
        };
        let book = self.books.get_mut(key).unwrap();
        let records: Vec<Record> = book.records.values().cloned().collect();
        let made = summarize(&records, &terms);
        // What is not encoded is not known: the asker sees what the bytes tell.
        book.summary = Summary::decode(&made.summary.encode()).unwrap();
        book.next_change = made.next_change;
    }

    fn seen(
        &mut self,
        member: usize,
        identifier: Option<&Identifier>,
        now: Timestamp,
    ) -> Option<Box<Summary>> {
        let key = (member, identifier?.clone());
        let due = self.books.get(&key)?.next_change;
        if due.is_some_and(|due| due <= now) {
            self.publish(&key, now);
        }
        Some(Box::new(self.books.get(&key)?.summary.clone()))
    }

    fn views(&mut self, asker: usize, borrower: &Borrower, now: Timestamp) -> Vec<PeerView> {
        let others = (0..self.members.len()).filter(|member| *member != asker);
        let mut views = Vec::new();
        for member in others.collect::<Vec<_>>() {
            let seen = Seen::Answered {
                national: self.seen(member, borrower.national.as_ref(), now),
                phone: self.seen(member, borrower.phone.as_ref(), now),
                as_of: now,
                taken_on: None,
            };
            views.push(PeerView {
                member: format!("member-{member}").parse().unwrap(),
                lender_group: self.members[member].group.clone(),
                role: self.members[member].role,
                level: Level::Full,
                weight: 1,
                standing: PeerStanding::default(),
                seen,
            });
        }
        views
    }

    fn asker(&self, group: &LenderGroup) -> AskerContext {
        AskerContext::new(self.network.clone(), group.clone(), self.bands.clone())
    }
}

/// The same stream through what the nodes would publish and conclude, with all members heard: the
/// truth lies in every interval, almost all are exact, and no flag contradicts it.
#[test]
fn what_nodes_conclude_agrees_with_the_oracle() {
    let population = population(6_000, 4);
    let policy = Policy::built_in(Currency::USD).unwrap();
    let mut truth = Truth::of(members(&population));
    let mut publishers = Publishers::of(members(&population));
    for member in 0..population.members() {
        for record in population.book(member) {
            truth.recorded(member, population.spec.start, record.clone());
            publishers.recorded(member, population.spec.start, record);
        }
    }
    let mut ledger = Ledger::default();
    let (mut answers, mut exact_answers) = (0_u32, 0_u32);
    let mut unknown: BTreeMap<FlagCode, u32> = BTreeMap::new();
    let mut raised: BTreeSet<FlagCode> = BTreeSet::new();
    let mut inexact: BTreeMap<CountName, u32> = BTreeMap::new();
    for event in events(&population, &EventSpec::DEMO).unwrap() {
        let borrower = &population.people[event.person].borrower;
        if matches!(event.step, Step::Apply(_) | Step::Recheck) {
            let views = publishers.views(event.member, borrower, event.at);
            let asker = publishers.asker(&publishers.members[event.member].group);
            let concluded = conclude(&policy, &asker, &views, event.at);
            let right = truth.answer(event.member, borrower, event.at);
            for (name, interval) in &concluded.counts {
                let count = right.counts[name];
                assert!(
                    interval.contains(count),
                    "{name}: {count} not in {interval}"
                );
                if !interval.is_exact() {
                    *inexact.entry(*name).or_default() += 1;
                }
            }
            let all_exact = concluded
                .counts
                .values()
                .all(|interval| interval.is_exact());
            answers += 1;
            exact_answers += u32::from(all_exact);
            let flags = right.flags(&policy, event.at);
            for flag in &concluded.flags {
                let Some(holds) = flags.get(&flag.code) else {
                    continue;
                };
                match flag.state {
                    FlagState::True => {
                        assert!(holds, "{} is not true", flag.code);
                        raised.insert(flag.code);
                    }
                    // A closed loan is told until its member publishes again, a little too long.
                    FlagState::False if flag.code == FlagCode::Th => {}
                    FlagState::False => assert!(!holds, "{} is true", flag.code),
                    FlagState::Unknown => *unknown.entry(flag.code).or_default() += 1,
                }
            }
        }
        for record in ledger.told(&event, borrower) {
            truth.recorded(event.member, event.at, record.clone());
            publishers.recorded(event.member, event.at, &record);
        }
    }
    assert!(answers > 500, "{answers}");
    let share = f64::from(exact_answers) / f64::from(answers);
    assert!(share >= 0.99, "{share}: {inexact:?}");
    // Members cannot tell whether the one number that each saw is the same.
    let open = [FlagCode::Ex, FlagCode::Eg, FlagCode::Id];
    let others = unknown.iter().filter(|(code, _)| !open.contains(code));
    for code in [FlagCode::Sd, FlagCode::Id] {
        assert!(raised.contains(&code), "{code} was never raised");
    }
    let others: u32 = others.map(|(_, count)| count).sum();
    assert!(others * 100 <= answers, "{unknown:?} of {answers}");
}
