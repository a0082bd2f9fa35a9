//! Identifiers of people: normalised, checked, and never shown in full.

mod error;
mod name_dob;

use std::fmt;

use zeroize::Zeroize;

pub use error::IdentifierError;
pub use name_dob::{NameDob, NameError};

use super::ids::word_enum;

word_enum!(
    /// What an identifier is.
    IdentifierKind {
        /// Chinese resident identity number (GB 11643), 18 or old 15 digits.
        CnRid = "cn-rid",
        /// Indian permanent account number.
        InPan = "in-pan",
        /// Indian Aadhaar number.
        InAadhaar = "in-aadhaar",
        /// United States social security number.
        UsSsn = "us-ssn",
        /// Telephone number (E.164).
        Phone = "phone",
    }
);

word_enum!(
    /// How an identifier is matched.
    IdentifierClass {
        /// A national identity number: strong.
        National = "national",
        /// A telephone number: weak, because numbers are given to new holders.
        Phone = "phone",
    }
);

impl IdentifierKind {
    /// How identifiers of this kind are matched.
    #[must_use]
    pub const fn class(self) -> IdentifierClass {
        match self {
            Self::CnRid | Self::InPan | Self::InAadhaar | Self::UsSsn => IdentifierClass::National,
            Self::Phone => IdentifierClass::Phone,
        }
    }

    /// What stands before the value in the canonical form.
    const fn canonical_prefix(self) -> &'static str {
        match self {
            Self::CnRid => "v1|CN-RID|CN|",
            Self::InPan => "v1|IN-PAN|IN|",
            Self::InAadhaar => "v1|IN-AADHAAR|IN|",
            Self::UsSsn => "v1|US-SSN|US|",
            Self::Phone => "v1|PHONE|001|",
        }
    }
}

/// A checked identifier. It cannot be printed, is not serialisable, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier {
    kind: IdentifierKind,
    canonical: String,
}

impl Identifier {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> IdentifierKind {
        self.kind
    }

    /// How it is matched.
    #[must_use]
    pub const fn class(&self) -> IdentifierClass {
        self.kind.class()
    }

    /// The canonical form `v1|KIND|COUNTRY|value`, the input of the keyed PRF. Private.
    ///
    /// The country of a telephone number is always `001` (the world, UN M.49): the number already
    /// names its country, and a lookup table would make the form depend on the table's edition.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The normalised value alone. Private.
    #[must_use]
    pub fn value(&self) -> &str {
        self.canonical
            .get(self.kind.canonical_prefix().len()..)
            .unwrap_or_default()
    }

    /// What may be shown: the kind and the last four characters, such as `cn-rid:…002X`.
    #[must_use]
    pub fn masked(&self) -> String {
        let value = self.value();
        let shown = value
            .char_indices()
            .rev()
            .nth(3)
            .and_then(|(at, _)| value.get(at..))
            .unwrap_or_default();
        format!("{}:…{shown}", self.kind)
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identifier({}:…)", self.kind)
    }
}

impl Drop for Identifier {
    fn drop(&mut self) {
        self.canonical.zeroize();
    }
}
