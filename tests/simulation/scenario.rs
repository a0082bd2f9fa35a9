//! What a seed decides before its run begins.

use crate::dice::Dice;
use crate::disk::Crash;
use crate::wires::Weather;

/// Where in the calendar of key epochs the race takes place, and how far behind mirrors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One epoch, mirrors nearly up to date.
    Plain,
    /// More leaves than a tail carries since the mirrors were made.
    TruncatedTail,
    /// Two epochs are live, and mirrored as far as the replicas follow.
    Overlap,
    /// The next epoch begins during the race.
    Rollover,
}

/// Everything that the seed decides beforehand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) layout: Layout,
    pub(crate) replicas: [usize; 2],
    pub(crate) crashes: [[Option<Crash>; 2]; 2],
    pub(crate) follows: [bool; 2],
    pub(crate) bystander: bool,
    pub(crate) earlier_application: bool,
    pub(crate) slow_percent: u64,
    pub(crate) weather: Weather,
    pub(crate) settled: bool,
    pub(crate) peer_deadline_ms: u64,
}

impl Scenario {
    /// The scenario that the dice give.
    pub(crate) fn draw(dice: &Dice) -> Self {
        let layout = match dice.below(20) {
            0..8 => Layout::Plain,
            8..12 => Layout::TruncatedTail,
            12..16 => Layout::Overlap,
            _ => Layout::Rollover,
        };
        // A long tail is many reads: it comes through only where most of them are quick.
        let (slow, deadlines) = match layout {
            Layout::TruncatedTail => ([0, 1, 5], [1_500, 1_500, 400]),
            Layout::Plain | Layout::Overlap | Layout::Rollover => ([0, 30, 80], [1_500, 400, 100]),
        };
        let crash = || {
            dice.chance(40).then(|| Crash {
                after: dice.below(14),
                applied: dice.chance(50),
            })
        };
        let bad = dice.chance(60);
        let share = |percent| if bad { dice.below(percent) } else { 0 };
        Self {
            layout,
            replicas: [
                1 + usize::from(dice.chance(50)),
                1 + usize::from(dice.chance(50)),
            ],
            crashes: [[crash(), crash()], [crash(), crash()]],
            follows: [dice.chance(50), dice.chance(50)],
            bystander: dice.chance(15),
            earlier_application: dice.chance(30),
            slow_percent: slow[pick(dice, 3)],
            weather: Weather {
                latency_ms: [5, 60, 400][pick(dice, 3)],
                lost_requests: share(25),
                lost_answers: share(25),
                cut_bodies: share(25),
            },
            settled: dice.chance(70),
            peer_deadline_ms: deadlines[pick(dice, 3)],
        }
    }
}

/// One of so many, each as likely.
pub(crate) fn pick(dice: &Dice, count: usize) -> usize {
    usize::try_from(dice.below(u64::try_from(count).unwrap())).unwrap()
}
