//! Why a borrower is erased from a member's book before its terms are over.

use std::fmt;

use super::ids::word_enum;

word_enum!(
    /// Why a borrower is erased.
    ErasureReason {
        /// The borrower asked for it, and has a right to it.
        Request = "request",
        /// The borrower took back the consent on which the records rest.
        Consent = "consent-withdrawn",
        /// A court or authority ordered it.
        Court = "court",
        /// The records should never have been held.
        Unlawful = "unlawful",
    }
);
