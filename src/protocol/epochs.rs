//! What a node has to do as key epochs come and go: which feeds to open, to close, to forget.

use std::collections::BTreeSet;

use crate::domain::{Epoch, Timestamp};
use crate::membership::Calendar;

/// What stands at a node, of one level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Epochs whose own feed is open.
    pub open: BTreeSet<Epoch>,
    /// Epochs whose own feed is closed.
    pub closed: BTreeSet<Epoch>,
    /// Epochs of which peers' leaves, or own leaves and tokens, are kept.
    pub kept: BTreeSet<Epoch>,
    /// Epochs whose public keys were announced.
    pub announced: BTreeSet<Epoch>,
}

/// What is due now, oldest epoch first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Duties {
    /// Epochs to make keys for and to announce: those served, and the next one ahead of time.
    pub announce: Vec<Epoch>,
    /// Epochs whose feed is to be opened with a snapshot.
    pub open: Vec<Epoch>,
    /// Epochs in whose feeds every new leaf is published, all of them before the first peer is
    /// asked. Includes those to be opened first.
    pub publish: Vec<Epoch>,
    /// Epochs whose feed is to be topped up and closed: they are served no more.
    pub close: Vec<Epoch>,
    /// Epochs whose leaves, tokens and secret keys are to be deleted. Checkpoints are kept for
    /// ever.
    pub forget: Vec<Epoch>,
}

/// What is due at `now`.
#[must_use]
pub fn duties(calendar: &Calendar, now: Timestamp, standing: &Standing) -> Duties {
    let served = calendar.served(now);
    let over = |epoch: &Epoch| now >= calendar.ends_at(*epoch);
    let stands = |epoch: &Epoch| standing.open.contains(epoch) || standing.closed.contains(epoch);
    let announced = |epoch: &Epoch| standing.announced.contains(epoch);
    let ahead = served.iter().copied().chain(calendar.to_announce(now));
    Duties {
        announce: ahead.filter(|epoch| !announced(epoch)).collect(),
        open: served
            .iter()
            .copied()
            .filter(|epoch| !stands(epoch))
            .collect(),
        close: standing.open.iter().copied().filter(over).collect(),
        // What is still to be closed is kept until it is.
        forget: standing
            .kept
            .difference(&standing.open)
            .copied()
            .filter(over)
            .collect(),
        publish: served,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn calendar() -> Calendar {
        Calendar {
            genesis_at: Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap(),
            epoch_days: 30,
            overlap_days: 7,
            announce_days: 7,
        }
    }

    fn at_day(day: u64) -> Timestamp {
        calendar()
            .genesis_at
            .plus(Duration::from_secs(day * 86_400))
    }

    fn epochs<const N: usize>(numbers: [u32; N]) -> Vec<Epoch> {
        numbers.map(Epoch).to_vec()
    }

    #[test]
    fn a_new_node_opens_every_epoch_that_is_served() {
        let due = duties(&calendar(), at_day(31), &Standing::default());
        assert_eq!(due.open, epochs([0, 1]));
        assert_eq!(due.publish, epochs([0, 1]));
        assert_eq!(due.announce, epochs([0, 1]));
        assert!(due.close.is_empty() && due.forget.is_empty());
    }

    #[test]
    fn a_node_that_does_its_duties_each_day_always_serves_and_never_hoards() {
        let mut standing = Standing::default();
        for day in 0..400 {
            let now = at_day(day);
            let due = duties(&calendar(), now, &standing);
            assert_eq!(due.publish, calendar().served(now));
            assert!(due.open.iter().all(|epoch| due.publish.contains(epoch)));
            assert!(due.close.iter().all(|epoch| !due.publish.contains(epoch)));
            standing.announced.extend(&due.announce);
            standing.open.extend(&due.open);
            standing.kept.extend(&due.open);
            for epoch in &due.close {
                standing.open.remove(epoch);
                standing.closed.insert(*epoch);
            }
            for epoch in duties(&calendar(), now, &standing).forget {
                standing.kept.remove(&epoch);
            }
            assert_eq!(duties(&calendar(), now, &standing).open, []);
            assert!(
                standing.open.iter().copied().eq(calendar().served(now)),
                "day {day}"
            );
            assert_eq!(standing.kept, standing.open, "day {day}");
            let next = calendar().current(now).next();
            let seven_days = now
                >= calendar()
                    .begins_at(next)
                    .minus(Duration::from_secs(7 * 86_400));
            assert_eq!(standing.announced.contains(&next), seven_days, "day {day}");
        }
    }

    #[test]
    fn a_feed_is_closed_before_its_leaves_are_forgotten() {
        let standing = Standing {
            open: BTreeSet::from([Epoch(0), Epoch(1)]),
            kept: BTreeSet::from([Epoch(0), Epoch(1)]),
            ..Standing::default()
        };
        let due = duties(&calendar(), at_day(37), &standing);
        assert_eq!((due.close, due.forget), (epochs([0]), vec![]));
        let closed = Standing {
            open: BTreeSet::from([Epoch(1)]),
            closed: BTreeSet::from([Epoch(0)]),
            ..standing
        };
        let due = duties(&calendar(), at_day(37), &closed);
        assert_eq!((due.close, due.forget), (vec![], epochs([0])));
    }
}
