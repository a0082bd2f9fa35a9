//! Every summary survives its encoding, and nothing else decodes.

use proptest::prelude::*;

use super::*;

const HOURS: u32 = 0x000f_ffff;

fn group() -> impl Strategy<Value = GroupCode> {
    prop_oneof![
        Just(GroupCode::OWN),
        any::<[u8; 3]>()
            .prop_filter("several stands for signals only", |code| *code != [0xff; 3])
            .prop_map(GroupCode),
    ]
}

fn band() -> impl Strategy<Value = Band> {
    (0_u8..=15).prop_map(|number| Band::of(number).unwrap())
}

fn hour() -> impl Strategy<Value = HourMark> {
    (0..=HOURS).prop_map(HourMark)
}

fn day() -> impl Strategy<Value = Option<DayMark>> {
    prop::option::of((1_u16..).prop_map(DayMark))
}

fn application() -> impl Strategy<Value = ApplicationMark> {
    (hour(), prop::sample::select(ApplicationStage::ALL), group())
        .prop_map(|(at, stage, group)| ApplicationMark { at, stage, group })
}

fn loan() -> impl Strategy<Value = LoanMark> {
    let stage = prop::sample::select(LoanStage::ALL);
    let link = prop::sample::select(LoanLink::ALL);
    (hour(), stage, band(), any::<bool>(), link, group()).prop_map(
        |(signed, stage, outstanding, disputed, link, group)| LoanMark {
            signed,
            stage,
            outstanding,
            disputed,
            link,
            group,
        },
    )
}

fn hold() -> impl Strategy<Value = HoldMark> {
    (hour(), 0_u8..=254, band(), group()).prop_map(|(signed, ttl_hours, amount, group)| HoldMark {
        signed,
        ttl_hours,
        amount,
        group,
    })
}

fn unlisted() -> impl Strategy<Value = Unlisted> {
    (prop::array::uniform9(0_u8..=15), hour()).prop_map(|(n, latest)| Unlisted {
        hard: Tally(n[0]),
        soft: Tally(n[1]),
        holds: Tally(n[2]),
        active_loans: Tally(n[3]),
        active_groups: Tally(n[4]),
        default_groups: Tally(n[5]),
        delinquent_groups: Tally(n[6]),
        delinquent_60_groups: Tally(n[7]),
        signed_groups: Tally(n[8]),
        signed_latest: if n[8] == 0 { HourMark(0) } else { latest },
    })
}

prop_compose! {
    fn lists()(
        applications in prop::collection::vec(application(), 0..=SUMMARY_APPLICATIONS_MAX),
        loans in prop::collection::vec(loan(), 0..=SUMMARY_LOANS_MAX),
        holds in prop::collection::vec(hold(), 0..=SUMMARY_HOLDS_MAX),
        unlisted in unlisted(),
    ) -> Summary {
        Summary {
            applications: Marks::of(applications),
            loans: Marks::of(loans),
            holds: Marks::of(holds),
            unlisted,
            ..Summary::default()
        }
    }
}

prop_compose! {
    /// Any sound summary.
    fn summary()(
        lists in lists(),
        defaults in any::<bool>(),
        as_of in hour(),
        bands in (band(), band()),
        days in (day(), day(), day(), day()),
        signals in 0_u16..(1 << 11),
        several in any::<bool>(),
        link in prop::option::of(any::<[u8; 8]>().prop_filter("not none", |l| *l != [0; 8])),
        unlisted_links in any::<u8>(),
        bits in (any::<bool>(), any::<bool>()),
        others in prop::option::of(0_u8..=15),
    ) -> Summary {
        let mut summary = Summary {
            level: if defaults { Level::Defaults } else { Level::Full },
            as_of,
            exposure: bands.0,
            instalment: bands.1,
            last_arrears: LastArrears { d30: days.0, d60: days.1, d90: days.2 },
            cured_on: days.3,
            signals: SignalSet(signals),
            link,
            unlisted_links,
            currency_mismatch: bits.0,
            disputed: bits.1,
            others_90d: others.map(Tally),
            ..lists
        };
        if several && summary.tells_of_source() {
            summary.source = GroupCode::SEVERAL;
        }
        if link.is_none() {
            summary.loans = Marks::of(summary.loans.as_slice().iter().map(|mark| LoanMark {
                link: LoanLink::None,
                ..*mark
            }));
        }
        summary
    }
}

proptest! {
    #[test]
    fn a_summary_survives_its_encoding(summary in summary()) {
        prop_assert_eq!(Summary::decode(&summary.encode()), Ok(summary));
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        summary in summary(),
        changes in prop::collection::vec((0..SUMMARY_BYTES, any::<u8>()), 0..4),
    ) {
        let mut bytes = summary.encode();
        for (at, value) in changes {
            bytes[at] = value;
        }
        if let Ok(read) = Summary::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), SUMMARY_BYTES)) {
        let mut bytes: [u8; SUMMARY_BYTES] = bytes.try_into().unwrap();
        bytes[0] = VERSION_2;
        drop(Summary::decode(&bytes));
    }
}

#[test]
fn every_reserved_bit_is_checked() {
    let sound = Summary::default().encode();
    assert_eq!(Summary::decode(&sound), Ok(Summary::default()));
    // Flag bit 7, the low bits of as_of, the unknown signals, an orphan source and latest hour,
    // saturation bits with nothing left out, content in empty slots.
    let reserved = [
        (1, 0x80),
        (1, 0x01),
        (1, 0x02),
        (1, 0x04),
        (1, 0x08),
        (4, 0x01),
        (4, 0x08),
        (104, 0x08),
        (104, 0x80),
        (108, 0x01),
        (94, 0x01),
        (8, 0x01),
        (44, 0x01),
        (48, 0x01),
        (79, 0x00),
        (80, 0x01),
    ];
    for (at, bits) in reserved.into_iter().filter(|(_, bits)| *bits != 0) {
        let mut bytes = sound;
        bytes[at] |= bits;
        assert_eq!(
            Summary::decode(&bytes),
            Err(MalformedSummary::NotCanonical),
            "byte {at}, bits {bits:#x}"
        );
    }
}

#[test]
fn the_reserved_bit_of_a_loan_is_checked() {
    let mark = LoanMark {
        signed: HourMark(7),
        stage: LoanStage::Below30,
        outstanding: Band::NOTHING,
        disputed: true,
        link: LoanLink::Unlisted,
        group: GroupCode::OWN,
    };
    let sound = Summary {
        loans: Marks::of([mark]),
        ..Summary::default()
    }
    .encode();
    assert!(Summary::decode(&sound).is_ok());
    for bit in [LOAN_LINK_LISTED, 1 << 3] {
        let mut bytes = sound;
        bytes[44] |= bit;
        let refused = Err(MalformedSummary::NotCanonical);
        assert_eq!(Summary::decode(&bytes), refused, "bit {bit:#x}");
    }
}

#[test]
fn unknown_versions_and_stages_are_refused() {
    let mut bytes = Summary::default().encode();
    bytes[0] = 3;
    assert_eq!(Summary::decode(&bytes), Err(MalformedSummary::Version(3)));
    for (place, stage) in [(7, 4), (43, 11)] {
        let mut bytes = Summary::default().encode();
        bytes[place] = stage;
        assert_eq!(Summary::decode(&bytes), Err(MalformedSummary::Stage));
    }
}

#[test]
fn a_gap_between_entries_is_refused() {
    let mark = ApplicationMark {
        at: HourMark(9),
        stage: ApplicationStage::Soft,
        group: GroupCode::OWN,
    };
    let mut bytes = Summary {
        applications: Marks::of([mark]),
        ..Summary::default()
    }
    .encode();
    bytes.copy_within(5..11, 11);
    bytes[5..11].fill(0);
    assert_eq!(Summary::decode(&bytes), Err(MalformedSummary::NotCanonical));
}

#[test]
fn the_bytes_stay_where_the_document_puts_them() {
    let summary = Summary {
        as_of: HourMark(0x12345),
        applications: Marks::of([ApplicationMark {
            at: HourMark(0x0a0b0),
            stage: ApplicationStage::Decided,
            group: GroupCode([1, 2, 3]),
        }]),
        holds: Marks::of([HoldMark {
            signed: HourMark(1),
            ttl_hours: 72,
            amount: Band::of(5).unwrap(),
            group: GroupCode::OWN,
        }]),
        exposure: Band::of(3).unwrap(),
        instalment: Band::of(2).unwrap(),
        cured_on: Some(DayMark(0x0102)),
        link: Some([9; 8]),
        ..Summary::default()
    };
    let bytes = summary.encode();
    assert_eq!(bytes[..5], [1, 0, 0x12, 0x34, 0x50]);
    assert_eq!(bytes[5..11], [0x0a, 0x0b, 0x03, 1, 2, 3]);
    assert_eq!(bytes[76..83], [0, 0, 0x15, 73, 0, 0, 0]);
    assert_eq!(bytes[97], 0x32);
    assert_eq!(bytes[109..111], [1, 2]);
    assert_eq!(bytes[111..119], [9; 8]);
}

#[test]
fn version_1_still_decodes_and_tells_nothing_of_other_identifiers() {
    let mut bytes = Summary::default().encode();
    assert_eq!(bytes[0], 1);
    assert_eq!(Summary::decode(&bytes).unwrap().others_90d, None);
    bytes[4] |= 3;
    let refused = Err(MalformedSummary::NotCanonical);
    assert_eq!(Summary::decode(&bytes), refused, "version 1 has no tally");
    bytes[0] = 2;
    let read = Summary::decode(&bytes).unwrap();
    assert_eq!(read.others_90d, Some(Tally(3)));
    assert_eq!(read.encode(), bytes);
}
