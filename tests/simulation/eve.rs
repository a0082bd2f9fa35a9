//! Before the race: feeds open and mirrored, mirrors left behind, time moved to where it happens.

use std::sync::Arc;
use std::time::Duration;

use creditmesh::domain::ApplicationOutcome;
use creditmesh::env::Clock;
use creditmesh::flows::{Desk, Order};
use tokio::time::sleep;

use crate::clock::SimulatedClock;
use crate::dice::Dice;
use crate::lender::{BORROWER, application};
use crate::scenario::{Layout, Scenario};
use crate::wires::Weather;
use crate::world::{Conduct, World, genesis};

const HOUR: Duration = Duration::from_secs(3_600);

/// Borrowers of whom nobody asks in the race.
const OTHERS: [&str; 2] = ["us-ssn:219-09-9998", "us-ssn:457-55-5461"];

/// Brings the network to where the race begins: feeds open and mirrored, and time moved on.
pub(crate) async fn prepare(
    seed: u64,
    order: Order,
    scenario: Scenario,
    dice: &Dice,
) -> Arc<World> {
    let epoch_ends = genesis().plus(HOUR * 24 * 30);
    let begin = match scenario.layout {
        Layout::Plain | Layout::TruncatedTail => genesis().plus(HOUR * (24 * 3 + 10)),
        Layout::Overlap => epoch_ends.minus(HOUR),
        Layout::Rollover => epoch_ends.minus(HOUR * 4),
    };
    let world = World::new(seed, order, SimulatedClock::at(begin));
    let sides: &[usize] = if scenario.bystander {
        &[0, 1, 2]
    } else {
        &[0, 1]
    };
    let calm = Conduct {
        follows: true,
        slow_percent: 0,
        peer_deadline: Duration::from_millis(1_500),
    };
    for &side in sides {
        world.start(side, 0, calm);
    }
    world.mirrored(sides).await;
    if scenario.earlier_application {
        let desk = world.desk(usize::from(dice.chance(50)), 0).unwrap();
        decide(&desk, BORROWER, "earlier").await;
        sleep(Duration::from_secs(1)).await;
    }
    match scenario.layout {
        Layout::Plain => {}
        Layout::TruncatedTail => fall_behind(&world, calm, dice).await,
        Layout::Overlap => {
            let follows = dice.chance(50);
            world.stop_all(Weather::CALM);
            world.clock.jump(HOUR * 2);
            for &side in sides {
                // At one side, or at both, the newer epoch is open and not mirrored.
                let follows = follows || dice.chance(50);
                world.start(side, 0, Conduct { follows, ..calm });
            }
            sleep(dice.ms(6_000)).await;
        }
        Layout::Rollover => {
            let now = world.clock.now();
            let settling = if scenario.settled { 1_200 } else { 0 };
            let lead = Duration::from_millis(settling) + dice.ms(600);
            world.clock.jump(epoch_ends.since(now).saturating_sub(lead));
        }
    }
    world
}

/// Two days on which the lenders publish and nobody follows: the padding alone is more than a tail.
async fn fall_behind(world: &Arc<World>, calm: Conduct, dice: &Dice) {
    world.stop_all(Weather::CALM);
    let alone = Conduct {
        follows: false,
        ..calm
    };
    for side in 0..2 {
        world.start(side, 0, alone);
    }
    let sides: &[usize] = if dice.chance(30) { &[0, 1] } else { &[0] };
    for day in 0..2 {
        for &side in sides {
            let desk = world.desk(side, 0).unwrap();
            decide(&desk, OTHERS[side], &format!("day-{day}")).await;
        }
        world.clock.jump(HOUR * 24);
        // The padding of a day is published in slices.
        let all = day == 0 || dice.chance(70);
        let ticks = if all { 12 } else { dice.below(12) };
        sleep(Duration::from_millis(550 * ticks)).await;
    }
}

/// An application that was decided: a leaf that says so.
async fn decide(desk: &Desk, borrower: &str, key: &str) {
    let given = desk.assess(key, &application(borrower)).await.unwrap();
    let declined = ApplicationOutcome::Declined;
    desk.close(given.application, declined).await.unwrap();
}
