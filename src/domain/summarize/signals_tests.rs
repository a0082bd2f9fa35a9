//! The signals that stand agree with the summary that is published, whatever the records.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::arbitrary::any_record;
use crate::domain::{
    Borrower, Currency, Day, Dispute, Loan, LoanStage, Product, RecordHead, RecordId,
    RetractionReason, Signal, SignalKind, SignalMark, SignalSet, Unlisted, Version,
};
use crate::limits::DISPUTE_DAYS;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn id(number: u128) -> RecordId {
    RecordId(Uuid::from_u128(number))
}

fn record(number: u128, body: Body) -> Record {
    let now = Timestamp::parse_rfc3339("2026-03-15T10:00:00Z").unwrap();
    Record {
        head: RecordHead {
            record_id: id(number),
            version: Version::FIRST,
            reported_at: now,
            as_of: now,
            expires_on: None,
        },
        borrower: Borrower::default(),
        body,
    }
}

fn signal(number: u128, kind: SignalKind, about: u128, event_on: &str) -> Record {
    let mut signal = Signal::new(kind, day(event_on), "desk".to_owned());
    signal.about = Some(id(about));
    record(number, Body::Signal(signal))
}

fn late_loan(number: u128, dpd: u16) -> Record {
    let signed = Timestamp::parse_rfc3339("2025-06-01T10:00:00Z").unwrap();
    let amount = Money::of(250_000, Currency::CNY);
    let mut loan = Loan::new("a".to_owned(), Product::CashLoan, amount, signed);
    loan.dpd = dpd;
    record(number, Body::Loan(loan))
}

fn summary_at(records: &[Record], now: Timestamp) -> Summarized {
    let (network, own_group) = ("net".parse().unwrap(), "own".parse().unwrap());
    let bands = Bands::of(Currency::CNY, &[100_000, 300_000, 500_000]).unwrap();
    let terms = SummaryTerms {
        level: Level::Full,
        network: &network,
        own_group: &own_group,
        bands: &bands,
        now,
    };
    summarize(records, &terms)
}

/// Records with few ids, whose signals are about one another.
fn linked_records() -> impl Strategy<Value = Vec<Record>> {
    let about = prop::collection::vec(0_u128..8, 1..12);
    (prop::collection::vec(any_record(), 1..12), about).prop_map(|(mut records, about)| {
        for ((number, record), about) in (0..).zip(&mut records).zip(about.iter().cycle()) {
            record.head.record_id = id(number);
            if let Body::Signal(signal) = &mut record.body {
                signal.about = Some(id(*about));
            }
        }
        records
    })
}

/// A guarantee is not told itself; that the cure of it is disputed is.
#[test]
fn a_cure_of_a_disputed_guarantee_is_told_as_disputed() {
    let mut guarantee = late_loan(1, 0);
    let Body::Loan(loan) = &mut guarantee.body else {
        panic!("a loan")
    };
    loan.role = crate::domain::LoanRole::Guarantor;
    loan.dispute = Dispute::Open;
    let cure = signal(2, SignalKind::Cured, 1, "2026-03-01");
    let records = [guarantee, cure];
    let now = Timestamp::parse_rfc3339("2026-03-15T10:00:00Z").unwrap();
    assert!(
        signals_of(&records, now)
            .standing
            .iter()
            .any(|one| one.disputed)
    );
    assert!(summary_at(&records, now).summary.disputed);
}

proptest! {
    #[test]
    fn signals_agree_with_the_summary(records in linked_records(), days in 0_i64..2_600) {
        let now = day("2021-01-01").plus_days(days).start();
        let signals = signals_of(&records, now);
        let made = summary_at(&records, now);
        let has = |test: &dyn Fn(&StandingSignal) -> bool| signals.standing.iter().any(test);
        for mark in SignalMark::ALL.iter().filter(|mark| **mark != SignalMark::Deceased) {
            let stands = has(&|signal| signal.mark() == Some(*mark));
            prop_assert_eq!(made.summary.signals.contains(*mark), stands, "{}", mark);
        }
        let adverse = |kinds: &[SignalKind]| {
            has(&|signal| kinds.contains(&signal.kind) && !signal.disputed)
        };
        let listed = |stage: &dyn Fn(LoanStage) -> bool| {
            let loans = made.summary.loans.as_slice();
            loans.iter().any(|loan| stage(loan.stage) && !loan.disputed)
        };
        let default = [SignalKind::Dpd90, SignalKind::Default, SignalKind::ChargeOff];
        let untold = !made.summary.unlisted.default_groups.is_zero();
        prop_assert_eq!(adverse(&default), listed(&LoanStage::is_default) || untold);
        if made.summary.unlisted == Unlisted::default() && !adverse(&default) {
            let late = [SignalKind::Dpd30, SignalKind::Dpd60];
            prop_assert_eq!(adverse(&late), listed(&LoanStage::is_delinquent));
        }
        let disputed = has(&|signal| signal.kind == SignalKind::Disputed || signal.disputed);
        prop_assert_eq!(made.summary.disputed, disputed);
        if made.summary.cured_on.is_some() {
            prop_assert!(has(&|signal| signal.cures_default));
        }
    }

    #[test]
    fn signals_stay_until_the_next_change(records in linked_records(), days in 0_i64..2_600) {
        let now = day("2021-01-01").plus_days(days).start();
        let today = signals_of(&records, now);
        if let Some(next) = today.next_change {
            let just_before = Timestamp::from_unix_ms(next.unix_ms() - 1);
            prop_assert_eq!(&signals_of(&records, just_before).standing, &today.standing);
        }
    }

    /// Victims and protective marks never count against the borrower: nothing but their own mark
    /// differs.
    #[test]
    fn protective_signals_change_nothing_else(records in linked_records(), days in 0_i64..2_600) {
        let now = day("2021-01-01").plus_days(days).start();
        let protective = |record: &Record| matches!(
            &record.body, Body::Signal(signal) if signal.kind.is_protective()
        );
        let ids: Vec<RecordId> = records.iter().filter(|one| protective(one))
            .map(|one| one.head.record_id).collect();
        let about_them = |record: &Record| matches!(
            &record.body, Body::Signal(signal) if signal.about.is_some_and(|id| ids.contains(&id))
        );
        let mut records: Vec<Record> = records.clone();
        records.retain(|record| !about_them(record));
        let without: Vec<Record> =
            records.iter().filter(|record| !protective(record)).cloned().collect();
        let with = summary_at(&records, now).summary;
        let without = summary_at(&without, now).summary;
        let adverse = |summary: &Summary| Summary {
            signals: SignalMark::ALL.iter().filter(|mark| {
                summary.signals.contains(**mark)
                    && !matches!(mark, SignalMark::FraudVictim | SignalMark::Protective)
            }).fold(SignalSet::default(), |mut set, mark| { set.insert(*mark); set }),
            source: GroupCode::OWN,
            ..summary.clone()
        };
        prop_assert_eq!(adverse(&with), adverse(&without));
    }
}

#[test]
fn default_follows_from_the_loan_on_the_day_it_was_reached() {
    let now = Timestamp::parse_rfc3339("2026-03-15T10:20:30Z").unwrap();
    let signals = signals_of(&[late_loan(1, 100)], now).standing;
    let told: Vec<_> = signals.iter().map(|s| (s.kind, s.event_on)).collect();
    let reached = day("2026-03-05");
    assert_eq!(
        told,
        [(SignalKind::Dpd90, reached), (SignalKind::Default, reached)]
    );
    // What was filed about the same loan says nothing more where the loan tells how late it is.
    let filed = signal(2, SignalKind::Dpd30, 1, "2026-01-01");
    assert_eq!(
        signals_of(&[late_loan(1, 100), filed], now).standing,
        signals
    );
}

#[test]
fn dispute_without_decision_suppresses_the_record_until_it_is_rejected() {
    let filed = late_loan(1, 100);
    let dispute = signal(2, SignalKind::Disputed, 1, "2026-03-10");
    let records = [filed.clone(), dispute.clone()];
    let opened = day("2026-03-10").start();
    let made = summary_at(&records, opened);
    assert!(made.summary.disputed && !made.summary.is_empty());
    let deadline = day("2026-03-10").plus_days(DISPUTE_DAYS + 1).start();
    assert_eq!(made.next_change, Some(deadline));

    let overdue = summary_at(&records, deadline);
    assert!(overdue.summary.is_empty(), "{:?}", overdue.summary);
    assert!(signals_of(&records, deadline).standing.is_empty());
    let retracted = filed.retracted(RetractionReason::DisputeUpheld, opened);
    assert!(
        summary_at(&[retracted], deadline)
            .summary
            .tells_the_same(&overdue.summary)
    );

    let decided = dispute.retracted(RetractionReason::DisputeDecided, deadline);
    let back = summary_at(&[filed.clone(), decided], deadline).summary;
    assert_eq!(back, summary_at(&[filed], deadline).summary);
}

#[test]
fn loan_disputed_at_its_source_is_told_as_disputed() {
    let mut late = late_loan(1, 100);
    if let Body::Loan(loan) = &mut late.body {
        loan.dispute = Dispute::Open;
    }
    let signals = signals_of(&[late], day("2026-03-15").start()).standing;
    assert!(signals.iter().any(|s| s.kind == SignalKind::Disputed));
    assert!(signals.iter().all(|s| s.mark().is_none()));
}

#[test]
fn what_a_retracted_record_was_about_goes_with_it_down_the_chain() {
    let loan = late_loan(1, 0);
    let records = [
        loan.clone(),
        signal(2, SignalKind::Default, 1, "2026-01-10"),
        signal(3, SignalKind::Cured, 2, "2026-02-10"),
        signal(4, SignalKind::Disputed, 3, "2026-03-01"),
        signal(5, SignalKind::Restructured, 1, "2026-01-20"),
        signal(6, SignalKind::Default, 99, "2026-01-10"),
    ];
    let mut without = records.to_vec();
    let now = Timestamp::parse_rfc3339("2026-03-15T10:00:00Z").unwrap();
    without.push(loan.retracted(RetractionReason::FurnisherError, now));
    let alone = signals_of(&records[5..], now);
    assert_eq!(signals_of(&without, now), alone);
    let summary = |records: &[Record]| summary_at(records, now).summary;
    assert_eq!(summary(&without), summary(&records[5..]));
    assert_ne!(summary(&records), summary(&without));
}
