//! What a node takes from outside.

use std::sync::Arc;

use crate::env::{Clock, Entropy, OsEntropy, SystemClock};
use crate::net::Tap;

/// Whether rows are sealed. There is one reason to switch it off: the byte scanner's own test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sealing {
    /// Every row is sealed.
    #[default]
    On,
    /// Nothing is sealed: only for the test that the byte scanner finds what lies in the clear.
    OffForScannerTest,
}

/// What is given to a node from outside: time, randomness, and what the byte scanner needs.
#[derive(Debug, Clone)]
pub struct NodeParts {
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// Whether the folders of a simulated network are sealed.
    pub sealing: Sealing,
    /// Hears every message to and from peers, for the byte scanner; nobody in production.
    pub tap: Option<Arc<dyn Tap>>,
}

impl NodeParts {
    /// The parts of a node that serves, but for its clock.
    #[must_use]
    pub fn by(clock: impl Clock + 'static) -> Self {
        Self {
            clock: Arc::new(clock),
            ..Self::default()
        }
    }
}

impl Default for NodeParts {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy::default()),
            sealing: Sealing::On,
            tap: None,
        }
    }
}
