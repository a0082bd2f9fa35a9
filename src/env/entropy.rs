//! Randomness as an argument.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use ring::rand::{SecureRandom, SystemRandom};

/// The operating system could not give random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes; check that its random device works")]
pub struct EntropyUnavailable;

/// Where random bytes come from.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills `out` with random bytes.
    ///
    /// # Errors
    /// [`EntropyUnavailable`] where the source fails; `out` must then not be used.
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyUnavailable>;
}

/// The operating system's random bytes: the only source for real nodes.
#[derive(Debug, Clone)]
pub struct OsEntropy(SystemRandom);

impl Default for OsEntropy {
    fn default() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that opens the system's source"
        )]
        Self(SystemRandom::new())
    }
}

impl Entropy for OsEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyUnavailable> {
        self.0.fill(out).map_err(|_| EntropyUnavailable)
    }
}

/// Reproducible bytes from a seed, for simulations: **no security**. Clones share one stream.
#[derive(Clone)]
pub struct SeededEntropy(Arc<Mutex<ChaCha20Rng>>);

impl SeededEntropy {
    /// The stream that belongs to `seed`.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(ChaCha20Rng::seed_from_u64(seed))))
    }
}

impl fmt::Debug for SeededEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeededEntropy")
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyUnavailable> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(out);
        Ok(())
    }
}
