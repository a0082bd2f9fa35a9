//! What must hold for every history: the truth lies in every interval; silence only widens;
//! order does not matter; nothing that decodes makes it panic.

use proptest::prelude::*;

use super::truth::{READINGS, counted, is_selective};
use super::world::*;
use crate::domain::*;
use crate::risk::{PeerStanding, PeerView, Seen, conclude};

fn check_truth(members: &[Member], readings: &[super::truth::Reading]) {
    let conclusion = conclude(&policy(), &asker(), &views(members), now());
    for reading in readings {
        for (name, truth) in counted(members, *reading) {
            let interval = conclusion.counts[&name];
            assert!(
                interval.contains(truth),
                "{name} is {truth}, not {interval}, as {reading:?}"
            );
        }
    }
}

/// How grave a flag certainly is, and could be: 0 where it does not hold.
fn grades(flag: &Flag) -> (u8, u8) {
    let grade = |severity: Severity| severity as u8 + 1;
    match flag.state {
        FlagState::True => (grade(flag.severity), grade(flag.up_to)),
        FlagState::Unknown => (0, grade(flag.up_to)),
        FlagState::False => (0, 0),
    }
}

const ADVERSE: [FlagCode; 8] = [
    FlagCode::Mb,
    FlagCode::Vl,
    FlagCode::St,
    FlagCode::Ca,
    FlagCode::Ad,
    FlagCode::Dq,
    FlagCode::Ex,
    FlagCode::Fr,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_truth_lies_in_every_interval(members in members(Spice {
        disputes: true,
        links: false,
        bureaus: true,
        silence: true,
    })) {
        check_truth(&members, &READINGS);
    }

    #[test]
    fn the_truth_lies_in_every_interval_with_transfers(members in members(Spice {
        disputes: true,
        links: true,
        bureaus: true,
        silence: true,
    })) {
        check_truth(&members, &READINGS);
    }

    #[test]
    fn selective_default_is_true_or_false_only_where_it_is(members in members(Spice {
        disputes: true,
        links: false,
        bureaus: true,
        silence: true,
    })) {
        let conclusion = conclude(&policy(), &asker(), &views(&members), now());
        let flag = conclusion.flags.iter().find(|flag| flag.code == FlagCode::Sd).unwrap();
        for reading in READINGS {
            let truth = is_selective(&members, reading);
            match flag.state {
                FlagState::True => prop_assert!(truth, "{:?}", reading),
                FlagState::False => prop_assert!(!truth, "{:?}", reading),
                FlagState::Unknown => {}
            }
        }
    }

    #[test]
    fn silence_only_widens(
        members in members(Spice { disputes: true, ..PLAIN }),
        which in 0_usize..6,
    ) {
        let mut quieter = members.clone();
        let at = which % quieter.len();
        quieter[at] = quieter[at].silenced();
        let heard = conclude(&policy(), &asker(), &views(&members), now());
        let silent = conclude(&policy(), &asker(), &views(&quieter), now());
        for (name, wide) in &silent.counts {
            let narrow = heard.counts[name];
            prop_assert!(wide.lo <= narrow.lo && narrow.hi <= wide.hi, "{name}");
            prop_assert!(wide.hi - wide.lo <= narrow.hi - narrow.lo + 1, "{name}");
        }
        for (wide, narrow) in silent.flags.iter().zip(&heard.flags) {
            prop_assert_eq!(wide.code, narrow.code);
            // Thinness goes away by what is heard; the last three are about members.
            if ADVERSE.contains(&wide.code) {
                prop_assert!(grades(wide).0 <= grades(narrow).0, "{}", wide.code);
                // What a silent member may be owed is an assumption of the policy, not a bound.
                let assumed = wide.code == FlagCode::Ex;
                prop_assert!(assumed || grades(wide).1 >= grades(narrow).1, "{}", wide.code);
            }
        }
    }

    #[test]
    fn another_silent_member_never_makes_an_answer_more_lenient(
        members in members(Spice { disputes: true, links: false, bureaus: true, silence: true }),
        bureau in any::<bool>(),
        weight in 0_u32..50,
    ) {
        let before = conclude(&policy(), &asker(), &views(&members), now());
        let extra = if bureau {
            Member::bureau("extra", Vec::new())
        } else {
            Member::lender("extra", Vec::new())
        };
        let mut more = members;
        more.push(Member { weight, ..extra.silenced() });
        let after = conclude(&policy(), &asker(), &views(&more), now());
        if after.outcome == Outcome::Allow {
            prop_assert_eq!(before.outcome, Outcome::Allow);
            prop_assert!(after.coverage.reaches(700));
            let open = after.flags.iter().any(|flag| flag.could_reach(Severity::High));
            prop_assert!(after.coverage.reaches(900) || !open);
        }
        for (name, wide) in &after.counts {
            let narrow = before.counts[name];
            prop_assert!(wide.lo == narrow.lo && narrow.hi <= wide.hi, "{name}");
        }
    }

    #[test]
    fn more_adverse_records_never_lower_a_flag(
        members in members(PLAIN),
        which in 0_usize..6,
        days in 0_u32..20,
        dpd in prop::sample::select(vec![0_u16, 45, 75, 120]),
    ) {
        let before = conclude(&policy(), &asker(), &views(&members), now());
        let mut worse = members;
        let at = which % worse.len();
        let signed = now().minus(DAY * days);
        let mut loan = Loan::new("a".to_owned(), Product::CashLoan, cny(900_000), signed);
        loan.dpd = dpd;
        let application = Application::new(ApplicationKind::Application, Product::Bnpl, signed);
        let fraud = Signal::new(SignalKind::FraudConfirmed, now().day(), "desk".to_owned());
        worse[at].records.extend([
            record(90_001, Body::Loan(loan)),
            record(90_002, Body::Application(application)),
            record(90_003, Body::Signal(fraud)),
        ]);
        let after = conclude(&policy(), &asker(), &views(&worse), now());
        for (before, after) in before.flags.iter().zip(&after.flags) {
            if ADVERSE.contains(&before.code) {
                prop_assert!(grades(before) <= grades(after), "{}", before.code);
            }
        }
    }

    #[test]
    fn the_order_of_members_does_not_matter(
        members in members(Spice { disputes: true, links: true, bureaus: true, silence: true }),
        seed in any::<u64>(),
    ) {
        let peers = views(&members);
        let mut shuffled = peers.clone();
        for at in (1..shuffled.len()).rev() {
            let other = seed.rotate_left(u32::try_from(at).unwrap() * 7) % (at as u64 + 1);
            shuffled.swap(at, usize::try_from(other).unwrap());
        }
        let (policy, asker) = (policy(), asker());
        prop_assert_eq!(
            conclude(&policy, &asker, &peers, now()),
            conclude(&policy, &asker, &shuffled, now())
        );
    }

    #[test]
    fn retraction_equals_never_filed(
        members in members(Spice { disputes: true, links: true, bureaus: true, silence: false }),
        which in 0_usize..8,
        dpd in prop::sample::select(vec![0_u16, 95]),
    ) {
        let mut filed = members.clone();
        let at = which % filed.len();
        let mut loan = Loan::new("a".to_owned(), Product::CashLoan, cny(900_000), now());
        loan.dpd = dpd;
        let wrong = record(90_001, Body::Loan(loan));
        let gone = wrong.retracted(RetractionReason::WrongPerson, now());
        filed[at].records.extend([wrong, gone]);
        let (policy, asker) = (policy(), asker());
        prop_assert_eq!(
            conclude(&policy, &asker, &views(&members), now()),
            conclude(&policy, &asker, &views(&filed), now())
        );
    }

    #[test]
    fn any_summary_that_decodes_is_taken(
        summaries in prop::collection::vec(summary(), 1..5),
        levels in any::<(bool, bool)>(),
        age_h in 0_u32..400,
        income in prop::option::of(any::<u64>()),
    ) {
        let level = |defaults| if defaults { Level::Defaults } else { Level::Full };
        let peers: Vec<PeerView> = summaries
            .iter()
            .enumerate()
            .map(|(at, summary)| PeerView {
                member: format!("m{at}").parse().unwrap(),
                lender_group: group(&format!("g{at}")),
                role: Role::ALL[at % 3],
                level: level(levels.0),
                weight: u32::MAX,
                standing: PeerStanding::default(),
                seen: Seen::Answered {
                    national: Some(Box::new(summary.clone())),
                    phone: Some(Box::new(summary.clone())),
                    as_of: now().minus(HOUR * age_h),
                    taken_on: None,
                },
            })
            .collect();
        let mut asker = asker();
        asker.level = level(levels.1);
        asker.income_month_minor = income;
        asker.own = summaries.first().cloned();
        for now in [now(), Timestamp::default(), Timestamp::from_unix_ms(i64::MIN),
            Timestamp::from_unix_ms(i64::MAX)] {
            let conclusion = conclude(&policy(), &asker, &peers, now);
            for interval in conclusion.counts.values() {
                prop_assert!(interval.lo <= interval.hi);
            }
        }
    }
}

fn hour() -> impl Strategy<Value = HourMark> {
    prop_oneof![
        any::<i64>().prop_map(|ms| HourMark::of(Timestamp::from_unix_ms(ms / 2))),
        (0_u32..400).prop_map(|hours| HourMark::of(now().minus(HOUR * hours))),
    ]
}

fn code() -> impl Strategy<Value = GroupCode> {
    (0_u8..20).prop_map(|number| match number {
        0..=9 => GroupCode::OWN,
        10 => GroupCode::of(&network(), &group(ASKER)),
        number => GroupCode::of(&network(), &group(&format!("g{number}"))),
    })
}

fn band() -> impl Strategy<Value = Band> {
    (0_u8..=15).prop_map(|number| Band::of(number).unwrap())
}

prop_compose! {
    fn loan()(
        signed in hour(),
        stage in prop::sample::select(LoanStage::ALL),
        outstanding in band(),
        disputed in any::<bool>(),
        link in prop::sample::select(LoanLink::ALL),
        group in code(),
    ) -> LoanMark {
        LoanMark { signed, stage, outstanding, disputed, link, group }
    }
}

prop_compose! {
    fn unlisted()(tallies in prop::array::uniform9(0_usize..=15), latest in hour()) -> Unlisted {
        let [hard, soft, holds, active_loans, active, defaults, late, late_60, signed] =
            tallies.map(Tally::of);
        Unlisted {
            hard,
            soft,
            holds,
            active_loans,
            active_groups: active,
            default_groups: defaults,
            delinquent_groups: late,
            delinquent_60_groups: late_60,
            signed_groups: signed,
            signed_latest: latest,
        }
    }
}

prop_compose! {
    fn summary()(
        applications in prop::collection::vec(
            (hour(), prop::sample::select(ApplicationStage::ALL), code())
                .prop_map(|(at, stage, group)| ApplicationMark { at, stage, group }), 0..=6),
        loans in prop::collection::vec(loan(), 0..=5),
        holds in prop::collection::vec((hour(), 0_u8..=254, band(), code()).prop_map(
            |(signed, ttl_hours, amount, group)| HoldMark { signed, ttl_hours, amount, group },
        ), 0..=2),
        unlisted in unlisted(),
        bands in (band(), band()),
        day in prop::option::of(-400_i64..400),
        marks in prop::collection::vec(prop::sample::select(SignalMark::ALL), 0..4),
        several in any::<bool>(),
        bits in any::<(bool, bool)>(),
    ) -> Summary {
        let mark = day.map(|days| DayMark::of(now().day().plus_days(days)));
        let mut signals = SignalSet::default();
        for one in marks {
            signals.insert(one);
        }
        Summary {
            applications: Marks::of(applications),
            loans: Marks::of(loans),
            holds: Marks::of(holds),
            unlisted,
            exposure: bands.0,
            instalment: bands.1,
            last_arrears: LastArrears { d30: mark, d60: None, d90: mark },
            signals,
            source: if several { GroupCode::SEVERAL } else { GroupCode::OWN },
            cured_on: mark,
            link: Some([7; 8]),
            currency_mismatch: bits.0,
            disputed: bits.1,
            ..Summary::default()
        }
    }
}
