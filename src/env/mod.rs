//! The outside world as arguments: time and randomness.

mod clock;
mod entropy;

pub use clock::{Clock, ManualClock, PlayedClock, SystemClock};
pub use entropy::{Entropy, EntropyUnavailable, OsEntropy, SeededEntropy};
