//! Round trips of every segment, and the tables.

use std::collections::BTreeSet;
use std::fmt::Debug;

use proptest::prelude::*;

use super::codes::*;
use super::coding::{Coding, Width};
use super::drawn::{Draw, Drawn};
use super::layout::Layout;
use super::segments::*;
use super::tables::*;
use super::trailer::Trailer;

const CODINGS: [Coding; 2] = [Coding::Character, Coding::Packed];
const ANY: Width = Width {
    chars: 0,
    packed: 0,
};

fn returns<S: Layout + Drawn + PartialEq + Debug>(seed: u64) {
    let segment = S::drawn(&mut Draw(seed), ANY);
    for coding in CODINGS {
        let mut bytes = vec![b'#'; S::START - 1];
        segment.write(coding, &mut bytes).unwrap();
        assert_eq!(bytes.len(), S::length(coding));
        assert!(S::read(&bytes, coding).unwrap() == segment, "{coding:?}");
        let cut = S::read(&bytes[..bytes.len() - 1], coding).unwrap_err();
        assert_eq!(cut.positions.1, S::length(coding));
    }
}

proptest! {
    #[test]
    fn every_field_of_every_segment_returns(seed: u64) {
        returns::<Header>(seed);
        returns::<Base>(seed);
        returns::<J1>(seed);
        returns::<J2>(seed);
        returns::<K1>(seed);
        returns::<K2>(seed);
        returns::<K3>(seed);
        returns::<K4>(seed);
        returns::<L1>(seed);
        returns::<N1>(seed);
        returns::<Trailer>(seed);
    }

    #[test]
    fn a_record_returns_with_its_segments(seed: u64, count in 0..12_usize) {
        let mut draw = Draw(seed);
        let base = Base::drawn(&mut draw, ANY);
        let segments = (0..count).map(|_| Segment::drawn(&mut draw, ANY)).collect();
        let account = Account { base, segments };
        for coding in CODINGS {
            let mut bytes = vec![0; 4];
            account.write(coding, &mut bytes).unwrap();
            prop_assert!(Account::read(&bytes, coding).unwrap() == account);
        }
    }

    #[test]
    fn hostile_bytes_are_refused_or_read(bytes: Vec<u8>) {
        for coding in CODINGS {
            drop(Account::read(&bytes, coding));
            drop(Header::read(&bytes, coding));
            drop(Trailer::read(&bytes, coding));
        }
    }
}

#[test]
fn segments_have_the_lengths_of_the_format() {
    for (coding, record) in [(Coding::Character, 426), (Coding::Packed, 366)] {
        assert_eq!(Header::length(coding), record);
        assert_eq!(Base::length(coding), record);
        assert_eq!(Trailer::length(coding), record);
        let lengths = [
            J1::length(coding),
            J2::length(coding),
            K1::length(coding),
            K2::length(coding),
            K3::length(coding),
            K4::length(coding),
            L1::length(coding),
            N1::length(coding),
        ];
        assert_eq!(lengths, [100, 200, 34, 34, 40, 30, 54, 146]);
    }
}

#[test]
fn fields_stand_at_the_positions_of_the_format() {
    for (name, character, packed) in [
        ("processing_indicator", (5, 5), (5, 5)),
        ("consumer_account_number", (43, 72), (37, 66)),
        ("account_status", (124, 125), (99, 100)),
        ("current_balance", (155, 163), (130, 134)),
        ("date_account_information", (182, 189), (145, 149)),
        ("social_security_number", (298, 306), (249, 253)),
        ("telephone_number", (315, 324), (259, 264)),
        ("residence", (426, 426), (366, 366)),
    ] {
        assert_eq!(
            Base::positions(name, Coding::Character),
            Some(character),
            "{name}"
        );
        assert_eq!(
            Base::positions(name, Coding::Packed),
            Some(packed),
            "{name}"
        );
    }
    let block_count = Trailer::positions("block_count", Coding::Character);
    assert_eq!(block_count, Some((57, 65)));
    let reporter = Header::positions("reporter_name", Coding::Packed);
    assert_eq!(reporter, Some((80, 119)));
}

/// The page, with its line breaks as blanks.
fn page() -> String {
    include_str!("../../../docs/metro2.md").replace('\n', " ")
}

fn described<S: Layout>(page: &str) {
    for field in S::FIELDS {
        let at = |coding| {
            let (first, last) = S::positions(field.name, coding).unwrap();
            format!("{first} to {last}")
        };
        let (character, packed) = (at(Coding::Character), at(Coding::Packed));
        let row = format!(
            "| `{}` | {} | {character} | {packed} |",
            field.name, field.class
        );
        assert!(page.contains(&row), "{}: {row}", S::LABEL);
    }
}

#[test]
fn the_page_has_every_field_with_its_positions() {
    let page = page();
    described::<Header>(&page);
    described::<Base>(&page);
    described::<J1>(&page);
    described::<J2>(&page);
    described::<K1>(&page);
    described::<K2>(&page);
    described::<K3>(&page);
    described::<K4>(&page);
    described::<L1>(&page);
    described::<N1>(&page);
    described::<Trailer>(&page);
}

fn distinct<C: Code>(table: &[(&str, &str)]) {
    let page = page();
    for (code, meaning) in table {
        assert!(page.contains(&format!("`{code}` {meaning}")), "{code}");
    }
    let codes: BTreeSet<&str> = C::ALL.iter().map(|value| value.code()).collect();
    assert_eq!(codes.len(), C::ALL.len());
    assert!(
        table
            .iter()
            .all(|(code, meaning)| C::of(code).is_some() && !meaning.is_empty())
    );
}

#[test]
fn codes_are_distinct() {
    distinct::<Portfolio>(Portfolio::TABLE);
    distinct::<Frequency>(Frequency::TABLE);
    distinct::<AccountStatus>(AccountStatus::TABLE);
    distinct::<PaymentRating>(PaymentRating::TABLE);
    distinct::<Compliance>(Compliance::TABLE);
    distinct::<Ecoa>(Ecoa::TABLE);
    distinct::<InterestType>(InterestType::TABLE);
    distinct::<Generation>(Generation::TABLE);
    distinct::<AddressIndicator>(AddressIndicator::TABLE);
    distinct::<Residence>(Residence::TABLE);
    distinct::<Creditor>(Creditor::TABLE);
    distinct::<Purchase>(Purchase::TABLE);
    distinct::<Agency>(Agency::TABLE);
    distinct::<SpecialPayment>(SpecialPayment::TABLE);
    distinct::<Change>(Change::TABLE);
    distinct::<AccountType>(AccountType::TABLE);
    distinct::<SpecialComment>(SpecialComment::TABLE);
    distinct::<Indicator>(Indicator::TABLE);
}

#[test]
fn packed_decimals_have_two_digits_a_byte_and_a_sign() {
    use super::coding::Value;
    let width = Width {
        chars: 9,
        packed: 5,
    };
    let bytes = 123_456_789_u64.write(width, Coding::Packed).unwrap();
    assert_eq!(bytes, [0x12, 0x34, 0x56, 0x78, 0x9c]);
    let date: Option<crate::domain::Day> =
        Value::read(&[0x00, 0x31, 0x52, 0x02, 0x4f], true).unwrap();
    assert_eq!(date.unwrap().to_string(), "2024-03-15");
    for wrong in [
        [0, 0, 0, 0, 0x1d],
        [0, 0, 0, 0, 0x11],
        [0, 0, 0, 0xa0, 0x1c],
    ] {
        assert!(u64::read(&wrong, true).is_err(), "{wrong:x?}");
    }
    assert_eq!(u64::read(&[0, 0, 0, 0, 0x0d], true), Ok(0));
    assert_eq!(u64::read(&[0; 5], true), Ok(0));
}
