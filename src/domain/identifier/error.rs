//! Why text is not an identifier: one variant per rule, never the value.

use crate::limits::IDENTIFIER_INPUT_CHARS_MAX;

/// The rule that an identifier broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// No kind and colon before the value.
    #[error("no kind: write the identifier as kind:value, for example phone:+441632960000")]
    NoKind,
    /// A kind that does not exist.
    #[error("unknown kind: use cn-rid, in-pan, in-aadhaar, us-ssn or phone")]
    UnknownKind,
    /// Nothing after the kind.
    #[error("empty value: write the number after the kind")]
    Empty,
    /// Too long to be any identifier.
    #[error("more than {IDENTIFIER_INPUT_CHARS_MAX} characters: write one number only")]
    TooLong,
    /// A resident identity number without 18 or 15 characters.
    #[error("a resident identity number has 18 characters, or 15 in the old form")]
    CnRidLength,
    /// A resident identity number with something else than digits and a final X.
    #[error("a resident identity number has digits only, the last of 18 may be X")]
    CnRidCharacter,
    /// The birth date in a resident identity number does not exist.
    #[error("the birth date inside the resident identity number does not exist")]
    CnRidDate,
    /// The check character of a resident identity number is wrong.
    #[error("the resident identity number's last character does not match the others (GB 11643)")]
    CnRidCheck,
    /// A PAN without 10 characters.
    #[error("a PAN has 10 characters")]
    PanLength,
    /// A PAN that is not five letters, four digits, one letter.
    #[error("a PAN is five letters, four digits and a letter")]
    PanPattern,
    /// The fourth letter of a PAN names no kind of holder.
    #[error("the fourth letter of a PAN is one of A B C F G H J K L P T")]
    PanHolder,
    /// The serial number in a PAN is 0000.
    #[error("the four digits of a PAN are not 0000")]
    PanSerial,
    /// An Aadhaar number without 12 digits.
    #[error("an Aadhaar number has 12 digits")]
    AadhaarLength,
    /// An Aadhaar number with something else than digits.
    #[error("an Aadhaar number has digits only")]
    AadhaarCharacter,
    /// An Aadhaar number that starts with 0 or 1.
    #[error("an Aadhaar number starts with 2 to 9")]
    AadhaarFirst,
    /// An Aadhaar number that reads the same backwards.
    #[error("an Aadhaar number is not the same read backwards")]
    AadhaarPalindrome,
    /// The check digit of an Aadhaar number is wrong.
    #[error("the Aadhaar number's last digit does not match the others (Verhoeff)")]
    AadhaarCheck,
    /// An SSN without 9 digits.
    #[error("a social security number has 9 digits")]
    SsnLength,
    /// An SSN with something else than digits.
    #[error("a social security number has digits only")]
    SsnCharacter,
    /// The first three digits of an SSN are never issued.
    #[error("the first three digits of a social security number are not 000, 666 or 900 to 999")]
    SsnArea,
    /// The middle two digits of an SSN are 00.
    #[error("the middle two digits of a social security number are not 00")]
    SsnGroup,
    /// The last four digits of an SSN are 0000.
    #[error("the last four digits of a social security number are not 0000")]
    SsnSerial,
    /// An SSN printed in public as a sample, so used by many.
    #[error("this social security number was published as a sample and identifies nobody")]
    SsnPublished,
    /// A telephone number with something else than digits, one leading plus and separators.
    #[error("a phone number has digits, one leading + and separators only")]
    PhoneCharacter,
    /// A national telephone number without a region to read it in.
    #[error("write the phone number with + and country code, or set a default region")]
    PhoneNoRegion,
    /// The default region is no ISO 3166-1 code with telephone numbers.
    #[error("the default region is not an ISO 3166-1 code such as CN, IN, KE, NG or US")]
    PhoneRegion,
    /// Fewer digits than any number of the country has.
    #[error("the phone number is too short")]
    PhoneTooShort,
    /// More than the 15 digits of E.164.
    #[error("a phone number has at most 15 digits (E.164)")]
    PhoneTooLong,
    /// A country calling code that does not exist.
    #[error("the phone number's country code does not exist")]
    PhoneCountryCode,
    /// A number in no range that its country has given out.
    #[error("the phone number is in no range that its country uses")]
    PhoneRange,
}
