//! United States social security numbers: nine digits, area, group and serial.

use zeroize::Zeroizing;

use super::IdentifierError;

/// Numbers that were printed as samples and then used by thousands (Social Security
/// Administration; the last was an advertisement of 2006). 987-65-4320 to 4329, set aside for
/// advertisements, fall under the area rule.
const PUBLISHED: [&str; 3] = ["078051120", "219099999", "457555462"];

/// `text` itself, which has no separators any more, where it can be a social security number.
pub(super) fn normalise(text: &str) -> Result<Zeroizing<String>, IdentifierError> {
    if text.chars().count() != 9 {
        return Err(IdentifierError::SsnLength);
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(IdentifierError::SsnCharacter);
    }
    if text.starts_with("000") || text.starts_with("666") || text.starts_with('9') {
        return Err(IdentifierError::SsnArea);
    }
    if text.get(3..5) == Some("00") {
        return Err(IdentifierError::SsnGroup);
    }
    if text.get(5..) == Some("0000") {
        return Err(IdentifierError::SsnSerial);
    }
    if PUBLISHED.contains(&text) {
        return Err(IdentifierError::SsnPublished);
    }
    Ok(Zeroizing::new(text.to_owned()))
}
