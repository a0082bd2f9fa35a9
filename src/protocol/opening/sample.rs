//! Drawing evaluations from the logs of those who answered them: by a seed, so that it can be done
//! again, and that nobody who asked could steer it.

use std::collections::BTreeMap;

use crate::crypto::sha256;
use crate::domain::{MemberId, Timestamp};
use crate::limits::SAMPLE_SEEN_MAX;
use crate::wire::LoggedEntry;

/// One query that was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// Its commitment.
    pub commitment: [u8; 32],
    /// When one that answered it logged it.
    pub at: Timestamp,
    /// Who answered it, and the Merkle root over the elements that it logged.
    pub seen: Vec<(MemberId, [u8; 32])>,
}

/// A drawing: of all queries those whose commitments, hashed with the seed, come first.
#[derive(Debug)]
pub struct Draw {
    seed: [u8; 32],
    count: usize,
    offered: u64,
    first: BTreeMap<[u8; 32], Drawn>,
}

impl Draw {
    /// Draws `count` queries by a seed.
    #[must_use]
    pub fn new(seed: &str, count: usize) -> Self {
        Self {
            seed: sha256(seed.as_bytes()),
            count,
            offered: 0,
            first: BTreeMap::new(),
        }
    }

    /// An evaluation that `answerer` logged.
    pub fn offer(&mut self, answerer: &MemberId, entry: &LoggedEntry) {
        self.offered += 1;
        let score = sha256(&[self.seed, entry.commitment].concat());
        let drawn = self.first.entry(score).or_insert_with(|| Drawn {
            commitment: entry.commitment,
            at: entry.at,
            seen: Vec::new(),
        });
        let seen = (answerer.clone(), entry.batch);
        if drawn.seen.len() < SAMPLE_SEEN_MAX && !drawn.seen.contains(&seen) {
            drawn.seen.push(seen);
        }
        if self.first.len() > self.count {
            self.first.pop_last();
        }
    }

    /// How many evaluations it was drawn from, and what was drawn, in the order of the hashes.
    #[must_use]
    pub fn finish(self) -> (u64, Vec<Drawn>) {
        (self.offered, self.first.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Epoch, Level, Purpose};

    fn entry(number: u8) -> LoggedEntry {
        LoggedEntry {
            position: 0,
            at: Timestamp::from_unix_ms(i64::from(number)),
            purpose: Purpose::CreditApplication,
            level: Level::Full,
            epoch: Epoch(1),
            commitment: [number; 32],
            batch: [number; 32],
            elements: 2,
        }
    }

    fn drawn(seed: &str, count: usize, order: impl Iterator<Item = u8>) -> Vec<u8> {
        let mut draw = Draw::new(seed, count);
        for number in order {
            draw.offer(&"beta".parse().unwrap(), &entry(number));
        }
        let (offered, drawn) = draw.finish();
        assert_eq!(offered, 200);
        drawn.iter().map(|one| one.commitment[0]).collect()
    }

    #[test]
    fn a_seed_draws_the_same_in_every_order_and_another_seed_others() {
        let first = drawn("a", 8, 0..200);
        assert_eq!(first.len(), 8);
        assert_eq!(drawn("a", 8, (0..200).rev()), first);
        assert_ne!(drawn("b", 8, 0..200), first);
        assert_eq!(
            drawn("a", 9, 0..200)[..8],
            first,
            "a larger draw goes on from a smaller one"
        );
        assert_eq!(drawn("a", 300, 0..200).len(), 200);
    }

    #[test]
    fn each_that_answered_is_noted_once() {
        let mut draw = Draw::new("a", 1);
        for answerer in ["beta", "gamma", "beta"] {
            draw.offer(&answerer.parse().unwrap(), &entry(1));
        }
        let (_, drawn) = draw.finish();
        assert_eq!(drawn[0].seen.len(), 2);
    }
}
