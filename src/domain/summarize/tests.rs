//! What a summary tells of a member's records, and what it leaves out.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::domain::{
    ApplicationOutcome, Borrower, Currency, Day, Dispute, HoldState, LastArrears, Loan, LoanLink,
    LoanRole, LoanStage, LoanState, Product, RecordHead, RecordId, RetractionReason, Signal,
    SignalKind, SignalMark, Unlisted, Version,
};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-15T10:20:30Z").unwrap()
}

fn record(number: u128, body: Body) -> Record {
    Record {
        head: RecordHead {
            record_id: RecordId(Uuid::from_u128(number)),
            version: Version::FIRST,
            reported_at: now(),
            as_of: now(),
            expires_on: None,
        },
        borrower: Borrower::default(),
        body,
    }
}

fn cny(minor: i64) -> Money {
    Money::of(minor, Currency::CNY)
}

fn loan(number: u128, days_ago: u32, change: impl FnOnce(&mut Loan)) -> Record {
    let signed = now().minus(DAY * days_ago);
    let mut loan = Loan::new("a".to_owned(), Product::CashLoan, cny(250_000), signed);
    change(&mut loan);
    record(number, Body::Loan(loan))
}

fn application(number: u128, hours_ago: u32, change: impl FnOnce(&mut Application)) -> Record {
    let at = now().minus(HOUR * hours_ago);
    let mut one = Application::new(ApplicationKind::Application, Product::CashLoan, at);
    change(&mut one);
    record(number, Body::Application(one))
}

fn signal(number: u128, kind: SignalKind, about: Option<u128>) -> Record {
    let mut signal = Signal::new(kind, now().day(), "desk".to_owned());
    signal.about = about.map(|id| RecordId(Uuid::from_u128(id)));
    record(number, Body::Signal(signal))
}

fn group(name: &str) -> LenderGroup {
    name.parse().unwrap()
}

fn made_at(records: &[Record], level: Level, now: Timestamp) -> Summarized {
    let network: NetworkId = "net".parse().unwrap();
    let own_group = group("own");
    let bands = Bands::of(Currency::CNY, &[100_000, 300_000, 500_000]).unwrap();
    let terms = SummaryTerms {
        level,
        network: &network,
        own_group: &own_group,
        bands: &bands,
        now,
    };
    summarize(records, &terms)
}

fn full(records: &[Record]) -> Summary {
    let made = made_at(records, Level::Full, now());
    assert_eq!(
        Summary::decode(&made.summary.encode()),
        Ok(made.summary.clone())
    );
    made.summary
}

#[test]
fn no_records_make_an_empty_summary() {
    assert!(full(&[]).is_empty());
}

#[test]
fn times_are_rounded_down_to_the_hour() {
    let summary = full(&[application(1, 5, |_| {})]);
    let [mark] = summary.applications.as_slice() else {
        panic!("one application");
    };
    assert_eq!(mark.at.earliest().to_rfc3339(), "2026-03-15T05:00:00Z");
    assert_eq!(mark.at.latest().to_rfc3339(), "2026-03-15T05:59:59.999Z");
    assert_eq!(
        (mark.stage, mark.group),
        (ApplicationStage::Undecided, GroupCode::OWN)
    );
}

#[test]
fn a_lender_is_told_in_full_however_many_records_it_has() {
    let mut records: Vec<Record> = (0..40)
        .map(|n| {
            application(n, 10 + u32::try_from(n).unwrap(), |one| {
                one.outcome = ApplicationOutcome::Declined;
            })
        })
        .collect();
    records.push(application(100, 70, |_| {}));
    records.push(application(101, 90, |_| {}));
    records.extend((200..230).map(|n| loan(n, u32::try_from(n).unwrap(), |_| {})));
    records.push(loan(300, 600, |loan| loan.dpd = 75));
    records.push(loan(301, 700, |loan| loan.dpd = 100));
    records.push(loan(302, 20, |loan| loan.state = LoanState::Paid));
    let summary = full(&records);
    let stages: Vec<_> = summary
        .applications
        .as_slice()
        .iter()
        .map(|m| m.stage)
        .collect();
    assert_eq!(
        stages,
        [ApplicationStage::Decided, ApplicationStage::Undecided]
    );
    let stages: Vec<_> = summary.loans.as_slice().iter().map(|m| m.stage).collect();
    assert!(stages.contains(&LoanStage::From90) && stages.contains(&LoanStage::From60));
    assert!(stages.contains(&LoanStage::Closed), "the latest signed one");
    let left_out = Unlisted {
        active_loans: summary.unlisted.active_loans,
        ..Unlisted::default()
    };
    assert_eq!(summary.unlisted, left_out, "only loans, no group");
    assert!(!left_out.active_loans.is_zero());
}

#[test]
fn what_does_not_fit_is_counted_by_group() {
    let records: Vec<Record> = (0_u32..9)
        .flat_map(|n| {
            let lender = group(&format!("lender-{n}"));
            let (a, b) = (lender.clone(), lender.clone());
            [
                application(n.into(), n + 1, |one| one.lender_group = Some(a)),
                loan((n + 100).into(), n + 2, |loan| loan.lender_group = Some(b)),
                record(
                    u128::from(n) + 200,
                    Body::Hold(Hold {
                        lender_group: Some(lender),
                        ..Hold::new(cny(1_000), now().minus(HOUR * n))
                    }),
                ),
            ]
        })
        .collect();
    let summary = full(&records);
    assert_eq!(summary.unlisted.hard, Tally::of(3));
    assert_eq!(summary.unlisted.holds, Tally::of(7));
    assert_eq!(summary.unlisted.active_groups, Tally::of(4));
    assert_eq!(summary.unlisted.signed_groups, Tally::of(4));
    let latest_left_out = HourMark::of(now().minus(DAY * 7));
    assert_eq!(summary.unlisted.signed_latest, latest_left_out);
    let groups: BTreeSet<_> = summary.loans.as_slice().iter().map(|m| m.group).collect();
    assert_eq!(groups.len(), 5, "five groups, not five loans of one");
}

#[test]
fn a_retracted_record_leaves_no_trace() {
    let kept = loan(1, 10, |_| {});
    let filed = loan(2, 5, |loan| {
        loan.dpd = 95;
        loan.dispute = Dispute::Open;
    });
    let gone = filed.retracted(RetractionReason::WrongPerson, now());
    let with = made_at(&[kept.clone(), filed, gone], Level::Full, now());
    assert_eq!(with, made_at(&[kept], Level::Full, now()));
}

#[test]
fn the_newest_version_counts_in_any_order() {
    let first = loan(1, 10, |loan| loan.dpd = 95);
    let mut second = loan(1, 10, |_| {});
    second.head.version = Version::FIRST.next();
    let one_way = full(&[first.clone(), second.clone()]);
    assert_eq!(one_way, full(&[second, first]));
    assert_eq!(one_way.loans.as_slice()[0].stage, LoanStage::Below30);
}

#[test]
fn rechecks_reviews_and_guarantees_are_not_told() {
    let kinds = [
        ApplicationKind::Recheck,
        ApplicationKind::Review,
        ApplicationKind::Collection,
        ApplicationKind::SelfAccess,
        ApplicationKind::Fraud,
    ];
    let mut records: Vec<Record> = (0..)
        .zip(kinds)
        .map(|(n, kind)| application(n, 1, |one| one.kind = kind))
        .collect();
    records.push(loan(9, 1, |loan| loan.role = LoanRole::Guarantor));
    records.push(loan(10, 1, |loan| loan.state = LoanState::Void));
    assert!(full(&records).is_empty());
}

#[test]
fn at_defaults_level_only_defaults_are_told_and_nothing_about_the_loan() {
    let records = [
        loan(1, 10, |loan| loan.dpd = 60),
        loan(2, 400, |loan| loan.dpd = 120),
        application(3, 1, |_| {}),
        signal(4, SignalKind::FraudConfirmed, None),
        signal(5, SignalKind::Default, None),
    ];
    let summary = made_at(&records, Level::Defaults, now()).summary;
    assert!(summary.applications.as_slice().is_empty());
    assert_eq!(summary.exposure, Band::NOTHING);
    assert!(summary.signals.contains(SignalMark::Default));
    assert!(!summary.signals.contains(SignalMark::FraudConfirmed));
    for mark in summary.loans.as_slice() {
        assert_eq!(mark.stage, LoanStage::Signalled90);
        assert_eq!(mark.signed, HourMark::default());
    }
    assert_eq!(
        summary.last_arrears,
        LastArrears {
            d90: summary.last_arrears.d90,
            ..LastArrears::default()
        }
    );
}

#[test]
fn a_cured_default_stays_cured_after_the_cure_is_forgotten() {
    let records = [
        signal(1, SignalKind::Default, None),
        signal(2, SignalKind::Cured, Some(1)),
    ];
    let soon = made_at(&records, Level::Full, now());
    assert!(soon.summary.signals.is_empty() && soon.summary.cured_on.is_some());
    let forgotten = now().day().plus_months(25).start();
    assert!(made_at(&records, Level::Full, forgotten).summary.is_empty());
}

#[test]
fn a_signal_ends_by_itself_and_the_summary_says_when() {
    let records = [signal(1, SignalKind::LostContact, None)];
    let made = made_at(&records, Level::Full, now());
    assert!(made.summary.signals.contains(SignalMark::LostContact));
    let end = made.next_change.unwrap();
    assert_eq!(end, now().day().plus_days(181).start());
    assert!(made_at(&records, Level::Full, end).summary.is_empty());
    let last_moment = Timestamp::from_unix_ms(end.unix_ms() - 1);
    assert!(
        !made_at(&records, Level::Full, last_moment)
            .summary
            .is_empty()
    );
}

#[test]
fn disputed_records_are_marked_and_raise_no_signal() {
    let records = [
        loan(1, 10, |loan| loan.dpd = 95),
        signal(2, SignalKind::Disputed, Some(1)),
        signal(3, SignalKind::FraudConfirmed, None),
        signal(4, SignalKind::Disputed, Some(3)),
    ];
    let summary = full(&records);
    assert!(summary.disputed && summary.signals.is_empty());
    assert!(summary.loans.as_slice()[0].disputed);
    assert_eq!(summary.last_arrears, LastArrears::default());
}

#[test]
fn the_first_unpaid_instalment_counts_while_the_loan_is_young() {
    let records = [loan(1, 50, |loan| {
        loan.dpd = 31;
        loan.n_missed = 1;
    })];
    let made = made_at(&records, Level::Full, now());
    assert!(
        made.summary
            .signals
            .contains(SignalMark::FirstPaymentDefault)
    );
    let end = made.next_change.unwrap();
    assert_eq!(end, now().plus(DAY * 40));
    let later = made_at(&records, Level::Full, end).summary;
    assert!(!later.signals.contains(SignalMark::FirstPaymentDefault));
}

#[test]
fn amounts_of_another_currency_are_missed_in_the_open() {
    let records = [loan(1, 10, |loan| {
        loan.outstanding = Money::of(5, Currency::USD);
    })];
    let summary = full(&records);
    assert!(summary.currency_mismatch);
    assert_eq!(summary.exposure, Band::NOTHING);
}

#[test]
fn holds_are_told_while_they_are_live() {
    let live = Hold::new(cny(120_000), now().minus(HOUR * 10));
    let released = Hold {
        state: HoldState::Released,
        ..live.clone()
    };
    let summary = full(&[record(1, Body::Hold(live)), record(2, Body::Hold(released))]);
    let [mark] = summary.holds.as_slice() else {
        panic!("one hold");
    };
    assert_eq!((mark.ttl_hours, mark.amount.number()), (72, 2));
}

#[test]
fn retention_is_a_hard_stop() {
    let old = loan(1, 3_000, |loan| {
        loan.state = LoanState::ChargedOff;
        loan.first_delinquency_on = Some(Day::from_calendar(2021, 3, 10).unwrap());
    });
    let mut expired = loan(2, 10, |_| {});
    expired.head.expires_on = Some(now().day().plus_days(-1));
    let offer = application(3, 24 * 91, |one| one.kind = ApplicationKind::Offer);
    let hard = application(4, 24 * 731, |_| {});
    assert!(full(&[old, expired, offer, hard]).is_empty());
}

#[test]
fn a_transferred_loan_carries_its_link() {
    let linked = |number, link: u8| {
        loan(number, u32::try_from(number).unwrap(), |loan| {
            loan.transfer_link = Some([link; 8]);
        })
    };
    let summary = full(&[linked(1, 7), linked(2, 8)]);
    assert_eq!(summary.link, Some([7; 8]));
    assert_eq!(summary.unlisted_links, 1);
    let links: Vec<_> = summary.loans.as_slice().iter().map(|m| m.link).collect();
    assert_eq!(links, [LoanLink::Listed, LoanLink::Unlisted]);
}
