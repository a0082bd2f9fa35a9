//! Which words are a purpose, which never will be, and which purposes rest on a consent.

use std::fmt;

use super::Purpose;
use super::ids::word_enum;

word_enum!(
    /// What nobody may ask for in any network: no grant, no list and no invitation can give it.
    NeverPurpose {
        /// Choosing whom to advertise to.
        Marketing = "marketing",
        /// Choosing whom to employ.
        Employment = "employment",
        /// Choosing to whom to make an offer that nobody asked for.
        PreScreening = "pre-screening",
    }
);

/// Why a word is no purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PurposeError {
    /// It is one of those that are never allowed.
    #[error(
        "{0} is never a purpose here, whoever asks and whatever was granted: do not ask; a \
         borrower who applies is asked about for credit-application"
    )]
    Never(NeverPurpose),
    /// It is not known.
    #[error(
        "must be credit-application, pre-funding-recheck, account-review, collection, \
         fraud-prevention or self-access"
    )]
    Unknown,
}

impl NeverPurpose {
    /// The one that this word means, also in capitals, or with another or no mark between its
    /// parts.
    #[must_use]
    pub fn meant_by(word: &str) -> Option<Self> {
        let bare = |text: &str| -> String {
            let letters = text.chars().filter(|one| one.is_ascii_alphanumeric());
            letters.map(|one| one.to_ascii_lowercase()).collect()
        };
        let bare_word = bare(word);
        let same = |one: &&Self| bare(one.word()) == bare_word;
        Self::ALL.iter().find(same).copied()
    }
}

impl Purpose {
    /// The purpose that has this word; every front door reads purposes by this.
    ///
    /// # Errors
    /// [`PurposeError`], which tells what is never allowed from what is not known.
    pub fn read(word: &str) -> Result<Self, PurposeError> {
        if let Some(purpose) = Self::from_word(word) {
            return Ok(purpose);
        }
        Err(NeverPurpose::meant_by(word).map_or(PurposeError::Unknown, PurposeError::Never))
    }

    /// Whether a query for it rests on the borrower's consent. The others rest on an account, a
    /// debt or a case that the asker has already.
    #[must_use]
    pub const fn needs_consent(self) -> bool {
        match self {
            Self::CreditApplication | Self::PreFundingRecheck | Self::SelfAccess => true,
            Self::AccountReview | Self::Collection | Self::FraudPrevention => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purpose_is_read_and_none_is_one_of_the_never() {
        for purpose in Purpose::ALL {
            assert_eq!(Purpose::read(purpose.word()), Ok(*purpose));
            assert_eq!(NeverPurpose::meant_by(purpose.word()), None);
        }
    }

    #[test]
    fn what_is_never_allowed_is_named_however_it_is_written() {
        for (word, never) in [
            ("marketing", NeverPurpose::Marketing),
            ("Marketing", NeverPurpose::Marketing),
            ("EMPLOYMENT", NeverPurpose::Employment),
            ("pre-screening", NeverPurpose::PreScreening),
            ("prescreening", NeverPurpose::PreScreening),
            ("PRE_SCREENING", NeverPurpose::PreScreening),
            (" pre screening ", NeverPurpose::PreScreening),
        ] {
            let error = Purpose::read(word).unwrap_err();
            assert_eq!(error, PurposeError::Never(never), "{word}");
            let says = error.to_string();
            assert!(
                says.contains(never.word()) && says.contains("never"),
                "{says}"
            );
        }
        for word in [
            "",
            "-",
            "market",
            "Credit-Application",
            "credit application",
        ] {
            assert_eq!(Purpose::read(word), Err(PurposeError::Unknown), "{word}");
        }
    }

    #[test]
    fn the_reason_for_an_unknown_word_lists_every_purpose() {
        let says = PurposeError::Unknown.to_string();
        for purpose in Purpose::ALL {
            assert!(says.contains(purpose.word()), "{says}");
        }
    }
}
