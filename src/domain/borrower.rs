//! Who a record is about.

use super::{Identifier, NameDob};

/// A borrower as one record names it; at least one of `national` and `phone` is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Borrower {
    /// The national identity number: the strong key.
    pub national: Option<Identifier>,
    /// The telephone number: a weak key, because numbers are given to new holders.
    pub phone: Option<Identifier>,
    /// Name and date of birth: kept with the record, never tokenised, never a key alone.
    pub name_dob: Option<NameDob>,
}

impl Borrower {
    /// The identifiers that can be matched, the strong one first.
    pub fn identifiers(&self) -> impl Iterator<Item = &Identifier> {
        self.national.iter().chain(self.phone.iter())
    }

    /// Whether both can be one person: they share an identifier.
    #[must_use]
    pub fn shares_identifier(&self, other: &Self) -> bool {
        let of_other: Vec<&str> = other.identifiers().map(Identifier::canonical).collect();
        self.identifiers()
            .any(|id| of_other.contains(&id.canonical()))
    }
}
