//! What a node takes from outside.

use std::sync::Arc;

use crate::env::{Clock, Entropy, OsEntropy, SystemClock};

/// Whether rows are sealed. There is one reason to switch it off: the byte scanner's own test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sealing {
    /// Every row is sealed.
    #[default]
    On,
    /// Nothing is sealed: only for the test that the byte scanner finds what lies in the clear.
    OffForScannerTest,
}

/// Time and randomness of one node.
#[derive(Debug, Clone)]
pub struct NodeParts {
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for NodeParts {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy::default()),
        }
    }
}
