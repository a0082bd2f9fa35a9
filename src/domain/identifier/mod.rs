//! Identifiers of people: normalised, checked, and never shown in full.

mod cn_rid;
mod error;
mod in_aadhaar;
mod in_pan;
mod name_dob;
mod phone;
mod us_ssn;

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

pub use error::IdentifierError;
pub use name_dob::{NameDob, NameError};

use super::Day;
use super::ids::word_enum;
use crate::limits::{BORROWER_AGE_YEARS_MAX, IDENTIFIER_INPUT_CHARS_MAX};

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

word_enum!(
    /// What is odd about an identifier that breaks no rule.
    Doubt {
        /// It starts with no province that is or was in use.
        UnknownRegion = "unknown-region",
        /// Its date of birth is in the future.
        NotBornYet = "not-born-yet",
        /// Its holder would be older than anybody alive.
        TooOld = "too-old",
        /// It belongs to a company or another body, not to a person.
        NotAPerson = "not-a-person",
    }
);

/// A checked identifier. It cannot be printed, is not serialisable, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier {
    kind: IdentifierKind,
    canonical: String,
}

impl Identifier {
    /// Reads `kind:value`, such as `cn-rid:11010519491231002X`, as [`Identifier::of`] does.
    ///
    /// # Errors
    /// The [`IdentifierError`] that names the broken rule.
    pub fn parse(text: &str, default_region: Option<&str>) -> Result<Self, IdentifierError> {
        let (kind, value) = text.split_once(':').ok_or(IdentifierError::NoKind)?;
        let kind = IdentifierKind::from_word(kind.trim()).ok_or(IdentifierError::UnknownKind)?;
        Self::of(kind, value, default_region)
    }

    /// Normalises and checks `text` by the rules of `kind`: Unicode compatibility form (NFKC),
    /// spaces and hyphens dropped, letters in upper case, then the kind's own rules.
    ///
    /// `default_region` (ISO 3166-1 alpha-2) is where a telephone number without country code is
    /// read; other kinds ignore it.
    ///
    /// # Errors
    /// The [`IdentifierError`] that names the broken rule.
    pub fn of(
        kind: IdentifierKind,
        text: &str,
        default_region: Option<&str>,
    ) -> Result<Self, IdentifierError> {
        if text.chars().nth(IDENTIFIER_INPUT_CHARS_MAX).is_some() {
            return Err(IdentifierError::TooLong);
        }
        let bare = wiped(text.len(), text.nfkc().filter(|&c| !is_separator(c)));
        if bare.is_empty() {
            return Err(IdentifierError::Empty);
        }
        let value = match kind {
            IdentifierKind::CnRid => cn_rid::normalise(&bare)?,
            IdentifierKind::InPan => in_pan::normalise(&bare)?,
            IdentifierKind::InAadhaar => in_aadhaar::normalise(&bare)?,
            IdentifierKind::UsSsn => us_ssn::normalise(&bare)?,
            IdentifierKind::Phone => phone::normalise(&bare, default_region)?,
        };
        Ok(Self::with_value(kind, &value))
    }

    /// The identifier with a value that this type gave out earlier (from a sealed row).
    ///
    /// It is not checked again: a later edition of the telephone number tables must not make a
    /// stored record unreadable.
    #[must_use]
    pub(crate) fn restore(kind: IdentifierKind, value: &str) -> Self {
        Self::with_value(kind, value)
    }

    fn with_value(kind: IdentifierKind, value: &str) -> Self {
        let prefix = kind.canonical_prefix();
        // One allocation of the final size, so that no copy of the value is left behind.
        let mut canonical = String::with_capacity(prefix.len() + value.len());
        canonical.push_str(prefix);
        canonical.push_str(value);
        Self { kind, canonical }
    }

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

    /// The date of birth that the identifier itself carries (resident identity numbers).
    #[must_use]
    pub fn born(&self) -> Option<Day> {
        match self.kind {
            IdentifierKind::CnRid => cn_rid::birth_date(self.value()),
            IdentifierKind::InPan
            | IdentifierKind::InAadhaar
            | IdentifierKind::UsSsn
            | IdentifierKind::Phone => None,
        }
    }

    /// What is odd about a valid identifier on the day `today`; a reason to look again, never to
    /// refuse.
    ///
    /// Of a resident identity number's region only the province is known here: the table of
    /// counties, old and withdrawn, is not carried.
    #[must_use]
    pub fn doubts(&self, today: Day) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        if self.kind == IdentifierKind::CnRid && !cn_rid::is_known_region(self.value()) {
            doubts.push(Doubt::UnknownRegion);
        }
        if let Some(born) = self.born() {
            if born > today {
                doubts.push(Doubt::NotBornYet);
            }
            if born.plus_months(BORROWER_AGE_YEARS_MAX * 12) < today {
                doubts.push(Doubt::TooOld);
            }
        }
        if self.kind == IdentifierKind::InPan && !in_pan::is_person(self.value()) {
            doubts.push(Doubt::NotAPerson);
        }
        doubts
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

/// The check character that belongs to an identity number's other digits: the first 17 of a
/// resident identity number, the first 11 of an Aadhaar number; none for other kinds.
#[must_use]
pub fn check_character(kind: IdentifierKind, body: &str) -> Option<char> {
    match kind {
        IdentifierKind::CnRid => cn_rid::check_character(body),
        IdentifierKind::InAadhaar => in_aadhaar::check_digit(body),
        IdentifierKind::InPan | IdentifierKind::UsSsn | IdentifierKind::Phone => None,
    }
}

/// The characters as text that is wiped when dropped; where they fit `capacity` bytes, no copy is
/// left behind by growing.
fn wiped(capacity: usize, characters: impl Iterator<Item = char>) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    text.extend(characters);
    text
}

/// Whether `c` only makes an identifier easier to read: white space, a hyphen or a dash.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
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

#[cfg(test)]
mod vectors;
