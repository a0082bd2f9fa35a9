//! Chances of one seed: separate streams for separate parts of a run.

use std::time::Duration;

use creditmesh::env::{Entropy, SeededEntropy};

/// A reproducible stream of draws; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Dice(SeededEntropy);

impl Dice {
    /// The stream of one part of a run.
    pub(crate) fn of(seed: u64, part: u64) -> Self {
        Self(entropy(seed, part))
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes).unwrap();
        u64::from_le_bytes(bytes) % bound
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A span of whole milliseconds below `bound_ms`.
    pub(crate) fn ms(&self, bound_ms: u64) -> Duration {
        Duration::from_millis(self.below(bound_ms.max(1)))
    }
}

/// Random bytes for one part of a run.
pub(crate) fn entropy(seed: u64, part: u64) -> SeededEntropy {
    SeededEntropy::from_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(part))
}
