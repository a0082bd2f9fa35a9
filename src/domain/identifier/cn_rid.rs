//! Chinese resident identity numbers (GB 11643-1999): 18 characters, or 15 digits in the old form.

use zeroize::Zeroizing;

use super::IdentifierError;
use crate::domain::Day;

const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECKS: &str = "10X98765432";

/// First two digits in use: provinces, Taiwan (71, and 83 for permits of residence), Hong Kong
/// (81), Macao (82), and permanent residents from abroad (91).
const PROVINCES: [u32; 36] = [
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52,
    53, 54, 61, 62, 63, 64, 65, 71, 81, 82, 83, 91,
];

/// The 18-character form of `text`, which has no separators any more.
///
/// A 15-digit number gets the century 19 and its check character. (The serials 996 to 999 of the
/// old form marked people born before 1900; nobody of them is alive.)
pub(super) fn normalise(text: &str) -> Result<Zeroizing<String>, IdentifierError> {
    let (body, check) = match text.chars().count() {
        15 => (old_body(text), None),
        18 => {
            let check = text.chars().next_back().map(|c| c.to_ascii_uppercase());
            let body = text.chars().take(17).collect();
            (Zeroizing::new(body), check)
        }
        _ => return Err(IdentifierError::CnRidLength),
    };
    let allowed_check = |c: char| c.is_ascii_digit() || c == 'X';
    if !body.bytes().all(|b| b.is_ascii_digit()) || !check.is_none_or(allowed_check) {
        return Err(IdentifierError::CnRidCharacter);
    }
    birth_date(&body).ok_or(IdentifierError::CnRidDate)?;
    let right = check_character(&body).ok_or(IdentifierError::CnRidLength)?;
    if check.is_some_and(|given| given != right) {
        return Err(IdentifierError::CnRidCheck);
    }
    let mut number = Zeroizing::new(String::with_capacity(18));
    number.push_str(&body);
    number.push(right);
    Ok(number)
}

/// The first 17 digits of the number that a 15-digit one became.
fn old_body(text: &str) -> Zeroizing<String> {
    let mut body = Zeroizing::new(String::with_capacity(17));
    body.extend(text.chars().take(6));
    body.push_str("19");
    body.extend(text.chars().skip(6));
    body
}

/// The check character that belongs to the first 17 digits.
pub(super) fn check_character(body: &str) -> Option<char> {
    if body.len() != WEIGHTS.len() {
        return None;
    }
    let mut sum = 0;
    for (digit, weight) in body.chars().zip(WEIGHTS) {
        sum += digit.to_digit(10)? * weight;
    }
    CHECKS.chars().nth(usize::try_from(sum % 11).ok()?)
}

/// The date of birth that the number carries, if that date exists.
pub(super) fn birth_date(number: &str) -> Option<Day> {
    let year = number.get(6..10)?.parse().ok()?;
    let month = number.get(10..12)?.parse().ok()?;
    let day = number.get(12..14)?.parse().ok()?;
    Day::from_calendar(year, month, day)
}

/// Whether the first two digits are those of a province or region that is or was in use.
pub(super) fn is_known_region(number: &str) -> bool {
    number
        .get(..2)
        .and_then(|digits| digits.parse().ok())
        .is_some_and(|code| PROVINCES.contains(&code))
}
