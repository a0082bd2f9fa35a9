//! Indian permanent account numbers (PAN), issued by the Income Tax Department.

use zeroize::Zeroizing;

use super::IdentifierError;

/// Kinds of holder, named by the fourth letter; P is a person.
const HOLDERS: &str = "ABCFGHJKLPT";

/// The upper-case form of `text`, which has no separators any more.
pub(super) fn normalise(text: &str) -> Result<Zeroizing<String>, IdentifierError> {
    let number = Zeroizing::new(text.to_ascii_uppercase());
    if number.chars().count() != 10 {
        return Err(IdentifierError::PanLength);
    }
    let fits = |(at, c): (usize, char)| match at {
        5..=8 => c.is_ascii_digit(),
        _ => c.is_ascii_uppercase(),
    };
    if !number.chars().enumerate().all(fits) {
        return Err(IdentifierError::PanPattern);
    }
    if !is_holder(&number, HOLDERS) {
        return Err(IdentifierError::PanHolder);
    }
    if number.get(5..9) == Some("0000") {
        return Err(IdentifierError::PanSerial);
    }
    Ok(number)
}

/// Whether the fourth letter names a person.
pub(super) fn is_person(number: &str) -> bool {
    is_holder(number, "P")
}

fn is_holder(number: &str, holders: &str) -> bool {
    number
        .get(3..4)
        .is_some_and(|letter| holders.contains(letter))
}
