//! Indian Aadhaar numbers: twelve digits with a Verhoeff check digit.

use zeroize::Zeroizing;

use super::IdentifierError;

/// `text` itself, which has no separators any more, where it is an Aadhaar number.
pub(super) fn normalise(text: &str) -> Result<Zeroizing<String>, IdentifierError> {
    if text.chars().count() != 12 {
        return Err(IdentifierError::AadhaarLength);
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(IdentifierError::AadhaarCharacter);
    }
    if text.starts_with(['0', '1']) {
        return Err(IdentifierError::AadhaarFirst);
    }
    if text.bytes().eq(text.bytes().rev()) {
        return Err(IdentifierError::AadhaarPalindrome);
    }
    let body = text.get(..11).unwrap_or_default();
    if check_digit(body) != text.chars().next_back() {
        return Err(IdentifierError::AadhaarCheck);
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// The check digit that belongs to the first eleven digits (Verhoeff 1969).
pub(super) fn check_digit(body: &str) -> Option<char> {
    if body.len() != 11 {
        return None;
    }
    let mut state = 0;
    for (place, digit) in (1..).zip(body.chars().rev()) {
        state = times(state, permute(place, digit.to_digit(10)?));
    }
    // The digit that brings the state back to 0: the inverse in the group.
    (0..10)
        .find(|&digit| times(state, digit) == 0)
        .and_then(|digit| char::from_digit(digit, 10))
}

/// Multiplication in the dihedral group of order 10: 0 to 4 rotate, 5 to 9 reflect.
fn times(left: u32, right: u32) -> u32 {
    let turned = match (left < 5, right < 5) {
        (true, true) => return (left + right) % 5,
        (true, false) => return 5 + (left + right) % 5,
        (false, true) => left - right,
        (false, false) => 5 + left - right,
    };
    if left >= 5 && right >= 5 {
        turned % 5
    } else {
        5 + turned % 5
    }
}

/// Verhoeff's permutation of a digit, applied `place` times.
fn permute(place: u32, digit: u32) -> u32 {
    (0..place % 8).fold(digit, |digit, _| match digit {
        0 => 1,
        1 => 5,
        2 => 7,
        3 => 6,
        4 => 2,
        5 => 8,
        6 => 3,
        7 => 0,
        8 => 9,
        _ => 4,
    })
}
