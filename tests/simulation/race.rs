//! One run: two lenders assess one borrower at once, and what their answers must say of each other.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use creditmesh::domain::QueryId;
use creditmesh::flows::Order;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::dice::Dice;
use crate::eve::prepare;
use crate::lender::{Answers, Lender, Told, undecided};
use crate::scenario::{Layout, Scenario};
use crate::world::{Conduct, MEMBERS, World};

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    /// How many leaves of each lender's feed the other one lacked before the race.
    pub(crate) behind: [u64; 2],
    pub(crate) told: [Vec<Told>; 2],
    pub(crate) crashes: usize,
    /// What must not be, in words.
    pub(crate) broken: Vec<String>,
}

/// Runs one seed from its beginning to its end.
pub(crate) fn run(seed: u64, order: Order) -> Outcome {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(race(seed, order))
}

async fn race(seed: u64, order: Order) -> Outcome {
    let dice = Dice::of(seed, 0);
    let scenario = Scenario::draw(&dice);
    let world = prepare(seed, order, scenario, &dice).await;
    let behind = [world.behind(0).await, world.behind(1).await];
    world.stop_all(scenario.weather);
    let crashes = Arc::default();
    let keepers = keep_all(&world, scenario, &dice, &crashes);
    let settling_ms = if scenario.settled { 1_200 } else { 1 };
    sleep(Duration::from_millis(settling_ms)).await;
    for side in 0..2 {
        for replica in 0..scenario.replicas[side] {
            world.arm(side, replica, scenario.crashes[side][replica]);
        }
    }
    let answers: Answers = Arc::default();
    let lenders = [0, 1].map(|side| {
        let lender = Lender {
            side,
            replicas: scenario.replicas[side],
            late_ms: match scenario.layout {
                Layout::Rollover => 4_000,
                Layout::Plain | Layout::TruncatedTail | Layout::Overlap => 120,
            },
            world: Arc::clone(&world),
            answers: Arc::clone(&answers),
            dice: Dice::of(seed, 10 + u64::try_from(side).unwrap()),
        };
        tokio::spawn(lender.seek())
    });
    for lender in lenders {
        lender.await.unwrap();
    }
    // What a lender gave up waiting for may still end.
    sleep(Duration::from_secs(8)).await;
    for keeper in keepers {
        keeper.abort();
    }
    let told = std::mem::take(&mut *answers.lock().unwrap());
    let mut broken = judge(&told);
    for side in 0..2 {
        let filed = undecided(&world, side).await;
        broken.extend(judge_requests(MEMBERS[side], filed, &told[side]));
    }
    world.stop_all(scenario.weather);
    let crashes = *crashes.lock().unwrap();
    Outcome {
        scenario,
        behind,
        told,
        crashes,
        broken,
    }
}

/// One request files one application and has one answer, however often and wherever it is made; the
/// recheck has another.
fn judge_requests(member: &str, filed: u64, told: &[Told]) -> Vec<String> {
    let mut broken = Vec::new();
    if filed > 1 {
        broken.push(format!("{member} filed {filed} applications"));
    }
    for is_recheck in [false, true] {
        let told = told.iter().filter(|told| told.is_recheck == is_recheck);
        let queries: BTreeSet<QueryId> = told.map(|told| told.query).collect();
        if queries.len() > 1 {
            broken.push(format!("{member} heard several answers to one request"));
        }
    }
    broken
}

/// Of any two answers to the two lenders, one must account for the other lender; and every answer
/// must hold what was true while it was made.
fn judge(told: &[Vec<Told>; 2]) -> Vec<String> {
    let mut broken = Vec::new();
    for one in &told[0] {
        for other in &told[1] {
            if !one.accounts_for_the_other() && !other.accounts_for_the_other() {
                broken.push(format!("neither sees the other: {one:?}, {other:?}"));
            }
        }
    }
    for one in told.iter().flatten() {
        if one.lo > one.on_disk_after || one.hi < one.answered_before {
            broken.push(format!("the truth is not in the interval: {one:?}"));
        }
    }
    broken
}

/// Keeps every replica of the scenario running.
fn keep_all(
    world: &Arc<World>,
    scenario: Scenario,
    dice: &Dice,
    crashes: &Arc<Mutex<usize>>,
) -> Vec<JoinHandle<()>> {
    let bystanders = usize::from(scenario.bystander);
    let replicas = [scenario.replicas[0], scenario.replicas[1], bystanders];
    let places = (0..).zip(replicas);
    let places = places.flat_map(|(side, replicas)| (0..replicas).map(move |one| (side, one)));
    let keeping = places.map(|(side, replica)| {
        let conduct = Conduct {
            follows: side > 1 || scenario.follows[side],
            slow_percent: scenario.slow_percent,
            peer_deadline: Duration::from_millis(scenario.peer_deadline_ms),
        };
        let (world, crashes) = (Arc::clone(world), Arc::clone(crashes));
        tokio::spawn(keep(world, (side, replica), conduct, crashes, dice.clone()))
    });
    keeping.collect()
}

/// Keeps a replica running: starts it, and again whenever it crashed.
async fn keep(
    world: Arc<World>,
    (side, replica): (usize, usize),
    conduct: Conduct,
    crashes: Arc<Mutex<usize>>,
    dice: Dice,
) {
    loop {
        let store = world.start(side, replica, conduct);
        store.died().await;
        world.kill(side, replica);
        *crashes.lock().unwrap() += 1;
        sleep(dice.ms(800)).await;
    }
}
