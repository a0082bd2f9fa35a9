//! Publish before query: the real flows and services over a simulated transport and memory stores.
//! In no interleaving does neither of two lenders see the other, nor report it silent.
//!
//! `CREDITMESH_TEST_SIZE=full` runs 5,000 seeds, anything else 300; `CREDITMESH_TEST_SEED=n` runs
//! that one and prints it. `docs/simulation.md` keeps the output of a full run.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

#[path = "simulation/clock.rs"]
mod clock;
#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/disk.rs"]
mod disk;
#[path = "simulation/eve.rs"]
mod eve;
#[path = "simulation/lender.rs"]
mod lender;
#[path = "simulation/race.rs"]
mod race;
#[path = "simulation/scenario.rs"]
mod scenario;
#[path = "simulation/seeds.rs"]
mod seeds;
#[path = "simulation/wires.rs"]
mod wires;
#[path = "simulation/world.rs"]
mod world;

use std::collections::BTreeMap;

use creditmesh::flows::Order;
use creditmesh::limits::TAIL_LEAVES_MAX;
use race::{Outcome, run};
use scenario::Layout;
use seeds::run_all;

const SEEDS_SMALL: u64 = 300;
const SEEDS_FULL: u64 = 5_000;

/// Seeds that once broke the property; they are run at every size.
const REPRODUCTIONS: &[u64] = &[107, 256];

/// A mirror that is further behind gets a truncated tail.
const TAIL_LEAVES: u64 = TAIL_LEAVES_MAX as u64;

#[test]
fn of_two_lenders_at_least_one_sees_the_other_or_reports_it_silent() {
    let mut seeds = seeds::wanted(SEEDS_SMALL, SEEDS_FULL);
    if seeds.len() > 1 {
        seeds.extend(REPRODUCTIONS);
    }
    let outcomes = run_all(&seeds, |seed| run(seed, Order::PublishThenAsk));
    let broken: BTreeMap<u64, &[String]> = outcomes
        .iter()
        .filter(|(_, outcome)| !outcome.broken.is_empty())
        .map(|(seed, outcome)| (*seed, outcome.broken.as_slice()))
        .collect();
    println!("{}", Summary::of(&outcomes).text());
    if seeds.len() == 1 {
        println!("{outcomes:#?}");
    }
    assert!(broken.is_empty(), "seeds that break it: {broken:#?}");
    if seeds.len() > 1 {
        Summary::of(&outcomes).check();
    }
}

#[test]
fn with_publish_and_query_swapped_neither_lender_sees_the_other() {
    for first in (0..SEEDS_SMALL).step_by(20) {
        let seeds: Vec<u64> = (first..first + 20).collect();
        let outcomes = run_all(&seeds, |seed| run(seed, Order::AskThenPublish));
        let blind = outcomes.iter().find(|(_, outcome)| {
            let neither = |why: &String| why.starts_with("neither");
            outcome.broken.iter().any(neither)
        });
        if let Some((seed, _)) = blind {
            println!("seed {seed} shows two lenders blind to each other");
            return;
        }
    }
    panic!("the property holds in the wrong order too: the simulation shows nothing");
}

/// How much happened in the runs: a property that nothing puts to the test is not shown.
#[derive(Debug, Default)]
struct Summary {
    runs: usize,
    both_answered: usize,
    answers: usize,
    crashed: usize,
    saw: usize,
    silent: usize,
    one_blind: usize,
    saw_past_a_tail: usize,
    layouts: BTreeMap<String, usize>,
}

impl Summary {
    fn of(outcomes: &BTreeMap<u64, Outcome>) -> Self {
        let mut summary = Self {
            runs: outcomes.len(),
            ..Self::default()
        };
        for outcome in outcomes.values() {
            let told = || outcome.told.iter().flatten();
            let both = outcome.told.iter().all(|answers| !answers.is_empty());
            let blind = told().any(|told| told.lo == 0 && !told.other_is_silent);
            summary.both_answered += usize::from(both);
            summary.one_blind += usize::from(both && blind);
            summary.answers += told().count();
            summary.crashed += outcome.crashes;
            summary.saw += told().filter(|told| told.lo > 0).count();
            summary.silent += told().filter(|told| told.other_is_silent).count();
            for (told, other) in outcome.told.iter().zip([1, 0]) {
                let far =
                    outcome.behind[other] > TAIL_LEAVES && !outcome.scenario.follows[1 - other];
                summary.saw_past_a_tail += told.iter().filter(|told| far && told.lo > 0).count();
            }
            let layout = format!("{:?}", outcome.scenario.layout);
            *summary.layouts.entry(layout).or_default() += 1;
        }
        summary
    }

    fn text(&self) -> String {
        format!(
            "{} runs {:?}: both lenders answered in {}, one rightly blind in {}; {} answers, of \
             which {} saw the other ({} past a truncated tail) and {} reported it \
             silent; {} crashes",
            self.runs,
            self.layouts,
            self.both_answered,
            self.one_blind,
            self.answers,
            self.saw,
            self.saw_past_a_tail,
            self.silent,
            self.crashed
        )
    }

    fn check(&self) {
        for layout in [
            Layout::Plain,
            Layout::TruncatedTail,
            Layout::Overlap,
            Layout::Rollover,
        ] {
            let name = format!("{layout:?}");
            assert!(self.layouts.contains_key(&name), "{name} was never drawn");
        }
        assert!(self.both_answered * 10 > self.runs * 8, "{self:#?}");
        assert!(self.saw * 10 > self.answers * 3, "{self:#?}");
        assert!(self.saw_past_a_tail > 0, "{self:#?}");
        assert!(self.one_blind * 20 > self.runs, "{self:#?}");
        assert!(self.crashed * 5 > self.runs, "{self:#?}");
    }
}
