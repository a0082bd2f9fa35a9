//! The oracle on hand-made records; `stream` has the whole stream of events with ideal nodes.

mod ledger;
mod stream;

use std::collections::BTreeMap;

use super::*;
use crate::domain::{
    Currency, Dispute, HoldState, IdentifierKind, Money, Product, RecordHead, RetractionReason,
    Signal, Version,
};

const NOW: &str = "2026-03-10T12:30:00Z";

fn now() -> Timestamp {
    Timestamp::parse_rfc3339(NOW).unwrap()
}

fn ago(hours: u64) -> Timestamp {
    now().minus(Duration::from_secs(hours * HOUR_S))
}

fn group(name: &str) -> LenderGroup {
    name.parse().unwrap()
}

/// Three lenders, 0 to 2, and a bureau, 3.
fn truth() -> Truth {
    let lender = |name| Reporter {
        group: group(name),
        role: Role::Lender,
    };
    Truth::of(vec![
        lender("a"),
        lender("b"),
        lender("c"),
        Reporter {
            group: group("bureau"),
            role: Role::Bureau,
        },
    ])
}

fn borrower() -> Borrower {
    let national = Identifier::of(IdentifierKind::UsSsn, "536-90-4399", None).unwrap();
    let phone = Identifier::of(IdentifierKind::Phone, "+12025550123", None).unwrap();
    Borrower {
        national: Some(national),
        phone: Some(phone),
        name_dob: None,
    }
}

fn usd(minor: i64) -> Money {
    Money::of(minor, Currency::USD)
}

fn record(number: u8, version: u32, at: Timestamp, body: Body) -> Record {
    Record {
        head: RecordHead {
            record_id: RecordId::fresh(Timestamp::from_unix_ms(0), [number; 10]),
            version: Version::of(version).unwrap(),
            reported_at: at,
            as_of: at,
            expires_on: None,
        },
        borrower: borrower(),
        body,
    }
}

fn loan(number: u8, signed_at: Timestamp) -> Record {
    let loan = Loan::new(
        format!("L{number}"),
        Product::InstalmentUnsecured,
        usd(100_000),
        signed_at,
    );
    record(number, 1, signed_at, Body::Loan(loan))
}

fn change(record: &Record, at: Timestamp, change: impl FnOnce(&mut Loan)) -> Record {
    let mut next = record.clone();
    next.head.version = next.head.version.next();
    next.head.as_of = at;
    next.head.reported_at = at;
    if let Body::Loan(loan) = &mut next.body {
        change(loan);
    }
    next
}

fn application(number: u8, at: Timestamp) -> Record {
    let one = Application::new(ApplicationKind::Application, Product::CashLoan, at);
    record(number, 1, at, Body::Application(one))
}

fn hold(number: u8, at: Timestamp) -> Record {
    record(number, 1, at, Body::Hold(Hold::new(usd(100_000), at)))
}

fn tell(truth: &mut Truth, member: usize, record: Record) {
    truth.recorded(member, record.head.reported_at, record);
}

fn counted(truth: &Truth, asker: usize, name: CountName) -> u32 {
    truth.answer(asker, &borrower(), now()).counts[&name]
}

#[test]
fn the_askers_own_group_is_left_out_wherever_it_is_reported() {
    let mut truth = truth();
    tell(&mut truth, 0, loan(1, ago(900)));
    tell(&mut truth, 1, loan(2, ago(900)));
    let mut outside = loan(3, ago(900));
    let mut reported = loan(4, ago(900));
    for (record, name) in [(&mut outside, "outside"), (&mut reported, "a")] {
        if let Body::Loan(loan) = &mut record.body {
            loan.lender_group = Some(group(name));
        }
    }
    tell(&mut truth, 3, outside);
    tell(&mut truth, 3, reported);
    assert_eq!(counted(&truth, 0, CountName::ActiveLenderGroups), 2);
    assert_eq!(counted(&truth, 1, CountName::ActiveLenderGroups), 2);
    assert_eq!(counted(&truth, 2, CountName::ActiveLenderGroups), 3);
    assert_eq!(counted(&truth, 3, CountName::ActiveLenderGroups), 2);
}

#[test]
fn the_newest_version_recorded_by_then_counts_and_a_retraction_leaves_nothing() {
    let mut truth = truth();
    let first = loan(1, ago(900));
    let late = change(&first, ago(5), |loan| {
        loan.dpd = 95;
        loan.past_due = usd(5_000);
    });
    let gone = late.retracted(RetractionReason::WrongPerson, ago(1));
    tell(&mut truth, 1, first);
    tell(&mut truth, 1, late);
    let before = |truth: &Truth, at| truth.answer(0, &borrower(), at).counts;
    tell(&mut truth, 1, gone);
    let counts = before(&truth, ago(6));
    assert_eq!(counts[&CountName::ActiveDefaults], 0);
    assert_eq!(counts[&CountName::ActiveLenderGroups], 1);
    let counts = before(&truth, ago(5));
    assert_eq!(counts[&CountName::ActiveDefaults], 1);
    let answer = truth.answer(0, &borrower(), now());
    assert!(answer.counts.values().all(|count| *count == 0));
    assert!(answer.traits.unknown);
}

#[test]
fn windows_end_exactly_at_their_length() {
    let mut truth = truth();
    tell(&mut truth, 1, application(1, ago(24)));
    assert_eq!(counted(&truth, 0, CountName::HardApplications24h), 0);
    assert_eq!(counted(&truth, 0, CountName::HardApplications7d), 1);
    let almost = ago(24).plus(Duration::from_millis(1));
    tell(&mut truth, 2, application(2, almost));
    assert_eq!(counted(&truth, 0, CountName::HardApplications24h), 1);
    assert_eq!(counted(&truth, 0, CountName::HardApplications7d), 2);
    assert_eq!(counted(&truth, 0, CountName::SoftApplications30d), 0);
    assert_eq!(counted(&truth, 0, CountName::PhoneHardApplications30d), 2);
}

#[test]
fn a_hold_counts_while_it_lives_and_its_loan_after() {
    let mut truth = truth();
    let held = hold(1, ago(10));
    tell(&mut truth, 1, held.clone());
    for (name, expected) in [
        (CountName::LiveHolds, 1),
        (CountName::ConcurrentGroups72h, 1),
        (CountName::SignedGroups72h, 1),
        (CountName::ActiveLenderGroups, 0),
    ] {
        assert_eq!(counted(&truth, 0, name), expected, "{name}");
    }
    let expired = truth.answer(0, &borrower(), now().plus(Duration::from_secs(62 * HOUR_S)));
    assert_eq!(expired.counts[&CountName::LiveHolds], 0);
    let mut converted = change(&held, ago(1), |_| {});
    let booked = loan(2, ago(10));
    if let Body::Hold(hold) = &mut converted.body {
        hold.state = HoldState::Converted {
            loan: booked.head.record_id,
        };
    }
    tell(&mut truth, 1, converted);
    tell(&mut truth, 1, booked);
    assert_eq!(counted(&truth, 0, CountName::LiveHolds), 0);
    assert_eq!(counted(&truth, 0, CountName::SignedGroups72h), 1);
    assert_eq!(counted(&truth, 0, CountName::ActiveLenderGroups), 1);
}

#[test]
fn disputed_guaranteed_and_void_loans_do_not_count() {
    let changes: [fn(&mut Loan); 3] = [
        |loan| loan.dispute = Dispute::Open,
        |loan| loan.role = crate::domain::LoanRole::Guarantor,
        |loan| loan.state = LoanState::Void,
    ];
    for spoil in changes {
        let mut truth = truth();
        tell(&mut truth, 1, change(&loan(1, ago(90)), ago(2), spoil));
        let counts = truth.answer(0, &borrower(), now()).counts;
        assert!(counts.values().all(|count| *count == 0));
    }
}

#[test]
fn a_transferred_loan_counts_once() {
    let mut truth = truth();
    let link = |loan: &mut Loan| loan.transfer_link = Some([7; 8]);
    tell(
        &mut truth,
        1,
        change(&loan(1, ago(90)), ago(2), |loan| {
            link(loan);
            loan.state = LoanState::Transferred;
        }),
    );
    tell(&mut truth, 2, change(&loan(2, ago(90)), ago(2), link));
    assert_eq!(counted(&truth, 0, CountName::ActiveLenderGroups), 1);
    assert_eq!(counted(&truth, 0, CountName::SignedGroups15d), 1);
}

#[test]
fn a_signal_of_default_counts_until_it_is_cured() {
    let mut truth = truth();
    let evidence = [1; 32];
    let mut default = Signal::new(SignalKind::Default, ago(500).day(), "x".to_owned());
    default.evidence = Some(evidence);
    let default = record(1, 1, ago(400), Body::Signal(default));
    tell(&mut truth, 2, default.clone());
    assert_eq!(counted(&truth, 0, CountName::ActiveDefaults), 1);
    let mut cure = Signal::new(SignalKind::Cured, ago(30).day(), "x".to_owned());
    cure.about = Some(default.head.record_id);
    tell(&mut truth, 2, record(2, 1, ago(20), Body::Signal(cure)));
    let answer = truth.answer(0, &borrower(), now());
    assert_eq!(answer.counts[&CountName::ActiveDefaults], 0);
    assert_eq!(answer.traits.cured_on, Some(ago(30).day()));
}

#[test]
fn flags_follow_the_thresholds_of_the_policy() {
    let policy = crate::risk::Policy::built_in(Currency::USD).unwrap();
    let mut truth = truth();
    let flags = |truth: &Truth| -> BTreeMap<_, _> {
        truth.answer(0, &borrower(), now()).flags(&policy, now())
    };
    let raised = |truth: &Truth| -> Vec<&str> {
        let all = flags(truth).into_iter();
        all.filter(|(_, holds)| *holds)
            .map(|(code, _)| code.word())
            .collect()
    };
    assert_eq!(raised(&truth), ["TH"]);
    let big = |record: &Record| {
        change(record, ago(2), |loan| {
            loan.principal = usd(2_500_000);
            loan.outstanding = usd(2_500_000);
        })
    };
    tell(&mut truth, 1, big(&loan(1, ago(24 * 90))));
    assert!(raised(&truth).is_empty());
    tell(&mut truth, 2, big(&loan(2, ago(24 * 5))));
    assert_eq!(raised(&truth), ["MB", "EX", "EG"]);
    tell(&mut truth, 1, hold(3, ago(3)));
    assert_eq!(raised(&truth), ["MB", "EX", "EG", "ST", "CA"]);
}
