//! Telephone numbers in E.164 form.

use std::fmt::Write as _;
use std::str::FromStr;

use phonenumber::metadata::DATABASE;
use phonenumber::{Mode, ParseError, country};
use zeroize::Zeroizing;

use super::IdentifierError;

/// Most digits of a number, country code included (ITU-T E.164).
const DIGITS_MAX: usize = 15;

/// `+` and digits of the number in `text` (compatibility-normalised), read in `default_region`
/// (ISO 3166-1 alpha-2) where it has neither `+` nor `00` in front.
///
/// Only digits, one leading plus and separators reach the phone library: it would also read
/// letters, extensions and `;phone-context=`, which are no part of a subscriber's number.
pub(super) fn normalise(
    text: &str,
    default_region: Option<&str>,
) -> Result<Zeroizing<String>, IdentifierError> {
    let region = default_region.map(region).transpose()?;
    let dialled = dialled(text)?;
    let region = if dialled.starts_with('+') {
        None
    } else {
        region
    };
    if region.is_none() && !dialled.starts_with('+') {
        return Err(IdentifierError::PhoneNoRegion);
    }
    check_length(&dialled)?;
    let number = read(&dialled, region)?;
    // The library strips some national prefixes twice, so a form that it would read as another
    // number is no canonical form.
    if read(&number, None)? == number {
        Ok(number)
    } else {
        Err(IdentifierError::PhoneRange)
    }
}

/// The E.164 form of what was dialled, if its country uses such numbers.
fn read(dialled: &str, region: Option<country::Id>) -> Result<Zeroizing<String>, IdentifierError> {
    let number = phonenumber::parse(region, dialled).map_err(|error| match error {
        // Only digits came this far, so what is not read as a number has too few of them.
        ParseError::NoNumber
        | ParseError::MalformedInteger(_)
        | ParseError::TooShortAfterIdd
        | ParseError::TooShortNsn => IdentifierError::PhoneTooShort,
        ParseError::InvalidCountryCode => IdentifierError::PhoneCountryCode,
        ParseError::TooLong => IdentifierError::PhoneTooLong,
    })?;
    let mut e164 = Zeroizing::new(String::with_capacity(DIGITS_MAX * 2));
    write!(e164, "{}", number.format().mode(Mode::E164))
        .map_err(|_| IdentifierError::PhoneCountryCode)?;
    check_length(&e164)?;
    if number.is_valid() || is_fiction(&e164) {
        Ok(e164)
    } else {
        Err(IdentifierError::PhoneRange)
    }
}

/// Whether the number is one that the British regulator Ofcom sets aside for drama: a thousand
/// mobile numbers and a thousand of no area. The library refuses them, because nobody has them;
/// demonstrations use them.
fn is_fiction(e164: &str) -> bool {
    ["+447700900", "+441632960"]
        .into_iter()
        .any(|range| e164.strip_prefix(range).is_some_and(|rest| rest.len() == 3))
}

/// At most the digits of E.164 after the plus; the library lets some countries have more.
fn check_length(number: &str) -> Result<(), IdentifierError> {
    match number.strip_prefix('+') {
        Some(digits) if digits.len() > DIGITS_MAX => Err(IdentifierError::PhoneTooLong),
        Some(_) | None => Ok(()),
    }
}

/// The region with this ISO 3166-1 alpha-2 code, if the library knows its numbers.
///
/// It panics on a country without telephone numbers, such as `AQ`.
fn region(code: &str) -> Result<country::Id, IdentifierError> {
    country::Id::from_str(code)
        .ok()
        .filter(|_| DATABASE.by_id(code).is_some())
        .ok_or(IdentifierError::PhoneRegion)
}

/// The digits with at most one plus in front; `00` in front becomes the plus.
fn dialled(text: &str) -> Result<Zeroizing<String>, IdentifierError> {
    let mut dialled = Zeroizing::new(String::with_capacity(text.len()));
    for c in text.chars() {
        match c {
            '0'..='9' => dialled.push(c),
            '+' if dialled.is_empty() => dialled.push(c),
            '(' | ')' | '.' | '/' => {}
            c if super::is_separator(c) => {}
            _ => return Err(IdentifierError::PhoneCharacter),
        }
    }
    if let Some(rest) = dialled.strip_prefix("00") {
        dialled = Zeroizing::new(format!("+{rest}"));
    }
    Ok(dialled)
}
