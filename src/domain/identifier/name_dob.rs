//! Name and date of birth, normalised: kept with a record, never tokenised, never a key alone.

use std::fmt;

use zeroize::Zeroize;

use crate::domain::Day;
use crate::limits::NAME_CHARS_MAX;

/// Why text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after normalisation.
    #[error("the name has no letters")]
    NoLetters,
    /// Longer than a name may be.
    #[error("the name has more than {NAME_CHARS_MAX} characters")]
    TooLong,
}

/// A normalised name and a date of birth. It cannot be printed, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NameDob {
    name: String,
    born: Day,
}

impl NameDob {
    /// The normalised name. Private.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The date of birth. Private.
    #[must_use]
    pub const fn born(&self) -> Day {
        self.born
    }
}

impl fmt::Debug for NameDob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameDob(…)")
    }
}

impl Drop for NameDob {
    fn drop(&mut self) {
        self.name.zeroize();
    }
}
