//! The public test vectors of every identifier kind, valid and invalid.

use proptest::prelude::*;

use super::IdentifierError as E;
use super::IdentifierKind as K;
use super::*;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn accepted(kind: K, text: &str, region: Option<&str>, value: &str) {
    let identifier =
        Identifier::of(kind, text, region).unwrap_or_else(|error| panic!("{kind} {text}: {error}"));
    assert_eq!(identifier.value(), value, "{kind} {text}");
    assert_eq!(identifier.kind(), kind);
    let again = Identifier::parse(&format!("{kind}:{value}"), None);
    assert_eq!(again, Ok(identifier), "the canonical form is a fixed point");
}

fn refused(kind: K, text: &str, region: Option<&str>, rule: E) {
    assert_eq!(
        Identifier::of(kind, text, region),
        Err(rule),
        "{kind} {text}"
    );
}

#[test]
fn valid_resident_identity_numbers_are_accepted() {
    for (text, value) in [
        ("11010519491231002X", "11010519491231002X"),
        ("11010519491231002x", "11010519491231002X"),
        ("110105 19491231 002X", "11010519491231002X"),
        ("110105-19491231-002x", "11010519491231002X"),
        ("１１０１０５１９４９１２３１００２Ｘ", "11010519491231002X"),
        ("110101190001010014", "110101190001010014"),
        ("110101190001010022", "110101190001010022"),
        ("310101200002290015", "310101200002290015"),
        ("440301199912319993", "440301199912319993"),
        ("440524188001010014", "440524188001010014"),
        ("110105491231002", "11010519491231002X"),
    ] {
        accepted(K::CnRid, text, None, value);
    }
}

#[test]
fn invalid_resident_identity_numbers_name_the_rule() {
    for (text, rule) in [
        ("110105194912310021", E::CnRidCheck),
        ("110105194902310026", E::CnRidDate),
        ("310101190002290019", E::CnRidDate),
        ("1101051949123100", E::CnRidLength),
        ("11010519491231002XX", E::CnRidLength),
        ("1101051949123100X2", E::CnRidCharacter),
        ("11010519491231002Y", E::CnRidCharacter),
        ("11010549123100X", E::CnRidCharacter),
        ("110105490231002", E::CnRidDate),
        ("١١٠١٠٥١٩٤٩١٢٣١٠٠٢X", E::CnRidCharacter),
        ("", E::Empty),
        (" - ", E::Empty),
    ] {
        refused(K::CnRid, text, None, rule);
    }
    refused(K::CnRid, &"1".repeat(65), None, E::TooLong);
}

#[test]
fn an_implausible_resident_identity_number_is_doubted_not_refused() {
    let doubts = |text: &str, today: &str| {
        Identifier::of(K::CnRid, text, None)
            .unwrap()
            .doubts(day(today))
    };
    assert_eq!(doubts("440524188001010014", "2026-01-01"), [Doubt::TooOld]);
    assert_eq!(doubts("11010519491231002X", "2026-01-01"), []);
    assert_eq!(
        doubts("440301199912319993", "1999-01-01"),
        [Doubt::NotBornYet]
    );
    let body = "99010519900101001";
    let text = format!("{body}{}", check_character(K::CnRid, body).unwrap());
    assert_eq!(doubts(&text, "2026-01-01"), [Doubt::UnknownRegion]);
    let company = Identifier::of(K::InPan, "AAACL1234C", None).unwrap();
    assert_eq!(company.doubts(day("2026-01-01")), [Doubt::NotAPerson]);
}

#[test]
fn aadhaar_vectors() {
    for text in [
        "234123412346",
        "999941057058",
        "999971658847",
        "999990501894",
    ] {
        accepted(K::InAadhaar, text, None, text);
    }
    accepted(K::InAadhaar, "2341 2341 2346", None, "234123412346");
    for (text, rule) in [
        ("234123412347", E::AadhaarCheck),
        ("123412341234", E::AadhaarFirst),
        ("012345678901", E::AadhaarFirst),
        ("222222222222", E::AadhaarPalindrome),
        ("23412341234", E::AadhaarLength),
        ("23412341234A", E::AadhaarCharacter),
    ] {
        refused(K::InAadhaar, text, None, rule);
    }
}

#[test]
fn pan_vectors() {
    accepted(K::InPan, "ACUPA7085R", None, "ACUPA7085R");
    accepted(K::InPan, "AAAPL1234C", None, "AAAPL1234C");
    accepted(K::InPan, "aaapl 1234 c", None, "AAAPL1234C");
    for (text, rule) in [
        ("ABCDE1234F", E::PanHolder),
        ("ABCPE0000F", E::PanSerial),
        ("ABMPA3211", E::PanLength),
        ("ABCP11234F", E::PanPattern),
        ("ABCPE12A4F", E::PanPattern),
        ("ÀBCPE1234F", E::PanPattern),
    ] {
        refused(K::InPan, text, None, rule);
    }
}

#[test]
fn ssn_vectors() {
    accepted(K::UsSsn, "536-90-4399", None, "536904399");
    for (text, rule) in [
        ("078-05-1120", E::SsnPublished),
        ("219-09-9999", E::SsnPublished),
        ("666-12-3456", E::SsnArea),
        ("900-12-3456", E::SsnArea),
        ("000-12-3456", E::SsnArea),
        ("987-65-4320", E::SsnArea),
        ("123-00-4567", E::SsnGroup),
        ("123-45-0000", E::SsnSerial),
        ("123-45-678", E::SsnLength),
        ("123-45-678A", E::SsnCharacter),
    ] {
        refused(K::UsSsn, text, None, rule);
    }
}

#[test]
fn phones_of_five_regions_become_e164() {
    for (text, region, value) in [
        ("138 0013 8000", Some("CN"), "+8613800138000"),
        ("(415) 555-2671", Some("US"), "+14155552671"),
        ("09876543210", Some("IN"), "+919876543210"),
        ("0712 345678", Some("KE"), "+254712345678"),
        ("0803 123 4567", Some("NG"), "+2348031234567"),
        ("+86 138 0013 8000", None, "+8613800138000"),
        ("+8613800138000", Some("US"), "+8613800138000"),
        ("0086 138-0013-8000", None, "+8613800138000"),
        ("00 86 138 0013 8000", Some("KE"), "+8613800138000"),
        ("＋８６ １３８ ００１３ ８０００", None, "+8613800138000"),
        ("1 415 555 2671", Some("US"), "+14155552671"),
        ("8613800138000", Some("CN"), "+8613800138000"),
        ("+44 (0)20 7946 0123", None, "+442079460123"),
        ("+39 06 698 12345", None, "+390669812345"),
    ] {
        accepted(K::Phone, text, region, value);
    }
}

#[test]
fn numbers_set_aside_for_fiction_are_accepted() {
    for (text, value) in [
        ("+44 7700 900123", "+447700900123"),
        ("07700 900123", "+447700900123"),
        ("+44 1632 960000", "+441632960000"),
        ("+1 202 555 0123", "+12025550123"),
    ] {
        accepted(K::Phone, text, Some("GB"), value);
    }
}

#[test]
fn invalid_phones_name_the_rule() {
    for (text, region, rule) in [
        ("123", Some("US"), E::PhoneRange),
        ("+1234567890123456", None, E::PhoneTooLong),
        ("+8612345678901", None, E::PhoneRange),
        ("+44 7700 9001234", None, E::PhoneRange),
        ("888110000000", Some("RU"), E::PhoneRange),
        ("138 0013 8000", None, E::PhoneNoRegion),
        ("138 0013 8000", Some("XX"), E::PhoneRegion),
        ("138 0013 8000", Some("AQ"), E::PhoneRegion),
        ("1-800-FLOWERS", Some("US"), E::PhoneCharacter),
        ("+1 415 555 2671 x12", None, E::PhoneCharacter),
        ("+14155552671;phone-context=+86", None, E::PhoneCharacter),
        ("++14155552671", None, E::PhoneCharacter),
        ("1+4155552671", Some("US"), E::PhoneCharacter),
        ("+999 123 456 789", None, E::PhoneCountryCode),
        ("+0 138 0013 8000", None, E::PhoneCountryCode),
        ("+", None, E::PhoneTooShort),
        ("00", None, E::PhoneTooShort),
        ("+8", None, E::PhoneTooShort),
    ] {
        refused(K::Phone, text, region, rule);
    }
}

#[test]
fn the_kind_comes_before_the_colon() {
    let good = Identifier::parse("us-ssn:536-90-4399", None).unwrap();
    assert_eq!(good.canonical(), "v1|US-SSN|US|536904399");
    assert_eq!(Identifier::parse("536-90-4399", None), Err(E::NoKind));
    assert_eq!(
        Identifier::parse("ssn:536-90-4399", None),
        Err(E::UnknownKind)
    );
    assert_eq!(Identifier::parse("us-ssn:", None), Err(E::Empty));
}

#[test]
fn canonical_forms_name_version_kind_and_country() {
    for (text, canonical) in [
        ("cn-rid:110105491231002", "v1|CN-RID|CN|11010519491231002X"),
        ("in-pan:ACUPA7085R", "v1|IN-PAN|IN|ACUPA7085R"),
        ("in-aadhaar:234123412346", "v1|IN-AADHAAR|IN|234123412346"),
        ("phone:+8613800138000", "v1|PHONE|001|+8613800138000"),
    ] {
        assert_eq!(
            Identifier::parse(text, None).unwrap().canonical(),
            canonical
        );
    }
}

#[test]
fn an_identifier_shows_four_characters_at_most() {
    for (text, masked) in [
        ("cn-rid:11010519491231002X", "cn-rid:…002X"),
        ("phone:+8613800138000", "phone:…8000"),
        ("in-pan:ACUPA7085R", "in-pan:…085R"),
    ] {
        let identifier = Identifier::parse(text, None).unwrap();
        assert_eq!(identifier.masked(), masked);
        let shown = format!("{identifier:?}");
        assert!(!shown.bytes().any(|b| b.is_ascii_digit()), "{shown}");
    }
}

#[test]
fn the_birth_date_is_read_from_a_resident_identity_number() {
    let identifier = Identifier::parse("cn-rid:110105491231002", None).unwrap();
    assert_eq!(identifier.born(), Some(day("1949-12-31")));
    let phone = Identifier::parse("phone:+8613800138000", None).unwrap();
    assert_eq!(
        (phone.born(), phone.class()),
        (None, IdentifierClass::Phone)
    );
}

fn any_kind() -> impl Strategy<Value = K> {
    proptest::sample::select(K::ALL)
}

proptest! {
    #[test]
    fn any_text_is_accepted_or_refused_without_panic(
        kind in any_kind(),
        text in "[-+() .0-9A-Zx;=\\PC]{0,24}",
        region in proptest::option::of(proptest::sample::select(vec!["CN", "US", "BR", "ZZ", ""])),
    ) {
        if let Ok(identifier) = Identifier::of(kind, &text, region) {
            let again = Identifier::of(kind, identifier.value(), None);
            prop_assert_eq!(again.as_ref(), Ok(&identifier));
        }
    }

    #[test]
    fn dialled_digits_are_a_fixed_point_of_normalisation(
        digits in "[0-9]{4,15}",
        region in proptest::sample::select(vec![
            "CN", "US", "IN", "KE", "NG", "BR", "MX", "AR", "IT", "DE", "GB", "RU", "ID", "SM",
        ]),
        plus in any::<bool>(),
    ) {
        let text = if plus { format!("+{digits}") } else { digits };
        if let Ok(phone) = Identifier::of(K::Phone, &text, Some(region)) {
            let again = Identifier::of(K::Phone, phone.value(), None);
            prop_assert_eq!(again.as_ref(), Ok(&phone));
        }
    }

    #[test]
    fn a_changed_digit_never_passes_a_check_digit(
        body in "[2-9][0-9]{10}",
        at in 0_usize..12,
        step in 1_u32..10,
    ) {
        let check = check_character(K::InAadhaar, &body).unwrap();
        let text = format!("{body}{check}");
        prop_assume!(Identifier::of(K::InAadhaar, &text, None).is_ok());
        let changed: String = text.chars().enumerate().map(|(place, c)| {
            let digit = c.to_digit(10).unwrap();
            let digit = if place == at { (digit + step) % 10 } else { digit };
            char::from_digit(digit, 10).unwrap()
        }).collect();
        prop_assert!(Identifier::of(K::InAadhaar, &changed, None).is_err());
    }
}
